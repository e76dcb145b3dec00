// SPDX-License-Identifier: Apache-2.0
//
// The numbered address tests of a space and their answers. A peer's answer is the evaluator's own: the proof asks for
// what the evaluator can tell apart, not for what it should.
#include <stdio.h>

#include "audit/verify_guards.h"
#include "policy/evaluate_match.h"
#include "ruleset/simulate.h"

static int add_test(struct verify_space *space, const void *key, size_t len, const struct verify_test *test,
                    uint32_t *ret, struct err *err)
{
    void *number = map_get(space->known, key, len);
    if (!number) {
        number = (void *)(uintptr_t)(space->tests.n + 1);
        if (vec_push(&space->tests, *test) < 0) {
            return err_oom(err);
        }
        if (map_put(space->known, key, len, number, NULL) < 0) {
            space->tests.n--;
            return err_oom(err);
        }
    }
    *ret = (uint32_t)((uintptr_t)number - 1);
    return 0;
}

int verify_test_prefix(struct verify_space *space, const struct prefix *prefix, uint32_t *ret, struct err *err)
{
    struct verify_test test = {.kind = VERIFY_PREFIX, .end = (uint32_t)space->n_cells};
    test.first = (uint32_t)verify_space_find(space, &prefix->address);
    for (size_t low = test.first, high = space->n_cells; low < high;) {
        size_t mid = low + (high - low) / 2;
        if (prefix_contains(prefix, &space->cells[mid].first)) {
            low = mid + 1;
        } else {
            high = mid;
        }
        test.end = (uint32_t)low;
    }
    struct {
        enum verify_test_kind kind;
        uint32_t first, end;
    } key = {VERIFY_PREFIX, test.first, test.end};
    return add_test(space, &key, sizeof(key), &test, ret, err);
}

int verify_test_set(struct verify_space *space, const struct set *set, uint32_t *ret, struct err *err)
{
    return add_test(space, &set, sizeof(const struct set *), &(struct verify_test){.kind = VERIFY_SET, .set = set}, ret,
                    err);
}

int verify_test_peer(struct verify_space *space, const struct policy *policy, const struct peer *peer, uint32_t *ret,
                     struct err *err)
{
    const struct verify_test test = {.kind = VERIFY_PEER, .policy = policy, .peer = peer};
    return add_test(space, &peer, sizeof(const struct peer *), &test, ret, err);
}

int verify_test_name(struct verify_space *space, const char *name, uint8_t protocol, uint32_t *ret, struct err *err)
{
    struct buf BUF_CLEANUP key = {0};
    buf_printf(&key, "port name %u %s", protocol, name);
    if (key.failed) {
        return err_oom(err);
    }
    const struct verify_test test = {.kind = VERIFY_NAME, .name = name, .protocol = protocol};
    return add_test(space, key.data, key.len, &test, ret, err);
}

int verify_test_guards(struct verify_space *space, uint32_t *ret, struct err *err)
{
    static const char key[] = "guards";
    return add_test(space, key, sizeof(key), &(struct verify_test){.kind = VERIFY_GUARDS}, ret, err);
}

static uint64_t *new_bits(const struct verify_space *space)
{
    return calloc(space->n_cells / 64 + 1, sizeof(uint64_t));
}

static void set_bit(uint64_t *bits, size_t cell)
{
    bits[cell / 64] |= UINT64_C(1) << cell % 64;
}

// ---- sets ----------------------------------------------------------------------------------------------------------

static int answer_ip(struct verify_space *space, struct verify_test *test, struct err *err)
{
    CLEANUP(free) uint64_t *bits = new_bits(space);
    if (!bits) {
        return err_oom(err);
    }
    size_t cell = 0;
    for (size_t i = 0; i < test->set->n_members; i++) {
        const struct address *address = &test->set->members[i].prefix.address;
        // Members and cells are both sorted, so the next cell is often the one.
        if (cell + 1 >= space->n_cells || !address_equal(&space->cells[++cell].first, address)) {
            cell = verify_space_find(space, address);
        }
        set_bit(bits, cell);
    }
    test->bits = TAKE(bits);
    return 0;
}

static int answer_net(struct verify_space *space, struct verify_test *test, struct err *err)
{
    CLEANUP(free) uint64_t *bits = new_bits(space);
    if (!bits) {
        return err_oom(err);
    }
    for (size_t i = 0; i < space->n_cells; i++) {
        if (simulate_set_contains(test->set, &space->cells[i].first)) {
            set_bit(bits, i);
        }
    }
    test->bits = TAKE(bits);
    return 0;
}

// Numbers what each cell holds: 0 nothing, equal numbers for equal text.
static int number_of(struct map *numbers, const struct buf *text, uint32_t *ret, struct err *err)
{
    if (text->failed) {
        return err_oom(err);
    }
    *ret = 0;
    if (text->len == 0) {
        return 0;
    }
    uintptr_t number = (uintptr_t)map_get(numbers, text->data, text->len);
    if (!number) {
        number = map_size(numbers) + 1;
        if (map_put(numbers, text->data, text->len, (void *)number, NULL) < 0) {
            return err_oom(err);
        }
    }
    *ret = (uint32_t)number;
    return 0;
}

static int answer_ip_port(struct verify_space *space, struct verify_test *test, struct err *err)
{
    CLEANUP(free) uint32_t *values = calloc(space->n_cells, sizeof(*values));
    CLEANUP(map_free) struct map *numbers = map_new();
    struct buf BUF_CLEANUP text = {0};
    if (!values || !numbers) {
        return err_oom(err);
    }
    const struct set *set = test->set;
    for (size_t i = 0; i < set->n_members;) {
        const struct address *address = &set->members[i].prefix.address;
        text.len = 0;
        for (; i < set->n_members && address_equal(&set->members[i].prefix.address, address); i++) {
            buf_printf(&text, "%u/%u ", set->members[i].protocol, set->members[i].port);
        }
        if (number_of(numbers, &text, &values[verify_space_find(space, address)], err) < 0) {
            return -1;
        }
    }
    test->values = TAKE(values);
    return 0;
}

static int answer_set(struct verify_space *space, struct verify_test *test, struct err *err)
{
    switch (test->set->type) {
    case SET_HASH_IP:
        return answer_ip(space, test, err);
    case SET_HASH_NET:
        return answer_net(space, test, err);
    case SET_HASH_IP_PORT:
        return answer_ip_port(space, test, err);
    }
    return 0;
}

// ---- policies ------------------------------------------------------------------------------------------------------

static int answer_peer(struct verify_space *space, struct verify_test *test, struct err *err)
{
    CLEANUP(free) uint64_t *bits = new_bits(space);
    if (!bits) {
        return err_oom(err);
    }
    const struct policy_rule rule = {.any_port = true, .peers = test->peer, .n_peers = 1};
    for (size_t i = 0; i < space->n_cells; i++) {
        const struct verify_cell *cell = &space->cells[i];
        const struct endpoint other = {.pod = cell->owner, .has_address = true, .address = cell->first};
        const struct attempt attempt = {.state = space->input->state, .other = &other};
        int peer;
        if ((cell->owner || test->peer->kind == PEER_BLOCK) &&
            rule_match(test->policy, &rule, &attempt, &peer) == MATCH_YES) {
            set_bit(bits, i);
        }
    }
    test->bits = TAKE(bits);
    return 0;
}

static int answer_name(struct verify_space *space, struct verify_test *test, struct err *err)
{
    CLEANUP(free) uint32_t *values = calloc(space->n_cells, sizeof(*values));
    CLEANUP(map_free) struct map *numbers = map_new();
    struct buf BUF_CLEANUP text = {0};
    if (!values || !numbers) {
        return err_oom(err);
    }
    for (size_t i = 0; i < space->n_cells; i++) {
        const struct pod *pod = space->cells[i].owner;
        text.len = 0;
        for (size_t j = 0; pod && j < pod->n_ports; j++) {
            if (pod->ports[j].protocol == test->protocol && strcmp(pod->ports[j].name, test->name) == 0) {
                buf_printf(&text, "%u ", pod->ports[j].number);
            }
        }
        if (number_of(numbers, &text, &values[i], err) < 0) {
            return -1;
        }
    }
    test->values = TAKE(values);
    return 0;
}

int verify_test_answer(struct verify_space *space, uint32_t number, struct err *err)
{
    struct verify_test *test = &space->tests.v[number];
    if (test->bits || test->values) {
        return 0;
    }
    switch (test->kind) {
    case VERIFY_PREFIX:
        return 0;
    case VERIFY_SET:
        return answer_set(space, test, err);
    case VERIFY_PEER:
        return answer_peer(space, test, err);
    case VERIFY_NAME:
        return answer_name(space, test, err);
    case VERIFY_GUARDS:
        return verify_guards_answer(space, test, err);
    }
    return 0;
}

// ---- partitions ----------------------------------------------------------------------------------------------------

void verify_partition_free(struct verify_partition *partition)
{
    free(partition->class_of);
    partition->class_of = NULL;
    vec_free(&partition->members);
}

// (class, answer) → class, by open addressing; emptied by counting up `round`.
struct pairs {
    struct pair {
        uint64_t key;
        uint32_t round;
        uint32_t class;
    } * slots;
    size_t mask;
    uint32_t round;
    uint32_t classes;
};

static uint32_t pairs_class(struct pairs *pairs, uint32_t class, uint32_t answer)
{
    uint64_t key = (uint64_t) class << 32 | answer;
    size_t at = (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & pairs->mask;
    while (pairs->slots[at].round == pairs->round && pairs->slots[at].key != key) {
        at = (at + 1) & pairs->mask;
    }
    if (pairs->slots[at].round != pairs->round) {
        pairs->slots[at] = (struct pair){.key = key, .round = pairs->round, .class = pairs->classes++};
    }
    return pairs->slots[at].class;
}

static void pairs_empty(struct pairs *pairs)
{
    pairs->round++;
    pairs->classes = 0;
}

int verify_partition_make(const struct verify_space *space, const uint32_t *cells, size_t n, const uint32_t *start,
                          const uint32_t *tests, size_t n_tests, struct verify_partition *ret, struct err *err)
{
    size_t slots = 16;
    while (slots < 2 * n) {
        slots *= 2;
    }
    struct verify_partition VERIFY_PARTITION_CLEANUP made = {0};
    CLEANUP(free) struct pair *table = calloc(slots, sizeof(*table));
    made.class_of = calloc(n + 1, sizeof(*made.class_of));
    if (!table || !made.class_of) {
        return err_oom(err);
    }
    struct pairs pairs = {.slots = table, .mask = slots - 1};
    pairs_empty(&pairs);
    for (size_t i = 0; i < n; i++) {
        made.class_of[i] = pairs_class(&pairs, start ? start[i] : 0, 0);
    }
    for (size_t t = 0; t < n_tests; t++) {
        pairs_empty(&pairs);
        for (size_t i = 0; i < n; i++) {
            made.class_of[i] = pairs_class(&pairs, made.class_of[i], verify_test_value(space, tests[t], cells[i]));
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (made.class_of[i] == made.members.n && vec_push(&made.members, (uint32_t)i) < 0) {
            return err_oom(err);
        }
    }
    *ret = made;
    made = (struct verify_partition){0};
    return 0;
}
