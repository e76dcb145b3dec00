// SPDX-License-Identifier: Apache-2.0
#include "source/prune.h"

#include <string.h>

#include "base/limits.h"

// A member that is kept: as a whole, or only what `below` names of it. Lists are looked through. Ends with a NULL key.
struct keep {
    const char *key;
    const struct keep *below;
};

static const struct keep keep_meta[] = {
    {"namespace", NULL},
    {"name", NULL},
    {"uid", NULL},
    {"resourceVersion", NULL},
    {"creationTimestamp", NULL},
    {"deletionTimestamp", NULL},
    {"labels", NULL},
    {NULL, NULL},
};
// Not hostIP: the API server takes any text there.
static const struct keep keep_port[] = {{"name", NULL}, {"containerPort", NULL}, {"protocol", NULL}, {NULL, NULL}};
static const struct keep keep_container[] = {{"ports", keep_port}, {"restartPolicy", NULL}, {NULL, NULL}};
static const struct keep keep_pod_spec[] = {
    {"nodeName", NULL}, {"hostNetwork", NULL}, {"containers", keep_container}, {"initContainers", keep_container},
    {NULL, NULL},
};
static const struct keep keep_pod_ip[] = {{"ip", NULL}, {NULL, NULL}};
static const struct keep keep_pod_status[] = {{"phase", NULL}, {"podIP", NULL}, {"podIPs", keep_pod_ip}, {NULL, NULL}};
static const struct keep keep_node_spec[] = {{"podCIDR", NULL}, {"podCIDRs", NULL}, {NULL, NULL}};
static const struct keep keep_node_address[] = {{"type", NULL}, {"address", NULL}, {NULL, NULL}};
static const struct keep keep_node_status[] = {{"addresses", keep_node_address}, {NULL, NULL}};

// The last three: of a Status, which is the object of an ERROR event.
#define KEEP_COMMON                                                                                                    \
    {"kind", NULL}, {"apiVersion", NULL}, {"metadata", keep_meta}, {"code", NULL}, {"reason", NULL},                   \
    {                                                                                                                  \
        "message", NULL                                                                                                \
    }

static const struct keep keep_pod[] = {KEEP_COMMON, {"spec", keep_pod_spec}, {"status", keep_pod_status}, {NULL, NULL}};
static const struct keep keep_namespace[] = {KEEP_COMMON, {NULL, NULL}};
static const struct keep keep_policy[] = {KEEP_COMMON, {"spec", NULL}, {NULL, NULL}};
static const struct keep keep_node[] = {
    KEEP_COMMON, {"spec", keep_node_spec}, {"status", keep_node_status}, {NULL, NULL}};

// Which object it is, when the rest of it cannot be read.
static const struct keep keep_names[] = {
    {"namespace", NULL}, {"name", NULL}, {"uid", NULL}, {"resourceVersion", NULL}, {NULL, NULL},
};
static const struct keep keep_version[] = {{"resourceVersion", NULL}, {NULL, NULL}};
static const struct keep keep_named[] = {{"metadata", keep_names}, {NULL, NULL}};
static const struct keep keep_named_or_status[] = {
    {"metadata", keep_names}, {"code", NULL}, {"reason", NULL}, {NULL, NULL}};
static const struct keep keep_versioned[] = {{"metadata", keep_version}, {NULL, NULL}};
static const struct keep keep_event_names[] = {{"type", NULL}, {"object", keep_named_or_status}, {NULL, NULL}};
static const struct keep keep_event_version[] = {{"type", NULL}, {"object", keep_versioned}, {NULL, NULL}};

static const struct keep *keep_of(enum object_kind kind)
{
    switch (kind) {
    case OBJECT_POD:
        return keep_pod;
    case OBJECT_NAMESPACE:
        return keep_namespace;
    case OBJECT_POLICY:
        return keep_policy;
    case OBJECT_NODE:
        return keep_node;
    }
    return keep_policy;
}

struct pruner {
    const char *p;
    const char *end;
    struct buf *out;
    unsigned depth;
};

static bool at(const struct pruner *pruner, char c)
{
    return pruner->p < pruner->end && *pruner->p == c;
}

static void skip_blank(struct pruner *pruner)
{
    while (pruner->p < pruner->end &&
           (*pruner->p == ' ' || *pruner->p == '\t' || *pruner->p == '\r' || *pruner->p == '\n')) {
        pruner->p++;
    }
}

// From its first quote to behind its last.
static bool skip_string(struct pruner *pruner)
{
    pruner->p++;
    while (pruner->p < pruner->end && *pruner->p != '"') {
        if (*pruner->p == '\\' && ++pruner->p == pruner->end) {
            return false;
        }
        pruner->p++;
    }
    if (pruner->p == pruner->end) {
        return false;
    }
    pruner->p++;
    return true;
}

// A whole value; of its inside only strings and the balance of brackets are looked at.
static bool skip_value(struct pruner *pruner)
{
    unsigned open = 0;
    while (pruner->p < pruner->end) {
        char c = *pruner->p;
        if (c == '"') {
            if (!skip_string(pruner)) {
                return false;
            }
        } else if (c == '{' || c == '[') {
            open++;
            pruner->p++;
            continue;
        } else if (c == '}' || c == ']') {
            if (open == 0) {
                return false;
            }
            open--;
            pruner->p++;
        } else if (open) {
            pruner->p++;
            continue;
        } else {
            const char *start = pruner->p;
            while (pruner->p < pruner->end && !strchr(",:]}{[\" \t\r\n", *pruner->p)) {
                pruner->p++;
            }
            return pruner->p > start;
        }
        if (open == 0) {
            return true;
        }
    }
    return false;
}

static const struct keep *find(const struct keep *keep, const char *key, size_t len)
{
    for (; keep->key; keep++) {
        if (strlen(keep->key) == len && memcmp(keep->key, key, len) == 0) {
            return keep;
        }
    }
    return NULL;
}

static bool copy_value(struct pruner *pruner, const struct keep *keep);

static bool copy_whole(struct pruner *pruner)
{
    const char *start = pruner->p;
    if (!skip_value(pruner)) {
        return false;
    }
    buf_add(pruner->out, start, (size_t)(pruner->p - start));
    return true;
}

// One member of a map, from its key to behind its value.
static bool copy_member(struct pruner *pruner, const struct keep *keep, bool *first)
{
    const char *key = pruner->p;
    if (!at(pruner, '"') || !skip_string(pruner)) {
        return false;
    }
    size_t len = (size_t)(pruner->p - key);
    skip_blank(pruner);
    if (!at(pruner, ':')) {
        return false;
    }
    pruner->p++;
    skip_blank(pruner);
    // A key in escapes may be any key: it stays, for those who can read it.
    const struct keep *found = find(keep, key + 1, len - 2);
    if (!found && !memchr(key, '\\', len)) {
        return skip_value(pruner);
    }
    buf_puts(pruner->out, *first ? "" : ",");
    *first = false;
    buf_add(pruner->out, key, len);
    buf_putc(pruner->out, ':');
    return found && found->below ? copy_value(pruner, found->below) : copy_whole(pruner);
}

static bool copy_value(struct pruner *pruner, const struct keep *keep)
{
    bool map = at(pruner, '{');
    if (!map && !at(pruner, '[')) {
        return copy_whole(pruner);
    }
    if (++pruner->depth > LIMIT_DOCUMENT_DEPTH) {
        return false;
    }
    bool first = true;
    buf_putc(pruner->out, *pruner->p++);
    skip_blank(pruner);
    bool empty = at(pruner, map ? '}' : ']');
    while (!at(pruner, map ? '}' : ']')) {
        if (!map && !first) {
            buf_putc(pruner->out, ',');
        }
        if (map ? !copy_member(pruner, keep, &first) : !copy_value(pruner, keep)) {
            return false;
        }
        first = first && map;
        skip_blank(pruner);
        if (at(pruner, ',')) {
            pruner->p++;
            skip_blank(pruner);
            if (at(pruner, map ? '}' : ']')) {
                return false;
            }
        } else if (!at(pruner, map ? '}' : ']')) {
            return false;
        }
    }
    // "status: {}" and a status of which nothing is left are not the same.
    buf_puts(pruner->out, map && first && !empty ? "\"\":null" : "");
    buf_putc(pruner->out, *pruner->p++);
    pruner->depth--;
    return true;
}

static bool prune(const struct keep *keep, const char *text, size_t len, struct buf *out)
{
    struct pruner pruner = {.p = text, .end = text + len, .out = out};
    skip_blank(&pruner);
    if (!at(&pruner, '{') || !copy_value(&pruner, keep)) {
        return false;
    }
    skip_blank(&pruner);
    return pruner.p == pruner.end && !out->failed;
}

bool prune_object(enum object_kind kind, const char *text, size_t len, struct buf *out)
{
    return prune(keep_of(kind), text, len, out);
}

bool prune_event(enum object_kind kind, const char *text, size_t len, struct buf *out)
{
    const struct keep event[] = {{"type", NULL}, {"object", keep_of(kind)}, {NULL, NULL}};
    return prune(event, text, len, out);
}

bool prune_object_to_names(const char *text, size_t len, struct buf *out)
{
    return prune(keep_named, text, len, out);
}

bool prune_event_to_names(const char *text, size_t len, struct buf *out)
{
    return prune(keep_event_names, text, len, out);
}

bool prune_event_to_version(const char *text, size_t len, struct buf *out)
{
    return prune(keep_event_version, text, len, out);
}
