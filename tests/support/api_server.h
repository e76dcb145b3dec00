// SPDX-License-Identifier: Apache-2.0
//
// A small HTTP/1.1 server on the loopback interface for tests of what talks to a Kubernetes API server. It runs in the
// loop of the test, so that a test decides byte by byte what is sent and when.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/loop.h"

struct api_server;
struct api_exchange;  // a request and its answer, until the answer has ended or the connection is gone

typedef void api_server_fn(struct api_exchange *exchange, void *arg);

// Listens on 127.0.0.1, or on every address; port 0 for any.
NODISCARD int api_server_new(struct loop *loop, unsigned port, bool any_address, api_server_fn *fn, void *arg,
                             struct api_server **ret, struct err *err);
void api_server_free(struct api_server *server);
unsigned api_server_port(const struct api_server *server);
// Ends every connection; with listening false new ones are refused until listening again.
NODISCARD int api_server_outage(struct api_server *server, bool listening, struct err *err);
// Connections accepted so far.
size_t api_server_connections(const struct api_server *server);

// The open exchanges: first NULL, then the one before. Watches stay here until they end.
struct api_exchange *api_server_next(const struct api_server *server, const struct api_exchange *after);

const char *api_exchange_path(const struct api_exchange *exchange);   // without the query
const char *api_exchange_query(const struct api_exchange *exchange);  // as sent; ""
// The value of a header, "" when it is absent.
const char *api_exchange_header(const struct api_exchange *exchange, const char *name);
// The percent-decoded value of a query parameter into ret; false when it is absent.
bool api_exchange_param(const struct api_exchange *exchange, const char *name, char *ret, size_t size);

// One whole answer. headers: further lines with "\r\n" at the end of each, or "".
void api_exchange_reply(struct api_exchange *exchange, unsigned status, const char *type, const char *headers,
                        const char *body);
// An answer in pieces: head, chunks, end. The exchange is gone after reply, end and cut.
void api_exchange_begin(struct api_exchange *exchange, const char *type, const char *headers);
void api_exchange_chunk(struct api_exchange *exchange, const char *data, size_t len);
void api_exchange_end(struct api_exchange *exchange);
// Closes the connection as it is: with a reset, or (reset false) without the last chunk.
void api_exchange_cut(struct api_exchange *exchange, bool reset);
