// SPDX-License-Identifier: Apache-2.0
//
// One look at a live cluster, through the source that the daemon uses.
#pragma once

#include "netpolctl.h"
#include "source/kubeconfig.h"
#include "source/source.h"

// The kubeconfig that the options name; without one, the service account when this is a pod.
NODISCARD int cluster_config(const struct cluster_options *options, struct api_config **ret, struct err *err);

struct cluster_look {
    // Every object, as in api_options; NULL: only the state is wanted.
    void (*object)(enum object_kind kind, const struct doc *object, void *arg);
    void *object_arg;
    // A finding about an object that cannot be read and that `object` is not called for; NULL: nobody asks.
    void (*unreadable)(const char *fields, void *arg);
};
// Reads everything once into state. Takes config in every case. Findings go to stderr, one line each, and are counted.
NODISCARD int cluster_read(struct api_config *config, const struct cluster_options *options,
                           const struct cluster_look *look, struct state *state, size_t *findings, struct err *err);
