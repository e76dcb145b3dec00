// SPDX-License-Identifier: Apache-2.0
//
// Whether a state is what the client of the model server should have by now. The objects are read by the decoders,
// whole and in one piece each: how the bytes travelled must make no difference.
#include <inttypes.h>
#include <stdio.h>

#include "base/num.h"
#include "decode/decode.h"
#include "support/api_world_private.h"
#include "json/json.h"

struct found {
    const void *object;
    const struct object_meta *meta;
};

static struct found find(const struct state *state, enum object_kind kind, const char *ns, const char *name)
{
    struct found found = {0};
    switch (kind) {
    case OBJECT_POD: {
        const struct pod *pod = state_pod(state, ns, name);
        found = (struct found){pod, pod ? &pod->meta : NULL};
        break;
    }
    case OBJECT_NAMESPACE: {
        const struct ns_object *object = state_namespace(state, name);
        found = (struct found){object, object ? &object->meta : NULL};
        break;
    }
    case OBJECT_POLICY: {
        const struct policy *policy = state_policy(state, ns, name);
        found = (struct found){policy, policy ? &policy->meta : NULL};
        break;
    }
    case OBJECT_NODE: {
        const struct node *node = state_node(state, name);
        found = (struct found){node, node ? &node->meta : NULL};
        break;
    }
    }
    return found;
}

static bool same(const struct decoded *wanted, const void *object)
{
    switch (wanted->kind) {
    case OBJECT_POD:
        return pod_equal(&wanted->pod, object);
    case OBJECT_NAMESPACE:
        return ns_object_equal(&wanted->ns, object);
    case OBJECT_POLICY:
        return policy_equal(&wanted->policy, object);
    case OBJECT_NODE:
        return node_equal(&wanted->node, object);
    }
    return false;
}

static void say(struct buf *out, int kind, const char *key, const char *what)
{
    if (out) {
        buf_printf(out, "%s %s: %s\n", world_kind_rows[kind].plural, key, what);
    }
}

// "" or what is wrong.
static const char *compare(const struct world *world, const struct world_version *wanted, int kind,
                           const struct found *found)
{
    struct buf BUF_CLEANUP text = {0};
    struct arena arena = {0};
    struct doc *doc;
    struct decoded decoded = {0};
    struct diagnostics DIAGNOSTICS_CLEANUP diagnostics = {0};
    struct err err;
    size_t used;
    unsigned line;
    const char *what = "";
    world_version_json(wanted, wanted->version, kind, NULL, &text);
    if (json_parse(world_must(text.data), text.len, 1, &arena, &doc, &used, &line, &err) < 0 ||
        decode_object(doc, world_kind_rows[kind].kind, "", &arena, &decoded, &diagnostics, &err) != 0) {
        abort();
    }
    uint64_t version = 0;
    bool number =
        num_parse_u64(found->meta->resource_version, strlen(found->meta->resource_version), UINT64_MAX, &version);
    if (strcmp(found->meta->uid, wanted->uid) != 0) {
        what = "another uid";
    } else if (!same(&decoded, found->object)) {
        what = "another content";
    } else if (!number || (!world->restored && (version < wanted->born || version > wanted->version))) {
        // Once etcd was restored the version may be one that never was.
        // An event that changes nothing may be dropped, so any version of the same object will do: the content is
        // right.
        what = "another resource version";
    }
    arena_free(&arena);
    return what;
}

static bool visible(const struct world *world, int kind, const struct world_version *object)
{
    return world->served & WORLD_BIT(kind) && world_selector_matches(kind, world->selector[kind], object);
}

static size_t compare_wanted(const struct world *world, const struct state *state, int kind, struct buf *out)
{
    size_t n = 0;
    for (size_t i = 0; i < world->objects[kind].list.n; i++) {
        const struct world_version *object = world->objects[kind].list.v[i];
        if (!visible(world, kind, object)) {
            continue;
        }
        const char *slash = strchr(object->key, '/');
        CLEANUP(free) char *ns = world_must(strndup(object->key, slash ? (size_t)(slash - object->key) : 0));
        struct found found = find(state, world_kind_rows[kind].kind, ns, slash ? slash + 1 : object->key);
        const char *what = found.object ? compare(world, object, kind, &found) : "lost";
        if (what[0]) {
            n++;
            say(out, kind, object->key, what);
        }
    }
    return n;
}

static size_t phantom(const struct world *world, int kind, const struct object_meta *meta, struct buf *out)
{
    char key[600];
    (void)snprintf(key, sizeof(key), "%s%s%s", meta->ns, meta->ns[0] ? "/" : "", meta->name);
    const struct world_version *object = world_find(world, kind, key);
    if (object && visible(world, kind, object)) {
        return 0;
    }
    say(out, kind, key, object ? "there though the selector leaves it out" : "a phantom");
    return 1;
}

#define PHANTOMS(type, list_fn)                                                                                        \
    do {                                                                                                               \
        const struct type *const *list_ = list_fn(state, &n);                                                          \
        for (size_t i_ = 0; i_ < n; i_++) {                                                                            \
            phantoms += phantom(world, kind, &list_[i_]->meta, out);                                                   \
        }                                                                                                              \
    } while (0)

static size_t compare_phantoms(const struct world *world, struct state *state, int kind, struct buf *out)
{
    size_t phantoms = 0;
    size_t n = 0;
    switch (world_kind_rows[kind].kind) {
    case OBJECT_POD:
        PHANTOMS(pod, state_pods);
        break;
    case OBJECT_NAMESPACE:
        PHANTOMS(ns_object, state_namespaces);
        break;
    case OBJECT_POLICY:
        PHANTOMS(policy, state_policies);
        break;
    case OBJECT_NODE:
        PHANTOMS(node, state_nodes);
        break;
    }
    return phantoms;
}

size_t world_difference(const struct world *world, struct state *state, unsigned kinds, struct buf *out)
{
    size_t n = 0;
    for (int kind = 0; kind < WORLD_KINDS; kind++) {
        if (kinds ? kinds & WORLD_BIT(kind) : kind < WORLD_CUSTOM) {
            n += compare_wanted(world, state, kind, out);
            n += compare_phantoms(world, state, kind, out);
        }
    }
    return n;
}
