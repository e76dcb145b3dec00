// SPDX-License-Identifier: Apache-2.0
//
// What a scalar of YAML 1.1 is, as sigs.k8s.io/yaml resolves it: octal 017 and 0o17, 0x1F, 0b11, digits grouped by "_",
// yes/no/on/off; base 60 and timestamps are strings.
#pragma once

#include <stddef.h>

#include "base/doc.h"

// The type of a plain scalar without tag; fills type and the value's fields of doc, whose text is set already.
void yaml_scalar_resolve(struct doc *doc);
