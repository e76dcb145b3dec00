// SPDX-License-Identifier: Apache-2.0
//
// A status lags behind the pod: at its start it names no address, when the pod got a new sandbox it still names the old
// one's, and those of further networks it never names. So what a plugin told counts until the plugin takes it back, or
// gives it to another pod; beside it, what the status names counts as ever, for which of the two holds is not known
// here. Nothing depends on what was said before: a restart, and a single pass beside a daemon, see the same. Of several
// pods that have one address, the better witness decides (state_learnt_rank).
#include "base/limits.h"
#include "model/state_private.h"

enum { KEY_MAX = 2 * LIMIT_NAME + 1 };

_Static_assert((int)LIMIT_POD_ADDRESSES <= 32, "pod.told has a bit for each");

struct state_learnt {
    char uid[LIMIT_UID + 1];
    struct address addresses[LIMIT_POD_ADDRESSES];
    size_t n_addresses;
};

static size_t make_key(const char *ns, const char *name, char key[KEY_MAX])
{
    size_t n_ns = strlen(ns);
    size_t n_name = strlen(name);
    if (n_ns > LIMIT_NAME || n_name > LIMIT_NAME) {
        return 0;
    }
    memcpy(key, ns, n_ns + 1);
    memcpy(key + n_ns + 1, name, n_name);
    return n_ns + 1 + n_name;
}

static bool has(const struct address *list, size_t n, const struct address *address)
{
    for (size_t i = 0; i < n; i++) {
        if (address_equal(&list[i], address)) {
            return true;
        }
    }
    return false;
}

static bool is_of(const struct state_learnt *learnt, const struct pod *pod)
{
    return !*learnt->uid || strcmp(learnt->uid, pod->meta.uid) == 0;
}

static struct state_learnt *find(const struct state *state, const char *ns, const char *name)
{
    char key[KEY_MAX];
    size_t len = state->learnt ? make_key(ns, name, key) : 0;
    return len ? map_get(state->learnt, key, len) : NULL;
}

struct state_learnt *state_learnt_of(const struct state *state, const struct pod *pod)
{
    struct state_learnt *learnt = find(state, pod->meta.ns, pod->meta.name);
    return learnt && is_of(learnt, pod) ? learnt : NULL;
}

int state_learnt_add(const struct state_learnt *learnt, const struct pod *pod, struct pod **ret, struct err *err)
{
    struct address all[LIMIT_POD_ADDRESSES];
    struct pod whole = *pod;
    if (pod->n_addresses <= LIMIT_POD_ADDRESSES) {
        size_t n = pod->n_addresses;
        if (n) {
            memcpy(all, pod->addresses, n * sizeof(*all));
        }
        for (size_t i = 0; i < n; i++) {
            whole.told |= (uint32_t)has(learnt->addresses, learnt->n_addresses, &all[i]) << i;
        }
        // Readers count on the maximum: a status that has as many leaves no room.
        for (size_t i = 0; i < learnt->n_addresses && n < LIMIT_POD_ADDRESSES; i++) {
            if (!has(all, n, &learnt->addresses[i])) {
                whole.told |= UINT32_C(1) << n;
                whole.unnamed |= UINT32_C(1) << n;
                all[n++] = learnt->addresses[i];
            }
        }
        whole.addresses = all;
        whole.n_addresses = n;
    }
    struct pod *copy = pod_dup(&whole);
    if (!copy) {
        return err_oom(err);
    }
    *ret = copy;
    return 0;
}

static bool bit(uint32_t bits, size_t i)
{
    return i < LIMIT_POD_ADDRESSES && bits >> i & 1;
}

unsigned state_learnt_rank(const struct pod *pod, const struct address *address)
{
    bool told = false;
    bool named = false;
    bool family_told = false;      // some address of that family
    bool other_confirmed = false;  // another one of that family, which the status names as well
    for (size_t i = 0; pod->told && i < pod->n_addresses; i++) {
        bool same = address_equal(&pod->addresses[i], address);
        if (pod->addresses[i].family != address->family || !(bit(pod->told, i) || same)) {
            continue;
        }
        family_told = family_told || bit(pod->told, i);
        told = told || (same && bit(pod->told, i));
        named = named || (same && !bit(pod->unnamed, i));
        other_confirmed = other_confirmed || (!same && !bit(pod->unnamed, i));
    }
    if (told) {
        return named ? 4 : other_confirmed ? 2 : 3;
    }
    return family_told ? STATE_RANK_STALE : 2;
}

// The object as its source gave it. NULL: memory.
static struct pod *own_copy(const struct pod *pod)
{
    struct pod own = *pod;
    own.n_addresses = 0;
    while (own.n_addresses < pod->n_addresses && !bit(pod->unnamed, own.n_addresses)) {
        own.n_addresses++;
    }
    own.told = own.unnamed = 0;
    return pod_dup(&own);
}

static int fill(const struct learnt *from, struct state_learnt *to, struct err *err)
{
    size_t n_uid = strlen(from->uid);
    if (n_uid > LIMIT_UID || from->n_addresses > LIMIT_POD_ADDRESSES) {
        (void)err_set(err, ERR_LIMIT, 0, "more than %d addresses, or a uid above %d bytes", LIMIT_POD_ADDRESSES,
                      LIMIT_UID);
        return err_at_object(err, "pod %s/%s", from->ns, from->name);
    }
    memcpy(to->uid, from->uid, n_uid + 1);
    to->n_addresses = from->n_addresses;
    if (from->n_addresses) {
        memcpy(to->addresses, from->addresses, from->n_addresses * sizeof(*from->addresses));
    }
    return 0;
}

int state_learn(struct state *state, const struct learnt *learnt, struct err *err)
{
    char key[KEY_MAX];
    size_t len = make_key(learnt->ns, learnt->name, key);
    if (!len) {
        return err_set(err, ERR_LIMIT, 0, "the name of a pod is longer than %d bytes", LIMIT_NAME);
    }
    if (!state->learnt && !(state->learnt = map_new())) {
        return err_oom(err);
    }
    struct state_learnt *present = map_get(state->learnt, key, len);
    if (!present && map_size(state->learnt) >= LIMIT_LEARNT_PODS) {
        return err_set(err, ERR_LIMIT, 0, "addresses of %d pods were learnt already", LIMIT_LEARNT_PODS);
    }
    CLEANUP(free) struct state_learnt *fresh = calloc(1, sizeof(*fresh));
    const struct pod *pod = state_pod(state, learnt->ns, learnt->name);
    CLEANUP(free) struct pod *own = pod ? own_copy(pod) : NULL;
    if (!fresh || (pod && !own)) {
        return err_oom(err);
    }
    if (fill(learnt, fresh, err) < 0) {
        return -1;
    }
    if (map_put(state->learnt, key, len, fresh, NULL) < 0) {
        return err_oom(err);
    }
    int rc = own ? state_put_pod(state, TAKE(own), err) : STATE_UNCHANGED;
    if (rc < 0) {
        // As it was: replacing needs no memory, nor does taking out.
        if (!present) {
            (void)map_del(state->learnt, key, len);
        } else if (map_put(state->learnt, key, len, present, NULL) < 0) {
            abort();
        }
        return -1;
    }
    (void)TAKE(fresh);
    free(present);
    return rc;
}

int state_forget(struct state *state, const char *ns, const char *name, const char *uid, struct err *err)
{
    char key[KEY_MAX];
    struct state_learnt *present = find(state, ns, name);
    if (!present || (*uid && strcmp(present->uid, uid) != 0)) {
        return STATE_UNCHANGED;
    }
    const struct pod *pod = state_pod(state, ns, name);
    CLEANUP(free) struct pod *own = pod ? own_copy(pod) : NULL;
    if (pod && !own) {
        return err_oom(err);
    }
    // Nothing is added while the object is put back, so that a failure leaves all as it was.
    struct state_learnt kept = *present;
    present->n_addresses = 0;
    int rc = own ? state_put_pod(state, TAKE(own), err) : STATE_UNCHANGED;
    if (rc < 0) {
        *present = kept;
        return -1;
    }
    (void)map_del(state->learnt, key, make_key(ns, name, key));
    free(present);
    return rc;
}

void state_learnt_free_all(struct state *state)
{
    for (struct map_entry *e = state->learnt ? map_first(state->learnt) : NULL; e; e = map_next(e)) {
        free(map_entry_value(e));
    }
    map_free(state->learnt);
}
