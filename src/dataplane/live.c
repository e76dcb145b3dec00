// SPDX-License-Identifier: Apache-2.0
#include "dataplane/live.h"

#include "dataplane/legacy/legacy.h"
#include "dataplane/live_kernel.h"
#include "dataplane/live_nft.h"
#include "dataplane/nft/nft.h"
#include "dataplane/nft/nft_kernel.h"
#include "ruleset/jumps.h"

enum { READINGS_MAX = 8 };

void live_free(struct live *live)
{
    if (live) {
        ruleset_free(live->ruleset);
        findings_free(&live->unprovable);
        findings_free(&live->foreign);
        findings_free(&live->jumps);
        free(live);
    }
}

static bool has_chains(const struct ruleset *ruleset)
{
    return ruleset->tables[FAMILY_V4].n_chains + ruleset->tables[FAMILY_V6].n_chains > 0;
}

// Ours are in the legacy tables, or nowhere.
static int read_legacy(struct legacy *legacy, bool has_sets, struct live *live, struct err *err)
{
    CLEANUP(foreign_free) struct foreign *foreign = NULL;
    if (foreign_new(&foreign, err) < 0) {
        return -1;
    }
    const struct legacy_notes notes = {.unprovable = &live->unprovable, .foreign = foreign, .has_sets = has_sets};
    return legacy_read_early(foreign, err) < 0 || legacy_read(legacy, &notes, &live->ruleset, err) < 0 ||
                   foreign_judge(foreign, &live->foreign, err) < 0
               ? -1
               : 0;
}

// Ours are in nf_tables. The legacy tables stand before or behind it, as they were registered: all of them count.
static int read_nft(struct legacy *legacy, bool has_sets, struct live *live, struct err *err)
{
    CLEANUP(foreign_free) struct foreign *foreign = NULL;
    CLEANUP(ruleset_free) struct ruleset *other = NULL;
    FINDINGS_CLEANUP struct findings unused = {0};
    if (nft_live_read(&legacy->kernel, has_sets, &live->unprovable, &live->foreign, &live->ruleset, err) < 0 ||
        foreign_new(&foreign, err) < 0) {
        return -1;
    }
    const struct legacy_notes notes = {.unprovable = &unused, .foreign = foreign};
    if (legacy_read_early(foreign, err) < 0 || legacy_read(legacy, &notes, &other, err) < 0) {
        return -1;
    }
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        for (size_t i = 0; i < KERNEL_BUILTINS; i++) {
            foreign_hook(foreign, family, kernel_builtins[i]);
        }
    }
    if (has_chains(other) && findings_add(&live->unprovable, "legacy tables beside nf_tables",
                                          "rules of netpold stand in both: let netpold finish, or clean up", err) < 0) {
        return -1;
    }
    return foreign_judge(foreign, &live->foreign, err);
}

static int read_once(struct legacy *legacy, struct live **ret, struct err *err)
{
    CLEANUP(live_free) struct live *live = calloc(1, sizeof(*live));
    bool has_sets = live_kernel_has("", "ip_set", "ip_set_type_register");
    bool has_nft = live_kernel_has("", "nf_tables", "nft_do_chain");
    size_t own[FAMILY_COUNT] = {0};
    if (!live) {
        return err_oom(err);
    }
    if (has_nft && (nft_kernel_own_chains(FAMILY_V4, &own[FAMILY_V4], err) < 0 ||
                    nft_kernel_own_chains(FAMILY_V6, &own[FAMILY_V6], err) < 0)) {
        return -1;
    }
    bool in_nft = own[FAMILY_V4] + own[FAMILY_V6] > 0;
    if ((in_nft ? read_nft(legacy, has_sets, live, err) : read_legacy(legacy, has_sets, live, err)) < 0 ||
        jumps_check(live->ruleset, &live->jumps, err) < 0 ||
        (has_nft && live_nft_read(in_nft, &live->foreign, err) < 0)) {
        return -1;
    }
    *ret = TAKE(live);
    return 0;
}

static bool findings_equal(const struct findings *a, const struct findings *b)
{
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        if (strcmp(a->v[i].where, b->v[i].where) != 0 || strcmp(a->v[i].what, b->v[i].what) != 0) {
            return false;
        }
    }
    return a->n == b->n && a->more == b->more;
}

static bool live_equal(const struct live *a, const struct live *b)
{
    return ruleset_equal(a->ruleset, b->ruleset) && findings_equal(&a->unprovable, &b->unprovable) &&
           findings_equal(&a->foreign, &b->foreign);
}

// Sets and tables are read one after the other, and a rule holds no more of its set than a number: a change in between
// would show rules that never stood beside these sets.
static int read_settled(struct legacy *legacy, struct live **ret, struct err *err)
{
    CLEANUP(live_free) struct live *before = NULL;
    for (unsigned i = 0; i < READINGS_MAX; i++) {
        CLEANUP(live_free) struct live *now = NULL;
        struct err why = {0};
        if (read_once(legacy, &now, &why) < 0) {
            if (why.kind != ERR_RETRY) {
                return legacy_fail(err, &why);
            }
            continue;
        }
        if (before && live_equal(before, now)) {
            *ret = TAKE(now);
            return 0;
        }
        live_free(before);
        before = TAKE(now);
    }
    return err_set(err, ERR_RETRY, 0, "the kernel's rules changed in each of %d readings: try again later",
                   READINGS_MAX);
}

int live_read(const struct backend_options *options, struct live **ret, struct err *err)
{
    struct backend *backend = NULL;
    if (live_kernel_allows(err) < 0 || backend_legacy.open(options, &backend, err) < 0) {
        return -1;
    }
    int rc = read_settled(CONTAINER_OF(backend, struct legacy, backend), ret, err);
    backend_legacy.close(backend);
    return rc;
}
