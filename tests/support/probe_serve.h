// SPDX-License-Identifier: Apache-2.0
//
// The far end of a probe: TCP and UDP echo on many ports, and an SCTP answer by raw socket, both families.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct probe_ports {
    uint16_t v[1024];
    size_t n;
};
// "80,443,8000-8010". False: not such a list, or too long.
bool probe_ports_parse(const char *text, struct probe_ports *ret);

struct probe_server {
    struct probe_ports tcp, udp;
    struct probe_ports sctp;  // INIT to these ports is answered, others stay silent
};
// Bind everything. -1 with errno: an address in use, no right to raw sockets.
int probe_serve_open(const struct probe_server *server, int *ret_epoll);
// Answer for ever.
int probe_serve_run(const struct probe_server *server, int epoll);
