// SPDX-License-Identifier: Apache-2.0
#include "decode/decode.h"

#include "decode/decode_object.h"

int decode_object(const struct doc *doc, enum object_kind kind, const char *file, struct arena *arena,
                  struct decoded *ret, struct diagnostics *diagnostics, struct err *err)
{
    struct decode decode = {.file = file, .object = object_kind_name(kind), .arena = arena, .diagnostics = diagnostics};
    struct decoded decoded = {.kind = kind};
    if (doc->type != DOC_MAP) {
        decode_report_type(&decode, DIAGNOSTIC_LOST, NULL, doc, DOC_MAP);
        return decode.oom ? err_oom(err) : 1;
    }
    switch (kind) {
    case OBJECT_POD:
        decode_pod(&decode, doc, &decoded.pod);
        break;
    case OBJECT_NAMESPACE:
        decode_namespace(&decode, doc, &decoded.ns);
        break;
    case OBJECT_NODE:
        decode_node(&decode, doc, &decoded.node);
        break;
    case OBJECT_POLICY:
        decode_policy(&decode, doc, &decoded.policy);
        break;
    }
    if (decode.oom) {
        return err_oom(err);
    }
    if (decode.lost) {
        return 1;
    }
    *ret = decoded;
    return 0;
}

void *decoded_dup(const struct decoded *decoded)
{
    switch (decoded->kind) {
    case OBJECT_POD:
        return pod_dup(&decoded->pod);
    case OBJECT_NAMESPACE:
        return ns_object_dup(&decoded->ns);
    case OBJECT_NODE:
        return node_dup(&decoded->node);
    case OBJECT_POLICY:
        return policy_dup(&decoded->policy);
    }
    return NULL;
}
