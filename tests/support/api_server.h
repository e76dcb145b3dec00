// SPDX-License-Identifier: Apache-2.0
//
// A small HTTP server on the loopback interface for tests of what talks to a Kubernetes API server: HTTP/1.1 and
// HTTP/2, with and without TLS. It runs in the loop of the test, so that a test decides byte by byte what is sent and
// when.
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
// The same at an address of either family, such as "::1".
NODISCARD int api_server_new_at(struct loop *loop, const char *address, unsigned port, api_server_fn *fn, void *arg,
                                struct api_server **ret, struct err *err);
void api_server_free(struct api_server *server);
unsigned api_server_port(const struct api_server *server);
// Ends every connection; with listening false new ones are refused until listening again.
NODISCARD int api_server_outage(struct api_server *server, bool listening, struct err *err);
// Connections accepted so far.
size_t api_server_connections(const struct api_server *server);

// TLS 1.2 and 1.3 on connections from now on; those that stand keep what they have. The texts are PEM and copied;
// cert_pem may hold a chain. With client_ca_pem clients are asked for a certificate: one that it did not sign ends the
// handshake, none at all is let through (api_exchange_client_name). cert_pem NULL: no TLS.
NODISCARD int api_server_tls(struct api_server *server, const char *cert_pem, const char *key_pem,
                             const char *client_ca_pem, struct err *err);
// Whether TLS clients may choose HTTP/2 (ALPN); at first they may not. Without TLS a client that speaks HTTP/2 at once
// is understood in any case.
void api_server_http2(struct api_server *server, bool offered);
// Connections from now on are accepted and then neither read nor written.
void api_server_silent(struct api_server *server, bool silent);
// Handshakes from now on are answered with this fatal TLS alert (40 handshake_failure, 48 unknown_ca, 80 internal_error
// …) and nothing else; 0: they succeed.
void api_server_alert(struct api_server *server, int alert);
// At most so many bytes in one TLS record from now on; 0: as they come.
void api_server_record_size(struct api_server *server, size_t size);
// On every HTTP/2 connection: GOAWAY as kube-apiserver sends it (NO_ERROR, the last stream that it has seen). Streams
// that run go on, later ones are ignored, and with the last of them the connection ends.
void api_server_goaway(struct api_server *server);

// The open exchanges: first NULL, then the one before. Watches stay here until they end.
struct api_exchange *api_server_next(const struct api_server *server, const struct api_exchange *after);

const char *api_exchange_path(const struct api_exchange *exchange);   // without the query
const char *api_exchange_query(const struct api_exchange *exchange);  // as sent; ""
// The value of a header, "" when it is absent.
const char *api_exchange_header(const struct api_exchange *exchange, const char *name);
bool api_exchange_has_header(const struct api_exchange *exchange, const char *name);
// The n-th header of that name, from 0; "" when there are fewer.
const char *api_exchange_header_at(const struct api_exchange *exchange, const char *name, size_t n);
// The percent-decoded value of a query parameter into ret; false when it is absent.
bool api_exchange_param(const struct api_exchange *exchange, const char *name, char *ret, size_t size);

// The connection that the exchange runs on, counted from 1 over the life of the server.
size_t api_exchange_connection(const struct api_exchange *exchange);
bool api_exchange_is_tls(const struct api_exchange *exchange);
bool api_exchange_is_http2(const struct api_exchange *exchange);
// The common name of the client's certificate; "" when it gave none.
const char *api_exchange_client_name(const struct api_exchange *exchange);
// Its socket, for socket options; it stays the exchange's.
int api_exchange_fd(const struct api_exchange *exchange);
// Bytes of the answer that the socket has not taken yet.
size_t api_exchange_pending(const struct api_exchange *exchange);
// Calls fn once when this request is over: answered to its end, cut, or its client is gone. After that the pointer to
// the exchange must not be used. fn must not call functions of exchanges. One callback an exchange; NULL takes it back.
void api_exchange_on_over(struct api_exchange *exchange, void (*fn)(void *arg), void *arg);
// The socket that accepts; -1 while there is none.
int api_server_fd(const struct api_server *server);

// One whole answer. headers: further lines with "\r\n" at the end of each, or "".
void api_exchange_reply(struct api_exchange *exchange, unsigned status, const char *type, const char *headers,
                        const char *body);
// An answer in pieces: head, chunks, end. The exchange is gone after reply, end and cut.
void api_exchange_begin(struct api_exchange *exchange, const char *type, const char *headers);
// The same with any status.
void api_exchange_begin_status(struct api_exchange *exchange, unsigned status, const char *type, const char *headers);
void api_exchange_chunk(struct api_exchange *exchange, const char *data, size_t len);
void api_exchange_end(struct api_exchange *exchange);
// Closes the connection as it is: with a reset, or (reset false) without the last chunk. On HTTP/2 that ends the other
// exchanges of the connection as well.
void api_exchange_cut(struct api_exchange *exchange, bool reset);
// The same once everything so far is sent, and over TLS with close_notify: to the client an end that somebody wanted.
void api_exchange_close(struct api_exchange *exchange);
// HTTP/2: RST_STREAM with this code (2 INTERNAL_ERROR, 7 REFUSED_STREAM, 8 CANCEL …); the connection stands. HTTP/1.1:
// as cut(true).
void api_exchange_reset_stream(struct api_exchange *exchange, unsigned code);
// HTTP/2: GOAWAY that names a stream before this one as the last: the request came too late and was not looked at.
// Older streams run on. HTTP/1.1: as cut(false).
void api_exchange_goaway(struct api_exchange *exchange);
