// SPDX-License-Identifier: Apache-2.0
//
// Revocation without a loop of one's own: what is marked now, and a single pass.
#include "agent/revoke.h"
#include "flow/flow.h"

struct presence {
    struct loop *loop;
    bool any;
};

static void on_present(UNUSED const struct flow *flow, void *arg)
{
    ((struct presence *)arg)->any = true;
}

static void on_present_done(UNUSED const struct err *err, void *arg)
{
    loop_quit(((struct presence *)arg)->loop, 0);
}

void revoke_present(const struct policy_options *options, bool ret_marked[FAMILY_COUNT])
{
    struct err err = {0};
    CLEANUP(loop_free) struct loop *loop = NULL;
    ret_marked[FAMILY_V4] = ret_marked[FAMILY_V6] = false;
    if (!options->revoke_mask || loop_new(&loop, &err) < 0) {
        return;
    }
    CLEANUP(flows_close) struct flows *flows = NULL;
    if (flows_open(loop, &flows, &err) < 0) {
        return;
    }
    for (enum family family = FAMILY_V4; family <= FAMILY_V6; family++) {
        struct presence presence = {.loop = loop};
        const struct flow_reader reader = {.flow = on_present, .done = on_present_done, .arg = &presence};
        const struct flow_filter filter = {
            .family = family, .mark = options->revoke_mask, .mark_mask = options->revoke_mask};
        if (flows_list(flows, &filter, &reader, &err) < 0 || loop_run(loop, &err) < 0) {
            return;
        }
        ret_marked[family] = presence.any;
    }
}

struct single {
    struct loop *loop;
    bool marked[FAMILY_COUNT];
    bool failed;
    struct err err;
};

static void on_single_marked(const bool marked[FAMILY_COUNT], void *arg)
{
    struct single *single = arg;
    memcpy(single->marked, marked, sizeof(single->marked));
}

static void on_single_idle(const struct err *err, void *arg)
{
    struct single *single = arg;
    single->failed = err != NULL;
    if (err) {
        single->err = *err;
    }
    loop_quit(single->loop, 0);
}

int revoke_once(struct state *state, const char *node, const struct policy_options *options, const struct facts *facts,
                bool ret_marked[FAMILY_COUNT], size_t *ret_cut, struct err *err)
{
    CLEANUP(loop_free) struct loop *loop = NULL;
    CLEANUP(metrics_free) struct metrics *metrics = NULL;
    CLEANUP(revoke_free) struct revoke *revoke = NULL;
    if (loop_new(&loop, err) < 0 || metrics_new(&metrics, err) < 0) {
        return -1;
    }
    struct single single = {.loop = loop};
    const struct revoke_config config = {.loop = loop,
                                         .state = state,
                                         .node = node,
                                         .options = *options,
                                         .metrics = metrics,
                                         .marked = on_single_marked,
                                         .idle = on_single_idle,
                                         .arg = &single};
    const struct sync_applied all = {.first = true};
    if (revoke_new(&config, &revoke, err) < 0) {
        return -1;
    }
    revoke_facts(revoke, facts);
    revoke_applied(revoke, &all);
    if (options->revoke_mask && loop_run(loop, err) < 0) {
        return -1;
    }
    if (single.failed) {
        *err = single.err;
        return -1;
    }
    memcpy(ret_marked, single.marked, sizeof(single.marked));
    if (ret_cut) {
        *ret_cut = (size_t)metrics_get(metrics, METRIC_REVOKED_FLOWS, NULL, NULL);
    }
    return 0;
}
