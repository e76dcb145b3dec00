// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"

// The whole of a file ("-": standard input) with a NUL behind it; *ret is the caller's. ERR_INPUT naming the path when
// it cannot be read or is longer than max bytes.
NODISCARD int read_file(const char *path, size_t max, char **ret, size_t *ret_len, struct err *err);
