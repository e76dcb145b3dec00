// SPDX-License-Identifier: Apache-2.0
#include "dataplane/live.h"

#include "dataplane/legacy/legacy.h"
#include "dataplane/live_kernel.h"
#include "dataplane/live_nft.h"
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

static int read_once(struct legacy *legacy, struct live **ret, struct err *err)
{
    CLEANUP(live_free) struct live *live = calloc(1, sizeof(*live));
    CLEANUP(foreign_free) struct foreign *foreign = NULL;
    if (!live) {
        return err_oom(err);
    }
    if (foreign_new(&foreign, err) < 0) {
        return -1;
    }
    const struct legacy_notes notes = {
        .unprovable = &live->unprovable,
        .foreign = foreign,
        .has_sets = live_kernel_has("", "ip_set", "ip_set_type_register"),
    };
    if (legacy_read_early(foreign, err) < 0 || legacy_read(legacy, &notes, &live->ruleset, err) < 0 ||
        foreign_judge(foreign, &live->foreign, err) < 0 || jumps_check(live->ruleset, &live->jumps, err) < 0) {
        return -1;
    }
    if (live_kernel_has("", "nf_tables", "nft_do_chain") && live_nft_read(&live->foreign, err) < 0) {
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
