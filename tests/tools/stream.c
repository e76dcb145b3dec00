// SPDX-License-Identifier: Apache-2.0
//
// Numbered UDP packets at a steady rate, and who counts them: what no change of rules may lose or leak.
//
//   stream send KIND FROM TO PORT RATE REPORT    until SIGTERM; then "from=A port=P sent=N"
//   stream count TO PORT REPORT                  until SIGTERM; then one line a sender, "from=A port=P …"
//   stream watch TO PORT                         until SIGTERM; "on NS" and "off NS" as packets begin to come and cease
//
// KIND: new          one way, a fresh source port for each packet: each is the first of its flow
//       one-way      one source port, never answered: the flow never gets established
//       established  one source port; the counter answers every 16th packet
// The counter tells, for each sender: received, lost (numbers between the first and the last that never came), twice,
// and unread: those that its own socket dropped (SO_RXQ_OVFL), which no rule did. The watcher's times are those of the
// first and the last packet, CLOCK_MONOTONIC in ns; they cease when none came for 25 ms.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MAGIC = 0x4e505354,
    FIRST_PORT = 1024,
    ANSWER_EVERY = 16,
    TICK_NS = 1000000,
    BATCH = 256,
    SENDERS = 16,
    NUMBERS = 1 << 24,
    BUFFER = 64 << 20,
    QUIET_NS = 25000000,
};

struct load {
    uint32_t magic;
    uint32_t number;  // network order
};

struct packet {
    union {
        struct iphdr v4;
        struct ip6_hdr v6;
    } ip;
    struct udphdr udp;
    struct load load;
};

static volatile sig_atomic_t stopped;

static void on_signal(int signo)
{
    (void)signo;
    stopped = 1;
}

static void fail(const char *what)
{
    (void)fprintf(stderr, "stream: %s: %s\n", what, strerror(errno));
    exit(1);
}

static socklen_t parse(const char *text, unsigned port, struct sockaddr_storage *ret)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)ret;
    memset(ret, 0, sizeof(*ret));
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return sizeof(*v4);
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1) {
        (void)fprintf(stderr, "stream: no address: %s\n", text);
        exit(3);
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    return sizeof(*v6);
}

static FILE *open_report(const char *path)
{
    FILE *file = fopen(path, "w");
    if (!file) {
        fail(path);
    }
    return file;
}

// ---- send ----------------------------------------------------------------------------------------------------------

struct sender {
    int fd;
    bool raw;
    struct sockaddr_storage from;
    struct sockaddr_storage to;
    socklen_t to_len;
    unsigned port;
    uint32_t number;
    unsigned source_port;
};

static uint32_t add_words(const void *data, size_t len, uint32_t sum)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i + 1 < len; i += 2) {
        sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
    }
    return sum;
}

static uint16_t fold(uint32_t sum)
{
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return htons((uint16_t)~sum);
}

static size_t fill_raw(struct sender *s, struct packet *p, struct iovec iov[3])
{
    uint16_t length = sizeof(p->udp) + sizeof(p->load);
    bool v6 = s->to.ss_family == AF_INET6;
    uint32_t sum = IPPROTO_UDP + length;
    memset(&p->ip, 0, sizeof(p->ip));
    if (v6) {
        p->ip.v6.ip6_flow = htonl(6u << 28);
        p->ip.v6.ip6_plen = htons(length);
        p->ip.v6.ip6_nxt = IPPROTO_UDP;
        p->ip.v6.ip6_hlim = 64;
        p->ip.v6.ip6_src = ((struct sockaddr_in6 *)(void *)&s->from)->sin6_addr;
        p->ip.v6.ip6_dst = ((struct sockaddr_in6 *)(void *)&s->to)->sin6_addr;
        sum = add_words(&p->ip.v6.ip6_src, 32, sum);
    } else {
        p->ip.v4.version = 4;
        p->ip.v4.ihl = 5;
        p->ip.v4.ttl = 64;
        p->ip.v4.protocol = IPPROTO_UDP;
        p->ip.v4.tot_len = htons((uint16_t)(sizeof(p->ip.v4) + length));
        p->ip.v4.saddr = ((struct sockaddr_in *)(void *)&s->from)->sin_addr.s_addr;
        p->ip.v4.daddr = ((struct sockaddr_in *)(void *)&s->to)->sin_addr.s_addr;
        sum = add_words(&p->ip.v4.saddr, 8, sum);
    }
    p->udp = (struct udphdr){
        .source = htons((uint16_t)s->source_port), .dest = htons((uint16_t)s->port), .len = htons(length)};
    s->source_port = s->source_port == UINT16_MAX ? FIRST_PORT : s->source_port + 1;
    sum = add_words(&p->load, sizeof(p->load), add_words(&p->udp, sizeof(p->udp), sum));
    p->udp.check = fold(sum);
    p->udp.check = p->udp.check ? p->udp.check : 0xffff;
    iov[0] = (struct iovec){&p->ip, v6 ? sizeof(p->ip.v6) : sizeof(p->ip.v4)};
    iov[1] = (struct iovec){&p->udp, sizeof(p->udp)};
    iov[2] = (struct iovec){&p->load, sizeof(p->load)};
    return 3;
}

static size_t fill(struct sender *s, struct packet *p, struct iovec iov[3])
{
    p->load = (struct load){.magic = htonl(MAGIC), .number = htonl(s->number++)};
    if (s->raw) {
        return fill_raw(s, p, iov);
    }
    iov[0] = (struct iovec){&p->load, sizeof(p->load)};
    return 1;
}

static void send_batch(struct sender *s, unsigned n)
{
    static struct packet packets[BATCH];
    static struct iovec iov[BATCH][3];
    static struct mmsghdr messages[BATCH];
    struct sockaddr_storage to = s->to;
    // A raw IPv6 socket takes no port.
    if (s->raw && to.ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)(void *)&to)->sin6_port = 0;
    }
    for (unsigned i = 0; i < n; i++) {
        messages[i] = (struct mmsghdr){0};
        messages[i].msg_hdr.msg_iovlen = fill(s, &packets[i], iov[i]);
        messages[i].msg_hdr.msg_iov = iov[i];
        messages[i].msg_hdr.msg_name = &to;
        messages[i].msg_hdr.msg_namelen = s->to_len;
    }
    for (unsigned done = 0; done < n;) {
        int rc = sendmmsg(s->fd, messages + done, n - done, 0);
        if (rc < 0 && errno != EINTR && errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED) {
            fail("sendmmsg");
        }
        done += rc > 0 ? (unsigned)rc : 0;
    }
}

static void drain(int fd)
{
    char answer[64];
    while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0) {
    }
}

static int run_send(char **argv)
{
    struct sender s = {.raw = strcmp(argv[0], "new") == 0, .source_port = FIRST_PORT};
    bool established = strcmp(argv[0], "established") == 0;
    if (!s.raw && !established && strcmp(argv[0], "one-way") != 0) {
        (void)fprintf(stderr, "stream: no kind: %s\n", argv[0]);
        return 3;
    }
    s.port = (unsigned)strtoul(argv[3], NULL, 10);
    (void)parse(argv[1], 0, &s.from);
    s.to_len = parse(argv[2], s.port, &s.to);
    double rate = strtod(argv[4], NULL);
    FILE *report = open_report(argv[5]);
    s.fd = s.raw ? socket(s.to.ss_family, SOCK_RAW, IPPROTO_RAW) : socket(s.to.ss_family, SOCK_DGRAM, 0);
    if (s.fd < 0 || (!s.raw && bind(s.fd, (struct sockaddr *)(void *)&s.from, s.to_len) < 0)) {
        fail("socket");
    }
    struct timespec next;
    (void)clock_gettime(CLOCK_MONOTONIC, &next);
    double owed = 0;
    while (!stopped) {
        // What a late wake-up missed is sent at once, so that the rate holds.
        for (owed += rate * TICK_NS / 1e9; owed >= 1;) {
            unsigned n = owed > BATCH ? BATCH : (unsigned)owed;
            send_batch(&s, n);
            owed -= n;
        }
        if (established) {
            drain(s.fd);
        }
        next.tv_nsec += TICK_NS;
        next.tv_sec += next.tv_nsec / 1000000000;
        next.tv_nsec %= 1000000000;
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
    (void)fprintf(report, "from=%s port=%u sent=%u\n", argv[1], s.port, s.number);
    return fclose(report) == 0 ? 0 : 1;
}

// ---- count ---------------------------------------------------------------------------------------------------------

struct counted {
    char from[INET6_ADDRSTRLEN];
    uint8_t *seen;  // a bit a number
    uint32_t first;
    uint32_t last;
    uint64_t received;
    uint64_t twice;
};

static struct counted senders[SENDERS];

// Who sent is told by address: a sender of fresh ports is one sender.
static struct counted *sender_of(const struct sockaddr_storage *from)
{
    char text[INET6_ADDRSTRLEN];
    const void *address = from->ss_family == AF_INET6
                              ? (const void *)&((const struct sockaddr_in6 *)(const void *)from)->sin6_addr
                              : (const void *)&((const struct sockaddr_in *)(const void *)from)->sin_addr;
    (void)inet_ntop(from->ss_family, address, text, sizeof(text));
    for (size_t i = 0; i < SENDERS; i++) {
        if (senders[i].seen && strcmp(senders[i].from, text) == 0) {
            return &senders[i];
        }
        if (!senders[i].seen) {
            memcpy(senders[i].from, text, sizeof(text));
            senders[i].seen = calloc(NUMBERS / 8, 1);
            senders[i].first = UINT32_MAX;
            return senders[i].seen ? &senders[i] : NULL;
        }
    }
    return NULL;
}

static void note(const struct sockaddr_storage *from, uint32_t number)
{
    struct counted *c = number < NUMBERS ? sender_of(from) : NULL;
    if (!c) {
        return;
    }
    uint8_t bit = (uint8_t)(1u << number % 8);
    c->twice += (c->seen[number / 8] & bit) != 0;
    c->received += (c->seen[number / 8] & bit) == 0;
    c->seen[number / 8] |= bit;
    c->first = number < c->first ? number : c->first;
    c->last = number > c->last ? number : c->last;
}

static uint32_t overflow_of(struct msghdr *message)
{
    uint32_t drops = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
            memcpy(&drops, CMSG_DATA(c), sizeof(drops));
        }
    }
    return drops;
}

static uint32_t receive(int fd)
{
    static struct load loads[BATCH];
    static struct sockaddr_storage from[BATCH];
    static struct iovec iov[BATCH];
    static struct mmsghdr messages[BATCH];
    static char control[BATCH][64];
    uint32_t drops = 0;
    for (size_t i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){&loads[i], sizeof(loads[i])};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
                                              .msg_namelen = sizeof(from[i]),
                                              .msg_iov = &iov[i],
                                              .msg_iovlen = 1,
                                              .msg_control = control[i],
                                              .msg_controllen = sizeof(control[i])};
    }
    int n = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
    for (int i = 0; i < n; i++) {
        uint32_t now = overflow_of(&messages[i].msg_hdr);
        drops = now > drops ? now : drops;
        if (messages[i].msg_len != sizeof(loads[i]) || loads[i].magic != htonl(MAGIC)) {
            continue;
        }
        uint32_t number = ntohl(loads[i].number);
        note(&from[i], number);
        if (number % ANSWER_EVERY == 0) {
            (void)sendto(fd, &loads[i], sizeof(loads[i]), MSG_DONTWAIT, (struct sockaddr *)(void *)&from[i],
                         messages[i].msg_hdr.msg_namelen);
        }
    }
    return drops;
}

static int run_count(char **argv)
{
    struct sockaddr_storage to;
    socklen_t len = parse(argv[0], (unsigned)strtoul(argv[1], NULL, 10), &to);
    FILE *report = open_report(argv[2]);
    int fd = socket(to.ss_family, SOCK_DGRAM, 0);
    int size = BUFFER;
    int on = 1;
    if (fd < 0 || bind(fd, (struct sockaddr *)(void *)&to, len) < 0) {
        fail("bind");
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on)) < 0) {
        fail("setsockopt");
    }
    struct timeval patience = {.tv_usec = 100000};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    uint32_t unread = 0;
    while (!stopped) {
        uint32_t drops = receive(fd);
        unread = drops > unread ? drops : unread;
    }
    for (size_t i = 0; i < SENDERS && senders[i].seen; i++) {
        const struct counted *c = &senders[i];
        (void)fprintf(report, "from=%s port=%s received=%llu lost=%llu twice=%llu first=%u last=%u unread=%u\n",
                      c->from, argv[1], (unsigned long long)c->received,
                      (unsigned long long)(c->last - c->first + 1 - c->received), (unsigned long long)c->twice,
                      c->first, c->last, unread);
    }
    return fclose(report) == 0 ? 0 : 1;
}

// ---- watch ---------------------------------------------------------------------------------------------------------

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void tell(const char *what, uint64_t ns)
{
    (void)printf("%s %llu\n", what, (unsigned long long)ns);
    (void)fflush(stdout);
}

static int run_watch(char **argv)
{
    struct sockaddr_storage to;
    socklen_t len = parse(argv[0], (unsigned)strtoul(argv[1], NULL, 10), &to);
    int fd = socket(to.ss_family, SOCK_DGRAM, 0);
    const struct timeval patience = {.tv_usec = 5000};
    if (fd < 0 || bind(fd, (struct sockaddr *)(void *)&to, len) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0) {
        fail("bind");
    }
    uint64_t last_ns = 0;
    bool on = false;
    while (!stopped) {
        struct load load;
        bool came = recv(fd, &load, sizeof(load), 0) == (ssize_t)sizeof(load);
        uint64_t ns = now_ns();
        if (came && !on) {
            tell("on", ns);
        } else if (!came && on && ns - last_ns > QUIET_NS) {
            tell("off", last_ns);
        }
        on = came || (on && ns - last_ns <= QUIET_NS);
        last_ns = came ? ns : last_ns;
    }
    return 0;
}

int main(int argc, char **argv)
{
    // No SA_RESTART: a signal ends the wait.
    const struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    if (argc == 8 && strcmp(argv[1], "send") == 0) {
        return run_send(argv + 2);
    }
    if (argc == 5 && strcmp(argv[1], "count") == 0) {
        return run_count(argv + 2);
    }
    if (argc == 4 && strcmp(argv[1], "watch") == 0) {
        return run_watch(argv + 2);
    }
    (void)fprintf(stderr, "usage: stream send new|one-way|established FROM TO PORT RATE REPORT\n"
                          "       stream count TO PORT REPORT\n"
                          "       stream watch TO PORT\n");
    return 3;
}
