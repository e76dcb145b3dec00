// SPDX-License-Identifier: Apache-2.0
//
// Handshakes and certificates: rows 2, 3, 39.
#include "faults/faults.h"

#include <stdio.h>

enum { PODS = WORLD_BIT(WORLD_PODS), HOUR_S = 3600, TLS_BAD_CERTIFICATE = 42 };

static void serve_with(struct faults *f, struct api_cert cert, const char *client_ca)
{
    assert_int_equal(api_server_tls(f->world->server, cert.cert, cert.key, client_ca, &f->err), 0);
    api_cert_free(&cert);
}

// ---- 2

static void row_silent(struct faults *f)
{
    faults_tls(f, false);
    api_server_silent(f->world->server, true);
    faults_start(f);
    faults_check_connect_timeout(f);
    api_server_silent(f->world->server, false);
    UNTIL(f, f->synced);
}

// ---- 3

// As long as the handshake fails nothing is asked, not even without TLS, and it is tried at a measured pace; before the
// first reading, and behind it.
static void bad_handshake(struct faults *f, void (*spoil)(struct faults *f), void (*mend)(struct faults *f))
{
    spoil(f);
    faults_start(f);
    faults_run(f, 300000);
    assert_false(f->synced);
    assert_int_equal(f->world->requests.n, 0);
    assert_in_range(api_server_connections(f->world->server), 5, 60);
    mend(f);
    UNTIL(f, f->synced);
    faults_settle(f);
    size_t mark = world_mark(f->world);
    spoil(f);
    (void)world_cut(f->world, 0, WORLD_CUT_RST);
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    faults_run(f, 60000);
    assert_non_null(state_pod(f->state, "x", "a"));
    FAULTS_COUNT(f, 0, 0, mark, 0);
    mend(f);
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
}

static void right_cert(struct faults *f)
{
    serve_with(f, api_authority_server(f->authority), NULL);
}

static void strange_cert(struct faults *f)
{
    struct api_authority *other = api_authority_new("somebody else");
    serve_with(f, api_authority_server(other), NULL);
    api_authority_free(other);
}

static void row_wrong_ca(struct faults *f)
{
    faults_tls(f, false);
    bad_handshake(f, strange_cert, right_cert);
}

static void expired_cert(struct faults *f)
{
    serve_with(f, api_authority_expired_server(f->authority), NULL);
}

static void row_expired(struct faults *f)
{
    faults_tls(f, false);
    bad_handshake(f, expired_cert, right_cert);
}

static void other_name(struct faults *f)
{
    serve_with(f, api_authority_wrong_server(f->authority), NULL);
}

static void row_wrong_name(struct faults *f)
{
    faults_tls(f, false);
    bad_handshake(f, other_name, right_cert);
}

static void alert_on(struct faults *f)
{
    api_server_alert(f->world->server, TLS_BAD_CERTIFICATE);
}

static void alert_off(struct faults *f)
{
    api_server_alert(f->world->server, 0);
}

static void row_alert(struct faults *f)
{
    faults_tls(f, false);
    bad_handshake(f, alert_on, alert_off);
}

// The file of the authorities is wrong, and then right: it is read anew.
static void wrong_ca_file(struct faults *f)
{
    struct api_authority *other = api_authority_new("somebody else");
    faults_write(f->ca_file, api_authority_pem(other));
    api_authority_free(other);
}

static void right_ca_file(struct faults *f)
{
    faults_write(f->ca_file, api_authority_pem(f->authority));
}

static void row_ca_file(struct faults *f)
{
    faults_tls(f, false);
    bad_handshake(f, wrong_ca_file, right_ca_file);
}

static void client_cert(struct faults *f, struct api_authority *authority)
{
    struct api_cert cert = api_authority_client(authority, "system:node:n1", "system:nodes");
    faults_write(f->cert_file, cert.cert);
    faults_write(f->key_file, cert.key);
    api_cert_free(&cert);
}

static void strange_client(struct faults *f)
{
    struct api_authority *other = api_authority_new("somebody else");
    client_cert(f, other);
    api_authority_free(other);
}

static void right_client(struct faults *f)
{
    client_cert(f, f->authority);
}

static void row_client_cert(struct faults *f)
{
    faults_tls(f, false);
    serve_with(f, api_authority_server(f->authority), api_authority_pem(f->authority));
    bad_handshake(f, strange_client, right_client);
}

// ---- 39

static void row_serving_cert_rotated(struct faults *f)
{
    faults_tls(f, false);
    size_t mark = faults_sync(f);
    right_cert(f);
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    faults_settle(f);
    FAULTS_COUNT(f, 0, 0, mark, 0);
    (void)world_cut(f->world, 0, WORLD_CUT_RST);
    faults_settle(f);
    FAULTS_COUNT(f, ~(unsigned)WORLD_VERSION, 0, mark, 4);
    FAULTS_COUNT(f, WORLD_WATCH, 0, mark, 4);
}

// First both authorities are trusted, then the server changes, then only the new one is.
static void row_ca_rotated(struct faults *f)
{
    faults_tls(f, false);
    struct api_authority *next = api_authority_new("the next");
    size_t mark = faults_sync(f);
    struct buf BUF_CLEANUP both = {0};
    buf_puts(&both, api_authority_pem(f->authority));
    buf_puts(&both, api_authority_pem(next));
    faults_write(f->ca_file, both.data);
    serve_with(f, api_authority_server(next), NULL);
    (void)world_cut(f->world, 0, WORLD_CUT_RST);
    faults_settle(f);
    faults_write(f->ca_file, api_authority_pem(next));
    (void)world_cut(f->world, 0, WORLD_CUT_RST);
    faults_settle(f);
    FAULTS_COUNT(f, ~(unsigned)WORLD_VERSION, 0, mark, 8);
    FAULTS_COUNT(f, WORLD_WATCH, 0, mark, 8);
    // The old one is trusted no more.
    right_cert(f);
    (void)world_cut(f->world, PODS, WORLD_CUT_RST);
    faults_run(f, 60000);
    FAULTS_COUNT(f, ~(unsigned)WORLD_VERSION, 0, mark, 8);
    serve_with(f, api_authority_server(next), NULL);
    faults_settle(f);
    api_authority_free(next);
}

// A certificate is looked at in handshakes only: what is connected goes on, what comes new needs a valid one.
static void row_client_cert_expires(struct faults *f)
{
    faults_tls(f, false);
    serve_with(f, api_authority_server(f->authority), api_authority_pem(f->authority));
    struct api_cert cert = api_authority_sign(
        f->authority,
        &(struct api_cert_spec){.common_name = "system:node:n1", .valid_from_s = -HOUR_S, .valid_to_s = HOUR_S});
    faults_write(f->cert_file, cert.cert);
    faults_write(f->key_file, cert.key);
    api_cert_free(&cert);
    size_t mark = faults_sync(f);
    clock_jump_wall(2 * HOUR_S * 1000);
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    faults_settle(f);
    FAULTS_COUNT(f, 0, 0, mark, 0);
    (void)world_cut(f->world, PODS, WORLD_CUT_RST);
    faults_run(f, 60000);
    FAULTS_COUNT(f, 0, PODS, mark, 0);
    right_client(f);
    faults_settle(f);
    clock_jump_wall(-2 * HOUR_S * 1000);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
}

static const struct fault_row rows[] = {
    ROW_AS_IS("02-accepts-and-is-silent", row_silent),
    ROW_AS_IS("03-wrong-ca", row_wrong_ca),
    ROW_AS_IS("03-wrong-ca-file", row_ca_file),
    ROW_AS_IS("03-expired-cert", row_expired),
    ROW_AS_IS("03-wrong-san", row_wrong_name),
    ROW_AS_IS("03-tls-alert", row_alert),
    ROW_AS_IS("03-client-cert-rejected", row_client_cert),
    ROW_AS_IS("39-serving-cert-rotated", row_serving_cert_rotated),
    ROW_AS_IS("39-ca-rotated", row_ca_rotated),
    ROW_AS_IS("39-client-cert-expires", row_client_cert_expires),
};
FAULTS_MAIN(rows)
