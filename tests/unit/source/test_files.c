// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "source/files.h"

// A directory of its own for each test, with the set of files on it.
struct fixture {
    char root[64];
    struct state *objects;
    struct files *files;
    struct files_report report;
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    (void)snprintf(f->root, sizeof(f->root), "/tmp/np-files-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    assert_int_equal(state_new(&f->objects, NULL), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    files_report_free(&f->report);
    files_free(f->files);
    state_free(f->objects);
    (void)nftw(f->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static const char *at(const struct fixture *f, const char *name)
{
    static char path[8][640];
    static unsigned turn;
    char *p = path[turn++ % 8];
    (void)snprintf(p, sizeof(path[0]), "%s/%s", f->root, name);
    return p;
}

static void put(const struct fixture *f, const char *name, const char *text)
{
    FILE *file = fopen(at(f, name), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void make_directory(const struct fixture *f, const char *name)
{
    assert_int_equal(mkdir(at(f, name), 0755), 0);
}

#define POD(ns, name, label)                                                                                           \
    "---\napiVersion: v1\nkind: Pod\nmetadata: {namespace: " ns ", name: " name ", labels: {v: \"" label "\"}}\n"

static void open_paths(struct fixture *f, const char *const *paths, size_t n)
{
    assert_int_equal(files_new(paths, n, &f->files, NULL), 0);
}

static void open_root(struct fixture *f)
{
    const char *paths[] = {f->root};
    open_paths(f, paths, 1);
}

static void scan_as(struct fixture *f, bool lenient)
{
    files_report_free(&f->report);
    struct err err = {0};
    if (files_scan(f->files, lenient, f->objects, &f->report, &err) < 0) {
        fail_msg("%s", err.msg);
    }
}

static void scan(struct fixture *f)
{
    scan_as(f, false);
}

// The pods of the state as "ns/name=label", and the findings, each in order.
static void expect_pods(struct fixture *f, const char *want)
{
    BUF_CLEANUP struct buf out = {0};
    size_t n;
    const struct pod *const *pods = state_pods(f->objects, &n);
    for (size_t i = 0; i < n; i++) {
        const char *label = labels_get(&pods[i]->meta.labels, "v");
        buf_printf(&out, "%s%s/%s=%s", i ? " " : "", pods[i]->meta.ns, pods[i]->meta.name, label ? label : "-");
    }
    assert_string_equal(out.data ? out.data : "", want);
}

static void expect_finding(struct fixture *f, const char *part)
{
    BUF_CLEANUP struct buf out = {0};
    for (size_t i = 0; i < f->report.diagnostics.list.n; i++) {
        diagnostic_format(&f->report.diagnostics.list.v[i], &out);
        buf_puts(&out, "\n");
    }
    if (!out.data || !strstr(out.data, part)) {
        fail_msg("no \"%s\" in:\n%s", part, out.data ? out.data : "");
    }
}

static void expect_directory(const struct fixture *f, const char *path, bool want)
{
    size_t n;
    const char *const *directories = files_directories(f->files, &n);
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        found = found || strcmp(directories[i], path) == 0;
        assert_true(i == 0 || strcmp(directories[i - 1], directories[i]) < 0);
    }
    if (found != want) {
        fail_msg("%s is%s watched", path, found ? "" : " not");
    }
}

static void test_directory(void **state)
{
    struct fixture *f = *state;
    put(f, "b.yaml", POD("x", "b", "1") POD("x", "c", "1"));
    put(f, "a.json", "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"namespace\":\"x\"}}");
    put(f, "notes.txt", "not: [yaml");
    put(f, ".hidden.yaml", POD("x", "hidden", "1"));
    put(f, "d.yml", "apiVersion: apps/v1\nkind: Deployment\n");
    make_directory(f, "sub");
    make_directory(f, "sub/deep.yaml");
    put(f, "sub/deep.yaml/e.yaml", POD("y", "e", "1"));
    open_root(f);
    scan(f);
    expect_pods(f, "x/a=- x/b=1 x/c=1 y/e=1");
    assert_int_equal(f->report.files, 4);
    assert_int_equal(f->report.files_read, 4);
    assert_int_equal(f->report.objects, 4);
    assert_int_equal(f->report.ignored, 1);
    assert_int_equal(f->report.files_failing, 0);
    assert_true(f->report.changed);
    assert_false(f->report.missing);
    assert_int_equal(f->report.diagnostics.list.n, 0);
    expect_directory(f, f->root, true);
    expect_directory(f, at(f, "sub/deep.yaml"), true);
    assert_int_equal(state_pod(f->objects, "x", "c")->meta.origin.line, 6);
    assert_string_equal(state_pod(f->objects, "x", "c")->meta.origin.file, at(f, "b.yaml"));
    scan(f);
    assert_int_equal(f->report.files_read, 0);
    assert_false(f->report.changed);
    assert_int_equal(f->report.objects, 4);
}

static void test_changes(void **state)
{
    struct fixture *f = *state;
    put(f, "a.yaml", POD("x", "a", "1") POD("x", "b", "1"));
    open_root(f);
    scan(f);
    // At once, same length: the times may well be the same.
    put(f, "a.yaml", POD("x", "a", "2") POD("x", "b", "1"));
    scan(f);
    expect_pods(f, "x/a=2 x/b=1");
    assert_true(f->report.changed);
    put(f, "a.yaml", POD("x", "a", "2") POD("x", "c", "1"));
    put(f, "new.yaml", POD("x", "n", "1"));
    scan(f);
    expect_pods(f, "x/a=2 x/c=1 x/n=1");
    assert_int_equal(rename(at(f, "new.yaml"), at(f, "other.yaml")), 0);
    scan(f);
    expect_pods(f, "x/a=2 x/c=1 x/n=1");
    assert_int_equal(unlink(at(f, "a.yaml")), 0);
    scan(f);
    expect_pods(f, "x/n=1");
    // The same content again is no change.
    put(f, "other.yaml", "# a comment\n" POD("x", "n", "1"));
    scan(f);
    assert_int_equal(f->report.files_read, 1);
    assert_false(f->report.changed);
    assert_int_equal(unlink(at(f, "other.yaml")), 0);
    scan(f);
    expect_pods(f, "");
    assert_int_equal(f->report.files, 0);
    assert_true(f->report.changed);
}

static void test_unread_when_old(void **state)
{
    struct fixture *f = *state;
    put(f, "a.yaml", POD("x", "a", "1"));
    open_root(f);
    (void)usleep(200000);
    scan(f);
    assert_int_equal(f->report.files_read, 1);
    scan(f);
    assert_int_equal(f->report.files_read, 0);
    put(f, "a.yaml", POD("x", "a", "2"));
    scan(f);
    assert_int_equal(f->report.files_read, 1);
    expect_pods(f, "x/a=2");
}

static void test_failing_file(void **state)
{
    struct fixture *f = *state;
    put(f, "a.yaml", POD("x", "a", "1") POD("x", "b", "1"));
    open_root(f);
    scan(f);
    put(f, "a.yaml", POD("x", "a", "2") POD("x", "b", "2") "---\nfoo: [\n");
    scan(f);
    expect_pods(f, "x/a=1 x/b=1");
    assert_int_equal(f->report.files_failing, 1);
    assert_false(f->report.changed);
    expect_finding(f, "a.yaml:11: invalid YAML");
    scan(f);
    assert_int_equal(f->report.files_failing, 1);
    assert_int_equal(f->report.files_read, 0);
    assert_int_equal(f->report.diagnostics.list.n, 0);
    // An audit wants what there is.
    scan_as(f, true);
    expect_pods(f, "x/a=2 x/b=2");
    assert_int_equal(f->report.files_failing, 1);
    put(f, "a.yaml", POD("x", "a", "3"));
    scan(f);
    expect_pods(f, "x/a=3");
    assert_int_equal(f->report.files_failing, 0);
    // A partial policy is no lost document.
    put(f, "a.yaml",
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {ingress: [{x: 1}]}\n");
    scan(f);
    assert_int_equal(f->report.files_failing, 0);
    expect_pods(f, "");
    assert_non_null(state_policy(f->objects, "default", "p"));
}

static void test_failing_from_the_start(void **state)
{
    struct fixture *f = *state;
    put(f, "a.yaml", POD("x", "a", "1") "---\nkind: Pod\n");
    put(f, "b.yaml", POD("x", "b", "1"));
    open_root(f);
    scan(f);
    expect_pods(f, "x/b=1");
    assert_int_equal(f->report.files_failing, 1);
    assert_int_equal(unlink(at(f, "a.yaml")), 0);
    scan(f);
    assert_int_equal(f->report.files_failing, 0);
}

static void test_duplicates(void **state)
{
    struct fixture *f = *state;
    put(f, "a-1.yaml", POD("x", "a", "a1"));
    make_directory(f, "a");
    put(f, "a/z.yaml", POD("x", "a", "z") POD("x", "b", "b"));
    put(f, "b.yaml", "\n\n" POD("x", "a", "b1") POD("x", "a", "b2"));
    open_root(f);
    scan(f);
    // '-' sorts before '/'.
    expect_pods(f, "x/a=a1 x/b=b");
    assert_int_equal(f->report.diagnostics.counts[DIAGNOSTIC_LOST], 3);
    assert_int_equal(f->report.files_failing, 0);
    char want[512];
    (void)snprintf(want, sizeof(want), "%s/b.yaml:4: Pod x/a: is given twice: %s/a-1.yaml:2 came first", f->root,
                   f->root);
    expect_finding(f, want);
    scan(f);
    assert_int_equal(f->report.diagnostics.counts[DIAGNOSTIC_LOST], 3);
    assert_int_equal(f->report.objects, 2);
    // The next holder takes over without being read again, and gives way again.
    assert_int_equal(rename(at(f, "a-1.yaml"), at(f, "away.txt")), 0);
    scan(f);
    expect_pods(f, "x/a=z x/b=b");
    assert_int_equal(rename(at(f, "away.txt"), at(f, "a-1.yaml")), 0);
    scan(f);
    expect_pods(f, "x/a=a1 x/b=b");
    assert_int_equal(unlink(at(f, "a-1.yaml")), 0);
    scan(f);
    expect_pods(f, "x/a=z x/b=b");
    assert_int_equal(unlink(at(f, "a/z.yaml")), 0);
    scan(f);
    expect_pods(f, "x/a=b1");
    assert_int_equal(f->report.diagnostics.counts[DIAGNOSTIC_LOST], 1);
    put(f, "b.yaml", POD("x", "a", "b2"));
    scan(f);
    assert_int_equal(f->report.diagnostics.list.n, 0);
    expect_pods(f, "x/a=b2");
}

static void test_order_of_paths(void **state)
{
    struct fixture *f = *state;
    put(f, "a.yaml", POD("x", "a", "a"));
    put(f, "b.conf", POD("x", "a", "b"));
    char slashes[128];
    (void)snprintf(slashes, sizeof(slashes), "%s//", f->root);
    const char *paths[] = {at(f, "b.conf"), slashes, at(f, "a.yaml")};
    open_paths(f, paths, 3);
    scan(f);
    expect_pods(f, "x/a=b");
    assert_int_equal(f->report.files, 2);
    assert_int_equal(f->report.diagnostics.counts[DIAGNOSTIC_LOST], 1);
}

static void test_missing(void **state)
{
    struct fixture *f = *state;
    make_directory(f, "in");
    put(f, "in/a.yaml", POD("x", "a", "1"));
    put(f, "b", POD("x", "b", "1"));
    const char *paths[] = {at(f, "in"), at(f, "b"), at(f, "none/at/all")};
    open_paths(f, paths, 3);
    scan(f);
    expect_pods(f, "x/a=1 x/b=1");
    assert_true(f->report.missing);
    expect_finding(f, "none/at/all: cannot be read: No such file");
    expect_directory(f, f->root, true);
    // Away is not empty: what the operator named and is not there keeps its objects.
    assert_int_equal(rename(at(f, "in"), at(f, "away")), 0);
    assert_int_equal(rename(at(f, "b"), at(f, "b-away")), 0);
    scan(f);
    expect_pods(f, "x/a=1 x/b=1");
    assert_true(f->report.missing);
    assert_false(f->report.changed);
    make_directory(f, "in");
    put(f, "b", "");
    scan(f);
    expect_pods(f, "");
}

// Root reads everything: look as somebody else.
static void scan_unprivileged(struct fixture *f)
{
    uid_t me = geteuid();
    assert_int_equal(me == 0 ? seteuid(65534) : 0, 0);
    scan(f);
    assert_int_equal(me == 0 ? seteuid(me) : 0, 0);
}

static void test_unreadable(void **state)
{
    struct fixture *f = *state;
    put(f, "a.yaml", POD("x", "a", "1"));
    make_directory(f, "in");
    put(f, "in/b.yaml", POD("x", "b", "1"));
    assert_int_equal(chmod(f->root, 0755), 0);
    open_root(f);
    scan_unprivileged(f);
    expect_pods(f, "x/a=1 x/b=1");
    put(f, "a.yaml", POD("x", "a", "2"));
    assert_int_equal(chmod(at(f, "a.yaml"), 0), 0);
    assert_int_equal(chmod(at(f, "in"), 0), 0);
    scan_unprivileged(f);
    expect_pods(f, "x/a=1 x/b=1");
    expect_finding(f, "a.yaml: cannot be read: Permission denied");
    expect_finding(f, "in: cannot be listed: Permission denied");
    assert_true(f->report.missing);
    assert_int_equal(f->report.files_failing, 1);
    assert_int_equal(chmod(at(f, "a.yaml"), 0644), 0);
    assert_int_equal(chmod(at(f, "in"), 0755), 0);
    scan_unprivileged(f);
    expect_pods(f, "x/a=2 x/b=1");
    assert_false(f->report.missing);
    assert_int_equal(f->report.files_failing, 0);
}

static void test_symlinks(void **state)
{
    struct fixture *f = *state;
    // Kubernetes' layout of a mounted ConfigMap.
    make_directory(f, "..1");
    make_directory(f, "..2");
    put(f, "..1/a.yaml", POD("x", "a", "1"));
    put(f, "..2/a.yaml", POD("x", "a", "2"));
    assert_int_equal(symlink("..1", at(f, "..data")), 0);
    assert_int_equal(symlink("..data/a.yaml", at(f, "a.yaml")), 0);
    assert_int_equal(symlink("nothing", at(f, "dangling.yaml")), 0);
    assert_int_equal(symlink(".", at(f, "loop")), 0);
    assert_int_equal(symlink("self.yaml", at(f, "self.yaml")), 0);
    open_root(f);
    scan(f);
    expect_pods(f, "x/a=1");
    expect_directory(f, at(f, "..1"), true);
    expect_finding(f, "dangling.yaml: a symlink to nothing");
    assert_int_equal(unlink(at(f, "self.yaml")), 0);
    assert_int_equal(unlink(at(f, "dangling.yaml")), 0);
    assert_int_equal(symlink("..2", at(f, "..next")), 0);
    assert_int_equal(rename(at(f, "..next"), at(f, "..data")), 0);
    scan(f);
    expect_pods(f, "x/a=2");
    expect_directory(f, at(f, "..1"), false);
    expect_directory(f, at(f, "..2"), true);
    assert_int_equal(f->report.diagnostics.list.n, 0);
}

static void test_root_is_a_symlink(void **state)
{
    struct fixture *f = *state;
    make_directory(f, "v1");
    make_directory(f, "v2");
    put(f, "v1/a.yaml", POD("x", "a", "1"));
    put(f, "v2/b.yaml", POD("x", "b", "1"));
    assert_int_equal(symlink("v1", at(f, "now")), 0);
    const char *paths[] = {at(f, "now")};
    open_paths(f, paths, 1);
    scan(f);
    expect_pods(f, "x/a=1");
    expect_directory(f, f->root, true);
    assert_int_equal(symlink("v2", at(f, "next")), 0);
    assert_int_equal(rename(at(f, "next"), at(f, "now")), 0);
    scan(f);
    expect_pods(f, "x/b=1");
}

static void test_pipe_is_read_once(void **state)
{
    struct fixture *f = *state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    const char text[] = POD("x", "a", "1");
    assert_int_equal(write(fds[1], text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fds[1]), 0);
    int saved = dup(STDIN_FILENO);
    assert_true(dup2(fds[0], STDIN_FILENO) >= 0);
    assert_int_equal(close(fds[0]), 0);
    const char *paths[] = {"-", f->root};
    open_paths(f, paths, 2);
    scan(f);
    expect_pods(f, "x/a=1");
    assert_string_equal(state_pod(f->objects, "x", "a")->meta.origin.file, "<stdin>");
    put(f, "b.yaml", POD("x", "b", "1"));
    scan(f);
    expect_pods(f, "x/a=1 x/b=1");
    if (saved >= 0) {
        assert_true(dup2(saved, STDIN_FILENO) >= 0);
        assert_int_equal(close(saved), 0);
    }
}

static void test_stdin_from_a_file_is_read_once(void **state)
{
    struct fixture *f = *state;
    put(f, "in.txt", POD("x", "a", "1"));
    int fd = open(at(f, "in.txt"), O_RDONLY | O_CLOEXEC);
    int saved = dup(STDIN_FILENO);
    assert_true(dup2(fd, STDIN_FILENO) >= 0);
    assert_int_equal(close(fd), 0);
    const char *paths[] = {"-"};
    open_paths(f, paths, 1);
    scan(f);
    scan(f);
    scan_as(f, true);
    expect_pods(f, "x/a=1");
    if (saved >= 0) {
        assert_true(dup2(saved, STDIN_FILENO) >= 0);
        assert_int_equal(close(saved), 0);
    }
}

static void test_special_files_are_passed_by(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkfifo(at(f, "fifo.yaml"), 0600), 0);
    put(f, "a.yaml", POD("x", "a", "1"));
    open_root(f);
    scan(f);
    expect_pods(f, "x/a=1");
}

static void test_too_deep(void **state)
{
    struct fixture *f = *state;
    char path[512];
    (void)snprintf(path, sizeof(path), "d");
    for (int i = 0; i < 40; i++) {
        make_directory(f, path);
        (void)strncat(path, "/d", sizeof(path) - strlen(path) - 1);
    }
    open_root(f);
    scan(f);
    assert_true(f->report.missing);
    expect_finding(f, "too many directories");
}

static void test_all_kinds(void **state)
{
    struct fixture *f = *state;
    put(f, "a.yaml",
        "{apiVersion: v1, kind: Namespace, metadata: {name: x}}\n---\n"
        "{apiVersion: v1, kind: Node, metadata: {name: n}}\n---\n"
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: x}, spec: {}}\n");
    put(f, "b.yaml",
        "{apiVersion: v1, kind: Namespace, metadata: {name: x, labels: {a: b}}}\n---\n"
        "{apiVersion: v1, kind: Node, metadata: {name: n, labels: {a: b}}}\n---\n"
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: x}, spec: {egress: "
        "[{}]}}\n");
    open_root(f);
    scan(f);
    assert_int_equal(f->report.objects, 3);
    assert_int_equal(f->report.diagnostics.counts[DIAGNOSTIC_LOST], 3);
    expect_finding(f, "Namespace x: is given twice");
    expect_finding(f, "NetworkPolicy x/p: is given twice");
    assert_int_equal(state_policy(f->objects, "x", "p")->n_rules[DIRECTION_EGRESS], 0);
    assert_int_equal(rename(at(f, "b.yaml"), at(f, "0.yaml")), 0);
    scan(f);
    assert_int_equal(state_policy(f->objects, "x", "p")->n_rules[DIRECTION_EGRESS], 1);
    assert_int_equal(unlink(at(f, "0.yaml")), 0);
    scan(f);
    assert_int_equal(state_policy(f->objects, "x", "p")->n_rules[DIRECTION_EGRESS], 0);
    assert_int_equal(state_node(f->objects, "n")->meta.labels.n, 0);
    assert_int_equal(unlink(at(f, "a.yaml")), 0);
    scan(f);
    for (int kind = 0; kind < OBJECT_KIND_COUNT; kind++) {
        assert_int_equal(state_count(f->objects, (enum object_kind)kind), 0);
    }
}

static void test_empty_path(void **state)
{
    struct fixture *f = *state;
    const char *paths[] = {""};
    struct err err = {0};
    assert_int_equal(files_new(paths, 1, &f->files, &err), -1);
    assert_int_equal(err.kind, ERR_USAGE);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_directory),
        TEST(test_changes),
        TEST(test_unread_when_old),
        TEST(test_failing_file),
        TEST(test_failing_from_the_start),
        TEST(test_duplicates),
        TEST(test_order_of_paths),
        TEST(test_missing),
        TEST(test_unreadable),
        TEST(test_symlinks),
        TEST(test_root_is_a_symlink),
        TEST(test_pipe_is_read_once),
        TEST(test_stdin_from_a_file_is_read_once),
        TEST(test_special_files_are_passed_by),
        TEST(test_too_deep),
        TEST(test_all_kinds),
        TEST(test_empty_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
