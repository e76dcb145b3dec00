// SPDX-License-Identifier: Apache-2.0
#include "model/labels.h"

#include <string.h>

const char *labels_get(const struct labels *labels, const char *key)
{
    size_t low = 0;
    size_t high = labels->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(labels->v[mid].key, key);
        if (order == 0) {
            return labels->v[mid].value;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

bool labels_equal(const struct labels *a, const struct labels *b)
{
    if (a->n != b->n) {
        return false;
    }
    for (size_t i = 0; i < a->n; i++) {
        if (strcmp(a->v[i].key, b->v[i].key) != 0 || strcmp(a->v[i].value, b->v[i].value) != 0) {
            return false;
        }
    }
    return true;
}

static bool has_value(const struct requirement *requirement, const char *value)
{
    size_t low = 0;
    size_t high = requirement->n_values;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(requirement->values[mid], value);
        if (order == 0) {
            return true;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return false;
}

bool requirement_matches(const struct requirement *requirement, const struct labels *labels)
{
    const char *value = labels_get(labels, requirement->key);
    switch (requirement->op) {
    case SELECTOR_IN:
        return value && has_value(requirement, value);
    case SELECTOR_NOT_IN:
        return !value || !has_value(requirement, value);
    case SELECTOR_EXISTS:
        return value != NULL;
    case SELECTOR_NOT_EXISTS:
        return value == NULL;
    case SELECTOR_UNKNOWN:
        return false;
    }
    return false;
}

int requirement_compare(const struct requirement *a, const struct requirement *b)
{
    int order = strcmp(a->key, b->key);
    if (order) {
        return order;
    }
    if (a->op != b->op) {
        return a->op < b->op ? -1 : 1;
    }
    for (size_t i = 0; i < a->n_values && i < b->n_values; i++) {
        order = strcmp(a->values[i], b->values[i]);
        if (order) {
            return order;
        }
    }
    return (a->n_values > b->n_values) - (a->n_values < b->n_values);
}

bool selector_equal(const struct selector *a, const struct selector *b)
{
    if (a->n != b->n || a->unreadable != b->unreadable) {
        return false;
    }
    for (size_t i = 0; i < a->n; i++) {
        if (requirement_compare(&a->v[i], &b->v[i]) != 0) {
            return false;
        }
    }
    return true;
}

const char *selector_operator_name(enum selector_operator op)
{
    switch (op) {
    case SELECTOR_IN:
        return "In";
    case SELECTOR_NOT_IN:
        return "NotIn";
    case SELECTOR_EXISTS:
        return "Exists";
    case SELECTOR_NOT_EXISTS:
        return "DoesNotExist";
    case SELECTOR_UNKNOWN:
        return "?";
    }
    return "?";
}

static bool has_values(enum selector_operator op)
{
    return op == SELECTOR_IN || op == SELECTOR_NOT_IN;
}

void selector_format(const struct selector *selector, struct buf *out)
{
    if (selector->unreadable) {
        buf_putc(out, '!');
    }
    for (size_t i = 0; i < selector->n; i++) {
        const struct requirement *r = &selector->v[i];
        buf_printf(out, "%s%s %zu:", i ? ";" : "", selector_operator_name(r->op), strlen(r->key));
        buf_puts(out, r->key);
        for (size_t j = 0; has_values(r->op) && j < r->n_values; j++) {
            buf_printf(out, "%c%zu:", j ? ',' : '=', strlen(r->values[j]));
            buf_puts(out, r->values[j]);
        }
    }
}

static void describe_requirement(const struct requirement *r, struct buf *out)
{
    if (r->op == SELECTOR_NOT_EXISTS) {
        buf_putc(out, '!');
    }
    buf_puts(out, r->key);
    if (r->op == SELECTOR_UNKNOWN) {
        buf_puts(out, " ?");
    }
    if (!has_values(r->op)) {
        return;
    }
    if (r->n_values == 1) {
        buf_puts(out, r->op == SELECTOR_IN ? "=" : "!=");
        buf_puts(out, r->values[0]);
        return;
    }
    buf_puts(out, r->op == SELECTOR_IN ? " in (" : " notin (");
    for (size_t i = 0; i < r->n_values; i++) {
        buf_puts(out, i ? "," : "");
        buf_puts(out, r->values[i]);
    }
    buf_putc(out, ')');
}

void selector_describe(const struct selector *selector, struct buf *out)
{
    if (selector->n == 0 && !selector->unreadable) {
        buf_puts(out, "<all>");
    }
    for (size_t i = 0; i < selector->n; i++) {
        buf_puts(out, i ? "," : "");
        describe_requirement(&selector->v[i], out);
    }
    if (selector->unreadable) {
        buf_puts(out, selector->n ? ",<unreadable>" : "<unreadable>");
    }
}
