// SPDX-License-Identifier: Apache-2.0
//
// State from files (DESIGN 6): --state and -f paths, each a file, a directory (recursive; *.yaml, *.yml, *.json; names
// that start with "." skipped, except that Kubernetes' "..data" symlinks are followed through the visible links) or
// "-". An object given twice is an error that names both places; the first in path order wins: by the order of the
// paths, then by bytes below each. A file that is reached by two ways counts once, at the first. A pipe given by its
// own name is read once, as "-" is.
#pragma once

#include "decode/decode.h"
#include "model/state.h"

// A set of loaded files: each file's objects stay in force until the file parses again or is removed. What cannot be
// looked at (a path that is missing, a directory that cannot be listed) was not removed: its objects stay.
struct files;
NODISCARD int files_new(const char *const *paths, size_t n, struct files **ret, struct err *err);
void files_free(struct files *files);
CLEANUP_DEFINE(struct files, files_free);

struct files_report {
    struct diagnostics diagnostics;  // of the files read this time, and duplicates
    size_t files;                    // in the set now
    size_t files_read;               // parsed this time (changed since the last scan)
    size_t files_failing;            // present, and their last parse lost a document: their older objects stay in force
    size_t objects;                  // in force
    size_t ignored;                  // documents of kinds that we do not use
    bool missing;                    // a path does not exist or cannot be read
    bool changed;                    // the state was changed
};
void files_report_free(struct files_report *report);

// Look at every path, parse what changed (by device, inode, size, times), and bring state in step: the same state each
// time, which nothing else may put these objects in. lenient: a failing file's readable objects are used at once
// (audits); else (the daemon) the file keeps what it held before. -1 only for memory or limits; unreadable input is in
// the report.
NODISCARD int files_scan(struct files *files, bool lenient, struct state *state, struct files_report *ret,
                         struct err *err);
// Directories to watch for changes (every directory seen, parents of files, and the real directories behind symlinks),
// sorted, unique; borrowed until the next scan.
const char *const *files_directories(const struct files *files, size_t *ret_n);
