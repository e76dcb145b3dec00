// SPDX-License-Identifier: Apache-2.0
//
// What the verbs judge: files, or the live cluster; then what-if changes. Findings go to stderr, one line each.
#include <stdio.h>

#include "base/limits.h"
#include "cluster.h"
#include "decode/decode.h"
#include "read_file.h"
#include "source/files.h"

static size_t print_findings(const struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < diagnostics->list.n; i++) {
        const struct diagnostic *d = &diagnostics->list.v[i];
        struct buf BUF_CLEANUP line = {0};
        diagnostic_format(d, &line);
        (void)fprintf(stderr, "netpolctl: %s: %s\n", diagnostic_level_name(d->level), line.data ? line.data : "");
    }
    size_t findings = diagnostics->counts[DIAGNOSTIC_LOST] + diagnostics->counts[DIAGNOSTIC_PARTIAL];
    size_t total = findings + diagnostics->counts[DIAGNOSTIC_WARNING];
    if (total > diagnostics->list.n) {
        (void)fprintf(stderr, "netpolctl: … and %zu more findings\n", total - diagnostics->list.n);
    }
    return findings;
}

static int load_files(const struct cli_list *paths, struct state *state, size_t *findings, struct err *err)
{
    CLEANUP(files_free) struct files *files = NULL;
    struct files_report report = {0};
    if (files_new(paths->v, paths->n, &files, err) < 0) {
        return -1;
    }
    if (files_scan(files, /* lenient= */ true, state, &report, err) < 0) {
        return -1;
    }
    *findings += print_findings(&report.diagnostics);
    bool missing = report.missing;
    size_t objects = report.objects;
    size_t ignored = report.ignored;
    files_report_free(&report);
    if (missing) {
        return err_set(err, ERR_INPUT, 0, "a path given with -f cannot be read (see above)");
    }
    if (objects == 0 && *findings == 0) {
        return err_set(err, ERR_INPUT, 0,
                       "no Pod, Namespace, NetworkPolicy or Node in the given files (%zu other objects)", ignored);
    }
    return 0;
}

// As kubectl: a name without a namespace is in that of the context, else in "default".
static int take_namespace(const struct api_config *config, struct verb_common *common, struct err *err)
{
    if (common->ns) {
        return 0;
    }
    common->ns = common->context_ns = strdup(config->ns && *config->ns ? config->ns : "default");
    return common->ns ? 0 : err_oom(err);
}

static int load_cluster(struct verb_common *common, struct state *state, size_t *findings, struct err *err)
{
    CLEANUP(api_config_free) struct api_config *config = NULL;
    if (cluster_config(&common->cluster, &config, err) < 0) {
        if (err->kind == ERR_NOT_FOUND && !common->cluster.kubeconfig) {
            (void)err_wrap(err, "no -f PATH was given, and no cluster can be reached");
        }
        return -1;
    }
    if (take_namespace(config, common, err) < 0) {
        return -1;
    }
    const struct cluster_look look = {0};
    return cluster_read(TAKE(config), &common->cluster, &look, state, findings, err);
}

struct what_if {
    struct state *state;
    const char *path;
    bool remove;
};

// A name that does not fit would change nothing in silence, and the answer would be read as that of the changed state.
static void warn_not_there(const struct what_if *what_if, enum object_kind kind, const struct object_meta *meta)
{
    (void)fprintf(stderr, "netpolctl: warning: --without %s: there is no %s %s%s%s\n", what_if->path,
                  object_kind_name(kind), meta->ns, *meta->ns ? "/" : "", meta->name);
}

static int what_if_object(enum object_kind kind, void *object, void *arg, struct err *err)
{
    struct what_if *what_if = arg;
    if (what_if->remove) {
        // Every object begins with its meta.
        const struct object_meta *meta = object;
        if (state_remove(what_if->state, kind, meta->ns, meta->name, "") == STATE_UNCHANGED) {
            warn_not_there(what_if, kind, meta);
        }
        free(object);
        return 0;
    }
    return state_put(what_if->state, kind, object, err) < 0 ? -1 : 0;
}

static int load_what_if(const struct cli_list *paths, bool removing, struct state *state, size_t *findings,
                        struct err *err)
{
    for (size_t i = 0; i < paths->n; i++) {
        CLEANUP(free) char *text = NULL;
        size_t len;
        if (read_file(paths->v[i], LIMIT_DOCUMENT_BYTES, &text, &len, err) < 0) {
            return -1;
        }
        struct what_if what_if = {.state = state, .path = paths->v[i], .remove = removing};
        struct diagnostics DIAGNOSTICS_CLEANUP diagnostics = {0};
        struct decode_stats stats;
        if (decode_text(text, len, paths->v[i], what_if_object, &what_if, &diagnostics, &stats, err) < 0) {
            return -1;
        }
        *findings += print_findings(&diagnostics);
    }
    return 0;
}

int load_state(struct verb_common *common, struct state **ret, size_t *ret_findings, struct err *err)
{
    CLEANUP(state_free) struct state *state = NULL;
    size_t findings = 0;
    if (state_new(&state, err) < 0) {
        return -1;
    }
    int rc = common->files.n ? load_files(&common->files, state, &findings, err)
                             : load_cluster(common, state, &findings, err);
    if (rc < 0 || load_what_if(&common->without, true, state, &findings, err) < 0 ||
        load_what_if(&common->with, false, state, &findings, err) < 0) {
        return -1;
    }
    *ret = TAKE(state);
    *ret_findings = findings;
    return 0;
}
