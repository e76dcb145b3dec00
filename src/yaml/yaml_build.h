// SPDX-License-Identifier: Apache-2.0
//
// From libyaml's events of one document to a doc tree. A refused document is consumed to its end, so that the stream
// can go on: the first refusal is kept, nothing more is built.
#pragma once

#include <stdbool.h>
#include <yaml.h>

#include "base/doc.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/text_pool.h"

enum { YAML_BUILD_OOM = -1, YAML_BUILD_OK = 0 };

struct yaml_build {
    struct arena *arena;
    struct text_pool strings;  // of the present document
    unsigned first_line;       // of the segment that the parser reads
    size_t nodes;              // expanded nodes of the stream: the accepted documents' and the present one's
    size_t nodes_before;       // those of the accepted documents
    struct map *anchors;       // name → struct yaml_anchor, of the present document
    struct yaml_frame *v;      // open containers, innermost last
    size_t n;
    struct doc *root;
    bool refused;
    struct err why;
};

NODISCARD int yaml_build_init(struct yaml_build *build, struct arena *arena);
void yaml_build_done(struct yaml_build *build);
// One event between DOCUMENT-START and DOCUMENT-END. -1 when memory is out.
NODISCARD int yaml_build_event(struct yaml_build *build, const yaml_event_t *event);
// Forget the document: at its start, and when it was refused.
void yaml_build_reset(struct yaml_build *build);
// The document was given out: its nodes count from now on.
void yaml_build_accept(struct yaml_build *build);
