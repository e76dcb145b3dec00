// SPDX-License-Identifier: Apache-2.0
#include "agent/routes.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "agent/source_metrics.h"
#include "base/num.h"
#include "web/web.h"

struct routes {
    struct routes_config config;
    struct web *web;
};

struct route {
    const char *path;
    void (*answer)(struct routes *routes, const struct web_request *request, struct web_response *response);
};

static bool is_excluded(const char *name, void *arg)
{
    const struct web_request *request = arg;
    return web_query(request, "exclude", name);
}

static void answer_health(struct routes *routes, const struct web_request *request, struct web_response *response,
                          bool ready_checks)
{
    bool ok = health_render(routes->config.health, ready_checks, web_query(request, "verbose", NULL), num_now_ms(),
                            is_excluded, (void *)(uintptr_t)request, &response->body);
    response->status = ok ? 200 : 503;
}

static void answer_livez(struct routes *routes, const struct web_request *request, struct web_response *response)
{
    answer_health(routes, request, response, false);
}

static void answer_readyz(struct routes *routes, const struct web_request *request, struct web_response *response)
{
    answer_health(routes, request, response, true);
}

static double resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long total = 0;
    unsigned long resident = 0;
    if (file) {
        if (fscanf(file, "%lu %lu", &total, &resident) != 2) {
            resident = 0;
        }
        (void)fclose(file);
    }
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static void answer_metrics(struct routes *routes, UNUSED const struct web_request *request,
                           struct web_response *response)
{
    struct metrics *metrics = routes->config.metrics;
    for (unsigned kind = 0; kind < OBJECT_KIND_COUNT; kind++) {
        metrics_set(metrics, METRIC_OBJECTS, source_metrics_resource(kind), NULL,
                    (double)state_count(routes->config.state, (enum object_kind)kind));
    }
    struct timespec cpu = {0};
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    metrics_set(metrics, METRIC_CPU_SECONDS, NULL, NULL, (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9);
    metrics_set(metrics, METRIC_RESIDENT_MEMORY, NULL, NULL, resident_bytes());
    metrics_set(metrics, METRIC_READY, NULL, NULL, health_ready(routes->config.health));
    response->type = METRICS_CONTENT_TYPE;
    metrics_render(metrics, &response->body);
}

static const struct route routes_table[] = {
    {"/livez", answer_livez},
    {"/readyz", answer_readyz},
    {"/healthz", answer_livez},
    {"/metrics", answer_metrics},
};

static void on_request(const char *path, const struct web_request *request, struct web_response *response, void *arg)
{
    for (size_t i = 0; i < ARRAY_SIZE(routes_table); i++) {
        if (strcmp(routes_table[i].path, path) == 0) {
            routes_table[i].answer(arg, request, response);
            return;
        }
    }
    response->status = 404;
    buf_puts(&response->body, "not found; there are");
    for (size_t i = 0; i < ARRAY_SIZE(routes_table); i++) {
        buf_printf(&response->body, " %s", routes_table[i].path);
    }
    buf_putc(&response->body, '\n');
}

int routes_new(const struct routes_config *config, struct routes **ret, struct err *err)
{
    CLEANUP(routes_free) struct routes *routes = calloc(1, sizeof(*routes));
    if (!routes) {
        return err_oom(err);
    }
    routes->config = *config;
    if (web_new(config->loop, config->address, on_request, routes, &routes->web, err) < 0) {
        return err_wrap(err, "--metrics-address");
    }
    *ret = TAKE(routes);
    return 0;
}

void routes_free(struct routes *routes)
{
    if (!routes) {
        return;
    }
    web_free(routes->web);
    free(routes);
}

unsigned routes_port(const struct routes *routes)
{
    return web_port(routes->web);
}
