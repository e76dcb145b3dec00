// SPDX-License-Identifier: Apache-2.0
//
// netpolctl's verbs: a table (main.c), one file a verb; options, help and completion come from each verb's rows.
#pragma once

#include <stdbool.h>

#include "base/cli.h"
#include "host/facts.h"
#include "model/state.h"
#include "policy/options.h"

// Exit codes of every verb (DESIGN 7).
enum { EXIT_CLEAN = 0, EXIT_OTHER = 1, EXIT_FINDINGS = 2, EXIT_USAGE = 3, EXIT_INPUT = 4 };

enum { VERB_ROWS = 40 };

// How to reach a live cluster.
struct cluster_options {
    const char *kubeconfig;
    const char *context;
    uint64_t request_timeout;  // ms; 0: none
};

// What the common options hold; a verb embeds it and adds its own.
struct verb_common {
    struct cli_list files;
    struct cli_list with;
    struct cli_list without;
    struct cluster_options cluster;
    const char *ns;
    char *context_ns;  // what load_state set ns to; the runner of verbs frees it
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
extern const struct verb verb_snapshot;
extern const struct verb verb_status;
extern const struct verb verb_verify;

// The rows of --kubeconfig, --context and --request-timeout.
int verb_cluster_options(struct cluster_options *cluster, struct cli_option *rows);
// The rows of -f, --with, --without, -n and --help, and those above; with_policy adds the ruleset options.
int verb_common_options(struct verb_common *common, bool with_policy, struct cli_option *rows);

// "netpolctl: what: why" on stderr.
void complain(const struct err *err);
// The exit code that belongs to an error.
int exit_of(const struct err *err);
// Write text to stdout; EXIT_CLEAN, or EXIT_OTHER with a complaint (a full disk, a closed pipe).
int print_out(const char *text, size_t len);

// One JSON object to stdout; with findings (of load_state) it begins with their number: "unreadable", so that whoever
// reads nothing but this knows that the input was more than what is answered about.
int print_object(const struct buf *object, size_t findings);

// The state that the common options name: files, or without -f the cluster of the kubeconfig; then --with, --without.
// Without -n, reading a cluster sets common->ns to the namespace of the kubeconfig's context.
// Findings are printed to stderr; *ret_findings is how many documents or parts could not be read (exit 4 for audits).
NODISCARD int load_state(struct verb_common *common, struct state **ret, size_t *ret_findings, struct err *err);

// A path that an option of the verb itself names; "-" is standard input, NULL not given.
struct path_option {
    const char *option;
    const char *path;
};
// ERR_USAGE when two of -f, --with, --without and more (ended by a row without option) read standard input.
NODISCARD int one_reads_stdin(const struct verb_common *common, const char *verb, const struct path_option *more,
                              struct err *err);

// Facts as `netpold --print-facts` wrote them. ERR_INPUT naming the file.
NODISCARD int read_facts(const char *path, struct facts **ret, struct err *err);
// ERR_INPUT unless a Node or a Pod names the node: a mistyped name would give an empty ruleset, which reads as "nothing
// is enforced here".
NODISCARD int require_node(struct state *state, const char *node, struct err *err);
