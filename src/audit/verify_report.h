// SPDX-License-Identifier: Apache-2.0
//
// What `netpolctl verify` says of a proof (DESIGN 7): one summary line, then each counterexample as `explain` would
// print it, as text for people or as one JSON object.
#pragma once

#include "audit/verify.h"
#include "ruleset/findings.h"

// Where the host facts came from.
enum verify_facts {
    VERIFY_FACTS_UNKNOWN,  // none were given: guards that need interfaces were judged as absent
    VERIFY_FACTS_FILE,
    VERIFY_FACTS_LIVE,  // read from this node
};

// Everything is borrowed.
struct verify_report {
    const struct verify_input *input;
    const struct verify_result *result;
    uint64_t milliseconds;
    enum verify_facts facts;
    bool foreign_rules;                 // the rules are not the compiled ones: read from text or from a kernel
    const struct findings *outside;     // rules of others that are asked before ours; NULL none
    const struct findings *unprovable;  // what is ours and cannot be judged; NULL none
    const struct findings *jumps;       // jumps of ours that are missing, or stand twice: a hint; NULL none
};

// No class differs and nothing of ours was left unjudged. Rules of others are named, and are no part of it.
bool verify_report_proven(const struct verify_report *report);
// A few lines for people; colour when asked. -1: memory.
NODISCARD int verify_report_text(const struct verify_report *report, bool colour, struct buf *out, struct err *err);
// One object on one line, its keys always in the same order. -1: memory.
NODISCARD int verify_report_json(const struct verify_report *report, struct buf *out, struct err *err);
