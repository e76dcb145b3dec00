// SPDX-License-Identifier: Apache-2.0
//
// $KUBECONFIG with several files, as kubectl merges them: the first file that has an entry gives all of it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "source/kubeconfig.h"
#include "support/kubeconfig_samples.h"
#include "support/scratch.h"

// $KUBECONFIG of files below the directory of the test, by names with ":" between them.
static void set_list(const char *names)
{
    struct buf BUF_CLEANUP list = {0};
    char copy[256];
    (void)snprintf(copy, sizeof(copy), "%s", names);
    char *rest = copy;
    for (char *name = strsep(&rest, ":"); name; name = strsep(&rest, ":")) {
        buf_printf(&list, "%s%s", list.len ? ":" : "", name[0] ? scratch_path(name) : "");
    }
    assert_int_equal(setenv("KUBECONFIG", list.data, 1), 0);
}

static struct api_config *load(const char *context)
{
    struct api_config *config = NULL;
    struct err err = {0};
    if (kubeconfig_load(NULL, context, &config, &err) < 0) {
        fail_msg("%s: %s: %s", err.object, err.field, err.msg);
    }
    return config;
}

static void refuse(const char *context, const char *object, const char *field, const char *message)
{
    struct api_config *config = NULL;
    struct err err = {0};
    assert_int_equal(kubeconfig_load(NULL, context, &config, &err), -1);
    assert_null(config);
    assert_string_equal(err.field, field);
    assert_non_null(strstr(err.msg, message));
    if (strncmp(err.object, object, strlen(object)) != 0) {
        fail_msg("\"%s\" does not name %s", err.object, object);
    }
}

#define CONTEXT(name, cluster, user) "contexts: [{name: " name ", context: {cluster: " cluster ", user: " user "}}]\n"
#define CLUSTER(name, fields) "clusters: [{name: " name ", cluster: {" fields "}}]\n"
#define USER(name, fields) "users: [{name: " name ", user: {" fields "}}]\n"

static void test_parts_in_three_files(UNUSED void **state)
{
    scratch_put("contexts", "current-context: c\n" CONTEXT("c", "k", "u"));
    scratch_put("clusters", CLUSTER("k", "server: 'https://k'"));
    scratch_put("users", USER("u", "token: t"));
    static const char *const orders[] = {"contexts:clusters:users", "users:clusters:contexts",
                                         "clusters:none::users:contexts"};
    for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
        set_list(orders[i]);
        CLEANUP(api_config_free) struct api_config *config = load(NULL);
        assert_string_equal(config->server, "https://k");
        assert_string_equal(config->token, "t");
    }
}

// The first file that has the entry gives all of its fields: those of the others are not mixed in.
static void test_whole_entries(UNUSED void **state)
{
    scratch_put("one", "current-context: c\n" CONTEXT("c", "k", "u") CLUSTER("k", "server: 'https://one'")
                           USER("u", "token: one"));
    scratch_put("two", "current-context: other\n" CONTEXT("c", "k2", "u")
                           CLUSTER("k", "server: 'https://two', tls-server-name: two, insecure-skip-tls-verify: true")
                               USER("u", "token: two, as: admin"));
    set_list("one:two");
    CLEANUP(api_config_free) struct api_config *config = load(NULL);
    assert_string_equal(config->server, "https://one");
    assert_string_equal(config->token, "one");
    assert_null(config->tls_server_name);
    assert_false(config->insecure);
    assert_null(config->impersonation);
    // "two" comes first and wants a cluster that nobody has.
    set_list("two:one");
    refuse("c", scratch_path("two:"), "contexts[0].context.cluster", "clusters has no entry \"k2\"");
}

static void test_whole_entries_from_the_other_side(UNUSED void **state)
{
    scratch_put("one", CLUSTER("k", "server: 'https://one'"));
    scratch_put("two", "current-context: c\n" CONTEXT("c", "k", "u")
                           CLUSTER("k", "server: 'https://two', tls-server-name: two") USER("u", "token: two"));
    set_list("two:one");
    CLEANUP(api_config_free) struct api_config *first = load(NULL);
    assert_string_equal(first->server, "https://two");
    assert_string_equal(first->tls_server_name, "two");
    set_list("one:two");
    CLEANUP(api_config_free) struct api_config *second = load(NULL);
    assert_string_equal(second->server, "https://one");
    assert_null(second->tls_server_name);
}

static void test_current_context(UNUSED void **state)
{
    scratch_put("unset", "current-context: ''\n" CLUSTER("k", "server: 'https://k'"));
    scratch_put("b", "current-context: b\n" CONTEXT("b", "k", "''"));
    scratch_put("c", "current-context: c\n" CONTEXT("c", "k3", "''") CLUSTER("k3", "server: 'https://k3'"));
    set_list("unset:b:c");
    {
        CLEANUP(api_config_free) struct api_config *config = load(NULL);
        assert_string_equal(config->server, "https://k");
    }
    set_list("unset:c:b");
    {
        CLEANUP(api_config_free) struct api_config *config = load(NULL);
        assert_string_equal(config->server, "https://k3");
    }
    // One that is asked for is looked for everywhere.
    {
        CLEANUP(api_config_free) struct api_config *config = load("b");
        assert_string_equal(config->server, "https://k");
    }
    refuse("d", scratch_path("c"), "contexts", "contexts has no entry \"d\"; there is \"c\", \"b\"");
    scratch_put("wild", "current-context: nowhere\n");
    set_list("unset:wild:b");
    refuse(NULL, scratch_path("wild:1"), "current-context", "no entry \"nowhere\"");
    set_list("unset");
    refuse(NULL, scratch_path("unset:1"), "current-context", "not set");
}

// Each relative name belongs to the directory of the file that holds it.
static void test_relative_names(UNUSED void **state)
{
    scratch_mkdir("a");
    scratch_mkdir("b");
    scratch_put("a/ca.crt", PEM_CA);
    scratch_put("b/token", "b-token");
    scratch_put("a/config", "current-context: c\n" CONTEXT("c", "k", "u")
                                CLUSTER("k", "server: 'https://k', certificate-authority: ca.crt"));
    scratch_put("b/config", USER("u", "tokenFile: token") "x: {}\n");
    set_list("a/config:b/config");
    {
        CLEANUP(api_config_free) struct api_config *config = load(NULL);
        assert_string_equal(config->ca_file, scratch_path("a/ca.crt"));
        assert_string_equal(config->token_file, scratch_path("b/token"));
    }
    scratch_put("b/config", USER("u", "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, "
                                      "command: bin/plugin, args: [bin/x]}"));
    CLEANUP(api_config_free) struct api_config *config = load(NULL);
    assert_string_equal(config->exec->command, scratch_path("b/bin/plugin"));
    assert_string_equal(config->exec->argv[0], scratch_path("b/bin/plugin"));
    assert_string_equal(config->exec->argv[1], "bin/x");
    assert_null(config->exec->argv[2]);
}

static void test_bad_files(UNUSED void **state)
{
    scratch_put("good", ONE(SERVER, ""));
    scratch_put("empty", "");
    scratch_put("comment", "# nothing\n---\n");
    scratch_put("bad", "a: b\nc: [\n");
    scratch_put("two", "a: b\n---\nc: d\n");
    scratch_put("pod", "kind: Pod\n");
    // As kubectl: a file that holds nothing is one with no entries.
    set_list("empty:comment:good");
    {
        CLEANUP(api_config_free) struct api_config *config = load(NULL);
        assert_string_equal(config->server, "https://x");
    }
    // One that cannot be used is an error although another would do.
    set_list("good:bad");
    refuse(NULL, scratch_path("bad:"), "", "invalid YAML");
    set_list("good:two");
    refuse(NULL, scratch_path("two"), "", "one document");
    set_list("good:pod");
    refuse(NULL, scratch_path("pod:1"), "kind", "no kubeconfig");
    scratch_mkdir("dir");
    set_list("good:dir");
    refuse(NULL, "", "", "not a regular file");
    set_list("none:nor-this");
    struct api_config *config = NULL;
    struct err err = {0};
    assert_int_equal(kubeconfig_load(NULL, NULL, &config, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    // A path that is given is read alone.
    set_list("good");
    scratch_put("alone", "current-context: a\n");
    assert_int_equal(kubeconfig_load(scratch_path("alone"), NULL, &config, &err), -1);
    assert_non_null(strstr(err.msg, "no entry \"a\"; there is none"));
    assert_int_equal(kubeconfig_load(scratch_path("empty"), NULL, &config, &err), -1);
    assert_non_null(strstr(err.msg, "empty"));
}

static void test_too_much(UNUSED void **state)
{
    struct buf BUF_CLEANUP list = {0};
    struct api_config *config = NULL;
    struct err err = {0};
    scratch_put("f", ONE(SERVER, ""));
    for (int i = 0; i < LIMIT_KUBECONFIG_FILES; i++) {
        buf_printf(&list, "%s:", scratch_path("f"));
    }
    assert_int_equal(setenv("KUBECONFIG", list.data, 1), 0);
    api_config_free(load(NULL));
    buf_puts(&list, scratch_path("f"));
    assert_int_equal(setenv("KUBECONFIG", list.data, 1), 0);
    assert_int_equal(kubeconfig_load(NULL, NULL, &config, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    struct buf BUF_CLEANUP big = {0};
    while (big.len <= LIMIT_KUBECONFIG) {
        buf_puts(&big, "# more than a kubeconfig may have, in comments of one line each\n");
    }
    scratch_put("big", big.data);
    set_list("f:big");
    assert_int_equal(kubeconfig_load(NULL, NULL, &config, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
        TEST(test_parts_in_three_files),
        TEST(test_whole_entries),
        TEST(test_whole_entries_from_the_other_side),
        TEST(test_current_context),
        TEST(test_relative_names),
        TEST(test_bad_files),
        TEST(test_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
