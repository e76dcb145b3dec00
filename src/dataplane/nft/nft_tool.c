// SPDX-License-Identifier: Apache-2.0
#include "dataplane/nft/nft_tool.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"

enum {
    OUTPUT_MAX = 256 << 20,  // 100k rules are 20 MiB
    COMPLAINT_MAX = 64 << 10,
    // Before it, --noflush restores of one table took what others had changed meanwhile for its own.
    VERSION_MIN = 10804,
};

const char *const nft_tool_dirs[2] = {"/usr/sbin", "/sbin"};

static const char *tool_name(enum family family, enum nft_tool tool)
{
    if (family == FAMILY_V6) {
        return tool == NFT_TOOL_SAVE ? "ip6tables-nft-save" : "ip6tables-nft-restore";
    }
    return tool == NFT_TOOL_SAVE ? "iptables-nft-save" : "iptables-nft-restore";
}

int nft_tool_find(enum family family, enum nft_tool tool, char ret[NFT_TOOL_PATH], struct err *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(nft_tool_dirs); i++) {
        char path[NFT_TOOL_PATH];
        (void)snprintf(path, sizeof(path), "%s/%s", nft_tool_dirs[i], tool_name(family, tool));
        if (access(path, X_OK) == 0) {
            memcpy(ret, path, sizeof(path));
            return 0;
        }
    }
    return err_set(err, ERR_UNSUPPORTED, ENOENT,
                   "%s is neither in %s nor in %s: install iptables 1.8.4 or later (package iptables; on some "
                   "distributions iptables-nft), or use --backend legacy",
                   tool_name(family, tool), nft_tool_dirs[0], nft_tool_dirs[1]);
}

unsigned nft_tool_version(const char *text)
{
    unsigned part[3] = {0};
    const char *at = strstr(text, " v");
    if (!at || !strstr(text, "(nf_tables)") ||
        sscanf(at, " v%3u.%2u.%2u", &part[0], &part[1], &part[2]) < 3) {  // NOLINT(cert-err34-c): bounded widths
        return 0;
    }
    return part[0] * 10000 + part[1] * 100 + part[2];
}

int nft_tool_check(enum family family, enum nft_tool tool, struct err *err)
{
    char path[NFT_TOOL_PATH];
    struct buf BUF_CLEANUP out = {0};
    static const char *const words[] = {"-V", NULL};
    struct err why = {0};
    if (nft_tool_find(family, tool, path, err) < 0) {
        return -1;
    }
    if (nft_tool_run(path, words, "", 0, &out, &why) < 0) {
        return err_set(err, ERR_UNSUPPORTED, why.num, "%s does not run: %s", path, why.msg);
    }
    unsigned version = nft_tool_version(out.data ? out.data : "");
    if (version >= VERSION_MIN) {
        return 0;
    }
    int len = (int)strcspn(out.data ? out.data : "", "\n");
    return err_set(err, ERR_UNSUPPORTED, 0, "%s is \"%.*s\": iptables 1.8.4 or later for nf_tables is needed", path,
                   len < 80 ? len : 80, out.data ? out.data : "");
}

// ---- running -------------------------------------------------------------------------------------------------------

struct child {
    pid_t pid;
    int out;
    int complaint;
    const char *name;
};

static int make_input(const char *text, size_t len, int *ret_fd, struct err *err)
{
    __attribute__((cleanup(cleanup_fd))) int fd = memfd_create("netpold-rules", MFD_CLOEXEC);
    if (fd < 0) {
        return err_errno(err, "keep the rules for another program");
    }
    for (size_t at = 0; at < len;) {
        ssize_t n = write(fd, text + at, len - at);
        if (n < 0 && errno != EINTR) {
            return err_errno(err, "keep the rules for another program");
        }
        at += n > 0 ? (size_t)n : 0;
    }
    if (lseek(fd, 0, SEEK_SET) < 0) {
        return err_errno(err, "keep the rules for another program");
    }
    *ret_fd = fd;
    fd = -1;
    return 0;
}

// posix_spawn's own errors, but for a program that does not start, are of memory only.
static int spawn(const char *path, const char *const *words, int input, int out, int complaint, pid_t *ret)
{
    static char locale[] = "LC_ALL=C";
    static char search[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    char *const env[] = {locale, search, NULL};
    char *argv[8] = {(char *)(uintptr_t)path};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigset_t defaults;
    for (size_t i = 0; words[i] && i + 2 < ARRAY_SIZE(argv); i++) {
        argv[i + 1] = (char *)(uintptr_t)words[i];
    }
    (void)sigemptyset(&none);
    (void)sigfillset(&defaults);
    if (posix_spawn_file_actions_init(&files) != 0) {
        return ENOMEM;
    }
    if (posix_spawnattr_init(&attributes) != 0) {
        (void)posix_spawn_file_actions_destroy(&files);
        return ENOMEM;
    }
    int rc =
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    rc = rc ? rc : posix_spawnattr_setpgroup(&attributes, 0);
    rc = rc ? rc : posix_spawnattr_setsigmask(&attributes, &none);
    rc = rc ? rc : posix_spawnattr_setsigdefault(&attributes, &defaults);
    rc = rc ? rc : posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
    rc = rc ? rc : posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    rc = rc ? rc : posix_spawn_file_actions_adddup2(&files, complaint, STDERR_FILENO);
    rc = rc ? rc : posix_spawn(ret, path, &files, &attributes, argv, env);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attributes);
    return rc;
}

static int start(const char *path, const char *const *words, int input, struct child *ret, struct err *err)
{
    int out[2];
    int complaint[2];
    if (pipe2(out, O_CLOEXEC) < 0) {
        return err_errno(err, "run %s", path);
    }
    if (pipe2(complaint, O_CLOEXEC) < 0) {
        (void)err_errno(err, "run %s", path);
        (void)close(out[0]);
        (void)close(out[1]);
        return -1;
    }
    pid_t pid = -1;
    int rc = spawn(path, words, input, out[1], complaint[1], &pid);
    (void)close(out[1]);
    (void)close(complaint[1]);
    if (rc != 0) {
        (void)close(out[0]);
        (void)close(complaint[0]);
        return err_set(err, ERR_SYSTEM, rc, "run %s: %s", path, strerror(rc));
    }
    *ret = (struct child){.pid = pid, .out = out[0], .complaint = complaint[0], .name = path};
    return 0;
}

// False at the end of the stream.
static bool read_some(int fd, struct buf *to, size_t max)
{
    char chunk[65536];
    ssize_t n = read(fd, chunk, sizeof(chunk));
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        return true;
    }
    if (n > 0 && to && to->len < max) {
        buf_add(to, chunk, (size_t)n);
    }
    return n > 0;
}

// Until both streams have ended. -1: the time is over.
static int read_all(const struct child *child, uint64_t deadline, struct buf *out, struct buf *complaint)
{
    struct pollfd fds[2] = {{.fd = child->out, .events = POLLIN}, {.fd = child->complaint, .events = POLLIN}};
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        uint64_t now = num_now_ms();
        if (now >= deadline) {
            return -1;
        }
        if (poll(fds, 2, (int)(deadline - now)) < 0 && errno != EINTR) {
            return -1;
        }
        if (fds[0].revents && !read_some(fds[0].fd, out, OUTPUT_MAX)) {
            fds[0].fd = -1;
        }
        if (fds[1].revents && !read_some(fds[1].fd, complaint, COMPLAINT_MAX)) {
            fds[1].fd = -1;
        }
    }
    return 0;
}

// Ends the child when the time is over. -1: it was ended, or somebody else has waited for it.
static int await(const struct child *child, uint64_t deadline, int *ret_status)
{
    static const struct timespec pause = {.tv_nsec = 200000};
    for (;;) {
        pid_t got = waitpid(child->pid, ret_status, WNOHANG);
        if (got == child->pid) {
            return 0;
        }
        if (got < 0 && errno != EINTR) {
            return -1;
        }
        if (num_now_ms() >= deadline) {
            (void)kill(child->pid, SIGKILL);
            while (waitpid(child->pid, ret_status, 0) < 0 && errno == EINTR) {
            }
            return -1;
        }
        (void)nanosleep(&pause, NULL);
    }
}

// The lines that say something, as one.
static void join_lines(const struct buf *complaint, char *ret, size_t size)
{
    size_t n = 0;
    const char *text = complaint->data ? complaint->data : "";
    const char *hint = strstr(text, "\nTry `");
    const char *end = hint ? hint : text + complaint->len;
    for (const char *at = text; at < end && n + 1 < size; at++) {
        bool blank = isspace((unsigned char)*at);
        if (!blank || (n && ret[n - 1] != ' ')) {
            ret[n++] = blank ? ' ' : *at;
        }
    }
    ret[n && ret[n - 1] == ' ' ? n - 1 : n] = '\0';
}

// What the program's own words mean. They are not translated: LC_ALL is C.
static int complain(const struct child *child, int status, const struct buf *complaint, struct err *err)
{
    static const struct {
        const char *text;
        enum err_kind kind;
        int num;
    } known[] = {
        {"missing kernel module", ERR_UNSUPPORTED, EOPNOTSUPP},
        {"Couldn't load", ERR_UNSUPPORTED, EOPNOTSUPP},
        {"is incompatible, use 'nft' tool", ERR_UNSUPPORTED, EOPNOTSUPP},
        {"Permission denied (you must be root)", ERR_DENIED, EPERM},
        {"Operation not permitted", ERR_DENIED, EPERM},
        {"Could not fetch rule set generation id: Invalid argument", ERR_UNSUPPORTED, EOPNOTSUPP},
        {"Protocol not supported", ERR_UNSUPPORTED, EPROTONOSUPPORT},
        {"Resource temporarily unavailable", ERR_RETRY, EAGAIN},
        {"Interrupted system call", ERR_RETRY, EAGAIN},
        {"does a matching rule exist in that chain", ERR_RETRY, EAGAIN},
        {"Device or resource busy", ERR_RETRY, EAGAIN},
        {"File exists", ERR_RETRY, EAGAIN},
        {"No such file or directory", ERR_RETRY, EAGAIN},
        {"does not exist", ERR_RETRY, EAGAIN},
        {"doesn't exist", ERR_RETRY, EAGAIN},
        {"Cannot allocate memory", ERR_OOM, ENOMEM},
    };
    char words[384];
    join_lines(complaint, words, sizeof(words));
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (strstr(words, known[i].text)) {
            return err_set(err, known[i].kind, known[i].num, "%s: %s", child->name, words);
        }
    }
    if (WIFSIGNALED(status)) {
        return err_set(err, ERR_SYSTEM, 0, "%s was ended by signal %d: %s", child->name, WTERMSIG(status), words);
    }
    return err_set(err, ERR_SYSTEM, 0, "%s: exit %d: %s", child->name, WEXITSTATUS(status),
                   words[0] ? words : "without a word");
}

int nft_tool_run(const char *path, const char *const *words, const char *text, size_t len, struct buf *out,
                 struct err *err)
{
    struct child child = {0};
    struct buf BUF_CLEANUP complaint = {0};
    __attribute__((cleanup(cleanup_fd))) int input = -1;
    if (make_input(text, len, &input, err) < 0 || start(path, words, input, &child, err) < 0) {
        return -1;
    }
    uint64_t deadline = num_now_ms() + NFT_TOOL_MS;
    int status = 0;
    int result = read_all(&child, deadline, out, &complaint);
    if (result < 0) {
        deadline = 0;
    }
    result = await(&child, deadline, &status) < 0 ? -1 : result;
    (void)close(child.out);
    (void)close(child.complaint);
    if (result < 0) {
        return err_set(err, ERR_RETRY, ETIMEDOUT, "%s did not end within %d s", path, NFT_TOOL_MS / 1000);
    }
    if (out && (out->failed || out->len >= OUTPUT_MAX)) {
        return out->failed ? err_oom(err)
                           : err_set(err, ERR_LIMIT, 0, "%s printed more than %d MiB", path, OUTPUT_MAX >> 20);
    }
    return status == 0 ? 0 : complain(&child, status, &complaint, err);
}
