// SPDX-License-Identifier: Apache-2.0
#include "faults/faults.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/num.h"

enum { REAL_MS = 60000, STEP_MS = 1000, SLOW_REAL_MS = 500, STORM = 2000 };

// ---- owner

static void on_changed(void *arg)
{
    struct faults *f = arg;
    f->changed++;
    size_t pods = state_count(f->state, OBJECT_POD);
    f->lowest_pods = pods < f->lowest_pods ? pods : f->lowest_pods;
}

static void on_synced(bool synced, const char *why, void *arg)
{
    struct faults *f = arg;
    assert_false(f->synced);
    f->synced = synced;
    f->synced_calls += synced;
    (void)snprintf(f->why, sizeof(f->why), "%s", why ? why : "");
}

static void on_report(enum source_level level, const char *event, const char *fields, void *arg)
{
    static const char *const names[] = {"INFO", "WARN", "ERROR"};
    buf_printf(&((struct faults *)arg)->reports, "%s %s %s\n", names[level], event, fields);
}

static void on_count(const char *counter, const char *label, unsigned delta, void *arg)
{
    assert_true(delta > 0);
    buf_printf(&((struct faults *)arg)->counts, "%s %s\n", counter, label);
}

static void on_tick(void *arg)
{
    loop_quit(((struct faults *)arg)->loop, 0);
}

// ---- time

void faults_run(struct faults *f, uint64_t ms)
{
    size_t before = f->world->requests.n;
    loop_arm(f->tick, ms);
    assert_int_equal(loop_run(f->loop, &f->err), 0);
    if (f->world->requests.n - before > STORM && ms <= STEP_MS) {
        fail_msg("a hot loop: %zu requests at once", f->world->requests.n - before);
    }
}

bool faults_step(struct faults *f, uint64_t *step, uint64_t end_ms)
{
    static uint64_t started;
    if (*step == 1) {
        started = clock_real_ms();
    }
    if (num_now_ms() >= end_ms || clock_real_ms() - started > REAL_MS) {
        return false;
    }
    faults_run(f, *step);
    // Waits of hours are looked at less often.
    uint64_t longest = clock_real_ms() - started > SLOW_REAL_MS ? 16 * STEP_MS : STEP_MS;
    *step = *step * 2 < longest ? *step * 2 : longest;
    return true;
}

static int world_kind_of(const char *label)
{
    int kind = 0;
    while (kind < WORLD_KINDS && strcmp(label, world_plural(kind)) != 0) {
        kind++;
    }
    return kind;
}

// The source holds the version of the last event that it was sent, of every kind: also of those that change nothing of
// the state, and leave no other trace than where its next watch begins.
static bool has_read_everything(const struct faults *f, const struct api_source *source)
{
    for (size_t i = 0; i < source->n_kinds; i++) {
        const char *version = source->kinds[i].version;
        int kind = world_kind_of(source->kinds[i].label);
        uint64_t shown = kind < WORLD_KINDS ? world_shown(f->world, kind) : 0;
        uint64_t held = 0;
        if (shown > 0 && (!version || !num_parse_u64(version, strlen(version), UINT64_MAX, &held) || held < shown)) {
            return false;
        }
    }
    return true;
}

bool faults_settled(struct faults *f, struct buf *out)
{
    const struct api_source *source = (const struct api_source *)f->source;
    unsigned kinds = f->kinds ? 0 : FAULTS_KINDS;
    for (size_t i = 0; f->kinds && i < f->n_kinds; i++) {
        int kind = world_kind_of(f->kinds[i].label);
        kinds |= kind < WORLD_KINDS ? WORLD_BIT(kind) : 0;
    }
    bool current = world_current(f->world, kinds & f->world->served);
    bool read = has_read_everything(f, source);
    if (!current && out) {
        buf_puts(out, "not every kind has an open watch that has seen everything\n");
    }
    if (!read && out) {
        buf_puts(out, "the source has not read every event that it was sent\n");
    }
    // The owner is told behind the change, from a timer.
    if (source->changed && out) {
        buf_puts(out, "the owner was not told of the last change\n");
    }
    bool heard = current && read && !source->changed && f->synced;
    return (heard || out) && world_difference(f->world, f->state, kinds, out) == 0 && heard;
}

void faults_settle(struct faults *f)
{
    uint64_t end = num_now_ms() + f->patience_ms;
    uint64_t step = 1;
    while (!faults_settled(f, NULL)) {
        if (!faults_step(f, &step, end)) {
            struct buf BUF_CLEANUP out = {0};
            (void)faults_settled(f, &out);
            fail_msg("the state never became the world's:\n%s", faults_text(&out));
        }
    }
}

// ---- start

void faults_write(char path[64], const char *text)
{
    if (!path[0]) {
        (void)snprintf(path, 64, "/tmp/netpol-faults.XXXXXX");
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        (void)close(fd);
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

void faults_write_token(struct faults *f, const char *token)
{
    faults_write(f->token_file, token);
}

static char *copy(const char *text)
{
    return text[0] ? strdup(text) : NULL;
}

// What a kubeconfig for this server would say.
static struct api_config *config_of(const struct faults *f)
{
    struct api_config *config = calloc(1, sizeof(*config));
    struct buf url = {0};
    assert_non_null(config);
    bool bracket = strchr(f->address, ':') != NULL;
    buf_printf(&url, "http%s://%s%s%s:%u", f->authority ? "s" : "", bracket ? "[" : "", f->address, bracket ? "]" : "",
               api_server_port(f->world->server));
    config->server = buf_take(&url);
    config->token_file = copy(f->token_file);
    config->plain_credentials = !f->authority;
    config->ca_file = copy(f->ca_file);
    config->cert_file = copy(f->cert_file);
    config->key_file = copy(f->key_file);
    return config;
}

static void serve_tls(struct faults *f)
{
    struct api_cert cert = api_authority_server(f->authority);
    assert_int_equal(api_server_tls(f->world->server, cert.cert, cert.key, NULL, &f->err), 0);
    api_cert_free(&cert);
    api_server_http2(f->world->server, f->options.http_version == HTTP_VERSION_2);
}

void faults_tls(struct faults *f, bool http2)
{
    f->options.http_version = http2 ? HTTP_VERSION_2 : HTTP_VERSION_1_1;
    f->authority = api_authority_new("faults");
    serve_tls(f);
    faults_write(f->ca_file, api_authority_pem(f->authority));
}

void faults_start(struct faults *f)
{
    const struct source_owner owner = {
        .arg = f, .changed = on_changed, .synced = on_synced, .report = on_report, .count = on_count};
    struct api_config *config = f->config ? TAKE(f->config) : config_of(f);
    if (api_source_new_with(f->loop, config, &f->options, &f->timing, f->kinds, f->n_kinds, f->state, &owner,
                            &f->source, &f->err) < 0) {
        char text[512];
        fail_msg("%s", err_text(&f->err, text, sizeof(text)));
    }
}

static void ignore_changed(UNUSED void *arg)
{
}

static void set_synced(bool synced, UNUSED const char *why, void *arg)
{
    *(bool *)arg = synced;
}

static void ignore_report(UNUSED enum source_level level, UNUSED const char *event, UNUSED const char *fields,
                          UNUSED void *arg)
{
}

static void ignore_count(UNUSED const char *counter, UNUSED const char *label, UNUSED unsigned delta, UNUSED void *arg)
{
}

struct source *faults_another(struct faults *f, struct state *state, bool *synced)
{
    const struct source_owner owner = {
        .arg = synced, .changed = ignore_changed, .synced = set_synced, .report = ignore_report, .count = ignore_count};
    struct source *source = NULL;
    assert_int_equal(api_source_new_with(f->loop, config_of(f), &f->options, &f->timing, f->kinds, f->n_kinds, state,
                                         &owner, &source, &f->err),
                     0);
    return source;
}

size_t faults_sync(struct faults *f)
{
    faults_start(f);
    UNTIL(f, f->synced);
    faults_settle(f);
    return world_mark(f->world);
}

// ---- the fixture

const char *faults_text(const struct buf *buf)
{
    return buf->data ? buf->data : "";
}

unsigned faults_times(const struct buf *buf, const char *part)
{
    unsigned n = 0;
    for (const char *at = strstr(faults_text(buf), part); at; at = strstr(at + 1, part)) {
        n++;
    }
    return n;
}

void faults_print(struct faults *f)
{
    struct buf BUF_CLEANUP log = {0};
    struct buf BUF_CLEANUP difference = {0};
    world_log(f->world, 0, &log);
    (void)world_difference(f->world, f->state, 0, &difference);
    (void)fprintf(stderr, "-- %s: requests\n%s-- reports\n%s-- violations\n%s-- differences\n%s", f->row->name,
                  faults_text(&log), faults_text(&f->reports), faults_text(&f->world->violations),
                  faults_text(&difference));
}

void faults_move(struct faults *f, const char *address)
{
    world_free(f->world);
    f->address = address;
    f->world = world_new(f->loop, address);
    if (f->authority) {
        serve_tls(f);
    }
    (void)world_put(f->world, WORLD_NAMESPACES, "kube-system");
    (void)world_put(f->world, WORLD_NAMESPACES, "x team=x");
    (void)world_put(f->world, WORLD_NAMESPACES, "y");
    (void)world_put(f->world, WORLD_NODES, "n1 ip:192.0.2.1 cidr:10.0.0.0/24");
    (void)world_put(f->world, WORLD_POLICIES, "x/deny select:app=a");
    (void)world_put(f->world, WORLD_PODS, "x/a app=a ip:10.0.0.1 ip:fd00::1 port:http=80");
    (void)world_put(f->world, WORLD_PODS, "x/b app=b ip:10.0.0.2");
    (void)world_put(f->world, WORLD_PODS, "y/c ip:10.0.0.3 node:n2");
    (void)world_put(f->world, WORLD_PODS, "x/host ip:192.0.2.1 hostnet");
    (void)world_put(f->world, WORLD_PODS, "x/done ip:10.0.0.4 phase:Succeeded");
    (void)world_put(f->world, WORLD_PODS, "x/late unscheduled");
}

struct faults *faults_new(const struct fault_row *row)
{
    struct faults *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->row = row;
    f->timing = api_timing_default;
    f->options.http_version = HTTP_VERSION_1_1;
    f->lowest_pods = SIZE_MAX;
    f->patience_ms = FAULTS_PATIENCE_MS;
    clock_speed(FAULTS_SPEED);
    assert_int_equal(loop_new(&f->loop, &f->err), 0);
    assert_int_equal(loop_add_timer(f->loop, on_tick, f, &f->tick, &f->err), 0);
    assert_int_equal(state_new(&f->state, &f->err), 0);
    faults_move(f, "127.0.0.1");
    return f;
}

void faults_free(struct faults *f)
{
    if (f->source) {
        f->source->ops->free(f->source);
    }
    api_config_free(f->config);
    world_free(f->world);
    state_free(f->state);
    loop_free(f->loop);
    buf_free(&f->reports);
    buf_free(&f->counts);
    const char *const files[] = {f->token_file, f->ca_file, f->cert_file, f->key_file};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        if (files[i][0]) {
            (void)unlink(files[i]);
        }
    }
    api_authority_free(f->authority);
    free(f);
    clock_speed(0);
}
