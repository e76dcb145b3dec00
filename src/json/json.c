// SPDX-License-Identifier: Apache-2.0
#include "json/json.h"

#include "json/json_build.h"
#include "json/json_scan.h"

static int parse(const char *text, size_t len, unsigned first_line, struct json_build *build, struct doc **ret,
                 size_t *ret_used, unsigned *ret_next_line)
{
    struct json_scan scan;
    if (json_scan(text, len, first_line, &scan, build->err) < 0) {
        return -1;
    }
    struct doc *doc = arena_alloc(build->arena, sizeof(*doc));
    if (!doc) {
        return err_oom(build->err);
    }
    build->has_long_numbers = scan.has_long_numbers;
    struct json_walk walk = {.p = text + scan.start, .end = text + scan.end, .line = scan.start_line};
    if (json_build(build, &walk, scan.end - scan.start, doc) < 0) {
        return -1;
    }
    *ret = doc;
    *ret_used = scan.used;
    *ret_next_line = scan.next_line;
    return 0;
}

int json_parse(const char *text, size_t len, unsigned first_line, struct arena *arena, struct doc **ret,
               size_t *ret_used, unsigned *ret_next_line, struct err *err)
{
    struct json_build build = {.arena = arena, .text = text, .err = err};
    return parse(text, len, first_line, &build, ret, ret_used, ret_next_line);
}

int json_parse_apart(const char *text, size_t len, unsigned first_line, const char *key, struct arena *arena,
                     struct doc **ret, struct json_elements *ret_elements, size_t *ret_used, unsigned *ret_next_line,
                     struct err *err)
{
    struct json_build build = {.arena = arena, .text = text, .apart_key = key, .elements = ret_elements, .err = err};
    return parse(text, len, first_line, &build, ret, ret_used, ret_next_line);
}
