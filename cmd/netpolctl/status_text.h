// SPDX-License-Identifier: Apache-2.0
//
// The answer of the daemon's op "status" for people.
#pragma once

#include "base/buf.h"
#include "base/doc.h"

// Lines of text; returns how many problems were listed. What the daemon does not tell (another version) is left out.
size_t status_text(const struct doc *status, struct buf *out);
