// SPDX-License-Identifier: Apache-2.0
#include "http/http_easy.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

#include <curl/curl.h>

#include "base/limits.h"

_Static_assert(sizeof(((struct http_request *)0)->error) >= CURL_ERROR_SIZE, "libcurl's error text needs its room");

enum {
    CONNECT_TIMEOUT_MS = 10000,
    SLOW_SECONDS = 30,
    // A peer that vanished is noticed within 45 s although an idle watch sends nothing (api-client.md 2.10).
    KEEPALIVE_IDLE_S = 30,
    KEEPALIVE_INTERVAL_S = 5,
    KEEPALIVE_PROBES = 3,
    UNACKED_MS = 45000,
    // Now and then a new connection, so that requests spread over the servers behind a load balancer.
    CONNECTION_LIFE_S = 3600,
};

static int tune_socket(UNUSED void *arg, curl_socket_t fd, UNUSED curlsocktype purpose)
{
    const int on = 1;
    const int idle = KEEPALIVE_IDLE_S;
    const int interval = KEEPALIVE_INTERVAL_S;
    const int probes = KEEPALIVE_PROBES;
    const unsigned unacked = UNACKED_MS;
    // A socket that takes none of this still works; the hard timeout of each request bounds it.
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked, sizeof(unacked));
    return CURL_SOCKOPT_OK;
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

static int add_header(struct http_request *request, const char *name, const char *value, struct err *err)
{
    struct buf BUF_CLEANUP line = {0};
    buf_printf(&line, "%s: %s", name, value);
    struct curl_slist *longer = line.failed ? NULL : curl_slist_append(request->headers, line.data);
    if (line.data) {
        explicit_bzero(line.data, line.cap);
    }
    if (!longer) {
        return err_oom(err);
    }
    request->headers = longer;
    return 0;
}

static int set_headers(struct http_request *request, const struct http_options *options, struct err *err)
{
    if (add_header(request, "Accept", options->accept, err) < 0 ||
        (options->host && add_header(request, "Host", options->host, err) < 0)) {
        return -1;
    }
    if (options->bearer) {
        struct buf BUF_CLEANUP value = {0};
        buf_printf(&value, "Bearer %s", options->bearer);
        int rc = value.failed ? err_oom(err) : add_header(request, "Authorization", value.data, err);
        if (value.data) {
            explicit_bzero(value.data, value.cap);
        }
        return rc;
    }
    return 0;
}

static CURLcode set_pem(CURL *easy, CURLoption option, const char *pem)
{
    // Copied: libcurl hands the memory to the TLS library at a time of its own.
    struct curl_blob blob = {.data = (void *)(uintptr_t)pem, .len = strlen(pem), .flags = CURL_BLOB_COPY};
    return curl_easy_setopt(easy, option, &blob);
}

static CURLcode set_tls(CURL *easy, const struct http_options *options)
{
    CURLcode rc = curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (rc == CURLE_OK && options->insecure) {
        rc = curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L) : rc;
    }
    if (rc == CURLE_OK && options->ca_pem) {
        rc = set_pem(easy, CURLOPT_CAINFO_BLOB, options->ca_pem);
        // Only these, not those of the system as well.
        rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) : rc;
    }
    if (rc == CURLE_OK && options->cert_pem && options->key_pem) {
        rc = set_pem(easy, CURLOPT_SSLCERT_BLOB, options->cert_pem);
        rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_SSLCERTTYPE, "PEM") : rc;
        rc = rc == CURLE_OK ? set_pem(easy, CURLOPT_SSLKEY_BLOB, options->key_pem) : rc;
        rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_SSLKEYTYPE, "PEM") : rc;
    }
    return rc;
}

struct setting {
    CURLoption option;
    long value;
};

static CURLcode set_numbers(CURL *easy, const struct http_options *options)
{
    const struct setting settings[] = {
        {CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1},
        {CURLOPT_FOLLOWLOCATION, 0},
        {CURLOPT_NOSIGNAL, 1},
        {CURLOPT_QUICK_EXIT, 1},
        {CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS},
        {CURLOPT_TIMEOUT_MS, (long)options->timeout_ms},
        {CURLOPT_LOW_SPEED_LIMIT, (long)options->min_speed},
        {CURLOPT_LOW_SPEED_TIME, options->min_speed ? SLOW_SECONDS : 0},
        {CURLOPT_FRESH_CONNECT, options->fresh},
        {CURLOPT_MAXLIFETIME_CONN, CONNECTION_LIFE_S},
        {CURLOPT_DNS_CACHE_TIMEOUT, options->fresh ? 0 : 60},
    };
    CURLcode rc = CURLE_OK;
    for (size_t i = 0; i < ARRAY_SIZE(settings) && rc == CURLE_OK; i++) {
        rc = curl_easy_setopt(easy, settings[i].option, settings[i].value);
    }
    return rc;
}

static CURLcode set_texts(CURL *easy, const struct http_options *options, const char *user_agent)
{
    const struct {
        CURLoption option;
        const char *value;
    } settings[] = {
        {CURLOPT_URL, options->url},
        {CURLOPT_PROTOCOLS_STR, options->plain ? "https,http" : "https"},
        {CURLOPT_USERAGENT, user_agent},
        {CURLOPT_PROXY, ""},  // not even what the environment says
        {CURLOPT_ACCEPT_ENCODING, options->compressed ? "gzip" : NULL},
    };
    CURLcode rc = CURLE_OK;
    for (size_t i = 0; i < ARRAY_SIZE(settings) && rc == CURLE_OK; i++) {
        rc = curl_easy_setopt(easy, settings[i].option, settings[i].value);
    }
    return rc;
}

static CURLcode set_callbacks(struct http_request *request)
{
    CURL *easy = request->easy;
    CURLcode rc = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_WRITEDATA, request) : rc;
    rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, tune_socket) : rc;
    rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->error) : rc;
    rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_PRIVATE, request) : rc;
    return rc;
}

static CURLcode set_route(struct http_request *request, const struct http_options *options, struct curl_slist **ret)
{
    CURLcode rc = curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->headers);
    if (rc == CURLE_OK && options->connect_to) {
        *ret = curl_slist_append(NULL, options->connect_to);
        rc = *ret ? curl_easy_setopt(request->easy, CURLOPT_CONNECT_TO, *ret) : CURLE_OUT_OF_MEMORY;
    }
    return rc;
}

int http_request_new(const struct http_options *options, const struct http_handler *handler, const char *user_agent,
                     struct http_request **ret, struct err *err)
{
    struct http_request *request = calloc(1, sizeof(*request));
    if (!request) {
        return err_oom(err);
    }
    request->handler = *handler;
    request->error_body.max = LIMIT_HTTP_ERROR_BODY;
    request->easy = curl_easy_init();
    if (!request->easy) {
        http_request_free(request);
        return err_oom(err);
    }
    if (set_headers(request, options, err) < 0) {
        http_request_free(request);
        return -1;
    }
    CURLcode rc = set_numbers(request->easy, options);
    rc = rc == CURLE_OK ? set_texts(request->easy, options, user_agent) : rc;
    rc = rc == CURLE_OK ? set_tls(request->easy, options) : rc;
    rc = rc == CURLE_OK ? set_callbacks(request) : rc;
    rc = rc == CURLE_OK ? set_route(request, options, (struct curl_slist **)&request->route) : rc;
    if (rc != CURLE_OK) {
        http_request_free(request);
        return err_set(err, rc == CURLE_OUT_OF_MEMORY ? ERR_OOM : ERR_UNSUPPORTED, (int)rc,
                       "libcurl refuses an option: %s", curl_easy_strerror(rc));
    }
    *ret = request;
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
    free_headers(request->headers);
    curl_slist_free_all(request->route);
    buf_free(&request->error_body);
    free(request);
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

void http_request_result(struct http_request *request, int code, char *why, size_t why_size, struct http_result *ret)
{
    // An answer without a body has not shown its head yet.
    if (code == (int)CURLE_OK && status_of(request->easy) == 200) {
        (void)give_head(request);
    }
    enum http_outcome outcome = outcome_of(request, (CURLcode)code);
    why[0] = '\0';
    if (outcome != HTTP_COMPLETE) {
        (void)snprintf(why, why_size, "%s", request->error[0] ? request->error : curl_easy_strerror((CURLcode)code));
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
        .code = code,
        .why = why,
        .body = request->error_body.data ? request->error_body.data : "",
        .body_len = request->error_body.len,
    };
}
