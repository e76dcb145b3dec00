// SPDX-License-Identifier: Apache-2.0
//
// Labels and label selectors (networkpolicy-v1.md 1.3). The match of one requirement is the one piece of selector
// semantics that evaluator and compiler share (DESIGN 2.2); it has a table test of its own.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct label {
    const char *key;
    const char *value;
};

struct labels {
    const struct label *v;  // sorted by key (bytes), keys unique
    size_t n;
};

enum selector_operator {
    SELECTOR_IN,
    SELECTOR_NOT_IN,
    SELECTOR_EXISTS,
    SELECTOR_NOT_EXISTS,
    SELECTOR_UNKNOWN,  // an operator this version does not know
};

struct requirement {
    const char *key;
    enum selector_operator op;
    const char *const *values;  // sorted, unique (In, NotIn)
    size_t n_values;
};

// ANDed requirements, matchLabels as In with one value, in canonical order (key, operator, values) without duplicates.
// No requirement: everything.
struct selector {
    const struct requirement *v;
    size_t n;
    // A key or operator was not understood, or a part could not be read: as a peer it matches nothing; as a subject the
    // known requirements select and the policy grants nothing (1.5).
    bool unreadable;
};

// NULL when the key is absent.
const char *labels_get(const struct labels *labels, const char *key);
bool labels_equal(const struct labels *a, const struct labels *b);
// One requirement against a set of labels. SELECTOR_UNKNOWN matches nothing.
bool requirement_matches(const struct requirement *requirement, const struct labels *labels);
int requirement_compare(const struct requirement *a, const struct requirement *b);
bool selector_equal(const struct selector *a, const struct selector *b);
// Canonical text, unambiguous for any bytes in keys and values (each is length-prefixed): "In 3:app=1:a,1:b;Exists
// 1:x". The empty selector gives "". Names of sets are hashes of this text.
void selector_format(const struct selector *selector, struct buf *out);
// Text for people: "app in (a,b),!x", "app=a"; the empty selector gives "<all>".
void selector_describe(const struct selector *selector, struct buf *out);
const char *selector_operator_name(enum selector_operator op);  // "In", "NotIn", "Exists", "DoesNotExist", "?"
