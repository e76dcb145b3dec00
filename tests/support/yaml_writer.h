// SPDX-License-Identifier: Apache-2.0
//
// What the parts of state_yaml share. Without rng every choice is the first: the plain spelling.
#pragma once

#include "base/buf.h"
#include "model/object.h"
#include "support/clause.h"
#include "support/rng.h"

struct yaml_writer {
    struct buf *out;
    struct rng *rng;  // NULL: plain
    struct clause_set *text;
};

bool yaml_chance(const struct yaml_writer *writer, unsigned percent);  // never when plain
size_t yaml_pick(const struct yaml_writer *writer, size_t n);          // 0..n-1; 0 when plain
void yaml_says(const struct yaml_writer *writer, enum clause clause);
void yaml_string(const struct yaml_writer *writer, const char *text);
void yaml_address(const struct yaml_writer *writer, const struct address *address);  // of a pod
void yaml_prefix(const struct yaml_writer *writer, const struct prefix *prefix);

// Everything behind the metadata.
void yaml_pod(const struct yaml_writer *writer, const struct pod *pod);
void yaml_policy(const struct yaml_writer *writer, const struct policy *policy);
