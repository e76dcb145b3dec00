// SPDX-License-Identifier: Apache-2.0
//
// What the CNI plugin told, on the disk: it survives a daemon, and whatever else lies in the folder.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/cni_book.h"
#include "agent/cni_request.h"
#include "json/json_plain.h"

static char folder[] = "/tmp/cni-book.XXXXXX";

static int up(void **state)
{
    (void)state;
    memcpy(folder + strlen("/tmp/cni-book."), "XXXXXX", 6);
    return mkdtemp(folder) ? 0 : -1;
}

static int down(void **state)
{
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static struct cni_attachment attachment(const char *id, const char *name, const char *address)
{
    struct cni_attachment ret = {.n_addresses = 1, .added_ms = 1700000000123};
    (void)snprintf(ret.id, sizeof(ret.id), "%s", id);
    (void)snprintf(ret.ifname, sizeof(ret.ifname), "eth0");
    (void)snprintf(ret.ns, sizeof(ret.ns), "x");
    (void)snprintf(ret.name, sizeof(ret.name), "%s", name);
    (void)snprintf(ret.uid, sizeof(ret.uid), "uid-%s", name);
    (void)snprintf(ret.port, sizeof(ret.port), "veth1");
    assert_true(address_parse(address, &ret.addresses[0]));
    return ret;
}

static void put_file(const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static bool there(const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static void test_survives(void **state)
{
    (void)state;
    struct err err = {0};
    struct cni_book *book = NULL;
    assert_int_equal(cni_book_open(folder, &book, &err), 0);
    struct cni_attachment a = attachment("a", "one", "10.0.0.1");
    struct cni_attachment b = attachment("b", "two", "fd00::2");
    assert_int_equal(cni_book_add(book, &a, &err), 0);
    assert_int_equal(cni_book_add(book, &b, &err), 0);
    a.added_ms++;
    assert_int_equal(cni_book_add(book, &a, &err), 0);
    assert_int_equal(cni_book_count(book), 2);
    cni_book_free(book);
    for (int reading = 0; reading < 2; reading++) {
        assert_int_equal(reading ? cni_book_read(folder, &book, &err) : cni_book_open(folder, &book, &err), 0);
        assert_int_equal(cni_book_count(book), 2);
        const struct cni_attachment *got = cni_book_get(book, "a", "eth0");
        assert_non_null(got);
        assert_string_equal(got->name, "one");
        assert_string_equal(got->uid, "uid-one");
        assert_string_equal(got->port, "veth1");
        assert_int_equal(got->added_ms, a.added_ms);
        assert_int_equal(got->n_addresses, 1);
        assert_true(address_equal(&got->addresses[0], &a.addresses[0]));
        assert_null(cni_book_get(book, "a", "eth1"));
        cni_book_free(book);
    }
    assert_int_equal(cni_book_open(folder, &book, &err), 0);
    cni_book_remove(book, "a", "eth0");
    cni_book_remove(book, "a", "eth0");
    cni_book_remove(book, "never", "eth0");
    assert_false(there("a@eth0.json"));
    cni_book_free(book);
    assert_int_equal(cni_book_open(folder, &book, &err), 0);
    assert_int_equal(cni_book_count(book), 1);
    cni_book_free(book);
}

static void test_other_files(void **state)
{
    (void)state;
    struct err err = {0};
    struct cni_book *book = NULL;
    assert_int_equal(cni_book_open(folder, &book, &err), 0);
    struct cni_attachment a = attachment("a", "one", "10.0.0.1");
    assert_int_equal(cni_book_add(book, &a, &err), 0);
    cni_book_free(book);
    put_file(".new-b@eth0.json", "{");
    put_file("half@eth0.json", "{\"id\":\"half\",");
    put_file("empty@eth0.json", "");
    // Another's, by its name: a folder that was copied by hand.
    put_file("c@eth0.json",
             "{\"id\":\"a\",\"ifname\":\"eth0\",\"ns\":\"x\",\"name\":\"one\",\"addresses\":[\"10.0.0.9\"]}");
    put_file("readme", "not ours");
    char link[256];
    (void)snprintf(link, sizeof(link), "%s/link@eth0.json", folder);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    // To look at it changes nothing; to own it removes what was not finished.
    assert_int_equal(cni_book_read(folder, &book, &err), 0);
    assert_int_equal(cni_book_count(book), 1);
    cni_book_free(book);
    assert_true(there(".new-b@eth0.json"));
    assert_int_equal(cni_book_open(folder, &book, &err), 0);
    assert_int_equal(cni_book_count(book), 1);
    cni_book_free(book);
    assert_false(there(".new-b@eth0.json"));
    assert_true(there("half@eth0.json"));
    assert_true(there("readme"));
}

static void test_folder(void **state)
{
    (void)state;
    struct err err = {0};
    struct cni_book *book = NULL;
    char missing[128];
    (void)snprintf(missing, sizeof(missing), "%s/missing", folder);
    assert_int_equal(cni_book_read(missing, &book, &err), 0);
    assert_int_equal(cni_book_count(book), 0);
    assert_null(cni_book_first(book));
    cni_book_free(book);
    assert_false(there("missing"));
    assert_int_equal(cni_book_open(missing, &book, &err), 0);
    struct stat st;
    assert_int_equal(stat(missing, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    cni_book_free(book);
    // Who can write there could say whose an address is.
    assert_int_equal(chmod(missing, 0777), 0);
    assert_int_equal(cni_book_open(missing, &book, &err), -1);
    assert_int_equal(err.kind, ERR_DENIED);
    assert_int_equal(cni_book_read(missing, &book, &err), -1);
    assert_int_equal(chmod(missing, 0700), 0);
    char link[128];
    (void)snprintf(link, sizeof(link), "%s/link", folder);
    assert_int_equal(symlink(missing, link), 0);
    assert_int_equal(cni_book_open(link, &book, &err), -1);
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        const char *ifname;
        const char *file;  // NULL: refused
    } rows[] = {
        {"0123abc", "eth0", "0123abc@eth0.json"},
        {"a_b.c-d", "net1", "a_b.c-d@net1.json"},
        {"", "eth0", NULL},
        {"a", "", NULL},
        {"../a", "eth0", NULL},
        {"a/b", "eth0", NULL},
        {"a", "eth/0", NULL},
        {"a", "..", NULL},
        {"a@b", "eth0", NULL},
        {".a", "eth0", NULL},
        {"a", "longer-than-fifteen", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char file[256] = "";
        bool ok = cni_book_file(rows[i].id, rows[i].ifname, file, sizeof(file));
        if (ok != (rows[i].file != NULL) || (ok && strcmp(file, rows[i].file) != 0)) {
            fail_msg("id \"%s\", name \"%s\": %d \"%s\"", rows[i].id, rows[i].ifname, ok, file);
        }
    }
}

static void test_requests(void **state)
{
    (void)state;
#define BASE "{\"id\":\"a\",\"ifname\":\"eth0\",\"ns\":\"x\",\"name\":\"p\","
    static const struct {
        const char *text;
        const char *field;  // NULL: taken
    } rows[] = {
        {BASE "\"addresses\":[\"10.0.0.1\",\"fd00::1\"]}", NULL},
        {BASE "\"addresses\":[\"10.0.0.1\",\"10.0.0.1\"],\"uid\":\"u\",\"port\":\"veth1\",\"added_ms\":5}", NULL},
        {BASE "\"addresses\":[]}", "addresses"},
        {BASE "\"addresses\":[\"10.0.0\"]}", "addresses"},
        {BASE "\"addresses\":[7]}", "addresses"},
        {BASE "\"addresses\":\"10.0.0.1\"}", "addresses"},
        {BASE "\"uid\":7,\"addresses\":[\"10.0.0.1\"]}", "uid"},
        {BASE "\"port\":\"longer-than-fifteen\",\"addresses\":[\"10.0.0.1\"]}", "port"},
        {"{\"id\":\"a\",\"ifname\":\"eth0\",\"ns\":\"\",\"name\":\"p\",\"addresses\":[\"10.0.0.1\"]}", "ns"},
        {"{\"id\":\"a\",\"ifname\":\"eth0\",\"name\":\"p\",\"addresses\":[\"10.0.0.1\"]}", "ns"},
        {"{\"ifname\":\"eth0\",\"ns\":\"x\",\"name\":\"p\",\"addresses\":[\"10.0.0.1\"]}", "id"},
        {"{\"id\":\"a/b\",\"ifname\":\"eth0\",\"ns\":\"x\",\"name\":\"p\",\"addresses\":[\"10.0.0.1\"]}", ""},
        {"[]", "id"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct arena arena = {0};
        struct doc *doc = NULL;
        struct err err = {0};
        struct cni_attachment got = {.added_ms = 77};
        assert_int_equal(json_parse_plain(rows[i].text, strlen(rows[i].text), &arena, &doc, &err), 0);
        int rc = cni_request_parse(doc, &got, &err);
        if ((rc == 0) != (rows[i].field == NULL) || (rc < 0 && strcmp(err.field, rows[i].field) != 0)) {
            fail_msg("%s: %d, field \"%s\": %s", rows[i].text, rc, err.field, err.msg);
        }
        // As it was when it is refused; and what is written reads back the same.
        assert_true(rc == 0 || got.added_ms == 77);
        if (rc == 0) {
            BUF_CLEANUP struct buf out = {0};
            struct cni_attachment again = {0};
            buf_putc(&out, '{');
            cni_request_put(&got, &out);
            buf_putc(&out, '}');
            assert_int_equal(json_parse_plain(out.data, out.len, &arena, &doc, &err), 0);
            assert_int_equal(cni_request_parse(doc, &again, &err), 0);
            assert_memory_equal(&again, &got, sizeof(got));
        }
        arena_free(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_survives, up, down),
        cmocka_unit_test_setup_teardown(test_other_files, up, down),
        cmocka_unit_test_setup_teardown(test_folder, up, down),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
