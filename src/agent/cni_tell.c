// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "agent/cni_private.h"
#include "base/log.h"

// The addresses of all attachments of the pod that the newest of that name is of.
struct pod_addresses {
    const struct cni_attachment *newest;
    struct address all[LIMIT_POD_ADDRESSES];
    size_t n;
};

static bool is_named(const struct cni_attachment *attachment, const char *ns, const char *name)
{
    return strcmp(attachment->ns, ns) == 0 && strcmp(attachment->name, name) == 0;
}

static void gather(const struct cni_book *book, const char *ns, const char *name, struct pod_addresses *ret)
{
    *ret = (struct pod_addresses){0};
    for (struct map_entry *e = cni_book_first(book); e; e = map_next(e)) {
        const struct cni_attachment *attachment = map_entry_value(e);
        if (is_named(attachment, ns, name) && (!ret->newest || attachment->added_ms >= ret->newest->added_ms)) {
            ret->newest = attachment;
        }
    }
    for (struct map_entry *e = ret->newest ? cni_book_first(book) : NULL; e; e = map_next(e)) {
        const struct cni_attachment *attachment = map_entry_value(e);
        if (!is_named(attachment, ns, name) || strcmp(attachment->uid, ret->newest->uid) != 0) {
            continue;
        }
        for (size_t i = 0; i < attachment->n_addresses && ret->n < LIMIT_POD_ADDRESSES; i++) {
            bool there = false;
            for (size_t j = 0; j < ret->n; j++) {
                there = there || address_equal(&ret->all[j], &attachment->addresses[i]);
            }
            if (!there) {
                ret->all[ret->n++] = attachment->addresses[i];
            }
        }
    }
}

// Brings the state in step with what the book has of that name. As state_learn.
static int learn_one(struct state *state, const struct cni_book *book, const char *node, const char *ns,
                     const char *name, struct err *err)
{
    struct pod_addresses got;
    gather(book, ns, name, &got);
    if (!got.newest) {
        return state_forget(state, ns, name, "", err);
    }
    const struct learnt learnt = {.ns = ns,
                                  .name = name,
                                  .uid = cni_is_static(node, name) ? "" : got.newest->uid,
                                  .addresses = got.all,
                                  .n_addresses = got.n};
    return state_learn(state, &learnt, err);
}

static int learn(struct cni *cni, const char *ns, const char *name, struct err *err)
{
    int rc = learn_one(cni->config.state, cni->book, cni->config.node, ns, name, err);
    if (rc == STATE_UPDATED) {
        sync_changed(cni->config.sync);
    }
    return rc < 0 ? -1 : 0;
}

int cni_learn_kept(struct state *state, const char *node, const char *socket_path, struct err *err)
{
    char folder[CNI_PATH];
    CLEANUP(cni_book_free) struct cni_book *book = NULL;
    if (cni_book_folder(socket_path, folder, err) < 0 || cni_book_read(folder, &book, err) < 0) {
        return -1;
    }
    int rc = 0;
    for (struct map_entry *e = cni_book_first(book); rc >= 0 && e; e = map_next(e)) {
        const struct cni_attachment *attachment = map_entry_value(e);
        rc = learn_one(state, book, node, attachment->ns, attachment->name, err);
    }
    return rc < 0 ? -1 : 0;
}

static int compare_newest(const void *a, const void *b)
{
    const struct cni_attachment *x = *(const struct cni_attachment *const *)a;
    const struct cni_attachment *y = *(const struct cni_attachment *const *)b;
    return x->added_ms != y->added_ms ? (x->added_ms > y->added_ms ? -1 : 1) : strcmp(x->id, y->id);
}

static int tell_ports(struct cni *cni, struct err *err)
{
    if (!cni->config.host) {
        return 0;
    }
    VEC(const struct cni_attachment *) list = {0};
    VEC(struct facts_port) ports = {0};
    int rc = 0;
    for (struct map_entry *e = cni_book_first(cni->book); rc == 0 && e; e = map_next(e)) {
        rc = vec_push(&list, map_entry_value(e));
    }
    if (list.n > 1) {
        // Of two that have one address, the newer is told first, which is the one that counts.
        qsort(list.v, list.n, sizeof(*list.v), compare_newest);
    }
    for (size_t i = 0; rc == 0 && i < list.n; i++) {
        for (size_t j = 0; rc == 0 && *list.v[i]->port && j < list.v[i]->n_addresses; j++) {
            struct facts_port port = {.address = list.v[i]->addresses[j]};
            memcpy(port.port, list.v[i]->port, sizeof(port.port));
            rc = vec_push(&ports, port);
        }
    }
    rc = rc < 0 ? err_oom(err) : host_watch_ports(cni->config.host, ports.v, ports.n, err);
    vec_free(&list);
    vec_free(&ports);
    return rc;
}

static void gauge(struct cni *cni)
{
    metrics_set(cni->config.metrics, METRIC_CNI_ATTACHMENTS, NULL, NULL, (double)cni_book_count(cni->book));
}

static void remove_one(struct cni *cni, const struct cni_attachment *attachment)
{
    const struct cni_attachment gone = *attachment;
    struct err err = {0};
    cni_book_remove(cni->book, gone.id, gone.ifname);
    gauge(cni);
    if (learn(cni, gone.ns, gone.name, &err) < 0 || tell_ports(cni, &err) < 0) {
        log_event(LOG_LEVEL_ERROR, "cni-forget-failed", "pod=%s/%s error=%s", gone.ns, gone.name, log_quote(err.msg));
    }
}

// An address is given out once: who had one of these before and is still in the book is gone, and nobody said so.
static void drop_superseded(struct cni *cni, const struct cni_attachment *attachment)
{
    struct map_entry *next;
    for (struct map_entry *e = cni_book_first(cni->book); e; e = next) {
        const struct cni_attachment *old = map_entry_value(e);
        bool shares = false;
        next = map_next(e);
        for (size_t i = 0; i < old->n_addresses; i++) {
            for (size_t j = 0; j < attachment->n_addresses; j++) {
                shares = shares || address_equal(&old->addresses[i], &attachment->addresses[j]);
            }
        }
        bool same = strcmp(old->id, attachment->id) == 0 && strcmp(old->ifname, attachment->ifname) == 0;
        if (shares && !same) {
            log_event(LOG_LEVEL_WARN, "cni-superseded", "pod=%s/%s id=%.12s by=%s/%s", old->ns, old->name, old->id,
                      attachment->ns, attachment->name);
            remove_one(cni, old);
        }
    }
}

// After every other of that name, whatever the clock says: it may have been set back.
static uint64_t not_before(const struct cni *cni, const struct cni_attachment *attachment)
{
    uint64_t ms = attachment->added_ms;
    for (struct map_entry *e = cni_book_first(cni->book); e; e = map_next(e)) {
        const struct cni_attachment *other = map_entry_value(e);
        if (is_named(other, attachment->ns, attachment->name) && other->added_ms >= ms) {
            ms = other->added_ms + 1;
        }
    }
    return ms;
}

int cni_tell(struct cni *cni, const struct cni_attachment *attachment, struct err *err)
{
    drop_superseded(cni, attachment);
    struct cni_attachment fresh = *attachment;
    fresh.added_ms = not_before(cni, attachment);
    if (cni_book_add(cni->book, &fresh, err) < 0) {
        return -1;
    }
    gauge(cni);
    return learn(cni, attachment->ns, attachment->name, err) < 0 || tell_ports(cni, err) < 0 ? -1 : 0;
}

void cni_untell(struct cni *cni, const char *id, const char *ifname)
{
    const struct cni_attachment *attachment = cni_book_get(cni->book, id, ifname);
    if (attachment) {
        log_event(LOG_LEVEL_INFO, "cni-del", "pod=%s/%s id=%.12s", attachment->ns, attachment->name, attachment->id);
        remove_one(cni, attachment);
    } else {
        // Its file may be there all the same, and could not be read.
        cni_book_remove(cni->book, id, ifname);
    }
    cni_look_at_book(cni);
}

void cni_look_at_book(struct cni *cni)
{
    struct cni_attachment gone;
    const char *first = "";
    char why[256] = "";
    // One that cannot be removed would be met again and again.
    for (size_t n = cni_book_count(cni->book) + 1; n > 0 && cni_book_tidy(cni->book, &gone); n--) {
        log_event(LOG_LEVEL_INFO, "cni-forgotten", "pod=%s/%s id=%.12s why=%s", gone.ns, gone.name, gone.id,
                  log_quote("its file was removed, as the plugin does when nobody answers"));
        remove_one(cni, &gone);
    }
    size_t n = cni_book_unreadable(cni->book, &first);
    if (n) {
        (void)snprintf(
            why, sizeof(why),
            "%zu files of the CNI plugin cannot be read, %s first: pods whose status names no address may be "
            "open; delete these pods, or the files",
            n, first);
    }
    metrics_set(cni->config.metrics, METRIC_CNI_UNREADABLE, NULL, NULL, (double)n);
    (void)health_set(cni->config.health, HEALTH_CNI, n == 0, why);
}

int cni_tell_all(struct cni *cni, struct err *err)
{
    for (struct map_entry *e = cni_book_first(cni->book); e; e = map_next(e)) {
        const struct cni_attachment *attachment = map_entry_value(e);
        if (learn(cni, attachment->ns, attachment->name, err) < 0) {
            return -1;
        }
    }
    gauge(cni);
    cni_look_at_book(cni);
    return tell_ports(cni, err);
}

void cni_drop_missing(struct cni *cni, uint64_t now_ms)
{
    struct map_entry *next;
    for (struct map_entry *e = cni->source_synced ? cni_book_first(cni->book) : NULL; e; e = next) {
        struct cni_attachment *attachment = map_entry_value(e);
        const struct pod *pod = state_pod(cni->config.state, attachment->ns, attachment->name);
        next = map_next(e);
        if (pod && cni_is_pod(cni, attachment, pod)) {
            attachment->missing_ms = 0;
        } else if (!attachment->missing_ms) {
            attachment->missing_ms = now_ms;
        } else if (now_ms - attachment->missing_ms >= cni->config.missing_ms) {
            log_event(LOG_LEVEL_INFO, "cni-forgotten", "pod=%s/%s id=%.12s why=%s", attachment->ns, attachment->name,
                      attachment->id, log_quote("its object is gone, and nobody said that it is"));
            remove_one(cni, attachment);
        }
    }
}
