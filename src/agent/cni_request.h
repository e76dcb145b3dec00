// SPDX-License-Identifier: Apache-2.0
//
// An attachment as JSON: how the plugin tells it and how it is kept.
#pragma once

#include "agent/cni_book.h"
#include "base/buf.h"
#include "base/doc.h"

// id and ifname of doc. ERR_INPUT naming the field.
NODISCARD int cni_request_key(const struct doc *doc, struct cni_attachment *ret, struct err *err);
// All of it; addresses are required. ERR_INPUT naming the field.
NODISCARD int cni_request_parse(const struct doc *doc, struct cni_attachment *ret, struct err *err);
// As members of a JSON object without the braces.
void cni_request_put(const struct cni_attachment *attachment, struct buf *out);
