// SPDX-License-Identifier: Apache-2.0
//
// One transaction a family: jumps that are not in place by -D of their own text, changed chains flushed and filled,
// jumps inserted at the head, stale chains deleted. iptables-nft-restore commits all of it or nothing, against the
// state that it read itself: what another program has changed since our reading makes it fail (a jump to delete that is
// gone, a chain to delete that is used), or shows in the generation behind it, and we look again.
#include "dataplane/nft/nft.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/nft/nft_kernel.h"
#include "dataplane/nft/nft_tool.h"
#include "ruleset/render.h"

enum { ATTEMPTS = 5 };

// One reading of the table and its editing.
struct edit {
    struct kernel_sets_apply *apply;
    enum family family;
    const struct table *want;
    struct arena arena;
    struct nft_seen *seen;
    struct buf removed;   // -D of jumps
    struct buf chains;    // ":CHAIN - [0:0]": created or flushed
    struct buf rules;     // -A
    struct buf inserted;  // -I of jumps
    struct buf deleted;   // -X
    struct apply_report report;
    bool changed;
};

static void edit_deinit(struct edit *edit)
{
    nft_seen_free(edit->seen);
    arena_free(&edit->arena);
    buf_free(&edit->removed);
    buf_free(&edit->chains);
    buf_free(&edit->rules);
    buf_free(&edit->inserted);
    buf_free(&edit->deleted);
}

bool nft_has_family(enum family family)
{
    if (family == FAMILY_V4) {
        return true;
    }
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno != EAFNOSUPPORT;
    }
    (void)close(fd);
    return true;
}

// ---- reading -------------------------------------------------------------------------------------------------------

int nft_table_save(enum family family, const char *table, struct buf *out, struct err *err)
{
    const char *const words[] = {"-t", table, NULL};
    char path[NFT_TOOL_PATH];
    return nft_tool_find(family, NFT_TOOL_SAVE, path, err) < 0 ? -1 : nft_tool_run(path, words, "", 0, out, err);
}

int nft_table_read(enum family family, const struct table *sets, struct arena *arena, struct nft_seen **ret,
                   uint32_t *ret_generation, struct err *err)
{
    static const char nothing[] = "*filter\nCOMMIT\n";
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        CLEANUP(nft_seen_free) struct nft_seen *seen = NULL;
        struct buf BUF_CLEANUP text = {0};
        uint32_t before = 0;
        uint32_t after = 0;
        size_t own = 0;
        struct err why = {0};
        if (nft_kernel_generation(&before, err) < 0) {
            return -1;
        }
        if (nft_kernel_own_chains(family, &own, &why) < 0) {
            if (why.kind == ERR_RETRY) {
                continue;
            }
            return err_set(err, why.kind, why.num, "%s", why.msg);
        }
        if (own && nft_kernel_awake(family, err) < 0) {
            return -1;
        }
        if (own ? nft_table_save(family, "filter", &text, err) < 0
                : (buf_puts(&text, nothing), text.failed && err_oom(err))) {
            return -1;
        }
        if (nft_seen_parse(family, text.data, text.len, sets, arena, &seen, err) < 0 ||
            nft_kernel_generation(&after, err) < 0) {
            return -1;
        }
        // The last reading is taken as it is: iptables-nft-save reads chains and rules of one generation.
        if (before == after || i + 1 == ATTEMPTS) {
            *ret = TAKE(seen);
            if (ret_generation) {
                *ret_generation = before;
            }
            return 0;
        }
    }
    return err_set(err, ERR_RETRY, EAGAIN, "nf_tables changed in each of %d readings", ATTEMPTS);
}

// ---- chains --------------------------------------------------------------------------------------------------------

static void write_chain(struct edit *edit, const struct chain *chain)
{
    buf_printf(&edit->chains, ":%s - [0:0]\n", chain->name);
    for (size_t i = 0; i < chain->n_rules; i++) {
        render_rule(edit->family, edit->want, chain->name, &chain->rules[i], &edit->rules);
        buf_putc(&edit->rules, '\n');
    }
    edit->changed = true;
}

static void write_chains(struct edit *edit)
{
    for (size_t i = 0; i < edit->want->n_chains; i++) {
        const struct chain *chain = &edit->want->chains[i];
        const struct chain *from = nft_seen_chain(edit->seen, chain->name);
        if (from && chain_equal(from, chain)) {
            continue;
        }
        write_chain(edit, chain);
        edit->report.chains_created += !from;
        edit->report.chains_rewritten += from != NULL;
    }
}

// Stale chains jump to each other: all are emptied before one is deleted.
static void delete_stale(struct edit *edit)
{
    for (size_t i = 0; i < edit->seen->chains.n; i++) {
        const struct chain *chain = &edit->seen->chains.v[i];
        const char *referrer = map_get_str(edit->seen->referrers, chain->name);
        if (table_chain(edit->want, chain->name)) {
            continue;
        }
        if (chain->n_rules || !referrer) {
            buf_printf(&edit->chains, ":%s - [0:0]\n", chain->name);
            edit->changed = true;
        }
        if (referrer) {
            kernel_sets_pinned(edit->apply, "chain %s of %s (a rule of %s jumps to it)", chain->name,
                               family_name(edit->family), referrer);
            continue;
        }
        buf_printf(&edit->deleted, "-X %s\n", chain->name);
        edit->report.chains_deleted++;
    }
}

// ---- jumps ---------------------------------------------------------------------------------------------------------

static void remove_jump(struct edit *edit, const struct nft_jump *jump)
{
    buf_printf(&edit->removed, "-D %s %s\n", jump->builtin, jump->text);
    edit->changed = true;
}

static void insert_jumps(struct edit *edit, const char *builtin)
{
    unsigned position = 1;
    for (size_t i = 0; i < edit->want->n_hooks; i++) {
        const struct hook *hook = &edit->want->hooks[i];
        if (strcmp(hook->builtin, builtin) == 0) {
            buf_printf(&edit->inserted, "-I %s %u ", builtin, position++);
            render_rule(edit->family, edit->want, NULL, &hook->rule, &edit->inserted);
            buf_putc(&edit->inserted, '\n');
        }
    }
    edit->changed = true;
}

// The hook wanted at that position of a built-in chain; NULL behind the last.
static const struct hook *hook_at(const struct table *table, const char *builtin, size_t position)
{
    for (size_t i = 0; i < table->n_hooks; i++) {
        if (strcmp(table->hooks[i].builtin, builtin) == 0 && position-- == 0) {
            return &table->hooks[i];
        }
    }
    return NULL;
}

static bool is_in_place(const struct edit *edit, const struct nft_jump *jump)
{
    const struct hook *hook = hook_at(edit->want, jump->builtin, jump->position);
    return hook && rule_equal(&jump->rule, &hook->rule);
}

// -D takes the first rule of that text: a double behind the one in place cannot be told from it.
static bool has_double(const struct edit *edit, const struct nft_jump *jump)
{
    for (size_t i = 0; i < edit->seen->jumps.n; i++) {
        const struct nft_jump *other = &edit->seen->jumps.v[i];
        if (other != jump && strcmp(other->builtin, jump->builtin) == 0 && strcmp(other->text, jump->text) == 0) {
            return true;
        }
    }
    return false;
}

static void write_jumps_of(struct edit *edit, const char *builtin)
{
    size_t n_want = 0;
    size_t in_place = 0;
    size_t ours = 0;
    size_t in_order = 0;
    bool doubled = false;
    while (hook_at(edit->want, builtin, n_want)) {
        n_want++;
    }
    for (size_t i = 0; i < edit->seen->jumps.n; i++) {
        const struct nft_jump *jump = &edit->seen->jumps.v[i];
        if (strcmp(jump->builtin, builtin) == 0) {
            const struct hook *next = hook_at(edit->want, builtin, ours);
            in_order += ours == in_order && next && rule_equal(&jump->rule, &next->rule);
            ours++;
            in_place += is_in_place(edit, jump);
            doubled = doubled || has_double(edit, jump);
        }
    }
    size_t missing = n_want - in_place;
    size_t extra = ours > n_want ? ours - n_want : 0;
    bool stay = n_want > 0 && hook_at(edit->want, builtin, 0)->anywhere && in_order == n_want && ours == n_want;
    if ((missing == 0 && ours == in_place) || stay) {
        return;
    }
    bool all = missing > 0 || doubled;
    edit->report.hooks_written += missing + extra;
    edit->report.hooks_missing += n_want > ours ? n_want - ours : 0;
    for (size_t i = 0; i < edit->seen->jumps.n; i++) {
        const struct nft_jump *jump = &edit->seen->jumps.v[i];
        if (strcmp(jump->builtin, builtin) == 0 && (all || !is_in_place(edit, jump))) {
            remove_jump(edit, jump);
        }
    }
    if (all) {
        insert_jumps(edit, builtin);
    }
}

// ---- one family ----------------------------------------------------------------------------------------------------

static int commit(struct nft *nft, struct edit *edit, struct err *err)
{
    static const char *const words[] = {"--noflush", NULL};
    const struct backend_options *options = &nft->kernel.options;
    char path[NFT_TOOL_PATH];
    struct buf BUF_CLEANUP text = {0};
    const struct buf *const parts[] = {&edit->removed, &edit->chains, &edit->rules, &edit->inserted, &edit->deleted};
    if (nft_tool_find(edit->family, NFT_TOOL_RESTORE, path, err) < 0) {
        return -1;
    }
    buf_puts(&text, "*filter\n");
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if (parts[i]->failed) {
            return err_oom(err);
        }
        buf_add(&text, parts[i]->data ? parts[i]->data : "", parts[i]->len);
    }
    buf_puts(&text, "COMMIT\n");
    if (text.failed) {
        return err_oom(err);
    }
    int result = backend_step_begin(options, "commit", err);
    result = result < 0 ? result : nft_tool_run(path, words, text.data, text.len, NULL, err);
    backend_step_end(options, "commit");
    edit->apply->report.writes++;
    return result;
}

static void report_add(struct apply_report *to, const struct apply_report *from)
{
    to->chains_created += from->chains_created;
    to->chains_rewritten += from->chains_rewritten;
    to->chains_deleted += from->chains_deleted;
    to->hooks_written += from->hooks_written;
    to->hooks_missing += from->hooks_missing;
    to->commits++;
}

// *ret_settled: what was read was still so when our commit was made.
static int attempt(struct nft *nft, struct kernel_sets_apply *apply, enum family family, bool *ret_settled,
                   struct err *err)
{
    __attribute__((cleanup(edit_deinit))) struct edit edit = {
        .apply = apply, .family = family, .want = &apply->want->tables[family]};
    uint32_t before = 0;
    uint32_t after = 0;
    if (nft_table_read(family, edit.want, &edit.arena, &edit.seen, &before, err) < 0) {
        return -1;
    }
    write_chains(&edit);
    for (size_t i = 0; i < KERNEL_BUILTINS; i++) {
        write_jumps_of(&edit, kernel_builtins[i]);
    }
    delete_stale(&edit);
    *ret_settled = true;
    if (!edit.changed) {
        return 0;
    }
    if (commit(nft, &edit, err) < 0 || nft_kernel_generation(&after, err) < 0) {
        return -1;
    }
    *ret_settled = after == before + 1;
    report_add(&apply->report, &edit.report);
    return 0;
}

static int is_idle(enum family family, const struct table *want, bool *ret, struct err *err)
{
    size_t own = 0;
    if (want->n_chains || want->n_hooks) {
        *ret = !nft_has_family(family);
        return 0;
    }
    if (nft_kernel_own_chains(family, &own, err) < 0) {
        return -1;
    }
    *ret = own == 0;
    return 0;
}

int nft_table_apply(struct nft *nft, struct kernel_sets_apply *apply, enum family family, struct err *err)
{
    bool idle = false;
    const struct leftovers pinned = apply->report.pinned;
    if (is_idle(family, &apply->want->tables[family], &idle, err) < 0) {
        return -1;
    }
    for (unsigned i = 1; !idle; i++) {
        struct err why = {0};
        bool settled = false;
        apply->report.pinned = pinned;
        if (attempt(nft, apply, family, &settled, &why) < 0) {
            if (why.num != EAGAIN || i == ATTEMPTS) {
                if (err) {
                    *err = why;
                }
                return err_at_object(err, "table filter (%s)", family_name(family));
            }
            continue;
        }
        // Something else of nf_tables may have changed all the time: ours was right a moment ago, and the next reading
        // says so again.
        if (settled || i >= ATTEMPTS) {
            break;
        }
    }
    return 0;
}
