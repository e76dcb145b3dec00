# SPDX-License-Identifier: Apache-2.0
"""The deliberate bugs: one change of one file each, by text that must stand there exactly once."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """Replace old by new in file. The change must compile, and a person must agree that it is a bug."""

    name: str
    what: str
    file: str
    old: str
    new: str

    def apply(self, text: str) -> str | None:
        """The changed text; None when old does not stand there exactly once."""
        return text.replace(self.old, self.new) if text.count(self.old) == 1 else None


EVALUATOR = "src/policy/evaluate.c"
MATCH = "src/policy/evaluate_match.c"

MUTATIONS = (
    # ---- what evaluator and compiler share ----
    Mutation("shared-notin-absent-key", "NotIn does not match a pod without the key (1.3)", "src/model/labels.c",
             "return !value || !has_value(requirement, value);", "return value && !has_value(requirement, value);"),
    Mutation("shared-empty-value", "a required empty value matches an absent key (1.3)", "src/model/labels.c",
             "return value && has_value(requirement, value);", 'return has_value(requirement, value ? value : "");'),
    Mutation("shared-finished-pod", "a failed pod keeps its address (2.3)", "src/model/object.c",
             "pod->phase != POD_SUCCEEDED && pod->phase != POD_FAILED", "pod->phase != POD_SUCCEEDED"),
    Mutation("shared-policy-types", "an empty egress list isolates egress without policyTypes (1.2)",
             "src/decode/decode_policy.c", "egress && (egress->type != DOC_LIST || egress->child)", "egress != NULL"),
    Mutation("shared-terminating-owner", "of two claimants the terminating pod owns the address (2.5)",
             "src/model/state.c", "        return b->meta.terminating;\n", "        return a->meta.terminating;\n"),
    # ---- the evaluator ----
    Mutation("eval-except-across-blocks", "the except of one ipBlock denies what another allows (3.16)", MATCH,
             "        enum match match = peer_match(policy, &rule->peers[i], attempt);\n",
             "        enum match match = peer_match(policy, &rule->peers[i], attempt);\n"
             "        if (rule->peers[i].kind == PEER_BLOCK && rule->peers[i].n_excepts && match == MATCH_NO) {\n"
             "            return MATCH_NO;\n        }\n"),
    Mutation("eval-name-on-judged-pod", "an egress port name is resolved on the source pod (4.5)", EVALUATOR,
             "            .target = ends[DIRECTION_INGRESS].pod,", "            .target = ends[i].pod,"),
    Mutation("eval-end-port", "endPort is exclusive (1.1)", MATCH,
             "attempt->port <= port->last", "attempt->port < port->last"),
    Mutation("eval-unseen-namespace", "NotIn matches a namespace that was not seen (2.9)", MATCH,
             "return selector->n == 0 && !selector->unreadable;",
             "return peer_selector_matches(selector, &(const struct labels){0});"),
    Mutation("eval-icmp-inherits", "ICMP passes by a rule with ports (3.10)", MATCH, "    if (rule->any_port) {",
             "    if (rule->any_port || attempt->protocol == 1) {"),
    Mutation("eval-sctp-is-tcp", "an SCTP packet matches a TCP entry (3.14)", MATCH,
             "port->protocol != attempt->protocol",
             "port->protocol != (attempt->protocol == PROTOCOL_SCTP ? PROTOCOL_TCP : attempt->protocol)"),
    Mutation("eval-empty-ports", "absent ports are no ports (1.1)", MATCH, "    if (rule->any_port) {",
             "    if (rule->any_port && rule->n_ports > 0) {"),
    Mutation("eval-empty-peers", "absent peers are nobody (1.1)", MATCH, "    if (rule->any_peer) {",
             "    if (rule->any_peer && rule->n_peers > 0) {"),
    Mutation("eval-own-namespace", "a podSelector peer is of every namespace (1.1)", MATCH,
             ": strcmp(pod->meta.ns, policy->meta.ns) == 0;", ": strcmp(pod->meta.ns, policy->meta.ns) >= 0;"),
    Mutation("eval-hairpin", "a packet from itself passes without translation (3.7)", EVALUATOR,
             "return packet->dnat && address_equal(&packet->source, &packet->destination);",
             "return address_equal(&packet->source, &packet->destination);"),
    Mutation("eval-nd-hop-limit", "neighbour discovery passes with any hop limit (3.11)", EVALUATOR,
             "return packet->hop_limit == NDP_HOP_LIMIT;", "return packet->hop_limit > 0;"),
    Mutation("eval-one-end", "a same-node pair is judged at its ingress only (3.1)", EVALUATOR,
             "        allowed = judge_side(policies, n, &attempt, NULL).verdict == VERDICT_ALLOW;\n",
             "        allowed = judge_side(policies, n, &attempt, NULL).verdict == VERDICT_ALLOW;\n        break;\n"),
    Mutation("eval-related", "every RELATED packet passes, a helper's data too (3.10)", EVALUATOR,
             "return packet->ct == CT_RELATED && packet->protocol == icmp;",
             "return packet->ct == CT_RELATED && icmp;"),
    Mutation("eval-grants-nothing", "a policy with an unreadable subject grants (1.5)", EVALUATOR,
             "    if (policy->grants_nothing) {",
             "    if (policy->grants_nothing && policy->unenforceable == false) {"),
    Mutation("eval-other-node", "any node is the pod's own node (3.4)", EVALUATOR,
             "return node && *node && strcmp(node, pod->node) == 0;", "return node && *node && *pod->node;"),
    Mutation("eval-link-local", "only link-local sources are guarded (3.19)", "src/policy/evaluate_guard.c",
             "address_is_link_local(&packet->source) || address_is_link_local(&packet->destination);",
             "address_is_link_local(&packet->source);"),
    # ---- the compiler ----
    Mutation("comp-except-across-blocks", "the except of the first ipBlock cuts all (3.16)",
             "src/policy/compile_chain.c",
             "&peer->cidr, peer->excepts, peer->n_excepts, err)",
             "&peer->cidr, group->blocks.v[0]->excepts, group->blocks.v[0]->n_excepts, err)"),
    Mutation("comp-region-nomatch", "exceptions of a region are written as members", "src/policy/region.c",
             "struct set_member member = {.nomatch = !match};", "struct set_member member = {.nomatch = false};"),
    Mutation("comp-region-whole", "a /0 is written as one half (3.17)", "src/policy/region.c",
             "for (unsigned half = 0; half < 2; half++)", "for (unsigned half = 0; half < 1; half++)"),
    Mutation("comp-port-lists", "ports two apart become one range", "src/policy/compile_group.c",
             "if (ports->v[i].first <= last->last + 1)", "if (ports->v[i].first <= last->last + 2)"),
    Mutation("comp-multiport", "ports beyond one multiport match are left out (case 71)", "src/policy/compile_chain.c",
             "        done += n;\n", "        done = group->ports.n;\n"),
    Mutation("comp-shared-direction", "ingress and egress share a program", "src/policy/compile_pod.c",
             "buf_putc(key, direction == DIRECTION_EGRESS ? 'E' : 'I');", "buf_putc(key, 'I');"),
    Mutation("comp-shared-names", "pods share a policy chain whatever numbers their port names have (4.4)",
             "src/policy/compile_pod.c", "if (rule->ports[k].kind == PORT_NAME)",
             "if (rule->ports[k].kind == PORT_UNREADABLE)"),
    Mutation("comp-egress-names", "an egress port name is resolved on the source pod (4.5)",
             "src/policy/compile_group.c",
             "bool ingress = collector->direction == DIRECTION_INGRESS;",
             "bool ingress = collector->direction <= DIRECTION_EGRESS;"),
    Mutation("comp-unseen-namespace", "any selector matches a namespace that was not seen (2.9)", "src/policy/select.c",
             "(namespace->object && selector_matches(", "(!namespace->object || selector_matches("),
    Mutation("comp-own-namespace", "a podSelector peer is of every namespace (1.1)", "src/policy/select.c",
             "memset(selection->in, 0, selection->n_namespaces);",
             "memset(selection->in, 1, selection->n_namespaces);"),
    Mutation("comp-ownership", "sets hold addresses that another pod owns by now (2.5)", "src/policy/compile_set.c",
             "pod->addresses[i].family == family && index_owns(index, id, i) &&",
             "pod->addresses[i].family == family &&"),
    Mutation("comp-hairpin", "a packet from itself passes without translation (3.7)", "src/policy/compile_pod.c",
             "    rule.ct_states = RULE_CT_DNAT;\n", ""),
    Mutation("comp-nd-hop-limit", "neighbour discovery passes with any hop limit (3.11)", "src/policy/compile_hooks.c",
             "add_icmpv6(ND_FIRST, ND_LAST, ND_HOP_LIMIT, pass, rules, err)",
             "add_icmpv6(ND_FIRST, ND_LAST, ND_HOP_LIMIT - 256, pass, rules, err)"),
    Mutation("comp-related", "every RELATED packet passes, a helper's data too (3.10)", "src/policy/compile_hooks.c",
             "verdict.protocol = hooks->family == FAMILY_V4 ? ICMP : ICMPV6;",
             "verdict.protocol = hooks->family == FAMILY_V4 ? 0 : ICMPV6;"),
    Mutation("comp-one-end", "the source's tree does not hand over to the target's (3.1)", "src/policy/compile_hooks.c",
             "    if (compile_tree_jump(compile, hooks->family, DIRECTION_EGRESS, rules, err) < 0 ||\n"
             "        compile_tree_jump(compile, hooks->family, DIRECTION_INGRESS, rules, err) < 0) {",
             "    if (compile_tree_jump(compile, hooks->family, DIRECTION_EGRESS, rules, err) < 0 ||\n"
             "        (!compile->tables[hooks->family].leaves[DIRECTION_EGRESS].n &&\n"
             "         compile_tree_jump(compile, hooks->family, DIRECTION_INGRESS, rules, err) < 0)) {"),
    Mutation("comp-to-node", "INPUT is not judged (3.5)", "src/policy/compile_hooks.c",
             "    hooks->egress = table->leaves[DIRECTION_EGRESS].n > 0 && !compile->options->host_egress_allowed;",
             "    hooks->egress = table->leaves[DIRECTION_EGRESS].n > 0 && compile->options->host_egress_allowed;"),
    Mutation("comp-any-protocol", "an entry without protocol groups opens every protocol (1.1)",
             "src/policy/compile_group.c", "rc = add_to_group(collector, protocol, &ports, NULL, peers);",
             "rc = add_to_group(collector, ports.v[0].last == UINT16_MAX ? 0 : protocol, &ports, NULL, peers);"),
    Mutation("comp-grants-nothing", "a policy with an unreadable subject grants (1.5)", "src/policy/compile_group.c",
             "bool grants = !policy->grants_nothing && !policy->subject.unreadable;",
             "bool grants = !policy->grants_nothing || policy->subject.unreadable;"),
    Mutation("comp-link-local", "only link-local sources are guarded (3.19)", "src/policy/compile_hooks.c",
             "    destination.destination = link_local;",
             "    destination.destination = prefix_truncate(&link_local.address, 11);"),
    Mutation("comp-tree", "a node of the dispatch tree forgets its last leaf", "src/policy/compile_tree.c",
             "    for (size_t i = 0, same = 0; i < n; i += same) {",
             "    for (size_t i = 0, same = 0; i + 1 < n || i == 0; i += same) {"),
    # ---- the engine: what follows from events is not what follows from the state ----
    Mutation("engine-namespace-labels", "a namespace's labels change and its pods' seats do not (2.8)",
             "src/policy/engine.c", "    for (size_t i = 0; i < n; i++) {\n        if (add_addresses(engine, pods[i]) < 0) {",
             "    for (size_t i = 1; i < n; i++) {\n        if (add_addresses(engine, pods[i]) < 0) {"),
    Mutation("engine-old-address", "the address that a pod gave up stays in the sets", "src/policy/engine.c",
             "add_addresses(engine, old) < 0 || add_addresses(engine, new) < 0",
             "add_addresses(engine, new ? new : old) < 0"),
    Mutation("engine-local-owner", "an address of a local pod goes to a pod elsewhere unseen (2.5)",
             "src/policy/engine.c", "engine->changes += engine->local_before || local || is;", "engine->changes += is;"),
    Mutation("engine-failed-write", "what a failed write did not bring is forgotten", "src/policy/engine_update.c",
             "    engine->changes_told = engine->changes;\n",
             "    engine->changes_told = engine->changes_kept = engine->changes;\n"),
    Mutation("engine-index-stamp", "a target is thought to be tested already", "src/policy/engine_match.c",
             "match->stamp = before ? before->stamp : 0;", "match->stamp = before ? 1 : 0;"),
)
