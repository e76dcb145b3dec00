// SPDX-License-Identifier: Apache-2.0
#include "support/clause.h"

#include <inttypes.h>
#include <stdio.h>

#define CLAUSE_ROW(name, id, text) {id, text},
static const struct {
    const char *id;
    const char *text;
} clauses[CLAUSE_COUNT] = {CLAUSES(CLAUSE_ROW)};
#undef CLAUSE_ROW

void clause_count(struct clause_tally *tally, uint64_t state, const struct clause_set *met, bool allowed)
{
    for (size_t i = 0; i < CLAUSE_WORDS; i++) {
        for (uint64_t left = met->words[i]; left; left &= left - 1) {
            size_t clause = i * 64 + (size_t)__builtin_ctzll(left);
            tally->of[clause].verdicts[allowed]++;
            if (tally->of[clause].last_state != state) {
                tally->of[clause].last_state = state;
                tally->of[clause].states++;
            }
        }
    }
}

size_t clause_print(const struct clause_tally *tally)
{
    size_t missing = 0;
    printf("%-5s %-78s %7s %9s %9s %9s\n", "", "clause", "states", "packets", "allowed", "denied");
    for (size_t i = 0; i < CLAUSE_COUNT; i++) {
        uint64_t denied = tally->of[i].verdicts[0];
        uint64_t allowed = tally->of[i].verdicts[1];
        printf("%-5s %-78s %7" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64 "%s\n", clauses[i].id, clauses[i].text,
               tally->of[i].states, allowed + denied, allowed, denied, tally->of[i].states ? "" : "  NEVER MET");
        missing += tally->of[i].states == 0;
    }
    printf("%d clauses, %zu never met\n", (int)CLAUSE_COUNT, missing);
    return missing;
}
