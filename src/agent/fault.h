// SPDX-License-Identifier: Apache-2.0
//
// Test hooks of the crash tests, off unless their environment variables are set:
// NETPOLD_TEST_STEP_LOG=FILE appends one line for each step of a write to the kernel ("3 before commit");
// NETPOLD_TEST_KILL_AT=N kills the process (SIGKILL) at step N, counted from 1, before and after counted separately.
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "dataplane/backend.h"

struct fault {
    unsigned long kill_at;  // 0: never
    unsigned long steps;
    int log_fd;  // -1: none
    // Called at each step besides the hooks: the heartbeat during long writes. NULL: none.
    void (*on_step)(void *arg);
    void *arg;
};

// Reads the environment. -1 when a hook is set and cannot be used.
NODISCARD int fault_init(struct fault *fault, struct err *err);
void fault_done(struct fault *fault);
// For backend_options.step, with the struct fault as its argument.
void fault_step(const char *what, bool after, void *arg);
