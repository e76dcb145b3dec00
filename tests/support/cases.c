// SPDX-License-Identifier: Apache-2.0
#include "support/cases.h"

#include <stdio.h>

#include "ruleset/render.h"

struct state *cases_world;

enum { NAME = 300 };

void cases_given(const char *yaml)
{
    state_free(cases_world);
    cases_world = build_world(yaml);
}

int cases_teardown(void **unused)
{
    (void)unused;
    state_free(cases_world);
    cases_world = NULL;
    return 0;
}

static bool of_family(const struct address *addresses, size_t n, enum family family, struct address *ret)
{
    for (size_t i = 0; i < n; i++) {
        if (addresses[i].family == family) {
            *ret = addresses[i];
            return true;
        }
    }
    return false;
}

// How build_expect is told that end in the family; false: it has no address there. Nodes stay names: an address alone
// is not known to be a node's.
static bool end_in_family(const char *end, enum family family, char ret[NAME])
{
    static const char *const out[FAMILY_COUNT] = {[FAMILY_V4] = "203.0.113.9", [FAMILY_V6] = "2001:db8::9"};
    struct address address;
    (void)snprintf(ret, NAME, "%s", strcmp(end, "out") == 0 ? out[family] : end);
    if (address_parse(ret, &address)) {
        return address.family == family;
    }
    const char *node_name = strncmp(end, "node:", 5) == 0 ? end + 5 : NULL;
    if (!node_name) {
        char ns[NAME];
        const char *slash = strchr(end, '/');
        assert_non_null(slash);
        (void)snprintf(ns, sizeof(ns), "%.*s", (int)(slash - end), end);
        const struct pod *pod = state_pod(cases_world, ns, slash + 1);
        assert_non_null(pod);
        if (!pod->host_network) {
            bool known = of_family(pod->addresses, pod->n_addresses, family, &address);
            if (known) {
                (void)address_format(&address, ret);
            }
            return known;
        }
        node_name = pod->node;
    }
    const struct node *node = state_node(cases_world, node_name);
    assert_non_null(node);
    return of_family(node->addresses, node->n_addresses, family, &address);
}

void cases_expect(const char *from, const char *to, const char *protocol, uint16_t port, enum verdict want,
                  const char *file, int line)
{
    unsigned asked = 0;
    for (enum family family = FAMILY_V4; family <= FAMILY_V6; family++) {
        char source[NAME];
        char target[NAME];
        if (end_in_family(from, family, source) && end_in_family(to, family, target)) {
            const char *name = family == FAMILY_V6 && strcmp(protocol, "ICMP") == 0 ? "ICMPv6" : protocol;
            build_expect(cases_world, source, target, name, port, want, file, line);
            asked++;
        }
    }
    if (asked == 0) {
        fail_msg("%s:%d: %s and %s have no family in common", file, line, from, to);
    }
}

void cases_expect_all(const char *from, const char *to, enum verdict want, const char *file, int line)
{
    static const struct {
        const char *protocol;
        uint16_t port;
    } probes[] = {{"TCP", 80}, {"TCP", 65535}, {"UDP", 53}, {"UDP", 80}, {"SCTP", 1}, {"SCTP", 81}, {"ICMP", 0}};
    for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
        cases_expect(from, to, probes[i].protocol, probes[i].port, want, file, line);
    }
}

struct packet cases_packet(const char *from, const char *to, uint8_t protocol, uint16_t port)
{
    struct packet packet = {.protocol = protocol, .port = port, .ct = CT_NEW};
    if (!address_parse(from, &packet.source) || !address_parse(to, &packet.destination)) {
        fail_msg("%s, %s: not two addresses", from, to);
    }
    return packet;
}

void cases_judge(const char *node, const struct packet *packet, bool want, const char *file, int line)
{
    static const struct policy_options options;
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    struct err err = {0};
    bool allowed = false;
    if (compile_ruleset(cases_world, node, NULL, &options, &ruleset, NULL, &err) < 0) {
        fail_msg("%s:%d: compile: %s", file, line, err.msg);
    }
    if (!build_prove(cases_world, node, NULL, &options, ruleset, packet, &allowed)) {
        fail_msg("%s:%d: evaluator and simulator disagree on node %s", file, line, node);
    }
    if (allowed != want) {
        fail_msg("%s:%d: the packet %s on node %s", file, line, allowed ? "passes" : "is dropped", node);
    }
}

char *cases_rendered(struct state *state, const char *node)
{
    static const struct policy_options options;
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    BUF_CLEANUP struct buf text = {0};
    assert_int_equal(compile_ruleset(state, node, NULL, &options, &ruleset, NULL, NULL), 0);
    render_restore(ruleset, &text);
    char *ret = buf_take(&text);
    assert_non_null(ret);
    return ret;
}
