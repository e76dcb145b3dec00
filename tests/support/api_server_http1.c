// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/mem.h"
#include "support/api_server_private.h"

bool api_http1_take(struct api_connection *connection)
{
    struct buf *in = &connection->in;
    struct api_exchange *exchange = connection->server->exchanges;
    while (exchange && exchange->connection != connection) {
        exchange = exchange->next;
    }
    if ((exchange && exchange->busy) || in->len == 0) {
        return false;
    }
    const char *end = strstr(in->data, "\r\n\r\n");
    const char *line_end = strstr(in->data, "\r\n");
    // There is no body.
    if (!end || strncmp(in->data, "GET ", 4) != 0) {
        return false;
    }
    exchange = exchange ? exchange : api_exchange_add(connection);
    if (!exchange) {
        return false;
    }
    const char *target = in->data + 4;
    api_exchange_set_target(exchange, target, strcspn(target, " \r"));
    free(exchange->headers);
    exchange->headers = strndup(line_end, (size_t)(end - line_end) + 2);
    size_t used = (size_t)(end - in->data) + 4;
    memmove(in->data, in->data + used, in->len - used + 1);
    in->len -= used;
    exchange->busy = exchange->fresh = exchange->headers != NULL;
    return exchange->busy;
}

static void write_all(struct api_exchange *exchange, struct buf *text)
{
    if (!text->failed) {
        api_connection_write(exchange->connection, text->data, text->len);
    }
}

void api_http1_head(struct api_exchange *exchange, unsigned status, const char *type, const char *headers,
                    const char *body)
{
    struct buf BUF_CLEANUP text = {0};
    buf_printf(&text, "HTTP/1.1 %u X\r\nContent-Type: %s\r\n", status, type);
    if (body) {
        buf_printf(&text, "Content-Length: %zu\r\n", strlen(body));
    } else {
        buf_puts(&text, "Transfer-Encoding: chunked\r\n");
    }
    buf_printf(&text, "%s\r\n", headers);
    if (body) {
        buf_puts(&text, body);
    }
    write_all(exchange, &text);
}

void api_http1_chunk(struct api_exchange *exchange, const char *data, size_t len)
{
    struct buf BUF_CLEANUP text = {0};
    buf_printf(&text, "%zx\r\n", len);
    buf_add(&text, data, len);
    buf_puts(&text, "\r\n");
    write_all(exchange, &text);
}

void api_http1_end(struct api_exchange *exchange)
{
    api_connection_write(exchange->connection, "0\r\n\r\n", 5);
}
