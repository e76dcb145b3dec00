// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/snapshot.h"
#include "base/buf.h"
#include "decode/decode.h"
#include "json/json.h"

// A cluster being saved into a directory of its own.
struct fixture {
    char directory[64];
    char path[96];
    int spool;
    struct new_file file;
    struct snapshot *snapshot;
    struct state *state;
};

static int setup(void **arg)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err err = {0};
    if (!f) {
        return -1;
    }
    (void)snprintf(f->directory, sizeof(f->directory), "/tmp/netpold-test-XXXXXX");
    f->spool = -1;
    *arg = f;
    if (!mkdtemp(f->directory)) {
        return -1;
    }
    (void)snprintf(f->path, sizeof(f->path), "%s/state", f->directory);
    return state_new(&f->state, &err);
}

static int teardown(void **arg)
{
    struct fixture *f = *arg;
    snapshot_free(f->snapshot);
    state_free(f->state);
    new_file_close(&f->file);
    if (f->spool >= 0) {
        (void)close(f->spool);
    }
    (void)unlink(f->path);
    // Fails when a temporary file was left.
    int rc = rmdir(f->directory);
    free(f);
    return rc;
}

static void begin(struct fixture *f, const char *path, enum snapshot_format format)
{
    struct err err = {0};
    char why[1024];
    if (new_file_check(path, &f->file, &f->spool, &err) < 0 || snapshot_new(format, f->spool, &f->snapshot, &err) < 0) {
        fail_msg("%s", err_text(&err, why, sizeof(why)));
    }
}

// As the source does: into the state when it can be read, and to the snapshot.
static void add(struct fixture *f, enum object_kind kind, const char *json)
{
    struct arena arena = {0};
    struct err err = {0};
    struct doc *doc = NULL;
    size_t used;
    unsigned line;
    struct decoded decoded;
    struct diagnostics DIAGNOSTICS_CLEANUP diagnostics = {0};
    assert_int_equal(json_parse(json, strlen(json), 1, &arena, &doc, &used, &line, &err), 0);
    int rc = decode_object(doc, kind, "", &arena, &decoded, &diagnostics, &err);
    assert_true(rc >= 0);
    if (rc == 0) {
        assert_true(state_put(f->state, kind, decoded_dup(&decoded), &err) >= 0);
    }
    snapshot_add(kind, doc, f->snapshot);
    arena_free(&arena);
}

static char *finish(struct fixture *f, const char *head)
{
    struct err err = {0};
    char why[1024];
    if (snapshot_write(f->snapshot, f->state, head, &f->file, &err) < 0) {
        fail_msg("%s", err_text(&err, why, sizeof(why)));
    }
    FILE *file = fopen(f->path, "re");
    assert_non_null(file);
    struct buf text = {0};
    char part[4096];
    size_t n;
    while ((n = fread(part, 1, sizeof(part), file)) > 0) {
        buf_add(&text, part, n);
    }
    assert_int_equal(fclose(file), 0);
    return buf_take(&text);
}

#define POD(ns, name, version)                                                                                         \
    "{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"" ns "\",\"uid\":\"u-" name                                  \
    "\",\"resourceVersion\":\"" version                                                                                \
    "\",\"annotations\":{\"k\":\"SECRET\"},\"labels\":{\"app\":\"true\"}},\"spec\":{\"nodeName\":\"n1\","              \
    "\"containers\":[{\"name\":\"c\",\"env\":[{\"name\":\"P\",\"value\":\"SECRET\"}],\"ports\":[{\"containerPort\":"   \
    "80,"                                                                                                              \
    "\"hostIP\":\"SECRET\"}]},{\"name\":\"d\"}]},\"status\":{\"phase\":\"Running\",\"podIP\":\"10.0.0.1\","            \
    "\"message\":\"SECRET\"}}"
#define NAMESPACE(name) "{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"1\"}}"

static void test_yaml(void **arg)
{
    struct fixture *f = *arg;
    begin(f, f->path, SNAPSHOT_YAML);
    add(f, OBJECT_POD, POD("x", "b", "7"));
    add(f, OBJECT_POD, POD("x", "a", "6"));
    add(f, OBJECT_NAMESPACE, NAMESPACE("x"));
    CLEANUP(free) char *text = finish(f, "head\nsecond\x01");
    assert_string_equal(text, "# head\n# second?\n"
                              "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: x\n  resourceVersion: \"1\"\n"
                              "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  namespace: x\n  uid: u-a\n"
                              "  resourceVersion: \"6\"\n  labels:\n    app: \"true\"\nspec:\n  nodeName: n1\n"
                              "  containers:\n  - ports:\n    - containerPort: 80\n  - {}\nstatus:\n  phase: Running\n"
                              "  podIP: \"10.0.0.1\"\n"
                              "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: b\n  namespace: x\n  uid: u-b\n"
                              "  resourceVersion: \"7\"\n  labels:\n    app: \"true\"\nspec:\n  nodeName: n1\n"
                              "  containers:\n  - ports:\n    - containerPort: 80\n  - {}\nstatus:\n  phase: Running\n"
                              "  podIP: \"10.0.0.1\"\n");
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_json(void **arg)
{
    struct fixture *f = *arg;
    begin(f, f->path, SNAPSHOT_JSON);
    add(f, OBJECT_NODE, NAMESPACE("n1"));
    add(f, OBJECT_NAMESPACE, NAMESPACE("x"));
    CLEANUP(free) char *text = finish(f, "head");
    assert_string_equal(text, "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n"
                              "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"x\","
                              "\"resourceVersion\":\"1\"}},\n"
                              "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n1\","
                              "\"resourceVersion\":\"1\"}}\n]}\n");
}

// A second list, after one that broke off: the newer copy counts, and what is gone by now is left out.
static void test_listed_again(void **arg)
{
    struct fixture *f = *arg;
    begin(f, f->path, SNAPSHOT_YAML);
    add(f, OBJECT_POD, POD("x", "a", "6"));
    add(f, OBJECT_POD, POD("x", "gone", "7"));
    add(f, OBJECT_POD, POD("x", "a", "9"));
    assert_int_equal(state_remove(f->state, OBJECT_POD, "x", "gone", ""), STATE_REMOVED);
    CLEANUP(free) char *text = finish(f, "");
    assert_non_null(strstr(text, "resourceVersion: \"9\""));
    assert_null(strstr(text, "resourceVersion: \"6\""));
    assert_null(strstr(text, "name: gone"));
}

// What cannot be used is saved all the same, so that -f finds what the cluster showed.
static void test_findings_are_kept(void **arg)
{
    struct fixture *f = *arg;
    for (unsigned format = SNAPSHOT_YAML; format <= SNAPSHOT_JSON; format++) {
        begin(f, f->path, (enum snapshot_format)format);
        add(f, OBJECT_POLICY,
            "{\"metadata\":{\"name\":\"lost\",\"namespace\":\"x\"},\"spec\":{\"podSelector\":\"abc\"}}");
        add(f, OBJECT_POLICY,
            "{\"metadata\":{\"name\":\"part\",\"namespace\":\"x\"},\"spec\":{\"podSelector\":{},\"ingress\":[{\"from\":"
            "[{\"unheard\":{}}]}]}}");
        add(f, OBJECT_POD, "{\"metadata\":{\"name\":\"p\",\"namespace\":\"x\"},\"status\":{\"conditions\":[]}}");
        add(f, OBJECT_POD, "{\"metadata\":{\"name\":\"q\",\"namespace\":\"x\"},\"status\":{}}");
        CLEANUP(free) char *text = finish(f, "");
        assert_non_null(strstr(text, "lost"));
        assert_non_null(strstr(text, "abc"));
        assert_non_null(strstr(text, "unheard"));
        // A status of which nothing is left is no empty one.
        assert_non_null(strstr(text, format == SNAPSHOT_YAML ? "status:\n  \"\": null\n" : "\"status\":{\"\":null}"));
        assert_non_null(strstr(text, format == SNAPSHOT_YAML ? "status: {}\n" : "\"status\":{}"));
        snapshot_free(TAKE(f->snapshot));
        new_file_close(&f->file);
        (void)close(f->spool);
        f->spool = -1;
    }
}

// A place that cannot be written to shows before anything is read; a file that was there stays until there is a whole
// new one, and a link stays a link.
static void test_places(void **arg)
{
    struct fixture *f = *arg;
    struct err err = {0};
    char name[128];
    (void)snprintf(name, sizeof(name), "%s/no/such", f->directory);
    assert_int_equal(new_file_check(name, &f->file, &f->spool, &err), -1);
    assert_int_equal(new_file_check(f->directory, &f->file, &f->spool, &err), -1);
    assert_int_equal(err.kind, ERR_USAGE);

    FILE *old = fopen(f->path, "we");
    assert_non_null(old);
    assert_true(fputs("old\n", old) >= 0);
    assert_int_equal(fclose(old), 0);
    (void)snprintf(name, sizeof(name), "%s/link", f->directory);
    assert_int_equal(symlink("state", name), 0);
    begin(f, name, SNAPSHOT_YAML);
    add(f, OBJECT_NAMESPACE, NAMESPACE("x"));
    CLEANUP(free) char *text = finish(f, "");
    assert_non_null(strstr(text, "name: x"));
    struct stat st;
    assert_int_equal(lstat(name, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(unlink(name), 0);
}

static void test_nothing_half_done(void **arg)
{
    struct fixture *f = *arg;
    struct err err = {0};
    FILE *old = fopen(f->path, "we");
    assert_non_null(old);
    assert_true(fputs("old\n", old) >= 0);
    assert_int_equal(fclose(old), 0);
    begin(f, f->path, SNAPSHOT_YAML);
    add(f, OBJECT_NAMESPACE, NAMESPACE("x"));
    // The spool is gone: nothing can be read back.
    assert_int_equal(ftruncate(f->spool, 0), 0);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    assert_int_equal(dup2(full, f->spool), f->spool);
    (void)close(full);
    assert_int_equal(snapshot_write(f->snapshot, f->state, "", &f->file, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    new_file_close(&f->file);
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_size, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_yaml, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json, setup, teardown),
        cmocka_unit_test_setup_teardown(test_listed_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_findings_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_places, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_half_done, setup, teardown),
    };
    return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
