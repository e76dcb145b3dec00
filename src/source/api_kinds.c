// SPDX-License-Identifier: Apache-2.0
#include "source/api_kinds.h"

// In the order of their first lists, the large one last. Finished pods have given up their addresses: an object that
// stops to match the selector arrives as DELETED. A pod that is not scheduled has no address yet.
const struct api_kind_row api_kind_rows[] = {
    {.kind = OBJECT_NAMESPACE, .label = "namespaces", .group = "", .versions = {"v1"}},
    {.kind = OBJECT_POLICY, .label = "networkpolicies", .group = "networking.k8s.io", .versions = {"v1"}},
    {.kind = OBJECT_NODE, .label = "nodes", .group = "", .versions = {"v1"}},
    {.kind = OBJECT_POD,
     .label = "pods",
     .group = "",
     .versions = {"v1"},
     .terms = {{"status.phase!=Succeeded", false},
               {"status.phase!=Failed", false},
               {"spec.nodeName!=", true},
               {"spec.hostNetwork=false", true}}},
};
const size_t api_n_kind_rows = ARRAY_SIZE(api_kind_rows);
