// SPDX-License-Identifier: Apache-2.0
#include "model/object.h"

const char *protocol_name(uint8_t protocol)
{
    static const struct {
        uint8_t number;
        const char *name;
    } known[] = {
        {PROTOCOL_TCP, "TCP"}, {PROTOCOL_UDP, "UDP"}, {PROTOCOL_SCTP, "SCTP"}, {1, "ICMP"}, {58, "ICMPv6"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (known[i].number == protocol) {
            return known[i].name;
        }
    }
    return NULL;
}

bool protocol_parse(const char *text, uint8_t *ret)
{
    static const uint8_t protocols[] = {PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_SCTP};
    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
        if (strcmp(text, protocol_name(protocols[i])) == 0) {
            *ret = protocols[i];
            return true;
        }
    }
    return false;
}

const char *object_kind_name(enum object_kind kind)
{
    switch (kind) {
    case OBJECT_POD:
        return "Pod";
    case OBJECT_NAMESPACE:
        return "Namespace";
    case OBJECT_POLICY:
        return "NetworkPolicy";
    case OBJECT_NODE:
        return "Node";
    }
    return "";
}

const char *direction_name(enum direction direction)
{
    return direction == DIRECTION_INGRESS ? "ingress" : "egress";
}

bool pod_is_live(const struct pod *pod)
{
    if (pod->host_network) {
        return false;
    }
    return pod->no_status || (pod->phase != POD_SUCCEEDED && pod->phase != POD_FAILED);
}

size_t pod_named_ports(const struct pod *pod, const char *name, uint8_t protocol, uint16_t *ret, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < pod->n_ports; i++) {
        const struct named_port *port = &pod->ports[i];
        if (port->protocol != protocol || strcmp(port->name, name) != 0) {
            continue;
        }
        if (n < max) {
            ret[n] = port->number;
        }
        n++;
    }
    return n;
}
