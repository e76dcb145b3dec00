// SPDX-License-Identifier: Apache-2.0
//
// The registry behind /metrics: families from metrics.def, series by label values, and the Prometheus text format.
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

enum metric {
#define METRIC(id, name, type, label1, label2, label3, help) METRIC_##id,
#include "agent/metrics.def"
#undef METRIC
    METRIC_COUNT
};

struct metrics;
NODISCARD int metrics_new(struct metrics **ret, struct err *err);
void metrics_free(struct metrics *metrics);
CLEANUP_DEFINE(struct metrics, metrics_free);

// label1 and label2: values for the labels of the row, NULL where it has none. A series that cannot be made (memory, or
// METRIC_SERIES_MAX of them in one family) is left out: metrics never stop the agent.
enum { METRIC_SERIES_MAX = 256, METRIC_LABELS = 3 };
void metrics_add(struct metrics *metrics, enum metric metric, const char *label1, const char *label2, double delta);
void metrics_set(struct metrics *metrics, enum metric metric, const char *label1, const char *label2, double value);
// One observation of a histogram, in seconds.
void metrics_observe(struct metrics *metrics, enum metric metric, double seconds);
// The value of a series (of a histogram: how many observations); 0 when there is none.
double metrics_get(const struct metrics *metrics, enum metric metric, const char *label1, const char *label2);
// The value (seconds) that this part (0..1) of a histogram's observations is not above, interpolated within its bucket;
// the last bound when it is above all of them, 0 when there are none.
double metrics_quantile(const struct metrics *metrics, enum metric metric, double part);
// A counter as a source names it: "watch_events" is netpold_watch_events_total; label "pods/added" gives both labels of
// a row that has two, "pods/expired/410" those of one that has three. A name without a row counts under
// netpold_source_counts_total.
void metrics_count(struct metrics *metrics, const char *counter, const char *label, unsigned delta);

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
void metrics_render(const struct metrics *metrics, struct buf *out);
