// SPDX-License-Identifier: Apache-2.0
//
// The result of the plugins before: read for what the daemon is told, and passed on.
#include <stdio.h>
#include <unistd.h>

#include "plugin.h"
#include "json/json_write.h"

static int bad(struct plugin_error *error, const char *why)
{
    return plugin_fail(error, PLUGIN_CONFIG, why, "network configuration: \"prevResult\" is not usable");
}

static const char *text_of(const struct doc *doc, const char *key)
{
    const struct doc *got = doc_get(doc, key);
    return got && got->type == DOC_STRING ? got->text : "";
}

static const struct doc *list_of(const struct doc *doc, const char *key)
{
    const struct doc *got = doc_get(doc, key);
    return got && got->type == DOC_LIST ? got : NULL;
}

static bool is_bridge(const char *name)
{
    char path[64 + PACKET_IFACE];
    (void)snprintf(path, sizeof(path), "/sys/class/net/%s/bridge", name);
    return access(path, F_OK) == 0;
}

// A number that sysfs has of an interface; 0: it does not say.
static long number_of(const char *name, const char *file)
{
    char path[64 + PACKET_IFACE];
    long number = 0;
    (void)snprintf(path, sizeof(path), "/sys/class/net/%s/%s", name, file);
    FILE *stream = fopen(path, "re");
    if (stream) {
        number = fscanf(stream, "%ld", &number) == 1 ? number : 0;
        (void)fclose(stream);
    }
    return number;
}

// Whether it is one end of something: a veth's iflink is its peer's index (in the peer's namespace, where it may be the
// same number as its own, then it does not show), that of a device that stands alone (ifb, tap) its own.
static bool is_linked(const char *name)
{
    long link = number_of(name, "iflink");
    return link != 0 && link != number_of(name, "ifindex");
}

// The host's end among the interfaces outside of the sandbox that are no bridge. Plugins that make pairs list theirs
// right before the sandbox's own (bridge, ptp and those that are made like them), or without it; those that come later
// (bandwidth: an ifb) append. So: the last before the sandbox's, else the first. One that is linked goes before all
// that are not; where sysfs tells nothing, the order decides.
static void find_port(const struct doc *interfaces, struct cni_attachment *ret)
{
    bool any_sandbox = false;
    for (const struct doc *item = interfaces ? interfaces->child : NULL; item; item = item->next) {
        any_sandbox = any_sandbox || *text_of(item, "sandbox");
    }
    bool behind = !any_sandbox;
    bool linked = false;
    for (const struct doc *item = interfaces ? interfaces->child : NULL; item; item = item->next) {
        const char *name = text_of(item, "name");
        char file[CNI_ID + PACKET_IFACE + 16];
        if (*text_of(item, "sandbox")) {
            behind = true;
        } else if (cni_book_file("x", name, file, sizeof(file)) && !is_bridge(name)) {
            bool better = is_linked(name);
            if (better == linked ? !behind || !*ret->port : better) {
                memcpy(ret->port, name, strlen(name) + 1);
                linked = better;
            }
        }
    }
}

// CIDR notation, as the specification has it.
static bool parse_address(const char *text, struct address *ret)
{
    struct prefix prefix;
    size_t len = strcspn(text, "/");
    char own[ADDRESS_TEXT];
    if (len >= sizeof(own) || text[len] != '/') {
        return false;
    }
    memcpy(own, text, len);
    own[len] = '\0';
    // The prefix is the network's, the address one in it.
    return address_parse(own, ret) && strspn(text + len + 1, "0123456789") == strlen(text + len + 1) &&
           prefix_parse(text, &prefix);
}

// What no pod can be known by. Link-local ones of IPv6 it can have, and no policy speaks of them.
static bool is_unusable(const struct address *address)
{
    bool zeros = true;
    bool ones = true;
    for (size_t i = 0; i < family_bits(address->family) / 8; i++) {
        zeros = zeros && address->bytes[i] == 0;
        ones = ones && address->bytes[i] == 0xff;
    }
    return zeros || ones || address_is_multicast(address) || address_is_loopback(address);
}

static int add_address(struct cni_attachment *ret, const struct address *address, struct plugin_error *error)
{
    for (size_t i = 0; i < ret->n_addresses; i++) {
        if (address_equal(&ret->addresses[i], address)) {
            return 0;
        }
    }
    if (address->family == FAMILY_V6 && address_is_link_local(address)) {
        return 0;
    }
    if (ret->n_addresses == LIMIT_POD_ADDRESSES) {
        return bad(error, "the interface has too many addresses");
    }
    ret->addresses[ret->n_addresses++] = *address;
    return 0;
}

static int check_interface(const struct doc *ip, const struct doc *interfaces, bool *ret_inside,
                           struct plugin_error *error)
{
    const struct doc *index = doc_get(ip, "interface");
    *ret_inside = true;
    if (!index || index->type == DOC_NULL) {
        return 0;
    }
    const struct doc *item = interfaces ? interfaces->child : NULL;
    if (index->type != DOC_NUMBER || !index->integral || index->integer < 0) {
        return bad(error, "an address names an interface by what is no index");
    }
    for (int64_t i = 0; item && i < index->integer; i++) {
        item = item->next;
    }
    if (!item) {
        return bad(error, "an address names an interface that is not listed");
    }
    *ret_inside = *text_of(item, "sandbox");
    return 0;
}

int plugin_read_result(const struct doc *previous, struct cni_attachment *ret, struct plugin_error *error)
{
    const struct doc *interfaces = list_of(previous, "interfaces");
    const struct doc *ips = list_of(previous, "ips");
    for (const struct doc *ip = ips ? ips->child : NULL; ip; ip = ip->next) {
        bool inside;
        struct address address;
        if (check_interface(ip, interfaces, &inside, error) < 0) {
            return -1;
        }
        if (!parse_address(text_of(ip, "address"), &address)) {
            return bad(error, "an address is none");
        }
        if (inside && is_unusable(&address)) {
            return bad(error, "an address is none that a pod can have");
        }
        if (inside && add_address(ret, &address, error) < 0) {
            return -1;
        }
    }
    if (ret->n_addresses == 0) {
        return bad(error, "it gives the pod no address: there is nothing to enforce its policies by");
    }
    find_port(interfaces, ret);
    return 0;
}

// ---- passing on ----------------------------------------------------------------------------------------------------

static size_t skip_string(const char *text, size_t len, size_t at)
{
    for (at++; at < len && text[at] != '"'; at++) {
        at += text[at] == '\\';
    }
    return at < len ? at + 1 : len;
}

// The end of the value at `at`.
static size_t skip_value(const char *text, size_t len, size_t at)
{
    unsigned depth = 0;
    while (at < len) {
        char c = text[at];
        if (c == '"') {
            at = skip_string(text, len, at);
        } else if (c == '{' || c == '[') {
            depth++;
            at++;
        } else if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
            return at;
        } else {
            depth -= c == '}' || c == ']';
            at++;
        }
        if (depth == 0 && at > 0 && strchr("\"}]", text[at - 1])) {
            return at;
        }
    }
    return at;
}

static size_t skip_blanks(const char *text, size_t len, size_t at)
{
    while (at < len && strchr(" \t\r\n", text[at])) {
        at++;
    }
    return at;
}

bool plugin_raw_member(const char *text, size_t len, const char *key, size_t *ret_at, size_t *ret_len)
{
    size_t n_key = strlen(key);
    size_t at = skip_blanks(text, len, 0);
    while (at < len && (text[at] == '{' || text[at] == ',')) {
        size_t name = skip_blanks(text, len, at + 1);
        if (name >= len || text[name] != '"') {
            return false;
        }
        size_t after = skip_string(text, len, name);
        size_t colon = skip_blanks(text, len, after);
        size_t value = skip_blanks(text, len, colon + 1);
        size_t end = skip_value(text, len, value);
        if (after - name == n_key + 2 && memcmp(text + name + 1, key, n_key) == 0) {
            *ret_at = value;
            *ret_len = end - value;
            return true;
        }
        at = skip_blanks(text, len, end);
    }
    return false;
}

void plugin_put_result(const struct plugin_config *config, const char *text, size_t len, struct buf *out)
{
    size_t at;
    size_t n;
    if (strcmp(text_of(config->previous, "cniVersion"), config->version) == 0 &&
        plugin_raw_member(text, len, "prevResult", &at, &n)) {
        buf_add(out, text + at, n);
        buf_putc(out, '\n');
        return;
    }
    buf_puts(out, "{\"cniVersion\":");
    buf_json_string(out, config->version);
    for (const struct doc *member = config->previous->child; member; member = member->next) {
        if (strcmp(member->key, "cniVersion") != 0) {
            buf_putc(out, ',');
            buf_json_string(out, member->key);
            buf_putc(out, ':');
            json_write(member, out);
        }
    }
    buf_puts(out, "}\n");
}

void plugin_put_error(const char *version, const struct plugin_error *error, struct buf *out)
{
    buf_puts(out, "{\"cniVersion\":");
    buf_json_string(out, version);
    buf_printf(out, ",\"code\":%u,\"msg\":", error->code);
    buf_json_string(out, error->msg);
    buf_puts(out, ",\"details\":");
    buf_json_string(out, error->details);
    buf_puts(out, "}\n");
}
