// SPDX-License-Identifier: Apache-2.0
#include "source/exec_credential.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "source/small_file.h"

enum {
    LOOK_MS = 50,        // between looks at a process where the kernel has no pidfd
    KILLED_MS = 5000,    // for a killed process to be gone; one that hangs in the kernel is left behind
    LAST_WAIT_MS = 500,  // the same when we stop
};

// One of the plugin's outputs. The memory is never moved, so that no copy of a token stays behind.
struct output {
    struct exec_run *run;
    int fd;  // -1: not open
    struct loop_fd *source;
    char *data;  // NUL-terminated
    size_t len;
    size_t max;
    bool cut;  // there was more
};

struct exec_run {
    struct exec_run_options options;
    struct loop *loop;
    pid_t pid;  // 0: gone
    int pid_fd;
    struct loop_fd *pid_source;
    struct output out;
    struct output complaint;
    struct loop_timer *deadline;
    struct loop_timer *look;
    struct err killed;  // why we killed it
};

static const char *command_of(const struct exec_run *run)
{
    return run->options.config->exec->command;
}

static void close_output(struct output *output)
{
    loop_remove_fd(output->source);
    output->source = NULL;
    if (output->fd >= 0) {
        (void)close(output->fd);
        output->fd = -1;
    }
}

static void free_output(struct output *output)
{
    close_output(output);
    if (output->data) {
        explicit_bzero(output->data, output->len);
        free(output->data);
    }
}

static void kill_group(const struct exec_run *run)
{
    // Not reaped yet, so neither number can have a new owner. The second is for a program that left its group.
    (void)kill(-run->pid, SIGKILL);
    (void)kill(run->pid, SIGKILL);
}

// Waits a little for a process that was killed.
static void reap(const struct exec_run *run)
{
    for (int ms = 0; ms < LAST_WAIT_MS && waitpid(run->pid, NULL, WNOHANG) == 0; ms++) {
        (void)poll(NULL, 0, 1);
    }
}

void exec_run_free(struct exec_run *run)
{
    if (!run) {
        return;
    }
    if (run->pid) {
        kill_group(run);
        reap(run);
    }
    loop_remove_fd(run->pid_source);
    if (run->pid_fd >= 0) {
        (void)close(run->pid_fd);
    }
    free_output(&run->out);
    free_output(&run->complaint);
    loop_remove_timer(run->deadline);
    loop_remove_timer(run->look);
    free(run);
}
CLEANUP_DEFINE(struct exec_run, exec_run_free);

static void kill_for(struct exec_run *run, enum err_kind kind, const char *why)
{
    if (run->killed.kind == ERR_NONE) {
        (void)err_set(&run->killed, kind, 0, "the credential plugin \"%.128s\" %s and was killed", command_of(run),
                      why);
        kill_group(run);
        loop_arm(run->deadline, KILLED_MS);
    }
}

// Reads what is there. False when the output has ended.
static bool read_output(struct output *output)
{
    char more[4096];
    for (;;) {
        size_t room = output->max - output->len;
        ssize_t n = room ? read(output->fd, output->data + output->len, room) : read(output->fd, more, sizeof(more));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
        }
        if (!room) {
            explicit_bzero(more, sizeof(more));
            output->cut = true;
            return true;
        }
        output->len += (size_t)n;
    }
}

static void on_output(UNUSED int fd, UNUSED unsigned events, void *arg)
{
    struct output *output = arg;
    struct exec_run *run = output->run;
    if (!read_output(output)) {
        close_output(output);
    }
    if (run->out.cut) {
        kill_for(run, ERR_LIMIT, "printed more than 1 MiB");
    }
}

// How the process ended, as an error; 0 when it succeeded.
static int check_status(const struct exec_run *run, int status, struct err *err)
{
    if (WIFSIGNALED(status)) {
        return err_set(err, ERR_INPUT, 0, "was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
        return err_set(err, ERR_INPUT, 0, "failed with exit status %d", WEXITSTATUS(status));
    }
    return run->out.cut ? err_set(err, ERR_LIMIT, 0, "printed more than 1 MiB") : 0;
}

static void finish(struct exec_run *run, int status)
{
    const struct api_exec *exec = run->options.config->exec;
    struct exec_credential *credential = NULL;
    struct err err = {0};
    loop_disarm(run->deadline);
    loop_disarm(run->look);
    // What it had written before it ended.
    (void)(run->out.fd >= 0 && read_output(&run->out));
    (void)(run->complaint.fd >= 0 && read_output(&run->complaint));
    close_output(&run->out);
    close_output(&run->complaint);
    struct buf BUF_CLEANUP said = {0};
    exec_credential_said(run->complaint.data, run->out.data, exec, &said);
    buf_puts(&said, "");
    if (run->killed.kind != ERR_NONE) {
        err = run->killed;
    } else {
        int rc = check_status(run, status, &err);
        if (rc == 0 && exec_credential_parse(run->out.data, run->out.len, exec->version, &credential, &err) == 0) {
            credential->over = credential->expires && credential->expiry_s <= time(NULL);
        }
        (void)(err.kind != ERR_NONE &&
               err_wrap(&err, "the credential plugin \"%.128s\"%s", command_of(run), rc < 0 ? "" : " is of no use"));
    }
    if (err.kind != ERR_NONE) {
        size_t len = strlen(err.msg);
        if (!said.failed && said.len) {
            (void)snprintf(err.msg + len, sizeof(err.msg) - len, "; it says: %s", said.data);
        }
        (void)err_at_object(&err, "%s", exec->where);
    }
    run->options.done(credential, err.kind != ERR_NONE ? &err : NULL, said.failed ? "" : said.data, run->options.arg);
}

static void check_exit(struct exec_run *run)
{
    int status = 0;
    pid_t pid = waitpid(run->pid, &status, WNOHANG);
    if (pid == 0 || (pid < 0 && errno == EINTR)) {
        loop_arm(run->look, LOOK_MS);
        return;
    }
    // Without a status (somebody ignores SIGCHLD) what it printed has to say enough.
    run->pid = 0;
    finish(run, pid < 0 ? 0 : status);
}

static void on_exit_fd(UNUSED int fd, UNUSED unsigned events, void *arg)
{
    check_exit(arg);
}

static void on_look(void *arg)
{
    check_exit(arg);
}

static void on_deadline(void *arg)
{
    struct exec_run *run = arg;
    if (run->killed.kind == ERR_NONE) {
        char why[64];
        (void)snprintf(why, sizeof(why), "did not end within %u s", (run->options.timeout_ms + 999) / 1000);
        kill_for(run, ERR_RETRY, why);
        return;
    }
    run->pid = 0;
    finish(run, 0);
}

static int open_output(struct exec_run *run, struct output *output, size_t max, int *ret_theirs, struct err *err)
{
    int fds[2];
    output->run = run;
    output->max = max;
    output->data = calloc(1, max + 1);
    if (!output->data) {
        return err_oom(err);
    }
    if (pipe2(fds, O_CLOEXEC) < 0) {
        return err_errno(err, "cannot make a pipe");
    }
    output->fd = fds[0];
    *ret_theirs = fds[1];
    // Only our end: the plugin's is a file like any other.
    if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0) {
        return err_errno(err, "cannot change a pipe");
    }
    return loop_add_fd(run->loop, fds[0], LOOP_READ, on_output, output, &output->source, err);
}

// posix_spawn's own errors are of memory only.
static int spawn_with(struct exec_run *run, const char *path, char *const *env, posix_spawn_file_actions_t *files,
                      posix_spawnattr_t *attributes, int out, int complaint)
{
    static const int handled[] = {SIGPIPE, SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGCHLD, SIGUSR1, SIGUSR2};
    sigset_t none;
    sigset_t defaults;
    (void)sigemptyset(&none);
    (void)sigemptyset(&defaults);
    for (size_t i = 0; i < ARRAY_SIZE(handled); i++) {
        (void)sigaddset(&defaults, handled[i]);
    }
    int rc =
        posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    rc = rc ? rc : posix_spawnattr_setpgroup(attributes, 0);
    rc = rc ? rc : posix_spawnattr_setsigmask(attributes, &none);
    rc = rc ? rc : posix_spawnattr_setsigdefault(attributes, &defaults);
    rc = rc ? rc : posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    rc = rc ? rc : posix_spawn_file_actions_adddup2(files, out, STDOUT_FILENO);
    rc = rc ? rc : posix_spawn_file_actions_adddup2(files, complaint, STDERR_FILENO);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    // All of ours are close-on-exec; this is for those that a library opened.
    rc = rc ? rc : posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1);
#endif
    return rc ? rc : posix_spawn(&run->pid, path, files, attributes, run->options.config->exec->argv, env);
}

static int spawn(struct exec_run *run, int out, int complaint, struct err *err)
{
    const struct api_config *config = run->options.config;
    CLEANUP(free) char *path = NULL;
    CLEANUP(free) char **env = NULL;
    CLEANUP(secret_free) char *info = NULL;
    if (exec_credential_find(config->exec, &path, err) < 0 ||
        exec_credential_environment(config, run->options.ca_pem, &env, &info, err) < 0) {
        return -1;
    }
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int rc = posix_spawn_file_actions_init(&files);
    if (rc == 0) {
        rc = posix_spawnattr_init(&attributes);
        if (rc == 0) {
            rc = spawn_with(run, path, env, &files, &attributes, out, complaint);
            (void)posix_spawnattr_destroy(&attributes);
        }
        (void)posix_spawn_file_actions_destroy(&files);
    }
    if (rc) {
        run->pid = 0;
        errno = rc;
        (void)err_errno(err, "cannot run the credential plugin \"%.128s\"", config->exec->command);
        return err_at_object(err, "%s", config->exec->where);
    }
    return 0;
}

static int watch_exit(struct exec_run *run, struct err *err)
{
#ifdef SYS_pidfd_open
    // Close-on-exec by itself.
    run->pid_fd = run->options.without_pidfd ? -1 : (int)syscall(SYS_pidfd_open, run->pid, 0);
#endif
    if (run->pid_fd < 0) {
        loop_arm(run->look, LOOK_MS);
        return 0;
    }
    return loop_add_fd(run->loop, run->pid_fd, LOOP_READ, on_exit_fd, run, &run->pid_source, err);
}

int exec_run_start(struct loop *loop, const struct exec_run_options *options, struct exec_run **ret, struct err *err)
{
    CLEANUP(exec_run_free) struct exec_run *run = calloc(1, sizeof(*run));
    CLEANUP(fd) int out = -1;
    CLEANUP(fd) int complaint = -1;
    if (!run) {
        return err_oom(err);
    }
    *run =
        (struct exec_run){.options = *options, .loop = loop, .pid_fd = -1, .out = {.fd = -1}, .complaint = {.fd = -1}};
    if (loop_add_timer(loop, on_deadline, run, &run->deadline, err) < 0 ||
        loop_add_timer(loop, on_look, run, &run->look, err) < 0 ||
        open_output(run, &run->out, LIMIT_EXEC_OUTPUT, &out, err) < 0 ||
        open_output(run, &run->complaint, LIMIT_EXEC_STDERR, &complaint, err) < 0 ||
        spawn(run, out, complaint, err) < 0 || watch_exit(run, err) < 0) {
        return -1;
    }
    loop_arm(run->deadline, options->timeout_ms);
    *ret = TAKE(run);
    return 0;
}
