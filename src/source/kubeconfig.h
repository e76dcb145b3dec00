// SPDX-License-Identifier: Apache-2.0
//
// How to reach an API server: a kubeconfig file, or the service account of a pod (api-client.md 3).
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"

struct api_config {
    char *server;   // "https://host:6443[/prefix]"
    char *ca_pem;   // certificate-authority(-data); NULL: system roots (kubeconfig) – in-cluster it must exist
    char *ca_file;  // re-read before each connection when set
    bool insecure;  // insecure-skip-tls-verify
    char *tls_server_name;
    char *token;       // NULL none
    char *token_file;  // re-read before each request; wins over token
    char *cert_pem;    // client certificate and key, both or none
    char *key_pem;
    char *cert_file;
    char *key_file;
    char *ns;  // namespace of the context; NULL none
};
void api_config_free(struct api_config *config);  // wipes secrets
CLEANUP_DEFINE(struct api_config, api_config_free);

// path NULL: $KUBECONFIG (first file that exists), else ~/.kube/config. context NULL: current-context. What this
// version does not support (exec, auth-provider, proxy-url, …) is a clear error that names the field.
NODISCARD int kubeconfig_load(const char *path, const char *context, struct api_config **ret, struct err *err);
// ERR_NOT_FOUND when KUBERNETES_SERVICE_HOST/_PORT are not both set.
NODISCARD int kubeconfig_in_cluster(struct api_config **ret, struct err *err);
