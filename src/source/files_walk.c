// SPDX-License-Identifier: Apache-2.0
#include "source/files_walk.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"

enum { SYMLINK_HOPS = 40 };  // as the kernel's own limit

// The directories on the way down, to leave a loop of symlinks.
struct level {
    const struct level *up;
    dev_t dev;
    ino_t ino;
    unsigned depth;
};

struct walk {
    struct files_listing *listing;
    struct diagnostics *diagnostics;
    struct err *err;
};

void files_listing_free(struct files_listing *listing)
{
    arena_free(&listing->arena);
    vec_free(&listing->files);
    vec_free(&listing->directories);
    vec_free(&listing->unreadable);
    if (listing->seen) {
        map_free(listing->seen);
    }
    *listing = (struct files_listing){0};
}

static void cleanup_dir(DIR **dir)
{
    if (*dir) {
        (void)closedir(*dir);
    }
}

static int add_directory(struct walk *walk, const char *path)
{
    const char *copy = arena_strdup(&walk->listing->arena, path);
    return copy && vec_push(&walk->listing->directories, copy) == 0 ? 0 : err_oom(walk->err);
}

static int add_directory_of(struct walk *walk, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) {
        return add_directory(walk, ".");
    }
    const char *parent = arena_strndup(&walk->listing->arena, path, slash == path ? 1 : (size_t)(slash - path));
    return parent ? add_directory(walk, parent) : err_oom(walk->err);
}

// A symlink's every stop: a swap of any of them changes what is read.
static int add_link_directories(struct walk *walk, const char *path)
{
    char at[PATH_MAX];
    char target[PATH_MAX];
    (void)snprintf(at, sizeof(at), "%s", path);
    for (int hop = 0; hop < SYMLINK_HOPS; hop++) {
        ssize_t n = readlink(at, target, sizeof(target) - 1);
        if (n < 0) {
            break;
        }
        target[n] = '\0';
        const char *slash = strrchr(at, '/');
        size_t keep = target[0] == '/' || !slash ? 0 : (size_t)(slash - at) + 1;
        if (keep + (size_t)n >= sizeof(at)) {
            break;
        }
        memcpy(at + keep, target, (size_t)n + 1);
        if (add_directory_of(walk, at) < 0) {
            return -1;
        }
    }
    // And the real place, where components of the way are links themselves.
    return realpath(path, target) ? add_directory_of(walk, target) : 0;
}

// What is at path cannot be read now. Its older objects stay.
static int add_unreadable(struct walk *walk, const char *path, const char *what, int why)
{
    char text[96];
    if (why == ENOMEM) {
        return err_oom(walk->err);
    }
    walk->listing->missing = true;
    const char *copy = arena_strdup(&walk->listing->arena, path);
    if (!copy || vec_push(&walk->listing->unreadable, copy) < 0 ||
        diagnostics_add(walk->diagnostics, DIAGNOSTIC_LOST, path, 0, "", "", "%s: %s", what,
                        strerror_r(why, text, sizeof(text))) < 0) {
        return err_oom(walk->err);
    }
    return 0;
}

static int add_file(struct walk *walk, const char *path, bool named, const struct stat *st)
{
    struct files_listing *listing = walk->listing;
    struct {
        dev_t dev;
        ino_t ino;
    } key;
    memset(&key, 0, sizeof(key));
    key.dev = st->st_dev;
    key.ino = st->st_ino;
    if (map_get(listing->seen, &key, sizeof(key))) {
        return 0;
    }
    if (listing->files.n == LIMIT_STATE_FILES) {
        return err_set(walk->err, ERR_LIMIT, 0, "%s: more than %d state files", path, LIMIT_STATE_FILES);
    }
    const char *copy = arena_strdup(&listing->arena, path);
    struct listed_file file = {.path = copy, .named = named, .dev = st->st_dev, .ino = st->st_ino};
    if (!copy || map_put(listing->seen, &key, sizeof(key), listing, NULL) < 0 || vec_push(&listing->files, file) < 0) {
        return err_oom(walk->err);
    }
    return 0;
}

static bool has_suffix(const char *name)
{
    static const char *const suffixes[] = {".yaml", ".yml", ".json"};
    size_t n = strlen(name);
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        size_t m = strlen(suffixes[i]);
        if (n > m && strcmp(name + n - m, suffixes[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int walk_directory(struct walk *walk, const char *path, const struct stat *st, const struct level *up);

// Not there any more: it went away since its name was read, which is no error, or is a link to nothing.
static int walk_vanished(struct walk *walk, const char *path)
{
    struct stat st;
    if (!has_suffix(path) || lstat(path, &st) < 0) {
        return 0;
    }
    return diagnostics_add(walk->diagnostics, DIAGNOSTIC_WARNING, path, 0, "", "", "a symlink to nothing") < 0
               ? err_oom(walk->err)
               : add_link_directories(walk, path);
}

static int walk_entry(struct walk *walk, const char *path, const struct level *level)
{
    struct stat st;
    struct stat link;
    if (stat(path, &st) < 0) {
        return errno == ENOENT || errno == ENOTDIR ? walk_vanished(walk, path)
                                                   : add_unreadable(walk, path, "cannot be read", errno);
    }
    bool is_link = lstat(path, &link) == 0 && S_ISLNK(link.st_mode);
    if (is_link && (S_ISDIR(st.st_mode) || has_suffix(path)) && add_link_directories(walk, path) < 0) {
        return -1;
    }
    if (S_ISDIR(st.st_mode)) {
        return walk_directory(walk, path, &st, level);
    }
    return S_ISREG(st.st_mode) && has_suffix(path) ? add_file(walk, path, false, &st) : 0;
}

static bool is_loop(const struct level *level, const struct stat *st)
{
    for (; level; level = level->up) {
        if (level->dev == st->st_dev && level->ino == st->st_ino) {
            return true;
        }
    }
    return false;
}

static int walk_directory(struct walk *walk, const char *path, const struct stat *st, const struct level *up)
{
    if (is_loop(up, st)) {
        return 0;
    }
    struct level level = {.up = up, .dev = st->st_dev, .ino = st->st_ino, .depth = up ? up->depth + 1 : 1};
    if (level.depth > LIMIT_STATE_DEPTH) {
        return add_unreadable(walk, path, "too many directories below each other", ELOOP);
    }
    __attribute__((cleanup(cleanup_dir))) DIR *dir = opendir(path);
    if (!dir) {
        return errno == ENOENT && up ? 0 : add_unreadable(walk, path, "cannot be listed", errno);
    }
    if (add_directory(walk, path) < 0) {
        return -1;
    }
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry) {
            return errno ? add_unreadable(walk, path, "cannot be listed", errno) : 0;
        }
        if (entry->d_name[0] == '.') {
            continue;
        }
        char child[PATH_MAX];
        const char *slash = path[strlen(path) - 1] == '/' ? "" : "/";
        int n = snprintf(child, sizeof(child), "%s%s%s", path, slash, entry->d_name);
        if (n < 0 || (size_t)n >= sizeof(child)) {
            if (add_unreadable(walk, path, "cannot be listed", ENAMETOOLONG) < 0) {
                return -1;
            }
        } else if (walk_entry(walk, child, &level) < 0) {
            return -1;
        }
    }
}

// The nearest directory that is there, where a missing path would appear.
static int add_existing_parent(struct walk *walk, const char *path)
{
    char at[PATH_MAX];
    struct stat st;
    (void)snprintf(at, sizeof(at), "%s", path);
    for (char *slash = strrchr(at, '/'); slash; slash = strrchr(at, '/')) {
        if (slash == at) {
            return add_directory(walk, "/");
        }
        *slash = '\0';
        if (stat(at, &st) == 0 && S_ISDIR(st.st_mode)) {
            return add_directory(walk, at);
        }
    }
    return add_directory(walk, ".");
}

static int walk_root(struct walk *walk, const char *path)
{
    struct stat st;
    if (strcmp(path, "-") == 0) {
        return fstat(STDIN_FILENO, &st) < 0 ? add_unreadable(walk, path, "standard input cannot be read", errno)
                                            : add_file(walk, path, true, &st);
    }
    if (stat(path, &st) < 0) {
        int why = errno;
        return add_existing_parent(walk, path) < 0 ? -1 : add_unreadable(walk, path, "cannot be read", why);
    }
    struct stat link;
    bool is_link = lstat(path, &link) == 0 && S_ISLNK(link.st_mode);
    if ((is_link || !S_ISDIR(st.st_mode)) && add_directory_of(walk, path) < 0) {
        return -1;
    }
    if (is_link && add_link_directories(walk, path) < 0) {
        return -1;
    }
    return S_ISDIR(st.st_mode) ? walk_directory(walk, path, &st, NULL) : add_file(walk, path, true, &st);
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct listed_file *)a)->path, ((const struct listed_file *)b)->path);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort_directories(struct files_listing *listing)
{
    size_t kept = 0;
    const char **v = listing->directories.v;
    if (listing->directories.n == 0) {
        return;
    }
    qsort(v, listing->directories.n, sizeof(*v), compare_texts);
    for (size_t i = 0; i < listing->directories.n; i++) {
        if (kept == 0 || strcmp(v[kept - 1], v[i]) != 0) {
            v[kept++] = v[i];
        }
    }
    listing->directories.n = kept;
}

int files_walk(const char *const *paths, size_t n, struct files_listing *ret, struct diagnostics *diagnostics,
               struct err *err)
{
    struct walk walk = {.listing = ret, .diagnostics = diagnostics, .err = err};
    ret->seen = map_new();
    if (!ret->seen) {
        return err_oom(err);
    }
    for (size_t i = 0; i < n; i++) {
        size_t start = ret->files.n;
        if (walk_root(&walk, paths[i]) < 0) {
            return -1;
        }
        if (ret->files.n > start) {
            qsort(ret->files.v + start, ret->files.n - start, sizeof(*ret->files.v), compare_files);
        }
    }
    sort_directories(ret);
    return 0;
}

bool files_listing_unknown(const struct files_listing *listing, const char *path)
{
    for (size_t i = 0; i < listing->unreadable.n; i++) {
        const char *prefix = listing->unreadable.v[i];
        size_t n = strlen(prefix);
        if (strncmp(prefix, path, n) == 0 && (path[n] == '\0' || path[n] == '/' || (n > 0 && prefix[n - 1] == '/'))) {
            return true;
        }
    }
    return false;
}
