// SPDX-License-Identifier: Apache-2.0
//
// What a Kubernetes Status says: the body of an error, or the object of an ERROR event.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/doc.h"

struct api_status {
    unsigned code;  // 0: none, or no HTTP status
    char reason[64];
    char message[400];  // cut when longer
    bool too_large;     // the version asked for is ahead of what the server has (api-client.md 1.7)
    bool expired;       // the version asked for is history no more
    bool has_retry_after;
    unsigned retry_after_s;
};

// All of it that is there; of a document that is no Status, nothing.
void api_status_of(const struct doc *doc, struct api_status *ret);
// The same of a body of any kind: text that is no JSON is the message, its first line.
void api_status_read(const char *body, size_t len, struct api_status *ret);
