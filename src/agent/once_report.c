// SPDX-License-Identifier: Apache-2.0
#include "agent/once_report.h"

static const char *const results[] = {
    [ONCE_IN_STEP] = "in-step", [ONCE_FIRST] = "first",   [ONCE_REPAIRED] = "repaired",
    [ONCE_ASKED] = "asked",     [ONCE_FAILED] = "failed",
};

static const char *result_text(const struct once_report *report)
{
    switch (report->result) {
    case ONCE_IN_STEP:
        return report->beside_daemon ? "in step beside a running daemon, nothing written" : "in step, nothing written";
    case ONCE_FIRST:
        return "programmed for the first time";
    case ONCE_REPAIRED:
        return "drift repaired";
    case ONCE_ASKED:
        return "differs, the running daemon was asked to repair it";
    case ONCE_FAILED:
        break;
    }
    return "failed";
}

static struct ruleset_size size_of(const struct ruleset *ruleset)
{
    struct ruleset_size sum = {0};
    for (enum family family = FAMILY_V4; ruleset && family < (enum family)FAMILY_COUNT; family++) {
        struct ruleset_size size;
        ruleset_size(ruleset, family, &size);
        sum.chains += size.chains;
        sum.rules += size.rules;
        sum.sets += size.sets;
        sum.members += size.members;
    }
    return sum;
}

static bool wrote(const struct once_report *report)
{
    return report->result == ONCE_FIRST || report->result == ONCE_REPAIRED;
}

static void put_text(const struct agent_config *config, const struct once_report *report, struct buf *out)
{
    const struct apply_report *apply = &report->apply;
    const struct ruleset_size size = size_of(report->want);
    buf_printf(out, "netpold: %s: %s; %zu of %zu local pods enforced; %zu chains, %zu sets, %zu members", config->node,
               result_text(report), report->stats.enforced_pods, report->stats.local_pods, size.chains, size.sets,
               size.members);
    if (report->stats.unenforceable) {
        buf_printf(out, "; %zu policies with unreadable parts", report->stats.unenforceable);
    }
    if (wrote(report)) {
        buf_printf(out, "; %zu set members added, %zu removed, %zu chains written, %zu deleted, %zu jumps in %.1f ms",
                   apply->members_added, apply->members_removed, apply->chains_created + apply->chains_rewritten,
                   apply->chains_deleted, apply->hooks_written, report->ms);
    }
    if (apply->pinned.n) {
        buf_printf(out, "; %zu leftover%s kept, which rules of other programs use: %s", apply->pinned.n,
                   apply->pinned.n == 1 ? "" : "s", apply->pinned.names);
    }
    buf_putc(out, '\n');
    for (size_t kind = 0; kind < DRIFT_KIND_COUNT; kind++) {
        if (report->drift.kinds[kind].n) {
            buf_printf(out, "  %-15s %zu: %s\n", drift_kind_name((enum drift_kind)kind), report->drift.kinds[kind].n,
                       report->drift.kinds[kind].names);
        }
    }
}

static void put_json(const struct agent_config *config, const struct once_report *report, struct buf *out)
{
    const struct apply_report *apply = &report->apply;
    const struct ruleset_size size = size_of(report->want);
    buf_puts(out, "{\"node\":");
    buf_json_string(out, config->node);
    buf_printf(out, ",\"result\":\"%s\",\"exit_code\":%d,\"beside_daemon\":%s,\"backend\":\"%s\",\"error\":",
               results[report->result], report->exit_code, report->beside_daemon ? "true" : "false",
               config->backend->name);
    if (report->err) {
        char text[1024];
        (void)err_text(report->err, text, sizeof(text));
        buf_json_string(out, text);
    } else {
        buf_puts(out, "null");
    }
    buf_puts(out, ",\"drift\":");
    drift_render_json(&report->drift, out);
    buf_printf(
        out,
        ",\"written\":{\"sets_created\":%zu,\"sets_destroyed\":%zu,\"members_added\":%zu,\"members_removed\":%zu,"
        "\"chains_created\":%zu,\"chains_rewritten\":%zu,\"chains_deleted\":%zu,\"jumps\":%zu,\"commits\":%zu}",
        apply->sets_created, apply->sets_destroyed, apply->members_added, apply->members_removed, apply->chains_created,
        apply->chains_rewritten, apply->chains_deleted, apply->hooks_written, apply->commits);
    buf_printf(out,
               ",\"local_pods\":%zu,\"enforced_pods\":%zu,\"active_policies\":%zu,\"unenforceable_policies\":%zu,"
               "\"wanted\":{\"chains\":%zu,\"rules\":%zu,\"sets\":%zu,\"members\":%zu},\"leftovers\":{\"count\":%zu,"
               "\"names\":",
               report->stats.local_pods, report->stats.enforced_pods, report->stats.active_policies,
               report->stats.unenforceable, size.chains, size.rules, size.sets, size.members, apply->pinned.n);
    buf_json_string(out, apply->pinned.names);
    buf_printf(out, "},\"ms\":%.3f}\n", report->ms);
}

void once_report(const struct agent_config *config, const struct once_report *report, struct buf *out)
{
    if (config->json) {
        put_json(config, report, out);
    } else if (report->result != ONCE_FAILED) {
        put_text(config, report, out);
    }
}
