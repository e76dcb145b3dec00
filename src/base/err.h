// SPDX-License-Identifier: Apache-2.0
//
// One error object for the whole project: owned by the caller, no allocation, last parameter of every function that can
// fail. A function that fails sets it once, with the object and field concerned; callers may wrap it with context on
// the way up; nobody prints it below agent/ and cmd/. Outputs are written last and are untouched when a function fails.
#pragma once

#include <stdbool.h>

// What a caller should do, not what went wrong: code branches on this, never on text.
enum err_kind {
    ERR_NONE,
    ERR_USAGE,        // the command line is wrong (exit 3)
    ERR_INPUT,        // a document or object is wrong (exit 4)
    ERR_NOT_FOUND,    // a named thing does not exist
    ERR_RETRY,        // try again later: busy, interrupted, changed underneath
    ERR_RELIST,       // the API server's history is gone: list again
    ERR_DENIED,       // no permission
    ERR_UNSUPPORTED,  // the kernel or the server lacks something
    ERR_LIMIT,        // a named maximum of limits.h was reached
    ERR_SYSTEM,       // a system call failed; num is errno
    ERR_OOM,
    ERR_BUG,
};

struct err {
    enum err_kind kind;
    int num;           // errno, HTTP status or library code; 0 when there is none
    char object[256];  // "networkpolicy x/deny", "file.yaml:12", "table filter (IPv4)"; may be empty
    char field[192];   // "spec.ingress[0].ports[1].port"; may be empty
    char msg[512];
};

// Set err (may be NULL) and return -1. The message says what was being done and why it failed.
int err_set(struct err *err, enum err_kind kind, int num, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
// Out of memory. Returns -1.
int err_oom(struct err *err);
// ERR_SYSTEM from the present errno, with ": strerror" appended. Returns -1.
int err_errno(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Name the object / the field of an error that has none yet; both keep what an inner function has said. Return -1.
int err_at_object(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int err_at_field(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Put "context: " in front of the message. Returns -1.
int err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void err_clear(struct err *err);
// "object: field: message" with the empty parts left out, into buf; returns buf.
const char *err_text(const struct err *err, char *buf, unsigned long size);
const char *err_kind_name(enum err_kind kind);
