// SPDX-License-Identifier: Apache-2.0
//
// netpold-cni's input, a network configuration and behind a NUL byte CNI_ARGS: no crash; what it tells is what the
// daemon takes, and addresses that a pod can have, each once; what it passes on is one JSON object with everything that
// came and the version that was asked for.
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../../cmd/netpold-cni/plugin.h"
#include "agent/cni_request.h"
#include "json/json_plain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good) {
        abort();
    }
}

static bool same_text(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static bool same(const struct doc *a, const struct doc *b)
{
    if (a->type != b->type || a->boolean != b->boolean || !same_text(a->key, b->key) || !same_text(a->text, b->text)) {
        return false;
    }
    const struct doc *in_b = b->child;
    for (const struct doc *in_a = a->child; in_a; in_a = in_a->next) {
        if (!in_b || !same(in_a, in_b)) {
            return false;
        }
        in_b = in_b->next;
    }
    return !in_b;
}

static void check_told(const struct cni_attachment *told)
{
    check(told->n_addresses >= 1 && told->n_addresses <= LIMIT_POD_ADDRESSES);
    for (size_t i = 0; i < told->n_addresses; i++) {
        const struct address *address = &told->addresses[i];
        check(!address_is_multicast(address) && !address_is_loopback(address));
        check(address->family != FAMILY_V6 || !address_is_link_local(address));
        for (size_t k = 0; k < i; k++) {
            check(!address_equal(address, &told->addresses[k]));
        }
    }
    BUF_CLEANUP struct buf request = {0};
    struct arena arena = {0};
    struct doc *doc = NULL;
    struct err err = {0};
    struct cni_attachment got = {0};
    buf_putc(&request, '{');
    cni_request_put(told, &request);
    buf_putc(&request, '}');
    check(json_parse_plain(request.data, request.len, &arena, &doc, &err) == 0);
    // The daemon may refuse a name of no pod; it never understands another one.
    if (cni_request_parse(doc, &got, &err) == 0) {
        check(strcmp(got.ns, told->ns) == 0 && strcmp(got.name, told->name) == 0 && strcmp(got.uid, told->uid) == 0);
        check(strcmp(got.port, told->port) == 0 && got.n_addresses == told->n_addresses);
        for (size_t i = 0; i < told->n_addresses; i++) {
            check(address_equal(&got.addresses[i], &told->addresses[i]));
        }
    }
    arena_free(&arena);
}

static void check_passed_on(const struct plugin_config *config, const char *text, size_t len)
{
    BUF_CLEANUP struct buf out = {0};
    struct arena arena = {0};
    struct doc *doc = NULL;
    struct err err = {0};
    size_t n = 0;
    plugin_put_result(config, text, len, &out);
    check(!out.failed && out.len > 0 && out.data[out.len - 1] == '\n');
    check(json_parse_plain(out.data, out.len, &arena, &doc, &err) == 0 && doc->type == DOC_MAP);
    const struct doc *version = doc_get(doc, "cniVersion");
    check(version && version->type == DOC_STRING && strcmp(version->text, config->version) == 0);
    for (const struct doc *member = config->previous->child; member; member = member->next) {
        bool is_version = strcmp(member->key, "cniVersion") == 0;
        const struct doc *got = doc_get(doc, member->key);
        check(is_version || (got && same(member, got)));
        n += is_version ? 0 : 1;
    }
    for (const struct doc *member = doc->child; member; member = member->next) {
        n -= strcmp(member->key, "cniVersion") == 0 ? 0 : 1;
    }
    check(n == 0);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    // As it is read: behind the text there is nothing that may be looked at.
    const uint8_t *nul = size ? memchr(data, '\0', size) : NULL;
    size_t len = nul ? (size_t)(nul - data) : size;
    char *text = malloc(len + 1);
    char args[512];
    check(text);
    memcpy(text, data, len);
    (void)snprintf(args, sizeof(args), "%.*s", nul ? (int)(size - len - 1) : 0, nul ? (const char *)nul + 1 : "");
    check(setenv("CNI_ARGS", args, 1) == 0);
    struct arena arena = {0};
    struct doc *doc = NULL;
    struct err err = {0};
    struct plugin_config config = {0};
    struct plugin_error error = {0};
    struct cni_attachment told = {.id = "c0", .ifname = "eth0"};
    bool is_pod = false;
    int pod = plugin_read_pod(&told, &is_pod, &error);
    check(pod == 0 || (error.code == PLUGIN_ENVIRONMENT && *error.msg));
    if (json_parse_plain(text, len, &arena, &doc, &err) == 0 && plugin_read_config(doc, &config, &error) == 0 &&
        config.previous) {
        if (pod == 0 && is_pod && plugin_read_result(config.previous, &told, &error) == 0) {
            check_told(&told);
        }
        check_passed_on(&config, text, len);
    }
    BUF_CLEANUP struct buf said = {0};
    plugin_put_error("1.0.0", &error, &said);
    arena_free(&arena);
    check(json_parse_plain(said.data, said.len, &arena, &doc, &err) == 0);
    arena_free(&arena);
    free(text);
    return 0;
}
