// SPDX-License-Identifier: Apache-2.0
//
// Certificates for tests, made in memory: an authority and what it signs. Keys are P-256. A test that is out of memory
// aborts.
#pragma once

#include <stddef.h>

struct api_authority;  // a certificate authority: its key and certificate

// A certificate and its key as PEM.
struct api_cert {
    char *cert;
    char *key;
};

struct api_cert_spec {
    const char *common_name;
    const char *const *organizations;  // "O" entries, n_organizations of them: a client's groups
    size_t n_organizations;
    // Subject alternative names, comma-separated: "DNS:localhost,IP:127.0.0.1,IP:::1"; NULL: none.
    const char *alternative_names;
    long valid_from_s;  // from now; usually negative
    long valid_to_s;    // from now; 0: a day
};

// Free with api_authority_free.
struct api_authority *api_authority_new(const char *common_name);
void api_authority_free(struct api_authority *authority);
// Its certificate as PEM; the authority's.
const char *api_authority_pem(const struct api_authority *authority);
// Free with api_cert_free.
struct api_cert api_authority_sign(struct api_authority *authority, const struct api_cert_spec *spec);
// For a server on the loopback interface: names localhost, 127.0.0.1 and ::1.
struct api_cert api_authority_server(struct api_authority *authority);
// The same with other names, and one that has expired an hour ago.
struct api_cert api_authority_wrong_server(struct api_authority *authority);
struct api_cert api_authority_expired_server(struct api_authority *authority);
// For a client, with a user name and one group; group NULL: none.
struct api_cert api_authority_client(struct api_authority *authority, const char *user, const char *group);
void api_cert_free(struct api_cert *cert);
