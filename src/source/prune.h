// SPDX-License-Identifier: Apache-2.0
//
// Cuts out of an object's JSON text what decode/ never looks at (managed fields, annotations, volumes, environments,
// conditions: most of a real pod) before it is parsed. That makes a list of many pods cheap (api-client.md 6.1), and
// what tenants write into those parts can neither cost memory nor make the object unreadable.
#pragma once

#include "base/buf.h"
#include "model/object.h"

// Appends the pruned text of one object of the kind, or of one watch event {"type":…,"object":…} of it. A policy's spec
// is kept as a whole: an unknown part of it must be seen, to be refused. False when text is not well-formed enough for
// that: then the JSON door should see it as it is; out holds anything.
bool prune_object(enum object_kind kind, const char *text, size_t len, struct buf *out);
bool prune_event(enum object_kind kind, const char *text, size_t len, struct buf *out);

// What is left to learn of an object or event that the JSON door has refused for something inside of it: namespace,
// name, uid and resourceVersion of its metadata (and type; code and reason of a Status), or only type and
// resourceVersion. The rest need only be balanced. False as above: then it is no such text at all.
bool prune_object_to_names(const char *text, size_t len, struct buf *out);
bool prune_event_to_names(const char *text, size_t len, struct buf *out);
bool prune_event_to_version(const char *text, size_t len, struct buf *out);
