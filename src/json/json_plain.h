// SPDX-License-Identifier: Apache-2.0
//
// The same tree without cJSON, for netpold-cni alone: it runs on hosts that need not have our libraries and is linked
// statically, for which Debian 12's cJSON has no archive. json_scan decides what is JSON in both; the tests compare the
// two trees node by node.
#pragma once

#include "base/doc.h"
#include "base/err.h"
#include "base/mem.h"

// As json_parse (json/json.h), but memory is not kept small, and *ret_used is always the length: one value alone.
NODISCARD int json_parse_plain(const char *text, size_t len, struct arena *arena, struct doc **ret, struct err *err);
