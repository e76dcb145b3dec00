// SPDX-License-Identifier: Apache-2.0
//
// What a configuration refers to, as it is now: kubelet and other agents rewrite tokens and certificates while we run,
// so the files are read before each request, and the last good content serves until there is a newer one.
#pragma once

#include "source/kubeconfig.h"

struct credentials {
    const char *ca_pem;  // all NULL when there is none; each points into config or to what was read
    const char *cert_pem;
    const char *key_pem;
    const char *token;
    // What was read from files.
    char *read_ca;
    char *read_cert;
    char *read_key;
    char *read_token;
};
void credentials_clear(struct credentials *credentials);

enum credentials_change { CREDENTIALS_SAME, CREDENTIALS_CHANGED };

// Returns an enum credentials_change (of the token or the client certificate), or -1 when a file cannot be read: with
// err naming it; what was good before stays. ret_usable (may be NULL): every part has a value that was good once.
NODISCARD int credentials_read(struct credentials *credentials, const struct api_config *config, bool *ret_usable,
                               struct err *err);
