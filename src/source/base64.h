// SPDX-License-Identifier: Apache-2.0
//
// Base64 (RFC 4648 section 4), as the "-data" fields of a kubeconfig hold it.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// The bytes that text stands for, with a NUL behind them; line breaks inside are skipped, as Go does. Padding is
// required. NULL with *ret_len = 0 when text is no base64, NULL with *ret_len = 1 when memory is out.
char *base64_decode(const char *text, size_t *ret_len);

// Appends len bytes, with padding, without line breaks.
struct buf;
void base64_encode(struct buf *out, const void *data, size_t len);
