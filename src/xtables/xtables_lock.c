// SPDX-License-Identifier: Apache-2.0
#include "xtables/xtables_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define LOCK_PATH "/run/xtables.lock"

enum { LOCK_POLL_MS = 1 };

int xtables_lock(const char *path, unsigned wait_ms, int *ret_fd, struct err *err)
{
    const char *named = path ? path : secure_getenv("XTABLES_LOCKFILE");
    const char *file = named && named[0] ? named : LOCK_PATH;
    __attribute__((cleanup(cleanup_fd))) int fd = open(file, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return err_errno(err, "open lock %s", file);
    }
    for (unsigned waited = 0;; waited += LOCK_POLL_MS) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            break;
        }
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return err_errno(err, "lock %s", file);
        }
        if (waited >= wait_ms) {
            // Not EWOULDBLOCK: that is EAGAIN, by which a lost commit race is known and tried again at once.
            return err_set(err, ERR_RETRY, EBUSY, "another program holds %s for more than %u ms (`fuser -v %s`)", file,
                           wait_ms, file);
        }
        const struct timespec pause = {.tv_nsec = LOCK_POLL_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
    }
    *ret_fd = fd;
    fd = -1;
    return 0;
}
