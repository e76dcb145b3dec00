// SPDX-License-Identifier: Apache-2.0
//
// Which members of an API object are kept, as tables: what decode/ and the informer look at, and nothing else. The rest
// (managed fields, annotations, volumes, environments, conditions: most of a real pod) is cut out of the text before it
// is parsed.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "model/object.h"

enum keep_role {
    KEEP_PLAIN,
    KEEP_ITEMS,     // the objects of a list, when it is an array
    KEEP_TYPE,      // of a watch event: says which event it is
    KEEP_BOOKMARK,  // only of a BOOKMARK event, or of one whose type is not known yet
};

// A member that is kept: as a whole, or only what `below` names of it (lists are looked through). Ends with key NULL.
struct keep {
    const char *key;
    size_t len;
    const struct keep *below;
    enum keep_role role;
    // Of the last row: a key that is written with escapes is not kept. Elsewhere it is, as it may be any key: those who
    // can read it decide.
    bool exact;
};

// What is kept of an object of the kind; a policy's spec as a whole: an unknown part of it must be seen, to be refused.
const struct keep *keep_object(enum object_kind kind);
// Of a watch event {"type":…,"object":…}, whose object may also be a Status (ERROR) or hold nothing but metadata
// (BOOKMARK).
const struct keep *keep_event(enum object_kind kind);
// Of a list, besides its objects.
const struct keep *keep_list(void);

// What is left to learn of an object or event that the JSON door has refused for something inside of it: namespace,
// name, uid and resourceVersion of its metadata (and type; code, reason and details of a Status), or only type and
// resourceVersion.
extern const struct keep keep_object_names[];
extern const struct keep keep_event_names[];
extern const struct keep keep_event_version[];

// The row of that key; else the last row, whose key is NULL.
static inline const struct keep *keep_find(const struct keep *keep, const char *key, size_t len)
{
    while (keep->key && (keep->len != len || memcmp(keep->key, key, len) != 0)) {
        keep++;
    }
    return keep;
}
