// SPDX-License-Identifier: Apache-2.0
//
// Kubernetes objects as an API server of tests holds them: read from a directory of YAML or JSON files, each with a
// resource version, and the events that led to the present.
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "model/object.h"

struct api_object {
    enum object_kind kind;
    char *key;   // "ns/name"
    char *rest;  // the object as JSON behind `{"metadata":{"resourceVersion":"N"`
    uint64_t version;
    bool finished;  // a pod that has succeeded or failed
    bool seen;      // by the present reading
};

struct api_event {
    enum object_kind kind;
    const char *type;  // "ADDED", "MODIFIED", "DELETED"
    char *object;      // whole, as JSON
    uint64_t version;
};

struct api_objects {
    char *directory;
    uint64_t version;  // of the latest event
    uint64_t oldest;   // a watch from before this version has no history
    VEC(struct api_object) objects;
    VEC(struct api_event) events;
    char *signature;  // names, times and sizes of the files last read
};

// Versions start at first. Nothing is read yet.
NODISCARD int api_objects_init(struct api_objects *objects, const char *directory, uint64_t first, struct err *err);
void api_objects_free(struct api_objects *objects);
// Reads the directory again if it has changed. Finished pods are no objects here: what every watch of ours asks for.
// Returns 1 when there are new events, 0 when not, -1 when a file cannot be used (and nothing was changed).
NODISCARD int api_objects_read(struct api_objects *objects, struct err *err);
void api_object_json(const struct api_object *object, struct buf *out);
