// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/control.h"
#include "agent/control_private.h"
#include "base/num.h"

const char *control_default_path(void)
{
    static char path[4096];
    const char *dir = getenv("NETPOLD_RUN_DIR");
    if (!dir || !*dir) {
        return CONTROL_SOCKET;
    }
    (void)snprintf(path, sizeof(path), "%s/netpold.sock", dir);
    return path;
}

// Waits for the socket; ERR_RETRY when the time is over.
static int wait_for(int fd, short events, uint64_t until_ms, const char *path, struct err *err)
{
    for (;;) {
        uint64_t now = num_now_ms();
        struct pollfd poll_fd = {.fd = fd, .events = events};
        int n = now < until_ms ? poll(&poll_fd, 1, (int)(until_ms - now)) : 0;
        if (n > 0) {
            return 0;
        }
        if (n == 0) {
            return err_set(err, ERR_RETRY, ETIMEDOUT, "%s: no answer in time", path);
        }
        if (errno != EINTR) {
            return err_errno(err, "%s: cannot wait for an answer", path);
        }
    }
}

// The backlog is full: nothing tells when it is not any more.
static int wait_a_moment(uint64_t until_ms, const char *path, struct err *err)
{
    enum { PAUSE_MS = 20 };
    if (num_now_ms() + PAUSE_MS >= until_ms) {
        return err_set(err, ERR_RETRY, EAGAIN, "%s: too many others wait there", path);
    }
    (void)poll(NULL, 0, PAUSE_MS);
    return 0;
}

static int connect_to(int fd, const char *path, uint64_t until_ms, struct err *err)
{
    struct sockaddr_un address;
    if (control_address(path, &address, err) < 0) {
        return -1;
    }
    while (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        switch (errno) {
        case EINTR:
            break;
        case EAGAIN:
            if (wait_a_moment(until_ms, path, err) < 0) {
                return -1;
            }
            break;
        case ENOENT:
        case ENOTDIR:
            return err_set(err, ERR_NOT_FOUND, errno, "%s: there is no such socket", path);
        case ECONNREFUSED:
            return err_set(err, ERR_NOT_FOUND, errno, "%s: nobody answers there", path);
        case EACCES:
        case EPERM:
            return err_set(err, ERR_DENIED, errno, "%s: only root may ask there", path);
        default:
            return err_errno(err, "%s: cannot connect", path);
        }
    }
    if (!control_peer_trusted(fd)) {
        return err_set(err, ERR_DENIED, 0, "%s: who listens there is neither root nor our own user", path);
    }
    return 0;
}

static int send_line(int fd, const char *request, uint64_t until_ms, const char *path, struct err *err)
{
    BUF_CLEANUP struct buf line = {0};
    buf_printf(&line, "%s\n", request);
    if (line.failed) {
        return err_oom(err);
    }
    for (size_t sent = 0; sent < line.len;) {
        ssize_t n = send(fd, line.data + sent, line.len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            sent += (size_t)n;
        } else if (errno == EAGAIN) {
            if (wait_for(fd, POLLOUT, until_ms, path, err) < 0) {
                return -1;
            }
        } else if (errno == EPIPE || errno == ECONNRESET) {
            // It may have said why before it closed.
            return 0;
        } else if (errno != EINTR) {
            return err_errno(err, "%s: cannot send", path);
        }
    }
    return 0;
}

static int read_line(int fd, uint64_t until_ms, const char *path, struct buf *line, struct err *err)
{
    char chunk[4096];
    for (;;) {
        ssize_t n = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);
        if (n > 0) {
            const char *end = memchr(chunk, '\n', (size_t)n);
            buf_add(line, chunk, end ? (size_t)(end - chunk) : (size_t)n);
            if (line->failed) {
                return err_set(err, ERR_LIMIT, 0, "%s: the answer is too long", path);
            }
            if (end) {
                return 0;
            }
        } else if (n == 0 || errno == ECONNRESET) {
            return err_set(err, ERR_RETRY, ECONNRESET, "%s: the connection ended without an answer", path);
        } else if (errno == EAGAIN) {
            if (wait_for(fd, POLLIN, until_ms, path, err) < 0) {
                return -1;
            }
        } else if (errno != EINTR) {
            return err_errno(err, "%s: cannot read", path);
        }
    }
}

int control_ask(const char *path, const char *request, unsigned timeout_ms, struct buf *out, struct err *err)
{
    uint64_t until_ms = num_now_ms() + timeout_ms;
    // Not to be blocked by connect, which on these sockets knows no time but the one to send.
    CLEANUP(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return err_errno(err, "cannot create a socket");
    }
    BUF_CLEANUP struct buf line = {.max = CONTROL_ANSWER_MAX};
    if (connect_to(fd, path, until_ms, err) < 0 || send_line(fd, request, until_ms, path, err) < 0 ||
        read_line(fd, until_ms, path, &line, err) < 0) {
        return -1;
    }
    buf_add(out, line.data ? line.data : "", line.len);
    return out->failed ? err_oom(err) : 0;
}
