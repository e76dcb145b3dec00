// SPDX-License-Identifier: Apache-2.0
//
// Selector peers of the compiler: one peer as a canonical value, unions of them, and the pods that a union selects.
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "model/object.h"
#include "policy/index.h"

// What one selector peer means, apart from the policy it stands in.
struct select_peer {
    const char *ns;                     // the policy's own namespace; NULL: namespaces decides
    const struct selector *namespaces;  // NULL with ns
    const struct selector *pods;        // NULL: every pod
    const char *text;                   // canonical and unambiguous: equal texts, equal meaning
};

// False when the peer selects nothing whatever the state holds: no selector peer, or an unreadable one. text is
// allocated in the arena; the rest borrows the policy. -1 when memory is out.
NODISCARD int select_peer_from(const struct policy *policy, const struct peer *peer, struct arena *arena, bool *ret_any,
                               struct select_peer *ret, struct err *err);
int select_peer_compare(const void *a, const void *b);  // by text, for qsort
// Text for people: "x: app=web", "namespaces team=a: <all>".
void select_peer_describe(const struct select_peer *peer, struct buf *out);

// Whether the peer selects the pod; ns: its namespace, NULL when it was not seen yet.
bool select_peer_matches(const struct select_peer *peer, const struct pod *pod, const struct ns_object *ns);

// Whether the known requirements of a policy's subject select the pod (networkpolicy-v1.md 1.5: what is not understood
// does not keep a pod from being isolated).
bool select_subject_matches(const struct selector *subject, const struct pod *pod);

// The live pods that any of the peers selects, sorted, each once.
NODISCARD int select_pods(struct index *index, const struct select_peer *peers, size_t n, struct index_ids *ret,
                          struct err *err);
