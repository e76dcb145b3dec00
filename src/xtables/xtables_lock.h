// SPDX-License-Identifier: Apache-2.0
//
// The lock that every legacy iptables program takes around reading and committing a table: the kernel itself does not
// notice two writers that leave the same number of rules.
#pragma once

#include "base/err.h"
#include "base/mem.h"

// path NULL: $XTABLES_LOCKFILE, else /run/xtables.lock. Waits up to wait_ms; ERR_RETRY names the file when another
// program holds it longer. The lock ends when the fd is closed.
NODISCARD int xtables_lock(const char *path, unsigned wait_ms, int *ret_fd, struct err *err);
