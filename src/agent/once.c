// SPDX-License-Identifier: Apache-2.0
#include "agent/once.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/cni.h"
#include "agent/collect.h"
#include "agent/fault.h"
#include "agent/host_check.h"
#include "agent/host_ports.h"
#include "agent/node_lock.h"
#include "agent/once_report.h"
#include "agent/revoke.h"
#include "base/log.h"
#include "base/num.h"
#include "policy/compile.h"
#include "ruleset/diff.h"

// Until another pass has ended.
enum { PASS_WAIT_MS = 60000, PASS_LOOK_MS = 100 };

struct pass {
    const struct agent_config *config;
    struct state *state;
    struct facts *facts;
    struct ruleset *want;
    struct compile_stats stats;
    struct backend *backend;
    struct fault fault;
};

static void pass_free(struct pass *pass)
{
    if (pass->backend) {
        pass->backend->ops->close(pass->backend);
    }
    ruleset_free(pass->want);
    facts_free(pass->facts);
    state_free(pass->state);
    fault_done(&pass->fault);
}
#define PASS_CLEANUP __attribute__((cleanup(pass_free)))

static int exit_code(const struct err *err)
{
    return err->kind == ERR_USAGE ? EXIT_USAGE : err->kind == ERR_INPUT ? EXIT_INPUT : EXIT_FAILED;
}

static int read_facts_file(const char *path, struct facts **ret, struct err *err)
{
    enum { FACTS_MAX = 64 << 20 };
    CLEANUP(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        (void)err_errno(err, "cannot open %s", path);
        err->kind = ERR_INPUT;
        return -1;
    }
    BUF_CLEANUP struct buf text = {.max = FACTS_MAX};
    char part[16384];
    ssize_t n;
    while ((n = read(fd, part, sizeof(part))) > 0 || (n < 0 && errno == EINTR)) {
        buf_add(&text, part, n > 0 ? (size_t)n : 0);
    }
    if (n < 0) {
        (void)err_errno(err, "cannot read %s", path);
        err->kind = ERR_INPUT;
        return -1;
    }
    return text.failed ? err_set(err, ERR_LIMIT, 0, "%s is too big", path)
                       : facts_parse_json(text.data ? text.data : "", text.len, path, ret, err);
}

// Everything that a pass compares: the state, the facts, the ruleset wanted, the backend.
static int prepare(struct pass *pass, struct err *err)
{
    const struct agent_config *config = pass->config;
    agent_ignore_sigpipe();
    pass->fault.log_fd = -1;
    if (fault_init(&pass->fault, err) < 0 || collect_state(config, &pass->state, err) < 0) {
        return -1;
    }
    // What the CNI plugin told a daemon that is away for the moment: without it their pods would be opened.
    if (config->socket && cni_learn_kept(pass->state, config->node, config->socket, err) < 0) {
        return -1;
    }
    char why[512];
    if (!sync_gate(pass->state, config->node, why, sizeof(why))) {
        return err_set(err, ERR_NOT_FOUND, 0, "not synced, the kernel stays as it is: %s", why);
    }
    if ((config->facts_file ? read_facts_file(config->facts_file, &pass->facts, err)
                            : host_ports_read_facts(pass->state, config->node, &pass->facts, err)) < 0 ||
        compile_ruleset(pass->state, config->node, pass->facts, &config->options, &pass->want, &pass->stats, err) < 0) {
        return -1;
    }
    const struct backend_options options = fault_options(&pass->fault);
    return config->backend->probe(err) < 0 || config->backend->open(&options, &pass->backend, err) < 0 ? -1 : 0;
}

static bool is_empty(const struct ruleset *ruleset)
{
    size_t things = 0;
    for (unsigned family = 0; family < FAMILY_COUNT; family++) {
        const struct table *table = &ruleset->tables[family];
        things += table->n_chains + table->n_sets + table->n_hooks;
    }
    return things == 0;
}

static int check_bridges(const struct pass *pass, struct err *err)
{
    BUF_CLEANUP struct buf text = {0};
    bool ok[FAMILY_COUNT];
    if (host_check_bridges(pass->facts, pass->state, pass->config->node, ok, &text, err) < 0) {
        return -1;
    }
    return ok[FAMILY_V4] && ok[FAMILY_V6] ? 0
                                          : err_set(err, ERR_UNSUPPORTED, 0, "rules are in place, but %s", text.data);
}

static int compare(struct pass *pass, struct ruleset_diff **ret, struct ruleset **ret_live, struct err *err)
{
    CLEANUP(ruleset_free) struct ruleset *live = NULL;
    if (pass->config->backend->snapshot(pass->backend, &live, err) < 0 ||
        ruleset_diff_make(live, pass->want, ret, err) < 0) {
        return -1;
    }
    *ret_live = TAKE(live);
    return 0;
}

// A daemon runs: nothing is written from here.
static int ask_daemon(struct pass *pass, struct once_report *report, struct err *err)
{
    CLEANUP(ruleset_free) struct ruleset *live = NULL;
    report->beside_daemon = true;
    if (pass->config->backend->snapshot(pass->backend, &live, err) < 0 ||
        drift_of(live, pass->want, &report->drift, err) < 0) {
        return -1;
    }
    if (drift_total(&report->drift) == 0) {
        report->result = ONCE_IN_STEP;
        return 0;
    }
    report->result = ONCE_ASKED;
    return node_lock_ask(err);
}

// What the backend that is not used holds from before, now that ours is in force; and the sets that only that held.
// What goes is added to ret.
static int clean_other(struct pass *pass, struct apply_report *ret, struct err *err)
{
    const struct backend_ops *ops = pass->config->backend;
    const struct backend_options options = {.step = fault_step, .step_arg = &pass->fault};
    struct apply_report report = {0};
    if (backend_clean_other(ops, &options, &report, err) < 0) {
        return -1;
    }
    if (!report.writes) {
        return 0;
    }
    log_event(LOG_LEVEL_WARN, "other-backend-cleaned", "chains=%zu jumps=%zu", report.chains_deleted,
              report.hooks_written);
    ret->chains_deleted += report.chains_deleted;
    ret->hooks_written += report.hooks_written;
    ret->writes += report.writes;
    return ops->apply(pass->backend, NULL, pass->want, &report, err);
}

// Applies, and reads back that the kernel holds it.
static int program(struct pass *pass, struct apply_report *ret, struct err *err)
{
    const struct backend_ops *ops = pass->config->backend;
    if (backend_apply(ops, pass->backend, NULL, pass->want, ret, err) < 0 || clean_other(pass, ret, err) < 0) {
        return -1;
    }
    struct apply_report again = {0};
    if (ops->apply(pass->backend, NULL, pass->want, &again, err) < 0) {
        return err_wrap(err, "read back");
    }
    return again.writes == 0 ? 0
                             : err_set(err, ERR_RETRY, 0,
                                       "the kernel did not keep what was written (%zu writes had to be repeated): "
                                       "another program changes the same objects",
                                       again.writes);
}

// The next pass wants the same rules, whatever pods say of bridge ports meanwhile.
static void keep_facts(const struct pass *pass)
{
    struct err err = {0};
    if (!pass->config->facts_file && host_ports_keep_facts(pass->state, pass->facts, &err) < 0) {
        log_event(LOG_LEVEL_WARN, "host-book-not-written", "error=%s", log_quote(err.msg));
    }
}

// Cuts the connections that the rules just written deny, and writes the rule that does it, or takes it away.
static int cut_flows(struct pass *pass, struct once_report *report, struct err *err)
{
    bool marked[FAMILY_COUNT];
    if (!pass->config->options.revoke_mask) {
        return 0;
    }
    if (revoke_once(pass->state, pass->config->node, &pass->config->options, pass->facts, marked, NULL, err) < 0) {
        return err_wrap(err, "rules are in place, but connections that they deny may live on (--no-revoke: meant so)");
    }
    if (memcmp(marked, pass->facts->revoked, sizeof(marked)) == 0) {
        return 0;
    }
    CLEANUP(facts_free) struct facts *facts = NULL;
    CLEANUP(ruleset_free) struct ruleset *want = NULL;
    struct apply_report more = {0};
    if (facts_with(pass->facts, pass->facts->ports, pass->facts->n_ports, marked, &facts, err) < 0 ||
        compile_ruleset(pass->state, pass->config->node, facts, &pass->config->options, &want, &pass->stats, err) < 0) {
        return -1;
    }
    facts_free(pass->facts);
    ruleset_free(pass->want);
    pass->facts = TAKE(facts);
    pass->want = TAKE(want);
    report->want = pass->want;
    return program(pass, &more, err);
}

static int write_pass(struct pass *pass, struct node_lock *lock, struct once_report *report, struct err *err)
{
    CLEANUP(ruleset_free) struct ruleset *before = NULL;
    uint64_t start = num_now_ns();
    if (pass->config->backend->snapshot(pass->backend, &before, err) < 0 ||
        drift_of(before, pass->want, &report->drift, err) < 0 || program(pass, &report->apply, err) < 0) {
        return -1;
    }
    report->ms = (double)(num_now_ns() - start) / 1e6;
    int rc = cut_flows(pass, report, err);
    keep_facts(pass);
    if (rc < 0) {
        return -1;
    }
    bool first = is_empty(before) && !node_lock_programmed(lock);
    node_lock_set_programmed(lock, true);
    report->result = report->apply.writes == 0 ? ONCE_IN_STEP : first ? ONCE_FIRST : ONCE_REPAIRED;
    if (report->result == ONCE_REPAIRED) {
        drift_keep_repaired(&report->drift, &report->apply);
    } else {
        report->drift = (struct drift){0};
    }
    return check_bridges(pass, err);
}

static int run_pass(struct pass *pass, struct once_report *report, struct err *err)
{
    if (prepare(pass, err) < 0) {
        return -1;
    }
    report->want = pass->want;
    report->stats = pass->stats;
    CLEANUP(node_lock_free) struct node_lock *lock = NULL;
    uint64_t until_ms = num_now_ms() + PASS_WAIT_MS;
    while (node_lock_take(&lock, err) < 0) {
        if (err->kind != ERR_RETRY) {
            return -1;
        }
        if (node_lock_has_daemon()) {
            err_clear(err);
            return ask_daemon(pass, report, err);
        }
        // Another pass: it ends by itself, and what it writes may be older than what is known here.
        if (num_now_ms() >= until_ms) {
            return -1;
        }
        err_clear(err);
        (void)poll(NULL, 0, PASS_LOOK_MS);
    }
    return write_pass(pass, lock, report, err);
}

int once_run(const struct agent_config *config, struct buf *out, struct err *err)
{
    PASS_CLEANUP struct pass pass = {.config = config};
    struct once_report report = {.result = ONCE_FAILED};
    if (run_pass(&pass, &report, err) < 0) {
        report.result = ONCE_FAILED;
        report.exit_code = exit_code(err);
        report.err = err;
    } else {
        bool differed = report.result == ONCE_REPAIRED || report.result == ONCE_ASKED;
        report.exit_code = differed ? config->drift_exit_code : EXIT_OK;
    }
    once_report(config, &report, out);
    return report.exit_code;
}

int once_plan(const struct agent_config *config, struct buf *out, struct err *err)
{
    PASS_CLEANUP struct pass pass = {.config = config};
    CLEANUP(ruleset_free) struct ruleset *live = NULL;
    CLEANUP(ruleset_diff_free) struct ruleset_diff *diff = NULL;
    if (prepare(&pass, err) < 0 || compare(&pass, &diff, &live, err) < 0) {
        return exit_code(err);
    }
    ruleset_diff_render(diff, out);
    if (out->failed) {
        (void)err_oom(err);
        return EXIT_FAILED;
    }
    return ruleset_diff_empty(diff) ? EXIT_OK : EXIT_DIFFERS;
}

int once_cleanup(const struct agent_config *config, struct buf *out, struct err *err)
{
    PASS_CLEANUP struct pass pass = {.config = config, .fault = {.log_fd = -1}};
    CLEANUP(node_lock_free) struct node_lock *lock = NULL;
    if (node_lock_take(&lock, err) < 0) {
        if (err->kind == ERR_RETRY) {
            (void)err_wrap(err, "a running netpold would put everything back; stop it first");
        }
        return exit_code(err);
    }
    struct apply_report report = {0};
    struct apply_report other = {0};
    if (fault_init(&pass.fault, err) < 0) {
        return exit_code(err);
    }
    const struct backend_options options = fault_options(&pass.fault);
    if (config->backend->probe(err) < 0 || config->backend->open(&options, &pass.backend, err) < 0 ||
        backend_clean_other(config->backend, &options, &other, err) < 0 ||
        config->backend->purge(pass.backend, &report, err) < 0) {
        return exit_code(err);
    }
    node_lock_set_programmed(lock, false);
    buf_printf(out, "netpold: removed %zu jumps, %zu chains, %zu sets\n", report.hooks_written + other.hooks_written,
               report.chains_deleted + other.chains_deleted, report.sets_destroyed);
    if (other.pinned.n && report.pinned.n == 0) {
        report.pinned = other.pinned;
    }
    if (report.pinned.n) {
        (void)err_set(err, ERR_RETRY, 0,
                      "rules of other programs use what is left: %s; remove those rules, then clean up again",
                      report.pinned.names);
        return exit_code(err);
    }
    return EXIT_OK;
}

int once_print_facts(struct buf *out, struct err *err)
{
    CLEANUP(facts_free) struct facts *facts = NULL;
    if (host_ports_print_facts(&facts, err) < 0) {
        return exit_code(err);
    }
    facts_render_json(facts, out);
    if (out->len == 0 || out->data[out->len - 1] != '\n') {
        buf_putc(out, '\n');
    }
    if (out->failed) {
        (void)err_oom(err);
        return EXIT_FAILED;
    }
    return EXIT_OK;
}
