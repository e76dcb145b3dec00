// SPDX-License-Identifier: Apache-2.0
//
// What the daemon keeps of what the CNI plugin told: how long, and of which pod.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/cni_private.h"
#include "support/sync_fixture.h"

enum { MISSING_MS = 600 };

static char folder[] = "/tmp/cni.XXXXXX";

struct world {
    struct fixture *f;
    struct cni *cni;
};

static struct world world;

static int up(void **state)
{
    memcpy(folder + strlen("/tmp/cni."), "XXXXXX", 6);
    return mkdtemp(folder) ? sync_setup(state) : -1;
}

static int down(void **state)
{
    char command[64];
    cni_free(world.cni);
    world.cni = NULL;
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    int rc = system(command);
    return sync_teardown(state) < 0 ? -1 : rc;
}

static void begin(void **state)
{
    struct err err = {0};
    world.f = *state;
    const struct cni_config config = {.loop = world.f->loop,
                                      .state = world.f->state,
                                      .node = "n1",
                                      .sync = world.f->sync,
                                      .health = &world.f->health,
                                      .metrics = world.f->metrics,
                                      .folder = folder,
                                      .missing_ms = MISSING_MS};
    cni_free(world.cni);
    if (cni_new(&config, &world.cni, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    cni_source_synced(world.cni, true);
}

static void tell(const char *id, const char *name, const char *uid, const char *address, uint64_t ms)
{
    struct cni_attachment attachment = {.n_addresses = 1, .added_ms = ms};
    struct err err = {0};
    (void)snprintf(attachment.id, sizeof(attachment.id), "%s", id);
    (void)snprintf(attachment.ifname, sizeof(attachment.ifname), "eth0");
    (void)snprintf(attachment.ns, sizeof(attachment.ns), "x");
    (void)snprintf(attachment.name, sizeof(attachment.name), "%s", name);
    (void)snprintf(attachment.uid, sizeof(attachment.uid), "%s", uid);
    assert_true(address_parse(address, &attachment.addresses[0]));
    if (cni_tell(world.cni, &attachment, &err) < 0) {
        fail_msg("%s", err.msg);
    }
}

static void object(const char *name, const char *uid)
{
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "---\n{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: %s, uid: %s}, spec: {nodeName: "
                   "n1}, status: {phase: Running}}\n",
                   name, uid);
    load(world.f, text);
}

static const char *owner(const char *text)
{
    struct address address;
    assert_true(address_parse(text, &address));
    const struct pod *pod = state_owner(world.f->state, &address);
    return pod ? pod->meta.name : "";
}

// A delete that went astray: only a pod whose object stays away is forgotten.
static void test_missing(void **state)
{
    begin(state);
    object("here", "u1");
    object("comes", "u2");
    tell("s1", "here", "u1", "10.0.0.1", 1);
    tell("s2", "comes", "u2", "10.0.0.2", 1);
    tell("s3", "gone", "u3", "10.0.0.3", 1);
    assert_int_equal(state_remove(world.f->state, OBJECT_POD, "x", "comes", ""), STATE_REMOVED);
    cni_drop_missing(world.cni, 1000);
    object("comes", "u2");
    cni_drop_missing(world.cni, 1000 + MISSING_MS - 1);
    assert_int_equal(cni_book_count(world.cni->book), 3);
    // Away again: it counts from now.
    assert_int_equal(state_remove(world.f->state, OBJECT_POD, "x", "comes", ""), STATE_REMOVED);
    cni_drop_missing(world.cni, 1000 + MISSING_MS);
    assert_int_equal(cni_book_count(world.cni->book), 2);
    assert_null(cni_book_get(world.cni->book, "s3", "eth0"));
    cni_drop_missing(world.cni, 1000 + 2 * MISSING_MS);
    assert_int_equal(cni_book_count(world.cni->book), 1);
    assert_string_equal(owner("10.0.0.1"), "here");
    // Another pod of the name is not that pod.
    object("here", "u9");
    cni_drop_missing(world.cni, 10000);
    cni_drop_missing(world.cni, 10000 + MISSING_MS);
    assert_int_equal(cni_book_count(world.cni->book), 0);
    // Gone for the next daemon too.
    begin(state);
    assert_int_equal(cni_book_count(world.cni->book), 0);
}

// The sandbox of a static pod has the uid of its file, its object another.
static void test_static(void **state)
{
    begin(state);
    assert_true(cni_is_static("n1", "web-n1"));
    assert_false(cni_is_static("n1", "web-n2"));
    assert_false(cni_is_static("n1", "n1"));
    assert_false(cni_is_static("n1", "-n1"));
    assert_false(cni_is_static("n1", "webn1"));
    object("web-n1", "mirror");
    object("web", "u1");
    tell("s1", "web-n1", "file", "10.0.0.1", 1);
    tell("s2", "web", "other", "10.0.0.2", 1);
    assert_string_equal(owner("10.0.0.1"), "web-n1");
    assert_string_equal(owner("10.0.0.2"), "");
    cni_drop_missing(world.cni, 1000);
    cni_drop_missing(world.cni, 1000 + MISSING_MS);
    assert_int_equal(cni_book_count(world.cni->book), 1);
    assert_string_equal(owner("10.0.0.1"), "web-n1");
}

// What is told last is the newest of its name, whatever the clock said before; over a restart too.
static void test_clock_set_back(void **state)
{
    begin(state);
    object("web", "u2");
    tell("s1", "web", "u1", "10.0.0.1", 5000);
    assert_string_equal(owner("10.0.0.1"), "");
    tell("s2", "web", "u2", "10.0.0.2", 1000);
    assert_string_equal(owner("10.0.0.2"), "web");
    begin(state);
    assert_string_equal(owner("10.0.0.2"), "web");
    assert_string_equal(owner("10.0.0.1"), "");
    cni_untell(world.cni, "s2", "eth0");
    assert_string_equal(owner("10.0.0.2"), "");
}

// An address is given out once.
static void test_superseded(void **state)
{
    begin(state);
    object("a", "u1");
    object("b", "u2");
    tell("s1", "a", "u1", "10.0.0.1", 1);
    tell("s2", "b", "u2", "10.0.0.1", 2);
    assert_string_equal(owner("10.0.0.1"), "b");
    assert_int_equal(cni_book_count(world.cni->book), 1);
    // The late DEL of the first takes nothing from the second.
    cni_untell(world.cni, "s1", "eth0");
    assert_string_equal(owner("10.0.0.1"), "b");
}

static void put_file(const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
}

static void test_unreadable(void **state)
{
    begin(state);
    assert_true(world.f->health.checks[HEALTH_CNI].ok);
    put_file("s1@eth0.json");
    put_file("s2@eth0.json");
    begin(state);
    assert_false(world.f->health.checks[HEALTH_CNI].ok);
    assert_int_equal(cni_book_unreadable(world.cni->book, NULL), 2);
    // Told again, or deleted.
    cni_untell(world.cni, "s1", "eth0");
    assert_false(world.f->health.checks[HEALTH_CNI].ok);
    object("web", "u1");
    tell("s2", "web", "u1", "10.0.0.1", 1);
    cni_look_at_book(world.cni);
    assert_true(world.f->health.checks[HEALTH_CNI].ok);
    assert_int_equal(cni_book_count(world.cni->book), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_missing, up, down),
        cmocka_unit_test_setup_teardown(test_static, up, down),
        cmocka_unit_test_setup_teardown(test_clock_set_back, up, down),
        cmocka_unit_test_setup_teardown(test_superseded, up, down),
        cmocka_unit_test_setup_teardown(test_unreadable, up, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
