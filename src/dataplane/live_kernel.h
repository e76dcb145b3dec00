// SPDX-License-Identifier: Apache-2.0
//
// Whether a part of the kernel is there, found out without asking it: a request over netlink loads the module that
// answers it, and who only reads should leave a kernel as it was.
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"

// module: "ip_set"; symbol: one of its functions, by which it is known when it is built in. root: "" or where another
// root of the file system is (tests). True when in doubt.
bool live_kernel_has(const char *root, const char *module, const char *symbol);

// ERR_DENIED names the capability that reading tables and sets needs and this process lacks.
NODISCARD int live_kernel_allows(struct err *err);
