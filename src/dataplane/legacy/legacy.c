// SPDX-License-Identifier: Apache-2.0
#include "dataplane/legacy/legacy.h"

int legacy_fail(struct err *err, const struct err *why)
{
    if (err) {
        *err = *why;
    }
    return -1;
}

static int legacy_probe(struct err *err)
{
    return xtables_probe(XTABLES_V4, err) < 0 || kernel_sets_probe(err) < 0 ? -1 : 0;
}

static void legacy_close(struct backend *backend)
{
    if (backend) {
        struct legacy *legacy = CONTAINER_OF(backend, struct legacy, backend);
        kernel_sets_close(&legacy->kernel);
        free(legacy);
    }
}

static int legacy_open(const struct backend_options *options, struct backend **ret, struct err *err)
{
    struct legacy *legacy = calloc(1, sizeof(*legacy));
    if (!legacy) {
        return err_oom(err);
    }
    legacy->backend.ops = &backend_legacy;
    if (options) {
        legacy->kernel.options = *options;
    }
    *ret = &legacy->backend;
    return 0;
}

static int commit_table(struct kernel_sets_apply *apply, enum family family, void *arg, struct err *err)
{
    return legacy_table_apply(arg, apply, family, err);
}

static int legacy_apply(struct backend *backend, const struct ruleset *have, const struct ruleset *want,
                        struct apply_report *ret, struct err *err)
{
    struct legacy *legacy = CONTAINER_OF(backend, struct legacy, backend);
    const struct kernel_tables tables = {.check = legacy_table_check, .commit = commit_table, .arg = legacy};
    return kernel_apply(&legacy->kernel, &tables, have, want, ret, err);
}

static int legacy_change_members(struct backend *backend, const struct set_change *changes, size_t n,
                                 struct apply_report *ret, struct err *err)
{
    return kernel_sets_change(&CONTAINER_OF(backend, struct legacy, backend)->kernel, changes, n, ret, err);
}

static int legacy_purge(struct backend *backend, struct apply_report *ret, struct err *err)
{
    const struct ruleset nothing = {0};
    return legacy_apply(backend, NULL, &nothing, ret, err);
}

static int legacy_stamp(UNUSED struct backend *backend, uint64_t *ret, struct err *err)
{
    uint64_t v4;
    uint64_t v6;
    if (xtables_measure(XTABLES_V4, &v4, err) < 0 || xtables_measure(XTABLES_V6, &v6, err) < 0) {
        return -1;
    }
    *ret = v4 * UINT64_C(1099511628211) + v6;
    return 0;
}

const struct backend_ops backend_legacy = {
    .name = "legacy",
    .probe = legacy_probe,
    .open = legacy_open,
    .snapshot = legacy_snapshot,
    .apply = legacy_apply,
    .change_members = legacy_change_members,
    .stamp = legacy_stamp,
    .overwritable = true,
    .purge = legacy_purge,
    .close = legacy_close,
};
