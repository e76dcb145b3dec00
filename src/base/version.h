// SPDX-License-Identifier: Apache-2.0
#pragma once

const char *version_string(void);  // "0.1.0"
const char *version_commit(void);  // short git commit, "unknown" outside a checkout
