// SPDX-License-Identifier: Apache-2.0
//
// Pods. What cannot be read is a PARTIAL finding and left out, never the pod: a lost pod is in no policy's subject, so
// one bad port would open it. Names of ports only grant; a phase that is not known to be over is live.
#include "decode/decode_object.h"

#include "base/limits.h"

struct port_list {
    struct named_port *v;
    size_t n;
    bool full;  // there were more
};

static const struct {
    const char *name;
    enum pod_phase phase;
} phases[] = {
    {"", POD_PENDING},  // the API server's default
    {"Pending", POD_PENDING}, {"Running", POD_RUNNING}, {"Succeeded", POD_SUCCEEDED}, {"Failed", POD_FAILED},
};

static enum pod_phase decode_phase(struct decode *decode, const struct path *up, const struct doc *status)
{
    static const char unknown[] = "Unknown";
    const struct doc *doc = decode_field(status, "phase");
    if (doc && doc->type != DOC_STRING) {
        (void)decode_string(decode, up, status, "phase");
        return POD_UNKNOWN;
    }
    const char *text = doc ? doc->text : "";
    for (size_t i = 0; i < ARRAY_SIZE(phases); i++) {
        if (strcmp(phases[i].name, text) == 0) {
            return phases[i].phase;
        }
    }
    if (strcmp(text, unknown) != 0) {
        struct path path = {.up = up, .key = "phase"};
        decode_report(decode, DIAGNOSTIC_PARTIAL, &path, doc->line, "unknown phase %s: the pod counts as live",
                      decode_quote(decode, text));
    }
    return POD_UNKNOWN;
}

static bool has_address(const struct pod *pod, const struct address *address)
{
    for (size_t i = 0; i < pod->n_addresses; i++) {
        if (address_equal(&pod->addresses[i], address)) {
            return true;
        }
    }
    return false;
}

// "" is a pod without address yet: it contributes nothing (networkpolicy-v1.md 2.2).
static void add_address(struct decode *decode, const struct path *path, unsigned line, const char *text,
                        struct address *addresses, struct pod *ret)
{
    static const struct address unspecified[FAMILY_COUNT] = {{.family = FAMILY_V4}, {.family = FAMILY_V6}};
    struct address address;
    if (text[0] == '\0') {
        return;
    }
    if (!address_parse(text, &address)) {
        decode_report(decode, DIAGNOSTIC_PARTIAL, path, line, "%s is no IP address", decode_quote(decode, text));
    } else if (address_equal(&address, &unspecified[address.family]) || address_is_multicast(&address)) {
        decode_report(decode, DIAGNOSTIC_PARTIAL, path, line, "%s cannot be a pod's address",
                      decode_quote(decode, text));
    } else if (!has_address(ret, &address)) {
        addresses[ret->n_addresses++] = address;
    }
}

// status.podIPs, else status.podIP (networkpolicy-v1.md 2.1).
static void decode_addresses(struct decode *decode, const struct path *up, const struct doc *status, struct pod *ret)
{
    struct path path = {.up = up, .key = "podIPs"};
    const struct doc *list = decode_typed(decode, DIAGNOSTIC_PARTIAL, up, status, "podIPs", DOC_LIST);
    struct address *addresses = decode_array(decode, LIMIT_POD_ADDRESSES, sizeof(*addresses));
    if (!addresses) {
        return;
    }
    ret->addresses = addresses;
    size_t index = 0;
    for (const struct doc *child = list ? list->child : NULL; child; child = child->next, index++) {
        struct path at = {.up = &path, .index = index};
        struct path field = {.up = &at, .key = "ip"};
        if (ret->n_addresses == LIMIT_POD_ADDRESSES) {
            decode_report(decode, DIAGNOSTIC_PARTIAL, &at, child->line,
                          "more than %d addresses: no further one is used", LIMIT_POD_ADDRESSES);
            break;
        }
        if (child->type == DOC_MAP) {
            add_address(decode, &field, child->line, decode_string(decode, &at, child, "ip"), addresses, ret);
        } else {
            decode_report_type(decode, DIAGNOSTIC_PARTIAL, &at, child, DOC_MAP);
        }
    }
    const struct doc *single = decode_typed(decode, DIAGNOSTIC_PARTIAL, up, status, "podIP", DOC_STRING);
    if (ret->n_addresses == 0 && single) {
        path.key = "podIP";
        add_address(decode, &path, single->line, single->text, addresses, ret);
    }
}

static void decode_container_port(struct decode *decode, const struct path *path, const struct doc *doc,
                                  struct port_list *ports)
{
    if (doc->type != DOC_MAP) {
        decode_report_type(decode, DIAGNOSTIC_PARTIAL, path, doc, DOC_MAP);
        return;
    }
    const char *name = decode_string(decode, path, doc, "name");
    if (name[0] == '\0') {
        return;
    }
    struct path field = {.up = path, .key = "containerPort"};
    const struct doc *number = doc_get(doc, "containerPort");
    if (!number || number->type != DOC_NUMBER || !number->integral || number->integer < 1 || number->integer > 65535) {
        decode_report(decode, DIAGNOSTIC_PARTIAL, &field, number ? number->line : doc->line,
                      "must be a port number (1 to 65535)");
        return;
    }
    const struct doc *protocol = decode_field(doc, "protocol");
    struct named_port port = {.name = name, .protocol = PROTOCOL_TCP, .number = (uint16_t)number->integer};
    if (protocol && protocol->type != DOC_STRING) {
        (void)decode_string(decode, path, doc, "protocol");
        return;
    }
    if (protocol && protocol->text[0] && !protocol_parse(protocol->text, &port.protocol)) {
        // No policy can name such a port, so leaving it out loses nothing.
        field.key = "protocol";
        decode_report(decode, DIAGNOSTIC_WARNING, &field, doc->line, "unknown protocol %s: the port's name is not used",
                      decode_quote(decode, protocol->text));
        return;
    }
    if (ports->n == LIMIT_POD_PORTS) {
        decode_report(decode, DIAGNOSTIC_PARTIAL, path, doc->line, "more than %d named ports: no further name is used",
                      LIMIT_POD_PORTS);
        ports->full = true;
        return;
    }
    ports->v[ports->n++] = port;
}

// The named ports of one list of containers; of init containers those that stay: restartPolicy Always.
static void decode_containers(struct decode *decode, const struct path *up, const struct doc *spec, const char *key,
                              bool init, struct port_list *ports)
{
    struct path path = {.up = up, .key = key};
    const struct doc *list = decode_typed(decode, DIAGNOSTIC_PARTIAL, up, spec, key, DOC_LIST);
    size_t index = 0;
    for (const struct doc *child = list ? list->child : NULL; child && !ports->full; child = child->next, index++) {
        struct path at = {.up = &path, .index = index};
        if (child->type != DOC_MAP) {
            decode_report_type(decode, DIAGNOSTIC_PARTIAL, &at, child, DOC_MAP);
            continue;
        }
        if (init && strcmp(decode_string(decode, &at, child, "restartPolicy"), "Always") != 0) {
            continue;
        }
        struct path in_ports = {.up = &at, .key = "ports"};
        const struct doc *entries = decode_typed(decode, DIAGNOSTIC_PARTIAL, &at, child, "ports", DOC_LIST);
        size_t i = 0;
        for (const struct doc *entry = entries ? entries->child : NULL; entry && !ports->full;
             entry = entry->next, i++) {
            struct path at_port = {.up = &in_ports, .index = i};
            decode_container_port(decode, &at_port, entry, ports);
        }
    }
}

static size_t count_ports(const struct doc *containers)
{
    size_t n = 0;
    for (const struct doc *child = containers ? containers->child : NULL; child && n < LIMIT_POD_PORTS;
         child = child->next) {
        n += decode_count(decode_field(child, "ports"));
    }
    return n < LIMIT_POD_PORTS ? n : LIMIT_POD_PORTS;
}

static void decode_spec(struct decode *decode, const struct doc *doc, struct pod *ret)
{
    struct path path = {.key = "spec"};
    const struct doc *spec = decode_typed(decode, DIAGNOSTIC_PARTIAL, NULL, doc, "spec", DOC_MAP);
    ret->node = decode_string(decode, &path, spec, "nodeName");
    ret->host_network = decode_bool(decode, &path, spec, "hostNetwork");
    struct port_list ports = {0};
    size_t room = count_ports(decode_field(spec, "containers")) + count_ports(decode_field(spec, "initContainers"));
    ports.v = decode_array(decode, room < LIMIT_POD_PORTS ? room : LIMIT_POD_PORTS, sizeof(*ports.v));
    if (!ports.v) {
        return;
    }
    decode_containers(decode, &path, spec, "containers", false, &ports);
    decode_containers(decode, &path, spec, "initContainers", true, &ports);
    ret->ports = ports.v;
    ret->n_ports = ports.n;
}

void decode_pod(struct decode *decode, const struct doc *doc, struct pod *ret)
{
    *ret = (struct pod){.node = ""};
    decode_meta(decode, doc, OBJECT_POD, &ret->meta);
    decode_spec(decode, doc, ret);
    struct path path = {.key = "status"};
    const struct doc *status = decode_typed(decode, DIAGNOSTIC_PARTIAL, NULL, doc, "status", DOC_MAP);
    // "status: {}" is what kubectl create --dry-run writes; the API server always gives a phase.
    ret->no_status = !status || !status->child;
    ret->phase = ret->no_status ? POD_RUNNING : decode_phase(decode, &path, status);
    if (!ret->no_status) {
        decode_addresses(decode, &path, status, ret);
    }
}
