// SPDX-License-Identifier: Apache-2.0
#include "agent/cni_book.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/cni_request.h"
#include "base/log.h"
#include "json/json_plain.h"

enum { FILE_MAX = 64 << 10, FILE_NAME = CNI_ID + PACKET_IFACE + 16, ALL_MAX = 4 * LIMIT_LEARNT_PODS };

struct file_name {
    char text[256];
};

// As VEC(struct file_name), with a name.
struct file_names {
    struct file_name *v;
    size_t n;
    size_t cap;
};

struct cni_book {
    char folder[CNI_PATH];
    int fd;           // the folder
    struct map *map;  // the file's name → struct cni_attachment
    struct file_names unreadable;
    struct file_names kept;  // should be gone
};

int cni_book_folder(const char *socket_path, char ret[CNI_PATH], struct err *err)
{
    const char *slash = strrchr(socket_path, '/');
    int n = snprintf(ret, CNI_PATH, "%.*scni", slash ? (int)(slash + 1 - socket_path) : 0, socket_path);
    return n < CNI_PATH ? 0 : err_set(err, ERR_USAGE, 0, "the path of the socket is too long");
}

// A container id as the CNI specification has it, and an interface's name as the kernel has it.
bool cni_book_file(const char *id, const char *ifname, char *ret, size_t size)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t n_id = strlen(id);
    size_t n_ifname = strlen(ifname);
    bool id_ok = n_id > 0 && n_id < CNI_ID && id[strspn(id, allowed)] == '\0' && !strchr("_.-", id[0]);
    bool ifname_ok = n_ifname > 0 && n_ifname < PACKET_IFACE && strcspn(ifname, "/: \t\n\v\f\r") == n_ifname &&
                     strcmp(ifname, ".") != 0 && strcmp(ifname, "..") != 0;
    return id_ok && ifname_ok && (size_t)snprintf(ret, size, "%s@%s.json", id, ifname) < size;
}

static int read_file(const struct cni_book *book, const char *name, struct cni_attachment *ret, struct err *err)
{
    CLEANUP(fd) int fd = openat(book->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    char text[FILE_MAX];
    size_t len = 0;
    if (fd < 0) {
        return err_errno(err, "cannot open");
    }
    for (;;) {
        ssize_t n = read(fd, text + len, sizeof(text) - len);
        if (n < 0 && errno != EINTR) {
            return err_errno(err, "cannot read");
        }
        len += n > 0 ? (size_t)n : 0;
        if (n == 0) {
            break;
        }
        if (len == sizeof(text)) {
            return err_set(err, ERR_LIMIT, 0, "is too big");
        }
    }
    struct arena arena = {0};
    struct doc *doc = NULL;
    char want[FILE_NAME];
    struct cni_attachment got = {0};
    int rc = json_parse_plain(text, len, &arena, &doc, err) < 0 || cni_request_parse(doc, &got, err) < 0 ? -1 : 0;
    arena_free(&arena);
    if (rc == 0 && (!cni_book_file(got.id, got.ifname, want, sizeof(want)) || strcmp(want, name) != 0)) {
        return err_set(err, ERR_INPUT, 0, "is of another attachment than its name says");
    }
    if (rc == 0) {
        *ret = got;
    }
    return rc;
}

static int keep(struct cni_book *book, const char *name, const struct cni_attachment *attachment, struct err *err)
{
    if (!map_get_str(book->map, name) && map_size(book->map) >= ALL_MAX) {
        return err_set(err, ERR_LIMIT, 0, "%d attachments are known already", ALL_MAX);
    }
    CLEANUP(free) struct cni_attachment *copy = malloc(sizeof(*copy));
    void *old = NULL;
    if (!copy) {
        return err_oom(err);
    }
    *copy = *attachment;
    if (map_put_str(book->map, name, copy, &old) < 0) {
        return err_oom(err);
    }
    (void)TAKE(copy);
    free(old);
    return 0;
}

static int note(struct file_names *list, const char *name, struct err *err)
{
    struct file_name entry;
    (void)snprintf(entry.text, sizeof(entry.text), "%s", name);
    return vec_push(list, entry) < 0 ? err_oom(err) : 0;
}

static int read_all(struct cni_book *book, bool tidy, struct err *err)
{
    int fd = openat(book->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return err_errno(err, "cannot read the folder %s", book->folder);
    }
    int rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(folder));) {
        struct cni_attachment got;
        struct err why = {0};
        size_t len = strlen(entry->d_name);
        if (entry->d_name[0] == '.') {
            // "." and "..", and what a process that was killed had not finished.
            if (tidy && strncmp(entry->d_name, ".new", 4) == 0) {
                (void)unlinkat(book->fd, entry->d_name, 0);
            }
        } else if (len < 5 || strcmp(entry->d_name + len - 5, ".json") != 0) {
            continue;
        } else if (read_file(book, entry->d_name, &got, &why) < 0) {
            char text[1024];
            log_event(LOG_LEVEL_ERROR, "cni-file-unreadable", "file=%s error=%s effect=%s", log_quote(entry->d_name),
                      log_quote(err_text(&why, text, sizeof(text))),
                      log_quote("the address of that pod is known when its status says it"));
            rc = note(&book->unreadable, entry->d_name, err);
        } else {
            rc = keep(book, entry->d_name, &got, err);
        }
    }
    (void)closedir(folder);
    return rc;
}

static int open_folder(const char *folder, bool own, struct cni_book **ret, struct err *err)
{
    CLEANUP(cni_book_free) struct cni_book *book = calloc(1, sizeof(*book));
    if (!book) {
        return err_oom(err);
    }
    book->fd = -1;
    book->map = map_new();
    (void)snprintf(book->folder, sizeof(book->folder), "%s", folder);
    if (!book->map) {
        return err_oom(err);
    }
    if (own && mkdir(folder, 0700) < 0 && errno != EEXIST) {
        return err_errno(err, "cannot create the folder %s", folder);
    }
    book->fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (book->fd < 0 && errno == ENOENT && !own) {
        *ret = TAKE(book);
        return 0;
    }
    struct stat st;
    if (book->fd < 0 || fstat(book->fd, &st) < 0) {
        return err_errno(err, "cannot open the folder %s", folder);
    }
    if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & (S_IWGRP | S_IWOTH))) {
        return err_set(err, ERR_DENIED, 0, "the folder %s can be written by others than root", folder);
    }
    if (read_all(book, own, err) < 0) {
        return -1;
    }
    *ret = TAKE(book);
    return 0;
}

int cni_book_open(const char *folder, struct cni_book **ret, struct err *err)
{
    return open_folder(folder, true, ret, err);
}

int cni_book_read(const char *folder, struct cni_book **ret, struct err *err)
{
    return open_folder(folder, false, ret, err);
}

void cni_book_free(struct cni_book *book)
{
    if (!book) {
        return;
    }
    for (struct map_entry *e = book->map ? map_first(book->map) : NULL; e; e = map_next(e)) {
        free(map_entry_value(e));
    }
    map_free(book->map);
    vec_free(&book->unreadable);
    vec_free(&book->kept);
    if (book->fd >= 0) {
        (void)close(book->fd);
    }
    free(book);
}

static int write_file(const struct cni_book *book, const char *name, const struct cni_attachment *attachment,
                      struct err *err)
{
    BUF_CLEANUP struct buf text = {.max = FILE_MAX};
    char fresh[FILE_NAME + 8];
    buf_putc(&text, '{');
    cni_request_put(attachment, &text);
    buf_puts(&text, "}\n");
    if (text.failed) {
        return err_oom(err);
    }
    (void)snprintf(fresh, sizeof(fresh), ".new-%s", name);
    CLEANUP(fd) int fd = openat(book->fd, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write(fd, text.data, text.len) != (ssize_t)text.len || fsync(fd) < 0 ||
        renameat(book->fd, fresh, book->fd, name) < 0 || fsync(book->fd) < 0) {
        (void)err_errno(err, "cannot write %s/%s", book->folder, name);
        (void)unlinkat(book->fd, fresh, 0);
        return -1;
    }
    return 0;
}

int cni_book_add(struct cni_book *book, const struct cni_attachment *attachment, struct err *err)
{
    char name[FILE_NAME];
    if (!cni_book_file(attachment->id, attachment->ifname, name, sizeof(name))) {
        return err_set(err, ERR_INPUT, 0, "id or ifname is not what CNI allows");
    }
    return write_file(book, name, attachment, err) < 0 ? -1 : keep(book, name, attachment, err);
}

const struct cni_attachment *cni_book_get(const struct cni_book *book, const char *id, const char *ifname)
{
    char name[FILE_NAME];
    return cni_book_file(id, ifname, name, sizeof(name)) ? map_get_str(book->map, name) : NULL;
}

// True: it is there no more.
static bool remove_file(const struct cni_book *book, const char *name)
{
    return unlinkat(book->fd, name, 0) == 0 || errno == ENOENT;
}

void cni_book_remove(struct cni_book *book, const char *id, const char *ifname)
{
    char name[FILE_NAME];
    struct err err = {0};
    if (!cni_book_file(id, ifname, name, sizeof(name))) {
        return;
    }
    free(map_del_str(book->map, name));
    if (!remove_file(book, name)) {
        log_event(LOG_LEVEL_ERROR, "cni-file-kept", "file=%s error=%s effect=%s", log_quote(name),
                  log_quote(strerror(errno)), log_quote("a restart would believe it; it is tried again"));
        // Out of memory: it was said.
        (void)!note(&book->kept, name, &err);
    }
}

static bool is_there(const struct cni_book *book, const char *name)
{
    return faccessat(book->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

// Gone, or written anew.
static void drop_gone(const struct cni_book *book, struct file_names *list)
{
    for (size_t i = 0; i < list->n; i++) {
        if (!is_there(book, list->v[i].text) || map_get_str(book->map, list->v[i].text)) {
            list->v[i--] = list->v[--list->n];
        }
    }
}

bool cni_book_tidy(struct cni_book *book, struct cni_attachment *ret)
{
    for (size_t i = 0; i < book->kept.n; i++) {
        // It may be known again meanwhile.
        if (map_get_str(book->map, book->kept.v[i].text) || remove_file(book, book->kept.v[i].text)) {
            book->kept.v[i--] = book->kept.v[--book->kept.n];
        }
    }
    drop_gone(book, &book->unreadable);
    for (struct map_entry *e = map_first(book->map); e; e = map_next(e)) {
        const struct cni_attachment *attachment = map_entry_value(e);
        char name[FILE_NAME];
        if (cni_book_file(attachment->id, attachment->ifname, name, sizeof(name)) && !is_there(book, name)) {
            *ret = *attachment;
            return true;
        }
    }
    return false;
}

size_t cni_book_unreadable(const struct cni_book *book, const char **first)
{
    if (first && book->unreadable.n > 0) {
        *first = book->unreadable.v[0].text;
    }
    return book->unreadable.n;
}

size_t cni_book_count(const struct cni_book *book)
{
    return map_size(book->map);
}

struct map_entry *cni_book_first(const struct cni_book *book)
{
    return map_first(book->map);
}
