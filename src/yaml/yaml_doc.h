// SPDX-License-Identifier: Apache-2.0
//
// The door to libyaml: YAML 1.1 as Kubernetes reads it (sigs.k8s.io/yaml) → doc trees with line numbers. Anchors,
// aliases and merge keys are resolved within LIMIT_YAML_NODES; plain scalars follow YAML 1.1 core types (null, bool,
// int, float). One exception: a plain y or n is a string (Kubernetes refuses it where it wants a string, so nothing
// that it takes means something else here).
#pragma once

#include "base/doc.h"
#include "base/err.h"
#include "base/mem.h"

// One document of the stream; empty documents are skipped. Return -1 with err to stop. Nothing of the stream stays in
// the arena between documents: the function may arena_free it to keep the memory of a long stream small.
typedef int yaml_document_fn(struct doc *doc, void *arg, struct err *err);
// A document that cannot be used: a syntax error, a byte that YAML does not allow, duplicate keys, depth, NUL, a
// non-string key, an alias that is unknown or contains itself, more than LIMIT_YAML_NODES nodes. The line is in err.num
// (and "line N" in err.object). The stream goes on behind it: a line that starts with "---" always starts a document.
// Return -1 with err to stop.
typedef int yaml_bad_fn(const struct err *why, void *arg, struct err *err);
// Without bad (NULL) the first bad document ends the stream with -1 and its error. Else -1 only for memory or a failing
// function.
NODISCARD int yaml_parse(const char *text, size_t len, struct arena *arena, yaml_document_fn *fn, yaml_bad_fn *bad,
                         void *arg, struct err *err);
