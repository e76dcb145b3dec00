// SPDX-License-Identifier: Apache-2.0
#include "audit/check.h"

#include <stdio.h>

#include "netpolctl.h"

static struct {
    struct verb_common common;
    const char *queries;
} args;

static int check_options(struct cli_option *rows)
{
    const struct cli_option table[] = {
        {.name = "queries",
         .letter = 'q',
         .kind = CLI_STRING,
         .target = &args.queries,
         .arg = "FILE",
         .help = "One JSON query a line; - is standard input (required)."},
        {0},
    };
    return cli_append(rows, VERB_ROWS, table) < 0 ? -1 : verb_common_options(&args.common, true, rows);
}

// Reads and answers line by line: a program may hold a pipe open and ask as it goes.
static int answer_lines(struct state *state, FILE *in, size_t *ret_malformed, struct err *err)
{
    struct policy_options options;
    if (policy_options_from(&args.common.policy, &options, err) < 0) {
        return -1;
    }
    CLEANUP(free) char *line = NULL;
    size_t size = 0;
    size_t malformed = 0;
    struct buf BUF_CLEANUP out = {0};
    ssize_t n;
    for (size_t number = 1; (n = getline(&line, &size, in)) >= 0; number++) {
        size_t len = (size_t)n;
        if (strspn(line, " \t\r\n") == len) {
            continue;
        }
        int rc = check_line(state, &options, args.common.ns, line, len, number, &out, err);
        if (rc < 0) {
            return -1;
        }
        malformed += (size_t)rc;
        if (fwrite(out.data, 1, out.len, stdout) != out.len) {
            return err_errno(err, "standard output");
        }
        buf_clear(&out);
        // Whoever asks one by one waits for each answer; a file is answered in blocks.
        if (in == stdin && fflush(stdout) != 0) {
            return err_errno(err, "standard output");
        }
    }
    if (ferror(in)) {
        return err_errno(err, "%s", args.queries);
    }
    if (fflush(stdout) != 0) {
        return err_errno(err, "standard output");
    }
    *ret_malformed = malformed;
    return 0;
}

static int check_words(const struct cli_list *operands, struct err *err)
{
    if (operands->n > 0) {
        return err_set(err, ERR_USAGE, 0, "check: unexpected word \"%s\"", operands->v[0]);
    }
    if (!args.queries) {
        return err_set(err, ERR_USAGE, 0, "check: --queries FILE is required (- for standard input)");
    }
    return one_reads_stdin(&args.common, "check", (struct path_option[]){{"--queries", args.queries}, {0}}, err);
}

static int check_run(const struct verb *verb UNUSED, const struct cli_list *operands)
{
    struct err err = {0};
    CLEANUP(state_free) struct state *state = NULL;
    size_t findings = 0;
    size_t malformed = 0;
    if (check_words(operands, &err) < 0) {
        complain(&err);
        return exit_of(&err);
    }
    FILE *in = strcmp(args.queries, "-") == 0 ? stdin : fopen(args.queries, "re");
    if (!in) {
        (void)err_errno(&err, "%s: cannot be read", args.queries);
        complain(&err);
        return EXIT_INPUT;
    }
    int rc =
        load_state(&args.common, &state, &findings, &err) < 0 || answer_lines(state, in, &malformed, &err) < 0 ? -1 : 0;
    if (in != stdin) {
        (void)fclose(in);
    }
    if (rc < 0) {
        complain(&err);
        return exit_of(&err);
    }
    return findings || malformed ? EXIT_INPUT : EXIT_CLEAN;
}

const struct verb verb_check = {
    .name = "check",
    .operands = "",
    .summary = "answer many questions: one JSON query a line in, one JSON verdict a line out",
    .text = "A query:  {\"from\":\"x/a\",\"to\":\"y/b\",\"protocol\":\"TCP\",\"port\":80}\n"
            "Ends are \"namespace/pod\", an address or \"node:NAME\". \"family\" (4 or 6) matters for\n"
            "dual-stack pods. The port is the one after Service translation: the container's.\n"
            "A malformed query gets one {\"error\":…} line and the rest go on (exit code 4).",
    .options = check_options,
    .run = check_run,
    .common = &args.common,
};
