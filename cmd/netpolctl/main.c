// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/version.h"
#include "netpolctl.h"

enum { REQUEST_TIMEOUT_MS = 60000 };

static const struct verb *const verbs[] = {&verb_check,    &verb_explain, &verb_render,
                                           &verb_snapshot, &verb_status,  &verb_verify};

void complain(const struct err *err)
{
    char text[sizeof(err->object) + sizeof(err->field) + sizeof(err->msg) + 8];
    (void)fprintf(stderr, "netpolctl: %s\n", err_text(err, text, sizeof(text)));
}

int exit_of(const struct err *err)
{
    switch (err->kind) {
    case ERR_NONE:
        return EXIT_CLEAN;
    case ERR_USAGE:
        return EXIT_USAGE;
    case ERR_INPUT:
    case ERR_NOT_FOUND:
    case ERR_LIMIT:
        return EXIT_INPUT;
    case ERR_RETRY:
    case ERR_RELIST:
    case ERR_DENIED:
    case ERR_UNSUPPORTED:
    case ERR_SYSTEM:
    case ERR_OOM:
    case ERR_BUG:
        return EXIT_OTHER;
    }
    return EXIT_OTHER;
}

int print_out(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, text, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            struct err err = {0};
            (void)err_errno(&err, "standard output");
            complain(&err);
            return EXIT_OTHER;
        }
        text += n;
        len -= (size_t)n;
    }
    return EXIT_CLEAN;
}

int print_object(const struct buf *object, size_t findings)
{
    if (findings == 0) {
        return print_out(object->data, object->len);
    }
    struct buf BUF_CLEANUP out = {0};
    buf_printf(&out, "{\"unreadable\":%zu,", findings);
    buf_add(&out, object->data + 1, object->len - 1);
    if (out.failed) {
        struct err err = {0};
        (void)err_oom(&err);
        complain(&err);
        return EXIT_OTHER;
    }
    return print_out(out.data, out.len);
}

int verb_cluster_options(struct cluster_options *cluster, struct cli_option *rows)
{
    cluster->request_timeout = REQUEST_TIMEOUT_MS;
    const struct cli_option table[] = {
        {.name = "kubeconfig",
         .kind = CLI_STRING,
         .target = &cluster->kubeconfig,
         .arg = "FILE",
         .help = "How to reach the cluster.",
         .preset = "$KUBECONFIG, ~/.kube/config"},
        {.name = "context",
         .kind = CLI_STRING,
         .target = &cluster->context,
         .arg = "NAME",
         .help = "Context of the kubeconfig.",
         .preset = "its current-context"},
        {.name = "request-timeout",
         .kind = CLI_DURATION,
         .target = &cluster->request_timeout,
         .arg = "DURATION",
         .help = "Give up when nothing comes from the cluster for so long; 0: never.",
         .preset = "60s"},
        {0},
    };
    return cli_append(rows, VERB_ROWS, table);
}

int verb_common_options(struct verb_common *common, bool with_policy, struct cli_option *rows)
{
    const struct cli_option table[] = {
        {.name = "file",
         .letter = 'f',
         .kind = CLI_LIST,
         .target = &common->files,
         .arg = "PATH",
         .help = "Read objects from a file, a directory or - (standard input); repeats. Without it the cluster of the "
                 "kubeconfig is read."},
        {.name = "with",
         .kind = CLI_LIST,
         .target = &common->with,
         .arg = "FILE",
         .help = "What if: add or replace the objects of this file; repeats."},
        {.name = "without",
         .kind = CLI_LIST,
         .target = &common->without,
         .arg = "FILE",
         .help = "What if: leave out the objects that this file names; repeats."},
        {.name = "namespace",
         .letter = 'n',
         .kind = CLI_STRING,
         .target = &common->ns,
         .arg = "NAME",
         .help = "Namespace of pods that are given without one.",
         .preset = "with a cluster, that of the context"},
        {.name = "help", .letter = 'h', .kind = CLI_FLAG, .target = &common->help, .help = "This text."},
        {0},
    };
    if (cli_append(rows, VERB_ROWS, table) < 0 || verb_cluster_options(&common->cluster, rows) < 0) {
        return -1;
    }
    struct cli_option policy[POLICY_OPTIONS_ROWS];
    policy_options_table(&common->policy, policy);
    return with_policy ? cli_append(rows, VERB_ROWS, policy) : 0;
}

static void usage(struct buf *out)
{
    buf_puts(out, "netpolctl: preview, explain, check and prove Kubernetes NetworkPolicy as netpold enforces it\n\n"
                  "usage: netpolctl VERB [options]\n\n");
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        buf_printf(out, "  %-9s %s\n", verbs[i]->name, verbs[i]->summary);
    }
    buf_puts(out, "\n  netpolctl VERB --help     options of a verb\n"
                  "  netpolctl --version       version and commit\n\n"
                  "exit codes: 0 clean or allowed, 2 findings or denied, 3 bad usage, 4 bad input,\n"
                  "1 any other failure\n");
}

static int verb_help(const struct verb *verb, const struct cli_option *rows)
{
    struct buf BUF_CLEANUP out = {0};
    buf_printf(&out, "usage: netpolctl %s [options]%s%s\n\n%s\n\n", verb->name, *verb->operands ? " " : "",
               verb->operands, verb->text);
    cli_help(rows, &out);
    buf_puts(&out, "\nEvery option can also be given as NETPOLD_<NAME> in the environment.\n");
    return out.failed ? EXIT_OTHER : print_out(out.data, out.len);
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        if (strcmp(verbs[i]->name, name) == 0) {
            return verbs[i];
        }
    }
    return NULL;
}

static int unknown_verb(const char *name)
{
    const char *names[ARRAY_SIZE(verbs) + 1] = {0};
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        names[i] = verbs[i]->name;
    }
    const char *near = cli_nearest(name, names);
    (void)fprintf(stderr, "netpolctl: %s: unknown verb%s%s; --help lists them\n", name, near ? "; did you mean " : "",
                  near ? near : "");
    return EXIT_USAGE;
}

static const struct cli_option *find_option(const struct cli_option *rows, const char *word)
{
    for (; rows->name; rows++) {
        if ((strncmp(word, "--", 2) == 0 && strcmp(word + 2, rows->name) == 0) ||
            (word[0] == '-' && rows->letter && word[1] == rows->letter && word[2] == '\0')) {
            return rows;
        }
    }
    return NULL;
}

// What may follow one option ("-o", "--output"): its choices, one a line, or "=FILE" where it takes one; nothing behind
// a flag or a word that is no option.
static void value_words(const struct cli_option *rows, const char *word, struct buf *out)
{
    const struct cli_option *option = find_option(rows, word);
    if (!option || option->kind == CLI_FLAG || option->kind == CLI_UNFLAG) {
        return;
    }
    if (option->kind != CLI_CHOICE) {
        buf_printf(out, "=%s\n", option->arg);
        return;
    }
    for (const char *choice = option->choices; *choice;) {
        size_t len = strcspn(choice, "|");
        buf_printf(out, "%.*s\n", (int)len, choice);
        choice += len + (choice[len] == '|');
    }
}

// Words for the shell's completion, one a line: verbs, or the options of one verb, or what may follow one option of it.
static int print_words(const char *verb_name, const char *option)
{
    struct buf BUF_CLEANUP out = {0};
    const struct verb *verb = verb_name ? find_verb(verb_name) : NULL;
    if (!verb) {
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
            buf_printf(&out, "%s\n", verbs[i]->name);
        }
        buf_puts(&out, "--help\n--version\n");
        return print_out(out.data, out.len);
    }
    struct cli_option rows[VERB_ROWS] = {0};
    if (verb->options(rows) < 0) {
        return EXIT_OTHER;
    }
    if (option) {
        value_words(rows, option, &out);
        return out.failed ? EXIT_OTHER : print_out(out.data, out.len);
    }
    for (const struct cli_option *row = rows; row->name; row++) {
        buf_printf(&out, "--%s\n", row->name);
    }
    return out.failed ? EXIT_OTHER : print_out(out.data, out.len);
}

static int run_verb(const struct verb *verb, int argc, char *const *argv)
{
    struct cli_option rows[VERB_ROWS] = {0};
    struct cli_list operands = {0};
    struct err err = {0};
    if (verb->options(rows) < 0) {
        (void)err_set(&err, ERR_BUG, 0, "%s: too many options", verb->name);
        complain(&err);
        return EXIT_OTHER;
    }
    int rc;
    if (cli_parse(rows, argc, argv, &operands, &err) < 0) {
        (void)err_wrap(&err, "%s", verb->name);
        complain(&err);
        rc = exit_of(&err);
    } else if (verb->common->help) {
        rc = verb_help(verb, rows);
    } else {
        rc = verb->run(verb, &operands);
    }
    cli_lists_free(rows, &operands);
    free(verb->common->context_ns);
    verb->common->context_ns = NULL;
    return rc;
}

int main(int argc, char **argv)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL);
    struct buf BUF_CLEANUP out = {0};
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || (strcmp(name, "help") == 0 && argc == 2)) {
        usage(&out);
        int rc = out.failed ? EXIT_OTHER : print_out(out.data, out.len);
        return argc > 1 ? rc : EXIT_USAGE;
    }
    if (strcmp(name, "--version") == 0) {
        buf_printf(&out, "netpolctl %s (%s)\n", version_string(), version_commit());
        return out.failed ? EXIT_OTHER : print_out(out.data, out.len);
    }
    if (strcmp(name, "__words") == 0) {
        return print_words(argc > 2 ? argv[2] : NULL, argc > 3 ? argv[3] : NULL);
    }
    if (strcmp(name, "help") == 0) {
        const struct verb *verb = find_verb(argv[2]);
        char *const ask[] = {argv[2], (char[]){"--help"}, NULL};
        return verb ? run_verb(verb, 2, ask) : unknown_verb(argv[2]);
    }
    const struct verb *verb = find_verb(name);
    return verb ? run_verb(verb, argc - 1, argv + 1) : unknown_verb(name);
}
