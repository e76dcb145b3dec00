// SPDX-License-Identifier: Apache-2.0
//
// What a change costs the compiler: the engine against a compile from scratch, in one run, at three sizes of the
// cluster (DESIGN 10: a remote event at most 50 µs of user time, whatever the size). Without a kernel and without an
// API server: `make bench` has those. engine [ROUNDS]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/num.h"
#include "policy/engine.h"

enum { LOCAL = 110, NAMESPACES = 100, APPS = 20, ROUNDS = 2000, SCRATCH_ROUNDS = 5 };

static const char *const tiers[] = {"front", "back", "cache"};

static void check(int rc, const struct err *err)
{
    if (rc < 0) {
        (void)fprintf(stderr, "engine: %s\n", err->msg);
        exit(1);
    }
}

static double user_s(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6;
}

static long resident_kib(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file) {
        if (fscanf(file, "%*s %ld", &pages) != 1) {
            pages = 0;
        }
        (void)fclose(file);
    }
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

// The n-th pod; the first LOCAL are the node's.
static void put_pod(struct state *state, size_t n, size_t version)
{
    char ns[16];
    char name[24];
    char app[16];
    char run[24];
    struct err err = {0};
    (void)snprintf(ns, sizeof(ns), "ns-%zu", n % NAMESPACES);
    (void)snprintf(name, sizeof(name), "pod-%zu", n);
    (void)snprintf(app, sizeof(app), "app-%zu", (n + version) % APPS);
    (void)snprintf(run, sizeof(run), "run-%zu", n / 7);
    const struct label labels[] = {
        {"app", app}, {"pod-template-hash", run}, {"tier", tiers[(n / APPS) % (sizeof(tiers) / sizeof(tiers[0]))]}};
    const struct named_port port = {.name = "http", .protocol = PROTOCOL_TCP, .number = 8080};
    const struct address address = {.family = FAMILY_V4,
                                    .bytes = {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
    const struct pod pod = {
        .meta = {.ns = ns,
                 .name = name,
                 .uid = name,
                 .resource_version = "",
                 .created = "",
                 .labels = {.v = labels, .n = 3},
                 .origin = {.file = ""}},
        .node = n < LOCAL ? "n0" : "n1",
        .phase = POD_RUNNING,
        .addresses = &address,
        .n_addresses = 1,
        .ports = &port,
        .n_ports = 1,
    };
    struct pod *copy = pod_dup(&pod);
    check(copy ? state_put_pod(state, copy, &err) : -1, &err);
}

static void put_namespace(struct state *state, size_t n)
{
    char name[16];
    struct err err = {0};
    (void)snprintf(name, sizeof(name), "ns-%zu", n);
    const struct label label = {"kubernetes.io/metadata.name", name};
    const struct ns_object ns = {.meta = {.ns = "",
                                          .name = name,
                                          .uid = name,
                                          .resource_version = "",
                                          .created = "",
                                          .labels = {.v = &label, .n = 1},
                                          .origin = {.file = ""}}};
    struct ns_object *copy = ns_object_dup(&ns);
    check(copy ? state_put_namespace(state, copy, &err) : -1, &err);
}

// The n-th policy: the pods of a namespace (all have one app), from an app of the next one and from a tier of their
// own.
static void put_policy(struct state *state, size_t n, size_t version)
{
    char ns[16];
    char name[24];
    char subject[16];
    char other[16];
    char next[16];
    struct err err = {0};
    (void)snprintf(ns, sizeof(ns), "ns-%zu", n % NAMESPACES);
    (void)snprintf(next, sizeof(next), "ns-%zu", (n + 1) % NAMESPACES);
    (void)snprintf(name, sizeof(name), "policy-%zu", n);
    (void)snprintf(subject, sizeof(subject), "app-%zu", n % NAMESPACES % APPS);
    (void)snprintf(other, sizeof(other), "app-%zu", (n % NAMESPACES + 1 + n / NAMESPACES) % APPS);
    const char *const subjects[] = {subject};
    const char *const others[] = {other};
    const char *const spaces[] = {next};
    const char *const fronts[] = {"front"};
    const struct requirement is_subject = {.key = "app", .op = SELECTOR_IN, .values = subjects, .n_values = 1};
    const struct requirement is_other = {.key = "app", .op = SELECTOR_IN, .values = others, .n_values = 1};
    const struct requirement in_next = {
        .key = "kubernetes.io/metadata.name", .op = SELECTOR_IN, .values = spaces, .n_values = 1};
    const struct requirement is_front = {.key = "tier", .op = SELECTOR_IN, .values = fronts, .n_values = 1};
    const struct peer peers[] = {
        {.kind = PEER_PODS,
         .has_pod_selector = true,
         .has_ns_selector = true,
         .pod_selector = {.v = &is_other, .n = 1},
         .ns_selector = {.v = &in_next, .n = 1}},
        {.kind = PEER_PODS, .has_pod_selector = true, .pod_selector = {.v = &is_front, .n = 1}},
    };
    const struct policy_port port = {
        .kind = PORT_RANGE, .protocol = PROTOCOL_TCP, .first = (uint16_t)(8000 + version % 1000), .last = 9000};
    const struct policy_rule rule = {.peers = peers, .n_peers = 2, .ports = &port, .n_ports = 1};
    const struct policy policy = {
        .meta = {.ns = ns, .name = name, .uid = name, .resource_version = "", .created = "", .origin = {.file = ""}},
        .subject = {.v = &is_subject, .n = 1},
        .isolates = {true, true},
        .rules = {&rule, &rule},
        .n_rules = {1, 1},
    };
    struct policy *copy = policy_dup(&policy);
    check(copy ? state_put_policy(state, copy, &err) : -1, &err);
}

static enum engine_outcome update(struct engine *engine)
{
    struct err err = {0};
    struct engine_update update;
    check(engine_update(engine, &update, &err), &err);
    engine_keep(engine);
    return update.outcome;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double scratch_us(struct state *state)
{
    static const struct policy_options options;
    double took[SCRATCH_ROUNDS];
    for (size_t i = 0; i < SCRATCH_ROUNDS; i++) {
        struct err err = {0};
        struct ruleset *ruleset = NULL;
        uint64_t began = num_now_ns();
        check(compile_ruleset(state, "n0", NULL, &options, &ruleset, NULL, &err), &err);
        took[i] = (double)(num_now_ns() - began) / 1e3;
        ruleset_free(ruleset);
    }
    qsort(took, SCRATCH_ROUNDS, sizeof(took[0]), compare);
    return took[SCRATCH_ROUNDS / 2];
}

static void measure(size_t pods, size_t policies, size_t rounds)
{
    static const struct policy_options options;
    struct err err = {0};
    CLEANUP(state_free) struct state *state = NULL;
    check(state_new(&state, &err), &err);
    for (size_t i = 0; i < NAMESPACES; i++) {
        put_namespace(state, i);
    }
    for (size_t i = 0; i < pods; i++) {
        put_pod(state, i, 0);
    }
    for (size_t i = 0; i < policies; i++) {
        put_policy(state, i, 0);
    }
    double scratch = scratch_us(state);
    long before = resident_kib();
    CLEANUP(engine_free) struct engine *engine = NULL;
    check(engine_new(state, "n0", &options, &engine, &err), &err);
    (void)update(engine);
    long after = resident_kib();
    CLEANUP(free) double *took = calloc(rounds, sizeof(*took));
    size_t members = 0;
    double user = user_s();
    for (size_t i = 0; took && i < rounds; i++) {
        uint64_t began = num_now_ns();
        put_pod(state, LOCAL + i * 37 % (pods - LOCAL), 1 + i);
        members += update(engine) == ENGINE_MEMBERS;
        took[i] = (double)(num_now_ns() - began) / 1e3;
    }
    user = (user_s() - user) / (double)rounds * 1e6;
    qsort(took, rounds, sizeof(*took), compare);
    double p50 = took[rounds / 2];
    double p99 = took[rounds * 99 / 100];
    struct engine_sizes sizes;
    engine_sizes(engine, &sizes);
    double local[64];
    for (size_t i = 0; i < 64; i++) {
        uint64_t began = num_now_ns();
        put_policy(state, i % policies, 1 + i);
        (void)update(engine);
        local[i] = (double)(num_now_ns() - began) / 1e3;
    }
    qsort(local, 64, sizeof(local[0]), compare);
    (void)printf("| %zu / %zu | %.0f µs | %.1f / %.1f µs | %.1f µs | %.4f | %zu of %zu | %.0f µs | %.3f | %.1f MiB |\n",
                 pods, policies, scratch, p50, p99, user, p50 / scratch, members, rounds, local[32],
                 local[32] / scratch, (double)(after - before) / 1024);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : ROUNDS;
    (void)printf("| pods / policies | from scratch | pod elsewhere p50 / p99 | user time | of scratch | changed "
                 "members | policy of the node | of scratch | engine holds |\n"
                 "|---|---|---|---|---|---|---|---|---|\n");
    measure(1000, 100, rounds);
    measure(10000, 1000, rounds);
    measure(150000, 10000, rounds);
    return 0;
}
