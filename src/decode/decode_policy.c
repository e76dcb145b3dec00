// SPDX-License-Identifier: Apache-2.0
//
// NetworkPolicy: what it selects, which directions it isolates, its rules (networkpolicy-v1.md 1). A policy whose
// namespace and podSelector are readable isolates, and grants nothing from its unreadable parts (DESIGN 2.6).
#include "decode/decode_object.h"

#include "base/limits.h"

static const char *const spec_keys[] = {"podSelector", "ingress", "egress", "policyTypes", NULL};

static const struct {
    const char *key;
    const char *type;  // in policyTypes
} directions[DIRECTION_COUNT] = {
    [DIRECTION_INGRESS] = {"ingress", "Ingress"},
    [DIRECTION_EGRESS] = {"egress", "Egress"},
};

struct policy_decode {
    struct decode *decode;
    struct path spec;
    const struct doc *doc;  // spec
    struct policy *policy;
};

static void isolate_both(struct policy_decode *d)
{
    d->policy->isolates[DIRECTION_INGRESS] = true;
    d->policy->isolates[DIRECTION_EGRESS] = true;
    d->policy->unenforceable = true;
}

static void read_policy_type(struct policy_decode *d, const struct path *path, const struct doc *doc)
{
    if (doc->type != DOC_STRING) {
        decode_report_type(d->decode, DIAGNOSTIC_PARTIAL, path, doc, DOC_STRING);
        isolate_both(d);
        return;
    }
    for (int i = 0; i < DIRECTION_COUNT; i++) {
        if (strcmp(doc->text, directions[i].type) == 0) {
            d->policy->isolates[i] = true;
            return;
        }
    }
    decode_report(d->decode, DIAGNOSTIC_WARNING, path, doc->line, "unknown policy type %s is ignored",
                  decode_quote(d->decode, doc->text));
    d->policy->unenforceable = true;
}

// Effective policyTypes (1.2). What cannot be read isolates.
static void read_policy_types(struct policy_decode *d)
{
    struct path path = {.up = &d->spec, .key = "policyTypes"};
    const struct doc *list = decode_field(d->doc, "policyTypes");
    if (list && list->type != DOC_LIST) {
        decode_report_type(d->decode, DIAGNOSTIC_PARTIAL, &path, list, DOC_LIST);
        isolate_both(d);
        return;
    }
    if (!list || !list->child) {
        const struct doc *egress = decode_field(d->doc, "egress");
        d->policy->isolates[DIRECTION_INGRESS] = true;
        d->policy->isolates[DIRECTION_EGRESS] = egress && (egress->type != DOC_LIST || egress->child);
        return;
    }
    size_t index = 0;
    for (const struct doc *child = list->child; child; child = child->next, index++) {
        struct path at = {.up = &path, .index = index};
        read_policy_type(d, &at, child);
    }
}

static void read_rules(struct policy_decode *d, enum direction direction)
{
    struct decode *decode = d->decode;
    struct path path = {.up = &d->spec, .key = directions[direction].key};
    const struct doc *list = decode_field(d->doc, path.key);
    if (!list || !d->policy->isolates[direction]) {
        return;
    }
    if (list->type != DOC_LIST) {
        decode_report_type(decode, DIAGNOSTIC_PARTIAL, &path, list, DOC_LIST);
        d->policy->unenforceable = true;
        return;
    }
    size_t count = decode_count(list);
    if (count > LIMIT_POLICY_RULES) {
        decode_report(decode, DIAGNOSTIC_PARTIAL, &path, list->line,
                      "%zu rules, at most %d are supported: none is used", count, LIMIT_POLICY_RULES);
        d->policy->unenforceable = true;
        return;
    }
    struct policy_rule *rules = decode_array(decode, count, sizeof(*rules));
    size_t n = 0;
    for (const struct doc *child = rules ? list->child : NULL; child; child = child->next) {
        struct path at = {.up = &path, .index = n};
        decode_rule(decode, &at, child, direction, &rules[n], &d->policy->unenforceable);
        n++;
    }
    d->policy->rules[direction] = rules;
    d->policy->n_rules[direction] = n;
}

// Absent is {}: every pod of the policy's namespace.
static void read_subject(struct policy_decode *d)
{
    struct path path = {.up = &d->spec, .key = "podSelector"};
    const struct doc *selector = decode_typed(d->decode, DIAGNOSTIC_LOST, &d->spec, d->doc, "podSelector", DOC_MAP);
    if (!selector) {
        return;
    }
    decode_selector(d->decode, &path, selector, &d->policy->subject);
    if (d->policy->subject.unreadable) {
        decode_report(
            d->decode, DIAGNOSTIC_PARTIAL, &path, selector->line,
            "cannot be read as a whole: the policy isolates what its readable part selects and grants nothing");
        d->policy->grants_nothing = true;
        d->policy->unenforceable = true;
    }
}

static void read_spec(struct policy_decode *d)
{
    for (const struct doc *child = decode_next_unknown(d->doc->child, spec_keys); child;
         child = decode_next_unknown(child->next, spec_keys)) {
        struct path path = {.up = &d->spec, .key = child->key};
        decode_report(d->decode, DIAGNOSTIC_WARNING, &path, child->line, "unknown field is ignored");
    }
    read_subject(d);
    read_policy_types(d);
    for (int i = 0; i < DIRECTION_COUNT; i++) {
        read_rules(d, (enum direction)i);
        if (d->policy->grants_nothing) {
            d->policy->rules[i] = NULL;
            d->policy->n_rules[i] = 0;
        }
    }
}

void decode_policy(struct decode *decode, const struct doc *doc, struct policy *ret)
{
    static const struct doc absent = {.type = DOC_MAP};
    *ret = (struct policy){0};
    decode_meta(decode, doc, OBJECT_POLICY, &ret->meta);
    struct policy_decode d = {.decode = decode, .spec = {.key = "spec"}, .policy = ret};
    d.doc = decode_typed(decode, DIAGNOSTIC_LOST, NULL, doc, "spec", DOC_MAP);
    if (decode->lost) {
        return;
    }
    if (!d.doc) {
        d.doc = &absent;
        decode_report(decode, DIAGNOSTIC_WARNING, &d.spec, doc->line,
                      "is missing: the policy isolates every pod of the namespace");
    }
    read_spec(&d);
}
