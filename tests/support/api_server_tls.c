// SPDX-License-Identifier: Apache-2.0
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/mem.h"
#include "support/api_server_private.h"

struct api_tls_config {
    SSL_CTX *context;
};

struct api_tls {
    SSL *ssl;
    BIO *from_client, *to_client;  // the ssl's
    bool http2;                    // may be chosen
    char client_name[128];
};

static int choose_protocol(SSL *ssl, const unsigned char **ret, unsigned char *len, const unsigned char *offered,
                           unsigned offered_len, UNUSED void *arg)
{
    static const unsigned char both[] = "\x02h2\x08http/1.1";
    static const unsigned char old[] = "\x08http/1.1";
    bool http2 = ((struct api_tls *)SSL_get_app_data(ssl))->http2;
    unsigned char *chosen = NULL;
    int rc = SSL_select_next_proto(&chosen, len, http2 ? both : old,
                                   (unsigned)((http2 ? sizeof(both) : sizeof(old)) - 1), offered, offered_len);
    *ret = chosen;
    return rc == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static X509 *next_certificate(BIO *bio)
{
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    if (!certificate) {
        ERR_clear_error();
    }
    return certificate;
}

static bool use_certificate(SSL_CTX *context, const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = next_certificate(bio);
    bool good = certificate && SSL_CTX_use_certificate(context, certificate) == 1;
    X509_free(certificate);
    while (good && (certificate = next_certificate(bio))) {
        good = SSL_CTX_add1_chain_cert(context, certificate) == 1;
        X509_free(certificate);
    }
    BIO_free(bio);
    return good;
}

static bool use_key(SSL_CTX *context, const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    bool good = key && SSL_CTX_use_PrivateKey(context, key) == 1;
    EVP_PKEY_free(key);
    return good;
}

static bool trust_clients_of(SSL_CTX *context, const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate;
    bool good = false;
    while ((certificate = next_certificate(bio))) {
        good = X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate) == 1 &&
               SSL_CTX_add_client_CA(context, certificate) == 1;
        X509_free(certificate);
        if (!good) {
            break;
        }
    }
    BIO_free(bio);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return good;
}

static SSL_CTX *new_context(const char *cert_pem, const char *key_pem, const char *client_ca_pem)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    static const unsigned char session[] = "api";
    if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_session_id_context(context, session, sizeof(session) - 1) != 1 ||
        !use_certificate(context, cert_pem) || !use_key(context, key_pem) ||
        (client_ca_pem && !trust_clients_of(context, client_ca_pem))) {
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    return context;
}

struct api_tls_config *api_tls_config_new(const char *cert_pem, const char *key_pem, const char *client_ca_pem,
                                          struct err *err)
{
    struct api_tls_config *config = calloc(1, sizeof(*config));
    if (!config) {
        (void)err_oom(err);
        return NULL;
    }
    config->context = new_context(cert_pem, key_pem, client_ca_pem);
    if (!config->context) {
        (void)err_set(err, ERR_INPUT, 0, "the server's certificate or key is not accepted: %s",
                      ERR_error_string(ERR_get_error(), NULL));
        api_tls_config_free(config);
        return NULL;
    }
    return config;
}

void api_tls_config_free(struct api_tls_config *config)
{
    if (config) {
        SSL_CTX_free(config->context);
        free(config);
    }
}

struct api_tls *api_tls_new(const struct api_tls_config *config, bool http2)
{
    struct api_tls *tls = calloc(1, sizeof(*tls));
    SSL *ssl = SSL_new(config->context);
    BIO *from_client = BIO_new(BIO_s_mem());
    BIO *to_client = BIO_new(BIO_s_mem());
    if (!tls || !ssl || !from_client || !to_client) {
        free(tls);
        SSL_free(ssl);
        (void)BIO_free(from_client);
        (void)BIO_free(to_client);
        return NULL;
    }
    SSL_set_bio(ssl, from_client, to_client);
    SSL_set_accept_state(ssl);
    *tls = (struct api_tls){.ssl = ssl, .from_client = from_client, .to_client = to_client, .http2 = http2};
    (void)SSL_set_app_data(ssl, tls);
    return tls;
}

void api_tls_free(struct api_tls *tls)
{
    if (tls) {
        SSL_free(tls->ssl);
        free(tls);
    }
}

static void move_out(struct api_tls *tls, struct buf *out)
{
    char *data;
    long len = BIO_get_mem_data(tls->to_client, &data);
    if (len > 0) {
        buf_add(out, data, (size_t)len);
    }
    (void)BIO_reset(tls->to_client);
}

static void remember_client(struct api_tls *tls)
{
    X509 *certificate = SSL_get0_peer_certificate(tls->ssl);
    if (certificate) {
        (void)X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, tls->client_name,
                                        sizeof(tls->client_name));
    }
}

bool api_tls_take(struct api_tls *tls, const void *data, size_t len, struct buf *in, struct buf *out)
{
    ERR_clear_error();
    if (BIO_write(tls->from_client, data, (int)len) != (int)len) {
        return false;
    }
    int rc = 1;
    if (!SSL_is_init_finished(tls->ssl)) {
        rc = SSL_do_handshake(tls->ssl);
        if (rc == 1) {
            remember_client(tls);
        }
    }
    while (rc > 0) {
        char plain[16384];
        rc = SSL_read(tls->ssl, plain, sizeof(plain));
        if (rc > 0) {
            buf_add(in, plain, (size_t)rc);
        }
    }
    move_out(tls, out);
    return SSL_get_error(tls->ssl, rc) == SSL_ERROR_WANT_READ;
}

void api_tls_write(struct api_tls *tls, const void *data, size_t len, size_t record_size, struct buf *out)
{
    const char *at = data;
    while (len) {
        size_t part = record_size && record_size < len ? record_size : len;
        part = part < 1 << 20 ? part : 1 << 20;
        if (SSL_write(tls->ssl, at, (int)part) <= 0) {
            ERR_clear_error();
            break;
        }
        at += part;
        len -= part;
    }
    move_out(tls, out);
}

void api_tls_close_notify(struct api_tls *tls, struct buf *out)
{
    (void)SSL_shutdown(tls->ssl);
    ERR_clear_error();
    move_out(tls, out);
}

bool api_tls_ready(const struct api_tls *tls)
{
    return SSL_is_init_finished(tls->ssl);
}

bool api_tls_chose_http2(const struct api_tls *tls)
{
    const unsigned char *chosen;
    unsigned len;
    SSL_get0_alpn_selected(tls->ssl, &chosen, &len);
    return len == 2 && memcmp(chosen, "h2", 2) == 0;
}

const char *api_tls_client_name(const struct api_tls *tls)
{
    return tls->client_name;
}
