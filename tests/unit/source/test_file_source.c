// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/num.h"
#include "source/source.h"

struct fixture {
    struct loop *loop;
    struct loop_timer *timeout;
    struct state *state;
    struct source *source;
    char dir[64];
    int changes;
    bool synced;
    int synced_calls;
    int reports;
    char why[512];
    char events[4096];
    char fields[8192];
    struct err err;
};

static void on_changed(void *arg)
{
    struct fixture *f = arg;
    f->changes++;
}

static void on_synced(bool synced, const char *why, void *arg)
{
    struct fixture *f = arg;
    assert_false(f->synced);  // never after the first true
    f->synced = synced;
    f->synced_calls++;
    (void)snprintf(f->why, sizeof(f->why), "%s", why);
}

static void on_report(enum source_level level, const char *event, const char *fields, void *arg)
{
    struct fixture *f = arg;
    (void)level;
    f->reports++;
    size_t len = strlen(f->events);
    (void)snprintf(f->events + len, sizeof(f->events) - len, "%s ", event);
    len = strlen(f->fields);
    (void)snprintf(f->fields + len, sizeof(f->fields) - len, "%s\n", fields);
}

static void on_count(const char *counter, const char *label, unsigned delta, void *arg)
{
    (void)counter;
    (void)label;
    (void)delta;
    (void)arg;
}

static void on_timeout(void *arg)
{
    struct fixture *f = arg;
    loop_quit(f->loop, 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    if (!f) {
        return -1;
    }
    *state = f;
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/np-files-XXXXXX");
    return !mkdtemp(f->dir) || loop_new(&f->loop, &f->err) < 0 || state_new(&f->state, &f->err) < 0 ||
           loop_add_timer(f->loop, on_timeout, f, &f->timeout, &f->err) < 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->source) {
        f->source->ops->free(f->source);
    }
    state_free(f->state);
    loop_free(f->loop);
    (void)nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static void start(struct fixture *f, const char *path)
{
    const struct source_owner owner = {
        .arg = f, .changed = on_changed, .synced = on_synced, .report = on_report, .count = on_count};
    static char kept[256];
    (void)snprintf(kept, sizeof(kept), "%s", path);
    static const char *paths[1];
    paths[0] = kept;
    assert_int_equal(file_source_new(f->loop, paths, 1, f->state, &owner, &f->source, &f->err), 0);
}

static void run(struct fixture *f, unsigned ms)
{
    loop_arm(f->timeout, ms);
    assert_int_equal(loop_run(f->loop, &f->err), 0);
}

static void path_of(const struct fixture *f, const char *name, char ret[256])
{
    (void)snprintf(ret, 256, "%s/%s", f->dir, name);
}

static void put_file(const struct fixture *f, const char *name, const char *text)
{
    char path[256];
    path_of(f, name, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

// Written beside and renamed into place, as careful programs do.
static void replace_file(const struct fixture *f, const char *name, const char *text)
{
    char from[256];
    char to[256];
    put_file(f, ".new", text);
    path_of(f, ".new", from);
    path_of(f, name, to);
    assert_int_equal(rename(from, to), 0);
}

static void remove_file(const struct fixture *f, const char *name)
{
    char path[256];
    path_of(f, name, path);
    assert_int_equal(unlink(path), 0);
}

static const char ns_x[] = "apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n";
static const char ns_y[] = "apiVersion: v1\nkind: Namespace\nmetadata: {name: y}\n";
static const char ns_xyz[] = "apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n---\n"
                             "apiVersion: v1\nkind: Namespace\nmetadata: {name: y}\n---\n"
                             "apiVersion: v1\nkind: Namespace\nmetadata: {name: z}\n";
static const char broken[] = "apiVersion: v1\nkind: Namespace\nmetadata: {name: [\n";

static size_t namespaces(const struct fixture *f)
{
    return state_count(f->state, OBJECT_NAMESPACE);
}

static void test_reads_a_directory(void **state)
{
    struct fixture *f = *state;
    put_file(f, "a.yaml", ns_x);
    put_file(f, "b.yaml", ns_y);
    start(f, f->dir);
    assert_int_equal(f->synced_calls, 0);  // never from within _new
    run(f, 30);
    assert_true(f->synced);
    assert_int_equal(f->changes, 1);
    assert_int_equal(namespaces(f), 2);
}

static void test_empty_directory_is_synced(void **state)
{
    struct fixture *f = *state;
    start(f, f->dir);
    run(f, 30);
    assert_true(f->synced);
    assert_int_equal(namespaces(f), 0);
}

static void test_rename_into_place_is_one_change(void **state)
{
    struct fixture *f = *state;
    put_file(f, "a.yaml", ns_x);
    start(f, f->dir);
    run(f, 30);
    f->changes = 0;
    replace_file(f, "a.yaml", ns_xyz);
    run(f, 30);
    assert_int_equal(f->changes, 1);
    assert_int_equal(namespaces(f), 3);
}

static void test_burst_is_one_change(void **state)
{
    struct fixture *f = *state;
    put_file(f, "a.yaml", ns_x);
    start(f, f->dir);
    run(f, 30);
    f->changes = 0;
    for (int i = 0; i < 20; i++) {
        char name[16];
        char text[128];
        (void)snprintf(name, sizeof(name), "n%d.yaml", i);
        (void)snprintf(text, sizeof(text), "apiVersion: v1\nkind: Namespace\nmetadata: {name: n%d}\n", i);
        replace_file(f, name, text);
    }
    run(f, 50);
    assert_int_equal(f->changes, 1);
    assert_int_equal(namespaces(f), 21);
}

static void test_symlink_swap_is_one_change(void **state)
{
    struct fixture *f = *state;
    char path[256];
    path_of(f, "..one", path);
    assert_int_equal(mkdir(path, 0755), 0);
    path_of(f, "..two", path);
    assert_int_equal(mkdir(path, 0755), 0);
    put_file(f, "..one/a.yaml", ns_x);
    put_file(f, "..one/b.yaml", ns_y);
    put_file(f, "..two/a.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: p}\n");
    put_file(f, "..two/b.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: q}\n");
    path_of(f, "..data", path);
    assert_int_equal(symlink("..one", path), 0);
    path_of(f, "a.yaml", path);
    assert_int_equal(symlink("..data/a.yaml", path), 0);
    path_of(f, "b.yaml", path);
    assert_int_equal(symlink("..data/b.yaml", path), 0);
    start(f, f->dir);
    run(f, 30);
    assert_int_equal(namespaces(f), 2);
    f->changes = 0;
    char swap[256];
    path_of(f, "..data_tmp", swap);
    assert_int_equal(symlink("..two", swap), 0);
    path_of(f, "..data", path);
    assert_int_equal(rename(swap, path), 0);
    run(f, 50);
    assert_int_equal(f->changes, 1);
    assert_int_equal(namespaces(f), 2);
    assert_non_null(state_namespace(f->state, "p"));
    assert_null(state_namespace(f->state, "x"));
}

static void test_broken_file_keeps_what_it_held(void **state)
{
    struct fixture *f = *state;
    put_file(f, "a.yaml", ns_xyz);
    start(f, f->dir);
    run(f, 30);
    f->changes = 0;
    f->events[0] = '\0';
    replace_file(f, "a.yaml", broken);
    run(f, 30);
    assert_int_equal(f->changes, 0);
    assert_int_equal(namespaces(f), 3);
    assert_non_null(strstr(f->events, "state-finding"));
    assert_non_null(strstr(f->fields, "a.yaml"));
    replace_file(f, "a.yaml", ns_y);
    run(f, 30);
    assert_int_equal(namespaces(f), 1);
}

static void test_removed_file_takes_its_objects(void **state)
{
    struct fixture *f = *state;
    put_file(f, "a.yaml", ns_x);
    put_file(f, "b.yaml", ns_y);
    start(f, f->dir);
    run(f, 30);
    remove_file(f, "b.yaml");
    run(f, 30);
    assert_int_equal(namespaces(f), 1);
    assert_null(state_namespace(f->state, "y"));
}

static void test_broken_file_at_start_is_not_synced(void **state)
{
    struct fixture *f = *state;
    put_file(f, "a.yaml", ns_x);
    put_file(f, "b.yaml", broken);
    start(f, f->dir);
    run(f, 30);
    assert_false(f->synced);
    assert_non_null(strstr(f->why, "b.yaml"));
    int calls = f->synced_calls;
    // Looking again without a change says nothing new.
    f->source->ops->refresh(f->source);
    run(f, 30);
    assert_int_equal(f->synced_calls, calls);
    // Mended in two steps.
    replace_file(f, "b.yaml", ns_y);
    run(f, 150);
    assert_false(f->synced);
    replace_file(f, "c.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: c}\n");
    run(f, 150);
    assert_false(f->synced);
    run(f, 200);
    assert_true(f->synced);
    assert_int_equal(namespaces(f), 3);
}

static void test_missing_path_at_start_is_waited_for(void **state)
{
    struct fixture *f = *state;
    char path[256];
    path_of(f, "later", path);
    start(f, path);
    run(f, 30);
    assert_false(f->synced);
    assert_non_null(strstr(f->why, "later"));
    assert_int_equal(mkdir(path, 0755), 0);
    put_file(f, "later/a.yaml", ns_x);
    run(f, 1500);
    assert_true(f->synced);
    assert_int_equal(namespaces(f), 1);
}

static void test_missing_path_later_keeps_what_it_held(void **state)
{
    struct fixture *f = *state;
    char path[256];
    char away[256];
    path_of(f, "state", path);
    path_of(f, "away", away);
    assert_int_equal(mkdir(path, 0755), 0);
    put_file(f, "state/a.yaml", ns_x);
    start(f, path);
    run(f, 30);
    assert_int_equal(namespaces(f), 1);
    assert_int_equal(rename(path, away), 0);
    run(f, 100);
    assert_int_equal(namespaces(f), 1);
    assert_non_null(strstr(f->events, "state-path-missing"));
    // Another directory takes the place.
    assert_int_equal(mkdir(path, 0755), 0);
    put_file(f, "state/a.yaml", ns_xyz);
    run(f, 1500);
    assert_int_equal(namespaces(f), 3);
    // And is watched.
    replace_file(f, "state/a.yaml", ns_y);
    run(f, 50);
    assert_int_equal(namespaces(f), 1);
}

static void test_one_file(void **state)
{
    struct fixture *f = *state;
    char path[256];
    put_file(f, "s.yaml", ns_x);
    path_of(f, "s.yaml", path);
    start(f, path);
    run(f, 30);
    assert_int_equal(namespaces(f), 1);
    replace_file(f, "s.yaml", ns_xyz);
    run(f, 30);
    assert_int_equal(namespaces(f), 3);
    // Gone for a moment, as some editors do it.
    remove_file(f, "s.yaml");
    run(f, 30);
    assert_int_equal(namespaces(f), 3);
    put_file(f, "s.yaml", ns_y);
    run(f, 600);
    assert_int_equal(namespaces(f), 1);
}

static void test_half_written_file_is_not_read(void **state)
{
    struct fixture *f = *state;
    put_file(f, "a.yaml", ns_xyz);
    start(f, f->dir);
    run(f, 30);
    f->changes = 0;
    char path[256];
    path_of(f, "a.yaml", path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(ns_x, file) >= 0);
    assert_int_equal(fflush(file), 0);
    // Another file changes meanwhile.
    replace_file(f, "b.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n");
    run(f, 150);
    assert_int_equal(f->changes, 0);
    assert_int_equal(namespaces(f), 3);
    assert_true(fputs("---\n", file) >= 0 && fputs(ns_y, file) >= 0);
    assert_int_equal(fclose(file), 0);
    run(f, 150);
    assert_int_equal(f->changes, 1);
    assert_int_equal(namespaces(f), 3);
    assert_non_null(state_namespace(f->state, "other"));
}

static void test_new_subdirectory_is_watched(void **state)
{
    struct fixture *f = *state;
    put_file(f, "a.yaml", ns_x);
    start(f, f->dir);
    run(f, 30);
    char path[256];
    path_of(f, "sub", path);
    assert_int_equal(mkdir(path, 0755), 0);
    run(f, 50);
    put_file(f, "sub/b.yaml", ns_y);
    run(f, 50);
    assert_int_equal(namespaces(f), 2);
}

static void test_duplicate_is_said_once(void **state)
{
    struct fixture *f = *state;
    put_file(f, "a.yaml", ns_x);
    put_file(f, "b.yaml", ns_x);
    start(f, f->dir);
    run(f, 30);
    assert_true(f->synced);
    assert_non_null(strstr(f->fields, "b.yaml"));
    assert_non_null(strstr(f->fields, "a.yaml"));
    f->events[0] = '\0';
    replace_file(f, "c.yaml", ns_y);
    run(f, 30);
    assert_null(strstr(f->events, "state-finding"));
    assert_int_equal(namespaces(f), 2);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_reads_a_directory),
        T(test_empty_directory_is_synced),
        T(test_rename_into_place_is_one_change),
        T(test_burst_is_one_change),
        T(test_symlink_swap_is_one_change),
        T(test_broken_file_keeps_what_it_held),
        T(test_removed_file_takes_its_objects),
        T(test_broken_file_at_start_is_not_synced),
        T(test_missing_path_at_start_is_waited_for),
        T(test_missing_path_later_keeps_what_it_held),
        T(test_one_file),
        T(test_half_written_file_is_not_read),
        T(test_new_subdirectory_is_watched),
        T(test_duplicate_is_said_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
