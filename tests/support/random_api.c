// SPDX-License-Identifier: Apache-2.0
#include "support/random_api.h"

#include <string.h>

// Keys stay shorter than those that are dropped unread.
enum { TEXT_PARTS = 200, KEY_PARTS = 30 };

struct maker {
    struct rng *rng;
    struct buf *out;
    bool one_line;
};

static void blank(const struct maker *m)
{
    static const char *const blanks[] = {" ", "\t", "\r", "  ", "                                           "};
    if (rng_chance(m->rng, 6)) {
        buf_puts(m->out, m->one_line || rng_chance(m->rng, 80) ? RNG_PICK(m->rng, blanks) : "\n");
    }
}

// Of a few parts, rarely of `most`.
static void text(const struct maker *m, size_t most)
{
    static const char *const parts[] = {"a",
                                        "Running",
                                        "\\\"",
                                        "\\\\",
                                        "]",
                                        "}",
                                        "{",
                                        "[",
                                        ",",
                                        ":",
                                        "\\u003c",
                                        "\\u0000",
                                        "\\ud800",
                                        "\xc3\xa9",
                                        "\xe2\x82\xac",
                                        "\xf0\x9f\x98\x80",
                                        "\\n",
                                        " ",
                                        "items",
                                        "\\\\\\\"",
                                        "\xff",
                                        "metadata"};
    buf_putc(m->out, '"');
    size_t n = rng_chance(m->rng, 3) ? rng_below(m->rng, most) : rng_below(m->rng, 5);
    for (; n > 0; n--) {
        // Bytes and escapes that the JSON door refuses are rare: most objects should pass.
        size_t part = rng_below(m->rng, ARRAY_SIZE(parts));
        bool refused = part == 11 || part == 12 || part == 20;
        buf_puts(m->out, refused && !rng_chance(m->rng, 4) ? "x" : parts[part]);
    }
    buf_putc(m->out, '"');
}

static void key(const struct maker *m, const char *const *names, size_t n_names)
{
    if (n_names == 0 || rng_chance(m->rng, 10)) {
        text(m, KEY_PARTS);
    } else {
        const char *name = names[rng_below(m->rng, n_names)];
        if (rng_chance(m->rng, 3)) {
            buf_printf(m->out, "\"\\u%04x%s\"", (unsigned)name[0], name + 1);
        } else {
            buf_printf(m->out, "\"%s\"", name);
        }
    }
    blank(m);
    buf_putc(m->out, ':');
    blank(m);
}

static void noise(const struct maker *m, unsigned depth)
{
    static const char *const scalars[] = {
        "0", "-12.5e3", "true", "false", "null", "80", "123456789012345678901234567890"};
    static const char *const names[] = {"metadata", "spec", "containers", "ports", "name",
                                        "labels",   "x",    "status",     "ip"};
    size_t what = rng_below(m->rng, depth > 5 ? 3 : 6);
    if (what == 0) {
        buf_puts(m->out, RNG_PICK(m->rng, scalars));
        return;
    }
    if (what < 3) {
        text(m, TEXT_PARTS);
        return;
    }
    bool map = what > 3;
    buf_putc(m->out, map ? '{' : '[');
    blank(m);
    for (size_t i = 0, n = rng_below(m->rng, 4); i < n; i++) {
        if (i) {
            buf_putc(m->out, ',');
            blank(m);
        }
        if (map) {
            key(m, names, rng_chance(m->rng, 50) ? ARRAY_SIZE(names) : 0);
        }
        noise(m, depth + 1);
        blank(m);
    }
    buf_putc(m->out, map ? '}' : ']');
}

// A map or list of which some members go deeper, by rows whose `up` is the row of their container.
struct row {
    const char *key;  // NULL: an element of a list
    int up;
    char type;  // of the value: 'm'ap, 'l'ist, 's'calar
};

static const struct row rows[] = {
    {"", -1, 'm'},
    {"metadata", 0, 'm'},
    {"name", 1, 's'},
    {"namespace", 1, 's'},
    {"uid", 1, 's'},
    {"resourceVersion", 1, 's'},
    {"creationTimestamp", 1, 's'},
    {"deletionTimestamp", 1, 's'},
    {"labels", 1, 's'},
    {"annotations", 1, 'm'},
    {"managedFields", 1, 's'},
    {"k8s.io/initial-events-end", 9, 's'},
    {"kubectl.kubernetes.io/last-applied-configuration", 9, 's'},
    {"spec", 0, 'm'},
    {"nodeName", 13, 's'},
    {"hostNetwork", 13, 's'},
    {"volumes", 13, 's'},
    {"containers", 13, 'l'},
    {NULL, 17, 'm'},
    {"ports", 18, 'l'},
    {"image", 18, 's'},
    {"restartPolicy", 18, 's'},
    {NULL, 19, 'm'},
    {"name", 22, 's'},
    {"containerPort", 22, 's'},
    {"protocol", 22, 's'},
    {"hostIP", 22, 's'},
    {"podCIDRs", 13, 's'},
    {"podSelector", 13, 's'},
    {"status", 0, 'm'},
    {"phase", 29, 's'},
    {"podIPs", 29, 'l'},
    {NULL, 31, 'm'},
    {"ip", 32, 's'},
    {"addresses", 29, 'l'},
    {NULL, 34, 'm'},
    {"type", 35, 's'},
    {"address", 35, 's'},
    {"conditions", 29, 's'},
    {"code", 0, 's'},
    {"reason", 0, 's'},
    {"message", 0, 's'},
    {"details", 0, 'm'},
    {"retryAfterSeconds", 42, 's'},
    {"causes", 42, 'l'},
    {NULL, 44, 'm'},
    {"reason", 45, 's'},
    {"field", 45, 's'},
    {"kind", 0, 's'},
};

static void value_of(const struct maker *m, size_t row);

static void members(const struct maker *m, size_t up)
{
    size_t order[ARRAY_SIZE(rows)];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].up == (int)up && rng_chance(m->rng, 85)) {
            size_t at = rng_below(m->rng, n + 1);
            order[n++] = order[at];
            order[at] = i;
        }
    }
    bool first = true;
    for (size_t i = 0; i < n; i++) {
        const struct row *row = &rows[order[i]];
        for (size_t times = row->key ? 1 : rng_below(m->rng, 4); times > 0; times--) {
            if (!first) {
                buf_putc(m->out, ',');
                blank(m);
            }
            first = false;
            if (row->key) {
                key(m, &row->key, 1);
            }
            value_of(m, order[i]);
            blank(m);
        }
    }
}

static void value_of(const struct maker *m, size_t row)
{
    if (rows[row].type == 's' || rng_chance(m->rng, 3)) {
        noise(m, 3);
        return;
    }
    bool map = rows[row].type == 'm';
    buf_putc(m->out, map ? '{' : '[');
    blank(m);
    members(m, row);
    buf_putc(m->out, map ? '}' : ']');
}

static void object(const struct maker *m)
{
    if (rng_chance(m->rng, 2)) {
        noise(m, 4);
    } else {
        value_of(m, 0);
    }
}

void random_api_object(struct rng *rng, struct buf *out)
{
    object(&(struct maker){.rng = rng, .out = out});
}

void random_api_list(struct rng *rng, struct buf *out)
{
    const struct maker m = {.rng = rng, .out = out};
    size_t items_at = rng_below(rng, 6);
    blank(&m);
    buf_putc(out, '{');
    for (size_t i = 0; i < 5; i++) {
        static const char *const names[] = {"kind", "apiVersion", "x", "other"};
        buf_puts(out, i ? "," : "");
        blank(&m);
        if (i == items_at) {
            buf_puts(out, "\"items\":");
            blank(&m);
            if (rng_chance(rng, 5)) {
                buf_puts(out, "null");
                continue;
            }
            buf_putc(out, '[');
            for (size_t j = 0, n = rng_below(rng, 5); j < n; j++) {
                buf_puts(out, j ? "," : "");
                blank(&m);
                object(&m);
                blank(&m);
            }
            buf_putc(out, ']');
        } else if (i == 1) {
            buf_puts(out, "\"metadata\":{\"resourceVersion\":\"5\",\"selfLink\":");
            text(&m, TEXT_PARTS);
            buf_puts(out, ",\"continue\":\"abc\",\"remainingItemCount\":17}");
        } else {
            key(&m, &names[i % 4], 1);
            noise(&m, 4);
        }
        blank(&m);
    }
    buf_putc(out, '}');
    blank(&m);
}

void random_api_event(struct rng *rng, struct buf *out)
{
    static const char *const types[] = {"\"ADDED\"", "\"MODIFIED\"", "\"DELETED\"", "\"BOOKMARK\"", "\"ERROR\"", "7"};
    const struct maker m = {.rng = rng, .out = out, .one_line = true};
    bool last = rng_chance(rng, 20);
    blank(&m);
    buf_putc(out, '{');
    for (int i = 0; i < 2; i++) {
        if (i) {
            buf_putc(out, ',');
        }
        blank(&m);
        if ((i == 0) != last) {
            buf_printf(out, "\"type\":%s", RNG_PICK(rng, types));
        } else {
            buf_puts(out, "\"object\":");
            object(&m);
        }
        blank(&m);
    }
    buf_putc(out, '}');
    blank(&m);
}

void random_api_damage(struct rng *rng, bool keep_lines, struct buf *out)
{
    static const char bytes[] = "{}[]:,\"\\ 1xn\t";
    for (size_t n = 1 + rng_below(rng, 3); n > 0 && out->len > 1; n--) {
        size_t at = rng_below(rng, out->len);
        size_t what = rng_below(rng, 4);
        if (keep_lines && out->data[at] == '\n') {
            continue;
        }
        if (what == 0) {
            out->data[at] = bytes[rng_below(rng, sizeof(bytes) - 1)];
        } else if (what == 1) {
            memmove(out->data + at, out->data + at + 1, out->len - at - 1);
            out->len--;
        } else if (what == 2) {
            char c = bytes[rng_below(rng, sizeof(bytes) - 1)];
            buf_putc(out, c);
            memmove(out->data + at + 1, out->data + at, out->len - at - 1);
            out->data[at] = c;
        } else if (!keep_lines && rng_chance(rng, 20)) {
            out->len = at;
        }
        out->data[out->len] = '\0';
    }
}
