// SPDX-License-Identifier: Apache-2.0
//
// The live pods of a state, found by namespace and by label: built for one compile, so that a selector is not tested
// against every pod. Pods are numbered in the order of namespace and name.
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "model/state.h"

struct index;

// The namespaces that hold live pods; their pods are numbered first … first + n - 1.
struct index_namespace {
    const char *name;
    const struct ns_object *object;  // NULL: not seen yet
    uint32_t first;
    uint32_t n;
};

// Borrows the state, which must not change while the index lives.
NODISCARD int index_new(struct state *state, struct index **ret, struct err *err);
// The same of some pods alone, given by namespace and name.
NODISCARD int index_new_of(struct state *state, const struct pod *const *pods, size_t n, struct index **ret,
                           struct err *err);
void index_free(struct index *index);
CLEANUP_DEFINE(struct index, index_free);

uint32_t index_count(const struct index *index);  // live pods
const struct pod *index_pod(const struct index *index, uint32_t id);
const struct index_namespace *index_namespaces(const struct index *index, size_t *ret_n);
const struct index_namespace *index_namespace(const struct index *index, const char *name);  // NULL: no live pod there

// Whether the pod owns its address of that place in pod.addresses (networkpolicy-v1.md 2.5). The unspecified address is
// nobody's: no packet of a pod has it, and the kernel refuses it as a member of a set.
bool index_owns(struct index *index, uint32_t id, size_t place);

// Every owned address of a family, sorted, with its pod. Built at the first question.
struct index_address {
    struct address address;
    uint32_t id;
};
NODISCARD int index_addresses(struct index *index, enum family family, const struct index_address **ret, size_t *ret_n,
                              struct err *err);

// What pods call a port: each owned address of the family whose pod has that name for the protocol, with the number;
// sorted by address and number, each once. Built at the first question about the name.
struct index_port {
    uint32_t at;  // place in index_addresses
    uint16_t number;
};
struct index_ports {
    struct index_port *v;
    size_t n;
    size_t cap;
};
NODISCARD int index_named_ports(struct index *index, enum family family, uint8_t protocol, const char *name,
                                const struct index_ports **ret, struct err *err);

struct index_ids {
    uint32_t *v;
    size_t n;
    size_t cap;
};
// The pods whose label `key` has the value, in order; NULL when there are none. The first question about a key looks at
// every pod. `worth`: how many pods the caller would have to test instead; until those of all calls for the key exceed
// the number of pods nothing is built and *ret_known is false.
NODISCARD int index_by_label(struct index *index, const char *key, const char *value, size_t worth,
                             const struct index_ids **ret, bool *ret_known, struct err *err);
