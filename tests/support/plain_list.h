// SPDX-License-Identifier: Apache-2.0
//
// The elements of a list as they are written, cut out by looking at brackets, strings and commas only: what
// source/object_stream is compared with.
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

// One element, without blanks around it; text is not NUL-terminated. -1 with err stops.
typedef int plain_list_item_fn(const char *text, size_t len, void *arg, struct err *err);

// Start with plain_list_init, end with plain_list_free.
struct plain_list {
    plain_list_item_fn *fn;
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

void plain_list_init(struct plain_list *plain_list, plain_list_item_fn *fn, void *arg);
void plain_list_free(struct plain_list *plain_list);

// Takes the next bytes. ERR_INPUT when they cannot be part of such a list, ERR_LIMIT when one element has more than
// LIMIT_HTTP_LINE bytes or the rest more than LIMIT_HTTP_ERROR_BODY; or what fn said.
NODISCARD int plain_list_feed(struct plain_list *plain_list, const char *data, size_t len, struct err *err);
// The list has ended: -1 with ERR_INPUT when it is not whole.
NODISCARD int plain_list_finish(const struct plain_list *plain_list, struct err *err);
