// SPDX-License-Identifier: Apache-2.0
#include "decode/decode_object.h"

void decode_namespace(struct decode *decode, const struct doc *doc, struct ns_object *ret)
{
    *ret = (struct ns_object){0};
    decode_meta(decode, doc, OBJECT_NAMESPACE, &ret->meta);
}
