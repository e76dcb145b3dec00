// SPDX-License-Identifier: Apache-2.0
#include "support/api_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

enum { REQUEST_MAX = 64 << 10 };

struct api_exchange {
    struct api_server *server;
    struct api_exchange *prev, *next;
    int fd;
    struct loop_fd *source;
    struct buf in;
    struct buf out;
    bool busy;  // a request was given to the test and not answered yet
    bool chunked;
    char path[512];
    char query[4096];
    char *headers;  // of the present request
};

struct api_server {
    struct loop *loop;
    struct loop_fd *source;
    int fd;
    unsigned port;
    bool any_address;
    size_t connections;
    api_server_fn *fn;
    void *arg;
    struct api_exchange *exchanges;
};

static void drop(struct api_exchange *exchange)
{
    if (exchange->prev) {
        exchange->prev->next = exchange->next;
    } else {
        exchange->server->exchanges = exchange->next;
    }
    if (exchange->next) {
        exchange->next->prev = exchange->prev;
    }
    loop_remove_fd(exchange->source);
    (void)close(exchange->fd);
    buf_free(&exchange->in);
    buf_free(&exchange->out);
    free(exchange->headers);
    free(exchange);
}

// Sends what it can. A connection that is gone is dropped when the loop comes back to it: the caller still holds it.
static void flush(struct api_exchange *exchange)
{
    size_t sent = 0;
    while (sent < exchange->out.len) {
        ssize_t n = send(exchange->fd, exchange->out.data + sent, exchange->out.len - sent, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            break;
        }
        if (n <= 0) {
            (void)shutdown(exchange->fd, SHUT_RDWR);
            buf_clear(&exchange->out);
            return;
        }
        sent += (size_t)n;
    }
    if (sent) {
        memmove(exchange->out.data, exchange->out.data + sent, exchange->out.len - sent);
        exchange->out.len -= sent;
    }
    unsigned events = LOOP_READ | (exchange->out.len ? (unsigned)LOOP_WRITE : 0);
    if (loop_change_fd(exchange->source, events, NULL) < 0) {
        (void)shutdown(exchange->fd, SHUT_RDWR);
    }
}

static void take_text(char *ret, size_t size, const char *from, size_t len)
{
    len = len < size ? len : size - 1;
    memcpy(ret, from, len);
    ret[len] = '\0';
}

// Takes one request out of the input, if it is there as a whole. GET only: there is no body.
static bool take_request(struct api_exchange *exchange)
{
    if (exchange->busy || exchange->in.len == 0) {
        return false;
    }
    const char *end = strstr(exchange->in.data, "\r\n\r\n");
    const char *line_end = strstr(exchange->in.data, "\r\n");
    if (!end || strncmp(exchange->in.data, "GET ", 4) != 0) {
        return false;
    }
    const char *target = exchange->in.data + 4;
    size_t target_len = strcspn(target, " \r");
    const char *mark = memchr(target, '?', target_len);
    size_t path_len = mark ? (size_t)(mark - target) : target_len;
    take_text(exchange->path, sizeof(exchange->path), target, path_len);
    take_text(exchange->query, sizeof(exchange->query), mark ? mark + 1 : "", mark ? target_len - path_len - 1 : 0);
    free(exchange->headers);
    exchange->headers = strndup(line_end, (size_t)(end - line_end) + 2);
    size_t used = (size_t)(end - exchange->in.data) + 4;
    memmove(exchange->in.data, exchange->in.data + used, exchange->in.len - used + 1);
    exchange->in.len -= used;
    exchange->busy = exchange->headers != NULL;
    return exchange->busy;
}

static void on_ready(int fd, unsigned events, void *arg)
{
    struct api_exchange *exchange = arg;
    if (events & LOOP_WRITE) {
        flush(exchange);
    }
    if (!(events & (LOOP_READ | LOOP_ERROR))) {
        return;
    }
    char data[4096];
    ssize_t n = read(fd, data, sizeof(data));
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        drop(exchange);
        return;
    }
    buf_add(&exchange->in, data, (size_t)n);
    if (exchange->in.failed) {
        drop(exchange);
        return;
    }
    if (take_request(exchange)) {
        exchange->server->fn(exchange, exchange->server->arg);
    }
}

static void on_accept(int fd, UNUSED unsigned events, void *arg)
{
    struct api_server *server = arg;
    int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0) {
        return;
    }
    struct api_exchange *exchange = calloc(1, sizeof(*exchange));
    if (!exchange) {
        (void)close(connection);
        return;
    }
    *exchange = (struct api_exchange){.server = server, .fd = connection, .next = server->exchanges};
    exchange->in.max = REQUEST_MAX;
    if (loop_add_fd(server->loop, connection, LOOP_READ, on_ready, exchange, &exchange->source, NULL) < 0) {
        (void)close(connection);
        free(exchange);
        return;
    }
    if (server->exchanges) {
        server->exchanges->prev = exchange;
    }
    server->exchanges = exchange;
    server->connections++;
}

static int start_listening(struct api_server *server, struct err *err)
{
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server->port)};
    address.sin_addr.s_addr = htonl(server->any_address ? INADDR_ANY : INADDR_LOOPBACK);
    socklen_t len = sizeof(address);
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (server->fd < 0 || setsockopt(server->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(server->fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(server->fd, 64) < 0 ||
        getsockname(server->fd, (struct sockaddr *)&address, &len) < 0) {
        return err_errno(err, "cannot listen on port %u", server->port);
    }
    server->port = ntohs(address.sin_port);
    return loop_add_fd(server->loop, server->fd, LOOP_READ, on_accept, server, &server->source, err);
}

static void stop_listening(struct api_server *server)
{
    loop_remove_fd(server->source);
    server->source = NULL;
    if (server->fd >= 0) {
        (void)close(server->fd);
        server->fd = -1;
    }
}

int api_server_new(struct loop *loop, unsigned port, bool any_address, api_server_fn *fn, void *arg,
                   struct api_server **ret, struct err *err)
{
    struct api_server *server = calloc(1, sizeof(*server));
    if (!server) {
        return err_oom(err);
    }
    *server =
        (struct api_server){.loop = loop, .fd = -1, .port = port, .any_address = any_address, .fn = fn, .arg = arg};
    if (start_listening(server, err) < 0) {
        api_server_free(server);
        return -1;
    }
    *ret = server;
    return 0;
}

static void drop_all(struct api_server *server)
{
    while (server->exchanges) {
        drop(server->exchanges);
    }
}

void api_server_free(struct api_server *server)
{
    if (server) {
        drop_all(server);
        stop_listening(server);
        free(server);
    }
}

unsigned api_server_port(const struct api_server *server)
{
    return server->port;
}

int api_server_outage(struct api_server *server, bool listening, struct err *err)
{
    drop_all(server);
    stop_listening(server);
    return listening ? start_listening(server, err) : 0;
}

size_t api_server_connections(const struct api_server *server)
{
    return server->connections;
}

struct api_exchange *api_server_next(const struct api_server *server, const struct api_exchange *after)
{
    struct api_exchange *exchange = after ? after->next : server->exchanges;
    while (exchange && !exchange->busy) {
        exchange = exchange->next;
    }
    return exchange;
}

const char *api_exchange_path(const struct api_exchange *exchange)
{
    return exchange->path;
}

const char *api_exchange_query(const struct api_exchange *exchange)
{
    return exchange->query;
}

const char *api_exchange_header(const struct api_exchange *exchange, const char *name)
{
    static char value[4096];
    size_t len = strlen(name);
    for (const char *at = strstr(exchange->headers, "\r\n"); at; at = strstr(at, "\r\n")) {
        at += 2;
        if (strncasecmp(at, name, len) == 0 && at[len] == ':') {
            const char *text = at + len + 1 + strspn(at + len + 1, " ");
            take_text(value, sizeof(value), text, strcspn(text, "\r"));
            return value;
        }
    }
    return "";
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : 0;
}

bool api_exchange_param(const struct api_exchange *exchange, const char *name, char *ret, size_t size)
{
    size_t len = strlen(name);
    for (const char *at = exchange->query; *at; at += strcspn(at, "&"), at += *at == '&') {
        if (strncmp(at, name, len) != 0 || at[len] != '=') {
            continue;
        }
        size_t n = 0;
        for (const char *p = at + len + 1; *p && *p != '&' && n + 1 < size; p++) {
            bool escape = *p == '%' && p[1] && p[2];
            ret[n++] = escape ? (char)(hex(p[1]) * 16 + hex(p[2])) : *p;
            p += escape ? 2 : 0;
        }
        ret[n] = '\0';
        return true;
    }
    return false;
}

static void finish(struct api_exchange *exchange)
{
    exchange->busy = false;
    exchange->chunked = false;
    flush(exchange);
}

void api_exchange_reply(struct api_exchange *exchange, unsigned status, const char *type, const char *headers,
                        const char *body)
{
    buf_printf(&exchange->out, "HTTP/1.1 %u X\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s\r\n%s", status, type,
               strlen(body), headers, body);
    finish(exchange);
}

void api_exchange_begin(struct api_exchange *exchange, const char *type, const char *headers)
{
    buf_printf(&exchange->out, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n%s\r\n", type,
               headers);
    exchange->chunked = true;
    flush(exchange);
}

void api_exchange_chunk(struct api_exchange *exchange, const char *data, size_t len)
{
    if (len) {
        buf_printf(&exchange->out, "%zx\r\n", len);
        buf_add(&exchange->out, data, len);
        buf_puts(&exchange->out, "\r\n");
        flush(exchange);
    }
}

void api_exchange_end(struct api_exchange *exchange)
{
    buf_puts(&exchange->out, "0\r\n\r\n");
    finish(exchange);
}

void api_exchange_cut(struct api_exchange *exchange, bool reset)
{
    if (reset) {
        const struct linger linger = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(exchange->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    }
    drop(exchange);
}
