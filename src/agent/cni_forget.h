// SPDX-License-Identifier: Apache-2.0
//
// Connections that an address still has from the pod that had it before. Its new pod has not run yet when the plugin
// tells of it, so none of them is its own, and what is established passes the rules: they are taken out of the
// connection table before the plugin is answered. What still comes of them is then new, and judged.
//
// The lists are read while the loop goes on; those that ask meanwhile share the next ones.
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "base/mem.h"
#include "model/address.h"

struct cni_forget;

NODISCARD int cni_forget_new(struct loop *loop, struct cni_forget **ret, struct err *err);
// Nobody is told any more.
void cni_forget_free(struct cni_forget *forget);
CLEANUP_DEFINE(struct cni_forget, cni_forget_free);

// done comes from the loop, once: err NULL, or why they could not be looked at. n_gone: how many of all that asked at
// once. The addresses are borrowed until then. -1: memory.
typedef void cni_forget_fn(const struct err *err, size_t n_gone, void *arg);
NODISCARD int cni_forget_ask(struct cni_forget *forget, const struct address *addresses, size_t n, cni_forget_fn *done,
                             void *arg, struct err *err);
// Who asked with that arg is gone, and its addresses with it.
void cni_forget_cancel(struct cni_forget *forget, const void *arg);
