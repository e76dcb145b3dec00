// SPDX-License-Identifier: Apache-2.0
//
// Cuts the elements of "items" out of a list while it arrives, wherever the bytes are split, so that a list needs the
// memory of one object, not of the response (api-client.md 6.1). Only brackets, strings and commas are looked at: the
// JSON door judges each element, and the rest (`{"kind":…,"metadata":{…},"items":[]}`) when the list has ended.
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

// One element, without blanks around it; text is not NUL-terminated. -1 with err stops.
typedef int splitter_item_fn(const char *text, size_t len, void *arg, struct err *err);

// Start with splitter_init, end with splitter_free.
struct splitter {
    splitter_item_fn *fn;
    void *arg;
    struct buf item;  // of the element that is being read
    struct buf rest;  // everything that is no element
    struct buf key;   // the last string at depth 1: a key, when a colon follows
    unsigned depth;   // open brackets
    bool in_string;
    bool escaped;      // the next byte belongs to an escape
    bool in_items;     // inside of the array, at depth 2 or in an element
    bool after_colon;  // at depth 1, the value of key has not started
    bool after_comma;  // inside of the array, an element must follow
    bool seen_items;   // "items" was there, as an array
    bool done;         // the top-level object is closed
    size_t n_items;
};

void splitter_init(struct splitter *splitter, splitter_item_fn *fn, void *arg);
void splitter_free(struct splitter *splitter);

// Takes the next bytes. ERR_INPUT when they cannot be part of such a list, ERR_LIMIT when one element has more than
// LIMIT_HTTP_LINE bytes or the rest more than LIMIT_HTTP_ERROR_BODY; or what fn said.
NODISCARD int splitter_feed(struct splitter *splitter, const char *data, size_t len, struct err *err);
// The list has ended: -1 with ERR_INPUT when it is not whole.
NODISCARD int splitter_finish(const struct splitter *splitter, struct err *err);
