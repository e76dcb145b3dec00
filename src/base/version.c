// SPDX-License-Identifier: Apache-2.0
#include "base/version.h"

#ifndef NETPOL_VERSION
#define NETPOL_VERSION "0"
#define NETPOL_COMMIT "unknown"
#endif

const char *version_string(void)
{
    return NETPOL_VERSION;
}

const char *version_commit(void)
{
    return NETPOL_COMMIT;
}
