// SPDX-License-Identifier: Apache-2.0
#include "dataplane/backend.h"

static const struct backend_ops *const backends[] = {&backend_legacy, &backend_memory};

const struct backend_ops *backend_find(const char *name)
{
    if (strcmp(name, "auto") == 0) {
        return &backend_legacy;
    }
    for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
        if (strcmp(name, backends[i]->name) == 0) {
            return backends[i];
        }
    }
    return NULL;
}
