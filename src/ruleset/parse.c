// SPDX-License-Identifier: Apache-2.0
//
// Lines are collected flat (parse_lines.h) and dealt out at the end, so that their order does not matter.
#include "ruleset/parse.h"

#include "base/limits.h"
#include "base/map.h"
#include "ruleset/parse_foreign.h"
#include "ruleset/parse_lines.h"
#include "ruleset/parse_rule.h"
#include "ruleset/parse_value.h"
#include "ruleset/parse_words.h"
#include "ruleset/render.h"

enum table_state { TABLE_NONE, TABLE_FILTER, TABLE_FOREIGN };

struct parser {
    struct parse_lines families[FAMILY_COUNT];
    struct ruleset *ruleset;
    struct parse_words words;
    enum family family;  // of the next or present table
    enum table_state table;
    unsigned line;
    const char *line_text;
    size_t line_len;
    struct parse_foreign foreign;
    struct err *err;
};

static void parser_deinit(struct parser *parser)
{
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        parse_lines_free(&parser->families[i]);
    }
    parse_foreign_deinit(&parser->foreign);
    parse_words_free(&parser->words);
    ruleset_free(parser->ruleset);
}

static int parser_init(struct parser *parser, struct err *err)
{
    parser->err = err;
    parser->ruleset = calloc(1, sizeof(*parser->ruleset));
    if (!parser->ruleset) {
        return err_oom(err);
    }
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        parser->families[i].chain_index = map_new();
        parser->families[i].set_index = map_new();
        if (!parser->families[i].chain_index || !parser->families[i].set_index) {
            return err_oom(err);
        }
    }
    return 0;
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_builtin(const char *chain)
{
    return strcmp(chain, "FORWARD") == 0 || strcmp(chain, "INPUT") == 0 || strcmp(chain, "OUTPUT") == 0;
}

static const char *keep_text(struct parser *parser, const char *text)
{
    return arena_strdup(&parser->ruleset->arena, text);
}

// ---- sets
// ------------------------------------------------------------------------------------------------------------

// False for a set that is not ours.
static bool set_family(const char *name, enum family *ret)
{
    if (starts_with(name, RULESET_SET_PREFIX_V4)) {
        *ret = FAMILY_V4;
        return true;
    }
    if (starts_with(name, RULESET_SET_PREFIX_V6)) {
        *ret = FAMILY_V6;
        return true;
    }
    return false;
}

static bool set_type_parse(const char *name, enum set_type *ret)
{
    static const enum set_type types[] = {SET_HASH_IP, SET_HASH_NET, SET_HASH_IP_PORT};
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (strcmp(set_type_name(types[i]), name) == 0) {
            *ret = types[i];
            return true;
        }
    }
    return false;
}

// Options of `create` behind the type, in pairs. The sizes are derived from the members (set_hashsize).
static int check_create_options(struct parser *parser, enum family family)
{
    static const char *const sizes[] = {"hashsize", "maxelem", "bucketsize", "initval"};
    const char *stated = "inet";
    for (size_t i = 3; i < parser->words.n; i += 2) {
        const char *name = parser->words.v[i];
        if (i + 1 == parser->words.n) {
            return err_set(parser->err, ERR_INPUT, 0,
                           "create: %s without a value, or an option that our sets do not use", name);
        }
        size_t known = 0;
        while (known < ARRAY_SIZE(sizes) && strcmp(sizes[known], name) != 0) {
            known++;
        }
        if (strcmp(name, "family") == 0) {
            stated = parser->words.v[i + 1];
        } else if (known == ARRAY_SIZE(sizes)) {
            return err_set(parser->err, ERR_INPUT, 0, "create: %s: an option that our sets do not use", name);
        }
    }
    if (strcmp(stated, family == FAMILY_V4 ? "inet" : "inet6") != 0) {
        return err_set(parser->err, ERR_INPUT, 0, "create %s: family %s does not go with the name", parser->words.v[1],
                       stated);
    }
    return 0;
}

static int parse_create(struct parser *parser)
{
    const struct parse_words *words = &parser->words;
    enum family family;
    if (words->n < 3) {
        return err_set(parser->err, ERR_INPUT, 0, "create needs a name and a type");
    }
    if (!set_family(words->v[1], &family)) {
        return 0;
    }
    struct set set = {.describe = ""};
    if (strlen(words->v[1]) > LIMIT_SET_NAME) {
        return err_set(parser->err, ERR_LIMIT, 0, "create %s: a name longer than %d", words->v[1], LIMIT_SET_NAME);
    }
    if (!set_type_parse(words->v[2], &set.type)) {
        return err_set(parser->err, ERR_INPUT, 0, "create %s: type %s is not one of ours", words->v[1], words->v[2]);
    }
    if (check_create_options(parser, family) < 0) {
        return -1;
    }
    struct parse_lines *lines = &parser->families[family];
    if (map_get_str(lines->set_index, words->v[1])) {
        return err_set(parser->err, ERR_INPUT, 0, "create %s: the set was created before", words->v[1]);
    }
    set.name = keep_text(parser, words->v[1]);
    if (!set.name || vec_push(&lines->sets, set) < 0 ||
        map_put_str(lines->set_index, set.name, (void *)(uintptr_t)lines->sets.n, NULL) < 0) {
        return err_oom(parser->err);
    }
    return 0;
}

static int parse_add(struct parser *parser)
{
    const struct parse_words *words = &parser->words;
    enum family family;
    if (words->n < 3) {
        return err_set(parser->err, ERR_INPUT, 0, "add needs a set and an element");
    }
    if (!set_family(words->v[1], &family)) {
        return 0;
    }
    struct parse_lines *lines = &parser->families[family];
    uintptr_t index = (uintptr_t)map_get_str(lines->set_index, words->v[1]);
    if (!index) {
        return err_set(parser->err, ERR_INPUT, 0, "add %s: no such set was created", words->v[1]);
    }
    struct parse_member_line member = {.set = index - 1, .line = parser->line};
    if (parse_member(words->v + 2, words->n - 2, family, lines->sets.v[index - 1].type, &member.member, parser->err) <
        0) {
        return -1;
    }
    return vec_push(&lines->members, member) < 0 ? err_oom(parser->err) : 0;
}

// ---- tables
// ----------------------------------------------------------------------------------------------------------

static int add_chain(struct parser *parser, const char *name)
{
    struct parse_lines *lines = &parser->families[parser->family];
    if (strlen(name) > LIMIT_CHAIN_NAME) {
        return err_set(parser->err, ERR_LIMIT, 0, "chain %s: a name longer than %d", name, LIMIT_CHAIN_NAME);
    }
    if (map_get_str(lines->chain_index, name)) {
        return err_set(parser->err, ERR_INPUT, 0, "chain %s twice", name);
    }
    struct chain chain = {.name = keep_text(parser, name)};
    if (!chain.name || vec_push(&lines->chains, chain) < 0 ||
        map_put_str(lines->chain_index, name, (void *)(uintptr_t)lines->chains.n, NULL) < 0) {
        return err_oom(parser->err);
    }
    return 0;
}

// ":NAME POLICY [0:0]"
static int parse_chain_line(struct parser *parser)
{
    const char *name = parser->words.v[0] + 1;
    return starts_with(name, RULESET_CHAIN_PREFIX) ? add_chain(parser, name) : 0;
}

static int parse_chain_rule(struct parser *parser, const char *const *args, size_t n_args, const char *chain)
{
    struct parse_lines *lines = &parser->families[parser->family];
    uintptr_t index = (uintptr_t)map_get_str(lines->chain_index, chain);
    if (!index) {
        return err_set(parser->err, ERR_INPUT, 0, "-A %s: no such chain was declared", chain);
    }
    struct parse_rule_line rule = {.chain = index - 1, .line = parser->line};
    if (parse_rule(args, n_args, parser->family, &parser->ruleset->arena, &rule.parsed, parser->err) < 0) {
        return -1;
    }
    return vec_push(&lines->rules, rule) < 0 ? err_oom(parser->err) : 0;
}

static bool leads_to_us(const char *const *args, size_t n_args)
{
    for (size_t i = 0; i + 1 < n_args; i++) {
        if ((strcmp(args[i], "-j") == 0 || strcmp(args[i], "-g") == 0) &&
            starts_with(args[i + 1], RULESET_CHAIN_PREFIX)) {
            return true;
        }
    }
    return false;
}

// Where among all hooks the one goes that shall be at `position` (1-based) in its built-in chain; the end when the
// chain has fewer.
static size_t hook_place(const struct parse_lines *lines, const char *builtin, size_t position)
{
    for (size_t i = 0; i < lines->hooks.n; i++) {
        if (strcmp(lines->hooks.v[i].builtin, builtin) == 0 && --position == 0) {
            return i;
        }
    }
    return lines->hooks.n;
}

static size_t count_hooks(const struct parse_lines *lines, const char *builtin)
{
    size_t n = 0;
    for (size_t i = 0; i < lines->hooks.n; i++) {
        n += strcmp(lines->hooks.v[i].builtin, builtin) == 0;
    }
    return n;
}

static int add_hook(struct parser *parser, const struct parse_hook_line *hook, size_t position)
{
    struct parse_lines *lines = &parser->families[parser->family];
    size_t place = position ? hook_place(lines, hook->builtin, position) : lines->hooks.n;
    if (vec_push(&lines->hooks, *hook) < 0) {
        return err_oom(parser->err);
    }
    for (size_t i = lines->hooks.n - 1; i > place; i--) {
        lines->hooks.v[i] = lines->hooks.v[i - 1];
    }
    lines->hooks.v[place] = *hook;
    return 0;
}

// The present line is none of ours.
static int pass_foreign_line(struct parser *parser)
{
    return parse_foreign_line(&parser->foreign, parser->family, parser->line, parser->line_text, parser->line_len,
                              parser->err);
}

// A rule of a built-in chain: ours when it leads to one of our chains. position 0 appends.
static int parse_builtin_rule(struct parser *parser, const char *const *args, size_t n_args, const char *builtin,
                              size_t position)
{
    if (!leads_to_us(args, n_args)) {
        return pass_foreign_line(parser);
    }
    struct parse_hook_line hook = {.line = parser->line, .builtin = keep_text(parser, builtin)};
    if (!hook.builtin) {
        return err_oom(parser->err);
    }
    if (parse_rule(args, n_args, parser->family, &parser->ruleset->arena, &hook.parsed, parser->err) < 0) {
        return -1;
    }
    // -I puts ours ahead of what stands there.
    if (position == 0 || position > count_hooks(&parser->families[parser->family], builtin) + 1) {
        parse_foreign_hook(&parser->foreign, parser->family, builtin);
    }
    return add_hook(parser, &hook, position);
}

// "-A CHAIN …", "-I BUILTIN [N] …", either behind "[packets:bytes]".
static int parse_rule_line(struct parser *parser)
{
    const char *const *words = parser->words.v;
    size_t n = parser->words.n;
    if (words[0][0] == '[') {
        words++;
        n--;
    }
    if (n < 2 || (strcmp(words[0], "-A") != 0 && strcmp(words[0], "-I") != 0)) {
        return err_set(parser->err, ERR_INPUT, 0, "%s: not a command that our text uses", n ? words[0] : "[");
    }
    bool insert = words[0][1] == 'I';
    const char *chain = words[1];
    const char *const *args = words + 2;
    size_t n_args = n - 2;
    if (is_builtin(chain)) {
        unsigned position = insert ? 1 : 0;
        if (insert && n_args && parse_number(args[0], UINT16_MAX, &position)) {
            args++;
            n_args--;
        }
        if (insert && position == 0) {
            return err_set(parser->err, ERR_INPUT, 0, "-I %s 0: positions start at 1", chain);
        }
        return parse_builtin_rule(parser, args, n_args, chain, position);
    }
    if (!starts_with(chain, RULESET_CHAIN_PREFIX)) {
        return pass_foreign_line(parser);
    }
    return insert ? err_set(parser->err, ERR_INPUT, 0, "-I %s: not a command that our text uses", chain)
                  : parse_chain_rule(parser, args, n_args, chain);
}

static void read_marker(struct parser *parser, const char *line)
{
    if (starts_with(line, RENDER_MARK_IPTABLES) || starts_with(line, "# Generated by iptables")) {
        parser->family = FAMILY_V4;
    } else if (starts_with(line, RENDER_MARK_IP6TABLES) || starts_with(line, "# Generated by ip6tables")) {
        parser->family = FAMILY_V6;
    }
}

static int parse_table_line(struct parser *parser)
{
    const char *word = parser->words.v[0];
    if (strcmp(word, "COMMIT") == 0) {
        parser->table = TABLE_NONE;
        return 0;
    }
    if (*word == '*') {
        return err_set(parser->err, ERR_INPUT, 0, "%s: the table before has no COMMIT", word);
    }
    return *word == ':' ? parse_chain_line(parser) : parse_rule_line(parser);
}

static int parse_top_line(struct parser *parser)
{
    const char *word = parser->words.v[0];
    if (*word == '*') {
        parser->table = strcmp(word, "*filter") == 0 ? TABLE_FILTER : TABLE_FOREIGN;
        parse_foreign_table(&parser->foreign, word + 1);
        return 0;
    }
    if (strcmp(word, "create") == 0) {
        return parse_create(parser);
    }
    if (strcmp(word, "add") == 0) {
        return parse_add(parser);
    }
    return err_set(parser->err, ERR_INPUT, 0, "%s: not a command that our text uses", word);
}

// Lines of others are not read at all: their words may follow rules that we do not know.
static bool is_foreign_line(const struct parser *parser, const char *line, size_t len)
{
    if (parser->table == TABLE_NONE || len == 0) {
        return false;
    }
    bool rule = line[0] == ':' || line[0] == '[' || (len > 2 && memcmp(line, "-A ", 3) == 0);
    bool end = line[0] == '*' || (len >= 6 && memcmp(line, "COMMIT", 6) == 0);
    return (parser->table == TABLE_FOREIGN && !end) ||
           (rule && !memmem(line, len, RULESET_CHAIN_PREFIX, strlen(RULESET_CHAIN_PREFIX)));
}

static int parse_line(struct parser *parser, const char *line, size_t len)
{
    if (len && line[0] == '#') {
        // Short: the longest marker is all that matters.
        char comment[64] = "";
        memcpy(comment, line, len < sizeof(comment) ? len : sizeof(comment) - 1);
        read_marker(parser, comment);
        return 0;
    }
    parser->line_text = line;
    parser->line_len = len;
    if (is_foreign_line(parser, line, len)) {
        return pass_foreign_line(parser);
    }
    if (parse_words_split(&parser->words, line, len, parser->err) < 0) {
        return -1;
    }
    if (parser->words.n == 0) {
        return 0;
    }
    return parser->table == TABLE_NONE ? parse_top_line(parser) : parse_table_line(parser);
}

static int parse_all(struct parser *parser, const char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line_len = end ? (size_t)(end - (text + at)) : len - at;
        parser->line++;
        if (parse_line(parser, text + at, line_len) < 0) {
            return err_at_object(parser->err, "line %u", parser->line);
        }
        at += line_len + 1;
    }
    if (parser->table != TABLE_NONE) {
        err_set(parser->err, ERR_INPUT, 0, "the text ends before COMMIT");
        return err_at_object(parser->err, "line %u", parser->line);
    }
    return 0;
}

int parse_restore(const char *text, size_t len, struct ruleset **ret, struct err *err)
{
    return parse_restore_foreign(text, len, ret, NULL, err);
}

int parse_restore_foreign(const char *text, size_t len, struct ruleset **ret, struct findings *foreign, struct err *err)
{
    __attribute__((cleanup(parser_deinit))) struct parser parser = {0};
    if ((foreign && foreign_new(&parser.foreign.foreign, err) < 0) || parser_init(&parser, err) < 0 ||
        parse_all(&parser, text, len) < 0) {
        return -1;
    }
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        if (parse_lines_deal(&parser.families[i], &parser.ruleset->arena, &parser.ruleset->tables[i], err) < 0) {
            return -1;
        }
    }
    if (foreign && foreign_judge(parser.foreign.foreign, foreign, err) < 0) {
        return -1;
    }
    *ret = TAKE(parser.ruleset);
    return 0;
}
