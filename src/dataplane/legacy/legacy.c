// SPDX-License-Identifier: Apache-2.0
#include "dataplane/legacy/legacy.h"

#include <stdarg.h>
#include <stdio.h>

const char *legacy_set_prefix(enum family family)
{
    return family == FAMILY_V6 ? RULESET_SET_PREFIX_V6 : RULESET_SET_PREFIX_V4;
}

bool legacy_is_our_chain(const char *name)
{
    return strncmp(name, RULESET_CHAIN_PREFIX, sizeof(RULESET_CHAIN_PREFIX) - 1) == 0;
}

int legacy_fail(struct err *err, const struct err *why)
{
    if (err) {
        *err = *why;
    }
    return -1;
}

void legacy_pinned(struct legacy_apply *apply, const char *fmt, ...)
{
    struct leftovers *pinned = &apply->report.pinned;
    char text[160];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    size_t len = strlen(pinned->names);
    if (len + strlen(text) + sizeof(", ") <= sizeof(pinned->names)) {
        (void)snprintf(pinned->names + len, sizeof(pinned->names) - len, "%s%s", len ? ", " : "", text);
    }
    pinned->n++;
}

void legacy_step(const struct legacy *legacy, const char *what, bool after)
{
    if (legacy->options.step) {
        legacy->options.step(what, after, legacy->options.step_arg);
    }
}

int legacy_sets_open(struct legacy *legacy, struct err *err)
{
    return legacy->sets ? 0 : sets_open(&legacy->sets, err);
}

static int legacy_probe(struct err *err)
{
    CLEANUP(sets_close) struct sets *sets = NULL;
    if (xtables_probe(XTABLES_V4, err) < 0 || sets_open(&sets, err) < 0) {
        return -1;
    }
    for (enum sets_type type = SETS_HASH_IP; type < SETS_OTHER; type++) {
        if (sets_probe(sets, type, SETS_V4, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static void legacy_close(struct backend *backend)
{
    if (backend) {
        struct legacy *legacy = CONTAINER_OF(backend, struct legacy, backend);
        sets_close(legacy->sets);
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
        legacy->options = *options;
    }
    *ret = &legacy->backend;
    return 0;
}

static int run_phases(struct legacy_apply *apply, struct err *err)
{
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        if (legacy_table_check(family, &apply->want->tables[family], err) < 0) {
            return -1;
        }
    }
    if (legacy_sets_widen(apply, err) < 0) {
        return -1;
    }
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        if (legacy_table_apply(apply, family, err) < 0) {
            return -1;
        }
    }
    return legacy_sets_narrow(apply, err);
}

static int apply_from(struct legacy_apply *apply, const struct ruleset *have, const struct ruleset *want,
                      struct err *err)
{
    CLEANUP(ruleset_free) struct ruleset *read = NULL;
    CLEANUP(ruleset_diff_free) struct ruleset_diff *diff = NULL;
    if (!have) {
        if (legacy_sets_read(apply->legacy, &read, apply, err) < 0) {
            return -1;
        }
        have = read;
    }
    if (ruleset_diff_make(have, want, &diff, err) < 0) {
        return -1;
    }
    apply->want = want;
    apply->diff = diff;
    return run_phases(apply, err);
}

static int legacy_apply(struct backend *backend, const struct ruleset *have, const struct ruleset *want,
                        struct apply_report *ret, struct err *err)
{
    struct legacy_apply apply = {.legacy = CONTAINER_OF(backend, struct legacy, backend)};
    int result = apply_from(&apply, have, want, err);
    vec_free(&apply.aliens);
    map_free(apply.exact);
    if (result == 0 && apply.late.kind != ERR_NONE) {
        result = legacy_fail(err, &apply.late);
    }
    if (result == 0 && ret) {
        *ret = apply.report;
    }
    return result;
}

static int legacy_purge(struct backend *backend, struct apply_report *ret, struct err *err)
{
    const struct ruleset nothing = {0};
    return legacy_apply(backend, NULL, &nothing, ret, err);
}

const struct backend_ops backend_legacy = {
    .name = "legacy",
    .probe = legacy_probe,
    .open = legacy_open,
    .snapshot = legacy_snapshot,
    .apply = legacy_apply,
    .change_members = legacy_change_members,
    .purge = legacy_purge,
    .close = legacy_close,
};
