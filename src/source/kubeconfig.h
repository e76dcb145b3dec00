// SPDX-License-Identifier: Apache-2.0
//
// How to reach an API server: a kubeconfig file, or the service account of a pod (api-client.md 3).
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"
#include "http/http.h"

struct api_config {
    char *server;   // "https://host:6443[/prefix]", without a slash at the end
    char *ca_pem;   // certificate-authority-data; NULL with ca_file NULL: system roots
    char *ca_file;  // re-read before each request when set
    bool insecure;  // insecure-skip-tls-verify
    char *tls_server_name;
    char *token;       // NULL none
    char *token_file;  // re-read before each request; wins over token as soon as it holds one
    char *cert_pem;    // client certificate and key; each as PEM or as file, both or none
    char *key_pem;
    char *cert_file;  // re-read before each request when set
    char *key_file;
    char *ns;                  // namespace of the context; NULL none
    bool disable_compression;  // of lists
    // Basic authentication; both or none, never together with a token.
    char *username;
    char *password;
    char *proxy_url;              // "http://…", "https://…", "socks5h://…", always with a port; NULL none
    bool proxy_from_environment;  // a kubeconfig without proxy-url obeys *_proxy as kubectl does; a pod never does
    struct api_impersonation *impersonation;  // NULL none
    struct api_exec *exec;                    // a credential plugin; NULL none, or what stands beside it wins
    char *plugin_config;                      // JSON that the cluster has for plugins; NULL none
    // Send credentials over http:// too. Nothing but a test sets it: a plain server is otherwise only spoken to on the
    // loopback interface, and without credentials.
    bool plain_credentials;
};

// as, as-uid, as-groups, as-user-extra: headers of every request. The name is checked to be there when any other is.
struct api_impersonation {
    struct http_header *headers;  // "Impersonate-User", "Impersonate-Uid", "Impersonate-Group", "Impersonate-Extra-…"
    size_t n_headers;
};

// users[].exec: run without a shell, its answer is kept until it expires or is refused (api-client.md 3.6).
struct api_exec {
    char *command;       // absolute, or a bare name that is looked up in PATH
    char **argv;         // argv[0] is command; ends with NULL
    char **env;          // "NAME=value" of the kubeconfig, over our own environment; ends with NULL
    char *version;       // "client.authentication.k8s.io/v1" or …/v1beta1
    char *install_hint;  // said when the command is not there; NULL none
    bool provide_cluster_info;
    char *where;  // "FILE:LINE: users[2].user.exec", for errors
};

void api_config_free(struct api_config *config);  // wipes secrets
CLEANUP_DEFINE(struct api_config, api_config_free);

// path NULL: all files that $KUBECONFIG lists, merged as kubectl merges them (first file wins per entry, whole
// entries), else ~/.kube/config; missing ones of the list are skipped, any other failure is an error. A path given is
// read alone, and may be a pipe, which is waited for, some seconds. context NULL: current-context. Relative file names
// are resolved against the directory of the file that holds them; every file named must be readable. What is not
// supported (auth-provider, …) is an error that names file:line, the field and what to use instead. ERR_NOT_FOUND when
// no path was given and there is no such file.
NODISCARD int kubeconfig_load(const char *path, const char *context, struct api_config **ret, struct err *err);
// The service account of a pod: CA and token of the projected volume must be there. ERR_NOT_FOUND when
// KUBERNETES_SERVICE_HOST/_PORT are not both set.
NODISCARD int kubeconfig_in_cluster(struct api_config **ret, struct err *err);
// The same with the volume at another place.
NODISCARD int kubeconfig_service_account(const char *directory, struct api_config **ret, struct err *err);
