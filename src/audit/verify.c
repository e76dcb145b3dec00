// SPDX-License-Identifier: Apache-2.0
//
// The proof's outer loops: for each family and arrival, every address of a local pod held fast in turn; last come the
// packets with no local pod at either end.
#include "audit/verify.h"

#include "audit/verify_guards.h"
#include "audit/verify_policy.h"
#include "audit/verify_role.h"
#include "policy/evaluate.h"
#include "ruleset/simulate.h"

void verify_result_free(struct verify_result *result)
{
    if (result) {
        free(result->examples);
        free(result);
    }
}

int verify_judge(const struct verify_input *input, const struct packet *packet, bool *ret_wanted, bool *ret_got,
                 struct err *err)
{
    bool wanted;
    enum simulate_verdict verdict;
    if (evaluate_packet(input->state, input->node, input->facts, input->options, packet, &wanted, err) < 0 ||
        simulate_packet(input->ruleset, packet, &verdict, NULL, err) < 0) {
        return -1;
    }
    *ret_wanted = wanted;
    *ret_got = verdict == SIMULATE_PASS || verdict == SIMULATE_ACCEPT;
    return 0;
}

static int judge_local(struct verify_work *work, enum arrival arrival, const uint32_t *cell)
{
    const struct verify_members fixed = {.cells = cell, .n = 1};
    // As the source against everybody; as the destination against those that are not the source of such a round.
    if (verify_role_judge(work, arrival, VERIFY_DESTINATION, fixed, *cell, work->all.v, work->all.n) < 0) {
        return -1;
    }
    return verify_role_judge(work, arrival, VERIFY_SOURCE, fixed, *cell, work->remote.v, work->remote.n);
}

// ---- no local pod at either end ------------------------------------------------------------------------------------

static int keep_kind(const struct verify_space *space, struct verify_tests *tests, bool prefixes)
{
    size_t n = 0;
    for (size_t i = 0; i < tests->addresses[VERIFY_SOURCE].n; i++) {
        uint32_t test = tests->addresses[VERIFY_SOURCE].v[i];
        enum verify_test_kind kind = space->tests.v[test].kind;
        if ((kind == VERIFY_PREFIX || kind == VERIFY_GUARDS) == prefixes) {
            tests->addresses[VERIFY_SOURCE].v[n++] = test;
        }
    }
    tests->addresses[VERIFY_SOURCE].n = n;
    return 0;
}

// The sources that are no local pods, first by the prefixes that the rules ask for and what they are to the guards,
// then each of these classes by the sets that its packets can meet: class_of by item.
static int split_sources(struct verify_work *work, enum arrival arrival, uint32_t *class_of, uint32_t *ret_n)
{
    struct verify_known known = verify_known_init(arrival);
    struct verify_partition VERIFY_PARTITION_CLEANUP by_prefix = {0};
    if (verify_reach_tests(work->reach, &known, &work->tests, work->err) < 0 ||
        verify_policy_addresses(work->space, &known, VERIFY_SOURCE, &work->tests, work->err) < 0) {
        return -1;
    }
    (void)keep_kind(work->space, &work->tests, true);
    if (verify_partition_make(work->space, work->remote.v, work->remote.n, NULL, work->tests.addresses[VERIFY_SOURCE].v,
                              work->tests.addresses[VERIFY_SOURCE].n, &by_prefix, work->err) < 0) {
        return -1;
    }
    uint32_t n = 0;
    for (size_t i = 0; i < by_prefix.members.n; i++) {
        struct verify_partition VERIFY_PARTITION_CLEANUP by_set = {0};
        VEC(uint32_t) cells = {0};
        known.ends[VERIFY_SOURCE].knowledge = VERIFY_PREFIXES;
        known.ends[VERIFY_SOURCE].cell = work->remote.v[by_prefix.members.v[i]];
        int rc = verify_reach_tests(work->reach, &known, &work->tests, work->err);
        (void)keep_kind(work->space, &work->tests, false);
        for (size_t j = 0; rc == 0 && j < work->remote.n; j++) {
            if (by_prefix.class_of[j] == i && vec_push(&cells, work->remote.v[j]) < 0) {
                rc = err_oom(work->err);
            }
        }
        if (rc == 0) {
            rc = verify_partition_make(work->space, cells.v, cells.n, NULL, work->tests.addresses[VERIFY_SOURCE].v,
                                       work->tests.addresses[VERIFY_SOURCE].n, &by_set, work->err);
        }
        for (size_t j = 0, at = 0; rc == 0 && j < work->remote.n; j++) {
            if (by_prefix.class_of[j] == i) {
                class_of[j] = n + by_set.class_of[at++];
            }
        }
        n += (uint32_t)by_set.members.n;
        vec_free(&cells);
        if (rc < 0) {
            return -1;
        }
    }
    *ret_n = n;
    return 0;
}

static int judge_remote(struct verify_work *work, enum arrival arrival)
{
    CLEANUP(free) uint32_t *class_of = calloc(work->remote.n + 1, sizeof(*class_of));
    if (!class_of) {
        return err_oom(work->err);
    }
    uint32_t n;
    if (split_sources(work, arrival, class_of, &n) < 0) {
        return -1;
    }
    for (uint32_t i = 0; i < n; i++) {
        size_t first = 0;
        while (class_of[first] != i) {
            first++;
        }
        const struct verify_members fixed = {
            .cells = work->remote.v, .n = work->remote.n, .class_of = class_of, .wanted = i};
        if (verify_role_judge(work, arrival, VERIFY_DESTINATION, fixed, work->remote.v[first], work->remote.v,
                              work->remote.n) < 0) {
            return -1;
        }
    }
    return 0;
}

// ---- a family ------------------------------------------------------------------------------------------------------

// Cells apart by owner where that is a local pod, and by every prefix of the rules and of the evaluator.
static int make_start(struct verify_work *work)
{
    const struct verify_space *space = work->space;
    VEC(uint32_t) prefixes = {0};
    struct verify_partition VERIFY_PARTITION_CLEANUP parts = {0};
    int rc = 0;
    for (enum arrival arrival = ARRIVAL_FORWARD; rc == 0 && arrival <= ARRIVAL_FROM_NODE; arrival++) {
        const struct verify_known known = verify_known_init(arrival);
        work->tests.addresses[VERIFY_DESTINATION].n = 0;
        rc = verify_policy_addresses(work->space, &known, VERIFY_DESTINATION, &work->tests, work->err);
    }
    for (uint32_t i = 0; rc == 0 && i < space->tests.n; i++) {
        if (space->tests.v[i].kind == VERIFY_PREFIX && vec_push(&prefixes, i) < 0) {
            rc = err_oom(work->err);
        }
    }
    uint32_t *apart = calloc(space->n_cells + 1, sizeof(*apart));
    if (rc == 0 && !apart) {
        rc = err_oom(work->err);
    }
    for (size_t i = 0; rc == 0 && i < space->n_cells; i++) {
        bool local = space->cells[i].local != VERIFY_REMOTE;
        apart[i] = local ? (uint32_t)i + 1 : 0;
        if (vec_push(&work->all, (uint32_t)i) < 0 ||
            (local ? vec_push(&work->local, (uint32_t)i) : vec_push(&work->remote, (uint32_t)i)) < 0) {
            rc = err_oom(work->err);
        }
    }
    if (rc == 0) {
        rc = verify_partition_make(space, work->all.v, work->all.n, apart, prefixes.v, prefixes.n, &parts, work->err);
    }
    free(apart);
    vec_free(&prefixes);
    if (rc == 0) {
        work->start = TAKE(parts.class_of);
    }
    return rc;
}

static void find_protocols(struct verify_work *work)
{
    verify_reach_protocols(work->reach, work->protocols);
    verify_guards_protocols(work->space, work->protocols);
    work->protocols[0] = false;
    work->protocols[PROTOCOL_TCP] = work->protocols[PROTOCOL_UDP] = work->protocols[PROTOCOL_SCTP] = true;
    work->protocols[verify_icmp(work->space)] = true;
}

static void work_done(struct verify_work *work)
{
    verify_reach_free(work->reach);
    verify_space_free(work->space);
    verify_tests_free(&work->tests);
    verify_ports_free(&work->ports);
    vec_free(&work->marks);
    for (size_t i = 0; i < VERIFY_DIMENSIONS; i++) {
        vec_free(&work->kinds[i]);
    }
    vec_free(&work->all);
    vec_free(&work->remote);
    vec_free(&work->local);
    free(work->start);
}

static int judge_arrivals(struct verify_work *work)
{
    struct verify_proof *proof = work->proof;
    for (enum arrival arrival = ARRIVAL_FORWARD; arrival <= ARRIVAL_FROM_NODE; arrival++) {
        for (size_t i = 0; i < work->local.n; i++) {
            if (judge_local(work, arrival, &work->local.v[i]) < 0) {
                return -1;
            }
            proof->done++;
            if (proof->options->progress) {
                proof->options->progress(proof->done, proof->of, proof->options->progress_arg);
            }
        }
        if (judge_remote(work, arrival) < 0) {
            return -1;
        }
    }
    return 0;
}

static int judge_family(struct verify_proof *proof, enum family family, struct err *err)
{
    struct verify_work work = {.proof = proof, .err = err};
    int rc = 0;
    if (verify_space_new(proof->input, &proof->pods, family, &work.space, err) < 0 ||
        verify_reach_new(work.space, &work.reach, err) < 0 || make_start(&work) < 0) {
        rc = -1;
    }
    if (rc == 0) {
        find_protocols(&work);
        proof->result->cells += work.space->n_cells;
        proof->result->pods += work.local.n;
        proof->result->pairs += (uint64_t)work.local.n * work.local.n;
        rc = judge_arrivals(&work);
    }
    work_done(&work);
    return rc;
}

static size_t count_rounds(const struct verify_input *input, const struct verify_pods *pods)
{
    size_t n = 0;
    for (size_t i = 0; i < pods->n; i++) {
        for (size_t j = 0; j < pods->v[i].pod->n_addresses; j++) {
            n += state_owner(input->state, &pods->v[i].pod->addresses[j]) == pods->v[i].pod;
        }
    }
    return n * 3;
}

int verify_ruleset_visit(const struct verify_input *input, const struct verify_options *options, verify_visit_fn *visit,
                         void *arg, struct verify_result **ret, struct err *err)
{
    struct verify_proof proof = {.input = input, .options = options, .visit = visit, .visit_arg = arg};
    CLEANUP(verify_result_free) struct verify_result *result = calloc(1, sizeof(*result));
    if (!result) {
        return err_oom(err);
    }
    proof.result = result;
    if (verify_pods_find(input, &proof.pods, err) < 0) {
        return -1;
    }
    proof.of = count_rounds(input, &proof.pods);
    int rc = judge_family(&proof, FAMILY_V4, err);
    if (rc == 0) {
        rc = judge_family(&proof, FAMILY_V6, err);
    }
    verify_pods_free(&proof.pods);
    if (rc < 0) {
        return -1;
    }
    *ret = TAKE(result);
    return 0;
}

int verify_ruleset(const struct verify_input *input, const struct verify_options *options, struct verify_result **ret,
                   struct err *err)
{
    return verify_ruleset_visit(input, options, NULL, NULL, ret, err);
}
