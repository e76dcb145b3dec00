// SPDX-License-Identifier: Apache-2.0
//
// The time of a fault test. A program that links this has its own clock_gettime, gettimeofday, time and epoll_wait, for
// libcurl too: where the loop would wait, time jumps instead, so that the hours of a test with real intervals pass in
// milliseconds. Timers of the kernel (keep-alive probes, TCP_USER_TIMEOUT) know nothing of it: tests of those run in
// real time.
#pragma once

#include <stdint.h>

// Each millisecond in which nothing at all happens counts as so many of the monotonic clock; 0 or 1: real time. In a
// bounded ratio, so that what is on its way through the loopback interface arrives before a timeout of seconds.
void clock_speed(unsigned ms);
// The wall clock (and only that) jumps, forwards or backwards.
void clock_jump_wall(int64_t ms);
// Milliseconds that have really passed, on a clock of its own.
uint64_t clock_real_ms(void);
