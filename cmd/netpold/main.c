// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/once.h"
#include "base/version.h"
#include "options.h"

static void complain(const struct err *err)
{
    char text[sizeof(err->object) + sizeof(err->field) + sizeof(err->msg) + 8];
    (void)fprintf(stderr, "netpold: %s\n", err_text(err, text, sizeof(text)));
}

static int print(const struct buf *out)
{
    const char *text = out->data;
    size_t len = out->len;
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, text, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            struct err err = {0};
            (void)err_errno(&err, "standard output");
            complain(&err);
            return -1;
        }
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

// Once, at the start: what is written through one backend must not end up in the other because of a moment's view.
static int choose_backend(struct options *options, struct err *err)
{
    bool needed = options->mode == MODE_DAEMON || options->mode == MODE_ONCE || options->mode == MODE_PLAN ||
                  options->mode == MODE_CLEANUP;
    if (!needed) {
        return 0;
    }
    if (backend_choose(options->backend, &options->choice, err) < 0) {
        return -1;
    }
    options->agent.backend = options->choice.ops;
    options->agent.backend_why = options->choice.why;
    log_event(LOG_LEVEL_INFO, "backend-chosen", "backend=%s why=%s", options->choice.ops->name,
              log_quote(options->choice.why));
    return 0;
}

static int run(const struct options *options, struct buf *out, struct err *err)
{
    switch (options->mode) {
    case MODE_DAEMON:
        return agent_run(&options->agent, err);
    case MODE_ONCE:
        return once_run(&options->agent, out, err);
    case MODE_PLAN:
        return once_plan(&options->agent, out, err);
    case MODE_CLEANUP:
        return once_cleanup(&options->agent, out, err);
    case MODE_PRINT_FACTS:
        return once_print_facts(out, err);
    case MODE_HELP:
        options_help(out);
        return EXIT_OK;
    case MODE_VERSION:
        buf_printf(out, "netpold %s (%s)\n", version_string(), version_commit());
        return EXIT_OK;
    }
    return EXIT_FAILED;
}

int main(int argc, char **argv)
{
    // One heap, and big blocks (files, trees) by mmap: what a load needed goes back when it is done.
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_MMAP_THRESHOLD, 256 << 10);
    (void)mallopt(M_TRIM_THRESHOLD, 256 << 10);
    struct err err = {0};
    struct options options = {0};
    if (options_parse(argc, argv, &options, &err) < 0) {
        complain(&err);
        return EXIT_USAGE;
    }
    log_configure(&options.log);
    BUF_CLEANUP struct buf out = {0};
    int code = choose_backend(&options, &err) < 0 ? EXIT_FAILED : run(&options, &out, &err);
    options_done(&options);
    if (err.kind != ERR_NONE && code != EXIT_OK) {
        complain(&err);
    }
    return print(&out) < 0 && code == EXIT_OK ? EXIT_FAILED : code;
}
