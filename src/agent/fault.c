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
