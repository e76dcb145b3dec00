// SPDX-License-Identifier: Apache-2.0
//
// An API server of one large cluster, for measurements: `list_server tls|plain watchlist|list PODS EVENTS [CA_FILE]`
// listens on a port of 127.0.0.1, prints it, and serves until its standard input ends. Pods are listed as a whole or
// (limit) in pages, or sent as a WatchList; a watch then gets EVENTS updates of pods that change nothing but their
// resourceVersion, a BOOKMARK of version 99999999 behind them, and silence. Every other collection is empty. With tls
// its certificate is made at the start and written to CA_FILE.
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "support/pod_text.h"

enum { OUT_MAX = 256 << 10, REQUEST_MAX = 32 << 10, EVENT_ROOM = 256, SECONDS_A_DAY = 86400 };

static size_t n_pods;
static size_t n_events;
static bool has_watch_list;
static SSL_CTX *tls;  // NULL: plain

static void die(const char *what)
{
    (void)fprintf(stderr, "list_server: %s: %s\n", what, strerror(errno));
    ERR_print_errors_fp(stderr);
    exit(1);
}

// ---- one connection

struct client {
    int fd;
    SSL *ssl;
    size_t len;
    char out[OUT_MAX];
};

static void flush(struct client *c)
{
    for (size_t at = 0; at < c->len;) {
        int n = c->ssl ? SSL_write(c->ssl, c->out + at, (int)(c->len - at))
                       : (int)send(c->fd, c->out + at, c->len - at, MSG_NOSIGNAL);
        if (n <= 0) {
            exit(0);
        }
        at += (size_t)n;
    }
    c->len = 0;
}

static char *room(struct client *c, size_t n)
{
    if (sizeof(c->out) - c->len < n) {
        flush(c);
    }
    return c->out + c->len;
}

static void put(struct client *c, const char *text)
{
    size_t n = strlen(text);
    memcpy(room(c, n), text, n);
    c->len += n;
}

// One chunk of the answer: what was put between begin_chunk and end_chunk.
enum { CHUNK_HEAD = 10 };  // "%08zx\r\n"

static size_t begin_chunk(struct client *c)
{
    (void)room(c, POD_TEXT_MAX + EVENT_ROOM);
    size_t at = c->len;
    c->len += CHUNK_HEAD;
    return at;
}

static void end_chunk(struct client *c, size_t at)
{
    char head[CHUNK_HEAD + 1];
    (void)snprintf(head, sizeof(head), "%08zx\r\n", c->len - at - CHUNK_HEAD);
    memcpy(c->out + at, head, CHUNK_HEAD);
    put(c, "\r\n");
}

static void chunk(struct client *c, const char *text)
{
    size_t at = begin_chunk(c);
    put(c, text);
    end_chunk(c, at);
}

static void pod(struct client *c, size_t i, unsigned version)
{
    pod_text(i, version, room(c, pod_text_len()));
    c->len += pod_text_len();
}

static void event(struct client *c, const char *type, size_t i, unsigned version)
{
    size_t at = begin_chunk(c);
    put(c, "{\"type\":\"");
    put(c, type);
    put(c, "\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",");
    // The pod's own first bracket is there already.
    char *bracket = room(c, pod_text_len()) - 1;
    pod_text(i, version, bracket);
    bracket[0] = ',';
    c->len += pod_text_len() - 1;
    put(c, "}\n");
    end_chunk(c, at);
}

static void bookmark(struct client *c, const char *version, bool initial)
{
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{"
                   "\"resourceVersion\":\"%s\",\"creationTimestamp\":null%s}}}\n",
                   version, initial ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}" : "");
    chunk(c, text);
}

static size_t number_after(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    return at ? strtoul(at + strlen(key), NULL, 10) : 0;
}

static void list(struct client *c, const char *path, size_t total)
{
    size_t limit = number_after(path, "limit=");
    size_t from = number_after(path, "continue=");
    size_t to = limit && from + limit < total ? from + limit : total;
    char head[512];
    char next[96] = "";
    if (to < total) {
        (void)snprintf(next, sizeof(next), ",\"continue\":\"%zu\",\"remainingItemCount\":%zu", to, total - to);
    }
    (void)snprintf(
        head, sizeof(head),
        "{\"kind\":\"List\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"10000001\"%s},\"items\":[", next);
    chunk(c, head);
    for (size_t i = from; i < to; i++) {
        size_t at = begin_chunk(c);
        put(c, i > from ? "," : "");
        pod(c, i, 1);
        end_chunk(c, at);
    }
    chunk(c, "]}\n");
    put(c, "0\r\n\r\n");
    flush(c);
}

static void watch(struct client *c, const char *path, bool pods)
{
    if (strstr(path, "sendInitialEvents=true")) {
        for (size_t i = 0; pods && i < n_pods; i++) {
            event(c, "ADDED", i, 1);
        }
        bookmark(c, "10000001", true);
    }
    if (pods && n_events) {
        // All over the cluster, as updates come.
        for (size_t i = 0; i < n_events; i++) {
            event(c, "MODIFIED", i * 7919 % n_pods, (unsigned)(2 + i));
        }
        bookmark(c, "99999999", false);
    }
    flush(c);
    for (;;) {
        (void)pause();
    }
}

static void refuse(struct client *c, unsigned status, const char *reason)
{
    char body[256];
    char head[256];
    (void)snprintf(
        body, sizeof(body),
        "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":\"%s: sendInitialEvents is "
        "forbidden\",\"reason\":\"%s\",\"code\":%u}",
        reason, reason, status);
    (void)snprintf(head, sizeof(head),
                   "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", status, reason,
                   strlen(body));
    put(c, head);
    put(c, body);
    flush(c);
}

static bool is_served(const char *path)
{
    static const char *const prefixes[] = {"/api/v1/pods", "/api/v1/namespaces", "/api/v1/nodes",
                                           "/apis/networking.k8s.io/v1/networkpolicies", "/version"};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        size_t len = strlen(prefixes[i]);
        if (strncmp(path, prefixes[i], len) == 0 && (path[len] == '\0' || path[len] == '?')) {
            return true;
        }
    }
    return false;
}

static void answer(struct client *c, const char *path)
{
    if (!is_served(path)) {
        refuse(c, 404, "NotFound");
        return;
    }
    if (!has_watch_list && strstr(path, "sendInitialEvents=")) {
        refuse(c, 422, "Invalid");
        return;
    }
    bool pods = strncmp(path, "/api/v1/pods", strlen("/api/v1/pods")) == 0;
    put(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    if (strstr(path, "watch=")) {
        watch(c, path, pods);
    } else if (strncmp(path, "/version", strlen("/version")) == 0) {
        chunk(c, "{\"major\":\"1\",\"minor\":\"34\",\"gitVersion\":\"v1.34.0\"}");
        put(c, "0\r\n\r\n");
        flush(c);
    } else {
        list(c, path, pods ? n_pods : 0);
    }
}

static _Noreturn void serve(int fd)
{
    static struct client client;
    static char request[REQUEST_MAX];
    size_t len = 0;
    client.fd = fd;
    if (tls) {
        client.ssl = SSL_new(tls);
        if (!client.ssl || SSL_set_fd(client.ssl, fd) != 1 || SSL_accept(client.ssl) != 1) {
            exit(0);
        }
    }
    for (;;) {
        char *end;
        while (!(end = strstr(request, "\r\n\r\n"))) {
            int room_left = (int)(sizeof(request) - 1 - len);
            int n = client.ssl ? SSL_read(client.ssl, request + len, room_left)
                               : (int)recv(fd, request + len, (size_t)room_left, 0);
            if (n <= 0) {
                exit(0);
            }
            len += (size_t)n;
            request[len] = '\0';
        }
        char path[2048] = "";
        if (sscanf(request, "GET %2047s", path) != 1) {
            exit(0);
        }
        size_t used = (size_t)(end + 4 - request);
        memmove(request, request + used, len - used + 1);
        len -= used;
        answer(&client, path);
    }
}

// ---- the certificate

static void make_certificate(const char *ca_file)
{
    tls = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    if (!tls || !key || !cert) {
        die("certificate");
    }
    X509_NAME *name = X509_get_subject_name(cert);
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    FILE *file = fopen(ca_file, "w");
    if (!san || !file || X509_set_version(cert, 2) != 1 || ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) != 1 ||
        !X509_gmtime_adj(X509_getm_notBefore(cert), -SECONDS_A_DAY) ||
        !X509_gmtime_adj(X509_getm_notAfter(cert), SECONDS_A_DAY) ||
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"bench", -1, -1, 0) != 1 ||
        X509_set_issuer_name(cert, name) != 1 || X509_set_pubkey(cert, key) != 1 || X509_add_ext(cert, san, -1) != 1 ||
        X509_sign(cert, key, EVP_sha256()) == 0 || PEM_write_X509(file, cert) != 1 || fclose(file) != 0 ||
        SSL_CTX_use_certificate(tls, cert) != 1 || SSL_CTX_use_PrivateKey(tls, key) != 1) {
        die("certificate");
    }
}

static _Noreturn void accept_all(int listener)
{
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            die("accept");
        }
        if (fork() == 0) {
            (void)close(listener);
            serve(fd);
        }
        (void)close(fd);
    }
}

static void end_all(int signo)
{
    (void)signo;
    _exit(0);
}

int main(int argc, char **argv)
{
    bool with_tls = argc == 6 && strcmp(argv[1], "tls") == 0;
    if (!with_tls && (argc != 5 || strcmp(argv[1], "plain") != 0)) {
        (void)fprintf(stderr, "usage: list_server tls|plain watchlist|list PODS EVENTS [CA_FILE]\n");
        return 2;
    }
    has_watch_list = strcmp(argv[2], "watchlist") == 0;
    n_pods = strtoul(argv[3], NULL, 10);
    n_events = strtoul(argv[4], NULL, 10);
    if (n_pods == 0 || n_pods > POD_TEXT_PODS) {
        (void)fprintf(stderr, "list_server: 1 to %d pods\n", POD_TEXT_PODS);
        return 2;
    }
    if (with_tls) {
        make_certificate(argv[5]);
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, SOMAXCONN) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) < 0) {
        die("listen");
    }
    (void)printf("%u\n", ntohs(address.sin_port));
    (void)fflush(stdout);
    // Connections are processes of a group of their own: all end together.
    (void)setpgid(0, 0);
    (void)signal(SIGCHLD, SIG_IGN);
    pid_t acceptor = fork();
    if (acceptor == 0) {
        accept_all(listener);
    }
    (void)signal(SIGTERM, end_all);
    char byte;
    while (acceptor > 0 && read(STDIN_FILENO, &byte, 1) > 0) {
    }
    (void)kill(0, SIGTERM);
    return 0;
}
