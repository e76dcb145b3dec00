// SPDX-License-Identifier: Apache-2.0
#include "audit/verify_space.h"

#include "policy/evaluate_match.h"

struct starts {
    struct address *v;
    size_t n;
    size_t cap;
};

// ---- local pods ----------------------------------------------------------------------------------------------------

void verify_pods_free(struct verify_pods *pods)
{
    for (size_t i = 0; i < pods->n; i++) {
        for (size_t j = 0; j < DIRECTION_COUNT; j++) {
            vec_free(&pods->v[i].isolating[j]);
        }
    }
    vec_free(pods);
}

static int find_isolating(const struct verify_input *input, struct verify_pod *pod, struct err *err)
{
    size_t n;
    const struct policy *const *policies = state_policies_of(input->state, pod->pod->meta.ns, &n);
    if (n == SIZE_MAX) {
        return err_oom(err);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < DIRECTION_COUNT; j++) {
            const struct attempt attempt = {.state = input->state, .direction = (enum direction)j, .pod = pod->pod};
            if (policy_isolates(policies[i], &attempt) && vec_push(&pod->isolating[j], policies[i]) < 0) {
                return err_oom(err);
            }
        }
    }
    return 0;
}

int verify_pods_find(const struct verify_input *input, struct verify_pods *ret, struct err *err)
{
    size_t n;
    const struct pod *const *pods = state_pods(input->state, &n);
    if (n == SIZE_MAX) {
        return err_oom(err);
    }
    struct verify_pods found = {0};
    for (size_t i = 0; i < n; i++) {
        if (!pod_is_live(pods[i]) || strcmp(pods[i]->node, input->node) != 0) {
            continue;
        }
        if (vec_push(&found, (struct verify_pod){.pod = pods[i]}) < 0) {
            verify_pods_free(&found);
            return err_oom(err);
        }
        if (find_isolating(input, &found.v[found.n - 1], err) < 0) {
            verify_pods_free(&found);
            return -1;
        }
    }
    *ret = found;
    return 0;
}

// ---- cells ---------------------------------------------------------------------------------------------------------

static struct address prefix_last(const struct prefix *prefix)
{
    struct address last = prefix->address;
    for (unsigned bit = prefix->length; bit < family_bits(last.family); bit++) {
        last.bytes[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
    }
    return last;
}

// The address behind the last one of a prefix; false when there is none.
static bool address_behind(const struct prefix *prefix, struct address *ret)
{
    struct address address = prefix->address;
    unsigned bit = prefix->length;
    while (bit-- > 0) {
        uint8_t mask = (uint8_t)(0x80u >> bit % 8);
        address.bytes[bit / 8] ^= mask;
        if (address.bytes[bit / 8] & mask) {
            *ret = address;
            return true;
        }
    }
    return false;
}

static int cut(struct starts *starts, enum family family, const struct prefix *prefix, struct err *err)
{
    struct address behind;
    if (prefix->address.family != family) {
        return 0;
    }
    if (vec_push(starts, prefix->address) < 0 || (address_behind(prefix, &behind) && vec_push(starts, behind) < 0)) {
        return err_oom(err);
    }
    return 0;
}

static int cut_rule(struct starts *starts, enum family family, const struct rule *rule, struct err *err)
{
    if (rule_has_source(rule) && cut(starts, family, &rule->source, err) < 0) {
        return -1;
    }
    return rule_has_destination(rule) ? cut(starts, family, &rule->destination, err) : 0;
}

static int cut_table(struct starts *starts, enum family family, const struct table *table, struct err *err)
{
    for (size_t i = 0; i < table->n_hooks; i++) {
        if (cut_rule(starts, family, &table->hooks[i].rule, err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < table->n_chains; i++) {
        for (size_t j = 0; j < table->chains[i].n_rules; j++) {
            if (cut_rule(starts, family, &table->chains[i].rules[j], err) < 0) {
                return -1;
            }
        }
    }
    for (size_t i = 0; i < table->n_sets; i++) {
        for (size_t j = 0; j < table->sets[i].n_members; j++) {
            if (cut(starts, family, &table->sets[i].members[j].prefix, err) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

static int cut_policy(struct starts *starts, enum family family, const struct policy *policy, enum direction direction,
                      struct err *err)
{
    for (size_t i = 0; i < policy->n_rules[direction]; i++) {
        const struct policy_rule *rule = &policy->rules[direction][i];
        for (size_t j = 0; j < rule->n_peers; j++) {
            const struct peer *peer = &rule->peers[j];
            if (peer->kind != PEER_BLOCK) {
                continue;
            }
            if (cut(starts, family, &peer->cidr, err) < 0) {
                return -1;
            }
            for (size_t k = 0; k < peer->n_excepts; k++) {
                if (cut(starts, family, &peer->excepts[k], err) < 0) {
                    return -1;
                }
            }
        }
    }
    return 0;
}

static int cut_policies(struct starts *starts, enum family family, const struct verify_pods *pods, struct err *err)
{
    for (size_t i = 0; i < pods->n; i++) {
        for (size_t j = 0; j < DIRECTION_COUNT; j++) {
            for (size_t k = 0; k < pods->v[i].isolating[j].n; k++) {
                if (cut_policy(starts, family, pods->v[i].isolating[j].v[k], (enum direction)j, err) < 0) {
                    return -1;
                }
            }
        }
    }
    return 0;
}

// What the evaluator treats apart whatever the state holds, and then some that people ask about.
static int cut_special(struct starts *starts, enum family family, struct err *err)
{
    static const char *const special[] = {"0.0.0.0/0",   "0.0.0.0/32",  "127.0.0.0/8",        "169.254.0.0/16",
                                          "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32", "::/0",
                                          "::/128",      "::1/128",     "fe80::/10",          "ff00::/8"};
    for (size_t i = 0; i < ARRAY_SIZE(special); i++) {
        struct prefix prefix;
        if (prefix_parse(special[i], &prefix) && cut(starts, family, &prefix, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int cut_addresses(struct starts *starts, enum family family, const struct address *addresses, size_t n,
                         struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct prefix prefix = prefix_of(&addresses[i]);
        if (cut(starts, family, &prefix, err) < 0) {
            return -1;
        }
    }
    return 0;
}

// The first two addresses of pod CIDRs, where nodes have some of their own.
static int cut_gateways(struct starts *starts, enum family family, const struct node *node, struct err *err)
{
    for (size_t i = 0; i < node->n_pod_cidrs; i++) {
        struct address gateways[2] = {node->pod_cidrs[i].address, node->pod_cidrs[i].address};
        gateways[1].bytes[family_bits(gateways[1].family) / 8 - 1] |= 1;
        if (cut_addresses(starts, family, gateways, ARRAY_SIZE(gateways), err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int cut_objects(struct starts *starts, enum family family, const struct verify_input *input, struct err *err)
{
    size_t n_pods;
    size_t n_nodes;
    const struct pod *const *pods = state_pods(input->state, &n_pods);
    const struct node *const *nodes = state_nodes(input->state, &n_nodes);
    if (n_pods == SIZE_MAX || n_nodes == SIZE_MAX) {
        return err_oom(err);
    }
    for (size_t i = 0; i < n_pods; i++) {
        if (cut_addresses(starts, family, pods[i]->addresses, pods[i]->n_addresses, err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < n_nodes; i++) {
        if (cut_addresses(starts, family, nodes[i]->addresses, nodes[i]->n_addresses, err) < 0 ||
            cut_gateways(starts, family, nodes[i], err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; input->facts && i < input->facts->n_interfaces; i++) {
        const struct facts_interface *interface = &input->facts->interfaces[i];
        if (cut_addresses(starts, family, interface->addresses, interface->n_addresses, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int cut_routes(struct starts *starts, enum family family, const struct facts_route *routes, size_t n,
                      struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (cut(starts, family, &routes[i].prefix, err) < 0) {
            return -1;
        }
    }
    return 0;
}

// What the guards tell apart, where nothing else has an edge there.
static int cut_guards(struct starts *starts, enum family family, const struct verify_input *input, struct err *err)
{
    const struct node *node = state_node(input->state, input->node);
    const struct policy_options *options = input->options;
    for (size_t i = 0; i < options->n_pod_cidrs; i++) {
        if (cut(starts, family, &options->pod_cidrs[i], err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; node && i < node->n_pod_cidrs; i++) {
        if (cut(starts, family, &node->pod_cidrs[i], err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; input->facts && i < input->facts->n_routes; i++) {
        struct prefix edge = prefix_of(&input->facts->routes[i].prefix.address);
        if (cut(starts, family, &edge, err) < 0) {
            return -1;
        }
        edge.address = prefix_last(&input->facts->routes[i].prefix);
        if (cut(starts, family, &edge, err) < 0) {
            return -1;
        }
    }
    const struct facts *facts = input->facts;
    return facts && (cut_routes(starts, family, facts->local, facts->n_local, err) < 0 ||
                     cut_routes(starts, family, facts->broadcast, facts->n_broadcast, err) < 0)
               ? -1
               : 0;
}

static void find_owners(struct verify_space *space)
{
    struct state *state = space->input->state;
    for (size_t i = 0; i < space->n_cells; i++) {
        struct verify_cell *cell = &space->cells[i];
        // The first address of a longer cell is nobody's: every pod's address is a cell of its own.
        cell->owner = state_owner(state, &cell->first);
        cell->local = VERIFY_REMOTE;
    }
    for (size_t i = 0; i < space->pods->n; i++) {
        const struct pod *pod = space->pods->v[i].pod;
        for (size_t j = 0; j < pod->n_addresses; j++) {
            if (pod->addresses[j].family != space->family) {
                continue;
            }
            struct verify_cell *cell = &space->cells[verify_space_find(space, &pod->addresses[j])];
            if (cell->owner == pod) {
                cell->local = (uint32_t)i;
            }
        }
    }
}

static int cut_all(struct verify_space *space, struct starts *starts, struct err *err)
{
    enum family family = space->family;
    if (cut_special(starts, family, err) < 0 ||
        cut_table(starts, family, &space->input->ruleset->tables[family], err) < 0 ||
        cut_policies(starts, family, space->pods, err) < 0 || cut_objects(starts, family, space->input, err) < 0 ||
        cut_guards(starts, family, space->input, err) < 0) {
        return -1;
    }
    qsort(starts->v, starts->n, sizeof(*starts->v), address_compare_void);
    space->cells = calloc(starts->n, sizeof(*space->cells));
    if (!space->cells) {
        return err_oom(err);
    }
    for (size_t i = 0; i < starts->n; i++) {
        if (i == 0 || !address_equal(&starts->v[i], &starts->v[i - 1])) {
            space->cells[space->n_cells++].first = starts->v[i];
        }
    }
    if (space->n_cells >= VERIFY_REMOTE) {
        return err_set(err, ERR_LIMIT, 0, "too many distinct addresses");
    }
    find_owners(space);
    return 0;
}

int verify_space_new(const struct verify_input *input, const struct verify_pods *pods, enum family family,
                     struct verify_space **ret, struct err *err)
{
    CLEANUP(verify_space_free) struct verify_space *space = calloc(1, sizeof(*space));
    if (!space) {
        return err_oom(err);
    }
    space->input = input;
    space->pods = pods;
    space->family = family;
    space->known = map_new();
    if (!space->known) {
        return err_oom(err);
    }
    struct starts starts = {0};
    int rc = cut_all(space, &starts, err);
    vec_free(&starts);
    if (rc < 0 || verify_names_new(input, pods, &space->names, err) < 0) {
        return -1;
    }
    *ret = TAKE(space);
    return 0;
}

void verify_space_free(struct verify_space *space)
{
    if (!space) {
        return;
    }
    for (size_t i = 0; i < space->tests.n; i++) {
        free(space->tests.v[i].bits);
        free(space->tests.v[i].values);
    }
    vec_free(&space->tests);
    map_free(space->known);
    verify_names_free(space->names);
    free(space->cells);
    free(space);
}

size_t verify_space_find(const struct verify_space *space, const struct address *address)
{
    size_t low = 0;
    size_t high = space->n_cells;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (address_compare(&space->cells[mid].first, address) <= 0) {
            low = mid;
        } else {
            high = mid;
        }
    }
    return low;
}

struct address verify_space_last(const struct verify_space *space, size_t cell)
{
    struct address last = {.family = space->family};
    unsigned n_bytes = family_bits(space->family) / 8;
    if (cell + 1 == space->n_cells) {
        memset(last.bytes, 0xff, n_bytes);
        return last;
    }
    last = space->cells[cell + 1].first;
    for (unsigned i = n_bytes; i-- > 0;) {
        if (last.bytes[i]-- != 0) {
            break;
        }
    }
    return last;
}
