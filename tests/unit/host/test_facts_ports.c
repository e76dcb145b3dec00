// SPDX-License-Identifier: Apache-2.0
//
// Which pod is behind which port, and what a pod that lies about it gets.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/facts_ports.h"

#include <stdio.h>

#include "support/rng.h"

// ---- a node: cni0 with the ports veth1..veth4, a vxlan port and an uplink; br1 with veth9; 10.0.9.9 is routed -----

static const char NODE[] =
    "{\"interfaces\": [{\"name\": \"br1\", \"kind\": \"bridge\"}, {\"name\": \"cni0\", \"kind\": \"bridge\"},"
    "{\"name\": \"eth1\", \"master\": \"cni0\"}, {\"name\": \"vx0\", \"kind\": \"vxlan\", \"master\": \"cni0\"},"
    "{\"name\": \"veth1\", \"kind\": \"veth\", \"master\": \"cni0\"},"
    "{\"name\": \"veth2\", \"kind\": \"veth\", \"master\": \"cni0\"},"
    "{\"name\": \"veth3\", \"kind\": \"veth\", \"master\": \"cni0\"},%s"
    "{\"name\": \"veth8\", \"kind\": \"veth\"},"
    "{\"name\": \"veth9\", \"kind\": \"veth\", \"master\": \"br1\"}],"
    "\"routes\": [{\"prefix\": \"10.0.1.0/24\", \"device\": \"cni0\"}, {\"prefix\": \"10.0.2.0/24\", \"device\": "
    "\"br1\"}, {\"prefix\": \"10.0.9.9/32\", \"device\": \"veth8\"}, {\"prefix\": \"fd00:1::/64\", \"device\": "
    "\"cni0\"}]}";
static const char VETH4[] = "{\"name\": \"veth4\", \"kind\": \"veth\", \"master\": \"cni0\"},";

static struct facts *node(const char *more)
{
    char text[2048];
    struct facts *facts = NULL;
    struct err err = {0};
    int n = snprintf(text, sizeof(text), NODE, more);
    if (facts_parse_json(text, (size_t)n, "node", &facts, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    return facts;
}

static struct address address_of(const char *text)
{
    struct address address;
    assert_true(address_parse(text, &address));
    return address;
}

struct world {
    struct facts *facts;
    struct facts_owner owners[16];
    size_t n_owners;
    struct facts_port told[8];
    size_t n_told;
    struct facts_claim claims[16];
    size_t n_claims;
    struct facts_ports ports;
};

static struct world *new_world(void)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->facts = node(VETH4);
    return world;
}

static void world_free(struct world *world)
{
    facts_free(world->facts);
    facts_ports_free(&world->ports);
    free(world);
}
CLEANUP_DEFINE(struct world, world_free);

static int compare_owner(const void *a, const void *b)
{
    return address_compare(&((const struct facts_owner *)a)->address, &((const struct facts_owner *)b)->address);
}

static void own(struct world *world, const char *address, const char *pod)
{
    struct facts_owner *owner = &world->owners[world->n_owners++];
    owner->address = address_of(address);
    (void)snprintf(owner->pod, sizeof(owner->pod), "%s", pod);
    qsort(world->owners, world->n_owners, sizeof(*world->owners), compare_owner);
}

static void disown(struct world *world, const char *address)
{
    struct address gone = address_of(address);
    size_t kept = 0;
    for (size_t i = 0; i < world->n_owners; i++) {
        if (!address_equal(&world->owners[i].address, &gone)) {
            world->owners[kept++] = world->owners[i];
        }
    }
    assert_int_equal(kept, world->n_owners - 1);
    world->n_owners = kept;
}

static void tell(struct world *world, const char *address, const char *port)
{
    struct facts_port *told = &world->told[world->n_told++];
    told->address = address_of(address);
    (void)snprintf(told->port, sizeof(told->port), "%s", port);
}

static void claim_on(struct world *world, const char *address, const char *bridge, const char *port)
{
    struct facts_claim *claim = &world->claims[world->n_claims++];
    claim->address = address_of(address);
    (void)snprintf(claim->bridge, sizeof(claim->bridge), "%s", bridge);
    (void)snprintf(claim->port, sizeof(claim->port), "%s", port);
}

static void claim(struct world *world, const char *address, const char *port)
{
    claim_on(world, address, "cni0", port);
}

// One look: the claims are used up.
static void look(struct world *world)
{
    struct err err = {0};
    const struct facts_ports_news news = {
        .facts = world->facts,
        .owners = world->owners,
        .n_owners = world->n_owners,
        .told = world->told,
        .n_told = world->n_told,
        .claims = world->claims,
        .n_claims = world->n_claims,
    };
    assert_int_equal(facts_ports_update(&world->ports, &news, &err), 0);
    world->n_claims = 0;
}

static const char *port_of(const struct world *world, const char *text)
{
    struct address address = address_of(text);
    const struct facts_binding *binding = facts_ports_find(&world->ports, &address);
    return binding ? binding->port.port : "";
}

#define PORT(world, address, want) assert_string_equal(port_of(world, address), want)

static void test_learn(void **state)
{
    (void)state;
    CLEANUP(world_free) struct world *world = new_world();
    own(world, "10.0.1.1", "a");
    own(world, "fd00:1::1", "a");
    own(world, "10.0.1.2", "b");
    claim(world, "10.0.1.2", "veth2");
    claim(world, "10.0.1.1", "veth1");
    look(world);
    PORT(world, "10.0.1.1", "veth1");
    PORT(world, "10.0.1.2", "veth2");
    PORT(world, "fd00:1::1", "");
    // Later, and without a word of what is known.
    claim(world, "fd00:1::1", "veth1");
    look(world);
    PORT(world, "10.0.1.1", "veth1");
    PORT(world, "10.0.1.2", "veth2");
    PORT(world, "fd00:1::1", "veth1");
    assert_int_equal(world->ports.bindings.n, 3);
    assert_int_equal(world->ports.n_refused, 0);
}

// Claims that could not be a pod's are not looked at, and not called lies.
static void test_not_looked_at(void **state)
{
    (void)state;
    CLEANUP(world_free) struct world *world = new_world();
    own(world, "10.0.1.1", "a");
    own(world, "10.0.2.1", "b");
    own(world, "10.0.9.9", "c");
    claim(world, "10.0.1.7", "veth1");             // no pod of this node
    claim(world, "192.168.0.1", "veth1");          // routed elsewhere
    claim(world, "10.0.1.1", "eth1");              // an uplink
    claim(world, "10.0.1.1", "vx0");               // a tunnel
    claim(world, "10.0.1.1", "veth7");             // gone since
    claim_on(world, "10.0.1.1", "br1", "veth9");   // another bridge than that of its route
    claim_on(world, "10.0.1.1", "cni0", "veth9");  // not a port of that bridge
    claim_on(world, "10.0.2.1", "cni0", "veth1");  // the other way round
    claim_on(world, "10.0.9.9", "cni0", "veth1");  // a routed pod
    look(world);
    assert_int_equal(world->ports.bindings.n, 0);
    assert_int_equal(world->ports.n_refused, 0);
    claim_on(world, "10.0.2.1", "br1", "veth9");
    look(world);
    PORT(world, "10.0.2.1", "veth9");
}

// A pod says that it has its neighbour's address: ARP, ND, or the neighbour's MAC in its frames; all end as a claim.
static void test_neighbours_address(void **state)
{
    (void)state;
    CLEANUP(world_free) struct world *world = new_world();
    own(world, "10.0.1.1", "attacker");
    own(world, "10.0.1.2", "victim");
    claim(world, "10.0.1.1", "veth1");
    claim(world, "10.0.1.2", "veth2");
    look(world);
    claim(world, "10.0.1.2", "veth1");
    look(world);
    PORT(world, "10.0.1.2", "veth2");
    PORT(world, "10.0.1.1", "veth1");
    assert_int_equal(world->ports.n_refused, 1);
    assert_string_equal(world->ports.refused.port, "veth1");
    // Again and again, the victim being silent.
    for (size_t i = 0; i < 100; i++) {
        claim(world, "10.0.1.2", "veth1");
        claim(world, "10.0.1.1", "veth1");
        look(world);
        PORT(world, "10.0.1.2", "veth2");
        PORT(world, "10.0.1.1", "veth1");
    }
    look(world);
    assert_int_equal(world->ports.n_refused, 0);
}

// Its own port is known: it does not get the address of a neighbour that has not spoken yet.
static void test_neighbour_that_is_silent(void **state)
{
    (void)state;
    CLEANUP(world_free) struct world *world = new_world();
    own(world, "10.0.1.5", "attacker");
    own(world, "10.0.1.2", "victim");
    own(world, "fd00:1::2", "victim");
    claim(world, "10.0.1.5", "veth1");
    look(world);
    claim(world, "10.0.1.2", "veth1");
    claim(world, "fd00:1::2", "veth1");
    look(world);
    PORT(world, "10.0.1.2", "");
    PORT(world, "fd00:1::2", "");
    assert_int_equal(world->ports.n_refused, 2);
    claim(world, "10.0.1.2", "veth2");
    look(world);
    PORT(world, "10.0.1.2", "veth2");
    // A second family of the victim comes to the victim's port only.
    claim(world, "fd00:1::2", "veth1");
    look(world);
    PORT(world, "fd00:1::2", "");
    claim(world, "fd00:1::2", "veth2");
    look(world);
    PORT(world, "fd00:1::2", "veth2");
}

// A claim for many at once, before anything is known: one of them at most.
static void test_claims_of_all(void **state)
{
    (void)state;
    CLEANUP(world_free) struct world *world = new_world();
    own(world, "10.0.1.1", "a");
    own(world, "10.0.1.2", "b");
    own(world, "10.0.1.3", "c");
    claim(world, "10.0.1.3", "veth3");
    claim(world, "10.0.1.2", "veth3");
    claim(world, "10.0.1.1", "veth3");
    look(world);
    PORT(world, "10.0.1.1", "veth3");
    PORT(world, "10.0.1.2", "");
    PORT(world, "10.0.1.3", "");
    assert_int_equal(world->ports.n_refused, 2);
    // The pod that was lied about goes: what the port has is released, and its own address comes.
    disown(world, "10.0.1.1");
    claim(world, "10.0.1.3", "veth3");
    look(world);
    PORT(world, "10.0.1.1", "");
    PORT(world, "10.0.1.3", "veth3");
}

static void test_plugins_word(void **state)
{
    (void)state;
    CLEANUP(world_free) struct world *world = new_world();
    own(world, "10.0.1.1", "a");
    own(world, "10.0.1.2", "b");
    claim(world, "10.0.1.2", "veth1");  // a lie, and the first to come
    look(world);
    PORT(world, "10.0.1.2", "veth1");
    tell(world, "10.0.1.1", "veth1");
    tell(world, "10.0.1.2", "veth2");
    look(world);
    PORT(world, "10.0.1.1", "veth1");
    PORT(world, "10.0.1.2", "veth2");
    claim(world, "10.0.1.2", "veth1");
    claim(world, "10.0.1.1", "veth2");
    look(world);
    PORT(world, "10.0.1.1", "veth1");
    PORT(world, "10.0.1.2", "veth2");
    assert_int_equal(world->ports.n_refused, 2);
    // Before the API server has told of the pod's address.
    tell(world, "10.0.1.3", "veth3");
    own(world, "10.0.1.4", "d");
    claim(world, "10.0.1.4", "veth3");
    look(world);
    PORT(world, "10.0.1.3", "veth3");
    PORT(world, "10.0.1.4", "");
    // A port that is not there, or is no bridge's.
    tell(world, "10.0.1.4", "veth7");
    look(world);
    PORT(world, "10.0.1.4", "");
    // Taken back: it is not kept as learnt.
    world->n_told = 0;
    look(world);
    assert_int_equal(world->ports.bindings.n, 0);
}

static void test_told_pushes_out_what_was_learnt(void **state)
{
    (void)state;
    CLEANUP(world_free) struct world *world = new_world();
    own(world, "10.0.1.1", "a");
    own(world, "10.0.1.2", "b");
    claim(world, "10.0.1.1", "veth2");
    look(world);
    PORT(world, "10.0.1.1", "veth2");
    tell(world, "10.0.1.2", "veth2");
    look(world);
    PORT(world, "10.0.1.2", "veth2");
    PORT(world, "10.0.1.1", "");
}

static void test_ends(void **state)
{
    (void)state;
    CLEANUP(world_free) struct world *world = new_world();
    own(world, "10.0.1.4", "a");
    own(world, "10.0.1.2", "b");
    claim(world, "10.0.1.4", "veth4");
    claim(world, "10.0.1.2", "veth2");
    look(world);
    PORT(world, "10.0.1.4", "veth4");
    // The port goes.
    facts_free(world->facts);
    world->facts = node("");
    look(world);
    PORT(world, "10.0.1.4", "");
    PORT(world, "10.0.1.2", "veth2");
    // The port leaves its bridge.
    facts_free(world->facts);
    world->facts = node(VETH4);
    claim(world, "10.0.1.4", "veth4");
    look(world);
    PORT(world, "10.0.1.4", "veth4");
    facts_free(world->facts);
    world->facts = node("{\"name\": \"veth4\", \"kind\": \"veth\", \"master\": \"br1\"},");
    look(world);
    PORT(world, "10.0.1.4", "");
    // The address is another pod's now: the old claim is not its.
    disown(world, "10.0.1.2");
    own(world, "10.0.1.2", "c");
    look(world);
    PORT(world, "10.0.1.2", "");
    claim(world, "10.0.1.2", "veth3");
    look(world);
    PORT(world, "10.0.1.2", "veth3");
}

static void test_join(void **state)
{
    (void)state;
    static const struct facts_link links[] = {
        {.index = 2, .name = "cni0"},
        {.index = 3, .master = 2, .name = "veth1"},
        {.index = 4, .master = 2, .name = "veth2"},
        {.index = 5, .master = 9, .name = "veth3"},
        {.index = 9, .name = "br1"},
    };
    const struct facts_neighbour neighbours[] = {
        {2, address_of("10.0.0.1"), {2, 0, 0, 0, 0, 1}},    // veth1
        {2, address_of("fd00::1"), {2, 0, 0, 0, 0, 1}},     // the same pod
        {2, address_of("10.0.0.2"), {2, 0, 0, 0, 0, 2}},    // not in the bridge's table
        {2, address_of("10.0.0.3"), {2, 0, 0, 0, 0, 3}},    // the bridge's own
        {2, address_of("10.0.0.4"), {2, 0, 0, 0, 0, 4}},    // in the table of another bridge
        {2, address_of("10.0.0.5"), {2, 0, 0, 0, 0, 5}},    // the port has another master now
        {2, address_of("10.0.0.6"), {2, 0, 0, 0, 0, 6}},    // the port is gone
        {2, address_of("10.0.0.7"), {2, 0, 0, 0, 0, 7}},    // two entries
        {7, address_of("10.0.0.8"), {2, 0, 0, 0, 0, 1}},    // a bridge that is gone
        {9, address_of("10.0.0.9"), {2, 0, 0, 0, 0, 4}},    // br1
        {2, address_of("10.0.0.10"), {2, 0, 0, 0, 0, 10}},  // veth2
    };
    static const struct facts_forward forwards[] = {
        {2, {2, 0, 0, 0, 0, 10}, 4, false}, {2, {2, 0, 0, 0, 0, 7}, 4, false}, {2, {2, 0, 0, 0, 0, 7}, 3, false},
        {2, {2, 0, 0, 0, 0, 6}, 77, false}, {2, {2, 0, 0, 0, 0, 5}, 5, false}, {9, {2, 0, 0, 0, 0, 4}, 5, false},
        {2, {2, 0, 0, 0, 0, 3}, 3, true},   {2, {2, 0, 0, 0, 0, 1}, 3, false}, {7, {2, 0, 0, 0, 0, 1}, 3, false},
    };
    static const struct {
        const char *address;
        const char *bridge;
        const char *port;
    } want[] = {
        {"10.0.0.1", "cni0", "veth1"},
        {"fd00::1", "cni0", "veth1"},
        {"10.0.0.9", "br1", "veth3"},
        {"10.0.0.10", "cni0", "veth2"},
    };
    facts_claims claims = {0};
    struct err err = {0};
    assert_int_equal(facts_ports_join(neighbours, ARRAY_SIZE(neighbours), forwards, ARRAY_SIZE(forwards), links,
                                      ARRAY_SIZE(links), &claims, &err),
                     0);
    assert_int_equal(claims.n, ARRAY_SIZE(want));
    for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
        struct address address = address_of(want[i].address);
        assert_true(address_equal(&claims.v[i].address, &address));
        assert_string_equal(claims.v[i].bridge, want[i].bridge);
        assert_string_equal(claims.v[i].port, want[i].port);
    }
    vec_free(&claims);
}

// Whatever is claimed, in whatever order: every address is an owner's, its port is a veth of its bridge, a port has one
// pod's addresses, what is known stays, and one honest pod that was there first keeps its port.
static void test_property(void **state)
{
    (void)state;
    static const char *const addresses[] = {"10.0.1.1", "10.0.1.2", "10.0.1.3", "fd00:1::1", "fd00:1::2", "10.0.1.9"};
    static const char *const pods[] = {"a", "b", "c", "a", "b", ""};
    static const char *const names[] = {"veth1", "veth2", "veth3", "veth4", "eth1", "vx0", "veth8", "veth9", "none"};
    struct rng rng = {rng_seed("test_property")};
    size_t rounds = rng_iterations(300);
    for (size_t round = 0; round < rounds; round++) {
        CLEANUP(world_free) struct world *world = new_world();
        for (size_t i = 0; i < 5; i++) {
            own(world, addresses[i], pods[i]);
        }
        claim(world, "10.0.1.3", "veth3");
        look(world);
        for (size_t step = 0; step < 20; step++) {
            struct facts_binding before[8];
            size_t n_before = world->ports.bindings.n;
            if (n_before) {
                memcpy(before, world->ports.bindings.v, n_before * sizeof(*before));
            }
            for (size_t i = rng_below(&rng, 8); i > 0; i--) {
                claim(world, RNG_PICK(&rng, addresses), RNG_PICK(&rng, names));
            }
            look(world);
            PORT(world, "10.0.1.3", "veth3");
            for (size_t i = 0; i < n_before; i++) {
                assert_string_equal(facts_ports_find(&world->ports, &before[i].port.address)->port.port,
                                    before[i].port.port);
            }
            for (size_t i = 0; i < world->ports.bindings.n; i++) {
                const struct facts_binding *binding = &world->ports.bindings.v[i];
                assert_string_not_equal(binding->pod, "");
                assert_memory_equal(binding->port.port, "veth", 4);
                assert_in_range(binding->port.port[4], '1', '4');
                for (size_t j = 0; j < i; j++) {
                    const struct facts_binding *other = &world->ports.bindings.v[j];
                    assert_true(strcmp(other->port.port, binding->port.port) != 0 ||
                                strcmp(other->pod, binding->pod) == 0);
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learn),
        cmocka_unit_test(test_not_looked_at),
        cmocka_unit_test(test_neighbours_address),
        cmocka_unit_test(test_neighbour_that_is_silent),
        cmocka_unit_test(test_claims_of_all),
        cmocka_unit_test(test_plugins_word),
        cmocka_unit_test(test_told_pushes_out_what_was_learnt),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_property),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
