// SPDX-License-Identifier: Apache-2.0
//
// The control socket (--socket, default /run/netpold/netpold.sock): a unix stream socket of mode 0600, whose peers must
// be root or our own user (SO_PEERCRED). One JSON object a line in, one a line out:
//
//   {"op":"status"}                  → {"ok":true,"status":{…}}
//   {"op":"cni-add", …}              → {"ok":true} when the pod's chains are in the kernel, or
//                                      {"ok":false,"error":"…","code":"timeout"|"refused"|"bad-request"|"not-synced"}
//
// An op is one row of the table given at control_new. An answer may come later than its question; questions of one
// connection are answered in their order: the next one is not looked at before. Codes that control itself gives:
// "bad-request", "denied" (the peer is neither root nor us), "busy" (CONTROL_CONNECTIONS_MAX are open).
//
// A peer has CONTROL_IDLE_MS to finish a line or to read an answer, then its connection is closed.
#pragma once

#include "base/buf.h"
#include "base/doc.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/mem.h"

#define CONTROL_SOCKET "/run/netpold/netpold.sock"
// Connections: the pods that a kubelet starts at once, each with a waiting plugin, and some for people.
enum { CONTROL_CONNECTIONS_MAX = 256, CONTROL_LINE_MAX = 256 << 10, CONTROL_IDLE_MS = 10000 };
// An answer; `status` is the long one.
enum { CONTROL_ANSWER_MAX = 4 << 20 };

struct control;
// One question, until it is answered.
struct control_call;

struct control_op {
    const char *name;
    // request: the parsed line, borrowed until the call is answered. Answer now or later, once.
    void (*ask)(struct control_call *call, const struct doc *request, void *arg);
    // The peer went away before the answer, or control is freed: the call must not be used any more. May be NULL.
    void (*gone)(struct control_call *call, void *arg);
    void *arg;
};

// Makes the folder of a socket at path, as control_new does.
NODISCARD int control_make_folder(const char *path, struct err *err);

// path: made anew (a socket on which nobody answers is replaced, anything else there is an error), its folder with mode
// 0755 when missing; one that others may write to, or own, is ERR_DENIED. ERR_RETRY: another process answers there.
// ops: a table that outlives it, ended by a row without a name.
NODISCARD int control_new(struct loop *loop, const char *path, const struct control_op *ops, struct control **ret,
                          struct err *err);
// Looks whether the socket is still there, and makes it anew when somebody removed it. Connections live on.
void control_keep(struct control *control);
void control_free(struct control *control);  // the socket is removed
CLEANUP_DEFINE(struct control, control_free);

// {"ok":true<fields>}: fields is "" or ",\"name\":value…". NULL: its text could not be made (memory), which the peer is
// told.
void control_answer(struct control_call *call, const char *fields);
// {"ok":false,"error":…,"code":…}
void control_refuse(struct control_call *call, const char *code, const char *why);

// CONTROL_SOCKET, or netpold.sock in $NETPOLD_RUN_DIR. Borrowed until the next call.
const char *control_default_path(void);

// The other end, for netpolctl and netpold-cni: one question, its answer's line (without the newline) into out. Blocks
// for timeout_ms at most. ERR_NOT_FOUND: nobody listens there; ERR_RETRY: no answer in time, or the connection broke
// off before it; ERR_DENIED: we may not connect, or the one that listens is neither root nor us.
NODISCARD int control_ask(const char *path, const char *request, unsigned timeout_ms, struct buf *out, struct err *err);
