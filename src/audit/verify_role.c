// SPDX-License-Identifier: Apache-2.0
//
// What is known of the packet grows from protocol to conntrack state, ICMP type, hop limit and the other end; after
// each step only what rules or policies still ask is cut further, so most packets fall into few classes.
#include "audit/verify_role.h"

#include "audit/verify_guards.h"
#include "audit/verify_marks.h"
#include "audit/verify_policy.h"
#include "base/limits.h"

enum { TESTS_MANY = 256 };
static const enum ct_state states[] = {CT_NEW, CT_ESTABLISHED, CT_RELATED, CT_INVALID, CT_UNTRACKED};

// One end fixed: what belongs to it.
struct role {
    struct verify_work *work;
    enum verify_side open;        // the end that is not fixed
    struct verify_members fixed;  // whom the fixed end stands for
    const uint32_t *items;        // cells of the open end
    size_t n_items;
    struct verify_partition parts;  // of the items, by all that can count
    uint32_t *cells;                // of the parts' first items
    uint32_t *apart;                // by part: local pods are not put together
    uint32_t *single;               // by part: none is
    bool seen[256][2];              // examples kept, by protocol and verdict
};

// ---- one class -----------------------------------------------------------------------------------------------------

static int keep_example(struct verify_proof *proof, const struct verify_class *class, bool wanted, bool got, bool *seen,
                        struct err *err)
{
    struct verify_result *result = proof->result;
    result->differing++;
    if (*seen || result->n_examples >= proof->options->max_examples) {
        return 0;
    }
    if (vec_reserve_((void **)&result->examples, &proof->examples_cap, result->n_examples + 1,
                     sizeof(*result->examples)) < 0) {
        return err_oom(err);
    }
    result->examples[result->n_examples++] =
        (struct verify_example){.packet = class->witness, .wanted = wanted, .got = got};
    *seen = true;
    return 0;
}

static int judge_class(struct role *role, const struct verify_class *class)
{
    struct verify_proof *proof = role->work->proof;
    struct err *err = role->work->err;
    bool wanted;
    bool got;
    if (++proof->result->classes > LIMIT_VERIFY_CLASSES) {
        return err_set(err, ERR_LIMIT, 0, "more than %llu packet classes", (unsigned long long)LIMIT_VERIFY_CLASSES);
    }
    if (verify_judge(proof->input, &class->witness, &wanted, &got, err) < 0) {
        return err_wrap(err, "the rules cannot be walked");
    }
    if (wanted != got &&
        keep_example(proof, class, wanted, got, &role->seen[class->witness.protocol][wanted], err) < 0) {
        return -1;
    }
    return proof->visit ? proof->visit(class, wanted, got, proof->visit_arg, err) : 0;
}

// Both ends are known: what is left are port, translation, interfaces.
static int judge_ports(struct role *role, struct verify_class *class)
{
    const struct verify_ports *ports = &role->work->ports;
    for (size_t i = 0; i < ports->n_classes; i++) {
        size_t n;
        const struct port_range *pieces = verify_ports_class(ports, i, &n);
        // Every interval has a witness of its own: one would do, but a boundary is where a judge goes wrong.
        class->n_ports = n ? 1 : 0;
        for (size_t j = 0; j < (n ? n : 1); j++) {
            class->ports = n ? &pieces[j] : NULL;
            class->witness.port = n ? pieces[j].first : 0;
            if (judge_class(role, class) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

static void set_name(char ret[PACKET_IFACE], const char *name)
{
    memset(ret, 0, PACKET_IFACE);
    memcpy(ret, name, strnlen(name, PACKET_IFACE - 1));
}

static char *witness_name(struct packet *packet, enum verify_dimension dimension)
{
    switch (dimension) {
    case VERIFY_IN:
        return packet->in;
    case VERIFY_OUT:
        return packet->out;
    case VERIFY_PORT_IN:
        return packet->physdev_in;
    case VERIFY_PORT_OUT:
        return packet->physdev_out;
    }
    return packet->in;
}

static int judge_marks(struct role *role, struct verify_class *class)
{
    for (size_t i = 0; i < role->work->marks.n; i++) {
        class->witness.connmark = role->work->marks.v[i];
        if (judge_ports(role, class) < 0) {
            return -1;
        }
    }
    return 0;
}

// The numbers of one name of each signature; those without one are like the name that nobody knows.
static int find_kinds(struct verify_work *work, struct err *err)
{
    for (size_t d = 0; d < VERIFY_DIMENSIONS; d++) {
        const struct verify_signatures *signatures = &work->tests.names[d];
        work->kinds[d].n = 0;
        for (size_t i = 0; i < signatures->n; i++) {
            bool first = signatures->v[i] != 0;
            for (size_t j = 0; first && j < work->kinds[d].n; j++) {
                first = signatures->v[work->kinds[d].v[j]] != signatures->v[i];
            }
            if (first && vec_push(&work->kinds[d], (uint32_t)i) < 0) {
                return err_oom(err);
            }
        }
    }
    return 0;
}

// One name of each kind, dimension by dimension; first that of all names without a signature.
static int judge_names(struct role *role, enum verify_dimension dimension, struct verify_class *class)
{
    struct verify_work *work = role->work;
    char *witness = witness_name(&class->witness, dimension);
    for (size_t i = 0; i <= work->kinds[dimension].n; i++) {
        uint32_t name = i > 0 ? work->kinds[dimension].v[i - 1] : 0;
        class->wanted[dimension] = i > 0 ? work->tests.names[dimension].v[name] : 0;
        set_name(witness, i > 0 ? work->space->names->v[name].text : "");
        if ((dimension == VERIFY_PORT_OUT ? judge_marks(role, class)
                                          : judge_names(role, (enum verify_dimension)(dimension + 1), class)) < 0) {
            return -1;
        }
    }
    return 0;
}

static bool has_ports(uint8_t protocol)
{
    return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP;
}

static int judge_end(struct role *role, struct verify_known known, uint32_t cell, struct verify_class *class)
{
    struct verify_work *work = role->work;
    known.ends[role->open].knowledge = VERIFY_KNOWN;
    known.ends[role->open].cell = cell;
    known.names = true;
    if (verify_reach_tests(work->reach, &known, &work->tests, work->err) < 0 ||
        verify_policy_rest(work->space, &known, &work->tests, work->err) < 0 ||
        verify_ports_cut(has_ports(class->witness.protocol) ? work->tests.ports.v : NULL, work->tests.ports.n,
                         has_ports(class->witness.protocol), &work->ports, work->err) < 0 ||
        verify_marks_find(work->tests.marks.v, work->tests.marks.n, &work->marks.v, &work->marks.n, &work->marks.cap,
                          work->err) < 0 ||
        find_kinds(work, work->err) < 0) {
        return -1;
    }
    class->witness.source = work->space->cells[known.ends[VERIFY_SOURCE].cell].first;
    class->witness.destination = work->space->cells[known.ends[VERIFY_DESTINATION].cell].first;
    class->signatures = work->tests.names;
    class->marks = work->tests.marks.v;
    class->n_marks = work->tests.marks.n;
    // A pod that reaches itself passes when the flow was translated.
    bool self = known.ends[VERIFY_SOURCE].cell == known.ends[VERIFY_DESTINATION].cell;
    class->any_dnat = !work->tests.dnat && (!self || verify_policy_settled(work->space, &known));
    for (int dnat = 0; dnat <= (class->any_dnat ? 0 : 1); dnat++) {
        class->witness.dnat = dnat == 1;
        if (judge_names(role, VERIFY_IN, class) < 0) {
            return -1;
        }
    }
    return 0;
}

// ---- the other end -------------------------------------------------------------------------------------------------

static int judge_ends(struct role *role, const struct verify_known *known, struct verify_class *class)
{
    struct verify_work *work = role->work;
    struct verify_partition VERIFY_PARTITION_CLEANUP classes = {0};
    bool flow;
    if (verify_reach_tests(work->reach, known, &work->tests, work->err) < 0 ||
        verify_policy_addresses(work->space, known, role->open, &work->tests, work->err) < 0 ||
        verify_guards_flow(work->space, known, &flow, work->err) < 0) {
        return -1;
    }
    // Of a tunnel's established flow it counts who the source is.
    bool settled = verify_policy_settled(work->space, known) && (!flow || role->open == VERIFY_DESTINATION);
    bool put_together = settled || work->tests.addresses[role->open].n < TESTS_MANY;
    if (!put_together) {
        // So many questions cost more to ask again than the classes that they could spare.
        work->tests.addresses[role->open].n = 0;
    }
    if (verify_partition_make(work->space, role->cells, role->parts.members.n,
                              settled        ? NULL
                              : put_together ? role->apart
                                             : role->single,
                              work->tests.addresses[role->open].v, work->tests.addresses[role->open].n, &classes,
                              work->err) < 0) {
        return -1;
    }
    class->ends[role->open] = (struct verify_members){
        .cells = role->items,
        .n = role->n_items,
        .class_of = role->parts.class_of,
        .map = classes.class_of,
    };
    class->ends[1 - role->open] = role->fixed;
    for (size_t i = 0; i < classes.members.n; i++) {
        class->ends[role->open].wanted = (uint32_t)i;
        if (judge_end(role, *known, role->cells[classes.members.v[i]], class) < 0) {
            return -1;
        }
    }
    return 0;
}

// ---- from arrival to hop limit -------------------------------------------------------------------------------------

static int judge_source_is_node(struct role *role, struct verify_known known, struct verify_class *class)
{
    struct verify_work *work = role->work;
    if (verify_reach_tests(work->reach, &known, &work->tests, work->err) < 0) {
        return -1;
    }
    // The evaluator asks in OUTPUT alone.
    class->any_source_is_node = !work->tests.source_is_node && known.arrival != ARRIVAL_FROM_NODE;
    for (int is = 0; is <= (class->any_source_is_node ? 0 : 1); is++) {
        class->witness.source_is_node = is == 1;
        known.source_is_node = is;
        if (judge_ends(role, &known, class) < 0) {
            return -1;
        }
    }
    return 0;
}

// The next value of those told apart, then one that stands for all others (256 and more): `other`, or the next that is
// free, 0 last.
static int next_value(const bool apart[256], int from, int other)
{
    for (int value = from; value < 256; value++) {
        if (apart[value]) {
            return value;
        }
    }
    for (int i = 0; from <= 256 && i < 256; i++) {
        // From other to 255, from 1 to other - 1, then 0.
        int value = i == 255 ? 0 : (other + i - 1) % 255 + 1;
        if (!apart[value]) {
            return value + 256;
        }
    }
    return -1;
}

static int judge_hop_limits(struct role *role, struct verify_known known, struct verify_class *class)
{
    enum { HOP_LIMIT = 64 };
    struct verify_work *work = role->work;
    if (verify_reach_tests(work->reach, &known, &work->tests, work->err) < 0) {
        return -1;
    }
    struct verify_bytes *hops = &class->hop_limit;
    memcpy(hops->apart, work->tests.hop_limits, sizeof(hops->apart));
    if (known.protocol == verify_icmp(work->space)) {
        verify_policy_hop_limits(work->space, known.icmp_type, hops->apart);
    }
    // 0 is written for "not said" in a packet, and no rule asks for it.
    hops->apart[0] = true;
    for (int value = next_value(hops->apart, 1, HOP_LIMIT); value >= 0;
         value = value < 256 ? next_value(hops->apart, value + 1, HOP_LIMIT) : -1) {
        hops->alone = value < 256;
        class->witness.hop_limit = (uint8_t)(value & 255);
        known.hop_limit = value & 255;
        if (judge_source_is_node(role, known, class) < 0) {
            return -1;
        }
    }
    return 0;
}

static int judge_icmp_types(struct role *role, struct verify_known known, struct verify_class *class)
{
    enum { ECHO_V4 = 8, ECHO_V6 = 128, ICMP_ANY = 255 };
    struct verify_work *work = role->work;
    struct verify_bytes *types = &class->icmp_type;
    memset(types, 0, sizeof(*types));
    class->witness.icmp_type = 0;
    if (known.protocol != verify_icmp(work->space)) {
        return judge_hop_limits(role, known, class);
    }
    if (verify_reach_tests(work->reach, &known, &work->tests, work->err) < 0) {
        return -1;
    }
    memcpy(types->apart, work->tests.icmp_types, sizeof(types->apart));
    types->apart[ICMP_ANY] = types->apart[ICMP_ANY] && work->space->family == FAMILY_V6;
    verify_policy_icmp_types(work->space, types->apart);
    int echo = work->space->family == FAMILY_V6 ? ECHO_V6 : ECHO_V4;
    for (int value = next_value(types->apart, 0, echo); value >= 0;
         value = value < 256 ? next_value(types->apart, value + 1, echo) : -1) {
        types->alone = value < 256;
        class->witness.icmp_type = (uint8_t)(value & 255);
        known.icmp_type = value & 255;
        if (judge_hop_limits(role, known, class) < 0) {
            return -1;
        }
    }
    return 0;
}

// Conntrack states that no rule tells apart, and the evaluator neither.
static bool same_state(const struct verify_tests *tests, bool icmp, enum ct_state a, enum ct_state b)
{
    if ((a == CT_ESTABLISHED) != (b == CT_ESTABLISHED) || (icmp && (a == CT_RELATED) != (b == CT_RELATED))) {
        return false;
    }
    for (unsigned mask = 0; mask < ARRAY_SIZE(tests->ct_masks); mask++) {
        if (tests->ct_masks[mask] && ((mask & (unsigned)a) != 0) != ((mask & (unsigned)b) != 0)) {
            return false;
        }
    }
    return true;
}

static int judge_states(struct role *role, struct verify_known known, struct verify_class *class)
{
    struct verify_work *work = role->work;
    unsigned classes[ARRAY_SIZE(states)] = {0};
    if (verify_reach_tests(work->reach, &known, &work->tests, work->err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
        size_t first = 0;
        while (!same_state(&work->tests, known.protocol == verify_icmp(work->space), states[first], states[i])) {
            first++;
        }
        classes[first] |= (unsigned)states[i];
    }
    for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
        if (!classes[i]) {
            continue;
        }
        class->ct_states = classes[i];
        class->witness.ct = states[i];
        known.ct = (int)states[i];
        if (judge_icmp_types(role, known, class) < 0) {
            return -1;
        }
    }
    return 0;
}

static int judge_protocols(struct role *role, struct verify_known known)
{
    enum { EXPERIMENT = 253 };  // RFC 3692: nobody's
    struct verify_work *work = role->work;
    struct verify_class class = {.space = work->space, .witness.arrival = known.arrival};
    memcpy(class.protocol.apart, work->protocols, sizeof(class.protocol.apart));
    for (int value = next_value(work->protocols, 0, EXPERIMENT); value >= 0;
         value = value < 256 ? next_value(work->protocols, value + 1, EXPERIMENT) : -1) {
        class.protocol.alone = value < 256;
        class.witness.protocol = (uint8_t)(value & 255);
        known.protocol = value & 255;
        if (judge_states(role, known, &class) < 0) {
            return -1;
        }
    }
    return 0;
}

// ---- one fixed end -------------------------------------------------------------------------------------------------

static void role_done(struct role *role)
{
    verify_partition_free(&role->parts);
    free(role->cells);
    free(role->apart);
    free(role->single);
}

static int answer_all(struct verify_work *work, enum verify_side side)
{
    for (size_t i = 0; i < work->tests.addresses[side].n; i++) {
        if (verify_test_answer(work->space, work->tests.addresses[side].v[i], work->err) < 0) {
            return -1;
        }
    }
    return 0;
}

// The address tests that can count for any protocol, once each and without prefixes, which work->start has.
static void drop_repeated(const struct verify_space *space, struct verify_tests *tests, enum verify_side side,
                          uint8_t *seen)
{
    size_t n = 0;
    for (size_t i = 0; i < tests->addresses[side].n; i++) {
        uint32_t test = tests->addresses[side].v[i];
        if (space->tests.v[test].kind != VERIFY_PREFIX && !seen[test]) {
            seen[test] = 1;
            tests->addresses[side].v[n++] = test;
        }
    }
    tests->addresses[side].n = n;
}

static int split_items(struct role *role, const struct verify_known *known)
{
    struct verify_work *work = role->work;
    const struct verify_space *space = work->space;
    if (verify_reach_tests(work->reach, known, &work->tests, work->err) < 0 ||
        verify_policy_addresses(work->space, known, role->open, &work->tests, work->err) < 0 ||
        answer_all(work, role->open) < 0) {
        return -1;
    }
    CLEANUP(free) uint8_t *seen = calloc(space->tests.n + 1, 1);
    CLEANUP(free) uint32_t *start = calloc(role->n_items + 1, sizeof(*start));
    if (!seen || !start) {
        return err_oom(work->err);
    }
    drop_repeated(space, &work->tests, role->open, seen);
    for (size_t i = 0; i < role->n_items; i++) {
        start[i] = work->start[role->items[i]];
    }
    if (verify_partition_make(space, role->items, role->n_items, start, work->tests.addresses[role->open].v,
                              work->tests.addresses[role->open].n, &role->parts, work->err) < 0) {
        return -1;
    }
    size_t n = role->parts.members.n;
    role->cells = calloc(n + 1, sizeof(*role->cells));
    role->apart = calloc(n + 1, sizeof(*role->apart));
    role->single = calloc(n + 1, sizeof(*role->single));
    if (!role->cells || !role->apart || !role->single) {
        return err_oom(work->err);
    }
    for (size_t i = 0; i < n; i++) {
        role->cells[i] = role->items[role->parts.members.v[i]];
        role->single[i] = (uint32_t)i + 1;
        role->apart[i] = space->cells[role->cells[i]].local == VERIFY_REMOTE ? 0 : (uint32_t)i + 1;
    }
    return 0;
}

int verify_role_judge(struct verify_work *work, enum arrival arrival, enum verify_side open,
                      struct verify_members fixed, uint32_t cell, const uint32_t *items, size_t n_items)
{
    struct role role = {.work = work, .open = open, .fixed = fixed, .items = items, .n_items = n_items};
    struct verify_known known = verify_known_init(arrival);
    known.ends[1 - open].knowledge = VERIFY_KNOWN;
    known.ends[1 - open].cell = cell;
    int rc = split_items(&role, &known);
    if (rc == 0) {
        rc = judge_protocols(&role, known);
    }
    role_done(&role);
    return rc;
}
