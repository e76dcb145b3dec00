// SPDX-License-Identifier: Apache-2.0
#include "audit/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static bool is_stdout(const struct new_file *file)
{
    return strcmp(file->path, "-") == 0;
}

static int fail(const struct new_file *file, const char *what, struct err *err)
{
    return is_stdout(file) ? err_errno(err, "standard output") : err_errno(err, "cannot %s %s", what, file->path);
}

// A file without a name; where the file system has no such thing, one whose name is taken away at once.
static int open_spool(const struct new_file *file, int *ret, struct err *err)
{
    int fd = open(file->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        char *name = NULL;
        if (asprintf(&name, "%s/.netpolctl.XXXXXX", file->directory) < 0) {
            return err_oom(err);
        }
        fd = mkostemp(name, O_CLOEXEC);
        if (fd >= 0) {
            (void)unlink(name);
        }
        free(name);
    }
    if (fd < 0) {
        return err_errno(err, "cannot write to the directory %s", file->directory);
    }
    *ret = fd;
    return 0;
}

// Where the file really is: a symbolic link stays one, but not one that somebody else has put there for us to follow. A
// path that does not exist yet is as given.
static int resolve(const char *path, struct new_file *file, struct err *err)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && st.st_uid != geteuid() && st.st_uid != 0) {
        return err_set(err, ERR_DENIED, 0, "%s is a symbolic link of another user; name the file itself", path);
    }
    file->path = realpath(path, NULL);
    if (!file->path && errno != ENOENT) {
        return errno == ENOMEM ? err_oom(err) : err_errno(err, "cannot write %s", path);
    }
    if (!file->path) {
        file->path = strdup(path);
    }
    return file->path ? 0 : err_oom(err);
}

static int find_directory(struct new_file *file, struct err *err)
{
    struct stat st;
    bool exists = !is_stdout(file) && stat(file->path, &st) == 0;
    if (exists && S_ISDIR(st.st_mode)) {
        return err_set(err, ERR_USAGE, 0, "%s is a directory; name a file in it", file->path);
    }
    if (is_stdout(file) || (exists && !S_ISREG(st.st_mode))) {
        const char *tmp = getenv("TMPDIR");
        file->directory = strdup(tmp && *tmp ? tmp : "/tmp");
    } else {
        const char *slash = strrchr(file->path, '/');
        size_t len = slash ? (size_t)(slash - file->path) : 0;
        file->directory = !slash ? strdup(".") : strndup(file->path, len ? len : 1);
        if (asprintf(&file->temporary, "%s.XXXXXX", file->path) < 0) {
            file->temporary = NULL;
        }
        if (!file->temporary) {
            return err_oom(err);
        }
    }
    return file->directory ? 0 : err_oom(err);
}

int new_file_check(const char *path, struct new_file *ret, int *ret_spool, struct err *err)
{
    NEW_FILE_CLEANUP struct new_file file = {0};
    if (strcmp(path, "-") == 0) {
        file.path = strdup(path);
        if (!file.path) {
            return err_oom(err);
        }
    } else if (resolve(path, &file, err) < 0) {
        return -1;
    }
    if (find_directory(&file, err) < 0 || open_spool(&file, ret_spool, err) < 0) {
        return -1;
    }
    *ret = file;
    file = (struct new_file){0};
    return 0;
}

int new_file_begin(struct new_file *file, struct err *err)
{
    if (file->temporary) {
        // Without a name until it is whole: nothing is left of it when we are killed.
        file->fd = open(file->directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
        file->named = file->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL);
        if (file->named) {
            file->fd = mkostemp(file->temporary, O_CLOEXEC);
        }
    } else if (is_stdout(file)) {
        file->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    } else {
        file->fd = open(file->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    }
    if (file->fd < 0) {
        return fail(file, "write", err);
    }
    file->open = true;
    return 0;
}

int new_file_write(struct new_file *file, const char *data, size_t len, struct err *err)
{
    return write_all(file->fd, data, len) < 0 ? fail(file, "write", err) : 0;
}

// Gives the file its temporary name.
static int give_name(struct new_file *file)
{
    char from[32];
    (void)snprintf(from, sizeof(from), "/proc/self/fd/%d", file->fd);
    size_t len = strlen(file->temporary) - strlen("XXXXXX");
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(file->temporary + len, sizeof("XXXXXX"), "%06u", ((unsigned)getpid() + i) % 1000000);
        if (linkat(AT_FDCWD, from, AT_FDCWD, file->temporary, AT_SYMLINK_FOLLOW) == 0) {
            file->named = true;
            return 0;
        }
        if (errno != EEXIST) {
            break;
        }
    }
    return -1;
}

int new_file_commit(struct new_file *file, struct err *err)
{
    if (!file->temporary) {
        return 0;
    }
    if (fsync(file->fd) < 0 || (!file->named && give_name(file) < 0) || rename(file->temporary, file->path) < 0) {
        return fail(file, "write", err);
    }
    free(TAKE(file->temporary));
    CLEANUP(fd) int directory = open(file->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    // Some file systems cannot do it: the file is there all the same.
    return directory < 0 || (fsync(directory) < 0 && errno != EINVAL && errno != EROFS) ? fail(file, "keep", err) : 0;
}

void new_file_close(struct new_file *file)
{
    if (file->open) {
        (void)close(file->fd);
        if (file->temporary && file->named) {
            (void)unlink(file->temporary);
        }
    }
    free(file->path);
    free(file->directory);
    free(file->temporary);
    *file = (struct new_file){0};
}
