// SPDX-License-Identifier: Apache-2.0
//
// Objects of the model server: from a description in words to JSON.
#include <stdarg.h>
#include <stdio.h>

#include "base/num.h"
#include "support/api_world_private.h"

void world_version_unref(struct world_version *version)
{
    if (version && --version->refs == 0) {
        free(version->key);
        free(version->meta);
        free(version->rest);
        free(version->text);
        free(version->node);
        free(version->phase);
        free(version);
    }
}

struct world_version *world_version_ref(struct world_version *version)
{
    version->refs++;
    return version;
}

static void json_bytes(struct buf *out, const char *text, size_t len)
{
    buf_putc(out, '"');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') {
            buf_putc(out, '\\');
            buf_putc(out, (char)c);
        } else if (c < 0x20 || c == '<' || c == '>' || c == '&') {
            buf_printf(out, "\\u%04x", c);
        } else {
            buf_putc(out, (char)c);
        }
    }
    buf_putc(out, '"');
}

void world_json_string(struct buf *out, const char *text)
{
    json_bytes(out, text, strlen(text));
}

// The parts of the object while its words are read.
struct parts {
    struct buf labels, addresses, cidrs, ports, select, from;
    char node[256];
    char phase[32];
    bool host_network;
    bool deleting;
    bool extra;
    uint64_t pad;
};

static void parts_free(struct parts *parts)
{
    buf_free(&parts->labels);
    buf_free(&parts->addresses);
    buf_free(&parts->cidrs);
    buf_free(&parts->ports);
    buf_free(&parts->select);
    buf_free(&parts->from);
}

static void add_pair(struct buf *out, const char *word, size_t len)
{
    const char *equals = memchr(word, '=', len);
    if (!equals) {
        abort();
    }
    buf_puts(out, out->len ? "," : "");
    json_bytes(out, word, (size_t)(equals - word));
    buf_putc(out, ':');
    json_bytes(out, equals + 1, len - (size_t)(equals - word) - 1);
}

static void add_address(struct buf *out, int kind, const char *text, size_t len)
{
    buf_printf(out, "%s{%s\"%s\":", out->len ? "," : "", kind == WORLD_NODES ? "\"type\":\"InternalIP\"," : "",
               kind == WORLD_NODES ? "address" : "ip");
    json_bytes(out, text, len);
    buf_putc(out, '}');
}

static void add_port(struct buf *out, const char *word, size_t len)
{
    const char *equals = memchr(word, '=', len);
    if (!equals) {
        abort();
    }
    buf_printf(out, "%s{\"name\":", out->len ? "," : "");
    json_bytes(out, word, (size_t)(equals - word));
    buf_printf(out, ",\"containerPort\":%.*s,\"protocol\":\"TCP\"}", (int)(len - (size_t)(equals - word) - 1),
               equals + 1);
}

static void read_word(struct parts *parts, int kind, const char *word, size_t len)
{
    static const char *const marks[] = {"ip:", "node:", "phase:", "port:", "cidr:", "select:", "from:", "pad:"};
    size_t mark = 0;
    while (mark < ARRAY_SIZE(marks) && strncmp(word, marks[mark], strlen(marks[mark])) != 0) {
        mark++;
    }
    const char *value = mark < ARRAY_SIZE(marks) ? word + strlen(marks[mark]) : word;
    size_t n = len - (size_t)(value - word);
    if (mark == 0) {
        add_address(&parts->addresses, kind, value, n);
    } else if (mark == 1) {
        (void)snprintf(parts->node, sizeof(parts->node), "%.*s", (int)n, value);
    } else if (mark == 2) {
        (void)snprintf(parts->phase, sizeof(parts->phase), "%.*s", (int)n, value);
    } else if (mark == 3) {
        add_port(&parts->ports, value, n);
    } else if (mark == 4) {
        buf_puts(&parts->cidrs, parts->cidrs.len ? "," : "");
        json_bytes(&parts->cidrs, value, n);
    } else if (mark == 5) {
        add_pair(&parts->select, value, n);
    } else if (mark == 6) {
        add_pair(&parts->from, value, n);
    } else if (mark == 7) {
        if (!num_parse_u64(value, n, UINT64_MAX, &parts->pad)) {
            abort();
        }
    } else if (len == 7 && strncmp(word, "hostnet", len) == 0) {
        parts->host_network = true;
    } else if (len == 8 && strncmp(word, "deleting", len) == 0) {
        parts->deleting = true;
    } else if (len == 5 && strncmp(word, "extra", len) == 0) {
        parts->extra = true;
    } else if (len == 11 && strncmp(word, "unscheduled", len) == 0) {
        parts->node[0] = '\0';
        (void)snprintf(parts->phase, sizeof(parts->phase), "Pending");
    } else {
        add_pair(&parts->labels, word, len);
    }
}

static const char *text_of(const struct buf *buf)
{
    return buf->data ? buf->data : "";
}

static char *meta_of(const struct parts *parts, const char *key, const char *uid)
{
    struct buf meta = {0};
    const char *slash = strchr(key, '/');
    buf_puts(&meta, ",\"name\":");
    world_json_string(&meta, slash ? slash + 1 : key);
    if (slash) {
        buf_puts(&meta, ",\"namespace\":");
        json_bytes(&meta, key, (size_t)(slash - key));
    }
    buf_printf(&meta, ",\"uid\":\"%s\",\"creationTimestamp\":\"2026-01-01T00:00:00Z\",\"labels\":{%s}", uid,
               text_of(&parts->labels));
    if (parts->deleting) {
        buf_puts(&meta, ",\"deletionTimestamp\":\"2026-01-02T00:00:00Z\",\"deletionGracePeriodSeconds\":30");
    }
    buf_puts(&meta, ",\"annotations\":{\"text\":\"\\u003cb\\u003e \\\"]}\\\\ \\u0026\"");
    if (parts->pad) {
        buf_puts(&meta, ",\"pad\":\"");
        for (uint64_t i = 0; i < parts->pad; i++) {
            buf_putc(&meta, (char)('a' + i % 26));
        }
        buf_putc(&meta, '"');
    }
    buf_puts(&meta, "},\"managedFields\":[{\"manager\":\"kubelet\",\"operation\":\"Update\",\"apiVersion\":\"v1\","
                    "\"fieldsV1\":{\"f:metadata\":{\"f:labels\":{\".\":{}}},\"k:{\\\"type\\\":\\\"Ready\\\"}\":{}}}]");
    if (parts->extra) {
        buf_puts(&meta, ",\"unheardOf\":{\"name\":\"not-this\",\"labels\":{\"x\":null},\"list\":[1,2.5e3,{}]}");
    }
    return world_must(buf_take(&meta));
}

static char *rest_of(const struct parts *parts, int kind)
{
    struct buf rest = {0};
    const char *extra = parts->extra ? ",\"unheardOf\":[{\"spec\":{}},null,true,\"\\u003c\"]" : "";
    if (kind == WORLD_NAMESPACES) {
        buf_printf(&rest, ",\"spec\":{\"finalizers\":[\"kubernetes\"]},\"status\":{\"phase\":\"%s\"%s}",
                   parts->deleting ? "Terminating" : "Active", extra);
    } else if (kind == WORLD_NODES) {
        buf_printf(&rest, ",\"spec\":{\"podCIDRs\":[%s]%s},\"status\":{\"addresses\":[%s]%s}", text_of(&parts->cidrs),
                   extra, text_of(&parts->addresses), extra);
    } else if (kind == WORLD_PODS) {
        buf_puts(&rest, ",\"spec\":{");
        if (parts->node[0]) {
            buf_printf(&rest, "\"nodeName\":\"%s\",", parts->node);
        }
        buf_printf(&rest,
                   "%s\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"ports\":[%s],\"env\":[{\"name\":\"nodeName\","
                   "\"value\":\"no\"}]}]%s},\"status\":{\"phase\":\"%s\",\"podIPs\":[%s],\"conditions\":[{\"type\":"
                   "\"Ready\",\"status\":\"True\"}]%s}",
                   parts->host_network ? "\"hostNetwork\":true," : "", text_of(&parts->ports), extra, parts->phase,
                   text_of(&parts->addresses), extra);
    } else {
        buf_printf(&rest, ",\"spec\":{\"podSelector\":{\"matchLabels\":{%s}},\"policyTypes\":[\"Ingress\"]",
                   text_of(&parts->select));
        if (parts->from.len) {
            buf_printf(&rest, ",\"ingress\":[{\"from\":[{\"podSelector\":{\"matchLabels\":{%s}}}]}]",
                       text_of(&parts->from));
        }
        buf_puts(&rest, "}");
    }
    return world_must(buf_take(&rest));
}

static struct world_version *read_description(struct world *world, int kind, const char *text)
{
    struct world_version *version = world_must(calloc(1, sizeof(*version)));
    struct parts parts = {.node = "n1", .phase = "Running"};
    size_t len = strcspn(text, " ");
    version->refs = 1;
    version->key = world_must(strndup(text, len));
    version->text = world_must(strdup(text));
    if (world_kind_rows[kind].namespaced != (strchr(version->key, '/') != NULL)) {
        abort();
    }
    for (const char *word = text + len; *word;) {
        word += strspn(word, " ");
        size_t n = strcspn(word, " ");
        if (n) {
            read_word(&parts, kind, word, n);
        }
        word += n;
    }
    const struct world_version *old = world_find(world, kind, version->key);
    if (old) {
        memcpy(version->uid, old->uid, sizeof(version->uid));
    } else {
        (void)snprintf(version->uid, sizeof(version->uid), "00000000-0000-4000-8000-%012llu",
                       (unsigned long long)++world->uids);
    }
    version->meta = meta_of(&parts, version->key, version->uid);
    version->rest = rest_of(&parts, kind);
    version->node = world_must(strdup(parts.node));
    version->phase = world_must(strdup(parts.phase));
    version->host_network = parts.host_network;
    parts_free(&parts);
    return version;
}

uint64_t world_put(struct world *world, int kind, const char *fmt, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, fmt);
    int len = vasprintf(&text, fmt, args);
    va_end(args);
    if (len < 0) {
        abort();
    }
    struct world_version *version = read_description(world, kind, text);
    world_change(world, kind, version->key, version);
    free(text);
    return world->version;
}

uint64_t world_touch(struct world *world, int kind, const char *key)
{
    const struct world_version *old = world_find(world, kind, key);
    return old ? world_put(world, kind, "%s", old->text) : world->version;
}

uint64_t world_delete(struct world *world, int kind, const char *key)
{
    if (!world_find(world, kind, key)) {
        abort();
    }
    world_change(world, kind, key, NULL);
    return world->version;
}

bool world_has(const struct world *world, int kind, const char *key)
{
    return world_find(world, kind, key) != NULL;
}

size_t world_size(const struct world *world, int kind)
{
    return world->objects[kind].list.n;
}

const char *world_key(const struct world *world, int kind, size_t index)
{
    return world->objects[kind].list.v[index]->key;
}

void world_version_json(const struct world_version *object, uint64_t version, int kind, const char *api_version,
                        struct buf *out)
{
    buf_putc(out, '{');
    if (api_version) {
        const char *group = world_kind_rows[kind].group;
        buf_printf(out, "\"kind\":\"%s\",\"apiVersion\":\"%s%s%s\",", world_kind_rows[kind].name, group,
                   group[0] ? "/" : "", api_version);
    }
    buf_printf(out, "\"metadata\":{\"resourceVersion\":\"%llu\"", (unsigned long long)version);
    buf_puts(out, object->meta);
    buf_puts(out, "}");
    buf_puts(out, object->rest);
    buf_puts(out, "}");
}

char *world_json(const struct world *world, int kind, const char *key)
{
    const struct world_version *object = world_find(world, kind, key);
    if (!object) {
        return NULL;
    }
    struct buf text = {0};
    world_version_json(object, object->version, kind, world_kind_rows[kind].api_versions[0], &text);
    return world_must(buf_take(&text));
}
