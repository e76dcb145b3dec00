// SPDX-License-Identifier: Apache-2.0
#include "json/json_walk.h"

#include <stdbool.h>
#include <string.h>

void json_walk_blank(struct json_walk *walk)
{
    while (walk->p < walk->end && (*walk->p == ' ' || *walk->p == '\n' || *walk->p == '\t' || *walk->p == '\r')) {
        walk->line += *walk->p == '\n';
        walk->p++;
    }
}

void json_walk_mark(struct json_walk *walk)
{
    walk->p++;
    json_walk_blank(walk);
}

void json_walk_string(struct json_walk *walk)
{
    walk->p++;
    const char *quote = memchr(walk->p, '"', (size_t)(walk->end - walk->p));
    if (quote && quote[-1] != '\\') {
        walk->p = quote + 1;
        return;
    }
    while (*walk->p != '"') {
        walk->p += *walk->p == '\\' ? 2 : 1;
    }
    walk->p++;
}

static bool is_number_byte(char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

size_t json_walk_number(const struct json_walk *walk)
{
    const char *p = walk->p;
    while (p < walk->end && is_number_byte(*p)) {
        p++;
    }
    return (size_t)(p - walk->p);
}

void json_walk_value(struct json_walk *walk)
{
    unsigned depth = 0;
    do {
        switch (*walk->p) {
        case '"':
            json_walk_string(walk);
            continue;
        case '{':
        case '[':
            depth++;
            break;
        case '}':
        case ']':
            depth--;
            break;
        case '\n':
            walk->line++;
            break;
        default:
            if (depth == 0) {
                // A number or a word: up to what cannot be part of either.
                while (walk->p < walk->end && (is_number_byte(*walk->p) || (*walk->p >= 'a' && *walk->p <= 'z'))) {
                    walk->p++;
                }
                return;
            }
            break;
        }
        walk->p++;
    } while (depth > 0);
}
