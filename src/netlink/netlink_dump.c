// SPDX-License-Identifier: Apache-2.0
#include "netlink/netlink_dump.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    // One size for every read: a dump that has begun with a large buffer fails in a smaller one.
    RECEIVE_SIZE = 64 << 10,
    PARTS_A_READ = 8,     // the loop has other things to do
    ANSWER_SECONDS = 30,  // the kernel answers within the call; this only ends a wait that would never end
    SEQUENCE = 1,
};

// The thread's own half. Nothing of it is touched by the other side before the thread has ended.
struct dump_worker {
    int kernel;  // netlink socket
    int out;     // to the loop
    uint8_t *request;
    size_t request_len;
    uint8_t *buffer;
    int failed;  // errno
};

struct netlink_dump {
    struct dump_worker worker;
    pthread_t thread;
    bool started;
    int in;
    uint8_t *buffer;
    bool interrupted;
};

static const struct nlmsghdr *first_message(const uint8_t *buffer)
{
    return (const struct nlmsghdr *)(const void *)buffer;
}

static bool is_last(const uint8_t *buffer, ssize_t len)
{
    int left = (int)len;
    for (const struct nlmsghdr *message = first_message(buffer); mnl_nlmsg_ok(message, left);
         message = mnl_nlmsg_next(message, &left)) {
        if (message->nlmsg_seq == SEQUENCE &&
            (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR)) {
            return true;
        }
    }
    return false;
}

static int worker_exchange(struct dump_worker *worker)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    if (sendto(worker->kernel, worker->request, worker->request_len, 0, (const struct sockaddr *)&kernel,
               sizeof(kernel)) < 0) {
        return errno;
    }
    for (;;) {
        ssize_t got = recv(worker->kernel, worker->buffer, RECEIVE_SIZE, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return errno;
        }
        if (send(worker->out, worker->buffer, (size_t)got, MSG_NOSIGNAL) < 0) {
            return errno;  // the reader is gone
        }
        if (is_last(worker->buffer, got)) {
            return 0;
        }
    }
}

static void *worker_run(void *arg)
{
    struct dump_worker *worker = arg;
    worker->failed = worker_exchange(worker);
    (void)shutdown(worker->out, SHUT_RDWR);
    return NULL;
}

static void close_fd(int fd)
{
    if (fd >= 0) {
        (void)close(fd);
    }
}

void netlink_dump_free(struct netlink_dump *dump)
{
    if (!dump) {
        return;
    }
    if (dump->started) {
        (void)shutdown(dump->in, SHUT_RDWR);
        (void)pthread_join(dump->thread, NULL);
    }
    close_fd(dump->in);
    close_fd(dump->worker.out);
    close_fd(dump->worker.kernel);
    free(dump->worker.request);
    free(dump->worker.buffer);
    free(dump->buffer);
    free(dump);
}

static int open_sockets(struct netlink_dump *dump, enum netlink_bus bus, struct err *err)
{
    struct dump_worker *worker = &dump->worker;
    worker->kernel =
        socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, bus == NETLINK_BUS_ROUTE ? NETLINK_ROUTE : NETLINK_NETFILTER);
    if (worker->kernel < 0) {
        return err_errno(err, "open netlink socket");
    }
    const struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    const struct timeval timeout = {.tv_sec = ANSWER_SECONDS};
    if (bind(worker->kernel, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        setsockopt(worker->kernel, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0) {
        return err_errno(err, "set up netlink socket");
    }
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return err_errno(err, "open socket pair");
    }
    dump->in = pair[0];
    worker->out = pair[1];
    return 0;
}

// Signals are the loop's.
static int start_thread(struct netlink_dump *dump, struct err *err)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&dump->thread, NULL, worker_run, &dump->worker);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code) {
        return err_set(err, ERR_SYSTEM, code, "start a thread: %s", strerror(code));
    }
    dump->started = true;
    return 0;
}

int netlink_dump_start(enum netlink_bus bus, const struct netlink_batch *batch, struct netlink_dump **ret,
                       struct err *err)
{
    if (batch->failed) {
        return err_set(err, ERR_OOM, ENOMEM, "out of memory for a netlink message");
    }
    if (batch->n_messages != 1) {
        return err_set(err, ERR_BUG, 0, "a dump is one message");
    }
    CLEANUP(netlink_dump_free) struct netlink_dump *dump = calloc(1, sizeof(*dump));
    if (!dump) {
        return err_oom(err);
    }
    struct dump_worker *worker = &dump->worker;
    dump->in = worker->kernel = worker->out = -1;
    dump->buffer = malloc(RECEIVE_SIZE);
    worker->buffer = malloc(RECEIVE_SIZE);
    worker->request = malloc(batch->len);
    if (!dump->buffer || !worker->buffer || !worker->request) {
        return err_oom(err);
    }
    memcpy(worker->request, batch->data, batch->len);
    worker->request_len = batch->len;
    struct nlmsghdr *message = (struct nlmsghdr *)(void *)worker->request;
    message->nlmsg_seq = SEQUENCE;
    message->nlmsg_pid = 0;
    if (open_sockets(dump, bus, err) < 0 || start_thread(dump, err) < 0) {
        return -1;
    }
    *ret = TAKE(dump);
    return 0;
}

int netlink_dump_fd(const struct netlink_dump *dump)
{
    return dump->in;
}

static int dump_ended(const struct netlink_dump *dump, const struct nlmsghdr *message, struct err *err)
{
    int code = 0;
    if (mnl_nlmsg_get_payload_len(message) >= sizeof(code)) {
        memcpy(&code, mnl_nlmsg_get_payload(message), sizeof(code));
    }
    code = code < 0 ? -code : code;
    if (code == EPERM || code == EACCES) {
        return err_set(err, ERR_DENIED, code, "the kernel refuses a netlink dump: %s", strerror(code));
    }
    if (code == EINTR || dump->interrupted) {
        return err_set(err, ERR_RETRY, EINTR, "the kernel's answer changed while it was read");
    }
    return code ? err_set(err, ERR_SYSTEM, code, "the kernel refuses a netlink dump: %s", strerror(code)) : 0;
}

// As netlink_dump_read, of one datagram.
static int read_part(struct netlink_dump *dump, ssize_t len,
                     int (*reply)(const struct netlink_reply *reply, void *arg, struct err *err), void *arg,
                     struct err *err)
{
    int left = (int)len;
    for (const struct nlmsghdr *message = first_message(dump->buffer); mnl_nlmsg_ok(message, left);
         message = mnl_nlmsg_next(message, &left)) {
        if (message->nlmsg_seq != SEQUENCE) {
            continue;
        }
        dump->interrupted = dump->interrupted || (message->nlmsg_flags & NLM_F_DUMP_INTR);
        if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) {
            return dump_ended(dump, message, err);
        }
        const struct netlink_reply got = {
            .type = message->nlmsg_type,
            .flags = message->nlmsg_flags,
            .payload = mnl_nlmsg_get_payload(message),
            .len = mnl_nlmsg_get_payload_len(message),
        };
        if (message->nlmsg_type >= NLMSG_MIN_TYPE && reply(&got, arg, err) < 0) {
            return -1;
        }
    }
    return 1;
}

int netlink_dump_read(struct netlink_dump *dump,
                      int (*reply)(const struct netlink_reply *reply, void *arg, struct err *err), void *arg,
                      struct err *err)
{
    for (unsigned part = 0; part < PARTS_A_READ; part++) {
        ssize_t got = recv(dump->in, dump->buffer, RECEIVE_SIZE, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return 1;
        }
        if (got < 0) {
            return err_errno(err, "read a netlink dump");
        }
        if (got == 0) {
            // It ended without a last message; only now may its half be looked at.
            (void)pthread_join(dump->thread, NULL);
            dump->started = false;
            int code = dump->worker.failed;
            bool lost = code == EAGAIN || code == ENOBUFS || code == 0;
            return err_set(err, lost ? ERR_RETRY : ERR_SYSTEM, code, "read a netlink dump: %s",
                           lost ? "answers of the kernel were lost" : strerror(code));
        }
        int rc = read_part(dump, got, reply, arg, err);
        if (rc != 1) {
            return rc;
        }
    }
    return 1;
}
