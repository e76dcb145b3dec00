// SPDX-License-Identifier: Apache-2.0
//
// What source/object_stream must keep of a text, found the simple way: of a whole text in memory, by recursion. Tests
// compare the two.
#pragma once

#include "base/buf.h"
#include "source/keep.h"

// Appends what keep names of a map. False when text is not well-formed enough for that; out holds anything then.
bool plain_prune(const struct keep *keep, const char *text, size_t len, struct buf *out);
