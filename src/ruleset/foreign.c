// SPDX-License-Identifier: Apache-2.0
#include "ruleset/foreign.h"

#include <stdio.h>

#include "base/map.h"
#include "ruleset/ruleset.h"

enum table_kind { TABLE_FILTER, TABLE_RAW, TABLE_MANGLE, TABLE_NAT, TABLE_COUNT };
static const char *const table_names[TABLE_COUNT] = {"filter", "raw", "mangle", "nat"};

// A chain, or any other thing that a rule leads to: only chains are declared.
struct node {
    const char *name;
    bool declared;
    // The first thing in it, or behind it, that decides: "-j DROP" in that chain. NULL: nothing yet known.
    const char *decider_chain;
    const char *decider;
    bool ours;  // one of our chains, or it leads to one
    struct edge *callers;
};

struct edge {
    struct node *from;
    struct edge *next;
};

// A rule, or the policy, of a built-in chain from which a packet comes to us.
struct kept {
    enum family family;
    enum table_kind table;
    const char *chain;
    const char *what;
    const struct node *leads_to;  // NULL: it decides by itself
    unsigned number;              // 0: not known
    unsigned line;
    bool ahead;  // of a jump of ours; tables before the filter table always are
};

struct foreign {
    struct arena arena;
    struct map *nodes;  // "family table name" → struct node
    VEC(struct node *) order;
    VEC(struct kept) kept;
};

void foreign_free(struct foreign *foreign)
{
    if (foreign) {
        map_free(foreign->nodes);
        vec_free(&foreign->order);
        vec_free(&foreign->kept);
        arena_free(&foreign->arena);
        free(foreign);
    }
}

int foreign_new(struct foreign **ret, struct err *err)
{
    CLEANUP(foreign_free) struct foreign *foreign = calloc(1, sizeof(*foreign));
    if (!foreign) {
        return err_oom(err);
    }
    foreign->nodes = map_new();
    if (!foreign->nodes) {
        return err_oom(err);
    }
    *ret = TAKE(foreign);
    return 0;
}

static bool is_one_of(const char *word, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(word, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static enum table_kind table_of(const char *name)
{
    enum table_kind table = TABLE_FILTER;
    while (table < TABLE_COUNT && strcmp(table_names[table], name) != 0) {
        table++;
    }
    return table;
}

bool foreign_has_table(const char *table)
{
    return table_of(table) < TABLE_COUNT;
}

static bool is_builtin(const char *chain)
{
    static const char *const names[] = {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"};
    return is_one_of(chain, names, ARRAY_SIZE(names));
}

// Whether a packet passes this built-in chain before our rules of the filter table.
static bool is_early(enum table_kind table, const char *chain)
{
    bool pre = strcmp(chain, "PREROUTING") == 0;
    bool output = strcmp(chain, "OUTPUT") == 0;
    bool middle = strcmp(chain, "INPUT") == 0 || strcmp(chain, "FORWARD") == 0;
    switch (table) {
    case TABLE_FILTER:
        return middle || output;
    case TABLE_RAW:
    case TABLE_NAT:
        return pre || output;
    case TABLE_MANGLE:
        return pre || middle || output;
    case TABLE_COUNT:
        break;
    }
    return false;
}

// What decides nothing, wherever it stands, and goes on to the next rule. No rule of ours asks for a mark, an IPv4 TTL
// or what TCP negotiates.
static bool is_harmless(const char *target)
{
    static const char *const names[] = {
        "",       "AUDIT",       "CHECKSUM", "CLASSIFY", "CONNMARK", "CONNSECMARK", "DSCP",    "ECN",
        "HMARK",  "IDLETIMER",   "LED",      "LOG",      "MARK",     "NFLOG",       "RATEEST", "SECMARK",
        "TCPMSS", "TCPOPTSTRIP", "TOS",      "TRACE",    "TTL",      "ULOG",
    };
    return is_one_of(target, names, ARRAY_SIZE(names));
}

// What only ends the present chain or table, or does what the table is for.
static bool is_tame(enum table_kind table, bool builtin, const char *target)
{
    static const char *const translations[] = {"DNAT", "MASQUERADE", "NETMAP", "REDIRECT", "SNAT"};
    if (strcmp(target, "RETURN") == 0) {
        return table != TABLE_FILTER || !builtin;
    }
    if (strcmp(target, "ACCEPT") == 0) {
        return table != TABLE_FILTER;
    }
    return table == TABLE_NAT && is_one_of(target, translations, ARRAY_SIZE(translations));
}

static bool is_ours(const char *target)
{
    return strncmp(target, RULESET_CHAIN_PREFIX, sizeof(RULESET_CHAIN_PREFIX) - 1) == 0;
}

static bool is_verdict(const char *target)
{
    static const char *const names[] = {"ACCEPT", "DROP", "QUEUE", "RETURN"};
    return is_one_of(target, names, ARRAY_SIZE(names));
}

static struct node *node_of(struct foreign *foreign, enum family family, enum table_kind table, const char *name)
{
    char key[96];
    (void)snprintf(key, sizeof(key), "%d %d %.80s", (int)family, (int)table, name);
    struct node *node = map_get_str(foreign->nodes, key);
    if (node) {
        return node;
    }
    node = arena_alloc(&foreign->arena, sizeof(*node));
    const char *copy = arena_strdup(&foreign->arena, name);
    if (!node || !copy || map_put_str(foreign->nodes, key, node, NULL) < 0 || vec_push(&foreign->order, node) < 0) {
        return NULL;
    }
    node->name = copy;
    return node;
}

int foreign_add_chain(struct foreign *foreign, enum family family, const char *table, const char *chain,
                      struct err *err)
{
    enum table_kind kind = table_of(table);
    if (kind == TABLE_COUNT || is_builtin(chain)) {
        return 0;
    }
    struct node *node = node_of(foreign, family, kind, chain);
    if (!node) {
        return err_oom(err);
    }
    node->declared = true;
    return 0;
}

static int keep(struct foreign *foreign, const struct kept *kept, const char *chain, const char *what, struct err *err)
{
    struct kept copy = *kept;
    copy.chain = arena_strdup(&foreign->arena, chain);
    copy.what = arena_strndup(&foreign->arena, what, strnlen(what, FINDING_WHAT - 1));
    copy.ahead = kept->ahead || kept->table != TABLE_FILTER;
    return !copy.chain || !copy.what || vec_push(&foreign->kept, copy) < 0 ? err_oom(err) : 0;
}

int foreign_add_policy(struct foreign *foreign, enum family family, const char *table, const char *chain,
                       const char *policy, unsigned line, struct err *err)
{
    const struct kept kept = {.family = family, .table = table_of(table), .line = line};
    char what[32];
    // That of a chain with a jump of ours comes behind us.
    if (kept.table == TABLE_COUNT || kept.table == TABLE_FILTER || !is_early(kept.table, chain) ||
        strcmp(policy, "DROP") != 0) {
        return 0;
    }
    (void)snprintf(what, sizeof(what), "policy %s", policy);
    return keep(foreign, &kept, chain, what, err);
}

// A rule of a chain of others: it matters to who jumps to that chain.
static int add_to_chain(struct foreign *foreign, enum table_kind table, const struct foreign_rule *rule,
                        struct node *leads_to, struct err *err)
{
    struct node *from = node_of(foreign, rule->family, table, rule->chain);
    if (!from) {
        return err_oom(err);
    }
    from->declared = true;
    if (!leads_to) {
        if (!from->decider) {
            from->decider = arena_strdup(&foreign->arena, rule->target);
            from->decider_chain = from->name;
        }
        return from->decider ? 0 : err_oom(err);
    }
    struct edge *edge = arena_alloc(&foreign->arena, sizeof(*edge));
    if (!edge) {
        return err_oom(err);
    }
    *edge = (struct edge){.from = from, .next = leads_to->callers};
    leads_to->callers = edge;
    return 0;
}

int foreign_add_rule(struct foreign *foreign, const struct foreign_rule *rule, struct err *err)
{
    enum table_kind table = table_of(rule->table);
    bool builtin = is_builtin(rule->chain);
    if (table == TABLE_COUNT || (builtin && !is_early(table, rule->chain)) || is_harmless(rule->target) ||
        is_tame(table, builtin, rule->target)) {
        return 0;
    }
    struct node *leads_to = NULL;
    bool leaves = table == TABLE_FILTER && builtin && rule->is_goto;
    if (!leaves && !is_verdict(rule->target)) {
        leads_to = node_of(foreign, rule->family, table, rule->target);
        if (!leads_to) {
            return err_oom(err);
        }
    }
    if (!builtin) {
        return add_to_chain(foreign, table, rule, leads_to, err);
    }
    const struct kept kept = {
        .family = rule->family,
        .table = table,
        .leads_to = leads_to,
        .number = rule->number,
        .line = rule->line,
        .ahead = rule->is_first,
    };
    return keep(foreign, &kept, rule->chain, rule->what, err);
}

void foreign_hook(struct foreign *foreign, enum family family, const char *chain)
{
    for (size_t i = foreign->kept.n; i-- > 0;) {
        struct kept *kept = &foreign->kept.v[i];
        if (kept->table != TABLE_FILTER || kept->family != family || strcmp(kept->chain, chain) != 0) {
            continue;
        }
        kept->ahead = true;
    }
}

// From what decides to all that leads to it.
static int spread(struct foreign *foreign, struct err *err)
{
    VEC(struct node *) queue = {0};
    int rc = 0;
    // What leads into our chains by a way that is not ours, first.
    for (size_t i = 0; i < foreign->order.n && rc == 0; i++) {
        struct node *node = foreign->order.v[i];
        node->ours = is_ours(node->name);
        rc = node->ours && vec_push(&queue, node) < 0 ? err_oom(err) : 0;
    }
    for (size_t i = 0; i < queue.n && rc == 0; i++) {
        for (struct edge *edge = queue.v[i]->callers; edge && rc == 0; edge = edge->next) {
            if (!edge->from->ours) {
                edge->from->ours = true;
                rc = vec_push(&queue, edge->from) < 0 ? err_oom(err) : 0;
            }
        }
    }
    queue.n = 0;
    for (size_t i = 0; i < foreign->order.n && rc == 0; i++) {
        struct node *node = foreign->order.v[i];
        // Not a chain that we were told of: a target of an extension that may do anything, or a chain out of sight.
        bool decides = node->decider || !node->declared;
        rc = decides && vec_push(&queue, node) < 0 ? err_oom(err) : 0;
    }
    for (size_t i = 0; i < queue.n && rc == 0; i++) {
        const struct node *node = queue.v[i];
        for (struct edge *edge = node->callers; edge && rc == 0; edge = edge->next) {
            struct node *from = edge->from;
            if (!from->decider) {
                from->decider = node->declared ? node->decider : node->name;
                from->decider_chain = node->declared ? node->decider_chain : from->name;
                rc = vec_push(&queue, from) < 0 ? err_oom(err) : 0;
            }
        }
    }
    vec_free(&queue);
    return rc;
}

static int say(const struct kept *kept, struct findings *to, struct err *err)
{
    char where[FINDING_WHERE];
    char what[FINDING_WHAT];
    char line[24] = "";
    char number[24] = "";
    char decider[96] = "";
    if (kept->line) {
        (void)snprintf(line, sizeof(line), ", line %u", kept->line);
    }
    if (kept->number) {
        (void)snprintf(number, sizeof(number), " rule %u", kept->number);
    }
    (void)snprintf(where, sizeof(where), "%s %s %.32s%s%s", family_name(kept->family), table_names[kept->table],
                   kept->chain, number, line);
    const struct node *node = kept->leads_to;
    if (node && node->declared) {
        (void)snprintf(decider, sizeof(decider), " (%.32s: -j %.32s)", node->decider_chain, node->decider);
    }
    (void)snprintf(what, sizeof(what), "%.*s%s", (int)(sizeof(what) - sizeof(decider)), kept->what, decider);
    return findings_add(to, where, what, err);
}

int foreign_judge(struct foreign *foreign, struct findings *to, struct err *err)
{
    if (spread(foreign, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < foreign->kept.n; i++) {
        const struct kept *kept = &foreign->kept.v[i];
        const struct node *node = kept->leads_to;
        bool decides = !node || !node->declared || node->decider;
        // A way into our chains that is not ours counts wherever it stands.
        if ((kept->ahead || (node && node->ours)) && decides && say(kept, to, err) < 0) {
            return -1;
        }
    }
    return 0;
}
