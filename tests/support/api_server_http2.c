// SPDX-License-Identifier: Apache-2.0
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <nghttp2/nghttp2.h>

#include "base/mem.h"
#include "support/api_server_private.h"

// Streams at once, as kube-apiserver offers them (api-client.md 4.2); headers of one answer.
enum { MAX_STREAMS = 100, MAX_FIELDS = 32 };

struct api_http2 {
    struct api_connection *connection;
    nghttp2_session *session;
};

int api_http2_sniff(const char *data, size_t len)
{
    size_t n = len < NGHTTP2_CLIENT_MAGIC_LEN ? len : NGHTTP2_CLIENT_MAGIC_LEN;
    if (memcmp(data, NGHTTP2_CLIENT_MAGIC, n) != 0) {
        return 0;
    }
    return n == NGHTTP2_CLIENT_MAGIC_LEN ? 1 : -1;
}

static struct api_exchange *exchange_of(nghttp2_session *session, int32_t stream)
{
    return nghttp2_session_get_stream_user_data(session, stream);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    const struct api_http2 *http2 = arg;
    struct api_exchange *exchange = api_exchange_add(http2->connection);
    if (!exchange) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    exchange->stream = frame->hd.stream_id;
    exchange->headers = strdup("\r\n");
    if (!exchange->headers) {
        api_exchange_free(exchange);
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, exchange);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, UNUSED uint8_t flags, UNUSED void *arg)
{
    struct api_exchange *exchange = exchange_of(session, frame->hd.stream_id);
    if (!exchange) {
        return 0;
    }
    if (name_len == 5 && memcmp(name, ":path", 5) == 0) {
        api_exchange_set_target(exchange, (const char *)value, value_len);
        return 0;
    }
    bool authority = name_len == 10 && memcmp(name, ":authority", 10) == 0;
    if (name[0] == ':' && !authority) {
        return 0;
    }
    struct buf BUF_CLEANUP lines = {0};
    buf_puts(&lines, exchange->headers);
    if (authority) {
        buf_puts(&lines, "Host");
    } else {
        buf_add(&lines, name, name_len);
    }
    buf_puts(&lines, ": ");
    buf_add(&lines, value, value_len);
    buf_puts(&lines, "\r\n");
    char *longer = buf_take(&lines);
    if (!longer) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    free(exchange->headers);
    exchange->headers = longer;
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, UNUSED void *arg)
{
    struct api_exchange *exchange = exchange_of(session, frame->hd.stream_id);
    // Given to the test once nghttp2 has returned.
    if (exchange && frame->hd.type == NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
        exchange->busy = exchange->fresh = true;
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream, UNUSED uint32_t code, UNUSED void *arg)
{
    struct api_exchange *exchange = exchange_of(session, stream);
    if (exchange) {
        (void)nghttp2_session_set_stream_user_data(session, stream, NULL);
        api_exchange_free(exchange);
    }
    return 0;
}

static ssize_t read_body(UNUSED nghttp2_session *session, UNUSED int32_t stream, uint8_t *data, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, UNUSED void *arg)
{
    struct api_exchange *exchange = source->ptr;
    size_t left = exchange->body.len - exchange->sent;
    size_t n = left < size ? left : size;
    if (n) {
        memcpy(data, exchange->body.data + exchange->sent, n);
        exchange->sent += n;
    }
    if (exchange->sent == exchange->body.len) {
        buf_clear(&exchange->body);
        exchange->sent = 0;
        if (exchange->ended) {
            *flags |= NGHTTP2_DATA_FLAG_EOF;
        } else if (n == 0) {
            return NGHTTP2_ERR_DEFERRED;
        }
    }
    return (ssize_t)n;
}

// Sends what nghttp2 has to say; the exchanges that end with it are gone.
static void pump(struct api_http2 *http2)
{
    struct api_connection *connection = http2->connection;
    const uint8_t *data;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(http2->session, &data)) > 0) {
        api_connection_write(connection, data, (size_t)n);
    }
    if (n < 0 || (!nghttp2_session_want_read(http2->session) && !nghttp2_session_want_write(http2->session))) {
        api_connection_close(connection);
    }
}

struct api_http2 *api_http2_new(struct api_connection *connection)
{
    struct api_http2 *http2 = calloc(1, sizeof(*http2));
    nghttp2_session_callbacks *callbacks = NULL;
    if (!http2 || nghttp2_session_callbacks_new(&callbacks) != 0) {
        free(http2);
        return NULL;
    }
    http2->connection = connection;
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    int rc = nghttp2_session_server_new(&http2->session, callbacks, http2);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, MAX_STREAMS}};
    if (rc != 0 || nghttp2_submit_settings(http2->session, NGHTTP2_FLAG_NONE, settings, ARRAY_SIZE(settings)) != 0) {
        api_http2_free(http2);
        return NULL;
    }
    return http2;
}

void api_http2_free(struct api_http2 *http2)
{
    if (http2) {
        nghttp2_session_del(http2->session);
        free(http2);
    }
}

bool api_http2_take(struct api_connection *connection)
{
    struct api_http2 *http2 = connection->http2;
    struct buf *in = &connection->in;
    ssize_t n = nghttp2_session_mem_recv(http2->session, (const uint8_t *)in->data, in->len);
    buf_clear(in);
    if (n >= 0) {
        pump(http2);
    }
    return n >= 0;
}

struct fields {
    nghttp2_nv nv[MAX_FIELDS];
    size_t n;
    struct buf text;  // names and values
};

static void add_field(struct fields *fields, const char *name, size_t name_len, const char *value, size_t value_len)
{
    if (fields->n == MAX_FIELDS) {
        return;
    }
    size_t at = fields->text.len;
    for (size_t i = 0; i < name_len; i++) {
        buf_putc(&fields->text, (char)tolower((unsigned char)name[i]));
    }
    buf_add(&fields->text, value, value_len);
    fields->nv[fields->n++] = (nghttp2_nv){.name = (uint8_t *)at, .namelen = name_len, .valuelen = value_len};
}

// Lines of HTTP/1.1; those that concern its connection have no place here.
static void add_lines(struct fields *fields, const char *lines)
{
    for (const char *at = lines; *at;) {
        size_t len = strcspn(at, "\r\n");
        size_t name = strcspn(at, ":\r\n");
        if (name < len && strncasecmp(at, "connection:", 11) != 0 && strncasecmp(at, "transfer-encoding:", 18) != 0) {
            size_t value = name + 1 + strspn(at + name + 1, " ");
            add_field(fields, at, name, at + value, len - value);
        }
        at += len;
        at += strspn(at, "\r\n");
    }
}

void api_http2_head(struct api_exchange *exchange, unsigned status, const char *type, const char *headers)
{
    struct fields fields = {0};
    char text[16];
    (void)snprintf(text, sizeof(text), "%u", status);
    add_field(&fields, ":status", 7, text, strlen(text));
    add_field(&fields, "content-type", 12, type, strlen(type));
    add_lines(&fields, headers);
    // The text has stopped moving.
    for (size_t i = 0; i < fields.n && !fields.text.failed; i++) {
        fields.nv[i].name = (uint8_t *)fields.text.data + (uintptr_t)fields.nv[i].name;
        fields.nv[i].value = fields.nv[i].name + fields.nv[i].namelen;
    }
    const nghttp2_data_provider body = {.source.ptr = exchange, .read_callback = read_body};
    if (!fields.text.failed) {
        (void)nghttp2_submit_response(exchange->connection->http2->session, exchange->stream, fields.nv, fields.n,
                                      &body);
    }
    buf_free(&fields.text);
}

void api_http2_body(struct api_exchange *exchange, const char *data, size_t len, bool end)
{
    struct api_http2 *http2 = exchange->connection->http2;
    buf_add(&exchange->body, data, len);
    exchange->ended = exchange->ended || end;
    (void)nghttp2_session_resume_data(http2->session, exchange->stream);
    pump(http2);
}

void api_http2_reset(struct api_exchange *exchange, unsigned code)
{
    struct api_http2 *http2 = exchange->connection->http2;
    (void)nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, exchange->stream, code);
    pump(http2);
}

void api_http2_goaway(struct api_http2 *http2, int32_t last)
{
    int32_t seen = nghttp2_session_get_last_proc_stream_id(http2->session);
    (void)nghttp2_submit_goaway(http2->session, NGHTTP2_FLAG_NONE, last < 0 ? seen : last, NGHTTP2_NO_ERROR, NULL, 0);
    pump(http2);
}
