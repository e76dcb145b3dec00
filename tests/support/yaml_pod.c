// SPDX-License-Identifier: Apache-2.0
#include "support/yaml_writer.h"

// ---- containers ----------------------------------------------------------------------------------------------------

static void write_port(const struct yaml_writer *writer, const struct named_port *port)
{
    buf_printf(writer->out, "{containerPort: %u, name: ", port->number);
    yaml_string(writer, port->name);
    if (port->protocol != PROTOCOL_TCP || !yaml_chance(writer, 50)) {
        buf_printf(writer->out, ", protocol: %s", protocol_name(port->protocol));
    }
    if (yaml_chance(writer, 15)) {
        buf_puts(writer->out, ", hostPort: 81");
        yaml_says(writer, CLAUSE_T_HOST_PORT);
    }
    buf_putc(writer->out, '}');
}

static void write_ports(const struct yaml_writer *writer, const struct named_port *ports, size_t n)
{
    buf_puts(writer->out, "ports: [");
    for (size_t i = 0; i < n; i++) {
        buf_puts(writer->out, i ? ", " : "");
        write_port(writer, &ports[i]);
    }
    // Without a name, so without a part in anything.
    if (yaml_chance(writer, 15)) {
        buf_puts(writer->out, n ? ", {containerPort: 443}" : "{containerPort: 443}");
    }
    buf_putc(writer->out, ']');
}

// The ports stay in order over the containers, then the init containers that stay.
static void write_containers(const struct yaml_writer *writer, const struct pod *pod)
{
    size_t sidecar = yaml_chance(writer, 30) ? yaml_pick(writer, pod->n_ports + 1) : 0;
    size_t plain = pod->n_ports - sidecar;
    size_t first = yaml_chance(writer, 40) ? yaml_pick(writer, plain + 1) : plain;
    buf_puts(writer->out, "  containers:\n  - {name: c1, ");
    write_ports(writer, pod->ports, first);
    buf_puts(writer->out, "}\n");
    if (first < plain) {
        buf_puts(writer->out, "  - {name: c2, ");
        write_ports(writer, pod->ports + first, plain - first);
        buf_puts(writer->out, "}\n");
    }
    bool setup = yaml_chance(writer, 25);
    if (!setup && !sidecar) {
        return;
    }
    buf_puts(writer->out, "  initContainers:\n");
    if (setup) {
        buf_puts(writer->out, "  - {name: setup, ports: [{containerPort: 81, name: http}, "
                              "{containerPort: 53, name: dns, protocol: UDP}]}\n");
        yaml_says(writer, CLAUSE_T_INIT);
    }
    if (sidecar) {
        buf_puts(writer->out, "  - {name: sidecar, restartPolicy: Always, ");
        write_ports(writer, pod->ports + plain, sidecar);
        buf_puts(writer->out, "}\n");
        yaml_says(writer, CLAUSE_T_SIDECAR);
    }
}

static void write_spec(const struct yaml_writer *writer, const struct pod *pod)
{
    buf_puts(writer->out, "spec:\n");
    if (*pod->node || yaml_chance(writer, 50)) {
        buf_puts(writer->out, "  nodeName: ");
        yaml_string(writer, pod->node);
        buf_putc(writer->out, '\n');
    }
    if (pod->host_network) {
        buf_puts(writer->out, "  hostNetwork: true\n");
    } else if (yaml_chance(writer, 20)) {
        buf_puts(writer->out, "  hostNetwork: false\n");
    }
    write_containers(writer, pod);
}

// ---- status --------------------------------------------------------------------------------------------------------

static void write_phase(const struct yaml_writer *writer, enum pod_phase phase)
{
    static const char *const names[] = {[POD_PENDING] = "Pending",
                                        [POD_RUNNING] = "Running",
                                        [POD_SUCCEEDED] = "Succeeded",
                                        [POD_FAILED] = "Failed",
                                        [POD_UNKNOWN] = "Unknown"};
    buf_printf(writer->out, "phase: %s", names[phase]);
    if (yaml_chance(writer, 20)) {
        buf_puts(writer->out, ", conditions: [{type: Ready, status: \"False\"}]");
        yaml_says(writer, CLAUSE_T_NOT_READY);
    }
}

static void write_addresses(const struct yaml_writer *writer, const struct pod *pod)
{
    bool single = pod->n_addresses == 1 && yaml_chance(writer, 40);
    if (pod->n_addresses == 0) {
        if (yaml_chance(writer, 40)) {
            buf_puts(writer->out, ", podIP: \"\"");
        }
        return;
    }
    buf_puts(writer->out, ", podIP: ");
    yaml_address(writer, &pod->addresses[0]);
    if (single) {
        yaml_says(writer, CLAUSE_T_POD_IP);
        return;
    }
    buf_puts(writer->out, ", podIPs: [");
    for (size_t i = 0; i < pod->n_addresses; i++) {
        buf_puts(writer->out, i ? ", {ip: " : "{ip: ");
        yaml_address(writer, &pod->addresses[i]);
        buf_putc(writer->out, '}');
    }
    buf_putc(writer->out, ']');
}

void yaml_pod(const struct yaml_writer *writer, const struct pod *pod)
{
    write_spec(writer, pod);
    if (pod->no_status) {
        buf_puts(writer->out, yaml_chance(writer, 50) ? "status: {}\n" : "");
        return;
    }
    buf_puts(writer->out, "status: {");
    write_phase(writer, pod->phase);
    write_addresses(writer, pod);
    buf_puts(writer->out, "}\n");
}
