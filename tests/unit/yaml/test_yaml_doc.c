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
#include "yaml/yaml_doc.h"

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
        buf_puts(out, doc->text);
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

struct stream {
    struct arena arena;
    struct buf out;
    bool keep;  // the arena between documents
    size_t documents;
};

static int on_document(struct doc *doc, void *arg, struct err *err)
{
    (void)err;
    struct stream *s = arg;
    s->documents++;
    show(doc, &s->out);
    buf_putc(&s->out, '\n');
    if (!s->keep) {
        arena_free(&s->arena);
    }
    return 0;
}

static int on_bad(const struct err *why, void *arg, struct err *err)
{
    (void)err;
    struct stream *s = arg;
    buf_printf(&s->out, "bad %d: %s\n", why->num, why->msg);
    return 0;
}

// The stream as text, each document a line, from a copy of exactly that size: the sanitizer sees a read past its end.
static void check_sized(const char *text, size_t len, const char *want, bool prefix)
{
    for (int keep = 0; keep < 2; keep++) {
        struct stream s = {.keep = keep};
        struct err err = {0};
        char *copy = malloc(len ? len : 1);
        memcpy(copy, text, len);
        int rc = yaml_parse(copy, len, &s.arena, on_document, on_bad, &s, &err);
        free(copy);
        const char *got = s.out.data ? s.out.data : "";
        if (rc < 0 || (prefix ? strncmp(got, want, strlen(want)) : strcmp(got, want)) != 0) {
            fail_msg("%s\ngives %d %s\n%s\nwant\n%s", text, rc, err.msg, got, want);
        }
        buf_free(&s.out);
        arena_free(&s.arena);
    }
}

static void check(const char *text, const char *want)
{
    check_sized(text, strlen(text), want, false);
}

static void check_scalar(const char *text, const char *want)
{
    char document[256];
    char tree[256];
    (void)snprintf(document, sizeof(document), "a: %s\n", text);
    (void)snprintf(tree, sizeof(tree), "{a:%s@1}@1\n", want);
    check(document, tree);
}

static void test_scalars(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *want;
    } rows[] = {
        {"", "null"},
        {"~", "null"},
        {"null", "null"},
        {"Null", "null"},
        {"NULL", "null"},
        {"nULL", "'nULL'"},
        {"true", "true"},
        {"True", "true"},
        {"TRUE", "true"},
        {"tRUE", "'tRUE'"},
        {"yes", "true"},
        {"On", "true"},
        {"false", "false"},
        {"No", "false"},
        {"OFF", "false"},
        {"y", "'y'"},
        {"N", "'N'"},
        {"\"true\"", "'true'"},
        {"'80'", "'80'"},
        {"\"\"", "''"},
        {"''", "''"},
        {"0", "0=0"},
        {"80", "80=80"},
        {"-5", "-5=-5"},
        {"+5", "+5=5"},
        {"1_000", "1_000=1000"},
        {"0x1F", "0x1F=31"},
        {"-0x10", "-0x10=-16"},
        {"0X", "'0X'"},
        {"017", "017=15"},
        {"0o17", "0o17=15"},
        {"0b101", "0b101=5"},
        {"-0b11", "-0b11=-3"},
        {"0b12", "'0b12'"},
        {"08", "08"},
        {"9223372036854775807", "9223372036854775807=9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808=-9223372036854775808"},
        {"9223372036854775808", "9223372036854775808"},
        {"18446744073709551616", "18446744073709551616"},
        {"123456789012345678901234567890123456789012345678901234567890123456789012345",
         "123456789012345678901234567890123456789012345678901234567890123456789012345"},
        {"0xfffffffffffffffff", "0xfffffffffffffffff"},
        {"1.5", "1.5"},
        {"1.", "1."},
        {".5", ".5"},
        {"-.5e+3", "-.5e+3"},
        {"1e3", "1e3"},
        {"1e999", "1e999"},
        {"1e", "'1e'"},
        {"1.2.3", "'1.2.3'"},
        {"10.0.0.1", "'10.0.0.1'"},
        {"10.0.0.0/8", "'10.0.0.0/8'"},
        {".inf", ".inf"},
        {"-.INF", "-.INF"},
        {"+.inf", "+.inf"},
        {".NaN", ".NaN"},
        {"-.nan", "'-.nan'"},
        {"-", "[null@1]"},
        {"+", "'+'"},
        {".", "'.'"},
        {"_1", "'_1'"},
        {"2024-01-02", "'2024-01-02'"},
        {"2024-01-02T03:04:05Z", "'2024-01-02T03:04:05Z'"},
        {"12:30:45", "'12:30:45'"},
        {"1,000", "'1,000'"},
        {"web", "'web'"},
        {"nginx", "'nginx'"},
        {"fd00::1", "'fd00::1'"},
        {"!!str 80", "'80'"},
        {"! 80", "'80'"},
        {"!!int \"80\"", "80=80"},
        {"!!bool \"yes\"", "true"},
        {"!!float 80", "80=80"},
        {"!!null ''", "null"},
        {"!local 80", "'80'"},
        {"!!timestamp 2024-01-02", "'2024-01-02'"},
        {"\"\\u00e9\\U0001F600\\x41\\n\"", "'\xc3\xa9\xf0\x9f\x98\x80"
                                           "A\n'"},
        {"<<", "'<<'"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (strcmp(rows[i].text, "-") != 0) {
            check_scalar(rows[i].text, rows[i].want);
        }
    }
    check("- -\n", "[[null@1]@1]@1\n");
    check("!!int web\n", "bad 1: a value does not fit its tag: \"web\"\n");
    check("a: !!bool 1\n", "bad 1: a value does not fit its tag: \"1\"\n");
}

static void test_documents(void **state)
{
    (void)state;
    check("", "");
    check("\n# only a comment\n", "");
    check("---\n---\n...\n", "");
    check("a: 1\n", "{a:1=1@1}@1\n");
    check("\n---\n\na:\n  b: [x, {c: d}]\n\n  e: |\n    text\n    more\n  f: g\n",
          "{a:{b:['x'@5 {c:'d'@5}@5]@5 e:'text\nmore\n'@7 f:'g'@10}@4}@4\n");
    check("a: 1\n---\nb: 2\n...\n---\n- c\n", "{a:1=1@1}@1\n{b:2=2@3}@3\n['c'@6]@6\n");
    check("%YAML 1.1\n---\na: 1\n", "{a:1=1@3}@3\n");
    check("\xEF\xBB\xBF"
          "a: 1\n",
          "{a:1=1@1}@1\n");
    check("{\"a\": [1, true, null, \"x\"]}", "{a:[1=1@1 true@1 null@1 'x'@1]@1}@1\n");
    check("a: 1\r\nb: 2\r\n", "{a:1=1@1 b:2=2@2}@1\n");
    check("just text\n", "'just text'@1\n");
    check("? a\n: b\n", "{a:'b'@1}@1\n");
}

static void test_bad_documents_do_not_stop_the_stream(void **state)
{
    (void)state;
    check("a: 1\n---\nb: [\n---\nc: 3\n",
          "{a:1=1@1}@1\nbad 4: invalid YAML: did not find expected node content: while parsing a flow node (which "
          "starts in line 4)\n{c:3=3@5}@5\n");
    check("a: 'x\n---\nb: 2\n",
          "bad 2: invalid YAML: found unexpected document indicator: while scanning a quoted scalar (which starts in "
          "line 1)\n{b:2=2@3}@3\n");
    check_sized("a: b: c\n---\n- ok\n", 17, "bad 1: invalid YAML: mapping values are not allowed in this context",
                true);
    check("--- @\n--- @\n--- ok\n",
          "bad 1: invalid YAML: found character that cannot start any token: while scanning for the next token (which "
          "starts in line 1)\nbad 2: invalid YAML: found character that cannot start any token: while scanning for "
          "the next token (which starts in line 2)\n'ok'@3\n");
    check("a: 1\na: 2\n---\nb: 1\n", "bad 2: a key is given twice: \"a\"\n{b:1=1@4}@4\n");
    check("a:\n  b: 1\n  \"b\": 2\n", "bad 3: a key is given twice: \"b\"\n");
    check("80: x\n", "bad 1: a key must be a string, quote it: \"80\"\n");
    check("a:\n  on: x\n", "bad 2: a key must be a string, quote it: \"on\"\n");
    check("~: x\n", "bad 1: a key must be a string, quote it: \"~\"\n");
    check("[a]: x\n", "bad 1: a key must be a string\n");
    check("? {a: b}\n: x\n", "bad 1: a key must be a string\n");
    check("y: 1\n\"80\": 2\n", "{y:1=1@1 80:2=2@2}@1\n");
    check("a: *b\n---\nok\n", "bad 1: an alias without its anchor: \"b\"\n'ok'@3\n");
    check("a: &b x\n---\na: *b\n", "{a:'x'@1}@1\nbad 3: an alias without its anchor: \"b\"\n");
    check("a: &b [*b]\n", "bad 1: an alias inside the node it stands for: \"b\"\n");
    check("\"a\\0b\": 1\n", "bad 1: a string holds a NUL\n");
    check("a: \"\\u0000\"\n---\nok\n", "bad 1: a string holds a NUL\n'ok'@3\n");
    check_sized("a: \"\\ud800\"\n---\nok\n", 20, "bad 1: invalid YAML: found invalid Unicode character escape code",
                true);
}

static void test_bad_bytes(void **state)
{
    (void)state;
#define TEXT(s) s, sizeof(s) - 1
    static const struct {
        const char *text;
        size_t len;
        const char *want;
    } rows[] = {
        {TEXT("a: 1\n---\nb: \0\n---\nc: 3\n"), "{a:1=1@1}@1\nbad 3: a NUL byte at byte 12\n{c:3=3@5}@5\n"},
        {TEXT("\0"), "bad 1: a NUL byte at byte 0\n"},
        {TEXT("a: 1\n\n\xff"), "bad 3: invalid UTF-8 at byte 6\n"},
        {TEXT("a: \xc3\n---\nb: \xed\xa0\x80\n---\nc: 1"),
         "bad 1: invalid UTF-8 at byte 3\nbad 3: invalid UTF-8 at byte 12\n{c:1=1@5}@5\n"},
        {TEXT("a: \x1b[0m\n"), "bad 1: a control character at byte 3\n"},
        {TEXT("a: \x7f\n"), "bad 1: a control character at byte 3\n"},
        {TEXT("a: \xc2\x80\n"), "bad 1: a control character at byte 3\n"},
        {TEXT("a: \xef\xbf\xbe\n"), "bad 1: a character that YAML does not allow (U+FFFE or U+FFFF) at byte 3\n"},
        {TEXT("\xff\xfe"
              "a\0:\0 \0b\0"),
         "bad 1: invalid UTF-8 at byte 0\n"},
        {TEXT("a: \xc3\xa9\xf0\x9f\x98\x80\n"), "{a:'\xc3\xa9\xf0\x9f\x98\x80'@1}@1\n"},
        // Lines are counted on behind bad documents of any kind.
        {TEXT("a: [\n\n---\nx: \xff\n\n---\nb: 1\nb: 2\n---\nc: {\n---\nd: 1\n"),
         "bad 3: invalid YAML: did not find expected node content: while parsing a flow node (which starts in line 3)\n"
         "bad 4: invalid UTF-8 at byte 13\nbad 8: a key is given twice: \"b\"\nbad 11: invalid YAML: did not find "
         "expected node content: while parsing a flow node (which starts in line 11)\n{d:1=1@12}@12\n"},
    };
#undef TEXT
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        check_sized(rows[i].text, rows[i].len, rows[i].want, false);
    }
}

static void test_anchors(void **state)
{
    (void)state;
    check("a: &x {b: 1}\nc: *x\nd: [*x, *x]\n", "{a:{b:1=1@1}@1 c:{b:1=1@1}@2 d:[{b:1=1@1}@3 {b:1=1@1}@3]@3}@1\n");
    check("a: &x text\nb: *x\n*x : c\n", "{a:'text'@1 b:'text'@2 text:'c'@3}@1\n");
    check("&k a: 1\nb: *k\n", "{a:1=1@1 b:'a'@2}@1\n");
    check("a: &x 1\nb: &x 2\nc: *x\n", "{a:1=1@1 b:2=2@2 c:2=2@3}@1\n");
    check("&r\n- 1\n", "[1=1@2]@1\n");
    check("a: &e\nb: *e\n", "{a:null@1 b:null@2}@1\n");
}

static void test_merge_keys(void **state)
{
    (void)state;
    check("a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  l: 3\n", "{a:{k:1=1@1 l:2=2@1}@1 b:{l:3=3@4 k:1=1@1}@2}@1\n");
    // Explicit keys win on either side of the merge key.
    check("a: &x {k: 1, l: 2}\nb:\n  l: 3\n  <<: *x\n", "{a:{k:1=1@1 l:2=2@1}@1 b:{l:3=3@3 k:1=1@1}@2}@1\n");
    check("- &a {k: 1, l: 1}\n- &b {l: 2, m: 2}\n- <<: [*a, *b]\n  n: 3\n",
          "[{k:1=1@1 l:1=1@1}@1 {l:2=2@2 m:2=2@2}@2 {n:3=3@4 k:1=1@1 l:1=1@1 m:2=2@2}@3]@1\n");
    check("<<: {a: 1}\nb: 2\n", "{b:2=2@2 a:1=1@1}@1\n");
    check("- &a {k: 1}\n- &b {<<: *a, l: 2}\n- {<<: *b}\n",
          "[{k:1=1@1}@1 {l:2=2@2 k:1=1@1}@2 {l:2=2@2 k:1=1@1}@3]@1\n");
    check("<<: []\na: 1\n", "{a:1=1@2}@1\n");
    check("\"<<\": {a: 1}\n", "{<<:{a:1=1@1}@1}@1\n");
    check("<<: 1\n", "bad 1: a merge key (<<) needs a map or a list of maps\n");
    check("<<: [{a: 1}, 2]\n", "bad 1: a merge key (<<) needs a map or a list of maps\n");
    check("<<: {a: 1}\n<<: {b: 1}\n", "bad 2: the merge key (<<) is given twice\n");
}

static void nest(struct buf *out, unsigned depth, const char *open, const char *close)
{
    for (unsigned i = 0; i < depth; i++) {
        buf_puts(out, open);
    }
    buf_puts(out, "1");
    for (unsigned i = 0; i < depth; i++) {
        buf_puts(out, close);
    }
    buf_puts(out, "\n---\nok\n");
}

static void test_depth(void **state)
{
    (void)state;
    static const struct {
        const char *open;
        const char *close;
        unsigned depth;
        const char *want;
    } rows[] = {
        {"[", "]", LIMIT_DOCUMENT_DEPTH, "[[["},
        {"{a: ", "}", LIMIT_DOCUMENT_DEPTH, "{a:{a:"},
        {"[", "]", LIMIT_DOCUMENT_DEPTH + 1, "bad 1: nested too deeply\n'ok'@3\n"},
        {"{a: ", "}", LIMIT_DOCUMENT_DEPTH + 1, "bad 1: nested too deeply\n'ok'@3\n"},
        {"- ", "", LIMIT_DOCUMENT_DEPTH + 1, "bad 1: nested too deeply\n'ok'@3\n"},
        {"[", "]", 900, "bad 1: nested too deeply\n'ok'@3\n"},
        {"[", "]", 100000, "bad 1: "},
        {"- ", "", 100000, "bad 1: "},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        BUF_CLEANUP struct buf text = {0};
        nest(&text, rows[i].depth, rows[i].open, rows[i].close);
        check_sized(text.data, text.len, rows[i].want, true);
    }
}

static void test_depth_by_aliases(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf text = {0};
    buf_puts(&text, "- &a0 x\n");
    for (int i = 1; i < 200; i++) {
        buf_printf(&text, "- &a%d [*a%d]\n", i, i - 1);
    }
    // The outer list is a level too.
    check(text.data, "bad 65: nested too deeply\n");
}

static void test_billion_laughs(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf text = {0};
    buf_puts(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 12; i++) {
        buf_printf(&text, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++) {
            buf_printf(&text, "%s*a%d", j ? "," : "", i - 1);
        }
        buf_puts(&text, "]\n");
    }
    buf_puts(&text, "---\nb: 1\n");
    uint64_t start = num_now_ms();
    check(text.data, "bad 8: too many nodes, aliases expanded\n{b:1=1@14}@14\n");
    assert_true(num_now_ms() - start < 5000);
}

static void test_without_bad_function(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int line;
    } rows[] = {{"a: 1\n---\na: 1\na: 2\n", 4}, {"a: 1\n---\na: [\n", 4}, {"a: 1\n---\na: \x01\n", 3}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct stream s = {0};
        struct err err = {0};
        assert_int_equal(yaml_parse(rows[i].text, strlen(rows[i].text), &s.arena, on_document, NULL, &s, &err), -1);
        assert_int_equal(err.kind, ERR_INPUT);
        assert_int_equal(err.num, rows[i].line);
        assert_string_equal(s.out.data, "{a:1=1@1}@1\n");
        buf_free(&s.out);
        arena_free(&s.arena);
    }
}

static int stop(struct doc *doc, void *arg, struct err *err)
{
    (void)doc;
    ++*(int *)arg;
    return err_set(err, ERR_BUG, 7, "stop");
}

static void test_function_stops(void **state)
{
    (void)state;
    struct arena arena = {0};
    int calls = 0;
    struct err err = {0};
    assert_int_equal(yaml_parse("a\n---\nb\n", 8, &arena, stop, NULL, &calls, &err), -1);
    assert_int_equal(calls, 1);
    assert_int_equal(err.num, 7);
    arena_free(&arena);
}

static int count_document(struct doc *doc, void *arg, struct err *err)
{
    (void)doc;
    (void)err;
    struct stream *s = arg;
    s->documents++;
    arena_free(&s->arena);
    return 0;
}

static void test_large_stream(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf text = {0};
    size_t n = 0;
    for (; text.len < 12u << 20; n++) {
        buf_printf(
            &text,
            "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: pod-%zu\n  namespace: default\n  labels:\n    app: "
            "web\n    tier: \"front\"\nspec:\n  nodeName: node-1\n  containers:\n  - name: main\n    ports:\n    "
            "- name: http\n      containerPort: 80\nstatus:\n  phase: Running\n  podIP: 10.0.0.1\n",
            n);
    }
    struct stream s = {0};
    uint64_t start = num_now_ms();
    assert_int_equal(yaml_parse(text.data, text.len, &s.arena, count_document, NULL, &s, NULL), 0);
    uint64_t took = num_now_ms() - start;
    print_message("12 MB of YAML in %llu ms\n", (unsigned long long)took);
    assert_int_equal(s.documents, n);
    assert_true(took < 30000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_bad_documents_do_not_stop_the_stream),
        cmocka_unit_test(test_bad_bytes),
        cmocka_unit_test(test_anchors),
        cmocka_unit_test(test_merge_keys),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_depth_by_aliases),
        cmocka_unit_test(test_billion_laughs),
        cmocka_unit_test(test_without_bad_function),
        cmocka_unit_test(test_function_stops),
        cmocka_unit_test(test_large_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
