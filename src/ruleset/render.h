// SPDX-License-Identifier: Apache-2.0
//
// Text of a ruleset (DESIGN 4): one `ipset restore` part and one `iptables-restore --noflush` part a family, in one
// stream with marker lines, or JSON.
#pragma once

#include "base/buf.h"
#include "ruleset/ruleset.h"

// "-A CHAIN …" as iptables-save prints it, without newline; chain NULL: the matches and target alone.
void render_rule(enum family family, const char *chain, const struct rule *rule, struct buf *out);
// `create …` and `add …` lines for `ipset restore`.
void render_sets(enum family family, const struct table *table, struct buf *out);
// "*filter", ":CHAIN - [0:0]", rules, hooks as "-I FORWARD 1 …", "COMMIT".
void render_table(enum family family, const struct table *table, struct buf *out);
// Everything: "# ipset restore", "# iptables-restore --noflush", "# ip6tables-restore --noflush" sections; a line that
// starts with "#" is a comment to all of these tools, and `sed` by marker line splits the stream (see render_sections).
void render_restore(const struct ruleset *ruleset, struct buf *out);
void render_json(const struct ruleset *ruleset, struct buf *out);
