// SPDX-License-Identifier: Apache-2.0
#include "support/probe_traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
    (void)signal;
    stopped = 1;
}

void probe_traffic_stop_on_term(void)
{
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

static uint64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

// Replace a small file as a whole: a reader never sees half of it.
static int write_whole(const char *path, const char *text, size_t len)
{
    char temporary[4096];
    int n = snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    if (n < 0 || (size_t)n >= sizeof(temporary)) {
        return -1;
    }
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return -1;
    }
    bool whole = write(fd, text, len) == (ssize_t)len;
    close(fd);
    return whole ? rename(temporary, path) : -1;
}

struct flow_state {
    uint64_t sent, answered;
    uint64_t last_answer_us, gap_us;
    bool broken;
};

static void flow_report(const struct probe_flow *flow, const struct flow_state *state)
{
    char line[160];
    uint64_t silence = now_us() - state->last_answer_us;
    int len = snprintf(line, sizeof(line), "sent=%llu answered=%llu gap_ms=%llu broken=%d\n",
                       (unsigned long long)state->sent, (unsigned long long)state->answered,
                       (unsigned long long)(silence > state->gap_us ? silence : state->gap_us) / 1000, state->broken);
    if (flow->report && len > 0) {
        write_whole(flow->report, line, (size_t)len);
    }
}

static int flow_connect(const struct probe_flow *flow)
{
    struct probe_address to;
    struct sockaddr_storage sa;
    if (!probe_address_parse(flow->address, &to)) {
        errno = EINVAL;
        return -1;
    }
    int fd = socket(to.family, (flow->kind == PROBE_TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
    socklen_t len = probe_address_sockaddr(&to, flow->port, &sa);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, len) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

// Take what has been echoed. Every message has 8 bytes, so bytes / 8 are answers for TCP too.
static void flow_receive(int fd, bool tcp, struct flow_state *state)
{
    char bytes[4096];
    ssize_t got;
    while ((got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
        uint64_t now = now_us();
        if (now - state->last_answer_us > state->gap_us) {
            state->gap_us = now - state->last_answer_us;
        }
        state->last_answer_us = now;
        state->answered += tcp ? (uint64_t)got / 8 : 1;
    }
    if (got == 0 || (errno != EAGAIN && tcp)) {
        state->broken = true;
    }
}

int probe_flow_run(const struct probe_flow *flow)
{
    enum { LAST_ANSWER_MS = 2000 };
    bool tcp = flow->kind == PROBE_TCP;
    int fd = flow_connect(flow);
    if (fd < 0) {
        return -1;
    }
    probe_traffic_stop_on_term();
    struct flow_state state = {.last_answer_us = now_us()};
    uint64_t next_report = state.last_answer_us;
    while (!stopped && !state.broken) {
        uint64_t message = state.sent;
        if (send(fd, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(message)) {
            state.sent++;
        } else if (tcp && errno != EAGAIN) {
            state.broken = true;
        }
        struct pollfd pfd = {.fd = fd, .events = POLLIN};
        uint64_t until = now_us() + (uint64_t)flow->interval_ms * 1000;
        for (uint64_t now; !stopped && (now = now_us()) < until;) {
            if (poll(&pfd, 1, (int)((until - now + 999) / 1000)) > 0) {
                flow_receive(fd, tcp, &state);
                if (state.broken) {
                    break;
                }
            }
        }
        if (now_us() >= next_report) {
            flow_report(flow, &state);
            next_report = now_us() + 1000000;
        }
    }
    // An answer on its way is no lost one.
    struct pollfd rest = {.fd = fd, .events = POLLIN};
    while (!state.broken && state.answered < state.sent && poll(&rest, 1, LAST_ANSWER_MS) > 0) {
        flow_receive(fd, tcp, &state);
    }
    flow_report(flow, &state);
    close(fd);
    return state.broken ? 1 : 0;
}

int probe_burst_run(const struct probe_burst *burst, uint64_t *ret_sent, uint64_t *ret_refused)
{
    struct probe_packet packet = burst->packet;
    struct sockaddr_storage sa;
    socklen_t sa_len = probe_address_sockaddr(&packet.dst, 0, &sa);
    uint64_t sent = 0, refused = 0;
    int fd = socket(packet.dst.family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    if (fd < 0) {
        return -1;
    }
    // Routing sees only the forged header; the interface decides where the packet leaves when one is given.
    if (burst->iface &&
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, burst->iface, (socklen_t)strlen(burst->iface) + 1) < 0) {
        close(fd);
        return -1;
    }
    const int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one));
    probe_traffic_stop_on_term();
    for (uint64_t i = 0; !stopped && (burst->count == 0 || i < burst->count); i++) {
        uint8_t bytes[PROBE_PACKET_MAX];
        size_t len = probe_packet_build(&packet, bytes);
        if (len == 0) {
            close(fd);
            errno = EINVAL;
            return -1;
        }
        if (sendto(fd, bytes, len, 0, (struct sockaddr *)&sa, sa_len) == (ssize_t)len) {
            sent++;
        } else {
            refused++;
        }
        packet.sport = (uint16_t)(packet.sport + burst->sport_step);
        if (burst->interval_us > 0) {
            struct timespec pause = {.tv_sec = burst->interval_us / 1000000,
                                     .tv_nsec = (long)(burst->interval_us % 1000000) * 1000};
            nanosleep(&pause, NULL);
        }
    }
    close(fd);
    if (burst->report) {
        char line[64];
        int len = snprintf(line, sizeof(line), "sent=%llu refused=%llu\n", (unsigned long long)sent,
                           (unsigned long long)refused);
        if (len < 0 || write_whole(burst->report, line, (size_t)len) < 0) {
            return -1;
        }
    }
    *ret_sent = sent;
    *ret_refused = refused;
    return 0;
}

static int sniffer_write(const struct probe_sniffer *sniffer, const uint64_t *counts, uint64_t unread)
{
    char text[2048];
    size_t len = 0;
    for (unsigned i = 0; i < sniffer->n_tags; i++) {
        int n = snprintf(text + len, sizeof(text) - len, "%s %llu\n", sniffer->tags[i], (unsigned long long)counts[i]);
        if (n < 0 || (size_t)n >= sizeof(text) - len) {
            return -1;
        }
        len += (size_t)n;
    }
    // Only where there are some: most readers want the tags alone.
    int n = unread ? snprintf(text + len, sizeof(text) - len, "unread %llu\n", (unsigned long long)unread) : 0;
    if (n < 0 || (size_t)n >= sizeof(text) - len) {
        return -1;
    }
    return write_whole(sniffer->file, text, len + (size_t)n);
}

enum { SNIFFER_TAGS = 32, WRITE_EVERY_US = 10000 };

int probe_sniffer_open(const struct probe_sniffer *sniffer, int *ret_fd)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    if (fd < 0 || sniffer->n_tags > SNIFFER_TAGS) {
        return -1;
    }
    const int buffer = 8 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
    struct sockaddr_ll sa = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    if (sniffer->iface) {
        sa.sll_ifindex = (int)if_nametoindex(sniffer->iface);
    }
    uint64_t none[SNIFFER_TAGS] = {0};
    if ((sniffer->iface && sa.sll_ifindex == 0) || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
        sniffer_write(sniffer, none, 0) < 0) {
        close(fd);
        return -1;
    }
    *ret_fd = fd;
    return 0;
}

// Frames that came and found no room in the socket's buffer, since it was asked last: no rule dropped them.
static uint64_t count_unread(int fd)
{
    struct tpacket_stats stats = {0};
    socklen_t len = sizeof(stats);
    return getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) == 0 ? stats.tp_drops : 0;
}

// Reads one frame and counts it for the tags that it has. Returns 1; 0 when none came in time; or -1.
static int count_frame(const struct probe_sniffer *sniffer, int fd, int flags, uint64_t *counts)
{
    uint8_t bytes[2048];
    struct sockaddr_ll from = {0};
    socklen_t len = sizeof(from);
    ssize_t got = recvfrom(fd, bytes, sizeof(bytes), flags, (struct sockaddr *)&from, &len);
    if (got < 0) {
        return errno == EINTR || errno == EAGAIN || errno == ENETDOWN ? 0 : -1;
    }
    for (unsigned i = 0; from.sll_pkttype != PACKET_OUTGOING && i < sniffer->n_tags; i++) {
        counts[i] += memmem(bytes, (size_t)got, sniffer->tags[i], strlen(sniffer->tags[i])) != NULL;
    }
    return 1;
}

int probe_sniffer_run(const struct probe_sniffer *sniffer, int fd)
{
    enum { QUEUED = 1 << 20 };
    uint64_t counts[SNIFFER_TAGS] = {0};
    uint64_t unread = 0;
    // The file follows within WRITE_EVERY_US: a rename a packet would slow down what is measured.
    const struct timeval wait = {.tv_usec = WRITE_EVERY_US};
    uint64_t written[SNIFFER_TAGS] = {0};
    uint64_t written_us = now_us();
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    probe_traffic_stop_on_term();
    while (!stopped) {
        if (memcmp(counts, written, sizeof(counts)) != 0 && now_us() - written_us >= WRITE_EVERY_US) {
            unread += count_unread(fd);
            if (sniffer_write(sniffer, counts, unread) < 0) {
                return -1;
            }
            memcpy(written, counts, sizeof(counts));
            written_us = now_us();
        }
        if (count_frame(sniffer, fd, 0, counts) < 0) {
            return -1;
        }
    }
    // What has come by now counts, however late this process had its turn.
    for (unsigned i = 0; i < QUEUED && count_frame(sniffer, fd, MSG_DONTWAIT, counts) > 0; i++) {
    }
    return sniffer_write(sniffer, counts, unread + count_unread(fd));
}
