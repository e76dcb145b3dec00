// SPDX-License-Identifier: Apache-2.0
//
// What the verbs of one node (render, verify) share: its name, its facts; and who may read standard input.
#include <string.h>

#include "base/limits.h"
#include "netpolctl.h"
#include "read_file.h"

int read_facts(const char *path, struct facts **ret, struct err *err)
{
    CLEANUP(free) char *text = NULL;
    size_t len;
    if (read_file(path, LIMIT_DOCUMENT_BYTES, &text, &len, err) < 0) {
        return -1;
    }
    return facts_parse_json(text, len, path, ret, err);
}

int require_node(struct state *state, const char *node, struct err *err)
{
    if (state_node(state, node)) {
        return 0;
    }
    size_t n;
    const struct pod *const *pods = state_pods(state, &n);
    if (n == SIZE_MAX) {
        return err_oom(err);
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(pods[i]->node, node) == 0) {
            return 0;
        }
    }
    return err_set(err, ERR_INPUT, 0, "no Node and no Pod names the node \"%s\"", node);
}

static bool is_stdin(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

// Notes who reads standard input; ERR_USAGE when somebody does already.
static int claim_stdin(const char *verb, const char *option, const char **reader, struct err *err)
{
    if (*reader) {
        return err_set(err, ERR_USAGE, 0, "%s: %s - and %s - cannot both read standard input", verb, *reader, option);
    }
    *reader = option;
    return 0;
}

int one_reads_stdin(const struct verb_common *common, const char *verb, const struct path_option *more, struct err *err)
{
    const struct cli_list *const lists[] = {&common->files, &common->with, &common->without};
    static const char *const names[] = {"-f", "--with", "--without"};
    const char *reader = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        for (size_t j = 0; j < lists[i]->n; j++) {
            if (is_stdin(lists[i]->v[j]) && claim_stdin(verb, names[i], &reader, err) < 0) {
                return -1;
            }
        }
    }
    for (; more->option; more++) {
        if (is_stdin(more->path) && claim_stdin(verb, more->option, &reader, err) < 0) {
            return -1;
        }
    }
    return 0;
}
