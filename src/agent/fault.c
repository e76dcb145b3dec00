// SPDX-License-Identifier: Apache-2.0
#include "agent/fault.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/num.h"

int fault_init(struct fault *fault, struct err *err)
{
    *fault = (struct fault){.log_fd = -1};
    const char *at = getenv("NETPOLD_TEST_KILL_AT");
    const char *path = getenv("NETPOLD_TEST_STEP_LOG");
    uint64_t kill_at = 0;
    if (at && !num_parse_u64(at, strlen(at), UINT32_MAX, &kill_at)) {
        return err_set(err, ERR_USAGE, 0, "NETPOLD_TEST_KILL_AT: \"%s\" is not a number", at);
    }
    if (path) {
        fault->log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fault->log_fd < 0) {
            return err_errno(err, "NETPOLD_TEST_STEP_LOG: cannot open %s", path);
        }
    }
    fault->kill_at = (unsigned long)kill_at;
    fault->fail_path = getenv("NETPOLD_TEST_FAIL");
    return 0;
}

void fault_done(struct fault *fault)
{
    if (fault->log_fd >= 0) {
        (void)close(fault->log_fd);
        fault->log_fd = -1;
    }
}

void fault_step(const char *what, bool after, void *arg)
{
    struct fault *fault = arg;
    fault->steps++;
    if (fault->log_fd >= 0) {
        char line[128];
        int len = snprintf(line, sizeof(line), "%lu %s %s\n", fault->steps, after ? "after" : "before", what);
        if (len > 0 && (size_t)len < sizeof(line)) {
            (void)!write(fault->log_fd, line, (size_t)len);
        }
    }
    if (fault->kill_at && fault->steps == fault->kill_at) {
        (void)raise(SIGKILL);
    }
    if (fault->on_step) {
        fault->on_step(fault->arg);
    }
}

// The next word of a line as a number; false when there is none.
static bool next_number(char **at, uint64_t *ret)
{
    char *word = strtok_r(NULL, " \n", at);
    return word && num_parse_u64(word, strlen(word), UINT32_MAX, ret);
}

int fault_fail(const char *what, void *arg)
{
    struct fault *fault = arg;
    char text[sizeof(fault->fail_text)] = "";
    CLEANUP(fd) int fd = open(fault->fail_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    text[len > 0 ? len : 0] = '\0';
    if (strcmp(text, fault->fail_text) != 0) {
        memcpy(fault->fail_text, text, sizeof(text));
        fault->fail_asked = 0;
    }
    char *at = NULL;
    const char *step = strtok_r(text, " \n", &at);
    uint64_t num = 0;
    uint64_t first = 0;
    uint64_t count = 0;
    if (!step || (strcmp(step, "*") != 0 && strcmp(step, what) != 0) || !next_number(&at, &num) ||
        !next_number(&at, &first) || !next_number(&at, &count)) {
        return 0;
    }
    fault->fail_asked++;
    bool hit = fault->fail_asked >= first && (count == 0 || fault->fail_asked - first < count);
    return hit ? (int)num : 0;
}

struct backend_options fault_options(struct fault *fault)
{
    return (struct backend_options){
        .step = fault_step,
        .step_arg = fault,
        .fail = fault->fail_path ? fault_fail : NULL,
        .fail_arg = fault,
    };
}
