// SPDX-License-Identifier: Apache-2.0
#include "http/http.h"

#include <signal.h>
#include <stdio.h>

#include <curl/curl.h>

#include "base/limits.h"
#include "http/http_pool.h"

static void on_timer(void *arg)
{
    struct http *http = arg;
    int running;
    (void)curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    http_finish_all(http);
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
    // libcurl would write the keys of every connection to where it says.
    (void)unsetenv("SSLKEYLOGFILE");
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
    if (http_sockets_setup(http) != (int)CURLM_OK ||
        curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, arm_timer) != CURLM_OK ||
        curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http) != CURLM_OK) {
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
    http_sockets_free(http);
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

void http_finish_all(struct http *http)
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
        http_drop_idle(http);
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
