// SPDX-License-Identifier: Apache-2.0
#include "http/http.h"

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/buf.h"
#include "base/limits.h"
#include "http/http_easy.h"

// libcurl closes sockets whose connection never came about without a word to us: the number may be anybody's by now.
struct opened {
    int fd;
    ino_t inode;
};

struct http {
    CURLM *multi;
    struct loop *loop;
    struct loop_timer *timer;
    struct http_request *requests;
    struct http_socket *sockets;
    VEC(struct opened) opened;  // the sockets that libcurl has, watched or not
    char *user_agent;
    bool curl_ready;
};

// A socket that libcurl has us watch.
struct http_socket {
    struct http *http;
    struct http_socket *prev, *next;
    struct loop_fd *source;
    int fd;
};

static void finish_all(struct http *http);

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
    finish_all(http);
}

static void on_timer(void *arg)
{
    struct http *http = arg;
    int running;
    (void)curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish_all(http);
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

static bool is_ours(const struct opened *opened)
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
    if (fstat(fd, &status) < 0 || vec_push(&http->opened, (struct opened){.fd = fd, .inode = status.st_ino}) < 0) {
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

// Who wants a new connection distrusts those that stand. The idle ones would be taken by the next request that does not
// say so: shut down, libcurl sees that they are dead and closes them.
static void drop_idle(struct http *http)
{
    for (size_t i = http->opened.n; i-- > 0;) {
        if (!is_ours(&http->opened.v[i])) {
            http->opened.v[i] = http->opened.v[--http->opened.n];
        } else if (!is_watched(http, http->opened.v[i].fd)) {
            (void)shutdown(http->opened.v[i].fd, SHUT_RDWR);
        }
    }
}

static int arm_timer(UNUSED CURLM *multi, long timeout_ms, void *arg)
{
    struct http *http = arg;
    if (timeout_ms < 0) {
        loop_disarm(http->timer);
    } else {
        loop_arm(http->timer, (uint64_t)timeout_ms);
    }
    return 0;
}

static int ignore_sigpipe(struct err *err)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    return sigaction(SIGPIPE, &ignore, NULL) < 0 ? err_errno(err, "cannot ignore SIGPIPE") : 0;
}

static int check_tls_backend(struct err *err)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    const char *ssl = info && info->ssl_version ? info->ssl_version : "none";
    if (strncmp(ssl, "OpenSSL/", 8) != 0) {
        return err_set(err, ERR_UNSUPPORTED, 0,
                       "libcurl uses %s for TLS, which ignores certificates given in memory; its OpenSSL flavour is "
                       "needed (Debian: libcurl4)",
                       ssl);
    }
    return 0;
}

int http_new(struct loop *loop, const char *user_agent, struct http **ret, struct err *err)
{
    CLEANUP(http_free) struct http *http = calloc(1, sizeof(*http));
    if (!http) {
        return err_oom(err);
    }
    http->loop = loop;
    http->user_agent = strdup(user_agent);
    if (!http->user_agent) {
        return err_oom(err);
    }
    if (check_tls_backend(err) < 0 || ignore_sigpipe(err) < 0) {
        return -1;
    }
    CURLcode rc = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (rc != CURLE_OK) {
        return err_set(err, ERR_SYSTEM, (int)rc, "cannot start libcurl: %s", curl_easy_strerror(rc));
    }
    http->curl_ready = true;
    http->multi = curl_multi_init();
    if (!http->multi) {
        return err_oom(err);
    }
    if (loop_add_timer(loop, on_timer, http, &http->timer, err) < 0) {
        return -1;
    }
    CURLM *multi = http->multi;
    if (curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket) != CURLM_OK ||
        curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, http) != CURLM_OK ||
        curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, arm_timer) != CURLM_OK ||
        curl_multi_setopt(multi, CURLMOPT_TIMERDATA, http) != CURLM_OK) {
        return err_set(err, ERR_BUG, 0, "libcurl does not take socket and timer callbacks");
    }
    *ret = TAKE(http);
    return 0;
}

void http_free(struct http *http)
{
    if (!http) {
        return;
    }
    while (http->requests) {
        http_cancel(http->requests);
    }
    if (http->multi) {
        (void)curl_multi_cleanup(http->multi);
    }
    while (http->sockets) {
        forget_socket(http->sockets);
    }
    vec_free(&http->opened);
    loop_remove_timer(http->timer);
    if (http->curl_ready) {
        curl_global_cleanup();
    }
    free(http->user_agent);
    free(http);
}

static void unlink_request(struct http_request *request)
{
    struct http *http = request->http;
    if (request->prev) {
        request->prev->next = request->next;
    } else {
        http->requests = request->next;
    }
    if (request->next) {
        request->next->prev = request->prev;
    }
}

void http_cancel(struct http_request *request)
{
    if (!request) {
        return;
    }
    (void)curl_multi_remove_handle(request->http->multi, request->easy);
    unlink_request(request);
    http_request_free(request);
}

static void finish(struct http_request *request, CURLcode code)
{
    (void)curl_multi_remove_handle(request->http->multi, request->easy);
    unlink_request(request);
    struct http_handler handler = request->handler;
    struct http_result result;
    char why[CURL_ERROR_SIZE + 64];
    http_request_result(request, (int)code, why, sizeof(why), &result);
    handler.done(&result, handler.arg);
    http_request_free(request);
}

static void finish_all(struct http *http)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(http->multi, &left))) {
        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        CURLcode code = message->data.result;
        char *private = NULL;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        finish((struct http_request *)(void *)private, code);
    }
}

static void on_no_answer(void *arg)
{
    struct http_request *request = arg;
    (void)snprintf(request->error, sizeof(request->error), "no answer within %u ms", request->head_timeout_ms);
    finish(request, CURLE_OPERATION_TIMEDOUT);
}

static int prepare(struct http_request *request, struct err *err)
{
    if (request->head_timeout_ms == 0) {
        return 0;
    }
    if (loop_add_timer(request->http->loop, on_no_answer, request, &request->head_timer, err) < 0) {
        return -1;
    }
    loop_arm(request->head_timer, request->head_timeout_ms);
    return 0;
}

int http_start(struct http *http, const struct http_options *options, const struct http_handler *handler,
               struct http_request **ret, struct err *err)
{
    CLEANUP(http_request_free) struct http_request *request = NULL;
    if (http_request_new(http, options, handler, http->user_agent, &request, err) < 0 || prepare(request, err) < 0) {
        return -1;
    }
    if (options->fresh) {
        drop_idle(http);
    }
    CURLMcode rc = curl_multi_add_handle(http->multi, request->easy);
    if (rc != CURLM_OK) {
        return err_set(err, rc == CURLM_OUT_OF_MEMORY ? ERR_OOM : ERR_BUG, (int)rc, "cannot start a request: %s",
                       curl_multi_strerror(rc));
    }
    request->next = http->requests;
    if (http->requests) {
        http->requests->prev = request;
    }
    http->requests = request;
    *ret = TAKE(request);
    return 0;
}
