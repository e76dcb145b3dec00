// SPDX-License-Identifier: Apache-2.0
//
// A file that appears as a whole or not at all: written beside its place, brought to the disk, renamed. Readable by its
// owner only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/mem.h"

// Zero-initialise; end with new_file_close.
struct new_file {
    char *path;       // where it shall be, symbolic links followed
    char *directory;  // of that; for standard output and devices $TMPDIR, else /tmp
    char *temporary;  // NULL: written in place (standard output, a device, a pipe)
    int fd;           // set by new_file_begin
    bool open;
    bool named;  // the temporary file has its name
};

// path "-" is standard output. What cannot be written to shows here, not after hours of reading: *ret_spool is an empty
// file without a name in the directory, the caller closes it.
NODISCARD int new_file_check(const char *path, struct new_file *ret, int *ret_spool, struct err *err);
// Opens the temporary file (mode 0600), or the place itself when that is no regular file.
NODISCARD int new_file_begin(struct new_file *file, struct err *err);
// ERR_SYSTEM naming the path.
NODISCARD int new_file_write(struct new_file *file, const char *data, size_t len, struct err *err);
// The file is there, and stays there through a power failure.
NODISCARD int new_file_commit(struct new_file *file, struct err *err);
// Removes what was not committed.
void new_file_close(struct new_file *file);
#define NEW_FILE_CLEANUP __attribute__((cleanup(new_file_close)))

// All of data to a descriptor; errno on failure.
NODISCARD int write_all(int fd, const char *data, size_t len);
