// SPDX-License-Identifier: Apache-2.0
#include "base/cli.h"

#include <stdio.h>

#include "base/num.h"

static unsigned edit_distance(const char *a, const char *b)
{
    enum { MAX = 40 };
    size_t n = strlen(a);
    size_t m = strlen(b);
    if (n > MAX || m > MAX) {
        return MAX;
    }
    unsigned row[MAX + 1];
    for (unsigned j = 0; j <= m; j++) {
        row[j] = j;
    }
    for (unsigned i = 1; i <= n; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= m; j++) {
            unsigned above = row[j];
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            best = above + 1 < best ? above + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[m];
}

const char *cli_nearest(const char *word, const char *const *words)
{
    const char *nearest = NULL;
    unsigned least = (unsigned)strlen(word) / 3 + 1;
    for (; *words; words++) {
        unsigned distance = edit_distance(word, *words);
        if (distance <= least) {
            least = distance;
            nearest = *words;
            if (distance == 0) {
                break;
            }
        }
    }
    return nearest;
}

static int unknown_option(const struct cli_option *options, const char *name, struct err *err)
{
    const char *words[64];
    size_t n = 0;
    for (const struct cli_option *o = options; o->name && n < ARRAY_SIZE(words) - 1; o++) {
        words[n++] = o->name;
    }
    words[n] = NULL;
    const char *near = cli_nearest(name, words);
    return err_set(err, ERR_USAGE, 0, "unknown option --%s%s%s; --help lists them", name,
                   near ? "; did you mean --" : "", near ? near : "");
}

static int bad_value(const struct cli_option *option, const char *origin, const char *value, const char *want,
                     struct err *err)
{
    return err_set(err, ERR_USAGE, 0, "%s%s: \"%s\" is not %s", origin, option->name, value, want);
}

static int set_choice(const struct cli_option *option, const char *origin, const char *value, struct err *err)
{
    size_t len = strlen(value);
    unsigned index = 0;
    for (const char *p = option->choices; *p; index++) {
        size_t word = strcspn(p, "|");
        if (word == len && memcmp(p, value, len) == 0) {
            *(unsigned *)option->target = index;
            return 0;
        }
        p += word + (p[word] == '|');
    }
    char want[128];
    (void)snprintf(want, sizeof(want), "one of %s", option->choices);
    return bad_value(option, origin, value, want, err);
}

static bool is_flag(const struct cli_option *option)
{
    return option->kind == CLI_FLAG || option->kind == CLI_UNFLAG;
}

static int set_flag(const struct cli_option *option, const char *origin, const char *value, struct err *err)
{
    static const char *const yes[] = {"1", "true", "yes", "on"};
    static const char *const no[] = {"0", "false", "no", "off"};
    for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
        bool is_yes = strcmp(value, yes[i]) == 0;
        if (is_yes || strcmp(value, no[i]) == 0) {
            *(bool *)option->target = is_yes == (option->kind == CLI_FLAG);
            return 0;
        }
    }
    return bad_value(option, origin, value, "true or false", err);
}

static int list_add(struct cli_list *list, const char *value, struct err *err)
{
    const char **grown = realloc(list->v, (list->n + 1) * sizeof(*grown));
    if (!grown) {
        return err_oom(err);
    }
    grown[list->n++] = value;
    list->v = grown;
    return 0;
}

// origin is "--" or "NETPOLD_…=": what stands before the name in an error.
static int set_value(const struct cli_option *option, const char *origin, const char *value, struct err *err)
{
    switch (option->kind) {
    case CLI_FLAG:
    case CLI_UNFLAG:
        return set_flag(option, origin, value, err);
    case CLI_STRING:
        *(const char **)option->target = value;
        return 0;
    case CLI_LIST:
        return list_add(option->target, value, err);
    case CLI_DURATION:
        return num_parse_duration_ms(value, option->target)
                   ? 0
                   : bad_value(option, origin, value, "a duration such as 250ms, 10s or 1m30s", err);
    case CLI_NUMBER: {
        char want[64];
        (void)snprintf(want, sizeof(want), "a number from 0 to %llu", (unsigned long long)option->max);
        return num_parse_u64(value, strlen(value), option->max, option->target)
                   ? 0
                   : bad_value(option, origin, value, want, err);
    }
    case CLI_CHOICE:
        return set_choice(option, origin, value, err);
    }
    return err_set(err, ERR_BUG, 0, "option --%s has no kind", option->name);
}

static int read_environment(const struct cli_option *options, struct err *err)
{
    for (const struct cli_option *o = options; o->name; o++) {
        char name[80] = "NETPOLD_";
        size_t at = strlen(name);
        for (const char *p = o->name; *p && at < sizeof(name) - 1; p++) {
            name[at++] = (char)(*p == '-' ? '_' : *p >= 'a' && *p <= 'z' ? *p - 32 : *p);
        }
        name[at] = '\0';
        const char *value = getenv(name);
        // Manifests pass on variables that may be empty: not given, then.
        if (value && *value && set_value(o, "environment: --", value, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static const struct cli_option *find_name(const struct cli_option *options, const char *name, size_t len)
{
    for (const struct cli_option *o = options; o->name; o++) {
        if (strlen(o->name) == len && memcmp(o->name, name, len) == 0) {
            return o;
        }
    }
    return NULL;
}

struct cli_words {
    int argc;
    char *const *argv;
    int at;
};

// A list given on the command line replaces one from the environment.
static void forget_environment(const struct cli_option *option, bool *seen)
{
    if (option->kind == CLI_LIST && !*seen) {
        struct cli_list *list = option->target;
        list->n = 0;
        *seen = true;
    }
}

static int parse_long(const struct cli_option *options, struct cli_words *words, bool *seen, struct err *err)
{
    const char *word = words->argv[words->at] + 2;
    size_t len = strcspn(word, "=");
    const struct cli_option *option = find_name(options, word, len);
    if (!option) {
        char name[64];
        (void)snprintf(name, sizeof(name), "%.*s", (int)(len < 60 ? len : 60), word);
        return unknown_option(options, name, err);
    }
    forget_environment(option, seen + (option - options));
    if (word[len] == '=') {
        return set_value(option, "--", word + len + 1, err);
    }
    if (is_flag(option)) {
        *(bool *)option->target = option->kind == CLI_FLAG;
        return 0;
    }
    if (words->at + 1 >= words->argc) {
        return err_set(err, ERR_USAGE, 0, "--%s needs a value (%s)", option->name,
                       option->arg ? option->arg : option->choices);
    }
    return set_value(option, "--", words->argv[++words->at], err);
}

static int parse_short(const struct cli_option *options, struct cli_words *words, bool *seen, struct err *err)
{
    const char *word = words->argv[words->at];
    const struct cli_option *option = options;
    while (option->name && option->letter != word[1]) {
        option++;
    }
    if (!option->name) {
        return err_set(err, ERR_USAGE, 0, "unknown option %s; --help lists them", word);
    }
    forget_environment(option, seen + (option - options));
    if (is_flag(option) && word[2] == '\0') {
        *(bool *)option->target = option->kind == CLI_FLAG;
        return 0;
    }
    if (word[2] != '\0') {
        return set_value(option, "--", word + 2, err);
    }
    if (words->at + 1 >= words->argc) {
        return err_set(err, ERR_USAGE, 0, "-%c needs a value (%s)", option->letter,
                       option->arg ? option->arg : option->choices);
    }
    return set_value(option, "--", words->argv[++words->at], err);
}

int cli_parse(const struct cli_option *options, int argc, char *const *argv, struct cli_list *operands, struct err *err)
{
    size_t rows = 0;
    while (options[rows].name) {
        rows++;
    }
    CLEANUP(free) bool *seen = calloc(rows + 1, sizeof(*seen));
    if (!seen) {
        return err_oom(err);
    }
    if (read_environment(options, err) < 0) {
        return -1;
    }
    struct cli_words words = {.argc = argc, .argv = argv, .at = 1};
    bool only_words = false;
    for (; words.at < argc; words.at++) {
        const char *word = argv[words.at];
        int rc = 0;
        if (only_words || word[0] != '-' || word[1] == '\0') {
            rc = list_add(operands, word, err);
        } else if (strcmp(word, "--") == 0) {
            only_words = true;
        } else if (word[1] == '-') {
            rc = parse_long(options, &words, seen, err);
        } else {
            rc = parse_short(options, &words, seen, err);
        }
        if (rc < 0) {
            return -1;
        }
    }
    return 0;
}

void cli_lists_free(const struct cli_option *options, struct cli_list *operands)
{
    for (; options->name; options++) {
        if (options->kind == CLI_LIST) {
            struct cli_list *list = options->target;
            free(list->v);
            *list = (struct cli_list){0};
        }
    }
    free(operands->v);
    *operands = (struct cli_list){0};
}

static void help_text(const char *text, struct buf *out)
{
    enum { INDENT = 6, WIDTH = 78 };
    size_t column = INDENT;
    buf_printf(out, "%*s", INDENT, "");
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column > INDENT && column + 1 + word > WIDTH) {
            buf_printf(out, "\n%*s", INDENT, "");
            column = INDENT;
        } else if (column > INDENT) {
            buf_putc(out, ' ');
            column++;
        }
        buf_add(out, text, word);
        column += word;
        text += word + (text[word] == ' ');
    }
    buf_putc(out, '\n');
}

void cli_help(const struct cli_option *options, struct buf *out)
{
    for (; options->name; options++) {
        buf_puts(out, "  ");
        if (options->letter) {
            buf_printf(out, "-%c, ", options->letter);
        }
        buf_printf(out, "--%s", options->name);
        if (!is_flag(options)) {
            buf_printf(out, " %s", options->arg ? options->arg : options->choices);
        }
        buf_putc(out, '\n');
        char text[512];
        (void)snprintf(text, sizeof(text), "%s%s%s%s", options->help, options->preset ? " (default " : "",
                       options->preset ? options->preset : "", options->preset ? ")" : "");
        help_text(text, out);
    }
}

int cli_append(struct cli_option *table, size_t room, const struct cli_option *more)
{
    size_t n = 0;
    while (table[n].name) {
        n++;
    }
    for (; more->name; more++) {
        if (n + 1 >= room) {
            return -1;
        }
        table[n++] = *more;
    }
    table[n] = (struct cli_option){0};
    return 0;
}
