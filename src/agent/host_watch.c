// SPDX-License-Identifier: Apache-2.0
#include "agent/host_watch.h"

#include <stdio.h>
#include <unistd.h>

#include "agent/host_ports.h"
#include "base/log.h"
#include "base/num.h"
#include "host/facts_read.h"
#include "host/facts_read_claims.h"

enum {
    QUIET_MS = 20,
    RETRY_MS = 1000,
    UNHEALTHY_MS = 2000,
    SWITCH_MS = 5000,
    LOOK_MS = 1000,     // at most one question about bridge ports in that time, whatever pods do
    REFUSED_MS = 60000  // at most one line about claims that are not believed
};

struct host_watch {
    struct host_watch_config config;
    struct facts *base;   // as read
    struct facts *facts;  // as told: with ports and revoked families
    struct host_ports *ports;
    bool revoked[FAMILY_COUNT];
    int fd;
    struct loop_fd *readable;
    struct loop_timer *timer;
    struct loop_timer *switch_timer;
    int learn_fd;  // -1 unless the bridges may learn what is not known
    struct loop_fd *learnt;
    struct loop_timer *look_timer;
    uint64_t looked_ms;   // 0 never
    bool save_failed;     // and said
    uint64_t refused_ms;  // when such a line was logged; 0 never
};

static void set_bridges(struct host_watch *watch, const bool ok[FAMILY_COUNT], const char *why)
{
    bool all = true;
    for (unsigned family = 0; family < FAMILY_COUNT; family++) {
        all = all && ok[family];
        metrics_set(watch->config.metrics, METRIC_BRIDGE_NETFILTER, family == FAMILY_V4 ? "4" : "6", NULL, ok[family]);
    }
    if (health_set(watch->config.health, HEALTH_BRIDGE, all, all ? "" : why)) {
        if (all) {
            log_event(LOG_LEVEL_INFO, "bridge-netfilter-ok", "%s", "effect=\"bridged packets pass the rules\"");
        } else {
            log_event(LOG_LEVEL_ERROR, "bridge-netfilter-off", "why=%s", log_quote(why));
        }
    }
    if (!all) {
        loop_arm(watch->timer, UNHEALTHY_MS);
    }
}

static void set_vlan(struct host_watch *watch, bool ok, const char *why)
{
    metrics_set(watch->config.metrics, METRIC_BRIDGE_VLAN_FILTER, NULL, NULL, ok);
    if (health_warn(watch->config.health, HEALTH_BRIDGE, ok ? "" : why)) {
        if (ok) {
            log_event(LOG_LEVEL_INFO, "bridge-vlan-filter-ok", "%s",
                      "effect=\"bridged packets with a VLAN tag pass the rules\"");
        } else {
            log_event(LOG_LEVEL_WARN, "bridge-vlan-filter-off", "why=%s", log_quote(why));
        }
    }
}

static void check(struct host_watch *watch)
{
    struct err err = {0};
    BUF_CLEANUP struct buf text = {0};
    BUF_CLEANUP struct buf vlan_text = {0};
    bool ok[FAMILY_COUNT];
    bool vlan_ok = true;
    if (host_check_all(watch->facts, watch->config.state, watch->config.node, ok, &text, &vlan_ok, &vlan_text, &err) <
        0) {
        log_event(LOG_LEVEL_ERROR, "host-check-failed", "error=%s", log_quote(err.msg));
        return;
    }
    set_bridges(watch, ok, text.data);
    set_vlan(watch, vlan_ok, vlan_text.data);
}

void host_watch_check(struct host_watch *watch)
{
    if (!watch->facts) {
        return;
    }
    check(watch);
    // Not from here: the caller may stand in the middle of something that `changed` changes.
    loop_arm(watch->look_timer, 0);
}

// ---- bridge ports --------------------------------------------------------------------------------------------------

static void say_refused(struct host_watch *watch, const struct host_ports_view *view)
{
    uint64_t now_ms = num_now_ms();
    if (view->n_refused == 0 || (watch->refused_ms && now_ms - watch->refused_ms < REFUSED_MS)) {
        return;
    }
    char text[ADDRESS_TEXT];
    watch->refused_ms = now_ms;
    log_event(LOG_LEVEL_WARN, "bridge-port-refused", "address=%s port=%s others=%zu why=%s",
              address_format(&view->refused.address, text), view->refused.port, view->n_refused - 1,
              log_quote("it is known behind another port, or the port is another pod's: a pod may be lying"));
}

static void stop_learning(struct host_watch *watch)
{
    loop_remove_fd(watch->learnt);
    watch->learnt = NULL;
    if (watch->learn_fd >= 0) {
        (void)close(watch->learn_fd);
        watch->learn_fd = -1;
    }
}

// One word is enough: what else it would say is not read, pods can say it without end.
static void on_learnt(UNUSED int fd, UNUSED unsigned events, void *arg)
{
    struct host_watch *watch = arg;
    stop_learning(watch);
    loop_arm(watch->look_timer, QUIET_MS);
}

static void start_learning(struct host_watch *watch)
{
    struct err err = {0};
    if (watch->learn_fd >= 0) {
        return;
    }
    if (facts_claims_monitor_open(&watch->learn_fd, &err) < 0 ||
        loop_add_fd(watch->config.loop, watch->learn_fd, LOOP_READ, on_learnt, watch, &watch->learnt, &err) < 0) {
        stop_learning(watch);
        log_event(LOG_LEVEL_WARN, "bridge-monitor-failed", "error=%s", log_quote(err.msg));
    }
}

static bool is_news(const struct host_watch *watch, const struct host_ports_view *view)
{
    const struct facts *told = watch->facts;
    if (!told || told->n_ports != view->n || memcmp(told->revoked, watch->revoked, sizeof(told->revoked)) != 0) {
        return true;
    }
    for (size_t i = 0; i < view->n; i++) {
        if (!address_equal(&told->ports[i].address, &view->bindings[i].port.address) ||
            strcmp(told->ports[i].port, view->bindings[i].port.port) != 0) {
            return true;
        }
    }
    return false;
}

static void save(struct host_watch *watch)
{
    struct err err = {0};
    if (host_ports_save(watch->ports, watch->revoked, &err) < 0 && !watch->save_failed) {
        log_event(LOG_LEVEL_WARN, "host-book-not-written", "error=%s effect=%s", log_quote(err.msg),
                  log_quote("after a restart, bridge ports are learnt anew"));
        watch->save_failed = true;
    }
}

// Tells what is read and known now, if that is news.
static int tell(struct host_watch *watch, bool base_is_new, struct err *err)
{
    struct host_ports_view view;
    host_ports_view(watch->ports, &view);
    if (!base_is_new && !is_news(watch, &view)) {
        return 0;
    }
    CLEANUP(facts_free) struct facts *fresh = NULL;
    if (host_ports_put(watch->ports, watch->base, watch->revoked, &fresh, err) < 0) {
        return -1;
    }
    if (!watch->facts || !facts_equal(watch->facts, fresh)) {
        log_event(LOG_LEVEL_DEBUG, "host-facts", "interfaces=%zu routes=%zu ports=%zu ipvs=%s", fresh->n_interfaces,
                  fresh->n_routes, fresh->n_ports, fresh->ipvs ? "true" : "false");
        CLEANUP(facts_free) struct facts *old = watch->facts;
        watch->facts = TAKE(fresh);
        watch->config.changed(watch->facts, watch->config.arg);
        if (!old || old->n_ports + watch->facts->n_ports > 0 ||
            memcmp(old->revoked, watch->facts->revoked, sizeof(old->revoked)) != 0) {
            save(watch);
        }
    }
    return 0;
}

static void count_ports(struct host_watch *watch)
{
    struct host_ports_view view;
    host_ports_view(watch->ports, &view);
    metrics_set(watch->config.metrics, METRIC_BRIDGE_PORTS, "cni", NULL, (double)view.n_told);
    metrics_set(watch->config.metrics, METRIC_BRIDGE_PORTS, "learnt", NULL, (double)(view.n - view.n_told));
    metrics_set(watch->config.metrics, METRIC_BRIDGE_PORTS, "unknown", NULL, (double)view.n_unknown);
    metrics_add(watch->config.metrics, METRIC_BRIDGE_PORTS_REFUSED, NULL, NULL, (double)view.n_refused);
    say_refused(watch, &view);
}

// Asks the kernel, unless it was asked just now: then only what is known is checked, and it is asked later.
static int look(struct host_watch *watch, struct err *err)
{
    uint64_t now_ms = num_now_ms();
    uint64_t since_ms = now_ms - watch->looked_ms;
    bool ask = watch->looked_ms == 0 || since_ms >= LOOK_MS;
    struct host_ports_view view;
    if (ask) {
        // What is learnt while the kernel is asked is not missed.
        stop_learning(watch);
        start_learning(watch);
        watch->looked_ms = now_ms;
    }
    if (host_ports_look(watch->ports, watch->base, watch->config.state, watch->config.node, ask, err) < 0) {
        return -1;
    }
    count_ports(watch);
    host_ports_view(watch->ports, &view);
    if (view.n_unknown == 0) {
        stop_learning(watch);
    } else if (!ask) {
        loop_arm(watch->look_timer, LOOK_MS - since_ms);
    }
    return 0;
}

static void fail(struct host_watch *watch, struct err *err)
{
    char text[1024];
    (void)err_text(err, text, sizeof(text));
    if (health_set(watch->config.health, HEALTH_HOST, false, text)) {
        log_event(LOG_LEVEL_ERROR, "host-facts-failed", "error=%s", log_quote(text));
    }
    metrics_add(watch->config.metrics, METRIC_APPLY_ERRORS, "facts", NULL, 1);
    loop_arm(watch->timer, RETRY_MS);
}

static void on_look_timer(void *arg)
{
    struct host_watch *watch = arg;
    struct err err = {0};
    if (watch->base && (look(watch, &err) < 0 || tell(watch, false, &err) < 0)) {
        fail(watch, &err);
    }
}

void host_watch_revoked(struct host_watch *watch, const bool revoked[FAMILY_COUNT])
{
    struct err err = {0};
    memcpy(watch->revoked, revoked, sizeof(watch->revoked));
    if (watch->base && tell(watch, false, &err) < 0) {
        fail(watch, &err);
    }
}

// ---- reading -------------------------------------------------------------------------------------------------------

static int read_now(struct host_watch *watch, struct err *err)
{
    CLEANUP(facts_free) struct facts *fresh = NULL;
    metrics_add(watch->config.metrics, METRIC_HOST_FACTS_READS, NULL, NULL, 1);
    if (facts_read(&fresh, err) < 0) {
        return -1;
    }
    CLEANUP(facts_free) struct facts *old = watch->base;
    watch->base = TAKE(fresh);
    (void)old;
    loop_arm(watch->timer, watch->config.period_ms ? watch->config.period_ms : UNHEALTHY_MS);
    return look(watch, err) < 0 || tell(watch, true, err) < 0 ? -1 : 0;
}

static void read_again(struct host_watch *watch)
{
    struct err err = {0};
    if (read_now(watch, &err) < 0) {
        fail(watch, &err);
        return;
    }
    (void)health_set(watch->config.health, HEALTH_HOST, true, "");
    check(watch);
}

// The port of a pod that starts now may be younger than what was read.
static bool knows_ports(const struct host_watch *watch, const struct facts_port *ports, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct facts_interface *port = facts_interface(watch->base, ports[i].port);
        if (!port || (!*port->master && facts_ports_bridge(watch->base, &ports[i].address))) {
            return false;
        }
    }
    return true;
}

int host_watch_ports(struct host_watch *watch, const struct facts_port *ports, size_t n, struct err *err)
{
    if (host_ports_tell(watch->ports, ports, n, err) < 0) {
        return -1;
    }
    if (!watch->base) {
        return 0;  // the first reading has them
    }
    if (!knows_ports(watch, ports, n)) {
        return read_now(watch, err);
    }
    return look(watch, err) < 0 || tell(watch, false, err) < 0 ? -1 : 0;
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
    enum facts_switch vlan = FACTS_UNKNOWN;
    facts_read_bridge_nf(now, &vlan);
    if (watch->base && (memcmp(now, watch->base->bridge_nf, sizeof(now)) != 0 || vlan != watch->base->bridge_nf_vlan)) {
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
    *watch = (struct host_watch){.config = *config, .fd = -1, .learn_fd = -1};
    if (host_ports_new(&watch->ports, watch->revoked, err) < 0 || facts_monitor_open(&watch->fd, err) < 0 ||
        loop_add_fd(config->loop, watch->fd, LOOP_READ, on_readable, watch, &watch->readable, err) < 0 ||
        loop_add_timer(config->loop, on_timer, watch, &watch->timer, err) < 0 ||
        loop_add_timer(config->loop, on_switch_timer, watch, &watch->switch_timer, err) < 0 ||
        loop_add_timer(config->loop, on_look_timer, watch, &watch->look_timer, err) < 0) {
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
    loop_remove_timer(watch->look_timer);
    stop_learning(watch);
    if (watch->fd >= 0) {
        (void)close(watch->fd);
    }
    facts_free(watch->base);
    facts_free(watch->facts);
    host_ports_free(watch->ports);
    free(watch);
}

void host_watch_refresh(struct host_watch *watch)
{
    loop_arm(watch->timer, 0);
}
