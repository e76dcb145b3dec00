// SPDX-License-Identifier: Apache-2.0
//
// NetworkPolicy: every row of networkpolicy-v1.md 1.1, 1.2, 1.4 and 1.5. The specs are JSON, so that YAML's typing is
// out of the way; each is line 1.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "support/decode_show.h"

struct row {
    const char *spec;
    const char *want;      // what is shown behind "NetworkPolicy x/p@1 "
    const char *findings;  // NULL: none
};

static void check_row(const struct row *row)
{
    BUF_CLEANUP struct buf text = {0};
    BUF_CLEANUP struct buf got = {0};
    BUF_CLEANUP struct buf want = {0};
    buf_printf(&text,
               "{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"NetworkPolicy\",\"metadata\":{\"name\":\"p\","
               "\"namespace\":\"x\"},\"spec\":%s}",
               row->spec);
    decode_show(text.data, text.len, &got);
    if (row->want) {
        buf_printf(&want, "NetworkPolicy x/p@1 %s\n", row->want);
    }
    buf_puts(&want, row->findings ? row->findings : "");
    if (strcmp(got.data ? got.data : "", want.data ? want.data : "") != 0) {
        fail_msg("%s\ngives\n%s\nwant\n%s", row->spec, got.data, want.data);
    }
}

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        check_row(&rows[i]);
    }
}

// A finding of the policy at line 1.
#define FOUND(level, field, message) level " line 1: NetworkPolicy x/p: " field ": " message "\n"
#define PARTIAL(field, message) FOUND("partial", field, message)

static void test_policy_types(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{}", "subject=<<all>> ingress", NULL},
        {"{\"podSelector\":{}}", "subject=<<all>> ingress", NULL},
        {"{\"podSelector\":null,\"ingress\":null,\"egress\":null,\"policyTypes\":null}", "subject=<<all>> ingress",
         NULL},
        {"{\"egress\":[]}", "subject=<<all>> ingress", NULL},
        {"{\"egress\":[{}]}", "subject=<<all>> ingress egress {1: any any}", NULL},
        {"{\"ingress\":[{}]}", "subject=<<all>> ingress {1: any any}", NULL},
        {"{\"policyTypes\":[],\"egress\":[{}]}", "subject=<<all>> ingress egress {1: any any}", NULL},
        {"{\"policyTypes\":[\"Egress\"],\"ingress\":[{}]}", "subject=<<all>> egress", NULL},
        {"{\"policyTypes\":[\"Ingress\"],\"egress\":[{}]}", "subject=<<all>> ingress", NULL},
        {"{\"policyTypes\":[\"Egress\",\"Egress\"]}", "subject=<<all>> egress", NULL},
        {"{\"policyTypes\":[\"Ingress\",\"Egress\"]}", "subject=<<all>> ingress egress", NULL},
        {"{\"policyTypes\":[\"Future\"]}", "subject=<<all>> unenforceable",
         FOUND("warning", "spec.policyTypes[0]", "unknown policy type \"Future\" is ignored")},
        {"{\"policyTypes\":[\"ingress\",\"Egress\"]}", "subject=<<all>> unenforceable egress",
         FOUND("warning", "spec.policyTypes[0]", "unknown policy type \"ingress\" is ignored")},
        {"{\"policyTypes\":\"Egress\",\"ingress\":[{}]}", "subject=<<all>> unenforceable ingress {1: any any} egress",
         PARTIAL("spec.policyTypes", "must be a list, is a string")},
        {"{\"policyTypes\":[\"Egress\",5]}", "subject=<<all>> unenforceable ingress egress",
         PARTIAL("spec.policyTypes[1]", "must be a string, is a number (write it in quotes)")},
        {"{\"policyTypes\":[null]}", "subject=<<all>> unenforceable ingress egress",
         PARTIAL("spec.policyTypes[0]", "must be a string, is null (write it in quotes)")},
        {"{\"future\":1}", "subject=<<all>> ingress", FOUND("warning", "spec.future", "unknown field is ignored")},
    };
    check_rows(rows, ARRAY_SIZE(rows));
}

static void test_lost(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"\"all\"", NULL, FOUND("error", "spec", "must be a map, is a string")},
        {"[]", NULL, FOUND("error", "spec", "must be a map, is a list")},
        {"{\"podSelector\":[]}", NULL, FOUND("error", "spec.podSelector", "must be a map, is a list")},
        {"{\"podSelector\":\"all\"}", NULL, FOUND("error", "spec.podSelector", "must be a map, is a string")},
    };
    check_rows(rows, ARRAY_SIZE(rows));
}

// Kubernetes takes a policy without spec: every pod, Ingress.
static void test_no_spec(void **state)
{
    (void)state;
    static const struct row row = {
        "null", "subject=<<all>> ingress",
        FOUND("warning", "spec", "is missing: the policy isolates every pod of the namespace")};
    check_row(&row);
    static const char text[] = "{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"NetworkPolicy\",\"metadata\":{"
                               "\"name\":\"p\",\"namespace\":\"x\",\"uid\":7}}";
    BUF_CLEANUP struct buf got = {0};
    decode_show(text, strlen(text), &got);
    assert_string_equal(got.data,
                        "NetworkPolicy x/p@1 subject=<<all>> ingress\n" PARTIAL(
                            "metadata.uid", "must be a string, is a number (write it in quotes)")
                            FOUND("warning", "spec", "is missing: the policy isolates every pod of the namespace"));
}

static void test_rules(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"ingress\":[{\"from\":[],\"ports\":[]}]}", "subject=<<all>> ingress {1: any any}", NULL},
        {"{\"ingress\":[{\"from\":null,\"ports\":null}]}", "subject=<<all>> ingress {1: any any}", NULL},
        {"{\"ingress\":\"all\"}", "subject=<<all>> unenforceable ingress",
         PARTIAL("spec.ingress", "must be a list, is a string")},
        {"{\"ingress\":{}}", "subject=<<all>> unenforceable ingress",
         PARTIAL("spec.ingress", "must be a list, is a map")},
        {"{\"egress\":{}}", "subject=<<all>> unenforceable ingress egress",
         PARTIAL("spec.egress", "must be a list, is a map")},
        {"{\"policyTypes\":[\"Ingress\"],\"egress\":7}", "subject=<<all>> ingress", NULL},
        {"{\"ingress\":[null]}", "subject=<<all>> unenforceable ingress {1: unreadable peers ports}",
         PARTIAL("spec.ingress[0]", "must be a map, is null")},
        {"{\"ingress\":[7,{}]}", "subject=<<all>> unenforceable ingress {1: unreadable peers ports} {1: any any}",
         PARTIAL("spec.ingress[0]", "must be a map, is a number")},
        {"{\"ingress\":[{\"to\":[]}]}", "subject=<<all>> unenforceable ingress {1: unreadable peers ports}",
         PARTIAL("spec.ingress[0].to", "unknown field: the rule matches nothing")},
        {"{\"egress\":[{\"from\":[]}]}", "subject=<<all>> unenforceable ingress egress {1: unreadable peers ports}",
         PARTIAL("spec.egress[0].from", "unknown field: the rule matches nothing")},
        {"{\"ingress\":[{\"future\":null,\"ports\":[{\"port\":80}]}]}",
         "subject=<<all>> unenforceable ingress {1: unreadable peers ports}",
         PARTIAL("spec.ingress[0].future", "unknown field: the rule matches nothing")},
        {"{\"ingress\":[{\"from\":{\"podSelector\":{}}}]}",
         "subject=<<all>> unenforceable ingress {1: unreadable peers ports}",
         PARTIAL("spec.ingress[0].from", "must be a list, is a map")},
        {"{\"ingress\":[{\"from\":\"\"}]}", "subject=<<all>> unenforceable ingress {1: unreadable peers ports}",
         PARTIAL("spec.ingress[0].from", "must be a list, is a string")},
        {"{\"ingress\":[{\"ports\":80}]}", "subject=<<all>> unenforceable ingress {1: unreadable peers ports}",
         PARTIAL("spec.ingress[0].ports", "must be a list, is a number")},
        {"{\"egress\":[{\"to\":[{\"podSelector\":{}}],\"ports\":[{}]}]}",
         "subject=<<all>> ingress egress {1: peers pods=<<all>> ports TCP}", NULL},
    };
    check_rows(rows, ARRAY_SIZE(rows));
}

static void check_peer(const char *peer, const char *want, const char *findings)
{
    char spec[1024];
    char shown[1024];
    (void)snprintf(spec, sizeof(spec), "{\"ingress\":[{\"from\":[%s]}]}", peer);
    (void)snprintf(shown, sizeof(shown), "subject=<<all>>%s ingress {1: peers %s any}",
                   findings ? " unenforceable" : "", want);
    check_row(&(struct row){.spec = spec, .want = shown, .findings = findings});
}

#define PEER(field, message) PARTIAL("spec.ingress[0].from[0]" field, message)

static void test_peers(void **state)
{
    (void)state;
    check_peer("{\"podSelector\":{}}", "pods=<<all>>", NULL);
    check_peer("{\"namespaceSelector\":{}}", "namespaces=<<all>>", NULL);
    check_peer("{\"podSelector\":{\"matchLabels\":{\"a\":\"b\"}},\"namespaceSelector\":{\"matchLabels\":{\"c\":\"\"}}}",
               "pods=<a=b>namespaces=<c=>", NULL);
    check_peer("{\"podSelector\":{},\"namespaceSelector\":null,\"ipBlock\":null}", "pods=<<all>>", NULL);
    check_peer("{}", "unreadable",
               PEER("", "needs podSelector, namespaceSelector or ipBlock: the peer matches nothing"));
    check_peer("{\"podSelector\":null}", "unreadable",
               PEER("", "needs podSelector, namespaceSelector or ipBlock: the peer matches nothing"));
    check_peer("null", "unreadable", PEER("", "must be a map, is null"));
    check_peer("\"x\"", "unreadable", PEER("", "must be a map, is a string"));
    check_peer("{\"podSelector\":{},\"serviceAccounts\":{}}", "unreadable",
               PEER(".serviceAccounts", "unknown field: the peer matches nothing"));
    check_peer("{\"podSelector\":{},\"a.b/c\":null}", "unreadable",
               PEER("[\"a.b/c\"]", "unknown field: the peer matches nothing"));
    check_peer("{\"podSelector\":[]}", "unreadable", PEER(".podSelector", "must be a map, is a list"));
    check_peer("{\"podSelector\":{},\"namespaceSelector\":true}", "unreadable",
               PEER(".namespaceSelector", "must be a map, is a boolean"));
    check_peer("{\"podSelector\":{},\"ipBlock\":{\"cidr\":\"10.0.0.0/8\"}}", "unreadable",
               PEER(".ipBlock", "cannot stand beside a selector: the peer matches nothing"));
    check_peer("{\"namespaceSelector\":{},\"ipBlock\":{\"cidr\":\"10.0.0.0/8\"}}", "unreadable",
               PEER(".ipBlock", "cannot stand beside a selector: the peer matches nothing"));
    check_peer("{\"podSelector\":{\"future\":{}}}", "unreadable",
               PEER(".podSelector.future", "unknown field: the selector cannot be read as a whole"));
    // One that cannot be read leaves the others alone.
    check_peer("{},{\"podSelector\":{}}", "unreadable pods=<<all>>",
               PEER("", "needs podSelector, namespaceSelector or ipBlock: the peer matches nothing"));
}

static void test_blocks(void **state)
{
    (void)state;
    check_peer("{\"ipBlock\":{\"cidr\":\"10.0.0.5/24\"}}", "10.0.0.0/24", NULL);
    check_peer("{\"ipBlock\":{\"cidr\":\"010.0.0.0/8\"}}", "10.0.0.0/8", NULL);
    check_peer("{\"ipBlock\":{\"cidr\":\"::ffff:10.0.0.0/104\"}}", "10.0.0.0/8", NULL);
    check_peer("{\"ipBlock\":{\"cidr\":\"0.0.0.0/0\",\"except\":[\"10.0.0.0/8\",\"10.0.0.0/8\",\"10.1.0.0/16\"]}}",
               "0.0.0.0/0-10.0.0.0/8-10.0.0.0/8-10.1.0.0/16", NULL);
    check_peer("{\"ipBlock\":{\"cidr\":\"fd00::/8\",\"except\":[\"fd00:1::/32\"]}}", "fd00::/8-fd00:1::/32", NULL);
    check_peer("{\"ipBlock\":{\"cidr\":\"fd00::/8\",\"except\":[]}}", "fd00::/8", NULL);
    check_peer("{\"ipBlock\":{\"cidr\":\"fd00::/8\",\"except\":null}}", "fd00::/8", NULL);
    check_peer("{\"ipBlock\":{}}", "unreadable", PEER(".ipBlock.cidr", "is missing: the peer matches nothing"));
    check_peer("{\"ipBlock\":[]}", "unreadable", PEER(".ipBlock", "must be a map, is a list"));
    check_peer("{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\",\"future\":1}}", "unreadable",
               PEER(".ipBlock.future", "unknown field: the peer matches nothing"));
    check_peer("{\"ipBlock\":{\"cidr\":10}}", "unreadable",
               PEER(".ipBlock.cidr", "must be a string, is a number (write it in quotes)"));
    static const char *const bad[] = {"",          "10.0.0.0",     "10.0.0.0/33", "10.0.0/8",    "fe80::1%eth0/64",
                                      "::/129",    "10.0.0.0/8/8", "10.0.0.0/-1", "300.0.0.0/8", "10.0.0.0/8 ",
                                      "localhost", "10.0.0.0/0x8", "/8",          "1.2.3.4.5/8"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char peer[128];
        (void)snprintf(peer, sizeof(peer), "{\"ipBlock\":{\"cidr\":\"%s\"}}", bad[i]);
        check_peer(peer, "unreadable", PEER(".ipBlock.cidr", "is no CIDR: the peer matches nothing"));
    }
}

static void test_excepts(void **state)
{
    (void)state;
    check_peer("{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\",\"except\":\"10.1.0.0/16\"}}", "unreadable",
               PEER(".ipBlock.except", "must be a list, is a string"));
    check_peer("{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\",\"except\":[\"10.1.0.0/16\",5]}}", "unreadable",
               PEER(".ipBlock.except[1]", "must be a string, is a number (write it in quotes)"));
    check_peer("{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\",\"except\":[\"x\"]}}", "unreadable",
               PEER(".ipBlock.except[0]", "is no CIDR: the peer matches nothing"));
    static const char *const outside[] = {"10.0.0.0/8", "10.0.0.0/7", "0.0.0.0/0", "11.0.0.0/16", "fd00::/64"};
    for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
        char peer[128];
        (void)snprintf(peer, sizeof(peer), "{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\",\"except\":[\"%s\"]}}", outside[i]);
        check_peer(peer, "unreadable",
                   PEER(".ipBlock.except[0]", "must be a part of cidr and smaller than it: the peer matches nothing"));
    }
}

static void check_port(const char *port, const char *want, const char *field, const char *message)
{
    char spec[512];
    char shown[512];
    char findings[512];
    (void)snprintf(spec, sizeof(spec), "{\"ingress\":[{\"ports\":[%s]}]}", port);
    (void)snprintf(shown, sizeof(shown), "subject=<<all>>%s ingress {1: any ports %s}", message ? " unenforceable" : "",
                   want);
    (void)snprintf(
        findings, sizeof(findings),
        "partial line 1: NetworkPolicy x/p: spec.ingress[0].ports[0]%s: %s: the port entry matches nothing\n",
        field ? field : "", message ? message : "");
    check_row(&(struct row){.spec = spec, .want = shown, .findings = message ? findings : NULL});
}

static void test_ports(void **state)
{
    (void)state;
    static const struct {
        const char *port;
        const char *want;
    } good[] = {
        {"{}", "TCP"},
        {"{\"protocol\":\"UDP\"}", "UDP"},
        {"{\"protocol\":null,\"port\":null,\"endPort\":null}", "TCP"},
        {"{\"port\":80}", "TCP:80"},
        {"{\"port\":1,\"endPort\":65535}", "TCP:1-65535"},
        {"{\"port\":80,\"endPort\":80,\"protocol\":\"SCTP\"}", "SCTP:80"},
        {"{\"port\":\"http\"}", "TCP:http"},
        {"{\"port\":\"8-web-8\",\"protocol\":\"UDP\"}", "UDP:8-web-8"},
        {"{\"port\":\"a23456789012345\"}", "TCP:a23456789012345"},
        {"{\"port\":80},{\"port\":80}", "TCP:80 TCP:80"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        check_port(good[i].port, good[i].want, NULL, NULL);
    }
    static const char number[] = "must be a number from 1 to 65535 or a port name";
    static const char end[] = "must be a number from port to 65535";
    static const char name[] = "is no port name (at most 15 of a-z, 0-9, '-', with a letter)";
    static const char quoted[] = "write a port number without quotes; no port has this name";
    static const char protocol[] = "must be TCP, UDP or SCTP";
    static const struct {
        const char *port;
        const char *field;
        const char *message;
    } bad[] = {
        {"{\"port\":0}", ".port", number},
        {"{\"port\":-1}", ".port", number},
        {"{\"port\":65536}", ".port", number},
        {"{\"port\":4294967376}", ".port", number},
        {"{\"port\":99999999999999999999999999}", ".port", number},
        {"{\"port\":80.0}", ".port", number},
        {"{\"port\":8e1}", ".port", number},
        {"{\"port\":true}", ".port", number},
        {"{\"port\":[80]}", ".port", number},
        {"{\"port\":\"80\"}", ".port", quoted},
        {"{\"port\":\"\"}", ".port", name},
        {"{\"port\":\"HTTP\"}", ".port", name},
        {"{\"port\":\"a234567890123456\"}", ".port", name},
        {"{\"port\":\"-a\"}", ".port", name},
        {"{\"port\":\"a-\"}", ".port", name},
        {"{\"port\":\"a--b\"}", ".port", name},
        {"{\"port\":\"a_b\"}", ".port", name},
        {"{\"port\":\"1-2\"}", ".port", name},
        {"{\"port\":\"http\",\"endPort\":90}", ".endPort", "needs a port number, not a name"},
        {"{\"endPort\":90}", ".endPort", "needs a port"},
        {"{\"port\":80,\"endPort\":79}", ".endPort", end},
        {"{\"port\":80,\"endPort\":0}", ".endPort", end},
        {"{\"port\":80,\"endPort\":65536}", ".endPort", end},
        {"{\"port\":80,\"endPort\":\"90\"}", ".endPort", end},
        {"{\"port\":80,\"endPort\":90.5}", ".endPort", end},
        {"{\"protocol\":\"ICMP\",\"port\":80}", ".protocol", protocol},
        {"{\"protocol\":\"tcp\"}", ".protocol", protocol},
        {"{\"protocol\":\"\"}", ".protocol", protocol},
        {"{\"protocol\":6}", ".protocol", protocol},
        {"{\"port\":80,\"future\":1}", ".future", "unknown field"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        check_port(bad[i].port, "unreadable", bad[i].field, bad[i].message);
    }
    check_row(&(struct row){"{\"ingress\":[{\"ports\":[null]}]}",
                            "subject=<<all>> unenforceable ingress {1: any ports unreadable}",
                            PARTIAL("spec.ingress[0].ports[0]", "must be a map, is null")});
    // The others of the list stay as they are.
    check_row(&(struct row){
        "{\"ingress\":[{\"ports\":[{\"protocol\":\"ICMP\"},{\"port\":81}]}]}",
        "subject=<<all>> unenforceable ingress {1: any ports unreadable TCP:81}",
        PARTIAL("spec.ingress[0].ports[0].protocol", "must be TCP, UDP or SCTP: the port entry matches nothing")});
}

#define SUBJECT_LOST                                                                                                   \
    PARTIAL("spec.podSelector",                                                                                        \
            "cannot be read as a whole: the policy isolates what its readable part selects and grants nothing")

static void check_subject(const char *selector, const char *want, const char *finding)
{
    char spec[1024];
    char shown[512];
    char findings[1024];
    bool all = strcmp(want, "<all>") == 0;
    (void)snprintf(spec, sizeof(spec), "{\"podSelector\":%s,\"ingress\":[{}]}", selector);
    (void)snprintf(shown, sizeof(shown), "subject=<%s%s> %singress%s", all && finding ? "" : want,
                   !finding ? ""
                   : all    ? "<unreadable>"
                            : ",<unreadable>",
                   finding ? "grants-nothing unenforceable " : "", finding ? "" : " {1: any any}");
    (void)snprintf(findings, sizeof(findings), "%s%s", finding ? finding : "", SUBJECT_LOST);
    check_row(&(struct row){.spec = spec, .want = shown, .findings = finding ? findings : NULL});
}

#define SELECTOR(field, message) PARTIAL("spec.podSelector" field, message)
#define EXPRESSION(text) "{\"matchLabels\":{\"a\":\"b\"},\"matchExpressions\":[" text "]}"

static void test_selectors(void **state)
{
    (void)state;
    check_subject("{}", "<all>", NULL);
    check_subject("{\"matchLabels\":null,\"matchExpressions\":null}", "<all>", NULL);
    check_subject("{\"matchLabels\":{},\"matchExpressions\":[]}", "<all>", NULL);
    // Canonical: sorted, without duplicates, matchLabels as In.
    check_subject("{\"matchLabels\":{\"b\":\"2\",\"a\":\"1\"},\"matchExpressions\":[{\"key\":\"b\",\"operator\":\"In\","
                  "\"values\":[\"2\"]},{\"key\":\"a\",\"operator\":\"Exists\"},{\"key\":\"a\",\"operator\":\"NotIn\","
                  "\"values\":[\"z\",\"y\",\"z\"]},{\"key\":\"c\",\"operator\":\"DoesNotExist\",\"values\":[]}]}",
                  "a=1,a notin (y,z),a,b=2,!c", NULL);
    check_subject("{\"matchLabels\":{\"a\":\"not a valid ~ value\"}}", "a=not a valid ~ value", NULL);
    check_subject("{\"matchLabels\":{\"a\":\"b\"},\"future\":1}", "a=b",
                  SELECTOR(".future", "unknown field: the selector cannot be read as a whole"));
    check_subject("{\"matchLabels\":[]}", "<all>", SELECTOR(".matchLabels", "must be a map, is a list"));
    check_subject("{\"matchLabels\":{\"a\":\"b\"},\"matchExpressions\":{}}", "a=b",
                  SELECTOR(".matchExpressions", "must be a list, is a map"));
    check_subject("{\"matchLabels\":{\"a\":\"b\",\"c\":1}}", "a=b",
                  SELECTOR(".matchLabels.c", "must be a string, is a number (write it in quotes)"));
    check_subject("{\"matchLabels\":{\"a\":\"b\",\"c\":null}}", "a=b",
                  SELECTOR(".matchLabels.c", "must be a string, is null (write it in quotes)"));
    check_subject("{\"matchLabels\":{\"a\":\"b\",\"\":\"c\"}}", "a=b",
                  SELECTOR(".matchLabels[\"\"]", "a label key cannot be empty"));
}

static void test_expressions(void **state)
{
    (void)state;
    static const char operator[] = SELECTOR(
        ".matchExpressions[0].operator", "must be In, NotIn, Exists or DoesNotExist: the requirement cannot be read");
    static const struct {
        const char *selector;
        const char *finding;
    } rows[] = {
        {EXPRESSION("{\"key\":\"k\",\"operator\":\"Gt\",\"values\":[\"1\"]}"), operator},
         {EXPRESSION("{\"key\":\"k\",\"operator\":\"in\",\"values\":[\"1\"]}"), operator},
          {
              EXPRESSION("{\"key\":\"k\"}"),
              operator},
              {EXPRESSION("{\"key\":\"k\",\"operator\":\"Exists\",\"future\":1}"),
               SELECTOR(".matchExpressions[0].future", "unknown field: the requirement cannot be read")},
              {EXPRESSION("{\"operator\":\"Exists\"}"), SELECTOR(".matchExpressions[0].key", "is missing")},
              {EXPRESSION("{\"key\":\"\",\"operator\":\"Exists\"}"),
               SELECTOR(".matchExpressions[0].key", "is missing")},
              {EXPRESSION("{\"key\":1,\"operator\":\"Exists\"}"),
               SELECTOR(".matchExpressions[0].key", "must be a string, is a number (write it in quotes)")},
              {EXPRESSION("{\"key\":\"k\",\"operator\":7}"),
               SELECTOR(".matchExpressions[0].operator", "must be a string, is a number (write it in quotes)")},
              {EXPRESSION("{\"key\":\"k\",\"operator\":\"In\",\"values\":\"v\"}"),
               SELECTOR(".matchExpressions[0].values", "must be a list, is a string")},
              {EXPRESSION("{\"key\":\"k\",\"operator\":\"In\",\"values\":[\"v\",true]}"),
               SELECTOR(".matchExpressions[0].values[1]", "must be a string, is a boolean (write it in quotes)")},
              {EXPRESSION("{\"key\":\"k\",\"operator\":\"In\"}"),
               SELECTOR(".matchExpressions[0].values", "In and NotIn need at least one value")},
              {EXPRESSION("{\"key\":\"k\",\"operator\":\"NotIn\",\"values\":[]}"),
               SELECTOR(".matchExpressions[0].values", "In and NotIn need at least one value")},
              {EXPRESSION("{\"key\":\"k\",\"operator\":\"Exists\",\"values\":[\"v\"]}"),
               SELECTOR(".matchExpressions[0].values", "Exists and DoesNotExist take no values")},
              {EXPRESSION("null"), SELECTOR(".matchExpressions[0]", "must be a map, is null")},
              {EXPRESSION("\"k\""), SELECTOR(".matchExpressions[0]", "must be a map, is a string")},
         };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        check_subject(rows[i].selector, "a=b", rows[i].finding);
        // As a peer the same selector matches nothing at all.
        char spec[1024];
        char want[256];
        BUF_CLEANUP struct buf got = {0};
        (void)snprintf(spec, sizeof(spec),
                       "{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"NetworkPolicy\",\"metadata\":{\"name\":"
                       "\"p\"},\"spec\":{\"egress\":[{\"to\":[{\"podSelector\":{}},{\"namespaceSelector\":%s}]}]}}",
                       rows[i].selector);
        (void)snprintf(want, sizeof(want),
                       "NetworkPolicy default/p@1 subject=<<all>> unenforceable ingress egress {1: peers pods=<<all>> "
                       "unreadable any}\n");
        decode_show(spec, strlen(spec), &got);
        assert_memory_equal(got.data, want, strlen(want));
    }
}

static void repeat(struct buf *out, const char *head, const char *element, unsigned n, const char *tail)
{
    buf_puts(out, head);
    for (unsigned i = 0; i < n; i++) {
        buf_printf(out, "%s%s", i ? "," : "", element);
    }
    buf_puts(out, tail);
}

static void test_limits(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        const char *element;
        unsigned n;
        const char *tail;
        const char *want;
        const char *findings;
    } rows[] = {
        {"{\"ingress\":[", "{}", LIMIT_POLICY_RULES + 1, "]}", "subject=<<all>> unenforceable ingress",
         PARTIAL("spec.ingress", "10001 rules, at most 10000 are supported: none is used")},
        {"{\"ingress\":[{\"from\":[", "{\"podSelector\":{}}", LIMIT_RULE_PEERS + 1, "]}]}",
         "subject=<<all>> unenforceable ingress {1: unreadable peers ports}",
         PARTIAL("spec.ingress[0].from", "more than 50000 elements: the rule matches nothing")},
        {"{\"ingress\":[{\"ports\":[", "{}", LIMIT_RULE_PORTS + 1, "]}]}",
         "subject=<<all>> unenforceable ingress {1: unreadable peers ports}",
         PARTIAL("spec.ingress[0].ports", "more than 50000 elements: the rule matches nothing")},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        BUF_CLEANUP struct buf spec = {0};
        repeat(&spec, rows[i].head, rows[i].element, rows[i].n, rows[i].tail);
        check_row(&(struct row){.spec = spec.data, .want = rows[i].want, .findings = rows[i].findings});
    }
}

static void test_lines(void **state)
{
    (void)state;
    static const char text[] = "\n"
                               "apiVersion: networking.k8s.io/v1\n"
                               "kind: NetworkPolicy\n"
                               "metadata:\n"
                               "  name: p\n"
                               "spec:\n"
                               "  podSelector:\n"
                               "    matchLabels: {app: web}\n"
                               "  ingress:\n"
                               "  - from:\n"
                               "    - podSelector:\n"
                               "        matchLabels:\n"
                               "          tier: 1\n"
                               "  -\n"
                               "    ports:\n"
                               "    - port: 80\n"
                               "    - protocol: ICMP\n";
    BUF_CLEANUP struct buf got = {0};
    decode_show(text, sizeof(text) - 1, &got);
    assert_string_equal(
        got.data,
        "NetworkPolicy default/p@2 subject=<app=web> unenforceable ingress {10: peers unreadable any} {15: any ports "
        "TCP:80 unreadable}\n"
        "partial line 13: NetworkPolicy default/p: spec.ingress[0].from[0].podSelector.matchLabels.tier: must be a "
        "string, is a number (write it in quotes)\n"
        "partial line 17: NetworkPolicy default/p: spec.ingress[1].ports[1].protocol: must be TCP, UDP or SCTP: the "
        "port "
        "entry matches nothing\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy_types), cmocka_unit_test(test_lost),   cmocka_unit_test(test_no_spec),
        cmocka_unit_test(test_rules),        cmocka_unit_test(test_peers),  cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_excepts),      cmocka_unit_test(test_ports),  cmocka_unit_test(test_selectors),
        cmocka_unit_test(test_expressions),  cmocka_unit_test(test_limits), cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
