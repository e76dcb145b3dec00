// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/control.h"
#include "agent/control_private.h"

int control_address(const char *path, struct sockaddr_un *ret, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(address.sun_path)) {
        return err_set(err, ERR_USAGE, 0, "\"%.200s\": the path of a socket has 1 to %zu bytes", path,
                       sizeof(address.sun_path) - 1);
    }
    memcpy(address.sun_path, path, len + 1);
    *ret = address;
    return 0;
}

bool control_peer_trusted(int fd)
{
    struct ucred peer = {0};
    socklen_t len = sizeof(peer);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

int control_make_folder(const char *path, struct err *err)
{
    struct sockaddr_un address;
    char folder[sizeof(address.sun_path) + 1];
    if (control_address(path, &address, err) < 0) {
        return -1;
    }
    (void)snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash) {
        (void)snprintf(folder, sizeof(folder), ".");
    } else if (slash != folder) {
        *slash = '\0';
    } else {
        slash[1] = '\0';
    }
    if (mkdir(folder, 0755) < 0 && errno != EEXIST) {
        return err_errno(err, "cannot create the folder %s", folder);
    }
    struct stat st;
    if (stat(folder, &st) < 0) {
        return err_errno(err, "cannot look at the folder %s", folder);
    }
    bool others_write = (st.st_mode & (S_IWGRP | S_IWOTH)) && !(st.st_mode & S_ISVTX);
    if ((st.st_uid != 0 && st.st_uid != geteuid()) || others_write) {
        return err_set(err, ERR_DENIED, 0, "the folder %s can be written by others than root", folder);
    }
    return 0;
}

// Nobody listens on a socket that a process left behind when it was killed.
static int remove_stale(const char *path, const struct sockaddr_un *address, struct err *err)
{
    struct stat st;
    if (lstat(path, &st) < 0) {
        return errno == ENOENT ? 0 : err_errno(err, "cannot look at %s", path);
    }
    if (!S_ISSOCK(st.st_mode)) {
        return err_set(err, ERR_USAGE, 0, "%s exists and is no socket: remove it, or give another path", path);
    }
    CLEANUP(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return err_errno(err, "cannot create a socket");
    }
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN) {
        return err_set(err, ERR_RETRY, EADDRINUSE, "another process answers on %s", path);
    }
    if (errno != ECONNREFUSED) {
        return err_errno(err, "%s: cannot tell whether somebody listens there", path);
    }
    return unlink(path) < 0 && errno != ENOENT ? err_errno(err, "cannot remove the stale socket %s", path) : 0;
}

int control_listen(const char *path, int *ret, struct err *err)
{
    struct sockaddr_un address;
    if (control_address(path, &address, err) < 0 || control_make_folder(path, err) < 0 ||
        remove_stale(path, &address, err) < 0) {
        return -1;
    }
    CLEANUP(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    // On Linux the file gets the mode of the socket: it is never there with another one.
    if (fd < 0 || fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        return err_errno(err, "cannot create the socket %s", path);
    }
    if (listen(fd, CONTROL_BACKLOG) < 0) {
        return err_errno(err, "cannot listen on %s", path);
    }
    *ret = fd;
    fd = -1;
    return 0;
}
