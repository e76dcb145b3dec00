// SPDX-License-Identifier: Apache-2.0
//
// What a single pass says at its end: lines for people, or one line of JSON.
#pragma once

#include "agent/agent.h"
#include "agent/drift.h"
#include "policy/compile.h"

enum once_result {
    ONCE_IN_STEP,
    ONCE_FIRST,     // nothing of ours was in the kernel
    ONCE_REPAIRED,  // the kernel differed
    ONCE_ASKED,     // the kernel differs, and the running daemon was asked
    ONCE_FAILED,
};

struct once_report {
    enum once_result result;
    bool beside_daemon;
    struct drift drift;  // ONCE_REPAIRED, ONCE_ASKED
    struct apply_report apply;
    struct compile_stats stats;
    const struct ruleset *want;  // NULL: it did not come to that
    double ms;                   // of reading and writing the kernel
    int exit_code;
    const struct err *err;  // ONCE_FAILED
};

// Text: one line, and one more for each kind of drift. JSON: one object,
//   {"node":"n1","result":"in-step|first|repaired|asked|failed","exit_code":0,"error":null,"drift":{kind:{"count":1,
//   "names":"…"}},…}
void once_report(const struct agent_config *config, const struct once_report *report, struct buf *out);
