// SPDX-License-Identifier: Apache-2.0
#include "json/json_node.h"

#include "base/num.h"

void json_node_integer(struct doc *doc, const char *literal, size_t len)
{
    bool negative = literal[0] == '-';
    uint64_t magnitude;
    uint64_t max = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    if (num_parse_u64(literal + negative, len - (size_t)negative, max, &magnitude)) {
        doc->integral = true;
        doc->integer = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    }
}

int json_node_keys(const struct doc *map, struct err *err)
{
    bool oom = false;
    const struct doc *again = doc_duplicate_key(map, &oom);
    if (oom) {
        return err_oom(err);
    }
    if (again) {
        (void)err_set(err, ERR_INPUT, (int)again->line, "key \"%.100s\" is given twice", again->key);
        return err_at_object(err, "line %u", again->line);
    }
    return 0;
}
