// SPDX-License-Identifier: Apache-2.0
//
// One verdict as JSON and as text for people: what `netpolctl check` and `explain` print (DESIGN 7).
#pragma once

#include "base/buf.h"
#include "policy/evaluate.h"

// `"verdict":…,"egress":{…},"ingress":{…}` without the braces around.
void answer_json(const struct query *query, const struct connection_verdict *verdict, struct buf *out);
// A few lines that name the deciding policy, rule and peer at both ends; colour when asked.
void answer_text(const struct query *query, const struct connection_verdict *verdict, bool colour, struct buf *out);
