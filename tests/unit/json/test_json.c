// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/num.h"
#include "json/json.h"
#include "json/json_plain.h"

static void cleanup_arena(struct arena *arena)
{
    arena_free(arena);
}
#define ARENA __attribute__((cleanup(cleanup_arena))) struct arena

// The tree as text: what each node holds and its line.
static void show(const struct doc *doc, struct buf *out)
{
    if (doc->key) {
        buf_printf(out, "%s:", doc->key);
    }
    switch (doc->type) {
    case DOC_NULL:
        buf_puts(out, "null");
        break;
    case DOC_BOOL:
        buf_puts(out, doc->boolean ? "true" : "false");
        break;
    case DOC_NUMBER:
        buf_printf(out, "%s", doc->text);
        if (doc->integral) {
            buf_printf(out, "=%lld", (long long)doc->integer);
        }
        break;
    case DOC_STRING:
        buf_printf(out, "'%s'", doc->text);
        break;
    case DOC_LIST:
    case DOC_MAP:
        buf_putc(out, doc->type == DOC_MAP ? '{' : '[');
        for (const struct doc *child = doc->child; child; child = child->next) {
            show(child, out);
            if (child->next) {
                buf_putc(out, ' ');
            }
        }
        buf_putc(out, doc->type == DOC_MAP ? '}' : ']');
        break;
    }
    buf_printf(out, "@%u", doc->line);
}

static void check_tree(const char *text, size_t len, const char *want)
{
    ARENA arena = {0};
    struct doc *doc = NULL;
    size_t used = 0;
    unsigned next = 0;
    struct err err = {0};
    // A copy of exactly that size, so that the sanitizer sees a read past the end.
    char *copy = malloc(len ? len : 1);
    memcpy(copy, text, len);
    int rc = json_parse(copy, len, 1, &arena, &doc, &used, &next, &err);
    struct doc *plain = NULL;
    int plain_rc = json_parse_plain(copy, len, &arena, &plain, &err);
    free(copy);
    if (rc < 0 || plain_rc < 0) {
        fail_msg("%s: %s", text, err.msg);
    }
    BUF_CLEANUP struct buf out = {0};
    show(doc, &out);
    assert_string_equal(out.data, want);
    buf_clear(&out);
    show(plain, &out);
    assert_string_equal(out.data, want);
}

static void check_refused(const char *text, size_t len, unsigned line, const char *part)
{
    ARENA arena = {0};
    struct doc *doc = NULL;
    size_t used = 77;
    unsigned next = 78;
    struct err err = {0};
    char *copy = malloc(len ? len : 1);
    memcpy(copy, text, len);
    int rc = json_parse(copy, len, 1, &arena, &doc, &used, &next, &err);
    struct err plain = {0};
    int plain_rc = json_parse_plain(copy, len, &arena, &doc, &plain);
    free(copy);
    assert_int_equal(plain_rc, -1);
    assert_string_equal(plain.msg, err.msg);
    if (rc == 0 || !strstr(err.msg, part) || (unsigned)err.num != line) {
        fail_msg("%s: rc %d, line %d: %s (want line %u: %s)", text, rc, err.num, err.msg, line, part);
    }
    assert_int_equal(err.kind, ERR_INPUT);
    assert_null(doc);
    assert_int_equal(used, 77);
    assert_int_equal(next, 78);
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *want;
    } rows[] = {
        {"null", "null@1"},
        {" true ", "true@1"},
        {"false", "false@1"},
        {"\"\"", "''@1"},
        {"\"a\\n\\t\\\"\\\\\\/\\u0041\\u00e9\\ud83d\\ude00\"", "'a\n\t\"\\/A\xc3\xa9\xf0\x9f\x98\x80'@1"},
        {"\"\\u003cb\\u003e\"", "'<b>'@1"},
        {"\"\xc3\xa9\"", "'\xc3\xa9'@1"},
        {"{}", "{}@1"},
        {"[]", "[]@1"},
        {"[ ]", "[]@1"},
        {"{\"a\":1,\"b\":[true,null,\"x\"],\"c\":{}}", "{a:1=1@1 b:[true@1 null@1 'x'@1]@1 c:{}@1}@1"},
        {"\n\n{\n\"a\"\n:\n1,\n\"b\":[\n2,\n\n3]}", "{a:1=1@4 b:[2=2@8 3=3@10]@7}@3"},
        {"{\"A\":1,\"a\":2}", "{A:1=1@1 a:2=2@1}@1"},
        {"{\"\":1}", "{:1=1@1}@1"},
        {"{\"a\\\"}\":\"]{\\\\\"}", "{a\"}:']{\\'@1}@1"},
        {"0", "0=0@1"},
        {"-0", "-0=0@1"},
        {"65535", "65535=65535@1"},
        {"9223372036854775807", "9223372036854775807=9223372036854775807@1"},
        {"-9223372036854775808", "-9223372036854775808=-9223372036854775808@1"},
        {"9223372036854775808", "9223372036854775808@1"},
        {"-9223372036854775809", "-9223372036854775809@1"},
        {"9007199254740993", "9007199254740993=9007199254740993@1"},
        {"1.0", "1.0@1"},
        {"1e2", "1e2@1"},
        {"1E+400", "1E+400@1"},
        {"-1.5e-3", "-1.5e-3@1"},
        {"[1,2.5]", "[1=1@1 2.5@1]@1"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        check_tree(rows[i].text, strlen(rows[i].text), rows[i].want);
    }
}

static void test_refused(void **state)
{
    (void)state;
#define TEXT(s) s, sizeof(s) - 1
    static const struct {
        const char *text;
        size_t len;
        unsigned line;
        const char *part;
    } rows[] = {
        {TEXT(""), 1, "the text ends where a value is wanted"},
        {TEXT("\n \n"), 3, "the text ends where a value is wanted"},
        {TEXT("{"), 1, "ends where a key"},
        {TEXT("["), 1, "ends where a value"},
        {TEXT("[1"), 1, "ends where ',' or ']'"},
        {TEXT("[1,]"), 1, "']' where a value"},
        {TEXT("[,1]"), 1, "',' where a value"},
        {TEXT("{\"a\":1,}"), 1, "'}' where a key"},
        {TEXT("{\"a\"}"), 1, "'}' where ':'"},
        {TEXT("{\"a\":}"), 1, "'}' where a value"},
        {TEXT("{a:1}"), 1, "'a' where a key"},
        {TEXT("{'a':1}"), 1, "''' where a key"},
        {TEXT("{\"a\":1]"), 1, "']' where ',' or '}'"},
        {TEXT("[1}"), 1, "'}' where ',' or ']'"},
        {TEXT("\n[\n1\n2]"), 4, "'2' where"},
        {TEXT("tru"), 1, "'t' where a value"},
        {TEXT("nul"), 1, "'n' where a value"},
        {TEXT("NaN"), 1, "'N' where a value"},
        {TEXT("Infinity"), 1, "'I' where a value"},
        {TEXT("+1"), 1, "'+' where a value"},
        {TEXT("-"), 1, "ends where a digit"},
        {TEXT("01"), 1, "leading zero"},
        {TEXT("-01"), 1, "leading zero"},
        {TEXT("1."), 1, "a digit"},
        {TEXT(".5"), 1, "'.' where a value"},
        {TEXT("1e"), 1, "a digit"},
        {TEXT("[0x10]"), 1, "'x' where"},
        {TEXT("\"a"), 1, "ends inside a string"},
        {TEXT("\"a\\"), 1, "ends where an escape"},
        {TEXT("\"\\x41\""), 1, "'x' where an escape"},
        {TEXT("\"\\u12\""), 1, "four hexadecimal digits"},
        {TEXT("\"\\u12"), 1, "four hexadecimal digits"},
        {TEXT("\"\\ud800\""), 1, "surrogate"},
        {TEXT("\"\\ud800\\u0041\""), 1, "surrogate"},
        {TEXT("\"\\udc00\""), 1, "surrogate"},
        {TEXT("\"\\ud800\\u"), 1, "surrogate"},
        {TEXT("\"a\nb\""), 1, "does not end on its line"},
        {TEXT("\"a\tb\""), 1, "control character"},
        {TEXT("\"a\0b\""), 1, "NUL byte"},
        {TEXT("[1,\0 2]"), 1, "byte 0x00"},
        {TEXT("\0"), 1, "byte 0x00"},
        {TEXT("\"\\u0000\""), 1, "NUL"},
        {TEXT("{\"a\\u0000b\":1}"), 1, "NUL"},
        {TEXT("[1,\f2]"), 1, "byte 0x0c"},
        {TEXT("// x\n1"), 1, "'/' where a value"},
        {TEXT("[\n\"\xff\"]"), 2, "invalid UTF-8"},
        {TEXT("\"\xc0\x80\""), 1, "invalid UTF-8"},
        {TEXT("\"\xed\xa0\x80\""), 1, "invalid UTF-8"},
        {TEXT("\"\xf4\x90\x80\x80\""), 1, "invalid UTF-8"},
        {TEXT("\"\xe2\x82\""), 1, "invalid UTF-8"},
        {TEXT("\xef\xbb\xbf{}"), 1, "byte 0xef"},
        {TEXT("{\"a\":1,\n\"b\":2,\n\"a\":3}"), 3, "\"a\" is given twice"},
        {TEXT("{\"x\":{\"a\":1,\n\"\\u0061\":2}}"), 2, "\"a\" is given twice"},
    };
#undef TEXT
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        check_refused(rows[i].text, rows[i].len, rows[i].line, rows[i].part);
    }
}

static void nest(struct buf *out, unsigned depth, bool maps)
{
    for (unsigned i = 0; i < depth; i++) {
        buf_puts(out, maps && i % 2 ? "{\"a\":" : "[");
    }
    buf_puts(out, "1");
    for (unsigned i = depth; i-- > 0;) {
        buf_puts(out, maps && i % 2 ? "}" : "]");
    }
}

static void test_depth(void **state)
{
    (void)state;
    static const struct {
        unsigned depth;
        bool maps;
        bool good;
    } rows[] = {
        {LIMIT_DOCUMENT_DEPTH, false, true},
        {LIMIT_DOCUMENT_DEPTH, true, true},
        {LIMIT_DOCUMENT_DEPTH + 1, false, false},
        {LIMIT_DOCUMENT_DEPTH + 1, true, false},
        {5000, false, false},
        {2000000, false, false},
        {2000000, true, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        BUF_CLEANUP struct buf text = {0};
        nest(&text, rows[i].depth, rows[i].maps);
        ARENA arena = {0};
        struct doc *doc;
        size_t used;
        unsigned next;
        struct err err = {0};
        int rc = json_parse(text.data, text.len, 1, &arena, &doc, &used, &next, &err);
        assert_int_equal(rc, rows[i].good ? 0 : -1);
        if (!rows[i].good) {
            assert_string_equal(err.msg, "nested too deeply");
        }
    }
}

static void test_long_numbers(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf text = {0};
    buf_puts(&text, "{\"1234567890123456789012345678901234567890123456789012345678901234567890\": [");
    for (int i = 0; i < 500; i++) {
        buf_putc(&text, '7');
    }
    buf_puts(&text, ", 5, -0.");
    for (int i = 0; i < 100; i++) {
        buf_putc(&text, '3');
    }
    buf_puts(&text, "e10], \"b\": \"99999999999999999999999999999999999999999999999999999999999999999999\\\"\"}");
    ARENA arena = {0};
    struct doc *doc;
    size_t used;
    unsigned next;
    struct err err = {0};
    assert_int_equal(json_parse(text.data, text.len, 1, &arena, &doc, &used, &next, &err), 0);
    const struct doc *list = doc->child;
    assert_int_equal(strlen(list->key), 70);
    assert_int_equal(strlen(list->child->text), 500);
    assert_false(list->child->integral);
    assert_int_equal(list->child->next->integer, 5);
    assert_int_equal(strlen(list->child->next->next->text), 106);
    assert_int_equal(strlen(list->next->text), 69);
}

static void test_several_values(void **state)
{
    (void)state;
    const char *text = " {\"a\":1}\n\n[2] 3\n";
    size_t at = 0;
    unsigned line = 5;
    ARENA arena = {0};
    static const char *const want[] = {"{a:1=1@5}@5", "[2=2@7]@7", "3=3@7"};
    for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
        struct doc *doc;
        size_t used;
        assert_int_equal(json_parse(text + at, strlen(text) - at, line, &arena, &doc, &used, &line, NULL), 0);
        BUF_CLEANUP struct buf out = {0};
        show(doc, &out);
        assert_string_equal(out.data, want[i]);
        at += used;
    }
    assert_int_equal(at, strlen(text));
    assert_int_equal(line, 8);
}

static void test_many_keys(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf text = {0};
    buf_puts(&text, "{");
    for (unsigned i = 0; i < 200000; i++) {
        buf_printf(&text, "\"key%u\":%u,\n", i, i);
    }
    size_t len = text.len;
    buf_puts(&text, "\"last\":1}");
    ARENA arena = {0};
    struct doc *doc;
    size_t used;
    unsigned next;
    struct err err = {0};
    uint64_t start = num_now_ms();
    assert_int_equal(json_parse(text.data, text.len, 1, &arena, &doc, &used, &next, &err), 0);
    text.len = len;
    buf_puts(&text, "\"key77\":1}");
    assert_int_equal(json_parse(text.data, text.len, 1, &arena, &doc, &used, &next, &err), -1);
    assert_string_equal(err.msg, "key \"key77\" is given twice");
    assert_int_equal(err.num, 200001);
    assert_true(num_now_ms() - start < 20000);
}

static void test_50_megabytes(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf text = {0};
    buf_puts(&text, "{\"kind\":\"List\",\"items\":[\n");
    unsigned n = 0;
    for (; text.len < 50u << 20; n++) {
        buf_printf(&text,
                   "%s{\"kind\":\"Pod\",\"metadata\":{\"name\":\"pod-%u\",\"labels\":{\"app\":\"web\",\"tier\":\"a\"}},"
                   "\"status\":{\"phase\":\"Running\",\"podIPs\":[{\"ip\":\"10.0.0.%u\"}],\"n\":[1,2,3.5,true]}}\n",
                   n ? "," : "", n, n % 256);
    }
    buf_puts(&text, "]}");
    assert_false(text.failed);
    ARENA arena = {0};
    struct doc *doc;
    size_t used;
    unsigned next;
    uint64_t start = num_now_ms();
    assert_int_equal(json_parse(text.data, text.len, 1, &arena, &doc, &used, &next, NULL), 0);
    uint64_t took = num_now_ms() - start;
    print_message("50 MB of JSON in %llu ms\n", (unsigned long long)took);
    const struct doc *item = doc_get(doc, "items")->child;
    unsigned seen = 0;
    for (; item->next; item = item->next) {
        seen++;
    }
    assert_int_equal(seen + 1, n);
    assert_int_equal(item->line, n + 1);
    assert_true(took < 30000);
}

static void test_apart(void **state)
{
    (void)state;
    static const char text[] = " {\"a\":{\"items\":[1]},\n\"items\":[ {\"b\":[\"]\",2]} ,\n3,\n\"x\" ],\"z\":\n[1]} 7";
    ARENA arena = {0};
    struct doc *doc;
    struct json_elements elements = {0};
    size_t used;
    unsigned next;
    assert_int_equal(json_parse_apart(text, strlen(text), 1, "items", &arena, &doc, &elements, &used, &next, NULL), 0);
    BUF_CLEANUP struct buf out = {0};
    show(doc, &out);
    assert_string_equal(out.data, "{a:{items:[1=1@1]@1}@1 items:[]@2 z:[1=1@5]@4}@1");
    static const struct {
        const char *text;
        unsigned line;
    } want[] = {{"{\"b\":[\"]\",2]}", 2}, {"3", 3}, {"\"x\"", 4}};
    assert_int_equal(elements.list.n, ARRAY_SIZE(want));
    for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
        const struct json_element *element = &elements.list.v[i];
        assert_int_equal(element->len, strlen(want[i].text));
        assert_memory_equal(text + element->at, want[i].text, element->len);
        assert_int_equal(element->line, want[i].line);
    }
    assert_int_equal(used, strlen(text) - 1);
    // No list there: nothing is left out.
    static const char *const whole[] = {"[1,2]", "{\"items\":{\"a\":1}}", "7", "{}", "{\"a\":[1]}"};
    for (size_t i = 0; i < ARRAY_SIZE(whole); i++) {
        struct doc *same;
        elements.list.n = 0;
        assert_int_equal(
            json_parse_apart(whole[i], strlen(whole[i]), 1, "items", &arena, &doc, &elements, &used, &next, NULL), 0);
        assert_int_equal(elements.list.n, 0);
        assert_int_equal(json_parse(whole[i], strlen(whole[i]), 1, &arena, &same, &used, &next, NULL), 0);
        BUF_CLEANUP struct buf one = {0};
        BUF_CLEANUP struct buf other = {0};
        show(doc, &one);
        show(same, &other);
        assert_string_equal(one.data, other.data);
    }
    struct err err = {0};
    static const char twice[] = "{\"items\":[1],\n\"items\":[2]}";
    assert_int_equal(json_parse_apart(twice, strlen(twice), 1, "items", &arena, &doc, &elements, &used, &next, &err),
                     -1);
    assert_int_equal(err.num, 2);
    vec_free(&elements.list);
}

// Long containers go to cJSON in pieces: the pieces must not show.
static void test_pieces(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf text = {0};
    BUF_CLEANUP struct buf want = {0};
    buf_puts(&text, "{\"list\": [");
    buf_puts(&want, "{list:[");
    for (unsigned i = 0; i < 3000; i++) {
        buf_printf(&text, "%s{\"k\\u0041%u\": [%u, -1.5, \"%040u\"],\n \"b\": true}", i ? "," : "", i, i, i);
        buf_printf(&want, "%s{kA%u:[%u=%u@%u -1.5@%u '%040u'@%u]@%u b:true@%u}@%u", i ? " " : "", i, i, i, i + 1, i + 1,
                   i, i + 1, i + 1, i + 2, i + 1);
    }
    buf_puts(&text, "], \"n\": null}");
    buf_puts(&want, "]@1 n:null@3001}@1");
    check_tree(text.data, text.len, want.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),       cmocka_unit_test(test_refused),        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_long_numbers), cmocka_unit_test(test_several_values), cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_apart),        cmocka_unit_test(test_pieces),         cmocka_unit_test(test_50_megabytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
