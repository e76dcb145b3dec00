// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "dataplane/legacy/legacy.h"
#include "dataplane/nft/nft.h"
#include "dataplane/nft/nft_kernel.h"
#include "ruleset/parse.h"
#include "ruleset/render.h"

// ---- ours ----------------------------------------------------------------------------------------------------------

static int read_sets(struct kernel_sets *kernel, bool has_sets, struct findings *unprovable, struct ruleset **ret,
                     struct err *err)
{
    if (!has_sets) {
        *ret = calloc(1, sizeof(**ret));
        return *ret ? 0 : err_oom(err);
    }
    struct kernel_sets_apply aliens = {.kernel = kernel};
    const struct legacy_notes notes = {.unprovable = unprovable};
    int rc = kernel_sets_read(kernel, ret, &aliens, err);
    rc = rc < 0 ? rc : legacy_note_aliens(&notes, &aliens, err);
    kernel_sets_apply_free(&aliens);
    return rc;
}

static int note_unknown(enum family family, const struct nft_seen *seen, struct findings *to, struct err *err)
{
    for (size_t i = 0; i < seen->unknown.n; i++) {
        const struct nft_unknown *unknown = &seen->unknown.v[i];
        char where[FINDING_WHERE];
        (void)snprintf(where, sizeof(where), "%s filter %.32s rule %u", family_name(family), unknown->chain,
                       unknown->number);
        if (findings_add(to, where, unknown->text, err) < 0) {
            return -1;
        }
    }
    return 0;
}

// ---- others --------------------------------------------------------------------------------------------------------

static bool starts_with(const char *line, size_t len, const char *text)
{
    return len >= strlen(text) && memcmp(line, text, strlen(text)) == 0;
}

// The text for parse.h without our chains, which may hold what it refuses; each jump of ours stays, in plain words.
static void keep_others(const char *text, size_t len, struct buf *out)
{
    for (size_t at = 0; at < len;) {
        const char *line = text + at;
        const char *end = memchr(line, '\n', len - at);
        size_t n = end ? (size_t)(end - line) : len - at;
        const char *jump = memmem(line, n, "-j " RULESET_CHAIN_PREFIX, strlen("-j " RULESET_CHAIN_PREFIX));
        jump = jump ? jump : memmem(line, n, "-g " RULESET_CHAIN_PREFIX, strlen("-g " RULESET_CHAIN_PREFIX));
        bool own = starts_with(line, n, ":" RULESET_CHAIN_PREFIX) || starts_with(line, n, "-A " RULESET_CHAIN_PREFIX);
        at += n + 1;
        if (own) {
            continue;
        }
        const char *chain = NULL;
        for (size_t i = 0; i < KERNEL_BUILTINS && jump; i++) {
            char start[32];
            (void)snprintf(start, sizeof(start), "-A %s ", kernel_builtins[i]);
            chain = starts_with(line, n, start) ? kernel_builtins[i] : chain;
        }
        if (chain) {
            buf_printf(out, "-A %s -j %sX\n", chain, RULESET_CHAIN_PREFIX);
        } else {
            buf_add(out, line, n);
            buf_putc(out, '\n');
        }
    }
}

struct present {
    bool table[FAMILY_COUNT][4];
};
static const char *const told_tables[4] = {"raw", "mangle", "nat", "filter"};

static int see_chain(const struct nft_kernel_chain *chain, void *arg, struct err *err)
{
    struct present *present = arg;
    (void)err;
    for (size_t i = 0; i < ARRAY_SIZE(told_tables); i++) {
        present->table[chain->family][i] =
            present->table[chain->family][i] || strcmp(told_tables[i], chain->table) == 0;
    }
    return 0;
}

static int read_others(struct findings *foreign, struct err *err)
{
    struct present present = {0};
    struct buf BUF_CLEANUP text = {0};
    CLEANUP(ruleset_free) struct ruleset *unused = NULL;
    if (nft_kernel_chains(see_chain, &present, err) < 0) {
        return -1;
    }
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        buf_printf(&text, "%s\n", render_section_mark(family == FAMILY_V6 ? RENDER_IP6TABLES : RENDER_IPTABLES));
        for (size_t i = 0; i < ARRAY_SIZE(told_tables); i++) {
            struct buf BUF_CLEANUP table = {0};
            if (!present.table[family][i]) {
                continue;
            }
            if (nft_table_save(family, told_tables[i], &table, err) < 0) {
                return -1;
            }
            keep_others(table.data ? table.data : "", table.len, &text);
        }
    }
    if (text.failed) {
        return err_oom(err);
    }
    FINDINGS_CLEANUP struct findings found = {0};
    if (parse_restore_foreign(text.data, text.len, &unused, &found, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < found.n; i++) {
        // Lines of this text are nobody's.
        char *line = strstr(found.v[i].where, ", line ");
        if (line) {
            *line = '\0';
        }
        if (findings_add(foreign, found.v[i].where, found.v[i].what, err) < 0) {
            return -1;
        }
    }
    foreign->more += found.more;
    return 0;
}

int nft_live_read(struct kernel_sets *kernel, bool has_sets, struct findings *unprovable, struct findings *foreign,
                  struct ruleset **ret, struct err *err)
{
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    if (read_sets(kernel, has_sets, unprovable, &ruleset, err) < 0) {
        return -1;
    }
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        CLEANUP(nft_seen_free) struct nft_seen *seen = NULL;
        if (nft_table_read(family, &ruleset->tables[family], &ruleset->arena, &seen, NULL, err) < 0 ||
            note_unknown(family, seen, unprovable, err) < 0 || nft_fill_table(ruleset, family, seen, true, err) < 0) {
            return -1;
        }
    }
    if (read_others(foreign, err) < 0) {
        return -1;
    }
    *ret = TAKE(ruleset);
    return 0;
}
