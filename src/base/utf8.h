// SPDX-License-Identifier: Apache-2.0
//
// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <stddef.h>

// Bytes of the well-formed character at text (1..4; a NUL byte is one); 0 when it is ill-formed or cut off by len.
size_t utf8_length(const char *text, size_t len);
// Offset of the first byte that does not start a well-formed character; len when there is none.
size_t utf8_first_bad(const char *text, size_t len);
