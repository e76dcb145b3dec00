// SPDX-License-Identifier: Apache-2.0
//
// Texts: formats, streams, List kinds, other kinds, what is reported and what goes on.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/num.h"
#include "decode/decode.h"
#include "support/decode_show.h"

static void check_sized(const char *text, size_t len, const char *want)
{
    BUF_CLEANUP struct buf got = {0};
    char *copy = malloc(len ? len : 1);
    memcpy(copy, text, len);
    decode_show(copy, len, &got);
    free(copy);
    if (strcmp(got.data ? got.data : "", want) != 0) {
        fail_msg("%s\ngives\n%s\nwant\n%s", text, got.data, want);
    }
}

static void check(const char *text, const char *want)
{
    check_sized(text, strlen(text), want);
}

#define NS(name) "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"" name "\"}}"
#define SHOWN(name, line) "Namespace " name "@" line " kubernetes.io/metadata.name=" name "\n"

static void test_formats(void **state)
{
    (void)state;
    check("", "");
    check(" \n\t\n", "");
    check(NS("a"), SHOWN("a", "1"));
    check("\n\n " NS("a") "\n\n" NS("b") NS("c") "\n", SHOWN("a", "3") SHOWN("b", "5") SHOWN("c", "5"));
    check("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n---\n# none\n---\n" NS("b") "\n",
          SHOWN("a", "1") SHOWN("b", "8"));
    // JSON documents in a YAML stream.
    check(NS("a") "\n---\n" NS("b") "\n", SHOWN("a", "1") SHOWN("b", "3"));
    check("\xEF\xBB\xBF" NS("a"), SHOWN("a", "1"));
    check("\xEF\xBB\xBF"
          "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n",
          SHOWN("a", "1"));
    check("apiVersion: v1\r\nkind: Namespace\r\nmetadata:\r\n  name: a\r\n", SHOWN("a", "1"));
    check("x: &m {name: a}\napiVersion: v1\nkind: Namespace\nmetadata:\n  <<: *m\n  labels: {k: v}\n",
          "Namespace a@1 k=v kubernetes.io/metadata.name=a\n");
}

static void test_kinds(void **state)
{
    (void)state;
    check("apiVersion: apps/v1\nkind: Deployment\n---\napiVersion: v1\nkind: Service\n---\n"
          "apiVersion: batch/v1\nkind: CronJob\nspec: [any, thing]\n---\napiVersion: apps/v1\nkind: DeploymentList\n"
          "items: 7\n",
          "ignored 4\n");
    check("apiVersion: crd.projectcalico.org/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n",
          "ignored 1\nwarning line 1: NetworkPolicy: apiVersion: ignored: crd.projectcalico.org/v1 is not "
          "networking.k8s.io/v1\n");
    check("apiVersion: extensions/v1beta1\nkind: NetworkPolicyList\nitems: []\n",
          "ignored 1\nwarning line 1: NetworkPolicyList: apiVersion: ignored: extensions/v1beta1 is not "
          "networking.k8s.io/v1\n");
    check("apiVersion: v1\nkind: NetworkPolicy\nmetadata: {name: a}\n",
          "ignored 1\nwarning line 1: NetworkPolicy: apiVersion: ignored: v1 is not networking.k8s.io/v1\n");
    check("apiVersion: v2\nkind: Pod\nmetadata: {name: a}\n",
          "ignored 1\nwarning line 1: Pod: apiVersion: ignored: v2 is not v1\n");
    check("kind: Namespace\nmetadata: {name: a}\n", "error line 1: apiVersion: is missing\n");
    check("apiVersion: v1\nmetadata: {name: a}\n", "error line 1: kind: is missing\n");
    check("apiVersion: 1\nkind: Pod\n", "error line 1: apiVersion: must be a string\n");
    check("apiVersion: v1\nkind: [Pod]\n", "error line 1: kind: must be a string\n");
    check("- a\n", "error line 1: an object must be a map\n");
    check("text\n", "error line 1: an object must be a map\n");
    check("[" NS("a") "]", "error line 1: an object must be a map\n");
    check("7", "error line 1: an object must be a map\n");
}

static void test_lists(void **state)
{
    (void)state;
    check("{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[" NS("a") ",\n" NS("b") "]}",
          SHOWN("a", "1") SHOWN("b", "2"));
    // As kubectl writes it: items before kind.
    check(
        "{\"apiVersion\":\"v1\",\n\"items\":[\n" NS("a") ",\n" NS("b") "],\"kind\":\"List\",\"metadata\":{}}\n" NS("c"),
        SHOWN("a", "3") SHOWN("b", "4") SHOWN("c", "5"));
    check("apiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: a}\n- " NS(
              "b") "\nkind: List\n",
          SHOWN("a", "3") SHOWN("b", "6"));
    // The API server's lists: items without kind.
    check("{\"apiVersion\":\"v1\",\"kind\":\"NamespaceList\",\"items\":[{\"metadata\":{\"name\":\"a\"}}," NS("b") "]}",
          SHOWN("a", "1") SHOWN("b", "1"));
    check("apiVersion: v1\nkind: NamespaceList\nitems:\n- metadata: {name: a}\n", SHOWN("a", "4"));
    check("{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"NetworkPolicyList\",\"items\":[{\"metadata\":{\"name\":"
          "\"p\"},\"spec\":{}}]}",
          "NetworkPolicy default/p@1 subject=<<all>> ingress\n");
    check("{\"apiVersion\":\"v1\",\"kind\":\"PodList\",\"items\":[{\"metadata\":{\"name\":\"p\"}}]}",
          "Pod default/p@1 phase=Running no-status\n");
    check("{\"apiVersion\":\"v1\",\"kind\":\"NodeList\",\"items\":[{\"metadata\":{\"name\":\"n\"}}]}", "Node n@1\n");
    check("{\"apiVersion\":\"v1\",\"kind\":\"List\"}", "");
    check("{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":null}", "");
    check("{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":{}}", "error line 1: items: must be a list\n");
    check("{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[" NS(
              "a") "]}," NS("b") "]}",
          SHOWN("a", "1") SHOWN("b", "1"));
    // One bad item leaves the others alone.
    check(
        "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{\"metadata\":{\"name\":\"x\"}},\n7,\n{\"a\":1,\n\"a\":2},"
        "\n{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{}}," NS("b") "]}",
        SHOWN("b", "5") "error line 1: kind: is missing\nerror line 2: an object must be a map\nerror line 4: key "
                        "\"a\" is given twice\nerror line 5: Namespace: metadata.name: is missing\n");
    check("{\"apiVersion\":\"example.org/v1\",\"kind\":\"Things\",\"items\":[" NS("a") "]}", "ignored 1\n");
}

static void test_bad_texts(void **state)
{
    (void)state;
    check(NS("a") "\n{\"x\":\n" NS("b"),
          SHOWN("a", "1") "error line 3: invalid JSON: the text ends where ',' or '}' is wanted\n");
    check("{", "error line 1: invalid JSON: the text ends where a key in double quotes is wanted\n");
    check("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\na: b: c\n---\n" NS("b") "\n",
          SHOWN("a", "1")
              SHOWN("b", "7") "error line 5: invalid YAML: mapping values are not allowed in this context\n");
    static const char nul[] = NS("a") "\n---\na: \0\n---\n" NS("b");
    check_sized(nul, sizeof(nul) - 1, SHOWN("a", "1") SHOWN("b", "5") "error line 3: a NUL byte at byte 70\n");
    static const char json_nul[] = "{\"a\":\"\0\"}";
    check_sized(json_nul, sizeof(json_nul) - 1, "error line 1: a string holds a NUL byte\n");
    check("a: 1\na: 2\n---\n" NS("b"), SHOWN("b", "4") "error line 2: a key is given twice: \"a\"\n");
    // Nothing that a document holds reaches a terminal raw.
    check("apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {\"\\e[31m\\n\": 1}}\n",
          "Pod default/a@1 \x1b[31m\n=1 phase=Running no-status\n"
          "partial line 3: Pod default/a: metadata.labels[\"\\u001b[31m\\n\"]: must be a string, is a number (write it "
          "in "
          "quotes)\n");
    check("\"\\e[31m\\n\": 1\n\"\\e[31m\\n\": 2\n", "error line 2: a key is given twice: \"?[31m?\"\n");
}

// YAML in flow style starts as JSON does.
static void test_flow_yaml(void **state)
{
    (void)state;
    check("{apiVersion: v1, kind: Namespace, metadata: {name: a}}\n", SHOWN("a", "1"));
    check("\n{\n  \"apiVersion\": \"v1\",\n  \"kind\": \"Namespace\", # one\n  \"metadata\": {\"name\": \"a\",},\n}\n",
          SHOWN("a", "2"));
    check("{apiVersion: v1, kind: List, items: [" NS("a") ", {apiVersion: v1, kind: Namespace, metadata: {name: b}}]}",
          SHOWN("a", "1") SHOWN("b", "1"));
    check("{apiVersion: v1, kind: Namespace}", "error line 1: Namespace: metadata: is missing\n");
    check("[a]", "error line 1: an object must be a map\n");
    // Neither: it is the JSON that is reported. Nothing is read twice.
    check("{apiVersion: v1, kind: Namespace, metadata: {name: a}",
          "error line 1: invalid JSON: 'a' where a key in double quotes is wanted\n");
    check("{apiVersion: v1, kind: Namespace, metadata: {name: a}}\n" NS("b"),
          SHOWN("a", "1") "error line 2: invalid YAML: did not find expected <document start>\n");
    check(NS("a") "\n{apiVersion: v1, kind: Namespace, metadata: {name: b}}",
          SHOWN("a", "1") "error line 2: invalid JSON: 'a' where a key in double quotes is wanted\n");
    // What JSON refuses for more than syntax stays refused.
    check("{\"a\":1,\"a\":2}", "error line 1: key \"a\" is given twice\n");
    check("{a: 1, a: 2}", "error line 1: invalid JSON: 'a' where a key in double quotes is wanted\n");
    check("{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"a\"},\"x\":\"\\u0000\"}",
          "error line 1: a string holds a NUL (\\u0000)\n");
    BUF_CLEANUP struct buf deep = {0};
    buf_puts(&deep, "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"a\"},\"x\":");
    for (int i = 0; i < LIMIT_DOCUMENT_DEPTH; i++) {
        buf_putc(&deep, '[');
    }
    for (int i = 0; i < LIMIT_DOCUMENT_DEPTH; i++) {
        buf_putc(&deep, ']');
    }
    buf_putc(&deep, '}');
    check(deep.data, "error line 1: nested too deeply\n");
    // A large text that is cut off is not built as YAML just to be refused again.
    BUF_CLEANUP struct buf large = {0};
    buf_puts(&large, "{apiVersion: v1, kind: Namespace, metadata: {name: a}, x: '");
    while (large.len < 5u << 20) {
        buf_puts(&large, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    }
    buf_puts(&large, "'}");
    check(large.data, "error line 1: invalid JSON: 'a' where a key in double quotes is wanted\n");
}

static int count(enum object_kind kind, void *object, void *arg, struct err *err)
{
    (void)kind;
    (void)err;
    free(object);
    (*(size_t *)arg)++;
    return 0;
}

static void test_no_stats(void **state)
{
    (void)state;
    static const char text[] = NS("a");
    DIAGNOSTICS_CLEANUP struct diagnostics diagnostics = {0};
    size_t got = 0;
    assert_int_equal(decode_text(text, strlen(text), "f", count, &got, &diagnostics, NULL, NULL), 0);
    assert_int_equal(got, 1);
}

static int stop(enum object_kind kind, void *object, void *arg, struct err *err)
{
    (void)kind;
    free(object);
    (*(int *)arg)++;
    return err_set(err, ERR_BUG, 5, "stop");
}

static void test_function_stops(void **state)
{
    (void)state;
    static const char *const texts[] = {
        NS("a") NS("b"),
        NS("a") "\n---\n" NS("b"),
        "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[" NS("a") "," NS("b") "]}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        DIAGNOSTICS_CLEANUP struct diagnostics diagnostics = {0};
        struct decode_stats stats = {.objects = 77};
        struct err err = {0};
        int calls = 0;
        assert_int_equal(decode_text(texts[i], strlen(texts[i]), "f", stop, &calls, &diagnostics, &stats, &err), -1);
        assert_int_equal(calls, 1);
        assert_int_equal(err.num, 5);
        assert_int_equal(stats.objects, 77);
    }
}

static void test_object(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct doc name = {.type = DOC_STRING, .key = "name", .text = "a", .line = 3};
    struct doc meta = {.type = DOC_MAP, .key = "metadata", .child = &name, .line = 2};
    struct doc doc = {.type = DOC_MAP, .child = &meta, .line = 1};
    DIAGNOSTICS_CLEANUP struct diagnostics diagnostics = {0};
    struct decoded decoded;
    memset(&decoded, 0x5A, sizeof(decoded));
    assert_int_equal(decode_object(&doc, OBJECT_POD, "", &arena, &decoded, &diagnostics, NULL), 0);
    assert_int_equal(decoded.kind, OBJECT_POD);
    assert_string_equal(decoded.pod.meta.ns, "default");
    assert_int_equal(diagnostics.list.n, 0);
    struct pod *pod = decoded_dup(&decoded);
    arena_free(&arena);
    assert_string_equal(pod->meta.name, "a");
    assert_string_equal(pod->meta.origin.file, "");
    free(pod);
    struct decoded before = decoded;
    name.type = DOC_NUMBER;
    assert_int_equal(decode_object(&doc, OBJECT_NODE, "", &arena, &decoded, &diagnostics, NULL), 1);
    assert_memory_equal(&decoded, &before, sizeof(decoded));
    assert_int_equal(diagnostics.counts[DIAGNOSTIC_LOST], 1);
    doc.type = DOC_LIST;
    assert_int_equal(decode_object(&doc, OBJECT_NODE, "", &arena, &decoded, &diagnostics, NULL), 1);
    arena_free(&arena);
}

static void decode_large(const struct buf *text, size_t n, const char *what)
{
    DIAGNOSTICS_CLEANUP struct diagnostics diagnostics = {0};
    struct decode_stats stats = {0};
    size_t got = 0;
    uint64_t start = num_now_ms();
    assert_false(text->failed);
    assert_int_equal(decode_text(text->data, text->len, "f", count, &got, &diagnostics, &stats, NULL), 0);
    uint64_t took = num_now_ms() - start;
    print_message("%zu MB of %s in %llu ms\n", text->len >> 20, what, (unsigned long long)took);
    assert_int_equal(got, n);
    assert_int_equal(stats.objects, n);
    assert_int_equal(diagnostics.list.n, 0);
    assert_true(took < 60000);
}

static void test_50_megabytes(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf json = {0};
    size_t n = 0;
    buf_puts(&json, "{\"apiVersion\":\"v1\",\"items\":[\n");
    for (; json.len < 50u << 20; n++) {
        buf_printf(
            &json,
            "%s{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p-%zu\",\"labels\":{\"app\":\"w\"}},"
            "\"spec\":{\"nodeName\":\"n1\",\"containers\":[{\"name\":\"c\",\"image\":\"registry.example.org/web/"
            "server:1.2.3\",\"ports\":[{\"name\":\"http\",\"containerPort\":80}]}]},\"status\":{\"phase\":"
            "\"Running\",\"podIPs\":[{\"ip\":\"10.0.0.1\"}]}}\n",
            n ? "," : "", n);
    }
    buf_puts(&json, "],\"kind\":\"List\"}");
    decode_large(&json, n, "JSON");
    BUF_CLEANUP struct buf yaml = {0};
    for (n = 0; yaml.len < 8u << 20; n++) {
        buf_printf(
            &yaml,
            "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: p-%zu\n  labels:\n    app: w\nspec:\n  nodeName: "
            "n1\n  containers:\n  - name: c\n    ports:\n    - name: http\n      containerPort: 80\nstatus:\n  "
            "phase: Running\n  podIPs:\n  - ip: 10.0.0.1\n",
            n);
    }
    decode_large(&yaml, n, "YAML");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),      cmocka_unit_test(test_kinds),          cmocka_unit_test(test_lists),
        cmocka_unit_test(test_bad_texts),    cmocka_unit_test(test_function_stops), cmocka_unit_test(test_object),
        cmocka_unit_test(test_50_megabytes), cmocka_unit_test(test_flow_yaml),      cmocka_unit_test(test_no_stats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
