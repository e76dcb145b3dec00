// SPDX-License-Identifier: Apache-2.0
#include "agent/revoke.h"

#include <stdio.h>

#include "agent/revoke_queue.h"
#include "agent/revoke_watch.h"
#include "base/log.h"
#include "base/num.h"
#include "flow/flow.h"
#include "flow/revoke.h"

enum {
    DELAY_MS = 20,     // changes come in bursts, and packets on their way have arrived
    ANNOUNCE_MS = 50,  // after the first flow that is cut: the other family's are found meanwhile, one commit is enough
    SHARE = 4,         // a pass is followed by a pause of so many times its length,
    PAUSE_MAX_MS = 500,  // but what is denied is cut within a second
    PERIOD_MS = 60000,   // where --sync-period is 0
    RETRY_MIN_MS = 1000,
    RETRY_MAX_MS = 30000,
    BATCH = 1024,
    EXAMPLES = 3,
    EXAMPLES_TEXT = 512,
    NS_PER_MS = 1000000,
};

struct revoke_pass {
    struct revoke_queue queue;  // what it was begun for
    struct flow_filter steps[REVOKE_STEPS_MAX];
    size_t n_steps;
    size_t step;
    uint64_t start_ns;
    size_t judged;
    size_t cut;
    size_t restored;
    bool counted[FAMILY_COUNT];  // every flow of the family was seen that is marked
    char examples[EXAMPLES_TEXT];
    size_t n_examples;
    bool failed;
    struct err err;
};

struct revoke {
    struct revoke_config config;
    struct flows *flows;
    struct revoke_cache *cache;
    struct revoke_watch *watch;
    const struct facts *facts;
    struct loop_timer *timer;
    struct loop_timer *period_timer;
    struct loop_timer *announce_timer;
    struct revoke_queue queue;
    struct revoke_pass pass;
    bool running;
    bool sweep;  // something was changed since everything was judged
    bool announced[FAMILY_COUNT];
    size_t marked[FAMILY_COUNT];
    uint64_t needed_ns[FAMILY_COUNT];  // when a flow was seen last that is marked
    struct loop_timer *keep_timer;
    VEC(struct flow) deny;
    VEC(struct flow) allow;
    uint64_t retry_ms;
    uint64_t not_before_ns;  // of the next pass
    uint64_t total_cut;
    uint64_t total_restored;
    uint64_t last_ns;  // end of the last pass that went well; 0: none yet
    uint64_t last_ms;
    size_t last_judged;
    char failing[256];
};

static void arm(struct revoke *revoke, uint64_t ms)
{
    if (!revoke->running) {
        loop_arm(revoke->timer, ms);
    }
}

// As soon as a change may be looked at.
static void wake(struct revoke *revoke)
{
    uint64_t now = num_now_ns();
    uint64_t pause_ms = revoke->not_before_ns > now ? (revoke->not_before_ns - now) / NS_PER_MS : 0;
    if (!revoke_queue_empty(&revoke->queue) && !loop_armed(revoke->timer)) {
        arm(revoke, pause_ms > DELAY_MS ? pause_ms : DELAY_MS);
    }
}

static void announce(struct revoke *revoke, enum family family, bool on)
{
    if (on) {
        revoke->needed_ns[family] = num_now_ns();
    }
    if (revoke->announced[family] == on) {
        return;
    }
    revoke->announced[family] = on;
    if (!loop_armed(revoke->announce_timer)) {
        loop_arm(revoke->announce_timer, ANNOUNCE_MS);
    }
}

static void on_announce(void *arg)
{
    struct revoke *revoke = arg;
    revoke->config.marked(revoke->announced, revoke->config.arg);
}

static void announce_now(struct revoke *revoke)
{
    if (loop_armed(revoke->announce_timer)) {
        loop_disarm(revoke->announce_timer);
        on_announce(revoke);
    }
}

// ---- one list after the other --------------------------------------------------------------------------------------

static void fail(struct revoke *revoke, const struct err *why)
{
    if (!revoke->pass.failed) {
        revoke->pass.failed = true;
        revoke->pass.err = *why;
    }
}

static void add_example(struct revoke_pass *pass, const struct flow *flow)
{
    if (pass->n_examples >= EXAMPLES) {
        return;
    }
    char from[ADDRESS_TEXT];
    char to[ADDRESS_TEXT];
    const char *name = protocol_name(flow->original.protocol);
    size_t used = strlen(pass->examples);
    unsigned number = name ? flow->reply.source_port : flow->original.protocol;
    (void)snprintf(pass->examples + used, sizeof(pass->examples) - used, "%s%s > %s %s/%u", used ? ", " : "",
                   address_format(&flow->original.source, from), address_format(&flow->reply.source, to),
                   name ? name : "protocol", number);
    pass->n_examples++;
}

static void flush(struct revoke *revoke)
{
    struct err err = {0};
    struct revoke_pass *pass = &revoke->pass;
    enum family family = pass->steps[pass->step].family;
    uint32_t mask = revoke->config.options.revoke_mask;
    size_t found = 0;
    if (revoke->deny.n) {
        announce(revoke, family, true);
        if (flows_mark(revoke->flows, revoke->deny.v, revoke->deny.n, mask, true, &found, &err) < 0) {
            fail(revoke, &err);
        }
        for (size_t i = 0; i < revoke->deny.n; i++) {
            add_example(pass, &revoke->deny.v[i]);
        }
        revoke_watch_add(revoke->watch, revoke->flows, revoke->deny.v, revoke->deny.n);
        pass->cut += found;
        revoke->marked[family] += found;
    }
    found = 0;
    if (revoke->allow.n) {
        revoke_watch_drop(revoke->watch, revoke->allow.v, revoke->allow.n);
        if (flows_mark(revoke->flows, revoke->allow.v, revoke->allow.n, mask, false, &found, &err) < 0) {
            fail(revoke, &err);
        }
        pass->restored += found;
        if (!pass->counted[family]) {
            revoke->marked[family] -= found < revoke->marked[family] ? found : revoke->marked[family];
        }
    }
    revoke->deny.n = revoke->allow.n = 0;
}

static void on_flow(const struct flow *flow, void *arg)
{
    struct revoke *revoke = arg;
    struct revoke_pass *pass = &revoke->pass;
    const struct revoke_config *config = &revoke->config;
    struct err err = {0};
    enum revoke_verdict verdict;
    if (pass->failed) {
        return;
    }
    if (revoke_judge_cached(revoke->cache, config->state, config->node, revoke->facts, &config->options, flow, &verdict,
                            &err) < 0) {
        fail(revoke, &err);
        return;
    }
    pass->judged++;
    enum family family = flow->original.source.family;
    bool marked = flow->mark & config->options.revoke_mask;
    if (marked) {
        revoke->needed_ns[family] = num_now_ns();
    }
    if (marked && verdict == REVOKE_DENIED) {
        announce(revoke, family, true);
        revoke->marked[family] += pass->counted[family];
    }
    if (marked == (verdict == REVOKE_DENIED)) {
        return;
    }
    int rc = marked ? vec_push(&revoke->allow, *flow) : vec_push(&revoke->deny, *flow);
    if (rc < 0) {
        (void)err_oom(&err);
        fail(revoke, &err);
    } else if (revoke->allow.n + revoke->deny.n >= BATCH) {
        flush(revoke);
    }
}

static void end(struct revoke *revoke);

static void on_done(const struct err *err, void *arg);

// The other side of the same address: nothing that this list marks is in that one, but a pod's own flow to itself.
static bool is_pair(const struct flow_filter *step, const struct flow_filter *after)
{
    return step->has_original_source && after->has_reply_source &&
           address_equal(&step->original_source, &after->reply_source);
}

static void next(struct revoke *revoke)
{
    struct revoke_pass *pass = &revoke->pass;
    struct err err = {0};
    const struct flow_reader reader = {.flow = on_flow, .done = on_done, .arg = revoke};
    if (pass->failed || pass->step == pass->n_steps) {
        end(revoke);
        return;
    }
    const struct flow_filter *step = &pass->steps[pass->step];
    if (revoke_counts(step)) {
        pass->counted[step->family] = true;
        revoke->marked[step->family] = 0;
    }
    if (flows_list(revoke->flows, step, &reader, &err) < 0) {
        fail(revoke, &err);
        end(revoke);
    } else if (pass->step + 1 < pass->n_steps && is_pair(step, step + 1)) {
        flows_list_ahead(revoke->flows, step + 1);
    }
}

static void on_done(const struct err *err, void *arg)
{
    struct revoke *revoke = arg;
    if (err) {
        fail(revoke, err);
    }
    flush(revoke);
    revoke->pass.step++;
    next(revoke);
}

// ---- a pass --------------------------------------------------------------------------------------------------------

static void report(struct revoke *revoke, uint64_t ms)
{
    struct revoke_pass *pass = &revoke->pass;
    struct metrics *metrics = revoke->config.metrics;
    revoke->total_cut += pass->cut;
    revoke->total_restored += pass->restored;
    revoke->last_ms = ms;
    revoke->last_judged = pass->judged;
    metrics_add(metrics, METRIC_REVOKED_FLOWS, NULL, NULL, (double)pass->cut);
    metrics_add(metrics, METRIC_RESTORED_FLOWS, NULL, NULL, (double)pass->restored);
    metrics_observe(metrics, METRIC_REVOKE_DURATION, (double)ms / 1000);
    for (unsigned family = 0; family < FAMILY_COUNT; family++) {
        metrics_set(metrics, METRIC_CUT_FLOWS, family == FAMILY_V4 ? "4" : "6", NULL, (double)revoke->marked[family]);
    }
    if (pass->cut || pass->restored) {
        log_event(LOG_LEVEL_INFO, "revoked", "cut=%zu restored=%zu judged=%zu ms=%llu cut_now=%zu examples=%s",
                  pass->cut, pass->restored, pass->judged, (unsigned long long)ms,
                  revoke->marked[FAMILY_V4] + revoke->marked[FAMILY_V6], log_quote(pass->examples));
    } else {
        log_event(LOG_LEVEL_DEBUG, "revoke-pass", "judged=%zu ms=%llu", pass->judged, (unsigned long long)ms);
    }
}

static void say_failed(struct revoke *revoke, const struct err *why)
{
    metrics_add(revoke->config.metrics, METRIC_REVOKE_ERRORS, NULL, NULL, 1);
    char text[sizeof(revoke->failing)];
    (void)err_text(why, text, sizeof(text));
    if (strcmp(revoke->failing, text) != 0) {
        log_event(LOG_LEVEL_ERROR, "revoke-failed", "error=%s effect=%s", log_quote(text),
                  log_quote("established connections that are denied now may live on until it works"));
        (void)memcpy(revoke->failing, text, sizeof(text));
    }
}

static void say_idle(const struct revoke *revoke, const struct err *err)
{
    if (revoke->config.idle && (err || revoke_queue_empty(&revoke->queue))) {
        revoke->config.idle(err, revoke->config.arg);
    }
}

static void end(struct revoke *revoke)
{
    struct revoke_pass *pass = &revoke->pass;
    uint64_t ms = (num_now_ns() - pass->start_ns) / NS_PER_MS;
    revoke->running = false;
    report(revoke, ms);
    if (pass->failed) {
        say_failed(revoke, &pass->err);
        revoke_queue_join(&revoke->queue, &pass->queue);
        revoke->retry_ms = !revoke->retry_ms                     ? RETRY_MIN_MS
                           : revoke->retry_ms * 2 < RETRY_MAX_MS ? revoke->retry_ms * 2
                                                                 : RETRY_MAX_MS;
        arm(revoke, revoke->retry_ms);
        announce_now(revoke);
        say_idle(revoke, &pass->err);
        return;
    }
    if (*revoke->failing) {
        log_event(LOG_LEVEL_INFO, "revoke-works-again", "judged=%zu", pass->judged);
        revoke->failing[0] = '\0';
    }
    revoke->retry_ms = 0;
    revoke->last_ns = num_now_ns();
    for (enum family family = FAMILY_V4; family <= FAMILY_V6; family++) {
        uint64_t unneeded_ms = (revoke->last_ns - revoke->needed_ns[family]) / NS_PER_MS;
        if (revoke->marked[family] || !revoke->announced[family]) {
            continue;
        }
        if (unneeded_ms < revoke->config.keep_ms) {
            loop_arm(revoke->keep_timer, revoke->config.keep_ms - unneeded_ms);
        } else if (pass->counted[family]) {
            announce(revoke, family, false);
        } else {
            revoke->queue.of[family].marked = true;
        }
    }
    announce_now(revoke);
    uint64_t pause_ms = ms * SHARE < PAUSE_MAX_MS ? ms * SHARE : PAUSE_MAX_MS;
    revoke->not_before_ns = revoke->last_ns + pause_ms * NS_PER_MS;
    wake(revoke);
    say_idle(revoke, NULL);
}

static int open_flows(struct revoke *revoke, struct err *err)
{
    return revoke->flows ? 0 : flows_open(revoke->config.loop, &revoke->flows, err);
}

static void begin(struct revoke *revoke)
{
    struct err err = {0};
    char why[512];
    if (revoke->running || revoke_queue_empty(&revoke->queue) || !revoke->facts) {
        return;
    }
    // What the state says by accident (emptied, another node's) cuts nothing and frees nothing.
    if (!sync_gate(revoke->config.state, revoke->config.node, why, sizeof(why))) {
        arm(revoke, RETRY_MIN_MS);
        return;
    }
    revoke->pass = (struct revoke_pass){.queue = revoke->queue, .start_ns = num_now_ns()};
    revoke->queue = (struct revoke_queue){0};
    revoke->pass.n_steps =
        revoke_queue_steps(&revoke->pass.queue, revoke->config.options.revoke_mask, revoke->pass.steps);
    revoke_cache_clear(revoke->cache);
    revoke->running = true;
    if (open_flows(revoke, &err) < 0) {
        fail(revoke, &err);
    }
    next(revoke);
}

static void on_timer(void *arg)
{
    begin(arg);
}

// What is marked is judged, and counted.
static void queue_marked(struct revoke *revoke)
{
    for (unsigned family = 0; family < FAMILY_COUNT; family++) {
        revoke->queue.of[family].marked = revoke->queue.of[family].marked || revoke->announced[family];
    }
}

static void on_keep(void *arg)
{
    queue_marked(arg);
    wake(arg);
}

static void on_period(void *arg)
{
    struct revoke *revoke = arg;
    for (unsigned family = 0; family < FAMILY_COUNT; family++) {
        revoke->queue.of[family].everything = revoke->queue.of[family].everything || revoke->sweep;
    }
    queue_marked(revoke);
    revoke->sweep = false;
    revoke_watch_look(revoke->watch);
    wake(revoke);
    loop_arm(revoke->period_timer, revoke->config.period_ms ? revoke->config.period_ms : PERIOD_MS);
}

void revoke_applied(struct revoke *revoke, const struct sync_applied *applied)
{
    bool everything = applied->first || applied->everything;
    if (!revoke->config.options.revoke_mask) {
        return;
    }
    if (applied->widens && !everything) {
        // Only what is cut may be judged differently.
        queue_marked(revoke);
    } else if (everything || applied->n_touched) {
        revoke_queue_add(&revoke->queue, applied->touched, applied->n_touched, everything);
        revoke->sweep = true;
    }
    wake(revoke);
}

void revoke_facts(struct revoke *revoke, const struct facts *facts)
{
    revoke->facts = facts;
}

// --------------------------------------------------------------------------------------------------------------------

int revoke_new(const struct revoke_config *config, struct revoke **ret, struct err *err)
{
    CLEANUP(revoke_free) struct revoke *revoke = calloc(1, sizeof(*revoke));
    if (!revoke) {
        return err_oom(err);
    }
    revoke->config = *config;
    if (revoke_cache_new(&revoke->cache, err) < 0 ||
        revoke_watch_new(config->loop, config->metrics, config->options.revoke_mask, &revoke->watch, err) < 0 ||
        loop_add_timer(config->loop, on_timer, revoke, &revoke->timer, err) < 0 ||
        loop_add_timer(config->loop, on_period, revoke, &revoke->period_timer, err) < 0 ||
        loop_add_timer(config->loop, on_keep, revoke, &revoke->keep_timer, err) < 0 ||
        loop_add_timer(config->loop, on_announce, revoke, &revoke->announce_timer, err) < 0) {
        return -1;
    }
    if (config->options.revoke_mask) {
        loop_arm(revoke->period_timer, config->period_ms ? config->period_ms : PERIOD_MS);
    }
    // Flows that an earlier run has cut stay so until they are judged: the first rules cut them already.
    revoke_present(&config->options, revoke->announced);
    config->marked(revoke->announced, config->arg);
    *ret = TAKE(revoke);
    return 0;
}

void revoke_free(struct revoke *revoke)
{
    if (!revoke) {
        return;
    }
    revoke_watch_free(revoke->watch);
    flows_close(revoke->flows);
    revoke_cache_free(revoke->cache);
    loop_remove_timer(revoke->timer);
    loop_remove_timer(revoke->period_timer);
    loop_remove_timer(revoke->keep_timer);
    loop_remove_timer(revoke->announce_timer);
    vec_free(&revoke->deny);
    vec_free(&revoke->allow);
    free(revoke);
}

void revoke_status(const struct revoke *revoke, struct buf *out)
{
    buf_printf(out, "{\"enabled\":%s", revoke->config.options.revoke_mask ? "true" : "false");
    if (revoke->config.options.revoke_mask) {
        buf_printf(out, ",\"mark\":\"0x%x\",\"cut_now\":{\"IPv4\":%zu,\"IPv6\":%zu}",
                   revoke->config.options.revoke_mask, revoke->marked[FAMILY_V4], revoke->marked[FAMILY_V6]);
        buf_printf(out, ",\"cut\":%llu,\"restored\":%llu,\"running\":%s", (unsigned long long)revoke->total_cut,
                   (unsigned long long)revoke->total_restored, revoke->running ? "true" : "false");
        buf_printf(out, ",\"marks_lost\":%zu", revoke_watch_lost(revoke->watch));
        if (revoke->last_ns) {
            buf_printf(out, ",\"last_pass\":{\"seconds_ago\":%.3f,\"ms\":%llu,\"judged\":%zu}",
                       (double)(num_now_ns() - revoke->last_ns) / (1000.0 * NS_PER_MS),
                       (unsigned long long)revoke->last_ms, revoke->last_judged);
        } else {
            buf_puts(out, ",\"last_pass\":null");
        }
        buf_puts(out, ",\"failing\":");
        if (*revoke->failing) {
            buf_json_string(out, revoke->failing);
        } else {
            buf_puts(out, "null");
        }
    }
    buf_putc(out, '}');
}
