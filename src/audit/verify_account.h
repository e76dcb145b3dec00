// SPDX-License-Identifier: Apache-2.0
//
// A counterexample told from both sides: who its ends are, what the policies say and why, which rules it meets.
// Internal to the writers of verify_report.h.
#pragma once

#include "audit/verify.h"
#include "policy/evaluate.h"

// One counterexample, judged again by both so that the reasons can be told.
struct verify_account {
    const struct verify_example *example;
    struct endpoint ends[DIRECTION_COUNT];  // by the side that judges it: egress is the source
    struct query query;
    struct connection_verdict verdict;
    struct buf walk;  // one line a rule
};
void verify_account_done(struct verify_account *account);
#define VERIFY_ACCOUNT_CLEANUP __attribute__((cleanup(verify_account_done)))

// ret is zeroed before and ended by verify_account_done, on failure too. -1: memory.
NODISCARD int verify_account_make(const struct verify_input *input, const struct verify_example *example,
                                  struct verify_account *ret, struct err *err);
// "NEW", "ESTABLISHED", …
const char *verify_state_name(enum ct_state state);
// The packet has a type in place of ports.
bool verify_is_icmp(const struct packet *packet);
// "allow" | "deny"
const char *verify_word(bool allowed);
