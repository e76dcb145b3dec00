// SPDX-License-Identifier: Apache-2.0
//
// netpolctl's verbs: a table (main.c), one file a verb; options, help and completion come from each verb's rows.
#pragma once

#include <stdbool.h>

#include "base/cli.h"
#include "model/state.h"
#include "policy/options.h"

// Exit codes of every verb (DESIGN 7).
enum { EXIT_CLEAN = 0, EXIT_OTHER = 1, EXIT_FINDINGS = 2, EXIT_USAGE = 3, EXIT_INPUT = 4 };

enum { VERB_ROWS = 32 };

// What the common options hold; a verb embeds it and adds its own.
struct verb_common {
    struct cli_list files;
    struct cli_list with;
    struct cli_list without;
    const char *kubeconfig;
    const char *context;
    const char *ns;
    bool help;
    struct policy_options_args policy;
};

struct verb {
    const char *name;
    const char *operands;  // "FROM TO"; "" none
    const char *summary;   // one line for the list of verbs
    const char *text;      // what it does, for its --help
    // Fills a table of VERB_ROWS rows (with the end row) whose targets are in static storage of the verb's file.
    int (*options)(struct cli_option *rows);
    int (*run)(const struct verb *verb, const struct cli_list *operands);
    struct verb_common *common;
};

extern const struct verb verb_render;
extern const struct verb verb_check;
extern const struct verb verb_explain;

// The rows of -f, --with, --without, --kubeconfig, --context, -n and --help; with_policy adds the ruleset options.
int verb_common_options(struct verb_common *common, bool with_policy, struct cli_option *rows);

// "netpolctl: what: why" on stderr.
void complain(const struct err *err);
// The exit code that belongs to an error.
int exit_of(const struct err *err);
// Write text to stdout; EXIT_CLEAN, or EXIT_OTHER with a complaint (a full disk, a closed pipe).
int print_out(const char *text, size_t len);

// The state that the common options name: files, or without -f the cluster of the kubeconfig; then --with, --without.
// Findings are printed to stderr; *ret_findings is how many documents or parts could not be read (exit 4 for audits).
NODISCARD int load_state(const struct verb_common *common, struct state **ret, size_t *ret_findings, struct err *err);
