// SPDX-License-Identifier: Apache-2.0
#include "agent/sync_private.h"
#include "base/num.h"

enum { POLICIES_SHOWN = 20 };

static double seconds_since(uint64_t ns)
{
    return (double)(num_now_ns() - ns) / 1e9;
}

static void put_text(struct buf *out, const char *key, const char *text)
{
    buf_printf(out, ",\"%s\":", key);
    buf_json_string(out, text);
}

static void put_last(const struct sync *sync, struct buf *out)
{
    const struct sync_last *last = &sync->last;
    if (!sync->applied) {
        buf_puts(out, ",\"last_apply\":null");
        return;
    }
    buf_printf(out,
               ",\"last_apply\":{\"seconds_ago\":%.3f,\"ms\":%.3f,\"what\":\"%s\",\"sets_created\":%zu,"
               "\"sets_destroyed\":%zu,\"members_added\":%zu,\"members_removed\":%zu,\"chains_written\":%zu,"
               "\"chains_deleted\":%zu,\"jumps\":%zu,\"commits\":%zu}",
               seconds_since(last->end_ns), last->ms, last->outcome == ENGINE_MEMBERS ? "members" : "rules",
               last->report.sets_created, last->report.sets_destroyed, last->report.members_added,
               last->report.members_removed, last->report.chains_created + last->report.chains_rewritten,
               last->report.chains_deleted, last->report.hooks_written, last->report.commits);
}

static void put_failing(const struct sync *sync, struct buf *out)
{
    if (sync->retry_ms == 0) {
        buf_puts(out, ",\"failing\":null");
        return;
    }
    buf_printf(out, ",\"failing\":{\"seconds\":%.3f,\"retry_ms\":%llu", seconds_since(sync->failing_since_ns),
               (unsigned long long)sync->retry_ms);
    put_text(out, "error", sync->failing);
    buf_putc(out, '}');
}

static void put_drift(const struct sync *sync, struct buf *out)
{
    const char *before = "";
    buf_puts(out, ",\"drift\":{\"repaired\":{");
    for (size_t kind = 0; kind < DRIFT_KIND_COUNT; kind++) {
        if (sync->drift_totals[kind]) {
            buf_printf(out, "%s\"%s\":%zu", before, drift_kind_name((enum drift_kind)kind), sync->drift_totals[kind]);
            before = ",";
        }
    }
    buf_puts(out, "},\"last\":");
    if (sync->last_drift_ns) {
        buf_printf(out, "{\"seconds_ago\":%.3f,\"kinds\":", seconds_since(sync->last_drift_ns));
        drift_render_json(&sync->last_drift, out);
        buf_putc(out, '}');
    } else {
        buf_puts(out, "null");
    }
    char names[160];
    contest_names_left(&sync->contest, names, sizeof(names));
    buf_printf(out, "},\"jumps_left\":{\"count\":%zu", contest_count_left(&sync->contest));
    put_text(out, "names", names);
    put_text(out, "why", sync->config.health->checks[HEALTH_JUMPS].why);
    buf_printf(out, "},\"leftovers\":{\"count\":%zu", sync->pinned.n);
    put_text(out, "names", sync->pinned.names);
    buf_putc(out, '}');
}

static void put_unenforceable(const struct sync *sync, struct buf *out)
{
    size_t n = 0;
    size_t shown = 0;
    const struct policy *const *policies = sync->stats.unenforceable ? state_policies(sync->config.state, &n) : NULL;
    buf_printf(out, ",\"unenforceable\":{\"count\":%zu,\"policies\":[", sync->stats.unenforceable);
    for (size_t i = 0; policies && i < n && shown < POLICIES_SHOWN; i++) {
        if (policies[i]->unenforceable) {
            BUF_CLEANUP struct buf name = {0};
            buf_printf(&name, "%s/%s", policies[i]->meta.ns, policies[i]->meta.name);
            buf_puts(out, shown++ ? "," : "");
            buf_json_string(out, name.data ? name.data : "");
        }
    }
    buf_puts(out, "]}");
}

static double gauge(const struct sync *sync, enum metric metric)
{
    return metrics_get(sync->config.metrics, metric, "4", NULL) + metrics_get(sync->config.metrics, metric, "6", NULL);
}

void sync_status(struct sync *sync, struct buf *out)
{
    const struct state *state = sync->config.state;
    buf_printf(out, "\"synced\":%s", sync->synced ? "true" : "false");
    put_text(out, "not_synced_why", sync->synced ? "" : sync->not_synced_why);
    put_text(out, "held_why", sync->held ? sync->held_why : "");
    put_text(out, "node", sync->config.node);
    put_text(out, "backend", sync->config.ops->name);
    buf_printf(out, ",\"in_step\":%s", sync->applied && sync->known && !sync->dirty ? "true" : "false");
    put_last(sync, out);
    put_failing(sync, out);
    buf_printf(out,
               ",\"objects\":{\"pods\":%zu,\"namespaces\":%zu,\"policies\":%zu,\"nodes\":%zu},\"local_pods\":%zu,"
               "\"enforced_pods\":%zu,\"active_policies\":%zu",
               state_count(state, OBJECT_POD), state_count(state, OBJECT_NAMESPACE), state_count(state, OBJECT_POLICY),
               state_count(state, OBJECT_NODE), sync->stats.local_pods, sync->stats.enforced_pods,
               sync->stats.active_policies);
    buf_printf(out, ",\"kernel\":{\"sets\":%.0f,\"members\":%.0f,\"chains\":%.0f,\"rules\":%.0f}",
               gauge(sync, METRIC_SETS), gauge(sync, METRIC_SET_MEMBERS), gauge(sync, METRIC_CHAINS),
               gauge(sync, METRIC_RULES));
    put_unenforceable(sync, out);
    put_drift(sync, out);
}
