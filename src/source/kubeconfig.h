// SPDX-License-Identifier: Apache-2.0
//
// How to reach an API server: a kubeconfig file, or the service account of a pod (api-client.md 3).
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"

struct api_config {
    char *server;   // "https://host:6443[/prefix]", without a slash at the end
    char *ca_pem;   // certificate-authority-data; NULL with ca_file NULL: system roots
    char *ca_file;  // re-read before each request when set
    bool insecure;  // insecure-skip-tls-verify
    char *tls_server_name;
    char *token;       // NULL none
    char *token_file;  // re-read before each request; wins over token
    char *cert_pem;    // client certificate and key; each as PEM or as file, both or none
    char *key_pem;
    char *cert_file;  // re-read before each request when set
    char *key_file;
    char *ns;                  // namespace of the context; NULL none
    bool disable_compression;  // of lists
    // Send credentials over http:// too. Nothing but a test sets it: a plain server is otherwise only spoken to on the
    // loopback interface, and without credentials.
    bool plain_credentials;
};
void api_config_free(struct api_config *config);  // wipes secrets
CLEANUP_DEFINE(struct api_config, api_config_free);

// path NULL: $KUBECONFIG (first file that exists), else ~/.kube/config. context NULL: current-context. Relative file
// names are resolved against the directory of the kubeconfig; every file named must be readable. What this version does
// not support (exec, auth-provider, proxy-url, …) is a clear error that names the field. ERR_NOT_FOUND when no path was
// given and there is no such file.
NODISCARD int kubeconfig_load(const char *path, const char *context, struct api_config **ret, struct err *err);
// The service account of a pod: CA and token of the projected volume must be there. ERR_NOT_FOUND when
// KUBERNETES_SERVICE_HOST/_PORT are not both set.
NODISCARD int kubeconfig_in_cluster(struct api_config **ret, struct err *err);
// The same with the volume at another place.
NODISCARD int kubeconfig_service_account(const char *directory, struct api_config **ret, struct err *err);
