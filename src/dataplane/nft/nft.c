// SPDX-License-Identifier: Apache-2.0
#include "dataplane/nft/nft.h"

#include "dataplane/nft/nft_kernel.h"
#include "dataplane/nft/nft_tool.h"

// nf_tables frees the rules of a commit, and with them their hold on sets, a moment later.
enum { RELEASE_MS = 500 };

static int nft_probe(struct err *err)
{
    return nft_kernel_probe(err) < 0 || nft_tool_check(FAMILY_V4, NFT_TOOL_SAVE, err) < 0 ||
                   nft_tool_check(FAMILY_V4, NFT_TOOL_RESTORE, err) < 0 || kernel_sets_probe(err) < 0
               ? -1
               : 0;
}

static void nft_close(struct backend *backend)
{
    if (backend) {
        struct nft *nft = CONTAINER_OF(backend, struct nft, backend);
        kernel_sets_close(&nft->kernel);
        free(nft);
    }
}

static int nft_open(const struct backend_options *options, struct backend **ret, struct err *err)
{
    struct nft *nft = calloc(1, sizeof(*nft));
    if (!nft) {
        return err_oom(err);
    }
    nft->backend.ops = &backend_nft;
    if (options) {
        nft->kernel.options = *options;
    }
    *ret = &nft->backend;
    return 0;
}

int nft_fill_table(struct ruleset *ruleset, enum family family, const struct nft_seen *seen, bool as_it_is,
                   struct err *err)
{
    struct table *table = &ruleset->tables[family];
    struct arena *arena = &ruleset->arena;
    struct chain *chains = arena_alloc(arena, seen->chains.n * sizeof(*chains));
    struct hook *hooks = arena_alloc(arena, seen->jumps.n * sizeof(*hooks));
    if (!chains || !hooks) {
        return err_oom(err);
    }
    for (size_t i = 0; i < seen->chains.n; i++) {
        chains[i] = seen->chains.v[i];
    }
    for (size_t i = 0; i < seen->jumps.n; i++) {
        const struct nft_jump *jump = &seen->jumps.v[i];
        size_t rank = 0;
        for (size_t j = 0; j < i; j++) {
            rank += strcmp(hooks[j].builtin, jump->builtin) == 0;
        }
        hooks[i] = (struct hook){.builtin = jump->builtin, .rule = jump->rule};
        if (jump->position != rank && !as_it_is) {
            hooks[i].rule.comment = BACKEND_MISPLACED_HOOK;
        }
    }
    table->chains = chains;
    table->n_chains = seen->chains.n;
    table->hooks = hooks;
    table->n_hooks = seen->jumps.n;
    return 0;
}

static int nft_snapshot(struct backend *backend, struct ruleset **ret, struct err *err)
{
    struct nft *nft = CONTAINER_OF(backend, struct nft, backend);
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    if (kernel_sets_read(&nft->kernel, &ruleset, NULL, err) < 0) {
        return -1;
    }
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        CLEANUP(nft_seen_free) struct nft_seen *seen = NULL;
        if (nft_table_read(family, &ruleset->tables[family], &ruleset->arena, &seen, NULL, err) < 0 ||
            nft_fill_table(ruleset, family, seen, false, err) < 0) {
            return -1;
        }
    }
    *ret = TAKE(ruleset);
    return 0;
}

static int commit_table(struct kernel_sets_apply *apply, enum family family, void *arg, struct err *err)
{
    return nft_table_apply(arg, apply, family, err);
}

static int nft_apply(struct backend *backend, const struct ruleset *have, const struct ruleset *want,
                     struct apply_report *ret, struct err *err)
{
    struct nft *nft = CONTAINER_OF(backend, struct nft, backend);
    const struct kernel_tables tables = {.commit = commit_table, .arg = nft, .patience_ms = RELEASE_MS};
    return kernel_apply(&nft->kernel, &tables, have, want, ret, err);
}

static int nft_change_members(struct backend *backend, const struct set_change *changes, size_t n,
                              struct apply_report *ret, struct err *err)
{
    return kernel_sets_change(&CONTAINER_OF(backend, struct nft, backend)->kernel, changes, n, ret, err);
}

static int nft_purge(struct backend *backend, struct apply_report *ret, struct err *err)
{
    const struct ruleset nothing = {0};
    return nft_apply(backend, NULL, &nothing, ret, err);
}

static int nft_stamp(UNUSED struct backend *backend, uint64_t *ret, struct err *err)
{
    uint32_t generation = 0;
    if (nft_kernel_generation(&generation, err) < 0) {
        return -1;
    }
    *ret = generation;
    return 0;
}

const struct backend_ops backend_nft = {
    .name = "nft",
    .probe = nft_probe,
    .open = nft_open,
    .snapshot = nft_snapshot,
    .apply = nft_apply,
    .change_members = nft_change_members,
    .stamp = nft_stamp,
    .purge = nft_purge,
    .close = nft_close,
};
