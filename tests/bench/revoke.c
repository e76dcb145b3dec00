// SPDX-License-Identifier: Apache-2.0
//
// What it costs to cut one pod's flows among many (DESIGN 10: at most 1.3 times the kernel's own filtered delete), in a
// network namespace of its own with entries made by hand. revoke [ENTRIES…]
//
// delete: one message of CTA_FILTER for each end of the flows, as source and as destination: what a program that only
// deletes would do. cut: the lists, the judgement and the marks of src/flow, from the call until the loop is free
// again.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/num.h"
#include "flow/flow.h"
#include "flow/revoke.h"
#include "netlink/netlink.h"
#include "support/conntrack_fill.h"

enum { ROUNDS = 7, PODS = 110, MASK = 1 << 27, CHUNK = 4096, POD_FLOWS = 500 };

static void check(int rc, const struct err *err)
{
    if (rc < 0) {
        (void)fprintf(stderr, "revoke: %s\n", err->msg);
        exit(1);
    }
}

static struct address address_of(uint32_t host)
{
    struct address ret = {.family = FAMILY_V4};
    uint32_t wire = htonl(host);
    memcpy(ret.bytes, &wire, sizeof(wire));
    return ret;
}

enum { POD_BASE = 0x0a000001, PEER_BASE = 0x0a640000 };

// The n-th flow: half begun by a pod, half by a peer. The first POD_FLOWS are those of the pod that is looked at.
static struct flow flow_of(size_t n)
{
    uint32_t pod = POD_BASE + (n < POD_FLOWS ? 0 : 1 + (uint32_t)(n % (PODS - 1)));
    uint32_t peer = PEER_BASE + (uint32_t)(n / 60000);
    uint16_t port = (uint16_t)(1024 + n % 60000);
    struct flow flow = {.original = {.protocol = 6, .source_port = port, .destination_port = 443}};
    flow.original.source = address_of(n % 2 ? pod : peer);
    flow.original.destination = address_of(n % 2 ? peer : pod);
    flow.reply = (struct flow_tuple){.source = flow.original.destination,
                                     .destination = flow.original.source,
                                     .protocol = 6,
                                     .source_port = 443,
                                     .destination_port = port};
    return flow;
}

static void fill(size_t from, size_t to)
{
    static struct flow flows[CHUNK];
    struct err err = {0};
    for (size_t at = from; at < to; at += CHUNK) {
        size_t n = to - at < CHUNK ? to - at : CHUNK;
        for (size_t i = 0; i < n; i++) {
            flows[i] = flow_of(at + i);
        }
        check(conntrack_fill(flows, n, &err), &err);
    }
}

static double now_ms(void)
{
    return (double)num_now_ns() / 1e6;
}

// ---- the kernel's own ----------------------------------------------------------------------------------------------

static void delete_end(struct netlink *netlink, const struct address *address, bool reply)
{
    NETLINK_BATCH_CLEANUP struct netlink_batch batch = {0};
    struct err err = {0};
    const struct nfgenmsg header = {.nfgen_family = AF_INET};
    netlink_batch_message(&batch, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, NLM_F_ACK, &header,
                          sizeof(header));
    size_t tuple = netlink_batch_nest(&batch, reply ? CTA_TUPLE_REPLY : CTA_TUPLE_ORIG);
    size_t ip = netlink_batch_nest(&batch, CTA_TUPLE_IP);
    netlink_batch_put(&batch, CTA_IP_V4_SRC, address->bytes, 4);
    netlink_batch_nest_end(&batch, ip);
    netlink_batch_nest_end(&batch, tuple);
    size_t filter = netlink_batch_nest(&batch, CTA_FILTER);
    netlink_batch_u32(&batch, CTA_FILTER_ORIG_FLAGS, reply ? 0 : 1);
    netlink_batch_u32(&batch, CTA_FILTER_REPLY_FLAGS, reply ? 1 : 0);
    netlink_batch_nest_end(&batch, filter);
    int code = netlink_request(netlink, &batch, NULL, &err);
    check(code, &err);
    if (code) {
        (void)fprintf(stderr, "revoke: the kernel deletes by no filter: %s\n", strerror(code));
        exit(77);
    }
}

static double bare_delete(void)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    struct err err = {0};
    check(netlink_open(NETLINK_BUS_NETFILTER, &netlink, &err), &err);
    struct address pod = address_of(POD_BASE);
    double start = now_ms();
    delete_end(netlink, &pod, false);
    delete_end(netlink, &pod, true);
    double took = now_ms() - start;
    fill(0, POD_FLOWS);
    return took;
}

// ---- ours ----------------------------------------------------------------------------------------------------------

struct cutting {
    struct loop *loop;
    struct flows *flows;
    struct state *state;
    struct facts *facts;
    struct revoke_cache *cache;
    VEC(struct flow) denied;
    size_t told;
    size_t cut;
    unsigned step;
    bool on;
};

static const struct policy_options options = {.revoke_mask = MASK};

static void next(struct cutting *cutting);

static void on_flow(const struct flow *flow, void *arg)
{
    struct cutting *cutting = arg;
    struct err err = {0};
    enum revoke_verdict verdict;
    check(revoke_judge_cached(cutting->cache, cutting->state, "n1", cutting->facts, &options, flow, &verdict, &err),
          &err);
    cutting->told++;
    if (verdict == REVOKE_DENIED) {
        check(vec_push(&cutting->denied, *flow), &(struct err){.msg = "memory"});
    }
}

static void on_done(const struct err *why, void *arg)
{
    struct cutting *cutting = arg;
    struct err err = {0};
    size_t found = 0;
    check(why ? -1 : 0, why);
    check(flows_mark(cutting->flows, cutting->denied.v, cutting->denied.n, MASK, cutting->on, &found, &err), &err);
    cutting->cut += found;
    cutting->denied.n = 0;
    next(cutting);
}

static void next(struct cutting *cutting)
{
    struct err err = {0};
    const struct flow_reader reader = {.flow = on_flow, .done = on_done, .arg = cutting};
    const struct address pod = address_of(POD_BASE);
    const struct flow_filter filters[2] = {
        {.family = FAMILY_V4, .has_original_source = true, .original_source = pod},
        {.family = FAMILY_V4, .has_reply_source = true, .reply_source = pod},
    };
    if (cutting->step == 2) {
        loop_quit(cutting->loop, 0);
        return;
    }
    check(flows_list(cutting->flows, &filters[cutting->step], &reader, &err), &err);
    if (cutting->step == 0) {
        flows_list_ahead(cutting->flows, &filters[1]);
    }
    cutting->step++;
}

static double ours(struct cutting *cutting, bool on)
{
    struct err err = {0};
    double start = now_ms();
    cutting->step = 0;
    cutting->told = cutting->cut = 0;
    cutting->on = on;
    revoke_cache_clear(cutting->cache);
    next(cutting);
    check(loop_run(cutting->loop, &err), &err);
    return now_ms() - start;
}

// --------------------------------------------------------------------------------------------------------------------

static struct object_meta meta(const char *ns, const char *name)
{
    return (struct object_meta){
        .ns = ns, .name = name, .uid = "", .resource_version = "", .created = "", .origin.file = ""};
}

// Every pod of the node is isolated in both directions, and nothing is allowed.
static struct state *some_state(void)
{
    struct state *state;
    struct err err = {0};
    check(state_new(&state, &err), &err);
    for (uint32_t i = 0; i < PODS; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "p%u", i);
        struct address address = address_of(POD_BASE + i);
        const struct pod pod = {
            .meta = meta("x", name), .node = "n1", .phase = POD_RUNNING, .addresses = &address, .n_addresses = 1};
        check(state_put_pod(state, pod_dup(&pod), &err), &err);
    }
    const struct policy policy = {.meta = meta("x", "none"), .isolates = {true, true}};
    check(state_put_policy(state, policy_dup(&policy), &err), &err);
    return state;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof(*values), compare);
    return values[ROUNDS / 2];
}

static void bench(struct cutting *cutting, size_t entries)
{
    double bare[ROUNDS];
    double cut[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++) {
        cut[i] = ours(cutting, true);
        if (cutting->cut != POD_FLOWS) {
            (void)fprintf(stderr, "revoke: cut %zu of %d\n", cutting->cut, POD_FLOWS);
            exit(1);
        }
        (void)ours(cutting, false);
        bare[i] = bare_delete();
    }
    double b = median(bare);
    double c = median(cut);
    printf("| one pod's %d flows among %zu | %.1f ms | %.1f ms | %.2f |\n", POD_FLOWS, entries, b, c, c / b);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {100000, 250000};
    struct err err = {0};
    if (!conntrack_fill_enter()) {
        (void)fprintf(stderr, "SKIPPED: a network namespace cannot be made here: %s\n", strerror(errno));
        return 77;
    }
    struct cutting cutting = {.state = some_state()};
    check(loop_new(&cutting.loop, &err), &err);
    check(flows_open(cutting.loop, &cutting.flows, &err), &err);
    check(facts_new(&cutting.facts, &err), &err);
    check(revoke_cache_new(&cutting.cache, &err), &err);
    printf("| what | bare delete | cut | ratio |\n|---|---|---|---|\n");
    size_t filled = 0;
    size_t n = argc > 1 ? (size_t)argc - 1 : ARRAY_SIZE(sizes);
    for (size_t i = 0; i < n; i++) {
        size_t entries = argc > 1 ? (size_t)strtoul(argv[i + 1], NULL, 10) : sizes[i];
        fill(filled, entries);
        filled = entries;
        bench(&cutting, entries);
    }
    vec_free(&cutting.denied);
    revoke_cache_free(cutting.cache);
    flows_close(cutting.flows);
    loop_free(cutting.loop);
    facts_free(cutting.facts);
    state_free(cutting.state);
    return 0;
}
