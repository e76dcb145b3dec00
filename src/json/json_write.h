// SPDX-License-Identifier: Apache-2.0
//
// A doc tree as JSON text, without blanks.
#pragma once

#include "base/buf.h"
#include "base/doc.h"

// Reads back to the same tree, lines apart. For trees of the JSON door: the literals of numbers are written as they
// are, and those of YAML may be none of JSON. Failures stick in out.
void json_write(const struct doc *doc, struct buf *out);
