// SPDX-License-Identifier: Apache-2.0
#include "source/keep.h"

#define KEY(text) .key = (text), .len = sizeof(text) - 1
// clang-format off
#define WHOLE(text) {KEY(text)}
#define BELOW(text, table) {KEY(text), .below = (table)}
#define END {.key = NULL}
// clang-format on

// The one annotation that is looked at ends the initial objects of a watch (api-client.md 2.8). What tenants write into
// the others, keys included, must not even be seen.
static const struct keep keep_annotations[] = {WHOLE("k8s.io/initial-events-end"), {.key = NULL, .exact = true}};
static const struct keep keep_meta[] = {
    WHOLE("namespace"),
    WHOLE("name"),
    WHOLE("uid"),
    WHOLE("resourceVersion"),
    WHOLE("creationTimestamp"),
    WHOLE("deletionTimestamp"),
    WHOLE("labels"),
    {KEY("annotations"), .below = keep_annotations, .role = KEEP_BOOKMARK},
    END,
};
// Not hostIP: the API server takes any text there.
static const struct keep keep_port[] = {WHOLE("name"), WHOLE("containerPort"), WHOLE("protocol"), END};
static const struct keep keep_container[] = {BELOW("ports", keep_port), WHOLE("restartPolicy"), END};
static const struct keep keep_pod_spec[] = {
    WHOLE("nodeName"),
    WHOLE("hostNetwork"),
    BELOW("containers", keep_container),
    BELOW("initContainers", keep_container),
    END,
};
static const struct keep keep_pod_ip[] = {WHOLE("ip"), END};
static const struct keep keep_pod_status[] = {WHOLE("phase"), WHOLE("podIP"), BELOW("podIPs", keep_pod_ip), END};
static const struct keep keep_node_spec[] = {WHOLE("podCIDR"), WHOLE("podCIDRs"), END};
static const struct keep keep_node_address[] = {WHOLE("type"), WHOLE("address"), END};
static const struct keep keep_node_status[] = {BELOW("addresses", keep_node_address), END};
// Of a Status.
static const struct keep keep_cause[] = {WHOLE("reason"), END};
static const struct keep keep_details[] = {WHOLE("retryAfterSeconds"), BELOW("causes", keep_cause), END};

// The last four: of a Status, which is the object of an ERROR event.
#define COMMON                                                                                                         \
    WHOLE("kind"), WHOLE("apiVersion"), BELOW("metadata", keep_meta), WHOLE("code"), WHOLE("reason"),                  \
        WHOLE("message"), BELOW("details", keep_details)

static const struct keep keep_pod[] = {COMMON, BELOW("spec", keep_pod_spec), BELOW("status", keep_pod_status), END};
static const struct keep keep_namespace[] = {COMMON, END};
static const struct keep keep_policy[] = {COMMON, WHOLE("spec"), END};
static const struct keep keep_node[] = {COMMON, BELOW("spec", keep_node_spec), BELOW("status", keep_node_status), END};

#define EVENT(object)                                                                                                  \
    {                                                                                                                  \
        {KEY("type"), .role = KEEP_TYPE}, BELOW("object", object), END                                                 \
    }
static const struct keep keep_kinds[][3] = {
    [OBJECT_POD] = EVENT(keep_pod),
    [OBJECT_NAMESPACE] = EVENT(keep_namespace),
    [OBJECT_POLICY] = EVENT(keep_policy),
    [OBJECT_NODE] = EVENT(keep_node),
};
_Static_assert(ARRAY_SIZE(keep_kinds) == OBJECT_KIND_COUNT, "one row a kind");

const struct keep *keep_event(enum object_kind kind)
{
    return keep_kinds[kind];
}

const struct keep *keep_object(enum object_kind kind)
{
    return keep_kinds[kind][1].below;
}

const struct keep *keep_list(void)
{
    static const struct keep meta[] = {WHOLE("resourceVersion"), WHOLE("continue"), WHOLE("remainingItemCount"), END};
    static const struct keep list[] = {
        WHOLE("kind"), WHOLE("apiVersion"), BELOW("metadata", meta), {KEY("items"), .role = KEEP_ITEMS}, END};
    return list;
}

static const struct keep keep_names[] = {WHOLE("namespace"), WHOLE("name"), WHOLE("uid"), WHOLE("resourceVersion"),
                                         END};
static const struct keep keep_version[] = {WHOLE("resourceVersion"), END};
static const struct keep keep_names_or_status[] = {BELOW("metadata", keep_names), WHOLE("code"), WHOLE("reason"),
                                                   BELOW("details", keep_details), END};
static const struct keep keep_versioned[] = {BELOW("metadata", keep_version), END};
const struct keep keep_object_names[] = {BELOW("metadata", keep_names), END};
const struct keep keep_event_names[] = {WHOLE("type"), BELOW("object", keep_names_or_status), END};
const struct keep keep_event_version[] = {WHOLE("type"), BELOW("object", keep_versioned), END};
