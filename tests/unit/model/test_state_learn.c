// SPDX-License-Identifier: Apache-2.0
//
// Addresses that a CNI plugin told of a pod: how long they count beside its status, and whose they are.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/num.h"
#include "model/state.h"

struct fixture {
    struct state *state;
    int changes;
    struct state_observer observer;
};

static void on_after(enum object_kind kind, const void *old, const void *new, void *arg)
{
    (void)old;
    (void)new;
    struct fixture *f = arg;
    f->changes += kind == OBJECT_POD;
}

static void on_before(enum object_kind kind, const void *old, const void *new, void *arg)
{
    (void)kind;
    (void)old;
    (void)new;
    (void)arg;
}

static int up(void **state)
{
    struct err err = {0};
    struct fixture *f = calloc(1, sizeof(*f));
    if (!f || state_new(&f->state, &err) < 0) {
        return -1;
    }
    f->observer = (struct state_observer){.before = on_before, .after = on_after, .arg = f};
    state_observe(f->state, &f->observer);
    *state = f;
    return 0;
}

static int down(void **state)
{
    struct fixture *f = *state;
    state_free(f->state);
    free(f);
    return 0;
}

// Addresses as words: "10.0.0.1 fd00::1".
static size_t parse(const char *words, struct address *ret)
{
    size_t n = 0;
    char text[512];
    (void)snprintf(text, sizeof(text), "%s", words);
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        assert_true(address_parse(word, &ret[n++]));
    }
    return n;
}

static int put(struct fixture *f, const char *name, const char *uid, const char *words)
{
    struct address list[LIMIT_POD_ADDRESSES];
    struct err err = {0};
    struct pod pod = {
        .meta = {.ns = "x", .name = name, .uid = uid, .resource_version = "", .created = "", .origin.file = ""},
        .node = "n1",
        .phase = POD_RUNNING,
        .addresses = list,
        .n_addresses = parse(words, list),
    };
    return state_put_pod(f->state, pod_dup(&pod), &err);
}

static int learn(struct fixture *f, const char *name, const char *uid, const char *words)
{
    struct address list[LIMIT_POD_ADDRESSES];
    struct err err = {0};
    const struct learnt learnt = {
        .ns = "x", .name = name, .uid = uid, .addresses = list, .n_addresses = parse(words, list)};
    return state_learn(f->state, &learnt, &err);
}

static int forget(struct fixture *f, const char *name, const char *uid)
{
    struct err err = {0};
    return state_forget(f->state, "x", name, uid, &err);
}

static void check(struct fixture *f, const char *name, const char *want)
{
    BUF_CLEANUP struct buf got = {0};
    const struct pod *pod = state_pod(f->state, "x", name);
    assert_non_null(pod);
    buf_puts(&got, "");
    for (size_t i = 0; i < pod->n_addresses; i++) {
        char text[ADDRESS_TEXT];
        buf_printf(&got, "%s%s", i ? " " : "", address_format(&pod->addresses[i], text));
        // Whoever asks who has it is told the same.
        assert_ptr_equal(state_owner(f->state, &pod->addresses[i]), pod);
    }
    assert_string_equal(got.data ? got.data : "", want);
}

static void test_before_the_object(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(learn(f, "a", "u1", "10.0.0.1 fd00::1"), STATE_UNCHANGED);
    assert_int_equal(put(f, "a", "u1", ""), STATE_ADDED);
    check(f, "a", "10.0.0.1 fd00::1");
    // The status comes, in whatever order.
    assert_int_equal(put(f, "a", "u1", "fd00::1"), STATE_UPDATED);
    check(f, "a", "fd00::1 10.0.0.1");
    (void)put(f, "a", "u1", "");
    check(f, "a", "10.0.0.1 fd00::1");
    (void)put(f, "a", "u1", "10.0.0.1 fd00::1");
    check(f, "a", "10.0.0.1 fd00::1");
}

static void test_after_the_object(void **state)
{
    struct fixture *f = *state;
    (void)put(f, "a", "u1", "");
    check(f, "a", "");
    f->changes = 0;
    assert_int_equal(learn(f, "a", "u1", "10.0.0.1"), STATE_UPDATED);
    assert_int_equal(f->changes, 1);
    check(f, "a", "10.0.0.1");
    assert_int_equal(learn(f, "a", "u1", "10.0.0.1"), STATE_UNCHANGED);
    assert_int_equal(f->changes, 1);
    assert_int_equal(learn(f, "a", "u1", "10.0.0.2"), STATE_UPDATED);
    check(f, "a", "10.0.0.2");
    assert_int_equal(forget(f, "a", "u2"), STATE_UNCHANGED);
    check(f, "a", "10.0.0.2");
    assert_int_equal(forget(f, "a", "u1"), STATE_UPDATED);
    check(f, "a", "");
    assert_int_equal(forget(f, "a", ""), STATE_UNCHANGED);
}

// A new sandbox: the status still says the old one's address for a while, and what it names in the end is not all that
// the pod has (a further network's address is never named).
static void test_new_sandbox(void **state)
{
    struct fixture *f = *state;
    (void)put(f, "a", "u1", "10.0.0.1");
    assert_int_equal(learn(f, "a", "u1", "10.0.0.2 10.0.1.2"), STATE_UPDATED);
    check(f, "a", "10.0.0.1 10.0.0.2 10.0.1.2");
    (void)put(f, "a", "u1", "");
    check(f, "a", "10.0.0.2 10.0.1.2");
    (void)put(f, "a", "u1", "10.0.0.2");
    check(f, "a", "10.0.0.2 10.0.1.2");
    // Somebody put it there without the plugin, or what was told is a lost sandbox's: it has both.
    (void)put(f, "a", "u1", "10.0.0.3");
    check(f, "a", "10.0.0.3 10.0.0.2 10.0.1.2");
    assert_int_equal(forget(f, "a", "u1"), STATE_UPDATED);
    check(f, "a", "10.0.0.3");
}

static void owner_is(struct fixture *f, const char *text, const char *name)
{
    struct address address;
    assert_true(address_parse(text, &address));
    const struct pod *pod = state_owner(f->state, &address);
    assert_non_null(pod);
    assert_string_equal(pod->meta.name, name);
}

// After a reboot every status is old, and the addresses are dealt anew. The later uid stands for the younger pod, which
// has an address that both claim by their status alone.
static void test_dealt_anew(void **state)
{
    struct fixture *f = *state;
    (void)put(f, "old", "u1", "10.0.0.1");
    (void)put(f, "young", "u2", "10.0.0.2");
    (void)put(f, "third", "u3", "10.0.0.1");
    owner_is(f, "10.0.0.1", "third");
    // The first that starts gets what the younger one's status still says.
    f->changes = 0;
    assert_int_equal(learn(f, "old", "u1", "10.0.0.2"), STATE_UPDATED);
    assert_int_equal(f->changes, 1);
    owner_is(f, "10.0.0.2", "old");
    // Of its own old one nobody says more than it does: but whoever else claims it has it.
    (void)put(f, "third", "u3", "");
    owner_is(f, "10.0.0.1", "old");
    assert_int_equal(learn(f, "young", "u2", "10.0.0.1"), STATE_UPDATED);
    owner_is(f, "10.0.0.1", "young");
    owner_is(f, "10.0.0.2", "old");
    // The status of one comes: nothing else changes hands, and everybody hears of it.
    f->changes = 0;
    assert_int_equal(put(f, "old", "u1", "10.0.0.2"), STATE_UPDATED);
    assert_int_equal(f->changes, 1);
    owner_is(f, "10.0.0.1", "young");
    owner_is(f, "10.0.0.2", "old");
}

// What was told of a sandbox that is gone does not keep the address from the pod that has it now.
static void test_lost_sandbox(void **state)
{
    struct fixture *f = *state;
    (void)put(f, "a", "u1", "10.0.0.2");
    (void)learn(f, "a", "u1", "10.0.0.1 10.0.0.2");
    owner_is(f, "10.0.0.1", "a");
    (void)put(f, "b", "u2", "10.0.0.1");
    owner_is(f, "10.0.0.1", "b");
    owner_is(f, "10.0.0.2", "a");
}

static void test_uid(void **state)
{
    struct fixture *f = *state;
    (void)put(f, "a", "u1", "");
    assert_int_equal(learn(f, "a", "u2", "10.0.0.2"), STATE_UNCHANGED);
    check(f, "a", "");
    // The pod of that uid comes, with the name of the one that went.
    (void)put(f, "a", "u2", "");
    check(f, "a", "10.0.0.2");
    (void)put(f, "a", "u3", "");
    check(f, "a", "");
    // A static pod's object has another uid than its sandbox.
    assert_int_equal(learn(f, "a", "", "10.0.0.4"), STATE_UPDATED);
    check(f, "a", "10.0.0.4");
    (void)put(f, "a", "u4", "");
    check(f, "a", "10.0.0.4");
}

static void test_deleted_and_again(void **state)
{
    struct fixture *f = *state;
    (void)put(f, "a", "u1", "");
    (void)learn(f, "a", "u1", "10.0.0.1");
    struct address address;
    assert_true(address_parse("10.0.0.1", &address));
    assert_int_equal(state_remove(f->state, OBJECT_POD, "x", "a", "u1"), STATE_REMOVED);
    assert_null(state_owner(f->state, &address));
    (void)put(f, "a", "u1", "");
    check(f, "a", "10.0.0.1");
    assert_int_equal(forget(f, "a", ""), STATE_UPDATED);
    assert_null(state_owner(f->state, &address));
}

static void test_limits(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    char name[LIMIT_NAME + 2];
    struct address list[LIMIT_POD_ADDRESSES + 1];
    for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "10.0.1.%zu", i + 1);
        assert_true(address_parse(text, &list[i]));
    }
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    struct learnt learnt = {.ns = "x", .name = name, .uid = "", .addresses = list, .n_addresses = 1};
    assert_int_equal(state_learn(f->state, &learnt, &err), -1);
    learnt.name = "a";
    learnt.n_addresses = ARRAY_SIZE(list);
    assert_int_equal(state_learn(f->state, &learnt, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    // As many as there may be, beside a status with one: no room for all, and no more than the maximum.
    (void)put(f, "a", "u1", "10.0.0.1");
    learnt.n_addresses = LIMIT_POD_ADDRESSES;
    assert_int_equal(state_learn(f->state, &learnt, &err), STATE_UPDATED);
    assert_int_equal(state_pod(f->state, "x", "a")->n_addresses, LIMIT_POD_ADDRESSES);
    // More pods than are kept.
    int rc = 0;
    size_t n = 1;
    learnt.n_addresses = 1;
    for (; n <= LIMIT_LEARNT_PODS && rc >= 0; n++) {
        char other[32];
        (void)snprintf(other, sizeof(other), "p%zu", n);
        learnt.name = other;
        rc = state_learn(f->state, &learnt, &err);
    }
    assert_int_equal(rc, -1);
    assert_int_equal(n, LIMIT_LEARNT_PODS + 1);
    assert_int_equal(err.kind, ERR_LIMIT);
    // Those that are known go on being told of.
    learnt.name = "a";
    learnt.addresses = &list[2];
    assert_int_equal(state_learn(f->state, &learnt, &err), STATE_UPDATED);
    check(f, "a", "10.0.0.1 10.0.1.3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_before_the_object, up, down),
        cmocka_unit_test_setup_teardown(test_after_the_object, up, down),
        cmocka_unit_test_setup_teardown(test_new_sandbox, up, down),
        cmocka_unit_test_setup_teardown(test_dealt_anew, up, down),
        cmocka_unit_test_setup_teardown(test_lost_sandbox, up, down),
        cmocka_unit_test_setup_teardown(test_uid, up, down),
        cmocka_unit_test_setup_teardown(test_deleted_and_again, up, down),
        cmocka_unit_test_setup_teardown(test_limits, up, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
