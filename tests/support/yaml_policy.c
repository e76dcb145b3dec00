// SPDX-License-Identifier: Apache-2.0
#include "support/yaml_writer.h"

static const struct {
    const char *key;
    const char *peers;
    const char *type;
} directions[DIRECTION_COUNT] = {
    [DIRECTION_INGRESS] = {"ingress", "from", "Ingress"},
    [DIRECTION_EGRESS] = {"egress", "to", "Egress"},
};

// A text that stands for something unreadable, and what it shows.
struct nonsense {
    const char *text;
    enum clause clause;
};

static void write_nonsense(const struct yaml_writer *writer, const struct nonsense *all, size_t n)
{
    const struct nonsense *one = &all[yaml_pick(writer, n)];
    buf_puts(writer->out, one->text);
    yaml_says(writer, one->clause);
}

// ---- selectors -----------------------------------------------------------------------------------------------------

// What goes into matchLabels: one value, and no other requirement there has the key.
static bool is_match_label(const struct yaml_writer *writer, const struct selector *selector, size_t i)
{
    const struct requirement *requirement = &selector->v[i];
    bool twice = i > 0 && strcmp(selector->v[i - 1].key, requirement->key) == 0;
    return requirement->op == SELECTOR_IN && requirement->n_values == 1 && !twice && !yaml_chance(writer, 30);
}

static void write_expression(const struct yaml_writer *writer, const struct requirement *requirement)
{
    bool known = requirement->op != SELECTOR_UNKNOWN;
    buf_puts(writer->out, "{key: ");
    yaml_string(writer, requirement->key);
    buf_printf(writer->out, ", operator: %s", known ? selector_operator_name(requirement->op) : "Gt");
    if (requirement->op == SELECTOR_IN || requirement->op == SELECTOR_NOT_IN) {
        buf_puts(writer->out, ", values: [");
        for (size_t i = 0; i < requirement->n_values; i++) {
            buf_puts(writer->out, i ? ", " : "");
            yaml_string(writer, requirement->values[i]);
        }
        // The same again changes nothing.
        if (requirement->n_values && yaml_chance(writer, 10)) {
            buf_puts(writer->out, ", ");
            yaml_string(writer, requirement->values[0]);
        }
        buf_putc(writer->out, ']');
    }
    buf_putc(writer->out, '}');
}

// What makes a selector unreadable. Returns whether it left the list of expressions open.
static bool write_unreadable_part(const struct yaml_writer *writer, const char *separator, bool subject)
{
    if (yaml_chance(writer, 50)) {
        buf_printf(writer->out, "%sfutureKey: {app: \"a\"}", separator);
        yaml_says(writer, subject ? CLAUSE_T_SUBJECT_KEY : CLAUSE_T_PEER_SELECTOR_KEY);
        return false;
    }
    buf_printf(writer->out, "%smatchExpressions: [{key: app, operator: Gt, values: [\"1\"]}", separator);
    yaml_says(writer, subject ? CLAUSE_T_SUBJECT_OPERATOR : CLAUSE_T_PEER_OPERATOR);
    return true;
}

static void write_selector(const struct yaml_writer *writer, const struct selector *selector, bool subject)
{
    enum { ROOM = 64 };
    bool label[ROOM] = {false};
    size_t labels = 0;
    for (size_t i = 0; i < selector->n && i < ROOM; i++) {
        label[i] = is_match_label(writer, selector, i);
        buf_puts(writer->out, !label[i] ? "" : labels ? ", " : "{matchLabels: {");
        if (label[i]) {
            yaml_string(writer, selector->v[i].key);
            buf_puts(writer->out, ": ");
            yaml_string(writer, selector->v[i].values[0]);
            labels++;
        }
    }
    buf_puts(writer->out, labels ? "}" : "{");
    const char *separator = labels ? ", " : "";
    bool open = false;
    if (selector->unreadable) {
        open = write_unreadable_part(writer, separator, subject);
        separator = ", ";
    }
    for (size_t i = 0; i < selector->n; i++) {
        if (i < ROOM && label[i]) {
            continue;
        }
        buf_printf(writer->out, "%s%s", separator, open ? "" : "matchExpressions: [");
        write_expression(writer, &selector->v[i]);
        yaml_says(writer, CLAUSE_T_MATCH_EXPRESSIONS);
        open = true;
        separator = ", ";
    }
    if (labels) {
        yaml_says(writer, CLAUSE_T_MATCH_LABELS);
    }
    buf_puts(writer->out, open ? "]}" : "}");
}

// ---- peers ---------------------------------------------------------------------------------------------------------

static const struct nonsense unreadable_peers[] = {
    {"{podSelector: {}, futureKey: true}", CLAUSE_T_PEER_KEY},
    {"{}", CLAUSE_T_PEER_EMPTY},
    {"{futureKey: {}}", CLAUSE_T_PEER_KEY},
    {"{podSelector: {futureKey: {}}}", CLAUSE_T_PEER_SELECTOR_KEY},
    {"{namespaceSelector: {}, podSelector: {matchLabels: {}, futureKey: 1}}", CLAUSE_T_PEER_SELECTOR_KEY},
    {"{podSelector: {matchExpressions: [{key: app, operator: Gt, values: [\"1\"]}]}}", CLAUSE_T_PEER_OPERATOR},
    {"{namespaceSelector: {matchExpressions: [{key: app, operator: In, values: []}]}}", CLAUSE_T_PEER_OPERATOR},
    {"{ipBlock: {cidr: 0.0.0.0/0, futureKey: []}}", CLAUSE_T_BLOCK_KEY},
    {"{ipBlock: {cidr: 0.0.0.0/0}, podSelector: {}}", CLAUSE_T_BLOCK_KEY},
    {"{ipBlock: {cidr: 10.0.0.0}}", CLAUSE_T_BLOCK_CIDR},
    {"{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}", CLAUSE_T_BLOCK_CIDR},
};

static void write_block(const struct yaml_writer *writer, const struct peer *peer)
{
    buf_puts(writer->out, "{ipBlock: {cidr: ");
    yaml_prefix(writer, &peer->cidr);
    for (size_t i = 0; i < peer->n_excepts; i++) {
        buf_puts(writer->out, i ? ", " : ", except: [");
        yaml_prefix(writer, &peer->excepts[i]);
    }
    buf_puts(writer->out, peer->n_excepts ? "]}}" : yaml_chance(writer, 20) ? ", except: []}}" : "}}");
}

static void write_peer(const struct yaml_writer *writer, const struct peer *peer)
{
    switch (peer->kind) {
    case PEER_BLOCK:
        write_block(writer, peer);
        break;
    case PEER_UNREADABLE:
        write_nonsense(writer, unreadable_peers, ARRAY_SIZE(unreadable_peers));
        break;
    case PEER_PODS:
        buf_putc(writer->out, '{');
        if (peer->has_pod_selector) {
            buf_puts(writer->out, "podSelector: ");
            write_selector(writer, &peer->pod_selector, false);
        }
        if (peer->has_ns_selector) {
            buf_puts(writer->out, peer->has_pod_selector ? ", namespaceSelector: " : "namespaceSelector: ");
            write_selector(writer, &peer->ns_selector, false);
        }
        buf_putc(writer->out, '}');
        break;
    }
}

// ---- ports ---------------------------------------------------------------------------------------------------------

static const struct nonsense unreadable_ports[] = {
    {"{port: 80, futureKey: 1}", CLAUSE_T_PORT_KEY},
    {"{protocol: ICMP, port: 80}", CLAUSE_T_PORT_PROTOCOL},
    {"{protocol: tcp}", CLAUSE_T_PORT_PROTOCOL},
    {"{port: \"80\"}", CLAUSE_T_PORT_VALUE},
    {"{port: 0}", CLAUSE_T_PORT_VALUE},
    {"{port: 90, endPort: 80}", CLAUSE_T_PORT_VALUE},
    {"{endPort: 80}", CLAUSE_T_PORT_VALUE},
    {"{port: http, endPort: 8080}", CLAUSE_T_PORT_VALUE},
};

static void write_port(const struct yaml_writer *writer, const struct policy_port *port)
{
    if (port->kind == PORT_UNREADABLE) {
        write_nonsense(writer, unreadable_ports, ARRAY_SIZE(unreadable_ports));
        return;
    }
    bool absent = port->protocol == PROTOCOL_TCP && yaml_chance(writer, 50);
    buf_puts(writer->out, "{");
    if (absent) {
        yaml_says(writer, port->kind == PORT_ALL ? CLAUSE_T_PORT_ENTRY_EMPTY : CLAUSE_T_PROTOCOL_ABSENT);
    } else {
        buf_printf(writer->out, "protocol: %s%s", protocol_name(port->protocol), port->kind == PORT_ALL ? "" : ", ");
    }
    if (port->kind == PORT_NAME) {
        buf_puts(writer->out, "port: ");
        yaml_string(writer, port->name);
    } else if (port->kind == PORT_RANGE) {
        buf_printf(writer->out, "port: %u", port->first);
        bool equal = port->first == port->last && yaml_chance(writer, 25);
        if (equal) {
            yaml_says(writer, CLAUSE_T_END_PORT_EQUAL);
        }
        if (equal || port->first != port->last) {
            buf_printf(writer->out, ", endPort: %u", port->last);
        }
    }
    buf_putc(writer->out, '}');
}

// ---- rules ---------------------------------------------------------------------------------------------------------

static const struct nonsense unreadable_rules[] = {
    {"{futureKey: true}", CLAUSE_T_RULE_KEY},
    {"{ports: [{port: 80}], futureKey: []}", CLAUSE_T_RULE_KEY},
    {"{ports: 80}", CLAUSE_T_RULE_KEY},
};

// A list that is not there means anything. Returns whether the rule has a key by now.
static bool write_any(const struct yaml_writer *writer, const char *key, const char *lead)
{
    switch (yaml_pick(writer, 4)) {
    case 1:
        buf_printf(writer->out, "%s%s: []\n", lead, key);
        yaml_says(writer, CLAUSE_T_LIST_EMPTY);
        return true;
    case 2:
        buf_printf(writer->out, "%s%s: null\n", lead, key);
        yaml_says(writer, CLAUSE_T_LIST_NULL);
        return true;
    default:
        yaml_says(writer, CLAUSE_T_LIST_ABSENT);
        return false;
    }
}

static void write_rule(const struct yaml_writer *writer, const struct policy_rule *rule, enum direction direction)
{
    static const char first[] = "  - ";
    static const char later[] = "    ";
    if (rule->unreadable) {
        buf_puts(writer->out, first);
        write_nonsense(writer, unreadable_rules, ARRAY_SIZE(unreadable_rules));
        buf_putc(writer->out, '\n');
        return;
    }
    bool begun = false;
    if (rule->any_peer) {
        begun = write_any(writer, directions[direction].peers, first);
    } else {
        buf_printf(writer->out, "%s%s:%s\n", first, directions[direction].peers, rule->n_peers ? "" : " [{}]");
        begun = true;
    }
    for (size_t i = 0; i < rule->n_peers; i++) {
        buf_puts(writer->out, "    - ");
        write_peer(writer, &rule->peers[i]);
        buf_putc(writer->out, '\n');
    }
    if (rule->any_port) {
        begun = write_any(writer, "ports", begun ? later : first) || begun;
    } else {
        buf_printf(writer->out, "%sports:%s\n", begun ? later : first, rule->n_ports ? "" : " [{protocol: X}]");
        begun = true;
    }
    for (size_t i = 0; i < rule->n_ports; i++) {
        buf_puts(writer->out, "    - ");
        write_port(writer, &rule->ports[i]);
        buf_putc(writer->out, '\n');
    }
    if (!begun) {
        buf_printf(writer->out, "%s{}\n", first);
    }
}

static void write_rules(const struct yaml_writer *writer, const struct policy *policy, enum direction direction)
{
    const char *key = directions[direction].key;
    if (!policy->isolates[direction]) {
        if (yaml_chance(writer, 30)) {
            buf_printf(writer->out, "  %s: [{}]\n", key);
            yaml_says(writer, CLAUSE_T_RULES_UNLISTED);
        }
        return;
    }
    if (policy->grants_nothing && yaml_chance(writer, 50)) {
        buf_printf(writer->out, "  %s: [{}]\n", key);
        return;
    }
    if (policy->n_rules[direction] == 0) {
        static const enum clause clauses[] = {CLAUSE_T_RULES_ABSENT, CLAUSE_T_RULES_EMPTY, CLAUSE_T_RULES_NULL};
        size_t how = yaml_pick(writer, ARRAY_SIZE(clauses));
        yaml_says(writer, clauses[how]);
        if (how > 0) {
            buf_printf(writer->out, "  %s: %s\n", key, how == 1 ? "[]" : "null");
        }
        return;
    }
    buf_printf(writer->out, "  %s:\n", key);
    for (size_t i = 0; i < policy->n_rules[direction]; i++) {
        write_rule(writer, &policy->rules[direction][i], direction);
    }
}

// ---- policies ------------------------------------------------------------------------------------------------------

// Would absent types mean the same?
static bool types_default(const struct policy *policy)
{
    bool egress = policy->n_rules[DIRECTION_EGRESS] > 0;
    return policy->isolates[DIRECTION_INGRESS] && policy->isolates[DIRECTION_EGRESS] == egress;
}

static void write_listed_types(const struct yaml_writer *writer, const struct policy *policy)
{
    bool known = policy->isolates[DIRECTION_INGRESS] || policy->isolates[DIRECTION_EGRESS];
    bool future = !known || (policy->unenforceable && yaml_chance(writer, 30));
    bool reversed = yaml_chance(writer, 50);
    const char *separator = "";
    buf_puts(writer->out, "  policyTypes: [");
    for (size_t i = 0; i < DIRECTION_COUNT; i++) {
        size_t direction = reversed ? DIRECTION_COUNT - 1 - i : i;
        if (!policy->isolates[direction]) {
            continue;
        }
        buf_printf(writer->out, "%s%s", separator, directions[direction].type);
        separator = ", ";
        if (yaml_chance(writer, 15)) {
            buf_printf(writer->out, ", %s", directions[direction].type);
            yaml_says(writer, CLAUSE_T_TYPES_TWICE);
        }
    }
    if (future) {
        buf_printf(writer->out, "%sFuture", separator);
        yaml_says(writer, CLAUSE_T_TYPES_UNKNOWN);
    }
    buf_puts(writer->out, "]\n");
}

void yaml_policy(const struct yaml_writer *writer, const struct policy *policy)
{
    bool unsaid = types_default(policy) && yaml_chance(writer, 50);
    buf_puts(writer->out, "spec:\n");
    if (policy->subject.n == 0 && !policy->subject.unreadable && yaml_chance(writer, 40)) {
        yaml_says(writer, CLAUSE_T_SUBJECT_ABSENT);
    } else {
        buf_puts(writer->out, "  podSelector: ");
        write_selector(writer, &policy->subject, true);
        buf_putc(writer->out, '\n');
    }
    if (!unsaid) {
        write_listed_types(writer, policy);
    } else if (yaml_chance(writer, 30)) {
        buf_puts(writer->out, "  policyTypes: []\n");
        yaml_says(writer, CLAUSE_T_TYPES_EMPTY);
    } else {
        yaml_says(writer,
                  policy->isolates[DIRECTION_EGRESS] ? CLAUSE_T_TYPES_ABSENT_BOTH : CLAUSE_T_TYPES_ABSENT_INGRESS);
    }
    if (yaml_chance(writer, 15)) {
        buf_puts(writer->out, "  futureKey: {}\n");
        yaml_says(writer, CLAUSE_T_SPEC_KEY);
    }
    // Rules of a direction that is not listed would list it.
    bool silent = unsaid && !policy->isolates[DIRECTION_EGRESS];
    write_rules(writer, policy, DIRECTION_INGRESS);
    if (!silent) {
        write_rules(writer, policy, DIRECTION_EGRESS);
    }
}
