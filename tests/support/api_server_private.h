// SPDX-License-Identifier: Apache-2.0
//
// The parts of the scripted server: connections (api_server.c), what travels on them (HTTP/1.1 in api_server_http1.c,
// HTTP/2 in api_server_http2.c, the door to nghttp2) and TLS below that (api_server_tls.c, the door to libssl).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/loop.h"
#include "support/api_server.h"

struct api_tls_config;  // certificate, key and what clients are asked for
struct api_tls;         // TLS on one connection
struct api_http2;       // an HTTP/2 session on one connection

struct api_connection {
    struct api_server *server;
    struct api_connection *prev, *next;
    int fd;
    size_t number;
    struct loop_fd *source;
    struct api_tls *tls;      // NULL: none
    struct api_http2 *http2;  // NULL: HTTP/1.1, or not known yet
    bool known;               // which of the two
    bool silent;              // nothing is read from it
    bool closing;             // ends when everything is sent
    struct buf in;            // of the client, decrypted
    struct buf out;           // for the socket
};

struct api_exchange {
    struct api_connection *connection;
    struct api_exchange *prev, *next;
    bool busy;   // a request was given to the test and not answered yet
    bool fresh;  // it was not given to the test yet
    void (*over)(void *arg);
    void *over_arg;
    char path[512];
    char query[4096];
    char *headers;  // of the present request: lines, a "\r\n" before each and behind the last
    // HTTP/2: the stream, and of its answer what is not sent yet.
    int32_t stream;
    bool ended;
    struct buf body;
    size_t sent;
};

struct api_server {
    struct loop *loop;
    struct loop_fd *source;
    int fd;
    unsigned port;
    char address[64];
    size_t connections_so_far;
    api_server_fn *fn;
    void *arg;
    struct api_connection *connections;
    struct api_exchange *exchanges;
    struct api_tls_config *tls;  // for new connections; NULL: none
    bool http2;                  // is offered
    bool silent;
    int alert;
    size_t record_size;
};

// ---- api_server.c
struct api_exchange *api_exchange_add(struct api_connection *connection);  // NULL: out of memory
void api_exchange_free(struct api_exchange *exchange);                     // tells that it is over, if it was not
// The request is answered: whoever asked to know is told.
void api_exchange_over(struct api_exchange *exchange);
// Takes what is before and behind the question mark.
void api_exchange_set_target(struct api_exchange *exchange, const char *target, size_t len);
// Bytes to the client, encrypted where TLS is on; sent as far as the socket takes them.
void api_connection_write(struct api_connection *connection, const void *data, size_t len);
void api_connection_flush(struct api_connection *connection);
// Ends in an orderly way once everything is sent.
void api_connection_close(struct api_connection *connection);
void api_connection_drop(struct api_connection *connection);
// Whether a connection of that number is still there.
bool api_connection_alive(const struct api_server *server, size_t number);

// ---- api_server_http1.c
// Takes one request out of the input, if it is there as a whole and the one before is answered.
bool api_http1_take(struct api_connection *connection);
void api_http1_head(struct api_exchange *exchange, unsigned status, const char *type, const char *headers,
                    const char *body);  // body NULL: chunks follow
void api_http1_chunk(struct api_exchange *exchange, const char *data, size_t len);
void api_http1_end(struct api_exchange *exchange);

// ---- api_server_http2.c
struct api_http2 *api_http2_new(struct api_connection *connection);
void api_http2_free(struct api_http2 *http2);
// Whether the input begins as an HTTP/2 connection does: 1 yes, 0 no, -1 too short to tell.
int api_http2_sniff(const char *data, size_t len);
// Takes all of the input; false: it is not HTTP/2.
bool api_http2_take(struct api_connection *connection);
void api_http2_head(struct api_exchange *exchange, unsigned status, const char *type, const char *headers);
void api_http2_body(struct api_exchange *exchange, const char *data, size_t len, bool end);
void api_http2_reset(struct api_exchange *exchange, unsigned code);
void api_http2_goaway(struct api_http2 *http2, int32_t last);  // last < 0: the highest stream seen

// ---- api_server_tls.c
struct api_tls_config *api_tls_config_new(const char *cert_pem, const char *key_pem, const char *client_ca_pem,
                                          struct err *err);
void api_tls_config_free(struct api_tls_config *config);
struct api_tls *api_tls_new(const struct api_tls_config *config, bool http2);
void api_tls_free(struct api_tls *tls);
// Bytes of the client: what they say is added to in, what is to be sent to out. false: TLS has ended, or never began.
bool api_tls_take(struct api_tls *tls, const void *data, size_t len, struct buf *in, struct buf *out);
// At most record_size bytes a record; 0: as they come.
void api_tls_write(struct api_tls *tls, const void *data, size_t len, size_t record_size, struct buf *out);
void api_tls_close_notify(struct api_tls *tls, struct buf *out);
bool api_tls_ready(const struct api_tls *tls);  // the handshake is done
bool api_tls_chose_http2(const struct api_tls *tls);
const char *api_tls_client_name(const struct api_tls *tls);
