// SPDX-License-Identifier: Apache-2.0
//
// What a credential plugin is given and what it answers; running one is in test_credentials.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/doc.h"
#include "source/exec_credential.h"
#include "source/small_file.h"
#include "support/kubeconfig_samples.h"
#include "support/rng.h"
#include "support/scratch.h"
#include "json/json.h"

#define SECRET "hunter2-and-more"
#define V1 "client.authentication.k8s.io/v1"
#define ANSWER(status) "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\",\"status\":" status "}"
// PEM as a JSON string holds it.
#define JSON_CERT "-----BEGIN CERTIFICATE-----\\nY2VydA==\\n-----END CERTIFICATE-----\\n"
#define JSON_KEY "-----BEGIN PRIVATE KEY-----\\na2V5\\n-----END PRIVATE KEY-----\\n"
#define JSON_ENCRYPTED "-----BEGIN ENCRYPTED PRIVATE KEY-----\\na2V5\\n-----END ENCRYPTED PRIVATE KEY-----\\n"
#define JSON_OLD_ENCRYPTED                                                                                             \
    "-----BEGIN RSA PRIVATE KEY-----\\nProc-Type: 4,\\tENCRYPTED\\n\\na2V5\\n-----END RSA PRIVATE KEY-----\\n"

static void test_times(UNUSED void **state)
{
    static const struct {
        const char *text;
        int64_t want;  // -1: refused
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2018-03-05T17:30:20-08:00", 1520299820},
        {"2018-03-06T01:30:20Z", 1520299820},
        {"2018-03-06T07:00:20.123456789+05:30", 1520299820},
        {"2024-02-29T23:59:59Z", 1709251199},
        {"2000-02-29T00:00:00Z", 951782400},
        {"2038-01-19T03:14:08Z", 2147483648},
        {"9999-12-31T23:59:59Z", 253402300799},
        {"2023-02-29T00:00:00Z", -1},
        {"1900-02-29T00:00:00Z", -1},
        {"2024-04-31T00:00:00Z", -1},
        {"2024-00-01T00:00:00Z", -1},
        {"2024-13-01T00:00:00Z", -1},
        {"2024-01-00T00:00:00Z", -1},
        {"2024-01-01T24:00:00Z", -1},
        {"2024-01-01T00:60:00Z", -1},
        {"2024-01-01T00:00:60Z", -1},
        {"2024-01-01T00:00:00", -1},
        {"2024-01-01T00:00:00.Z", -1},
        {"2024-01-01T00:00:00+24:00", -1},
        {"2024-01-01T00:00:00+01:60", -1},
        {"2024-01-01T00:00:00+0100", -1},
        {"2024-01-01T00:00:00Zx", -1},
        {"2024-01-01 00:00:00Z", -1},
        {"2024-1-1T00:00:00Z", -1},
        {"24-01-01T00:00:00Z", -1},
        {"1704067200", -1},
        {"", -1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t got = -1;
        bool ok = exec_credential_time(cases[i].text, &got);
        if (ok != (cases[i].want >= 0) || got != cases[i].want) {
            fail_msg("%s: %lld", cases[i].text, (long long)got);
        }
    }
    // Any prefix of a time is none.
    static const char whole[] = "2018-03-06T07:00:20.12+05:30";
    for (size_t n = 0; n < sizeof(whole) - 1; n++) {
        char cut[sizeof(whole)] = "";
        int64_t got;
        memcpy(cut, whole, n);
        assert_false(exec_credential_time(cut, &got));
    }
}

static struct exec_credential *parse(const char *text)
{
    struct exec_credential *got = NULL;
    struct err err = {0};
    if (exec_credential_parse(text, strlen(text), V1, &got, &err) < 0) {
        fail_msg("%s: %s", text, err.msg);
    }
    return got;
}

static void test_answers(UNUSED void **state)
{
    CLEANUP(exec_credential_free) struct exec_credential *token = parse(ANSWER("{\"token\":\"abc.def\"}") "\n \n");
    assert_string_equal(token->token, "abc.def");
    assert_null(token->cert_pem);
    assert_null(token->key_pem);
    assert_false(token->expires);
    CLEANUP(exec_credential_free)
    struct exec_credential *pair =
        parse(ANSWER("{\"token\":\"\",\"clientCertificateData\":\"" JSON_CERT "\",\"clientKeyData\":\"" JSON_KEY
                     "\",\"expirationTimestamp\":\"2018-03-05T17:30:20-08:00\"}"));
    assert_null(pair->token);
    assert_string_equal(pair->cert_pem, PEM_CERT);
    assert_string_equal(pair->key_pem, PEM_KEY);
    assert_true(pair->expires);
    assert_int_equal(pair->expiry_s, 1520299820);
    // Everything at once, with what nobody asked for, and null for nothing.
    CLEANUP(exec_credential_free)
    struct exec_credential *both =
        parse("\n{\"spec\":{\"x\":[1]},\"status\":{\"token\":\"t\",\"clientCertificateData\":\"" JSON_CERT
              "\",\"clientKeyData\":\"" JSON_KEY "\",\"expirationTimestamp\":null,\"more\":{}},\"apiVersion\":\"" V1
              "\",\"kind\":\"ExecCredential\"}");
    assert_string_equal(both->token, "t");
    assert_string_equal(both->key_pem, PEM_KEY);
    assert_false(both->expires);
}

static void test_refused_answers(UNUSED void **state)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"", "printed nothing"},
        {"\n", "not JSON"},
        {SECRET, "not JSON (line 1)"},
        {"\n\n\"" SECRET, "not JSON (line 3)"},
        {"{\"" SECRET "\":1,\"" SECRET "\":2}", "not JSON"},
        {"{\"status\":{\"token\":\"" SECRET "\"}", "not JSON"},
        {"\"" SECRET "\"", "but a string"},
        {"[\"" SECRET "\"]", "but a list"},
        {"{\"" SECRET "\":1}", "no ExecCredential"},
        {"{\"kind\":\"" SECRET "\"}", "no ExecCredential"},
        {"{\"kind\":[\"" SECRET "\"]}", "kind is a list"},
        {"{\"kind\":\"ExecCredential\",\"status\":{\"token\":\"" SECRET "\"}}", "another apiVersion than " V1},
        {"{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "beta1\",\"status\":{\"token\":\"" SECRET "\"}}",
         "another apiVersion than " V1},
        {"{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\"}", "no status"},
        {ANSWER("\"" SECRET "\""), "no status"},
        {ANSWER("{}"), "neither a token"},
        {ANSWER("{\"token\":null}"), "neither a token"},
        {ANSWER("{\"token\":[\"" SECRET "\"]}"), "token is a list"},
        {ANSWER("{\"token\":\"" SECRET "\\n\"}"), "no token has"},
        {ANSWER("{\"token\":\"" SECRET " x\"}"), "no token has"},
        {ANSWER("{\"token\":\"" SECRET "\xc3\xa9\"}"), "no token has"},
        {ANSWER("{\"token\":\"" SECRET "\\u0000\"}"), "not JSON"},
        {ANSWER("{\"clientCertificateData\":\"" JSON_CERT "\"}"), "only one of"},
        {ANSWER("{\"token\":\"" SECRET "\",\"clientKeyData\":\"" JSON_KEY "\"}"), "only one of"},
        {ANSWER("{\"clientCertificateData\":\"" SECRET "\",\"clientKeyData\":\"" JSON_KEY "\"}"), "does not hold PEM"},
        {ANSWER("{\"clientCertificateData\":\"" JSON_CERT "\",\"clientKeyData\":\"" SECRET "\"}"), "does not hold PEM"},
        {ANSWER("{\"clientCertificateData\":\"" JSON_CERT "\",\"clientKeyData\":\"" JSON_ENCRYPTED "\"}"),
         "status.clientKeyData is encrypted"},
        {ANSWER("{\"clientCertificateData\":\"" JSON_CERT "\",\"clientKeyData\":\"" JSON_OLD_ENCRYPTED "\"}"),
         "status.clientKeyData is encrypted"},
        {ANSWER("{\"clientCertificateData\":\"" JSON_CERT JSON_OLD_ENCRYPTED "\",\"clientKeyData\":\"" JSON_KEY "\"}"),
         "status.clientCertificateData is encrypted"},
        {ANSWER("{\"token\":\"" SECRET "\",\"expirationTimestamp\":\"" SECRET "\"}"), "RFC 3339"},
        {ANSWER("{\"token\":\"" SECRET "\",\"expirationTimestamp\":1520299820}"), "is a number"},
        {ANSWER("{\"token\":\"" SECRET "\"}") ANSWER("{}"), "goes on behind"},
        {ANSWER("{\"token\":\"" SECRET "\"}") "\n" SECRET, "goes on behind the JSON (line 2)"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct exec_credential *got = NULL;
        struct err err = {0};
        assert_int_equal(exec_credential_parse(cases[i].text, strlen(cases[i].text), V1, &got, &err), -1);
        assert_null(got);
        if (!strstr(err.msg, cases[i].message) || strstr(err.msg, SECRET)) {
            fail_msg("%s: %s", cases[i].text, err.msg);
        }
    }
    static const char nul[] = ANSWER("{\"token\":\"a\"}") "\0";
    struct exec_credential *got = NULL;
    struct err err = {0};
    assert_int_equal(exec_credential_parse(nul, sizeof(nul), V1, &got, &err), -1);
    assert_null(got);
}

// Whatever is cut off or changed in an answer: it is refused or read, nothing breaks, nothing is told.
static void test_damaged_answers(UNUSED void **state)
{
    static const char whole[] =
        ANSWER("{\"token\":\"" SECRET "\",\"clientCertificateData\":\"" JSON_CERT "\",\"clientKeyData\":\"" JSON_KEY
               "\",\"expirationTimestamp\":\"2018-03-05T17:30:20-08:00\"}");
    struct rng rng = {.state = rng_seed("test_damaged_answers")};
    for (size_t i = 0; i < rng_iterations(20000); i++) {
        char text[sizeof(whole)];
        memcpy(text, whole, sizeof(whole));
        size_t len = i < sizeof(whole) ? i : sizeof(whole) - 1;
        size_t changes = i < sizeof(whole) ? 0 : 1 + rng_below(&rng, 3);
        for (size_t n = 0; n < changes; n++) {
            text[rng_below(&rng, len)] = (char)rng_below(&rng, 256);
        }
        struct exec_credential *got = NULL;
        struct err err = {0};
        if (exec_credential_parse(text, len, V1, &got, &err) == 0) {
            assert_true(got->token || got->cert_pem);
            exec_credential_free(got);
        } else if (strstr(err.msg, SECRET)) {
            fail_msg("%s", err.msg);
        }
    }
}

static char *no_args[] = {(char *)(uintptr_t) "plugin", NULL};
static char *no_env[] = {NULL};

static const char *entry_of(char **env, const char *name, size_t *ret_times)
{
    const char *found = NULL;
    *ret_times = 0;
    for (char **entry = env; *entry; entry++) {
        if (strncmp(*entry, name, strlen(name)) == 0 && (*entry)[strlen(name)] == '=') {
            found = *entry + strlen(name) + 1;
            ++*ret_times;
        }
    }
    return found;
}

static void test_environment(UNUSED void **state)
{
    char *own[] = {(char *)(uintptr_t) "TWICE=one", (char *)(uintptr_t) "OURS=theirs", (char *)(uintptr_t) "TWICE=two",
                   (char *)(uintptr_t) "KUBERNETES_EXEC_INFO=forged", NULL};
    struct api_exec exec = {.command = no_args[0], .argv = no_args, .env = own, .version = (char *)(uintptr_t)V1};
    struct api_config config = {.exec = &exec, .server = (char *)(uintptr_t) "https://x"};
    CLEANUP(free) char **env = NULL;
    CLEANUP(secret_free) char *info = NULL;
    struct err err = {0};
    size_t times;
    assert_int_equal(setenv("OURS", "ours", 1), 0);
    assert_int_equal(setenv("OURS_TOO", "kept", 1), 0);
    assert_int_equal(setenv("KUBERNETES_EXEC_INFO", "inherited", 1), 0);
    assert_int_equal(exec_credential_environment(&config, PEM_CA, &env, &info, &err), 0);
    assert_string_equal(entry_of(env, "OURS", &times), "theirs");
    assert_int_equal(times, 1);
    assert_string_equal(entry_of(env, "OURS_TOO", &times), "kept");
    assert_string_equal(entry_of(env, "TWICE", &times), "two");
    assert_int_equal(times, 1);
    // The cluster is told to those who ask only.
    assert_string_equal(entry_of(env, "KUBERNETES_EXEC_INFO", &times),
                        "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\",\"spec\":{\"interactive\":false}}");
    assert_int_equal(times, 1);
    assert_int_equal(unsetenv("KUBERNETES_EXEC_INFO"), 0);
}

static void test_cluster_info(UNUSED void **state)
{
    static const struct {
        struct api_config config;
        const char *ca_pem;
        const char *want;
    } cases[] = {
        {{.server = (char *)(uintptr_t) "https://h:6443/p"}, NULL, "{\"server\":\"https://h:6443/p\"}"},
        {{.server = (char *)(uintptr_t) "https://h",
          .tls_server_name = (char *)(uintptr_t) "kubernetes",
          .insecure = true,
          .disable_compression = true,
          .proxy_url = (char *)(uintptr_t) "socks5h://p:1080",
          .plugin_config = (char *)(uintptr_t) "{\"audience\":\"a\"}"},
         NULL,
         "{\"server\":\"https://h\",\"tls-server-name\":\"kubernetes\",\"insecure-skip-tls-verify\":true,"
         "\"proxy-url\":\"socks5://p:1080\",\"disable-compression\":true,\"config\":{\"audience\":\"a\"}}"},
        {{.server = (char *)(uintptr_t) "https://h", .proxy_url = (char *)(uintptr_t) "http://p:3128"},
         PEM_CA,
         "{\"server\":\"https://h\",\"certificate-authority-data\":\"" DATA_CA "\",\"proxy-url\":\"http://p:3128\"}"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct api_exec exec = {.command = no_args[0],
                                .argv = no_args,
                                .env = no_env,
                                .version = (char *)(uintptr_t)V1,
                                .provide_cluster_info = true};
        struct api_config config = cases[i].config;
        CLEANUP(free) char **env = NULL;
        CLEANUP(secret_free) char *info = NULL;
        struct err err = {0};
        char want[1024];
        config.exec = &exec;
        assert_int_equal(exec_credential_environment(&config, cases[i].ca_pem, &env, &info, &err), 0);
        (void)snprintf(want, sizeof(want),
                       "KUBERNETES_EXEC_INFO={\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1
                       "\",\"spec\":{\"interactive\":false,\"cluster\":%s}}",
                       cases[i].want);
        assert_string_equal(info, want);
        struct arena arena = {0};
        struct doc *doc = NULL;
        size_t used;
        unsigned line;
        const char *json = strchr(info, '=') + 1;
        assert_int_equal(json_parse(json, strlen(json), 1, &arena, &doc, &used, &line, &err), 0);
        arena_free(&arena);
    }
}

static void test_where_commands_are(UNUSED void **state)
{
    struct api_exec exec = {.command = (char *)(uintptr_t) "get-token",
                            .argv = no_args,
                            .env = no_env,
                            .install_hint = (char *)(uintptr_t) "Get it\nfrom \x1b[31mthere",
                            .where = (char *)(uintptr_t) "config:3: users[0].user.exec"};
    char path[1024];
    struct err err = {0};
    char *found = NULL;
    CLEANUP(free) char *before = strdup(getenv("PATH"));
    scratch_mkdir("a");
    scratch_mkdir("b");
    scratch_mkdir("c");
    scratch_put("a/get-token", "not executable");
    scratch_mkdir("b/get-token");
    scratch_put_program("c/get-token", "#!/bin/sh\n");
    (void)snprintf(path, sizeof(path), "/nowhere::.:%s:%s:c:%s", scratch_path("a"), scratch_path("b"),
                   scratch_path("c"));
    assert_int_equal(setenv("PATH", path, 1), 0);
    assert_int_equal(exec_credential_find(&exec, &found, &err), 0);
    assert_string_equal(found, scratch_path("c/get-token"));
    free(found);
    found = NULL;
    *strrchr(path, ':') = '\0';
    assert_int_equal(setenv("PATH", path, 1), 0);
    assert_int_equal(exec_credential_find(&exec, &found, &err), -1);
    assert_string_equal(err.msg, "the credential plugin \"get-token\" is not in PATH: Get it from  [31mthere");
    assert_string_equal(err.object, "config:3: users[0].user.exec");
    exec.command = (char *)(uintptr_t) "/nowhere/get-token";
    exec.install_hint = NULL;
    assert_int_equal(exec_credential_find(&exec, &found, &err), -1);
    assert_string_equal(err.msg, "the credential plugin \"/nowhere/get-token\" is not there");
    assert_null(found);
    assert_int_equal(setenv("PATH", before, 1), 0);
}

static void test_complaints(UNUSED void **state)
{
    char *args[] = {(char *)(uintptr_t) "plugin",
                    (char *)(uintptr_t) "--cluster=production",
                    (char *)(uintptr_t) "--client-secret=" SECRET "1",
                    (char *)(uintptr_t) "--password",
                    (char *)(uintptr_t)SECRET "2",
                    NULL};
    char *env[] = {(char *)(uintptr_t) "API_KEY=" SECRET "3", NULL};
    const struct api_exec exec = {.command = args[0], .argv = args, .env = env};
    static const char printed[] = ANSWER("{\"token\":\"" SECRET "4\"}");
    static const struct {
        const char *said;
        const char *want;
    } cases[] = {
        {"", ""},
        {" \r\n\t", ""},
        {"error: no such\r\n  cluster \"production\"\n", "error: no such cluster \"production\""},
        {"bell\x07 esc\x1b[31m del\x7f c1\xc2\x9b", "bell esc [31m del c1"},
        {"caf\xc3\xa9 \xff", "caf\xc3\xa9 ?"},
        {"secret=" SECRET "1.", "secret=[hidden]"},
        {"/tmp/x-" SECRET "2-cache: no " SECRET "4.", "[hidden]: no [hidden]"},
        {"secret=" SECRET "1", "secret=[hidden]"},
        {"tried '" SECRET "2'", "tried '[hidden]'"},
        {"key:" SECRET "3 refused", "key:[hidden] refused"},
        {"+ echo '{\"token\":\"" SECRET "4\"}'", "+ echo '{\"token\":\"[hidden]\"}'"},
        {"bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOi is bad", "bearer [hidden] is bad"},
        // For what stands before it, wherever it comes from.
        {"> Authorization: Bearer opaque-one", "> Authorization: Bearer [hidden]"},
        {"authorization=Basic dXNlcjpwYXNz", "authorization=Basic [hidden]"},
        {"{\"Authorization\":\"Bearer opaque-one\"}", "{\"Authorization\":\"[hidden]\"}"},
        {"basic authorization failed, bearer token is old", "basic authorization failed, bearer token is old"},
        {"POST /token?client_id=me&client_secret=a%2Fb!c&x=1", "POST /token?client_id=me&client_secret=[hidden]&x=1"},
        {"password: hunter", "password: [hidden]"},
        {"password = \"two words\" for me", "password = \"[hidden]\" for me"},
        {"{'password':'a b','user':'me'}", "{'password':'[hidden]','user':'me'}"},
        {"{\\\"token\\\":\\\"opaque\\\"}", "{\\\"token\\\":\\\"[hidden]\"}"},
        {"AWS_SECRET_ACCESS_KEY=wJalr/XUt+nFEMI", "AWS_SECRET_ACCESS_KEY=[hidden]"},
        {"+ login --token opaque --user me", "+ login --token [hidden] --user me"},
        {"token: 0a1b2c3d4e", "token: [hidden]"},
        {"proxy http://me:pass@proxy:3128/ refused", "proxy http:[hidden]@proxy:3128/ refused"},
        {"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKB", "[hidden]"},
        // Prose says what went wrong.
        {"oauth2: cannot fetch token: Post \"https://login.example/token\": dial tcp: refused",
         "oauth2: cannot fetch token: Post \"https://login.example/token\": dial tcp: refused"},
        {"invalid key: must be set", "invalid key: must be set"},
        {"GOOGLE_APPLICATION_CREDENTIALS=/etc/key.json", "GOOGLE_APPLICATION_CREDENTIALS=/etc/key.json"},
        // What is in our own environment.
        {"sent inherited-opaque to us", "sent [hidden] to us"},
        {"cannot open /run/our/token", "cannot open /run/our/token"},
        {"in production", "in production"},
    };
    assert_int_equal(setenv("OUR_CLIENT_SECRET", "inherited-opaque", 1), 0);
    assert_int_equal(setenv("OUR_TOKEN_FILE", "/run/our/token", 1), 0);
    assert_int_equal(setenv("OUR_CLUSTER", "production", 1), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf BUF_CLEANUP out = {0};
        exec_credential_said(cases[i].said, printed, &exec, &out);
        assert_string_equal(out.data ? out.data : "", cases[i].want);
    }
    // Of much, the end.
    struct buf BUF_CLEANUP much = {0};
    struct buf BUF_CLEANUP out = {0};
    for (int i = 0; i < 2000; i++) {
        buf_puts(&much, "\xc3\xa9\xc3\xa9 ");
    }
    buf_puts(&much, "the reason");
    exec_credential_said(much.data, "", &exec, &out);
    assert_true(out.len < 320);
    assert_string_equal(out.data + out.len - strlen("\xc3\xa9 the reason"), "\xc3\xa9 the reason");
    assert_memory_equal(out.data, "… ", strlen("… "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
        TEST(test_times),       TEST(test_answers),      TEST(test_refused_answers),    TEST(test_damaged_answers),
        TEST(test_environment), TEST(test_cluster_info), TEST(test_where_commands_are), TEST(test_complaints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
