// SPDX-License-Identifier: Apache-2.0
//
// Credential plugins as processes: how they end, what they print, what they are given and what they leave behind.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "source/small_file.h"
#include "support/plugin_world.h"

static void test_bad_plugins(UNUSED void **state)
{
    static const struct {
        const char *body;
        const char *message;
        enum err_kind kind;
    } cases[] = {
        {TOKEN(SECRET) "echo 'cannot log in' >&2\nexit 1\n", "\": failed with exit status 1; it says: cannot log in",
         ERR_INPUT},
        {TOKEN(SECRET) "kill -SEGV $$\n", "was ended by signal 11 (Segmentation fault)", ERR_INPUT},
        {"", "is of no use: it printed nothing", ERR_INPUT},
        {"echo " SECRET "\n", "is of no use: its output is not JSON (line 1)", ERR_INPUT},
        {TOKEN(SECRET) "printf '\\0'\n", "goes on behind the JSON", ERR_INPUT},
        {"printf '\\0'\n" TOKEN(SECRET), "is not JSON", ERR_INPUT},
        {"echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "beta1\",\"status\":{\"token\":\"" SECRET "\"}}'\n",
         "another apiVersion", ERR_INPUT},
        {SAYS("{\"clientKeyData\":\"" JSON_KEY "\"}"), "only one of", ERR_INPUT},
        {"head -c 2000000 /dev/zero | tr '\\0' x\n", "printed more than 1 MiB and was killed", ERR_LIMIT},
        {"yes " SECRET "\n", "printed more than 1 MiB and was killed", ERR_LIMIT},
        {"set -x\ntoken=" SECRET "\n" SAYS("{\"token\":\"'$token'\"}") "exit 9\n",
         "failed with exit status 9; it says: ", ERR_INPUT},
        {"exit 127\n", "failed with exit status 127", ERR_INPUT},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct plugin_world w = {0};
        struct buf BUF_CLEANUP script = {0};
        buf_printf(&script, "%s%s", SCRIPT, cases[i].body);
        scratch_put_program("plugin", script.data);
        plugin_begin(&w, EXEC(", env: [{name: KEY, value: " SECRET "}]"), &plugin_quick);
        assert_int_equal(plugin_run(&w), CREDENTIALS_FAILED);
        if (w.err.kind != cases[i].kind || !strstr(w.err.msg, cases[i].message)) {
            fail_msg("%s: %s", script.data, w.err.msg);
        }
        assert_non_null(strstr(w.err.object, ": users[0].user.exec"));
        assert_int_equal(w.reports, 0);
        plugin_end(&w);
    }
}

// Gone, or a zombie that nobody has looked after yet.
static bool is_gone(pid_t pid)
{
    char path[64];
    char state = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file) {
        return true;
    }
    bool read = fscanf(file, "%*d (%*[^)]) %c", &state) == 1;
    assert_int_equal(fclose(file), 0);
    return !read || state == 'Z' || state == 'X';
}

static pid_t pid_in(const char *name)
{
    uint64_t start = num_now_ms();
    int pid = 0;
    while (pid == 0 && num_now_ms() - start < PATIENCE_MS) {
        FILE *file = fopen(scratch_path(name), "re");
        if (file) {
            pid = fscanf(file, "%d", &pid) == 1 ? pid : 0;
            assert_int_equal(fclose(file), 0);
        }
        plugin_pause(5);
    }
    assert_true(pid > 1);
    return pid;
}

static void expect_gone(const char *name)
{
    pid_t pid = pid_in(name);
    uint64_t start = num_now_ms();
    while (!is_gone(pid) && num_now_ms() - start < PATIENCE_MS) {
        plugin_pause(5);
    }
    assert_true(is_gone(pid));
}

#define HANGS                                                                                                          \
    SCRIPT "trap '' TERM HUP INT\nsleep 1000 &\necho $! >$here/child.new\nmv $here/child.new $here/child\n"            \
           "echo $$ >$here/self.new\nmv $here/self.new $here/self\necho waiting for godot >&2\n"                       \
           "while :; do sleep 1000; done\n"

static void test_hanging(UNUSED void **state)
{
    for (int without = 0; without < 2; without++) {
        struct plugin_world w = {0};
        struct credentials_timing timing = plugin_quick;
        timing.run_ms = 600;
        timing.without_pidfd = without;
        (void)unlink(scratch_path("child"));
        (void)unlink(scratch_path("self"));
        scratch_put_program("plugin", HANGS);
        plugin_begin(&w, EXEC(""), &timing);
        uint64_t start = num_now_ms();
        assert_int_equal(plugin_run(&w), CREDENTIALS_FAILED);
        assert_true(num_now_ms() - start >= 600);
        assert_int_equal(w.err.kind, ERR_RETRY);
        assert_non_null(strstr(w.err.msg, "did not end within 1 s and was killed; it says: waiting for godot"));
        expect_gone("child");
        expect_gone("self");
        plugin_end(&w);
    }
}

static void test_stop_while_it_runs(UNUSED void **state)
{
    for (int without = 0; without < 2; without++) {
        struct plugin_world w = {0};
        struct credentials_timing timing = plugin_quick;
        timing.without_pidfd = without;
        (void)unlink(scratch_path("child"));
        (void)unlink(scratch_path("self"));
        scratch_put_program("plugin", HANGS);
        plugin_begin(&w, EXEC(""), &timing);
        assert_int_equal(plugin_prepare(&w), CREDENTIALS_PENDING);
        pid_t self = pid_in("self");
        (void)pid_in("child");
        plugin_end(&w);
        // Reaped, not left behind as a zombie.
        assert_int_equal(kill(self, 0), -1);
        assert_int_equal(errno, ESRCH);
        expect_gone("child");
        assert_int_equal(w.settled, 0);
    }
}

// A helper that stays behind holds the pipes open: the answer is there all the same.
static void test_daemon_left_behind(UNUSED void **state)
{
    struct plugin_world w = {0};
    scratch_put_program("plugin", SCRIPT "sleep 30 &\necho $! >$here/child\n" TOKEN(SECRET));
    plugin_begin(&w, EXEC(""), &plugin_quick);
    uint64_t start = num_now_ms();
    assert_int_equal(plugin_run(&w), CREDENTIALS_READY);
    assert_true(num_now_ms() - start < 10000);
    plugin_expect(&w, SECRET, 1);
    pid_t child = pid_in("child");
    assert_false(is_gone(child));
    assert_int_equal(kill(child, SIGKILL), 0);
    plugin_end(&w);
}

static void test_closed_early(UNUSED void **state)
{
    struct plugin_world w = {0};
    // Its output ends before it does: how it ends counts.
    scratch_put_program("plugin", SCRIPT TOKEN(SECRET) "exec >&- 2>&-\nsleep 0.3\nexit 5\n");
    plugin_begin(&w, EXEC(""), &plugin_quick);
    assert_int_equal(plugin_run(&w), CREDENTIALS_FAILED);
    assert_non_null(strstr(w.err.msg, "failed with exit status 5"));
    plugin_end(&w);
}

static void test_talkative(UNUSED void **state)
{
    struct plugin_world w = {0};
    // Much on stderr does no harm, and is said once, as long as it stays the same.
    scratch_put_program("plugin", SCRIPT "i=0\nwhile [ $i -lt 3000 ]; do echo 'deprecated: update the plugin, please, "
                                         "soon' >&2; i=$((i+1)); done\n" TOKEN(SECRET "-'$n'"));
    struct credentials_timing timing = plugin_quick;
    timing.proven_ms = 0;
    plugin_begin(&w, EXEC(""), &timing);
    for (unsigned n = 1; n <= 3; n++) {
        assert_int_equal(plugin_run(&w), CREDENTIALS_READY);
        assert_int_equal(credentials_generation(w.credentials), n);
        credentials_refused(w.credentials, n);
    }
    assert_int_equal(w.reports, 1);
    const char *said = strstr(w.heard.data, "credential-plugin-said text=");
    assert_non_null(said);
    assert_true(strcspn(said, "\n") < 400);
    assert_non_null(strstr(said, "update the plugin, please, soon"));
    plugin_end(&w);
}

static void test_without_pidfd(UNUSED void **state)
{
    struct plugin_world w = {0};
    struct credentials_timing timing = plugin_quick;
    timing.without_pidfd = true;
    timing.proven_ms = 0;
    scratch_put_program("plugin", SCRIPT "sleep 0.1\n" TOKEN(SECRET "-'$n'"));
    plugin_begin(&w, EXEC(""), &timing);
    for (unsigned n = 1; n <= 3; n++) {
        assert_int_equal(plugin_run(&w), CREDENTIALS_READY);
        assert_int_equal(credentials_generation(w.credentials), n);
        credentials_refused(w.credentials, n);
    }
    plugin_end(&w);
}

// Who ignores SIGCHLD gets no status: what was printed decides.
static void test_nobody_reaps(UNUSED void **state)
{
    struct plugin_world w = {0};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    assert_int_equal(sigaction(SIGCHLD, &ignore, &before), 0);
    scratch_put_program("plugin", SCRIPT TOKEN(SECRET));
    plugin_begin(&w, EXEC(""), &plugin_quick);
    assert_int_equal(plugin_run(&w), CREDENTIALS_READY);
    plugin_expect(&w, SECRET, 1);
    plugin_end(&w);
    assert_int_equal(sigaction(SIGCHLD, &before, NULL), 0);
}

static char *text_of(const char *name)
{
    char *text = NULL;
    struct err err = {0};
    assert_int_equal(small_file_read(scratch_path(name), 1 << 20, &text, &err), 0);
    return text;
}

static void test_what_it_is_given(UNUSED void **state)
{
    struct plugin_world w = {0};
    // Nothing of ours leaks into it, not even a file that is not close-on-exec.
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(null >= 0);
    int leak = dup2(null, 57);
    assert_int_equal(leak, 57);
    assert_int_equal(close(null), 0);
    assert_int_equal(setenv("OURS", "ours", 1), 0);
    scratch_put_program("plugin", SCRIPT "LC_ALL=C ls /proc/$$/fd >$here/fds\nreadlink /proc/$$/fd/0 >$here/stdin\n"
                                         "cut -d' ' -f5 /proc/$$/stat >$here/group\necho $$ >$here/self\n"
                                         "for a in \"$0\" \"$@\"; do echo \"<$a>\"; done >$here/args\n"
                                         "echo \"$OURS $THEIRS $KUBERNETES_EXEC_INFO\" >$here/env\n" TOKEN(SECRET));
    plugin_begin(
        &w, EXEC(", args: [a b, $(id), '*', ''], env: [{name: THEIRS, value: their 's}], provideClusterInfo: true"),
        &plugin_quick);
    assert_int_equal(plugin_run(&w), CREDENTIALS_READY);
    plugin_end(&w);
    CLEANUP(free) char *fds = text_of("fds");
    CLEANUP(free) char *in = text_of("stdin");
    CLEANUP(free) char *group = text_of("group");
    CLEANUP(free) char *self = text_of("self");
    CLEANUP(free) char *args = text_of("args");
    CLEANUP(free) char *env = text_of("env");
    // What shells open for themselves is above 9, and not 57.
    for (const char *line = fds; *line; line += strcspn(line, "\n") + 1) {
        assert_true(line[1] == '\n' ? *line <= '2' : strncmp(line, "57\n", 3) != 0);
    }
    assert_string_equal(in, "/dev/null\n");
    assert_string_equal(group, self);
    char want[512];
    (void)snprintf(want, sizeof(want), "<%s>\n<a b>\n<$(id)>\n<*>\n<>\n", scratch_path("./plugin"));
    assert_string_equal(args, want);
    assert_string_equal(env, "ours their 's {\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1
                             "\",\"spec\":{\"interactive\":false,\"cluster\":{\"server\":\"https://x\"}}}\n");
    assert_int_equal(close(leak), 0);
}

// No shell: those put their signals right themselves.
static void test_signals(UNUSED void **state)
{
    struct plugin_world w = {0};
    struct sigaction before;
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    char config[512];
    sigset_t blocked;
    assert_int_equal(sigemptyset(&blocked), 0);
    assert_int_equal(sigaddset(&blocked, SIGTERM), 0);
    assert_int_equal(sigprocmask(SIG_BLOCK, &blocked, NULL), 0);
    assert_int_equal(sigaction(SIGPIPE, &ignore, &before), 0);
    (void)snprintf(config, sizeof(config),
                   ONE(SERVER, "exec: {apiVersion: " V1 ", interactiveMode: Never, command: cp, args: "
                               "[/proc/self/status, %s]}"),
                   scratch_path("status"));
    plugin_begin(&w, config, &plugin_quick);
    assert_int_equal(plugin_run(&w), CREDENTIALS_FAILED);
    assert_non_null(strstr(w.err.msg, "printed nothing"));
    plugin_end(&w);
    assert_int_equal(sigprocmask(SIG_UNBLOCK, &blocked, NULL), 0);
    assert_int_equal(sigaction(SIGPIPE, &before, NULL), 0);
    static const char *const masks[] = {"SigBlk:\t", "SigIgn:\t"};
    CLEANUP(free) char *status = text_of("status");
    for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
        const char *mask = strstr(status, masks[i]);
        assert_non_null(mask);
        // The C library's own (32 and 33) are nobody's concern.
        assert_int_equal(strtoull(mask + strlen(masks[i]), NULL, 16) & 0x7fffffff, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
        TEST(test_bad_plugins),      TEST(test_hanging),   TEST(test_stop_while_it_runs), TEST(test_daemon_left_behind),
        TEST(test_closed_early),     TEST(test_talkative), TEST(test_without_pidfd),      TEST(test_nobody_reaps),
        TEST(test_what_it_is_given), TEST(test_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
