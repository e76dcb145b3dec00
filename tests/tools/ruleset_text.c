// SPDX-License-Identifier: Apache-2.0
//
// A random ruleset as text, and the answer whether a text means the same ruleset:
//   ruleset_text SEED restore|ipset|iptables|ip6tables|json      prints
//   ruleset_text SEED equals FILE                                exit 0 when FILE reads back as that ruleset, else 2
#include <errno.h>
#include <stdio.h>

#include "base/num.h"
#include "ruleset/diff.h"
#include "ruleset/parse.h"
#include "ruleset/render.h"
#include "support/random_ruleset.h"

static int read_file(const char *path, struct buf *ret)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        return -1;
    }
    char part[4096];
    size_t n;
    while ((n = fread(part, 1, sizeof(part), file)) > 0) {
        buf_add(ret, part, n);
    }
    bool failed = ferror(file) || ret->failed;
    (void)fclose(file);
    return failed ? -1 : 0;
}

static int compare(const struct ruleset *ruleset, const char *path)
{
    BUF_CLEANUP struct buf text = {0};
    if (read_file(path, &text) < 0) {
        fprintf(stderr, "ruleset_text: %s: %s\n", path, strerror(errno));
        return 1;
    }
    struct err err = {0};
    char message[1024];
    CLEANUP(ruleset_free) struct ruleset *other = NULL;
    CLEANUP(ruleset_diff_free) struct ruleset_diff *diff = NULL;
    if (parse_restore(text.data ? text.data : "", text.len, &other, &err) < 0 ||
        ruleset_diff_make(ruleset, other, &diff, &err) < 0) {
        fprintf(stderr, "ruleset_text: %s: %s\n", path, err_text(&err, message, sizeof(message)));
        return 1;
    }
    BUF_CLEANUP struct buf out = {0};
    ruleset_diff_render(diff, &out);
    (void)fputs(out.len ? out.data : "", stdout);
    return ruleset_diff_empty(diff) ? 0 : 2;
}

static int print(const struct ruleset *ruleset, const char *what)
{
    BUF_CLEANUP struct buf out = {0};
    enum render_section section;
    if (strcmp(what, "restore") == 0) {
        render_restore(ruleset, &out);
    } else if (strcmp(what, "json") == 0) {
        render_json(ruleset, &out);
    } else if (render_section_parse(what, &section)) {
        render_section(ruleset, section, &out);
    } else {
        fprintf(stderr, "ruleset_text: %s: not a part\n", what);
        return 3;
    }
    return out.failed || fwrite(out.data, 1, out.len, stdout) != out.len ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct rng rng = {0};
    if (argc < 3 || !num_parse_u64(argv[1], strlen(argv[1]), UINT64_MAX, &rng.state)) {
        fprintf(stderr, "usage: ruleset_text SEED restore|ipset|iptables|ip6tables|json|equals [FILE]\n");
        return 3;
    }
    CLEANUP(ruleset_free) struct ruleset *ruleset = random_ruleset(&rng);
    if (argc == 4 && strcmp(argv[2], "equals") == 0) {
        return compare(ruleset, argv[3]);
    }
    return print(ruleset, argv[2]);
}
