// SPDX-License-Identifier: Apache-2.0
#include "source/small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/num.h"

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

// A regular file, or, where pipes are allowed, a FIFO, of which *ret_pipe tells.
static int open_file(const char *path, size_t max, bool *ret_pipe, size_t *ret_size, struct err *err)
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
    } else if (ret_pipe && S_ISFIFO(st.st_mode)) {
        *ret_pipe = true;
        *ret_size = max;
        return fd;
    } else if (!S_ISREG(st.st_mode)) {
        (void)err_set(err, ERR_INPUT, 0, "%s is not a regular file%s", path, ret_pipe ? " or a pipe" : "");
    } else if ((uint64_t)st.st_size > max) {
        (void)err_set(err, ERR_LIMIT, 0, "%s has more than %zu bytes", path, max);
    } else {
        *ret_size = (size_t)st.st_size;
        return fd;
    }
    (void)close(fd);
    return -1;
}

// Until the other end of a pipe has written, or closed it.
static int wait_for_more(int fd, uint64_t end_ms, const char *path, struct err *err)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    for (;;) {
        uint64_t now_ms = num_now_ms();
        int n = now_ms < end_ms ? poll(&poll_fd, 1, (int)(end_ms - now_ms)) : 0;
        if (n == 0) {
            return err_set(err, ERR_INPUT, 0, "%s is a pipe into which nobody wrote to the end in time", path);
        }
        if (n > 0) {
            return 0;
        }
        if (errno != EINTR) {
            return err_errno(err, "cannot read %s", path);
        }
    }
}

// wait_ms: for what a pipe holds; 0: pipes are refused.
static int read_file(const char *path, size_t max, unsigned wait_ms, char **ret, struct err *err)
{
    size_t size = 0;
    bool pipe = false;
    uint64_t end_ms = num_now_ms() + wait_ms;
    CLEANUP(fd) int fd = open_file(path, max, wait_ms ? &pipe : NULL, &size, err);
    if (fd < 0) {
        return -1;
    }
    // One more than a pipe may hold shows that it holds more.
    size += pipe ? 1 : 0;
    CLEANUP(secret_free) char *text = calloc(1, size + 1);
    if (!text) {
        return err_oom(err);
    }
    size_t len = 0;
    // A read before there ever was a writer would be taken for the end.
    if (pipe && wait_for_more(fd, end_ms, path, err) < 0) {
        return -1;
    }
    while (len < size) {
        ssize_t n = read(fd, text + len, size - len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN && pipe) {
            if (wait_for_more(fd, end_ms, path, err) < 0) {
                return -1;
            }
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
    if (len > max) {
        return err_set(err, ERR_LIMIT, 0, "%s has more than %zu bytes", path, max);
    }
    if (memchr(text, '\0', len)) {
        return err_set(err, ERR_INPUT, 0, "%s holds a NUL byte", path);
    }
    *ret = TAKE(text);
    return 0;
}

int small_file_read(const char *path, size_t max, char **ret, struct err *err)
{
    return read_file(path, max, 0, ret, err);
}

int small_file_read_pipe(const char *path, size_t max, unsigned wait_ms, char **ret, struct err *err)
{
    return read_file(path, max, wait_ms, ret, err);
}

// "Proc-Type: 4,ENCRYPTED" (RFC 1421), with the blanks that OpenSSL allows.
static bool has_encrypted_header(const char *text)
{
    for (const char *at = strstr(text, "Proc-Type:"); at; at = strstr(at, "Proc-Type:")) {
        at += strcspn(at, ",\n");
        if (*at == ',' && strncmp(at + 1 + strspn(at + 1, " \t"), "ENCRYPTED", strlen("ENCRYPTED")) == 0) {
            return true;
        }
    }
    return false;
}

const char *pem_fault(const char *text)
{
    if (!strstr(text, "-----BEGIN ")) {
        return "does not hold PEM (\"-----BEGIN …\")";
    }
    if (strstr(text, "BEGIN ENCRYPTED ") || has_encrypted_header(text)) {
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
