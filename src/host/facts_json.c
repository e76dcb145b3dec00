// SPDX-License-Identifier: Apache-2.0
#include "host/facts.h"

#include <stdio.h>

#include "base/doc.h"
#include "base/num.h"
#include "host/facts_build.h"
#include "json/json.h"

static const char *const switch_text[] = {[FACTS_UNKNOWN] = "unknown", [FACTS_OFF] = "off", [FACTS_ON] = "on"};
static const char *const family_key[FAMILY_COUNT] = {[FAMILY_V4] = "ipv4", [FAMILY_V6] = "ipv6"};

static void render_interface(const struct facts_interface *interface, struct buf *out)
{
    buf_puts(out, "    {\"name\": ");
    buf_json_string(out, interface->name);
    if (interface->kind[0]) {
        buf_puts(out, ", \"kind\": ");
        buf_json_string(out, interface->kind);
    }
    if (interface->master[0]) {
        buf_puts(out, ", \"master\": ");
        buf_json_string(out, interface->master);
    }
    buf_puts(out, ", \"addresses\": [");
    for (size_t i = 0; i < interface->n_addresses; i++) {
        char text[ADDRESS_TEXT];
        buf_printf(out, "%s\"%s\"", i ? ", " : "", address_format(&interface->addresses[i], text));
    }
    buf_puts(out, "]}");
}

static void render_routes(const char *name, const struct facts_route *routes, size_t n, struct buf *out)
{
    buf_printf(out, "  \"%s\": [", name);
    for (size_t i = 0; i < n; i++) {
        char text[PREFIX_TEXT];
        buf_printf(out, "%s    {\"prefix\": \"%s\", \"device\": ", i ? ",\n" : "\n",
                   prefix_format(&routes[i].prefix, text));
        buf_json_string(out, routes[i].device);
        buf_putc(out, '}');
    }
    buf_puts(out, n ? "\n  ],\n" : "],\n");
}

static void render_ports(const struct facts *facts, struct buf *out)
{
    for (size_t i = 0; i < facts->n_ports; i++) {
        char text[ADDRESS_TEXT];
        buf_printf(out, "%s    {\"address\": \"%s\", \"port\": ", i ? ",\n" : "\n",
                   address_format(&facts->ports[i].address, text));
        buf_json_string(out, facts->ports[i].port);
        buf_putc(out, '}');
    }
}

void facts_render_json(const struct facts *facts, struct buf *out)
{
    buf_puts(out, "{\n  \"interfaces\": [");
    for (size_t i = 0; i < facts->n_interfaces; i++) {
        buf_puts(out, i ? ",\n" : "\n");
        render_interface(&facts->interfaces[i], out);
    }
    buf_puts(out, facts->n_interfaces ? "\n  ],\n" : "],\n");
    render_routes("routes", facts->routes, facts->n_routes, out);
    render_routes("localRoutes", facts->local, facts->n_local, out);
    render_routes("broadcastRoutes", facts->broadcast, facts->n_broadcast, out);
    buf_puts(out, "  \"bridgeNf\": {");
    for (int family = 0; family < FAMILY_COUNT; family++) {
        buf_printf(out, "%s\"%s\": \"%s\"", family ? ", " : "", family_key[family],
                   switch_text[facts->bridge_nf[family]]);
    }
    buf_printf(out, ", \"vlan\": \"%s\"},\n  \"ports\": [", switch_text[facts->bridge_nf_vlan]);
    render_ports(facts, out);
    buf_puts(out, facts->n_ports ? "\n  ],\n  \"tunnelPorts\": [" : "],\n  \"tunnelPorts\": [");
    for (size_t i = 0; i < facts->n_tunnel_ports; i++) {
        buf_printf(out, "%s%u", i ? ", " : "", facts->tunnel_ports[i]);
    }
    buf_puts(out, "],\n  \"revoked\": {");
    for (int family = 0; family < FAMILY_COUNT; family++) {
        buf_printf(out, "%s\"%s\": %s", family ? ", " : "", family_key[family],
                   facts->revoked[family] ? "true" : "false");
    }
    buf_printf(out, "},\n  \"ipvs\": %s\n}\n", facts->ipvs ? "true" : "false");
}

static int wrong_type(const struct doc *doc, const char *file, const char *want, struct err *err)
{
    (void)err_set(err, ERR_INPUT, 0, "must be a %s, not a %s", want, doc_type_name(doc->type));
    return err_at_object(err, "%s:%u", file, doc->line);
}

static int unknown_key(const struct doc *doc, const char *file, struct err *err)
{
    (void)err_set(err, ERR_INPUT, 0, "unknown field \"%s\"", doc->key);
    return err_at_object(err, "%s:%u", file, doc->line);
}

// What the kernel takes as a name (dev_valid_name): no blank, '/' or ':', not "." or "..".
static bool is_interface_name(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && len < PACKET_IFACE && !strpbrk(text, "/: \t\n\v\f\r") && strcmp(text, ".") != 0 &&
           strcmp(text, "..") != 0;
}

static int parse_name(const struct doc *doc, const char *file, char ret[PACKET_IFACE], struct err *err)
{
    if (doc->type != DOC_STRING) {
        return wrong_type(doc, file, "string", err);
    }
    if (!is_interface_name(doc->text)) {
        (void)err_set(err, ERR_INPUT, 0, "\"%.32s\" is no interface name", doc->text);
        return err_at_object(err, "%s:%u", file, doc->line);
    }
    memcpy(ret, doc->text, strlen(doc->text) + 1);
    return 0;
}

static int parse_addresses(const struct doc *list, const char *file, size_t interface, struct facts_build *build,
                           struct err *err)
{
    if (list->type != DOC_LIST) {
        return wrong_type(list, file, "list", err);
    }
    for (const struct doc *item = list->child; item; item = item->next) {
        struct facts_build_address address = {0};
        if (item->type != DOC_STRING || !address_parse(item->text, &address.address)) {
            (void)err_set(err, ERR_INPUT, 0, "not an IP address");
            return err_at_object(err, "%s:%u", file, item->line);
        }
        memcpy(address.interface, build->interfaces.v[interface].name, sizeof(address.interface));
        if (vec_push(&build->addresses, address) < 0) {
            return err_oom(err);
        }
    }
    return 0;
}

static int parse_interface(const struct doc *doc, const char *file, struct facts_build *build, struct err *err)
{
    if (doc->type != DOC_MAP) {
        return wrong_type(doc, file, "map", err);
    }
    struct facts_interface interface = {0};
    const struct doc *addresses = NULL;
    for (const struct doc *item = doc->child; item; item = item->next) {
        if (strcmp(item->key, "name") == 0) {
            if (parse_name(item, file, interface.name, err) < 0) {
                return err_at_field(err, "name");
            }
        } else if (strcmp(item->key, "master") == 0) {
            if (parse_name(item, file, interface.master, err) < 0) {
                return err_at_field(err, "master");
            }
        } else if (strcmp(item->key, "kind") == 0) {
            if (item->type != DOC_STRING) {
                return wrong_type(item, file, "string", err);
            }
            if (strlen(item->text) >= sizeof(interface.kind)) {
                (void)err_set(err, ERR_INPUT, 0, "is longer than %zu bytes", sizeof(interface.kind) - 1);
                return err_at_object(err, "%s:%u", file, item->line);
            }
            memcpy(interface.kind, item->text, strlen(item->text) + 1);
        } else if (strcmp(item->key, "addresses") == 0) {
            addresses = item;
        } else {
            return unknown_key(item, file, err);
        }
    }
    if (!interface.name[0]) {
        (void)err_set(err, ERR_INPUT, 0, "has no name");
        return err_at_object(err, "%s:%u", file, doc->line);
    }
    if (vec_push(&build->interfaces, interface) < 0) {
        return err_oom(err);
    }
    return addresses ? parse_addresses(addresses, file, build->interfaces.n - 1, build, err) : 0;
}

static int parse_route_to(const struct doc *doc, const char *file, struct facts_build_routes *to, struct err *err)
{
    if (doc->type != DOC_MAP) {
        return wrong_type(doc, file, "map", err);
    }
    struct facts_build_route route = {0};
    bool has_prefix = false;
    for (const struct doc *item = doc->child; item; item = item->next) {
        if (strcmp(item->key, "prefix") == 0) {
            if (item->type != DOC_STRING || !prefix_parse(item->text, &route.route.prefix)) {
                (void)err_set(err, ERR_INPUT, 0, "not a CIDR");
                return err_at_object(err, "%s:%u", file, item->line);
            }
            has_prefix = true;
        } else if (strcmp(item->key, "device") == 0) {
            if (parse_name(item, file, route.route.device, err) < 0) {
                return err_at_field(err, "device");
            }
        } else {
            return unknown_key(item, file, err);
        }
    }
    if (!has_prefix || !route.route.device[0]) {
        (void)err_set(err, ERR_INPUT, 0, "needs a prefix and a device");
        return err_at_object(err, "%s:%u", file, doc->line);
    }
    return vec_push(to, route) < 0 ? err_oom(err) : 0;
}

static int parse_route(const struct doc *doc, const char *file, struct facts_build *build, struct err *err)
{
    return parse_route_to(doc, file, &build->routes, err);
}

static int parse_local_route(const struct doc *doc, const char *file, struct facts_build *build, struct err *err)
{
    return parse_route_to(doc, file, &build->local, err);
}

static int parse_broadcast_route(const struct doc *doc, const char *file, struct facts_build *build, struct err *err)
{
    if (parse_route_to(doc, file, &build->broadcast, err) < 0) {
        return -1;
    }
    const struct prefix *prefix = &build->broadcast.v[build->broadcast.n - 1].route.prefix;
    if (prefix->address.family != FAMILY_V4 || prefix->length != family_bits(FAMILY_V4)) {
        (void)err_set(err, ERR_INPUT, 0, "not the prefix of one IPv4 address");
        return err_at_object(err, "%s:%u", file, doc->line);
    }
    return 0;
}

// The key's family; FAMILY_COUNT: it names none.
static size_t family_of_key(const char *key)
{
    size_t family = 0;
    while (family < FAMILY_COUNT && strcmp(key, family_key[family]) != 0) {
        family++;
    }
    return family;
}

static int parse_port(const struct doc *doc, const char *file, struct facts_build *build, struct err *err)
{
    if (doc->type != DOC_MAP) {
        return wrong_type(doc, file, "map", err);
    }
    struct facts_port port = {0};
    bool has_address = false;
    for (const struct doc *item = doc->child; item; item = item->next) {
        if (strcmp(item->key, "address") == 0) {
            if (item->type != DOC_STRING || !address_parse(item->text, &port.address)) {
                (void)err_set(err, ERR_INPUT, 0, "not an IP address");
                return err_at_object(err, "%s:%u", file, item->line);
            }
            has_address = true;
        } else if (strcmp(item->key, "port") == 0) {
            if (parse_name(item, file, port.port, err) < 0) {
                return err_at_field(err, "port");
            }
        } else {
            return unknown_key(item, file, err);
        }
    }
    if (!has_address || !port.port[0]) {
        (void)err_set(err, ERR_INPUT, 0, "needs an address and a port");
        return err_at_object(err, "%s:%u", file, doc->line);
    }
    return vec_push(&build->ports, port) < 0 ? err_oom(err) : 0;
}

static int parse_tunnel_port(const struct doc *doc, const char *file, struct facts_build *build, struct err *err)
{
    uint64_t number = 0;
    if (doc->type != DOC_NUMBER || !num_parse_u64(doc->text, strlen(doc->text), UINT16_MAX, &number) || number == 0) {
        (void)err_set(err, ERR_INPUT, 0, "not a port number");
        return err_at_object(err, "%s:%u", file, doc->line);
    }
    return vec_push(&build->tunnel_ports, (uint16_t)number) < 0 ? err_oom(err) : 0;
}

static int parse_switches(const struct doc *doc, const char *file, struct facts_build *build, struct err *err)
{
    if (doc->type != DOC_MAP) {
        return wrong_type(doc, file, "map", err);
    }
    for (const struct doc *item = doc->child; item; item = item->next) {
        size_t family = family_of_key(item->key);
        bool vlan = strcmp(item->key, "vlan") == 0;
        if (family == FAMILY_COUNT && !vlan) {
            return unknown_key(item, file, err);
        }
        size_t value = 0;
        while (value < ARRAY_SIZE(switch_text) &&
               (item->type != DOC_STRING || strcmp(item->text, switch_text[value]) != 0)) {
            value++;
        }
        if (value == ARRAY_SIZE(switch_text)) {
            (void)err_set(err, ERR_INPUT, 0, "must be \"on\", \"off\" or \"unknown\"");
            return err_at_object(err, "%s:%u", file, item->line);
        }
        *(vlan ? &build->bridge_nf_vlan : &build->bridge_nf[family]) = (enum facts_switch)value;
    }
    return 0;
}

static int parse_revoked(const struct doc *doc, const char *file, struct facts_build *build, struct err *err)
{
    if (doc->type != DOC_MAP) {
        return wrong_type(doc, file, "map", err);
    }
    for (const struct doc *item = doc->child; item; item = item->next) {
        size_t family = family_of_key(item->key);
        if (family == FAMILY_COUNT) {
            return unknown_key(item, file, err);
        }
        if (item->type != DOC_BOOL) {
            return wrong_type(item, file, "boolean", err);
        }
        build->revoked[family] = item->boolean;
    }
    return 0;
}

typedef int parse_item_fn(const struct doc *doc, const char *file, struct facts_build *build, struct err *err);

static int parse_list(const struct doc *list, const char *file, parse_item_fn *fn, struct facts_build *build,
                      struct err *err)
{
    if (list->type != DOC_LIST) {
        (void)wrong_type(list, file, "list", err);
        return err_at_field(err, "%s", list->key);
    }
    size_t index = 0;
    for (const struct doc *item = list->child; item; item = item->next, index++) {
        if (fn(item, file, build, err) < 0) {
            return err_at_field(err, "%s[%zu]", list->key, index);
        }
    }
    return 0;
}

static int parse_root(const struct doc *root, const char *file, struct facts_build *build, struct err *err)
{
    if (root->type != DOC_MAP) {
        return wrong_type(root, file, "map", err);
    }
    for (const struct doc *item = root->child; item; item = item->next) {
        int result = 0;
        if (strcmp(item->key, "interfaces") == 0) {
            result = parse_list(item, file, parse_interface, build, err);
        } else if (strcmp(item->key, "routes") == 0) {
            result = parse_list(item, file, parse_route, build, err);
        } else if (strcmp(item->key, "localRoutes") == 0) {
            result = parse_list(item, file, parse_local_route, build, err);
        } else if (strcmp(item->key, "broadcastRoutes") == 0) {
            result = parse_list(item, file, parse_broadcast_route, build, err);
        } else if (strcmp(item->key, "bridgeNf") == 0) {
            result = parse_switches(item, file, build, err);
        } else if (strcmp(item->key, "ports") == 0) {
            result = parse_list(item, file, parse_port, build, err);
        } else if (strcmp(item->key, "tunnelPorts") == 0) {
            result = parse_list(item, file, parse_tunnel_port, build, err);
        } else if (strcmp(item->key, "revoked") == 0) {
            result = parse_revoked(item, file, build, err);
        } else if (strcmp(item->key, "ipvs") == 0) {
            if (item->type != DOC_BOOL) {
                return wrong_type(item, file, "boolean", err);
            }
            build->ipvs = item->boolean;
        } else {
            result = unknown_key(item, file, err);
        }
        if (result < 0) {
            return err_at_field(err, "%s", item->key);
        }
    }
    return 0;
}

static void cleanup_arena(struct arena *arena)
{
    arena_free(arena);
}

int facts_parse_json(const char *text, size_t len, const char *file, struct facts **ret, struct err *err)
{
    __attribute__((cleanup(cleanup_arena))) struct arena arena = {0};
    FACTS_BUILD_CLEANUP struct facts_build build = {0};
    struct doc *root = NULL;
    size_t used = 0;
    unsigned next_line = 0;
    if (json_parse(text, len, 1, &arena, &root, &used, &next_line, err) < 0) {
        // What json_parse says of the place is "line N".
        char line[sizeof(err->object)] = "";
        if (err) {
            (void)snprintf(line, sizeof(line), "%s", err->object);
            err->object[0] = '\0';
        }
        return err_at_object(err, "%.120s%s%s", file, *line ? ", " : "", line);
    }
    if (used != len) {
        (void)err_set(err, ERR_INPUT, 0, "more text behind the facts");
        return err_at_object(err, "%s:%u", file, next_line);
    }
    if (parse_root(root, file, &build, err) < 0) {
        return -1;
    }
    if (facts_build_finish(&build, ret, err) < 0) {
        return err_at_object(err, "%s", file);
    }
    return 0;
}
