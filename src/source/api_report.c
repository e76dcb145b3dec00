// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "source/api_source.h"

void api_count(const struct api_kind *kind, const char *counter, unsigned delta)
{
    kind->source->owner.count(counter, kind->label, delta, kind->source->owner.arg);
}

void api_count_more(const struct api_kind *kind, const char *counter, const char *more, unsigned delta)
{
    char label[128];
    (void)snprintf(label, sizeof(label), "%s/%s", kind->label, more);
    kind->source->owner.count(counter, label, delta, kind->source->owner.arg);
}

void api_count_list(struct api_kind *kind, unsigned status)
{
    char more[64];
    char code[16] = "<error>";
    if (status) {
        (void)snprintf(code, sizeof(code), "%u", status);
    }
    (void)snprintf(more, sizeof(more), "%s/%s", kind->why, code);
    api_count_more(kind, "lists", more, 1);
}

void api_say(struct api_source *source, enum source_level level, const char *event, const char *fmt, ...)
{
    char fields[3000];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(fields, sizeof(fields), fmt, args);
    va_end(args);
    source->owner.report(level, event, fields, source->owner.arg);
}

void api_say_warning(struct api_source *source, const char *text)
{
    for (unsigned i = 0; i < source->n_warnings; i++) {
        if (strncmp(source->warnings[i], text, sizeof(source->warnings[i]) - 1) == 0) {
            return;
        }
    }
    if (source->n_warnings < API_WARNINGS_MAX) {
        char *place = source->warnings[source->n_warnings++];
        (void)snprintf(place, sizeof(source->warnings[0]), "%s", text);
        api_say(source, SOURCE_WARN, "server-warning", "text=%s", log_quote(text));
    }
}

// One line of what went wrong.
static void explain(const struct api_kind *kind, const struct api_outcome *outcome, const struct http_result *result,
                    char *ret, size_t size)
{
    char text[1100];
    const struct api_status *status = &outcome->status;
    if (outcome->fault == API_FAULT_STATUS || kind->err.kind != ERR_NONE) {
        (void)snprintf(ret, size, "%s", err_text(&kind->err, text, sizeof(text)));
    } else if (result->status == 0 || (result->status == 200 && result->outcome != HTTP_COMPLETE)) {
        (void)snprintf(ret, size, "%s", result->why);
    } else if (status->reason[0]) {
        (void)snprintf(ret, size, "HTTP %u %s: %s", result->status, status->reason, status->message);
    } else if (result->status == 200) {
        (void)snprintf(ret, size, "the watch ended at once");
    } else {
        (void)snprintf(ret, size, "HTTP %u %s", result->status, status->message);
    }
}

static void say_lacks(struct api_kind *kind, const struct api_plan *plan, const char *why)
{
    static const char *const names[] = {"watch-list", "resource-version-match", "limit"};
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (plan->lacks & 1u << i) {
            api_say(kind->source, SOURCE_INFO, "feature-absent", "feature=%s kind=%s why=%s", names[i], kind->label,
                    log_quote(why));
        }
    }
    for (unsigned i = 0; i < API_TERMS_MAX; i++) {
        if (plan->terms & 1u << i) {
            api_say(kind->source, SOURCE_INFO, "feature-absent", "feature=field-selector kind=%s term=%s why=%s",
                    kind->label, log_quote(kind->row->terms[i].term), log_quote(why));
        }
    }
}

void api_say_failed(struct api_kind *kind, const struct api_outcome *outcome, const struct http_result *result,
                    const struct api_plan *plan)
{
    struct api_source *source = kind->source;
    bool watch = outcome->act == API_ACT_WATCH;
    char why[700];
    explain(kind, outcome, result, why, sizeof(why));
    if (plan->lacks || plan->terms) {
        say_lacks(kind, plan, why);
        return;
    }
    api_count(kind, watch ? "watch_failures" : "list_failures", 1);
    // A history that is gone is the protocol's own way; the list that follows mends it.
    bool expected = plan->wait_ms == 0;
    const char *event = result->status == 403 ? "access-denied" : watch ? "watch-failed" : "list-failed";
    struct buf BUF_CLEANUP told = {0};
    buf_printf(&told, "%s %d %s %u %d %d", event, (int)expected, plan->reason, result->status, result->code,
               (int)outcome->fault);
    if (outcome->fault == API_FAULT_CONTENT) {
        buf_printf(&told, " %s", why);
    }
    if (told.failed || !kind->told || strcmp(kind->told, told.data) != 0) {
        free(kind->told);
        kind->told = buf_take(&told);
        kind->told_watch = watch;
        api_say(source, expected ? SOURCE_INFO : SOURCE_WARN, event, "kind=%s status=%u error=%s retry_ms=%llu",
                kind->label, result->status, log_quote(why), (unsigned long long)plan->wait_ms);
    }
    if (!expected && !kind->row->optional) {
        char problem[sizeof(source->problem)];
        (void)snprintf(problem, sizeof(problem), "cannot %s %s: %.400s", watch ? "watch" : "list", kind->label, why);
        api_source_problem(source, problem);
    }
}

void api_say_recovered(struct api_kind *kind)
{
    if (kind->told) {
        free(kind->told);
        kind->told = NULL;
        api_say(kind->source, SOURCE_INFO, "watch-recovered", "kind=%s", kind->label);
    }
}
