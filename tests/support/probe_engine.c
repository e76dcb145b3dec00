// SPDX-License-Identifier: Apache-2.0
#include "support/probe_engine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "support/probe_packet.h"

enum { LINE_MAX_LEN = 512, EVENTS = 256, AT_ONCE = 4000, FIRST_PORT = 20000, LAST_PORT = 59999, PROBE_UDP_MAX = 8192 };

struct probe {
    char id[64];
    char netns[64];
    char text[64];    // destination
    char source[64];  // "" none
    enum probe_kind kind;
    uint16_t port;
    int fd;
    unsigned attempt;
    uint64_t deadline;
    uint16_t sport;
    bool done;
    enum probe_outcome outcome;
};

struct engine {
    struct probe *probes;
    size_t n, cap;
    size_t *running;  // ring of the probes under way, oldest first: all have the same timeout
    size_t head, tail, open;
    size_t *again;  // probes to try once more
    size_t n_again;
    struct probe_settings settings;
    int epoll;
    int home;
    char netns[64];  // where we are; "" home
    unsigned next_port;
};

const char *probe_outcome_name(enum probe_outcome outcome)
{
    switch (outcome) {
    case PROBE_REACHED:
        return "ok";
    case PROBE_TIMEOUT:
        return "timeout";
    case PROBE_REFUSED:
        return "refused";
    case PROBE_UNREACHABLE:
        return "unreachable";
    case PROBE_BROKEN:
        break;
    }
    return "error";
}

static uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint16_t take_port(struct engine *engine)
{
    unsigned port = engine->next_port;
    engine->next_port = port >= LAST_PORT ? FIRST_PORT : port + 1;
    return (uint16_t)port;
}

static void read_sequence(struct engine *engine)
{
    engine->next_port = FIRST_PORT + (unsigned)(now_ms() * 131 + (uint64_t)getpid()) % (LAST_PORT - FIRST_PORT);
    FILE *file = engine->settings.sequence ? fopen(engine->settings.sequence, "re") : NULL;
    if (file) {
        unsigned port;
        if (fscanf(file, "%u", &port) == 1 && port >= FIRST_PORT && port <= LAST_PORT) {
            engine->next_port = port;
        }
        fclose(file);
    }
}

static void write_sequence(const struct engine *engine)
{
    FILE *file = engine->settings.sequence ? fopen(engine->settings.sequence, "we") : NULL;
    if (file) {
        fprintf(file, "%u\n", engine->next_port);
        fclose(file);
    }
}

static bool enter(struct engine *engine, const char *netns)
{
    if (strcmp(engine->netns, netns) == 0) {
        return true;
    }
    char path[96];
    snprintf(path, sizeof(path), "/run/netns/%s", netns);
    int fd = netns[0] ? open(path, O_RDONLY | O_CLOEXEC) : dup(engine->home);
    if (fd < 0) {
        return false;
    }
    bool in = setns(fd, CLONE_NEWNET) == 0;
    close(fd);
    if (in) {
        memcpy(engine->netns, netns, strlen(netns) + 1);
    }
    return in;
}

static void finish(struct engine *engine, struct probe *probe, enum probe_outcome outcome)
{
    if (probe->fd >= 0) {
        if (probe->kind == PROBE_TCP) {
            // A reset ends the flow at once on both sides and in connection tracking.
            struct linger linger = {.l_onoff = 1, .l_linger = 0};
            setsockopt(probe->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        }
        close(probe->fd);
        probe->fd = -1;
        engine->open--;
    }
    probe->outcome = outcome;
    if (outcome == PROBE_TIMEOUT && probe->attempt < engine->settings.attempts) {
        engine->again[engine->n_again++] = (size_t)(probe - engine->probes);
        return;
    }
    probe->done = true;
}

static enum probe_outcome outcome_of(int error)
{
    switch (error) {
    case 0:
        return PROBE_REACHED;
    case ETIMEDOUT:
        return PROBE_TIMEOUT;
    case ECONNREFUSED:
    case ECONNRESET:
        return PROBE_REFUSED;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EACCES:
    case EPERM:
    case ENOPROTOOPT:
    case EPROTO:
        return PROBE_UNREACHABLE;
    default:
        return PROBE_BROKEN;
    }
}

static int open_socket(const struct probe *probe, int family)
{
    int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
    switch (probe->kind) {
    case PROBE_TCP:
        return socket(family, SOCK_STREAM | flags, 0);
    case PROBE_UDP:
        return socket(family, SOCK_DGRAM | flags, 0);
    case PROBE_SCTP:
    case PROBE_ICMP:
    case PROBE_ND:
        break;
    }
    return socket(family, SOCK_RAW | flags, probe_kind_protocol(probe->kind, family));
}

static bool has_ports(const struct probe *probe)
{
    return probe->kind == PROBE_TCP || probe->kind == PROBE_UDP;
}

// Bind to the wanted source address, and for TCP and UDP to a port that was not used before.
static int bind_source(struct engine *engine, struct probe *probe, int family)
{
    struct probe_address source = {.family = family};
    if (probe->source[0] && (!probe_address_parse(probe->source, &source) || source.family != family)) {
        errno = EINVAL;
        return -1;
    }
    for (int tries = 0; tries < 64; tries++) {
        probe->sport = take_port(engine);
        struct sockaddr_storage sa;
        socklen_t len = probe_address_sockaddr(&source, has_ports(probe) ? probe->sport : 0, &sa);
        if (bind(probe->fd, (struct sockaddr *)&sa, len) == 0) {
            return 0;
        }
        if (errno != EADDRINUSE) {
            break;
        }
    }
    return -1;
}

static int send_first(const struct engine *engine, const struct probe *probe, int family)
{
    uint8_t bytes[PROBE_UDP_MAX] = {0};
    size_t len = 0;
    switch (probe->kind) {
    case PROBE_TCP:
    case PROBE_ND:
        return 0;
    case PROBE_UDP:
        memcpy(bytes, &probe->sport, sizeof(probe->sport));
        len = engine->settings.size ? engine->settings.size : 16;
        break;
    case PROBE_SCTP:
        len = probe_sctp_init(probe->sport, probe->port, probe->sport, bytes);
        break;
    case PROBE_ICMP:
        bytes[0] = family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
        bytes[4] = (uint8_t)(probe->sport >> 8);
        bytes[5] = (uint8_t)probe->sport;
        len = 16;
        if (family == AF_INET) {  // the kernel fills in the checksum of ICMPv6
            uint16_t check = probe_checksum(bytes, len, 0);
            memcpy(bytes + 2, &check, sizeof(check));
        }
        break;
    }
    return send(probe->fd, bytes, len, 0) == (ssize_t)len ? 0 : -1;
}

static void start(struct engine *engine, size_t index)
{
    struct probe *probe = &engine->probes[index];
    struct probe_address dst;
    probe->attempt++;
    if (!enter(engine, probe->netns) || !probe_address_parse(probe->text, &dst)) {
        finish(engine, probe, PROBE_BROKEN);
        return;
    }
    probe->fd = open_socket(probe, dst.family);
    if (probe->fd < 0) {
        finish(engine, probe, PROBE_BROKEN);
        return;
    }
    engine->open++;
    struct sockaddr_storage sa;
    socklen_t len = probe_address_sockaddr(&dst, has_ports(probe) ? probe->port : 0, &sa);
    struct epoll_event event = {.events = probe->kind == PROBE_TCP ? EPOLLOUT : EPOLLIN, .data.u64 = index};
    if (bind_source(engine, probe, dst.family) < 0 ||
        (connect(probe->fd, (struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS) ||
        send_first(engine, probe, dst.family) < 0 || epoll_ctl(engine->epoll, EPOLL_CTL_ADD, probe->fd, &event) < 0) {
        finish(engine, probe, outcome_of(errno));
        return;
    }
    probe->deadline = now_ms() + engine->settings.timeout_ms;
    engine->running[engine->tail++ % engine->n] = index;
}

// Whether received bytes are the answer to this probe (raw sockets see everything of their protocol).
static bool is_answer(const struct probe *probe, const uint8_t *bytes, size_t len, bool v4)
{
    if (probe->kind == PROBE_UDP) {
        return true;
    }
    if (v4) {
        size_t head = len > 0 ? (size_t)(bytes[0] & 15) * 4 : 0;
        if (head < 20 || len < head) {
            return false;
        }
        bytes += head;
        len -= head;
    }
    if (probe->kind == PROBE_ICMP) {
        return len >= 8 && bytes[0] == (v4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY) &&
               (bytes[4] << 8 | bytes[5]) == probe->sport;
    }
    struct probe_sctp sctp;
    return probe_sctp_parse(bytes, len, &sctp) && sctp.sport == probe->port && sctp.dport == probe->sport &&
           sctp.chunk != PROBE_SCTP_INIT && sctp.verification_tag == probe->sport;
}

static void ready(struct engine *engine, struct probe *probe)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error) {
        finish(engine, probe, outcome_of(error));
        return;
    }
    if (probe->kind == PROBE_TCP) {
        finish(engine, probe, PROBE_REACHED);
        return;
    }
    for (;;) {
        uint8_t bytes[2048];
        ssize_t got = recv(probe->fd, bytes, sizeof(bytes), 0);
        if (got < 0) {
            if (errno != EAGAIN) {
                finish(engine, probe, outcome_of(errno));
            }
            return;
        }
        if (is_answer(probe, bytes, (size_t)got, !strchr(probe->text, ':'))) {
            finish(engine, probe, PROBE_REACHED);
            return;
        }
    }
}

static int parse_line(struct engine *engine, const char *line)
{
    struct probe probe = {.fd = -1, .outcome = PROBE_BROKEN};
    char protocol[16];
    unsigned port;
    int fields =
        sscanf(line, "%63s %63s %15s %63s %u %63s", probe.id, probe.netns, protocol, probe.text, &port, probe.source);
    if (fields < 1) {
        return 0;
    }
    if (fields < 6 || strcmp(probe.source, "-") == 0) {
        probe.source[0] = '\0';
    }
    if (strcmp(probe.netns, "-") == 0) {
        probe.netns[0] = '\0';
    }
    if (fields < 5 || port > UINT16_MAX || !probe_kind_parse(protocol, &probe.kind) || probe.kind == PROBE_ND) {
        probe.done = true;
    }
    probe.port = (uint16_t)port;
    if (engine->n == engine->cap) {
        size_t cap = engine->cap ? engine->cap * 2 : 256;
        struct probe *grown = realloc(engine->probes, cap * sizeof(*grown));
        if (!grown) {
            return -1;
        }
        engine->probes = grown;
        engine->cap = cap;
    }
    engine->probes[engine->n++] = probe;
    return 0;
}

static void expire(struct engine *engine, uint64_t now)
{
    while (engine->head < engine->tail) {
        struct probe *probe = &engine->probes[engine->running[engine->head % engine->n]];
        if (probe->fd >= 0) {
            if (probe->deadline > now) {
                return;
            }
            finish(engine, probe, PROBE_TIMEOUT);
        }
        engine->head++;
    }
}

static void run(struct engine *engine)
{
    struct epoll_event events[EVENTS];
    size_t next = 0;
    for (;;) {
        expire(engine, now_ms());
        while (next < engine->n && engine->open < AT_ONCE && engine->tail - engine->head < engine->n) {
            if (!engine->probes[next].done) {
                start(engine, next);
            }
            next++;
        }
        // Those of the second round start when the first is over, so that the ring stays in order of time.
        if (next == engine->n && engine->open == 0) {
            if (engine->n_again == 0) {
                return;
            }
            size_t count = engine->n_again;
            engine->n_again = 0;
            engine->head = engine->tail = 0;
            for (size_t i = 0; i < count; i++) {
                start(engine, engine->again[i]);
            }
        }
        int n = epoll_wait(engine->epoll, events, EVENTS, engine->open ? 5 : 0);
        for (int i = 0; i < n; i++) {
            struct probe *probe = &engine->probes[events[i].data.u64];
            if (probe->fd >= 0) {
                ready(engine, probe);
            }
        }
    }
}

static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    return (int)syscall(SYS_capset, &header, data);
}

int probe_run(FILE *in, FILE *out, const struct probe_settings *settings)
{
    struct engine engine = {.settings = *settings, .epoll = -1, .home = -1};
    engine.settings.size = settings->size < PROBE_UDP_MAX ? settings->size : PROBE_UDP_MAX;
    char line[LINE_MAX_LEN];
    int rc = 0;
    while (rc == 0 && fgets(line, sizeof(line), in)) {
        rc = parse_line(&engine, line);
    }
    engine.running = calloc(engine.n + 1, sizeof(*engine.running));
    engine.again = calloc(engine.n + 1, sizeof(*engine.again));
    engine.home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    engine.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (rc < 0 || ferror(in) || !engine.running || !engine.again || engine.home < 0 || engine.epoll < 0 ||
        (settings->unprivileged && drop_capabilities() < 0)) {
        rc = -1;
    } else {
        struct rlimit limit;
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
            limit.rlim_cur = limit.rlim_max;
            setrlimit(RLIMIT_NOFILE, &limit);
        }
        read_sequence(&engine);
        if (engine.n > 0) {
            run(&engine);
        }
        write_sequence(&engine);
        for (size_t i = 0; i < engine.n; i++) {
            fprintf(out, "%s %s\n", engine.probes[i].id, probe_outcome_name(engine.probes[i].outcome));
        }
        rc = fflush(out) == 0 ? 0 : -1;
    }
    if (engine.home >= 0) {
        close(engine.home);
    }
    if (engine.epoll >= 0) {
        close(engine.epoll);
    }
    free(engine.running);
    free(engine.again);
    free(engine.probes);
    return rc;
}

enum probe_outcome probe_one(const char *protocol, const char *address, unsigned port, const char *source,
                             const struct probe_settings *settings)
{
    char line[LINE_MAX_LEN], answer[64] = "";
    int len = snprintf(line, sizeof(line), "1 - %s %s %u %s\n", protocol, address, port, source ? source : "-");
    FILE *in = len > 0 && (size_t)len < sizeof(line) ? fmemopen(line, (size_t)len, "r") : NULL;
    FILE *out = fmemopen(answer, sizeof(answer), "w");
    enum probe_outcome outcome = PROBE_BROKEN;
    if (in && out && probe_run(in, out, settings) == 0) {
        for (enum probe_outcome o = PROBE_REACHED; o < PROBE_BROKEN; o++) {
            size_t name = strlen(probe_outcome_name(o));
            if (strncmp(answer + 2, probe_outcome_name(o), name) == 0 && answer[2 + name] == '\n') {
                outcome = o;
            }
        }
    }
    if (in) {
        fclose(in);
    }
    if (out) {
        fclose(out);
    }
    return outcome;
}
