// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/host_book.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/host-book-XXXXXX";
static const bool none[FAMILY_COUNT];

static struct facts_binding binding(const char *address, const char *port, const char *pod)
{
    struct facts_binding made = {.told = true};
    assert_true(address_parse(address, &made.port.address));
    (void)snprintf(made.port.port, sizeof(made.port.port), "%s", port);
    (void)snprintf(made.pod, sizeof(made.pod), "%s", pod);
    return made;
}

static void load(struct facts_ports *ports, bool revoked[FAMILY_COUNT])
{
    struct err err = {0};
    *ports = (struct facts_ports){0};
    assert_int_equal(host_book_load(ports, revoked, &err), 0);
}

static void write_file(const char *text)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "%s/host.json", dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_round(void **state)
{
    (void)state;
    // Names as nobody should choose them; one entry of no pod, one sorted wrongly.
    const struct facts_binding given[] = {
        binding("fd00::1", "veth2", "a \"quoted\" uid\\"),
        binding("10.0.0.2", "veth1", "b"),
        binding("10.0.0.1", "veth0", ""),
    };
    const bool revoked[FAMILY_COUNT] = {[FAMILY_V6] = true};
    struct err err = {0};
    struct facts_ports ports;
    bool got[FAMILY_COUNT] = {true, true};
    load(&ports, got);
    assert_int_equal(ports.bindings.n, 0);
    assert_false(got[FAMILY_V4] || got[FAMILY_V6]);
    assert_int_equal(host_book_save(given, 3, revoked, &err), 0);
    load(&ports, got);
    assert_int_equal(ports.bindings.n, 2);
    assert_false(got[FAMILY_V4]);
    assert_true(got[FAMILY_V6]);
    const struct facts_binding *first = facts_ports_find(&ports, &given[1].port.address);
    const struct facts_binding *second = facts_ports_find(&ports, &given[0].port.address);
    assert_string_equal(first->pod, "b");
    assert_string_equal(first->port.port, "veth1");
    assert_string_equal(second->pod, given[0].pod);
    assert_false(first->told || second->told);
    facts_ports_free(&ports);
    char path[64];
    struct stat info;
    (void)snprintf(path, sizeof(path), "%s/host.json", dir);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(host_book_save(NULL, 0, none, &err), 0);
    load(&ports, got);
    assert_int_equal(ports.bindings.n, 0);
}

#define ROW_1 "{\"address\": \"10.0.0.1\", \"port\": \"veth1\", \"pod\": \"a\"}"
#define ROW_2 "{\"address\": \"10.0.0.2\", \"port\": \"veth1\"}"
#define TWO_ON_ONE_PORT "{\"ports\": [" ROW_1 ", " ROW_2 "], \"revoked\": {\"ipv4\": true}}"
#define ROW_LONG "{\"address\": \"10.0.0.1\", \"port\": \"longer-than-fifteen\", \"pod\": \"a\"}"
#define LONG_NAME "{\"ports\": [" ROW_LONG "], \"revoked\": {}}"

// Whatever is in the file, the daemon starts.
static void test_unreadable(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{\"ports\": []}",
        "{\"revoked\": {\"ipv4\": true}}",
        "{\"ports\": {}, \"revoked\": {\"ipv4\": true}}",
        "{\"ports\": [1], \"revoked\": {\"ipv4\": true}}",
        TWO_ON_ONE_PORT,
        "{\"ports\": [{\"address\": \"10.0.0\", \"port\": \"veth1\", \"pod\": \"a\"}], \"revoked\": {}}",
        LONG_NAME,
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct facts_ports ports;
        bool revoked[FAMILY_COUNT] = {true, true};
        write_file(bad[i]);
        load(&ports, revoked);
        assert_int_equal(ports.bindings.n, 0);
        assert_false(revoked[FAMILY_V4] || revoked[FAMILY_V6]);
    }
}

static void test_no_directory(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(setenv("NETPOLD_RUN_DIR", "/nowhere/at/all", 1), 0);
    assert_int_equal(host_book_save(NULL, 0, none, &err), -1);
    assert_non_null(strstr(err.msg, "/nowhere/at/all"));
    struct facts_ports ports;
    bool revoked[FAMILY_COUNT];
    load(&ports, revoked);
    assert_int_equal(ports.bindings.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_no_directory),
    };
    if (!mkdtemp(dir) || setenv("NETPOLD_RUN_DIR", dir, 1) < 0) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char path[64];
    (void)snprintf(path, sizeof(path), "%s/host.json", dir);
    (void)unlink(path);
    (void)rmdir(dir);
    return failed;
}
