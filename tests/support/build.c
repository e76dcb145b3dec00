// SPDX-License-Identifier: Apache-2.0
#include "support/build.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <unistd.h>

#include "decode/decode.h"
#include "ruleset/render.h"
#include "ruleset/simulate.h"
#include "support/random_state.h"

static int put(enum object_kind kind, void *object, void *arg, struct err *err)
{
    return state_put(arg, kind, object, err) < 0 ? -1 : 0;
}

void build_apply(struct state *state, const char *yaml)
{
    DIAGNOSTICS_CLEANUP struct diagnostics diagnostics = {0};
    struct decode_stats stats;
    struct err err = {0};
    // Flow style at the start would be taken for JSON.
    BUF_CLEANUP struct buf text = {0};
    buf_puts(&text, *yaml == '{' ? "---\n" : "");
    buf_puts(&text, yaml);
    if (text.failed) {
        fail_msg("out of memory");
    }
    if (decode_text(text.data, text.len, "test.yaml", put, state, &diagnostics, &stats, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    if (diagnostics.counts[DIAGNOSTIC_LOST]) {
        BUF_CLEANUP struct buf finding = {0};
        diagnostic_format(&diagnostics.list.v[0], &finding);
        fail_msg("%s", finding.data);
    }
}

struct state *build_state(const char *yaml)
{
    struct state *state;
    if (state_new(&state, NULL) < 0) {
        fail_msg("out of memory");
    }
    build_apply(state, yaml);
    return state;
}

struct state *build_world(const char *yaml)
{
    static const char namespaces[] = "xyz";
    static const char pods[] = "abc";
    BUF_CLEANUP struct buf text = {0};
    for (size_t i = 0; namespaces[i]; i++) {
        buf_printf(&text, "---\n{apiVersion: v1, kind: Namespace, metadata: {name: %c, labels: {ns: %c}}}\n",
                   namespaces[i], namespaces[i]);
        for (size_t j = 0; pods[j]; j++) {
            buf_printf(&text,
                       "---\n{apiVersion: v1, kind: Pod, metadata: {namespace: %c, name: %c, labels: {pod: %c}}, "
                       "spec: {nodeName: %s, containers: [{name: c, ports: ["
                       "{containerPort: 80, name: serve-80-tcp}, {containerPort: 81, name: serve-81-tcp}, "
                       "{containerPort: 80, name: serve-80-udp, protocol: UDP}, "
                       "{containerPort: 81, name: serve-81-udp, protocol: UDP}, "
                       "{containerPort: 81, name: serve-81-sctp, protocol: SCTP}]}]}, "
                       "status: {phase: Running, podIP: 10.0.%zu.%zu, "
                       "podIPs: [{ip: 10.0.%zu.%zu}, {ip: 'fd00::%zu:%zu'}]}}\n",
                       namespaces[i], pods[j], pods[j], j < 2 ? "n1" : "n2", i + 1, j + 1, i + 1, j + 1, i + 1, j + 1);
        }
    }
    for (unsigned i = 1; i <= 2; i++) {
        buf_printf(&text,
                   "---\n{apiVersion: v1, kind: Node, metadata: {name: n%u}, status: {addresses: ["
                   "{type: InternalIP, address: 192.168.0.%u}, {type: InternalIP, address: 'fd00:168::%u'}]}}\n",
                   i, i, i);
    }
    if (text.failed) {
        fail_msg("out of memory");
    }
    struct state *state = build_state(text.data);
    build_apply(state, yaml);
    return state;
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

static struct endpoint node_endpoint(struct state *state, const char *name, enum family family)
{
    struct endpoint end = {.node = name};
    const struct node *node = state_node(state, name);
    if (!node) {
        fail_msg("node %s is not in the state", name);
    }
    end.has_address = of_family(node->addresses, node->n_addresses, family, &end.address);
    return end;
}

static struct endpoint pod_endpoint(struct state *state, const char *text, enum family family)
{
    char ns[300];
    const char *slash = strchr(text, '/');
    (void)snprintf(ns, sizeof(ns), "%.*s", (int)(slash - text), text);
    const struct pod *pod = state_pod(state, ns, slash + 1);
    if (!pod) {
        fail_msg("pod %s is not in the state", text);
    }
    if (pod->host_network) {
        return node_endpoint(state, pod->node, family);
    }
    struct endpoint end = {.pod = pod, .node = ""};
    end.has_address = of_family(pod->addresses, pod->n_addresses, family, &end.address);
    return end;
}

static struct endpoint resolve(struct state *state, const char *text, enum family family)
{
    struct endpoint end = {.node = "", .has_address = true};
    if (strchr(text, '/')) {
        return pod_endpoint(state, text, family);
    }
    if (strncmp(text, "node:", 5) == 0) {
        return node_endpoint(state, text + 5, family);
    }
    if (!address_parse(text, &end.address)) {
        fail_msg("%s: neither a pod nor a node nor an address", text);
    }
    end.pod = state_owner(state, &end.address);
    return end;
}

// The family that the question is about: that of an address in it, else the first that both ends have.
static enum family family_of(struct state *state, const char *from, const char *to)
{
    struct address address;
    if (address_parse(from, &address) || address_parse(to, &address)) {
        return address.family;
    }
    bool v4 = resolve(state, from, FAMILY_V4).has_address && resolve(state, to, FAMILY_V4).has_address;
    bool v6 = resolve(state, from, FAMILY_V6).has_address && resolve(state, to, FAMILY_V6).has_address;
    return v4 || !v6 ? FAMILY_V4 : FAMILY_V6;
}

static uint8_t protocol_of(const char *text)
{
    for (unsigned i = 0; i <= UINT8_MAX; i++) {
        const char *name = protocol_name((uint8_t)i);
        if (name && strcmp(name, text) == 0) {
            return (uint8_t)i;
        }
    }
    fail_msg("%s: not a protocol", text);
    return 0;
}

static void print_ruleset(const struct ruleset *ruleset)
{
    BUF_CLEANUP struct buf text = {0};
    render_restore(ruleset, &text);
    char path[] = "/tmp/netpold-test-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, text.data, text.len) != (ssize_t)text.len) {
        printf("%s\n", text.data);
    } else {
        printf("ruleset: %s\n", path);
    }
    (void)close(fd);
}

bool build_prove(struct state *state, const char *node, const struct facts *facts, const struct policy_options *options,
                 const struct ruleset *ruleset, const struct packet *packet, bool *ret_allowed)
{
    struct err err = {0};
    bool by_policy = false;
    enum simulate_verdict by_rules;
    if (evaluate_packet(state, node, facts, options, packet, &by_policy, &err) < 0) {
        fail_msg("evaluate: %s", err.msg);
    }
    int failed = simulate_packet(ruleset, packet, &by_rules, NULL, &err);
    bool rules_allow = !failed && (by_rules == SIMULATE_PASS || by_rules == SIMULATE_ACCEPT);
    *ret_allowed = by_policy;
    if (!failed && by_policy == rules_allow) {
        return true;
    }
    BUF_CLEANUP struct buf trace = {0};
    printf("node %s, host-egress=%s\n", node, options->host_egress_allowed ? "allow" : "enforce");
    random_packet_print(packet);
    printf("evaluator: %s\n", by_policy ? "allow" : "deny");
    if (failed) {
        printf("simulator: %s\n", err.msg);
    } else {
        failed = simulate_packet(ruleset, packet, &by_rules, &trace, &err);
        printf("simulator: %s\n%s\n", rules_allow ? "allow" : "deny",
               !failed && trace.data ? trace.data : "(no rule matched)");
    }
    print_ruleset(ruleset);
    return false;
}

struct question {
    struct state *state;
    const struct policy_options *options;
    struct query query;
    const char *where;  // "file:line: from -> to …"
};

static bool packet_on(const struct question *question, const char *node, enum arrival arrival)
{
    const struct query *query = &question->query;
    struct packet packet = {
        .arrival = arrival,
        .source = query->from.address,
        .destination = query->to.address,
        .protocol = query->protocol,
        .port = query->port,
        .icmp_type = query->protocol == 1    ? 8
                     : query->protocol == 58 ? 128
                                             : 0,
        .ct = CT_NEW,
        .source_is_node = arrival == ARRIVAL_FROM_NODE,
        .dnat = query->from.pod && query->from.pod == query->to.pod,
    };
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    struct err err = {0};
    if (compile_ruleset(question->state, node, NULL, question->options, &ruleset, NULL, &err) < 0) {
        fail_msg("%s: compile: %s", question->where, err.msg);
    }
    bool allowed = false;
    if (!build_prove(question->state, node, NULL, question->options, ruleset, &packet, &allowed)) {
        fail_msg("%s: evaluator and simulator disagree on node %s", question->where, node);
    }
    return allowed;
}

// The packets of the connection on every node that has an end of it, else on n1.
static bool packets_pass(const struct question *question)
{
    const struct endpoint *from = &question->query.from;
    const struct endpoint *to = &question->query.to;
    const char *source = from->pod ? from->pod->node : from->node;
    const char *target = to->pod ? to->pod->node : to->node;
    bool one_node = *source && strcmp(source, target) == 0;
    if (one_node && !from->pod) {
        return packet_on(question, source, ARRIVAL_FROM_NODE);
    }
    if (one_node && !to->pod) {
        return packet_on(question, source, ARRIVAL_TO_NODE);
    }
    bool pass = true;
    if (from->pod && *source) {
        pass = packet_on(question, source, ARRIVAL_FORWARD);
    }
    if (pass && to->pod && *target) {
        pass = packet_on(question, target, ARRIVAL_FORWARD);
    }
    return pass && (from->pod || to->pod || packet_on(question, "n1", ARRIVAL_FORWARD));
}

void build_expect(struct state *state, const char *from, const char *to, const char *protocol, uint16_t port,
                  enum verdict want, const char *file, int line)
{
    static const struct policy_options options;
    char where[512];
    (void)snprintf(where, sizeof(where), "%s:%d: %s -> %s %s/%u", file, line, from, to, protocol, port);
    enum family family = family_of(state, from, to);
    struct question question = {
        .state = state,
        .options = &options,
        .query = {.from = resolve(state, from, family),
                  .to = resolve(state, to, family),
                  .protocol = protocol_of(protocol),
                  .port = port},
        .where = where,
    };
    struct connection_verdict verdict;
    struct err err = {0};
    if (evaluate_query(state, &options, &question.query, &verdict, &err) < 0) {
        fail_msg("%s: %s", where, err.msg);
    }
    enum verdict got = verdict.verdict;
    verdict_done(&verdict);
    if (got != want) {
        fail_msg("%s: %s, wanted %s", where, verdict_name(got), verdict_name(want));
    }
    if (got != VERDICT_UNKNOWN && question.query.from.has_address && question.query.to.has_address &&
        packets_pass(&question) != (want == VERDICT_ALLOW)) {
        fail_msg("%s: packets are judged otherwise than the query (%s)", where, verdict_name(want));
    }
}
