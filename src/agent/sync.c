// SPDX-License-Identifier: Apache-2.0
#include "agent/sync_private.h"

#include <malloc.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "base/num.h"

enum {
    RETRY_MIN_MS = 100,
    RETRY_MAX_MS = 30000,
    SETTLE_MS = 250,
    LOOK_MS = 2000,
    STAMP_MS = 1000,
    RETRY_SHARED_MS = 1000,
    SAY_AGAIN_MS = 30000,
    TRIM_OBJECTS = 1000
};

static void on_apply(void *arg);

static void on_period(void *arg)
{
    sync_verify(arg);
}

static void on_stamp(void *arg)
{
    struct sync *sync = arg;
    loop_arm(sync->stamp_timer, sync->config.stamp_ms);
    sync_look_if_changed(sync);
}

int sync_new(const struct sync_config *config, struct sync **ret, struct err *err)
{
    CLEANUP(sync_free) struct sync *sync = calloc(1, sizeof(*sync));
    if (!sync) {
        return err_oom(err);
    }
    sync->config = *config;
    sync->config.retry_min_ms = config->retry_min_ms ? config->retry_min_ms : RETRY_MIN_MS;
    sync->config.retry_max_ms = config->retry_max_ms ? config->retry_max_ms : RETRY_MAX_MS;
    sync->config.settle_ms = config->settle_ms ? config->settle_ms : SETTLE_MS;
    sync->config.look_ms = config->look_ms ? config->look_ms : LOOK_MS;
    sync->config.stamp_ms = config->stamp_ms ? config->stamp_ms : STAMP_MS;
    sync->start_ns = num_now_ns();
    (void)snprintf(sync->source_why, sizeof(sync->source_why), "the source has not been read yet");
    if (loop_add_timer(config->loop, on_apply, sync, &sync->apply_timer, err) < 0 ||
        loop_add_timer(config->loop, on_period, sync, &sync->period_timer, err) < 0 ||
        loop_add_timer(config->loop, on_stamp, sync, &sync->stamp_timer, err) < 0 ||
        engine_new(config->state, config->node, &config->options, &sync->engine, err) < 0) {
        return -1;
    }
    metrics_set(config->metrics, METRIC_SYNCED, NULL, NULL, 0);
    metrics_set(config->metrics, METRIC_JUMPS_LEFT, NULL, NULL, 0);
    (void)health_set(config->health, HEALTH_JUMPS, true, "");
    *ret = TAKE(sync);
    return 0;
}

void sync_free(struct sync *sync)
{
    if (!sync) {
        return;
    }
    loop_remove_timer(sync->apply_timer);
    loop_remove_timer(sync->period_timer);
    loop_remove_timer(sync->stamp_timer);
    if (sync->backend) {
        sync->backend->ops->close(sync->backend);
    }
    engine_free(sync->engine);
    vec_free(&sync->waiters);
    free(sync->witness_ns);
    free(sync->witness_name);
    free(sync);
}

// Apply at once when idle; under load not before the interval is over. A change does not wait for the back-off of what
// failed before it: it may be what closes a pod.
static void schedule(struct sync *sync)
{
    if (loop_armed(sync->apply_timer) && !sync->backing_off) {
        return;
    }
    if (sync->backing_off) {
        sync->backing_off = false;
        loop_arm(sync->apply_timer, sync->config.retry_min_ms);
        return;
    }
    uint64_t since_ms = (num_now_ns() - sync->last_apply_ns) / SYNC_NS_PER_MS;
    uint64_t interval = sync->last_apply_ns ? sync->config.min_apply_interval_ms : 0;
    loop_arm(sync->apply_timer, since_ms < interval ? interval - since_ms : 0);
}

static void mark_dirty(struct sync *sync)
{
    if (!sync->dirty) {
        sync->dirty = true;
        sync->dirty_since_ns = num_now_ns();
    }
    schedule(sync);
}

void sync_changed(struct sync *sync)
{
    sync->last_change_ns = num_now_ns();
    mark_dirty(sync);
}

void sync_source_synced(struct sync *sync, bool synced, const char *why)
{
    if (sync->source_synced) {
        return;
    }
    sync->source_synced = synced;
    (void)snprintf(sync->source_why, sizeof(sync->source_why), "%s", why);
    mark_dirty(sync);
}

void sync_facts(struct sync *sync, const struct facts *facts)
{
    sync->facts = facts;
    engine_facts(sync->engine, facts);
    mark_dirty(sync);
}

int sync_when_applied(struct sync *sync, void (*fn)(void *arg), void *arg, struct err *err)
{
    if (!fn) {
        for (size_t i = 0; i < sync->waiters.n; i++) {
            if (sync->waiters.v[i].arg == arg) {
                sync->waiters.v[i--] = sync->waiters.v[--sync->waiters.n];
            }
        }
        return 0;
    }
    if (vec_push(&sync->waiters, (struct sync_waiter){fn, arg}) < 0) {
        return err_oom(err);
    }
    schedule(sync);
    return 0;
}

// Those that asked before now; one may ask again from within.
static void tell_waiters(struct sync *sync)
{
    for (size_t n = sync->waiters.n; n > 0 && sync->waiters.n > 0; n--) {
        struct sync_waiter waiter = sync->waiters.v[0];
        sync->waiters.n--;
        memmove(sync->waiters.v, sync->waiters.v + 1, sync->waiters.n * sizeof(*sync->waiters.v));
        waiter.fn(waiter.arg);
    }
}

void sync_forget(struct sync *sync)
{
    sync->known = false;
    loop_arm(sync->apply_timer, 0);
}

void sync_verify(struct sync *sync)
{
    sync->verify = true;
    loop_arm(sync->apply_timer, 0);
}

void sync_failed(struct sync *sync, const char *stage, const struct err *why)
{
    if (sync->retry_ms == 0) {
        sync->failing_since_ns = num_now_ns();
    }
    uint64_t before_ms = sync->retry_ms;
    sync->retry_ms = sync->retry_ms ? sync->retry_ms * 2 : sync->config.retry_min_ms;
    // Who shares a lock, or a table, lets go of it soon: to come back seldom is to come never.
    uint64_t max_ms = why->kind == ERR_RETRY && sync->config.retry_max_ms > RETRY_SHARED_MS ? RETRY_SHARED_MS
                                                                                            : sync->config.retry_max_ms;
    if (sync->retry_ms > max_ms) {
        sync->retry_ms = max_ms;
    }
    loop_arm(sync->apply_timer, sync->retry_ms);
    sync->backing_off = true;
    char text[1024];
    (void)err_text(why, text, sizeof(text));
    char reason[1100];
    (void)snprintf(reason, sizeof(reason), "%s: %s", stage, text);
    char was[sizeof(sync->failing)];
    memcpy(was, sync->failing, sizeof(was));
    (void)snprintf(sync->failing, sizeof(sync->failing), "%.*s", (int)sizeof(sync->failing) - 1, reason);
    (void)health_set(sync->config.health, HEALTH_APPLY, false, reason);
    metrics_add(sync->config.metrics, METRIC_APPLY_ERRORS, stage, NULL, 1);
    if (before_ms == sync->retry_ms && strcmp(was, sync->failing) == 0 && num_now_ms() - sync->said_ms < SAY_AGAIN_MS) {
        return;
    }
    sync->said_ms = num_now_ms();
    log_event(LOG_LEVEL_ERROR, "apply-failed", "stage=%s kind=%s error=%s retry_ms=%llu", stage,
              err_kind_name(why->kind), log_quote(text), (unsigned long long)sync->retry_ms);
}

// The memory of a big load (texts, trees, the sorted lists) goes back to the system.
static void trim_memory(struct sync *sync)
{
    size_t objects = sync_object_count(sync->config.state);
    size_t change = objects > sync->trimmed_objects ? objects - sync->trimmed_objects : sync->trimmed_objects - objects;
    if (change >= TRIM_OBJECTS) {
        (void)malloc_trim(0);
        sync->trimmed_objects = objects;
    }
}

static void succeed(struct sync *sync)
{
    if (sync->retry_ms) {
        log_event(LOG_LEVEL_INFO, "apply-recovered", "after_ms=%llu",
                  (unsigned long long)((num_now_ns() - sync->failing_since_ns) / SYNC_NS_PER_MS));
    }
    sync->retry_ms = 0;
    (void)health_set(sync->config.health, HEALTH_APPLY, true, "");
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    metrics_set(sync->config.metrics, METRIC_LAST_SYNC, NULL, NULL, (double)now.tv_sec + (double)now.tv_nsec / 1e9);
    if (sync->config.period_ms && !loop_armed(sync->period_timer)) {
        loop_arm(sync->period_timer, sync->config.period_ms);
    }
    if (sync->config.period_ms && !loop_armed(sync->stamp_timer)) {
        loop_arm(sync->stamp_timer, sync->config.stamp_ms);
    }
}

static void on_apply(void *arg)
{
    struct sync *sync = arg;
    sync->backing_off = false;
    if (!sync->synced && !sync_leave_not_synced(sync)) {
        return;
    }
    if (sync_is_held(sync)) {
        // What is in force is looked after all the same.
        if (sync->applied && (sync->verify || !sync->known) && sync_verify_kernel(sync)) {
            sync->verify = false;
            succeed(sync);
        }
        return;
    }
    sync->last_apply_ns = num_now_ns();
    // A kernel that was read back for this very change needs no second look.
    bool known = sync->known;
    if ((sync->dirty || !known) && !sync_apply_change(sync)) {
        return;
    }
    sync->dirty = false;
    if (sync->verify && known && !sync_verify_kernel(sync)) {
        return;
    }
    sync->verify = false;
    succeed(sync);
    tell_waiters(sync);
    trim_memory(sync);
    health_tick(sync->config.health, num_now_ms());
}
