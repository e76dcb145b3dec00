// SPDX-License-Identifier: Apache-2.0
//
// Follows ipt_do_table: a jump pushes the place behind it, a goto does not, and the end of a chain (or RETURN)
// continues at what was pushed last; with nothing pushed the built-in chain's policy decides, which here is "pass".
#include "ruleset/simulate.h"

#include "model/object.h"
#include "ruleset/render.h"

enum {
    DEPTH_MAX = 64,
    STEPS_MAX = 10 * 1000 * 1000,
    HOP_LIMIT_DEFAULT = 64,
    ICMP_V4 = 1,
    ICMP_V6 = 58,
    ICMP_V4_ANY = 255
};

// A place in a chain. `path` counts the chains entered on the way here and not left again: more of them than the table
// has chains means that one is entered from within itself.
struct frame {
    const char *name;
    const struct rule *rules;
    size_t n_rules;
    size_t next;
    size_t path;
};

struct walk {
    const struct table *table;
    const struct packet *packet;
    enum family family;
    struct frame stack[DEPTH_MAX];
    size_t depth;
    size_t steps;
    struct frame here;
    struct buf *trace;
    struct err *err;
};

// The last member that is not behind (address, length): with equal length the entry itself, else its neighbour.
static const struct set_member *member_at_or_before(const struct set *set, const struct address *address,
                                                    unsigned length)
{
    const struct prefix key = {.address = *address, .length = (uint8_t)length};
    size_t low = 0;
    size_t high = set->n_members;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (prefix_compare(&set->members[mid].prefix, &key) <= 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low ? &set->members[low - 1] : NULL;
}

// Longest prefix first. A prefix that holds the address and sorts before a neighbour that does not also holds that
// neighbour, so the search goes on below the length that both have in common: a few binary searches, whatever the
// number of prefix lengths.
static bool net_contains(const struct set *set, const struct address *address)
{
    struct address at = *address;
    unsigned length = family_bits(address->family);
    for (;;) {
        const struct set_member *member = member_at_or_before(set, &at, length);
        if (!member || member->prefix.address.family != address->family) {
            return false;
        }
        if (prefix_contains(&member->prefix, address)) {
            return !member->nomatch;
        }
        const struct prefix whole = prefix_of(address);
        const struct prefix common = prefix_common(&member->prefix, &whole);
        if (common.length == 0) {
            // ipset has no entry of length 0.
            return false;
        }
        at = common.address;
        length = common.length;
    }
}

static bool has_ports(uint8_t protocol)
{
    return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP;
}

static bool member_present(const struct set *set, const struct set_member *key)
{
    size_t low = 0;
    size_t high = set->n_members;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = set_member_compare(&set->members[mid], key);
        if (order == 0) {
            return true;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return false;
}

bool simulate_set_contains(const struct set *set, const struct address *address)
{
    const struct set_member key = {.prefix = prefix_of(address)};
    return set->type == SET_HASH_NET ? net_contains(set, address) : member_present(set, &key);
}

// 1 matches, 0 does not, -1 broken ruleset.
static int set_matches(const struct walk *walk, const struct rule *rule)
{
    const struct packet *packet = walk->packet;
    const struct set *set = table_set(walk->table, rule->set);
    if (!set) {
        return err_set(walk->err, ERR_BUG, 0, "rule %zu uses set %s, which does not exist", walk->here.next, rule->set);
    }
    const struct address *address = rule->set_direction == SET_SRC ? &packet->source : &packet->destination;
    struct set_member key = {.prefix = prefix_of(address)};
    switch (set->type) {
    case SET_HASH_IP:
    case SET_HASH_NET:
        return simulate_set_contains(set, address);
    case SET_HASH_IP_PORT:
        if (rule->set_direction == SET_SRC) {
            return err_set(walk->err, ERR_UNSUPPORTED, 0, "rule %zu matches set %s by source port, which is not known",
                           walk->here.next, rule->set);
        }
        key.protocol = packet->protocol;
        key.port = packet->port;
        return has_ports(packet->protocol) && member_present(set, &key);
    }
    return 0;
}

static bool header_matches(const struct rule *rule, const struct packet *packet)
{
    if (rule->protocol && rule->protocol != packet->protocol) {
        return false;
    }
    if (rule_has_source(rule) && !prefix_contains(&rule->source, &packet->source)) {
        return false;
    }
    if (rule_has_destination(rule) && !prefix_contains(&rule->destination, &packet->destination)) {
        return false;
    }
    if (*rule->in && strcmp(rule->in, packet->in) != 0) {
        return false;
    }
    return !*rule->out || strcmp(rule->out, packet->out) == 0;
}

static bool ports_match(const struct rule *rule, const struct packet *packet)
{
    for (size_t i = 0; i < rule->n_ports; i++) {
        if (packet->port >= rule->ports[i].first && packet->port <= rule->ports[i].last) {
            return true;
        }
    }
    return rule->n_ports == 0;
}

static bool icmp_matches(const struct rule *rule, const struct packet *packet)
{
    // Type 255 is "any" to the IPv4 match, and a type like others to the IPv6 one.
    bool any = rule->icmp_type < 0 || (rule->protocol == ICMP_V4 && rule->icmp_type == ICMP_V4_ANY);
    return any || packet->icmp_type == rule->icmp_type;
}

static bool ct_matches(const struct rule *rule, const struct packet *packet)
{
    if (!rule->ct_states) {
        return true;
    }
    unsigned states = packet->ct ? (unsigned)packet->ct : (unsigned)CT_NEW;
    if (packet->dnat) {
        states |= RULE_CT_DNAT;
    }
    return ((rule->ct_states & states) != 0) != rule->ct_invert;
}

// What the kernel would refuse to load is an error here, not a rule that never matches.
static int check_loadable(const struct walk *walk, const struct rule *rule)
{
    if (rule->n_ports && !has_ports(rule->protocol)) {
        return err_set(walk->err, ERR_BUG, 0, "rule %zu matches ports of protocol %u", walk->here.next, rule->protocol);
    }
    if (rule->icmp_type >= 0 && rule->protocol != (walk->family == FAMILY_V4 ? ICMP_V4 : ICMP_V6)) {
        return err_set(walk->err, ERR_BUG, 0, "rule %zu matches an ICMP type of protocol %u", walk->here.next,
                       rule->protocol);
    }
    if (rule->hop_limit >= 0 && walk->family != FAMILY_V6) {
        return err_set(walk->err, ERR_BUG, 0, "rule %zu matches a hop limit in IPv4", walk->here.next);
    }
    return 0;
}

static int rule_matches(const struct walk *walk, const struct rule *rule)
{
    const struct packet *packet = walk->packet;
    if (!header_matches(rule, packet)) {
        return 0;
    }
    if (check_loadable(walk, rule) < 0) {
        return -1;
    }
    unsigned hop_limit = packet->hop_limit ? packet->hop_limit : HOP_LIMIT_DEFAULT;
    if (!ports_match(rule, packet) || !icmp_matches(rule, packet) ||
        (rule->hop_limit >= 0 && (unsigned)rule->hop_limit != hop_limit) || !ct_matches(rule, packet) ||
        (rule->source_local && !packet->source_is_node) ||
        (*rule->physdev_in && strcmp(rule->physdev_in, packet->physdev_in) != 0) ||
        (*rule->physdev_out && strcmp(rule->physdev_out, packet->physdev_out) != 0) ||
        (packet->connmark & rule->connmark_mask) != rule->connmark) {
        return 0;
    }
    return rule->set ? set_matches(walk, rule) : 1;
}

static void trace_rule(const struct walk *walk, const struct rule *rule)
{
    if (!walk->trace) {
        return;
    }
    buf_printf(walk->trace, "%s: ", walk->here.name);
    render_rule(walk->family, walk->table, NULL, rule, walk->trace);
    buf_putc(walk->trace, '\n');
}

static int enter(struct walk *walk, const struct rule *rule, bool push)
{
    const struct chain *chain = table_chain(walk->table, rule->chain);
    if (!chain) {
        return err_set(walk->err, ERR_BUG, 0, "rule %zu leads to chain %s, which does not exist", walk->here.next,
                       rule->chain);
    }
    size_t path = walk->here.path + 1;
    if (path > walk->table->n_chains) {
        return err_set(walk->err, ERR_BUG, 0, "rule %zu leads back into chain %s: a loop", walk->here.next,
                       rule->chain);
    }
    if (push) {
        if (walk->depth == DEPTH_MAX) {
            return err_set(walk->err, ERR_LIMIT, 0, "jumps are nested deeper than %d", DEPTH_MAX);
        }
        walk->stack[walk->depth++] = walk->here;
    }
    walk->here = (struct frame){.name = chain->name, .rules = chain->rules, .n_rules = chain->n_rules, .path = path};
    return 0;
}

// The end of a chain. False when nothing was pushed: the built-in chain's policy decides.
static bool leave(struct walk *walk)
{
    if (walk->depth == 0) {
        return false;
    }
    walk->here = walk->stack[--walk->depth];
    return true;
}

enum step { STEP_ON, STEP_VERDICT, STEP_END };

// One rule at walk->here. A step, or -1.
static int step(struct walk *walk, enum simulate_verdict *ret)
{
    const struct rule *rule = &walk->here.rules[walk->here.next++];
    int matches = rule_matches(walk, rule);
    if (matches <= 0) {
        return matches < 0 ? -1 : STEP_ON;
    }
    trace_rule(walk, rule);
    switch (rule->target) {
    case TARGET_NONE:
        return STEP_ON;
    case TARGET_RETURN:
        return leave(walk) ? STEP_ON : STEP_END;
    case TARGET_ACCEPT:
        *ret = SIMULATE_ACCEPT;
        return STEP_VERDICT;
    case TARGET_DROP:
        *ret = SIMULATE_DROP;
        return STEP_VERDICT;
    case TARGET_REJECT:
        *ret = SIMULATE_REJECT;
        return STEP_VERDICT;
    case TARGET_JUMP:
        return enter(walk, rule, true) < 0 ? -1 : STEP_ON;
    case TARGET_GOTO:
        return enter(walk, rule, false) < 0 ? -1 : STEP_ON;
    }
    return STEP_ON;
}

// The chains that one rule of the built-in chain leads into, until they return to it. STEP_ON: go on behind the hook.
static int run(struct walk *walk, const struct hook *hook, enum simulate_verdict *ret)
{
    walk->depth = 0;
    walk->here = (struct frame){.name = hook->builtin, .rules = &hook->rule, .n_rules = 1};
    for (;;) {
        int result = STEP_ON;
        if (walk->here.next < walk->here.n_rules) {
            // Chains that jump twice to the next double with each: a kernel would hang as well.
            if (++walk->steps > STEPS_MAX) {
                return err_set(walk->err, ERR_LIMIT, 0, "a packet meets more than %d rules", STEPS_MAX);
            }
            result = step(walk, ret);
        } else if (walk->here.rules == &hook->rule) {
            return STEP_ON;
        } else if (!leave(walk)) {
            return STEP_END;
        }
        if (result != STEP_ON) {
            return result < 0 ? err_at_object(walk->err, "chain %s", walk->here.name) : result;
        }
    }
}

static const char *builtin_of(enum arrival arrival)
{
    switch (arrival) {
    case ARRIVAL_FORWARD:
        return "FORWARD";
    case ARRIVAL_TO_NODE:
        return "INPUT";
    case ARRIVAL_FROM_NODE:
        return "OUTPUT";
    }
    return "";
}

int simulate_packet(const struct ruleset *ruleset, const struct packet *packet, enum simulate_verdict *ret,
                    struct buf *trace, struct err *err)
{
    if (packet->source.family != packet->destination.family) {
        return err_set(err, ERR_INPUT, 0, "a packet's addresses must be of one family");
    }
    struct walk walk;
    walk.family = packet->source.family;
    walk.table = &ruleset->tables[walk.family];
    walk.packet = packet;
    walk.trace = trace;
    walk.steps = 0;
    walk.err = err;
    const char *builtin = builtin_of(packet->arrival);
    enum simulate_verdict verdict = SIMULATE_PASS;
    for (size_t i = 0; i < walk.table->n_hooks; i++) {
        const struct hook *hook = &walk.table->hooks[i];
        if (strcmp(hook->builtin, builtin) != 0) {
            continue;
        }
        int result = run(&walk, hook, &verdict);
        if (result < 0) {
            return -1;
        }
        if (result != STEP_ON) {
            break;
        }
    }
    *ret = verdict;
    return 0;
}
