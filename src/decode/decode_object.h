// SPDX-License-Identifier: Apache-2.0
//
// One decoder a kind, and the parts they share. Each fills a scratch object whose memory is in the decode's arena and
// the document's; findings say what could not be read. decode.lost: the object must not be used.
#pragma once

#include "decode/context.h"
#include "model/object.h"

// metadata. Sets decode.object. A namespaced kind without namespace is in "default", as with kubectl. Only a name or
// namespace that cannot be read loses the object: dropping it for less would let its author leave every policy.
void decode_meta(struct decode *decode, const struct doc *doc, enum object_kind kind, struct object_meta *ret);

void decode_pod(struct decode *decode, const struct doc *doc, struct pod *ret);
void decode_namespace(struct decode *decode, const struct doc *doc, struct ns_object *ret);
void decode_node(struct decode *decode, const struct doc *doc, struct node *ret);
void decode_policy(struct decode *decode, const struct doc *doc, struct policy *ret);

// A label selector (a map). What cannot be read is left out, is a PARTIAL finding and sets ret->unreadable.
void decode_selector(struct decode *decode, const struct path *path, const struct doc *doc, struct selector *ret);
// One element of spec.ingress or spec.egress; what cannot be read matches nothing and sets *ret_unreadable.
void decode_rule(struct decode *decode, const struct path *path, const struct doc *doc, enum direction direction,
                 struct policy_rule *ret, bool *ret_unreadable);
// One element of from or to / of ports: PEER_UNREADABLE, PORT_UNREADABLE when it cannot be read.
void decode_peer(struct decode *decode, const struct path *path, const struct doc *doc, struct peer *ret);
void decode_port(struct decode *decode, const struct path *path, const struct doc *doc, struct policy_port *ret);
