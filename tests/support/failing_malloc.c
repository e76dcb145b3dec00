// SPDX-License-Identifier: Apache-2.0
#include "support/failing_malloc.h"

#ifndef FAILING_MALLOC_ABSENT

#include <stdlib.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void __libc_free(void *p);

static long fail_after = -1;
static bool refused;
static long alive;

void failing_malloc_after(long n)
{
    fail_after = n;
    if (n >= 0) {
        refused = false;
    }
}

bool failing_malloc_refused(void)
{
    return refused;
}

long failing_malloc_alive(void)
{
    return alive;
}

static bool refuse(void)
{
    if (fail_after < 0) {
        return false;
    }
    if (fail_after == 0) {
        refused = true;
        return true;
    }
    fail_after--;
    return false;
}

void *malloc(size_t size)
{
    void *p = refuse() ? NULL : __libc_malloc(size);
    alive += p != NULL;
    return p;
}

void *calloc(size_t n, size_t size)
{
    void *p = refuse() ? NULL : __libc_calloc(n, size);
    alive += p != NULL;
    return p;
}

void *realloc(void *old, size_t size)
{
    void *p = refuse() ? NULL : __libc_realloc(old, size);
    alive += p != NULL && old == NULL;
    return p;
}

void free(void *p)
{
    alive -= p != NULL;
    __libc_free(p);
}
#endif
