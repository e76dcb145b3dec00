// SPDX-License-Identifier: Apache-2.0
//
// What is cut out of objects before they are parsed: never anything that decode/ looks at.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "decode/decode.h"
#include "source/object_stream.h"
#include "support/rng.h"
#include "json/json.h"

static const struct {
    enum object_kind kind;
    const char *in;
    const char *want;
} cases[] = {
    {OBJECT_POD,
     "{\"metadata\":{\"name\":\"a\",\"managedFields\":[{\"x\":[1,{}]}],\"labels\":{\"annotations\":\"kept\",\"env\":"
     "\"\"},"
     "\"annotations\":{\"n\":\"\\u0000\"}},\"spec\":{\"volumes\":[{\"name\":\"v\"}],\"nodeName\":\"n1\",\"containers\":"
     "[{\"env\":"
     "[{\"name\":\"A\"}],\"ports\":[{\"name\":\"http\",\"containerPort\":80}],\"image\":\"i\"},{\"name\":\"b\"}],"
     "\"hostNetwork\":true},\"status\":{\"conditions\":[1],\"phase\":\"Running\",\"podIPs\":[{\"ip\":\"10.0.0.1\"}]}}",
     "{\"metadata\":{\"name\":\"a\",\"labels\":{\"annotations\":\"kept\",\"env\":\"\"}},\"spec\":{\"nodeName\":\"n1\","
     "\"containers\":[{\"ports\":[{\"name\":\"http\",\"containerPort\":80}]},{\"\":null}],\"hostNetwork\":true},"
     "\"status\":{"
     "\"phase\":"
     "\"Running\",\"podIPs\":[{\"ip\":\"10.0.0.1\"}]}}"},
    {OBJECT_POD, " { \"x\" : 1 , \"spec\" : { \"y\" : [ ] } , \"z\" : \"}\" } \n", "{\"spec\":{\"\":null}}"},
    {OBJECT_POD, "{\"spec\":{\"containers\":null,\"nodeName\":7},\"status\":\"odd\",\"metadata\":[{\"name\":\"l\"}]}",
     "{\"spec\":{\"containers\":null,\"nodeName\":7},\"status\":\"odd\",\"metadata\":[{\"name\":\"l\"}]}"},
    {OBJECT_NAMESPACE, "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"finalizers\":[\"kubernetes\"]},\"status\":{}}",
     "{\"metadata\":{\"name\":\"x\"}}"},
    {OBJECT_POLICY, "{\"spec\":{\"podSelector\":{},\"unknown\":[{\"from\":1}]},\"status\":{\"a\":1}}",
     "{\"spec\":{\"podSelector\":{},\"unknown\":[{\"from\":1}]}}"},
    {OBJECT_NODE,
     "{\"spec\":{\"podCIDRs\":[\"10.0.0.0/"
     "24\"],\"taints\":[]},\"status\":{\"images\":[{\"names\":[\"a\"]}],\"addresses\":[{"
     "\"type\":\"InternalIP\"}]}}",
     "{\"spec\":{\"podCIDRs\":[\"10.0.0.0/24\"]},\"status\":{\"addresses\":[{\"type\":\"InternalIP\"}]}}"},
    // A key in escapes may be one of ours; a quote in a key.
    {OBJECT_POD, "{\"spe\\u0063\":{\"q\":1},\"a\\\"\":2,\"b\":3}", "{\"spe\\u0063\":{\"q\":1},\"a\\\"\":2}"},
    {OBJECT_POD, "{}", "{}"},
    // Free text beside what decode reads, in every list whose elements it reads.
    {OBJECT_POD,
     "{\"spec\":{\"containers\":[{\"ports\":[{\"hostIP\":\"\\u0000\",\"name\":\"http\",\"hostPort\":1,"
     "\"containerPort\":80,"
     "\"protocol\":\"TCP\"},{\"hostIP\":\"\\ud800\"},7]}]},\"status\":{\"podIPs\":[{\"ip\":\"10.0.0.1\",\"x\":"
     "\"\\u0000\"}]}}",
     "{\"spec\":{\"containers\":[{\"ports\":[{\"name\":\"http\",\"containerPort\":80,\"protocol\":\"TCP\"},{\"\":null},"
     "7]}]},"
     "\"status\":{\"podIPs\":[{\"ip\":\"10.0.0.1\"}]}}"},
    {OBJECT_NODE,
     "{\"status\":{\"addresses\":[{\"type\":\"InternalIP\",\"x\":\"\\u0000\",\"address\":\"192.0.2.1\"}]}}",
     "{\"status\":{\"addresses\":[{\"type\":\"InternalIP\",\"address\":\"192.0.2.1\"}]}}"},
};

// Of each kind: nothing that a tenant may write freely survives, or the JSON door would refuse the object for it.
static void test_free_text_of_metadata(void **state)
{
    (void)state;
    static const char text[] =
        "{\"metadata\":{\"name\":\"a\",\"generateName\":\"\\u0000\",\"selfLink\":\"\\u0000\",\"annotations\":{"
        "\"\\u0000\":"
        "\"\\ud800\"},\"managedFields\":[{\"manager\":\"\\u0000\"}],\"finalizers\":[\"\\u0000\"],\"ownerReferences\":[{"
        "\"name\":\"\\u0000\"}],\"uid\":\"u\"}}";
    for (int kind = 0; kind < OBJECT_KIND_COUNT; kind++) {
        struct buf BUF_CLEANUP out = {0};
        assert_true(object_stream_text(keep_object((enum object_kind)kind), text, strlen(text), &out));
        assert_string_equal(out.data, "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\"}}");
    }
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf BUF_CLEANUP out = {0};
        assert_true(object_stream_text(keep_object(cases[i].kind), cases[i].in, strlen(cases[i].in), &out));
        assert_string_equal(out.data, cases[i].want);
    }
}

static void test_events(void **state)
{
    (void)state;
    static const char pod[] = "{\"type\":\"ADDED\",\"x\":1,\"object\":{\"kind\":\"Pod\",\"spec\":{\"volumes\":[]}}}";
    static const char error[] =
        "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"metadata\":{},\"status\":\"Failure\","
        "\"message\":\"m\",\"reason\":\"Expired\",\"details\":{\"causes\":[]},\"code\":410}}";
    struct buf BUF_CLEANUP out = {0};
    assert_true(object_stream_text(keep_event(OBJECT_POD), pod, strlen(pod), &out));
    assert_string_equal(out.data, "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\",\"spec\":{\"\":null}}}");
    for (int kind = 0; kind < OBJECT_KIND_COUNT; kind++) {
        buf_clear(&out);
        assert_true(object_stream_text(keep_event((enum object_kind)kind), error, strlen(error), &out));
        assert_non_null(strstr(out.data, "\"reason\":\"Expired\""));
        assert_non_null(strstr(out.data, "\"code\":410"));
        assert_non_null(strstr(out.data, "\"message\":\"m\""));
    }
}

static void test_names_apart(void **state)
{
    (void)state;
    static const char pod[] =
        "{\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":\"\\u0000\"},\"namespace\":\"x\",\"uid\":\"u\","
        "\"resourceVersion\":\"7\"},\"status\":{\"phase\":tru}}";
    static const char names[] =
        "{\"metadata\":{\"name\":\"a\",\"namespace\":\"x\",\"uid\":\"u\",\"resourceVersion\":\"7\"}}";
    struct buf BUF_CLEANUP event = {0};
    struct buf BUF_CLEANUP want = {0};
    struct buf BUF_CLEANUP out = {0};
    assert_true(object_stream_text(keep_object_names, pod, strlen(pod), &out));
    assert_string_equal(out.data, names);
    buf_printf(&event, "{\"type\":\"ADDED\",\"object\":%s}", pod);
    buf_printf(&want, "{\"type\":\"ADDED\",\"object\":%s}", names);
    buf_clear(&out);
    assert_true(object_stream_text(keep_event_names, event.data, event.len, &out));
    assert_string_equal(out.data, want.data);
    buf_clear(&out);
    assert_true(object_stream_text(keep_event_version, event.data, event.len, &out));
    assert_string_equal(out.data, "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"7\"}}}");
    for (size_t len = 0; len < event.len; len++) {
        buf_clear(&out);
        assert_false(object_stream_text(keep_event_names, event.data, len, &out));
        assert_false(object_stream_text(keep_event_version, event.data, len, &out));
    }
}

static void test_broken_text_is_left_to_the_parser(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "5",
        "\"x\"",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\" 1}",
        "{\"a\":1 2}",
        "{a:1}",
        "{\"a\":1",
        "{\"a\":\"x}",
        "{\"a\":[1}",
        "{\"spec\":{]}",
        "{}{}",
        "{\"spec\":{\"containers\":[,]}}",
        "{\"spec\":{\"containers\":[1,]}}",
        "{\"a\":\"\\",
        "{\"\\",
        "{\"spec\":{\"containers\":[{} {}]}}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct buf BUF_CLEANUP out = {0};
        // In memory of its own size, so that a sanitizer sees a read behind its end.
        char *copy = malloc(strlen(bad[i]) + 1);
        assert_non_null(copy);
        memcpy(copy, bad[i], strlen(bad[i]));
        if (object_stream_text(keep_object(OBJECT_POD), copy, strlen(bad[i]), &out)) {
            fail_msg("accepted: %s", bad[i]);
        }
        free(copy);
    }
    char deep[1000];
    memset(deep, '[', sizeof(deep));
    memcpy(deep, "{\"spec\":", 8);
    struct buf BUF_CLEANUP out = {0};
    assert_false(object_stream_text(keep_object(OBJECT_POD), deep, sizeof(deep), &out));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t len = 0; len + 1 < strlen(cases[i].in) - 2; len++) {
            char *copy = malloc(len + 1);
            assert_non_null(copy);
            memcpy(copy, cases[i].in, len);
            buf_clear(&out);
            (void)object_stream_text(keep_object(cases[i].kind), copy, len, &out);
            free(copy);
        }
    }
}

// ---- property: decode finds the same in the pruned text as in the whole, whatever is in it besides

static void noise(struct rng *rng, struct buf *out, unsigned depth)
{
    static const char *const scalars[] = {"1", "null", "\"\"", "\"}],\\\"{\"", "true", "\"\\u0041\""};
    static const char *const keys[] = {"metadata", "spec", "containers", "ports", "name", "labels", "x", "status"};
    size_t what = rng_below(rng, depth > 3 ? 1 : 3);
    if (what == 0) {
        buf_puts(out, RNG_PICK(rng, scalars));
        return;
    }
    size_t start = rng_below(rng, 8);
    buf_putc(out, what == 1 ? '[' : '{');
    for (size_t i = 0, n = rng_below(rng, 4); i < n; i++) {
        buf_puts(out, i ? "," : "");
        if (what == 2) {
            buf_printf(out, "\"%s\":", keys[(start + i) % 8]);
        }
        noise(rng, out, depth + 1);
    }
    buf_putc(out, what == 1 ? ']' : '}');
}

// Members {name, value} in random order, some left out, some made odd, with members of no meaning between them.
struct member {
    const char *key;
    const char *value;
};

static void object(struct rng *rng, struct buf *out, const struct member *members, size_t n)
{
    bool used[16] = {false};
    size_t written = 0;
    buf_putc(out, '{');
    for (size_t i = 0; i < n + 3; i++) {
        if (rng_chance(rng, 40)) {
            buf_printf(out, "%s\"noise%zu\" : ", written++ ? "," : "", i);
            noise(rng, out, 0);
        }
        size_t pick = rng_below(rng, n);
        if (used[pick]) {
            continue;
        }
        used[pick] = true;
        buf_printf(out, "%s\"%s\":", written++ ? " , " : "", members[pick].key);
        if (rng_chance(rng, 4)) {
            noise(rng, out, 2);
        } else {
            buf_puts(out, members[pick].value);
        }
    }
    buf_putc(out, '}');
}

static char *random_part(struct rng *rng, const struct member *members, size_t n)
{
    struct buf out = {0};
    object(rng, &out, members, n);
    char *text = buf_take(&out);
    assert_non_null(text);
    return text;
}

static char *random_object(struct rng *rng, enum object_kind kind)
{
    const struct member meta[] = {{"namespace", "\"x\""},
                                  {"name", "\"a\""},
                                  {"uid", "\"u\""},
                                  {"resourceVersion", "\"5\""},
                                  {"labels", "{\"app\":\"a\",\"spec\":\"\",\"x/y\":\"z\"}"},
                                  {"creationTimestamp", "\"2026-01-01T00:00:00Z\""},
                                  {"deletionTimestamp", rng_chance(rng, 50) ? "null" : "\"2026-01-01T00:00:00Z\""}};
    const struct member container[] = {
        {"name", "\"c\""},
        {"restartPolicy", rng_chance(rng, 50) ? "\"Always\"" : "\"Never\""},
        {"ports", "[{\"name\":\"http\",\"containerPort\":80},{\"name\":\"dns\","
                  "\"containerPort\":53,\"protocol\":\"UDP\"},{\"containerPort\":1,\"hostIP\":\"1\"}]"}};
    char *one = random_part(rng, container, ARRAY_SIZE(container));
    char *two = random_part(rng, container, ARRAY_SIZE(container));
    struct buf BUF_CLEANUP containers = {0};
    buf_printf(&containers, "[%s , %s]", one, two);
    const struct member pod_spec[] = {{"nodeName", "\"n1\""},
                                      {"hostNetwork", rng_chance(rng, 50) ? "true" : "false"},
                                      {"containers", containers.data},
                                      {"initContainers", containers.data}};
    const struct member pod_status[] = {{"phase", "\"Running\""},
                                        {"podIP", "\"10.0.0.1\""},
                                        {"podIPs", "[{\"ip\":\"10.0.0.1\"},{\"ip\":\"fd00::1\"}]"},
                                        {"conditions", "[{}]"}};
    const struct member node_spec[] = {{"podCIDR", "\"10.1.0.0/24\""}, {"podCIDRs", "[\"10.1.0.0/24\",\"fd01::/64\"]"}};
    const struct member node_status[] = {
        {"addresses",
         "[{\"type\":\"InternalIP\",\"address\":\"192.0.2.1\"},{\"type\":\"Hostname\",\"address\":\"n1\"}]"}};
    const struct member policy_spec[] = {
        {"podSelector", "{\"matchLabels\":{\"a\":\"b\"}}"},
        {"policyTypes", "[\"Ingress\",\"Egress\"]"},
        {"ingress", "[{\"from\":[{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\"}}],\"ports\":[{\"port\":80}]}]"},
        {"egress", "[{}]"}};
    char *meta_text = random_part(rng, meta, ARRAY_SIZE(meta));
    char *spec = kind == OBJECT_POD    ? random_part(rng, pod_spec, ARRAY_SIZE(pod_spec))
                 : kind == OBJECT_NODE ? random_part(rng, node_spec, ARRAY_SIZE(node_spec))
                                       : random_part(rng, policy_spec, ARRAY_SIZE(policy_spec));
    char *status = kind == OBJECT_NODE ? random_part(rng, node_status, ARRAY_SIZE(node_status))
                                       : random_part(rng, pod_status, ARRAY_SIZE(pod_status));
    const struct member all[] = {{"metadata", meta_text}, {"spec", spec}, {"status", status}, {"kind", "\"K\""}};
    char *text = random_part(rng, all, ARRAY_SIZE(all));
    free(one);
    free(two);
    free(meta_text);
    free(spec);
    free(status);
    return text;
}

static int decode(enum object_kind kind, const char *text, struct arena *arena, struct decoded *ret)
{
    struct doc *doc = NULL;
    size_t used;
    unsigned line;
    struct err err = {0};
    struct diagnostics DIAGNOSTICS_CLEANUP diagnostics = {0};
    if (json_parse(text, strlen(text), 1, arena, &doc, &used, &line, &err) < 0) {
        fail_msg("%s: %s", err.msg, text);
    }
    assert_int_equal(used, strlen(text));
    return decode_object(doc, kind, "", arena, ret, &diagnostics, &err);
}

static bool same(const struct decoded *a, const struct decoded *b)
{
    switch (a->kind) {
    case OBJECT_POD:
        return pod_equal(&a->pod, &b->pod) && a->pod.no_status == b->pod.no_status;
    case OBJECT_NAMESPACE:
        return ns_object_equal(&a->ns, &b->ns);
    case OBJECT_POLICY:
        return policy_equal(&a->policy, &b->policy);
    case OBJECT_NODE:
        return node_equal(&a->node, &b->node);
    }
    return false;
}

static void test_decode_finds_the_same(void **state)
{
    (void)state;
    struct rng rng = {.state = rng_seed("test_decode_finds_the_same")};
    size_t n = rng_iterations(4000);
    size_t usable = 0;
    for (size_t i = 0; i < n; i++) {
        enum object_kind kind = (enum object_kind)rng_below(&rng, OBJECT_KIND_COUNT);
        char *text = random_object(&rng, kind);
        struct buf BUF_CLEANUP pruned = {0};
        struct arena arena = {0};
        struct decoded whole;
        struct decoded cut;
        if (!object_stream_text(keep_object(kind), text, strlen(text), &pruned)) {
            fail_msg("refused: %s", text);
        }
        int rc = decode(kind, text, &arena, &whole);
        if (rc != decode(kind, pruned.data, &arena, &cut)) {
            fail_msg("one is lost, the other not:\n%s\n%s", text, pruned.data);
        }
        if (rc == 0 && !same(&whole, &cut)) {
            fail_msg("different:\n%s\n%s", text, pruned.data);
        }
        usable += rc == 0;
        arena_free(&arena);
        free(text);
    }
    // The objects must be good ones often enough to mean something.
    assert_true(usable * 4 > n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_free_text_of_metadata),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_names_apart),
        cmocka_unit_test(test_broken_text_is_left_to_the_parser),
        cmocka_unit_test(test_decode_finds_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
