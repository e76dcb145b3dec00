// SPDX-License-Identifier: Apache-2.0
//
// The text of a stream before libyaml sees it: where documents start, and which bytes no YAML text may hold.
#pragma once

#include <stddef.h>

// Offset of the first character at or behind `at` that YAML does not allow (ill-formed UTF-8, a NUL or another control
// character); len when there is none. *ret_why says which (static text).
size_t yaml_text_bad(const char *text, size_t len, size_t at, const char **ret_why);
// Start of the first line at or behind `at` that starts with a "---" marker; len when there is none.
size_t yaml_text_next_document(const char *text, size_t len, size_t at);
// Start of the last such line at or before `at`, not before `from`; `from` when there is none.
size_t yaml_text_document_of(const char *text, size_t len, size_t from, size_t at);
// Line feeds in the n bytes at text.
unsigned yaml_text_lines(const char *text, size_t n);
// Bytes of the first `characters` characters.
size_t yaml_text_bytes(const char *text, size_t len, size_t characters);
