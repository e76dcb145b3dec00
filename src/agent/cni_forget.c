// SPDX-License-Identifier: Apache-2.0
#include "agent/cni_forget.h"

#include <stdlib.h>

#include "base/buf.h"
#include "flow/flow.h"

// More are looked for in one list of everything.
enum { BY_ADDRESS = 8, STEPS_MAX = 2 * BY_ADDRESS + 1 };

struct asker {
    const struct address *addresses;
    size_t n;
    cni_forget_fn *done;
    void *arg;
};

struct cni_forget {
    struct loop *loop;
    struct loop_timer *timer;
    struct flows *flows;
    VEC(struct asker) next;
    VEC(struct asker) now;       // whose lists are read
    VEC(struct address) sought;  // theirs, as they were at the beginning
    struct flow_filter steps[STEPS_MAX];
    size_t n_steps;
    size_t step;
    bool running;
    VEC(struct flow) found;
    size_t n_gone;
};

static void end(struct cni_forget *forget, const struct err *err)
{
    size_t n_gone = forget->n_gone;
    forget->running = false;
    // One may ask again from within, and others be cancelled.
    while (forget->now.n > 0) {
        struct asker asker = forget->now.v[--forget->now.n];
        asker.done(err, n_gone, asker.arg);
    }
    if (forget->next.n > 0) {
        loop_arm(forget->timer, 0);
    }
}

static bool is_sought(const struct cni_forget *forget, const struct address *address)
{
    for (size_t i = 0; i < forget->sought.n; i++) {
        if (address_equal(&forget->sought.v[i], address)) {
            return true;
        }
    }
    return false;
}

static void on_flow(const struct flow *flow, void *arg)
{
    struct cni_forget *forget = arg;
    if ((is_sought(forget, &flow->original.source) || is_sought(forget, &flow->reply.source)) &&
        vec_push(&forget->found, *flow) < 0) {
        flows_cancel(forget->flows);
        struct err err = {0};
        (void)err_oom(&err);
        end(forget, &err);
    }
}

static void step(struct cni_forget *forget);

static void on_done(const struct err *why, void *arg)
{
    struct cni_forget *forget = arg;
    struct err err = {0};
    if (why || flows_delete(forget->flows, forget->found.v, forget->found.n, &err) < 0) {
        end(forget, why ? why : &err);
        return;
    }
    forget->n_gone += forget->found.n;
    forget->step++;
    step(forget);
}

static void step(struct cni_forget *forget)
{
    struct err err = {0};
    const struct flow_reader reader = {.flow = on_flow, .done = on_done, .arg = forget};
    forget->found.n = 0;
    if (forget->step == forget->n_steps) {
        end(forget, NULL);
        return;
    }
    if (flows_list(forget->flows, &forget->steps[forget->step], &reader, &err) < 0) {
        end(forget, &err);
    } else if (forget->step + 1 < forget->n_steps) {
        flows_list_ahead(forget->flows, &forget->steps[forget->step + 1]);
    }
}

static void plan(struct cni_forget *forget)
{
    size_t n[FAMILY_COUNT] = {0};
    for (size_t i = 0; i < forget->sought.n; i++) {
        n[forget->sought.v[i].family]++;
    }
    forget->n_steps = forget->step = 0;
    for (size_t i = 0; n[FAMILY_V4] <= BY_ADDRESS && i < forget->sought.n; i++) {
        const struct address *address = &forget->sought.v[i];
        if (address->family != FAMILY_V4) {
            continue;
        }
        forget->steps[forget->n_steps++] =
            (struct flow_filter){.family = FAMILY_V4, .has_original_source = true, .original_source = *address};
        forget->steps[forget->n_steps++] =
            (struct flow_filter){.family = FAMILY_V4, .has_reply_source = true, .reply_source = *address};
    }
    if (n[FAMILY_V4] > BY_ADDRESS) {
        forget->steps[forget->n_steps++] = (struct flow_filter){.family = FAMILY_V4};
    }
    if (n[FAMILY_V6] > 0) {
        // By IPv6 addresses the kernel cannot filter.
        forget->steps[forget->n_steps++] = (struct flow_filter){.family = FAMILY_V6};
    }
}

static int take(struct cni_forget *forget, struct err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < forget->next.n; i++) {
        n += forget->next.v[i].n;
    }
    forget->sought.n = 0;
    forget->n_gone = 0;
    if (vec_reserve(&forget->now, forget->next.n) < 0 || vec_reserve(&forget->sought, n) < 0) {
        return err_oom(err);
    }
    for (; forget->next.n > 0; forget->next.n--) {
        const struct asker *asker = &forget->next.v[forget->next.n - 1];
        forget->now.v[forget->now.n++] = *asker;
        for (size_t i = 0; i < asker->n; i++) {
            forget->sought.v[forget->sought.n++] = asker->addresses[i];
        }
    }
    return 0;
}

static void on_timer(void *arg)
{
    struct cni_forget *forget = arg;
    struct err err = {0};
    if (forget->running || forget->next.n == 0) {
        return;
    }
    if (take(forget, &err) < 0) {
        // One may ask again from within: not told of this.
        for (size_t n = forget->next.n; n > 0 && forget->next.n > 0; n--) {
            struct asker asker = forget->next.v[--forget->next.n];
            asker.done(&err, 0, asker.arg);
        }
        return;
    }
    forget->running = true;
    plan(forget);
    if (!forget->flows && flows_open(forget->loop, &forget->flows, &err) < 0) {
        end(forget, &err);
        return;
    }
    step(forget);
}

int cni_forget_new(struct loop *loop, struct cni_forget **ret, struct err *err)
{
    CLEANUP(cni_forget_free) struct cni_forget *forget = calloc(1, sizeof(*forget));
    if (!forget) {
        return err_oom(err);
    }
    forget->loop = loop;
    if (loop_add_timer(loop, on_timer, forget, &forget->timer, err) < 0) {
        return -1;
    }
    *ret = TAKE(forget);
    return 0;
}

void cni_forget_free(struct cni_forget *forget)
{
    if (!forget) {
        return;
    }
    loop_remove_timer(forget->timer);
    flows_close(forget->flows);
    vec_free(&forget->next);
    vec_free(&forget->now);
    vec_free(&forget->sought);
    vec_free(&forget->found);
    free(forget);
}

int cni_forget_ask(struct cni_forget *forget, const struct address *addresses, size_t n, cni_forget_fn *done, void *arg,
                   struct err *err)
{
    if (vec_push(&forget->next, (struct asker){addresses, n, done, arg}) < 0) {
        return err_oom(err);
    }
    loop_arm(forget->timer, 0);
    return 0;
}

void cni_forget_cancel(struct cni_forget *forget, const void *arg)
{
    for (size_t i = 0; i < forget->next.n; i++) {
        if (forget->next.v[i].arg == arg) {
            forget->next.v[i--] = forget->next.v[--forget->next.n];
        }
    }
    for (size_t i = 0; i < forget->now.n; i++) {
        if (forget->now.v[i].arg == arg) {
            forget->now.v[i--] = forget->now.v[--forget->now.n];
        }
    }
}
