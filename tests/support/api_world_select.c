// SPDX-License-Identifier: Apache-2.0
//
// Field selectors, as the API server evaluates them: terms with =, == or !=, joined by commas (api-client.md 1.9).
#include <stdio.h>

#include "support/api_world_private.h"

struct term {
    char label[128];
    char value[128];
    bool negated;
};

// The term at text; returns what is behind it, NULL at the end.
static const char *next_term(const char *text, struct term *ret)
{
    if (!*text) {
        return NULL;
    }
    size_t len = strcspn(text, ",");
    size_t name = strcspn(text, "=!");
    if (name >= len) {
        (void)snprintf(ret->label, sizeof(ret->label), "%.*s", (int)len, text);
        return text + len + (text[len] == ',');
    }
    size_t op = text[name] == '!' || text[name + 1] == '=' ? 2 : 1;
    *ret = (struct term){.negated = text[name] == '!'};
    (void)snprintf(ret->label, sizeof(ret->label), "%.*s", (int)name, text);
    (void)snprintf(ret->value, sizeof(ret->value), "%.*s", (int)(len - name - op), text + name + op);
    return text + len + (text[len] == ',');
}

const char *world_selector_check(const struct world *world, int kind, const char *selector)
{
    static const char *const pods[] = {"spec.nodeName",           "spec.restartPolicy", "spec.schedulerName",
                                       "spec.serviceAccountName", "status.phase",       "status.podIP",
                                       "status.nominatedNodeName"};
    static char unknown[128];
    struct term term;
    for (const char *at = selector; (at = next_term(at, &term));) {
        bool known = strcmp(term.label, "metadata.name") == 0 ||
                     (world_kind_rows[kind].namespaced && strcmp(term.label, "metadata.namespace") == 0) ||
                     (kind == WORLD_NAMESPACES && strcmp(term.label, "status.phase") == 0) ||
                     (kind == WORLD_NODES && strcmp(term.label, "spec.unschedulable") == 0) ||
                     (kind == WORLD_PODS && world->host_network_label && strcmp(term.label, "spec.hostNetwork") == 0);
        for (size_t i = 0; kind == WORLD_PODS && i < ARRAY_SIZE(pods); i++) {
            known = known || strcmp(term.label, pods[i]) == 0;
        }
        if (!known || (world->unknown_label && strcmp(term.label, world->unknown_label) == 0)) {
            (void)snprintf(unknown, sizeof(unknown), "%s", term.label);
            return unknown;
        }
    }
    return NULL;
}

static const char *field(int kind, const char *label, const struct world_version *object, char *ns, size_t size)
{
    const char *slash = strchr(object->key, '/');
    if (strcmp(label, "metadata.name") == 0) {
        return slash ? slash + 1 : object->key;
    }
    if (strcmp(label, "metadata.namespace") == 0) {
        (void)snprintf(ns, size, "%.*s", slash ? (int)(slash - object->key) : 0, object->key);
        return ns;
    }
    if (kind == WORLD_PODS && strcmp(label, "spec.nodeName") == 0) {
        return object->node;
    }
    if (kind == WORLD_PODS && strcmp(label, "status.phase") == 0) {
        return object->phase;
    }
    if (strcmp(label, "spec.hostNetwork") == 0) {
        return object->host_network ? "true" : "false";
    }
    return kind == WORLD_NAMESPACES && strcmp(label, "status.phase") == 0 ? "Active" : "";
}

bool world_selector_matches(int kind, const char *selector, const struct world_version *object)
{
    struct term term;
    char ns[256];
    for (const char *at = selector; (at = next_term(at, &term));) {
        bool equal = strcmp(field(kind, term.label, object, ns, sizeof(ns)), term.value) == 0;
        if (equal == term.negated) {
            return false;
        }
    }
    return true;
}
