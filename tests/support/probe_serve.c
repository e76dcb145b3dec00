// SPDX-License-Identifier: Apache-2.0
#include "support/probe_serve.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/probe_packet.h"

enum role { ROLE_LISTEN, ROLE_TCP, ROLE_UDP, ROLE_SCTP };

// What an epoll event carries: the role and family in the high half, the descriptor in the low one.
static uint64_t event_key(enum role role, int family, int fd)
{
    return (uint64_t)role << 48 | (uint64_t)(family == AF_INET6) << 40 | (uint64_t)(uint32_t)fd;
}

bool probe_ports_parse(const char *text, struct probe_ports *ret)
{
    struct probe_ports ports = {.n = 0};
    while (*text) {
        char *end;
        unsigned long first = strtoul(text, &end, 10), last = first;
        if (end == text) {
            return false;
        }
        if (*end == '-') {
            text = end + 1;
            last = strtoul(text, &end, 10);
        }
        if (first == 0 || last < first || last > UINT16_MAX || (*end && *end != ',')) {
            return false;
        }
        for (unsigned long port = first; port <= last; port++) {
            if (ports.n == sizeof(ports.v) / sizeof(ports.v[0])) {
                return false;
            }
            ports.v[ports.n++] = (uint16_t)port;
        }
        text = *end ? end + 1 : end;
    }
    *ret = ports;
    return true;
}

static int watch(int epoll, enum role role, int family, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = event_key(role, family, fd)};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static int open_port(int epoll, int family, int type, uint16_t port)
{
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return family == AF_INET6 && errno == EAFNOSUPPORT ? 0 : -1;
    }
    const int one = 1;
    struct probe_address any = {.family = family};
    struct sockaddr_storage sa;
    socklen_t len = probe_address_sockaddr(&any, port, &sa);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
    } else {
        setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
    }
    if (bind(fd, (struct sockaddr *)&sa, len) < 0 || (type == SOCK_STREAM && listen(fd, 1024) < 0) ||
        watch(epoll, type == SOCK_STREAM ? ROLE_LISTEN : ROLE_UDP, family, fd) < 0) {
        close(fd);
        return -1;
    }
    return 0;
}

static int open_sctp(int epoll, int family)
{
    int fd = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_SCTP);
    const int one = 1;
    if (fd < 0) {
        return family == AF_INET6 && errno == EAFNOSUPPORT ? 0 : -1;
    }
    if (family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
    } else {
        setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
    }
    return watch(epoll, ROLE_SCTP, family, fd);
}

int probe_serve_open(const struct probe_server *server, int *ret_epoll)
{
    static const int families[] = {AF_INET, AF_INET6};
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int rc = epoll < 0 ? -1 : 0;
    for (size_t f = 0; rc == 0 && f < 2; f++) {
        for (size_t i = 0; rc == 0 && i < server->tcp.n; i++) {
            rc = open_port(epoll, families[f], SOCK_STREAM, server->tcp.v[i]);
        }
        for (size_t i = 0; rc == 0 && i < server->udp.n; i++) {
            rc = open_port(epoll, families[f], SOCK_DGRAM, server->udp.v[i]);
        }
        if (rc == 0 && server->sctp.n > 0) {
            rc = open_sctp(epoll, families[f]);
        }
    }
    if (rc == 0) {
        *ret_epoll = epoll;
    }
    return rc;
}

static void accept_all(int epoll, int family, int fd)
{
    int peer;
    while ((peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (watch(epoll, ROLE_TCP, family, peer) < 0) {
            close(peer);
        }
    }
}

static void echo_tcp(int fd)
{
    char bytes[4096];
    ssize_t got;
    while ((got = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
        if (send(fd, bytes, (size_t)got, MSG_NOSIGNAL) != got) {
            break;
        }
    }
    if (got >= 0 || errno != EAGAIN) {
        close(fd);
    }
}

struct datagram {
    uint8_t bytes[16384];
    size_t len;
    struct sockaddr_storage peer;
    _Alignas(struct cmsghdr) char control[256];
    size_t control_len;
    socklen_t peer_len;
};

static bool receive(int fd, struct datagram *ret)
{
    struct iovec iov = {.iov_base = ret->bytes, .iov_len = sizeof(ret->bytes)};
    struct msghdr msg = {
        .msg_name = &ret->peer,
        .msg_namelen = sizeof(ret->peer),
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = ret->control,
        .msg_controllen = sizeof(ret->control),
    };
    ssize_t got = recvmsg(fd, &msg, 0);
    if (got < 0) {
        return errno == ECONNREFUSED;  // an error of an earlier answer; the next datagram may wait
    }
    ret->len = (size_t)got;
    ret->peer_len = msg.msg_namelen;
    ret->control_len = msg.msg_controllen;
    // Answer from the address that was asked, on whatever interface the route says; a group cannot be a source.
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            ((struct in_pktinfo *)(void *)CMSG_DATA(c))->ipi_ifindex = 0;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo *info = (struct in6_pktinfo *)(void *)CMSG_DATA(c);
            if (!IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr)) {
                info->ipi6_ifindex = 0;
            }
            if (IN6_IS_ADDR_MULTICAST(&info->ipi6_addr)) {
                ret->control_len = 0;
            }
        }
    }
    return true;
}

static void answer(int fd, struct datagram *to, const void *bytes, size_t len)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
    struct msghdr msg = {
        .msg_name = &to->peer,
        .msg_namelen = to->peer_len,
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = to->control_len ? to->control : NULL,
        .msg_controllen = to->control_len,
    };
    sendmsg(fd, &msg, 0);
}

static void echo_udp(int fd)
{
    struct datagram got = {.len = 0};
    while (receive(fd, &got)) {
        if (got.len > 0) {
            answer(fd, &got, got.bytes, got.len);
        }
        got.len = 0;
    }
}

static void answer_sctp(const struct probe_server *server, int family, int fd)
{
    struct datagram got = {.len = 0};
    while (receive(fd, &got)) {
        size_t head = family == AF_INET && got.len > 0 ? (size_t)(got.bytes[0] & 15) * 4 : 0;
        struct probe_sctp sctp;
        if (head <= got.len && probe_sctp_parse(got.bytes + head, got.len - head, &sctp) &&
            sctp.chunk == PROBE_SCTP_INIT) {
            for (size_t i = 0; i < server->sctp.n; i++) {
                if (server->sctp.v[i] == sctp.dport) {
                    uint8_t bytes[PROBE_SCTP_MAX];
                    size_t len = probe_sctp_abort(sctp.dport, sctp.sport, sctp.initiate_tag, bytes);
                    // A raw socket takes the protocol from the port field of the address.
                    if (family == AF_INET6) {
                        ((struct sockaddr_in6 *)&got.peer)->sin6_port = 0;
                    }
                    answer(fd, &got, bytes, len);
                    break;
                }
            }
        }
        got.len = 0;
    }
}

int probe_serve_run(const struct probe_server *server, int epoll)
{
    for (;;) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll, events, 64, -1);
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        for (int i = 0; i < n; i++) {
            int fd = (int)(uint32_t)events[i].data.u64;
            int family = (events[i].data.u64 >> 40) & 1 ? AF_INET6 : AF_INET;
            enum role role = (enum role)(events[i].data.u64 >> 48);
            if (role == ROLE_LISTEN) {
                accept_all(epoll, family, fd);
            } else if (role == ROLE_TCP) {
                echo_tcp(fd);
            } else if (role == ROLE_UDP) {
                echo_udp(fd);
            } else {
                answer_sctp(server, family, fd);
            }
        }
    }
}
