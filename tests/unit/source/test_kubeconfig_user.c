// SPDX-License-Identifier: Apache-2.0
//
// users[] of a kubeconfig: passwords, impersonation, credential plugins, and what is refused; and that no error shows a
// secret.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "source/kubeconfig.h"
#include "support/kubeconfig_samples.h"
#include "support/scratch.h"

#define SECRET "hunter2-and-more"
#define V1 "apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never"

static struct api_config *load(const char *text)
{
    struct api_config *config = NULL;
    struct err err = {0};
    scratch_put("config", text);
    if (kubeconfig_load(scratch_path("config"), NULL, &config, &err) < 0) {
        fail_msg("%s: %s: %s", err.object, err.field, err.msg);
    }
    return config;
}

static void test_password(UNUSED void **state)
{
    CLEANUP(api_config_free) struct api_config *config = load(ONE(SERVER, "username: me, password: 'a b:c'"));
    assert_string_equal(config->username, "me");
    assert_string_equal(config->password, "a b:c");
    assert_null(config->token);
    CLEANUP(api_config_free) struct api_config *without = load(ONE(SERVER, "username: me"));
    assert_string_equal(without->username, "me");
    assert_string_equal(without->password, "");
    // A certificate may stand beside it, and beside a token.
    CLEANUP(api_config_free)
    struct api_config *both =
        load(ONE(SERVER, "username: me, client-certificate-data: " DATA_CERT ", client-key-data: " DATA_KEY));
    assert_string_equal(both->username, "me");
    assert_string_equal(both->cert_pem, PEM_CERT);
}

// What stands in the file wins over a file that is named, which need not even be there.
static void test_data_wins(UNUSED void **state)
{
    CLEANUP(api_config_free)
    struct api_config *config = load(ONE(SERVER ", certificate-authority: none, certificate-authority-data: " DATA_CA,
                                         "client-certificate: none, client-certificate-data: " DATA_CERT
                                         ", client-key: none, client-key-data: " DATA_KEY));
    assert_string_equal(config->ca_pem, PEM_CA);
    assert_null(config->ca_file);
    assert_string_equal(config->cert_pem, PEM_CERT);
    assert_null(config->cert_file);
    assert_string_equal(config->key_pem, PEM_KEY);
    assert_null(config->key_file);
}

static void test_impersonation(UNUSED void **state)
{
    static const struct http_header want[] = {
        {"Impersonate-User", "jane@example.com"},
        {"Impersonate-Uid", "06f6"},
        {"Impersonate-Group", "developers"},
        {"Impersonate-Group", "admins"},
        {"Impersonate-Extra-dn", "cn=jane,ou=x"},
        {"Impersonate-Extra-acme.com%2Fproject", "some"},
        {"Impersonate-Extra-acme.com%2Fproject", "other"},
        {"Impersonate-Extra-a%25b%20%C3%A9%3A", "d\xc3\xa9j\xc3\xa0"},
        {"Impersonate-Extra-!#$&'*+-.^_`|~09AZaz", "x"},
        {"Impersonate-Extra-%22%28%29%2C%2F%3B%3C%3D%3E%3F%40%5B%5C%5D%7B%7D%09", "x"},
    };
    CLEANUP(api_config_free)
    struct api_config *config =
        load(ONE(SERVER, "token: t, as: jane@example.com, as-uid: 06f6, as-groups: [developers, admins], "
                         "as-user-extra: {dn: ['cn=jane,ou=x'], acme.com/project: [some, other], "
                         "'a%b \xc3\xa9:': ['d\xc3\xa9j\xc3\xa0'], \"!#$&'*+-.^_`|~09AZaz\": [x], "
                         "\"\\\"(),/;<=>?@[\\\\]{}\\t\": [x], nothing: []}"));
    assert_non_null(config->impersonation);
    assert_int_equal(config->impersonation->n_headers, ARRAY_SIZE(want));
    for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
        assert_string_equal(config->impersonation->headers[i].name, want[i].name);
        assert_string_equal(config->impersonation->headers[i].value, want[i].value);
    }
    CLEANUP(api_config_free) struct api_config *none = load(ONE(SERVER, "token: t, as: '', as-groups: []"));
    assert_null(none->impersonation);
}

static void test_plugin(UNUSED void **state)
{
    CLEANUP(api_config_free)
    struct api_config *config =
        load(ONE(SERVER ", extensions: [{name: x, extension: {a: b}}, {name: client.authentication.k8s.io/exec, "
                        "extension: {audience: \"a\\\"b\", n: 7, f: 1.5, l: [true, null, {}]}}]",
                 "exec: {" V1 ", command: get-token, args: [a, '', 'b c', $HOME], env: [{name: A, value: 'x=y'}, "
                 "{name: B}], installHint: see there, provideClusterInfo: true}"));
    const struct api_exec *exec = config->exec;
    assert_non_null(exec);
    assert_string_equal(exec->command, "get-token");
    static const char *const argv[] = {"get-token", "a", "", "b c", "$HOME"};
    for (size_t i = 0; i < ARRAY_SIZE(argv); i++) {
        assert_string_equal(exec->argv[i], argv[i]);
    }
    assert_null(exec->argv[ARRAY_SIZE(argv)]);
    assert_string_equal(exec->env[0], "A=x=y");
    assert_string_equal(exec->env[1], "B=");
    assert_null(exec->env[2]);
    assert_string_equal(exec->version, "client.authentication.k8s.io/v1");
    assert_string_equal(exec->install_hint, "see there");
    assert_true(exec->provide_cluster_info);
    assert_non_null(strstr(exec->where, "config:"));
    assert_non_null(strstr(exec->where, ": users[0].user.exec"));
    assert_string_equal(config->plugin_config, "{\"audience\":\"a\\\"b\",\"n\":7,\"f\":1.5,\"l\":[true,null,{}]}");
    // v1beta1 does not ask for interactiveMode.
    CLEANUP(api_config_free)
    struct api_config *beta =
        load(ONE(SERVER, "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: /x}"));
    assert_string_equal(beta->exec->version, "client.authentication.k8s.io/v1beta1");
    assert_string_equal(beta->exec->command, "/x");
    assert_null(beta->exec->env[0]);
    assert_null(beta->exec->argv[1]);
    assert_null(beta->exec->install_hint);
    assert_false(beta->exec->provide_cluster_info);
    assert_null(beta->plugin_config);
    CLEANUP(api_config_free)
    struct api_config *available = load(
        ONE(SERVER, "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: IfAvailable, command: x}"));
    assert_non_null(available->exec);
}

// As client-go: a plugin is not asked when there is something else.
static void test_fixed_credentials_win_over_a_plugin(UNUSED void **state)
{
    static const char *const texts[] = {
        ONE(SERVER, "token: t, exec: {" V1 ", command: x}"),
        ONE(SERVER, "tokenFile: token, exec: {" V1 ", command: x}"),
        ONE(SERVER, "username: u, exec: {" V1 ", command: x}"),
        ONE(SERVER,
            "client-certificate-data: " DATA_CERT ", client-key-data: " DATA_KEY ", exec: {" V1 ", command: x}"),
    };
    scratch_put("token", "t");
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        CLEANUP(api_config_free) struct api_config *config = load(texts[i]);
        assert_null(config->exec);
    }
}

static void test_errors(UNUSED void **state)
{
    static const struct {
        const char *text;
        const char *field;
        const char *message;
        enum err_kind kind;
    } cases[] = {
#define EXEC(fields) ONE(SERVER, "exec: {" fields "}")
        {EXEC("command: x"), ".exec.apiVersion", "is missing: use client.authentication.k8s.io/v1", ERR_INPUT},
        {EXEC("command: x, apiVersion: v1"), ".exec.apiVersion", "no version", ERR_INPUT},
        {EXEC("command: x, apiVersion: client.authentication.k8s.io/v2"), ".exec.apiVersion", "no version", ERR_INPUT},
        {EXEC("command: x, apiVersion: client.authentication.k8s.io/v1alpha1"), ".exec.apiVersion",
         "v1alpha1 is not supported: use client.authentication.k8s.io/v1", ERR_UNSUPPORTED},
        {EXEC("command: x, apiVersion: client.authentication.k8s.io/v1"), ".exec.interactiveMode", "is missing",
         ERR_INPUT},
        {EXEC("command: x, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Sometimes"),
         ".exec.interactiveMode", "is unknown", ERR_INPUT},
        {EXEC("command: x, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Always"),
         ".exec.interactiveMode", "without a terminal", ERR_UNSUPPORTED},
        {EXEC("command: x, apiVersion: client.authentication.k8s.io/v1beta1, interactiveMode: Always"),
         ".exec.interactiveMode", "without a terminal", ERR_UNSUPPORTED},
        {EXEC(V1), ".exec.command", "is missing", ERR_INPUT},
        {EXEC(V1 ", command: [x]"), ".exec.command", "not a string", ERR_INPUT},
        {EXEC(V1 ", command: x, args: " SECRET), ".exec.args", "not a list", ERR_INPUT},
        {EXEC(V1 ", command: x, args: [{" SECRET ": 1}]"), ".exec.args", "holds a map", ERR_INPUT},
        {EXEC(V1 ", command: x, env: [" SECRET "]"), ".exec.env", "each entry", ERR_INPUT},
        {EXEC(V1 ", command: x, env: [{value: " SECRET "}]"), ".exec.env", "each entry", ERR_INPUT},
        {EXEC(V1 ", command: x, env: [{name: 'A=" SECRET "'}]"), ".exec.env", "each entry", ERR_INPUT},
        {EXEC(V1 ", command: x, env: [{name: A, value: [" SECRET "]}]"), ".exec.env", "each entry", ERR_INPUT},
        {EXEC(V1 ", command: x, provideClusterInfo: " SECRET), ".exec.provideClusterInfo", "not a boolean", ERR_INPUT},
        {EXEC(V1 ", command: x, installHint: [" SECRET "]"), ".exec.installHint", "not a string", ERR_INPUT},
        {ONE(SERVER, "exec: " SECRET), ".exec", "not a map", ERR_INPUT},
        // With a token beside it, a plugin's fields are still looked at.
        {ONE(SERVER, "token: " SECRET ", exec: {command: x}"), ".exec.apiVersion", "is missing", ERR_INPUT},
        {ONE(SERVER, "auth-provider: {name: gcp, config: {access-token: " SECRET "}}"), ".auth-provider",
         "use exec with gke-gcloud-auth-plugin", ERR_UNSUPPORTED},
        {ONE(SERVER, "auth-provider: {name: azure}"), ".auth-provider", "use exec with kubelogin", ERR_UNSUPPORTED},
        {ONE(SERVER, "auth-provider: {name: oidc, config: {id-token: " SECRET "}}"), ".auth-provider",
         "use exec with an OpenID", ERR_UNSUPPORTED},
        {ONE(SERVER, "auth-provider: {name: openstack}"), ".auth-provider", "use exec with a credential plugin",
         ERR_UNSUPPORTED},
        {ONE(SERVER, "token: t, username: me, password: " SECRET), ".username", "together with a token ", ERR_INPUT},
        {ONE(SERVER, "tokenFile: token, username: me, password: " SECRET), ".username", "together with a tokenFile",
         ERR_INPUT},
        {ONE(SERVER, "password: " SECRET), ".username", "is missing: there is a password", ERR_INPUT},
        {ONE(SERVER, "username: 'me:" SECRET "'"), ".username", "colon", ERR_INPUT},
        {ONE(SERVER, "username: me, password: [" SECRET "]"), ".password", "not a string", ERR_INPUT},
        {ONE(SERVER, "token: '" SECRET " x'"), ".token", "no token has", ERR_INPUT},
        {ONE(SERVER, "token: \"" SECRET "\\nX-Evil: 1\""), ".token", "no token has", ERR_INPUT},
        {ONE(SERVER, "token: {" SECRET ": 1}"), ".token", "not a string", ERR_INPUT},
        {ONE(SERVER, "as-uid: u"), ".as", "is missing", ERR_INPUT},
        {ONE(SERVER, "as-groups: [u]"), ".as", "is missing", ERR_INPUT},
        {ONE(SERVER, "as-user-extra: {u: [v]}"), ".as", "is missing", ERR_INPUT},
        {ONE(SERVER, "as: \"x\\r\\nX-Evil: " SECRET "\""), ".as", "control character", ERR_INPUT},
        {ONE(SERVER, "as: ' '"), ".as", "is empty", ERR_INPUT},
        {ONE(SERVER, "as: x, as-groups: ['']"), ".as-groups", "is empty", ERR_INPUT},
        {ONE(SERVER, "as: x, as-groups: [1]"), ".as-groups", "holds a number", ERR_INPUT},
        {ONE(SERVER, "as: x, as-groups: x"), ".as-groups", "not a list", ERR_INPUT},
        {ONE(SERVER, "as: x, as-user-extra: {a: b}"), ".as-user-extra", "lists of strings", ERR_INPUT},
        {ONE(SERVER, "as: x, as-user-extra: {'': [b]}"), ".as-user-extra", "lists of strings", ERR_INPUT},
        {ONE(SERVER, "as: x, as-user-extra: {a: [\"b\\x7f\"]}"), ".as-user-extra", "control character", ERR_INPUT},
        {ONE(SERVER, "as: x, as-user-extra: [a]"), ".as-user-extra", "not a map", ERR_INPUT},
        {ONE(SERVER, "client-key-data: '" SECRET "!'"), ".client-key-data", "is not base64", ERR_INPUT},
        // base64 of the secret: no PEM
        {ONE(SERVER, "client-key-data: aHVudGVyMi1hbmQtbW9yZQ=="), ".client-key-data", "PEM", ERR_INPUT},
        {ONE(SERVER, "client-key: token"), ".client-key", "does not hold PEM", ERR_INPUT},
        {ONE(SERVER, "tokenFile: spoilt"), ".tokenFile", "no token has", ERR_INPUT},
    };
    scratch_put("token", SECRET);
    scratch_put("spoilt", SECRET " \x01\n" SECRET);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct api_config *config = NULL;
        struct err err = {0};
        char field[96];
        scratch_put("config", cases[i].text);
        if (kubeconfig_load(scratch_path("config"), NULL, &config, &err) == 0) {
            fail_msg("accepted: %s", cases[i].text);
        }
        assert_null(config);
        (void)snprintf(field, sizeof(field), "users[0].user%s", cases[i].field);
        assert_string_equal(err.field, field);
        if (err.kind != cases[i].kind || !strstr(err.msg, cases[i].message) || !strstr(err.object, "config:")) {
            fail_msg("\"%s\", \"%s\": not about \"%s\"", err.object, err.msg, cases[i].message);
        }
        assert_null(strstr(err.msg, SECRET));
        assert_null(strstr(err.object, SECRET));
    }
}

// What the parser says about a file that is not even YAML, too.
static void test_broken_files_keep_their_secrets(UNUSED void **state)
{
    static const char *const texts[] = {
        "token: *" SECRET "\n",
        "token: !!int " SECRET "\n",
        "token: &a [*" SECRET "]\n",
        "token: &" SECRET " [*" SECRET "]\n",
        SECRET ": 1\n" SECRET ": 2\n",
        "token: '" SECRET "\n",
        "token: \"\\q" SECRET "\"\n",
        "token: " SECRET ": x: y\n",
        "token: %" SECRET "\n",
        "token: @" SECRET "\n",
        "token: !" SECRET "! x\n",
        "{\"token\":\"" SECRET "\"",
        "- " SECRET "\n",
        SECRET "\n",
        "kind: " SECRET "\n",
        "apiVersion: " SECRET "\n",
        "<<: " SECRET "\n",
        "? [" SECRET "]\n: x\n",
        "users: " SECRET "\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n"
        "clusters: [{name: a, cluster: {server: 'https://x'}}]\n",
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct api_config *config = NULL;
        struct err err = {0};
        char text[1024];
        scratch_put("config", texts[i]);
        assert_int_equal(kubeconfig_load(scratch_path("config"), NULL, &config, &err), -1);
        assert_null(config);
        if (strstr(err_text(&err, text, sizeof(text)), SECRET)) {
            fail_msg("%s", text);
        }
        assert_non_null(strstr(err.object, scratch_path("config")));
    }
}

static void test_what_kubectl_takes(UNUSED void **state)
{
#define USER(user)                                                                                                     \
    "current-context: a\ncontexts:\n- name: a\n  context: {cluster: a, user: a}\nclusters:\n- name: a\n  cluster: "    \
    "{" SERVER "}\nusers:\n- name: a\n" user
    static const char *const anonymous[] = {USER(""), USER("  user:\n"), USER("  user: null\n"), USER("  user: {}\n"),
                                            "\xEF\xBB\xBF" USER("  user: {}\n")};
    for (size_t i = 0; i < ARRAY_SIZE(anonymous); i++) {
        struct api_config *config = NULL;
        struct err err = {0};
        scratch_put("config", anonymous[i]);
        if (kubeconfig_load(scratch_path("config"), NULL, &config, &err) < 0) {
            fail_msg("%s: %s", anonymous[i], err.msg);
        }
        assert_string_equal(config->server, "https://x");
        assert_null(config->token);
        api_config_free(config);
    }
    static const char *const refused[] = {USER("  user: me\n"), USER("  user: []\n"), USER("- name: a\n")};
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        struct api_config *config = NULL;
        struct err err = {0};
        scratch_put("config", refused[i]);
        assert_int_equal(kubeconfig_load(scratch_path("config"), NULL, &config, &err), -1);
        assert_non_null(strstr(err.object, "config:"));
    }
    // A file beside a token need not be there, or good.
    scratch_put("spoilt", "a b");
    scratch_put("empty", "");
    static const char *const files[] = {"none", "spoilt", "empty"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        struct api_config *config = NULL;
        struct err err = {0};
        struct buf BUF_CLEANUP text = {0};
        buf_printf(&text, ONE(SERVER, "tokenFile: %s, token: t"), files[i]);
        scratch_put("config", text.data);
        assert_int_equal(kubeconfig_load(scratch_path("config"), NULL, &config, &err), 0);
        assert_string_equal(config->token, "t");
        assert_string_equal(config->token_file, scratch_path(files[i]));
        api_config_free(config);
    }
}

// libcurl or OpenSSL would ask for the pass phrase, or crash.
static void test_encrypted_keys_are_refused(UNUSED void **state)
{
    static const char *const keys[] = {
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n"
        "-----END RSA PRIVATE KEY-----\n",
    };
    static const char *const users[] = {"client-certificate-data: " DATA_CERT ", client-key: secret.pem",
                                        "client-certificate: secret.pem, client-key-data: " DATA_KEY};
    for (size_t i = 0; i < ARRAY_SIZE(keys) * ARRAY_SIZE(users); i++) {
        struct api_config *config = NULL;
        struct err err = {0};
        struct buf BUF_CLEANUP text = {0};
        scratch_put("secret.pem", keys[i / ARRAY_SIZE(users)]);
        buf_printf(&text, ONE(SERVER, "%s"), users[i % ARRAY_SIZE(users)]);
        scratch_put("config", text.data);
        assert_int_equal(kubeconfig_load(scratch_path("config"), NULL, &config, &err), -1);
        assert_non_null(strstr(err.msg, "is encrypted"));
        assert_non_null(strstr(err.msg, "openssl pkey"));
    }
    struct api_config *config = NULL;
    struct err err = {0};
    scratch_put("ca.pem", keys[1]);
    scratch_put("config", ONE(SERVER ", certificate-authority: ca.pem", "token: t"));
    assert_int_equal(kubeconfig_load(scratch_path("config"), NULL, &config, &err), -1);
    assert_non_null(strstr(err.msg, "is encrypted"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
        TEST(test_password),
        TEST(test_data_wins),
        TEST(test_impersonation),
        TEST(test_plugin),
        TEST(test_fixed_credentials_win_over_a_plugin),
        TEST(test_encrypted_keys_are_refused),
        TEST(test_what_kubectl_takes),
        TEST(test_errors),
        TEST(test_broken_files_keep_their_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
