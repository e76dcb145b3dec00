// SPDX-License-Identifier: Apache-2.0
#include "source/files_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/limits.h"

enum { RACY_MS = 100, READ_FIRST = 64 << 10 };

struct text {
    char *data;
    size_t len;
};

static void cleanup_text(struct text *text)
{
    free(text->data);
}

void held_list_free(struct held_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->v[i].key);
        free(list->v[i].object);
    }
    vec_free(list);
}

static void cleanup_held(struct held_list *list)
{
    held_list_free(list);
}

void file_free(struct file *file)
{
    if (file) {
        held_list_free(&file->held);
        free(file->path);
        free(file);
    }
}

struct file *file_new(const char *path, bool named)
{
    CLEANUP(file_free) struct file *file = calloc(1, sizeof(*file));
    if (!file) {
        return NULL;
    }
    file->named = named;
    file->path = strdup(path);
    if (!file->path) {
        return NULL;
    }
    file->label = strcmp(path, "-") == 0 ? "<stdin>" : file->path;
    return TAKE(file);
}

static bool same_identity(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

// File times move in ticks of some milliseconds: a change right after a read in the same tick would not show.
static bool is_racy(const struct stat *st)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t age = ((int64_t)now.tv_sec - st->st_ctim.tv_sec) * 1000 + (now.tv_nsec - st->st_ctim.tv_nsec) / 1000000;
    return age < RACY_MS && age > -RACY_MS;
}

// Failing until it can be read again, whatever its times say then.
static int unreadable(struct file *file, struct diagnostics *diagnostics, struct err *err, const char *why)
{
    file->failing = true;
    file->parsed = file->read_once;
    return diagnostics_add(diagnostics, DIAGNOSTIC_LOST, file->label, 0, "", "", "cannot be read: %s", why) < 0
               ? err_oom(err)
               : FILE_UNREADABLE;
}

static int unreadable_errno(struct file *file, struct diagnostics *diagnostics, struct err *err)
{
    char why[96];
    return unreadable(file, diagnostics, err, strerror_r(errno, why, sizeof(why)));
}

// All of it, to the end: a pipe's size is not known, a file's may change meanwhile.
static int read_all(struct file *file, int fd, size_t expected, struct text *ret, struct diagnostics *diagnostics,
                    struct err *err)
{
    size_t cap = expected ? expected + 1 : READ_FIRST;
    ret->data = malloc(cap);
    if (!ret->data) {
        return err_oom(err);
    }
    for (;;) {
        if (ret->len == cap) {
            cap = cap > LIMIT_DOCUMENT_BYTES / 2 ? LIMIT_DOCUMENT_BYTES + 1 : cap * 2;
            char *grown = ret->len > LIMIT_DOCUMENT_BYTES ? NULL : realloc(ret->data, cap);
            if (!grown) {
                return ret->len > LIMIT_DOCUMENT_BYTES
                           ? unreadable(file, diagnostics, err, "larger than a state file may be (1 GiB)")
                           : err_oom(err);
            }
            ret->data = grown;
        }
        ssize_t n = read(fd, ret->data + ret->len, cap - ret->len);
        if (n == 0) {
            return FILE_READ;
        }
        if (n < 0 && errno != EINTR) {
            return unreadable_errno(file, diagnostics, err);
        }
        ret->len += n > 0 ? (size_t)n : 0;
    }
}

static int take_object(enum object_kind kind, void *object, void *arg, struct err *err)
{
    struct held_list *list = arg;
    const struct object_meta *meta = object;  // the first member of every kind
    size_t size = strlen(meta->ns) + strlen(meta->name) + 3;
    char *key = malloc(size);
    if (key) {
        (void)snprintf(key, size, "%c%s/%s", '0' + (int)kind, meta->ns, meta->name);
    }
    struct held held = {.key = key, .object = object, .line = meta->origin.line};
    if (!key || vec_push(list, held) < 0) {
        free(key);
        free(object);
        return err_oom(err);
    }
    return 0;
}

static int parse(struct file *file, const struct text *text, bool lenient, struct diagnostics *diagnostics,
                 struct err *err)
{
    __attribute__((cleanup(cleanup_held))) struct held_list list = {0};
    size_t lost = diagnostics->counts[DIAGNOSTIC_LOST];
    struct decode_stats stats = {0};
    if (decode_text(text->data, text->len, file->label, take_object, &list, diagnostics, &stats, err) < 0) {
        return -1;
    }
    file->failing = diagnostics->counts[DIAGNOSTIC_LOST] > lost;
    file->lenient = lenient;
    if (!file->failing || lenient) {
        struct held_list old = file->held;
        file->held = list;
        list = old;
        file->ignored = stats.ignored;
    }
    return 0;
}

// The descriptor, or -1 with *ret_result. A pipe given by its name is waited for; anything else must be a file.
static int open_file(struct file *file, struct stat *ret_st, struct diagnostics *diagnostics, struct err *err,
                     int *ret_result)
{
    bool is_stdin = strcmp(file->path, "-") == 0;
    int fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                      : open(file->path, O_RDONLY | O_CLOEXEC | (file->named ? 0 : O_NONBLOCK));
    if (fd < 0) {
        bool gone = !file->named && (errno == ENOENT || errno == ENOTDIR);
        *ret_result = gone ? FILE_GONE : unreadable_errno(file, diagnostics, err);
        return -1;
    }
    if (fstat(fd, ret_st) == 0 && (file->named || S_ISREG(ret_st->st_mode))) {
        return fd;
    }
    *ret_result = file->named ? unreadable_errno(file, diagnostics, err) : FILE_GONE;
    (void)close(fd);
    return -1;
}

// A file that was changed just before its last read is read again, and parsed if it holds something else now.
static bool is_unchanged(struct file *file, const struct text *text, bool racy)
{
    uint8_t digest[sizeof(file->digest)];
    bool was_racy = file->racy;
    file->racy = racy;
    if (!was_racy && !racy) {
        return false;
    }
    digest_sha256(text->data, text->len, digest);
    bool same = was_racy && memcmp(digest, file->digest, sizeof(digest)) == 0;
    memcpy(file->digest, digest, sizeof(digest));
    return same;
}

int file_update(struct file *file, bool lenient, struct diagnostics *diagnostics, struct err *err)
{
    struct stat st;
    bool wants_parse = !file->parsed || (lenient && file->failing && !file->lenient);
    if (file->read_once && file->parsed) {
        return FILE_SAME;
    }
    if (!wants_parse && !file->racy && stat(file->path, &st) == 0 && same_identity(&st, &file->st)) {
        return FILE_SAME;
    }
    int result = FILE_SAME;
    __attribute__((cleanup(cleanup_fd))) int fd = open_file(file, &st, diagnostics, err, &result);
    if (fd < 0) {
        return result;
    }
    bool same = !wants_parse && same_identity(&st, &file->st);
    if (S_ISREG(st.st_mode) && (unsigned long)st.st_size > LIMIT_DOCUMENT_BYTES) {
        return unreadable(file, diagnostics, err, "larger than a state file may be (1 GiB)");
    }
    bool racy = S_ISREG(st.st_mode) && is_racy(&st);
    file->read_once = !S_ISREG(st.st_mode) || strcmp(file->path, "-") == 0;
    __attribute__((cleanup(cleanup_text))) struct text text = {0};
    result = read_all(file, fd, S_ISREG(st.st_mode) ? (size_t)st.st_size : 0, &text, diagnostics, err);
    if (result != FILE_READ) {
        return result;
    }
    file->st = st;
    if (is_unchanged(file, &text, racy) && same) {
        return FILE_SAME;
    }
    if (parse(file, &text, lenient, diagnostics, err) < 0) {
        return -1;
    }
    file->parsed = true;
    return FILE_READ;
}
