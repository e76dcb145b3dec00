// SPDX-License-Identifier: Apache-2.0
//
// The URL of an API server: what we accept as one, and its parts.
#pragma once

#include "source/kubeconfig.h"

struct api_url {
    bool plain;         // http
    char host[256];     // without brackets
    char port[8];       // "6443"; the scheme's own when the URL has none
    char prefix[1024];  // "/k8s/clusters/c-1", without a slash at the end; "" when there is none
};

NODISCARD int api_url_parse(const char *text, struct api_url *ret, struct err *err);
NODISCARD int api_url_check(const char *text, struct err *err);
// A proxy-url as libcurl takes it: with the port that kubectl would use where none is given, and names resolved by the
// proxy. Its error never shows the text, which may hold a password. The caller frees *ret, with secret_free.
NODISCARD int api_url_proxy(const char *text, char **ret, struct err *err);
// "host:port", with brackets around an IPv6 address.
void api_url_authority(const char *host, const char *port, char *ret, size_t size);

// A whole configuration: https, or plain http to a loopback address without credentials.
NODISCARD int api_config_check(const struct api_config *config, struct err *err);

// Appends text with everything but unreserved characters percent-encoded.
struct buf;
void api_url_escape(struct buf *out, const char *text);
