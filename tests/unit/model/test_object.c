// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "model/object.h"
#include "support/random_state.h"

static void test_protocols(void **unused)
{
    (void)unused;
    uint8_t protocol = 0;
    assert_true(protocol_parse("TCP", &protocol));
    assert_int_equal(protocol, 6);
    assert_true(protocol_parse("UDP", &protocol));
    assert_int_equal(protocol, 17);
    assert_true(protocol_parse("SCTP", &protocol));
    assert_int_equal(protocol, 132);
    static const char *const refused[] = {"tcp", "Tcp", "ICMP", "", "TCP ", "6"};
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        assert_false(protocol_parse(refused[i], &protocol));
    }
    assert_int_equal(protocol, 132);
    assert_string_equal(protocol_name(1), "ICMP");
    assert_string_equal(protocol_name(58), "ICMPv6");
    assert_null(protocol_name(47));
}

static void test_names(void **unused)
{
    (void)unused;
    assert_string_equal(object_kind_name(OBJECT_POD), "Pod");
    assert_string_equal(object_kind_name(OBJECT_NAMESPACE), "Namespace");
    assert_string_equal(object_kind_name(OBJECT_POLICY), "NetworkPolicy");
    assert_string_equal(object_kind_name(OBJECT_NODE), "Node");
    assert_string_equal(direction_name(DIRECTION_INGRESS), "ingress");
    assert_string_equal(direction_name(DIRECTION_EGRESS), "egress");
}

// networkpolicy-v1.md 2.3, 2.4, 2.7: shared by evaluator and compiler.
static void test_liveness_table(void **unused)
{
    (void)unused;
    static const struct {
        enum pod_phase phase;
        bool host_network;
        bool no_status;
        bool terminating;
        bool want;
    } rows[] = {
        {POD_PENDING, false, false, false, true}, {POD_RUNNING, false, false, false, true},
        {POD_UNKNOWN, false, false, false, true}, {POD_SUCCEEDED, false, false, false, false},
        {POD_FAILED, false, false, false, false}, {POD_RUNNING, false, false, true, true},
        {POD_PENDING, false, false, true, true},  {POD_SUCCEEDED, false, false, true, false},
        {POD_RUNNING, true, false, false, false}, {POD_PENDING, true, false, false, false},
        {POD_RUNNING, false, true, false, true},  {POD_PENDING, false, true, false, true},
        {POD_RUNNING, true, true, false, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct pod pod = {
            .meta.terminating = rows[i].terminating,
            .phase = rows[i].phase,
            .host_network = rows[i].host_network,
            .no_status = rows[i].no_status,
        };
        if (pod_is_live(&pod) != rows[i].want) {
            fail_msg("row %zu", i);
        }
    }
}

static void test_named_ports(void **unused)
{
    (void)unused;
    static const struct named_port ports[] = {
        {"http", PROTOCOL_TCP, 80},      {"dns", PROTOCOL_UDP, 53},    {"metrics", PROTOCOL_TCP, 9090},
        {"metrics", PROTOCOL_TCP, 9091}, {"metrics", PROTOCOL_UDP, 1},
    };
    const struct pod pod = {.ports = ports, .n_ports = ARRAY_SIZE(ports)};
    uint16_t numbers[2] = {0};
    assert_int_equal(pod_named_ports(&pod, "http", PROTOCOL_TCP, numbers, 2), 1);
    assert_int_equal(numbers[0], 80);
    assert_int_equal(pod_named_ports(&pod, "dns", PROTOCOL_TCP, numbers, 2), 0);
    assert_int_equal(pod_named_ports(&pod, "nope", PROTOCOL_TCP, numbers, 2), 0);
    assert_int_equal(pod_named_ports(&pod, "metrics", PROTOCOL_TCP, numbers, 2), 2);
    assert_int_equal(numbers[0], 9090);
    assert_int_equal(numbers[1], 9091);
    numbers[0] = numbers[1] = 0;
    assert_int_equal(pod_named_ports(&pod, "metrics", PROTOCOL_TCP, numbers, 1), 2);
    assert_int_equal(numbers[0], 9090);
    assert_int_equal(numbers[1], 0);
    assert_int_equal(pod_named_ports(&pod, "metrics", PROTOCOL_TCP, NULL, 0), 2);
}

static void *dup_of(const struct random_object *object)
{
    switch (object->kind) {
    case OBJECT_POD:
        return pod_dup(object->object);
    case OBJECT_NAMESPACE:
        return ns_object_dup(object->object);
    case OBJECT_POLICY:
        return policy_dup(object->object);
    case OBJECT_NODE:
        return node_dup(object->object);
    }
    return NULL;
}

static bool equal(enum object_kind kind, const void *a, const void *b)
{
    switch (kind) {
    case OBJECT_POD:
        return pod_equal(a, b);
    case OBJECT_NAMESPACE:
        return ns_object_equal(a, b);
    case OBJECT_POLICY:
        return policy_equal(a, b);
    case OBJECT_NODE:
        return node_equal(a, b);
    }
    return false;
}

// A copy stands alone: it equals the original after the original's memory is gone (ASan sees what still points there).
static void test_dup_is_deep(void **unused)
{
    (void)unused;
    uint64_t seed = rng_seed(__func__);
    for (size_t i = 0; i < rng_iterations(200); i++) {
        struct random_cluster first;
        RANDOM_CLUSTER_CLEANUP struct random_cluster again = {0};
        random_cluster_make(&first, seed + i);
        random_cluster_make(&again, seed + i);
        size_t n = first.objects.n;
        CLEANUP(free) void **copies = calloc(n, sizeof(*copies));
        assert_non_null(copies);
        for (size_t j = 0; j < n; j++) {
            copies[j] = dup_of(&first.objects.v[j]);
            assert_non_null(copies[j]);
        }
        random_cluster_free(&first);
        for (size_t j = 0; j < n; j++) {
            assert_true(equal(again.objects.v[j].kind, copies[j], again.objects.v[j].object));
            free(copies[j]);
        }
    }
}

#define DIFFERS(equal_fn, object, change)                                                                              \
    do {                                                                                                               \
        __typeof__(object) changed_ = (object);                                                                        \
        __typeof__(object) *o = &changed_;                                                                             \
        change;                                                                                                        \
        assert_true(equal_fn(&(object), &(object)));                                                                   \
        assert_false(equal_fn(&(object), o));                                                                          \
        assert_false(equal_fn(o, &(object)));                                                                          \
    } while (0)

static const struct object_meta meta = {
    .ns = "x", .name = "a", .uid = "u", .resource_version = "1", .created = "2024", .origin = {"f.yaml", 1}};

static void test_pod_differences(void **unused)
{
    (void)unused;
    const struct label label = {"app", "web"};
    const struct address address = {.family = FAMILY_V4, .bytes = {10, 0, 0, 1}};
    const struct address other = {.family = FAMILY_V4, .bytes = {10, 0, 0, 2}};
    const struct named_port port = {"http", PROTOCOL_TCP, 80};
    const struct named_port moved = {"http", PROTOCOL_TCP, 81};
    struct pod pod = {.meta = meta,
                      .node = "n",
                      .phase = POD_RUNNING,
                      .addresses = &address,
                      .n_addresses = 1,
                      .ports = &port,
                      .n_ports = 1};
    DIFFERS(pod_equal, pod, o->meta.ns = "y");
    DIFFERS(pod_equal, pod, o->meta.name = "b");
    DIFFERS(pod_equal, pod, o->meta.uid = "v");
    DIFFERS(pod_equal, pod, o->meta.created = "2025");
    DIFFERS(pod_equal, pod, o->meta.terminating = true);
    DIFFERS(pod_equal, pod, o->meta.labels = ((struct labels){&label, 1}));
    DIFFERS(pod_equal, pod, o->meta.origin.file = "g.yaml");
    DIFFERS(pod_equal, pod, o->node = "");
    DIFFERS(pod_equal, pod, o->host_network = true);
    DIFFERS(pod_equal, pod, o->no_status = true);
    DIFFERS(pod_equal, pod, o->phase = POD_FAILED);
    DIFFERS(pod_equal, pod, o->n_addresses = 0);
    DIFFERS(pod_equal, pod, o->addresses = &other);
    DIFFERS(pod_equal, pod, o->n_ports = 0);
    DIFFERS(pod_equal, pod, o->ports = &moved);
    struct pod same = pod;
    same.meta.resource_version = "2";
    same.meta.origin.line = 7;
    assert_true(pod_equal(&pod, &same));
}

static void test_policy_differences(void **unused)
{
    (void)unused;
    const struct requirement exists = {.key = "app", .op = SELECTOR_EXISTS};
    struct peer peer = {.kind = PEER_PODS, .has_pod_selector = true};
    struct policy_port port = {.kind = PORT_RANGE, .protocol = PROTOCOL_TCP, .first = 80, .last = 80};
    struct policy_rule rule = {.peers = &peer, .n_peers = 1, .ports = &port, .n_ports = 1, .line = 3};
    struct policy policy = {.meta = meta, .isolates = {true, true}, .rules = {&rule, &rule}, .n_rules = {1, 1}};
    DIFFERS(policy_equal, policy, o->meta.name = "b");
    DIFFERS(policy_equal, policy, (o->subject.v = &exists, o->subject.n = 1));
    DIFFERS(policy_equal, policy, o->subject.unreadable = true);
    DIFFERS(policy_equal, policy, o->isolates[DIRECTION_EGRESS] = false);
    DIFFERS(policy_equal, policy, o->n_rules[DIRECTION_EGRESS] = 0);
    DIFFERS(policy_equal, policy, o->grants_nothing = true);
    DIFFERS(policy_equal, policy, o->unenforceable = true);

    struct peer peer2 = peer;
    struct policy_port port2 = port;
    struct policy_rule rule2 = {.peers = &peer2, .n_peers = 1, .ports = &port2, .n_ports = 1, .line = 9};
    struct policy policy2 = policy;
    policy2.rules[DIRECTION_EGRESS] = &rule2;
    assert_true(policy_equal(&policy, &policy2));
#define RULE_DIFFERS(place, value)                                                                                     \
    do {                                                                                                               \
        __auto_type before_ = (place);                                                                                 \
        (place) = (value);                                                                                             \
        assert_false(policy_equal(&policy, &policy2));                                                                 \
        (place) = before_;                                                                                             \
        assert_true(policy_equal(&policy, &policy2));                                                                  \
    } while (0)
    const struct prefix block = {.length = 8};
    RULE_DIFFERS(rule2.unreadable, true);
    RULE_DIFFERS(rule2.any_peer, true);
    RULE_DIFFERS(rule2.any_port, true);
    RULE_DIFFERS(rule2.n_peers, 0);
    RULE_DIFFERS(rule2.n_ports, 0);
    RULE_DIFFERS(peer2.kind, PEER_UNREADABLE);
    RULE_DIFFERS(peer2.has_pod_selector, false);
    RULE_DIFFERS(peer2.has_ns_selector, true);
    RULE_DIFFERS(peer2.pod_selector.unreadable, true);
    RULE_DIFFERS(port2.kind, PORT_ALL);
    RULE_DIFFERS(port2.protocol, PROTOCOL_UDP);
    RULE_DIFFERS(port2.first, 79);
    RULE_DIFFERS(port2.last, 81);
    peer.kind = peer2.kind = PEER_BLOCK;
    RULE_DIFFERS(peer2.cidr, block);
    port.kind = port2.kind = PORT_NAME;
    port.name = port2.name = "http";
    RULE_DIFFERS(port2.name, "dns");
}

static void test_node_differences(void **unused)
{
    (void)unused;
    const struct address address = {.family = FAMILY_V4, .bytes = {10, 0, 0, 1}};
    const struct prefix cidr = {.length = 8};
    struct node node = {.meta = meta};
    struct ns_object ns = {.meta = meta};
    DIFFERS(node_equal, node, (o->addresses = &address, o->n_addresses = 1));
    DIFFERS(node_equal, node, (o->pod_cidrs = &cidr, o->n_pod_cidrs = 1));
    DIFFERS(node_equal, node, o->meta.name = "m");
    DIFFERS(ns_object_equal, ns, o->meta.name = "m");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_protocols),          cmocka_unit_test(test_names),
        cmocka_unit_test(test_liveness_table),     cmocka_unit_test(test_named_ports),
        cmocka_unit_test(test_dup_is_deep),        cmocka_unit_test(test_pod_differences),
        cmocka_unit_test(test_policy_differences), cmocka_unit_test(test_node_differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
