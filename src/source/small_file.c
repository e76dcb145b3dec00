// SPDX-License-Identifier: Apache-2.0
#include "source/small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"

void secret_free(char *text)
{
    if (text) {
        explicit_bzero(text, strlen(text));
        free(text);
    }
}

bool secret_is_token(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p <= ' ' || *p >= 0x7f) {
            return false;
        }
    }
    return text[0] != '\0';
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

const char *pem_fault(const char *text)
{
    if (!strstr(text, "-----BEGIN ")) {
        return "does not hold PEM (\"-----BEGIN …\")";
    }
    if (strstr(text, "BEGIN ENCRYPTED ") || strstr(text, ",ENCRYPTED") || strstr(text, ", ENCRYPTED")) {
        return "is encrypted, and nobody is there to give the pass phrase; decrypt it (openssl pkey -in FILE -out "
               "FILE)";
    }
    return NULL;
}

int small_file_pem(const char *path, char **ret, struct err *err)
{
    CLEANUP(secret_free) char *text = NULL;
    if (small_file_read(path, LIMIT_PEM, &text, err) < 0) {
        return -1;
    }
    const char *fault = pem_fault(text);
    if (fault) {
        return err_set(err, ERR_INPUT, 0, "%s %s", path, fault);
    }
    *ret = TAKE(text);
    return 0;
}

int small_file_token(const char *path, char **ret, struct err *err)
{
    static const char blanks[] = " \t\r\n";
    CLEANUP(secret_free) char *text = NULL;
    if (small_file_read(path, LIMIT_TOKEN, &text, err) < 0) {
        return -1;
    }
    const char *start = text + strspn(text, blanks);
    size_t len = strlen(start);
    while (len && strchr(blanks, start[len - 1])) {
        len--;
    }
    if (len == 0) {
        return err_set(err, ERR_INPUT, 0, "%s is empty", path);
    }
    CLEANUP(secret_free) char *token = strndup(start, len);
    if (!token) {
        return err_oom(err);
    }
    if (!secret_is_token(token)) {
        return err_set(err, ERR_INPUT, 0, "%s holds a blank, a line break or a byte that no token has", path);
    }
    *ret = TAKE(token);
    return 0;
}
