// SPDX-License-Identifier: Apache-2.0
//
// Kubeconfigs, service accounts, URLs, base64, and the files that credentials are read from.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/num.h"
#include "source/api_url.h"
#include "source/base64.h"
#include "source/kubeconfig.h"
#include "source/small_file.h"
#include "support/kubeconfig_samples.h"
#include "support/scratch.h"

#define in_dir scratch_path
#define put scratch_put

static void put_files(void)
{
    assert_int_equal(mkdir(in_dir("pki"), 0700), 0);
    put("pki/ca.crt", PEM_CA);
    put("pki/me.crt", PEM_CERT);
    put("me.key", PEM_KEY);
    put("token", "from-file\n");
}

#define HEAD "apiVersion: v1\nkind: Config\ncurrent-context: one\n"
#define CONTEXTS                                                                                                       \
    "contexts:\n- name: two\n  context: {cluster: c2, user: u2, namespace: other}\n"                                   \
    "- name: one\n  context: {cluster: c1, user: u1}\n"
#define CLUSTERS                                                                                                       \
    "clusters:\n- name: c1\n  cluster:\n    server: https://10.0.0.1:6443/\n    certificate-authority-data: " DATA_CA  \
    "\n"                                                                                                               \
    "- name: c2\n  cluster: {server: 'https://[fd00::1]/k8s/c2//', certificate-authority: pki/ca.crt, "                \
    "tls-server-name: kubernetes, disable-compression: true}\n"                                                        \
    "- name: c3\n  cluster: {server: 'https://x', insecure-skip-tls-verify: true}\n"
#define USERS                                                                                                          \
    "users:\n- name: u1\n  user: {client-certificate-data: " DATA_CERT ", client-key-data: " DATA_KEY "}\n"            \
    "- name: u2\n  user: {client-certificate: pki/me.crt, client-key: me.key, tokenFile: token, token: inline}\n"

static void test_data_in_the_file(void **state)
{
    (void)state;
    put("config", HEAD CONTEXTS CLUSTERS USERS);
    CLEANUP(api_config_free) struct api_config *config = NULL;
    struct err err = {0};
    assert_int_equal(kubeconfig_load(in_dir("config"), NULL, &config, &err), 0);
    assert_string_equal(config->server, "https://10.0.0.1:6443");
    assert_string_equal(config->ca_pem, PEM_CA);
    assert_string_equal(config->cert_pem, PEM_CERT);
    assert_string_equal(config->key_pem, PEM_KEY);
    assert_null(config->ca_file);
    assert_null(config->cert_file);
    assert_null(config->token);
    assert_null(config->ns);
    assert_false(config->insecure);
    assert_false(config->plain_credentials);
}

static void test_files_relative_to_the_config(void **state)
{
    (void)state;
    put_files();
    put("config", HEAD CONTEXTS CLUSTERS USERS);
    CLEANUP(api_config_free) struct api_config *config = NULL;
    struct err err = {0};
    assert_int_equal(kubeconfig_load(in_dir("config"), "two", &config, &err), 0);
    assert_string_equal(config->server, "https://[fd00::1]/k8s/c2");
    assert_string_equal(config->ca_file, in_dir("pki/ca.crt"));
    assert_string_equal(config->cert_file, in_dir("pki/me.crt"));
    assert_string_equal(config->key_file, in_dir("me.key"));
    assert_string_equal(config->token_file, in_dir("token"));
    assert_string_equal(config->token, "inline");
    assert_string_equal(config->tls_server_name, "kubernetes");
    assert_string_equal(config->ns, "other");
    assert_true(config->disable_compression);
    // The same from the directory itself, without any slash in the name.
    char before[256];
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(scratch_dir()), 0);
    struct api_config *again = NULL;
    assert_int_equal(kubeconfig_load("config", "two", &again, &err), 0);
    assert_string_equal(again->ca_file, "pki/ca.crt");
    api_config_free(again);
    assert_int_equal(chdir(before), 0);
}

static void test_no_user(void **state)
{
    (void)state;
    put("config", "current-context: z\ncontexts: [{name: z, context: {cluster: c3}}]\n" CLUSTERS);
    CLEANUP(api_config_free) struct api_config *config = NULL;
    struct err err = {0};
    assert_int_equal(kubeconfig_load(in_dir("config"), NULL, &config, &err), 0);
    assert_true(config->insecure);
    assert_null(config->token);
}

static void test_json(void **state)
{
    (void)state;
    put("config", "{\"current-context\":\"a\",\"contexts\":[{\"name\":\"a\",\"context\":{\"cluster\":\"b\",\"user\":"
                  "\"c\"}}],\"clusters\":[{\"name\":\"b\",\"cluster\":{\"server\":\"http://localhost:8001\"}}],"
                  "\"users\":[{\"name\":\"c\",\"user\":{}}]}");
    CLEANUP(api_config_free) struct api_config *config = NULL;
    struct err err = {0};
    assert_int_equal(kubeconfig_load(in_dir("config"), NULL, &config, &err), 0);
    assert_string_equal(config->server, "http://localhost:8001");
}

static void test_errors_name_the_field(void **state)
{
    static const struct {
        const char *text;
        const char *field;
        const char *message;
        enum err_kind kind;
    } cases[] = {
        {ONE("", ""), "clusters[0].cluster.server", "is missing", ERR_INPUT},
        {ONE("server: 10.0.0.1", ""), "clusters[0].cluster.server", "https://", ERR_INPUT},
        {ONE("server: 7", ""), "clusters[0].cluster.server", "not a string", ERR_INPUT},
        {ONE(SERVER ", insecure-skip-tls-verify: true, certificate-authority-data: " DATA_CA, ""),
         "clusters[0].cluster.insecure-skip-tls-verify", "contradiction", ERR_INPUT},
        {ONE(SERVER ", insecure-skip-tls-verify: x", ""), "clusters[0].cluster.insecure-skip-tls-verify",
         "not a boolean", ERR_INPUT},
        {ONE(SERVER ", certificate-authority-data: '***'", ""), "clusters[0].cluster.certificate-authority-data",
         "is not base64", ERR_INPUT},
        {ONE(SERVER ", certificate-authority-data: aGVsbG8=", ""), "clusters[0].cluster.certificate-authority-data",
         "PEM", ERR_INPUT},
        {ONE(SERVER ", certificate-authority: nowhere.crt", ""), "clusters[0].cluster.certificate-authority",
         "nowhere.crt", ERR_INPUT},
        {ONE(SERVER, "client-certificate-data: " DATA_CERT), "users[0].user.client-key", "belong together", ERR_INPUT},
        {ONE(SERVER, "client-key-data: " DATA_KEY), "users[0].user.client-certificate", "belong together", ERR_INPUT},
        {ONE(SERVER, "tokenFile: none"), "users[0].user.tokenFile", "cannot read", ERR_INPUT},
        {ONE(SERVER, "token: \"a\\nb\""), "users[0].user.token", "line break", ERR_INPUT},
        {ONE(SERVER ", tls-server-name: 'a b'", ""), "clusters[0].cluster", "tls-server-name", ERR_INPUT},
        {ONE("server: 'http://10.0.0.1'", ""), "clusters[0].cluster", "loopback", ERR_INPUT},
        {ONE("server: 'http://127.0.0.1'", "token: t"), "clusters[0].cluster", "not sent over http", ERR_INPUT},
        {ONE("server: 'http://127.0.0.1'", "username: t"), "clusters[0].cluster", "not sent over http", ERR_INPUT},
        {ONE("server: 'http://127.0.0.1'", "as: t"), "clusters[0].cluster", "not sent over http", ERR_INPUT},
        {ONE(SERVER ", proxy-url: 'ftp://p'", ""), "clusters[0].cluster.proxy-url", "socks5://", ERR_INPUT},
        {ONE(SERVER ", proxy-url: 'http://p/x'", ""), "clusters[0].cluster.proxy-url", "more than a host", ERR_INPUT},
        {ONE(SERVER ", certificate-authority-data: YQBi", ""), "clusters[0].cluster.certificate-authority-data", "PEM",
         ERR_INPUT},
        {ONE(SERVER ", certificate-authority: config", ""), "clusters[0].cluster.certificate-authority", "PEM",
         ERR_INPUT},
        {ONE(SERVER ", extensions: 1", ""), "clusters[0].cluster.extensions", "not a list", ERR_INPUT},
        {ONE(SERVER, "tokenFile: config"), "users[0].user.tokenFile", "no token has", ERR_INPUT},
        {"apiVersion: v2\n" ONE(SERVER, ""), "apiVersion", "no kubeconfig", ERR_INPUT},
        {"kind: Pod\n" ONE(SERVER, ""), "kind", "no kubeconfig", ERR_INPUT},
        {"kind: [Config]\n" ONE(SERVER, ""), "kind", "not a string", ERR_INPUT},
        {"current-context: a\n", "current-context", "contexts has no entry \"a\"; there is none", ERR_INPUT},
        {"current-context: a\ncontexts: {}\n", "contexts", "not a list", ERR_INPUT},
        {"current-context: a\ncontexts: [{name: b}, {name: c}]\n", "current-context", "there is \"b\", \"c\"",
         ERR_INPUT},
        {"current-context: a\ncontexts: [{name: a, context: {cluster: b}}, {name: a, context: {cluster: c}}]\n",
         "contexts[1].context", "second entry \"a\"", ERR_INPUT},
        {"{}", "current-context", "not set", ERR_INPUT},
        {"current-context: a\ncontexts: [{name: a}]\n", "contexts[0].context", "missing", ERR_INPUT},
        {"current-context: a\ncontexts: [{name: a, context: {user: b}}]\n", "contexts[0].context.cluster", "missing",
         ERR_INPUT},
        {"current-context: a\ncontexts: [{name: a, context: {cluster: b}}]\nclusters: []\n",
         "contexts[0].context.cluster", "clusters has no entry \"b\"", ERR_INPUT},
        {"current-context: a\ncontexts: [{name: a, context: {cluster: b, user: u}}]\n"
         "clusters: [{name: b, cluster: {" SERVER "}}]\nusers: [{name: v, user: {}}]\n",
         "contexts[0].context.user", "users has no entry \"u\"; there is \"v\"", ERR_INPUT},
        {"- a\n", "", "is a map", ERR_INPUT},
        {"", "", "empty", ERR_INPUT},
        {"a: [", "", "", ERR_INPUT},
        {ONE(SERVER, "") "---\n" ONE(SERVER, ""), "", "one document", ERR_INPUT},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct api_config *config = NULL;
        struct err err = {0};
        put("config", cases[i].text);
        if (kubeconfig_load(in_dir("config"), NULL, &config, &err) == 0) {
            fail_msg("accepted: %s", cases[i].text);
        }
        assert_null(config);
        assert_string_equal(err.field, cases[i].field);
        assert_int_equal(err.kind, cases[i].kind);
        if (!strstr(err.msg, cases[i].message) || strncmp(err.object, in_dir("config"), strlen(scratch_dir())) != 0) {
            fail_msg("\"%s\", \"%s\": not about \"%s\"", err.object, err.msg, cases[i].message);
        }
    }
}

static void test_where_it_is_looked_for(void **state)
{
    (void)state;
    struct api_config *config = NULL;
    struct err err = {0};
    char list[256];
    // Files of $KUBECONFIG that are not there are skipped; one that is there and is bad is an error.
    put("second", ONE("server: 'https://second'", ""));
    put("bad", "a: [");
    (void)snprintf(list, sizeof(list), "%s/none::%s/second:%s/no", scratch_dir(), scratch_dir(), scratch_dir());
    assert_int_equal(setenv("KUBECONFIG", list, 1), 0);
    assert_int_equal(kubeconfig_load(NULL, NULL, &config, &err), 0);
    assert_string_equal(config->server, "https://second");
    api_config_free(config);
    config = NULL;
    (void)snprintf(list, sizeof(list), "%s/bad:%s/second", scratch_dir(), scratch_dir());
    assert_int_equal(setenv("KUBECONFIG", list, 1), 0);
    assert_int_equal(kubeconfig_load(NULL, NULL, &config, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    // ~/.kube/config
    assert_int_equal(unsetenv("KUBECONFIG"), 0);
    assert_int_equal(setenv("HOME", scratch_dir(), 1), 0);
    assert_int_equal(kubeconfig_load(NULL, NULL, &config, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_int_equal(mkdir(in_dir(".kube"), 0700), 0);
    put(".kube/config", ONE("server: 'https://home'", ""));
    assert_int_equal(kubeconfig_load(NULL, NULL, &config, &err), 0);
    assert_string_equal(config->server, "https://home");
    api_config_free(config);
    // A path that was asked for must be there.
    config = NULL;
    assert_int_equal(kubeconfig_load(in_dir("none"), NULL, &config, &err), -1);
    assert_non_null(strstr(err.msg, "none"));
    assert_int_equal(kubeconfig_load(scratch_dir(), NULL, &config, &err), -1);
    assert_non_null(strstr(err.msg, "not a regular file"));
}

static void test_in_cluster(void **state)
{
    (void)state;
    struct api_config *config = NULL;
    struct err err = {0};
    assert_int_equal(unsetenv("KUBERNETES_SERVICE_HOST"), 0);
    assert_int_equal(setenv("KUBERNETES_SERVICE_PORT", "443", 1), 0);
    assert_int_equal(kubeconfig_in_cluster(&config, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_int_equal(setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1), 0);
    // In a cluster without a readable CA we do not start, rather than trust the roots of the system.
    assert_int_equal(kubeconfig_service_account(scratch_dir(), &config, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    static const char *const bad_ca[] = {"", "no PEM\n"};
    put("token", "t\n");
    for (size_t i = 0; i < ARRAY_SIZE(bad_ca); i++) {
        put("ca.crt", bad_ca[i]);
        assert_int_equal(kubeconfig_service_account(scratch_dir(), &config, &err), -1);
        assert_non_null(strstr(err.msg, "ca.crt"));
    }
    static const char *const bad_token[] = {"", " \n", "a\r\nb"};
    put("ca.crt", PEM_CA);
    for (size_t i = 0; i < ARRAY_SIZE(bad_token); i++) {
        put("token", bad_token[i]);
        assert_int_equal(kubeconfig_service_account(scratch_dir(), &config, &err), -1);
        assert_non_null(strstr(err.msg, "token"));
    }
    put("token", "t\n");
    assert_int_equal(kubeconfig_service_account(scratch_dir(), &config, &err), 0);
    assert_null(config->ns);
    assert_false(config->proxy_from_environment);
    api_config_free(config);
    put("namespace", "kube-system\n");
    assert_int_equal(setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1", 1), 0);
    assert_int_equal(kubeconfig_service_account(scratch_dir(), &config, &err), 0);
    assert_string_equal(config->server, "https://10.96.0.1:443");
    assert_string_equal(config->ns, "kube-system");
    api_config_free(config);
    assert_int_equal(setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1), 0);
    assert_int_equal(kubeconfig_service_account(scratch_dir(), &config, &err), 0);
    assert_string_equal(config->server, "https://[fd00::1]:443");
    assert_string_equal(config->ca_file, in_dir("ca.crt"));
    assert_string_equal(config->token_file, in_dir("token"));
    api_config_free(config);
    assert_int_equal(setenv("KUBERNETES_SERVICE_PORT", "x", 1), 0);
    assert_int_equal(kubeconfig_service_account(scratch_dir(), &config, &err), -1);
}

static void test_proxies(void **state)
{
    static const struct {
        const char *text;
        const char *want;  // NULL: refused
    } cases[] = {
        {"http://p", "http://p:80"},
        {"HTTP://p:3128/", "http://p:3128"},
        {"https://p", "https://p:443"},
        {"https://[fd00::1]:8443", "https://[fd00::1]:8443"},
        {"socks5://10.0.0.9", "socks5h://10.0.0.9:1080"},
        {"socks5://u:hunter2@p:9", "socks5h://u:hunter2@p:9"},
        {"http://u%40d:hunter2@p", "http://u%40d:hunter2@p:80"},
        {"socks5h://p", NULL},
        {"p:3128", NULL},
        {"http://", NULL},
        {"http://hunter2@", NULL},
        {"http://u:hunter2@p:x", NULL},
        {"http://u:hunter2@p/path", NULL},
        {"http://u:hunter2@p?query", NULL},
        {"http://u:hunter2\r\n@p", NULL},
        {"socks4://u:hunter2@p", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(secret_free) char *got = NULL;
        struct err err = {0};
        int rc = api_url_proxy(cases[i].text, &got, &err);
        if (!cases[i].want) {
            assert_int_equal(rc, -1);
            assert_null(got);
            assert_null(strstr(err.msg, "hunter2"));
            continue;
        }
        assert_int_equal(rc, 0);
        assert_string_equal(got, cases[i].want);
    }
    // A kubeconfig without one takes that of the environment, as kubectl.
    static const char *const texts[] = {ONE(SERVER, ""), ONE(SERVER ", proxy-url: 'socks5://p'", "")};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        CLEANUP(api_config_free) struct api_config *config = NULL;
        struct err err = {0};
        put("config", texts[i]);
        assert_int_equal(kubeconfig_load(in_dir("config"), NULL, &config, &err), 0);
        assert_int_equal(config->proxy_from_environment, i == 0);
        assert_string_equal(config->proxy_url ? config->proxy_url : "", i == 0 ? "" : "socks5h://p:1080");
    }
}

static void test_urls(void **state)
{
    static const struct {
        const char *text;
        const char *host;
        const char *port;
        const char *prefix;
    } good[] = {
        {"https://x", "x", "443", ""},
        {"https://x/", "x", "443", ""},
        {"https://a.b-c:6443", "a.b-c", "6443", ""},
        {"https://10.0.0.1:06443/a/b/", "10.0.0.1", "6443", "/a/b"},
        {"https://[fd00::1]", "fd00::1", "443", ""},
        {"https://[fd00::1]:1/p", "fd00::1", "1", "/p"},
        {"http://127.0.0.1:8001", "127.0.0.1", "8001", ""},
    };
    static const char *const bad[] = {
        "",
        "x",
        "x:6443",
        "HTTPS://x",
        "https://",
        "https:///p",
        "https://:1",
        "https://x:0",
        "https://x:1a",
        "https://x:65536",
        "https://x:",
        "https://u:p@x",
        "https://[x",
        "https://[]",
        "https://[x]",
        "https://[fd00::1]x",
        "https://fd00::1",
        "https://x?a=b",
        "https://x#f",
        "https://x/a b",
        "https://a b",
        "https://a\nb",
        "https://x/\r\nEvil: 1",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct api_url url = {0};
        struct err err = {0};
        assert_int_equal(api_url_parse(good[i].text, &url, &err), 0);
        assert_string_equal(url.host, good[i].host);
        assert_string_equal(url.port, good[i].port);
        assert_string_equal(url.prefix, good[i].prefix);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct err err = {0};
        if (api_url_check(bad[i], &err) == 0) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
    static const char *const secret[] = {"https://u:hunter2@x", "http:/u:hunter2@x", "https://x/?token=hunter2",
                                         "https://x#hunter2"};
    for (size_t i = 0; i < ARRAY_SIZE(secret); i++) {
        struct err err = {0};
        assert_int_equal(api_url_check(secret[i], &err), -1);
        assert_null(strstr(err.msg, "hunter2"));
    }
    char authority[64];
    api_url_authority("fd00::1", "6443", authority, sizeof(authority));
    assert_string_equal(authority, "[fd00::1]:6443");
    api_url_authority("x", "1", authority, sizeof(authority));
    assert_string_equal(authority, "x:1");
    struct buf BUF_CLEANUP out = {0};
    api_url_escape(&out, "a-._~Z9!=,&+ /\xc3\xa9%");
    assert_string_equal(out.data, "a-._~Z9%21%3D%2C%26%2B%20%2F%C3%A9%25");
}

static void test_base64(void **state)
{
    static const struct {
        const char *text;
        const char *want;  // NULL: refused
    } cases[] = {
        {"", ""},
        {"Zg==", "f"},
        {"Zm8=", "fo"},
        {"Zm9v", "foo"},
        {"Zm9vYg==", "foob"},
        {"Zm9v\nYmFy\r\n", "foobar"},
        {"+/+/", "\xfb\xff\xbf"},
        {"Zg", NULL},
        {"Zg=", NULL},
        {"Z===", NULL},
        {"Zm8", NULL},
        {"Zm9v=", NULL},
        {"Zg==Zg==", NULL},
        {"Z m9v", NULL},
        {"-_-_", NULL},
        {"====", NULL},
        {"Zm9v!", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t len = 77;
        char *got = base64_decode(cases[i].text, &len);
        if (!cases[i].want) {
            assert_null(got);
            assert_int_equal(len, 0);
            continue;
        }
        assert_non_null(got);
        assert_int_equal(len, strlen(cases[i].want));
        assert_string_equal(got, cases[i].want);
        if (!strpbrk(cases[i].text, "\r\n")) {
            struct buf BUF_CLEANUP again = {0};
            base64_encode(&again, got, len);
            assert_string_equal(again.data ? again.data : "", cases[i].text);
        }
        free(got);
    }
}

static void test_small_files(void **state)
{
    (void)state;
    struct err err = {0};
    char *text = NULL;
    put("f", "12345");
    assert_int_equal(small_file_read(in_dir("f"), 5, &text, &err), 0);
    assert_string_equal(text, "12345");
    secret_free(text);
    text = NULL;
    assert_int_equal(small_file_read(in_dir("f"), 4, &text, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    FILE *file = fopen(in_dir("nul"), "w");
    assert_non_null(file);
    assert_int_equal(fwrite("a\0b", 1, 3, file), 3);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(small_file_read(in_dir("nul"), 10, &text, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
    assert_int_equal(small_file_read(in_dir("fifo"), 10, &text, &err), -1);
    assert_int_equal(small_file_read(in_dir("none"), 10, &text, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_null(text);
}

static pid_t write_later(const char *path, const char *text, size_t times)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        for (size_t i = 0; i < times && fd >= 0; i++) {
            (void)nanosleep(&pause, NULL);
            if (write(fd, text, strlen(text)) < 0) {
                break;
            }
        }
        _exit(0);
    }
    return child;
}

// "--kubeconfig <(…)".
static void test_pipes(UNUSED void **state)
{
    CLEANUP(api_config_free) struct api_config *config = NULL;
    CLEANUP(secret_free) char *text = NULL;
    struct err err = {0};
    assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
    pid_t child = write_later(in_dir("fifo"), ONE(SERVER, "token: t") "#", 1);
    assert_int_equal(kubeconfig_load(in_dir("fifo"), NULL, &config, &err), 0);
    assert_string_equal(config->token, "t");
    assert_int_equal(waitpid(child, NULL, 0), child);
    // What was written before, by one who has gone.
    int ends[2];
    char name[32];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], "12345", 5), 5);
    assert_int_equal(close(ends[1]), 0);
    (void)snprintf(name, sizeof(name), "/dev/fd/%d", ends[0]);
    assert_int_equal(small_file_read_pipe(name, 5, 5000, &text, &err), 0);
    assert_string_equal(text, "12345");
    assert_int_equal(close(ends[0]), 0);
    // In pieces, and more than it may be.
    child = write_later(in_dir("fifo"), "12", 4);
    char *none = NULL;
    assert_int_equal(small_file_read_pipe(in_dir("fifo"), 7, 5000, &none, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_int_equal(waitpid(child, NULL, 0), child);
    // Nobody writes; somebody never ends.
    err_clear(&err);
    uint64_t start = num_now_ms();
    assert_int_equal(small_file_read_pipe(in_dir("fifo"), 5, 60, &none, &err), -1);
    assert_non_null(strstr(err.msg, "nobody wrote"));
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], "1", 1), 1);
    (void)snprintf(name, sizeof(name), "/dev/fd/%d", ends[0]);
    assert_int_equal(small_file_read_pipe(name, 5, 60, &none, &err), -1);
    assert_true(num_now_ms() - start >= 120);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
    // Neither a directory nor a device.
    assert_int_equal(small_file_read_pipe(scratch_dir(), 5, 60, &none, &err), -1);
    assert_int_equal(small_file_read_pipe("/dev/zero", 5, 60, &none, &err), -1);
    assert_non_null(strstr(err.msg, "not a regular file or a pipe"));
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
        TEST(test_data_in_the_file),
        TEST(test_pipes),
        TEST(test_files_relative_to_the_config),
        TEST(test_no_user),
        TEST(test_json),
        TEST(test_errors_name_the_field),
        TEST(test_where_it_is_looked_for),
        TEST(test_in_cluster),
        TEST(test_proxies),
        TEST(test_urls),
        TEST(test_base64),
        TEST(test_small_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
