// SPDX-License-Identifier: Apache-2.0
#include "agent/source_metrics.h"

#include <stdio.h>

#include "model/object.h"

static const char *const resources[OBJECT_KIND_COUNT] = {
    [OBJECT_POD] = "pods",
    [OBJECT_NAMESPACE] = "namespaces",
    [OBJECT_POLICY] = "networkpolicies",
    [OBJECT_NODE] = "nodes",
};

const char *source_metrics_resource(unsigned kind)
{
    return resources[kind];
}

void source_metrics_init(struct metrics *metrics)
{
    for (unsigned kind = 0; kind < OBJECT_KIND_COUNT; kind++) {
        metrics_set(metrics, METRIC_INFORMER_SYNCED, resources[kind], NULL, 0);
    }
}

void source_metrics_count(struct metrics *metrics, const char *counter, const char *label, unsigned delta,
                          double unix_s)
{
    char resource[64];
    (void)snprintf(resource, sizeof(resource), "%.*s", (int)strcspn(label, "/"), label);
    if (strcmp(counter, "list_ms") == 0) {
        // The end of a list that was read completely.
        metrics_observe(metrics, METRIC_LIST_DURATION, delta / 1e3);
        metrics_set(metrics, METRIC_INFORMER_SYNCED, resource, NULL, 1);
        metrics_set(metrics, METRIC_INFORMER_LAST_EVENT, resource, NULL, unix_s);
        return;
    }
    if (strcmp(counter, "watch_events") == 0) {
        metrics_set(metrics, METRIC_INFORMER_LAST_EVENT, resource, NULL, unix_s);
    }
    metrics_count(metrics, counter, label, delta);
}
