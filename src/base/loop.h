// SPDX-License-Identifier: Apache-2.0
//
// The one event loop: epoll, timers and signals, single-threaded. Callbacks may add and remove any source, themselves
// included. In base because doors (http, web) only need its registration calls.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct loop;
struct loop_fd;
struct loop_timer;

enum { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_ERROR = 4 };

typedef void loop_fd_fn(int fd, unsigned events, void *arg);
typedef void loop_timer_fn(void *arg);
typedef void loop_signal_fn(int signo, void *arg);

NODISCARD int loop_new(struct loop **ret, struct err *err);
void loop_free(struct loop *loop);
CLEANUP_DEFINE(struct loop, loop_free);

// The loop does not own fd. events is a mask of LOOP_READ and LOOP_WRITE.
NODISCARD int loop_add_fd(struct loop *loop, int fd, unsigned events, loop_fd_fn *fn, void *arg, struct loop_fd **ret,
                          struct err *err);
NODISCARD int loop_change_fd(struct loop_fd *source, unsigned events, struct err *err);
// Call before closing the fd. NULL is accepted.
void loop_remove_fd(struct loop_fd *source);

// A one-shot timer, created disarmed. Arming again moves it. Times are CLOCK_MONOTONIC, milliseconds from now.
NODISCARD int loop_add_timer(struct loop *loop, loop_timer_fn *fn, void *arg, struct loop_timer **ret, struct err *err);
void loop_arm(struct loop_timer *timer, uint64_t after_ms);
void loop_disarm(struct loop_timer *timer);
bool loop_armed(const struct loop_timer *timer);
void loop_remove_timer(struct loop_timer *timer);

// Block signo and deliver it here (signalfd).
NODISCARD int loop_on_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *arg, struct err *err);

// Runs until loop_quit; returns the code given to it, or -1 with err when epoll itself fails.
int loop_run(struct loop *loop, struct err *err);
void loop_quit(struct loop *loop, int code);
