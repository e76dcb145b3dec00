// SPDX-License-Identifier: Apache-2.0
//
// Lists of the model server: every meaning of resourceVersion (api-client.md 1.4), pages, expiry, compression.
#include <inttypes.h>
#include <stdio.h>
#include <zlib.h>

#include "base/num.h"
#include "support/api_world_private.h"

enum { GZIP_FROM = 128 << 10, TOO_LARGE_MS = 3000 };

// A continue token: version, page that it asks for, when it was given out, and the last key of the page before. Written
// so that a client that does not escape it, or looks inside, fails.
static const char token_end[] = "+/=&?#%41";

struct token {
    long long version;  // -1: whatever is latest
    unsigned page;
    unsigned long long given_ms;
    char after[600];
};

static bool token_parse(const char *text, struct token *ret)
{
    int used = 0;
    if (sscanf(text, "tk.%lld.%u.%llu.%n", &ret->version, &ret->page, &ret->given_ms, &used) != 3 || used == 0) {
        return false;
    }
    size_t len = strlen(text + used);
    size_t end = sizeof(token_end) - 1;
    if (len < end || strcmp(text + used + len - end, token_end) != 0 || len - end >= sizeof(ret->after)) {
        return false;
    }
    (void)snprintf(ret->after, sizeof(ret->after), "%.*s", (int)(len - end), text + used);
    return true;
}

static void token_format(const struct token *token, struct buf *out)
{
    buf_printf(out, "tk.%lld.%u.%llu.%s%s", token->version, token->page, token->given_ms, token->after, token_end);
}

unsigned world_token_page(const char *text)
{
    struct token token;
    return token_parse(text, &token) ? token.page : 0;
}

void world_gzip(const char *data, size_t len, struct buf *out)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)len};
    // 15 + 16: with the header of gzip.
    if (deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        abort();
    }
    unsigned char piece[65536];
    int rc;
    do {
        z.next_out = piece;
        z.avail_out = sizeof(piece);
        rc = deflate(&z, Z_FINISH);
        buf_add(out, piece, sizeof(piece) - z.avail_out);
    } while (rc == Z_OK);
    (void)deflateEnd(&z);
    if (rc != Z_STREAM_END) {
        abort();
    }
}

// One page while it is put together.
struct page {
    const struct world_call *call;
    const char *after;  // keys up to here belong to earlier pages
    uint64_t limit;     // 0: none
    struct buf items;
    size_t n;
    size_t remaining;
    const char *last;  // key
};

static void page_add(struct world_version *object, void *arg)
{
    struct page *page = arg;
    if (strcmp(object->key, page->after) <= 0 ||
        !world_selector_matches(page->call->kind, page->call->selector, object)) {
        return;
    }
    if (page->limit && page->n == page->limit) {
        page->remaining++;
        return;
    }
    buf_puts(&page->items, page->n++ ? "," : "");
    world_version_json(object, object->version, page->call->kind, NULL, &page->items);
    page->last = object->key;
}

static void send_page(struct world_call *call, const struct page *page, struct token *next, uint64_t version)
{
    const struct world_kind_row *row = &world_kind_rows[call->kind];
    struct buf BUF_CLEANUP body = {0};
    buf_printf(&body,
               "{\"kind\":\"%sList\",\"apiVersion\":\"%s%s%s\",\"metadata\":{\"resourceVersion\":\"%" PRIu64 "\"",
               row->name, row->group, row->group[0] ? "/" : "", call->api_version, version);
    if (page->remaining) {
        struct buf BUF_CLEANUP text = {0};
        token_format(next, &text);
        buf_puts(&body, ",\"continue\":");
        world_json_string(&body, world_must(text.data));
        if (call->world->remaining && !call->selector[0]) {
            buf_printf(&body, ",\"remainingItemCount\":%zu", page->remaining);
        }
    }
    if (page->n == 0 && call->world->items_null) {
        buf_puts(&body, "},\"items\":null}\n");
    } else {
        buf_printf(&body, "},\"items\":[");
        buf_puts(&body, page->items.data ? page->items.data : "");
        buf_puts(&body, "]}\n");
    }
    if (body.failed) {
        abort();
    }
    bool gzip = call->world->gzip && body.len > GZIP_FROM && call->world->requests.v[call->request].gzip;
    struct buf BUF_CLEANUP packed = {0};
    if (gzip) {
        world_gzip(body.data, body.len, &packed);
    }
    const struct buf *out = gzip ? &packed : &body;
    if (world_call_begin(call, gzip ? "Content-Encoding: gzip\r\n" : "") &&
        world_call_write(call, out->data, out->len, 0)) {
        world_call_end(call);
    }
}

static void serve_at(struct world_call *call, uint64_t version, const struct token *from, uint64_t limit)
{
    struct world *world = call->world;
    struct page page = {.call = call, .after = from ? from->after : "", .limit = world->limit_ignored ? 0 : limit};
    struct token next = {.version = (long long)version, .page = (from ? from->page : 1) + 1, .given_ms = num_now_ms()};
    bool empty = world->empty_page && !from && page.limit;
    uint64_t of = call->effect.at_version ? call->effect.at_version : version;
    if (empty) {
        page.remaining = world_size(world, call->kind);
    } else if (!world_at(world, call->kind, of, page_add, &page)) {
        abort();
    }
    (void)snprintf(next.after, sizeof(next.after), "%s", page.last ? page.last : page.after);
    send_page(call, &page, &next, of);
    buf_free(&page.items);
}

static void expired(struct world_call *call, const struct token *token)
{
    static const char message[] =
        "The provided continue parameter is too old to display a consistent list result. You "
        "can start a new list without the continue parameter, or use the continue token in "
        "this response to retrieve the remainder of the results. Continuing with the provided "
        "token results in an inconsistent list - objects that were created, modified, or "
        "deleted between the time the first chunk was returned and now may show up in the "
        "list.";
    struct buf BUF_CLEANUP body = {0};
    struct buf BUF_CLEANUP text = {0};
    struct token again = *token;
    again.version = -1;
    again.given_ms = num_now_ms();
    token_format(&again, &text);
    buf_puts(&body, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{");
    if (call->world->new_token) {
        buf_puts(&body, "\"continue\":");
        world_json_string(&body, world_must(text.data));
    }
    buf_printf(&body, "},\"status\":\"Failure\",\"message\":\"%s\",\"reason\":\"Expired\",\"code\":410}\n", message);
    world_reply(call, 410, "application/json", "", world_must(body.data));
}

static void serve_continued(struct world_call *call, const char *text, uint64_t limit)
{
    struct world *world = call->world;
    const struct world_request *request = &world->requests.v[call->request];
    struct token token;
    if (request->has_version || request->match[0]) {
        world_violation(world, call, "a continued list with a resource version");
        world_reply_status(call, 400, "BadRequest", "specifying resource version is not allowed when using continue",
                           "", "");
        return;
    }
    if (!token_parse(text, &token)) {
        world_violation(world, call, "a continue token that we never gave");
        world_reply_status(call, 400, "BadRequest", "continue key is not valid: illegal base64 data", "", "");
        return;
    }
    if (token.version < 0) {
        world_violation(world, call, "a list that is continued inconsistently");
        serve_at(call, world->version, &token, limit);
        return;
    }
    bool old = world->token_ms && num_now_ms() - token.given_ms > world->token_ms;
    if (old || (uint64_t)token.version < world->compacted || (uint64_t)token.version > world->version) {
        expired(call, &token);
        return;
    }
    serve_at(call, (uint64_t)token.version, &token, limit);
}

void world_too_large(uint64_t asked, uint64_t have, struct buf *ret_message)
{
    buf_printf(ret_message, "Timeout: Too large resource version: %" PRIu64 ", current: %" PRIu64, asked, have);
}

static void reply_too_large(struct world_call *call, uint64_t version)
{
    struct buf BUF_CLEANUP message = {0};
    world_too_large(version, world_cache(call->world), &message);
    world_reply_status(call, 504, "Timeout", world_must(message.data), "Retry-After: 1\r\n",
                       ",\"details\":{\"causes\":[{\"reason\":\"ResourceVersionTooLarge\",\"message\":\"Too large "
                       "resource version\"}],\"retryAfterSeconds\":1}");
}

// "N" as at least (or exactly) that version.
static void serve_version(struct world_call *call, uint64_t version, bool exact, uint64_t limit)
{
    struct world *world = call->world;
    uint64_t have = exact ? world->version : world_cache(world);
    if (version > have) {
        // The cache waits for it to come.
        if (!call->waited) {
            call->waited = true;
            call->answered = false;
            loop_arm(call->timer, TOO_LARGE_MS);
            return;
        }
        reply_too_large(call, version);
    } else if (exact && version < world->compacted) {
        struct buf BUF_CLEANUP message = {0};
        buf_printf(&message, "The resourceVersion for the provided list is too old: %" PRIu64, version);
        world_reply_status(call, 410, "Expired", world_must(message.data), "", "");
    } else {
        serve_at(call, exact ? version : have, NULL, limit);
    }
}

void world_list(struct world_call *call)
{
    struct world *world = call->world;
    const struct world_request *request = &world->requests.v[call->request];
    char text[4096];
    uint64_t limit = 0;
    uint64_t version = 0;
    if (api_exchange_param(call->exchange, "limit", text, sizeof(text)) &&
        !num_parse_u64(text, strlen(text), UINT64_MAX, &limit)) {
        limit = 0;
    }
    const char *unknown = world_selector_check(world, call->kind, call->selector);
    if (unknown) {
        struct buf BUF_CLEANUP message = {0};
        buf_printf(&message, "field label not supported: %s", unknown);
        world_reply_status(call, 400, "BadRequest", world_must(message.data), "", "");
        return;
    }
    if (api_exchange_param(call->exchange, "continue", text, sizeof(text))) {
        serve_continued(call, text, limit);
        return;
    }
    bool exact = strcmp(request->match, "Exact") == 0;
    bool zero = strcmp(request->version, "0") == 0;
    if (request->match[0] && (!request->has_version || (exact && zero))) {
        world_violation(world, call, "a resourceVersionMatch that is forbidden");
        world_reply_status(call, 422, "Invalid",
                           "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "
                           "resourceVersionMatch is forbidden unless resourceVersion is provided",
                           "", "");
        return;
    }
    if (!request->has_version || request->version[0] == '\0') {
        serve_at(call, world->version, NULL, limit);
    } else if (zero) {
        serve_at(call, world_cache(world), NULL, 0);
    } else if (!num_parse_u64(request->version, strlen(request->version), UINT64_MAX, &version)) {
        world_violation(world, call, "no resource version");
        world_reply_status(call, 400, "BadRequest", "invalid resource version", "", "");
    } else {
        serve_version(call, version, exact || (limit && !request->match[0]), limit);
    }
}
