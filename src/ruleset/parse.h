// SPDX-License-Identifier: Apache-2.0
//
// The text that render.h writes, read back: render → parse → equal ruleset (a property test), and the first half of
// proving the rules that a live kernel prints.
#pragma once

#include "base/err.h"
#include "ruleset/ruleset.h"

// text: the stream of render_restore. Errors name the line.
NODISCARD int parse_restore(const char *text, size_t len, struct ruleset **ret, struct err *err);
