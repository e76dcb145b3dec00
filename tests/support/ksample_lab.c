// SPDX-License-Identifier: Apache-2.0
#include "support/ksample_lab.h"

#include <stdio.h>

#include "policy/compile.h"
#include "policy/evaluate.h"
#include "ruleset/simulate.h"
#include "support/ksample_flow.h"

struct ksample_lab {
    struct ksample_net *net;
    struct ksample_flows *flows;
    const struct backend_ops *ops;
    struct backend *backend;
    trial_tamper_fn *tamper;
    const struct ksample_interfaces *interfaces;
};

// One batch on its way. The last packet is our own: when it has arrived, so has everything before it that will.
struct batch {
    struct ksample *samples;
    struct ksample_arrival *arrivals;
    bool *wanted;
    bool *again;
    size_t n;
};

void ksample_lab_close(struct ksample_lab *lab)
{
    if (!lab) {
        return;
    }
    if (lab->backend) {
        lab->ops->close(lab->backend);
    }
    ksample_flows_close(lab->flows);
    ksample_net_close(lab->net);
    free(lab);
}
CLEANUP_DEFINE(struct ksample_lab, ksample_lab_close);

int ksample_lab_open(const char *node, const char *peer, const char *lock_path,
                     const struct ksample_interfaces *interfaces, const struct backend_ops *backend,
                     trial_tamper_fn *tamper, struct ksample_lab **ret, struct err *err)
{
    CLEANUP(ksample_lab_close) struct ksample_lab *lab = calloc(1, sizeof(*lab));
    const struct backend_options options = {.lock_path = lock_path};
    if (!lab) {
        return err_oom(err);
    }
    lab->ops = backend;
    lab->tamper = tamper;
    lab->interfaces = interfaces;
    if (ksample_net_open(node, peer, interfaces, &lab->net, err) < 0 || ksample_flows_open(&lab->flows, err) < 0 ||
        backend->open(&options, &lab->backend, err) < 0) {
        return -1;
    }
    *ret = TAKE(lab);
    return 0;
}

bool ksample_lab_is_own(const struct ksample_lab *lab, const struct address *address)
{
    return ksample_net_is_own(lab->net, address);
}

static void batch_done(const struct batch *batch)
{
    free(batch->samples);
    free(batch->arrivals);
    free(batch->wanted);
    free(batch->again);
}

static void cleanup_batch(const struct batch *batch)
{
    batch_done(batch);
}

// Between strangers, over the bridge of no name.
static struct ksample last_packet(const struct ksample_interfaces *interfaces)
{
    struct ksample last = {
        .packet = {.arrival = ARRIVAL_FORWARD,
                   .source = ksample_wire_stranger(FAMILY_V4),
                   .destination = ksample_wire_stranger(FAMILY_V4),
                   .protocol = PROTOCOL_UDP,
                   .port = KSAMPLE_QUOTE_PORT,
                   .hop_limit = 64,
                   .ct = CT_NEW},
        .wire = {.hop_limit = 64, .source_port = KSAMPLE_QUOTE_PORT},
        .way = KSAMPLE_BRIDGED,
    };
    last.packet.source.bytes[3]++;
    last.wire.destination = last.packet.destination;
    (void)snprintf(last.packet.in, sizeof(last.packet.in), "%s", interfaces->names[0]);
    (void)snprintf(last.packet.out, sizeof(last.packet.out), "%s", interfaces->names[0]);
    return last;
}

static int batch_make(const struct ksample_lab *lab, const struct ksample *samples, size_t n, struct batch *ret,
                      struct err *err)
{
    ret->n = n + 1;
    ret->samples = calloc(ret->n, sizeof(*ret->samples));
    ret->arrivals = calloc(ret->n, sizeof(*ret->arrivals));
    ret->wanted = calloc(ret->n, sizeof(*ret->wanted));
    ret->again = calloc(ret->n, sizeof(*ret->again));
    if (!ret->samples || !ret->arrivals || !ret->wanted || !ret->again) {
        return err_oom(err);
    }
    memcpy(ret->samples, samples, n * sizeof(*samples));
    ret->samples[n] = last_packet(lab->interfaces);
    for (size_t i = 0; i < ret->n; i++) {
        ret->wanted[i] = true;
    }
    return 0;
}

// Sends the batch and, once more, what should have arrived and has not: a busy machine may lose something. What should
// not arrive gets no second chance to stay away.
static int batch_run(struct ksample_lab *lab, struct batch *batch, struct ksample_effort *effort, struct err *err)
{
    struct ksample_run run = {
        .samples = batch->samples,
        .n = batch->n,
        .wanted = batch->wanted,
        .arrivals = batch->arrivals,
    };
    memset(batch->arrivals, 0, batch->n * sizeof(*batch->arrivals));
    size_t refused;
    if (ksample_flows_reset(lab->flows, batch->samples, batch->n, &refused, err) < 0 ||
        ksample_net_run(lab->net, &run, err) < 0) {
        return -1;
    }
    effort->refused += refused;
    size_t n = 0;
    for (size_t i = 0; i < batch->n; i++) {
        batch->again[i] = batch->wanted[i] && !batch->arrivals[i].arrived;
        n += batch->again[i];
    }
    effort->again += n;
    run.only = batch->again;
    return n ? ksample_net_run(lab->net, &run, err) : 0;
}

static int lost(const struct packet *packet, const char *when, struct err *err)
{
    BUF_CLEANUP struct buf text = {0};
    random_packet_describe(packet, &text);
    return err_set(err, ERR_BUG, 0, "%s does not arrive %s", text.data ? text.data : "a packet", when);
}

// Without rules everything arrives, and shows how the kernel's rules see it.
static int control(struct ksample_lab *lab, struct batch *batch, struct ksample_verdicts *verdicts,
                   struct ksample_effort *effort, struct err *err)
{
    if (batch_run(lab, batch, effort, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < batch->n; i++) {
        const struct ksample_arrival *arrival = &batch->arrivals[i];
        if (!arrival->arrived) {
            return lost(&batch->samples[i].packet, "without any rules", err);
        }
        if (strcmp(arrival->packet.out, batch->samples[i].packet.out) != 0) {
            return lost(&batch->samples[i].packet, "by its interface", err);
        }
        if (!arrival->packet.ct) {
            return lost(&arrival->packet, "with a state of connection tracking", err);
        }
        if (i < batch->n - 1) {
            verdicts[i].packet = arrival->packet;
        }
    }
    return 0;
}

static int predict(const struct ksample_case *what, const struct ruleset *ruleset, const struct batch *batch,
                   struct ksample_verdicts *verdicts, struct err *err)
{
    for (size_t i = 0; i < batch->n - 1; i++) {
        struct ksample_verdicts *verdict = &verdicts[i];
        enum simulate_verdict simulated;
        if (evaluate_packet(what->state, what->node, what->facts, &what->options, &verdict->packet, &verdict->evaluator,
                            err) < 0 ||
            simulate_packet(ruleset, &verdict->packet, &simulated, NULL, err) < 0) {
            return -1;
        }
        verdict->simulator = simulated == SIMULATE_PASS || simulated == SIMULATE_ACCEPT;
        batch->wanted[i] = verdict->evaluator && verdict->simulator;
    }
    return 0;
}

// With the rules in force, which are gone afterwards, whatever happens.
static int run_with_rules(struct ksample_lab *lab, const struct ruleset *ruleset, struct batch *batch,
                          struct ksample_effort *effort, struct err *err)
{
    int rc = backend_apply(lab->ops, lab->backend, NULL, ruleset, NULL, err);
    if (rc == 0) {
        rc = batch_run(lab, batch, effort, err);
    }
    return lab->ops->purge(lab->backend, NULL, rc < 0 ? NULL : err) < 0 ? -1 : rc;
}

static int test(struct ksample_lab *lab, const struct ruleset *ruleset, struct batch *batch,
                struct ksample_verdicts *verdicts, struct ksample_effort *effort, struct err *err)
{
    if (run_with_rules(lab, ruleset, batch, effort, err) < 0) {
        return -1;
    }
    if (!batch->arrivals[batch->n - 1].arrived) {
        return lost(&batch->samples[batch->n - 1].packet, "with rules that do not concern it", err);
    }
    for (size_t i = 0; i < batch->n - 1; i++) {
        const struct ksample_arrival *arrival = &batch->arrivals[i];
        verdicts[i].kernel = arrival->arrived;
        if (arrival->arrived && arrival->packet.ct != verdicts[i].packet.ct) {
            return lost(&verdicts[i].packet, "in the same state with rules", err);
        }
    }
    return 0;
}

int ksample_lab_judge(struct ksample_lab *lab, const struct ksample_case *what, const struct ksample *samples, size_t n,
                      struct ksample_verdicts *verdicts, struct ksample_effort *effort, struct err *err)
{
    __attribute__((cleanup(cleanup_batch))) struct batch batch = {0};
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    CLEANUP(ruleset_free) struct ruleset *damaged = NULL;
    if (batch_make(lab, samples, n, &batch, err) < 0 ||
        compile_ruleset(what->state, what->node, what->facts, &what->options, &ruleset, NULL, err) < 0) {
        return -1;
    }
    if (lab->tamper) {
        if (compile_ruleset(what->state, what->node, what->facts, &what->options, &damaged, NULL, err) < 0) {
            return -1;
        }
        lab->tamper(damaged);
    }
    if (control(lab, &batch, verdicts, effort, err) < 0 || predict(what, ruleset, &batch, verdicts, err) < 0) {
        return -1;
    }
    return test(lab, damaged ? damaged : ruleset, &batch, verdicts, effort, err);
}
