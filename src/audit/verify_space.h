// SPDX-License-Identifier: Apache-2.0
//
// The addresses of one family cut into cells: intervals inside which no prefix, set, ipBlock or pod begins or ends, so
// that every address test of a rule or of a policy gives one answer for a whole cell. Each such test is numbered, and
// its answer for each cell is known; packet classes are then made by putting cells with equal answers together.
// Private to the proof (docs/PROOF.md).
#pragma once

#include "audit/verify.h"
#include "audit/verify_names.h"
#include "base/map.h"
#include "model/packet.h"

// A live pod of the node and the policies that isolate it.
struct verify_pod {
    const struct pod *pod;
    VEC(const struct policy *) isolating[DIRECTION_COUNT];
};
struct verify_pods {
    struct verify_pod *v;
    size_t n;
    size_t cap;
};
void verify_pods_free(struct verify_pods *pods);
NODISCARD int verify_pods_find(const struct verify_input *input, struct verify_pods *ret, struct err *err);

enum { VERIFY_REMOTE = UINT32_MAX };

struct verify_cell {
    struct address first;     // to the address before the next cell's first
    const struct pod *owner;  // the live pod whose one address this is, or NULL
    uint32_t local;           // its place among the verify_pods, or VERIFY_REMOTE
};

enum verify_test_kind {
    VERIFY_PREFIX,  // is it in the prefix?
    VERIFY_SET,     // what does the set hold of it? (hash:ip,port: which protocols and ports)
    VERIFY_PEER,    // does the peer of a policy match it?
    VERIFY_NAME,    // which numbers does its pod have for a port name?
    VERIFY_GUARDS,  // what is it to the guards? (enum verify_guard_flag)
};

// What the guards of DESIGN 11 ask about an address; only those whose guard is on.
enum verify_guard_flag {
    VERIFY_OF_NODE = 1,      // an address of some node
    VERIFY_OWN = 2,          // of this one
    VERIFY_IN_POD_CIDR = 4,  // of those that --unknown-pods=drop is about
    VERIFY_UNSPECIFIED = 8,  // a DHCP client's
    VERIFY_EVERYBODY = 16,   // 255.255.255.255
    VERIFY_MANY = 32,        // multicast, broadcast to where an isolated pod is
    VERIFY_EDGE = 64,        // broadcast to a bridge, whoever is behind it, or to a network of the node's
};

struct verify_test {
    enum verify_test_kind kind;
    // PREFIX: the cells from first to before end.
    uint32_t first, end;
    const struct set *set;        // SET
    const struct policy *policy;  // PEER
    const struct peer *peer;
    const char *name;  // NAME
    uint8_t protocol;
    // Of all but PREFIX: the answer for each cell, made when it is first wanted. Yes or no is a bit, more is a number.
    uint64_t *bits;
    uint32_t *values;
};

struct verify_space {
    const struct verify_input *input;
    const struct verify_pods *pods;
    enum family family;
    struct verify_cell *cells;  // sorted, without gaps
    size_t n_cells;
    VEC(struct verify_test) tests;
    struct map *known;  // what a test asks → its number + 1
    struct verify_names *names;
};
NODISCARD int verify_space_new(const struct verify_input *input, const struct verify_pods *pods, enum family family,
                               struct verify_space **ret, struct err *err);
void verify_space_free(struct verify_space *space);
CLEANUP_DEFINE(struct verify_space, verify_space_free);

// The cell that holds the address.
size_t verify_space_find(const struct verify_space *space, const struct address *address);
// The last address of a cell.
struct address verify_space_last(const struct verify_space *space, size_t cell);

// The number of a test; equal questions have one number. Prefixes must begin and end at cells' ends, as those of the
// input's rules and policies do.
NODISCARD int verify_test_prefix(struct verify_space *space, const struct prefix *prefix, uint32_t *ret,
                                 struct err *err);
NODISCARD int verify_test_set(struct verify_space *space, const struct set *set, uint32_t *ret, struct err *err);
NODISCARD int verify_test_peer(struct verify_space *space, const struct policy *policy, const struct peer *peer,
                               uint32_t *ret, struct err *err);
NODISCARD int verify_test_name(struct verify_space *space, const char *name, uint8_t protocol, uint32_t *ret,
                               struct err *err);
NODISCARD int verify_test_guards(struct verify_space *space, uint32_t *ret, struct err *err);
// Works out the answers of a test; cheap the second time.
NODISCARD int verify_test_answer(struct verify_space *space, uint32_t test, struct err *err);
// The answer for one cell, after verify_test_answer: equal numbers, equal answers.
static inline uint32_t verify_test_value(const struct verify_space *space, uint32_t test, size_t cell)
{
    const struct verify_test *t = &space->tests.v[test];
    if (t->kind == VERIFY_PREFIX) {
        return cell >= t->first && cell < t->end;
    }
    return t->values ? t->values[cell] : (uint32_t)(t->bits[cell / 64] >> cell % 64 & 1);
}

// Items put together by the answers to some tests.
struct verify_partition {
    uint32_t *class_of;     // by item
    VEC(uint32_t) members;  // one item of each class: the first
};
void verify_partition_free(struct verify_partition *partition);
static inline void cleanup_verify_partition(struct verify_partition *partition)
{
    verify_partition_free(partition);
}
#define VERIFY_PARTITION_CLEANUP __attribute__((cleanup(cleanup_verify_partition)))
// cells[i] is the cell of item i; items with different numbers in start (may be NULL) stay apart. The tests must have
// been answered. Classes are numbered by their first items.
NODISCARD int verify_partition_make(const struct verify_space *space, const uint32_t *cells, size_t n,
                                    const uint32_t *start, const uint32_t *tests, size_t n_tests,
                                    struct verify_partition *ret, struct err *err);
