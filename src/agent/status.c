// SPDX-License-Identifier: Apache-2.0
#include "agent/status.h"

#include <time.h>
#include <unistd.h>

#include "agent/source_metrics.h"
#include "base/num.h"
#include "base/version.h"
#include "model/object.h"

static void put_program(const struct status *status, struct buf *out)
{
    buf_puts(out, "\"version\":");
    buf_json_string(out, version_string());
    buf_puts(out, ",\"commit\":");
    buf_json_string(out, version_commit());
    buf_printf(out, ",\"pid\":%ld,\"uptime_seconds\":%.3f", (long)getpid(),
               (double)(num_now_ms() - status->start_ms) / 1e3);
}

static void put_checks(const struct status *status, struct buf *out)
{
    buf_printf(out, ",\"ready\":%s,\"checks\":[", health_ready(status->health) ? "true" : "false");
    for (unsigned i = 0; i < HEALTH_CHECK_COUNT; i++) {
        buf_printf(out, "%s{\"name\":\"%s\",\"ok\":%s,\"why\":", i ? "," : "", health_check_name((enum health_check)i),
                   status->health->checks[i].ok ? "true" : "false");
        buf_json_string(out, status->health->checks[i].ok ? "" : status->health->checks[i].why);
        buf_puts(out, ",\"warning\":");
        buf_json_string(out, status->health->checks[i].warning);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

// What the source counted, by kind of object. Only the API server tells when it said something last.
static void put_source(const struct status *status, struct buf *out)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    buf_puts(out, ",\"source\":{\"name\":");
    buf_json_string(out, status->source);
    buf_puts(out, ",\"resources\":[");
    for (unsigned kind = 0; kind < OBJECT_KIND_COUNT; kind++) {
        const char *resource = source_metrics_resource(kind);
        double last = metrics_get(status->metrics, METRIC_INFORMER_LAST_EVENT, resource, NULL);
        buf_printf(out, "%s{\"resource\":\"%s\",\"last_event_seconds_ago\":", kind ? "," : "", resource);
        if (last > 0) {
            buf_printf(out, "%.3f", (double)now.tv_sec + (double)now.tv_nsec / 1e9 - last);
        } else {
            buf_puts(out, "null");
        }
        buf_printf(out, ",\"list_failures\":%.0f,\"watch_failures\":%.0f,\"parse_errors\":%.0f}",
                   metrics_get(status->metrics, METRIC_LIST_FAILURES, resource, NULL),
                   metrics_get(status->metrics, METRIC_WATCH_FAILURES, resource, NULL),
                   metrics_get(status->metrics, METRIC_PARSE_ERRORS, resource, NULL));
    }
    buf_puts(out, "]}");
}

static void put_times(const struct status *status, const char *name, enum metric metric, struct buf *out)
{
    static const struct {
        const char *name;
        double part;
    } rows[] = {{"p50_ms", 0.5}, {"p90_ms", 0.9}, {"p99_ms", 0.99}};
    double count = metrics_get(status->metrics, metric, NULL, NULL);
    buf_printf(out, ",\"%s\":{\"count\":%.0f", name, count);
    for (size_t i = 0; i < ARRAY_SIZE(rows) && count > 0; i++) {
        buf_printf(out, ",\"%s\":%.3f", rows[i].name, metrics_quantile(status->metrics, metric, rows[i].part) * 1e3);
    }
    buf_putc(out, '}');
}

void status_put(const struct status *status, struct buf *out)
{
    put_program(status, out);
    put_checks(status, out);
    put_source(status, out);
    buf_puts(out, ",\"backend_why\":");
    buf_json_string(out, status->backend_why ? status->backend_why : "");
    put_times(status, "propagation", METRIC_PROPAGATION, out);
    put_times(status, "apply_duration", METRIC_APPLY_DURATION, out);
    buf_putc(out, ',');
    sync_status(status->sync, out);
    for (const struct status_section *section = status->sections; section && section->name; section++) {
        buf_printf(out, ",\"%s\":", section->name);
        section->put(out, section->arg);
    }
}

void status_ask(struct control_call *call, UNUSED const struct doc *request, void *arg)
{
    BUF_CLEANUP struct buf out = {0};
    buf_puts(&out, ",\"status\":{");
    status_put(arg, &out);
    buf_putc(&out, '}');
    control_answer(call, out.failed ? NULL : out.data);
}
