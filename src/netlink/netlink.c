// SPDX-License-Identifier: Apache-2.0
#include "netlink/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

#define HEADER_SIZE sizeof(struct nlmsghdr)  // libmnl's own macro is signed

enum {
    // One size for every read: ipset echoes a refused message of up to 64 KiB whole, and a dump that has begun with a
    // large buffer fails in a smaller one.
    RECEIVE_SIZE = 128 << 10,
    SOCKET_BUFFER = 1 << 20,
    ANSWER_SECONDS = 30,  // the kernel answers within the send; this only ends a wait that would never end
};

struct netlink {
    struct mnl_socket *socket;
    unsigned port;
    uint32_t sequence;
    uint8_t *buffer;
};

static int bus_number(enum netlink_bus bus)
{
    switch (bus) {
    case NETLINK_BUS_ROUTE:
        return NETLINK_ROUTE;
    case NETLINK_BUS_NETFILTER:
        return NETLINK_NETFILTER;
    }
    return -1;
}

static const char *bus_name(enum netlink_bus bus)
{
    switch (bus) {
    case NETLINK_BUS_ROUTE:
        return "rtnetlink";
    case NETLINK_BUS_NETFILTER:
        return "nfnetlink";
    }
    return "netlink";
}

void netlink_close(struct netlink *netlink)
{
    if (!netlink) {
        return;
    }
    if (netlink->socket) {
        (void)mnl_socket_close(netlink->socket);
    }
    free(netlink->buffer);
    free(netlink);
}

// The forced form needs rights in the first user namespace and passes the system's maximum; the other always works.
static void set_buffer(int fd, int forced, int plain)
{
    int size = SOCKET_BUFFER;
    if (setsockopt(fd, SOL_SOCKET, forced, &size, sizeof(size)) < 0) {
        (void)setsockopt(fd, SOL_SOCKET, plain, &size, sizeof(size));
    }
}

int netlink_open(enum netlink_bus bus, struct netlink **ret, struct err *err)
{
    CLEANUP(netlink_close) struct netlink *netlink = calloc(1, sizeof(*netlink));
    if (!netlink) {
        return err_oom(err);
    }
    netlink->buffer = malloc(RECEIVE_SIZE);
    if (!netlink->buffer) {
        return err_oom(err);
    }
    netlink->socket = mnl_socket_open2(bus_number(bus), SOCK_CLOEXEC);
    if (!netlink->socket) {
        if (errno == EPROTONOSUPPORT) {
            return err_set(err, ERR_UNSUPPORTED, errno, "the kernel has no %s (modprobe %s)", bus_name(bus),
                           bus == NETLINK_BUS_NETFILTER ? "nfnetlink" : "netlink");
        }
        return err_errno(err, "open %s socket", bus_name(bus));
    }
    if (mnl_socket_bind(netlink->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
        return err_errno(err, "bind %s socket", bus_name(bus));
    }
    int fd = mnl_socket_get_fd(netlink->socket);
    set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
    set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
    const struct timeval timeout = {.tv_sec = ANSWER_SECONDS};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0) {
        return err_errno(err, "set time limit of %s socket", bus_name(bus));
    }
    // Acknowledgements without the request in them. Old kernels lack it: their answers are merely longer.
    int on = 1;
    (void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
    netlink->port = mnl_socket_get_portid(netlink->socket);
    *ret = TAKE(netlink);
    return 0;
}

// One exchange. The kernel goes through the messages, and queues its answers, in their order.
struct exchange {
    const struct netlink_handler *handler;
    uint32_t first;  // sequence number of the batch's first message
    size_t n;
    bool answered;  // the last message
    int refused;    // code of the first message refused
    bool interrupted;
    bool failed;  // a reply callback said stop
    struct err *err;
};

static void exchange_refused(struct exchange *exchange, int code, size_t index, const struct nlmsghdr *message)
{
    if (!exchange->refused) {
        exchange->refused = code;
    }
    if (!exchange->handler || !exchange->handler->refused) {
        return;
    }
    struct netlink_reply request = {.index = index};
    size_t len = mnl_nlmsg_get_payload_len(message);
    const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);
    if (len >= sizeof(*error)) {
        request.type = error->msg.nlmsg_type;
        request.flags = error->msg.nlmsg_flags;
        size_t echoed = len - offsetof(struct nlmsgerr, msg);
        size_t whole = error->msg.nlmsg_len;
        if (whole > HEADER_SIZE && echoed >= whole) {
            request.payload = (const uint8_t *)&error->msg + HEADER_SIZE;
            request.len = whole - HEADER_SIZE;
        }
    }
    exchange->handler->refused(code, &request, exchange->handler->arg);
}

static int error_code(const struct nlmsghdr *message)
{
    int code = 0;
    if (mnl_nlmsg_get_payload_len(message) >= sizeof(code)) {
        memcpy(&code, mnl_nlmsg_get_payload(message), sizeof(code));
    }
    return code < 0 ? -code : code;
}

static void exchange_message(struct exchange *exchange, const struct nlmsghdr *message)
{
    uint32_t index = message->nlmsg_seq - exchange->first;
    if (index >= exchange->n) {
        return;  // an answer to an earlier exchange that was given up
    }
    exchange->interrupted = exchange->interrupted || (message->nlmsg_flags & NLM_F_DUMP_INTR);
    if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
        int code = error_code(message);
        exchange->answered = index == exchange->n - 1;
        if (code) {
            exchange_refused(exchange, code, index, message);
        }
        return;
    }
    if (message->nlmsg_type < NLMSG_MIN_TYPE || exchange->failed || !exchange->handler || !exchange->handler->reply) {
        return;
    }
    const struct netlink_reply reply = {
        .type = message->nlmsg_type,
        .flags = message->nlmsg_flags,
        .index = index,
        .payload = mnl_nlmsg_get_payload(message),
        .len = mnl_nlmsg_get_payload_len(message),
    };
    exchange->failed = exchange->handler->reply(&reply, exchange->handler->arg, exchange->err) < 0;
}

static int exchange_receive(struct netlink *netlink, struct exchange *exchange)
{
    while (!exchange->answered) {
        ssize_t got = mnl_socket_recvfrom(netlink->socket, netlink->buffer, RECEIVE_SIZE);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0 && (errno == ENOBUFS || errno == EAGAIN)) {
            return err_set(exchange->err, ERR_RETRY, errno, "answers of the kernel were lost");
        }
        if (got < 0) {
            return err_errno(exchange->err, "read netlink answer");
        }
        int left = (int)got;
        for (const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)netlink->buffer;
             mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
            exchange_message(exchange, message);
        }
    }
    if (exchange->failed) {
        return -1;
    }
    if (exchange->interrupted && !exchange->refused) {
        return err_set(exchange->err, ERR_RETRY, EINTR, "the kernel's answer changed while it was read");
    }
    return exchange->refused;
}

int netlink_request(struct netlink *netlink, struct netlink_batch *batch, const struct netlink_handler *handler,
                    struct err *err)
{
    if (batch->failed) {
        return err_set(err, ERR_OOM, ENOMEM, "out of memory for a netlink message");
    }
    struct exchange exchange = {.handler = handler, .first = netlink->sequence + 1, .n = batch->n_messages, .err = err};
    for (size_t at = 0; at < batch->len;) {
        struct nlmsghdr *message = (struct nlmsghdr *)(void *)(batch->data + at);
        message->nlmsg_seq = ++netlink->sequence;
        message->nlmsg_pid = netlink->port;
        at += ((size_t)message->nlmsg_len + MNL_ALIGNTO - 1) / MNL_ALIGNTO * MNL_ALIGNTO;
    }
    if (exchange.n == 0) {
        return 0;
    }
    ssize_t sent;
    do {
        sent = mnl_socket_sendto(netlink->socket, batch->data, batch->len);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0 && (errno == EPERM || errno == EACCES)) {
        return err_set(err, ERR_DENIED, errno, "send netlink request: %s", strerror(errno));
    }
    if (sent < 0) {
        return err_errno(err, "send netlink request");
    }
    return exchange_receive(netlink, &exchange);
}

int netlink_monitor_open(enum netlink_bus bus, const unsigned *groups, size_t n, int *ret_fd, struct err *err)
{
    __attribute__((cleanup(cleanup_fd))) int fd =
        socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, bus_number(bus));
    if (fd < 0) {
        return err_errno(err, "open %s socket", bus_name(bus));
    }
    const struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        return err_errno(err, "bind %s socket", bus_name(bus));
    }
    for (size_t i = 0; i < n; i++) {
        if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(groups[i])) < 0) {
            return err_errno(err, "listen to %s group %u", bus_name(bus), groups[i]);
        }
    }
    *ret_fd = fd;
    fd = -1;
    return 0;
}

bool netlink_monitor_drain(int fd, void (*fn)(const struct netlink_reply *message, void *arg), void *arg)
{
    _Alignas(struct nlmsghdr) uint8_t buffer[32 << 10];
    bool whole = true;
    for (;;) {
        ssize_t got = recv(fd, buffer, sizeof(buffer), MSG_TRUNC);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0 && errno == ENOBUFS) {
            whole = false;
            continue;
        }
        if (got <= 0) {
            return whole;
        }
        if ((size_t)got > sizeof(buffer)) {
            whole = false;
            continue;
        }
        int left = (int)got;
        for (const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)buffer;
             mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
            const struct netlink_reply reply = {
                .type = message->nlmsg_type,
                .flags = message->nlmsg_flags,
                .payload = mnl_nlmsg_get_payload(message),
                .len = mnl_nlmsg_get_payload_len(message),
            };
            if (fn) {
                fn(&reply, arg);
            }
        }
    }
}
