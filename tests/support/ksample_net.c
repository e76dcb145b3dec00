// SPDX-License-Identifier: Apache-2.0
#include "support/ksample_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/num.h"
#include "support/random_state.h"

enum {
    OWN_MAX = 32,
    PROTOCOLS = 256,
    CHUNK = 16,
    TIMEOUT_MS = 2000,  // until the last packet is there
    GRACE_MS = 30,      // for the others, which should have been there before
    RECEIVE_BUFFER = 4 << 20,
    MARK_UNTRACKED = 0x100,
    TOS_STATE = 0x1c,
    TOS_DNAT = 0x80,
    HEADER_V6 = 40,
};

struct face {
    int sender, receiver;  // interface indices in the peer
    int node;              // in the node
    uint8_t receiver_mac[ETH_ALEN], node_mac[ETH_ALEN];
    int out[FAMILY_COUNT];  // raw sockets of the node that send by this interface
};

struct ksample_net {
    const struct ksample_interfaces *interfaces;
    struct face *faces;
    int frames;                        // packet socket of the peer
    int raw[FAMILY_COUNT][PROTOCOLS];  // raw sockets of the node that receive; -1 not opened
    struct address own[OWN_MAX];
    size_t n_own;
    uint32_t next_id;
};

// ---- namespaces and sockets ----------------------------------------------------------------------------------------

static int enter(const char *name, struct err *err)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "/run/netns/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_errno(err, "%s", path);
    }
    int rc = setns(fd, CLONE_NEWNET);
    (void)close(fd);
    return rc < 0 ? err_errno(err, "cannot enter the network namespace %s", name) : 0;
}

static int stay_on_cpu(struct err *err)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)sched_getcpu(), &set);
    return sched_setaffinity(0, sizeof(set), &set) < 0 ? err_errno(err, "cannot stay on one CPU") : 0;
}

// Index (and link-layer address, unless NULL) of "PREFIXNAME" in the present namespace.
static int find_interface(int fd, const char *prefix, const char *name, int *ret_index, uint8_t *ret_mac,
                          struct err *err)
{
    struct ifreq request = {0};
    if ((size_t)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s%s", prefix, name) >=
        sizeof(request.ifr_name)) {
        return err_set(err, ERR_INPUT, 0, "%s%s: too long for an interface", prefix, name);
    }
    if (ioctl(fd, SIOCGIFINDEX, &request) < 0) {
        return err_errno(err, "no interface %s%s", prefix, name);
    }
    int index = request.ifr_ifindex;
    if (ret_mac) {
        if (ioctl(fd, SIOCGIFHWADDR, &request) < 0) {
            return err_errno(err, "link-layer address of %s%s", prefix, name);
        }
        memcpy(ret_mac, request.ifr_hwaddr.sa_data, ETH_ALEN);
    }
    *ret_index = index;
    return 0;
}

static int set_number(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value));
}

// Forced where the kernel lets us, else what it allows: readers are not slow.
static void widen(int fd)
{
    if (set_number(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER) < 0) {
        (void)set_number(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER);
    }
}

static int open_peer(struct ksample_net *net, struct err *err)
{
    net->frames = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));
    if (net->frames < 0 || set_number(net->frames, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1) < 0) {
        return err_errno(err, "packet socket");
    }
    widen(net->frames);
    for (size_t i = 0; i < net->interfaces->n; i++) {
        struct face *face = &net->faces[i];
        const char *name = net->interfaces->names[i];
        if (find_interface(net->frames, "s-", name, &face->sender, NULL, err) < 0 ||
            find_interface(net->frames, "r-", name, &face->receiver, face->receiver_mac, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int open_senders(struct face *face, const char *name, struct err *err)
{
    static const int families[FAMILY_COUNT] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        // IPPROTO_RAW: the packet brings its own header.
        face->out[i] = socket(families[i], SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
        if (face->out[i] < 0 || set_number(face->out[i], SOL_SOCKET, SO_BROADCAST, 1) < 0 ||
            setsockopt(face->out[i], SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name)) < 0) {
            return err_errno(err, "raw socket on %s", name);
        }
    }
    return 0;
}

static int read_addresses(struct ksample_net *net, struct err *err)
{
    struct ifaddrs *list;
    if (getifaddrs(&list) < 0) {
        return err_errno(err, "addresses of the node");
    }
    bool full = false;
    for (const struct ifaddrs *at = list; at && !full; at = at->ifa_next) {
        struct address *own = &net->own[net->n_own];
        if (!at->ifa_addr || (at->ifa_addr->sa_family != AF_INET && at->ifa_addr->sa_family != AF_INET6)) {
            continue;
        }
        *own = (struct address){.family = at->ifa_addr->sa_family == AF_INET ? FAMILY_V4 : FAMILY_V6};
        if (own->family == FAMILY_V4) {
            memcpy(own->bytes, &((const struct sockaddr_in *)(const void *)at->ifa_addr)->sin_addr, 4);
        } else {
            memcpy(own->bytes, &((const struct sockaddr_in6 *)(const void *)at->ifa_addr)->sin6_addr, 16);
        }
        full = ++net->n_own == OWN_MAX;
    }
    freeifaddrs(list);
    return full ? err_set(err, ERR_LIMIT, 0, "the node has %d addresses or more", OWN_MAX) : 0;
}

static int open_node(struct ksample_net *net, struct err *err)
{
    for (size_t i = 0; i < net->interfaces->n; i++) {
        struct face *face = &net->faces[i];
        const char *name = net->interfaces->names[i];
        if (open_senders(face, name, err) < 0 ||
            find_interface(face->out[0], "", name, &face->node, face->node_mac, err) < 0) {
            return -1;
        }
    }
    return read_addresses(net, err);
}

void ksample_net_close(struct ksample_net *net)
{
    if (!net) {
        return;
    }
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        for (size_t j = 0; j < PROTOCOLS; j++) {
            cleanup_fd(&net->raw[i][j]);
        }
        for (size_t j = 0; net->faces && j < net->interfaces->n; j++) {
            cleanup_fd(&net->faces[j].out[i]);
        }
    }
    cleanup_fd(&net->frames);
    free(net->faces);
    free(net);
}
CLEANUP_DEFINE(struct ksample_net, ksample_net_close);

int ksample_net_open(const char *node, const char *peer, const struct ksample_interfaces *interfaces,
                     struct ksample_net **ret, struct err *err)
{
    CLEANUP(ksample_net_close) struct ksample_net *net = calloc(1, sizeof(*net));
    if (!net) {
        return err_oom(err);
    }
    net->interfaces = interfaces;
    net->frames = -1;
    memset(net->raw, 0xff, sizeof(net->raw));
    net->faces = calloc(interfaces->n, sizeof(*net->faces));
    if (!net->faces) {
        return err_oom(err);
    }
    for (size_t i = 0; i < interfaces->n; i++) {
        net->faces[i].out[FAMILY_V4] = net->faces[i].out[FAMILY_V6] = -1;
    }
    if (stay_on_cpu(err) < 0 || enter(peer, err) < 0 || open_peer(net, err) < 0 || enter(node, err) < 0 ||
        open_node(net, err) < 0) {
        return -1;
    }
    *ret = TAKE(net);
    return 0;
}

bool ksample_net_is_own(const struct ksample_net *net, const struct address *address)
{
    for (size_t i = 0; i < net->n_own; i++) {
        if (address_equal(&net->own[i], address)) {
            return true;
        }
    }
    // All of 127.0.0.0/8 is, but for its broadcast address.
    return address->family == FAMILY_V4 && address->bytes[0] == 127 &&
           memcmp(address->bytes + 1, "\xff\xff\xff", 3) != 0;
}

// The node's socket for packets of one protocol to itself, opened when it is first needed.
static int listen_to(struct ksample_net *net, const struct packet *packet, struct err *err)
{
    bool v4 = packet->source.family == FAMILY_V4;
    int *fd = &net->raw[packet->source.family][packet->protocol];
    if (packet->arrival != ARRIVAL_TO_NODE || *fd >= 0) {
        return 0;
    }
    *fd = socket(v4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, packet->protocol);
    if (*fd < 0) {
        return err_errno(err, "raw socket for protocol %u", packet->protocol);
    }
    if (!v4 && (set_number(*fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) < 0 ||
                set_number(*fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1) < 0 ||
                set_number(*fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1) < 0)) {
        return err_errno(err, "raw socket for protocol %u", packet->protocol);
    }
    widen(*fd);
    return 0;
}

// ---- sending -------------------------------------------------------------------------------------------------------

static int face_of(const struct ksample_net *net, const char *name)
{
    return ksample_interface_find(net->interfaces, name);
}

static int send_frame(struct ksample_net *net, const struct ksample *sample, struct err *err)
{
    const struct packet *packet = &sample->packet;
    const struct face *in = &net->faces[face_of(net, packet->in)];
    uint8_t out = sample->way == KSAMPLE_ROUTED ? (uint8_t)(1 + face_of(net, packet->out)) : KSAMPLE_NET_LOCAL;
    uint8_t frame[KSAMPLE_WIRE_MAX] = {0};
    const uint8_t from[ETH_ALEN] = {0x02, 'N', 'P', 0, sample->untracked, out};
    struct ethhdr *header = (struct ethhdr *)(void *)frame;
    memcpy(header->h_dest, sample->way == KSAMPLE_BRIDGED ? in->receiver_mac : in->node_mac, ETH_ALEN);
    memcpy(header->h_source, from, ETH_ALEN);
    header->h_proto = htons(packet->source.family == FAMILY_V4 ? ETH_P_IP : ETH_P_IPV6);
    size_t len = ETH_HLEN + ksample_wire_build(packet, &sample->wire, frame + ETH_HLEN);
    const struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = in->sender, .sll_halen = ETH_ALEN};
    return sendto(net->frames, frame, len, 0, (const struct sockaddr *)&to, sizeof(to)) < 0
               ? err_errno(err, "cannot send a frame by s-%s", packet->in)
               : 0;
}

static int send_from_node(struct ksample_net *net, const struct ksample *sample, struct err *err)
{
    const struct packet *packet = &sample->packet;
    int index = face_of(net, packet->out);
    const struct face *out = &net->faces[index];
    enum family family = packet->source.family;
    uint8_t bytes[KSAMPLE_WIRE_MAX];
    size_t len = ksample_wire_build(packet, &sample->wire, bytes);
    struct sockaddr_storage to = {0};
    socklen_t size;
    if (family == FAMILY_V4) {
        struct sockaddr_in *in = (struct sockaddr_in *)&to;
        in->sin_family = AF_INET;
        memcpy(&in->sin_addr, sample->wire.destination.bytes, sizeof(in->sin_addr));
        size = sizeof(*in);
    } else {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&to;
        in6->sin6_family = AF_INET6;
        in6->sin6_scope_id = address_is_link_local(&sample->wire.destination) ? (uint32_t)out->node : 0;
        memcpy(&in6->sin6_addr, sample->wire.destination.bytes, sizeof(in6->sin6_addr));
        size = sizeof(*in6);
    }
    if (set_number(out->out[family], SOL_SOCKET, SO_MARK, (index + 1) | (sample->untracked ? MARK_UNTRACKED : 0)) < 0) {
        return err_errno(err, "cannot mark packets of %s", packet->out);
    }
    // A packet that the rules drop is refused to its sender.
    if (sendto(out->out[family], bytes, len, 0, (const struct sockaddr *)&to, size) < 0 && errno != EPERM) {
        return err_errno(err, "cannot send from the node by %s", packet->out);
    }
    return 0;
}

// ---- receiving -----------------------------------------------------------------------------------------------------

static enum ct_state state_of(uint8_t tos)
{
    static const enum ct_state states[] = {CT_NEW, CT_ESTABLISHED, CT_RELATED, CT_INVALID, CT_UNTRACKED};
    size_t index = (size_t)(tos & TOS_STATE) >> 2;
    return index >= 1 && index <= ARRAY_SIZE(states) ? states[index - 1] : (enum ct_state)0;
}

// Notes what came through by `iface` (NULL: at the node).
static void note(const struct ksample_run *run, const struct ksample_seen *seen, const char *iface)
{
    size_t index = seen->id - run->samples[0].wire.id;
    if (index >= run->n) {
        return;
    }
    const struct ksample *sample = &run->samples[index];
    struct packet packet = sample->packet;
    // An answer, or an error that quotes the packet, carries its number, too.
    if ((packet.arrival == ARRIVAL_TO_NODE) != !iface || !address_equal(&seen->source, &packet.source) ||
        seen->protocol != packet.protocol || seen->icmp_type != packet.icmp_type ||
        (!address_equal(&seen->destination, &packet.destination) &&
         !address_equal(&seen->destination, &sample->wire.destination))) {
        return;
    }
    packet.destination = seen->destination;
    packet.port = seen->port;
    packet.hop_limit = seen->hop_limit;
    packet.ct = state_of(seen->tos);
    packet.dnat = (seen->tos & TOS_DNAT) != 0;
    if (iface) {
        (void)snprintf(packet.out, sizeof(packet.out), "%s", iface);
    }
    run->arrivals[index] = (struct ksample_arrival){.arrived = true, .packet = packet};
}

static void read_frames(struct ksample_net *net, const struct ksample_run *run)
{
    uint8_t frame[2048];
    struct sockaddr_ll from;
    socklen_t size = sizeof(from);
    ssize_t len;
    while ((len = recvfrom(net->frames, frame, sizeof(frame), 0, (struct sockaddr *)&from, &size)) >= 0) {
        struct ksample_seen seen;
        if (len > ETH_HLEN && ksample_wire_parse(frame + ETH_HLEN, (size_t)len - ETH_HLEN, &seen)) {
            for (size_t i = 0; i < net->interfaces->n; i++) {
                if (net->faces[i].receiver == from.sll_ifindex) {
                    note(run, &seen, net->interfaces->names[i]);
                }
            }
        }
        size = sizeof(from);
    }
}

// IPv6 raw sockets leave the header out: it is put together again from what the kernel says beside the packet.
static bool rebuild_header(struct msghdr *msg, const struct sockaddr_in6 *from, uint8_t protocol, size_t len,
                           uint8_t header[HEADER_V6])
{
    int traffic_class = 0;
    int hop_limit = 0;
    struct in6_pktinfo info = {0};
    bool found = false;
    for (struct cmsghdr *at = CMSG_FIRSTHDR(msg); at; at = CMSG_NXTHDR(msg, at)) {
        if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_PKTINFO) {
            memcpy(&info, CMSG_DATA(at), sizeof(info));
            found = true;
        } else if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_TCLASS) {
            memcpy(&traffic_class, CMSG_DATA(at), sizeof(traffic_class));
        } else if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_HOPLIMIT) {
            memcpy(&hop_limit, CMSG_DATA(at), sizeof(hop_limit));
        }
    }
    header[0] = (uint8_t)(0x60 | traffic_class >> 4);
    header[1] = (uint8_t)(traffic_class << 4);
    header[2] = header[3] = 0;
    header[4] = (uint8_t)(len >> 8);
    header[5] = (uint8_t)len;
    header[6] = protocol;
    header[7] = (uint8_t)hop_limit;
    memcpy(header + 8, &from->sin6_addr, 16);
    memcpy(header + 24, &info.ipi6_addr, 16);
    return found;
}

static void read_raw(struct ksample_net *net, enum family family, size_t protocol, const struct ksample_run *run)
{
    size_t head = family == FAMILY_V4 ? 0 : HEADER_V6;
    uint8_t bytes[2048];
    struct sockaddr_in6 from = {0};
    char control[256];
    for (;;) {
        struct iovec iov = {bytes + head, sizeof(bytes) - head};
        struct msghdr msg = {.msg_name = &from,
                             .msg_namelen = sizeof(from),
                             .msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
        ssize_t len = recvmsg(net->raw[family][protocol], &msg, 0);
        if (len < 0) {
            return;
        }
        struct ksample_seen seen;
        if ((family == FAMILY_V4 || rebuild_header(&msg, &from, (uint8_t)protocol, (size_t)len, bytes)) &&
            ksample_wire_parse(bytes, head + (size_t)len, &seen)) {
            note(run, &seen, NULL);
        }
    }
}

static void read_all(struct ksample_net *net, const struct ksample_run *run)
{
    read_frames(net, run);
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        for (size_t j = 0; j < PROTOCOLS; j++) {
            if (net->raw[i][j] >= 0) {
                read_raw(net, (enum family)i, j, run);
            }
        }
    }
}

// ---- a batch -------------------------------------------------------------------------------------------------------

static int send_all(struct ksample_net *net, const struct ksample_run *run, struct err *err)
{
    size_t pending = 0;
    for (size_t i = 0; i < run->n; i++) {
        const struct ksample *sample = &run->samples[i];
        if (run->only && !run->only[i] && i < run->n - 1) {
            continue;
        }
        if (listen_to(net, &sample->packet, err) < 0 ||
            (sample->way == KSAMPLE_FROM_NODE ? send_from_node(net, sample, err) : send_frame(net, sample, err)) < 0) {
            BUF_CLEANUP struct buf text = {0};
            random_packet_describe(&sample->packet, &text);
            return err_wrap(err, "%s", text.data ? text.data : "");
        }
        // Whatever the kernel allows for buffers holds this many.
        if (++pending == CHUNK) {
            read_all(net, run);
            pending = 0;
        }
    }
    return 0;
}

static bool is_complete(const struct ksample_run *run)
{
    for (size_t i = 0; i < run->n; i++) {
        if ((!run->only || run->only[i]) && (!run->wanted || run->wanted[i]) && !run->arrivals[i].arrived) {
            return false;
        }
    }
    return true;
}

int ksample_net_run(struct ksample_net *net, const struct ksample_run *run, struct err *err)
{
    for (size_t i = 0; i < run->n; i++) {
        run->samples[i].wire.id = net->next_id++;
    }
    struct ksample_arrival *last = &run->arrivals[run->n - 1];
    last->arrived = false;
    if (send_all(net, run, err) < 0) {
        return -1;
    }
    bool ordered = false;
    for (uint64_t until = num_now_ms() + TIMEOUT_MS; num_now_ms() < until;) {
        read_all(net, run);
        if (last->arrived && is_complete(run)) {
            break;
        }
        if (last->arrived && !ordered) {
            ordered = true;
            until = num_now_ms() + GRACE_MS;
        }
        struct pollfd wait = {.fd = net->frames, .events = POLLIN};
        (void)poll(&wait, 1, 1);
    }
    return 0;
}
