// SPDX-License-Identifier: Apache-2.0
#include "support/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

static char dir[64];

static int remove_one(const char *path, UNUSED const struct stat *st, UNUSED int type, UNUSED struct FTW *ftw)
{
    return remove(path);
}

int scratch_setup(UNUSED void **state)
{
    (void)snprintf(dir, sizeof(dir), "/tmp/netpold-test.XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

int scratch_teardown(UNUSED void **state)
{
    return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *scratch_dir(void)
{
    return dir;
}

const char *scratch_path(const char *name)
{
    static char paths[8][320];
    static unsigned next;
    char *path = paths[next++ % ARRAY_SIZE(paths)];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

void scratch_put_bytes(const char *name, const void *data, size_t len)
{
    FILE *file = fopen(scratch_path(name), "we");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

void scratch_put(const char *name, const char *text)
{
    scratch_put_bytes(name, text, strlen(text));
}

void scratch_put_program(const char *name, const char *text)
{
    scratch_put(name, text);
    assert_int_equal(chmod(scratch_path(name), 0700), 0);
}

void scratch_mkdir(const char *name)
{
    assert_int_equal(mkdir(scratch_path(name), 0700), 0);
}
