// SPDX-License-Identifier: Apache-2.0
//
// Pods, Namespaces, Nodes: only a name or namespace that cannot be read loses the object. What else cannot be read is
// left out and said: a pod that were dropped for it would be in no policy's subject.
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
    const char *body;  // behind "apiVersion: v1, kind: …"
    const char *want;
};

static void check_rows(const char *kind, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        BUF_CLEANUP struct buf text = {0};
        BUF_CLEANUP struct buf got = {0};
        buf_printf(&text, "{\"apiVersion\":\"v1\",\"kind\":\"%s\",%s}", kind, rows[i].body);
        decode_show(text.data, text.len, &got);
        if (strcmp(got.data ? got.data : "", rows[i].want) != 0) {
            fail_msg("%s\ngives\n%s\nwant\n%s", rows[i].body, got.data, rows[i].want);
        }
    }
}

#define NAME "\"metadata\":{\"name\":\"a\",\"namespace\":\"x\"}"
#define POD(rest) "Pod x/a@1" rest "\n"
#define PARTIAL(field, message) "partial line 1: Pod x/a: " field ": " message "\n"
#define QUOTES " (write it in quotes)"
#define SPEC(text) NAME ",\"spec\":{" text "}"
#define STATUS(text) NAME ",\"status\":{\"phase\":\"Running\"," text "}"

static void test_metadata(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"\"metadata\":{\"name\":\"a\"}", "Pod default/a@1 phase=Running no-status\n"},
        {"\"metadata\":{\"name\":\"a\",\"namespace\":\"\"}", "Pod default/a@1 phase=Running no-status\n"},
        {"\"metadata\":{\"name\":\"a\",\"namespace\":null}", "Pod default/a@1 phase=Running no-status\n"},
        {NAME, "Pod x/a@1 phase=Running no-status\n"},
        {"\"metadata\":{\"name\":\"a.b-c.0\",\"namespace\":\"0-9\"}", "Pod 0-9/a.b-c.0@1 phase=Running no-status\n"},
        {"\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"deletionTimestamp\":\"2024-01-01T00:00:00Z\",\"labels\":{\"b\":"
         "\"2\",\"a\":\"1\",\"c\":\"\"},\"annotations\":5,\"generateName\":7}",
         "Pod default/a@1 uid=u terminating a=1 b=2 c= phase=Running no-status\n"},
        {"\"metadata\":{\"name\":\"a\",\"labels\":null,\"uid\":null}", "Pod default/a@1 phase=Running no-status\n"},
        {"\"x\":1", "error line 1: Pod: metadata: is missing\n"},
        {"\"metadata\":null", "error line 1: Pod: metadata: is missing\n"},
        {"\"metadata\":\"a\"", "error line 1: Pod: metadata: must be a map, is a string\n"},
        {"\"metadata\":{}", "error line 1: Pod: metadata.name: is missing\n"},
        {"\"metadata\":{\"generateName\":\"a-\"}", "error line 1: Pod: metadata.name: is missing\n"},
        {"\"metadata\":{\"name\":5}",
         "error line 1: Pod: metadata.name: must be a string, is a number (write it in quotes)\n"},
        {"\"metadata\":{\"name\":\"a\",\"namespace\":true}",
         "error line 1: Pod: metadata.namespace: must be a string, is a boolean (write it in quotes)\n"},
        {"\"metadata\":{\"name\":\"a\",\"namespace\":\"x.y\"}",
         "error line 1: Pod: metadata.namespace: \"x.y\" is no Kubernetes namespace name\n"},
        {"\"metadata\":{\"name\":\"a\",\"namespace\":\"x\",\"labels\":{\"app\":\"web\",\"on\":true}}",
         POD(" app=web on=true phase=Running no-status")
             PARTIAL("metadata.labels.on", "must be a string, is a boolean (write it in quotes)")},
        {"\"metadata\":{\"name\":\"a\",\"namespace\":\"x\",\"labels\":{\"a.b/c\":null}}",
         POD(" a.b/c= phase=Running no-status")
             PARTIAL("metadata.labels[\"a.b/c\"]", "must be a string, is null (write it in quotes)")},
        {"\"metadata\":{\"name\":\"a\",\"namespace\":\"x\",\"labels\":[]}",
         POD(" phase=Running no-status") PARTIAL("metadata.labels", "must be a map, is a list")},
        {"\"metadata\":{\"name\":\"a\",\"namespace\":\"x\",\"uid\":1}",
         POD(" phase=Running no-status") PARTIAL("metadata.uid", "must be a string, is a number" QUOTES)},
        {"\"metadata\":{\"name\":\"a\",\"namespace\":\"x\",\"resourceVersion\":1,\"creationTimestamp\":false,"
         "\"deletionTimestamp\":5}",
         POD(" terminating phase=Running no-status")
             PARTIAL("metadata.resourceVersion", "must be a string, is a number" QUOTES)
                 PARTIAL("metadata.creationTimestamp", "must be a string, is a boolean" QUOTES)
                     PARTIAL("metadata.deletionTimestamp", "must be a string, is a number" QUOTES)},
        // A key never goes: the pod would leave a podSelector, or match a NotIn.
        {"\"metadata\":{\"name\":\"a\",\"namespace\":\"x\",\"labels\":{\"z\":1.50,\"m\":{\"k\":\"v\"},\"l\":[\"v\"],"
         "\"b\":false,\"app\":\"web\"}}",
         POD(" app=web b=false l= m= z=1.50 phase=Running no-status")
             PARTIAL("metadata.labels.z", "must be a string, is a number" QUOTES)
                 PARTIAL("metadata.labels.m", "must be a string, is a map")
                     PARTIAL("metadata.labels.l", "must be a string, is a list")
                         PARTIAL("metadata.labels.b", "must be a string, is a boolean" QUOTES)},
    };
    check_rows("Pod", rows, ARRAY_SIZE(rows));
}

static void test_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"A",    "a_b", "-a",  "a-", "a..b", ".a",      "a.",      "a-.b",
                                      "a.-b", "a/b", "a b", " ",  "\\n",  "\\u00e9", "a\\u001b"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char text[256];
        char want[256];
        BUF_CLEANUP struct buf got = {0};
        (void)snprintf(text, sizeof(text), "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\"}}",
                       bad[i]);
        (void)snprintf(want, sizeof(want), "error line 1: Pod: metadata.name: ");
        decode_show(text, strlen(text), &got);
        assert_memory_equal(got.data, want, strlen(want));
        assert_non_null(strstr(got.data, "is no Kubernetes name"));
        assert_null(strchr(got.data, '\x1b'));
    }
    char name[LIMIT_NAME + 2];
    memset(name, 'a', sizeof(name));
    for (int longer = 0; longer < 2; longer++) {
        BUF_CLEANUP struct buf text = {0};
        BUF_CLEANUP struct buf got = {0};
        buf_printf(&text, "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%.*s\"}}",
                   LIMIT_NAME + longer, name);
        decode_show(text.data, text.len, &got);
        assert_memory_equal(got.data, longer ? "error" : "Pod d", 5);
    }
}

static void test_spec(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {SPEC("\"nodeName\":\"n1\",\"hostNetwork\":true"), "Pod x/a@1 phase=Running node=n1 host no-status\n"},
        {SPEC("\"nodeName\":null,\"hostNetwork\":null,\"containers\":null"), "Pod x/a@1 phase=Running no-status\n"},
        {NAME ",\"spec\":null", "Pod x/a@1 phase=Running no-status\n"},
        {NAME ",\"spec\":5", POD(" phase=Running no-status") PARTIAL("spec", "must be a map, is a number")},
        {SPEC("\"nodeName\":5"), POD(" phase=Running no-status")
                                     PARTIAL("spec.nodeName", "must be a string, is a number (write it in quotes)")},
        {SPEC("\"hostNetwork\":\"true\""),
         POD(" phase=Running no-status") PARTIAL("spec.hostNetwork", "must be a boolean, is a string")},
        {SPEC("\"containers\":{}"),
         POD(" phase=Running no-status") PARTIAL("spec.containers", "must be a list, is a map")},
        {SPEC("\"containers\":[null]"),
         POD(" phase=Running no-status") PARTIAL("spec.containers[0]", "must be a map, is null")},
        {SPEC("\"containers\":[{},{\"ports\":{}}]"),
         POD(" phase=Running no-status") PARTIAL("spec.containers[1].ports", "must be a list, is a map")},
        {SPEC("\"containers\":[{\"ports\":[80]}]"),
         POD(" phase=Running no-status") PARTIAL("spec.containers[0].ports[0]", "must be a map, is a number")},
        {SPEC(
             "\"containers\":[{\"ports\":[{\"containerPort\":80},{\"name\":\"http\",\"containerPort\":80},{\"name\":"
             "\"dns\",\"containerPort\":53,\"protocol\":\"UDP\"}]},{\"ports\":[{\"name\":\"http\",\"containerPort\":81,"
             "\"protocol\":\"TCP\"}]}]"),
         "Pod x/a@1 phase=Running no-status http/TCP=80 dns/UDP=53 http/TCP=81\n"},
        // What has no name is not used, and what is not used may be anything.
        {SPEC("\"containers\":[{\"ports\":[{\"containerPort\":\"x\"},{\"name\":\"\",\"protocol\":7}]}]"),
         "Pod x/a@1 phase=Running no-status\n"},
        {SPEC("\"containers\":[{\"ports\":[{\"name\":\"a\",\"containerPort\":\"80\"}]}]"),
         POD(" phase=Running no-status")
             PARTIAL("spec.containers[0].ports[0].containerPort", "must be a port number (1 to 65535)")},
        {SPEC("\"containers\":[{\"ports\":[{\"name\":\"a\",\"containerPort\":0}]}]"),
         POD(" phase=Running no-status")
             PARTIAL("spec.containers[0].ports[0].containerPort", "must be a port number (1 to 65535)")},
        {SPEC("\"containers\":[{\"ports\":[{\"name\":\"a\",\"containerPort\":65536}]}]"),
         POD(" phase=Running no-status")
             PARTIAL("spec.containers[0].ports[0].containerPort", "must be a port number (1 to 65535)")},
        {SPEC("\"containers\":[{\"ports\":[{\"name\":\"a\"}]}]"),
         POD(" phase=Running no-status")
             PARTIAL("spec.containers[0].ports[0].containerPort", "must be a port number (1 to 65535)")},
        {SPEC("\"containers\":[{\"ports\":[{\"name\":1,\"containerPort\":80}]}]"),
         POD(" phase=Running no-status")
             PARTIAL("spec.containers[0].ports[0].name", "must be a string, is a number (write it in quotes)")},
        {SPEC("\"containers\":[{\"ports\":[{\"name\":\"a\",\"containerPort\":80,\"protocol\":\"ICMP\"}]}]"),
         "Pod x/a@1 phase=Running no-status\nwarning line 1: Pod x/a: spec.containers[0].ports[0].protocol: unknown "
         "protocol \"ICMP\": the port's name is not used\n"},
        {SPEC("\"containers\":[{\"ports\":[{\"name\":\"a\",\"containerPort\":80,\"protocol\":6}]}]"),
         POD(" phase=Running no-status")
             PARTIAL("spec.containers[0].ports[0].protocol", "must be a string, is a number" QUOTES)},
        // One bad part costs that part only.
        {SPEC("\"nodeName\":\"n1\",\"containers\":[7,{\"ports\":[{\"name\":\"a\",\"containerPort\":\"80\"},{\"name\":"
              "\"b\","
              "\"containerPort\":81}]},{\"ports\":[{\"name\":\"c\",\"containerPort\":82}]}],\"initContainers\":[{"
              "\"restartPolicy\":1,\"ports\":[{\"name\":\"i\",\"containerPort\":8}]},{\"restartPolicy\":\"Always\","
              "\"ports\":[{"
              "\"name\":\"s\",\"containerPort\":9}]}]"),
         POD(" phase=Running node=n1 no-status b/TCP=81 c/TCP=82 s/TCP=9")
             PARTIAL("spec.containers[0]", "must be a map, is a number")
                 PARTIAL("spec.containers[1].ports[0].containerPort", "must be a port number (1 to 65535)")
                     PARTIAL("spec.initContainers[0].restartPolicy", "must be a string, is a number" QUOTES)},
        // Sidecars are init containers that stay (networkpolicy-v1.md 4.1, 4.2).
        {SPEC("\"initContainers\":[{\"restartPolicy\":\"Always\",\"ports\":[{\"name\":\"s\",\"containerPort\":9}]},{"
              "\"ports\":[{\"name\":\"i\",\"containerPort\":8}]}]"),
         "Pod x/a@1 phase=Running no-status s/TCP=9\n"},
    };
    check_rows("Pod", rows, ARRAY_SIZE(rows));
}

static void test_status(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {NAME ",\"status\":{}", "Pod x/a@1 phase=Running no-status\n"},
        {NAME ",\"status\":null", "Pod x/a@1 phase=Running no-status\n"},
        {NAME ",\"status\":[]", POD(" phase=Running no-status") PARTIAL("status", "must be a map, is a list")},
        {NAME ",\"status\":{\"phase\":\"Pending\"}", "Pod x/a@1 phase=Pending\n"},
        {NAME ",\"status\":{\"podIP\":\"10.0.0.1\"}", "Pod x/a@1 phase=Pending [10.0.0.1]\n"},
        {NAME ",\"status\":{\"phase\":\"Succeeded\"}", "Pod x/a@1 phase=Succeeded\n"},
        {NAME ",\"status\":{\"phase\":\"Failed\"}", "Pod x/a@1 phase=Failed\n"},
        {NAME ",\"status\":{\"phase\":\"Unknown\"}", "Pod x/a@1 phase=Unknown\n"},
        {NAME ",\"status\":{\"phase\":\"Future\",\"podIP\":\"10.0.0.1\"}",
         POD(" phase=Unknown [10.0.0.1]") PARTIAL("status.phase", "unknown phase \"Future\": the pod counts as live")},
        {NAME ",\"status\":{\"phase\":{},\"podIP\":\"10.0.0.1\"}",
         POD(" phase=Unknown [10.0.0.1]") PARTIAL("status.phase", "must be a string, is a map")},
        {STATUS("\"podIP\":7,\"podIPs\":[{\"ip\":\"10.0.0.1\"},{\"ip\":\"junk\"},\"x\",{\"ip\":\"fd00::1\"}]"),
         POD(" phase=Running [10.0.0.1] [fd00::1]") PARTIAL("status.podIPs[1].ip", "\"junk\" is no IP address")
             PARTIAL("status.podIPs[2]", "must be a map, is a string")
                 PARTIAL("status.podIP", "must be a string, is a number" QUOTES)},
        {STATUS("\"podIP\":\"10.0.0.1\",\"podIPs\":[{\"ip\":\"junk\"}]"),
         POD(" phase=Running [10.0.0.1]") PARTIAL("status.podIPs[0].ip", "\"junk\" is no IP address")},
        {NAME ",\"status\":{\"phase\":1}",
         POD(" phase=Unknown") PARTIAL("status.phase", "must be a string, is a number (write it in quotes)")},
        {STATUS("\"podIP\":\"10.0.0.1\""), "Pod x/a@1 phase=Running [10.0.0.1]\n"},
        {STATUS("\"podIP\":\"10.0.0.1\",\"podIPs\":[{\"ip\":\"10.0.0.2\"},{\"ip\":\"fd00:0::01\"}]"),
         "Pod x/a@1 phase=Running [10.0.0.2] [fd00::1]\n"},
        {STATUS("\"podIP\":\"10.0.0.1\",\"podIPs\":[]"), "Pod x/a@1 phase=Running [10.0.0.1]\n"},
        {STATUS("\"podIP\":\"\",\"podIPs\":null"), "Pod x/a@1 phase=Running\n"},
        {STATUS("\"podIPs\":[{\"ip\":\"\"},{},{\"ip\":\"10.0.0.1\"},{\"ip\":\"10.0.0.1\"}]"),
         "Pod x/a@1 phase=Running [10.0.0.1]\n"},
        {STATUS("\"podIPs\":[{\"ip\":\"::ffff:10.0.0.1\"}]"), "Pod x/a@1 phase=Running [10.0.0.1]\n"},
        {STATUS("\"podIPs\":[{\"ip\":\"10.0.0\"}]"),
         POD(" phase=Running") PARTIAL("status.podIPs[0].ip", "\"10.0.0\" is no IP address")},
        {STATUS("\"podIPs\":[{\"ip\":\"fe80::1%eth0\"}]"),
         POD(" phase=Running") PARTIAL("status.podIPs[0].ip", "\"fe80::1%eth0\" is no IP address")},
        {STATUS("\"podIPs\":[{\"ip\":\"10.0.0.0/8\"}]"),
         POD(" phase=Running") PARTIAL("status.podIPs[0].ip", "\"10.0.0.0/8\" is no IP address")},
        {STATUS("\"podIPs\":[{\"ip\":\"0.0.0.0\"}]"),
         POD(" phase=Running") PARTIAL("status.podIPs[0].ip", "\"0.0.0.0\" cannot be a pod's address")},
        {STATUS("\"podIP\":\"::\""), POD(" phase=Running") PARTIAL("status.podIP", "\"::\" cannot be a pod's address")},
        {STATUS("\"podIP\":\"ff02::1\""),
         POD(" phase=Running") PARTIAL("status.podIP", "\"ff02::1\" cannot be a pod's address")},
        {STATUS("\"podIP\":10"),
         POD(" phase=Running") PARTIAL("status.podIP", "must be a string, is a number (write it in quotes)")},
        {STATUS("\"podIPs\":\"10.0.0.1\""),
         POD(" phase=Running") PARTIAL("status.podIPs", "must be a list, is a string")},
        {STATUS("\"podIPs\":[\"10.0.0.1\"]"),
         POD(" phase=Running") PARTIAL("status.podIPs[0]", "must be a map, is a string")},
        {STATUS("\"podIPs\":[{\"ip\":7}]"),
         POD(" phase=Running") PARTIAL("status.podIPs[0].ip", "must be a string, is a number (write it in quotes)")},
    };
    check_rows("Pod", rows, ARRAY_SIZE(rows));
}

static void test_limits(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf body = {0};
    BUF_CLEANUP struct buf want = {0};
    buf_puts(&body, NAME ",\"status\":{\"phase\":\"Running\",\"podIPs\":[{\"ip\":\"junk\"}");
    buf_puts(&want, "Pod x/a@1 phase=Running");
    for (int i = 1; i <= LIMIT_POD_ADDRESSES + 2; i++) {
        buf_printf(&body, ",{\"ip\":\"10.0.0.%d\"}", i);
        if (i <= LIMIT_POD_ADDRESSES) {
            buf_printf(&want, " [10.0.0.%d]", i);
        }
    }
    buf_puts(&body, "]}");
    buf_puts(&want, "\n" PARTIAL("status.podIPs[0].ip", "\"junk\" is no IP address")
                        PARTIAL("status.podIPs[17]", "more than 16 addresses: no further one is used"));
    struct row row = {body.data, want.data};
    check_rows("Pod", &row, 1);
    BUF_CLEANUP struct buf ports = {0};
    BUF_CLEANUP struct buf named = {0};
    buf_puts(&ports, NAME ",\"spec\":{\"containers\":[{\"ports\":[{\"name\":\"a\",\"containerPort\":1}");
    buf_puts(&named, "Pod x/a@1 phase=Running no-status a/TCP=1");
    for (int i = 1; i < LIMIT_POD_PORTS + 3; i++) {
        buf_puts(&ports, ",{\"name\":\"a\",\"containerPort\":1}");
        buf_puts(&named, i < LIMIT_POD_PORTS ? " a/TCP=1" : "");
    }
    buf_puts(&ports, "]},{\"ports\":[{\"name\":\"b\",\"containerPort\":2}]}],\"initContainers\":[{\"restartPolicy\":"
                     "\"Always\",\"ports\":[{\"name\":\"c\",\"containerPort\":2}]}]}");
    buf_puts(&named,
             "\n" PARTIAL("spec.containers[0].ports[4096]", "more than 4096 named ports: no further name is used"));
    row = (struct row){ports.data, named.data};
    check_rows("Pod", &row, 1);
}

static void test_namespaces(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"\"metadata\":{\"name\":\"x\"}", "Namespace x@1 kubernetes.io/metadata.name=x\n"},
        {"\"metadata\":{\"name\":\"x\",\"namespace\":\"y\",\"labels\":{\"z\":\"1\",\"a\":\"2\"}}",
         "Namespace x@1 a=2 kubernetes.io/metadata.name=x z=1\n"},
        {"\"metadata\":{\"name\":\"x\",\"labels\":{\"kubernetes.io/metadata.name\":\"other\"}}",
         "Namespace x@1 kubernetes.io/metadata.name=other\n"},
        {"\"metadata\":{\"name\":\"x\",\"labels\":{\"a\":1}}",
         "Namespace x@1 a=1 kubernetes.io/metadata.name=x\n"
         "partial line 1: Namespace x: metadata.labels.a: must be a string, is a number (write it in quotes)\n"},
        {"\"metadata\":{\"name\":\"x\",\"uid\":[],\"labels\":\"a\"}",
         "Namespace x@1 kubernetes.io/metadata.name=x\npartial line 1: Namespace x: metadata.uid: must be a string, is "
         "a "
         "list\npartial line 1: Namespace x: metadata.labels: must be a map, is a string\n"},
        {"\"metadata\":{\"name\":\"x.y\"}", "error line 1: Namespace: metadata.name: \"x.y\" is no Kubernetes name "
                                            "(lower-case letters, digits, '-', at most 63)\n"},
    };
    check_rows("Namespace", rows, ARRAY_SIZE(rows));
}

#define NODE(text) "\"metadata\":{\"name\":\"n\"}," text
#define NODE_PARTIAL(field, message) "Node n@1\npartial line 1: Node n: " field ": " message "\n"

static void test_nodes(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {NODE("\"spec\":{}"), "Node n@1\n"},
        {NODE("\"spec\":{\"podCIDR\":\"10.1.0.0/24\",\"podCIDRs\":[\"10.1.0.0/24\",\"fd00:1::/64\"]},\"status\":{"
              "\"addresses\":[{\"type\":\"InternalIP\",\"address\":\"192.168.0.1\"},{\"type\":\"Hostname\",\"address\":"
              "\"n\"},{\"type\":\"ExternalIP\",\"address\":\"fd00::1\"},{\"type\":\"InternalIP\",\"address\":\"\"}]}"),
         "Node n@1 [192.168.0.1] [fd00::1] 10.1.0.0/24 fd00:1::/64\n"},
        {NODE("\"spec\":{\"podCIDR\":\"10.1.0.0/24\"}"), "Node n@1 10.1.0.0/24\n"},
        {NODE("\"spec\":{\"podCIDR\":\"\",\"podCIDRs\":[]}"), "Node n@1\n"},
        {NODE("\"spec\":{\"podCIDR\":5}"),
         NODE_PARTIAL("spec.podCIDR", "must be a string, is a number (write it in quotes)")},
        {NODE("\"spec\":{\"podCIDRs\":[\"10.1.0.0\"]}"), NODE_PARTIAL("spec.podCIDRs[0]", "\"10.1.0.0\" is no CIDR")},
        {NODE("\"spec\":{\"podCIDRs\":\"10.1.0.0/8\"}"), NODE_PARTIAL("spec.podCIDRs", "must be a list, is a string")},
        {NODE("\"status\":{\"addresses\":[{\"type\":\"InternalIP\",\"address\":\"n1\"}]}"),
         NODE_PARTIAL("status.addresses[0].address", "\"n1\" is no IP address")},
        {NODE("\"status\":{\"addresses\":[\"n1\"]}"),
         NODE_PARTIAL("status.addresses[0]", "must be a map, is a string")},
        {NODE("\"status\":{\"addresses\":{}}"), NODE_PARTIAL("status.addresses", "must be a list, is a map")},
        {NODE("\"spec\":{\"podCIDR\":\"10.1.0.0/24\",\"podCIDRs\":[\"x\",\"10.2.0.0/"
              "24\"]},\"status\":{\"addresses\":[7,{"
              "\"type\":1,\"address\":\"10.0.0.9\"},{\"type\":\"InternalIP\",\"address\":\"10.0.0.1\"}]}"),
         "Node n@1 [10.0.0.1] 10.2.0.0/24\npartial line 1: Node n: status.addresses[0]: must be a map, is a number\n"
         "partial line 1: Node n: status.addresses[1].type: must be a string, is a number (write it in quotes)\n"
         "partial line 1: Node n: spec.podCIDRs[0]: \"x\" is no CIDR\n"},
        {NODE("\"spec\":{\"podCIDR\":\"10.1.0.0/24\",\"podCIDRs\":{}}"),
         "Node n@1 10.1.0.0/24\npartial line 1: Node n: spec.podCIDRs: must be a list, is a map\n"},
        {NODE("\"spec\":[]"), NODE_PARTIAL("spec", "must be a map, is a list")},
        {NODE("\"status\":7"), NODE_PARTIAL("status", "must be a map, is a number")},
    };
    check_rows("Node", rows, ARRAY_SIZE(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metadata), cmocka_unit_test(test_names),  cmocka_unit_test(test_spec),
        cmocka_unit_test(test_status),   cmocka_unit_test(test_limits), cmocka_unit_test(test_namespaces),
        cmocka_unit_test(test_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
