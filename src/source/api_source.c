// SPDX-License-Identifier: Apache-2.0
#include "source/api_source.h"

#include <stdio.h>
#include <sys/random.h>

#include "base/num.h"
#include "base/version.h"

const struct api_timing api_timing_default = {
    .backoff_first_ms = 800,
    .backoff_max_ms = 30000,
    .denied_ms = 30000,
    .retry_after_max_s = 60,
    .spread_ms = 1000,
    .short_watch_ms = 1000,
    .watch_min_s = 300,
    .watch_max_s = 600,
    .watch_grace_ms = 30000,
    .list_ms = 90000,
};

// In the order of their first lists. Finished pods have given up their addresses: an object that stops to match the
// selector arrives as DELETED.
static const struct {
    enum object_kind kind;
    const char *label;
    const char *path;
    const char *selector;
} kind_table[API_KINDS] = {
    {OBJECT_NAMESPACE, "namespaces", "/api/v1/namespaces", NULL},
    {OBJECT_POLICY, "networkpolicies", "/apis/networking.k8s.io/v1/networkpolicies", NULL},
    {OBJECT_NODE, "nodes", "/api/v1/nodes", NULL},
    {OBJECT_POD, "pods", "/api/v1/pods", "status.phase!=Succeeded,status.phase!=Failed"},
};

void api_kind_count(const struct api_kind *kind, const char *counter, unsigned delta)
{
    kind->source->owner.count(counter, kind->label, delta, kind->source->owner.arg);
}

void api_source_changed(struct api_source *source)
{
    source->changed = true;
    loop_arm(source->tell, 0);
}

void api_source_check_synced(struct api_source *source)
{
    bool all = true;
    for (size_t i = 0; i < API_KINDS; i++) {
        all = all && source->kinds[i].synced;
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
    for (size_t i = 0; i < API_KINDS && !source->listing; i++) {
        struct api_kind *kind = &source->kinds[i];
        if (kind->phase == API_WATCHING && kind->relist) {
            http_cancel(TAKE(kind->request));
            lines_free(&kind->lines);
            kind->phase = API_WANTS_LIST;
        }
        if (kind->phase == API_WANTS_LIST) {
            api_list_start(kind);
        }
    }
}

void api_kind_want_list(struct api_kind *kind)
{
    kind->phase = API_WANTS_LIST;
    api_source_pump(kind->source);
}

static void on_timer(void *arg)
{
    struct api_kind *kind = arg;
    if (kind->phase != API_WAITING) {
        return;
    }
    if (kind->resume && !kind->relist) {
        api_watch_start(kind);
    } else {
        api_kind_want_list(kind);
    }
}

// Everything is listed again, one kind after the other; waiting kinds do not wait any longer.
static void refresh(struct source *base)
{
    struct api_source *source = CONTAINER_OF(base, struct api_source, base);
    for (size_t i = 0; i < API_KINDS; i++) {
        struct api_kind *kind = &source->kinds[i];
        kind->relist = kind->phase != API_LISTING;
        if (kind->phase == API_WAITING) {
            loop_disarm(kind->timer);
            kind->phase = API_WANTS_LIST;
        }
    }
    api_source_pump(source);
}

static void kind_free(struct api_kind *kind)
{
    http_cancel(TAKE(kind->request));
    api_list_reset(kind);
    lines_free(&kind->lines);
    arena_free(&kind->arena);
    buf_free(&kind->pruned);
    loop_remove_timer(kind->timer);
    free(kind->version);
}

static void source_free(struct api_source *source)
{
    for (size_t i = 0; i < API_KINDS; i++) {
        kind_free(&source->kinds[i]);
    }
    http_free(source->http);
    loop_remove_timer(source->tell);
    credentials_clear(&source->credentials);
    api_config_free(source->config);
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
    source->random = random | 1;
}

static int kinds_init(struct api_source *source, struct err *err)
{
    for (size_t i = 0; i < API_KINDS; i++) {
        struct api_kind *kind = &source->kinds[i];
        *kind = (struct api_kind){.source = source,
                                  .kind = kind_table[i].kind,
                                  .label = kind_table[i].label,
                                  .path = kind_table[i].path,
                                  .selector = kind_table[i].selector,
                                  .phase = API_WANTS_LIST};
        if (loop_add_timer(source->loop, on_timer, kind, &kind->timer, err) < 0) {
            return -1;
        }
    }
    // The first list starts from the loop: nobody is told anything from within this call.
    struct api_kind *first = &source->kinds[0];
    first->phase = API_WAITING;
    loop_arm(first->timer, 0);
    return 0;
}

int api_source_new_timed(struct loop *loop, struct api_config *config, const struct api_timing *timing,
                         struct state *state, const struct source_owner *owner, struct source **ret, struct err *err)
{
    CLEANUP(source_free) struct api_source *source = calloc(1, sizeof(*source));
    if (!source) {
        api_config_free(config);
        return err_oom(err);
    }
    source->base.ops = &api_source_ops;
    source->owner = *owner;
    source->loop = loop;
    source->state = state;
    source->config = config;
    source->timing = *timing;
    seed(source);
    char user_agent[128];
    (void)snprintf(user_agent, sizeof(user_agent), "netpold/%s (linux) %s", version_string(), version_commit());
    bool usable = false;
    if (api_config_check(config, err) < 0 || api_url_parse(config->server, &source->url, err) < 0 ||
        (credentials_read(&source->credentials, config, &usable, err) < 0 && !usable) ||
        loop_add_timer(loop, on_tell, source, &source->tell, err) < 0 ||
        http_new(loop, user_agent, &source->http, err) < 0 || kinds_init(source, err) < 0) {
        return -1;
    }
    *ret = &TAKE(source)->base;
    return 0;
}

int api_source_new(struct loop *loop, struct api_config *config, struct state *state, const struct source_owner *owner,
                   struct source **ret, struct err *err)
{
    return api_source_new_timed(loop, config, &api_timing_default, state, owner, ret, err);
}
