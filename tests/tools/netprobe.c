// SPDX-License-Identifier: Apache-2.0
//
// netprobe: real packets for the kernel tests and the demo. Servers, reachability probes one by one or a whole matrix,
// crafted packets, and a counter of what arrives. Nothing but libc.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/probe_engine.h"
#include "support/probe_serve.h"
#include "support/probe_traffic.h"

enum { EXIT_REACHED = 0, EXIT_BLOCKED = 1, EXIT_USAGE = 3, EXIT_BROKEN = 4 };

static const char usage[] =
    "netprobe serve   [--tcp PORTS] [--udp PORTS] [--sctp PORTS] [--background PIDFILE]\n"
    "netprobe connect --proto tcp|udp|sctp|icmp --to ADDR[%IFACE] [--port N] [--from ADDR] [--size BYTES]\n"
    "                 [--unprivileged]\n"
    "netprobe matrix                  lines on stdin: ID NETNS PROTO ADDR PORT [FROM]; out: ID ok|timeout|refused|...\n"
    "                 both: [--timeout-ms 400] [--attempts 2] [--sequence FILE]\n"
    "netprobe flow    --proto tcp|udp --to ADDR --port N [--interval-ms 5] [--report FILE] [--background PIDFILE]\n"
    "netprobe send    --proto tcp|udp|icmp|nd --from ADDR --to ADDR[%IFACE] [--port N] [--sport N] [--sport-step N]\n"
    "                 [--hop-limit 64] [--target ADDR] [--tag TEXT] [--iface IF] [--count 1] [--interval-us 0]\n"
    "                 [--report FILE] [--background PIDFILE]\n"
    "netprobe sniff   --tag TEXT... --file FILE [--iface IF] [--background PIDFILE]\n"
    "exit: 0 reachable or done, 1 blocked, 3 usage, 4 failed\n";

struct options {
    const char *tcp, *udp, *sctp, *background, *proto, *to, *from, *sequence, *report, *iface, *file, *target;
    const char *tags[32];
    unsigned n_tags;
    unsigned long port, timeout_ms, attempts, interval_ms, interval_us, sport, sport_step, hop_limit, count, size;
    int unprivileged;
};

static int broken(const char *what)
{
    fprintf(stderr, "netprobe: %s: %s\n", what, strerror(errno));
    return EXIT_BROKEN;
}

static int bad_usage(const char *what)
{
    fprintf(stderr, "netprobe: %s\n%s", what, usage);
    return EXIT_USAGE;
}

// Go on as a child; the parent leaves at once, so that a script goes on when everything is open. 1: the parent.
static int to_background(const char *pidfile)
{
    pid_t pid = fork();
    if (pid < 0) {
        return -1;
    }
    if (pid == 0) {
        // Let go of the caller's pipes, which would otherwise never see their end.
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        setsid();
        return null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ? -1 : 0;
    }
    FILE *file = fopen(pidfile, "we");
    if (!file || fprintf(file, "%d\n", (int)pid) < 0 || fclose(file) != 0) {
        kill(pid, SIGKILL);
        return -1;
    }
    return 1;
}

static int serve(const struct options *o)
{
    static struct probe_server server;
    int epoll;
    if (!probe_ports_parse(o->tcp ? o->tcp : "", &server.tcp) ||
        !probe_ports_parse(o->udp ? o->udp : "", &server.udp) ||
        !probe_ports_parse(o->sctp ? o->sctp : "", &server.sctp)) {
        return bad_usage("serve: ports are like 80,443,8000-8010");
    }
    if (probe_serve_open(&server, &epoll) < 0) {
        return broken("serve");
    }
    if (o->background) {
        int rc = to_background(o->background);
        if (rc != 0) {
            return rc < 0 ? broken(o->background) : 0;
        }
    }
    return probe_serve_run(&server, epoll) < 0 ? broken("serve") : 0;
}

static int connect_one(const struct options *o)
{
    struct probe_settings settings = {
        .timeout_ms = (unsigned)o->timeout_ms,
        .attempts = (unsigned)o->attempts,
        .sequence = o->sequence,
        .size = (unsigned)o->size,
        .unprivileged = o->unprivileged,
    };
    if (!o->proto || !o->to) {
        return bad_usage("connect: --proto and --to are needed");
    }
    enum probe_outcome outcome = probe_one(o->proto, o->to, (unsigned)o->port, o->from, &settings);
    puts(probe_outcome_name(outcome));
    return outcome == PROBE_REACHED ? EXIT_REACHED : outcome == PROBE_BROKEN ? EXIT_BROKEN : EXIT_BLOCKED;
}

static int matrix(const struct options *o)
{
    struct probe_settings settings = {
        .timeout_ms = (unsigned)o->timeout_ms,
        .attempts = (unsigned)o->attempts,
        .sequence = o->sequence,
    };
    return probe_run(stdin, stdout, &settings) < 0 ? broken("matrix") : 0;
}

static int flow(const struct options *o)
{
    struct probe_flow flow = {
        .address = o->to,
        .port = (uint16_t)o->port,
        .interval_ms = (unsigned)o->interval_ms,
        .report = o->report,
    };
    if (!o->to || !o->proto || !probe_kind_parse(o->proto, &flow.kind) ||
        (flow.kind != PROBE_TCP && flow.kind != PROBE_UDP)) {
        return bad_usage("flow: --proto tcp or udp and --to are needed");
    }
    if (o->background) {
        probe_traffic_stop_on_term();
        int rc = to_background(o->background);
        if (rc != 0) {
            return rc < 0 ? broken(o->background) : 0;
        }
    }
    int rc = probe_flow_run(&flow);
    return rc < 0 ? broken("flow") : rc;
}

static int send_burst(const struct options *o)
{
    struct probe_burst burst = {
        .packet = {.hop_limit = (uint8_t)o->hop_limit,
                   .sport = (uint16_t)o->sport,
                   .dport = (uint16_t)o->port,
                   .tag = o->n_tags ? o->tags[0] : NULL},
        .iface = o->iface,
        .report = o->report,
        .count = o->count,
        .interval_us = (unsigned)o->interval_us,
        .sport_step = (uint16_t)o->sport_step,
    };
    struct probe_address target = {.family = AF_INET6};
    if (!o->proto || !probe_kind_parse(o->proto, &burst.packet.kind) || !o->from || !o->to ||
        !probe_address_parse(o->from, &burst.packet.src) || !probe_address_parse(o->to, &burst.packet.dst) ||
        (o->target && !probe_address_parse(o->target, &target))) {
        return bad_usage("send: --proto, --from and --to are needed, and must be addresses");
    }
    burst.packet.target = target.v6;
    if (o->background) {
        probe_traffic_stop_on_term();
        int rc = to_background(o->background);
        if (rc != 0) {
            return rc < 0 ? broken(o->background) : 0;
        }
    }
    uint64_t sent, refused;
    if (probe_burst_run(&burst, &sent, &refused) < 0) {
        return broken("send");
    }
    printf("sent=%llu refused=%llu\n", (unsigned long long)sent, (unsigned long long)refused);
    return 0;
}

static int sniff(const struct options *o)
{
    struct probe_sniffer sniffer = {.iface = o->iface, .tags = o->tags, .n_tags = o->n_tags, .file = o->file};
    int fd;
    if (o->n_tags == 0 || !o->file) {
        return bad_usage("sniff: --tag and --file are needed");
    }
    if (probe_sniffer_open(&sniffer, &fd) < 0) {
        return broken("sniff");
    }
    if (o->background) {
        probe_traffic_stop_on_term();
        int rc = to_background(o->background);
        if (rc != 0) {
            return rc < 0 ? broken(o->background) : 0;
        }
    }
    return probe_sniffer_run(&sniffer, fd) < 0 ? broken("sniff") : 0;
}

enum { TEXTS = 12, NUMBERS = 10 };

static int parse(int argc, char **argv, struct options *o)
{
    // clang-format off
    const char **texts[TEXTS] = {&o->tcp, &o->udp, &o->sctp, &o->background, &o->proto, &o->to, &o->from, &o->sequence,
                                 &o->report, &o->iface, &o->file, &o->target};
    unsigned long *numbers[NUMBERS] = {&o->port, &o->timeout_ms, &o->attempts, &o->interval_ms, &o->interval_us,
                                       &o->sport, &o->sport_step, &o->hop_limit, &o->count, &o->size};
    static const char *const names[TEXTS + NUMBERS] = {
        "tcp", "udp", "sctp", "background", "proto", "to", "from", "sequence", "report", "iface", "file", "target",
        "port", "timeout-ms", "attempts", "interval-ms", "interval-us", "sport", "sport-step", "hop-limit", "count", "size"};
    // clang-format on
    struct option longs[TEXTS + NUMBERS + 3] = {{0}};
    for (int i = 0; i < TEXTS + NUMBERS; i++) {
        longs[i] = (struct option){names[i], required_argument, NULL, 1000 + i};
    }
    longs[TEXTS + NUMBERS] = (struct option){"tag", required_argument, NULL, 't'};
    longs[TEXTS + NUMBERS + 1] = (struct option){"unprivileged", no_argument, &o->unprivileged, 1};
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == 't' && o->n_tags < sizeof(o->tags) / sizeof(o->tags[0])) {
            o->tags[o->n_tags++] = optarg;
        } else if (c >= 1000 + TEXTS) {
            char *end;
            *numbers[c - 1000 - TEXTS] = strtoul(optarg, &end, 10);
            if (*end || end == optarg) {
                return -1;
            }
        } else if (c >= 1000) {
            *texts[c - 1000] = optarg;
        } else if (c != 0) {
            return -1;
        }
    }
    return optind == argc ? 0 : -1;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const struct options *);
    } verbs[] = {{"serve", serve}, {"connect", connect_one}, {"matrix", matrix},
                 {"flow", flow},   {"send", send_burst},     {"sniff", sniff}};
    struct options options = {
        .timeout_ms = 400, .attempts = 2, .interval_ms = 5, .hop_limit = 64, .count = 1, .sport = 30000};
    for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(argv[1], verbs[i].name) == 0) {
            return parse(argc - 1, argv + 1, &options) < 0 ? bad_usage("wrong options") : verbs[i].run(&options);
        }
    }
    return bad_usage("what to do is missing");
}
