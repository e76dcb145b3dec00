// SPDX-License-Identifier: Apache-2.0
#include "agent/agent.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "agent/cni.h"
#include "agent/cni_book.h"
#include "agent/control.h"
#include "agent/fault.h"
#include "agent/host_watch.h"
#include "agent/node_lock.h"
#include "agent/open_source.h"
#include "agent/revoke.h"
#include "agent/routes.h"
#include "agent/source_metrics.h"
#include "agent/status.h"
#include "agent/sync.h"
#include "base/log.h"
#include "base/num.h"
#include "base/version.h"

enum { TICK_MS = 5000, KEEP_MS = 60000, CLEAN_TICKS = 120, LOCK_WAIT_MS = 100, AGENT_SECTIONS = 4, AGENT_OPS = 8 };

struct agent {
    const struct agent_config *config;
    struct loop *loop;
    struct state *state;
    struct metrics *metrics;
    struct health health;
    struct fault fault;
    struct node_lock *lock;
    struct sync *sync;
    bool in_force;  // a whole apply went well
    unsigned ticks;
    bool other_clean;  // nothing of ours is left in the backend that is not used, or that was said
    struct host_watch *host;
    struct revoke *revoke;
    struct source *source;
    struct routes *routes;
    struct loop_timer *tick;
    struct status status;
    struct status_section sections[AGENT_SECTIONS];
    struct control_op ops[AGENT_OPS];
    struct cni *cni;  // NULL: no socket
    struct control *control;
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
    if (agent->cni) {
        cni_changed(agent->cni);
    }
}

static void on_source_synced(bool synced, const char *why, void *arg)
{
    struct agent *agent = arg;
    sync_source_synced(agent->sync, synced, why);
    if (agent->cni) {
        cni_source_synced(agent->cni, synced);
    }
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
    revoke_facts(agent->revoke, facts);
    sync_facts(agent->sync, facts);
}

// The daemon does not wait for a lock: the loop goes on while another program holds it, and the back-off tries again.
static struct backend_options backend_options_of(struct agent *agent)
{
    struct backend_options options = fault_options(&agent->fault);
    options.lock_wait_ms = LOCK_WAIT_MS;
    return options;
}

// Takes what the backend that is not used holds from before out of the kernel, now that ours is in force.
static void clean_other(struct agent *agent)
{
    struct err err = {0};
    struct apply_report report = {0};
    const struct backend_options options = backend_options_of(agent);
    if (backend_clean_other(agent->config->backend, &options, &report, &err) < 0) {
        // A lock that is held: with the next change of rules.
        agent->other_clean = err.kind != ERR_RETRY;
        log_event(LOG_LEVEL_WARN, "other-backend-kept", "error=%s", log_quote(err.msg));
        return;
    }
    agent->other_clean = true;
    if (report.writes) {
        log_event(LOG_LEVEL_INFO, "other-backend-cleaned", "chains=%zu jumps=%zu", report.chains_deleted,
                  report.hooks_written);
        // The sets that only its rules used.
        sync_forget(agent->sync);
    }
}

static void on_applied(const struct sync_applied *applied, void *arg)
{
    struct agent *agent = arg;
    if (!applied->partial) {
        agent->in_force = true;
        node_lock_set_programmed(agent->lock, true);
    }
    if (applied->structural && !applied->partial && !agent->other_clean) {
        clean_other(agent);
    }
    if (applied->structural) {
        host_watch_check(agent->host);
    }
    revoke_applied(agent->revoke, applied);
}

static void on_marked(const bool marked[FAMILY_COUNT], void *arg)
{
    struct agent *agent = arg;
    host_watch_revoked(agent->host, marked);
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
    // Somebody may have copied our rules to the other backend, and a lock may have been held.
    agent->other_clean = agent->other_clean && ++agent->ticks % CLEAN_TICKS != 0;
    if (agent->in_force && !agent->other_clean && health_ready(&agent->health)) {
        clean_other(agent);
    }
    if (agent->control) {
        control_keep(agent->control);
    }
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
    agent->other_clean = false;
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
    control_free(agent->control);
    cni_free(agent->cni);
    routes_free(agent->routes);
    if (agent->source) {
        agent->source->ops->free(agent->source);
    }
    revoke_free(agent->revoke);
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
        .backend_options = backend_options_of(agent),
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
    const struct revoke_config revoke = {
        .loop = agent->loop,
        .state = agent->state,
        .node = config->node,
        .options = config->options,
        .metrics = agent->metrics,
        .period_ms = config->sync_period_ms,
        .keep_ms = config->sync_period_ms && config->sync_period_ms < KEEP_MS ? config->sync_period_ms : KEEP_MS,
        .marked = on_marked,
        .arg = agent,
    };
    return open_source(config, OPEN_WATCH, agent->loop, agent->state, &owner, &agent->source, err) < 0 ||
                   host_watch_new(&host, &agent->host, err) < 0 || revoke_new(&revoke, &agent->revoke, err) < 0
               ? -1
               : 0;
}

static void put_revocation(struct buf *out, void *arg)
{
    revoke_status(arg, out);
}

static int open_cni(struct agent *agent, struct err *err)
{
    char folder[CNI_PATH];
    const struct cni_config cni = {.loop = agent->loop,
                                   .state = agent->state,
                                   .node = agent->config->node,
                                   .sync = agent->sync,
                                   .host = agent->host,
                                   .health = &agent->health,
                                   .metrics = agent->metrics,
                                   .folder = folder};
    return control_make_folder(agent->config->socket, err) < 0 ||
                   cni_book_folder(agent->config->socket, folder, err) < 0 || cni_new(&cni, &agent->cni, err) < 0
               ? err_wrap(err, "--socket")
               : 0;
}

// What --socket answers: an op is a row here.
static int open_control(struct agent *agent, struct err *err)
{
    agent->status = (struct status){.source = agent->source->ops->name,
                                    .backend_why = agent->config->backend_why,
                                    .sync = agent->sync,
                                    .health = &agent->health,
                                    .metrics = agent->metrics,
                                    .start_ms = num_now_ms(),
                                    .sections = agent->sections};
    agent->sections[0] = (struct status_section){.name = "revocation", .put = put_revocation, .arg = agent->revoke};
    agent->ops[0] = (struct control_op){.name = "status", .ask = status_ask, .arg = &agent->status};
    if (!agent->config->socket) {
        (void)health_set(&agent->health, HEALTH_CNI, true, "");
        return 0;
    }
    if (open_cni(agent, err) < 0) {
        return -1;
    }
    cni_ops(agent->cni, agent->ops + 1);
    agent->sections[1] = (struct status_section){.name = "cni", .put = cni_status, .arg = agent->cni};
    if (control_new(agent->loop, agent->config->socket, agent->ops, &agent->control, err) < 0) {
        return err_wrap(err, "--socket");
    }
    return 0;
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
        open_inputs(agent, err) < 0 || open_control(agent, err) < 0 ||
        loop_add_timer(agent->loop, on_tick, agent, &agent->tick, err) < 0) {
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
