// SPDX-License-Identifier: Apache-2.0
//
// The question to the daemon, and what its answer is worth.
#include <poll.h>
#include <stdio.h>

#include "agent/cni_request.h"
#include "agent/control.h"
#include "base/num.h"
#include "plugin.h"
#include "json/json_plain.h"

// The daemon is asked for less than the whole time, so that its reason arrives.
enum { ANSWER_MS = 500, AGAIN_MS = 200 };

static const char *text_of(const struct doc *doc)
{
    return doc && doc->type == DOC_STRING ? doc->text : NULL;
}

static void set(struct plugin_reply *ret, enum plugin_reply_kind kind, const char *why, const char *code)
{
    ret->kind = kind;
    (void)snprintf(ret->why, sizeof(ret->why), "%s", why);
    (void)snprintf(ret->code, sizeof(ret->code), "%s", code);
}

static void read_answer(const struct buf *line, struct plugin_reply *ret)
{
    struct arena arena = {0};
    struct doc *answer = NULL;
    struct err err = {0};
    int rc = json_parse_plain(line->data ? line->data : "", line->len, &arena, &answer, &err);
    const struct doc *ok = doc_get(answer, "ok");
    const char *why = text_of(doc_get(answer, "error"));
    const char *code = text_of(doc_get(answer, "code"));
    if (rc < 0) {
        set(ret, PLUGIN_STRANGE, "", "");
        (void)snprintf(ret->why, sizeof(ret->why), "the answer: %s", err.msg);
    } else if (ok && ok->type == DOC_BOOL && ok->boolean) {
        set(ret, PLUGIN_DONE, "", "");
    } else if (why && code) {
        set(ret, PLUGIN_ANSWERED, why, code);
    } else {
        set(ret, PLUGIN_STRANGE, "the answer says neither \"ok\" nor why not", "");
    }
    arena_free(&arena);
}

static void ask_once(const struct plugin_config *config, const char *op, const struct cni_attachment *attachment,
                     uint64_t left_ms, struct plugin_reply *ret)
{
    BUF_CLEANUP struct buf request = {0};
    BUF_CLEANUP struct buf line = {0};
    struct err err = {0};
    uint64_t daemon_ms = left_ms > 2 * ANSWER_MS ? left_ms - ANSWER_MS : left_ms / 2 + 1;
    buf_printf(&request, "{\"op\":\"%s\",\"timeout_ms\":%llu,", op, (unsigned long long)daemon_ms);
    cni_request_put(attachment, &request);
    buf_putc(&request, '}');
    if (request.failed) {
        set(ret, PLUGIN_STRANGE, "out of memory", "");
        return;
    }
    if (control_ask(config->socket, request.data, (unsigned)left_ms, &line, &err) == 0) {
        read_answer(&line, ret);
        return;
    }
    enum plugin_reply_kind kind = err.kind == ERR_NOT_FOUND ? PLUGIN_NOBODY
                                  : err.kind == ERR_RETRY   ? PLUGIN_SILENT
                                  : err.kind == ERR_DENIED  ? PLUGIN_DENIED
                                                            : PLUGIN_STRANGE;
    set(ret, kind, err.msg, "");
}

static bool is_busy(const struct plugin_reply *reply)
{
    return reply->kind == PLUGIN_ANSWERED && strcmp(reply->code, "busy") == 0;
}

void plugin_ask(const struct plugin_config *config, const char *op, const struct cni_attachment *attachment,
                uint64_t timeout_ms, bool patient, struct plugin_reply *ret)
{
    uint64_t until_ms = num_now_ms() + timeout_ms;
    set(ret, PLUGIN_SILENT, "there was no time to ask", "");
    for (uint64_t now_ms; (now_ms = num_now_ms()) < until_ms;) {
        struct plugin_reply reply;
        ask_once(config, op, attachment, until_ms - now_ms, &reply);
        // One that was busy has been there; that it is silent in what is left of the time takes nothing from that.
        if (reply.kind != PLUGIN_SILENT || !is_busy(ret)) {
            *ret = reply;
        }
        bool nobody = reply.kind == PLUGIN_NOBODY && patient;
        if (!nobody && reply.kind != PLUGIN_SILENT && !is_busy(&reply)) {
            return;
        }
        now_ms = num_now_ms();
        if (now_ms < until_ms) {
            (void)poll(NULL, 0, until_ms - now_ms < AGAIN_MS ? (int)(until_ms - now_ms) : AGAIN_MS);
        }
    }
}

bool plugin_reply_is_later(const struct plugin_reply *reply)
{
    return strcmp(reply->code, "timeout") == 0 || strcmp(reply->code, "not-synced") == 0 || is_busy(reply);
}

int plugin_fail_reply(const struct plugin_config *config, const struct plugin_reply *reply, struct plugin_error *error)
{
    switch (reply->kind) {
    case PLUGIN_NOBODY:
        return plugin_fail(error, PLUGIN_LATER, reply->why,
                           "netpold does not answer on %s: is it running on this node?", config->socket);
    case PLUGIN_SILENT:
        return plugin_fail(error, PLUGIN_LATER, reply->why, "netpold does not answer on %s in time", config->socket);
    case PLUGIN_DENIED:
        return plugin_fail(error, PLUGIN_REFUSED, reply->why, "netpold may not be asked on %s", config->socket);
    case PLUGIN_STRANGE:
        return plugin_fail(error, PLUGIN_LATER, reply->why, "the answer on %s is not one of netpold", config->socket);
    case PLUGIN_DONE:
    case PLUGIN_ANSWERED:
        break;
    }
    return plugin_fail(error, plugin_reply_is_later(reply) ? PLUGIN_LATER : PLUGIN_REFUSED, reply->why,
                       "netpold refuses (%s)", reply->code);
}
