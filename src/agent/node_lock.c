// SPDX-License-Identifier: Apache-2.0
#include "agent/node_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_RUN_DIR "/run/netpold"

struct node_lock {
    int fd;
    int inotify_fd;
    struct loop_fd *source;
    node_lock_fn *fn;
    void *arg;
    bool daemon;      // it listens
    bool programmed;  // the kernel of this node held our rules once since its start
};

enum { TEXT = 64 };
static const char daemon_word[] = "daemon\n";
static const char programmed_word[] = "programmed\n";

static int lock_path(char ret[4096], struct err *err)
{
    const char *dir = getenv("NETPOLD_RUN_DIR");
    dir = dir && *dir ? dir : DEFAULT_RUN_DIR;
    if (mkdir(dir, 0755) < 0 && errno != EEXIST) {
        return err_errno(err, "cannot create the run directory %s", dir);
    }
    if ((size_t)snprintf(ret, 4096, "%s/lock", dir) >= 4096) {
        return err_set(err, ERR_USAGE, 0, "NETPOLD_RUN_DIR is too long");
    }
    return 0;
}

// flock decides who writes; a record lock beside it only lets the kernel tell the holder's pid as it is seen from here.
static const struct flock whole_file = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

static int refuse(int fd, const char *path, struct err *err)
{
    struct flock holder = whole_file;
    char who[32] = "another process";
    if (fcntl(fd, F_GETLK, &holder) == 0 && holder.l_type != F_UNLCK && holder.l_pid > 0) {
        (void)snprintf(who, sizeof(who), "process %ld", (long)holder.l_pid);
    }
    return err_set(err, ERR_RETRY, EWOULDBLOCK, "%s holds %s: one netpold per node", who, path);
}

// For people, and for the next one. Nothing here is worth refusing to work: a full disk is no reason to leave a node
// open.
static void put_text(const struct node_lock *lock)
{
    char text[TEXT];
    int len = snprintf(text, sizeof(text), "%ld\n%s%s", (long)getpid(), lock->daemon ? daemon_word : "",
                       lock->programmed ? programmed_word : "");
    (void)!ftruncate(lock->fd, 0);
    (void)!pwrite(lock->fd, text, (size_t)len, 0);
}

int node_lock_take(struct node_lock **ret, struct err *err)
{
    char path[4096];
    if (lock_path(path, err) < 0) {
        return -1;
    }
    CLEANUP(node_lock_free) struct node_lock *lock = calloc(1, sizeof(*lock));
    if (!lock) {
        return err_oom(err);
    }
    lock->inotify_fd = -1;
    lock->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock->fd < 0) {
        return err_errno(err, "cannot open %s", path);
    }
    if (flock(lock->fd, LOCK_EX | LOCK_NB) < 0) {
        return errno == EWOULDBLOCK ? refuse(lock->fd, path, err) : err_errno(err, "cannot lock %s", path);
    }
    struct flock mine = whole_file;
    (void)fcntl(lock->fd, F_SETLK, &mine);
    char text[TEXT] = "";
    if (pread(lock->fd, text, sizeof(text) - 1, 0) > 0) {
        lock->programmed = strstr(text, programmed_word) != NULL;
    }
    put_text(lock);
    *ret = TAKE(lock);
    return 0;
}

bool node_lock_programmed(const struct node_lock *lock)
{
    return lock->programmed;
}

void node_lock_set_programmed(struct node_lock *lock, bool programmed)
{
    if (lock->programmed != programmed) {
        lock->programmed = programmed;
        put_text(lock);
    }
}

bool node_lock_has_daemon(void)
{
    struct err err = {0};
    char path[4096];
    char text[TEXT] = "";
    if (lock_path(path, &err) < 0) {
        return false;
    }
    CLEANUP(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && pread(fd, text, sizeof(text) - 1, 0) > 0 && strstr(text, daemon_word);
}

void node_lock_free(struct node_lock *lock)
{
    if (!lock) {
        return;
    }
    loop_remove_fd(lock->source);
    if (lock->inotify_fd >= 0) {
        (void)close(lock->inotify_fd);
    }
    if (lock->fd >= 0) {
        (void)close(lock->fd);
    }
    free(lock);
}

static void on_readable(int fd, UNUSED unsigned events, void *arg)
{
    struct node_lock *lock = arg;
    char buffer[4096];
    bool asked = false;
    while (read(fd, buffer, sizeof(buffer)) > 0) {
        asked = true;
    }
    if (asked) {
        lock->fn(lock->arg);
    }
}

int node_lock_listen(struct node_lock *lock, struct loop *loop, node_lock_fn *fn, void *arg, struct err *err)
{
    char path[4096];
    if (lock_path(path, err) < 0) {
        return -1;
    }
    lock->fn = fn;
    lock->arg = arg;
    lock->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (lock->inotify_fd < 0 || inotify_add_watch(lock->inotify_fd, path, IN_ATTRIB) < 0) {
        return err_errno(err, "cannot watch %s", path);
    }
    lock->daemon = true;
    put_text(lock);
    return loop_add_fd(loop, lock->inotify_fd, LOOP_READ, on_readable, lock, &lock->source, err);
}

int node_lock_ask(struct err *err)
{
    char path[4096];
    if (lock_path(path, err) < 0) {
        return -1;
    }
    // Only the times: opening and closing the file in the holder itself would drop its record lock.
    return utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW) < 0 ? err_errno(err, "cannot touch %s", path) : 0;
}
