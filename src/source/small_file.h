// SPDX-License-Identifier: Apache-2.0
//
// Small files that may hold secrets: tokens, keys, kubeconfigs.
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"

// The whole file, NUL-terminated; refused above max bytes (ERR_LIMIT), when it holds a NUL byte (ERR_INPUT) or cannot
// be read (ERR_SYSTEM; ERR_NOT_FOUND when it is not there). The caller frees it, with secret_free if it is one.
NODISCARD int small_file_read(const char *path, size_t max, char **ret, struct err *err);
// The same, and a pipe is read as well ("--kubeconfig <(…)"), to its end: what waits for its writer is the caller, for
// wait_ms at most, which is not 0 (else ERR_INPUT). It can be read once.
NODISCARD int small_file_read_pipe(const char *path, size_t max, unsigned wait_ms, char **ret, struct err *err);

// A file of at most LIMIT_PEM bytes that holds PEM ("-----BEGIN …"); else as small_file_read.
NODISCARD int small_file_pem(const char *path, char **ret, struct err *err);
// A file of at most LIMIT_TOKEN bytes that holds one token (secret_is_token), given out without the blanks and line
// breaks around it; else as small_file_read.
NODISCARD int small_file_token(const char *path, char **ret, struct err *err);
typedef int small_file_fn(const char *path, char **ret, struct err *err);

// What makes text no certificate or key that we can use: NULL when nothing does. An encrypted one would be asked for
// its pass phrase where nobody sits: libcurl 7.88 crashes, OpenSSL waits for a terminal.
const char *pem_fault(const char *text);

// Wipes and frees; NULL is accepted.
void secret_free(char *text);
CLEANUP_DEFINE(char, secret_free);
// Can it stand in a header: one or more printable characters of ASCII, no blank?
bool secret_is_token(const char *text);
