// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "agent/sync_private.h"
#include "base/log.h"
#include "base/num.h"

enum { SETTLE_MAX = 8 };

size_t sync_object_count(const struct state *state)
{
    size_t total = 0;
    for (unsigned kind = 0; kind < OBJECT_KIND_COUNT; kind++) {
        total += state_count(state, (enum object_kind)kind);
    }
    return total;
}

// A pod that names the node, NULL: none.
static const struct pod *pod_of_node(struct state *state, const char *node)
{
    size_t n;
    const struct pod *const *pods = state_pods(state, &n);
    for (size_t i = 0; pods && i < n; i++) {
        if (strcmp(pods[i]->node, node) == 0) {
            return pods[i];
        }
    }
    return NULL;
}

// The known node whose name is nearest, for people who mistyped; NULL when none is near.
static const char *nearest_node(struct state *state, const char *node)
{
    size_t n;
    const struct node *const *nodes = state_nodes(state, &n);
    const char *nearest = NULL;
    for (size_t i = 0; nodes && i < n && !nearest; i++) {
        const char *const words[] = {nodes[i]->meta.name, NULL};
        nearest = cli_nearest(node, words);
    }
    return nearest;
}

bool sync_gate(struct state *state, const char *node, char *why, size_t size)
{
    if (sync_object_count(state) == 0) {
        (void)snprintf(why, size, "there is no object at all");
        return false;
    }
    if (!state_node(state, node) && !pod_of_node(state, node)) {
        const char *nearest = nearest_node(state, node);
        (void)snprintf(why, size, "no Node and no Pod names the node %s%s%s", node, nearest ? "; is it " : "",
                       nearest ? nearest : "");
        return false;
    }
    return true;
}

// Whether a state that has just become one to act upon is still being filled.
static bool is_settling(struct sync *sync)
{
    if (!sync->unsettled) {
        return false;
    }
    uint64_t now = num_now_ns();
    sync->settle_start_ns = sync->settle_start_ns ? sync->settle_start_ns : now;
    uint64_t settle_ns = sync->config.settle_ms * SYNC_NS_PER_MS;
    uint64_t quiet_end = sync->last_change_ns + settle_ns;
    uint64_t end = sync->settle_start_ns + settle_ns * SETTLE_MAX;
    end = quiet_end < end ? quiet_end : end;
    if (now >= end) {
        sync->unsettled = false;
        sync->settle_start_ns = 0;
        return false;
    }
    loop_arm(sync->apply_timer, (end - now + SYNC_NS_PER_MS - 1) / SYNC_NS_PER_MS);
    return true;
}

bool sync_leave_not_synced(struct sync *sync)
{
    char why[sizeof(sync->not_synced_why)] = "";
    if (!sync->source_synced) {
        (void)snprintf(why, sizeof(why), "%s", sync->source_why);
    } else if (!sync_gate(sync->config.state, sync->config.node, why, sizeof(why))) {
        sync->unsettled = true;
    } else if (!sync->facts) {
        (void)snprintf(why, sizeof(why), "the facts of this host have not been read");
    } else if (is_settling(sync)) {
        return false;
    }
    if (why[0] == '\0') {
        sync->synced = true;
        (void)health_set(sync->config.health, HEALTH_SYNC, true, "");
        (void)health_set(sync->config.health, HEALTH_STATE, true, "");
        metrics_set(sync->config.metrics, METRIC_SYNCED, NULL, NULL, 1);
        log_event(LOG_LEVEL_INFO, "synced", "node=%s pods=%zu namespaces=%zu policies=%zu nodes=%zu",
                  log_quote(sync->config.node), state_count(sync->config.state, OBJECT_POD),
                  state_count(sync->config.state, OBJECT_NAMESPACE), state_count(sync->config.state, OBJECT_POLICY),
                  state_count(sync->config.state, OBJECT_NODE));
        return true;
    }
    if (strcmp(why, sync->not_synced_why) != 0) {
        (void)snprintf(sync->not_synced_why, sizeof(sync->not_synced_why), "%s", why);
        (void)health_set(sync->config.health, HEALTH_SYNC, false, why);
        (void)health_set(sync->config.health, HEALTH_STATE, false, why);
        log_event(LOG_LEVEL_WARN, "not-synced", "node=%s why=%s effect=%s", log_quote(sync->config.node),
                  log_quote(why), log_quote("the kernel stays as it is"));
    }
    return false;
}

// Whether the state still names the node, at the cost of a look-up: asked at every change. Where there is no Node
// object, the pod that was found last is asked first.
static bool still_named(struct sync *sync)
{
    struct state *state = sync->config.state;
    if (state_node(state, sync->config.node)) {
        return true;
    }
    const struct pod *pod = sync->witness_name ? state_pod(state, sync->witness_ns, sync->witness_name) : NULL;
    if (pod && strcmp(pod->node, sync->config.node) == 0) {
        return true;
    }
    free(sync->witness_ns);
    free(sync->witness_name);
    pod = pod_of_node(state, sync->config.node);
    sync->witness_ns = pod ? strdup(pod->meta.ns) : NULL;
    sync->witness_name = sync->witness_ns ? strdup(pod->meta.name) : NULL;
    return pod;
}

// A state that holds nothing, or nothing of this node any more, is not acted upon, nor one that is being filled again.
bool sync_is_held(struct sync *sync)
{
    if (!sync->held && still_named(sync)) {
        return false;
    }
    char why[sizeof(sync->held_why)] = "";
    if (!sync_gate(sync->config.state, sync->config.node, why, sizeof(why))) {
        if (!sync->held || strcmp(why, sync->held_why) != 0) {
            char text[sizeof(why) + 64];
            (void)snprintf(text, sizeof(text), "%s; the last rules stay in force", why);
            (void)snprintf(sync->held_why, sizeof(sync->held_why), "%s", why);
            (void)health_set(sync->config.health, HEALTH_STATE, false, text);
            log_event(LOG_LEVEL_ERROR, "state-held", "why=%s effect=%s", log_quote(why),
                      log_quote("the last rules stay in force"));
        }
        sync->held = true;
        sync->unsettled = true;
        sync->settle_start_ns = 0;
        return true;
    }
    if (sync->held && !is_settling(sync)) {
        sync->held = false;
        (void)health_set(sync->config.health, HEALTH_STATE, true, "");
        log_event(LOG_LEVEL_INFO, "state-back", "objects=%zu", sync_object_count(sync->config.state));
    }
    return sync->held;
}
