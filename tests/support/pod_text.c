// SPDX-License-Identifier: Apache-2.0
#include "support/pod_text.h"

#include <stdio.h>
#include <string.h>

enum { PARTS_MAX = 64, NAMESPACES = 500, NODES = 5000 };

// A pod of a Deployment with a side-car; runs of these signs are filled in: % number, ^ address, ~ node, ` namespace,
// | revision.
static const char signs[] = "%^~`|";
static const char template[] =
    "{\"metadata\":{\"name\":\"web-6f7d9c8b5d-%%%%%%%%\",\"generateName\":\"web-6f7d9c8b5d-\",\""
    "namespace\":\"ns-```\",\"uid\":\"3f9c1a52-7b1e-4c6d-9a2f-0000%%%%%%%%\",\"resourceVersion\""
    ":\"10||||||||\",\"creationTimestamp\":\"2026-01-01T00:00:00Z\",\"labels\":{\"app\":\"web\""
    ",\"app.kubernetes.io/component\":\"frontend\",\"app.kubernetes.io/instance\":\"web-ns-```\""
    ",\"app.kubernetes.io/name\":\"web\",\"app.kubernetes.io/version\":\"1.27.4\",\"pod-template-"
    "hash\":\"6f7d9c8b5d\"},\"annotations\":{\"checksum/config\":\"0123456789abcdef0123456789abcdef0123456789abcdef01"
    "23456789abcdef\",\"prometheus.io/scrape\":\"true\",\"prometheus.io/port\":\"9090\"},\"ownerReferences\""
    ":[{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"name\":\"web-6f7d9c8b5d\",\"uid\":"
    "\"11111111-2222-3333-4444-555555555555\",\"controller\":true,\"blockOwnerDeletion\":true}]"
    ",\"managedFields\":[{\"manager\":\"kube-controller-manager\",\"operation\":\"Update\",\"apiVersion\""
    ":\"v1\",\"time\":\"2026-01-01T00:00:00Z\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:metadata\""
    ":{\"f:annotations\":{\".\":{},\"f:checksum/config\":{},\"f:prometheus.io/port\":{}},\"f:generateName\""
    ":{},\"f:labels\":{\".\":{},\"f:app\":{},\"f:app.kubernetes.io/name\":{},\"f:pod-template-hash\""
    ":{}},\"f:ownerReferences\":{\".\":{},\"k:{\\\"uid\\\":\\\"11111111-2222-3333-4444-555555555555\\"
    "\"}\":{}}},\"f:spec\":{\"f:containers\":{\"k:{\\\"name\\\":\\\"web\\\"}\":{\".\":{},\"f:args\""
    ":{},\"f:env\":{\".\":{},\"k:{\\\"name\\\":\\\"POD_NAME\\\"}\":{\".\":{},\"f:name\":{},\"f:"
    "valueFrom\":{\".\":{},\"f:fieldRef\":{}}},\"k:{\\\"name\\\":\\\"JAVA_OPTS\\\"}\":{\".\":{}"
    ",\"f:name\":{},\"f:value\":{}}},\"f:image\":{},\"f:imagePullPolicy\":{},\"f:livenessProbe\""
    ":{\".\":{},\"f:failureThreshold\":{},\"f:httpGet\":{\".\":{},\"f:path\":{},\"f:port\":{},\""
    "f:scheme\":{}},\"f:periodSeconds\":{}},\"f:name\":{},\"f:ports\":{\".\":{},\"k:{\\\"containerPort\\"
    "\":8080,\\\"protocol\\\":\\\"TCP\\\"}\":{\".\":{},\"f:containerPort\":{},\"f:name\":{},\"f:"
    "protocol\":{}}},\"f:resources\":{\".\":{},\"f:limits\":{\".\":{},\"f:cpu\":{},\"f:memory\""
    ":{}},\"f:requests\":{\".\":{},\"f:cpu\":{},\"f:memory\":{}}},\"f:terminationMessagePath\":"
    "{},\"f:volumeMounts\":{\".\":{},\"k:{\\\"mountPath\\\":\\\"/etc/app\\\"}\":{\".\":{},\"f:mountPath\""
    ":{},\"f:name\":{},\"f:readOnly\":{}}}}},\"f:dnsPolicy\":{},\"f:enableServiceLinks\":{},\"f:"
    "restartPolicy\":{},\"f:schedulerName\":{},\"f:securityContext\":{},\"f:terminationGracePeriodSeconds\""
    ":{},\"f:volumes\":{\".\":{},\"k:{\\\"name\\\":\\\"config\\\"}\":{\".\":{},\"f:configMap\":"
    "{\".\":{},\"f:defaultMode\":{},\"f:name\":{}},\"f:name\":{}}}}}},{\"manager\":\"kubelet\","
    "\"operation\":\"Update\",\"apiVersion\":\"v1\",\"time\":\"2026-01-01T00:00:00Z\",\"fieldsType\""
    ":\"FieldsV1\",\"fieldsV1\":{\"f:status\":{\"f:conditions\":{\"k:{\\\"type\\\":\\\"ContainersReady\\"
    "\"}\":{\".\":{},\"f:lastProbeTime\":{},\"f:lastTransitionTime\":{},\"f:status\":{},\"f:type\""
    ":{}},\"k:{\\\"type\\\":\\\"Ready\\\"}\":{\".\":{},\"f:lastProbeTime\":{},\"f:status\":{},\""
    "f:type\":{}}},\"f:containerStatuses\":{},\"f:hostIP\":{},\"f:phase\":{},\"f:podIP\":{},\"f:"
    "podIPs\":{\".\":{},\"k:{\\\"ip\\\":\\\"10.^^^^^^^^^^^\\\"}\":{\".\":{},\"f:ip\":{}}},\"f:startTime\""
    ":{}}},\"subresource\":\"status\"}]},\"spec\":{\"volumes\":[{\"name\":\"config\",\"configMap\""
    ":{\"name\":\"web-config\",\"defaultMode\":420}},{\"name\":\"kube-api-access-x7k2p\",\"projected\""
    ":{\"sources\":[{\"serviceAccountToken\":{\"expirationSeconds\":3607,\"path\":\"token\"}},{"
    "\"configMap\":{\"name\":\"kube-root-ca.crt\",\"items\":[{\"key\":\"ca.crt\",\"path\":\"ca."
    "crt\"}]}},{\"downwardAPI\":{\"items\":[{\"path\":\"namespace\",\"fieldRef\":{\"apiVersion\""
    ":\"v1\",\"fieldPath\":\"metadata.namespace\"}}]}}],\"defaultMode\":420}}],\"containers\":["
    "{\"name\":\"web\",\"image\":\"registry.example.com/team-a/web:1.27.4@sha256:0123456789abcdef0123456789abcdef0123"
    "456789abcdef0123456789abcdef\",\"args\":[\"--config=/etc/app/config.yaml\",\"--listen=:8080\""
    ",\"--log-level=info\"],\"ports\":[{\"name\":\"http\",\"containerPort\":8080,\"protocol\":\""
    "TCP\"},{\"name\":\"metrics\",\"containerPort\":9090,\"protocol\":\"TCP\"}],\"env\":[{\"name\""
    ":\"POD_NAME\",\"valueFrom\":{\"fieldRef\":{\"apiVersion\":\"v1\",\"fieldPath\":\"metadata."
    "name\"}}},{\"name\":\"POD_NAMESPACE\",\"valueFrom\":{\"fieldRef\":{\"apiVersion\":\"v1\",\""
    "fieldPath\":\"metadata.namespace\"}}},{\"name\":\"JAVA_OPTS\",\"value\":\"-Xms256m -Xmx512m "
    "-Dfile.encoding=UTF-8 -Dquote=\\\"x\\\"\"},{\"name\":\"DATABASE_URL\",\"valueFrom\":{\"secretKeyRef\""
    ":{\"name\":\"database\",\"key\":\"url\"}}}],\"resources\":{\"limits\":{\"cpu\":\"500m\",\""
    "memory\":\"512Mi\"},\"requests\":{\"cpu\":\"100m\",\"memory\":\"256Mi\"}},\"volumeMounts\""
    ":[{\"name\":\"config\",\"readOnly\":true,\"mountPath\":\"/etc/app\"},{\"name\":\"kube-api-"
    "access-x7k2p\",\"readOnly\":true,\"mountPath\":\"/var/run/secrets/kubernetes.io/serviceaccount\""
    "}],\"livenessProbe\":{\"httpGet\":{\"path\":\"/healthz\",\"port\":\"http\",\"scheme\":\"HTTP\""
    "},\"initialDelaySeconds\":10,\"timeoutSeconds\":1,\"periodSeconds\":10,\"successThreshold\""
    ":1,\"failureThreshold\":3},\"readinessProbe\":{\"httpGet\":{\"path\":\"/ready\",\"port\":\""
    "http\",\"scheme\":\"HTTP\"},\"timeoutSeconds\":1,\"periodSeconds\":5,\"successThreshold\":"
    "1,\"failureThreshold\":3},\"terminationMessagePath\":\"/dev/termination-log\",\"terminationMessagePolicy\""
    ":\"File\",\"imagePullPolicy\":\"IfNotPresent\",\"securityContext\":{\"capabilities\":{\"drop\""
    ":[\"ALL\"]},\"runAsNonRoot\":true,\"allowPrivilegeEscalation\":false}},{\"name\":\"proxy\""
    ",\"image\":\"registry.example.com/mesh/proxy:1.21.0\",\"ports\":[{\"name\":\"proxy\",\"containerPort\""
    ":15001,\"protocol\":\"TCP\"}],\"resources\":{},\"imagePullPolicy\":\"IfNotPresent\"}],\"restartPolicy\""
    ":\"Always\",\"terminationGracePeriodSeconds\":30,\"dnsPolicy\":\"ClusterFirst\",\"serviceAccountName\""
    ":\"web\",\"serviceAccount\":\"web\",\"nodeName\":\"node-~~~~\",\"securityContext\":{\"fsGroup\""
    ":1000},\"schedulerName\":\"default-scheduler\",\"tolerations\":[{\"key\":\"node.kubernetes."
    "io/not-ready\",\"operator\":\"Exists\",\"effect\":\"NoExecute\",\"tolerationSeconds\":300}"
    ",{\"key\":\"node.kubernetes.io/unreachable\",\"operator\":\"Exists\",\"effect\":\"NoExecute\""
    ",\"tolerationSeconds\":300}],\"priority\":0,\"enableServiceLinks\":true,\"preemptionPolicy\""
    ":\"PreemptLowerPriority\"},\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"PodReadyToStartContaine"
    "rs\",\"status\":\"True\",\"lastProbeTime\":null,\"lastTransitionTime\":\"2026-01-01T00:00:"
    "00Z\"},{\"type\":\"Initialized\",\"status\":\"True\",\"lastProbeTime\":null,\"lastTransitionTime\""
    ":\"2026-01-01T00:00:00Z\"},{\"type\":\"Ready\",\"status\":\"True\",\"lastProbeTime\":null,"
    "\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"},{\"type\":\"ContainersReady\",\"status\":"
    "\"True\",\"lastProbeTime\":null,\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"},{\"type\""
    ":\"PodScheduled\",\"status\":\"True\",\"lastProbeTime\":null,\"lastTransitionTime\":\"2026-"
    "01-01T00:00:00Z\"}],\"hostIP\":\"192.0.2.17\",\"hostIPs\":[{\"ip\":\"192.0.2.17\"}],\"podIP\""
    ":\"10.^^^^^^^^^^^\",\"podIPs\":[{\"ip\":\"10.^^^^^^^^^^^\"}],\"startTime\":\"2026-01-01T00:"
    "00:00Z\",\"containerStatuses\":[{\"name\":\"web\",\"state\":{\"running\":{\"startedAt\":\""
    "2026-01-01T00:00:05Z\"}},\"lastState\":{},\"ready\":true,\"restartCount\":0,\"image\":\"registry."
    "example.com/team-a/web:1.27.4\",\"imageID\":\"registry.example.com/team-a/web@sha256:0123456789abcdef0123456789a"
    "bcdef0123456789abcdef0123456789abcdef\",\"containerID\":\"containerd://fedcba9876543210fedcba9876543210fedcba987"
    "6543210fedcba9876543210\",\"started\":true},{\"name\":\"proxy\",\"state\":{\"running\":{\""
    "startedAt\":\"2026-01-01T00:00:05Z\"}},\"lastState\":{},\"ready\":true,\"restartCount\":0,"
    "\"image\":\"registry.example.com/team-a/proxy:1.27.4\",\"imageID\":\"registry.example.com/"
    "team-a/proxy@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"containerID\""
    ":\"containerd://fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210\",\"started\""
    ":true}],\"qosClass\":\"Burstable\"}}";

static struct part {
    size_t at;
    size_t len;
    size_t sign;
} parts[PARTS_MAX];
static size_t n_parts;

static void find_parts(void)
{
    for (size_t at = 0; template[at] && n_parts < PARTS_MAX;) {
        const char *sign = strchr(signs, template[at]);
        size_t len = sign ? strspn(template + at, (const char[]){*sign, '\0'}) : 1;
        if (sign) {
            parts[n_parts++] = (struct part){.at = at, .len = len, .sign = (size_t)(sign - signs)};
        }
        at += len;
    }
}

size_t pod_text_len(void)
{
    return sizeof(template) - 1;
}

void pod_text(size_t i, unsigned version, char *ret)
{
    if (n_parts == 0) {
        find_parts();
    }
    char texts[sizeof(signs) - 1][32];
    (void)snprintf(texts[0], sizeof(texts[0]), "%08zu", i);
    // No octet has a leading zero.
    (void)snprintf(texts[1], sizeof(texts[1]), "%03zu.%03zu.%03zu", 100 + i / 10000, 100 + i / 100 % 100,
                   100 + i % 100);
    (void)snprintf(texts[2], sizeof(texts[2]), "%04zu", i % NODES);
    (void)snprintf(texts[3], sizeof(texts[3]), "%03zu", i % NAMESPACES);
    (void)snprintf(texts[4], sizeof(texts[4]), "%08u", version);
    memcpy(ret, template, sizeof(template) - 1);
    for (size_t part = 0; part < n_parts; part++) {
        memcpy(ret + parts[part].at, texts[parts[part].sign], parts[part].len);
    }
}
