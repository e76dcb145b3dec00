// SPDX-License-Identifier: Apache-2.0
//
// Requests and their answers, whichever way they travel.
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "support/api_server_private.h"

struct api_exchange *api_exchange_add(struct api_connection *connection)
{
    struct api_server *server = connection->server;
    struct api_exchange *exchange = calloc(1, sizeof(*exchange));
    if (!exchange) {
        return NULL;
    }
    *exchange = (struct api_exchange){.connection = connection, .next = server->exchanges};
    if (server->exchanges) {
        server->exchanges->prev = exchange;
    }
    server->exchanges = exchange;
    return exchange;
}

void api_exchange_over(struct api_exchange *exchange)
{
    void (*over)(void *arg) = exchange->over;
    exchange->busy = false;
    exchange->over = NULL;
    if (over) {
        over(exchange->over_arg);
    }
}

void api_exchange_free(struct api_exchange *exchange)
{
    api_exchange_over(exchange);
    if (exchange->prev) {
        exchange->prev->next = exchange->next;
    } else {
        exchange->connection->server->exchanges = exchange->next;
    }
    if (exchange->next) {
        exchange->next->prev = exchange->prev;
    }
    buf_free(&exchange->body);
    free(exchange->headers);
    free(exchange);
}

static void take_text(char *ret, size_t size, const char *from, size_t len)
{
    len = len < size ? len : size - 1;
    memcpy(ret, from, len);
    ret[len] = '\0';
}

void api_exchange_set_target(struct api_exchange *exchange, const char *target, size_t len)
{
    const char *mark = memchr(target, '?', len);
    size_t path_len = mark ? (size_t)(mark - target) : len;
    take_text(exchange->path, sizeof(exchange->path), target, path_len);
    take_text(exchange->query, sizeof(exchange->query), mark ? mark + 1 : "", mark ? len - path_len - 1 : 0);
}

struct api_exchange *api_server_next(const struct api_server *server, const struct api_exchange *after)
{
    struct api_exchange *exchange = after ? after->next : server->exchanges;
    while (exchange && !exchange->busy) {
        exchange = exchange->next;
    }
    return exchange;
}

size_t api_exchange_connection(const struct api_exchange *exchange)
{
    return exchange->connection->number;
}

bool api_exchange_is_tls(const struct api_exchange *exchange)
{
    return exchange->connection->tls != NULL;
}

bool api_exchange_is_http2(const struct api_exchange *exchange)
{
    return exchange->connection->http2 != NULL;
}

const char *api_exchange_client_name(const struct api_exchange *exchange)
{
    return exchange->connection->tls ? api_tls_client_name(exchange->connection->tls) : "";
}

int api_exchange_fd(const struct api_exchange *exchange)
{
    return exchange->connection->fd;
}

size_t api_exchange_pending(const struct api_exchange *exchange)
{
    return exchange->connection->out.len + exchange->body.len - exchange->sent;
}

void api_exchange_on_over(struct api_exchange *exchange, void (*fn)(void *arg), void *arg)
{
    exchange->over = fn;
    exchange->over_arg = arg;
}

const char *api_exchange_path(const struct api_exchange *exchange)
{
    return exchange->path;
}

const char *api_exchange_query(const struct api_exchange *exchange)
{
    return exchange->query;
}

// Its value, where it stands among the others; NULL: not there.
static const char *find_header(const struct api_exchange *exchange, const char *name, size_t n)
{
    size_t len = strlen(name);
    for (const char *at = strstr(exchange->headers, "\r\n"); at; at = strstr(at, "\r\n")) {
        at += 2;
        if (strncasecmp(at, name, len) == 0 && at[len] == ':' && n-- == 0) {
            return at + len + 1 + strspn(at + len + 1, " ");
        }
    }
    return NULL;
}

const char *api_exchange_header_at(const struct api_exchange *exchange, const char *name, size_t n)
{
    static char value[4096];
    const char *text = find_header(exchange, name, n);
    if (!text) {
        return "";
    }
    take_text(value, sizeof(value), text, strcspn(text, "\r"));
    return value;
}

bool api_exchange_has_header(const struct api_exchange *exchange, const char *name)
{
    return find_header(exchange, name, 0) != NULL;
}

const char *api_exchange_header(const struct api_exchange *exchange, const char *name)
{
    return api_exchange_header_at(exchange, name, 0);
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

void api_exchange_reply(struct api_exchange *exchange, unsigned status, const char *type, const char *headers,
                        const char *body)
{
    // The test hears of the end before the bytes leave: with them an HTTP/2 exchange is gone.
    api_exchange_over(exchange);
    if (exchange->connection->http2) {
        api_http2_head(exchange, status, type, headers);
        api_http2_body(exchange, body, strlen(body), true);
    } else {
        api_http1_head(exchange, status, type, headers, body);
    }
}

void api_exchange_begin_status(struct api_exchange *exchange, unsigned status, const char *type, const char *headers)
{
    if (exchange->connection->http2) {
        api_http2_head(exchange, status, type, headers);
        api_http2_body(exchange, "", 0, false);
    } else {
        api_http1_head(exchange, status, type, headers, NULL);
    }
}

void api_exchange_begin(struct api_exchange *exchange, const char *type, const char *headers)
{
    api_exchange_begin_status(exchange, 200, type, headers);
}

void api_exchange_chunk(struct api_exchange *exchange, const char *data, size_t len)
{
    if (len == 0) {
        return;
    }
    if (exchange->connection->http2) {
        api_http2_body(exchange, data, len, false);
    } else {
        api_http1_chunk(exchange, data, len);
    }
}

void api_exchange_end(struct api_exchange *exchange)
{
    api_exchange_over(exchange);
    if (exchange->connection->http2) {
        api_http2_body(exchange, "", 0, true);
    } else {
        api_http1_end(exchange);
    }
}

void api_exchange_cut(struct api_exchange *exchange, bool reset)
{
    if (reset) {
        const struct linger linger = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(exchange->connection->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    }
    api_connection_drop(exchange->connection);
}

void api_exchange_close(struct api_exchange *exchange)
{
    struct api_connection *connection = exchange->connection;
    for (struct api_exchange *other = connection->server->exchanges; other; other = other->next) {
        if (other->connection == connection) {
            api_exchange_over(other);
        }
    }
    api_connection_close(connection);
}

void api_exchange_reset_stream(struct api_exchange *exchange, unsigned code)
{
    if (exchange->connection->http2) {
        api_http2_reset(exchange, code);
    } else {
        api_exchange_cut(exchange, true);
    }
}

void api_exchange_goaway(struct api_exchange *exchange)
{
    if (exchange->connection->http2) {
        api_http2_goaway(exchange->connection->http2, exchange->stream > 2 ? exchange->stream - 2 : 0);
    } else {
        api_exchange_cut(exchange, false);
    }
}
