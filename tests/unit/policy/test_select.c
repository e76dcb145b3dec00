// SPDX-License-Identifier: Apache-2.0
//
// Index and selection against the plain question to every pod, on clusters large enough for the label index to be used.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "policy/select.h"
#include "support/rng.h"

enum { NAMESPACES = 6, PODS = 400, KEYS = 3, VALUES = 4 };
static const char *const keys[KEYS] = {"app", "role", "tier"};
static const char *const values[VALUES] = {"", "a", "b", "c"};
static const char *const namespaces[NAMESPACES] = {"m", "n", "o", "p", "q", "r"};

static size_t random_labels(struct rng *rng, struct label ret[KEYS])
{
    size_t n = 0;
    for (size_t i = 0; i < KEYS; i++) {
        if (rng_chance(rng, 75)) {
            ret[n++] = (struct label){.key = keys[i], .value = RNG_PICK(rng, values)};
        }
    }
    return n;
}

static struct object_meta meta(const char *ns, const char *name, const struct label *labels, size_t n)
{
    return (struct object_meta){.ns = ns,
                                .name = name,
                                .uid = "",
                                .resource_version = "",
                                .created = "",
                                .labels = {.v = labels, .n = n},
                                .origin = {.file = ""}};
}

static struct state *random_state(struct rng *rng)
{
    struct state *state = NULL;
    assert_int_equal(state_new(&state, NULL), 0);
    for (size_t i = 1; i < NAMESPACES; i++) {  // the first is never seen
        struct label labels[KEYS];
        size_t n = random_labels(rng, labels);
        struct ns_object ns = {.meta = meta("", namespaces[i], labels, n)};
        assert_int_equal(state_put_namespace(state, ns_object_dup(&ns), NULL), STATE_ADDED);
    }
    for (unsigned i = 0; i < PODS; i++) {
        struct label labels[KEYS];
        size_t n = random_labels(rng, labels);
        char name[16];
        (void)snprintf(name, sizeof(name), "pod-%u", i);
        struct address address = {.family = FAMILY_V4, .bytes = {10, 0, (uint8_t)(i / 100), (uint8_t)(i % 100)}};
        struct pod pod = {.meta = meta(RNG_PICK(rng, namespaces), name, labels, n),
                          .node = "n1",
                          .host_network = rng_chance(rng, 5),
                          .phase = rng_chance(rng, 5) ? POD_FAILED : POD_RUNNING,
                          .addresses = &address,
                          .n_addresses = 1};
        assert_int_equal(state_put_pod(state, pod_dup(&pod), NULL), STATE_ADDED);
    }
    return state;
}

static const char *const in_ab[] = {"a", "b"};
static const char *const in_empty[] = {""};
static const char *const in_c[] = {"c"};

static struct selector random_selector(struct rng *rng, struct requirement requirements[2])
{
    struct selector selector = {.v = requirements, .n = rng_below(rng, 3)};
    for (size_t i = 0; i < selector.n; i++) {
        struct requirement *r = &requirements[i];
        r->key = RNG_PICK(rng, keys);
        r->op = rng_chance(rng, 60) ? SELECTOR_IN : (enum selector_operator)rng_below(rng, 5);
        size_t pick = rng_below(rng, 3);
        r->values = pick == 0 ? in_ab : pick == 1 ? in_empty : in_c;
        r->n_values = pick == 0 ? 2 : 1;
    }
    selector.unreadable = rng_chance(rng, 3);
    return selector;
}

static bool matches(const struct selector *selector, const struct labels *labels)
{
    bool all = !selector->unreadable;
    for (size_t i = 0; i < selector->n; i++) {
        all = all && requirement_matches(&selector->v[i], labels);
    }
    return all;
}

// The peer table of networkpolicy-v1.md 1.1 and 2.9, read off.
static bool peer_selects(const struct state *state, const struct policy *policy, const struct peer *peer,
                         const struct pod *pod)
{
    const struct ns_object *ns = state_namespace(state, pod->meta.ns);
    bool in_namespace = !peer->has_ns_selector
                            ? strcmp(policy->meta.ns, pod->meta.ns) == 0
                            : matches(&peer->ns_selector, ns ? &ns->meta.labels : &(struct labels){0}) &&
                                  (ns || peer->ns_selector.n == 0);
    return pod_is_live(pod) && (peer->has_pod_selector || peer->has_ns_selector) && in_namespace &&
           (!peer->has_pod_selector || matches(&peer->pod_selector, &pod->meta.labels));
}

struct random_peers {
    struct requirement requirements[4][4];
    struct peer v[4];
    size_t n;
};

static void make_peers(struct rng *rng, struct random_peers *peers)
{
    memset(peers, 0, sizeof(*peers));
    peers->n = 1 + rng_below(rng, 4);
    for (size_t i = 0; i < peers->n; i++) {
        peers->v[i].has_pod_selector = rng_chance(rng, 80);
        peers->v[i].has_ns_selector = rng_chance(rng, 60);
        peers->v[i].pod_selector = random_selector(rng, &peers->requirements[i][0]);
        peers->v[i].ns_selector = random_selector(rng, &peers->requirements[i][2]);
    }
}

static void check_union(struct rng *rng, struct state *state, struct index *index)
{
    struct random_peers peers;
    make_peers(rng, &peers);
    struct policy policy = {.meta = meta(RNG_PICK(rng, namespaces), "p", NULL, 0)};
    struct arena arena = {0};
    struct select_peer selected[4];
    size_t n = 0;
    for (size_t i = 0; i < peers.n; i++) {
        bool any;
        assert_int_equal(select_peer_from(&policy, &peers.v[i], &arena, &any, &selected[n], NULL), 0);
        n += any;
    }
    struct index_ids ids = {0};
    assert_int_equal(select_pods(index, selected, n, &ids, NULL), 0);
    size_t at = 0;
    size_t n_pods;
    const struct pod *const *pods = state_pods(state, &n_pods);
    for (size_t i = 0; i < n_pods; i++) {
        bool want = false;
        for (size_t j = 0; j < peers.n; j++) {
            want = want || peer_selects(state, &policy, &peers.v[j], pods[i]);
        }
        bool got = at < ids.n && index_pod(index, ids.v[at]) == pods[i];
        at += got;
        assert_int_equal(got, want);
    }
    assert_int_equal(at, ids.n);
    vec_free(&ids);
    arena_free(&arena);
}

static void unions_select_what_their_peers_do(void **unused)
{
    (void)unused;
    struct rng rng = {.state = rng_seed("unions_select_what_their_peers_do")};
    size_t rounds = rng_iterations(20);
    for (size_t i = 0; i < rounds; i++) {
        CLEANUP(state_free) struct state *state = random_state(&rng);
        CLEANUP(index_free) struct index *index = NULL;
        assert_int_equal(index_new(state, &index, NULL), 0);
        for (int j = 0; j < 100; j++) {
            check_union(&rng, state, index);
        }
    }
}

static struct state *small_state(void)
{
    struct state *state = NULL;
    assert_int_equal(state_new(&state, NULL), 0);
    static const struct address addresses[] = {
        {.family = FAMILY_V4, .bytes = {10, 0, 0, 2}},
        {.family = FAMILY_V4},  // unspecified
        {.family = FAMILY_V6, .bytes = {0xfd}},
        {.family = FAMILY_V4, .bytes = {10, 0, 0, 1}},
    };
    static const struct named_port ports[] = {{"http", PROTOCOL_TCP, 8080},
                                              {"dns", PROTOCOL_UDP, 53},
                                              {"http", PROTOCOL_TCP, 80},
                                              {"http", PROTOCOL_TCP, 80}};
    struct pod pod = {.meta = meta("x", "a", NULL, 0),
                      .node = "n1",
                      .phase = POD_RUNNING,
                      .addresses = addresses,
                      .n_addresses = ARRAY_SIZE(addresses),
                      .ports = ports,
                      .n_ports = ARRAY_SIZE(ports)};
    assert_int_equal(state_put_pod(state, pod_dup(&pod), NULL), STATE_ADDED);
    pod.meta.name = "b";
    pod.meta.terminating = true;  // claims the same addresses and owns none
    assert_int_equal(state_put_pod(state, pod_dup(&pod), NULL), STATE_ADDED);
    return state;
}

static void only_owners_have_addresses_and_ports(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = small_state();
    CLEANUP(index_free) struct index *index = NULL;
    assert_int_equal(index_new(state, &index, NULL), 0);
    assert_int_equal(index_count(index), 2);
    assert_true(index_owns(index, 0, 0));
    assert_false(index_owns(index, 0, 1));
    assert_true(index_owns(index, 0, 2));
    assert_false(index_owns(index, 1, 0));
    assert_false(index_owns(index, 0, 40));
    const struct index_address *addresses;
    size_t n;
    assert_int_equal(index_addresses(index, FAMILY_V4, &addresses, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_int_equal(addresses[0].address.bytes[3], 1);
    assert_int_equal(addresses[1].address.bytes[3], 2);
    const struct index_ports *ports;
    assert_int_equal(index_named_ports(index, FAMILY_V4, PROTOCOL_TCP, "http", &ports, NULL), 0);
    assert_int_equal(ports->n, 4);
    assert_int_equal(ports->v[0].number, 80);
    assert_int_equal(ports->v[1].number, 8080);
    assert_int_equal(ports->v[3].at, 1);
    assert_int_equal(index_named_ports(index, FAMILY_V6, PROTOCOL_UDP, "dns", &ports, NULL), 0);
    assert_int_equal(ports->n, 1);
    assert_int_equal(index_named_ports(index, FAMILY_V4, PROTOCOL_TCP, "dns", &ports, NULL), 0);
    assert_int_equal(ports->n, 0);
}

static void subjects_select_by_what_is_known(void **unused)
{
    (void)unused;
    struct label label = {"app", "a"};
    struct pod pod = {.meta = meta("x", "a", &label, 1)};
    struct requirement requirements[] = {{.key = "app", .op = SELECTOR_IN, .values = in_ab, .n_values = 2},
                                         {.key = "app", .op = SELECTOR_UNKNOWN}};
    struct selector subject = {.v = requirements, .n = 2, .unreadable = true};
    assert_true(select_subject_matches(&subject, &pod));
    requirements[0].op = SELECTOR_NOT_IN;
    assert_false(select_subject_matches(&subject, &pod));
}

static void texts_tell_peers_apart(void **unused)
{
    (void)unused;
    struct arena arena = {0};
    struct policy x = {.meta = meta("x", "p", NULL, 0)};
    struct policy y = {.meta = meta("y", "p", NULL, 0)};
    struct peer own = {.has_pod_selector = true};
    struct peer all = {.has_ns_selector = true};
    struct peer all_pods = {.has_ns_selector = true, .has_pod_selector = true};
    struct select_peer a;
    struct select_peer b;
    bool any;
    assert_int_equal(select_peer_from(&x, &own, &arena, &any, &a, NULL), 0);
    assert_int_equal(select_peer_from(&y, &own, &arena, &any, &b, NULL), 0);
    assert_int_not_equal(select_peer_compare(&a, &b), 0);
    assert_int_equal(select_peer_from(&x, &all, &arena, &any, &a, NULL), 0);
    assert_int_not_equal(select_peer_compare(&a, &b), 0);
    // Every pod of every namespace, said in two ways and in two policies, is one peer.
    assert_int_equal(select_peer_from(&y, &all_pods, &arena, &any, &b, NULL), 0);
    assert_int_equal(select_peer_compare(&a, &b), 0);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unions_select_what_their_peers_do),
        cmocka_unit_test(only_owners_have_addresses_and_ports),
        cmocka_unit_test(subjects_select_by_what_is_known),
        cmocka_unit_test(texts_tell_peers_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
