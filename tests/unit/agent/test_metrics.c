// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "agent/metrics.h"
#include "agent/source_metrics.h"
#include "base/map.h"

static int setup(void **state)
{
    struct metrics *metrics = NULL;
    struct err err = {0};
    int rc = metrics_new(&metrics, &err);
    *state = metrics;
    return rc;
}

static int teardown(void **state)
{
    metrics_free(*state);
    return 0;
}

static char *render(const struct metrics *metrics)
{
    struct buf out = {0};
    metrics_render(metrics, &out);
    char *text = buf_take(&out);
    assert_non_null(text);
    return text;
}

static void assert_line(const char *text, const char *line)
{
    char want[512];
    (void)snprintf(want, sizeof(want), "\n%s\n", line);
    if (!strstr(text, want)) {
        fail_msg("no line \"%s\" in:\n%s", line, text);
    }
}

static void test_values(void **state)
{
    struct metrics *m = *state;
    metrics_set(m, METRIC_BUILD_INFO, "0.1", "abc", 1);
    metrics_add(m, METRIC_DRIFT_REPAIRED, "set", NULL, 2);
    metrics_add(m, METRIC_DRIFT_REPAIRED, "set", NULL, 3);
    metrics_add(m, METRIC_DRIFT_REPAIRED, "jump", NULL, 1);
    metrics_set(m, METRIC_LAST_SYNC, NULL, NULL, 1700000000.25);
    assert_true(metrics_get(m, METRIC_DRIFT_REPAIRED, "set", NULL) == 5);
    assert_true(metrics_get(m, METRIC_DRIFT_REPAIRED, "chain", NULL) == 0);
    CLEANUP(free) char *text = render(m);
    assert_line(text, "netpold_build_info{version=\"0.1\",commit=\"abc\"} 1");
    assert_line(text, "netpold_drift_repaired_total{kind=\"set\"} 5");
    assert_line(text, "netpold_drift_repaired_total{kind=\"jump\"} 1");
    assert_line(text, "netpold_last_successful_sync_timestamp_seconds 1700000000.25");
    assert_line(text, "netpold_table_commits_total 0");
    assert_line(text, "# TYPE netpold_drift_repaired_total counter");
    assert_int_equal(text[strlen(text) - 1], '\n');
}

static void test_labels_are_escaped(void **state)
{
    struct metrics *m = *state;
    metrics_set(m, METRIC_BUILD_INFO, "a\"b\\c\nd", "x", 1);
    CLEANUP(free) char *text = render(m);
    assert_line(text, "netpold_build_info{version=\"a\\\"b\\\\c\\nd\",commit=\"x\"} 1");
}

static void test_histogram(void **state)
{
    struct metrics *m = *state;
    metrics_observe(m, METRIC_PROPAGATION, 0.0005);
    metrics_observe(m, METRIC_PROPAGATION, 0.003);
    metrics_observe(m, METRIC_PROPAGATION, 100);
    CLEANUP(free) char *text = render(m);
    assert_line(text, "netpold_propagation_seconds_bucket{le=\"0.0005\"} 1");
    assert_line(text, "netpold_propagation_seconds_bucket{le=\"0.0025\"} 1");
    assert_line(text, "netpold_propagation_seconds_bucket{le=\"0.005\"} 2");
    assert_line(text, "netpold_propagation_seconds_bucket{le=\"30\"} 2");
    assert_line(text, "netpold_propagation_seconds_bucket{le=\"+Inf\"} 3");
    assert_line(text, "netpold_propagation_seconds_count 3");
    assert_line(text, "netpold_propagation_seconds_sum 100.0035");
    assert_true(metrics_get(m, METRIC_PROPAGATION, NULL, NULL) == 3);
}

static void test_counts_of_a_source(void **state)
{
    struct metrics *m = *state;
    metrics_count(m, "watch_events", "pods/added", 2);
    metrics_count(m, "watch_events", "pods/added", 1);
    metrics_count(m, "parse_errors", "files", 4);
    metrics_count(m, "never_heard_of", "x", 5);
    metrics_count(m, "lists", "pods/expired/410", 1);
    metrics_count(m, "lists", "pods", 1);
    metrics_count(m, "watch_restarts", "pods/silent/for/long", 1);
    metrics_count(m, "table_commits", NULL, 1);
    CLEANUP(free) char *text = render(m);
    assert_line(text, "netpold_watch_events_total{resource=\"pods\",type=\"added\"} 3");
    assert_line(text, "netpold_lists_total{resource=\"pods\",reason=\"expired\",code=\"410\"} 1");
    assert_line(text, "netpold_lists_total{resource=\"pods\"} 1");
    assert_line(text, "netpold_watch_restarts_total{resource=\"pods\",reason=\"silent/for/long\"} 1");
    assert_line(text, "netpold_table_commits_total 1");
    assert_line(text, "netpold_parse_errors_total{resource=\"files\"} 4");
    assert_line(text, "netpold_source_counts_total{counter=\"never_heard_of\",label=\"x\"} 5");
}

static void test_source(void **state)
{
    struct metrics *m = *state;
    source_metrics_init(m);
    source_metrics_count(m, "list_ms", "pods", 1500, 1700000000.5);
    source_metrics_count(m, "watch_events", "nodes/BOOKMARK", 1, 1700000001);
    source_metrics_count(m, "requests", "200", 2, 1700000002);
    CLEANUP(free) char *text = render(m);
    assert_line(text, "netpold_informer_synced{resource=\"pods\"} 1");
    assert_line(text, "netpold_informer_synced{resource=\"nodes\"} 0");
    assert_line(text, "netpold_list_duration_seconds_sum 1.5");
    assert_line(text, "netpold_informer_last_event_timestamp_seconds{resource=\"pods\"} 1700000000.5");
    assert_line(text, "netpold_informer_last_event_timestamp_seconds{resource=\"nodes\"} 1700000001");
    assert_line(text, "netpold_watch_events_total{resource=\"nodes\",type=\"BOOKMARK\"} 1");
    assert_line(text, "netpold_requests_total{code=\"200\"} 2");
    assert_null(strstr(text, "list_ms"));
}

static void test_series_are_bounded(void **state)
{
    struct metrics *m = *state;
    for (unsigned i = 0; i < METRIC_SERIES_MAX + 50u; i++) {
        char label[16];
        (void)snprintf(label, sizeof(label), "%u", i);
        metrics_add(m, METRIC_DRIFT_REPAIRED, label, NULL, 1);
    }
    assert_true(metrics_get(m, METRIC_DRIFT_REPAIRED, "0", NULL) == 1);
    assert_true(metrics_get(m, METRIC_DRIFT_REPAIRED, "300", NULL) == 0);
}

// HELP and TYPE once for each family, in front of its samples; every sample belongs to the family above it.
static void test_text_format(void **state)
{
    struct metrics *m = *state;
    metrics_add(m, METRIC_APPLY_ERRORS, "open", NULL, 1);
    metrics_add(m, METRIC_APPLY_ERRORS, "apply", NULL, 1);
    CLEANUP(free) char *text = render(m);
    CLEANUP(map_free) struct map *seen = map_new();
    char family[256] = "";
    for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            (void)snprintf(family, sizeof(family), "%.*s", (int)strcspn(line + 7, " "), line + 7);
            assert_null(map_get_str(seen, family));
            assert_int_equal(map_put_str(seen, family, seen, NULL), 0);
            assert_true(strlen(line) > 7 + strlen(family) + 5);
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            assert_int_equal(strncmp(line + 7, family, strlen(family)), 0);
        } else {
            assert_int_equal(strncmp(line, family, strlen(family)), 0);
            assert_true(strncmp(line, "netpold_", 8) == 0 || strncmp(line, "process_", 8) == 0);
        }
    }
    assert_true(map_size(seen) > 5);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_values), T(test_labels_are_escaped), T(test_histogram),   T(test_counts_of_a_source),
        T(test_source), T(test_series_are_bounded), T(test_text_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
