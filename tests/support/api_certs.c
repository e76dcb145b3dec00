// SPDX-License-Identifier: Apache-2.0
#include "support/api_certs.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { DAY_S = 24 * 3600 };

struct api_authority {
    EVP_PKEY *key;
    X509 *cert;
    char *pem;
    long serial;
};

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static char *text_of(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    char *text = strndup(data, (size_t)len);
    require(text != NULL);
    (void)BIO_free(bio);
    return text;
}

static char *cert_text(X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    require(bio && PEM_write_bio_X509(bio, cert) == 1);
    return text_of(bio);
}

static char *key_text(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    require(bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    return text_of(bio);
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    require(extension && X509_add_ext(cert, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void add_name(X509 *cert, const char *field, const char *value)
{
    require(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), field, MBSTRING_UTF8, (const unsigned char *)value,
                                       -1, -1, 0) == 1);
}

static X509 *new_cert(EVP_PKEY *key, long serial, long from_s, long to_s)
{
    X509 *cert = X509_new();
    require(cert && X509_set_version(cert, 2) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(cert), serial) == 1 &&
            X509_gmtime_adj(X509_getm_notBefore(cert), from_s) && X509_gmtime_adj(X509_getm_notAfter(cert), to_s) &&
            X509_set_pubkey(cert, key) == 1);
    return cert;
}

static EVP_PKEY *new_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    require(key != NULL);
    return key;
}

struct api_authority *api_authority_new(const char *common_name)
{
    struct api_authority *authority = calloc(1, sizeof(*authority));
    require(authority != NULL);
    authority->key = new_key();
    authority->serial = 1;
    authority->cert = new_cert(authority->key, authority->serial, -DAY_S, DAY_S);
    X509 *cert = authority->cert;
    add_name(cert, "CN", common_name);
    require(X509_set_issuer_name(cert, X509_get_subject_name(cert)) == 1);
    add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign");
    add_extension(cert, cert, NID_subject_key_identifier, "hash");
    require(X509_sign(cert, authority->key, EVP_sha256()) > 0);
    authority->pem = cert_text(cert);
    return authority;
}

void api_authority_free(struct api_authority *authority)
{
    if (authority) {
        EVP_PKEY_free(authority->key);
        X509_free(authority->cert);
        free(authority->pem);
        free(authority);
    }
}

const char *api_authority_pem(const struct api_authority *authority)
{
    return authority->pem;
}

struct api_cert api_authority_sign(struct api_authority *authority, const struct api_cert_spec *spec)
{
    EVP_PKEY *key = new_key();
    X509 *cert = new_cert(key, ++authority->serial, spec->valid_from_s ? spec->valid_from_s : -3600,
                          spec->valid_to_s ? spec->valid_to_s : DAY_S);
    for (size_t i = 0; i < spec->n_organizations; i++) {
        add_name(cert, "O", spec->organizations[i]);
    }
    add_name(cert, "CN", spec->common_name);
    require(X509_set_issuer_name(cert, X509_get_subject_name(authority->cert)) == 1);
    add_extension(cert, authority->cert, NID_basic_constraints, "critical,CA:FALSE");
    add_extension(cert, authority->cert, NID_key_usage, "critical,digitalSignature");
    add_extension(cert, authority->cert, NID_ext_key_usage, "serverAuth,clientAuth");
    if (spec->alternative_names) {
        add_extension(cert, authority->cert, NID_subject_alt_name, spec->alternative_names);
    }
    require(X509_sign(cert, authority->key, EVP_sha256()) > 0);
    const struct api_cert ret = {.cert = cert_text(cert), .key = key_text(key)};
    X509_free(cert);
    EVP_PKEY_free(key);
    return ret;
}

struct api_cert api_authority_server(struct api_authority *authority)
{
    return api_authority_sign(
        authority,
        &(struct api_cert_spec){.common_name = "server", .alternative_names = "DNS:localhost,IP:127.0.0.1,IP:::1"});
}

struct api_cert api_authority_wrong_server(struct api_authority *authority)
{
    return api_authority_sign(
        authority,
        &(struct api_cert_spec){.common_name = "server", .alternative_names = "DNS:other.invalid,IP:192.0.2.1"});
}

struct api_cert api_authority_expired_server(struct api_authority *authority)
{
    return api_authority_sign(authority,
                              &(struct api_cert_spec){.common_name = "server",
                                                      .alternative_names = "DNS:localhost,IP:127.0.0.1,IP:::1",
                                                      .valid_from_s = -DAY_S,
                                                      .valid_to_s = -3600});
}

struct api_cert api_authority_client(struct api_authority *authority, const char *user, const char *group)
{
    return api_authority_sign(
        authority,
        &(struct api_cert_spec){.common_name = user, .organizations = &group, .n_organizations = group ? 1 : 0});
}

void api_cert_free(struct api_cert *cert)
{
    free(cert->cert);
    free(cert->key);
    *cert = (struct api_cert){0};
}
