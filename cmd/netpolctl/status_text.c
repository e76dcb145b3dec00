// SPDX-License-Identifier: Apache-2.0
#include "status_text.h"

#include <stdlib.h>
#include <string.h>

static const char *text_of(const struct doc *doc, const char *key)
{
    const struct doc *got = doc_get(doc, key);
    return got && (got->type == DOC_STRING || got->type == DOC_NUMBER) ? got->text : "";
}

static double number_of(const struct doc *doc, const char *key)
{
    const struct doc *got = doc_get(doc, key);
    return got && got->type == DOC_NUMBER ? strtod(got->text, NULL) : 0;
}

static bool is_true(const struct doc *doc, const char *key)
{
    const struct doc *got = doc_get(doc, key);
    return got && got->type == DOC_BOOL && got->boolean;
}

static bool is_map(const struct doc *doc)
{
    return doc && doc->type == DOC_MAP;
}

// What comes from names of the cluster or of other programs must not move the cursor of a terminal.
static void put_plain(struct buf *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        buf_putc(out, (unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p);
    }
}

// "4.2 s", "3 min 10 s", "2 h 5 min", "3 d 4 h".
static void put_span(struct buf *out, double seconds)
{
    enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };
    long long s = seconds > 0 ? (long long)seconds : 0;
    if (s < 10) {
        buf_printf(out, "%.1f s", seconds > 0 ? seconds : 0);
    } else if (s < MINUTE) {
        buf_printf(out, "%lld s", s);
    } else if (s < HOUR) {
        buf_printf(out, "%lld min %lld s", s / MINUTE, s % MINUTE);
    } else if (s < DAY) {
        buf_printf(out, "%lld h %lld min", s / HOUR, s % HOUR / MINUTE);
    } else {
        buf_printf(out, "%lld d %lld h", s / DAY, s % DAY / HOUR);
    }
}

static void label(struct buf *out, const char *name)
{
    buf_printf(out, "  %-13s ", name);
}

// ---- what is wrong -------------------------------------------------------------------------------------------------

static void problem(struct buf *out, size_t *n, const char *what, const char *why)
{
    buf_puts(out, (*n)++ ? "" : "problems:\n");
    buf_printf(out, "  - %s: ", what);
    put_plain(out, why);
    buf_putc(out, '\n');
}

static void list_checks(const struct doc *status, struct buf *out, size_t *n)
{
    const struct doc *checks = doc_get(status, "checks");
    for (const struct doc *check = checks && checks->type == DOC_LIST ? checks->child : NULL; check;
         check = check->next) {
        if (!is_true(check, "ok")) {
            problem(out, n, text_of(check, "name"), text_of(check, "why"));
        } else if (*text_of(check, "warning")) {
            problem(out, n, text_of(check, "name"), text_of(check, "warning"));
        }
    }
}

static void list_unenforceable(const struct doc *status, struct buf *out, size_t *n)
{
    const struct doc *found = doc_get(status, "unenforceable");
    const struct doc *policies = doc_get(found, "policies");
    double count = number_of(found, "count");
    if (count <= 0) {
        return;
    }
    struct buf BUF_CLEANUP why = {0};
    buf_printf(&why, "%.0f %s parts that could not be read (they isolate, and grant nothing from those parts):", count,
               count > 1 ? "policies have" : "policy has");
    double shown = 0;
    for (const struct doc *name = policies && policies->type == DOC_LIST ? policies->child : NULL; name;
         name = name->next, shown++) {
        buf_printf(&why, " %s", name->type == DOC_STRING ? name->text : "");
    }
    if (count > shown) {
        buf_printf(&why, " and %.0f more", count - shown);
    }
    problem(out, n, "unenforceable", why.data ? why.data : "");
}

// Whether a check of that name is listed already.
static bool has_check(const struct doc *status, const char *name)
{
    const struct doc *checks = doc_get(status, "checks");
    for (const struct doc *check = checks && checks->type == DOC_LIST ? checks->child : NULL; check;
         check = check->next) {
        if (strcmp(text_of(check, "name"), name) == 0) {
            return !is_true(check, "ok") || *text_of(check, "warning");
        }
    }
    return false;
}

static void list_left(const struct doc *status, struct buf *out, size_t *n)
{
    const struct doc *jumps = doc_get(status, "jumps_left");
    const struct doc *leftovers = doc_get(status, "leftovers");
    struct buf BUF_CLEANUP why = {0};
    if (number_of(jumps, "count") > 0 && !has_check(status, "jumps")) {
        buf_printf(&why, "another program keeps its rules before ours in %s%s%s", text_of(jumps, "names"),
                   *text_of(jumps, "why") ? ": " : "", text_of(jumps, "why"));
        problem(out, n, "jumps", why.data ? why.data : "");
    }
    buf_clear(&why);
    if (number_of(leftovers, "count") > 0) {
        buf_printf(&why, "%s not needed any more, but rules of another program use them: %s",
                   text_of(leftovers, "count"), text_of(leftovers, "names"));
        problem(out, n, "leftovers", why.data ? why.data : "");
    }
    const struct doc *revocation = doc_get(status, "revocation");
    if (*text_of(revocation, "failing")) {
        problem(out, n, "revocation", text_of(revocation, "failing"));
    }
}

// ---- what there is -------------------------------------------------------------------------------------------------

static void put_head(const struct doc *status, size_t problems, struct buf *out)
{
    const char *state = !is_true(status, "ready") ? "NOT READY" : problems ? "ready, with problems" : "ready";
    buf_puts(out, "netpold ");
    put_plain(out, text_of(status, "version"));
    buf_puts(out, " on node ");
    put_plain(out, text_of(status, "node"));
    buf_printf(out, ": %s\n", state);
}

static void put_program(const struct doc *status, struct buf *out)
{
    label(out, "running");
    put_span(out, number_of(status, "uptime_seconds"));
    buf_printf(out, ", pid %s, commit ", text_of(status, "pid"));
    put_plain(out, text_of(status, "commit"));
    buf_putc(out, '\n');
    label(out, "backend");
    put_plain(out, text_of(status, "backend"));
    if (*text_of(status, "backend_why")) {
        buf_puts(out, ": ");
        put_plain(out, text_of(status, "backend_why"));
    }
    buf_putc(out, '\n');
}

static void put_source(const struct doc *status, struct buf *out)
{
    const struct doc *source = doc_get(status, "source");
    const struct doc *resources = doc_get(source, "resources");
    double failures = 0;
    double oldest = -1;
    label(out, "source");
    buf_printf(out, "%s, %s", text_of(source, "name"), is_true(status, "synced") ? "synced" : "NOT SYNCED");
    for (const struct doc *row = resources && resources->type == DOC_LIST ? resources->child : NULL; row;
         row = row->next) {
        double ago = number_of(row, "last_event_seconds_ago");
        oldest = *text_of(row, "last_event_seconds_ago") && ago > oldest ? ago : oldest;
        failures += number_of(row, "list_failures") + number_of(row, "watch_failures");
    }
    if (oldest >= 0) {
        buf_puts(out, ", every kind heard of within ");
        put_span(out, oldest);
    }
    if (failures > 0) {
        buf_printf(out, ", %.0f failed requests since the start", failures);
    }
    const struct doc *objects = doc_get(status, "objects");
    buf_printf(out, "\n%16sholds %s pods, %s namespaces, %s policies, %s nodes\n", "", text_of(objects, "pods"),
               text_of(objects, "namespaces"), text_of(objects, "policies"), text_of(objects, "nodes"));
}

static void put_kernel(const struct doc *status, struct buf *out)
{
    const struct doc *last = doc_get(status, "last_apply");
    const struct doc *failing = doc_get(status, "failing");
    const struct doc *kernel = doc_get(status, "kernel");
    label(out, "enforced");
    buf_printf(out, "%s of %s local pods, by %s policies that select one of them\n", text_of(status, "enforced_pods"),
               text_of(status, "local_pods"), text_of(status, "active_policies"));
    label(out, "kernel");
    buf_printf(out, "%s; %s chains, %s rules, %s sets with %s members\n",
               is_true(status, "in_step") ? "in step" : "NOT IN STEP", text_of(kernel, "chains"),
               text_of(kernel, "rules"), text_of(kernel, "sets"), text_of(kernel, "members"));
    label(out, "last apply");
    if (is_map(last)) {
        put_span(out, number_of(last, "seconds_ago"));
        buf_printf(out, " ago, %s in %.1f ms: chains +%s -%s, sets +%s -%s, members +%s -%s, jumps %s\n",
                   text_of(last, "what"), number_of(last, "ms"), text_of(last, "chains_written"),
                   text_of(last, "chains_deleted"), text_of(last, "sets_created"), text_of(last, "sets_destroyed"),
                   text_of(last, "members_added"), text_of(last, "members_removed"), text_of(last, "jumps"));
    } else {
        buf_puts(out, "none since the start\n");
    }
    if (is_map(failing)) {
        label(out, "FAILING");
        buf_puts(out, "since ");
        put_span(out, number_of(failing, "seconds"));
        buf_printf(out, ", tried again every %.1f s: ", number_of(failing, "retry_ms") / 1e3);
        put_plain(out, text_of(failing, "error"));
        buf_putc(out, '\n');
    }
}

static void put_times(const struct doc *status, const char *key, const char *name, const char *of, struct buf *out)
{
    const struct doc *times = doc_get(status, key);
    label(out, name);
    if (number_of(times, "count") <= 0) {
        buf_puts(out, "nothing measured yet\n");
        return;
    }
    buf_printf(out, "p50 %.1f ms, p90 %.1f ms, p99 %.1f ms %s (%s)\n", number_of(times, "p50_ms"),
               number_of(times, "p90_ms"), number_of(times, "p99_ms"), of, text_of(times, "count"));
}

static void put_drift(const struct doc *status, struct buf *out)
{
    const struct doc *drift = doc_get(status, "drift");
    const struct doc *repaired = doc_get(drift, "repaired");
    const struct doc *last = doc_get(drift, "last");
    label(out, "drift");
    if (!is_map(repaired) || !repaired->child) {
        buf_puts(out, "none since the start\n");
        return;
    }
    buf_puts(out, "repaired");
    for (const struct doc *kind = repaired->child; kind; kind = kind->next) {
        buf_printf(out, "%s %s %s", kind == repaired->child ? "" : ",", kind->key,
                   kind->type == DOC_NUMBER ? kind->text : "");
    }
    buf_putc(out, '\n');
    const struct doc *kinds = doc_get(last, "kinds");
    if (is_map(kinds)) {
        buf_printf(out, "%16slast ", "");
        put_span(out, number_of(last, "seconds_ago"));
        buf_puts(out, " ago:");
        for (const struct doc *kind = kinds->child; kind; kind = kind->next) {
            buf_printf(out, "%s %s (", kind == kinds->child ? "" : ",", kind->key);
            put_plain(out, text_of(kind, "names"));
            buf_putc(out, ')');
        }
        buf_putc(out, '\n');
    }
}

static void put_sections(const struct doc *status, struct buf *out)
{
    const struct doc *revocation = doc_get(status, "revocation");
    const struct doc *cni = doc_get(status, "cni");
    if (is_map(revocation)) {
        const struct doc *cut = doc_get(revocation, "cut_now");
        label(out, "revoked");
        if (is_true(revocation, "enabled")) {
            buf_printf(out, "%s flows since the start, %.0f cut now, %s allowed again\n", text_of(revocation, "cut"),
                       number_of(cut, "IPv4") + number_of(cut, "IPv6"), text_of(revocation, "restored"));
        } else {
            buf_puts(out, "off (--no-revoke)\n");
        }
    }
    if (is_map(cni)) {
        label(out, "cni");
        buf_printf(out, "%s pods told, %s waiting; %s added, %s refused since the start\n", text_of(cni, "pods"),
                   text_of(cni, "waiting"), text_of(cni, "added"), text_of(cni, "refused"));
    }
}

size_t status_text(const struct doc *status, struct buf *out)
{
    struct buf BUF_CLEANUP problems = {0};
    size_t n = 0;
    list_checks(status, &problems, &n);
    list_unenforceable(status, &problems, &n);
    list_left(status, &problems, &n);
    if (n == 0 && !is_true(status, "ready")) {
        problem(&problems, &n, "not ready", "the daemon does not say why");
    }
    put_head(status, n, out);
    if (problems.data) {
        buf_puts(out, problems.data);
    }
    put_program(status, out);
    put_source(status, out);
    put_kernel(status, out);
    put_times(status, "propagation", "latency", "from event to kernel", out);
    put_times(status, "apply_duration", "apply", "to compile and write", out);
    put_drift(status, out);
    put_sections(status, out);
    out->failed = out->failed || problems.failed;
    return n;
}
