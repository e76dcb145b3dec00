// SPDX-License-Identifier: Apache-2.0
#include "agent/metrics.h"

#include <stdio.h>

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_row {
    const char *name;
    enum metric_type type;
    const char *labels[METRIC_LABELS];
    const char *help;
};

static const struct metric_row rows[METRIC_COUNT] = {
#define METRIC(id, name, type, label1, label2, label3, help) {name, METRIC_##type, {label1, label2, label3}, help},
#include "agent/metrics.def"
#undef METRIC
};

static const double bounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};

struct histogram {
    uint64_t counts[ARRAY_SIZE(bounds) + 1];  // the last one: above every bound
    uint64_t count;
    double sum;
};

struct series {
    char *labels[METRIC_LABELS];
    double value;
};

struct family {
    VEC(struct series) series;
    struct histogram *histogram;
};

struct metrics {
    struct family families[METRIC_COUNT];
};

int metrics_new(struct metrics **ret, struct err *err)
{
    CLEANUP(metrics_free) struct metrics *metrics = calloc(1, sizeof(*metrics));
    if (!metrics) {
        return err_oom(err);
    }
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        if (rows[i].type == METRIC_HISTOGRAM) {
            metrics->families[i].histogram = calloc(1, sizeof(struct histogram));
            if (!metrics->families[i].histogram) {
                return err_oom(err);
            }
        }
    }
    *ret = TAKE(metrics);
    return 0;
}

static void labels_free(const struct series *series)
{
    for (size_t i = 0; i < METRIC_LABELS; i++) {
        free(series->labels[i]);
    }
}

void metrics_free(struct metrics *metrics)
{
    if (!metrics) {
        return;
    }
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        struct family *family = &metrics->families[i];
        for (size_t j = 0; j < family->series.n; j++) {
            labels_free(&family->series.v[j]);
        }
        vec_free(&family->series);
        free(family->histogram);
    }
    free(metrics);
}

// Labels that a row has none of are "" or NULL.
static struct series *find_series(const struct family *family, const char *const labels[METRIC_LABELS])
{
    for (size_t i = 0; i < family->series.n; i++) {
        struct series *series = &family->series.v[i];
        bool same = true;
        for (size_t j = 0; j < METRIC_LABELS; j++) {
            same = same && strcmp(series->labels[j], labels[j] ? labels[j] : "") == 0;
        }
        if (same) {
            return series;
        }
    }
    return NULL;
}

static struct series *get_series(struct family *family, const char *const labels[METRIC_LABELS])
{
    struct series *found = find_series(family, labels);
    if (found || family->series.n >= METRIC_SERIES_MAX) {
        return found;
    }
    struct series series = {0};
    bool whole = true;
    for (size_t i = 0; i < METRIC_LABELS; i++) {
        series.labels[i] = strdup(labels[i] ? labels[i] : "");
        whole = whole && series.labels[i];
    }
    if (!whole || vec_push(&family->series, series) < 0) {
        labels_free(&series);
        return NULL;
    }
    return &family->series.v[family->series.n - 1];
}

void metrics_add(struct metrics *metrics, enum metric metric, const char *label1, const char *label2, double delta)
{
    struct series *series = get_series(&metrics->families[metric], (const char *[METRIC_LABELS]){label1, label2});
    if (series) {
        series->value += delta;
    }
}

void metrics_set(struct metrics *metrics, enum metric metric, const char *label1, const char *label2, double value)
{
    struct series *series = get_series(&metrics->families[metric], (const char *[METRIC_LABELS]){label1, label2});
    if (series) {
        series->value = value;
    }
}

void metrics_observe(struct metrics *metrics, enum metric metric, double seconds)
{
    struct histogram *histogram = metrics->families[metric].histogram;
    size_t bucket = 0;
    while (bucket < ARRAY_SIZE(bounds) && seconds > bounds[bucket]) {
        bucket++;
    }
    histogram->counts[bucket]++;
    histogram->count++;
    histogram->sum += seconds;
}

double metrics_get(const struct metrics *metrics, enum metric metric, const char *label1, const char *label2)
{
    const struct family *family = &metrics->families[metric];
    if (family->histogram) {
        return (double)family->histogram->count;
    }
    const struct series *series = find_series(family, (const char *[METRIC_LABELS]){label1, label2});
    return series ? series->value : 0;
}

double metrics_quantile(const struct metrics *metrics, enum metric metric, double part)
{
    const struct histogram *histogram = metrics->families[metric].histogram;
    double rank = part * (double)histogram->count;
    double below = 0;
    for (size_t i = 0; histogram->count && i < ARRAY_SIZE(bounds); i++) {
        double in = (double)histogram->counts[i];
        if (in > 0 && below + in >= rank) {
            double from = i ? bounds[i - 1] : 0;
            return from + (bounds[i] - from) * (rank - below) / in;
        }
        below += in;
    }
    return histogram->count ? bounds[ARRAY_SIZE(bounds) - 1] : 0;
}

// "pods/relist/410" for a row with three labels, cut at the first two slashes; a value that is missing is "".
static void count_row(struct metrics *metrics, enum metric metric, const char *label, unsigned delta)
{
    char text[256];
    const char *labels[METRIC_LABELS] = {0};
    (void)snprintf(text, sizeof(text), "%s", label ? label : "");
    char *rest = text;
    for (size_t i = 0; i < METRIC_LABELS && rows[metric].labels[i] && rest; i++) {
        bool last = i + 1 == METRIC_LABELS || !rows[metric].labels[i + 1];
        char *slash = last ? NULL : strchr(rest, '/');
        labels[i] = rest;
        if (slash) {
            *slash = '\0';
        }
        rest = slash ? slash + 1 : NULL;
    }
    struct series *series = get_series(&metrics->families[metric], labels);
    if (series) {
        series->value += delta;
    }
}

void metrics_count(struct metrics *metrics, const char *counter, const char *label, unsigned delta)
{
    char name[128];
    (void)snprintf(name, sizeof(name), "netpold_%.100s_total", counter);
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            count_row(metrics, (enum metric)i, label, delta);
            return;
        }
    }
    metrics_add(metrics, METRIC_SOURCE_OTHER, counter, label, delta);
}

static void render_label(const char *name, const char *value, struct buf *out)
{
    buf_printf(out, "%s=\"", name);
    for (const char *p = value; *p; p++) {
        if (*p == '\\' || *p == '"') {
            buf_putc(out, '\\');
            buf_putc(out, *p);
        } else if (*p == '\n') {
            buf_puts(out, "\\n");
        } else {
            buf_putc(out, *p);
        }
    }
    buf_putc(out, '"');
}

static void render_number(double value, struct buf *out)
{
    if (value > -1e15 && value < 1e15 && value == (double)(int64_t)value) {
        buf_printf(out, " %.0f\n", value);
    } else {
        buf_printf(out, " %.15g\n", value);
    }
}

static void render_series(const struct metric_row *row, const struct series *series, struct buf *out)
{
    buf_puts(out, row->name);
    if (row->labels[0]) {
        buf_putc(out, '{');
        render_label(row->labels[0], series->labels[0], out);
        for (size_t i = 1; i < METRIC_LABELS; i++) {
            if (row->labels[i] && series->labels[i][0]) {
                buf_putc(out, ',');
                render_label(row->labels[i], series->labels[i], out);
            }
        }
        buf_putc(out, '}');
    }
    render_number(series->value, out);
}

static void render_histogram(const struct metric_row *row, const struct histogram *histogram, struct buf *out)
{
    uint64_t below = 0;
    for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
        below += histogram->counts[i];
        buf_printf(out, "%s_bucket{le=\"%g\"} %llu\n", row->name, bounds[i], (unsigned long long)below);
    }
    buf_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n", row->name, (unsigned long long)histogram->count);
    buf_printf(out, "%s_sum %.9g\n", row->name, histogram->sum);
    buf_printf(out, "%s_count %llu\n", row->name, (unsigned long long)histogram->count);
}

void metrics_render(const struct metrics *metrics, struct buf *out)
{
    static const char *const type_names[] = {"counter", "gauge", "histogram"};
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const struct family *family = &metrics->families[i];
        const struct metric_row *row = &rows[i];
        if (!family->histogram && family->series.n == 0 && (row->labels[0] || row->type == METRIC_GAUGE)) {
            continue;
        }
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name, type_names[row->type]);
        if (family->histogram) {
            render_histogram(row, family->histogram, out);
        } else if (family->series.n == 0) {
            buf_printf(out, "%s 0\n", row->name);  // a counter that has not counted yet
        }
        for (size_t j = 0; j < family->series.n; j++) {
            render_series(row, &family->series.v[j], out);
        }
    }
}
