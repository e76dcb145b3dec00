// SPDX-License-Identifier: Apache-2.0
//
// Test hooks of the crash and fault tests, off unless their environment variables are set:
// NETPOLD_TEST_STEP_LOG=FILE appends one line for each step of a write to the kernel ("3 before commit");
// NETPOLD_TEST_KILL_AT=N kills the process (SIGKILL) at step N, counted from 1, before and after counted separately;
// NETPOLD_TEST_FAIL=FILE makes writes fail while FILE, which is read at each step, says so: "STEP ERRNO FIRST COUNT",
// as "commit 11 2 3": of the commits since the file was changed, the second to the fourth fail with EAGAIN. STEP "*":
// every step counts. COUNT 0: without end. No file, or an empty one: none fails.
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "dataplane/backend.h"

struct fault {
    unsigned long kill_at;  // 0: never
    unsigned long steps;
    int log_fd;             // -1: none
    const char *fail_path;  // of the environment; NULL: none fails
    char fail_text[64];     // what the file held when it was read last
    uint64_t fail_asked;    // steps of its kind since then
    // Called at each step besides the hooks: the heartbeat during long writes. NULL: none.
    void (*on_step)(void *arg);
    void *arg;
};

// Reads the environment. -1 when a hook is set and cannot be used.
NODISCARD int fault_init(struct fault *fault, struct err *err);
void fault_done(struct fault *fault);
// For backend_options.fail, with the struct fault as its argument.
int fault_fail(const char *what, void *arg);
// Options of a backend with these hooks.
struct backend_options fault_options(struct fault *fault);
// For backend_options.step, with the struct fault as its argument.
void fault_step(const char *what, bool after, void *arg);
