// SPDX-License-Identifier: Apache-2.0
//
// Pods as a real API server writes them (about 6.5 KB of compact JSON, managed fields and all), made faster than
// anything can read them: for measurements.
#pragma once

#include <stddef.h>

#include "base/buf.h"

enum { POD_TEXT_MAX = 16384, POD_TEXT_PODS = 800000 };

// Bytes of one pod: all have the same.
size_t pod_text_len(void);
// Pod number i (below POD_TEXT_PODS) at revision `version` (below 10^8) to ret, which has room for pod_text_len()
// bytes. Its name, namespace, node, address and labels follow from i; nothing of it that netpold looks at follows from
// the revision.
void pod_text(size_t i, unsigned version, char *ret);
