// SPDX-License-Identifier: Apache-2.0
#include "support/spelled.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "support/state_yaml.h"

// Where the state's sorted array of the kind has this name.
static size_t place_of(struct state *state, enum object_kind kind, const struct object_meta *meta)
{
    const void *const *all = NULL;
    const void *wanted = NULL;
    size_t n = 0;
    switch (kind) {
    case OBJECT_POD:
        all = (const void *const *)state_pods(state, &n);
        wanted = state_pod(state, meta->ns, meta->name);
        break;
    case OBJECT_NAMESPACE:
        all = (const void *const *)state_namespaces(state, &n);
        wanted = state_namespace(state, meta->name);
        break;
    case OBJECT_POLICY:
        all = (const void *const *)state_policies(state, &n);
        wanted = state_policy(state, meta->ns, meta->name);
        break;
    case OBJECT_NODE:
        all = (const void *const *)state_nodes(state, &n);
        wanted = state_node(state, meta->name);
        break;
    }
    size_t place = 0;
    while (place < n && all[place] != wanted) {
        place++;
    }
    if (place == n) {
        fail_msg("%s %s/%s was not read back", object_kind_name(kind), meta->ns, meta->name);
    }
    return place;
}

void spelled_make(struct spelled *spelled, const struct random_cluster *cluster, uint64_t seed)
{
    BUF_CLEANUP struct buf text = {0};
    struct rng rng = {seed};
    struct clause_set *of = calloc(cluster->objects.n + 1, sizeof(*of));
    assert_non_null(of);
    for (size_t i = 0; i < cluster->objects.n; i++) {
        state_yaml_object(&cluster->objects.v[i], &rng, &of[i], &text);
    }
    *spelled = (struct spelled){.state = state_yaml_read(&text)};
    for (size_t kind = 0; kind < OBJECT_KIND_COUNT; kind++) {
        spelled->text[kind] = calloc(cluster->objects.n + 1, sizeof(*of));
        assert_non_null(spelled->text[kind]);
    }
    for (size_t i = 0; i < cluster->objects.n; i++) {
        const struct random_object *object = &cluster->objects.v[i];
        if (!state_yaml_holds(spelled->state, object)) {
            BUF_CLEANUP struct buf plain = {0};
            state_yaml_object(object, NULL, NULL, &plain);
            fail_msg("an object does not read back as itself; it is\n%s\nand was written\n%s", plain.data, text.data);
        }
        spelled->text[object->kind][place_of(spelled->state, object->kind, random_object_meta(object))] = of[i];
    }
    free(of);
}

void spelled_free(struct spelled *spelled)
{
    state_free(spelled->state);
    for (size_t kind = 0; kind < OBJECT_KIND_COUNT; kind++) {
        free(spelled->text[kind]);
    }
    *spelled = (struct spelled){0};
}
