// SPDX-License-Identifier: Apache-2.0
//
// Rows as tests: on which transports each runs, and what is checked behind each.
#include "faults/faults.h"

#include <stdio.h>

void faults_check_connect_timeout(struct faults *f)
{
    UNTIL(f, api_server_connections(f->world->server) >= 1);
    uint64_t start = num_now_ms();
    // Two questions may be asked at once.
    faults_run(f, 1000);
    size_t first = api_server_connections(f->world->server);
    assert_in_range(first, 1, 2);
    faults_run(f, 8500);
    assert_int_equal(api_server_connections(f->world->server), first);
    UNTIL(f, api_server_connections(f->world->server) > first);
    assert_in_range(num_now_ms() - start, 10000, 14000);
    faults_run(f, 120000);
    assert_in_range(api_server_connections(f->world->server), 5, 20);
    assert_false(f->synced);
}

static void check_rates(struct faults *f)
{
    unsigned max = f->rate_max ? f->rate_max : FAULTS_RATE;
    for (int kind = 0; kind < WORLD_KINDS; kind++) {
        for (unsigned type = 1; type <= WORLD_OTHER; type *= 2) {
            size_t rate = world_rate(f->world, type, WORLD_BIT(kind), 0, FAULTS_WINDOW_MS);
            if (rate > max) {
                fail_msg("a hot loop: %zu requests of type %u for kind %d within %d s", rate, type, kind,
                         FAULTS_WINDOW_MS / 1000);
            }
        }
    }
}

static void run_row(void **state)
{
    struct faults *f = *state;
    f->row->fn(f);
    if (!f->unsettled) {
        faults_settle(f);
    }
    check_rates(f);
    assert_string_equal(faults_text(&f->world->violations), "");
    assert_true(f->world->lists_in_flight_max <= (f->lists_max ? f->lists_max : 1));
    f->passed = true;
}

// A test: a row on a transport.
struct trial {
    const struct fault_row *row;
    bool http2;
    char name[96];
};

static int setup(void **state)
{
    const struct trial *trial = *state;
    struct faults *f = faults_new(trial->row);
    if (trial->http2) {
        faults_tls(f, true);
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct faults *f = *state;
    if (!f->passed) {
        faults_print(f);
    }
    faults_free(f);
    return 0;
}

static bool chosen(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strstr(name, argv[i])) {
            return true;
        }
    }
    return argc == 1;
}

int faults_main(const struct fault_row *rows, size_t n, int argc, char **argv)
{
    CLEANUP(free) struct trial *trials = calloc(2 * n + 1, sizeof(*trials));
    CLEANUP(free) struct CMUnitTest *tests = calloc(2 * n + 1, sizeof(*tests));
    bool list = argc == 2 && strcmp(argv[1], "--list") == 0;
    size_t n_tests = 0;
    if (!trials || !tests) {
        return 1;
    }
    for (size_t i = 0; i < 2 * n; i++) {
        struct trial *trial = &trials[i];
        *trial = (struct trial){.row = &rows[i % n], .http2 = i >= n};
        (void)snprintf(trial->name, sizeof(trial->name), "%s%s", trial->row->name, trial->http2 ? "/http2" : "");
        if (trial->http2 && trial->row->as_is) {
            continue;
        }
        if (list) {
            (void)printf("%s\n", trial->name);
        } else if (chosen(trial->name, argc, argv)) {
            tests[n_tests++] = (struct CMUnitTest){.name = trial->name,
                                                   .test_func = run_row,
                                                   .setup_func = setup,
                                                   .teardown_func = teardown,
                                                   .initial_state = trial};
        }
    }
    if (!list && n_tests == 0) {
        (void)fprintf(stderr, "no row has such a name\n");
        return 3;
    }
    return list ? 0 : _cmocka_run_group_tests("rows", tests, n_tests, NULL, NULL);
}
