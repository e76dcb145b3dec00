// SPDX-License-Identifier: Apache-2.0
#include "ruleset/simulate_check.h"

#include <stdio.h>

#include "base/buf.h"
#include "model/object.h"
#include "ruleset/render.h"

static bool has_ports(uint8_t protocol)
{
    return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP;
}

static int check_set(enum family family, const struct set *set, struct findings *to, struct err *err)
{
    for (size_t i = 0; set->type == SET_HASH_IP_PORT && i < set->n_members; i++) {
        if (has_ports(set->members[i].protocol)) {
            continue;
        }
        char where[FINDING_WHERE];
        char what[FINDING_WHAT];
        struct buf BUF_CLEANUP member = {0};
        render_member(set, &set->members[i], &member);
        if (member.failed) {
            return err_oom(err);
        }
        (void)snprintf(where, sizeof(where), "%s set %s", family_name(family), set->name);
        (void)snprintf(what, sizeof(what), "%.160s: no port of TCP, UDP or SCTP", member.data);
        if (findings_add(to, where, what, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int check_chain(enum family family, const struct chain *chain, struct findings *to, struct err *err)
{
    for (size_t i = 0; i < chain->n_rules; i++) {
        char where[FINDING_WHERE];
        if (chain->rules[i].hop_limit != 0) {
            continue;
        }
        (void)snprintf(where, sizeof(where), "%s filter %s rule %zu", family_name(family), chain->name, i + 1);
        if (findings_add(to, where, "a hop limit of 0", err) < 0) {
            return -1;
        }
    }
    return 0;
}

int simulate_check(const struct ruleset *ruleset, struct findings *to, struct err *err)
{
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        const struct table *table = &ruleset->tables[family];
        for (size_t i = 0; i < table->n_sets; i++) {
            if (check_set(family, &table->sets[i], to, err) < 0) {
                return -1;
            }
        }
        for (size_t i = 0; i < table->n_chains; i++) {
            if (check_chain(family, &table->chains[i], to, err) < 0) {
                return -1;
            }
        }
        for (size_t i = 0; i < table->n_hooks; i++) {
            const struct chain hook = {.name = table->hooks[i].builtin, .rules = &table->hooks[i].rule, .n_rules = 1};
            if (check_chain(family, &hook, to, err) < 0) {
                return -1;
            }
        }
    }
    return 0;
}
