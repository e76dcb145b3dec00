// SPDX-License-Identifier: Apache-2.0
//
// One element of ports (networkpolicy-v1.md 1.1, 1.4, 1.5).
#include "decode/decode_object.h"

static const char *const port_keys[] = {"protocol", "port", "endPort", NULL};

enum { PORT_NAME_MAX = 15 };

static bool fail(struct decode *decode, const struct path *up, const char *key, unsigned line, const char *why)
{
    struct path path = {.up = up, .key = key};
    decode_report(decode, DIAGNOSTIC_PARTIAL, key ? &path : up, line, "%s: the port entry matches nothing", why);
    return false;
}

// 1 to 15 characters of a-z 0-9 '-', at least one letter, no '-' at an end or twice in a row.
static bool is_port_name(const char *text)
{
    size_t n = strnlen(text, PORT_NAME_MAX + 1);
    bool letter = false;
    if (n == 0 || n > PORT_NAME_MAX || text[0] == '-' || text[n - 1] == '-' || strstr(text, "--")) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        bool is_letter = text[i] >= 'a' && text[i] <= 'z';
        letter = letter || is_letter;
        if (!is_letter && text[i] != '-' && (text[i] < '0' || text[i] > '9')) {
            return false;
        }
    }
    return letter;
}

static bool read_number(const struct doc *doc, uint16_t *ret)
{
    if (doc->type != DOC_NUMBER || !doc->integral || doc->integer < 1 || doc->integer > 65535) {
        return false;
    }
    *ret = (uint16_t)doc->integer;
    return true;
}

static bool read_protocol(struct decode *decode, const struct path *path, const struct doc *doc,
                          struct policy_port *ret)
{
    const struct doc *protocol = decode_field(doc, "protocol");
    ret->protocol = PROTOCOL_TCP;
    if (protocol && (protocol->type != DOC_STRING || !protocol_parse(protocol->text, &ret->protocol))) {
        return fail(decode, path, "protocol", protocol->line, "must be TCP, UDP or SCTP");
    }
    return true;
}

static bool read_name(struct decode *decode, const struct path *path, const struct doc *doc, const struct doc *end,
                      struct policy_port *ret)
{
    if (doc->text[0] && doc->text[strspn(doc->text, "0123456789")] == '\0') {
        return fail(decode, path, "port", doc->line, "write a port number without quotes; no port has this name");
    }
    if (!is_port_name(doc->text)) {
        return fail(decode, path, "port", doc->line, "is no port name (at most 15 of a-z, 0-9, '-', with a letter)");
    }
    if (end) {
        return fail(decode, path, "endPort", end->line, "needs a port number, not a name");
    }
    ret->kind = PORT_NAME;
    ret->name = doc->text;
    return true;
}

static bool read_port(struct decode *decode, const struct path *path, const struct doc *doc, struct policy_port *ret)
{
    if (doc->type != DOC_MAP) {
        decode_report_type(decode, DIAGNOSTIC_PARTIAL, path, doc, DOC_MAP);
        return false;
    }
    const struct doc *unknown = decode_next_unknown(doc->child, port_keys);
    if (unknown) {
        return fail(decode, path, unknown->key, unknown->line, "unknown field");
    }
    if (!read_protocol(decode, path, doc, ret)) {
        return false;
    }
    const struct doc *port = decode_field(doc, "port");
    const struct doc *end = decode_field(doc, "endPort");
    if (!port) {
        ret->kind = PORT_ALL;
        return !end || fail(decode, path, "endPort", end->line, "needs a port");
    }
    if (port->type == DOC_STRING) {
        return read_name(decode, path, port, end, ret);
    }
    ret->kind = PORT_RANGE;
    if (!read_number(port, &ret->first)) {
        return fail(decode, path, "port", port->line, "must be a number from 1 to 65535 or a port name");
    }
    ret->last = ret->first;
    if (end && (!read_number(end, &ret->last) || ret->last < ret->first)) {
        return fail(decode, path, "endPort", end->line, "must be a number from port to 65535");
    }
    return true;
}

void decode_port(struct decode *decode, const struct path *path, const struct doc *doc, struct policy_port *ret)
{
    struct policy_port port = {0};
    *ret = read_port(decode, path, doc, &port) ? port : (struct policy_port){.kind = PORT_UNREADABLE};
}
