// SPDX-License-Identifier: Apache-2.0
#include "flow/flow.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "flow/flow_wire.h"
#include "netlink/netlink_dump.h"

// A batch's answers wait in the socket, where an unprivileged buffer holds about 400 KiB of them.
enum { MARK_BATCH = 32 };

struct flows {
    struct loop *loop;
    struct netlink *netlink;  // for marks; dumps have a socket each
    struct netlink_batch batch;
    struct netlink_dump *dump;
    struct loop_fd *readable;
    struct flow_filter filter;
    struct flow_reader reader;
    bool filtered;    // the kernel was asked to filter
    bool unfiltered;  // it refused that once
    bool reading;     // the reader is being told
    bool cancelled;   // meanwhile
};

int flows_open(struct loop *loop, struct flows **ret, struct err *err)
{
    CLEANUP(flows_close) struct flows *flows = calloc(1, sizeof(*flows));
    if (!flows) {
        return err_oom(err);
    }
    flows->loop = loop;
    if (netlink_open(NETLINK_BUS_NETFILTER, &flows->netlink, err) < 0) {
        return -1;
    }
    *ret = TAKE(flows);
    return 0;
}

static void stop(struct flows *flows)
{
    loop_remove_fd(flows->readable);
    netlink_dump_free(flows->dump);
    flows->readable = NULL;
    flows->dump = NULL;
}

void flows_close(struct flows *flows)
{
    if (!flows) {
        return;
    }
    stop(flows);
    netlink_close(flows->netlink);
    netlink_batch_free(&flows->batch);
    free(flows);
}

void flows_cancel(struct flows *flows)
{
    if (flows->reading) {
        flows->cancelled = true;
    } else {
        stop(flows);
    }
}

// ---- list ----------------------------------------------------------------------------------------------------------

static int on_reply(const struct netlink_reply *reply, void *arg, struct err *err)
{
    struct flows *flows = arg;
    struct flow flow;
    // Kernels that do not know CTA_FILTER give everything.
    if (flow_parse(reply, &flow) && flow_matches(&flow, &flows->filter)) {
        flows->reader.flow(&flow, flows->reader.arg);
    }
    return flows->cancelled ? err_set(err, ERR_RETRY, ECANCELED, "cancelled") : 0;
}

static int start(struct flows *flows, struct err *err);

static int say_why(struct flows *flows, const struct err *why, struct err *err)
{
    if (why->kind == ERR_SYSTEM && why->num == EINVAL && !flows->filtered) {
        return err_set(
            err, ERR_UNSUPPORTED, EINVAL,
            "the kernel lists no connections: nf_conntrack_netlink is missing (modprobe nf_conntrack_netlink)");
    }
    *err = *why;
    return err_wrap(err, "list connections");
}

// The request itself is not understood, so nothing was told yet. What else goes wrong (no memory, no time, half way)
// says nothing about filters.
static bool is_refusal(const struct err *why)
{
    return why->kind == ERR_SYSTEM && (why->num == EINVAL || why->num == EOPNOTSUPP || why->num == ERANGE);
}

// The reader may begin another list at once.
static void finish(struct flows *flows, const struct err *err)
{
    stop(flows);
    flows->reader.done(err, flows->reader.arg);
}

static void on_readable(int fd, unsigned events, void *arg)
{
    (void)fd;
    (void)events;
    struct flows *flows = arg;
    struct err why = {0};
    struct err err = {0};
    flows->reading = true;
    int rc = netlink_dump_read(flows->dump, on_reply, flows, &why);
    flows->reading = false;
    if (flows->cancelled) {
        flows->cancelled = false;
        stop(flows);
        return;
    }
    if (rc == 1) {
        return;
    }
    if (rc < 0 && flows->filtered && is_refusal(&why)) {
        // A kernel that cannot filter so: everything, filtered here.
        flows->unfiltered = true;
        stop(flows);
        if (start(flows, &err) == 0) {
            return;
        }
        finish(flows, &err);
        return;
    }
    if (rc < 0) {
        (void)say_why(flows, &why, &err);
    }
    finish(flows, rc < 0 ? &err : NULL);
}

static int start(struct flows *flows, struct err *err)
{
    flows->filtered = !flows->unfiltered && flow_can_filter(&flows->filter);
    netlink_batch_clear(&flows->batch);
    flow_put_filter(&flows->batch, &flows->filter, flows->filtered);
    if (netlink_dump_start(NETLINK_BUS_NETFILTER, &flows->batch, &flows->dump, err) < 0) {
        return err_wrap(err, "list connections");
    }
    if (loop_add_fd(flows->loop, netlink_dump_fd(flows->dump), LOOP_READ, on_readable, flows, &flows->readable, err) <
        0) {
        stop(flows);
        return -1;
    }
    return 0;
}

int flows_list(struct flows *flows, const struct flow_filter *filter, const struct flow_reader *reader, struct err *err)
{
    if (flows->dump) {
        return err_set(err, ERR_RETRY, EBUSY, "connections are being listed already");
    }
    flows->filter = *filter;
    flows->reader = *reader;
    return start(flows, err);
}

// ---- mark ----------------------------------------------------------------------------------------------------------

struct marking {
    const struct flow *list;
    size_t n;
    size_t found;
    VEC(struct flow) others;  // were hit instead
    bool oom;
    int refused;  // a reason that is not "gone"
};

static int on_marked(const struct netlink_reply *reply, void *arg, UNUSED struct err *err)
{
    struct marking *marking = arg;
    struct flow flow;
    size_t at = reply->index - marking->n;
    if (reply->index < marking->n || at >= marking->n || !flow_parse(reply, &flow)) {
        return 0;
    }
    if (flow_same(&flow, &marking->list[at])) {
        marking->found++;
    } else if (vec_push(&marking->others, flow) < 0) {
        marking->oom = true;
    }
    return 0;
}

static void on_refused(int code, UNUSED const struct netlink_reply *request, void *arg)
{
    struct marking *marking = arg;
    if (code != ENOENT && !marking->refused) {
        marking->refused = code;
    }
}

static void put_mark(struct netlink_batch *batch, const struct flow *flow, uint32_t mask, bool on)
{
    flow_message(batch, IPCTNL_MSG_CT_NEW, NLM_F_ACK, flow->original.source.family);
    flow_put_key(batch, flow);
    netlink_batch_be32(batch, CTA_MARK, on ? mask : 0);
    netlink_batch_be32(batch, CTA_MARK_MASK, mask);
}

static int mark_batch(struct flows *flows, struct marking *marking, uint32_t mask, bool on, struct err *err)
{
    netlink_batch_clear(&flows->batch);
    for (size_t i = 0; i < marking->n; i++) {
        put_mark(&flows->batch, &marking->list[i], mask, on);
    }
    for (size_t i = 0; i < marking->n; i++) {
        flow_message(&flows->batch, IPCTNL_MSG_CT_GET, NLM_F_ACK, marking->list[i].original.source.family);
        flow_put_key(&flows->batch, &marking->list[i]);
    }
    const struct netlink_handler handler = {.reply = on_marked, .refused = on_refused, .arg = marking};
    if (netlink_request(flows->netlink, &flows->batch, &handler, err) < 0) {
        return err_wrap(err, "mark connections");
    }
    if (marking->refused) {
        return err_set(err, marking->refused == EPERM ? ERR_DENIED : ERR_SYSTEM, marking->refused,
                       "mark connections: %s", strerror(marking->refused));
    }
    return marking->oom ? err_oom(err) : 0;
}

// What was hit in place of an entry that is gone has just begun, so nothing but this call has marked it.
static int spare_others(struct flows *flows, const struct marking *marking, uint32_t mask, struct err *err)
{
    for (size_t i = 0; i < marking->others.n; i++) {
        netlink_batch_clear(&flows->batch);
        put_mark(&flows->batch, &marking->others.v[i], mask, false);
        int code = netlink_request(flows->netlink, &flows->batch, NULL, err);
        if (code < 0 || (code && code != ENOENT)) {
            return code < 0 ? -1 : err_set(err, ERR_SYSTEM, code, "unmark a connection: %s", strerror(code));
        }
    }
    return 0;
}

int flows_mark(struct flows *flows, const struct flow *list, size_t n, uint32_t mask, bool on, size_t *ret_found,
               struct err *err)
{
    size_t found = 0;
    for (size_t at = 0; at < n; at += MARK_BATCH) {
        struct marking marking = {.list = list + at, .n = n - at < MARK_BATCH ? n - at : MARK_BATCH};
        int rc = mark_batch(flows, &marking, mask, on, err);
        if (rc == 0 && on) {
            rc = spare_others(flows, &marking, mask, err);
        }
        found += marking.found;
        vec_free(&marking.others);
        if (rc < 0) {
            return -1;
        }
    }
    if (ret_found) {
        *ret_found = found;
    }
    return 0;
}
