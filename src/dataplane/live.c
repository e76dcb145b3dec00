// SPDX-License-Identifier: Apache-2.0
#include "dataplane/live.h"

#include <stdio.h>

#include "dataplane/legacy/legacy.h"
#include "dataplane/live_nft.h"

void live_free(struct live *live)
{
    if (live) {
        ruleset_free(live->ruleset);
        findings_free(&live->unprovable);
        findings_free(&live->foreign);
        free(live);
    }
}

struct table_reader {
    struct findings *to;
    enum family family;
    const char *table;
    const char *chain;
    unsigned position;
};

static int note_rule(const struct xtables_view *view, void *arg, struct err *err)
{
    struct table_reader *reader = arg;
    char where[FINDING_WHERE];
    char what[FINDING_WHAT];
    unsigned number = ++reader->position;
    if (!*view->target) {
        return 0;
    }
    (void)snprintf(where, sizeof(where), "%s %s %s rule %u", family_name(reader->family), reader->table, reader->chain,
                   number);
    (void)snprintf(what, sizeof(what), "-j %s", view->target);
    return findings_add(reader->to, where, what, err);
}

// The built-in chains that a packet meets before the filter table; only those that the table has are read.
static int read_table(enum family family, const char *name, struct findings *to, struct err *err)
{
    static const char *const chains[] = {"PREROUTING", "INPUT", "FORWARD", "OUTPUT"};
    enum xtables_presence presence;
    if (xtables_presence_of(legacy_xtables_family(family), name, &presence, err) < 0) {
        return -1;
    }
    if (presence != XTABLES_PRESENT) {
        return 0;
    }
    CLEANUP(xtables_close) struct xtables *table = NULL;
    if (xtables_open_table(legacy_xtables_family(family), name, &table, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < ARRAY_SIZE(chains); i++) {
        struct table_reader reader = {.to = to, .family = family, .table = name, .chain = chains[i]};
        if (xtables_has_chain(table, chains[i]) && xtables_read(table, chains[i], note_rule, &reader, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int read_early_tables(struct findings *to, struct err *err)
{
    static const char *const tables[] = {"raw", "mangle"};
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
            if (read_table(family, tables[i], to, err) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

int live_read(const struct backend_options *options, struct live **ret, struct err *err)
{
    CLEANUP(live_free) struct live *live = calloc(1, sizeof(*live));
    struct backend *backend = NULL;
    if (!live) {
        return err_oom(err);
    }
    if (backend_legacy.probe(err) < 0 || backend_legacy.open(options, &backend, err) < 0) {
        return -1;
    }
    int rc = legacy_read(CONTAINER_OF(backend, struct legacy, backend), &live->unprovable, &live->foreign,
                         &live->ruleset, err);
    backend_legacy.close(backend);
    if (rc < 0 || read_early_tables(&live->foreign, err) < 0 || live_nft_read(&live->foreign, err) < 0) {
        return -1;
    }
    *ret = TAKE(live);
    return 0;
}
