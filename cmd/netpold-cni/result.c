// SPDX-License-Identifier: Apache-2.0
//
// The result of the plugins before: read for what the daemon is told, and passed on.
#include <stdio.h>
#include <unistd.h>

#include "plugin.h"
#include "json/json_write.h"

static int bad(struct plugin_error *error, const char *why)
{
    return plugin_fail(error, PLUGIN_CONFIG, why, "network configuration: \"prevResult\" is not usable");
}

static const char *text_of(const struct doc *doc, const char *key)
{
    const struct doc *got = doc_get(doc, key);
    return got && got->type == DOC_STRING ? got->text : "";
}

static const struct doc *list_of(const struct doc *doc, const char *key)
{
    const struct doc *got = doc_get(doc, key);
    return got && got->type == DOC_LIST ? got : NULL;
}

static bool is_bridge(const char *name)
{
    char path[64 + PACKET_IFACE];
    (void)snprintf(path, sizeof(path), "/sys/class/net/%s/bridge", name);
    return access(path, F_OK) == 0;
}

// The host's end: an interface outside of the sandbox that is no bridge. Bridges come first, as the bridge plugin and
// those that are made like it list them.
static void find_port(const struct doc *interfaces, struct cni_attachment *ret)
{
    for (const struct doc *item = interfaces ? interfaces->child : NULL; item; item = item->next) {
        const char *name = text_of(item, "name");
        char file[CNI_ID + PACKET_IFACE + 16];
        bool on_host = !*text_of(item, "sandbox") && cni_book_file("x", name, file, sizeof(file));
        if (on_host && !is_bridge(name)) {
            memcpy(ret->port, name, strlen(name) + 1);
        }
    }
}

static int check_interface(const struct doc *ip, const struct doc *interfaces, bool *ret_inside,
                           struct plugin_error *error)
{
    const struct doc *index = doc_get(ip, "interface");
    *ret_inside = true;
    if (!index || index->type == DOC_NULL) {
        return 0;
    }
    const struct doc *item = interfaces ? interfaces->child : NULL;
    if (index->type != DOC_NUMBER || !index->integral || index->integer < 0) {
        return bad(error, "an address names an interface by what is no index");
    }
    for (int64_t i = 0; item && i < index->integer; i++) {
        item = item->next;
    }
    if (!item) {
        return bad(error, "an address names an interface that is not listed");
    }
    *ret_inside = *text_of(item, "sandbox");
    return 0;
}

int plugin_read_result(const struct doc *previous, struct cni_attachment *ret, struct plugin_error *error)
{
    const struct doc *interfaces = list_of(previous, "interfaces");
    const struct doc *ips = list_of(previous, "ips");
    for (const struct doc *ip = ips ? ips->child : NULL; ip; ip = ip->next) {
        bool inside;
        char text[ADDRESS_TEXT];
        struct address address;
        const char *prefix = text_of(ip, "address");
        size_t len = strcspn(prefix, "/");
        if (check_interface(ip, interfaces, &inside, error) < 0) {
            return -1;
        }
        if (len >= sizeof(text)) {
            return bad(error, "an address is none");
        }
        memcpy(text, prefix, len);
        text[len] = '\0';
        if (!address_parse(text, &address)) {
            return bad(error, "an address is none");
        }
        if (inside && ret->n_addresses == LIMIT_POD_ADDRESSES) {
            return bad(error, "the interface has too many addresses");
        }
        if (inside) {
            ret->addresses[ret->n_addresses++] = address;
        }
    }
    if (ret->n_addresses == 0) {
        return bad(error, "it gives the pod no address: there is nothing to enforce its policies by");
    }
    find_port(interfaces, ret);
    return 0;
}

// ---- passing on ----------------------------------------------------------------------------------------------------

static size_t skip_string(const char *text, size_t len, size_t at)
{
    for (at++; at < len && text[at] != '"'; at++) {
        at += text[at] == '\\';
    }
    return at < len ? at + 1 : len;
}

// The end of the value at `at`.
static size_t skip_value(const char *text, size_t len, size_t at)
{
    unsigned depth = 0;
    while (at < len) {
        char c = text[at];
        if (c == '"') {
            at = skip_string(text, len, at);
        } else if (c == '{' || c == '[') {
            depth++;
            at++;
        } else if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
            return at;
        } else {
            depth -= c == '}' || c == ']';
            at++;
        }
        if (depth == 0 && at > 0 && strchr("\"}]", text[at - 1])) {
            return at;
        }
    }
    return at;
}

static size_t skip_blanks(const char *text, size_t len, size_t at)
{
    while (at < len && strchr(" \t\r\n", text[at])) {
        at++;
    }
    return at;
}

bool plugin_raw_member(const char *text, size_t len, const char *key, size_t *ret_at, size_t *ret_len)
{
    size_t n_key = strlen(key);
    size_t at = skip_blanks(text, len, 0);
    while (at < len && (text[at] == '{' || text[at] == ',')) {
        size_t name = skip_blanks(text, len, at + 1);
        if (name >= len || text[name] != '"') {
            return false;
        }
        size_t after = skip_string(text, len, name);
        size_t colon = skip_blanks(text, len, after);
        size_t value = skip_blanks(text, len, colon + 1);
        size_t end = skip_value(text, len, value);
        if (after - name == n_key + 2 && memcmp(text + name + 1, key, n_key) == 0) {
            *ret_at = value;
            *ret_len = end - value;
            return true;
        }
        at = skip_blanks(text, len, end);
    }
    return false;
}

void plugin_put_result(const struct plugin_config *config, const char *text, size_t len, struct buf *out)
{
    size_t at;
    size_t n;
    if (strcmp(text_of(config->previous, "cniVersion"), config->version) == 0 &&
        plugin_raw_member(text, len, "prevResult", &at, &n)) {
        buf_add(out, text + at, n);
        buf_putc(out, '\n');
        return;
    }
    buf_puts(out, "{\"cniVersion\":");
    buf_json_string(out, config->version);
    for (const struct doc *member = config->previous->child; member; member = member->next) {
        if (strcmp(member->key, "cniVersion") != 0) {
            buf_putc(out, ',');
            buf_json_string(out, member->key);
            buf_putc(out, ':');
            json_write(member, out);
        }
    }
    buf_puts(out, "}\n");
}

void plugin_put_error(const char *version, const struct plugin_error *error, struct buf *out)
{
    buf_puts(out, "{\"cniVersion\":");
    buf_json_string(out, version);
    buf_printf(out, ",\"code\":%u,\"msg\":", error->code);
    buf_json_string(out, error->msg);
    buf_puts(out, ",\"details\":");
    buf_json_string(out, error->details);
    buf_puts(out, "}\n");
}
