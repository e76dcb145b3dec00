// SPDX-License-Identifier: Apache-2.0
//
// Which state files there are below the paths of a source, and which directories to watch for changes of that.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "decode/diagnostic.h"

struct listed_file {
    const char *path;
    bool named;  // given by its own name: any suffix, and it may be a pipe
    dev_t dev;
    ino_t ino;
};

struct files_listing {
    struct arena arena;  // of all strings
    // In path order: by the paths given, then by bytes below each. A file that is reached twice is there once.
    VEC(struct listed_file) files;
    VEC(const char *) directories;  // sorted, unique
    VEC(const char *) unreadable;   // what is at or below these is not known now
    bool missing;                   // a path does not exist, or something cannot be listed
    struct map *seen;               // device and inode of the files
};

void files_listing_free(struct files_listing *listing);
// Fills a zero-initialised listing; what cannot be read is a finding. -1 for memory and LIMIT_STATE_FILES.
NODISCARD int files_walk(const char *const *paths, size_t n, struct files_listing *ret, struct diagnostics *diagnostics,
                         struct err *err);
// path is at or below an unreadable one.
bool files_listing_unknown(const struct files_listing *listing, const char *path);
