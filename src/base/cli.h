// SPDX-License-Identifier: Apache-2.0
//
// Command lines as tables (DESIGN 7): long GNU-style options, each also settable by NETPOLD_<NAME> in the environment
// (the command line wins; an empty variable is none), help and completion text derived from the same rows. Pure: reads
// argv and the given environment, writes through the rows' targets, prints nothing.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

enum cli_kind {
    CLI_FLAG,      // bool *: --name sets true; NETPOLD_NAME=1|true|yes|0|false|no
    CLI_UNFLAG,    // bool *: the same upside down, --name sets false: for a target that names the exception
    CLI_STRING,    // const char **
    CLI_LIST,      // struct cli_list *: repeats; the environment gives one
    CLI_DURATION,  // uint64_t *: milliseconds ("10ms", "1m30s")
    CLI_NUMBER,    // uint64_t *: 0..max
    CLI_CHOICE,    // unsigned *: index into choices
};

struct cli_list {
    const char **v;
    size_t n;
};

struct cli_option {
    const char *name;  // without dashes; a row with name NULL ends a table
    char letter;       // short form, 0 none
    enum cli_kind kind;
    void *target;
    const char *arg;      // placeholder in the help, "PATH"; NULL for flags and choices
    const char *choices;  // CLI_CHOICE: "drop|reject"
    uint64_t max;         // CLI_NUMBER
    const char *preset;   // what the target holds when the option is not given, for the help; NULL none
    const char *help;
};

// Parse argv[1..] (argv[0] is skipped). Words that are no options go to operands in order ("--" ends options); "-" is a
// word. The environment is read first. -1 with ERR_USAGE and a message that names the option and the fix. lists and
// operands borrow argv; cli_lists_free frees the arrays of every CLI_LIST row and operands.
NODISCARD int cli_parse(const struct cli_option *options, int argc, char *const *argv, struct cli_list *operands,
                        struct err *err);
void cli_lists_free(const struct cli_option *options, struct cli_list *operands);
// Rows as help text, at most 80 columns.
void cli_help(const struct cli_option *options, struct buf *out);
// Append a table's rows to a table of `room` rows in all (with the end row); -1 when it is full: a bug.
NODISCARD int cli_append(struct cli_option *table, size_t room, const struct cli_option *more);
// The nearest word of a NULL-terminated list, for "did you mean"; NULL when none is near.
const char *cli_nearest(const char *word, const char *const *words);
