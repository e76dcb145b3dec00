// SPDX-License-Identifier: Apache-2.0
//
// Marks of flows put into classes: those that give one answer to each question. Private to the proof (docs/PROOF.md).
#pragma once

#include "audit/verify_reach.h"

// One mark of each class, into a vector that is emptied first; questions may repeat. ERR_LIMIT: too many of them.
NODISCARD int verify_marks_find(const struct verify_mark *questions, size_t n, uint32_t **v, size_t *ret_n, size_t *cap,
                                struct err *err);
