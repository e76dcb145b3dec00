// SPDX-License-Identifier: Apache-2.0
//
// One state file: when it must be read again, and the objects that it holds.
#pragma once

#include <stdint.h>
#include <sys/stat.h>

#include "decode/decode.h"

// An object of a file, by "kind, namespace/name". The object itself is with the file until the state takes it.
struct held {
    char *key;  // HELD_KIND of it is '0' + enum object_kind
    void *object;
    unsigned line;
    bool in_state;
};

struct held_list {
    struct held *v;
    size_t n;
    size_t cap;
};

struct file {
    char *path;
    const char *label;   // in findings and origins
    bool named;          // given by its own name
    bool seen;           // in the present scan
    bool read_once;      // a pipe or standard input: there is nothing to look at again
    bool parsed;         // its content was looked at since the identity below
    bool failing;        // the last parse lost a document
    bool lenient;        // held are the readable objects of a failing file
    bool racy;           // was changed just before it was read: its times may not show the next change
    struct stat st;      // when it was read
    uint8_t digest[32];  // of what was read, if racy
    struct held_list held;
    size_t ignored;
};

enum file_result {
    FILE_SAME,       // as before
    FILE_READ,       // parsed
    FILE_GONE,       // vanished since it was listed
    FILE_UNREADABLE  // a finding says why; what it held stays
};

struct file *file_new(const char *path, bool named);  // NULL when memory is out
void file_free(struct file *file);
CLEANUP_DEFINE(struct file, file_free);
void held_list_free(struct held_list *list);

// Bring file up to date (enum file_result; -1 for memory). Its held objects are replaced by a parse that lost nothing,
// or by any parse if lenient; a failing file keeps the older ones.
NODISCARD int file_update(struct file *file, bool lenient, struct diagnostics *diagnostics, struct err *err);
