// SPDX-License-Identifier: Apache-2.0
#include "audit/verify_ports.h"

#include <stdbool.h>

enum { PORT_END = 65536, SIGNATURE_BITS = 64 };

void verify_ports_free(struct verify_ports *ports)
{
    vec_free(&ports->pieces);
    vec_free(&ports->first);
    vec_free(&ports->ranges);
    vec_free(&ports->starts);
}

static int compare_ranges(const void *a, const void *b)
{
    const struct port_range *x = a;
    const struct port_range *y = b;
    return x->first != y->first ? (int)x->first - (int)y->first : (int)x->last - (int)y->last;
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static int copy_ranges(const struct port_range *ranges, size_t n, struct verify_ports *to, struct err *err)
{
    to->ranges.n = 0;
    for (size_t i = 0; i < n; i++) {
        // A range that ends before it begins holds no port.
        if (ranges[i].first <= ranges[i].last && vec_push(&to->ranges, ranges[i]) < 0) {
            return err_oom(err);
        }
    }
    if (to->ranges.n > 1) {
        qsort(to->ranges.v, to->ranges.n, sizeof(*to->ranges.v), compare_ranges);
    }
    size_t unique = 0;
    for (size_t i = 0; i < to->ranges.n; i++) {
        if (unique == 0 || compare_ranges(&to->ranges.v[unique - 1], &to->ranges.v[i]) != 0) {
            to->ranges.v[unique++] = to->ranges.v[i];
        }
    }
    to->ranges.n = unique;
    return 0;
}

static int find_starts(struct verify_ports *to, struct err *err)
{
    to->starts.n = 0;
    if (vec_push(&to->starts, 0) < 0) {
        return err_oom(err);
    }
    for (size_t i = 0; i < to->ranges.n; i++) {
        if (vec_push(&to->starts, to->ranges.v[i].first) < 0 ||
            vec_push(&to->starts, (uint32_t)to->ranges.v[i].last + 1) < 0) {
            return err_oom(err);
        }
    }
    qsort(to->starts.v, to->starts.n, sizeof(*to->starts.v), compare_numbers);
    size_t unique = 0;
    for (size_t i = 0; i < to->starts.n; i++) {
        if (to->starts.v[i] < PORT_END && (unique == 0 || to->starts.v[unique - 1] != to->starts.v[i])) {
            to->starts.v[unique++] = to->starts.v[i];
        }
    }
    to->starts.n = unique;
    return 0;
}

// Which ranges hold the port. With more ranges than bits nothing is put together but what is in none of them.
static uint64_t signature(const struct verify_ports *ports, uint32_t port)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < ports->ranges.n; i++) {
        if (port >= ports->ranges.v[i].first && port <= ports->ranges.v[i].last) {
            if (ports->ranges.n > SIGNATURE_BITS) {
                return port + UINT64_C(1);
            }
            bits |= UINT64_C(1) << i;
        }
    }
    return bits;
}

// The pieces of one signature, beginning with that of starts[at]; taken ones lose theirs.
static int take_class(struct verify_ports *to, uint64_t *signatures, bool *taken, size_t at, struct err *err)
{
    for (size_t i = at; i < to->starts.n; i++) {
        if (taken[i] || signatures[i] != signatures[at]) {
            continue;
        }
        uint32_t behind = i + 1 < to->starts.n ? to->starts.v[i + 1] : PORT_END;
        const struct port_range piece = {(uint16_t)to->starts.v[i], (uint16_t)(behind - 1)};
        taken[i] = true;
        if (vec_push(&to->pieces, piece) < 0) {
            return err_oom(err);
        }
    }
    return 0;
}

int verify_ports_cut(const struct port_range *ranges, size_t n, bool has_ports, struct verify_ports *ret,
                     struct err *err)
{
    ret->pieces.n = ret->first.n = 0;
    ret->n_classes = 1;
    if (!has_ports) {
        return vec_push(&ret->first, 0) < 0 || vec_push(&ret->first, 0) < 0 ? err_oom(err) : 0;
    }
    if (copy_ranges(ranges, n, ret, err) < 0 || find_starts(ret, err) < 0) {
        return -1;
    }
    CLEANUP(free) uint64_t *signatures = calloc(ret->starts.n, sizeof(*signatures));
    CLEANUP(free) bool *taken = calloc(ret->starts.n, sizeof(*taken));
    if (!signatures || !taken) {
        return err_oom(err);
    }
    for (size_t i = 0; i < ret->starts.n; i++) {
        signatures[i] = signature(ret, ret->starts.v[i]);
    }
    for (size_t i = 0; i < ret->starts.n; i++) {
        if (taken[i]) {
            continue;
        }
        if (vec_push(&ret->first, (uint32_t)ret->pieces.n) < 0) {
            return err_oom(err);
        }
        if (take_class(ret, signatures, taken, i, err) < 0) {
            return -1;
        }
    }
    ret->n_classes = ret->first.n;
    return vec_push(&ret->first, (uint32_t)ret->pieces.n) < 0 ? err_oom(err) : 0;
}

const struct port_range *verify_ports_class(const struct verify_ports *ports, size_t class, size_t *ret_n)
{
    *ret_n = ports->first.v[class + 1] - ports->first.v[class];
    return *ret_n ? &ports->pieces.v[ports->first.v[class]] : NULL;
}
