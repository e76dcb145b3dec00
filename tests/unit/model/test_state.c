// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>

#include "base/num.h"
#include "model/state.h"
#include "support/random_state.h"

static struct address address(const char *text)
{
    struct address ret;
    assert_true(address_parse(text, &ret));
    return ret;
}

struct pod_spec {
    const char *ns;
    const char *name;
    const char *uid;
    const char *address;
    const char *created;
    bool terminating;
    bool host_network;
    enum pod_phase phase;  // 0: Running
};

static int put(struct state *state, const struct pod_spec *spec)
{
    struct address a = {0};
    struct pod pod = {
        .meta = {.ns = spec->ns,
                 .name = spec->name,
                 .uid = spec->uid ? spec->uid : "",
                 .resource_version = "",
                 .created = spec->created ? spec->created : "",
                 .terminating = spec->terminating,
                 .origin.file = ""},
        .node = "n1",
        .phase = spec->phase ? spec->phase : POD_RUNNING,
        .host_network = spec->host_network,
        .addresses = &a,
    };
    if (spec->address) {
        a = address(spec->address);
        pod.n_addresses = 1;
    }
    struct err err = {0};
    return state_put_pod(state, pod_dup(&pod), &err);
}
#define POD(NS, NAME, UID, ADDRESS, ...)                                                                               \
    {                                                                                                                  \
        .ns = (NS), .name = (NAME), .uid = (UID), .address = (ADDRESS), __VA_ARGS__                                    \
    }
#define PUT(state, ...) put((state), &(struct pod_spec)POD(__VA_ARGS__))

static void expect_owner(struct state *state, const char *text, const char *name)
{
    struct address a = address(text);
    const struct pod *owner = state_owner(state, &a);
    if (!name) {
        assert_null(owner);
    } else {
        assert_non_null(owner);
        assert_string_equal(owner->meta.name, name);
    }
}

static struct state *fresh(void)
{
    struct state *state;
    struct err err = {0};
    assert_int_equal(state_new(&state, &err), 0);
    return state;
}

static void test_changes(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = fresh();
    assert_int_equal(PUT(state, "x", "a", "1", "10.0.0.1"), STATE_ADDED);
    assert_int_equal(PUT(state, "x", "a", "1", "10.0.0.1"), STATE_UNCHANGED);
    assert_int_equal(PUT(state, "x", "a", "1", "10.0.0.2"), STATE_UPDATED);
    expect_owner(state, "10.0.0.1", NULL);
    expect_owner(state, "10.0.0.2", "a");
    assert_int_equal(PUT(state, "x", "a", "2", "10.0.0.3"), STATE_UPDATED);
    expect_owner(state, "10.0.0.2", NULL);
    assert_int_equal(state_count(state, OBJECT_POD), 1);
    assert_non_null(state_pod(state, "x", "a"));
    assert_null(state_pod(state, "y", "a"));
    assert_int_equal(state_remove(state, OBJECT_POD, "x", "a", "1"), STATE_UNCHANGED);
    assert_int_equal(state_remove(state, OBJECT_POD, "x", "b", ""), STATE_UNCHANGED);
    assert_int_equal(state_remove(state, OBJECT_POD, "x", "a", "2"), STATE_REMOVED);
    assert_int_equal(state_remove(state, OBJECT_POD, "x", "a", ""), STATE_UNCHANGED);
    expect_owner(state, "10.0.0.3", NULL);
    assert_int_equal(PUT(state, "x", "a", "3", NULL), STATE_ADDED);
    assert_int_equal(state_remove(state, OBJECT_POD, "x", "a", ""), STATE_REMOVED);
    assert_int_equal(state_count(state, OBJECT_POD), 0);
}

// networkpolicy-v1.md 7 cases 55, 56 and 2.5: the new owner of an address, whatever the order of events.
static void test_ownership(void **unused)
{
    (void)unused;
    static const struct {
        struct pod_spec winner;
        struct pod_spec loser;
    } rows[] = {
        {POD("x", "w", "1", "10.0.0.9"), POD("x", "l", "9", "10.0.0.9", .created = "2030", .terminating = true)},
        {POD("x", "w", "1", "10.0.0.9", .created = "2025-01-01T00:00:00Z"),
         POD("x", "l", "9", "10.0.0.9", .created = "2024-01-01T00:00:00Z")},
        {POD("x", "w", "1", "10.0.0.9", .created = "2025-01-01T00:00:00Z"), POD("x", "l", "9", "10.0.0.9")},
        {POD("a", "w", "2", "10.0.0.9"), POD("x", "l", "1", "10.0.0.9")},
        {POD("y", "w", "1", "10.0.0.9"), POD("x", "l", "1", "10.0.0.9")},
        {POD("x", "w", "1", "10.0.0.9"), POD("x", "l", "1", "10.0.0.9")},
        {POD("x", "w", "1", "10.0.0.9"), POD("x", "l", "9", "10.0.0.9", .created = "2030", .phase = POD_SUCCEEDED)},
        {POD("x", "w", "1", "10.0.0.9"), POD("x", "l", "9", "10.0.0.9", .created = "2030", .phase = POD_FAILED)},
        {POD("x", "w", "1", "10.0.0.9"), POD("x", "l", "9", "10.0.0.9", .created = "2030", .host_network = true)},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (size_t order = 0; order < 2; order++) {
            CLEANUP(state_free) struct state *state = fresh();
            struct pod_spec pods[2] = {rows[i].winner, rows[i].loser};
            assert_true(put(state, &pods[order]) == STATE_ADDED);
            assert_true(put(state, &pods[1 - order]) == STATE_ADDED);
            expect_owner(state, "10.0.0.9", "w");
            assert_int_equal(state_remove(state, OBJECT_POD, pods[1].ns, "l", pods[1].uid), STATE_REMOVED);
            expect_owner(state, "10.0.0.9", "w");
            assert_true(put(state, &pods[1]) == STATE_ADDED);
            assert_int_equal(state_remove(state, OBJECT_POD, pods[0].ns, "w", pods[0].uid), STATE_REMOVED);
            bool lives = !pods[1].phase && !pods[1].host_network;
            expect_owner(state, "10.0.0.9", lives ? "l" : NULL);
        }
    }
}

static void test_finishing_gives_the_address_up(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = fresh();
    assert_int_equal(PUT(state, "x", "a", "1", "10.0.0.1"), STATE_ADDED);
    assert_int_equal(PUT(state, "x", "a", "1", "10.0.0.1", .phase = POD_SUCCEEDED), STATE_UPDATED);
    expect_owner(state, "10.0.0.1", NULL);
    assert_int_equal(PUT(state, "x", "b", "2", "10.0.0.1"), STATE_ADDED);
    assert_int_equal(state_remove(state, OBJECT_POD, "x", "a", "1"), STATE_REMOVED);
    expect_owner(state, "10.0.0.1", "b");
}

static void test_the_unspecified_address_is_nobodys(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = fresh();
    assert_int_equal(PUT(state, "x", "a", "1", "0.0.0.0"), STATE_ADDED);
    assert_int_equal(PUT(state, "x", "b", "2", "::"), STATE_ADDED);
    expect_owner(state, "0.0.0.0", NULL);
    expect_owner(state, "::", NULL);
    assert_int_equal(PUT(state, "x", "a", "1", "10.0.0.1"), STATE_UPDATED);
    expect_owner(state, "10.0.0.1", "a");
}

static void test_names_do_not_collide(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = fresh();
    assert_int_equal(PUT(state, "x", "yz", "1", "10.0.0.1"), STATE_ADDED);
    assert_int_equal(PUT(state, "xy", "z", "2", "10.0.0.2"), STATE_ADDED);
    assert_int_equal(PUT(state, "", "xyz", "3", "10.0.0.3"), STATE_ADDED);
    assert_int_equal(state_count(state, OBJECT_POD), 3);
    char name[512];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(PUT(state, "x", name, "4", "10.0.0.4"), -1);
    assert_null(state_pod(state, "x", name));
    expect_owner(state, "10.0.0.4", NULL);
    name[253] = '\0';
    assert_int_equal(PUT(state, name, name, "4", "10.0.0.4"), STATE_ADDED);
    expect_owner(state, "10.0.0.4", name);
}

static int put_policy(struct state *state, const char *ns, const char *name)
{
    const struct policy policy = {
        .meta = {.ns = ns, .name = name, .uid = "", .resource_version = "", .created = "", .origin.file = ""}};
    struct err err = {0};
    return state_put_policy(state, policy_dup(&policy), &err);
}

static void test_policies_of(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = fresh();
    size_t n = 99;
    assert_null(state_policies_of(state, "x", &n));
    assert_int_equal(n, 0);
    static const char *const rows[][2] = {{"y", "b"}, {"x", "p"}, {"xx", "a"}, {"x", "o"}, {"w", "z"}, {"x", "p.q"}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(put_policy(state, rows[i][0], rows[i][1]), STATE_ADDED);
    }
    const struct policy *const *v = state_policies_of(state, "x", &n);
    assert_int_equal(n, 3);
    assert_string_equal(v[0]->meta.name, "o");
    assert_string_equal(v[1]->meta.name, "p");
    assert_string_equal(v[2]->meta.name, "p.q");
    v = state_policies_of(state, "xx", &n);
    assert_int_equal(n, 1);
    assert_string_equal(v[0]->meta.name, "a");
    assert_null(state_policies_of(state, "a", &n));
    assert_int_equal(n, 0);
    assert_null(state_policies_of(state, "z", &n));
    assert_int_equal(n, 0);
    (void)state_policies(state, &n);
    assert_int_equal(n, 6);
}

static void check_sorted(struct state *state)
{
    size_t n;
    const struct pod *const *pods = state_pods(state, &n);
    assert_int_equal(n, state_count(state, OBJECT_POD));
    assert_int_equal(pods != NULL, n > 0);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(state_pod(state, pods[i]->meta.ns, pods[i]->meta.name), pods[i]);
        if (i > 0) {
            int order = strcmp(pods[i - 1]->meta.ns, pods[i]->meta.ns);
            assert_true(order < 0 || (order == 0 && strcmp(pods[i - 1]->meta.name, pods[i]->meta.name) < 0));
        }
    }
}

// Of an address that several pods have, the greatest uid owns it, then the greatest namespace and name.
static void check_owners(struct state *state, unsigned addresses)
{
    size_t n;
    const struct pod *const *pods = state_pods(state, &n);
    for (unsigned i = 0; i < addresses; i++) {
        char ip[ADDRESS_TEXT];
        (void)snprintf(ip, sizeof(ip), "10.0.0.%u", i);
        struct address a = address(ip);
        const struct pod *want = NULL;
        for (size_t j = 0; j < n; j++) {
            if (address_equal(&pods[j]->addresses[0], &a) &&
                (!want || strcmp(pods[j]->meta.uid, want->meta.uid) >= 0)) {
                want = pods[j];
            }
        }
        assert_ptr_equal(state_owner(state, &a), want);
    }
}

// Puts, replaces and removes in any mixture, read back at any moment.
static void test_sorted_arrays_keep_up(void **unused)
{
    (void)unused;
    struct rng rng = {rng_seed(__func__)};
    CLEANUP(state_free) struct state *state = fresh();
    for (size_t i = 0; i < rng_iterations(20000); i++) {
        char name[16];
        char ip[ADDRESS_TEXT];
        (void)snprintf(name, sizeof(name), "p%zu", rng_below(&rng, 100));
        (void)snprintf(ip, sizeof(ip), "10.0.0.%zu", rng_below(&rng, 50));
        const char *ns = rng_chance(&rng, 50) ? "x" : "y";
        if (rng_chance(&rng, 60)) {
            assert_true(PUT(state, ns, name, rng_chance(&rng, 50) ? "1" : "2", ip) >= 0);
        } else {
            (void)state_remove(state, OBJECT_POD, ns, name, rng_chance(&rng, 30) ? "1" : "");
        }
        if (rng_chance(&rng, 20)) {
            check_sorted(state);
            check_owners(state, 50);
        }
    }
}

// Claims after any history are those of a state that holds the same pods from scratch.
static void test_owners_do_not_depend_on_history(void **unused)
{
    (void)unused;
    uint64_t seed = rng_seed(__func__);
    for (size_t i = 0; i < rng_iterations(200); i++) {
        RANDOM_CLUSTER_CLEANUP struct random_cluster cluster = {0};
        random_cluster_make(&cluster, seed + i);
        CLEANUP(state_free) struct state *scratch = random_cluster_state(&cluster);
        CLEANUP(state_free) struct state *state = fresh();
        for (size_t j = 0; j < 3 * cluster.objects.n; j++) {
            const struct random_object *object = &cluster.objects.v[rng_below(&cluster.rng, cluster.objects.n)];
            const struct object_meta *meta = random_object_meta(object);
            if (rng_chance(&cluster.rng, 30)) {
                (void)state_remove(state, object->kind, meta->ns, meta->name, "");
                continue;
            }
            struct random_object other = random_cluster_variant(&cluster, object->kind, meta->ns, meta->name);
            (void)random_object_put(state, &other);
        }
        for (size_t j = cluster.objects.n; j-- > 0;) {
            (void)random_object_put(state, &cluster.objects.v[j]);
        }
        for (size_t j = 0; j < 300; j++) {
            struct address a = random_address(&cluster.rng, j % 2 ? FAMILY_V4 : FAMILY_V6);
            const struct pod *one = state_owner(scratch, &a);
            const struct pod *two = state_owner(state, &a);
            assert_int_equal(one != NULL, two != NULL);
            assert_true(!one || pod_equal(one, two));
        }
    }
}

// 150,000 pods in, each replaced, sorted and out: linear work.
static void test_scale(void **unused)
{
    (void)unused;
    enum { PODS = 150000 };
    CLEANUP(state_free) struct state *state = fresh();
    uint64_t start = num_now_ms();
    for (size_t round = 0; round < 2; round++) {
        for (unsigned i = 0; i < PODS; i++) {
            char name[16];
            char ip[ADDRESS_TEXT];
            (void)snprintf(name, sizeof(name), "p%u", i);
            (void)snprintf(ip, sizeof(ip), "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
            assert_int_equal(PUT(state, "x", name, round ? "2" : "1", ip), round ? STATE_UPDATED : STATE_ADDED);
        }
        check_sorted(state);
    }
    for (unsigned i = 0; i < PODS; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "p%u", i);
        assert_int_equal(state_remove(state, OBJECT_POD, "x", name, "2"), STATE_REMOVED);
    }
    check_sorted(state);
    // Far above what is needed, far below what quadratic work takes.
    assert_true(num_now_ms() - start < 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_ownership),
        cmocka_unit_test(test_finishing_gives_the_address_up),
        cmocka_unit_test(test_the_unspecified_address_is_nobodys),
        cmocka_unit_test(test_names_do_not_collide),
        cmocka_unit_test(test_policies_of),
        cmocka_unit_test(test_sorted_arrays_keep_up),
        cmocka_unit_test(test_owners_do_not_depend_on_history),
        cmocka_unit_test(test_scale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
