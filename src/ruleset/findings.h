// SPDX-License-Identifier: Apache-2.0
//
// What was found beside a ruleset, in a kernel or in a text: rules of others that come before ours, and what of ours
// cannot be told. Plain data, for people.
#pragma once

#include "base/err.h"
#include "base/mem.h"

enum { FINDINGS_MAX = 1000, FINDING_WHERE = 96, FINDING_WHAT = 256 };

struct finding {
    char where[FINDING_WHERE];  // "IPv4 filter FORWARD rule 1"
    char what[FINDING_WHAT];    // "-p tcp -j ACCEPT"
};

struct findings {
    struct finding *v;
    size_t n;
    size_t cap;
    size_t more;  // found beyond FINDINGS_MAX, and not kept
};
void findings_free(struct findings *findings);
static inline void cleanup_findings(struct findings *findings)
{
    findings_free(findings);
}
#define FINDINGS_CLEANUP __attribute__((cleanup(cleanup_findings)))

// Adds one; longer texts are cut. findings may be NULL: nobody wants to know.
NODISCARD int findings_add(struct findings *findings, const char *where, const char *what, struct err *err);
