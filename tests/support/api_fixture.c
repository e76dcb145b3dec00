// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/api_fixture.h"

#include <stdio.h>
#include <unistd.h>

static const struct api_timing quick = {
    .backoff_first_ms = 20,
    .backoff_max_ms = 100,
    .backoff_reset_ms = 120000,
    .denied_ms = 60,
    .absent_ms = 60,
    .retry_after_max_s = 1,
    .spread_ms = 5,
    .short_watch_ms = 300,
    .watch_min_s = 300,
    .watch_max_s = 600,
    .watch_grace_ms = 30000,
    .head_ms = 5000,
    .list_ms = 5000,
    .initial_quiet_ms = 60000,
    .silence_ms = 180000,
    .probe_ms = 1800000,
};

static const char *const paths[] = {"/api/v1/namespaces", "/apis/networking.k8s.io/v1/networkpolicies", "/api/v1/nodes",
                                    "/api/v1/pods"};

// ---- server

static int kind_of(const struct api_exchange *exchange)
{
    for (int i = 0; i < API_KINDS; i++) {
        if (strcmp(api_exchange_path(exchange), paths[i]) == 0) {
            return i;
        }
    }
    return -1;
}

void api_reply_list(struct api_exchange *exchange, const char *items, const char *version, const char *next)
{
    struct buf BUF_CLEANUP body = {0};
    buf_printf(
        &body,
        "{\"kind\":\"List\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"%s\"%s%s%s},\"items\":[%s]}\n",
        version, next ? ",\"continue\":\"" : "", next ? next : "", next ? "\"" : "", items);
    api_exchange_reply(exchange, 200, "application/json", "", body.data);
}

static void serve(struct api_exchange *exchange, void *arg)
{
    struct api_fixture *f = arg;
    char value[64];
    bool watch = api_exchange_param(exchange, "watch", value, sizeof(value));
    bool initial = api_exchange_param(exchange, "sendInitialEvents", value, sizeof(value));
    bool probe = api_exchange_param(exchange, "limit", value, sizeof(value)) && strcmp(value, "1") == 0;
    if (strcmp(api_exchange_path(exchange), "/version") == 0) {
        struct buf BUF_CLEANUP version = {0};
        f->versions++;
        buf_printf(&version, "{\"gitVersion\":\"%s\"}", f->git_version);
        api_exchange_reply(exchange, 200, "application/json", "", version.data);
        return;
    }
    int kind = kind_of(exchange);
    if (kind < 0) {
        buf_printf(&f->log, "%s?%s\n", api_exchange_path(exchange), api_exchange_query(exchange));
        assert_true(f->hook && f->hook(f, exchange, kind, watch));
        return;
    }
    if (initial && !f->initial) {
        f->refused_initials++;
        api_exchange_reply(
            exchange, 422, "application/json", "",
            "{\"kind\":\"Status\",\"code\":422,\"reason\":\"Invalid\",\"message\":\"sendInitialEvents is "
            "forbidden\"}");
        return;
    }
    unsigned *counter = initial ? f->initials : probe ? f->probes : watch ? f->watches : f->lists;
    counter[kind]++;
    buf_printf(&f->log, "%s?%s\n", api_exchange_path(exchange), api_exchange_query(exchange));
    assert_string_equal(api_exchange_header(exchange, "Accept"), "application/json");
    if (f->hook && f->hook(f, exchange, kind, watch)) {
        return;
    }
    if (watch) {
        api_exchange_begin(exchange, "application/json", "");
    } else {
        api_reply_list(exchange, f->items[kind], f->version, NULL);
    }
}

// The open watch of a kind; NULL when there is none.
struct api_exchange *api_watcher(struct api_fixture *f, int kind)
{
    for (struct api_exchange *e = api_server_next(f->server, NULL); e; e = api_server_next(f->server, e)) {
        if (kind_of(e) == kind && strstr(api_exchange_query(e), "watch=1")) {
            return e;
        }
    }
    return NULL;
}

// ---- owner

static void on_changed(void *arg)
{
    ((struct api_fixture *)arg)->changed++;
}

static void on_synced(bool synced, const char *why, void *arg)
{
    struct api_fixture *f = arg;
    assert_false(f->synced);
    f->synced = synced;
    f->synced_calls++;
    (void)snprintf(f->why, sizeof(f->why), "%s", why ? why : "");
}

static void on_report(enum source_level level, const char *event, const char *fields, void *arg)
{
    struct api_fixture *f = arg;
    if (!f->initial && strncmp(fields, "feature=watch-list ", strlen("feature=watch-list ")) == 0) {
        return;
    }
    buf_printf(&f->reports, "%d %s %s\n", (int)level, event, fields);
}

static void on_count(const char *counter, const char *label, unsigned delta, void *arg)
{
    struct api_fixture *f = arg;
    assert_true(delta > 0);
    buf_printf(&f->counts, "%s %s\n", counter, label);
}

static void on_tick(void *arg)
{
    loop_quit(((struct api_fixture *)arg)->loop, 0);
}

void api_run_ms(struct api_fixture *f, unsigned ms)
{
    loop_arm(f->tick, ms);
    assert_int_equal(loop_run(f->loop, &f->err), 0);
}

const char *api_text_of(const struct buf *buf)
{
    return buf->data ? buf->data : "";
}

unsigned api_occurrences(const struct buf *buf, const char *part)
{
    unsigned n = 0;
    for (const char *at = strstr(api_text_of(buf), part); at; at = strstr(at + 1, part)) {
        n++;
    }
    return n;
}

int api_fixture_setup(void **state)
{
    struct api_fixture *f = calloc(1, sizeof(*f));
    *state = f;
    if (!f) {
        return -1;
    }
    f->version = "10";
    f->git_version = "v1.33.0";
    f->timing = quick;
    f->items[NAMESPACES] = NAMESPACE;
    f->items[POLICIES] = POLICY;
    f->items[NODES] = NODE;
    f->items[PODS] = POD("a", "u-a", "5", "10.0.0.1", "\"app\":\"a\"");
    return loop_new(&f->loop, &f->err) < 0 || loop_add_timer(f->loop, on_tick, f, &f->tick, &f->err) < 0 ||
           state_new(&f->state, &f->err) < 0 || api_server_new(f->loop, 0, false, serve, f, &f->server, &f->err) < 0;
}

int api_fixture_teardown(void **state)
{
    struct api_fixture *f = *state;
    if (f->source) {
        f->source->ops->free(f->source);
    }
    api_server_free(f->server);
    state_free(f->state);
    loop_free(f->loop);
    buf_free(&f->log);
    buf_free(&f->reports);
    buf_free(&f->counts);
    if (f->token_file[0]) {
        (void)unlink(f->token_file);
    }
    free(f);
    return 0;
}

void api_write_token(struct api_fixture *f, const char *token)
{
    if (!f->token_file[0]) {
        (void)snprintf(f->token_file, sizeof(f->token_file), "/tmp/test_api_source.XXXXXX");
        int fd = mkstemp(f->token_file);
        assert_true(fd >= 0);
        (void)close(fd);
    }
    FILE *file = fopen(f->token_file, "w");
    assert_non_null(file);
    assert_true(fputs(token, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

struct source_owner api_owner_of(struct api_fixture *f)
{
    return (struct source_owner){
        .arg = f, .changed = on_changed, .synced = on_synced, .report = on_report, .count = on_count};
}

void api_start(struct api_fixture *f)
{
    struct api_config *config = calloc(1, sizeof(*config));
    assert_non_null(config);
    struct buf url = {0};
    buf_printf(&url, "%s://127.0.0.1:%u", f->authority ? "https" : "http", api_server_port(f->server));
    config->server = buf_take(&url);
    config->ca_pem = f->authority ? strdup(api_authority_pem(f->authority)) : NULL;
    if (f->plugin) {
        struct api_exec *exec = calloc(1, sizeof(*exec));
        assert_non_null(exec);
        exec->command = strdup(f->plugin);
        exec->argv = calloc(2, sizeof(*exec->argv));
        exec->env = calloc(1, sizeof(*exec->env));
        assert_non_null(exec->argv);
        exec->argv[0] = strdup(f->plugin);
        exec->version = strdup("client.authentication.k8s.io/v1");
        exec->where = strdup("users[0].user.exec");
        config->exec = exec;
        config->plain_credentials = true;
    } else if (f->token_file[0]) {
        config->token_file = strdup(f->token_file);
        config->plain_credentials = true;
    }
    const struct source_owner owner = api_owner_of(f);
    assert_int_equal(api_source_new_with(f->loop, config, &f->options, &f->timing, f->kinds, f->n_kinds, f->state,
                                         &owner, &f->source, &f->err),
                     0);
}

void api_start_and_sync(struct api_fixture *f)
{
    api_start(f);
    WAIT_FOR(f, f->synced && api_watcher(f, NAMESPACES) && api_watcher(f, POLICIES) && api_watcher(f, NODES) &&
                    api_watcher(f, PODS));
}

void api_event(struct api_fixture *f, int kind, const char *type, const char *object)
{
    struct buf BUF_CLEANUP line = {0};
    buf_printf(&line, "{\"type\":\"%s\",\"object\":%s}\n", type, object);
    struct api_exchange *watch = api_watcher(f, kind);
    assert_non_null(watch);
    api_exchange_chunk(watch, line.data, line.len);
}

bool api_has_label(struct api_fixture *f, const char *pod, const char *key, const char *value)
{
    const struct pod *found = state_pod(f->state, "x", pod);
    const char *got = found ? labels_get(&found->meta.labels, key) : NULL;
    return got && strcmp(got, value) == 0;
}
