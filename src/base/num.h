// SPDX-License-Identifier: Apache-2.0
//
// Strict numbers: the whole text must be the number. No sign, blank, octal or hexadecimal surprises.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Decimal digits only, leading zeros allowed (they are decimal); false on anything else or above max.
bool num_parse_u64(const char *text, size_t len, uint64_t max, uint64_t *ret);
// "250ms", "10s", "1m30s", "2h", "1h30m"; a bare 0 too. Milliseconds. False on anything else.
bool num_parse_duration_ms(const char *text, uint64_t *ret);
// CLOCK_MONOTONIC in milliseconds / nanoseconds: for agent/, cmd/ and tests; the core reads no clock.
uint64_t num_now_ms(void);
uint64_t num_now_ns(void);
