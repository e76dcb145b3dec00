// SPDX-License-Identifier: Apache-2.0
#include "source/api_plan.h"

#include <string.h>

enum {
    DOUBLINGS = 16,
    SERVER_ERRORS = 3,  // ERROR 500 in a row until everything is asked for anew
    INITIAL_CUTS = 3,   // WatchLists that do not come to their end until pages are tried
    LATE_RIGHTS = 4,    // 403s in a row that may be those of a server which has just started
    PAGE_TRIES = 5,     // of one page, while the server is busy, until the list begins anew
    EARLY_MS = 1000,    // a watch that ends so much before its time has not run out
};

// What is done at once, but only once until things went well for a while.
enum { HASTY_EXPIRED = 1, HASTY_PAGE = 2, HASTY_CREDENTIALS = 4, HASTY_RACED = 8, HASTY_LOOK = 16, HASTY_STALE = 32 };

const struct api_timing api_timing_default = {
    .backoff_first_ms = 800,
    .backoff_max_ms = 30000,
    .backoff_reset_ms = 120000,
    .denied_ms = 30000,
    .absent_ms = 300000,
    .retry_after_max_s = 60,
    .spread_ms = 1000,
    .start_per_node_ms = 10,
    .start_max_ms = 60000,
    .young_node_s = 300,
    .short_watch_ms = 1000,
    .watch_min_s = 300,
    .watch_max_s = 600,
    .watch_grace_ms = 30000,
    .head_ms = 30000,
    .list_ms = 90000,
    .initial_quiet_ms = 60000,
    .silence_ms = 180000,
    .probe_ms = 1800000,
};

uint64_t api_random_between(struct api_random *random, uint64_t low, uint64_t high)
{
    // xorshift64*
    uint64_t x = random->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    random->state = x;
    return low + x * UINT64_C(2685821657736338717) % (high - low + 1);
}

uint64_t api_plan_about(uint64_t ms, struct api_random *random)
{
    return api_random_between(random, ms / 2, ms + ms / 2);
}

uint64_t api_plan_spread(const struct api_timing *timing, size_t nodes, struct api_random *random)
{
    uint64_t window = timing->start_max_ms;
    if (timing->start_per_node_ms == 0 || nodes < window / timing->start_per_node_ms) {
        window = (uint64_t)nodes * timing->start_per_node_ms;
    }
    return api_random_between(random, 0, window);
}

int api_version_compare(const char *a, const char *b)
{
    static const char digits[] = "0123456789";
    if (!a || !b) {
        return 0;
    }
    size_t n_a = strspn(a, digits);
    size_t n_b = strspn(b, digits);
    if (n_a == 0 || n_b == 0 || a[n_a] || b[n_b] || (a[0] == '0' && n_a > 1) || (b[0] == '0' && n_b > 1)) {
        return 0;
    }
    return n_a != n_b ? (n_a < n_b ? -1 : 1) : strcmp(a, b);
}

void api_plan_synced(struct api_retry *retry)
{
    retry->cuts = 0;
    retry->page_tries = 0;
}

void api_plan_page(struct api_retry *retry)
{
    retry->page_tries = 0;
}

void api_plan_event(struct api_retry *retry)
{
    retry->errors = 0;
}

static void reset(struct api_retry *retry)
{
    retry->failures = 0;
    retry->hasty = 0;
}

uint64_t api_plan_backoff(const struct api_timing *timing, uint64_t now_ms, struct api_retry *retry,
                          struct api_random *random)
{
    if (now_ms >= retry->until_ms + timing->backoff_reset_ms) {
        reset(retry);
    }
    unsigned doublings = retry->failures < DOUBLINGS ? retry->failures : DOUBLINGS;
    uint64_t ms = (uint64_t)timing->backoff_first_ms << doublings;
    ms = ms < timing->backoff_max_ms ? ms : timing->backoff_max_ms;
    ms = api_random_between(random, ms, ms ? ms * 2 - 1 : 0);
    retry->failures++;
    retry->until_ms = now_ms + ms;
    return ms;
}

// What the rules below share.
struct planner {
    const struct api_kind_row *row;
    const struct api_outcome *outcome;
    const struct api_timing *timing;
    uint64_t now_ms;
    struct api_retry *retry;
    struct api_random *random;
};

static uint64_t spread(const struct planner *p)
{
    return api_random_between(p->random, 0, p->timing->spread_ms);
}

static uint64_t backoff(const struct planner *p)
{
    return api_plan_backoff(p->timing, p->now_ms, p->retry, p->random) + spread(p);
}

// The same again.
static enum api_next again(const struct planner *p)
{
    return p->outcome->act == API_ACT_WATCH  ? API_NEXT_WATCH
           : p->outcome->act == API_ACT_LOOK ? API_NEXT_LOOK
                                             : API_NEXT_SYNC;
}

static struct api_plan plan(const struct planner *p, enum api_next next, uint64_t wait_ms, const char *reason)
{
    const struct api_outcome *o = p->outcome;
    // What this sync had left the version for holds until a sync has come to its end.
    bool unset = next == API_NEXT_SYNC && o->act != API_ACT_WATCH && o->act != API_ACT_LOOK && !o->with_version;
    return (struct api_plan){
        .next = next, .wait_ms = wait_ms, .failed = true, .reason = reason, .unset_version = unset};
}

static struct api_plan later(const struct planner *p, const char *reason)
{
    return plan(p, again(p), backoff(p), reason);
}

// The path or the server behind it may be dead.
static struct api_plan elsewhere(const struct planner *p, const char *reason)
{
    struct api_plan result = later(p, reason);
    result.fresh = true;
    return result;
}

// At once the first time, else with the back-off.
static uint64_t hasty(const struct planner *p, unsigned what)
{
    if (p->now_ms >= p->retry->until_ms + p->timing->backoff_reset_ms) {
        reset(p->retry);
    }
    if (p->retry->hasty & what) {
        return backoff(p);
    }
    p->retry->hasty |= what;
    p->retry->until_ms = p->now_ms > p->retry->until_ms ? p->now_ms : p->retry->until_ms;
    return 0;
}

static bool is_sync(const struct planner *p)
{
    return p->outcome->act == API_ACT_LIST || p->outcome->act == API_ACT_INITIAL;
}

static struct api_plan without(const struct planner *p, unsigned lacks)
{
    struct api_plan result = plan(p, API_NEXT_SYNC, 0, "refused");
    result.lacks = lacks;
    return result;
}

static struct api_plan expired(const struct planner *p)
{
    const struct api_outcome *o = p->outcome;
    if (!is_sync(p)) {
        return plan(p, API_NEXT_SYNC, hasty(p, HASTY_EXPIRED), "expired");
    }
    if (o->with_version) {
        struct api_plan result = plan(p, API_NEXT_SYNC, 0, "expired");
        result.unset_version = true;
        return result;
    }
    // The token of a page. What may come with the error in its place is of another version than the pages before.
    return plan(p, API_NEXT_SYNC, o->later_page ? hasty(p, HASTY_PAGE) : backoff(p), "expired");
}

static struct api_plan too_large(const struct planner *p)
{
    bool can_unset = !is_sync(p) || p->outcome->with_version;
    struct api_plan result = plan(p, API_NEXT_SYNC, can_unset && is_sync(p) ? 0 : backoff(p), "ahead");
    result.unset_version = true;
    return result;
}

static struct api_plan retry_after(const struct planner *p, const char *reason)
{
    const struct api_outcome *o = p->outcome;
    uint64_t asked_s = o->has_retry_after ? o->retry_after_s : o->status.has_retry_after ? o->status.retry_after_s : 0;
    asked_s = asked_s < p->timing->retry_after_max_s ? asked_s : p->timing->retry_after_max_s;
    if (o->act == API_ACT_LIST && o->later_page && p->retry->page_tries < PAGE_TRIES) {
        // To begin anew would ask a busy server for all the pages that it has given already.
        uint64_t ms = (uint64_t)p->timing->backoff_first_ms << p->retry->page_tries++;
        ms = api_random_between(p->random, ms, ms * 2);
        return plan(p, API_NEXT_PAGE, (asked_s * 1000 > ms ? asked_s * 1000 : ms) + spread(p), reason);
    }
    uint64_t own = api_plan_backoff(p->timing, p->now_ms, p->retry, p->random);
    uint64_t wait = (asked_s * 1000 > own ? asked_s * 1000 : own) + spread(p);
    p->retry->until_ms = p->now_ms + wait;
    return plan(p, again(p), wait, reason);
}

// The row's terms about the field that the message of a 400 says the server does not know; the message quotes the whole
// selector too.
static unsigned unknown_terms(const struct planner *p)
{
    static const char before[] = "field label not supported: ";
    static const char behind[] = "\" is not a known field selector";
    const char *message = p->outcome->status.message;
    const char *field = strstr(message, before);
    size_t len = 0;
    if (field) {
        field += strlen(before);
        len = strcspn(field, " ,;\"'\r\n");
    } else {
        const char *end = strstr(message, behind);
        field = end;
        while (end && field > message && field[-1] != '"') {
            field--;
        }
        len = end ? (size_t)(end - field) : 0;
    }
    unsigned mask = 0;
    for (size_t i = 0; len && i < API_TERMS_MAX && p->row->terms[i].term; i++) {
        const char *term = p->row->terms[i].term;
        if (strcspn(term, "!=") == len && strncmp(term, field, len) == 0) {
            mask |= 1u << i;
        }
    }
    return mask & p->outcome->terms;
}

// 400, 406, 422: something that we ask is not known there.
static struct api_plan refused(const struct planner *p)
{
    const struct api_outcome *o = p->outcome;
    unsigned terms = o->http == 400 ? unknown_terms(p) : 0;
    if (terms) {
        struct api_plan result = without(p, 0);
        result.terms = terms;
        return result;
    }
    if (o->act == API_ACT_INITIAL) {
        return without(p, API_LACKS_WATCH_LIST);
    }
    if (o->act == API_ACT_LIST && o->http != 406) {
        if (o->with_match) {
            return without(p, API_LACKS_MATCH);
        }
        if (o->with_version) {
            struct api_plan result = without(p, 0);
            result.unset_version = true;
            return result;
        }
        if (o->with_limit && !o->later_page && strstr(o->status.message, "limit")) {
            return without(p, API_LACKS_LIMIT);
        }
    }
    if (o->act == API_ACT_WATCH && o->http != 406) {
        // The version that is held may be none for this server.
        struct api_plan result = plan(p, API_NEXT_SYNC, backoff(p), "refused");
        result.unset_version = true;
        return result;
    }
    return plan(p, again(p), api_random_between(p->random, p->timing->denied_ms, (uint64_t)p->timing->denied_ms * 2),
                "refused");
}

// kube-apiserver listens before it has read its roles, and refuses everybody for seconds: only a 403 that stays is a
// decision. Its own doubling, as the server is there whatever failed before.
static struct api_plan forbidden(const struct planner *p)
{
    const struct api_timing *t = p->timing;
    unsigned turn = p->retry->forbidden;
    uint64_t ms = turn < LATE_RIGHTS ? (uint64_t)t->backoff_first_ms << turn : t->denied_ms;
    ms = ms < t->denied_ms ? ms : t->denied_ms;
    p->retry->forbidden = turn < LATE_RIGHTS ? turn + 1 : turn;
    return plan(p, again(p), api_random_between(p->random, ms, ms * 2), "forbidden");
}

static struct api_plan answered(const struct planner *p)
{
    const struct api_outcome *o = p->outcome;
    if (o->status.too_large) {
        return too_large(p);
    }
    switch (o->http) {
    case 410:
        return expired(p);
    case 401:
        return plan(p, again(p), o->credentials_changed ? hasty(p, HASTY_CREDENTIALS) : backoff(p), "unauthorized");
    case 403:
        return forbidden(p);
    case 404:
        return p->row->optional && o->act != API_ACT_LOOK ? plan(p, API_NEXT_LOOK, hasty(p, HASTY_LOOK), "not-found")
                                                          : later(p, "not-found");
    case 400:
    case 406:
    case 422:
        return refused(p);
    case 429:
        return retry_after(p, "throttled");
    default:
        break;
    }
    if (o->http >= 500) {
        return o->has_retry_after || o->status.has_retry_after ? retry_after(p, "server-error")
                                                               : elsewhere(p, "server-error");
    }
    return o->http < 400 ? elsewhere(p, "no-server") : later(p, "refused");
}

static struct api_plan error_event(const struct planner *p)
{
    const struct api_outcome *o = p->outcome;
    if (o->status.too_large) {
        return too_large(p);
    }
    if (o->status.expired) {
        return expired(p);
    }
    if (o->act == API_ACT_INITIAL) {
        // An etcd that cannot tell its progress.
        return o->status.code == 500 ? without(p, API_LACKS_WATCH_LIST) : later(p, "server-error");
    }
    if (o->status.code == 500 && ++p->retry->errors < SERVER_ERRORS) {
        return later(p, "server-error");
    }
    p->retry->errors = 0;
    return plan(p, API_NEXT_SYNC, backoff(p), "server-error");
}

static struct api_plan faulty(const struct planner *p)
{
    const struct api_outcome *o = p->outcome;
    switch (o->fault) {
    case API_FAULT_STATUS:
        return error_event(p);
    case API_FAULT_NO_SERVER:
        return elsewhere(p, "no-server");
    case API_FAULT_COMPRESSED:
        return o->act == API_ACT_INITIAL ? without(p, API_LACKS_WATCH_LIST) : elsewhere(p, "compressed");
    case API_FAULT_QUIET:
        return without(p, API_LACKS_WATCH_LIST);
    case API_FAULT_STALE: {
        struct api_plan result = plan(p, API_NEXT_SYNC, hasty(p, HASTY_STALE), "stale");
        result.unset_version = true;
        return result;
    }
    case API_FAULT_CONTENT: {
        struct api_plan result = later(p, "content");
        // An event that was there and could not be read: only a list says what there is now.
        result.next = o->act == API_ACT_LOOK ? API_NEXT_LOOK : API_NEXT_SYNC;
        result.fresh = true;
        return result;
    }
    case API_FAULT_OUR_SIDE:
    case API_FAULT_NONE:
        break;
    }
    return later(p, "not-started");
}

// A watch that ended as watches do.
static struct api_plan ended(const struct planner *p)
{
    const struct api_outcome *o = p->outcome;
    if (o->events == 0 && o->lived_ms < p->timing->short_watch_ms) {
        return later(p, "short");
    }
    struct api_plan result = {.next = API_NEXT_WATCH};
    if (o->end == HTTP_TIMEOUT) {
        result.reason = "deadline";
        result.fresh = true;
    } else if (o->lived_ms + EARLY_MS >= (uint64_t)o->asked_s * 1000) {
        result.reason = "ended";
    } else {
        // With those of everybody else, when a server shuts down.
        result.reason = "early";
        result.wait_ms = spread(p);
    }
    return result;
}

static struct api_plan next(const struct planner *p)
{
    const struct api_outcome *o = p->outcome;
    if (o->fault != API_FAULT_NONE) {
        return faulty(p);
    }
    if (o->http && o->http != 200) {
        return answered(p);
    }
    if (o->raced) {
        struct api_plan result = plan(p, again(p), hasty(p, HASTY_RACED), "raced");
        result.fresh = true;
        return result;
    }
    bool over = o->http == 200 && (o->end == HTTP_COMPLETE || o->end == HTTP_TIMEOUT);
    return over && o->act == API_ACT_WATCH ? ended(p) : elsewhere(p, "broken");
}

struct api_plan api_plan_next(const struct api_kind_row *row, const struct api_outcome *outcome,
                              const struct api_timing *timing, uint64_t now_ms, struct api_retry *retry,
                              struct api_random *random)
{
    const struct planner p = {row, outcome, timing, now_ms, retry, random};
    // Once in so long is no hammering, whatever ends it: something on the way may cut idle connections.
    if (outcome->act == API_ACT_WATCH && outcome->http == 200 && outcome->lived_ms >= timing->backoff_max_ms) {
        reset(retry);
    }
    if (outcome->http != 403) {
        retry->forbidden = 0;
    }
    struct api_plan result = next(&p);
    // Whatever the reason, pages may go where this does not. Not when nobody is there, or nobody is let in.
    bool cut = outcome->http == 200 || (outcome->http >= 500 && !outcome->status.too_large) ||
               (outcome->http == 0 && outcome->end == HTTP_TIMEOUT);
    if (outcome->act == API_ACT_INITIAL && cut && !result.lacks && !result.terms) {
        retry->cuts++;
    }
    result.paged = result.next == API_NEXT_SYNC && retry->cuts >= INITIAL_CUTS;
    return result;
}
