// SPDX-License-Identifier: Apache-2.0
//
// The door to libyaml: YAML 1.1 as Kubernetes reads it (sigs.k8s.io/yaml) → doc trees with line numbers. Anchors,
// aliases and merge keys are resolved within LIMIT_YAML_NODES; plain scalars follow YAML 1.1 core types (null, bool,
// int, float).
#pragma once

#include "base/doc.h"
#include "base/err.h"
#include "base/mem.h"

// One document of the stream; empty documents are skipped. Return -1 with err to stop.
typedef int yaml_document_fn(struct doc *doc, void *arg, struct err *err);
// A syntax error ends the stream: err has the line (err.num) and -1 comes back, after the documents before it were
// given. A document that parses but is refused (duplicate keys, depth, NUL, a non-string key) is reported through bad
// (which may be NULL) with its line in err.num, and the stream goes on.
typedef int yaml_bad_fn(const struct err *why, void *arg, struct err *err);
NODISCARD int yaml_parse(const char *text, size_t len, struct arena *arena, yaml_document_fn *fn, yaml_bad_fn *bad,
                         void *arg, struct err *err);
