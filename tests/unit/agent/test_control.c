// SPDX-License-Identifier: Apache-2.0
//
// The control socket from its other end: what is asked, what is answered and when, who is turned away, and what lies at
// its path.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/control.h"
#include "base/num.h"

struct fixture {
    char folder[64];
    char path[96];
    struct loop *loop;
    struct loop_timer *timer;
    struct control *control;
    struct control_op ops[5];
    // Of the op "later".
    struct control_call *waiting;
    int gone;
    int asked;
};

static void ask_echo(struct control_call *call, const struct doc *request, void *arg)
{
    struct fixture *f = arg;
    BUF_CLEANUP struct buf out = {0};
    const struct doc *text = doc_get(request, "text");
    f->asked++;
    buf_puts(&out, ",\"text\":");
    buf_json_string(&out, text && text->type == DOC_STRING ? text->text : "");
    control_answer(call, out.data);
}

static void ask_big(struct control_call *call, const struct doc *request, void *arg)
{
    (void)arg;
    const struct doc *size = doc_get(request, "size");
    BUF_CLEANUP struct buf out = {0};
    buf_puts(&out, ",\"text\":\"");
    for (int64_t i = 0; size && i < size->integer; i++) {
        buf_putc(&out, 'x');
    }
    buf_putc(&out, '"');
    control_answer(call, out.data);
}

static void ask_later(struct control_call *call, const struct doc *request, void *arg)
{
    (void)request;
    struct fixture *f = arg;
    f->asked++;
    f->waiting = call;
}

static void later_gone(struct control_call *call, void *arg)
{
    struct fixture *f = arg;
    assert_ptr_equal(call, f->waiting);
    f->waiting = NULL;
    f->gone++;
}

static void ask_nothing(struct control_call *call, const struct doc *request, void *arg)
{
    (void)request;
    (void)arg;
    control_answer(call, NULL);
}

static void on_time(void *arg)
{
    struct fixture *f = arg;
    loop_quit(f->loop, 0);
}

static void spin(struct fixture *f, unsigned ms)
{
    struct err err = {0};
    loop_arm(f->timer, ms);
    assert_int_equal(loop_run(f->loop, &err), 0);
}

static void open_control(struct fixture *f)
{
    struct err err = {0};
    if (control_new(f->loop, f->path, f->ops, &f->control, &err) < 0) {
        fail_msg("%s", err.msg);
    }
}

static int up(void **state)
{
    struct err err = {0};
    struct fixture *f = calloc(1, sizeof(*f));
    (void)snprintf(f->folder, sizeof(f->folder), "/tmp/control.XXXXXX");
    if (!mkdtemp(f->folder) || loop_new(&f->loop, &err) < 0 ||
        loop_add_timer(f->loop, on_time, f, &f->timer, &err) < 0) {
        return -1;
    }
    (void)snprintf(f->path, sizeof(f->path), "%s/test.sock", f->folder);
    f->ops[0] = (struct control_op){.name = "echo", .ask = ask_echo, .arg = f};
    f->ops[1] = (struct control_op){.name = "later", .ask = ask_later, .gone = later_gone, .arg = f};
    f->ops[2] = (struct control_op){.name = "big", .ask = ask_big, .arg = f};
    f->ops[3] = (struct control_op){.name = "nothing", .ask = ask_nothing, .arg = f};
    open_control(f);
    *state = f;
    return 0;
}

static int down(void **state)
{
    struct fixture *f = *state;
    control_free(f->control);
    loop_remove_timer(f->timer);
    loop_free(f->loop);
    (void)unlink(f->path);
    (void)rmdir(f->folder);
    free(f);
    return 0;
}

static int connect_client(const struct fixture *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    memcpy(address.sun_path, f->path, strlen(f->path) + 1);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

// What has come until now; *ret_end (may be NULL): and then the connection ended.
static void check_said(int fd, const char *want, bool want_end)
{
    char text[8192];
    size_t len = 0;
    ssize_t n;
    while ((n = recv(fd, text + len, sizeof(text) - 1 - len, MSG_DONTWAIT)) > 0) {
        len += (size_t)n;
    }
    text[len] = '\0';
    assert_string_equal(text, want);
    assert_int_equal(n == 0 || (n < 0 && errno == ECONNRESET), want_end);
}

static void test_questions(void **state)
{
    struct fixture *f = *state;
    int fd = connect_client(f);
    say(fd, "{\"op\":\"echo\",\"text\":\"a\\n\\\"b\"}\n");
    spin(f, 20);
    check_said(fd, "{\"ok\":true,\"text\":\"a\\n\\\"b\"}\n", false);
    // In pieces, and two at once.
    say(fd, "{\"op\":\"ec");
    spin(f, 20);
    check_said(fd, "", false);
    say(fd, "ho\",\"text\":\"1\"}\n{\"op\":\"echo\",\"text\":\"2\"}\n{\"op\":");
    spin(f, 20);
    check_said(fd, "{\"ok\":true,\"text\":\"1\"}\n{\"ok\":true,\"text\":\"2\"}\n", false);
    say(fd, "\"echo\"}\n");
    spin(f, 20);
    check_said(fd, "{\"ok\":true,\"text\":\"\"}\n", false);
    // A peer that sends no more still reads.
    say(fd, "{\"op\":\"echo\",\"text\":\"last\"}\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    spin(f, 20);
    check_said(fd, "{\"ok\":true,\"text\":\"last\"}\n", true);
    (void)close(fd);
    assert_int_equal(f->asked, 5);
}

static void test_refused(void **state)
{
    static const struct {
        const char *line;
        const char *answer;
    } rows[] = {
        {"{\"op\":\"nonsense\"}\n", "{\"ok\":false,\"error\":\"unknown op\",\"code\":\"bad-request\"}\n"},
        {"{\"op\":7}\n", "{\"ok\":false,\"error\":\"unknown op\",\"code\":\"bad-request\"}\n"},
        {"{}\n", "{\"ok\":false,\"error\":\"no op\",\"code\":\"bad-request\"}\n"},
        {"[]\n", "{\"ok\":false,\"error\":\"no op\",\"code\":\"bad-request\"}\n"},
        {"{} {}\n", "{\"ok\":false,\"error\":\"more than one JSON value in a line\",\"code\":\"bad-request\"}\n"},
        {"{\"op\":\"nothing\"}\n", "{\"ok\":false,\"error\":\"out of memory\",\"code\":\"failed\"}\n"},
        {"{\"op\":\"big\",\"size\":4194304}\n",
         "{\"ok\":false,\"error\":\"the answer is too long\",\"code\":\"failed\"}\n"},
    };
    struct fixture *f = *state;
    int fd = connect_client(f);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        say(fd, rows[i].line);
        spin(f, 20);
        check_said(fd, rows[i].answer, false);
    }
    // The connection goes on, garbage or not.
    static const char *const garbage[] = {"\n", "{\n", "\x01\x02\xff\n", "{\"op\":\"\\u0000\"}\n"};
    for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
        char text[512];
        say(fd, garbage[i]);
        spin(f, 20);
        ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
        assert_true(n > 0);
        text[n] = '\0';
        assert_non_null(strstr(text, "\"ok\":false"));
        assert_non_null(strstr(text, "\"code\":\"bad-request\""));
    }
    say(fd, "{\"op\":\"echo\",\"text\":\"still here\"}\n");
    spin(f, 20);
    check_said(fd, "{\"ok\":true,\"text\":\"still here\"}\n", false);
    (void)close(fd);
}

static void test_line_without_end(void **state)
{
    struct fixture *f = *state;
    int fd = connect_client(f);
    static char chunk[CONTROL_LINE_MAX / 4];
    memset(chunk, 'x', sizeof(chunk));
    for (int i = 0; i < 100; i++) {
        if (send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN) {
            break;
        }
        spin(f, 2);
    }
    check_said(fd, "{\"ok\":false,\"error\":\"the line is too long\",\"code\":\"bad-request\"}\n", true);
    (void)close(fd);
    // Exactly as long as a line may be.
    BUF_CLEANUP struct buf line = {0};
    buf_puts(&line, "{\"op\":\"echo\",\"text\":\"ok\",\"more\":\"");
    while (line.len < CONTROL_LINE_MAX - 3) {
        buf_putc(&line, 'y');
    }
    buf_puts(&line, "\"}\n");
    fd = connect_client(f);
    for (size_t sent = 0; sent < line.len;) {
        ssize_t n = send(fd, line.data + sent, line.len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
        spin(f, 2);
    }
    spin(f, 20);
    check_said(fd, "{\"ok\":true,\"text\":\"ok\"}\n", false);
    (void)close(fd);
}

static void test_later(void **state)
{
    struct fixture *f = *state;
    int slow = connect_client(f);
    int other = connect_client(f);
    say(slow, "{\"op\":\"later\"}\n{\"op\":\"echo\",\"text\":\"after\"}\n");
    say(other, "{\"op\":\"echo\",\"text\":\"meanwhile\"}\n");
    spin(f, 30);
    // Questions of one connection are answered in order, and nobody else waits for that.
    check_said(slow, "", false);
    check_said(other, "{\"ok\":true,\"text\":\"meanwhile\"}\n", false);
    assert_non_null(f->waiting);
    control_answer(f->waiting, ",\"n\":1");
    spin(f, 20);
    check_said(slow, "{\"ok\":true,\"n\":1}\n{\"ok\":true,\"text\":\"after\"}\n", false);
    say(slow, "{\"op\":\"later\"}\n");
    spin(f, 20);
    control_refuse(f->waiting, "timeout", "it took \"too\" long");
    spin(f, 20);
    check_said(slow, "{\"ok\":false,\"error\":\"it took \\\"too\\\" long\",\"code\":\"timeout\"}\n", false);
    assert_int_equal(f->gone, 0);
    (void)close(slow);
    (void)close(other);
}

static void test_gone(void **state)
{
    struct fixture *f = *state;
    int fd = connect_client(f);
    say(fd, "{\"op\":\"later\"}\n");
    spin(f, 20);
    assert_non_null(f->waiting);
    (void)close(fd);
    spin(f, 20);
    assert_int_equal(f->gone, 1);
    // A half-closed one waits for its answer.
    fd = connect_client(f);
    say(fd, "{\"op\":\"later\"}\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    spin(f, 20);
    assert_int_equal(f->gone, 1);
    control_answer(f->waiting, "");
    spin(f, 20);
    check_said(fd, "{\"ok\":true}\n", true);
    (void)close(fd);
    // And the end of the whole.
    fd = connect_client(f);
    say(fd, "{\"op\":\"later\"}\n");
    spin(f, 20);
    control_free(f->control);
    f->control = NULL;
    assert_int_equal(f->gone, 2);
    assert_int_equal(access(f->path, F_OK), -1);
    (void)close(fd);
}

static void test_never_reads(void **state)
{
    struct fixture *f = *state;
    int lazy = connect_client(f);
    int other = connect_client(f);
    for (int i = 0; i < 200; i++) {
        say(lazy, "{\"op\":\"big\",\"size\":100000}\n");
    }
    spin(f, 50);
    // One answer waits for the peer; the next question is not looked at before it is taken.
    say(other, "{\"op\":\"echo\",\"text\":\"quick\"}\n");
    spin(f, 20);
    check_said(other, "{\"ok\":true,\"text\":\"quick\"}\n", false);
    size_t got = 0;
    static char text[65536];
    for (int i = 0; i < 2000 && got < 200UL * 100000; i++) {
        ssize_t n = recv(lazy, text, sizeof(text), MSG_DONTWAIT);
        got += n > 0 ? (size_t)n : 0;
        if (n < 0) {
            spin(f, 1);
        }
    }
    assert_true(got >= 200UL * 100000);
    (void)close(lazy);
    (void)close(other);
}

static void test_many(void **state)
{
    struct fixture *f = *state;
    static int fds[CONTROL_CONNECTIONS_MAX + 5];
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        for (int tries = 0; (fds[i] = connect_client(f)) < 0 && tries < 100; tries++) {
            spin(f, 5);
        }
        assert_true(fds[i] >= 0);
    }
    spin(f, 50);
    for (size_t i = CONTROL_CONNECTIONS_MAX; i < ARRAY_SIZE(fds); i++) {
        check_said(fds[i], "{\"ok\":false,\"error\":\"too many connections are open\",\"code\":\"busy\"}\n", true);
    }
    for (size_t i = 0; i < CONTROL_CONNECTIONS_MAX; i++) {
        check_said(fds[i], "", false);
    }
    (void)close(fds[0]);
    (void)close(fds[CONTROL_CONNECTIONS_MAX]);
    spin(f, 20);
    fds[0] = connect_client(f);
    say(fds[0], "{\"op\":\"echo\",\"text\":\"room again\"}\n");
    spin(f, 20);
    check_said(fds[0], "{\"ok\":true,\"text\":\"room again\"}\n", false);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        (void)close(fds[i]);
    }
}

// Somebody removed it, or put another there.
static void test_kept(void **state)
{
    struct fixture *f = *state;
    int old = connect_client(f);
    spin(f, 20);
    control_keep(f->control);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(connect_client(f), -1);
    control_keep(f->control);
    int fd = connect_client(f);
    assert_true(fd >= 0);
    say(fd, "{\"op\":\"echo\",\"text\":\"anew\"}\n");
    say(old, "{\"op\":\"echo\",\"text\":\"old\"}\n");
    spin(f, 20);
    check_said(fd, "{\"ok\":true,\"text\":\"anew\"}\n", false);
    check_said(old, "{\"ok\":true,\"text\":\"old\"}\n", false);
    // What is no socket is not removed; when it is gone, ours comes back.
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkdir(f->path, 0700), 0);
    control_keep(f->control);
    assert_int_equal(rmdir(f->path), 0);
    control_keep(f->control);
    (void)close(fd);
    fd = connect_client(f);
    assert_true(fd >= 0);
    (void)close(fd);
    (void)close(old);
}

// The daemon in another process, for the blocking end.
static pid_t fork_daemon(struct fixture *f)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct err err = {0};
        _exit(loop_run(f->loop, &err) < 0);
    }
    return pid;
}

static void stop_daemon(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

static void test_ask(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    BUF_CLEANUP struct buf out = {0};
    pid_t pid = fork_daemon(f);
    assert_int_equal(control_ask(f->path, "{\"op\":\"echo\",\"text\":\"x\"}", 2000, &out, &err), 0);
    assert_string_equal(out.data, "{\"ok\":true,\"text\":\"x\"}");
    buf_clear(&out);
    assert_int_equal(control_ask(f->path, "{\"op\":\"big\",\"size\":4000000}", 5000, &out, &err), 0);
    assert_int_equal(out.len, strlen("{\"ok\":true,\"text\":\"\"}") + 4000000);
    buf_clear(&out);
    uint64_t start = num_now_ms();
    assert_int_equal(control_ask(f->path, "{\"op\":\"later\"}", 200, &out, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    assert_true(num_now_ms() - start >= 190);
    assert_int_equal(out.len, 0);
    stop_daemon(pid);
    // Somebody who listens and never answers, and then nobody: the socket is there, and who made it is dead.
    assert_int_equal(control_ask(f->path, "{\"op\":\"echo\"}", 100, &out, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    control_free(f->control);
    f->control = NULL;
    assert_int_equal(control_ask(f->path, "{\"op\":\"echo\"}", 100, &out, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_int_equal(control_ask("", "{}", 100, &out, &err), -1);
    assert_int_equal(err.kind, ERR_USAGE);
}

static int try_new(struct fixture *f, struct err *err)
{
    struct control *control = NULL;
    *err = (struct err){0};
    int rc = control_new(f->loop, f->path, f->ops, &control, err);
    control_free(control);
    return rc;
}

static void test_path(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0600);
    // Somebody answers there: us.
    assert_int_equal(try_new(f, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    assert_int_equal(access(f->path, F_OK), 0);
    control_free(f->control);
    f->control = NULL;
    // A socket that nobody listens on: of a daemon that was killed.
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, f->path, strlen(f->path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    (void)close(fd);
    assert_int_equal(try_new(f, &err), 0);
    // What is no socket stays.
    assert_int_equal(symlink("/etc/passwd", f->path), 0);
    assert_int_equal(try_new(f, &err), -1);
    assert_int_equal(err.kind, ERR_USAGE);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkdir(f->path, 0700), 0);
    assert_int_equal(try_new(f, &err), -1);
    assert_int_equal(err.kind, ERR_USAGE);
    assert_int_equal(rmdir(f->path), 0);
    // A folder in which others could put another in its place.
    assert_int_equal(chmod(f->folder, 0777), 0);
    assert_int_equal(try_new(f, &err), -1);
    assert_int_equal(err.kind, ERR_DENIED);
    assert_int_equal(chmod(f->folder, 0700), 0);
    open_control(f);
    // Not ours any more: it is not removed.
    assert_int_equal(unlink(f->path), 0);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    control_free(f->control);
    f->control = NULL;
    assert_int_equal(access(f->path, F_OK), 0);
    (void)close(fd);
}

static void test_other_user(void **state)
{
    struct fixture *f = *state;
    if (geteuid() != 0) {
        print_message("SKIPPED: only root can become another user\n");
        skip();
    }
    assert_int_equal(chmod(f->folder, 0755), 0);
    pid_t pid = fork();
    if (pid == 0) {
        enum { NOBODY = 65534 };
        // By its mode nobody else may connect.
        _exit(setuid(NOBODY) == 0 && connect_client(f) < 0 && errno == EACCES ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    // And if it were otherwise, who they are is asked.
    assert_int_equal(chmod(f->path, 0666), 0);
    pid = fork();
    if (pid == 0) {
        enum { NOBODY = 65534 };
        static const char want[] = "{\"ok\":false,\"error\":\"only root may ask\",\"code\":\"denied\"}\n";
        char text[256];
        int fd = setuid(NOBODY) == 0 ? connect_client(f) : -1;
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        ssize_t n = fd >= 0 && poll(&poll_fd, 1, 30000) == 1 ? recv(fd, text, sizeof(text), 0) : -1;
        _exit(n == (ssize_t)strlen(want) && memcmp(text, want, strlen(want)) == 0 ? 0 : 1);
    }
    // The child has its turn when the machine gives it one.
    pid_t ended = 0;
    for (unsigned i = 0; i < 3000 && ended == 0; i++) {
        spin(f, 20);
        ended = waitpid(pid, &status, WNOHANG);
    }
    assert_int_equal(ended, pid);
    assert_int_equal(status, 0);
    assert_int_equal(f->asked, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_questions, up, down),
        cmocka_unit_test_setup_teardown(test_refused, up, down),
        cmocka_unit_test_setup_teardown(test_line_without_end, up, down),
        cmocka_unit_test_setup_teardown(test_later, up, down),
        cmocka_unit_test_setup_teardown(test_gone, up, down),
        cmocka_unit_test_setup_teardown(test_never_reads, up, down),
        cmocka_unit_test_setup_teardown(test_many, up, down),
        cmocka_unit_test_setup_teardown(test_kept, up, down),
        cmocka_unit_test_setup_teardown(test_ask, up, down),
        cmocka_unit_test_setup_teardown(test_path, up, down),
        cmocka_unit_test_setup_teardown(test_other_user, up, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
