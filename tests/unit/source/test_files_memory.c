// SPDX-License-Identifier: Apache-2.0
//
// A scan with its 1st, 2nd, … Nth allocation failing says so, loses no memory, and the next scan that has memory ends
// where an undisturbed one does. The allocator of this binary is replaced; with a sanitizer's in the way the test says
// so and skips.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "source/files.h"
#include "support/failing_malloc.h"

#ifdef FAILING_MALLOC_ABSENT
int main(void)
{
    (void)puts("skip: the sanitizer owns the allocator");
    return 77;
}
#else

static char root[64];

static const char pods_yaml[] =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: x, labels: {v: \"1\"}}\n---\n"
    "apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n";
static const char twice_json[] =
    "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{"
    "\"name\":"
    "\"a\",\"namespace\":\"x\"}},{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"b\",\"namespace\":"
    "\"x\"}}"
    ",{\"apiVersion\":\"networking.k8s.io/"
    "v1\",\"kind\":\"NetworkPolicy\",\"metadata\":{\"name\":\"p\",\"namespace\":\"x\"}"
    ",\"spec\":{\"ingress\":[{\"from\":[{\"podSelector\":{\"matchLabels\":{\"a\":\"b\"}}}]}]}}]}";

static void put(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void drop(const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    (void)unlink(path);
}

static int scan(struct files *files, struct state *objects)
{
    struct files_report report = {0};
    struct err err = {0};
    int rc = files_scan(files, true, objects, &report, &err);
    files_report_free(&report);
    if (rc < 0) {
        assert_int_equal(err.kind, ERR_OOM);
    }
    return rc;
}

static void expect(const struct state *objects, bool first, bool second)
{
    const struct pod *a = state_pod(objects, "x", "a");
    assert_int_equal(a != NULL, first || second);
    assert_int_equal(a && labels_get(&a->meta.labels, "v") != NULL, first);
    assert_int_equal(state_pod(objects, "x", "b") != NULL, second);
    assert_int_equal(state_policy(objects, "x", "p") != NULL, second);
    assert_int_equal(state_namespace(objects, "x") != NULL, first);
}

// One step of the directory's life with the k-th allocation failing, then the same scan with memory. False: k was more
// than the step allocates.
static bool step(struct files *files, struct state *objects, long k, bool first, bool second)
{
    failing_malloc_after(k);
    int rc = scan(files, objects);
    failing_malloc_after(-1);
    if (failing_malloc_refused() && rc == 0) {
        fail_msg("allocation %ld failed and nothing was said", k);
    }
    assert_int_equal(scan(files, objects), 0);
    expect(objects, first, second);
    return failing_malloc_refused();
}

static void test_each_allocation(void **state)
{
    (void)state;
    bool more = true;
    long k = 0;
    for (; more; k++) {
        long before = failing_malloc_alive();
        const char *paths[] = {root};
        struct files *files = NULL;
        struct state *objects = NULL;
        assert_int_equal(files_new(paths, 1, &files, NULL), 0);
        assert_int_equal(state_new(&objects, NULL), 0);
        put("b.json", twice_json);
        more = step(files, objects, k, false, true);
        // A file that comes first takes an object over; then it goes, and the other is back in force.
        put("a.yaml", pods_yaml);
        more = step(files, objects, k, true, true) || more;
        drop("a.yaml");
        more = step(files, objects, k, false, true) || more;
        drop("b.json");
        more = step(files, objects, k, false, false) || more;
        files_free(files);
        state_free(objects);
        if (failing_malloc_alive() != before) {
            fail_msg("allocation %ld: %ld blocks lost", k, failing_malloc_alive() - before);
        }
    }
    print_message("%ld allocations failed in turn\n", k - 1);
    assert_true(k > 50);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof(root), "/tmp/np-files-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    (void)nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_each_allocation, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
