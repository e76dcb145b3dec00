// SPDX-License-Identifier: Apache-2.0
//
// Makes a failing case small: takes away objects, then parts of objects, facts, options and fields of the packet, as
// long as what is left still fails, until nothing more can go.
#pragma once

#include "support/trial.h"

typedef bool shrink_fails_fn(const struct trial *trial);

// The trial must fail. Returns how many smaller cases were tried.
size_t shrink(struct trial *trial, shrink_fails_fn *fails);

// One step down: applies the k-th reduction of an object, of facts or of the rest (options, packet) in place. False
// when there are no k + 1 of them. The object is a copy of its own (trial_copy_object, trial_copy_facts).
bool shrink_object(enum object_kind kind, void *object, size_t k);
bool shrink_facts(struct facts *facts, size_t k);
bool shrink_rest(struct trial *trial, size_t k);
