// SPDX-License-Identifier: Apache-2.0
//
// Random faults against a random workload: soak [SECONDS]. Cluster after cluster, each on another kind of server and
// transport, is changed at random while the server misbehaves at random; every little while the faults are taken away,
// and the state must become the world's. Ends with 1 when it does not, or when the source asked for something that no
// right client asks for. SEED=N repeats the choices of a run (not its moments: sockets have their own).
#include "faults/faults.h"

#include <inttypes.h>
#include <stdio.h>

#include "support/rng.h"

enum { SECONDS = 10, ROUNDS = 12, PATIENCE_MS = 3 * 3600 * 1000, RATE_MAX = 120, NAMES = 40, SPACES = 6 };

static const struct fault_row row = ROW("soak", NULL);

// What may happen to requests; a cut gets its place at random.
static const struct world_fault catalog[] = {
    {.name = "fin", .cut = WORLD_CUT_FIN},
    {.name = "rst", .cut = WORLD_CUT_RST},
    {.name = "close", .cut = WORLD_CUT_CLOSE},
    {.name = "clean-end", .cut = WORLD_CUT_END},
    {.name = "rst-stream", .cut = WORLD_CUT_STREAM},
    {.name = "goaway-race", .cut = WORLD_CUT_GOAWAY, .silent = true},
    {.name = "hang", .cut = WORLD_CUT_HANG},
    {.name = "black-hole", .cut = WORLD_CUT_BLACK_HOLE},
    {.name = "silent", .silent = true},
    {.name = "delay", .delay_ms = 15000},
    {.name = "split", .split = 1},
    {.name = "merge", .on = WORLD_WATCH | WORLD_INITIAL, .merge_ms = 700},
    {.name = "drip", .split = 400, .drip_ms = 300},
    {.name = "crlf", .on = WORLD_WATCH | WORLD_INITIAL, .line_end = "\r\n\n"},
    {.name = "garbage", .on = WORLD_WATCH | WORLD_INITIAL, .inject = "{\"type\":\"MODIFIED\",\"object\":{\n"},
    {.name = "unknown-type", .on = WORLD_WATCH | WORLD_INITIAL, .inject = "{\"type\":\"ODD\",\"object\":{}}\n"},
    {.name = "410", .on = WORLD_WATCH, .status = 410},
    {.name = "410-relist", .on = WORLD_READS, .status = 410},
    {.name = "410-inside",
     .on = WORLD_WATCH,
     .status = 200,
     .body =
         "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too "
         "old resource version: 1 (2)\"}}\n"},
    {.name = "500-inside",
     .on = WORLD_WATCH,
     .status = 200,
     .body = "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":500,\"reason\":\"InternalError\"}}\n"},
    {.name = "429-text", .status = 429, .type = "text/plain", .headers = "Retry-After: 3\r\n", .body = "Too many.\n"},
    {.name = "429-json", .status = 429, .headers = "Retry-After: 900\r\n"},
    {.name = "500", .status = 500},
    {.name = "502", .status = 502, .type = "text/html", .body = "<html>Bad Gateway</html>"},
    {.name = "503", .status = 503, .headers = "Retry-After: 1\r\n"},
    {.name = "504", .status = 504},
    {.name = "401", .status = 401},
    {.name = "403", .status = 403},
    {.name = "404", .status = 404},
    {.name = "406", .status = 406},
    {.name = "422", .status = 422},
    {.name = "400", .on = WORLD_READS | WORLD_WATCH, .status = 400},
    {.name = "html", .status = 200, .type = "text/html", .body = "<html>Sign in</html>"},
    {.name = "html-json", .status = 200, .body = "<html>Sign in</html>"},
    {.name = "empty", .status = 200, .body = ""},
    {.name = "stale-list", .on = WORLD_READS, .at_version = 1},  // of some versions ago
    {.name = "302", .status = 302, .headers = "Location: /login\r\n", .body = ""},
};

struct soak {
    struct faults *f;
    struct rng rng;
    bool token;
    unsigned tokens;
    unsigned hits[ARRAY_SIZE(catalog)];
    struct world_fault *active[ARRAY_SIZE(catalog)];  // the last of each
    unsigned clusters, rounds, operations, incidents, restores;
    size_t requests, lists, differences;
    uint64_t events;
    uint64_t virtual_ms;
    size_t most_at_once;
};

// ---- the workload

static const char *space(struct soak *soak)
{
    static const char *const names[SPACES] = {"x", "y", "a", "b", "c", "zz"};
    return RNG_PICK(&soak->rng, names);
}

static void change_pod(struct soak *soak)
{
    static const char *const shapes[] = {"",         "",      "hostnet",       "phase:Succeeded", "phase:Failed",
                                         "deleting", "extra", "phase:Pending", "unscheduled",     "pad:3000"};
    struct world *world = soak->f->world;
    struct rng *rng = &soak->rng;
    char key[64];
    unsigned number = (unsigned)rng_below(rng, NAMES);
    (void)snprintf(key, sizeof(key), "%s/p%u", space(soak), number);
    bool there = world_has(world, WORLD_PODS, key);
    if (there && rng_chance(rng, 15)) {
        (void)world_delete(world, WORLD_PODS, key);
        if (rng_chance(rng, 60)) {
            return;
        }
    }
    if (there && rng_chance(rng, 30)) {
        (void)world_touch(world, WORLD_PODS, key);
        return;
    }
    (void)world_put(world, WORLD_PODS, "%s app=v%zu ip:10.0.%u.%zu node:n%zu %s", key, rng_below(rng, 5), number,
                    rng_below(rng, 250), rng_below(rng, 3), RNG_PICK(rng, shapes));
}

static void change_other(struct soak *soak, int kind)
{
    struct world *world = soak->f->world;
    struct rng *rng = &soak->rng;
    char key[64];
    if (kind == WORLD_NAMESPACES) {
        (void)snprintf(key, sizeof(key), "%s", space(soak));
    } else if (kind == WORLD_NODES) {
        (void)snprintf(key, sizeof(key), "n%zu", rng_below(rng, 5));
    } else {
        (void)snprintf(key, sizeof(key), "%s/policy%zu", space(soak), rng_below(rng, 5));
    }
    if (world_has(world, kind, key) && rng_chance(rng, 25)) {
        (void)world_delete(world, kind, key);
    } else if (kind == WORLD_POLICIES) {
        (void)world_put(world, kind, "%s select:app=v%zu from:app=v%zu", key, rng_below(rng, 5), rng_below(rng, 5));
    } else {
        (void)world_put(world, kind, "%s team=t%zu ip:192.0.2.%zu", key, rng_below(rng, 4), rng_below(rng, 9));
    }
}

static void work(struct soak *soak)
{
    size_t n = rng_chance(&soak->rng, 10) ? 200 : rng_below(&soak->rng, 8);
    for (size_t i = 0; i < n; i++) {
        soak->operations++;
        if (rng_chance(&soak->rng, 80)) {
            change_pod(soak);
        } else {
            change_other(soak, (int)rng_below(&soak->rng, 3));
        }
    }
}

// ---- what goes wrong

static void rotate_token(struct soak *soak)
{
    static char tokens[2][32];
    char *token = tokens[soak->tokens % 2];
    (void)snprintf(token, sizeof(tokens[0]), "token%u", ++soak->tokens);
    soak->f->world->token = token;
    faults_write_token(soak->f, token);
}

static void incident(struct soak *soak)
{
    static const enum world_cut cuts[] = {WORLD_CUT_END,   WORLD_CUT_FIN,  WORLD_CUT_RST,
                                          WORLD_CUT_CLOSE, WORLD_CUT_HANG, WORLD_CUT_BLACK_HOLE};
    struct world *world = soak->f->world;
    struct rng *rng = &soak->rng;
    unsigned kinds = rng_chance(rng, 30) ? 0 : WORLD_BIT(rng_below(rng, 4));
    soak->incidents++;
    switch (rng_below(rng, 14)) {
    case 0:
        world_restart(world);
        break;
    case 1:
        world_forget(world, kinds);
        break;
    case 2:
        world_compact(world);
        break;
    case 3:
        world_freeze(world);
        break;
    case 4:
        world_thaw(world);
        break;
    case 5:
        world_listen(world, false);
        break;
    case 6:
        world_listen(world, true);
        break;
    case 7:
        soak->f->source->ops->refresh(soak->f->source);
        break;
    case 8:
        api_server_goaway(world->server);
        break;
    case 9:
        if (soak->token) {
            rotate_token(soak);
        }
        break;
    case 10:
        world->forbidden = kinds;
        break;
    default:
        (void)world_cut(world, kinds, RNG_PICK(rng, cuts));
    }
}

static void add_fault(struct soak *soak)
{
    struct rng *rng = &soak->rng;
    size_t which = rng_below(rng, ARRAY_SIZE(catalog));
    struct world_fault fault = catalog[which];
    fault.kinds = rng_chance(rng, 40) ? 0 : WORLD_BIT(rng_below(rng, 4));
    fault.times = rng_chance(rng, 80) ? (unsigned)(1 + rng_below(rng, 3)) : 0;
    fault.skip = (unsigned)rng_below(rng, 2);
    if (fault.cut != WORLD_CUT_NONE && !fault.silent) {
        fault.after_bytes = rng_chance(rng, 50) ? 1 + rng_below(rng, 20000) : 0;
        fault.after_events = rng_below(rng, 40);
    }
    if (fault.at_version) {
        uint64_t back = rng_below(rng, 30);
        uint64_t version = soak->f->world->version;
        fault.at_version = version > soak->f->world->oldest + back ? version - back : version;
        fault.times = 1;
    }
    struct world_fault *added = world_fault(soak->f->world, fault);
    if (soak->active[which]) {
        soak->hits[which] += soak->active[which]->hits;
        world_heal(soak->f->world, soak->active[which]);
    }
    soak->active[which] = added;
}

// ---- clusters

static void take_hits(struct soak *soak)
{
    for (size_t i = 0; i < ARRAY_SIZE(catalog); i++) {
        soak->hits[i] += soak->active[i] ? soak->active[i]->hits : 0;
        soak->active[i] = NULL;
    }
}

static void begin_cluster(struct soak *soak)
{
    struct rng *rng = &soak->rng;
    struct faults *f = faults_new(&row);
    soak->f = f;
    soak->clusters++;
    f->options.view = rng_chance(rng, 30) ? API_VIEW_ALL : API_VIEW_RULES;
    f->timing.http = (struct http_times){.keepalive_s = 1, .probe_s = 1, .unacked_ms = 2500};
    world_set_minor(f->world, (unsigned)(26 + rng_below(rng, 10)));
    if (rng_chance(rng, 50)) {
        faults_tls(f, rng_chance(rng, 60));
        soak->token = rng_chance(rng, 50);
    }
    if (soak->token) {
        rotate_token(soak);
    }
    f->world->ring = rng_chance(rng, 50) ? 0 : 5 + rng_below(rng, 300);
    f->world->bookmark_ms = rng_chance(rng, 80) ? 60000 : 0;
    f->world->slow_bytes = rng_chance(rng, 30) ? 200000 : 0;
    f->world->items_null = rng_chance(rng, 30);
    f->world->empty_page = rng_chance(rng, 20);
    f->world->limit_ignored = rng_chance(rng, 20);
    f->world->gzip_initial = rng_chance(rng, 10);
    for (int i = rng_chance(rng, 15) ? 1500 : 0; i > 0; i--) {
        (void)world_put(f->world, WORLD_PODS, "many/p%04d ip:10.7.%d.%d", i, i / 250, i % 250);
    }
    faults_start(f);
}

static int end_round(struct soak *soak, uint64_t seed)
{
    struct faults *f = soak->f;
    world_heal(f->world, NULL);
    take_hits(soak);
    f->world->forbidden = 0;
    world_thaw(f->world);
    if (api_server_fd(f->world->server) < 0) {
        world_listen(f->world, true);
    }
    if (rng_chance(&soak->rng, 8)) {
        // Quiet from then on: what happens between the backup's version and ours would be lost on anybody.
        uint64_t back = rng_below(&soak->rng, 100);
        uint64_t oldest = f->world->oldest + back;
        world_restore(f->world, f->world->version > oldest ? f->world->version - back : f->world->version);
        soak->restores++;
    }
    uint64_t end = num_now_ms() + PATIENCE_MS;
    uint64_t step = 1;
    bool settled = false;
    while (!(settled = f->synced && faults_settled(f, NULL)) && faults_step(f, &step, end)) {
    }
    if (settled && f->world->violations.len == 0) {
        return 0;
    }
    struct buf BUF_CLEANUP out = {0};
    soak->differences +=
        settled ? 0 : world_difference(f->world, f->state, 0, &out) + !world_current(f->world, FAULTS_KINDS);
    size_t n = f->world->requests.n;
    struct buf BUF_CLEANUP log = {0};
    world_log(f->world, n > 80 ? n - 80 : 0, &log);
    (void)fprintf(stderr,
                  "soak: seed %" PRIu64 ", cluster %u: the state is not the world's\n%s-- violations\n%s-- last "
                  "requests\n%s-- last reports\n%s",
                  seed, soak->clusters, faults_text(&out), faults_text(&f->world->violations), faults_text(&log),
                  f->reports.len > 4000 ? f->reports.data + f->reports.len - 4000 : faults_text(&f->reports));
    return -1;
}

static void end_cluster(struct soak *soak, uint64_t began_ms)
{
    struct world *world = soak->f->world;
    soak->requests += world->requests.n;
    soak->lists += world_count(world, WORLD_READS, 0, 0);
    for (size_t i = 0; i < world->requests.n; i++) {
        soak->events += world->requests.v[i].events;
    }
    for (int kind = 0; kind < WORLD_CUSTOM; kind++) {
        size_t rate = world_rate(world, 0, WORLD_BIT(kind), 0, FAULTS_WINDOW_MS);
        soak->most_at_once = rate > soak->most_at_once ? rate : soak->most_at_once;
    }
    soak->virtual_ms += num_now_ms() - began_ms;
    faults_free(soak->f);
    soak->f = NULL;
    soak->token = false;
}

static int run(struct soak *soak, uint64_t seed, uint64_t end_real_ms)
{
    while (clock_real_ms() < end_real_ms) {
        begin_cluster(soak);
        uint64_t began_ms = num_now_ms();
        int rc = 0;
        for (unsigned i = 0; i < ROUNDS && rc == 0 && clock_real_ms() < end_real_ms; i++) {
            soak->rounds++;
            for (size_t n = rng_below(&soak->rng, 5); n > 0; n--) {
                add_fault(soak);
            }
            for (size_t n = 5 + rng_below(&soak->rng, 40); n > 0; n--) {
                work(soak);
                if (rng_chance(&soak->rng, 10)) {
                    incident(soak);
                }
                faults_run(soak->f, rng_chance(&soak->rng, 90) ? rng_below(&soak->rng, 3000) : 60000);
            }
            rc = end_round(soak, seed);
        }
        end_cluster(soak, began_ms);
        if (rc < 0) {
            return -1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t seconds = SECONDS;
    if (argc > 2 || (argc == 2 && !num_parse_u64(argv[1], strlen(argv[1]), 1000000, &seconds))) {
        (void)fprintf(stderr, "usage: soak [SECONDS]\n");
        return 3;
    }
    uint64_t seed = rng_seed("soak");
    struct soak soak = {.rng = {.state = seed}};
    int rc = run(&soak, seed, clock_real_ms() + seconds * 1000);
    (void)printf("%u clusters, %u rounds, %.1f h of their time, %u changes, %u incidents, %u restores\n", soak.clusters,
                 soak.rounds, (double)soak.virtual_ms / 3600000, soak.operations, soak.incidents, soak.restores);
    (void)printf("%zu requests (%zu lists), at most %zu within ten seconds for one kind; %" PRIu64 " events\n",
                 soak.requests, soak.lists, soak.most_at_once, soak.events);
    (void)printf("faults:");
    for (size_t i = 0; i < ARRAY_SIZE(catalog); i++) {
        (void)printf(" %s=%u", catalog[i].name, soak.hits[i]);
    }
    (void)printf("\n%zu differences\n", soak.differences);
    if (soak.most_at_once > RATE_MAX) {
        (void)printf("a hot loop: more than %d requests\n", RATE_MAX);
        return 1;
    }
    return rc < 0 ? 1 : 0;
}
