// SPDX-License-Identifier: Apache-2.0
#include "support/api_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "support/api_server_private.h"

enum { REQUEST_MAX = 1 << 20 };

void api_connection_drop(struct api_connection *connection)
{
    struct api_server *server = connection->server;
    // Before the session of HTTP/2 goes, so that it finds none of its streams.
    for (struct api_exchange *exchange = server->exchanges, *next; exchange; exchange = next) {
        next = exchange->next;
        if (exchange->connection == connection) {
            api_exchange_free(exchange);
        }
    }
    if (connection->prev) {
        connection->prev->next = connection->next;
    } else {
        server->connections = connection->next;
    }
    if (connection->next) {
        connection->next->prev = connection->prev;
    }
    api_http2_free(connection->http2);
    api_tls_free(connection->tls);
    loop_remove_fd(connection->source);
    (void)close(connection->fd);
    buf_free(&connection->in);
    buf_free(&connection->out);
    free(connection);
}

bool api_connection_alive(const struct api_server *server, size_t number)
{
    const struct api_connection *connection = server->connections;
    while (connection && connection->number != number) {
        connection = connection->next;
    }
    return connection != NULL;
}

// Sends what it can. A connection that is gone is dropped when the loop comes back to it: the caller still holds it.
void api_connection_flush(struct api_connection *connection)
{
    struct buf *out = &connection->out;
    size_t sent = 0;
    while (sent < out->len) {
        ssize_t n = send(connection->fd, out->data + sent, out->len - sent, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            break;
        }
        if (n <= 0) {
            (void)shutdown(connection->fd, SHUT_RDWR);
            buf_clear(out);
            return;
        }
        sent += (size_t)n;
    }
    if (sent) {
        memmove(out->data, out->data + sent, out->len - sent);
        out->len -= sent;
    }
    unsigned events = LOOP_READ | (out->len ? (unsigned)LOOP_WRITE : 0);
    if (loop_change_fd(connection->source, events, NULL) < 0) {
        (void)shutdown(connection->fd, SHUT_RDWR);
    }
    // The client closes in turn; to close now could reset what it has not read yet.
    if (connection->closing && out->len == 0) {
        (void)shutdown(connection->fd, SHUT_WR);
    }
}

void api_connection_write(struct api_connection *connection, const void *data, size_t len)
{
    if (connection->closing) {
        return;
    }
    if (connection->tls) {
        api_tls_write(connection->tls, data, len, connection->server->record_size, &connection->out);
    } else {
        buf_add(&connection->out, data, len);
    }
    api_connection_flush(connection);
}

void api_connection_close(struct api_connection *connection)
{
    if (!connection->closing && connection->tls) {
        api_tls_close_notify(connection->tls, &connection->out);
    }
    connection->closing = true;
    api_connection_flush(connection);
}

static struct api_exchange *oldest_fresh(const struct api_server *server, size_t connection)
{
    struct api_exchange *oldest = NULL;
    for (struct api_exchange *exchange = server->exchanges; exchange; exchange = exchange->next) {
        if (exchange->fresh && exchange->connection->number == connection &&
            (!oldest || exchange->stream < oldest->stream)) {
            oldest = exchange;
        }
    }
    return oldest;
}

// The test may end any connection from within its function, this one included.
static void give_requests(struct api_server *server, size_t connection)
{
    struct api_exchange *exchange;
    while ((exchange = oldest_fresh(server, connection))) {
        exchange->fresh = false;
        server->fn(exchange, server->arg);
    }
}

static bool answer_with_alert(struct api_connection *connection)
{
    const unsigned char record[] = {21, 3, 3, 0, 2, 2, (unsigned char)connection->server->alert};
    buf_add(&connection->out, record, sizeof(record));
    connection->closing = true;
    return true;
}

static bool take_bytes(struct api_connection *connection, const char *data, size_t len)
{
    if (!connection->tls) {
        buf_add(&connection->in, data, len);
        return !connection->in.failed;
    }
    if (connection->server->alert && !api_tls_ready(connection->tls)) {
        return answer_with_alert(connection);
    }
    // What TLS has to say at its end is sent as well.
    if (!api_tls_take(connection->tls, data, len, &connection->in, &connection->out)) {
        connection->closing = true;
    }
    return !connection->in.failed;
}

// Finds out what the client speaks. False: too early to tell.
static bool know(struct api_connection *connection)
{
    if (connection->known || connection->in.len == 0) {
        return connection->known;
    }
    int http2 = connection->tls ? api_tls_chose_http2(connection->tls)
                                : api_http2_sniff(connection->in.data, connection->in.len);
    if (http2 < 0) {
        return false;
    }
    connection->known = true;
    if (http2) {
        connection->http2 = api_http2_new(connection);
        connection->closing = connection->closing || !connection->http2;
    }
    return true;
}

static void take_requests(struct api_connection *connection)
{
    struct api_server *server = connection->server;
    size_t number = connection->number;
    if (connection->http2) {
        if (!api_http2_take(connection)) {
            api_connection_drop(connection);
            return;
        }
        give_requests(server, number);
        return;
    }
    while (api_connection_alive(server, number) && api_http1_take(connection)) {
        give_requests(server, number);
    }
}

static void on_ready(int fd, unsigned events, void *arg)
{
    struct api_connection *connection = arg;
    if (events & LOOP_WRITE) {
        api_connection_flush(connection);
    }
    if (!(events & (LOOP_READ | LOOP_ERROR))) {
        return;
    }
    char data[16384];
    ssize_t n = read(fd, data, sizeof(data));
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0 || (!connection->closing && !take_bytes(connection, data, (size_t)n))) {
        api_connection_drop(connection);
        return;
    }
    api_connection_flush(connection);
    if (!connection->closing && know(connection)) {
        take_requests(connection);
    }
}

static void on_accept(int fd, UNUSED unsigned events, void *arg)
{
    struct api_server *server = arg;
    int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (accepted < 0) {
        return;
    }
    // As servers do: small pieces leave at once.
    const int on = 1;
    (void)setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct api_connection *connection = calloc(1, sizeof(*connection));
    if (!connection) {
        (void)close(accepted);
        return;
    }
    *connection = (struct api_connection){
        .server = server, .fd = accepted, .number = server->connections_so_far + 1, .next = server->connections};
    connection->in.max = REQUEST_MAX;
    connection->silent = server->silent;
    if (server->tls) {
        connection->tls = api_tls_new(server->tls, server->http2);
    }
    if ((server->tls && !connection->tls) || loop_add_fd(server->loop, accepted, server->silent ? 0 : LOOP_READ,
                                                         on_ready, connection, &connection->source, NULL) < 0) {
        (void)close(accepted);
        api_tls_free(connection->tls);
        free(connection);
        return;
    }
    if (server->connections) {
        server->connections->prev = connection;
    }
    server->connections = connection;
    server->connections_so_far++;
}

static socklen_t parse_address(const char *text, unsigned port, struct sockaddr_storage *ret)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
    *ret = (struct sockaddr_storage){0};
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return sizeof(*v4);
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        return sizeof(*v6);
    }
    return 0;
}

static int start_listening(struct api_server *server, struct err *err)
{
    const int on = 1;
    struct sockaddr_storage address;
    socklen_t len = parse_address(server->address, server->port, &address);
    server->fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (server->fd < 0 || setsockopt(server->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(server->fd, (struct sockaddr *)&address, len) < 0 || listen(server->fd, 64) < 0 ||
        getsockname(server->fd, (struct sockaddr *)&address, &len) < 0) {
        return err_errno(err, "cannot listen on %s port %u", server->address, server->port);
    }
    // The port is at the same place in both families.
    server->port = ntohs(((const struct sockaddr_in *)&address)->sin_port);
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

int api_server_new_at(struct loop *loop, const char *address, unsigned port, api_server_fn *fn, void *arg,
                      struct api_server **ret, struct err *err)
{
    struct api_server *server = calloc(1, sizeof(*server));
    if (!server) {
        return err_oom(err);
    }
    *server = (struct api_server){.loop = loop, .fd = -1, .port = port, .fn = fn, .arg = arg};
    (void)snprintf(server->address, sizeof(server->address), "%s", address);
    if (start_listening(server, err) < 0) {
        api_server_free(server);
        return -1;
    }
    *ret = server;
    return 0;
}

int api_server_new(struct loop *loop, unsigned port, bool any_address, api_server_fn *fn, void *arg,
                   struct api_server **ret, struct err *err)
{
    return api_server_new_at(loop, any_address ? "0.0.0.0" : "127.0.0.1", port, fn, arg, ret, err);
}

static void drop_all(struct api_server *server)
{
    while (server->connections) {
        api_connection_drop(server->connections);
    }
}

void api_server_free(struct api_server *server)
{
    if (server) {
        drop_all(server);
        stop_listening(server);
        api_tls_config_free(server->tls);
        free(server);
    }
}

unsigned api_server_port(const struct api_server *server)
{
    return server->port;
}

int api_server_fd(const struct api_server *server)
{
    return server->fd;
}

int api_server_outage(struct api_server *server, bool listening, struct err *err)
{
    drop_all(server);
    stop_listening(server);
    return listening ? start_listening(server, err) : 0;
}

size_t api_server_connections(const struct api_server *server)
{
    return server->connections_so_far;
}

int api_server_tls(struct api_server *server, const char *cert_pem, const char *key_pem, const char *client_ca_pem,
                   struct err *err)
{
    struct api_tls_config *config = NULL;
    if (cert_pem) {
        config = api_tls_config_new(cert_pem, key_pem, client_ca_pem, err);
        if (!config) {
            return -1;
        }
    }
    api_tls_config_free(server->tls);
    server->tls = config;
    return 0;
}

void api_server_http2(struct api_server *server, bool offered)
{
    server->http2 = offered;
}

void api_server_silent(struct api_server *server, bool silent)
{
    server->silent = silent;
}

void api_server_alert(struct api_server *server, int alert)
{
    server->alert = alert;
}

void api_server_record_size(struct api_server *server, size_t size)
{
    server->record_size = size;
}

void api_server_goaway(struct api_server *server)
{
    for (struct api_connection *connection = server->connections, *next; connection; connection = next) {
        next = connection->next;
        if (connection->http2) {
            api_http2_goaway(connection->http2, -1);
        }
    }
}
