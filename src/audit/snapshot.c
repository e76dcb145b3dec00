// SPDX-License-Identifier: Apache-2.0
#include "audit/snapshot.h"

#include <errno.h>
#include <unistd.h>

#include "audit/snapshot_object.h"
#include "base/buf.h"
#include "decode/decode.h"

enum { PIECE = 256 << 10 };

// There is one of each object: small.
struct entry {
    const char *ns;  // "ns\0name"
    uint64_t at;     // in the spool; later ones are newer
    uint32_t len;
    uint32_t kind;  // enum object_kind
};

static const char *name_of(const struct entry *entry)
{
    return entry->ns + strlen(entry->ns) + 1;
}

struct snapshot {
    enum snapshot_format format;
    int spool;
    VEC(struct entry) entries;
    struct arena names;
    struct arena scratch;
    struct buf waiting;  // the end of the spool
    uint64_t written;    // bytes of the spool in front of that
    bool failed;
    struct err err;
};

int snapshot_new(enum snapshot_format format, int spool, struct snapshot **ret, struct err *err)
{
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (!snapshot) {
        return err_oom(err);
    }
    snapshot->format = format;
    snapshot->spool = spool;
    *ret = snapshot;
    return 0;
}

void snapshot_free(struct snapshot *snapshot)
{
    if (!snapshot) {
        return;
    }
    vec_free(&snapshot->entries);
    arena_free(&snapshot->names);
    arena_free(&snapshot->scratch);
    buf_free(&snapshot->waiting);
    free(snapshot);
}

static int flush(struct snapshot *snapshot, struct err *err)
{
    if (snapshot->waiting.len && write_all(snapshot->spool, snapshot->waiting.data, snapshot->waiting.len) < 0) {
        return err_errno(err, "cannot keep the objects in a temporary file");
    }
    snapshot->written += snapshot->waiting.len;
    buf_clear(&snapshot->waiting);
    return 0;
}

static const char *copy_names(struct snapshot *snapshot, const struct doc *object)
{
    const char *ns = snapshot_object_meta(object, "namespace");
    const char *name = snapshot_object_meta(object, "name");
    size_t ns_size = strlen(ns) + 1;
    size_t name_size = strlen(name) + 1;
    char *names = arena_alloc(&snapshot->names, ns_size + name_size);
    if (names) {
        memcpy(names, ns, ns_size);
        memcpy(names + ns_size, name, name_size);
    }
    return names;
}

static int add(struct snapshot *snapshot, enum object_kind kind, const struct doc *object, struct err *err)
{
    struct buf *out = &snapshot->waiting;
    size_t before = out->len;
    const struct doc *reduced = snapshot_object(kind, object, &snapshot->scratch);
    if (!reduced) {
        return err_oom(err);
    }
    snapshot_object_write(reduced, snapshot->format, out);
    struct entry entry = {
        .kind = kind,
        .ns = copy_names(snapshot, object),
        .at = snapshot->written + before,
        .len = (uint32_t)(out->len - before),
    };
    if (out->len - before > UINT32_MAX) {
        return err_set(err, ERR_LIMIT, 0, "an object of 4 GiB");
    }
    if (out->failed || !entry.ns || vec_push(&snapshot->entries, entry) < 0) {
        return err_oom(err);
    }
    return out->len >= PIECE ? flush(snapshot, err) : 0;
}

void snapshot_add(enum object_kind kind, const struct doc *object, void *arg)
{
    struct snapshot *snapshot = arg;
    if (!snapshot->failed && object) {
        snapshot->failed = add(snapshot, kind, object, &snapshot->err) < 0;
        arena_reset(&snapshot->scratch);
    }
}

static int compare_names(const struct entry *a, const struct entry *b)
{
    int order = strcmp(object_kind_name((enum object_kind)a->kind), object_kind_name((enum object_kind)b->kind));
    order = order ? order : strcmp(a->ns, b->ns);
    return order ? order : strcmp(name_of(a), name_of(b));
}

static int compare(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;
    int order = compare_names(x, y);
    return order ? order : (x->at > y->at) - (x->at < y->at);
}

static bool in_state(const struct state *state, const struct entry *entry)
{
    switch ((enum object_kind)entry->kind) {
    case OBJECT_POD:
        return state_pod(state, entry->ns, name_of(entry));
    case OBJECT_NAMESPACE:
        return state_namespace(state, name_of(entry));
    case OBJECT_POLICY:
        return state_policy(state, entry->ns, name_of(entry));
    case OBJECT_NODE:
        return state_node(state, name_of(entry));
    }
    return false;
}

// Into a text of at least n bytes.
static int read_spool(const struct snapshot *snapshot, uint64_t at, char *text, size_t n, struct err *err)
{
    while (n > 0) {
        ssize_t got = pread(snapshot->spool, text, n, (off_t)at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            errno = got < 0 ? errno : EIO;
            return err_errno(err, "cannot read the objects back from a temporary file");
        }
        text += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return 0;
}

static int count_object(enum object_kind kind UNUSED, void *object, void *arg, struct err *err UNUSED)
{
    free(object);
    ++*(size_t *)arg;
    return 0;
}

// 1: it has gone while the cluster was read. An object that cannot be read is in no state, and stays here.
static int has_gone(const struct snapshot *snapshot, const struct state *state, const struct entry *entry,
                    struct err *err)
{
    if (in_state(state, entry)) {
        return 0;
    }
    CLEANUP(free) char *text = malloc((size_t)entry->len + 1);
    if (!text) {
        return err_oom(err);
    }
    if (read_spool(snapshot, entry->at, text, entry->len, err) < 0) {
        return -1;
    }
    size_t skip = 0;
    size_t len = snapshot_object_bare(entry->len, snapshot->format, &skip);
    size_t objects = 0;
    struct diagnostics DIAGNOSTICS_CLEANUP diagnostics = {0};
    if (decode_text(text + skip, len, "", count_object, &objects, &diagnostics, NULL, err) < 0) {
        return -1;
    }
    return objects > 0;
}

// Sorted, one of each name, without what has gone.
static int settle(struct snapshot *snapshot, const struct state *state, struct err *err)
{
    size_t n = snapshot->entries.n;
    struct entry *v = snapshot->entries.v;
    if (n) {
        qsort(v, n, sizeof(*v), compare);
    }
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        bool replaced = i + 1 < n && *name_of(&v[i]) && compare_names(&v[i], &v[i + 1]) == 0;
        int gone = replaced ? 1 : has_gone(snapshot, state, &v[i], err);
        if (gone < 0) {
            return -1;
        }
        if (!gone) {
            v[kept++] = v[i];
        }
    }
    snapshot->entries.n = kept;
    return 0;
}

// The server gives objects sorted, so neighbours here mostly are neighbours in the spool: they are copied together.
static int copy(const struct snapshot *snapshot, struct new_file *file, struct err *err)
{
    CLEANUP(free) char *piece = malloc(PIECE);
    if (!piece) {
        return err_oom(err);
    }
    const struct entry *v = snapshot->entries.v;
    for (size_t i = 0; i < snapshot->entries.n;) {
        uint64_t at = v[i].at;
        uint64_t end = at;
        while (i < snapshot->entries.n && v[i].at == end) {
            end += v[i++].len;
        }
        if (i == snapshot->entries.n) {
            end -= snapshot_separator(snapshot->format);
        }
        while (at < end) {
            size_t n = end - at < PIECE ? (size_t)(end - at) : PIECE;
            if (read_spool(snapshot, at, piece, n, err) < 0 || new_file_write(file, piece, n, err) < 0) {
                return -1;
            }
            at += n;
        }
    }
    return 0;
}

int snapshot_write(struct snapshot *snapshot, const struct state *state, const char *head, struct new_file *file,
                   struct err *err)
{
    if (snapshot->failed) {
        *err = snapshot->err;
        return -1;
    }
    if (flush(snapshot, err) < 0 || settle(snapshot, state, err) < 0) {
        return -1;
    }
    struct buf BUF_CLEANUP first = {0};
    snapshot_head(snapshot->format, head, &first);
    const char *last = snapshot_tail(snapshot->format);
    if (first.failed) {
        return err_oom(err);
    }
    return new_file_begin(file, err) < 0 || new_file_write(file, first.data ? first.data : "", first.len, err) < 0 ||
                   copy(snapshot, file, err) < 0 || new_file_write(file, last, strlen(last), err) < 0
               ? -1
               : new_file_commit(file, err);
}
