// SPDX-License-Identifier: Apache-2.0
#include "support/trial.h"

#include <stdio.h>

#include "policy/compile.h"
#include "policy/evaluate.h"
#include "ruleset/simulate.h"
#include "support/state_yaml.h"

static void *have(void *memory)
{
    if (!memory) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

// ---- copies --------------------------------------------------------------------------------------------------------

void *trial_copy_object(const struct random_object *object)
{
    switch (object->kind) {
    case OBJECT_POD:
        return have(pod_dup(object->object));
    case OBJECT_NAMESPACE:
        return have(ns_object_dup(object->object));
    case OBJECT_POLICY:
        return have(policy_dup(object->object));
    case OBJECT_NODE:
        return have(node_dup(object->object));
    }
    return NULL;
}

static void *copy_array(struct facts *facts, const void *from, size_t n, size_t size)
{
    void *to = have(arena_alloc(&facts->arena, n * size));
    if (n) {
        memcpy(to, from, n * size);
    }
    return to;
}

struct facts *trial_copy_facts(const struct facts *facts)
{
    struct facts *copy;
    if (!facts) {
        return NULL;
    }
    if (facts_new(&copy, NULL) < 0) {
        have(NULL);
    }
    struct facts_interface *interfaces =
        copy_array(copy, facts->interfaces, facts->n_interfaces, sizeof(*facts->interfaces));
    for (size_t i = 0; i < facts->n_interfaces; i++) {
        interfaces[i].addresses =
            copy_array(copy, interfaces[i].addresses, interfaces[i].n_addresses, sizeof(struct address));
    }
    copy->interfaces = interfaces;
    copy->n_interfaces = facts->n_interfaces;
    copy->routes = copy_array(copy, facts->routes, facts->n_routes, sizeof(*facts->routes));
    copy->n_routes = facts->n_routes;
    copy->local = copy_array(copy, facts->local, facts->n_local, sizeof(*facts->local));
    copy->n_local = facts->n_local;
    copy->broadcast = copy_array(copy, facts->broadcast, facts->n_broadcast, sizeof(*facts->broadcast));
    copy->n_broadcast = facts->n_broadcast;
    copy->ports = copy_array(copy, facts->ports, facts->n_ports, sizeof(*facts->ports));
    copy->n_ports = facts->n_ports;
    copy->tunnel_ports = copy_array(copy, facts->tunnel_ports, facts->n_tunnel_ports, sizeof(*facts->tunnel_ports));
    copy->n_tunnel_ports = facts->n_tunnel_ports;
    memcpy(copy->bridge_nf, facts->bridge_nf, sizeof(copy->bridge_nf));
    copy->bridge_nf_vlan = facts->bridge_nf_vlan;
    memcpy(copy->revoked, facts->revoked, sizeof(copy->revoked));
    copy->ipvs = facts->ipvs;
    return copy;
}

void trial_init(struct trial *trial, const struct random_object *objects, size_t n_objects, const struct facts *facts,
                const char *node, const struct policy_options *options, const struct packet *packet)
{
    *trial = (struct trial){
        .objects = have(calloc(n_objects + 1, sizeof(*objects))),
        .n_objects = n_objects,
        .facts = trial_copy_facts(facts),
        .node = node,
        .options = *options,
        .packet = *packet,
    };
    for (size_t i = 0; i < n_objects; i++) {
        trial->objects[i] = (struct random_object){objects[i].kind, trial_copy_object(&objects[i])};
    }
}

void trial_done(struct trial *trial)
{
    for (size_t i = 0; i < trial->n_objects; i++) {
        free((void *)trial->objects[i].object);
    }
    free(trial->objects);
    facts_free(trial->facts);
    *trial = (struct trial){0};
}

struct state *trial_state(const struct trial *trial)
{
    struct state *state;
    if (state_new(&state, NULL) < 0) {
        have(NULL);
    }
    for (size_t i = 0; i < trial->n_objects; i++) {
        (void)random_object_put(state, &trial->objects[i]);
    }
    return state;
}

// ---- verdicts ------------------------------------------------------------------------------------------------------

static const char *verdict_text(bool allowed)
{
    return allowed ? "allow" : "deny";
}

static bool rules_allow(enum simulate_verdict verdict)
{
    return verdict == SIMULATE_PASS || verdict == SIMULATE_ACCEPT;
}

// Both verdicts; out (may be NULL) gets them in words, with the walk.
static bool judge(const struct trial *trial, struct buf *out)
{
    CLEANUP(state_free) struct state *state = trial_state(trial);
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    struct err err = {0};
    bool wanted = false;
    enum simulate_verdict got = SIMULATE_PASS;
    if (compile_ruleset(state, trial->node, trial->facts, &trial->options, &ruleset, NULL, &err) < 0 ||
        evaluate_packet(state, trial->node, trial->facts, &trial->options, &trial->packet, &wanted, &err) < 0) {
        if (out) {
            buf_printf(out, "no verdict: %s\n", err.msg);
        }
        return true;
    }
    if (trial->tamper) {
        trial->tamper(ruleset);
    }
    BUF_CLEANUP struct buf trace = {0};
    bool failed = simulate_packet(ruleset, &trial->packet, &got, out ? &trace : NULL, &err) < 0;
    if (out) {
        buf_printf(out, "evaluator: %s\nsimulator: %s\n%s", verdict_text(wanted),
                   failed ? err.msg : verdict_text(rules_allow(got)), trace.data ? trace.data : "(no rule matched)\n");
    }
    return failed || rules_allow(got) != wanted;
}

bool trial_differs(const struct trial *trial)
{
    return judge(trial, NULL);
}

// ---- showing -------------------------------------------------------------------------------------------------------

static bool reads_back(const struct trial *trial, const struct buf *yaml)
{
    CLEANUP(state_free) struct state *state = state_yaml_read(yaml);
    bool equal = true;
    for (size_t i = 0; i < trial->n_objects; i++) {
        equal = equal && state_yaml_holds(state, &trial->objects[i]);
    }
    return equal;
}

void trial_print(const struct trial *trial)
{
    static const char *const guards[] = {"enforced", "all", "off"};
    BUF_CLEANUP struct buf yaml = {0};
    for (size_t i = 0; i < trial->n_objects; i++) {
        state_yaml_object(&trial->objects[i], NULL, NULL, &yaml);
    }
    BUF_CLEANUP struct buf rest = {0};
    buf_printf(&rest,
               "# %s: netpolctl verify -f - --node=%s --denied-verdict=%s --allowed-verdict=%s --host-egress=%s"
               " --source-guard=%s%s --unknown-pods=%s%s",
               reads_back(trial, &yaml) ? "reads back as the same objects" : "no text gives exactly these objects",
               trial->node, trial->options.denied == DENIED_REJECT ? "reject" : "drop",
               trial->options.allowed == ALLOWED_ACCEPT ? "accept" : "return",
               trial->options.host_egress_allowed ? "allow" : "enforce", guards[trial->options.source_guard],
               trial->options.encap_allowed ? " --no-drop-encap" : "",
               trial->options.unknown_pods == UNKNOWN_PODS_DROP ? "drop" : "allow",
               trial->facts ? " --facts=FILE" : "");
    for (size_t i = 0; i < trial->options.n_pod_cidrs; i++) {
        char cidr[PREFIX_TEXT];
        buf_printf(&rest, " --pod-cidr=%s", prefix_format(&trial->options.pod_cidrs[i], cidr));
    }
    buf_printf(&rest, "  (revoke mask %x)\n", trial->options.revoke_mask);
    char source[ADDRESS_TEXT];
    char destination[ADDRESS_TEXT];
    buf_printf(&rest, "# the ends alone: netpolctl explain --rules -f - %s %s -p %u --port %u\n",
               address_format(&trial->packet.source, source), address_format(&trial->packet.destination, destination),
               trial->packet.protocol, trial->packet.port);
    if (trial->facts) {
        buf_puts(&rest, "facts: ");
        facts_render_json(trial->facts, &rest);
        buf_putc(&rest, '\n');
    }
    buf_puts(&rest, "packet: ");
    random_packet_describe(&trial->packet, &rest);
    buf_putc(&rest, '\n');
    (void)judge(trial, &rest);
    printf("%s%s", yaml.data ? yaml.data : "", rest.data ? rest.data : "out of memory\n");
}
