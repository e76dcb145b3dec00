// SPDX-License-Identifier: Apache-2.0
//
// What a source counts (source_owner.count), as metrics: most are counters of the same name, some say more.
#pragma once

#include "agent/metrics.h"

// counter, label and delta as the source gives them. unix_s: the time of day.
void source_metrics_count(struct metrics *metrics, const char *counter, const char *label, unsigned delta,
                          double unix_s);
// Every resource as not read yet, so that a gauge stands at 0 and is not missing.
void source_metrics_init(struct metrics *metrics);
// "pods": a kind as a label.
const char *source_metrics_resource(unsigned kind);
