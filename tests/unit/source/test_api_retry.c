// SPDX-License-Identifier: Apache-2.0
//
// What comes after a failure, and the life of the source.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/api_fixture.h"

static bool busy_hook(struct api_fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    if (kind != NODES || watch || f->lists[NODES] > 2) {
        return false;
    }
    if (f->lists[NODES] == 1) {
        api_exchange_reply(exchange, 429, "text/plain", "Retry-After: 1\r\n", "Too many requests");
    } else {
        // Longer than we are willing to wait.
        api_exchange_reply(exchange, 503, "text/plain", "Retry-After: 100000\r\n", "shutting down");
    }
    return true;
}

static void test_retry_after(void **state)
{
    struct api_fixture *f = *state;
    f->hook = busy_hook;
    uint64_t begin = num_now_ms();
    api_start(f);
    WAIT_FOR(f, f->synced);
    assert_true(num_now_ms() - begin >= 1990);
    assert_non_null(strstr(api_text_of(&f->reports), "HTTP 429 Too many requests"));
}

static bool token_hook(struct api_fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    (void)kind;
    (void)watch;
    if (strcmp(api_exchange_header(exchange, "Authorization"), "Bearer good") == 0) {
        return false;
    }
    if (f->lists[NAMESPACES] == 3) {
        api_write_token(f, "good\n");
    }
    api_exchange_reply(exchange, 401, "application/json", "",
                       "{\"kind\":\"Status\",\"code\":401,\"reason\":\"Unauthorized\",\"message\":\"Unauthorized\"}");
    return true;
}

static void test_token_is_read_again(void **state)
{
    struct api_fixture *f = *state;
    api_write_token(f, "  bad \n");
    f->hook = token_hook;
    api_start(f);
    WAIT_FOR(f, f->synced);
    // Two back-offs with the bad token, then one retry at once with the good one.
    assert_int_equal(f->lists[NAMESPACES], 4);
    assert_non_null(strstr(api_text_of(&f->reports), "HTTP 401 Unauthorized"));
    assert_non_null(strstr(api_text_of(&f->reports), "retry_ms=0"));
    assert_null(strstr(api_text_of(&f->reports), "good"));
}

static void test_token_file_that_goes_away(void **state)
{
    struct api_fixture *f = *state;
    api_write_token(f, "good");
    f->hook = token_hook;
    api_start_and_sync(f);
    // The last good token goes on; said once.
    api_write_token(f, "two\nlines");
    f->source->ops->refresh(f->source);
    WAIT_FOR(f, f->lists[PODS] == 2 && api_watcher(f, PODS));
    assert_int_equal(api_occurrences(&f->reports, "1 credentials-unreadable"), 1);
    assert_null(strstr(api_text_of(&f->reports), "401"));
}

static bool forbidden_hook(struct api_fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    if (kind != POLICIES || watch || f->lists[POLICIES] > 3) {
        return false;
    }
    api_exchange_reply(exchange, 403, "application/json", "",
                       "{\"kind\":\"Status\",\"code\":403,\"reason\":\"Forbidden\",\"message\":\"networkpolicies is "
                       "forbidden: User \\\"x\\\" cannot list\"}");
    return true;
}

static void test_forbidden(void **state)
{
    struct api_fixture *f = *state;
    f->hook = forbidden_hook;
    api_start(f);
    WAIT_FOR(f, f->lists[PODS] == 1 && f->why[0]);
    assert_false(f->synced);
    assert_non_null(strstr(f->why, "cannot list networkpolicies: HTTP 403 Forbidden"));
    assert_non_null(strstr(f->why, "cannot list"));
    WAIT_FOR(f, f->synced);
    assert_int_equal(f->lists[POLICIES], 4);
    assert_int_equal(f->lists[NAMESPACES], 1);
}

static bool selector_hook(struct api_fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    (void)f;
    (void)watch;
    if (kind != PODS || !strstr(api_exchange_query(exchange), "spec.hostNetwork")) {
        return false;
    }
    api_exchange_reply(exchange, 400, "application/json", "",
                       "{\"kind\":\"Status\",\"code\":400,\"reason\":\"BadRequest\",\"message\":\"Unable to find "
                       "pods that match field selector status.phase!=Failed,spec.hostNetwork=false: field label not "
                       "supported: spec.hostNetwork\"}");
    return true;
}

static void test_unknown_field_selector_is_dropped(void **state)
{
    struct api_fixture *f = *state;
    f->hook = selector_hook;
    api_start_and_sync(f);
    assert_int_equal(f->lists[PODS], 2);
    // That term and no other; the watch asks as the list did.
    assert_int_equal(api_occurrences(&f->log, "spec.hostNetwork"), 1);
    assert_int_equal(api_occurrences(&f->log, "status.phase%21%3DFailed%2Cspec.nodeName%21%3D"), 3);
    assert_int_equal(api_occurrences(&f->reports, "0 feature-absent feature=field-selector kind=pods "
                                                  "term=\"spec.hostNetwork=false\""),
                     1);
}

static void test_outage_and_return(void **state)
{
    struct api_fixture *f = *state;
    api_start_and_sync(f);
    api_event(f, PODS, "MODIFIED", POD("a", "u-a", "60", "10.0.0.1", "\"app\":\"before\""));
    WAIT_FOR(f, api_has_label(f, "a", "app", "before"));
    assert_int_equal(api_server_outage(f->server, false, &f->err), 0);
    api_run_ms(f, 300);
    assert_true(api_has_label(f, "a", "app", "before"));
    assert_int_equal(f->synced_calls, 1);
    assert_int_equal(api_server_outage(f->server, true, &f->err), 0);
    WAIT_FOR(f,
             api_watcher(f, NAMESPACES) && api_watcher(f, POLICIES) && api_watcher(f, NODES) && api_watcher(f, PODS));
    // No list: the watch goes on where it was.
    for (int i = 0; i < API_KINDS; i++) {
        assert_int_equal(f->lists[i], 1);
    }
    assert_non_null(strstr(api_exchange_query(api_watcher(f, PODS)), "resourceVersion=60&"));
    api_event(f, PODS, "MODIFIED", POD("a", "u-a", "61", "10.0.0.1", "\"app\":\"after\""));
    WAIT_FOR(f, api_has_label(f, "a", "app", "after"));
}

static void test_freed_at_any_time(void **state)
{
    struct api_fixture *f = *state;
    for (unsigned ms = 0; ms < 12; ms++) {
        api_start(f);
        api_run_ms(f, ms);
        f->source->ops->free(f->source);
        f->source = NULL;
        f->synced = false;
    }
    api_run_ms(f, 20);
}

static void free_in_changed(void *arg)
{
    struct api_fixture *f = arg;
    f->changed++;
    f->source->ops->free(f->source);
    f->source = NULL;
}

static void test_freed_by_its_owner_in_a_call(void **state)
{
    struct api_fixture *f = *state;
    api_start(f);
    CONTAINER_OF(f->source, struct api_source, base)->owner.changed = free_in_changed;
    WAIT_FOR(f, f->changed == 1);
    api_run_ms(f, 30);
    assert_int_equal(f->synced_calls, 0);
}

// A plugin that gives what stands in the token file, and says each time that it was run.
static void write_plugin(const struct api_fixture *f, char *path)
{
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0700), 0);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    (void)fprintf(file,
                  "#!/bin/sh\necho run >>%s.runs\nprintf "
                  "'{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{"
                  "\"token\":\"%%s\"}}' \"$(cat %s)\"\n",
                  f->token_file, f->token_file);
    assert_int_equal(fclose(file), 0);
}

static unsigned runs_of_plugin(const struct api_fixture *f)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s.runs", f->token_file);
    FILE *file = fopen(path, "r");
    unsigned n = 0;
    for (int c = file ? fgetc(file) : EOF; c != EOF; c = fgetc(file)) {
        n += c == '\n';
    }
    return file && fclose(file) == 0 ? n : 0;
}

// Requests wait for the plugin; what was refused is given up, and it is run again.
static void test_credential_plugin(void **state)
{
    struct api_fixture *f = *state;
    char plugin[] = "/tmp/test_api_plugin.XXXXXX";
    api_write_token(f, "bad");
    write_plugin(f, plugin);
    f->hook = token_hook;
    f->plugin = plugin;
    api_start(f);
    WAIT_FOR(f, api_occurrences(&f->reports, "HTTP 401 Unauthorized") == 1);
    assert_int_equal(runs_of_plugin(f), 1);
    api_write_token(f, "good");
    WAIT_FOR(f, f->synced);
    assert_in_range(runs_of_plugin(f), 2, 3);
    assert_null(strstr(api_text_of(&f->reports), "good"));
    char runs[128];
    (void)snprintf(runs, sizeof(runs), "%s.runs", f->token_file);
    (void)unlink(runs);
    (void)unlink(plugin);
}

// A plugin that gives what stands in the token file, which is a certificate and its key, and says that it was run.
static void write_pair(struct api_fixture *f, const char *cert, const char *key)
{
    struct buf BUF_CLEANUP answer = {0};
    buf_puts(&answer, "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{"
                      "\"clientCertificateData\":");
    buf_json_string(&answer, cert);
    buf_puts(&answer, ",\"clientKeyData\":");
    buf_json_string(&answer, key);
    buf_puts(&answer, "}}");
    api_write_token(f, answer.data);
}

// A pair that libcurl cannot use never reaches the server, which could refuse it: the plugin is run again all the same.
static void test_plugin_with_a_broken_pair(void **state)
{
    struct api_fixture *f = *state;
    char plugin[] = "/tmp/test_api_plugin.XXXXXX";
    struct api_authority *authority = api_authority_new("test authority");
    struct api_cert server = api_authority_server(authority);
    struct api_cert client = api_authority_client(authority, "me", NULL);
    struct api_cert other = api_authority_client(authority, "other", NULL);
    assert_int_equal(api_server_tls(f->server, server.cert, server.key, api_authority_pem(authority), &f->err), 0);
    // The key of another one.
    write_pair(f, client.cert, other.key);
    int fd = mkstemp(plugin);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0700), 0);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    (void)fprintf(file, "#!/bin/sh\necho run >>%s.runs\ncat %s\n", f->token_file, f->token_file);
    assert_int_equal(fclose(file), 0);
    f->plugin = plugin;
    f->authority = authority;
    api_start(f);
    WAIT_FOR(f, f->reports.len && runs_of_plugin(f) == 1);
    api_run_ms(f, 300);
    assert_false(f->synced);
    // Not in a hot loop.
    assert_in_range(runs_of_plugin(f), 1, 2);
    write_pair(f, client.cert, client.key);
    WAIT_FOR(f, f->synced);
    assert_in_range(runs_of_plugin(f), 2, 4);
    char runs[128];
    (void)snprintf(runs, sizeof(runs), "%s.runs", f->token_file);
    (void)unlink(runs);
    (void)unlink(plugin);
    api_cert_free(&server);
    api_cert_free(&client);
    api_cert_free(&other);
    f->source->ops->free(f->source);
    f->source = NULL;
    f->authority = NULL;
    api_authority_free(authority);
}

static void test_configuration_is_checked(void **state)
{
    static const struct {
        const char *server;
        const char *token;
        const char *want;
    } cases[] = {
        {"http://10.0.0.1:8080", NULL, "loopback"},
        {"http://127.0.0.1:8080", "t", "credentials"},
        {"ftp://x", NULL, "https://"},
    };
    struct api_fixture *f = *state;
    const struct source_owner owner = api_owner_of(f);
    const struct api_options options = {.view = API_VIEW_RULES};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct api_config *config = calloc(1, sizeof(*config));
        assert_non_null(config);
        config->server = strdup(cases[i].server);
        config->token = cases[i].token ? strdup(cases[i].token) : NULL;
        assert_int_equal(api_source_new(f->loop, config, &options, f->state, &owner, &f->source, &f->err), -1);
        assert_null(f->source);
        assert_non_null(strstr(f->err.msg, cases[i].want));
    }
}

static bool one_kind_busy_hook(struct api_fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    if (kind == NAMESPACES && !watch && f->lists[NAMESPACES] == 1) {
        api_exchange_reply(exchange, 429, "text/plain", "Retry-After: 1\r\n", "Too many requests.");
        return true;
    }
    return false;
}

// A server counts users, not kinds: what it refuses for one kind is not tried with the next.
static void test_busy_for_all_kinds(void **state)
{
    struct api_fixture *f = *state;
    f->hook = one_kind_busy_hook;
    api_start(f);
    WAIT_FOR(f, f->lists[NAMESPACES] == 1);
    api_run_ms(f, 500);
    assert_int_equal(f->lists[NAMESPACES] + f->lists[POLICIES] + f->lists[NODES] + f->lists[PODS], 1);
    WAIT_FOR(f, f->synced);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        API_TEST(test_retry_after),
        API_TEST(test_token_is_read_again),
        API_TEST(test_token_file_that_goes_away),
        API_TEST(test_forbidden),
        API_TEST(test_unknown_field_selector_is_dropped),
        API_TEST(test_outage_and_return),
        API_TEST(test_freed_at_any_time),
        API_TEST(test_freed_by_its_owner_in_a_call),
        API_TEST(test_credential_plugin),
        API_TEST(test_plugin_with_a_broken_pair),
        API_TEST(test_busy_for_all_kinds),
        API_TEST(test_configuration_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
