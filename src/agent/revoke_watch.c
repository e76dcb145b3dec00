// SPDX-License-Identifier: Apache-2.0
#include "agent/revoke_watch.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/num.h"

enum {
    LOOK_MS = 250,  // a connection that talks has met the other rule by then
    SAY_AGAIN_MS = 600000,
    TURN_MS = 23,  // no beat with clients that speak every so many milliseconds
    TURN_LOOKS = 20,
};

struct gone {
    struct flow flow;
    unsigned looks;  // that are left
};

struct revoke_watch {
    struct loop_timer *timer;
    struct metrics *metrics;
    uint32_t mask;
    struct flows *flows;
    VEC(struct flow) list;
    struct loop_timer *turn_timer;
    VEC(struct gone) gone;  // deleted just now
    size_t lost;
    uint64_t said_ms;  // 0 never
};

static void say(struct revoke_watch *watch, size_t lost, const struct flow *example)
{
    char from[ADDRESS_TEXT];
    char to[ADDRESS_TEXT];
    uint64_t now_ms = num_now_ms();
    watch->lost += lost;
    metrics_add(watch->metrics, METRIC_REVOKE_MARKS_LOST, NULL, NULL, (double)lost);
    if (watch->said_ms && now_ms - watch->said_ms < SAY_AGAIN_MS) {
        return;
    }
    watch->said_ms = now_ms;
    log_event(
        LOG_LEVEL_WARN, "revoke-mark-lost", "connections=%zu mark=0x%x example=\"%s > %s\" why=%s effect=%s", lost,
        watch->mask, address_format(&example->original.source, from), address_format(&example->reply.source, to),
        log_quote("a rule of another program writes the whole connection mark (CONNMARK without a mask): give it a "
                  "mask without this bit"),
        log_quote("they were deleted from the connection table instead"));
}

static int look_at(struct revoke_watch *watch, struct flow *lost, size_t *ret_lost, struct err *err)
{
    enum { BATCH = 256 };
    enum flow_presence found[BATCH];
    size_t kept = 0;
    size_t n_lost = 0;
    for (size_t at = 0; at < watch->list.n; at += BATCH) {
        size_t n = watch->list.n - at < BATCH ? watch->list.n - at : BATCH;
        if (flows_look(watch->flows, watch->list.v + at, n, watch->mask, found, err) < 0) {
            return -1;
        }
        for (size_t i = 0; i < n; i++) {
            if (found[i] == FLOW_UNMARKED) {
                lost[n_lost++] = watch->list.v[at + i];
            } else if (found[i] == FLOW_MARKED) {
                watch->list.v[kept++] = watch->list.v[at + i];
            }
        }
    }
    watch->list.n = kept;
    *ret_lost = n_lost;
    return n_lost ? flows_delete(watch->flows, lost, n_lost, err) : 0;
}

// Beyond the bound nothing is followed: the list must not grow by what a server pushes.
static void follow(struct revoke_watch *watch, const struct flow *lost, size_t n)
{
    for (size_t i = 0; i < n && watch->gone.n < REVOKE_WATCH_MAX; i++) {
        if (vec_push(&watch->gone, ((struct gone){lost[i], TURN_LOOKS})) < 0) {
            break;
        }
    }
    if (watch->gone.n && !loop_armed(watch->turn_timer)) {
        loop_arm(watch->turn_timer, TURN_MS);
    }
}

static void fail(struct revoke_watch *watch, const struct err *err)
{
    metrics_add(watch->metrics, METRIC_REVOKE_ERRORS, NULL, NULL, 1);
    log_event(LOG_LEVEL_WARN, "revoke-watch-failed", "error=%s", log_quote(err->msg));
}

static void on_turn(void *arg)
{
    enum { BATCH = 32 };
    struct revoke_watch *watch = arg;
    size_t kept = 0;
    for (size_t at = 0; at < watch->gone.n; at += BATCH) {
        struct err err = {0};
        struct flow of[BATCH];
        struct flow turned[BATCH];
        size_t n_turned = 0;
        size_t n = watch->gone.n - at < BATCH ? watch->gone.n - at : BATCH;
        for (size_t i = 0; i < n; i++) {
            of[i] = watch->gone.v[at + i].flow;
        }
        if (flows_find_turned(watch->flows, of, n, turned, &n_turned, &err) < 0 ||
            (n_turned && flows_delete(watch->flows, turned, n_turned, &err) < 0)) {
            fail(watch, &err);
        }
        for (size_t i = at; i < at + n; i++) {
            if (--watch->gone.v[i].looks) {
                watch->gone.v[kept++] = watch->gone.v[i];
            }
        }
    }
    watch->gone.n = kept;
    follow(watch, NULL, 0);
}

void revoke_watch_look(struct revoke_watch *watch)
{
    struct err err = {0};
    size_t n = 0;
    if (!watch->flows || watch->list.n == 0) {
        return;
    }
    CLEANUP(free) struct flow *lost = calloc(watch->list.n, sizeof(*lost));
    int rc = lost ? look_at(watch, lost, &n, &err) : err_oom(&err);
    if (rc < 0) {
        // The entries are looked at by the next sweep, as all are.
        watch->list.n = 0;
        fail(watch, &err);
    } else if (n) {
        say(watch, n, &lost[0]);
        follow(watch, lost, n);
    }
}

static void on_timer(void *arg)
{
    revoke_watch_look(arg);
}

void revoke_watch_add(struct revoke_watch *watch, struct flows *flows, const struct flow *list, size_t n)
{
    watch->flows = flows;
    for (size_t i = 0; i < n && watch->list.n < REVOKE_WATCH_MAX; i++) {
        if (vec_push(&watch->list, list[i]) < 0) {
            break;
        }
    }
    if (!loop_armed(watch->timer)) {
        loop_arm(watch->timer, LOOK_MS);
    }
}

void revoke_watch_drop(struct revoke_watch *watch, const struct flow *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < watch->list.n; j++) {
            if (watch->list.v[j].id == list[i].id) {
                watch->list.v[j--] = watch->list.v[--watch->list.n];
            }
        }
    }
}

size_t revoke_watch_lost(const struct revoke_watch *watch)
{
    return watch->lost;
}

int revoke_watch_new(struct loop *loop, struct metrics *metrics, uint32_t mask, struct revoke_watch **ret,
                     struct err *err)
{
    CLEANUP(revoke_watch_free) struct revoke_watch *watch = calloc(1, sizeof(*watch));
    if (!watch) {
        return err_oom(err);
    }
    watch->metrics = metrics;
    watch->mask = mask;
    if (loop_add_timer(loop, on_timer, watch, &watch->timer, err) < 0 ||
        loop_add_timer(loop, on_turn, watch, &watch->turn_timer, err) < 0) {
        return -1;
    }
    *ret = TAKE(watch);
    return 0;
}

void revoke_watch_free(struct revoke_watch *watch)
{
    if (!watch) {
        return;
    }
    loop_remove_timer(watch->timer);
    loop_remove_timer(watch->turn_timer);
    vec_free(&watch->list);
    vec_free(&watch->gone);
    free(watch);
}
