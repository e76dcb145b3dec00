// SPDX-License-Identifier: Apache-2.0
#include "policy/names.h"

#include <stdio.h>

#include "base/digest.h"
#include "base/limits.h"

int names_take(struct map *taken, struct arena *arena, const char *prefix, const char *text, size_t len,
               const char **ret, struct err *err)
{
    BUF_CLEANUP struct buf salted = {0};
    buf_add(&salted, text, len);
    for (;;) {
        if (salted.failed) {
            return err_oom(err);
        }
        char digits[DIGEST_NAME_SIZE];
        digest_name(salted.data, salted.len, digits);
        char name[LIMIT_SET_NAME + 1];
        (void)snprintf(name, sizeof(name), "%s%s", prefix, digits);
        if (!map_get_str(taken, name)) {
            char *copy = arena_strdup(arena, name);
            if (!copy || map_put_str(taken, name, copy, NULL) < 0) {
                return err_oom(err);
            }
            *ret = copy;
            return 0;
        }
        buf_putc(&salted, '#');
    }
}

void names_plain(char *text)
{
    for (char *c = text; *c; c++) {
        if (*c < ' ' || *c > '~' || *c == '"' || *c == '\\') {
            *c = '?';
        }
    }
}

int names_comment(struct arena *arena, const char *head, const char *const *items, size_t n, const char **ret,
                  struct err *err)
{
    enum { MORE = 24 };  // ",+18446744073709551615 more" never comes near: no state has that many policies
    BUF_CLEANUP struct buf text = {0};
    buf_puts(&text, head);
    size_t shown = 0;
    for (; shown < n; shown++) {
        size_t room = shown + 1 == n ? 0 : MORE;
        if (shown > 0 && text.len + 1 + strlen(items[shown]) + room > LIMIT_COMMENT) {
            buf_printf(&text, ",+%zu more", n - shown);
            break;
        }
        buf_puts(&text, shown ? "," : "");
        buf_puts(&text, items[shown]);
        if (shown == 0 && text.len + room > LIMIT_COMMENT && !text.failed) {
            text.len = LIMIT_COMMENT - room - strlen("...");
            buf_puts(&text, "...");
        }
    }
    char *copy = text.failed ? NULL : arena_strndup(arena, text.data, text.len);
    if (!copy) {
        return err_oom(err);
    }
    names_plain(copy);
    *ret = copy;
    return 0;
}
