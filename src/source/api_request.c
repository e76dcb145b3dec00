// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include <strings.h>

#include "source/api_source.h"

// libcurl's codes.
enum {
    OWN_CERTIFICATE = 58,  // the client's certificate or its key cannot be used
    STREAM_BROKE = 92,     // one stream of a shared connection ended, the others go on
};

static void link_call(struct api_call *call)
{
    struct api_source *source = call->source;
    call->prev = NULL;
    call->next = source->calls;
    if (call->next) {
        call->next->prev = call;
    }
    source->calls = call;
}

static void unlink_call(struct api_call *call)
{
    if (call->prev) {
        call->prev->next = call->next;
    } else {
        call->source->calls = call->next;
    }
    if (call->next) {
        call->next->prev = call->prev;
    }
    call->prev = call->next = NULL;
}

// Told from the timer.
static void fail(struct api_call *call)
{
    call->state = API_CALL_FAILED;
    loop_arm(call->source->calls_timer, 0);
}

// What libcurl cannot know when requests share a connection: the others on it are as dead (api-client.md 4.2).
static void fail_siblings(const struct api_call *call)
{
    for (struct api_call *other = call->source->calls; other; other = other->next) {
        if (other != call && other->state == API_CALL_RUNNING && http_same_connection(call->request, other->request)) {
            http_cancel(TAKE(other->request));
            (void)err_set(&other->err, ERR_RETRY, 0, "the connection broke under another request");
            fail(other);
        }
    }
}

static void note_answer(struct api_source *source)
{
    if (source->outage) {
        source->outage = false;
        source->reconnected = true;
        loop_arm(source->calls_timer, 0);
    }
}

static bool on_head(const struct http_head *head, void *arg)
{
    struct api_call *call = arg;
    note_answer(call->source);
    return call->handler.head(head, call->handler.arg);
}

static bool on_body(const char *data, size_t len, void *arg)
{
    struct api_call *call = arg;
    return call->handler.body(data, len, call->handler.arg);
}

static void on_warning(const char *text, void *arg)
{
    struct api_call *call = arg;
    api_say_warning(call->source, text);
}

static void count_request(const struct api_call *call, unsigned status)
{
    char code[16] = "<error>";
    if (status) {
        (void)snprintf(code, sizeof(code), "%u", status);
    }
    call->source->owner.count("requests", code, 1, call->source->owner.arg);
}

static void finish(struct api_call *call, const struct http_result *result)
{
    count_request(call, result->status);
    unlink_call(call);
    call->state = API_CALL_IDLE;
    free(call->target);
    call->target = NULL;
    call->handler.done(result, call->handler.arg);
}

static void on_done(const struct http_result *result, void *arg)
{
    struct api_call *call = arg;
    struct api_source *source = call->source;
    bool dead = result->outcome == HTTP_TIMEOUT || (result->outcome == HTTP_BROKEN && result->code != STREAM_BROKE);
    if (dead && !result->raced) {
        fail_siblings(call);
    }
    char peer[64];
    source->unreached = dead && !http_peer(call->request, peer, sizeof(peer));
    call->request = NULL;
    if (result->outcome == HTTP_BROKEN && result->code == OWN_CERTIFICATE) {
        credentials_unusable(source->credentials, call->generation);
    }
    if (result->outcome == HTTP_BROKEN && !result->raced) {
        source->outage = true;
    } else if (result->status) {
        note_answer(source);
    }
    finish(call, result);
}

static int start(struct api_call *call, struct err *err)
{
    struct api_source *source = call->source;
    const struct api_url *url = &source->url;
    const struct api_config *config = source->config;
    const struct credential_values *values = credentials_values(source->credentials);
    // libcurl has no option for the name in the TLS handshake: it takes the one in the URL, so that name goes there,
    // and the connection to where the server really is (api-client.md 3.8).
    const char *name = config->tls_server_name;
    bool renamed = name && !url->plain;
    char authority[300];
    char named[300];
    char route[310];
    api_url_authority(url->host, url->port, authority, sizeof(authority));
    api_url_authority(renamed ? name : url->host, url->port, named, sizeof(named));
    (void)snprintf(route, sizeof(route), "::%s", authority);
    struct buf BUF_CLEANUP text = {0};
    buf_printf(&text, "%s://%s%s%s", url->plain ? "http" : "https", named, url->prefix, call->target);
    if (text.failed) {
        return err_oom(err);
    }
    const struct http_options options = {
        .url = text.data,
        .connect_to = renamed ? route : NULL,
        .host = renamed ? authority : NULL,
        .accept = "application/json",
        .bearer = values->token,
        .username = values->token ? NULL : values->username,
        .password = values->token ? NULL : values->password,
        .headers = config->impersonation ? config->impersonation->headers : NULL,
        .n_headers = config->impersonation ? config->impersonation->n_headers : 0,
        .proxy = config->proxy_url,
        .proxy_from_environment = config->proxy_from_environment,
        .version = (enum http_version)source->options.http_version,
        .ca_pem = values->ca_pem,
        .cert_pem = values->cert_pem,
        .key_pem = values->key_pem,
        .insecure = config->insecure,
        .plain = url->plain,
        .compressed = call->compressed && !config->disable_compression,
        .fresh = call->fresh,
        .timeout_ms = call->timeout_ms,
        .head_timeout_ms = source->timing.head_ms,
        .min_speed = call->min_speed,
        .times = source->timing.http,
    };
    const struct http_handler handler = {
        .arg = call, .head = on_head, .body = on_body, .done = on_done, .warning = on_warning};
    call->generation = credentials_generation(source->credentials);
    return http_start(source->http, &options, &handler, &call->request, err);
}

static void try_to_start(struct api_call *call)
{
    call->state = API_CALL_PENDING;
    enum credentials_state state = credentials_prepare(call->source->credentials, &call->err);
    if (state == CREDENTIALS_PENDING) {
        return;
    }
    if (state == CREDENTIALS_FAILED || start(call, &call->err) < 0) {
        fail(call);
    } else {
        call->state = API_CALL_RUNNING;
    }
}

void api_call_start(struct api_source *source, struct api_call *call, const struct http_handler *handler)
{
    call->source = source;
    call->handler = *handler;
    err_clear(&call->err);
    link_call(call);
    if (!call->target) {
        (void)err_oom(&call->err);
        fail(call);
        return;
    }
    try_to_start(call);
}

void api_call_cancel(struct api_call *call)
{
    if (call->state == API_CALL_IDLE) {
        return;
    }
    http_cancel(TAKE(call->request));
    unlink_call(call);
    call->state = API_CALL_IDLE;
    free(call->target);
    call->target = NULL;
}

bool api_call_refused(struct api_call *call)
{
    struct credentials *credentials = call->source->credentials;
    credentials_refused(credentials, call->generation);
    return credentials_prepare(credentials, NULL) == CREDENTIALS_READY &&
           credentials_generation(credentials) != call->generation;
}

// Whoever waits for a back-off because the credentials were refused need not any longer.
static void wake_refused(struct api_source *source)
{
    for (size_t i = 0; i < source->n_kinds; i++) {
        struct api_kind *kind = &source->kinds[i];
        if (kind->phase == API_WAITING && kind->unauthorized) {
            loop_arm(kind->timer, 0);
        }
    }
}

static struct api_call *next_failed(const struct api_source *source)
{
    struct api_call *call = source->calls;
    while (call && call->state != API_CALL_FAILED) {
        call = call->next;
    }
    return call;
}

// A credential plugin has ended.
static void resume_pending(struct api_source *source)
{
    unsigned before = credentials_generation(source->credentials);
    for (struct api_call *call = source->calls; call; call = call->next) {
        if (call->state == API_CALL_PENDING) {
            try_to_start(call);
        }
    }
    bool ready = credentials_prepare(source->credentials, NULL) == CREDENTIALS_READY;
    if (ready && credentials_generation(source->credentials) != before) {
        wake_refused(source);
    }
}

void api_calls_pump(void *arg)
{
    struct api_source *source = arg;
    if (source->reconnected) {
        source->reconnected = false;
        api_ask_version(source);
    }
    if (source->settled) {
        source->settled = false;
        resume_pending(source);
    }
    // One a time: what is called may end any call, and start others.
    struct api_call *call = next_failed(source);
    if (call) {
        char why[1024];
        const struct http_result result = {
            .outcome = HTTP_BROKEN, .why = err_text(&call->err, why, sizeof(why)), .body = ""};
        loop_arm(source->calls_timer, 0);
        finish(call, &result);
    }
}
