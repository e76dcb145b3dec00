// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/facts.h"

#include <stdio.h>

#include "base/num.h"
#include "host/facts_build.h"
#include "support/random_state.h"
#include "support/rng.h"

static struct facts *facts_of(const char *json)
{
    struct facts *facts = NULL;
    struct err err = {0};
    if (facts_parse_json(json, strlen(json), "f.json", &facts, &err) < 0) {
        char text[1024];
        fail_msg("%s", err_text(&err, text, sizeof(text)));
    }
    return facts;
}

static void expect_error(const char *json, const char *want)
{
    struct facts *facts = NULL;
    struct err err = {0};
    char text[1024];
    assert_int_equal(facts_parse_json(json, strlen(json), "f.json", &facts, &err), -1);
    assert_null(facts);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_string_equal(err_text(&err, text, sizeof(text)), want);
}

static struct address address_of(const char *text)
{
    struct address address;
    assert_true(address_parse(text, &address));
    return address;
}

static const char NODE[] =
    "{\n"
    "  \"interfaces\": [\n"
    "    {\"name\": \"cni0\", \"kind\": \"bridge\", \"addresses\": [\"10.0.1.254\", \"fe80::1\"]},\n"
    "    {\"name\": \"eth0\", \"addresses\": [\"192.168.0.1\", \"fd00::1\"]},\n"
    "    {\"name\": \"kube-ipvs0\", \"kind\": \"dummy\", \"addresses\": [\"10.96.0.1\"]},\n"
    "    {\"name\": \"veth1\", \"kind\": \"veth\", \"master\": \"cni0\", \"addresses\": []},\n"
    "    {\"name\": \"veth2\", \"kind\": \"veth\", \"addresses\": []}\n"
    "  ],\n"
    "  \"routes\": [\n"
    "    {\"prefix\": \"0.0.0.0/0\", \"device\": \"eth0\"},\n"
    "    {\"prefix\": \"10.0.0.0/16\", \"device\": \"eth0\"},\n"
    "    {\"prefix\": \"10.0.1.0/24\", \"device\": \"cni0\"},\n"
    "    {\"prefix\": \"10.0.1.77/32\", \"device\": \"veth2\"},\n"
    "    {\"prefix\": \"fd00:1::/64\", \"device\": \"cni0\"}\n"
    "  ],\n"
    "  \"localRoutes\": [\n"
    "    {\"prefix\": \"10.9.0.0/24\", \"device\": \"lo\"},\n"
    "    {\"prefix\": \"203.0.113.7/32\", \"device\": \"eth0\"}\n"
    "  ],\n"
    "  \"broadcastRoutes\": [\n"
    "    {\"prefix\": \"10.0.1.99/32\", \"device\": \"cni0\"}\n"
    "  ],\n"
    "  \"bridgeNf\": {\"ipv4\": \"on\", \"ipv6\": \"off\", \"vlan\": \"on\"},\n"
    "  \"ports\": [\n"
    "    {\"address\": \"10.0.1.5\", \"port\": \"veth1\"},\n"
    "    {\"address\": \"fd00:1::5\", \"port\": \"veth1\"}\n"
    "  ],\n"
    "  \"tunnelPorts\": [4789, 8472],\n"
    "  \"revoked\": {\"ipv4\": false, \"ipv6\": true},\n"
    "  \"ipvs\": true\n"
    "}\n";

static void test_render_is_canonical(void **state)
{
    (void)state;
    // The same facts in another order, with doubles, host bits and other spellings of the same addresses.
    static const char messy[] =
        "{\"ipvs\":true,\"revoked\":{\"ipv6\":true},\"tunnelPorts\":[8472,4789,8472],\"ports\":["
        "{\"port\":\"veth1\",\"address\":\"fd00:1:0::5\"},{\"address\":\"10.0.1.5\",\"port\":\"veth1\"},"
        "{\"address\":\"10.0.1.5\",\"port\":\"veth1\"}],"
        "\"bridgeNf\":{\"vlan\":\"on\",\"ipv6\":\"off\",\"ipv4\":\"on\"},\"routes\":["
        "{\"device\":\"cni0\",\"prefix\":\"fd00:1:0::/64\"},{\"prefix\":\"10.0.1.77/32\",\"device\":\"veth2\"},"
        "{\"prefix\":\"10.0.1.9/24\",\"device\":\"cni0\"},{\"prefix\":\"10.0.0.0/16\",\"device\":\"eth0\"},"
        "{\"prefix\":\"10.0.1.0/24\",\"device\":\"cni0\"},{\"prefix\":\"0.0.0.0/0\",\"device\":\"eth0\"}],"
        "\"broadcastRoutes\":[{\"prefix\":\"10.0.1.99/32\",\"device\":\"cni0\"},"
        "{\"prefix\":\"10.0.1.99/32\",\"device\":\"cni0\"}],"
        // The second and the third are addresses of interfaces.
        "\"localRoutes\":[{\"prefix\":\"203.0.113.7/32\",\"device\":\"eth0\"},"
        "{\"prefix\":\"192.168.0.1/32\",\"device\":\"eth0\"},{\"prefix\":\"10.96.0.1/32\",\"device\":\"kube-ipvs0\"},"
        "{\"prefix\":\"10.9.0.0/24\",\"device\":\"lo\"}],"
        "\"interfaces\":[{\"name\":\"veth2\",\"kind\":\"veth\"},{\"kind\":\"veth\",\"name\":\"veth1\",\"master\":"
        "\"cni0\"},"
        "{\"name\":\"kube-ipvs0\",\"kind\":\"dummy\",\"addresses\":[\"10.96.0.1\"]},"
        "{\"name\":\"eth0\",\"addresses\":[\"fd00:0::1\",\"192.168.0.1\",\"fd00::1\"]},"
        "{\"name\":\"cni0\",\"kind\":\"bridge\",\"addresses\":[\"fe80::1\",\"10.0.1.254\"]}]}";
    CLEANUP(facts_free) struct facts *neat = facts_of(NODE);
    CLEANUP(facts_free) struct facts *same = facts_of(messy);
    BUF_CLEANUP struct buf text = {0};
    assert_true(facts_equal(neat, same));
    facts_render_json(same, &text);
    assert_string_equal(text.data, NODE);
}

static void test_empty(void **state)
{
    (void)state;
    CLEANUP(facts_free) struct facts *fresh = NULL;
    CLEANUP(facts_free) struct facts *parsed = facts_of("{}");
    BUF_CLEANUP struct buf text = {0};
    struct err err = {0};
    struct address address = address_of("10.0.0.1");
    assert_int_equal(facts_new(&fresh, &err), 0);
    assert_true(facts_equal(fresh, parsed));
    facts_render_json(fresh, &text);
    assert_string_equal(text.data,
                        "{\n  \"interfaces\": [],\n  \"routes\": [],\n  \"localRoutes\": [],\n  \"broadcastRoutes\": "
                        "[],\n  \"bridgeNf\": {\"ipv4\": \"unknown\", "
                        "\"ipv6\": \"unknown\", \"vlan\": \"unknown\"},\n  \"ports\": [],\n  \"tunnelPorts\": [],\n"
                        "  \"revoked\": {\"ipv4\": false, \"ipv6\": false},\n  \"ipvs\": false\n}\n");
    CLEANUP(facts_free) struct facts *again = facts_of(text.data);
    assert_true(facts_equal(fresh, again));
    assert_null(facts_pod_interface(fresh, &address));
    assert_null(facts_interface(fresh, "eth0"));
    assert_false(facts_is_own_address(fresh, &address));
}

static void test_equal_sees_everything(void **state)
{
    (void)state;
    static const struct {
        const char *from;
        const char *to;
    } changes[] = {
        {"\"veth1\"", "\"veth3\""},
        {"\"kind\": \"bridge\"", "\"kind\": \"vlan\""},
        {"\"master\": \"cni0\"", "\"master\": \"cni1\""},
        {"fe80::1", "fe80::2"},
        {"10.0.1.77/32", "10.0.1.78/32"},
        {"203.0.113.7/32", "203.0.113.8/32"},
        {"\"10.9.0.0/24\", \"device\": \"lo\"", "\"10.9.0.0/24\", \"device\": \"l1\""},
        {"10.0.1.99/32", "10.0.1.98/32"},
        {"\"device\": \"veth2\"", "\"device\": \"veth1\""},
        {"\"ipv4\": \"on\"", "\"ipv4\": \"off\""},
        {"\"ipvs\": true", "\"ipvs\": false"},
        {", \"fd00::1\"", ""},
        {"\"ipv6\": \"off\"", "\"ipv6\": \"unknown\""},
        {"\"vlan\": \"on\"", "\"vlan\": \"off\""},
        {"\"10.0.1.5\"", "\"10.0.1.6\""},
        {"\"port\": \"veth1\"", "\"port\": \"veth2\""},
        {"{\"address\": \"10.0.1.5\", \"port\": \"veth1\"},", ""},
        {"[4789, 8472]", "[4789]"},
        {"[4789, 8472]", "[4789, 8473]"},
        {"\"ipv6\": true", "\"ipv6\": false"},
        {"\"ipv4\": false", "\"ipv4\": true"},
    };
    CLEANUP(facts_free) struct facts *base = facts_of(NODE);
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        char text[2048];
        const char *at = strstr(NODE, changes[i].from);
        assert_non_null(at);
        (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - NODE), NODE, changes[i].to,
                       at + strlen(changes[i].from));
        CLEANUP(facts_free) struct facts *changed = facts_of(text);
        assert_false(facts_equal(base, changed));
        assert_false(facts_equal(changed, base));
    }
}

static void test_leads_into(void **state)
{
    (void)state;
    static const struct {
        const char *address;  // of br1
        const char *routes;
        bool want;
    } cases[] = {
        {"", "{\"prefix\":\"10.244.1.0/24\",\"device\":\"br1\"}", true},
        {"", "{\"prefix\":\"10.244.1.128/25\",\"device\":\"br1\"}", true},
        {"", "{\"prefix\":\"10.244.1.7/32\",\"device\":\"br1\"}", true},
        {"", "{\"prefix\":\"10.244.2.0/24\",\"device\":\"br1\"}", false},
        {"", "{\"prefix\":\"10.244.1.0/24\",\"device\":\"eth0\"}", false},
        // Another network of which the pods' is a part: by another router, or the node's own.
        {"", "{\"prefix\":\"10.0.0.0/8\",\"device\":\"br1\"}", false},
        {"\"172.16.0.1\"", "{\"prefix\":\"10.0.0.0/8\",\"device\":\"br1\"}", false},
        {"\"10.244.0.1\"", "{\"prefix\":\"10.244.0.0/16\",\"device\":\"br1\"}", true},
        {"\"10.244.0.1\"",
         "{\"prefix\":\"10.244.0.0/16\",\"device\":\"br1\"},{\"prefix\":\"10.244.1.0/24\",\"device\":\"eth0\"}", false},
        {"\"10.244.0.1\"",
         "{\"prefix\":\"10.0.0.0/8\",\"device\":\"eth0\"},{\"prefix\":\"10.244.0.0/16\",\"device\":\"br1\"}", true},
        {"\"10.244.0.1\"",
         "{\"prefix\":\"10.244.0.0/16\",\"device\":\"br1\"},{\"prefix\":\"10.244.0.0/16\",\"device\":\"eth0\"}", true},
        {"\"10.244.0.1\"",
         "{\"prefix\":\"10.244.0.0/16\",\"device\":\"br1\"},{\"prefix\":\"10.244.0.0/17\",\"device\":\"eth0\"}", false},
        {"\"10.244.0.1\"", "{\"prefix\":\"0.0.0.0/0\",\"device\":\"br1\"}", false},
    };
    struct prefix network;
    assert_true(prefix_parse("10.244.1.0/24", &network));
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[1024];
        (void)snprintf(text, sizeof(text),
                       "{\"interfaces\":[{\"name\":\"br1\",\"kind\":\"bridge\",\"addresses\":[%s]},"
                       "{\"name\":\"eth0\",\"kind\":\"\",\"addresses\":[]}],\"routes\":[%s]}",
                       cases[i].address, cases[i].routes);
        CLEANUP(facts_free) struct facts *facts = facts_of(text);
        if (facts_leads_into(facts, facts_interface(facts, "br1"), &network, 1) != cases[i].want) {
            fail_msg("%s", text);
        }
        assert_false(facts_leads_into(facts, facts_interface(facts, "br1"), &network, 0));
    }
}

static void test_pod_interface(void **state)
{
    (void)state;
    CLEANUP(facts_free) struct facts *facts = facts_of(NODE);
    static const struct {
        const char *address;
        const char *device;
    } cases[] = {
        {"10.0.1.5", "cni0"}, {"10.0.1.77", "veth2"},    {"10.0.1.78", "cni0"}, {"10.0.2.5", "eth0"},
        {"10.1.0.1", NULL},   {"1.2.3.4", NULL},         {"fd00:1::9", "cni0"}, {"fd00:2::9", NULL},
        {"::1", NULL},        {"255.255.255.255", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct address address = address_of(cases[i].address);
        const struct facts_interface *interface = facts_pod_interface(facts, &address);
        if (cases[i].device) {
            assert_non_null(interface);
            assert_string_equal(interface->name, cases[i].device);
        } else {
            assert_null(interface);
        }
    }
}

static void test_pod_port(void **state)
{
    (void)state;
    CLEANUP(facts_free) struct facts *facts = facts_of(NODE);
    static const char *const behind[] = {"10.0.1.5", "fd00:1::5"};
    static const char *const unknown[] = {"10.0.1.4", "10.0.1.6", "fd00:1::", "fd00:1::6"};
    for (size_t i = 0; i < ARRAY_SIZE(behind); i++) {
        struct address address = address_of(behind[i]);
        const struct facts_port *port = facts_pod_port(facts, &address);
        assert_non_null(port);
        assert_string_equal(port->port, "veth1");
        assert_true(address_equal(&port->address, &address));
    }
    for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
        struct address address = address_of(unknown[i]);
        assert_null(facts_pod_port(facts, &address));
    }
}

// A file that an older netpold wrote.
static void test_older_file(void **state)
{
    (void)state;
    CLEANUP(facts_free)
    struct facts *facts =
        facts_of("{\"interfaces\": [], \"routes\": [], \"bridgeNf\": {\"ipv4\": \"on\", \"ipv6\": \"on\"}, "
                 "\"ipvs\": false}");
    assert_int_equal(facts->bridge_nf_vlan, FACTS_UNKNOWN);
    assert_int_equal(facts->n_ports + facts->n_tunnel_ports, 0);
    assert_false(facts->revoked[FAMILY_V4] || facts->revoked[FAMILY_V6]);
}

static void test_own_address(void **state)
{
    (void)state;
    CLEANUP(facts_free) struct facts *facts = facts_of(NODE);
    static const char *const own[] = {"10.0.1.254", "192.168.0.1", "fd00::1", "fe80::1"};
    static const char *const other[] = {"10.96.0.1", "10.0.1.253", "fd00::2", "::"};
    for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
        struct address address = address_of(own[i]);
        assert_true(facts_is_own_address(facts, &address));
    }
    for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
        struct address address = address_of(other[i]);
        assert_false(facts_is_own_address(facts, &address));
    }
}

static void test_errors(void **state)
{
    (void)state;
    expect_error("[]", "f.json:1: must be a map, not a list");
    expect_error("{} x", "f.json:1: more text behind the facts");
    expect_error("{\"interface\": []}", "f.json:1: interface: unknown field \"interface\"");
    expect_error("{\"interfaces\": {}}", "f.json:1: interfaces: must be a list, not a map");
    expect_error("{\"interfaces\": [\n{\"name\": \"a\"},\n{\"kind\": \"veth\"}]}",
                 "f.json:3: interfaces[1]: has no name");
    expect_error("{\"interfaces\": [{\"name\": \"a/b\"}]}", "f.json:1: name: \"a/b\" is no interface name");
    expect_error("{\"interfaces\": [{\"name\": \"sixteen-is-long!\"}]}",
                 "f.json:1: name: \"sixteen-is-long!\" is no interface name");
    expect_error("{\"interfaces\": [{\"name\": \"..\"}]}", "f.json:1: name: \"..\" is no interface name");
    expect_error("{\"interfaces\": [{\"name\": 7}]}", "f.json:1: name: must be a string, not a number");
    expect_error("{\"interfaces\": [{\"name\": \"a\", \"kind\": \"0123456789abcdef\"}]}",
                 "f.json:1: interfaces[0]: is longer than 15 bytes");
    expect_error("{\"interfaces\": [{\"name\": \"a\", \"addresses\": [\"1.2.3\"]}]}",
                 "f.json:1: interfaces[0]: not an IP address");
    expect_error("{\"interfaces\": [{\"name\": \"a\"}, {\"name\": \"a\"}]}", "f.json: two interfaces are named a");
    expect_error("{\"routes\": [{\"prefix\": \"10.0.0.0\", \"device\": \"a\"}]}", "f.json:1: routes[0]: not a CIDR");
    expect_error("{\"routes\": [{\"prefix\": \"10.0.0.0/8\"}]}", "f.json:1: routes[0]: needs a prefix and a device");
    expect_error("{\"bridgeNf\": {\"ipv4\": true}}", "f.json:1: bridgeNf: must be \"on\", \"off\" or \"unknown\"");
    expect_error("{\"bridgeNf\": {\"ipv5\": \"on\"}}", "f.json:1: bridgeNf: unknown field \"ipv5\"");
    expect_error("{\"bridgeNf\": {\"vlan\": \"yes\"}}", "f.json:1: bridgeNf: must be \"on\", \"off\" or \"unknown\"");
    expect_error("{\"ports\": {}}", "f.json:1: ports: must be a list, not a map");
    expect_error("{\"ports\": [{\"address\": \"10.0.0.1\"}]}", "f.json:1: ports[0]: needs an address and a port");
    expect_error("{\"ports\": [{\"port\": \"veth1\"}]}", "f.json:1: ports[0]: needs an address and a port");
    expect_error("{\"ports\": [{\"address\": \"10.0.0\", \"port\": \"veth1\"}]}",
                 "f.json:1: ports[0]: not an IP address");
    expect_error("{\"ports\": [{\"address\": \"10.0.0.1\", \"port\": \"a b\"}]}",
                 "f.json:1: port: \"a b\" is no interface name");
    expect_error("{\"ports\": [{\"mac\": \"x\"}]}", "f.json:1: ports[0]: unknown field \"mac\"");
    expect_error("{\"ports\": [{\"address\": \"10.0.0.1\", \"port\": \"veth1\"},\n"
                 "{\"address\": \"10.0.0.1\", \"port\": \"veth2\"}]}",
                 "f.json: 10.0.0.1 is behind two ports, veth1 and veth2");
    expect_error("{\"broadcastRoutes\": [{\"prefix\": \"10.0.0.0/24\", \"device\": \"eth0\"}]}",
                 "f.json:1: broadcastRoutes[0]: not the prefix of one IPv4 address");
    expect_error("{\"tunnelPorts\": [65536]}", "f.json:1: tunnelPorts[0]: not a port number");
    expect_error("{\"tunnelPorts\": [0]}", "f.json:1: tunnelPorts[0]: not a port number");
    expect_error("{\"tunnelPorts\": [\"80\"]}", "f.json:1: tunnelPorts[0]: not a port number");
    expect_error("{\"tunnelPorts\": [-1]}", "f.json:1: tunnelPorts[0]: not a port number");
    expect_error("{\"revoked\": []}", "f.json:1: revoked: must be a map, not a list");
    expect_error("{\"revoked\": {\"ipv4\": 1}}", "f.json:1: revoked: must be a boolean, not a number");
    expect_error("{\"revoked\": {\"ipv5\": true}}", "f.json:1: revoked: unknown field \"ipv5\"");
    expect_error("{\"ipvs\": 1}", "f.json:1: must be a boolean, not a number");
}

// Of several routes to one prefix those of the lowest metric are used; of equal ones all are kept.
static void test_build_metrics(void **state)
{
    (void)state;
    FACTS_BUILD_CLEANUP struct facts_build build = {0};
    CLEANUP(facts_free) struct facts *facts = NULL;
    struct err err = {0};
    static const struct {
        const char *prefix;
        const char *device;
        uint32_t metric;
    } routes[] = {
        {"10.0.0.0/8", "b", 20}, {"10.0.0.0/8", "a", 30}, {"10.0.0.0/8", "c", 10}, {"fe80::/64", "y", 256},
        {"fe80::/64", "x", 256}, {"fe80::/64", "z", 257}, {"10.0.0.0/8", "c", 10},
    };
    for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
        struct facts_build_route route = {.metric = routes[i].metric};
        assert_true(prefix_parse(routes[i].prefix, &route.route.prefix));
        (void)snprintf(route.route.device, sizeof(route.route.device), "%s", routes[i].device);
        assert_int_equal(vec_push(&build.routes, route), 0);
    }
    assert_int_equal(facts_build_finish(&build, &facts, &err), 0);
    assert_int_equal(facts->n_routes, 3);
    assert_string_equal(facts->routes[0].device, "c");
    assert_string_equal(facts->routes[1].device, "x");
    assert_string_equal(facts->routes[2].device, "y");
}

static struct prefix random_prefix(struct rng *rng)
{
    struct address address = {.family = rng_chance(rng, 50) ? FAMILY_V4 : FAMILY_V6};
    unsigned bits = family_bits(address.family);
    for (unsigned i = 0; i < bits / 8; i++) {
        address.bytes[i] = (uint8_t)(rng_chance(rng, 70) ? 0 : rng_next(rng));
    }
    return prefix_truncate(&address, (unsigned)rng_below(rng, bits + 1));
}

static void build_random(struct rng *rng, size_t n, struct facts **ret)
{
    FACTS_BUILD_CLEANUP struct facts_build build = {0};
    struct err err = {0};
    static const char *const names[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct facts_interface interface = {0};
        interface.name[0] = names[i][0];
        assert_int_equal(vec_push(&build.interfaces, interface), 0);
    }
    for (size_t i = 0; i < n; i++) {
        struct facts_build_route route = {.route.prefix = random_prefix(rng)};
        route.route.device[0] = RNG_PICK(rng, names)[0];
        assert_int_equal(vec_push(&build.routes, route), 0);
    }
    assert_int_equal(facts_build_finish(&build, ret, &err), 0);
}

// The search against looking at every route.
static void test_pod_interface_property(void **state)
{
    (void)state;
    struct rng rng = {rng_seed("test_pod_interface_property")};
    size_t rounds = rng_iterations(200);
    for (size_t round = 0; round < rounds; round++) {
        CLEANUP(facts_free) struct facts *facts = NULL;
        build_random(&rng, rng_below(&rng, 60), &facts);
        for (size_t i = 0; i < 50; i++) {
            struct address address = random_prefix(&rng).address;
            const struct facts_route *best = NULL;
            for (size_t j = 0; j < facts->n_routes; j++) {
                const struct prefix *prefix = &facts->routes[j].prefix;
                if (prefix->length > 0 && prefix_contains(prefix, &address) &&
                    (!best || prefix->length > best->prefix.length)) {
                    best = &facts->routes[j];
                }
            }
            const struct facts_interface *got = facts_pod_interface(facts, &address);
            assert_true(!best == !got);
            if (best) {
                assert_string_equal(got->name, best->device);
            }
        }
        BUF_CLEANUP struct buf text = {0};
        facts_render_json(facts, &text);
        CLEANUP(facts_free) struct facts *again = facts_of(text.data);
        assert_true(facts_equal(facts, again));
    }
}

// Written and read again they are the same, and written the same.
static void test_random_json(void **state)
{
    (void)state;
    struct rng rng = {rng_seed("test_random_json")};
    size_t rounds = rng_iterations(500);
    for (size_t round = 0; round < rounds; round++) {
        CLEANUP(facts_free) struct facts *facts = random_facts(&rng);
        BUF_CLEANUP struct buf text = {0};
        BUF_CLEANUP struct buf second = {0};
        facts_render_json(facts, &text);
        CLEANUP(facts_free) struct facts *again = facts_of(text.data);
        facts_render_json(again, &second);
        // Routes of random facts are not unique: what was read once is.
        CLEANUP(facts_free) struct facts *third = facts_of(second.data);
        assert_true(facts_equal(again, third));
        assert_int_equal(facts->n_ports, again->n_ports);
        assert_int_equal(facts->n_tunnel_ports, again->n_tunnel_ports);
        for (size_t i = 0; i < facts->n_ports; i++) {
            assert_string_equal(facts_pod_port(again, &facts->ports[i].address)->port, facts->ports[i].port);
        }
        assert_memory_equal(facts->revoked, again->revoked, sizeof(facts->revoked));
        assert_int_equal(facts->bridge_nf_vlan, again->bridge_nf_vlan);
    }
}

// A node with a large routing table.
static void test_many_routes(void **state)
{
    (void)state;
    struct rng rng = {7};
    CLEANUP(facts_free) struct facts *facts = NULL;
    build_random(&rng, 100000, &facts);
    uint64_t begun = num_now_ms();
    for (size_t i = 0; i < 100000; i++) {
        struct address address = random_prefix(&rng).address;
        (void)facts_pod_interface(facts, &address);
    }
    uint64_t took = num_now_ms() - begun;
    print_message("100000 lookups in %zu routes: %llu ms\n", facts->n_routes, (unsigned long long)took);
    assert_true(took < 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_render_is_canonical),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_equal_sees_everything),
        cmocka_unit_test(test_pod_interface),
        cmocka_unit_test(test_leads_into),
        cmocka_unit_test(test_own_address),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_build_metrics),
        cmocka_unit_test(test_pod_interface_property),
        cmocka_unit_test(test_many_routes),
        cmocka_unit_test(test_pod_port),
        cmocka_unit_test(test_older_file),
        cmocka_unit_test(test_random_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
