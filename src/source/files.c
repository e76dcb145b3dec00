// SPDX-License-Identifier: Apache-2.0
//
// The merged view: files in path order, of each key the first holder is in force. A key that no file holds any more is
// removed from the state, which owns the objects in force; the files keep those that another place shadows.
#include "source/files.h"

#include <malloc.h>
#include <stdio.h>

#include "base/limits.h"
#include "source/files_file.h"
#include "source/files_walk.h"

struct files {
    const char **paths;
    size_t n_paths;
    struct map *by_path;         // struct file
    VEC(struct file *) ordered;  // in path order; those whose paths cannot be looked at now stand last
    struct map *in_force;        // key → itself: what the state holds of us
    struct files_listing listing;
    struct diagnostics duplicates;  // of the last merge
    bool stale;                     // some file's objects changed since the last merge
};

enum { TRIM_BYTES = 1 << 20 };  // of text read in one scan, from which on the heap is worth looking through

// What one scan works on.
struct scan {
    struct files *files;
    bool lenient;
    struct state *state;
    struct files_report *report;
    size_t bytes;  // of text read
    struct err *err;
};

// An object in the merged view.
struct winner {
    struct held *held;
    struct file *file;
};

void files_report_free(struct files_report *report)
{
    diagnostics_free(&report->diagnostics);
    *report = (struct files_report){0};
}

static void cleanup_report(struct files_report *report)
{
    files_report_free(report);
}

static void cleanup_arena(struct arena *arena)
{
    arena_free(arena);
}

void files_free(struct files *files)
{
    if (!files) {
        return;
    }
    for (struct map_entry *e = files->by_path ? map_first(files->by_path) : NULL; e; e = map_next(e)) {
        file_free(map_entry_value(e));
    }
    if (files->by_path) {
        map_free(files->by_path);
    }
    if (files->in_force) {
        map_free(files->in_force);
    }
    vec_free(&files->ordered);
    files_listing_free(&files->listing);
    diagnostics_free(&files->duplicates);
    for (size_t i = 0; i < files->n_paths; i++) {
        free((char *)files->paths[i]);
    }
    free(files->paths);
    free(files);
}

// "dir/" is "dir": paths below it must not depend on how it was written.
static char *copy_path(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    return strndup(path, n);
}

int files_new(const char *const *paths, size_t n, struct files **ret, struct err *err)
{
    CLEANUP(files_free) struct files *files = calloc(1, sizeof(*files));
    if (!files) {
        return err_oom(err);
    }
    files->by_path = map_new();
    files->in_force = map_new();
    files->paths = calloc(n ? n : 1, sizeof(*files->paths));
    if (!files->by_path || !files->in_force || !files->paths) {
        return err_oom(err);
    }
    for (; files->n_paths < n; files->n_paths++) {
        if (paths[files->n_paths][0] == '\0') {
            return err_set(err, ERR_USAGE, 0, "a path is empty");
        }
        files->paths[files->n_paths] = copy_path(paths[files->n_paths]);
        if (!files->paths[files->n_paths]) {
            return err_oom(err);
        }
    }
    *ret = TAKE(files);
    return 0;
}

const char *const *files_directories(const struct files *files, size_t *ret_n)
{
    *ret_n = files->listing.directories.n;
    return files->listing.directories.v;
}

static int find_file(struct files *files, const struct listed_file *listed, struct file **ret, struct err *err)
{
    *ret = map_get_str(files->by_path, listed->path);
    if (*ret) {
        return 0;
    }
    CLEANUP(file_free) struct file *file = file_new(listed->path, listed->named);
    if (!file || map_put_str(files->by_path, listed->path, file, NULL) < 0) {
        return err_oom(err);
    }
    *ret = TAKE(file);
    return 0;
}

static int look_at(struct scan *scan, const struct listed_file *listed)
{
    struct file *file;
    if (find_file(scan->files, listed, &file, scan->err) < 0) {
        return -1;
    }
    int result = file_update(file, scan->lenient, &scan->report->diagnostics, scan->err);
    if (result < 0) {
        return -1;
    }
    if (result == FILE_GONE) {
        return 0;
    }
    scan->report->files_read += result == FILE_READ;
    scan->bytes += result == FILE_READ ? (size_t)file->st.st_size : 0;
    scan->report->missing = scan->report->missing || result == FILE_UNREADABLE;
    scan->files->stale = scan->files->stale || result == FILE_READ;
    file->seen = true;
    return vec_push(&scan->files->ordered, file) < 0 ? err_oom(scan->err) : 0;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp((*(struct file *const *)a)->path, (*(struct file *const *)b)->path);
}

// Files that were not seen are removed ones, unless their place cannot be looked at now.
static int drop_unseen(struct scan *scan)
{
    struct files *files = scan->files;
    size_t n_seen = files->ordered.n;
    struct map_entry *next;
    for (struct map_entry *e = map_first(files->by_path); e; e = next) {
        next = map_next(e);
        struct file *file = map_entry_value(e);
        if (file->seen) {
            continue;
        }
        if (files_listing_unknown(&files->listing, file->path)) {
            if (vec_push(&files->ordered, file) < 0) {
                return err_oom(scan->err);
            }
            continue;
        }
        files->stale = true;
        (void)map_del_str(files->by_path, file->path);
        file_free(file);
    }
    if (files->ordered.n > n_seen) {
        qsort(files->ordered.v + n_seen, files->ordered.n - n_seen, sizeof(*files->ordered.v), compare_paths);
    }
    return 0;
}

static int look(struct scan *scan)
{
    struct files *files = scan->files;
    files_listing_free(&files->listing);
    files->ordered.n = 0;
    for (struct map_entry *e = map_first(files->by_path); e; e = map_next(e)) {
        ((struct file *)map_entry_value(e))->seen = false;
    }
    if (files_walk(files->paths, files->n_paths, &files->listing, &scan->report->diagnostics, scan->err) < 0) {
        return -1;
    }
    scan->report->missing = files->listing.missing;
    for (size_t i = 0; i < files->listing.files.n; i++) {
        if (look_at(scan, &files->listing.files.v[i]) < 0) {
            return -1;
        }
    }
    return drop_unseen(scan);
}

// "0ns/name" → its parts; ns_len bytes of *ret_ns are the namespace.
static enum object_kind split_key(const char *key, const char **ret_ns, size_t *ret_ns_len, const char **ret_name)
{
    const char *slash = strchr(key, '/');
    *ret_ns = key + 1;
    *ret_ns_len = (size_t)(slash - key - 1);
    *ret_name = slash + 1;
    return (enum object_kind)(key[0] - '0');
}

static int add_duplicate(struct scan *scan, const struct file *file, const struct held *held,
                         const struct winner *winner)
{
    const char *ns;
    const char *name;
    size_t ns_len;
    char object[640];
    const char *kind = object_kind_name(split_key(held->key, &ns, &ns_len, &name));
    (void)snprintf(object, sizeof(object), "%s %.*s%s%s", kind, (int)ns_len, ns, ns_len ? "/" : "", name);
    return diagnostics_add(&scan->files->duplicates, DIAGNOSTIC_LOST, file->label, held->line, object, "",
                           "is given twice: %s:%u came first and is used", winner->file->label, winner->held->line) < 0
               ? err_oom(scan->err)
               : 0;
}

// A holder that is shadowed from now on gets its object back as a copy, before the state's is replaced.
static int take_back(struct scan *scan, struct file *file, struct held *held)
{
    const char *ns_start;
    const char *name;
    size_t ns_len;
    char ns[LIMIT_NAME + 1];
    enum object_kind kind = split_key(held->key, &ns_start, &ns_len, &name);
    (void)snprintf(ns, sizeof(ns), "%.*s", (int)ns_len, ns_start);
    const void *object = NULL;
    switch (kind) {
    case OBJECT_POD:
        object = state_pod(scan->state, ns, name);
        held->object = object ? pod_dup(object) : NULL;
        break;
    case OBJECT_NAMESPACE:
        object = state_namespace(scan->state, name);
        held->object = object ? ns_object_dup(object) : NULL;
        break;
    case OBJECT_POLICY:
        object = state_policy(scan->state, ns, name);
        held->object = object ? policy_dup(object) : NULL;
        break;
    case OBJECT_NODE:
        object = state_node(scan->state, name);
        held->object = object ? node_dup(object) : NULL;
        break;
    }
    held->in_state = false;
    file->parsed = file->parsed && held->object;
    return held->object ? 0 : err_oom(scan->err);
}

static int put_object(struct scan *scan, struct held *held)
{
    return state_put(scan->state, (enum object_kind)(held->key[0] - '0'), TAKE(held->object), scan->err);
}

// The first holder of each key.
static int find_winners(struct scan *scan, struct map *winners, struct arena *arena)
{
    struct files *files = scan->files;
    for (size_t i = 0; i < files->ordered.n; i++) {
        struct file *file = files->ordered.v[i];
        for (size_t j = 0; j < file->held.n; j++) {
            struct held *held = &file->held.v[j];
            const struct winner *winner = map_get_str(winners, held->key);
            if (winner) {
                if (add_duplicate(scan, file, held, winner) < 0 ||
                    (held->in_state && take_back(scan, file, held) < 0)) {
                    return -1;
                }
                continue;
            }
            struct winner *first = arena_alloc(arena, sizeof(*first));
            if (!first || map_put_str(winners, held->key, first, NULL) < 0) {
                return err_oom(scan->err);
            }
            *first = (struct winner){.held = held, .file = file};
        }
    }
    return 0;
}

static int put_winners(struct scan *scan, struct map *winners)
{
    for (struct map_entry *e = map_first(winners); e; e = map_next(e)) {
        struct winner *winner = map_entry_value(e);
        struct held *held = winner->held;
        if (held->in_state || !held->object) {
            continue;
        }
        // Noted first: what the state may hold must never be forgotten.
        if (map_put_str(scan->files->in_force, held->key, scan->files, NULL) < 0) {
            return err_oom(scan->err);
        }
        int change = put_object(scan, held);
        if (change < 0) {
            // The object is gone with the failure: from the file again.
            winner->file->parsed = false;
            return -1;
        }
        held->in_state = true;
        scan->report->changed = scan->report->changed || change != STATE_UNCHANGED;
    }
    return 0;
}

static int remove_others(struct scan *scan, const struct map *winners)
{
    struct map_entry *next;
    for (struct map_entry *e = map_first(scan->files->in_force); e; e = next) {
        next = map_next(e);
        size_t len;
        const char *key = map_entry_key(e, &len);
        char copy[1 + LIMIT_NAME + 1 + LIMIT_NAME + 1];
        if (map_get(winners, key, len) || len >= sizeof(copy)) {
            continue;
        }
        memcpy(copy, key, len);
        copy[len] = '\0';
        const char *ns;
        const char *name;
        size_t ns_len;
        enum object_kind kind = split_key(copy, &ns, &ns_len, &name);
        copy[1 + ns_len] = '\0';
        int change = state_remove(scan->state, kind, ns, name, "");
        scan->report->changed = scan->report->changed || change == STATE_REMOVED;
        (void)map_del(scan->files->in_force, key, len);
    }
    return 0;
}

static int merge(struct scan *scan)
{
    CLEANUP(map_free) struct map *winners = map_new();
    __attribute__((cleanup(cleanup_arena))) struct arena arena = {0};
    diagnostics_free(&scan->files->duplicates);
    if (!winners) {
        return err_oom(scan->err);
    }
    if (find_winners(scan, winners, &arena) < 0 || put_winners(scan, winners) < 0) {
        return -1;
    }
    if (remove_others(scan, winners) < 0) {
        return -1;
    }
    scan->files->stale = false;
    return 0;
}

static int fill_report(struct scan *scan)
{
    struct files *files = scan->files;
    struct files_report *report = scan->report;
    for (size_t i = 0; i < files->duplicates.list.n; i++) {
        const struct diagnostic *d = &files->duplicates.list.v[i];
        if (diagnostics_add(&report->diagnostics, d->level, d->file, d->line, d->object, d->field, "%s", d->message) <
            0) {
            return err_oom(scan->err);
        }
    }
    report->files = files->ordered.n;
    report->objects = map_size(files->in_force);
    for (size_t i = 0; i < files->ordered.n; i++) {
        report->files_failing += files->ordered.v[i]->failing;
        report->ignored += files->ordered.v[i]->ignored;
    }
    return 0;
}

int files_scan(struct files *files, bool lenient, struct state *state, struct files_report *ret, struct err *err)
{
    __attribute__((cleanup(cleanup_report))) struct files_report report = {0};
    struct scan scan = {.files = files, .lenient = lenient, .state = state, .report = &report, .err = err};
    if (look(&scan) < 0 || (files->stale && merge(&scan) < 0) || fill_report(&scan) < 0) {
        return -1;
    }
#ifdef __GLIBC__
    if (scan.bytes >= TRIM_BYTES) {
        // The trees of what was read are gone, but objects that stay were allocated behind them.
        (void)malloc_trim(0);
    }
#endif
    *ret = report;
    report = (struct files_report){0};
    return 0;
}
