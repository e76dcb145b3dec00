// SPDX-License-Identifier: Apache-2.0
#include "agent/cni.h"

#include <stdio.h>
#include <time.h>

#include "agent/cni_private.h"
#include "agent/cni_request.h"
#include "base/log.h"
#include "base/num.h"

enum { LOOK_MS = 30000, TIMEOUT_MS = 30000 };

// ---- who waits -----------------------------------------------------------------------------------------------------

static void on_applied(void *arg);

static void wait_end(struct cni_wait *wait)
{
    struct cni *cni = wait->cni;
    struct err err = {0};
    if (wait->applying) {
        (void)!sync_when_applied(cni->config.sync, NULL, wait, &err);
    }
    cni_forget_cancel(cni->forget, wait);
    if (wait->prev) {
        wait->prev->next = wait->next;
    } else {
        cni->waits = wait->next;
    }
    if (wait->next) {
        wait->next->prev = wait->prev;
    }
    cni->n_waits--;
    free(wait);
}

static void count(struct cni *cni, const char *op, const char *result)
{
    metrics_add(cni->config.metrics, METRIC_CNI_REQUESTS, op, result, 1);
}

static void wait_answer(struct cni_wait *wait)
{
    struct cni *cni = wait->cni;
    struct control_call *call = wait->call;
    double seconds = (double)(num_now_ms() - wait->start_ms) / 1e3;
    count(cni, wait->op, "ok");
    if (!wait->check) {
        cni->added++;
        metrics_observe(cni->config.metrics, METRIC_CNI_ADD, seconds);
    }
    log_event(LOG_LEVEL_INFO, wait->op, "pod=%s/%s id=%.12s addresses=%zu seconds=%.3f", wait->attachment.ns,
              wait->attachment.name, wait->attachment.id, wait->attachment.n_addresses, seconds);
    wait_end(wait);
    control_answer(call, "");
}

static void wait_refuse(struct cni_wait *wait, const char *code, const char *why)
{
    struct cni *cni = wait->cni;
    struct control_call *call = wait->call;
    count(cni, wait->op, code);
    cni->refused += wait->check ? 0 : 1;
    log_event(LOG_LEVEL_WARN, "cni-refused", "op=%s pod=%s/%s id=%.12s code=%s why=%s", wait->op, wait->attachment.ns,
              wait->attachment.name, wait->attachment.id, code, log_quote(why));
    wait_end(wait);
    control_refuse(call, code, why);
}

// ---- what is waited for --------------------------------------------------------------------------------------------

bool cni_is_static(const char *node, const char *name)
{
    size_t n_name = strlen(name);
    size_t n_node = strlen(node);
    const char *end = n_name > n_node + 1 ? name + n_name - n_node : NULL;
    return end && end[-1] == '-' && strcmp(end, node) == 0;
}

bool cni_is_pod(const struct cni *cni, const struct cni_attachment *attachment, const struct pod *pod)
{
    return !*attachment->uid || strcmp(attachment->uid, pod->meta.uid) == 0 ||
           cni_is_static(cni->config.node, attachment->name);
}

// The pod's object, when it is here; else why says what is missing.
static const struct pod *find_pod(const struct cni_wait *wait, struct buf *why)
{
    const struct cni *cni = wait->cni;
    const struct cni_attachment *attachment = &wait->attachment;
    const struct pod *pod = state_pod(cni->config.state, attachment->ns, attachment->name);
    if (!cni->source_synced) {
        buf_puts(why, "the cluster has not been read yet: ");
        buf_puts(why, cni->config.health->checks[HEALTH_SYNC].why);
    } else if (!pod) {
        buf_printf(why, "the object of pod %s/%s has not been seen", attachment->ns, attachment->name);
    } else if (!cni_is_pod(cni, attachment, pod)) {
        buf_printf(why, "the object of pod %s/%s with uid %s has not been seen, that of %s is there", attachment->ns,
                   attachment->name, attachment->uid, pod->meta.uid);
    } else if (strcmp(pod->node, cni->config.node) != 0) {
        buf_printf(why, "the object of pod %s/%s is of node \"%s\", not of %s", attachment->ns, attachment->name,
                   pod->node, cni->config.node);
    } else {
        return pod;
    }
    return NULL;
}

// Whether the rules of the addresses are those of this pod: of several pods that claim one, another may own it.
static bool owns_all(const struct cni_wait *wait, const struct pod *pod, struct buf *why)
{
    for (size_t i = 0; i < wait->attachment.n_addresses; i++) {
        char text[ADDRESS_TEXT];
        const struct address *address = &wait->attachment.addresses[i];
        const struct pod *owner = state_owner(wait->cni->config.state, address);
        if (owner != pod) {
            buf_printf(why, "%s is the address of %s%s%s", address_format(address, text),
                       owner ? owner->meta.ns : "no pod that is alive", owner ? "/" : "",
                       owner ? owner->meta.name : "");
            return false;
        }
    }
    return true;
}

static void put_failing(const struct cni *cni, struct buf *out)
{
    buf_puts(out, "the rules are not in the kernel");
    for (unsigned i = 0; i < HEALTH_CHECK_COUNT; i++) {
        if (!cni->config.health->checks[i].ok) {
            buf_printf(out, "; %s: %s", health_check_name((enum health_check)i), cni->config.health->checks[i].why);
        }
    }
}

static void ask_applied(struct cni_wait *wait)
{
    struct err err = {0};
    if (wait->applying) {
        return;
    }
    if (sync_when_applied(wait->cni->config.sync, on_applied, wait, &err) < 0) {
        wait_refuse(wait, "failed", err.msg);
        return;
    }
    wait->applying = true;
}

// May end the wait.
static void look(struct cni_wait *wait)
{
    BUF_CLEANUP struct buf why = {0};
    struct err err = {0};
    const struct pod *pod = find_pod(wait, &why);
    if (!pod) {
        return;
    }
    if (pod->host_network) {
        wait_answer(wait);
        return;
    }
    if (!wait->told && !wait->check) {
        if (cni_tell(wait->cni, &wait->attachment, &err) < 0) {
            char text[1024];
            wait_refuse(wait, "failed", err_text(&err, text, sizeof(text)));
            return;
        }
        wait->told = true;
        pod = find_pod(wait, &why);
    }
    if (pod && owns_all(wait, pod, &why)) {
        ask_applied(wait);
    }
}

// A kernel that has no such table, or does not show it, has refused to the revocation as well, which says so.
static void on_forgotten(const struct err *err, size_t n_gone, void *arg)
{
    struct cni_wait *wait = arg;
    wait->forgetting = false;
    wait->forgotten = true;
    if (err) {
        log_event(LOG_LEVEL_WARN, "cni-connections-kept", "pod=%s/%s error=%s effect=%s", wait->attachment.ns,
                  wait->attachment.name, log_quote(err->msg),
                  log_quote("what the address had established with its last pod goes on until it is judged"));
    } else if (n_gone) {
        log_event(LOG_LEVEL_INFO, "cni-connections-ended", "pod=%s/%s connections=%zu", wait->attachment.ns,
                  wait->attachment.name, n_gone);
    }
    look(wait);
}

static void forget(struct cni_wait *wait)
{
    struct err err = {0};
    if (wait->forgetting) {
        return;
    }
    if (cni_forget_ask(wait->cni->forget, wait->attachment.addresses, wait->attachment.n_addresses, on_forgotten, wait,
                       &err) < 0) {
        wait_refuse(wait, "failed", err.msg);
        return;
    }
    wait->forgetting = true;
}

static void on_applied(void *arg)
{
    struct cni_wait *wait = arg;
    BUF_CLEANUP struct buf why = {0};
    wait->applying = false;
    // It may have gone, or lost its address, meanwhile: then what was written is not about it.
    const struct pod *pod = find_pod(wait, &why);
    if (!pod || !owns_all(wait, pod, &why)) {
        return;
    }
    // Behind the rules: what still comes of those connections is judged by them.
    if (!wait->check && !wait->forgotten) {
        forget(wait);
    } else {
        wait_answer(wait);
    }
}

static void expire(struct cni_wait *wait)
{
    BUF_CLEANUP struct buf why = {0};
    bool unsynced = !wait->cni->source_synced;
    const struct pod *pod = find_pod(wait, &why);
    if (pod && owns_all(wait, pod, &why)) {
        if (wait->forgetting) {
            buf_puts(&why, "the connections that the address had before are still being looked for");
        } else {
            put_failing(wait->cni, &why);
        }
    }
    wait_refuse(wait, unsynced ? "not-synced" : "timeout", why.data ? why.data : "");
}

// ---- ops -----------------------------------------------------------------------------------------------------------

static void on_timer(void *arg)
{
    struct cni *cni = arg;
    uint64_t now = num_now_ms();
    uint64_t next = now + LOOK_MS;
    struct cni_wait *following;
    for (struct cni_wait *wait = cni->waits; wait; wait = following) {
        following = wait->next;
        if (wait->deadline_ms <= now) {
            expire(wait);
        } else if (wait->deadline_ms < next) {
            next = wait->deadline_ms;
        }
    }
    cni_drop_missing(cni, now);
    cni_look_at_book(cni);
    loop_arm(cni->timer, next - now);
}

static uint64_t timeout_of(const struct doc *request)
{
    const struct doc *got = doc_get(request, "timeout_ms");
    int64_t ms = got && got->type == DOC_NUMBER && got->integral && got->integer > 0 ? got->integer : TIMEOUT_MS;
    return ms < CNI_TIMEOUT_MAX_MS ? (uint64_t)ms : (uint64_t)CNI_TIMEOUT_MAX_MS;
}

static void start(struct cni *cni, struct control_call *call, const struct doc *request, bool check)
{
    struct err err = {0};
    struct cni_wait *wait = cni->n_waits < CNI_WAITS_MAX ? calloc(1, sizeof(*wait)) : NULL;
    if (cni->n_waits >= CNI_WAITS_MAX) {
        count(cni, check ? "cni-check" : "cni-add", "busy");
        control_refuse(call, "busy", "too many pods wait for their rules");
        return;
    }
    if (!wait) {
        control_refuse(call, "failed", "out of memory");
        return;
    }
    if (cni_request_parse(request, &wait->attachment, &err) < 0) {
        char text[1024];
        free(wait);
        count(cni, check ? "cni-check" : "cni-add", "bad-request");
        control_refuse(call, "bad-request", err_text(&err, text, sizeof(text)));
        return;
    }
    struct timespec wall = {0};
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    wait->attachment.added_ms = (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1000000;
    wait->cni = cni;
    wait->call = call;
    wait->check = check;
    wait->op = check ? "cni-check" : "cni-add";
    wait->start_ms = num_now_ms();
    wait->deadline_ms = wait->start_ms + timeout_of(request);
    wait->next = cni->waits;
    if (wait->next) {
        wait->next->prev = wait;
    }
    cni->waits = wait;
    cni->n_waits++;
    loop_arm(cni->timer, 0);
    look(wait);
}

static void ask_add(struct control_call *call, const struct doc *request, void *arg)
{
    start(arg, call, request, false);
}

static void ask_check(struct control_call *call, const struct doc *request, void *arg)
{
    start(arg, call, request, true);
}

static void on_gone(struct control_call *call, void *arg)
{
    struct cni *cni = arg;
    for (struct cni_wait *wait = cni->waits; wait; wait = wait->next) {
        if (wait->call == call) {
            count(cni, wait->op, "gone");
            wait_end(wait);
            return;
        }
    }
}

static void ask_del(struct control_call *call, const struct doc *request, void *arg)
{
    struct cni *cni = arg;
    struct cni_attachment key = {0};
    struct err err = {0};
    if (cni_request_key(request, &key, &err) < 0) {
        control_refuse(call, "bad-request", err.msg);
        return;
    }
    struct cni_wait *next;
    for (struct cni_wait *wait = cni->waits; wait; wait = next) {
        next = wait->next;
        if (!wait->check && strcmp(wait->attachment.id, key.id) == 0 &&
            strcmp(wait->attachment.ifname, key.ifname) == 0) {
            wait_refuse(wait, "deleted", "the attachment was deleted while it waited");
        }
    }
    cni_untell(cni, key.id, key.ifname);
    count(cni, "cni-del", "ok");
    control_answer(call, "");
}

static void ask_status(struct control_call *call, UNUSED const struct doc *request, void *arg)
{
    // What an add needs; other checks may fail and pods start all the same.
    static const enum health_check needed[] = {HEALTH_SYNC, HEALTH_STATE, HEALTH_HOST, HEALTH_APPLY};
    const struct cni *cni = arg;
    for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
        if (!cni->config.health->checks[needed[i]].ok) {
            control_refuse(call, "not-synced", cni->config.health->checks[needed[i]].why);
            return;
        }
    }
    control_answer(call, "");
}

void cni_ops(struct cni *cni, struct control_op *rows)
{
    const struct control_op ops[CNI_OPS] = {
        {.name = "cni-add", .ask = ask_add, .gone = on_gone, .arg = cni},
        {.name = "cni-check", .ask = ask_check, .gone = on_gone, .arg = cni},
        {.name = "cni-del", .ask = ask_del, .arg = cni},
        {.name = "cni-status", .ask = ask_status, .arg = cni},
    };
    memcpy(rows, ops, sizeof(ops));
}

void cni_changed(struct cni *cni)
{
    struct cni_wait *next;
    for (struct cni_wait *wait = cni->waits; wait; wait = next) {
        next = wait->next;
        look(wait);
    }
}

void cni_source_synced(struct cni *cni, bool synced)
{
    if (synced && !cni->source_synced) {
        cni->source_synced = true;
        cni_changed(cni);
    }
}

void cni_status(struct buf *out, void *arg)
{
    const struct cni *cni = arg;
    buf_printf(out, "{\"pods\":%zu,\"waiting\":%zu,\"added\":%zu,\"refused\":%zu,\"unreadable_files\":%zu}",
               cni_book_count(cni->book), cni->n_waits, cni->added, cni->refused, cni_book_unreadable(cni->book, NULL));
}

int cni_new(const struct cni_config *config, struct cni **ret, struct err *err)
{
    CLEANUP(cni_free) struct cni *cni = calloc(1, sizeof(*cni));
    if (!cni) {
        return err_oom(err);
    }
    cni->config = *config;
    cni->config.missing_ms = config->missing_ms ? config->missing_ms : CNI_MISSING_MS;
    if (cni_forget_new(config->loop, &cni->forget, err) < 0 || cni_book_open(config->folder, &cni->book, err) < 0 ||
        loop_add_timer(config->loop, on_timer, cni, &cni->timer, err) < 0 || cni_tell_all(cni, err) < 0) {
        return -1;
    }
    loop_arm(cni->timer, LOOK_MS);
    *ret = TAKE(cni);
    return 0;
}

void cni_free(struct cni *cni)
{
    if (!cni) {
        return;
    }
    while (cni->waits) {
        wait_end(cni->waits);
    }
    loop_remove_timer(cni->timer);
    cni_forget_free(cni->forget);
    cni_book_free(cni->book);
    free(cni);
}
