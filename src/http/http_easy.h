// SPDX-License-Identifier: Apache-2.0
//
// One request as libcurl's easy handle: its options, its callbacks, its result. Private to this module.
#pragma once

#include "base/buf.h"
#include "http/http.h"

struct http_request {
    struct http *http;
    struct http_request *prev, *next;
    void *easy;     // the easy handle
    void *headers;  // list of header lines; may hold a token
    void *route;    // where to connect
    struct http_handler handler;
    struct buf error_body;
    bool head_given;  // the handler has seen the head of the present answer
    bool refused;     // a callback of the owner returned false
    char error[256];  // libcurl's own words
};

// An easy handle that is ready to be run.
NODISCARD int http_request_new(const struct http_options *options, const struct http_handler *handler,
                               const char *user_agent, struct http_request **ret, struct err *err);
void http_request_free(struct http_request *request);
// Fills ret, with texts that live as long as request and why.
void http_request_result(struct http_request *request, int code, char *why, size_t why_size, struct http_result *ret);
