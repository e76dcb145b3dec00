// SPDX-License-Identifier: Apache-2.0
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>

#include "http/http_pool.h"

// A socket that libcurl has us watch.
struct http_socket {
    struct http *http;
    struct http_socket *prev, *next;
    struct loop_fd *source;
    int fd;
};

static unsigned loop_mask(int what)
{
    switch (what) {
    case CURL_POLL_IN:
        return LOOP_READ;
    case CURL_POLL_OUT:
        return LOOP_WRITE;
    case CURL_POLL_INOUT:
        return LOOP_READ | LOOP_WRITE;
    default:
        return 0;
    }
}

static void on_ready(int fd, unsigned events, void *arg)
{
    struct http *http = ((struct http_socket *)arg)->http;
    int mask = (events & LOOP_READ ? CURL_CSELECT_IN : 0) | (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0) |
               (events & LOOP_ERROR ? CURL_CSELECT_ERR : 0);
    int running;
    (void)curl_multi_socket_action(http->multi, fd, mask, &running);
    http_finish_all(http);
}

static void forget_socket(struct http_socket *socket)
{
    if (socket->prev) {
        socket->prev->next = socket->next;
    } else {
        socket->http->sockets = socket->next;
    }
    if (socket->next) {
        socket->next->prev = socket->prev;
    }
    loop_remove_fd(socket->source);
    free(socket);
}

static int watch_socket(UNUSED CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct http *http = arg;
    struct http_socket *socket = known;
    if (what == CURL_POLL_REMOVE) {
        if (socket) {
            (void)curl_multi_assign(http->multi, fd, NULL);
            forget_socket(socket);
        }
        return 0;
    }
    if (socket) {
        return loop_change_fd(socket->source, loop_mask(what), NULL);
    }
    socket = calloc(1, sizeof(*socket));
    if (!socket) {
        return -1;
    }
    *socket = (struct http_socket){.http = http, .next = http->sockets, .fd = fd};
    if (loop_add_fd(http->loop, fd, loop_mask(what), on_ready, socket, &socket->source, NULL) < 0) {
        free(socket);
        return -1;
    }
    if (http->sockets) {
        http->sockets->prev = socket;
    }
    http->sockets = socket;
    (void)curl_multi_assign(http->multi, fd, socket);
    return 0;
}

static void forget_opened(struct http *http, int fd)
{
    for (size_t i = 0; i < http->opened.n; i++) {
        if (http->opened.v[i].fd == fd) {
            http->opened.v[i] = http->opened.v[--http->opened.n];
            return;
        }
    }
}

static bool is_ours(const struct http_opened *opened)
{
    struct stat status;
    return fstat(opened->fd, &status) == 0 && S_ISSOCK(status.st_mode) && status.st_ino == opened->inode;
}

int http_open_socket(struct http *http, int family, int type, int protocol)
{
    // Not for programs that are started meanwhile.
    int fd = socket(family, type | SOCK_CLOEXEC, protocol);
    struct stat status;
    if (fd < 0) {
        return -1;
    }
    forget_opened(http, fd);
    if (fstat(fd, &status) < 0 || vec_push(&http->opened, (struct http_opened){.fd = fd, .inode = status.st_ino}) < 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

void http_close_socket(struct http *http, int fd)
{
    forget_opened(http, fd);
    (void)close(fd);
}

static bool is_watched(const struct http *http, int fd)
{
    const struct http_socket *socket = http->sockets;
    while (socket && socket->fd != fd) {
        socket = socket->next;
    }
    return socket != NULL;
}

void http_drop_idle(struct http *http)
{
    for (size_t i = http->opened.n; i-- > 0;) {
        if (!is_ours(&http->opened.v[i])) {
            http->opened.v[i] = http->opened.v[--http->opened.n];
        } else if (!is_watched(http, http->opened.v[i].fd)) {
            (void)shutdown(http->opened.v[i].fd, SHUT_RDWR);
        }
    }
}

int http_sockets_setup(struct http *http)
{
    CURLMcode rc = curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    return (int)(rc == CURLM_OK ? curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http) : rc);
}

void http_sockets_free(struct http *http)
{
    while (http->sockets) {
        forget_socket(http->sockets);
    }
    vec_free(&http->opened);
}
