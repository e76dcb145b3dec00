// SPDX-License-Identifier: Apache-2.0
//
// What live_read says of the kernel of this network namespace (tests/kernel/test_live.sh):
//   live_text rules              the ruleset as text
//   live_text findings           "unprovable|foreign|jump WHERE: WHAT", one a line
//   live_text equals FILE        exit 0 when the ruleset is that of the file, else 2 and the difference: seen (-),
//   wanted (+) live_text foreign FILE       what the text itself says of others, one a line
#include <errno.h>
#include <stdio.h>

#include "base/buf.h"
#include "dataplane/live.h"
#include "ruleset/diff.h"
#include "ruleset/parse.h"
#include "ruleset/render.h"

static int complain(const struct err *err)
{
    char text[1024];
    (void)fprintf(stderr, "live_text: %s: %s\n", err_kind_name(err->kind), err_text(err, text, sizeof(text)));
    return 1;
}

static int read_file(const char *path, struct buf *ret)
{
    FILE *file = fopen(path, "re");
    char part[4096];
    size_t n;
    if (!file) {
        return -1;
    }
    while ((n = fread(part, 1, sizeof(part), file)) > 0) {
        buf_add(ret, part, n);
    }
    bool failed = ferror(file) || ret->failed;
    (void)fclose(file);
    return failed ? -1 : 0;
}

static void print_findings(const char *kind, const struct findings *findings)
{
    for (size_t i = 0; i < findings->n; i++) {
        (void)printf("%s %s: %s\n", kind, findings->v[i].where, findings->v[i].what);
    }
    if (findings->more) {
        (void)printf("%s and %zu more\n", kind, findings->more);
    }
}

static int print_rules(const struct ruleset *ruleset)
{
    BUF_CLEANUP struct buf text = {0};
    render_restore(ruleset, &text);
    return text.failed || fputs(text.data, stdout) < 0 ? 1 : 0;
}

static int print_difference(const struct ruleset *seen, const struct ruleset *want)
{
    CLEANUP(ruleset_diff_free) struct ruleset_diff *diff = NULL;
    BUF_CLEANUP struct buf text = {0};
    struct err err = {0};
    if (ruleset_diff_make(seen, want, &diff, &err) < 0) {
        return complain(&err);
    }
    ruleset_diff_render(diff, &text);
    (void)fputs(text.len ? text.data : "", stdout);
    return ruleset_diff_empty(diff) ? 0 : 2;
}

int main(int argc, char **argv)
{
    CLEANUP(live_free) struct live *live = NULL;
    CLEANUP(ruleset_free) struct ruleset *want = NULL;
    struct findings FINDINGS_CLEANUP foreign = {0};
    BUF_CLEANUP struct buf text = {0};
    struct err err = {0};
    const char *mode = argc > 1 ? argv[1] : "";
    bool reads = strcmp(mode, "equals") == 0 || strcmp(mode, "foreign") == 0;
    if (argc != (reads ? 3 : 2)) {
        (void)fputs("usage: live_text rules|findings|equals FILE|foreign FILE\n", stderr);
        return 3;
    }
    if (reads && read_file(argv[2], &text) < 0) {
        (void)fprintf(stderr, "live_text: %s: %s\n", argv[2], strerror(errno));
        return 1;
    }
    if (reads && parse_restore_foreign(text.len ? text.data : "", text.len, &want, &foreign, &err) < 0) {
        return complain(&err);
    }
    if (strcmp(mode, "foreign") == 0) {
        print_findings("foreign", &foreign);
        return 0;
    }
    if (live_read(NULL, &live, &err) < 0) {
        return complain(&err);
    }
    if (strcmp(mode, "findings") == 0) {
        print_findings("unprovable", &live->unprovable);
        print_findings("foreign", &live->foreign);
        print_findings("jump", &live->jumps);
        return 0;
    }
    return want ? print_difference(live->ruleset, want) : print_rules(live->ruleset);
}
