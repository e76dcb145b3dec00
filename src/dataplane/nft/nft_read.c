// SPDX-License-Identifier: Apache-2.0
#include "dataplane/nft/nft_read.h"

#include <stdlib.h>

#include "dataplane/kernel_apply.h"
#include "ruleset/parse_rule.h"
#include "ruleset/parse_words.h"

struct reader {
    enum family family;
    const struct table *sets;
    struct arena *arena;
    struct nft_seen *seen;
    struct parse_words words;
    VEC(struct rule) rules;   // of all chains, in the order of the text
    VEC(size_t) owners;       // the chain of each
    struct map *chain_index;  // name → index + 1
    unsigned positions[KERNEL_BUILTINS];
    bool inside;  // the filter table
    bool whole;   // COMMIT was seen
    struct err *err;
};

void nft_seen_free(struct nft_seen *seen)
{
    if (seen) {
        vec_free(&seen->chains);
        vec_free(&seen->jumps);
        vec_free(&seen->unknown);
        map_free(seen->referrers);
        free(seen);
    }
}

static void reader_deinit(struct reader *reader)
{
    nft_seen_free(reader->seen);
    parse_words_free(&reader->words);
    vec_free(&reader->rules);
    vec_free(&reader->owners);
    map_free(reader->chain_index);
}

static int add_chain(struct reader *reader, const char *name)
{
    struct nft_seen *seen = reader->seen;
    struct chain chain = {.name = arena_strdup(reader->arena, name)};
    if (!chain.name || vec_push(&seen->chains, chain) < 0 ||
        map_put_str(reader->chain_index, chain.name, (void *)(uintptr_t)seen->chains.n, NULL) < 0) {
        return err_oom(reader->err);
    }
    return 0;
}

static bool fits_set(const struct reader *reader, const struct parsed_rule *parsed)
{
    if (!parsed->rule.set) {
        return true;
    }
    const struct set *set = table_set(reader->sets, parsed->rule.set);
    return set && set_type_dimensions(set->type) == parsed->set_dimensions;
}

static int note_unknown(struct reader *reader, const char *line, size_t len, const char *chain, unsigned number)
{
    size_t skip = strlen("-A ") + strlen(chain) + 1;
    const struct nft_unknown unknown = {
        .chain = arena_strdup(reader->arena, chain),
        .number = number,
        .text = len > skip ? arena_strndup(reader->arena, line + skip, len - skip) : "",
    };
    return !unknown.chain || !unknown.text || vec_push(&reader->seen->unknown, unknown) < 0 ? err_oom(reader->err) : 0;
}

// words: those of the line. number: of the rule in its chain, from 1.
static int decode(struct reader *reader, const char *line, size_t len, unsigned number, struct rule *ret)
{
    const char *const *words = reader->words.v + 2;
    size_t n = reader->words.n - 2;
    struct parsed_rule parsed;
    struct err why = {0};
    if (parse_rule(words, n, reader->family, reader->arena, &parsed, &why) == 0 && fits_set(reader, &parsed)) {
        *ret = parsed.rule;
        return 0;
    }
    if (why.kind == ERR_OOM) {
        return err_oom(reader->err);
    }
    *ret = backend_unknown_rule();
    return note_unknown(reader, line, len, reader->words.v[1], number);
}

// The chain that the rule leads to; NULL none of ours.
static const char *destination(const char *const *words, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++) {
        if ((strcmp(words[i], "-j") == 0 || strcmp(words[i], "-g") == 0) && backend_is_our_chain(words[i + 1])) {
            return words[i + 1];
        }
    }
    return NULL;
}

static size_t builtin_of(const char *chain)
{
    size_t i = 0;
    while (i < KERNEL_BUILTINS && strcmp(kernel_builtins[i], chain) != 0) {
        i++;
    }
    return i;
}

static int read_jump(struct reader *reader, size_t builtin, unsigned position, const char *line, size_t len)
{
    struct nft_seen *seen = reader->seen;
    struct nft_jump jump = {.builtin = kernel_builtins[builtin], .position = position};
    size_t skip = strlen("-A ") + strlen(jump.builtin) + 1;
    jump.text = len > skip ? arena_strndup(reader->arena, line + skip, len - skip) : NULL;
    if (!jump.text) {
        return err_oom(reader->err);
    }
    if (decode(reader, line, len, position + 1, &jump.rule) < 0) {
        return -1;
    }
    return vec_push(&seen->jumps, jump) < 0 ? err_oom(reader->err) : 0;
}

static int note_referrer(struct reader *reader, const char *to, const char *from)
{
    const char *name = arena_strdup(reader->arena, from);
    return name && map_put_str(reader->seen->referrers, to, (void *)(uintptr_t)name, NULL) == 0 ? 0
                                                                                                : err_oom(reader->err);
}

// "-A CHAIN …"
static int read_rule(struct reader *reader, const char *line, size_t len)
{
    size_t name_len = 0;
    while (3 + name_len < len && line[3 + name_len] != ' ') {
        name_len++;
    }
    char chain[64] = "";
    memcpy(chain, line + 3, name_len < sizeof(chain) ? name_len : sizeof(chain) - 1);
    bool own = backend_is_our_chain(chain);
    size_t builtin = builtin_of(chain);
    unsigned position = builtin < KERNEL_BUILTINS ? reader->positions[builtin]++ : 0;
    // The words of others may follow rules that we do not know.
    if (!own && !memmem(line, len, RULESET_CHAIN_PREFIX, strlen(RULESET_CHAIN_PREFIX))) {
        return 0;
    }
    if (parse_words_split(&reader->words, line, len, reader->err) < 0) {
        return -1;
    }
    const char *const *words = reader->words.v;
    size_t n = reader->words.n;
    if (!own) {
        const char *to = n > 2 ? destination(words + 2, n - 2) : NULL;
        if (!to) {
            return 0;
        }
        return builtin < KERNEL_BUILTINS ? read_jump(reader, builtin, position, line, len)
                                         : note_referrer(reader, to, chain);
    }
    uintptr_t index = (uintptr_t)map_get_str(reader->chain_index, chain);
    struct rule rule;
    if (!index) {
        return err_set(reader->err, ERR_INPUT, 0, "a rule of chain %s, which was not declared", chain);
    }
    if (decode(reader, line, len, (unsigned)++reader->seen->chains.v[index - 1].n_rules, &rule) < 0) {
        return -1;
    }
    return vec_push(&reader->rules, rule) < 0 || vec_push(&reader->owners, index - 1) < 0 ? err_oom(reader->err) : 0;
}

static bool starts_with(const char *line, size_t len, const char *text)
{
    return len >= strlen(text) && memcmp(line, text, strlen(text)) == 0;
}

static int read_line(struct reader *reader, const char *line, size_t len)
{
    if (starts_with(line, len, "#")) {
        return memmem(line, len, "is incompatible", strlen("is incompatible")) &&
                       memmem(line, len, "`filter'", strlen("`filter'"))
                   ? err_set(reader->err, ERR_UNSUPPORTED, 0,
                             "the filter table holds rules made by nft, which iptables cannot tell: move them to a "
                             "table of another name")
                   : 0;
    }
    if (starts_with(line, len, "*")) {
        reader->inside = len == strlen("*filter") && starts_with(line, len, "*filter");
        return 0;
    }
    if (!reader->inside) {
        return 0;
    }
    if (starts_with(line, len, "COMMIT")) {
        reader->inside = false;
        reader->whole = true;
        return 0;
    }
    if (starts_with(line, len, ":")) {
        char name[64] = "";
        size_t n = 0;
        while (n + 1 < len && n + 1 < sizeof(name) && line[n + 1] != ' ') {
            name[n] = line[n + 1];
            n++;
        }
        return backend_is_our_chain(name) ? add_chain(reader, name) : 0;
    }
    return starts_with(line, len, "-A ") ? read_rule(reader, line, len) : 0;
}

static int chain_compare(const void *a, const void *b)
{
    return strcmp(((const struct chain *)a)->name, ((const struct chain *)b)->name);
}

// The rules of a chain stand together in what iptables-save prints, but nothing promises it.
static int deal_rules(struct reader *reader)
{
    struct nft_seen *seen = reader->seen;
    struct rule *rules = arena_alloc(reader->arena, reader->rules.n * sizeof(*rules));
    if (!rules) {
        return err_oom(reader->err);
    }
    for (size_t i = 0; i < seen->chains.n; i++) {
        seen->chains.v[i].rules = rules;
        rules += seen->chains.v[i].n_rules;
        seen->chains.v[i].n_rules = 0;
    }
    for (size_t i = 0; i < reader->rules.n; i++) {
        struct chain *chain = &seen->chains.v[reader->owners.v[i]];
        ((struct rule *)(uintptr_t)chain->rules)[chain->n_rules++] = reader->rules.v[i];
    }
    if (seen->chains.n) {
        qsort(seen->chains.v, seen->chains.n, sizeof(*seen->chains.v), chain_compare);
    }
    return 0;
}

int nft_seen_parse(enum family family, const char *text, size_t len, const struct table *sets, struct arena *arena,
                   struct nft_seen **ret, struct err *err)
{
    __attribute__((cleanup(reader_deinit))) struct reader reader = {
        .family = family, .sets = sets, .arena = arena, .err = err};
    reader.seen = calloc(1, sizeof(*reader.seen));
    reader.chain_index = map_new();
    if (!reader.seen || !reader.chain_index || !(reader.seen->referrers = map_new())) {
        return err_oom(err);
    }
    unsigned number = 0;
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line_len = end ? (size_t)(end - (text + at)) : len - at;
        number++;
        if (read_line(&reader, text + at, line_len) < 0) {
            return err_at_object(err, "iptables-nft-save (%s), line %u", family_name(family), number);
        }
        at += line_len + 1;
    }
    if (!reader.whole) {
        return err_set(err, ERR_INPUT, 0, "iptables-nft-save (%s) prints no filter table", family_name(family));
    }
    if (deal_rules(&reader) < 0) {
        return -1;
    }
    *ret = TAKE(reader.seen);
    return 0;
}

const struct chain *nft_seen_chain(const struct nft_seen *seen, const char *name)
{
    const struct chain key = {.name = name};
    return seen->chains.n ? bsearch(&key, seen->chains.v, seen->chains.n, sizeof(key), chain_compare) : NULL;
}
