// SPDX-License-Identifier: Apache-2.0
#include "agent/host_watch.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "host/facts_check.h"
#include "host/facts_read.h"

enum { QUIET_MS = 20, RETRY_MS = 1000, UNHEALTHY_MS = 2000, SWITCH_MS = 5000 };

struct host_watch {
    struct host_watch_config config;
    struct facts *facts;
    int fd;
    struct loop_fd *readable;
    struct loop_timer *timer;
    struct loop_timer *switch_timer;
    bool failing;
};

typedef VEC(const char *) name_list;

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort_unique(name_list *names)
{
    if (names->n < 2) {
        return;
    }
    qsort(names->v, names->n, sizeof(*names->v), compare_names);
    size_t kept = 1;
    for (size_t i = 1; i < names->n; i++) {
        if (strcmp(names->v[i], names->v[kept - 1]) != 0) {
            names->v[kept++] = names->v[i];
        }
    }
    names->n = kept;
}

// A bridge needs the switch of IPv4 for pods that have an IPv4 address, and that of IPv6 for all of them: link-local
// addresses are there without being given (DESIGN 11).
static int add_bridges(const struct facts *facts, const struct pod *pod, name_list bridges[FAMILY_COUNT])
{
    bool has_v4 = false;
    for (size_t i = 0; i < pod->n_addresses; i++) {
        has_v4 = has_v4 || pod->addresses[i].family == FAMILY_V4;
    }
    for (size_t i = 0; i < pod->n_addresses; i++) {
        const struct facts_interface *behind = facts_pod_interface(facts, &pod->addresses[i]);
        if (!behind || strcmp(behind->kind, "bridge") != 0) {
            continue;
        }
        if (vec_push(&bridges[FAMILY_V6], behind->name) < 0 ||
            (has_v4 && vec_push(&bridges[FAMILY_V4], behind->name) < 0)) {
            return -1;
        }
    }
    return 0;
}

static int check(const struct facts *facts, struct state *state, const char *node, name_list bridges[FAMILY_COUNT],
                 struct facts_check **ret, struct err *err)
{
    size_t n;
    const struct pod *const *pods = state_pods(state, &n);
    if (!pods && n) {
        return err_oom(err);
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(pods[i]->node, node) == 0 && pod_is_live(pods[i]) && add_bridges(facts, pods[i], bridges) < 0) {
            return err_oom(err);
        }
    }
    const char *const *lists[FAMILY_COUNT];
    size_t counts[FAMILY_COUNT];
    for (unsigned family = 0; family < FAMILY_COUNT; family++) {
        sort_unique(&bridges[family]);
        lists[family] = bridges[family].v;
        counts[family] = bridges[family].n;
    }
    return facts_check(facts, lists, counts, ret, err);
}

int host_check_bridges(const struct facts *facts, struct state *state, const char *node, bool ret_ok[FAMILY_COUNT],
                       struct buf *out, struct err *err)
{
    name_list bridges[FAMILY_COUNT] = {0};
    CLEANUP(facts_check_free) struct facts_check *got = NULL;
    int rc = check(facts, state, node, bridges, &got, err);
    for (unsigned family = 0; family < FAMILY_COUNT; family++) {
        vec_free(&bridges[family]);
    }
    if (rc < 0) {
        return -1;
    }
    for (unsigned family = 0; family < FAMILY_COUNT; family++) {
        ret_ok[family] = true;
    }
    for (size_t i = 0; i < got->n; i++) {
        ret_ok[got->findings[i].family] = false;
        buf_printf(out, "%s%s", i ? "; " : "", got->findings[i].text);
    }
    return out->failed ? err_oom(err) : 0;
}

void host_watch_check(struct host_watch *watch)
{
    if (!watch->facts) {
        return;
    }
    struct err err = {0};
    BUF_CLEANUP struct buf text = {0};
    bool ok[FAMILY_COUNT];
    if (host_check_bridges(watch->facts, watch->config.state, watch->config.node, ok, &text, &err) < 0) {
        log_event(LOG_LEVEL_ERROR, "host-check-failed", "error=%s", log_quote(err.msg));
        return;
    }
    bool all = true;
    for (unsigned family = 0; family < FAMILY_COUNT; family++) {
        all = all && ok[family];
        metrics_set(watch->config.metrics, METRIC_BRIDGE_NETFILTER, family == FAMILY_V4 ? "4" : "6", NULL, ok[family]);
    }
    if (health_set(watch->config.health, HEALTH_BRIDGE, all, all ? "" : text.data)) {
        if (all) {
            log_event(LOG_LEVEL_INFO, "bridge-netfilter-ok", "%s", "effect=\"bridged packets pass the rules\"");
        } else {
            log_event(LOG_LEVEL_ERROR, "bridge-netfilter-off", "why=%s", log_quote(text.data));
        }
    }
    if (!all) {
        loop_arm(watch->timer, UNHEALTHY_MS);
    }
}

static void read_again(struct host_watch *watch)
{
    struct err err = {0};
    CLEANUP(facts_free) struct facts *fresh = NULL;
    metrics_add(watch->config.metrics, METRIC_HOST_FACTS_READS, NULL, NULL, 1);
    if (facts_read(&fresh, &err) < 0) {
        char text[1024];
        (void)err_text(&err, text, sizeof(text));
        if (health_set(watch->config.health, HEALTH_HOST, false, text)) {
            log_event(LOG_LEVEL_ERROR, "host-facts-failed", "error=%s", log_quote(text));
        }
        metrics_add(watch->config.metrics, METRIC_APPLY_ERRORS, "facts", NULL, 1);
        loop_arm(watch->timer, RETRY_MS);
        return;
    }
    (void)health_set(watch->config.health, HEALTH_HOST, true, "");
    loop_arm(watch->timer, watch->config.period_ms ? watch->config.period_ms : UNHEALTHY_MS);
    if (!watch->facts || !facts_equal(watch->facts, fresh)) {
        log_event(LOG_LEVEL_DEBUG, "host-facts", "interfaces=%zu routes=%zu ipvs=%s", fresh->n_interfaces,
                  fresh->n_routes, fresh->ipvs ? "true" : "false");
        CLEANUP(facts_free) struct facts *old = watch->facts;
        watch->facts = TAKE(fresh);
        watch->config.changed(watch->facts, watch->config.arg);
        (void)old;
    }
    host_watch_check(watch);
}

static void on_timer(void *arg)
{
    read_again(arg);
}

// Somebody may turn a switch off at any time, and no message tells.
static void on_switch_timer(void *arg)
{
    struct host_watch *watch = arg;
    enum facts_switch now[FAMILY_COUNT];
    loop_arm(watch->switch_timer, SWITCH_MS);
    facts_read_bridge_nf(now);
    if (watch->facts && memcmp(now, watch->facts->bridge_nf, sizeof(now)) != 0) {
        read_again(watch);
    }
}

static void on_readable(int fd, UNUSED unsigned events, void *arg)
{
    struct host_watch *watch = arg;
    if (facts_monitor_drain(fd)) {
        loop_arm(watch->timer, QUIET_MS);
    }
}

int host_watch_new(const struct host_watch_config *config, struct host_watch **ret, struct err *err)
{
    CLEANUP(host_watch_free) struct host_watch *watch = calloc(1, sizeof(*watch));
    if (!watch) {
        return err_oom(err);
    }
    *watch = (struct host_watch){.config = *config, .fd = -1};
    if (facts_monitor_open(&watch->fd, err) < 0 ||
        loop_add_fd(config->loop, watch->fd, LOOP_READ, on_readable, watch, &watch->readable, err) < 0 ||
        loop_add_timer(config->loop, on_timer, watch, &watch->timer, err) < 0 ||
        loop_add_timer(config->loop, on_switch_timer, watch, &watch->switch_timer, err) < 0) {
        return -1;
    }
    loop_arm(watch->timer, 0);
    loop_arm(watch->switch_timer, SWITCH_MS);
    *ret = TAKE(watch);
    return 0;
}

void host_watch_free(struct host_watch *watch)
{
    if (!watch) {
        return;
    }
    loop_remove_fd(watch->readable);
    loop_remove_timer(watch->timer);
    loop_remove_timer(watch->switch_timer);
    if (watch->fd >= 0) {
        (void)close(watch->fd);
    }
    facts_free(watch->facts);
    free(watch);
}

void host_watch_refresh(struct host_watch *watch)
{
    loop_arm(watch->timer, 0);
}
