// SPDX-License-Identifier: Apache-2.0
#include "agent/agent.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "agent/fault.h"
#include "agent/host_watch.h"
#include "agent/node_lock.h"
#include "agent/open_source.h"
#include "agent/routes.h"
#include "agent/source_metrics.h"
#include "agent/sync.h"
#include "base/log.h"
#include "base/num.h"
#include "base/version.h"

enum { TICK_MS = 5000, LOCK_WAIT_MS = 50 };

struct agent {
    const struct agent_config *config;
    struct loop *loop;
    struct state *state;
    struct metrics *metrics;
    struct health health;
    struct fault fault;
    struct node_lock *lock;
    struct sync *sync;
    struct host_watch *host;
    struct source *source;
    struct routes *routes;
    struct loop_timer *tick;
};

void agent_log_report(enum source_level level, const char *event, const char *fields, UNUSED void *arg)
{
    switch (level) {
    case SOURCE_INFO:
        log_event(LOG_LEVEL_INFO, event, "%s", fields);
        break;
    case SOURCE_WARN:
        log_event(LOG_LEVEL_WARN, event, "%s", fields);
        break;
    case SOURCE_ERROR:
        log_event(LOG_LEVEL_ERROR, event, "%s", fields);
        break;
    }
}

static void on_source_changed(void *arg)
{
    struct agent *agent = arg;
    sync_changed(agent->sync);
}

static void on_source_synced(bool synced, const char *why, void *arg)
{
    struct agent *agent = arg;
    sync_source_synced(agent->sync, synced, why);
}

static void on_source_count(const char *counter, const char *label, unsigned delta, void *arg)
{
    struct agent *agent = arg;
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    source_metrics_count(agent->metrics, counter, label, delta, (double)now.tv_sec + (double)now.tv_nsec / 1e9);
}

static void on_facts(const struct facts *facts, void *arg)
{
    struct agent *agent = arg;
    sync_facts(agent->sync, facts);
}

static void on_applied(const struct sync_applied *applied, void *arg)
{
    struct agent *agent = arg;
    if (applied->structural) {
        host_watch_check(agent->host);
    }
}

static void on_step(void *arg)
{
    struct agent *agent = arg;
    health_tick(&agent->health, num_now_ms());
}

static void on_tick(void *arg)
{
    struct agent *agent = arg;
    health_tick(&agent->health, num_now_ms());
    loop_arm(agent->tick, TICK_MS);
}

static void on_stop(int signo, void *arg)
{
    struct agent *agent = arg;
    log_event(LOG_LEVEL_INFO, "stopping", "signal=%d effect=%s", signo, log_quote("the rules stay in force"));
    loop_quit(agent->loop, EXIT_OK);
}

static void refresh(struct agent *agent, const char *why)
{
    log_event(LOG_LEVEL_INFO, "refresh", "why=%s", why);
    // In this order: what is read here is applied before the kernel is read back.
    agent->source->ops->refresh(agent->source);
    host_watch_refresh(agent->host);
    sync_verify(agent->sync);
}

static void on_hangup(UNUSED int signo, void *arg)
{
    refresh(arg, "SIGHUP");
}

// A single pass beside this daemon found that the kernel differs.
static void on_asked(void *arg)
{
    refresh(arg, "asked");
}

static void agent_free(struct agent *agent)
{
    routes_free(agent->routes);
    if (agent->source) {
        agent->source->ops->free(agent->source);
    }
    host_watch_free(agent->host);
    sync_free(agent->sync);
    loop_remove_timer(agent->tick);
    fault_done(&agent->fault);
    node_lock_free(agent->lock);
    loop_free(agent->loop);
    state_free(agent->state);
    metrics_free(agent->metrics);
    free(agent);
}
CLEANUP_DEFINE(struct agent, agent_free);

void agent_ignore_sigpipe(void)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL);
}

static int catch_signals(struct agent *agent, struct err *err)
{
    agent_ignore_sigpipe();
    return loop_on_signal(agent->loop, SIGTERM, on_stop, agent, err) < 0 ||
                   loop_on_signal(agent->loop, SIGINT, on_stop, agent, err) < 0 ||
                   loop_on_signal(agent->loop, SIGHUP, on_hangup, agent, err) < 0
               ? -1
               : 0;
}

static int open_sync(struct agent *agent, struct err *err)
{
    const struct agent_config *config = agent->config;
    agent->fault.on_step = on_step;
    agent->fault.arg = agent;
    const struct sync_config sync = {
        .loop = agent->loop,
        .state = agent->state,
        .node = config->node,
        .options = config->options,
        .ops = config->backend,
        // The loop goes on while another program holds the xtables lock: a brief try, and the back-off tries again.
        .backend_options = {.step = fault_step, .step_arg = &agent->fault, .lock_wait_ms = LOCK_WAIT_MS},
        .metrics = agent->metrics,
        .health = &agent->health,
        .min_apply_interval_ms = config->min_apply_interval_ms,
        .period_ms = config->sync_period_ms,
        .applied = on_applied,
        .applied_arg = agent,
    };
    return sync_new(&sync, &agent->sync, err);
}

static int open_inputs(struct agent *agent, struct err *err)
{
    const struct agent_config *config = agent->config;
    const struct source_owner owner = {
        .arg = agent,
        .changed = on_source_changed,
        .synced = on_source_synced,
        .report = agent_log_report,
        .count = on_source_count,
    };
    const struct host_watch_config host = {
        .loop = agent->loop,
        .state = agent->state,
        .node = config->node,
        .metrics = agent->metrics,
        .health = &agent->health,
        .period_ms = config->sync_period_ms,
        .changed = on_facts,
        .arg = agent,
    };
    return open_source(config, OPEN_WATCH, agent->loop, agent->state, &owner, &agent->source, err) < 0 ||
                   host_watch_new(&host, &agent->host, err) < 0
               ? -1
               : 0;
}

static int open_all(struct agent *agent, struct err *err)
{
    const struct agent_config *config = agent->config;
    health_init(&agent->health, num_now_ms());
    if (fault_init(&agent->fault, err) < 0 || loop_new(&agent->loop, err) < 0 || state_new(&agent->state, err) < 0 ||
        metrics_new(&agent->metrics, err) < 0 || catch_signals(agent, err) < 0) {
        return -1;
    }
    if (node_lock_take(&agent->lock, err) < 0 || node_lock_listen(agent->lock, agent->loop, on_asked, agent, err) < 0) {
        return -1;
    }
    if (config->n_state_paths == 0) {
        source_metrics_init(agent->metrics);
    }
    metrics_set(agent->metrics, METRIC_BUILD_INFO, version_string(), version_commit(), 1);
    const struct routes_config routes = {.address = config->metrics_address,
                                         .loop = agent->loop,
                                         .metrics = agent->metrics,
                                         .health = &agent->health,
                                         .state = agent->state};
    if ((config->metrics_address && routes_new(&routes, &agent->routes, err) < 0) || open_sync(agent, err) < 0 ||
        open_inputs(agent, err) < 0 || loop_add_timer(agent->loop, on_tick, agent, &agent->tick, err) < 0) {
        return -1;
    }
    loop_arm(agent->tick, 0);
    return 0;
}

int agent_run(const struct agent_config *config, struct err *err)
{
    CLEANUP(agent_free) struct agent *agent = calloc(1, sizeof(*agent));
    if (!agent) {
        (void)err_oom(err);
        return EXIT_FAILED;
    }
    agent->config = config;
    agent->fault.log_fd = -1;
    if (open_all(agent, err) < 0) {
        return err->kind == ERR_USAGE ? EXIT_USAGE : err->kind == ERR_INPUT ? EXIT_INPUT : EXIT_FAILED;
    }
    log_event(LOG_LEVEL_INFO, "started", "version=%s commit=%s node=%s source=%s backend=%s metrics=%s",
              version_string(), version_commit(), log_quote(config->node), agent->source->ops->name,
              config->backend->name, log_quote(config->metrics_address ? config->metrics_address : "off"));
    int code = loop_run(agent->loop, err);
    if (code < 0) {
        return EXIT_FAILED;
    }
    log_event(LOG_LEVEL_INFO, "stopped", "%s", "rules=kept");
    return code;
}
