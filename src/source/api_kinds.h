// SPDX-License-Identifier: Apache-2.0
//
// Which kinds of objects are read from the API server: one row each. Adding a kind (a CustomResource too) is a row here
// beside its model and its decoder.
#pragma once

#include "model/object.h"

enum { API_KINDS_MAX = 16, API_VERSIONS_MAX = 4, API_TERMS_MAX = 8 };

// A term of a field selector; one that the server does not know (400) is left out from then on, the others stay.
struct api_term {
    const char *term;     // "status.phase!=Failed"
    bool only_for_rules;  // left out by API_VIEW_ALL: what the term hides has no rules, but an audit asks about it
};

struct api_kind_row {
    enum object_kind kind;
    const char *label;                       // plural, as in the URL: "pods"
    const char *group;                       // "" for core
    const char *versions[API_VERSIONS_MAX];  // the first that the server serves is used; one version is not asked for
    // The server may not serve it, or not to us (CustomResources): it never holds up readiness, is looked for again
    // now and then, and its objects are gone only when discovery confirms that the kind is.
    bool optional;
    struct api_term terms[API_TERMS_MAX];  // ends with a NULL term
};

extern const struct api_kind_row api_kind_rows[];
extern const size_t api_n_kind_rows;
