// SPDX-License-Identifier: Apache-2.0
//
// What both builders of a tree do with one node.
#pragma once

#include "base/doc.h"
#include "base/err.h"
#include "base/mem.h"

// doc->integral and doc->integer from the literal, when it is an integer that fits.
void json_node_integer(struct doc *doc, const char *literal, size_t len);
// ERR_INPUT with the line of the second of two equal keys.
NODISCARD int json_node_keys(const struct doc *map, struct err *err);
