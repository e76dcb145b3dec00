// SPDX-License-Identifier: Apache-2.0
//
// The state of a cluster as the policy code sees it: live objects by kind, keyed by namespace and name, and who owns
// which address. Same objects, same state, whatever the order of events: nothing that is read from here may depend on
// it, so lists are given out sorted.
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "model/object.h"

struct state;

NODISCARD int state_new(struct state **ret, struct err *err);
void state_free(struct state *state);
CLEANUP_DEFINE(struct state, state_free);

enum state_change { STATE_UNCHANGED, STATE_ADDED, STATE_UPDATED, STATE_REMOVED };

// Upserts take ownership of the object in every case, errors included. A pod of the same name with another uid replaces
// the old one. Returns an enum state_change (STATE_UNCHANGED: an equal object was there and stays), or -1.
NODISCARD int state_put_pod(struct state *state, struct pod *pod, struct err *err);
NODISCARD int state_put_namespace(struct state *state, struct ns_object *ns, struct err *err);
NODISCARD int state_put_policy(struct state *state, struct policy *policy, struct err *err);
NODISCARD int state_put_node(struct state *state, struct node *node, struct err *err);
// The same for an object of any kind: object is the struct that belongs to it.
NODISCARD int state_put(struct state *state, enum object_kind kind, void *object, struct err *err);
// Returns STATE_REMOVED, or STATE_UNCHANGED when there was none. uid "" removes whatever has the name; another uid than
// the stored object's removes nothing (an old object's delete arriving after its successor).
int state_remove(struct state *state, enum object_kind kind, const char *ns, const char *name, const char *uid);

const struct pod *state_pod(const struct state *state, const char *ns, const char *name);
const struct ns_object *state_namespace(const struct state *state, const char *name);  // NULL: not seen yet
const struct policy *state_policy(const struct state *state, const char *ns, const char *name);
const struct node *state_node(const struct state *state, const char *name);

size_t state_count(const struct state *state, enum object_kind kind);

// The live pod that owns the address, or NULL. Of several live claimants: not terminating before terminating, then the
// newer creationTimestamp, then the greater uid, then the greater ns/name (networkpolicy-v1.md 2.5). The unspecified
// address (0.0.0.0, ::) is nobody's, whatever a status says: no packet of a pod has it.
const struct pod *state_owner(const struct state *state, const struct address *address);

// Sorted arrays (pods and policies by namespace, then name), borrowed until the next change of the state; NULL with
// *ret_n = 0 when empty. They sort lazily, hence not const. -1 (as NULL and *ret_n = SIZE_MAX) when memory is out.
const struct pod *const *state_pods(struct state *state, size_t *ret_n);
const struct ns_object *const *state_namespaces(struct state *state, size_t *ret_n);
const struct policy *const *state_policies(struct state *state, size_t *ret_n);
const struct node *const *state_nodes(struct state *state, size_t *ret_n);
// The pods and the policies of one namespace: slices of state_pods and state_policies.
const struct pod *const *state_pods_of(struct state *state, const char *ns, size_t *ret_n);
const struct policy *const *state_policies_of(struct state *state, const char *ns, size_t *ret_n);

// Told of every change of the state, for indexes that are kept beside it: `before` while the state still is what it
// was, `after` when it is what it will be. old or new is NULL for an object that comes or goes; both are whole objects
// of the kind, borrowed until the call returns. An upsert of an equal object is no change; when memory is out, `after`
// is called with the state as it stayed. Neither may change the state.
struct state_observer {
    void (*before)(enum object_kind kind, const void *old, const void *new, void *arg);
    void (*after)(enum object_kind kind, const void *old, const void *new, void *arg);
    void *arg;
};
// One observer, borrowed; NULL: none.
void state_observe(struct state *state, const struct state_observer *observer);

// Addresses that a CNI plugin gave to a pod, before its status says so (DESIGN 5). The pod is as if it held these too,
// for everybody who reads the state, until they are forgotten; a status that names others says otherwise in that their
// owner is then rather another pod that claims them. uid "": whatever pod has the name.
struct learnt {
    const char *ns;
    const char *name;
    const char *uid;
    const struct address *addresses;  // without duplicates
    size_t n_addresses;
};
// Adds or replaces what was learnt of that name (copied). Returns STATE_UPDATED when an object of the state changed by
// it, else STATE_UNCHANGED; -1 when memory is out.
NODISCARD int state_learn(struct state *state, const struct learnt *learnt, struct err *err);
// Forgets it; a uid that is not "" and differs forgets nothing. Returns as state_learn.
NODISCARD int state_forget(struct state *state, const char *ns, const char *name, const char *uid, struct err *err);
