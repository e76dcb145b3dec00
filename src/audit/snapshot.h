// SPDX-License-Identifier: Apache-2.0
//
// A live cluster as a file that reads back to the same state: every object as the server gave it, reduced to the
// members that are ever looked at (source/keep.h), so that no annotation, environment or secret is in it. The same
// cluster gives the same bytes: sorted by kind, namespace and name, no clock.
//
// Objects wait in a file without a name, so that memory is that of their names, not of what is printed.
#pragma once

#include "audit/new_file.h"
#include "base/doc.h"
#include "base/err.h"
#include "base/mem.h"
#include "model/state.h"

enum snapshot_format {
    SNAPSHOT_YAML,  // a stream of documents
    SNAPSHOT_JSON,  // one List, an object a line
};

struct snapshot;
// spool: an empty file, open for reading and writing; stays the caller's.
NODISCARD int snapshot_new(enum snapshot_format format, int spool, struct snapshot **ret, struct err *err);
void snapshot_free(struct snapshot *snapshot);
CLEANUP_DEFINE(struct snapshot, snapshot_free);

// An object of the source (api_options.object; arg is the snapshot). Of several with one name the last counts. A
// failure sticks: snapshot_write tells it.
void snapshot_add(enum object_kind kind, const struct doc *object, void *arg);
// Writes everything. What was readable and is not in the state any more has gone while the cluster was read, and is
// left out. head: lines of a comment in front of YAML (JSON has none); "" for none.
NODISCARD int snapshot_write(struct snapshot *snapshot, const struct state *state, const char *head,
                             struct new_file *file, struct err *err);
