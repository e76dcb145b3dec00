// SPDX-License-Identifier: Apache-2.0
//
// One verdict as JSON and as text for people: what `netpolctl check` and `explain` print (DESIGN 7).
#pragma once

#include "base/buf.h"
#include "policy/evaluate.h"

// `"verdict":…,"egress":{…},"ingress":{…}` without the braces around.
void answer_json(const struct query *query, const struct connection_verdict *verdict, struct buf *out);
// One end in the words of a query: "ns/pod", "node:NAME" or an address.
void answer_end(const struct endpoint *end, struct buf *out);
// "egress  allow   x/web, egress rule 0, to[1] allows it (file:line)", without newline.
void answer_side_text(const struct side_verdict *side, enum direction direction, struct buf *out);
// A few lines that name the deciding policy, rule and peer at both ends; colour when asked.
void answer_text(const struct query *query, const struct connection_verdict *verdict, bool colour, struct buf *out);
