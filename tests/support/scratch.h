// SPDX-License-Identifier: Apache-2.0
//
// A directory for one test: made before it, removed with all that is in it behind it.
#pragma once

#include <stddef.h>

// For cmocka_unit_test_setup_teardown.
int scratch_setup(void **state);
int scratch_teardown(void **state);
const char *scratch_dir(void);
// "DIR/name", in one of eight buffers that are used in turn.
const char *scratch_path(const char *name);
// Writes a file; fails the test when that fails.
void scratch_put(const char *name, const char *text);
void scratch_put_bytes(const char *name, const void *data, size_t len);
// The same, and it may be executed.
void scratch_put_program(const char *name, const char *text);
void scratch_mkdir(const char *name);
