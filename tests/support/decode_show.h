// SPDX-License-Identifier: Apache-2.0
//
// What decode makes of a text, as text: objects in order with the fields that matter, then findings.
#pragma once

#include "base/buf.h"

// Objects one a line:
//   pod x/a node=n1 host phase=Running v=1 [10.0.0.1] http/TCP=80
//   policy x/p subject=<app in (a)> ingress(2): {from=<pods a=b>,block(…)… ports=TCP:80-81}…
// then findings: "lost|partial|warning line [object] field: message".
void decode_show(const char *text, size_t len, struct buf *out);
