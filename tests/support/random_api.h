// SPDX-License-Identifier: Apache-2.0
//
// Random texts of API objects, lists and events: members that are kept and such that are not, at right and at wrong
// places, odd white space, escapes, split characters; and what damages them.
#pragma once

#include "base/buf.h"
#include "model/object.h"
#include "support/rng.h"

void random_api_object(struct rng *rng, struct buf *out);
// {"kind":…,"items":[…],…}
void random_api_list(struct rng *rng, struct buf *out);
// One event, without its line break.
void random_api_event(struct rng *rng, struct buf *out);
// Changes a few bytes of text. With keep_lines no line break comes or goes.
void random_api_damage(struct rng *rng, bool keep_lines, struct buf *text);
