// SPDX-License-Identifier: Apache-2.0
#include "agent/contest.h"

#include <stdio.h>

static unsigned builtin_of(const struct hook *hook)
{
    unsigned builtin = 0;
    while (builtin < DRIFT_BUILTINS && strcmp(hook->builtin, drift_builtins[builtin]) != 0) {
        builtin++;
    }
    return builtin;
}

enum contest_news contest_found(struct contest *contest, const struct drift *drift, uint64_t now_ms)
{
    enum contest_news news = CONTEST_SAME;
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        for (size_t builtin = 0; builtin < DRIFT_BUILTINS; builtin++) {
            struct contest_jump *jump = &contest->jumps[family][builtin];
            bool behind = drift->behind[family][builtin];
            if (jump->left && (!behind || now_ms - jump->left_ms >= CONTEST_LEAVE_MS)) {
                jump->left = false;
                jump->n_rounds = 0;
                news = news == CONTEST_SAME ? CONTEST_BACK : news;
            }
            if (!behind || jump->left) {
                continue;
            }
            if (jump->n_rounds == CONTEST_ROUNDS && now_ms - jump->rounds[0] < CONTEST_WINDOW_MS) {
                jump->left = true;
                jump->left_ms = now_ms;
                news = CONTEST_LEFT;
                continue;
            }
            if (jump->n_rounds == CONTEST_ROUNDS) {
                memmove(jump->rounds, jump->rounds + 1, sizeof(jump->rounds) - sizeof(jump->rounds[0]));
                jump->n_rounds--;
            }
            jump->rounds[jump->n_rounds++] = now_ms;
        }
    }
    return news;
}

bool contest_is_left(const struct contest *contest, enum family family, unsigned builtin)
{
    return contest->jumps[family][builtin].left;
}

size_t contest_count_left(const struct contest *contest)
{
    size_t n = 0;
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        for (size_t builtin = 0; builtin < DRIFT_BUILTINS; builtin++) {
            n += contest->jumps[family][builtin].left;
        }
    }
    return n;
}

void contest_names_left(const struct contest *contest, char *ret, size_t size)
{
    ret[0] = '\0';
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        for (unsigned builtin = 0; builtin < DRIFT_BUILTINS; builtin++) {
            size_t len = strlen(ret);
            if (contest->jumps[family][builtin].left && len < size) {
                (void)snprintf(ret + len, size - len, "%s%s %s", len ? ", " : "", family_name(family),
                               drift_builtins[builtin]);
            }
        }
    }
}

int contest_mark(const struct contest *contest, const struct ruleset *want, struct arena *arena, struct ruleset *ret,
                 struct err *err)
{
    *ret = *want;
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        struct table *table = &ret->tables[family];
        struct hook *hooks = arena_alloc(arena, table->n_hooks * sizeof(*hooks));
        if (!hooks) {
            return err_oom(err);
        }
        for (size_t i = 0; i < table->n_hooks; i++) {
            unsigned builtin = builtin_of(&table->hooks[i]);
            hooks[i] = table->hooks[i];
            hooks[i].anywhere = builtin < DRIFT_BUILTINS && contest->jumps[family][builtin].left;
        }
        table->hooks = hooks;
    }
    return 0;
}
