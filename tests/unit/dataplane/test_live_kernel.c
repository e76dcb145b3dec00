// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/live_kernel.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/live-kernel-XXXXXX";

static void make_dir(const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

// NULL takes the file away.
static void put_file(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    if (!text) {
        assert_int_equal(unlink(path), 0);
        return;
    }
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void remove_dir(const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    assert_int_equal(rmdir(path), 0);
}

static bool has_nft(void)
{
    return live_kernel_has(root, "nf_tables", "nft_do_chain");
}

static void test_present(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(root));
    make_dir("proc");
    make_dir("sys");
    make_dir("sys/module");
    // No modules at all: nothing could be loaded by asking.
    assert_true(has_nft());
    put_file("proc/modules", "nf_tables_more 1 0 - Live 0x0\nip_set 57344 3 nf_tables, Live 0x0000000000000000\n");
    put_file("proc/kallsyms", "0000000000000000 T nft_do_chain_more\n0000000000000000 t nft_other\n");
    assert_false(has_nft());
    assert_true(live_kernel_has(root, "ip_set", "ip_set_type_register"));
    // Built in, with parameters or without.
    make_dir("sys/module/nf_tables");
    assert_true(has_nft());
    remove_dir("sys/module/nf_tables");
    assert_false(has_nft());
    put_file("proc/kallsyms", "0000000000000000 T _text\n0000000000000000 T nft_do_chain\n");
    assert_true(has_nft());
    // In doubt it is asked.
    put_file("proc/kallsyms", NULL);
    assert_true(has_nft());
    put_file("proc/modules", "nf_tables 1 0 - Live 0x0\n");
    assert_true(has_nft());
    put_file("proc/modules", NULL);
    remove_dir("sys/module");
    remove_dir("sys");
    remove_dir("proc");
    assert_int_equal(rmdir(root), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_present)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
