// SPDX-License-Identifier: Apache-2.0
#include "source/small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

void secret_free(char *text)
{
    if (text) {
        explicit_bzero(text, strlen(text));
        free(text);
    }
}

static int open_regular(const char *path, size_t max, size_t *ret_size, struct err *err)
{
    // Not blocking: a FIFO in the place of a file must not hang the daemon.
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        bool absent = errno == ENOENT || errno == ENOTDIR;
        (void)err_errno(err, "cannot read %s", path);
        if (absent && err) {
            err->kind = ERR_NOT_FOUND;
        }
        return -1;
    }
    struct stat st;
    if (fstat(fd, &st) < 0) {
        (void)err_errno(err, "cannot read %s", path);
    } else if (!S_ISREG(st.st_mode)) {
        (void)err_set(err, ERR_INPUT, 0, "%s is not a regular file", path);
    } else if ((uint64_t)st.st_size > max) {
        (void)err_set(err, ERR_LIMIT, 0, "%s has more than %zu bytes", path, max);
    } else {
        *ret_size = (size_t)st.st_size;
        return fd;
    }
    (void)close(fd);
    return -1;
}

int small_file_read(const char *path, size_t max, char **ret, struct err *err)
{
    size_t size = 0;
    CLEANUP(fd) int fd = open_regular(path, max, &size, err);
    if (fd < 0) {
        return -1;
    }
    CLEANUP(secret_free) char *text = calloc(1, size + 1);
    if (!text) {
        return err_oom(err);
    }
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(fd, text + len, size - len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_errno(err, "cannot read %s", path);
        }
        if (n == 0) {
            break;
        }
        len += (size_t)n;
    }
    if (memchr(text, '\0', len)) {
        return err_set(err, ERR_INPUT, 0, "%s holds a NUL byte", path);
    }
    *ret = TAKE(text);
    return 0;
}
