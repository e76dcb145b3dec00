// SPDX-License-Identifier: Apache-2.0
#include "source/api_source.h"

#include <stdio.h>
#include <sys/random.h>

#include "base/num.h"
#include "base/version.h"

enum { MASS_MS = 2000 };  // watches that break within that time break of one cause

void api_source_changed(struct api_source *source)
{
    source->changed = true;
    loop_arm(source->tell, 0);
}

void api_source_check_synced(struct api_source *source)
{
    bool all = true;
    for (size_t i = 0; i < source->n_kinds; i++) {
        const struct api_kind *kind = &source->kinds[i];
        bool spared = kind->row->optional && (!source->options.once || kind->settled);
        all = all && (kind->synced || spared);
    }
    if (all && !source->synced) {
        source->synced = true;
        loop_arm(source->tell, 0);
    }
}

void api_source_problem(struct api_source *source, const char *why)
{
    if (!source->synced) {
        (void)snprintf(source->problem, sizeof(source->problem), "%s", why);
        source->problem_new = true;
        loop_arm(source->tell, 0);
    }
}

// One call to the owner a time: it may end the source in it.
static void on_tell(void *arg)
{
    struct api_source *source = arg;
    const struct source_owner owner = source->owner;
    bool synced = source->synced && !source->synced_told;
    if (source->changed) {
        source->changed = false;
        if (synced || source->problem_new) {
            loop_arm(source->tell, 0);
        }
        owner.changed(owner.arg);
    } else if (synced) {
        source->synced_told = true;
        source->problem_new = false;
        owner.synced(true, "", owner.arg);
    } else if (source->problem_new && !source->synced) {
        char why[sizeof(source->problem)];
        memcpy(why, source->problem, sizeof(why));
        source->problem_new = false;
        owner.synced(false, why, owner.arg);
    }
}

void api_source_pump(struct api_source *source)
{
    loop_arm(source->pump_timer, 0);
}

// Nobody answers, and somebody waits to try again: then all others need not try for themselves.
static bool is_unreached(const struct api_source *source)
{
    bool waits = false;
    for (size_t i = 0; i < source->n_kinds; i++) {
        const struct api_kind *kind = &source->kinds[i];
        waits = waits || (kind->phase == API_WAITING && kind->unreached);
    }
    return waits && source->unreached;
}

// What may have no watch any more: its versions are those of another history. Not from within a transfer's callback.
static void stop_forgotten(struct api_source *source)
{
    for (size_t i = 0; i < source->n_kinds; i++) {
        struct api_kind *kind = &source->kinds[i];
        if (kind->phase == API_WATCHING && kind->relist && !kind->version) {
            api_watch_stop(kind);
            kind->phase = API_WANTS_SYNC;
        }
    }
}

// When the kind may be read: 0 now, else the time; UINT64_MAX: it does not want to be.
static uint64_t due(const struct api_source *source, struct api_kind *kind, uint64_t now_ms)
{
    if (kind->phase == API_WATCHING && kind->refresh_ms) {
        if (now_ms < kind->refresh_ms) {
            return kind->refresh_ms;
        }
        kind->refresh_ms = 0;
        kind->relist = true;
        kind->why = "refresh";
    }
    if (kind->phase != API_WANTS_SYNC && !(kind->relist && (kind->phase == API_WATCHING || kind->phase == API_DONE))) {
        return UINT64_MAX;
    }
    bool holds = kind->synced && source->synced && source->hold_ms > source->busy_ms;
    uint64_t from_ms = holds ? source->hold_ms : source->busy_ms;
    return now_ms < from_ms ? from_ms : 0;
}

static void on_pump(void *arg)
{
    struct api_source *source = arg;
    uint64_t now_ms = num_now_ms();
    uint64_t next_ms = UINT64_MAX;
    stop_forgotten(source);
    if (is_unreached(source) || !source->started) {
        return;
    }
    // Each in its turn: one whose lists fail must not come before all others again and again.
    size_t first = source->turn;
    for (size_t i = 0; i < source->n_kinds && !source->syncing; i++) {
        size_t index = (first + i) % source->n_kinds;
        struct api_kind *kind = &source->kinds[index];
        uint64_t ms = due(source, kind, now_ms);
        if (ms == 0) {
            source->turn = (index + 1) % source->n_kinds;
            api_watch_stop(kind);
            api_kind_sync(kind);
        } else if (ms < next_ms) {
            next_ms = ms;
        }
    }
    if (next_ms != UINT64_MAX && !source->syncing) {
        loop_arm(source->pump_timer, next_ms - now_ms);
    }
}

static size_t watching(const struct api_source *source, uint64_t now_ms, size_t *ret_broken)
{
    size_t n = 0;
    *ret_broken = 0;
    for (size_t i = 0; i < source->n_kinds; i++) {
        const struct api_kind *kind = &source->kinds[i];
        if (kind->synced) {
            n++;
            *ret_broken += kind->broke_ms && now_ms - kind->broke_ms <= MASS_MS;
        }
    }
    return n;
}

void api_source_check_mass(struct api_source *source)
{
    uint64_t now_ms = num_now_ms();
    size_t broken;
    size_t n = watching(source, now_ms, &broken);
    if (n < 2 || broken < n || now_ms < source->hold_ms) {
        return;
    }
    source->hold_ms =
        now_ms + api_plan_spread(&source->timing, state_count(source->state, OBJECT_NODE), &source->random);
}

void api_source_went_back(struct api_kind *first, const char *held, const char *found)
{
    struct api_source *source = first->source;
    api_say(source, SOURCE_WARN, "server-went-back", "kind=%s held=%s found=%s", first->label, held, found);
    for (size_t i = 0; i < source->n_kinds; i++) {
        struct api_kind *kind = &source->kinds[i];
        // The one that was just read has what is true now.
        bool done = kind == first && kind->version && strcmp(kind->version, found) == 0;
        if (!kind->synced || done || kind->phase == API_SYNCING) {
            continue;
        }
        free(kind->version);
        kind->version = NULL;
        kind->relist = true;
        kind->why = "went-back";
    }
    api_source_pump(source);
}

// Everything is read again, one kind after the other; waiting kinds do not wait any longer.
static void refresh(struct source *base)
{
    struct api_source *source = CONTAINER_OF(base, struct api_source, base);
    for (size_t i = 0; i < source->n_kinds && source->started; i++) {
        struct api_kind *kind = &source->kinds[i];
        if (kind->phase == API_SYNCING || kind->phase == API_LOOKING) {
            continue;
        }
        kind->relist = true;
        kind->why = "refresh";
        if (kind->phase == API_WAITING) {
            loop_disarm(kind->timer);
            api_kind_go(kind, kind->next == API_NEXT_LOOK ? API_NEXT_LOOK : API_NEXT_SYNC);
        }
    }
    api_source_pump(source);
}

static void source_free(struct api_source *source)
{
    for (size_t i = 0; i < source->n_kinds; i++) {
        api_kind_free(&source->kinds[i]);
    }
    api_ask_cancel(&source->start);
    api_ask_cancel(&source->version_ask);
    http_free(source->http);
    credentials_free(source->credentials);
    loop_remove_timer(source->tell);
    loop_remove_timer(source->pump_timer);
    loop_remove_timer(source->start_timer);
    loop_remove_timer(source->calls_timer);
    api_config_free(source->config);
    free(source->git_version);
    free(source->node);
    free(source->kinds);
    free(source);
}
CLEANUP_DEFINE(struct api_source, source_free);

static void free_base(struct source *base)
{
    if (base) {
        source_free(CONTAINER_OF(base, struct api_source, base));
    }
}

static const struct source_ops api_source_ops = {.name = "kubernetes", .free = free_base, .refresh = refresh};

static void seed(struct api_source *source)
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random)) {
        random = num_now_ns();
    }
    source->random.state = random | 1;
}

static int kinds_init(struct api_source *source, const struct api_kind_row *rows, size_t n, struct err *err)
{
    source->kinds = calloc(n, sizeof(*source->kinds));
    if (!source->kinds) {
        return err_oom(err);
    }
    for (size_t i = 0; i < n; i++) {
        bool shared = false;
        for (size_t k = 0; k < n; k++) {
            shared = shared || (k != i && rows[k].kind == rows[i].kind);
        }
        source->n_kinds = i + 1;
        if (api_kind_init(source, &source->kinds[i], &rows[i], shared, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static void on_settled(void *arg)
{
    struct api_source *source = arg;
    source->settled = true;
    loop_arm(source->calls_timer, 0);
}

static void on_credentials_report(const char *event, const char *fields, void *arg)
{
    struct api_source *source = arg;
    source->owner.report(SOURCE_WARN, event, fields, source->owner.arg);
}

static int timers_init(struct api_source *source, struct err *err)
{
    struct loop *loop = source->loop;
    return loop_add_timer(loop, on_tell, source, &source->tell, err) < 0 ||
                   loop_add_timer(loop, on_pump, source, &source->pump_timer, err) < 0 ||
                   loop_add_timer(loop, api_start_due, source, &source->start_timer, err) < 0 ||
                   loop_add_timer(loop, api_calls_pump, source, &source->calls_timer, err) < 0
               ? -1
               : 0;
}

static int credentials_init(struct api_source *source, struct err *err)
{
    const struct credentials_owner owner = {.arg = source, .settled = on_settled, .report = on_credentials_report};
    return api_config_check(source->config, err) < 0 || api_url_parse(source->config->server, &source->url, err) < 0 ||
                   credentials_new(source->loop, source->config, &owner, &source->credentials, err) < 0 ||
                   credentials_prepare(source->credentials, err) == CREDENTIALS_FAILED
               ? -1
               : 0;
}

int api_source_new_with(struct loop *loop, struct api_config *config, const struct api_options *options,
                        const struct api_timing *timing, const struct api_kind_row *kinds, size_t n_kinds,
                        struct state *state, const struct source_owner *owner, struct source **ret, struct err *err)
{
    CLEANUP(source_free) struct api_source *source = calloc(1, sizeof(*source));
    if (!source) {
        api_config_free(config);
        return err_oom(err);
    }
    source->base.ops = &api_source_ops;
    source->owner = *owner;
    source->options = *options;
    source->loop = loop;
    source->state = state;
    source->config = config;
    source->timing = *timing;
    seed(source);
    if (!kinds) {
        kinds = api_kind_rows;
        n_kinds = api_n_kind_rows;
    }
    source->node = options->node ? strdup(options->node) : NULL;
    if (options->node && !source->node) {
        return err_oom(err);
    }
    source->start_asks_node = source->node && !options->has_rules;
    char user_agent[128];
    (void)snprintf(user_agent, sizeof(user_agent), "netpold/%s (linux) %s", version_string(), version_commit());
    if (timers_init(source, err) < 0 || credentials_init(source, err) < 0 ||
        http_new(loop, user_agent, &source->http, err) < 0 || kinds_init(source, kinds, n_kinds, err) < 0) {
        return -1;
    }
    // Everything starts from the loop: nobody is told anything from within this call.
    loop_arm(source->start_timer, 0);
    *ret = &TAKE(source)->base;
    return 0;
}

int api_source_new(struct loop *loop, struct api_config *config, const struct api_options *options, struct state *state,
                   const struct source_owner *owner, struct source **ret, struct err *err)
{
    return api_source_new_with(loop, config, options, &api_timing_default, NULL, 0, state, owner, ret, err);
}
