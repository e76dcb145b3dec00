// SPDX-License-Identifier: Apache-2.0
//
// Lists and watches while they arrive (api-client.md 2.5, 6.1): one pass over the bytes, wherever they are split, finds
// where each object or event ends and keeps of it only what keep.h names. Memory is that of one object's kept text,
// whatever the response and its objects weigh.
//
// Text outside of what is kept need only be balanced. Text that is wrong beside kept parts makes its object one that
// the JSON door refuses: from the first wrong byte on the object's text is given as it is, behind a '!', so that names
// in front of it can be learned from it.
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "source/json_marks.h"
#include "source/keep.h"

enum object_stream_form {
    OBJECT_STREAM_LIST,   // {"kind":…,"metadata":{…},"items":[…]}, members in any order
    OBJECT_STREAM_WATCH,  // one {"type":…,"object":…} a line; "\r\n" ends one too, empty lines are skipped
};

// The kept text of one object or event; not NUL-terminated, gone after the call. -1 with err stops. For the JSON door:
// nothing but balance was looked at in values that are kept as a whole.
typedef int object_stream_fn(const char *text, size_t len, void *arg, struct err *err);

enum { OBJECT_STREAM_KEY = 256 };  // a longer key is none of ours, however it is written

struct object_stream_frame {
    const struct keep *keep;
    bool map;
    bool items;  // the array of a list's objects
    bool wrote;  // something of it was kept
    bool any;    // there was something
};

enum object_stream_state {
    STREAM_VALUE,
    STREAM_FIRST_VALUE,  // or the end of the array
    STREAM_KEY,
    STREAM_FIRST_KEY,  // or the end of the map
    STREAM_IN_KEY,
    STREAM_COLON,
    STREAM_IN_STRING,
    STREAM_IN_WORD,   // a number or the like
    STREAM_IN_WHOLE,  // a map or array of which only the balance matters
    STREAM_NEXT,      // a comma or the end
    STREAM_DONE,
    STREAM_RAW,  // of an object that is wrong: everything up to its end
};

// Start with object_stream_init, end with object_stream_free.
struct object_stream {
    enum object_stream_form form;
    const struct keep *keep_object;
    const struct keep *keep_event;
    object_stream_fn *fn;
    void *arg;
    struct buf item;  // kept of the object that is being read
    struct buf rest;  // LIST: kept of everything else, "items" empty; for the JSON door when the list has ended
    size_t n_items;
    // The rest is private.
    struct buf *out;
    enum object_stream_state state;
    unsigned n_frames;
    unsigned open;  // brackets, while IN_WHOLE or RAW
    bool keeps;     // the present value is kept …
    bool copies;    // … and its bytes go to out, from `from` on
    bool is_type;   // the present value is the event's type
    bool is_items;  // the present value is a list's "items"
    bool other;     // no BOOKMARK event
    bool seen_items;
    bool after_return;         // the last byte of the line is a '\r'
    const struct keep *below;  // of the present value
    const char *from;
    const char *data;    // the bytes that are being fed
    size_t before;       // bytes that were fed before
    size_t item_before;  // … and bytes in front of the object, or of the part of the list that is no object
    size_t rest_len;     // bytes of the list that are no objects
    size_t key_len;
    char key[OBJECT_STREAM_KEY];  // the beginning of a key that was split
    struct json_marks_state marks;
    struct object_stream_frame frames[LIMIT_DOCUMENT_DEPTH + 2];  // an object's and a list's
};

void object_stream_init(struct object_stream *stream, enum object_stream_form form, enum object_kind kind,
                        object_stream_fn *fn, void *arg);
void object_stream_free(struct object_stream *stream);

// Takes the next bytes. ERR_INPUT when they cannot be part of such a list or stream (a NUL byte in a watch), ERR_LIMIT
// when an object or line has LIMIT_HTTP_LINE bytes or a list LIMIT_HTTP_ERROR_BODY bytes besides its objects; or what
// fn said. After a failure nothing more may be fed.
NODISCARD int object_stream_feed(struct object_stream *stream, const char *data, size_t len, struct err *err);
// A list has ended: -1 with ERR_INPUT when it is not whole. A watch may end anywhere: a line without its end is no
// event.
NODISCARD int object_stream_finish(const struct object_stream *stream, struct err *err);

// One whole text (an object) by a table of its own, appended to out. False when it is not well-formed enough for that;
// out holds anything then.
bool object_stream_text(const struct keep *keep, const char *text, size_t len, struct buf *out);
