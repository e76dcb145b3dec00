// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "base/log.h"
#include "source/api_source.h"
#include "json/json.h"

enum { DOUBLINGS = 16 };

// What comes next after a failure.
struct plan {
    bool list;  // else watch from the version we have
    uint64_t wait_ms;
};

uint64_t api_random(struct api_source *source, uint64_t low, uint64_t high)
{
    // xorshift64*: spreads load, decides nothing.
    uint64_t x = source->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    source->random = x;
    return low + x * UINT64_C(2685821657736338717) % (high - low + 1);
}

static uint64_t backoff(struct api_kind *kind)
{
    const struct api_timing *timing = &kind->source->timing;
    unsigned doublings = kind->failures < DOUBLINGS ? kind->failures : DOUBLINGS;
    uint64_t ms = (uint64_t)timing->backoff_first_ms << doublings;
    ms = ms < timing->backoff_max_ms ? ms : timing->backoff_max_ms;
    kind->failures++;
    return api_random(kind->source, ms, ms * 2);
}

// What a Status in an error body says; false when it is none.
static bool read_status(const struct http_result *result, char *reason, size_t reason_size, char *message,
                        size_t message_size)
{
    struct arena arena = {0};
    struct doc *doc = NULL;
    size_t used;
    unsigned line;
    bool found =
        result->body_len && json_parse(result->body, result->body_len, 1, &arena, &doc, &used, &line, NULL) == 0;
    if (found) {
        const struct doc *reason_doc = doc_get(doc, "reason");
        const struct doc *message_doc = doc_get(doc, "message");
        (void)snprintf(reason, reason_size, "%s", reason_doc && reason_doc->type == DOC_STRING ? reason_doc->text : "");
        (void)snprintf(message, message_size, "%s",
                       message_doc && message_doc->type == DOC_STRING ? message_doc->text : "");
    }
    arena_free(&arena);
    return found;
}

// One line of what went wrong.
static void explain(const struct api_kind *kind, const struct http_result *result, char *ret, size_t size)
{
    char stream[700];
    if (kind->stream_err.kind != ERR_NONE) {
        (void)snprintf(ret, size, "%s", err_text(&kind->stream_err, stream, sizeof(stream)));
        return;
    }
    char reason[64] = "";
    char message[300] = "";
    if (result->status == 0 || (result->status == 200 && result->outcome != HTTP_COMPLETE)) {
        (void)snprintf(ret, size, "%s", result->why);
    } else if (read_status(result, reason, sizeof(reason), message, sizeof(message)) && (reason[0] || message[0])) {
        (void)snprintf(ret, size, "HTTP %u %s: %s", result->status, reason, message);
    } else {
        (void)snprintf(ret, size, "HTTP %u %.*s", result->status, (int)strcspn(result->body, "\r\n"), result->body);
    }
}

static void report(struct api_kind *kind, enum api_request_type type, const struct http_result *result,
                   const struct plan *plan)
{
    struct api_source *source = kind->source;
    char why[512];
    explain(kind, result, why, sizeof(why));
    struct buf BUF_CLEANUP fields = {0};
    buf_printf(&fields, "kind=%s status=%u", kind->label, result->status);
    buf_printf(&fields, " error=%s retry_ms=%llu", log_quote(why), (unsigned long long)plan->wait_ms);
    // A history that is gone is the protocol's own way; the list that follows mends it.
    bool expected = plan->list && plan->wait_ms == 0;
    source->owner.report(expected ? SOURCE_INFO : SOURCE_WARN, type == API_LIST ? "list-failed" : "watch-failed",
                         fields.failed ? "" : fields.data, source->owner.arg);
    api_kind_count(kind, type == API_LIST ? "list_failures" : "watch_failures", 1);
    char problem[sizeof(source->problem)];
    (void)snprintf(problem, sizeof(problem), "cannot %s %s: %.400s", type == API_LIST ? "list" : "watch", kind->label,
                   why);
    api_source_problem(source, problem);
}

static uint64_t retry_after(struct api_kind *kind, const struct http_result *result)
{
    const struct api_timing *timing = &kind->source->timing;
    uint64_t asked =
        result->retry_after_s < timing->retry_after_max_s ? result->retry_after_s : timing->retry_after_max_s;
    asked *= 1000;
    uint64_t own = backoff(kind);
    return (asked > own ? asked : own) + api_random(kind->source, 0, timing->spread_ms);
}

// By the table of api-client.md 2.11.
static struct plan decide(struct api_kind *kind, enum api_request_type type, const struct http_result *result)
{
    const struct api_timing *timing = &kind->source->timing;
    bool list = type == API_LIST;
    const struct err *why = &kind->stream_err;
    unsigned status = result->status;
    if (status == 410 || (why->kind == ERR_RELIST && why->num == 410)) {
        // At once the first time; a server that always says so gets the back-off.
        bool first = kind->failures == 0;
        uint64_t wait = backoff(kind);
        return (struct plan){.list = true, .wait_ms = first ? 0 : wait};
    }
    if (why->kind != ERR_NONE) {
        // An event that was there and could not be read: only a list says what there is now.
        bool lost = why->kind == ERR_RELIST || why->kind == ERR_INPUT || why->kind == ERR_LIMIT;
        return (struct plan){.list = list || (lost && status != 0), .wait_ms = backoff(kind)};
    }
    switch (status) {
    case 401:
        return (struct plan){.list = list, .wait_ms = api_request_credentials_changed(kind) ? 0 : backoff(kind)};
    case 403:
        return (struct plan){.list = list,
                             .wait_ms = api_random(kind->source, timing->denied_ms, (uint64_t)timing->denied_ms * 2)};
    case 400:
    case 422:
        if (kind->selector) {
            // A server that does not know the fields: everything, then, and finished pods are judged here.
            kind->selector = NULL;
            return (struct plan){.list = true};
        }
        return (struct plan){.list = list, .wait_ms = backoff(kind)};
    case 429:
        return (struct plan){.list = list, .wait_ms = retry_after(kind, result)};
    default:
        break;
    }
    if (status >= 500 && result->has_retry_after) {
        return (struct plan){.list = list, .wait_ms = retry_after(kind, result)};
    }
    // The connection may lead to a dead server, or through a dead path.
    kind->fresh = true;
    return (struct plan){.list = list, .wait_ms = backoff(kind)};
}

void api_retry(struct api_kind *kind, enum api_request_type type, const struct http_result *result)
{
    static const struct http_result not_started = {.outcome = HTTP_BROKEN, .why = "", .body = ""};
    result = result ? result : &not_started;
    struct plan plan = decide(kind, type, result);
    report(kind, type, result, &plan);
    kind->failing = true;
    if (plan.list && plan.wait_ms == 0) {
        api_kind_want_list(kind);
        return;
    }
    api_retry_in(kind, !plan.list, plan.wait_ms);
}

void api_retry_recovered(struct api_kind *kind)
{
    if (kind->failing) {
        kind->failing = false;
        struct api_source *source = kind->source;
        struct buf BUF_CLEANUP fields = {0};
        buf_printf(&fields, "kind=%s", kind->label);
        source->owner.report(SOURCE_INFO, "watch-recovered", fields.failed ? "" : fields.data, source->owner.arg);
    }
}

void api_retry_in(struct api_kind *kind, bool resume, uint64_t ms)
{
    kind->phase = API_WAITING;
    kind->resume = resume;
    loop_arm(kind->timer, ms);
}
