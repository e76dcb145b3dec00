// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>

#include "agent/control.h"
#include "base/num.h"
#include "netpolctl.h"
#include "status_text.h"
#include "json/json.h"
#include "json/json_write.h"

enum { TIMEOUT_MS = 5000, TIMEOUT_MAX_MS = 3600 * 1000 };

static struct {
    struct verb_common common;
    const char *socket;
    unsigned output;
    uint64_t timeout_ms;
} args;

static int status_options(struct cli_option *rows)
{
    args.timeout_ms = TIMEOUT_MS;
    const struct cli_option table[] = {
        {.name = "socket",
         .kind = CLI_STRING,
         .target = &args.socket,
         .arg = "PATH",
         .preset = CONTROL_SOCKET,
         .help = "Where the daemon listens: its --socket."},
        {.name = "output",
         .letter = 'o',
         .kind = CLI_CHOICE,
         .target = &args.output,
         .choices = "text|json",
         .preset = "text",
         .help = "Lines for people, or one line of JSON."},
        {.name = "timeout",
         .kind = CLI_DURATION,
         .target = &args.timeout_ms,
         .arg = "DURATION",
         .preset = "5s",
         .help = "Give up when the daemon does not answer for so long."},
        {.name = "help", .letter = 'h', .kind = CLI_FLAG, .target = &args.common.help, .help = "This text."},
        {0},
    };
    return cli_append(rows, VERB_ROWS, table);
}

// What to look at, for each way of getting no answer.
static void hint(const struct err *err)
{
    const char *text = err->kind == ERR_NOT_FOUND
                           ? "is netpold running on this node, and with this --socket? In a pod, ask "
                             "there: kubectl exec into the netpold pod of the node"
                       : err->kind == ERR_RETRY  ? "netpold is there but hangs or is overloaded: look at its log and "
                                                   "/livez"
                       : err->kind == ERR_DENIED ? "run this as root"
                                                 : NULL;
    if (text) {
        (void)fprintf(stderr, "netpolctl: status: %s\n", text);
    }
}

static int ask(const char *path, struct arena *arena, const struct doc **ret, struct err *err)
{
    struct buf BUF_CLEANUP line = {0};
    struct doc *answer = NULL;
    size_t used;
    unsigned next_line;
    uint64_t timeout_ms = args.timeout_ms < TIMEOUT_MAX_MS ? args.timeout_ms : (uint64_t)TIMEOUT_MAX_MS;
    if (control_ask(path, "{\"op\":\"status\"}", (unsigned)timeout_ms, &line, err) < 0) {
        return -1;
    }
    if (json_parse(line.data ? line.data : "", line.len, 1, arena, &answer, &used, &next_line, err) < 0) {
        return err_wrap(err, "%s: the answer is no JSON", path);
    }
    const struct doc *status = doc_get(answer, "status");
    if (!status || status->type != DOC_MAP) {
        const struct doc *why = doc_get(answer, "error");
        return err_set(err, ERR_UNSUPPORTED, 0, "%s: %s", path,
                       why && why->type == DOC_STRING ? why->text : "the answer is no status");
    }
    *ret = status;
    return 0;
}

static int status_run(const struct verb *verb UNUSED, const struct cli_list *operands)
{
    struct err err = {0};
    struct arena arena = {0};
    const struct doc *status = NULL;
    const char *path = args.socket && *args.socket ? args.socket : control_default_path();
    if (operands->n > 0) {
        (void)err_set(&err, ERR_USAGE, 0, "status: unexpected word \"%s\"", operands->v[0]);
        complain(&err);
        return EXIT_USAGE;
    }
    if (ask(path, &arena, &status, &err) < 0) {
        (void)err_wrap(&err, "status");
        complain(&err);
        hint(&err);
        arena_free(&arena);
        return err.kind == ERR_USAGE ? EXIT_USAGE : EXIT_OTHER;
    }
    struct buf BUF_CLEANUP out = {0};
    struct buf BUF_CLEANUP text = {0};
    size_t problems = status_text(status, &text);
    if (args.output) {
        json_write(status, &out);
        buf_putc(&out, '\n');
    } else if (text.data) {
        buf_add(&out, text.data, text.len);
    }
    arena_free(&arena);
    if (out.failed || text.failed) {
        (void)err_oom(&err);
        complain(&err);
        return EXIT_OTHER;
    }
    int rc = print_out(out.data, out.len);
    return rc != EXIT_CLEAN ? rc : problems ? EXIT_FINDINGS : EXIT_CLEAN;
}

const struct verb verb_status = {
    .name = "status",
    .operands = "",
    .summary = "what the netpold of this node does: synced, applied, drift, what is wrong",
    .text = "Asks the running daemon over its socket (as root). Exit code 0: all is well; 2: it is\n"
            "not ready, or something needs a person (they are listed as problems); 1: no daemon\n"
            "answers.",
    .options = status_options,
    .run = status_run,
    .common = &args.common,
};
