// SPDX-License-Identifier: Apache-2.0
//
// A doc tree as YAML in block style, as kubectl writes it. What is written reads back to the same tree (lines apart),
// here and with every other reader of YAML 1.1 or 1.2: strings that some reader would take for anything else are
// quoted.
#pragma once

#include "base/buf.h"
#include "base/doc.h"

// One document without markers; ends with a line feed. Failures stick in out.
void yaml_write(const struct doc *doc, struct buf *out);
