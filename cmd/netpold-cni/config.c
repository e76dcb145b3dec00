// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stdio.h>

#include "agent/control.h"
#include "base/num.h"
#include "plugin.h"

// The kubelet gives up after two minutes and more.
enum { TIMEOUT_MS = 30000, TIMEOUT_MIN_MS = 1, TIMEOUT_MAX_MS = 110000 };

const char *const plugin_versions[] = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0", NULL};

bool plugin_knows_version(const char *version)
{
    size_t i = 0;
    while (plugin_versions[i] && strcmp(plugin_versions[i], version) != 0) {
        i++;
    }
    return plugin_versions[i] != NULL;
}

int plugin_fail(struct plugin_error *error, unsigned code, const char *details, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    error->code = code;
    (void)vsnprintf(error->msg, sizeof(error->msg), fmt, args);
    (void)snprintf(error->details, sizeof(error->details), "%s", details);
    va_end(args);
    return -1;
}

static int bad(struct plugin_error *error, const char *key, const char *why)
{
    return plugin_fail(error, PLUGIN_CONFIG, why, "network configuration: \"%s\" is not usable", key);
}

static int read_timeout(const struct doc *doc, uint64_t *ret, struct plugin_error *error)
{
    const struct doc *got = doc_get(doc, "timeout");
    uint64_t ms = TIMEOUT_MS;
    if (got) {
        bool seconds = got->type == DOC_NUMBER && got->integral && got->integer > 0 && got->integer < TIMEOUT_MAX_MS;
        if (seconds) {
            ms = (uint64_t)got->integer * 1000;
        } else if (got->type != DOC_STRING || !num_parse_duration_ms(got->text, &ms)) {
            ms = 0;
        }
    }
    if (ms < TIMEOUT_MIN_MS || ms > TIMEOUT_MAX_MS) {
        return bad(error, "timeout", "it is a number of seconds or a duration (\"30s\"), at most 110 seconds");
    }
    *ret = ms;
    return 0;
}

int plugin_read_config(const struct doc *doc, struct plugin_config *ret, struct plugin_error *error)
{
    ret->socket = CONTROL_SOCKET;
    if (doc->type != DOC_MAP) {
        return plugin_fail(error, PLUGIN_DECODE, "", "network configuration: it is no JSON object");
    }
    const struct doc *version = doc_get(doc, "cniVersion");
    if (!version || version->type != DOC_STRING || !plugin_knows_version(version->text)) {
        return plugin_fail(error, PLUGIN_VERSION, "0.3.0, 0.3.1, 0.4.0, 1.0.0 and 1.1.0 are known here",
                           "incompatible CNI version \"%.40s\"",
                           version && version->type == DOC_STRING ? version->text : "");
    }
    ret->version = version->text;
    const struct doc *socket = doc_get(doc, "socket");
    if (socket && (socket->type != DOC_STRING || socket->text[0] != '/')) {
        return bad(error, "socket", "it is an absolute path: that of netpold's --socket");
    }
    ret->socket = socket ? socket->text : CONTROL_SOCKET;
    const struct doc *fail_open = doc_get(doc, "failOpen");
    if (fail_open && fail_open->type != DOC_BOOL) {
        return bad(error, "failOpen", "it is true or false");
    }
    ret->fail_open = fail_open && fail_open->boolean;
    const struct doc *previous = doc_get(doc, "prevResult");
    if (previous && previous->type != DOC_MAP && previous->type != DOC_NULL) {
        return bad(error, "prevResult", "it is no object");
    }
    ret->previous = previous && previous->type == DOC_MAP ? previous : NULL;
    return read_timeout(doc, &ret->timeout_ms, error);
}

// ---- the environment -----------------------------------------------------------------------------------------------

static int take(const char *name, const char *value, size_t len, char *ret, size_t size, struct plugin_error *error)
{
    if (len == 0 || len >= size) {
        return plugin_fail(error, PLUGIN_ENVIRONMENT, len ? "it is too long" : "it is missing or empty",
                           "environment: %s is not usable", name);
    }
    for (size_t i = 0; i < len; i++) {
        if (value[i] <= ' ' || value[i] > '~') {
            return plugin_fail(error, PLUGIN_ENVIRONMENT, "it has characters that are in no id and no name",
                               "environment: %s is not usable", name);
        }
    }
    memcpy(ret, value, len);
    ret[len] = '\0';
    return 0;
}

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value ? value : "";
}

int plugin_read_key(struct cni_attachment *ret, struct plugin_error *error)
{
    char file[CNI_ID + PACKET_IFACE + 16];
    const char *id = environment("CNI_CONTAINERID");
    const char *ifname = environment("CNI_IFNAME");
    if (take("CNI_CONTAINERID", id, strlen(id), ret->id, sizeof(ret->id), error) < 0 ||
        take("CNI_IFNAME", ifname, strlen(ifname), ret->ifname, sizeof(ret->ifname), error) < 0) {
        return -1;
    }
    if (!cni_book_file(id, ifname, file, sizeof(file))) {
        return plugin_fail(error, PLUGIN_ENVIRONMENT,
                           "an id is letters, digits and \"_.-\", a name is one that the kernel takes",
                           "environment: CNI_CONTAINERID or CNI_IFNAME is not usable");
    }
    return 0;
}

int plugin_read_pod(struct cni_attachment *ret, bool *ret_is_pod, struct plugin_error *error)
{
    const struct {
        const char *key;
        char *to;
        size_t size;
    } rows[] = {{"K8S_POD_NAMESPACE", ret->ns, sizeof(ret->ns)},
                {"K8S_POD_NAME", ret->name, sizeof(ret->name)},
                {"K8S_POD_UID", ret->uid, sizeof(ret->uid)}};
    const char *args = environment("CNI_ARGS");
    for (const char *at = args + strspn(args, ";"); *at; at += strspn(at, ";")) {
        size_t len = strcspn(at, ";");
        const char *equals = memchr(at, '=', len);
        if (!equals) {
            return plugin_fail(error, PLUGIN_ENVIRONMENT, "it is KEY=VALUE;KEY=VALUE",
                               "environment: CNI_ARGS is not usable");
        }
        size_t n_key = (size_t)(equals - at);
        size_t n_value = len - n_key - 1;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
            bool same = n_key == strlen(rows[i].key) && memcmp(at, rows[i].key, n_key) == 0;
            if (same && n_value && take(rows[i].key, equals + 1, n_value, rows[i].to, rows[i].size, error) < 0) {
                return -1;
            }
        }
        at += len;
    }
    if (!*ret->ns != !*ret->name) {
        return plugin_fail(error, PLUGIN_ENVIRONMENT, "K8S_POD_NAMESPACE and K8S_POD_NAME go together",
                           "environment: CNI_ARGS names half a pod");
    }
    *ret_is_pod = *ret->name;
    return 0;
}
