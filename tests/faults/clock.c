// SPDX-License-Identifier: Apache-2.0
#include "faults/clock.h"

#include <stddef.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static unsigned speed;
static int64_t skipped_ms;  // by which the monotonic clock is ahead of the real one
static int64_t wall_ms;     // the same for the wall clock

void clock_speed(unsigned ms)
{
    speed = ms;
}

void clock_jump_wall(int64_t ms)
{
    wall_ms += ms;
}

static void add_ms(struct timespec *ts, int64_t ms)
{
    int64_t ns = ts->tv_nsec + ms % 1000 * 1000000;
    ts->tv_sec += ms / 1000 + (ns >= 1000000000) - (ns < 0);
    ts->tv_nsec = ns >= 1000000000 ? ns - 1000000000 : ns < 0 ? ns + 1000000000 : ns;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    int rc = (int)syscall(SYS_clock_gettime, clock, ret);
    if (rc == 0) {
        add_ms(ret, clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE ? wall_ms : skipped_ms);
    }
    return rc;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec ts;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &ts) < 0) {
        return -1;
    }
    *ret = (struct timeval){.tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *ret)
{
    struct timespec ts;
    if (clock_gettime(CLOCK_REALTIME, &ts) < 0) {
        return -1;
    }
    if (ret) {
        *ret = ts.tv_sec;
    }
    return ts.tv_sec;
}

uint64_t clock_real_ms(void)
{
    struct timespec ts = {0};
    (void)syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int wait_really(int fd, struct epoll_event *events, int max, int ms)
{
    return (int)syscall(SYS_epoll_pwait, fd, events, max, ms, NULL, (size_t)8);
}

int epoll_wait(int fd, struct epoll_event *events, int max, int ms)
{
    if (speed <= 1 || ms <= 0) {
        return wait_really(fd, events, max, ms);
    }
    int n = wait_really(fd, events, max, 0);
    for (int left = ms; n == 0 && left > 0;) {
        int step = left < (int)speed ? left : (int)speed;
        n = wait_really(fd, events, max, 1);
        // The millisecond itself has passed on both clocks.
        if (n == 0) {
            skipped_ms += step - 1;
            left -= step;
        }
    }
    return n;
}
