// SPDX-License-Identifier: Apache-2.0
#include "agent/collect.h"

#include <stdio.h>

#include "agent/open_source.h"

enum collect_end { COLLECT_SYNCED, COLLECT_BROKEN, COLLECT_TIMEOUT };

struct collect {
    struct loop *loop;
    bool files;
    unsigned max_ms;
    char why[512];
};

static void on_changed(UNUSED void *arg)
{
}

static void on_synced(bool synced, const char *why, void *arg)
{
    struct collect *collect = arg;
    (void)snprintf(collect->why, sizeof(collect->why), "%s", why);
    if (synced) {
        loop_quit(collect->loop, COLLECT_SYNCED);
    } else if (collect->files) {
        loop_quit(collect->loop, COLLECT_BROKEN);  // nobody mends a file while we wait
    }
}

static void on_report(enum source_level level, const char *event, const char *fields, void *arg)
{
    // Said by the error that ends the pass.
    if (strcmp(event, "state-path-missing") != 0) {
        agent_log_report(level, event, fields, arg);
    }
}

static void on_count(UNUSED const char *counter, UNUSED const char *label, UNUSED unsigned delta, UNUSED void *arg)
{
}

static void on_timeout(void *arg)
{
    struct collect *collect = arg;
    loop_quit(collect->loop, COLLECT_TIMEOUT);
}

static int run(struct collect *collect, struct err *err)
{
    int end = loop_run(collect->loop, err);
    if (end < 0) {
        return -1;
    }
    switch ((enum collect_end)end) {
    case COLLECT_SYNCED:
        return 0;
    case COLLECT_BROKEN:
        return err_set(err, ERR_INPUT, 0, "not synced, the kernel stays as it is: %s", collect->why);
    case COLLECT_TIMEOUT:
        return err_set(err, ERR_RETRY, 0, "not synced after %u s, the kernel stays as it is: %s",
                       collect->max_ms / 1000, collect->why);
    }
    return err_set(err, ERR_BUG, 0, "the source ended as nobody expected");
}

int collect_state(const struct agent_config *config, struct state **ret, struct err *err)
{
    CLEANUP(loop_free) struct loop *loop = NULL;
    CLEANUP(state_free) struct state *state = NULL;
    if (loop_new(&loop, err) < 0 || state_new(&state, err) < 0) {
        return -1;
    }
    struct collect collect = {.loop = loop,
                              .files = config->n_state_paths > 0,
                              .max_ms = COLLECT_MAX_MS + (config->spread_start ? COLLECT_SPREAD_MS : 0),
                              .why = "no answer yet"};
    const struct source_owner owner = {
        .arg = &collect,
        .changed = on_changed,
        .synced = on_synced,
        .report = on_report,
        .count = on_count,
    };
    struct loop_timer *timer;
    if (loop_add_timer(loop, on_timeout, &collect, &timer, err) < 0) {
        return -1;
    }
    loop_arm(timer, collect.max_ms);
    struct source *source = NULL;
    if (open_source(config, OPEN_ONCE, loop, state, &owner, &source, err) < 0) {
        return -1;
    }
    int rc = run(&collect, err);
    source->ops->free(source);
    if (rc == 0) {
        *ret = TAKE(state);
    }
    return rc;
}
