// SPDX-License-Identifier: Apache-2.0
#include "audit/check.h"

#include <ctype.h>
#include <stdio.h>

#include "audit/answer.h"
#include "audit/endpoint.h"
#include "base/limits.h"
#include "json/json.h"

struct check_query {
    const char *from;
    const char *to;
    const char *protocol;  // a name, or the number as text
    bool has_port;
    uint16_t port;
    unsigned family;
};

static int wrong(const char *field, const char *want, struct err *err)
{
    return err_set(err, ERR_INPUT, 0, "\"%s\" must be %s", field, want);
}

static int take_text(const struct doc *member, const char **ret, struct err *err)
{
    if (member->type != DOC_STRING || !*member->text) {
        return wrong(member->key, "a text", err);
    }
    *ret = member->text;
    return 0;
}

// A name, or an IP protocol number as JSON writes it or as text.
static int take_protocol(const struct doc *member, struct arena *arena, const char **ret, struct err *err)
{
    if (member->type == DOC_STRING) {
        return take_text(member, ret, err);
    }
    if (member->type != DOC_NUMBER || !member->integral || member->integer < 0 || member->integer > UINT8_MAX) {
        return wrong("protocol", "a name or a number from 0 to 255", err);
    }
    char text[8];
    (void)snprintf(text, sizeof(text), "%d", (int)member->integer);
    const char *copy = arena_strdup(arena, text);
    if (!copy) {
        return err_oom(err);
    }
    *ret = copy;
    return 0;
}

static int take_member(const struct doc *member, struct arena *arena, struct check_query *query, struct err *err)
{
    const char *key = member->key;
    if (strcmp(key, "from") == 0) {
        return take_text(member, &query->from, err);
    }
    if (strcmp(key, "to") == 0) {
        return take_text(member, &query->to, err);
    }
    if (strcmp(key, "protocol") == 0) {
        return take_protocol(member, arena, &query->protocol, err);
    }
    if (strcmp(key, "port") == 0) {
        if (member->type == DOC_NULL) {
            return 0;
        }
        if (member->type != DOC_NUMBER || !member->integral || member->integer < 1 || member->integer > 65535) {
            return wrong("port", "a number from 1 to 65535", err);
        }
        query->has_port = true;
        query->port = (uint16_t)member->integer;
        return 0;
    }
    if (strcmp(key, "family") == 0) {
        if (member->type != DOC_NUMBER || !member->integral || (member->integer != 4 && member->integer != 6)) {
            return wrong("family", "4 or 6", err);
        }
        query->family = (unsigned)member->integer;
        return 0;
    }
    static const char *const reserved[] = {"verdict", "egress", "ingress", "error"};
    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
        if (strcmp(key, reserved[i]) == 0) {
            return err_set(err, ERR_INPUT, 0, "\"%s\" belongs to the answer, not to a query", key);
        }
    }
    return 0;  // other members (an id) are the caller's and come back in the answer
}

static int read_query(const char *line, size_t len, struct arena *arena, struct check_query *ret, struct err *err)
{
    struct doc *doc;
    size_t used;
    unsigned next;
    if (json_parse(line, len, 1, arena, &doc, &used, &next, err) < 0) {
        return -1;
    }
    if (doc->type != DOC_MAP || used != len) {
        return err_set(err, ERR_INPUT, 0, "a query is one JSON object on one line");
    }
    struct check_query query = {.protocol = "TCP"};
    for (const struct doc *member = doc->child; member; member = member->next) {
        if (take_member(member, arena, &query, err) < 0) {
            return -1;
        }
    }
    if (!query.from || !query.to) {
        return err_set(err, ERR_INPUT, 0, "\"%s\" is missing", query.from ? "to" : "from");
    }
    *ret = query;
    return 0;
}

static int resolve_query(struct state *state, const char *default_ns, const struct check_query *asked,
                         struct query *ret, struct err *err)
{
    struct audit_end from;
    struct audit_end to;
    if (audit_end_find(state, asked->from, default_ns, &from, err) < 0 ||
        audit_end_find(state, asked->to, default_ns, &to, err) < 0) {
        return -1;
    }
    struct query query = {.port = asked->port};
    enum family family;
    if (audit_ends_join(&from, &to, asked->family, &query, &family, err) < 0 ||
        audit_protocol(asked->protocol, family, &query.protocol, err) < 0) {
        return -1;
    }
    if (audit_protocol_has_ports(query.protocol) != asked->has_port) {
        return err_set(err, ERR_INPUT, 0, asked->has_port ? "%s has no ports" : "%s needs a \"port\"", asked->protocol);
    }
    *ret = query;
    return 0;
}

static int answer(struct state *state, const struct policy_options *options, const char *default_ns, const char *line,
                  size_t len, struct buf *out, struct err *err)
{
    struct arena arena = {0};
    struct check_query asked = {0};
    struct query query = {0};
    struct connection_verdict verdict;
    if (read_query(line, len, &arena, &asked, err) < 0 || resolve_query(state, default_ns, &asked, &query, err) < 0 ||
        evaluate_query(state, options, &query, &verdict, err) < 0) {
        arena_free(&arena);
        return -1;
    }
    arena_free(&arena);
    // The query is repeated as it was written: all of it up to its closing brace.
    while (len > 0 && line[len - 1] != '}') {
        len--;
    }
    buf_add(out, line, len - 1);
    buf_putc(out, ',');
    answer_json(&query, &verdict, out);
    buf_puts(out, "}\n");
    verdict_done(&verdict);
    return 0;
}

int check_line(struct state *state, const struct policy_options *options, const char *default_ns, const char *line,
               size_t len, size_t number, struct buf *out, struct err *err)
{
    while (len > 0 && isspace((unsigned char)line[len - 1])) {
        len--;
    }
    while (len > 0 && isspace((unsigned char)line[0])) {
        line++;
        len--;
    }
    struct err why = {0};
    int rc = len > LIMIT_QUERY_LINE ? err_set(&why, ERR_LIMIT, 0, "a query longer than %d bytes", LIMIT_QUERY_LINE)
                                    : answer(state, options, default_ns, line, len, out, &why);
    if (rc == 0) {
        return out->failed ? err_oom(err) : 0;
    }
    if (why.kind == ERR_OOM) {
        return err_oom(err);
    }
    char text[sizeof(why.msg) + sizeof(why.object) + sizeof(why.field) + 8];
    // The parser numbers lines within the text it was given: the number in the stream is the one that helps.
    why.object[0] = '\0';
    buf_puts(out, "{\"error\":");
    buf_json_string(out, err_text(&why, text, sizeof(text)));
    buf_printf(out, ",\"line\":%zu}\n", number);
    return out->failed ? err_oom(err) : 1;
}
