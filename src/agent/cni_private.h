// SPDX-License-Identifier: Apache-2.0
//
// What the files of the daemon's CNI side share.
//
//   cni.c       ops: who waits for what
//   cni_tell.c  from what is in the book to the state and the host's facts
//   cni_book.c  the book, on the disk
//   cni_forget.c  what the connection table has of the addresses from before
//   cni_request.c  an attachment as JSON
#pragma once

#include "agent/cni.h"
#include "agent/cni_book.h"
#include "agent/cni_forget.h"

// An add or a check that is not answered.
struct cni_wait {
    struct cni *cni;
    struct cni_wait *prev, *next;
    struct control_call *call;
    const char *op;
    bool check;
    bool told;        // what it tells is in the book and in the state
    bool applying;    // sync tells when the kernel holds it
    bool forgetting;  // its addresses' old connections are looked for
    bool forgotten;   // none is left
    struct cni_attachment attachment;
    uint64_t start_ms;
    uint64_t deadline_ms;
};

struct cni {
    struct cni_config config;
    struct cni_book *book;
    struct cni_forget *forget;
    struct loop_timer *timer;
    struct cni_wait *waits;
    size_t n_waits;
    bool source_synced;
    size_t added;
    size_t refused;
};

// Whether a pod of that name may be a static one of that node, whose object has another uid.
bool cni_is_static(const char *node, const char *name);
// Whether an attachment is of this pod object, which has its namespace and name.
bool cni_is_pod(const struct cni *cni, const struct cni_attachment *attachment, const struct pod *pod);

// ---- cni_tell.c ----------------------------------------------------------------------------------------------------

// Into the book, then into the state and the facts.
NODISCARD int cni_tell(struct cni *cni, const struct cni_attachment *attachment, struct err *err);
// Out of them; a failure (memory) is logged, and tried again with the next change.
void cni_untell(struct cni *cni, const char *id, const char *ifname);
// What the book holds, at the start.
NODISCARD int cni_tell_all(struct cni *cni, struct err *err);
// What cannot be read is told to health, files that were removed are forgotten.
void cni_look_at_book(struct cni *cni);
// Those whose pod is gone from the state since missing_ms.
void cni_drop_missing(struct cni *cni, uint64_t now_ms);
