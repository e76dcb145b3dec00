// SPDX-License-Identifier: Apache-2.0
#include "read_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int cannot_read(const char *path, struct err *err)
{
    char why[96];
    return err_set(err, ERR_INPUT, errno, "%s: cannot be read: %s", path, strerror_r(errno, why, sizeof(why)));
}

int read_file(const char *path, size_t max, char **ret, size_t *ret_len, struct err *err)
{
    __attribute__((cleanup(cleanup_fd))) int opened = -1;
    int fd = STDIN_FILENO;
    if (strcmp(path, "-") != 0) {
        fd = opened = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            return cannot_read(path, err);
        }
    }
    CLEANUP(free) char *text = NULL;
    size_t len = 0;
    size_t cap = 0;
    for (;;) {
        if (cap - len < 4096) {
            cap = cap ? cap * 2 : 65536;
            char *grown = realloc(text, cap);
            if (!grown) {
                return err_oom(err);
            }
            text = grown;
        }
        ssize_t n = read(fd, text + len, cap - len - 1);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return cannot_read(path, err);
        }
        if (n == 0) {
            break;
        }
        len += (size_t)n;
        if (len > max) {
            return err_set(err, ERR_INPUT, 0, "%s: longer than %zu bytes", path, max);
        }
    }
    text[len] = '\0';
    *ret = TAKE(text);
    *ret_len = len;
    return 0;
}
