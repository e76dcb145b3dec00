// SPDX-License-Identifier: Apache-2.0
#include "web/web.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

enum {
    WEB_CONNECTIONS = 64,
    WEB_CONNECTION_BYTES = 16 << 10,  // headers of one request; longer ones get 4xx from the library
    WEB_IDLE_SECONDS = 10,
    WEB_BACKLOG = 64,
};

struct web {
    struct MHD_Daemon *daemon;
    struct loop *loop;
    struct loop_fd *source;
    struct loop_timer *timer;
    web_route_fn *fn;
    void *arg;
    unsigned port;
};

struct web_request {
    struct MHD_Connection *connection;
};

struct query {
    const char *name;
    const char *value;
    bool found;
};

static enum MHD_Result match_argument(void *arg, UNUSED enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct query *query = arg;
    bool same = strcmp(name, query->name) == 0;
    query->found = query->found || (same && (!query->value || (value && strcmp(value, query->value) == 0)));
    return MHD_YES;
}

bool web_query(const struct web_request *request, const char *name, const char *value)
{
    struct query query = {.name = name, .value = value};
    (void)MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, match_argument, &query);
    return query.found;
}

// Hands text to the library, which frees it.
static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned status, const char *type, char *text,
                                 size_t len)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(text);
        return MHD_NO;
    }
    enum MHD_Result rc = MHD_YES;
    if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) != MHD_YES ||
        MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") != MHD_YES ||
        MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") != MHD_YES ||
        (status == MHD_HTTP_METHOD_NOT_ALLOWED &&
         MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") != MHD_YES)) {
        rc = MHD_NO;
    }
    rc = rc == MHD_YES ? MHD_queue_response(connection, status, response) : rc;
    MHD_destroy_response(response);
    return rc;
}

static enum MHD_Result refuse_method(struct MHD_Connection *connection)
{
    char *text = strdup("only GET and HEAD are served here\n");
    return text ? send_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", text, strlen(text))
                : MHD_NO;
}

static enum MHD_Result answer(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                              UNUSED const char *version, UNUSED const char *upload, size_t *upload_len,
                              void **per_request)
{
    static char seen;
    struct web *web = arg;
    bool known = strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
    if (!known) {
        // At once, before any body: the connection is closed instead of being read to the end.
        return refuse_method(connection);
    }
    if (!*per_request) {
        *per_request = &seen;
        return MHD_YES;
    }
    if (*upload_len) {
        *upload_len = 0;  // a body that nobody asked for is dropped
        return MHD_YES;
    }
    struct web_request request = {.connection = connection};
    struct web_response response = {.status = MHD_HTTP_OK, .type = "text/plain; charset=utf-8"};
    web->fn(url, &request, &response, web->arg);
    size_t len = response.body.len;
    char *text = buf_take(&response.body);
    if (!text) {
        return MHD_NO;
    }
    return send_text(connection, response.status, response.type, text, len);
}

static void run(struct web *web)
{
    // Twice: after the connection limit was reached, the library listens again only at the start of its next run.
    (void)MHD_run(web->daemon);
    (void)MHD_run(web->daemon);
    unsigned MHD_LONG_LONG timeout;
    if (MHD_get_timeout(web->daemon, &timeout) == MHD_YES) {
        loop_arm(web->timer, timeout);
    } else {
        loop_disarm(web->timer);
    }
}

static void on_readable(UNUSED int fd, UNUSED unsigned events, void *arg)
{
    run(arg);
}

static void on_timer(void *arg)
{
    run(arg);
}

static void quiet(UNUSED void *arg, UNUSED const char *fmt, UNUSED va_list ap)
{
}

// "host:port" in its two parts; host "" for every address.
static int split_address(const char *address, char host[64], char port[8], struct err *err)
{
    const char *colon = strrchr(address, ':');
    const char *start = address;
    size_t len = colon ? (size_t)(colon - address) : 0;
    bool bracketed = len >= 2 && address[0] == '[' && colon[-1] == ']';
    if (bracketed) {
        start++;
        len -= 2;
    }
    bool bare_v6 = colon && !bracketed && memchr(start, ':', len);
    if (!colon || bare_v6 || len >= 64 || strlen(colon + 1) >= 8 || colon[1] == '\0') {
        return err_set(err, ERR_USAGE, 0, "\"%s\" is not ADDRESS:PORT (\"127.0.0.1:9469\", \"[::1]:9469\", \":9469\")",
                       address);
    }
    memcpy(host, start, len);
    host[len] = '\0';
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
    return 0;
}

static void free_addresses(struct addrinfo *list)
{
    freeaddrinfo(list);
}
CLEANUP_DEFINE(struct addrinfo, free_addresses);

static int open_socket(const struct addrinfo *info, bool both, const char *address, int *ret, struct err *err)
{
    CLEANUP(fd) int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return err_errno(err, "cannot open a socket for %s", address);
    }
    const int on = 1;
    const int off = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        (info->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, both ? &off : &on, sizeof(on)) < 0)) {
        return err_errno(err, "cannot prepare a socket for %s", address);
    }
    if (bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, WEB_BACKLOG) < 0) {
        return err_errno(err, "cannot listen on %s", address);
    }
    *ret = fd;
    fd = -1;
    return 0;
}

static int listen_on(const char *address, int *ret, struct err *err)
{
    char host[64];
    char port[8];
    if (split_address(address, host, port, err) < 0) {
        return -1;
    }
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    CLEANUP(free_addresses) struct addrinfo *list = NULL;
    bool any = host[0] == '\0';
    int rc = getaddrinfo(any ? "::" : host, port, &hints, &list);
    if (rc != 0) {
        return err_set(err, ERR_USAGE, rc, "\"%s\" is not ADDRESS:PORT: %s", address, gai_strerror(rc));
    }
    rc = open_socket(list, any, address, ret, err);
    if (rc < 0 && any && err && err->num == EAFNOSUPPORT) {
        // A kernel without IPv6.
        CLEANUP(free_addresses) struct addrinfo *v4 = NULL;
        if (getaddrinfo("0.0.0.0", port, &hints, &v4) == 0) {
            rc = open_socket(v4, false, address, ret, err);
        }
    }
    return rc;
}

static unsigned port_of(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0) {
        return 0;
    }
    return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)(void *)&address)->sin6_port)
                                         : ntohs(((struct sockaddr_in *)(void *)&address)->sin_port);
}

int web_new(struct loop *loop, const char *address, web_route_fn *fn, void *arg, struct web **ret, struct err *err)
{
    CLEANUP(fd) int fd = -1;
    if (listen_on(address, &fd, err) < 0) {
        return -1;
    }
    CLEANUP(web_free) struct web *web = calloc(1, sizeof(*web));
    if (!web) {
        return err_oom(err);
    }
    *web = (struct web){.loop = loop, .fn = fn, .arg = arg, .port = port_of(fd)};
    web->daemon =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, answer, web, MHD_OPTION_EXTERNAL_LOGGER,
                         quiet, NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                         (unsigned)WEB_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)WEB_IDLE_SECONDS,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)WEB_CONNECTION_BYTES, MHD_OPTION_END);
    if (!web->daemon) {
        return err_set(err, ERR_SYSTEM, 0, "cannot start the HTTP server on %s", address);
    }
    fd = -1;  // the daemon owns the socket now
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(web->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info || loop_add_timer(loop, on_timer, web, &web->timer, err) < 0 ||
        loop_add_fd(loop, info->epoll_fd, LOOP_READ, on_readable, web, &web->source, err) < 0) {
        return info ? -1 : err_set(err, ERR_BUG, 0, "the HTTP server has no epoll descriptor");
    }
    run(web);
    *ret = TAKE(web);
    return 0;
}

void web_free(struct web *web)
{
    if (!web) {
        return;
    }
    loop_remove_fd(web->source);
    loop_remove_timer(web->timer);
    if (web->daemon) {
        MHD_stop_daemon(web->daemon);
    }
    free(web);
}

unsigned web_port(const struct web *web)
{
    return web->port;
}
