// SPDX-License-Identifier: Apache-2.0
//
// An allocator that fails on purpose: linking it replaces the whole binary's malloc. A sanitizer owns the allocator of
// its binaries, so there FAILING_MALLOC_ABSENT is defined and a test says that it skips.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define FAILING_MALLOC_ABSENT 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FAILING_MALLOC_ABSENT 1
#endif
#endif

// How many allocations still succeed; -1: all.
void failing_malloc_after(long n);
// Has an allocation been refused since the last failing_malloc_after?
bool failing_malloc_refused(void);
// Blocks that are allocated and not freed.
long failing_malloc_alive(void);
