// SPDX-License-Identifier: Apache-2.0
#include "base/loop.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/num.h"

enum { LOOP_BATCH = 64, SIGNAL_COUNT = 65, NS_PER_MS = 1000000 };

struct loop_fd {
    struct loop *loop;
    struct loop_fd *prev, *next;
    int fd;
    bool dead;  // removed; freed once no batch of events can point to it
    loop_fd_fn *fn;
    void *arg;
};

struct loop_timer {
    struct loop *loop;
    struct loop_timer *prev, *next;
    uint64_t due_ns;  // CLOCK_MONOTONIC
    uint64_t pass;    // the pass in which it fired last: re-arming with 0 must not starve the file descriptors
    bool armed;
    loop_timer_fn *fn;
    void *arg;
};

struct loop_signal {
    loop_signal_fn *fn;
    void *arg;
};

struct loop {
    int epoll_fd;
    int signal_fd;
    sigset_t signals;
    struct loop_fd *fds;
    struct loop_fd *graveyard;
    struct loop_timer *timers;
    struct loop_fd *signal_source;
    struct loop_signal on_signal[SIGNAL_COUNT];
    uint64_t pass;
    bool quit;
    int code;
};

int loop_new(struct loop **ret, struct err *err)
{
    CLEANUP(free) struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop) {
        return err_oom(err);
    }
    loop->signal_fd = -1;
    (void)sigemptyset(&loop->signals);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        return err_errno(err, "cannot create an epoll instance");
    }
    *ret = TAKE(loop);
    return 0;
}

static void bury(struct loop *loop)
{
    while (loop->graveyard) {
        struct loop_fd *next = loop->graveyard->next;
        free(loop->graveyard);
        loop->graveyard = next;
    }
}

void loop_free(struct loop *loop)
{
    if (!loop) {
        return;
    }
    while (loop->fds) {
        loop_remove_fd(loop->fds);
    }
    while (loop->timers) {
        loop_remove_timer(loop->timers);
    }
    bury(loop);
    if (loop->signal_fd >= 0) {
        (void)close(loop->signal_fd);
        (void)sigprocmask(SIG_UNBLOCK, &loop->signals, NULL);
    }
    (void)close(loop->epoll_fd);
    free(loop);
}

static uint32_t epoll_mask(unsigned events)
{
    return (events & LOOP_READ ? (uint32_t)EPOLLIN : 0) | (events & LOOP_WRITE ? (uint32_t)EPOLLOUT : 0);
}

int loop_add_fd(struct loop *loop, int fd, unsigned events, loop_fd_fn *fn, void *arg, struct loop_fd **ret,
                struct err *err)
{
    CLEANUP(free) struct loop_fd *source = calloc(1, sizeof(*source));
    if (!source) {
        return err_oom(err);
    }
    *source = (struct loop_fd){.loop = loop, .fd = fd, .fn = fn, .arg = arg, .next = loop->fds};
    struct epoll_event event = {.events = epoll_mask(events), .data.ptr = source};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        return err_errno(err, "cannot watch file descriptor %d", fd);
    }
    if (loop->fds) {
        loop->fds->prev = source;
    }
    loop->fds = source;
    *ret = TAKE(source);
    return 0;
}

int loop_change_fd(struct loop_fd *source, unsigned events, struct err *err)
{
    struct epoll_event event = {.events = epoll_mask(events), .data.ptr = source};
    if (epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) < 0) {
        return err_errno(err, "cannot change the watch of file descriptor %d", source->fd);
    }
    return 0;
}

void loop_remove_fd(struct loop_fd *source)
{
    if (!source) {
        return;
    }
    struct loop *loop = source->loop;
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    if (source->prev) {
        source->prev->next = source->next;
    } else {
        loop->fds = source->next;
    }
    if (source->next) {
        source->next->prev = source->prev;
    }
    // The batch of events being delivered may hold it still.
    source->dead = true;
    source->next = loop->graveyard;
    loop->graveyard = source;
}

int loop_add_timer(struct loop *loop, loop_timer_fn *fn, void *arg, struct loop_timer **ret, struct err *err)
{
    struct loop_timer *timer = calloc(1, sizeof(*timer));
    if (!timer) {
        return err_oom(err);
    }
    *timer = (struct loop_timer){.loop = loop, .fn = fn, .arg = arg, .next = loop->timers};
    if (loop->timers) {
        loop->timers->prev = timer;
    }
    loop->timers = timer;
    *ret = timer;
    return 0;
}

void loop_arm(struct loop_timer *timer, uint64_t after_ms)
{
    uint64_t now = num_now_ns();
    timer->due_ns = after_ms > (UINT64_MAX - now) / NS_PER_MS ? UINT64_MAX : now + after_ms * NS_PER_MS;
    timer->armed = true;
}

void loop_disarm(struct loop_timer *timer)
{
    timer->armed = false;
}

bool loop_armed(const struct loop_timer *timer)
{
    return timer->armed;
}

void loop_remove_timer(struct loop_timer *timer)
{
    if (!timer) {
        return;
    }
    if (timer->prev) {
        timer->prev->next = timer->next;
    } else {
        timer->loop->timers = timer->next;
    }
    if (timer->next) {
        timer->next->prev = timer->prev;
    }
    free(timer);
}

static void read_signals(int fd, UNUSED unsigned events, void *arg)
{
    struct loop *loop = arg;
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        const struct loop_signal *on = info.ssi_signo < SIGNAL_COUNT ? &loop->on_signal[info.ssi_signo] : NULL;
        if (on && on->fn) {
            on->fn((int)info.ssi_signo, on->arg);
        }
    }
}

int loop_on_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *arg, struct err *err)
{
    if (signo <= 0 || signo >= SIGNAL_COUNT) {
        return err_set(err, ERR_BUG, 0, "signal %d does not exist", signo);
    }
    (void)sigaddset(&loop->signals, signo);
    if (sigprocmask(SIG_BLOCK, &loop->signals, NULL) < 0) {
        return err_errno(err, "cannot block signal %d", signo);
    }
    int fd = signalfd(loop->signal_fd, &loop->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        return err_errno(err, "cannot receive signal %d", signo);
    }
    loop->signal_fd = fd;
    if (!loop->signal_source && loop_add_fd(loop, fd, LOOP_READ, read_signals, loop, &loop->signal_source, err) < 0) {
        return -1;
    }
    loop->on_signal[signo] = (struct loop_signal){.fn = fn, .arg = arg};
    return 0;
}

// The armed timer that is due first, of those that have not fired in this pass; NULL when there is none.
static struct loop_timer *first_timer(const struct loop *loop, uint64_t pass)
{
    struct loop_timer *first = NULL;
    for (struct loop_timer *timer = loop->timers; timer; timer = timer->next) {
        if (timer->armed && timer->pass != pass && (!first || timer->due_ns < first->due_ns)) {
            first = timer;
        }
    }
    return first;
}

// Milliseconds until the next timer, rounded up: a timer never fires early, and waiting never spins.
static int wait_ms(const struct loop *loop)
{
    const struct loop_timer *first = first_timer(loop, UINT64_MAX);
    if (!first) {
        return -1;
    }
    uint64_t now = num_now_ns();
    uint64_t left = first->due_ns > now ? (first->due_ns - now + NS_PER_MS - 1) / NS_PER_MS : 0;
    return left > INT32_MAX ? INT32_MAX : (int)left;
}

static void run_timers(struct loop *loop)
{
    uint64_t now = num_now_ns();
    uint64_t pass = ++loop->pass;
    struct loop_timer *timer;
    while (!loop->quit && (timer = first_timer(loop, pass)) && timer->due_ns <= now) {
        timer->armed = false;
        timer->pass = pass;
        timer->fn(timer->arg);
    }
}

static unsigned loop_events(uint32_t events)
{
    return (events & EPOLLIN ? (unsigned)LOOP_READ : 0) | (events & EPOLLOUT ? (unsigned)LOOP_WRITE : 0) |
           (events & (EPOLLERR | EPOLLHUP) ? (unsigned)LOOP_ERROR : 0);
}

int loop_run(struct loop *loop, struct err *err)
{
    while (!loop->quit) {
        struct epoll_event events[LOOP_BATCH];
        int n = epoll_wait(loop->epoll_fd, events, LOOP_BATCH, wait_ms(loop));
        if (n < 0 && errno != EINTR) {
            return err_errno(err, "cannot wait for events");
        }
        for (int i = 0; i < n && !loop->quit; i++) {
            struct loop_fd *source = events[i].data.ptr;
            if (!source->dead) {
                source->fn(source->fd, loop_events(events[i].events), source->arg);
            }
        }
        run_timers(loop);
        bury(loop);
    }
    loop->quit = false;
    return loop->code;
}

void loop_quit(struct loop *loop, int code)
{
    loop->quit = true;
    loop->code = code;
}
