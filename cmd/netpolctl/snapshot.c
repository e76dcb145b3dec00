// SPDX-License-Identifier: Apache-2.0
#include "audit/snapshot.h"

#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "cluster.h"

// Indices into the choices of --format; the last is none of them.
enum { FORMAT_YAML, FORMAT_JSON, FORMAT_BY_NAME };

enum { UNREADABLE_MAX = 1 << 20 };  // bytes that the head of a snapshot may say about objects

static struct {
    struct verb_common common;
    const char *output;
    unsigned format;
} args;

static int snapshot_options(struct cli_option *rows)
{
    args.format = FORMAT_BY_NAME;
    const struct cli_option table[] = {
        {.name = "output",
         .letter = 'o',
         .kind = CLI_STRING,
         .target = &args.output,
         .arg = "FILE",
         .help =
             "Where to save it, - for standard output (required). The file appears when all of it is there, readable "
             "by you only."},
        {.name = "format",
         .kind = CLI_CHOICE,
         .target = &args.format,
         .choices = "yaml|json",
         .preset = "json for a FILE that ends in .json, else yaml",
         .help = "A stream of YAML documents, or one JSON List with an object a line."},
        {0},
    };
    const struct cli_option help[] = {
        {.name = "help", .letter = 'h', .kind = CLI_FLAG, .target = &args.common.help, .help = "This text."},
        {0},
    };
    return cli_append(rows, VERB_ROWS, table) < 0 || verb_cluster_options(&args.common.cluster, rows) < 0
               ? -1
               : cli_append(rows, VERB_ROWS, help);
}

static enum snapshot_format pick_format(void)
{
    size_t len = strlen(args.output);
    bool named_json = len > 5 && strcmp(args.output + len - 5, ".json") == 0;
    return args.format == FORMAT_JSON || (args.format == FORMAT_BY_NAME && named_json) ? SNAPSHOT_JSON : SNAPSHOT_YAML;
}

struct taker {
    struct snapshot *snapshot;
    struct buf unreadable;
};

static void take_object(enum object_kind kind, const struct doc *object, void *arg)
{
    struct taker *taker = arg;
    snapshot_add(kind, object, taker->snapshot);
}

// Text that is no JSON is nothing to save; what was read and makes no sense (a finding that names a field) is saved.
static void take_unreadable(const char *fields, void *arg)
{
    struct taker *taker = arg;
    if (!strstr(fields, " field=") && taker->unreadable.len < UNREADABLE_MAX) {
        buf_printf(&taker->unreadable, "not in it, since it could not be read: %s\n", fields);
    }
}

static void write_head(const char *server, const struct state *state, const struct taker *taker, struct buf *out)
{
    buf_printf(
        out,
        "A cluster as netpolctl snapshot saw it; read it back with -f. Reduced to what network policies depend on:\n"
        "no secrets, annotations, environments or images.\nserver: %s\n",
        server);
    buf_printf(out, "objects: %zu namespaces, %zu networkpolicies, %zu nodes, %zu pods\n",
               state_count(state, OBJECT_NAMESPACE), state_count(state, OBJECT_POLICY), state_count(state, OBJECT_NODE),
               state_count(state, OBJECT_POD));
    buf_add(out, taker->unreadable.data ? taker->unreadable.data : "", taker->unreadable.len);
}

static int take(struct new_file *file, int spool, size_t *findings, struct err *err)
{
    CLEANUP(api_config_free) struct api_config *config = NULL;
    CLEANUP(state_free) struct state *state = NULL;
    CLEANUP(snapshot_free) struct snapshot *snapshot = NULL;
    if (cluster_config(&args.common.cluster, &config, err) < 0) {
        return -1;
    }
    CLEANUP(free) char *server = strdup(config->server);
    if (!server) {
        return err_oom(err);
    }
    if (state_new(&state, err) < 0 || snapshot_new(pick_format(), spool, &snapshot, err) < 0) {
        return -1;
    }
    struct taker taker = {.snapshot = snapshot};
    const struct cluster_look look = {.object = take_object, .object_arg = &taker, .unreadable = take_unreadable};
    struct buf BUF_CLEANUP head = {0};
    int rc = cluster_read(TAKE(config), &args.common.cluster, &look, state, findings, err);
    if (rc == 0) {
        write_head(server, state, &taker, &head);
        rc = head.failed ? err_oom(err) : snapshot_write(snapshot, state, head.data, file, err);
    }
    buf_free(&taker.unreadable);
    return rc;
}

static int snapshot_run(const struct verb *verb UNUSED, const struct cli_list *operands)
{
    struct err err = {0};
    NEW_FILE_CLEANUP struct new_file file = {0};
    CLEANUP(fd) int spool = -1;
    size_t findings = 0;
    // One heap, and what an object needed goes back: a cluster may be large.
    (void)mallopt(M_ARENA_MAX, 1);
    int rc = 0;
    if (operands->n > 0) {
        rc = err_set(&err, ERR_USAGE, 0, "snapshot: unexpected word \"%s\"; the file is given with -o", operands->v[0]);
    } else if (!args.output || !*args.output) {
        rc = err_set(&err, ERR_USAGE, 0, "snapshot: -o FILE is required; - is standard output");
    }
    if (rc < 0 || new_file_check(args.output, &file, &spool, &err) < 0 || take(&file, spool, &findings, &err) < 0) {
        complain(&err);
        return exit_of(&err);
    }
    return findings ? EXIT_INPUT : EXIT_CLEAN;
}

const struct verb verb_snapshot = {
    .name = "snapshot",
    .operands = "",
    .summary = "save what a live cluster holds, to be read back with -f",
    .text = "Reads the cluster once and saves exactly what was seen, so that every verb answers on\n"
            "the file as it would on the cluster. Only what policies depend on is saved: no secret,\n"
            "annotation or environment. The same cluster gives the same bytes.",
    .options = snapshot_options,
    .run = snapshot_run,
    .common = &args.common,
};
