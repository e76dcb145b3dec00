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
    struct netlink_dump *ahead;  // of the list that comes next
    struct flow_filter ahead_filter;
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

static void drop_ahead(struct flows *flows)
{
    netlink_dump_free(flows->ahead);
    flows->ahead = NULL;
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
    drop_ahead(flows);
    netlink_close(flows->netlink);
    netlink_batch_free(&flows->batch);
    free(flows);
}

void flows_cancel(struct flows *flows)
{
    drop_ahead(flows);
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

static int begin(struct flows *flows, const struct flow_filter *filter, bool filtered, struct netlink_dump **ret,
                 struct err *err)
{
    netlink_batch_clear(&flows->batch);
    flow_put_filter(&flows->batch, filter, filtered);
    return netlink_dump_start(NETLINK_BUS_NETFILTER, &flows->batch, ret, err);
}

static bool can_filter(const struct flows *flows, const struct flow_filter *filter)
{
    return !flows->unfiltered && flow_can_filter(filter);
}

static int start(struct flows *flows, struct err *err)
{
    flows->filtered = can_filter(flows, &flows->filter);
    if (flows->ahead && flows->filtered && flow_filter_equal(&flows->ahead_filter, &flows->filter)) {
        flows->dump = TAKE(flows->ahead);
    } else {
        drop_ahead(flows);
        if (begin(flows, &flows->filter, flows->filtered, &flows->dump, err) < 0) {
            return err_wrap(err, "list connections");
        }
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

void flows_list_ahead(struct flows *flows, const struct flow_filter *filter)
{
    struct err err = {0};
    drop_ahead(flows);
    // Unfiltered, two lists of everything would wait in turn for the one reader.
    if (can_filter(flows, filter) && begin(flows, filter, true, &flows->ahead, &err) == 0) {
        flows->ahead_filter = *filter;
    }
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

static void put_mark(struct netlink_batch *batch, const struct flow *flow, uint32_t mask, bool on, uint16_t flags)
{
    flow_message(batch, IPCTNL_MSG_CT_NEW, flags, flow->original.source.family);
    flow_put_key(batch, flow);
    netlink_batch_be32(batch, CTA_MARK, on ? mask : 0);
    netlink_batch_be32(batch, CTA_MARK_MASK, mask);
}

static int mark_batch(struct flows *flows, struct marking *marking, uint32_t mask, bool on, struct err *err)
{
    netlink_batch_clear(&flows->batch);
    for (size_t i = 0; i < marking->n; i++) {
        put_mark(&flows->batch, &marking->list[i], mask, on, 0);
    }
    for (size_t i = 0; i < marking->n; i++) {
        // The answer, or the refusal, tells enough: an acknowledgement of each would be most of what is read.
        uint16_t flags = i == marking->n - 1 ? NLM_F_ACK : 0;
        flow_message(&flows->batch, IPCTNL_MSG_CT_GET, flags, marking->list[i].original.source.family);
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
        put_mark(&flows->batch, &marking->others.v[i], mask, false, NLM_F_ACK);
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

// ---- look ----------------------------------------------------------------------------------------------------------

struct looking {
    const struct flow *list;
    uint32_t mask;
    enum flow_presence *ret;
};

static int on_seen(const struct netlink_reply *reply, void *arg, UNUSED struct err *err)
{
    const struct looking *looking = arg;
    struct flow flow;
    if (flow_parse(reply, &flow) && flow.id == looking->list[reply->index].id) {
        looking->ret[reply->index] = flow.mark & looking->mask ? FLOW_MARKED : FLOW_UNMARKED;
    }
    return 0;
}

// The entries of these keys; what is gone is not told.
static int get_batch(struct flows *flows, const struct flow *list, size_t n, const struct netlink_handler *handler,
                     struct err *err)
{
    netlink_batch_clear(&flows->batch);
    for (size_t i = 0; i < n; i++) {
        flow_message(&flows->batch, IPCTNL_MSG_CT_GET, i == n - 1 ? NLM_F_ACK : 0, list[i].original.source.family);
        flow_put_key(&flows->batch, &list[i]);
    }
    int code = netlink_request(flows->netlink, &flows->batch, handler, err);
    if (code < 0) {
        return err_wrap(err, "look at connections");
    }
    return code == 0 || code == ENOENT
               ? 0
               : err_set(err, code == EPERM ? ERR_DENIED : ERR_SYSTEM, code, "look at connections: %s", strerror(code));
}

int flows_look(struct flows *flows, const struct flow *list, size_t n, uint32_t mask, enum flow_presence *ret,
               struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        ret[i] = FLOW_GONE;
    }
    for (size_t at = 0; at < n; at += MARK_BATCH) {
        struct looking looking = {.list = list + at, .mask = mask, .ret = ret + at};
        const struct netlink_handler handler = {.reply = on_seen, .arg = &looking};
        if (get_batch(flows, list + at, n - at < MARK_BATCH ? n - at : MARK_BATCH, &handler, err) < 0) {
            return -1;
        }
    }
    return 0;
}

struct turning {
    const struct flow *keys;
    struct flow *ret;
    size_t n;
};

static int on_turned(const struct netlink_reply *reply, void *arg, UNUSED struct err *err)
{
    struct turning *turning = arg;
    struct flow flow;
    if (flow_parse(reply, &flow) && flow_same_original(&flow, &turning->keys[reply->index])) {
        turning->ret[turning->n++] = flow;
    }
    return 0;
}

int flows_find_turned(struct flows *flows, const struct flow *list, size_t n, struct flow *ret, size_t *ret_n,
                      struct err *err)
{
    struct turning turning = {.ret = ret};
    const struct netlink_handler handler = {.reply = on_turned, .arg = &turning};
    for (size_t at = 0; at < n; at += MARK_BATCH) {
        struct flow keys[MARK_BATCH];
        size_t n_keys = n - at < MARK_BATCH ? n - at : MARK_BATCH;
        for (size_t i = 0; i < n_keys; i++) {
            // A zone of the original direction alone does not hold for what comes back.
            const struct flow *gone = &list[at + i];
            keys[i] = (struct flow){.original = gone->reply, .zone = gone->zone_of_original ? 0 : gone->zone};
        }
        turning.keys = keys;
        if (get_batch(flows, keys, n_keys, &handler, err) < 0) {
            return -1;
        }
    }
    *ret_n = turning.n;
    return 0;
}

// ---- delete --------------------------------------------------------------------------------------------------------

int flows_delete(struct flows *flows, const struct flow *list, size_t n, struct err *err)
{
    for (size_t at = 0; at < n; at += MARK_BATCH) {
        size_t end = n - at < MARK_BATCH ? n : at + MARK_BATCH;
        struct marking marking = {0};
        const struct netlink_handler handler = {.refused = on_refused, .arg = &marking};
        netlink_batch_clear(&flows->batch);
        for (size_t i = at; i < end; i++) {
            uint16_t flags = i == end - 1 ? NLM_F_ACK : 0;
            flow_message(&flows->batch, IPCTNL_MSG_CT_DELETE, flags, list[i].original.source.family);
            flow_put_key(&flows->batch, &list[i]);
            netlink_batch_be32(&flows->batch, CTA_ID, list[i].id);
        }
        if (netlink_request(flows->netlink, &flows->batch, &handler, err) < 0) {
            return err_wrap(err, "delete connections");
        }
        if (marking.refused) {
            return err_set(err, marking.refused == EPERM ? ERR_DENIED : ERR_SYSTEM, marking.refused,
                           "delete connections: %s", strerror(marking.refused));
        }
    }
    return 0;
}
