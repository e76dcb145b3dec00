// SPDX-License-Identifier: Apache-2.0
#include "http/http_easy.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

#include <curl/curl.h>

#include "base/limits.h"

_Static_assert(sizeof(((struct http_request *)0)->error) >= CURL_ERROR_SIZE, "libcurl's error text needs its room");

enum {
    KEEPALIVE_PROBES = 3,
    // A request that met the end of its connection knows it after a round trip; later it is an outage.
    RACE_MS = 5000,
};

const struct http_times http_times_default = {
    .connect_ms = 10000,
    // A peer that vanished is noticed within 45 s although an idle watch sends nothing (api-client.md 2.10).
    .keepalive_s = 30,
    .probe_s = 5,
    .unacked_ms = 45000,
    .slow_s = 30,
    .connection_s = 3600,
};

static struct http_times times_of(const struct http_times *times)
{
    const struct http_times *standard = &http_times_default;
    return (struct http_times){
        .connect_ms = times->connect_ms ? times->connect_ms : standard->connect_ms,
        .keepalive_s = times->keepalive_s ? times->keepalive_s : standard->keepalive_s,
        .probe_s = times->probe_s ? times->probe_s : standard->probe_s,
        .unacked_ms = times->unacked_ms ? times->unacked_ms : standard->unacked_ms,
        .slow_s = times->slow_s ? times->slow_s : standard->slow_s,
        .connection_s = times->connection_s ? times->connection_s : standard->connection_s,
    };
}

static int tune_socket(void *arg, curl_socket_t fd, UNUSED curlsocktype purpose)
{
    const struct http_request *request = arg;
    const int on = 1;
    const int idle = (int)request->times.keepalive_s;
    const int interval = (int)request->times.probe_s;
    const int probes = KEEPALIVE_PROBES;
    const unsigned unacked = request->times.unacked_ms;
    // A socket that takes none of this still works; the hard timeout of each request bounds it.
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked, sizeof(unacked));
    return CURL_SOCKOPT_OK;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_request *request = arg;
    (void)purpose;
    return http_open_socket(request->http, address->family, address->socktype, address->protocol);
}

static int close_socket(void *arg, curl_socket_t fd)
{
    http_close_socket(arg, fd);
    return 0;
}

// libcurl has chosen the connection, a new one or one that stands, and sends the request next.
static int on_connected(void *arg, char *peer_ip, char *local_ip, int peer_port, int local_port)
{
    struct http_ends *ends = &((struct http_request *)arg)->ends;
    (void)snprintf(ends->peer_ip, sizeof(ends->peer_ip), "%s", peer_ip);
    (void)snprintf(ends->local_ip, sizeof(ends->local_ip), "%s", local_ip);
    ends->peer_port = (unsigned)peer_port;
    ends->local_port = (unsigned)local_port;
    return CURL_PREREQFUNC_OK;
}

static const char *header_of(CURL *easy, const char *name)
{
    struct curl_header *header = NULL;
    return curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value : "";
}

static unsigned status_of(CURL *easy)
{
    long status = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return status > 0 ? (unsigned)status : 0;
}

static bool give_head(struct http_request *request)
{
    if (request->head_given) {
        return true;
    }
    request->head_given = true;
    const struct http_head head = {.status = status_of(request->easy),
                                   .content_type = header_of(request->easy, "Content-Type"),
                                   .content_encoding = header_of(request->easy, "Content-Encoding")};
    request->refused = !request->handler.head(&head, request->handler.arg);
    return !request->refused;
}

static size_t take_header(char *data, size_t one, size_t len, void *arg)
{
    static const char warning[] = "warning:";
    struct http_request *request = arg;
    len *= one;
    request->answered = true;
    if (request->head_timer) {
        loop_disarm(request->head_timer);
    }
    size_t name = sizeof(warning) - 1;
    if (request->handler.warning && len > name && strncasecmp(data, warning, name) == 0) {
        http_warnings(data + name, len - name, request->handler.warning, request->handler.arg);
    }
    // The end of the head: a watch may say nothing more for a long time.
    bool end = len > 0 && (data[0] == '\r' || data[0] == '\n');
    return end && status_of(request->easy) == 200 && !give_head(request) ? 0 : len;
}

static size_t take_body(char *data, size_t one, size_t len, void *arg)
{
    struct http_request *request = arg;
    len *= one;
    if (status_of(request->easy) != 200) {
        buf_add(&request->error_body, data, len);
        return request->error_body.failed ? 0 : len;
    }
    if (!give_head(request)) {
        return 0;
    }
    request->refused = !request->handler.body(data, len, request->handler.arg);
    return request->refused ? 0 : len;
}

static CURLcode set_callbacks(struct http_request *request)
{
    CURL *easy = request->easy;
    CURLcode rc = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_WRITEDATA, request) : rc;
    rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header) : rc;
    rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_HEADERDATA, request) : rc;
    rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected) : rc;
    rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_PREREQDATA, request) : rc;
    rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket) : rc;
    rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, request) : rc;
    rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket) : rc;
    // The pool's, as a connection outlives the request that opened it.
    rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, request->http) : rc;
    rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, tune_socket) : rc;
    rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, request) : rc;
    rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->error) : rc;
    rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_PRIVATE, request) : rc;
    return rc;
}

int http_request_new(struct http *http, const struct http_options *options, const struct http_handler *handler,
                     const char *user_agent, struct http_request **ret, struct err *err)
{
    CLEANUP(http_request_free) struct http_request *request = calloc(1, sizeof(*request));
    if (!request) {
        return err_oom(err);
    }
    request->http = http;
    request->handler = *handler;
    request->times = times_of(&options->times);
    request->head_timeout_ms = options->head_timeout_ms;
    request->error_body.max = LIMIT_HTTP_ERROR_BODY;
    request->easy = curl_easy_init();
    if (!request->easy) {
        return err_oom(err);
    }
    if (http_setup(request, options, user_agent, err) < 0) {
        return -1;
    }
    CURLcode rc = set_callbacks(request);
    if (rc != CURLE_OK) {
        return err_set(err, ERR_UNSUPPORTED, (int)rc, "libcurl refuses a callback: %s", curl_easy_strerror(rc));
    }
    *ret = TAKE(request);
    return 0;
}

static void free_headers(struct curl_slist *list)
{
    for (const struct curl_slist *line = list; line; line = line->next) {
        explicit_bzero(line->data, strlen(line->data));
    }
    curl_slist_free_all(list);
}

void http_request_free(struct http_request *request)
{
    if (!request) {
        return;
    }
    curl_easy_cleanup(request->easy);
    loop_remove_timer(request->head_timer);
    free_headers(request->headers);
    curl_slist_free_all(request->route);
    buf_free(&request->error_body);
    free(request);
}

bool http_same_connection(const struct http_request *a, const struct http_request *b)
{
    return a->ends.peer_port && a->ends.peer_port == b->ends.peer_port && a->ends.local_port == b->ends.local_port &&
           strcmp(a->ends.local_ip, b->ends.local_ip) == 0 && strcmp(a->ends.peer_ip, b->ends.peer_ip) == 0;
}

bool http_peer(const struct http_request *request, char *ret, size_t size)
{
    const struct http_ends *ends = &request->ends;
    if (!ends->peer_port) {
        return false;
    }
    bool v6 = strchr(ends->peer_ip, ':') != NULL;
    (void)snprintf(ret, size, v6 ? "[%s]:%u" : "%s:%u", ends->peer_ip, ends->peer_port);
    return true;
}

static enum http_outcome outcome_of(const struct http_request *request, CURLcode code)
{
    if (request->refused) {
        return HTTP_STOPPED;
    }
    // An error body above its maximum: the status is what matters.
    if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && request->error_body.failed)) {
        return HTTP_COMPLETE;
    }
    return code == CURLE_OPERATION_TIMEDOUT ? HTTP_TIMEOUT : HTTP_BROKEN;
}

// What libcurl says when its request and the server's end of the connection crossed (measured with 7.88.1). HTTP/1.1 is
// no part of it, as libcurl sends such a request again by itself, and so it does when other streams of the connection
// live:
//   16  GOAWAY that leaves out the only stream, on a new connection too
//   18  the end of a connection that had served others
//   55, 56  the same with a reset
static bool was_raced(const struct http_request *request, CURLcode code)
{
    long opened = 0;
    curl_off_t took_us = 0;
    (void)curl_easy_getinfo(request->easy, CURLINFO_NUM_CONNECTS, &opened);
    (void)curl_easy_getinfo(request->easy, CURLINFO_TOTAL_TIME_T, &took_us);
    if (request->answered || took_us > RACE_MS * 1000LL) {
        return false;
    }
    return code == CURLE_HTTP2 ||
           (opened == 0 && request->ends.peer_port &&
            (code == CURLE_PARTIAL_FILE || code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR));
}

void http_request_result(struct http_request *request, int code, char *why, size_t why_size, struct http_result *ret)
{
    // An answer without a body has not shown its head yet.
    if (code == (int)CURLE_OK && status_of(request->easy) == 200) {
        (void)give_head(request);
    }
    enum http_outcome outcome = outcome_of(request, (CURLcode)code);
    bool raced = outcome == HTTP_BROKEN && was_raced(request, (CURLcode)code);
    why[0] = '\0';
    if (outcome != HTTP_COMPLETE) {
        (void)snprintf(why, why_size, "%s%s", raced ? "the server was closing the connection: " : "",
                       request->error[0] ? request->error : curl_easy_strerror((CURLcode)code));
    }
    struct curl_header *header;
    curl_off_t retry_after = 0;
    (void)curl_easy_getinfo(request->easy, CURLINFO_RETRY_AFTER, &retry_after);
    *ret = (struct http_result){
        .outcome = outcome,
        .status = status_of(request->easy),
        .has_retry_after = curl_easy_header(request->easy, "Retry-After", 0, CURLH_HEADER, -1, &header) == CURLHE_OK,
        .retry_after_s = retry_after <= 0           ? 0
                         : retry_after > UINT32_MAX ? UINT32_MAX
                                                    : (unsigned)retry_after,
        .raced = raced,
        .code = code,
        .why = why,
        .body = request->error_body.data ? request->error_body.data : "",
        .body_len = request->error_body.len,
    };
}
