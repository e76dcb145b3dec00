// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <strings.h>

#include "base/log.h"
#include "source/api_source.h"

enum { MIN_LIST_SPEED = 1024 };  // bytes a second; the server cuts a list after 60 s anyway

// Returns -1 when there is nothing usable; a file that cannot be read any more is said once, and the last good content
// goes on.
static int refresh_credentials(struct api_source *source, struct err *err)
{
    bool usable = false;
    struct err why = {0};
    int rc = credentials_read(&source->credentials, source->config, &usable, &why);
    if (rc == CREDENTIALS_CHANGED) {
        source->generation++;
    }
    if (rc >= 0) {
        source->credentials_failing = false;
        return 0;
    }
    if (!usable) {
        if (err) {
            *err = why;
        }
        return -1;
    }
    if (!source->credentials_failing) {
        source->credentials_failing = true;
        struct buf BUF_CLEANUP fields = {0};
        char text[1024];
        buf_printf(&fields, "error=%s", log_quote(err_text(&why, text, sizeof(text))));
        source->owner.report(SOURCE_WARN, "credentials-unreadable", fields.failed ? "" : fields.data,
                             source->owner.arg);
    }
    return 0;
}

bool api_request_credentials_changed(struct api_kind *kind)
{
    (void)refresh_credentials(kind->source, NULL);
    return kind->source->generation != kind->generation;
}

int api_request_check_head(struct api_kind *kind, const struct http_head *head)
{
    size_t len = strcspn(head->content_type, "; ");
    if (len == strlen("application/json") && strncasecmp(head->content_type, "application/json", len) == 0) {
        return 0;
    }
    return err_set(&kind->stream_err, ERR_RETRY, 0, "the answer is not JSON but \"%.64s\": this is no API server",
                   head->content_type);
}

int api_request_start(struct api_kind *kind, enum api_request_type type, const char *query, unsigned timeout_ms,
                      const struct http_handler *handler, struct err *err)
{
    struct api_source *source = kind->source;
    if (refresh_credentials(source, err) < 0) {
        return -1;
    }
    const struct api_url *url = &source->url;
    // libcurl has no option for the name in the TLS handshake: it takes the one in the URL, so that name goes there,
    // and the connection to where the server really is (api-client.md 3.8).
    const char *name = source->config->tls_server_name;
    bool renamed = name && !url->plain;
    char authority[300];
    char named[300];
    char route[310];
    api_url_authority(url->host, url->port, authority, sizeof(authority));
    api_url_authority(renamed ? name : url->host, url->port, named, sizeof(named));
    (void)snprintf(route, sizeof(route), "::%s", authority);
    struct buf BUF_CLEANUP text = {0};
    buf_printf(&text, "%s://%s%s%s?%s", url->plain ? "http" : "https", named, url->prefix, kind->path, query);
    if (text.failed) {
        return err_oom(err);
    }
    const struct http_options options = {
        .url = text.data,
        .connect_to = renamed ? route : NULL,
        .host = renamed ? authority : NULL,
        .accept = "application/json",
        .bearer = source->credentials.token,
        .ca_pem = source->credentials.ca_pem,
        .cert_pem = source->credentials.cert_pem,
        .key_pem = source->credentials.key_pem,
        .insecure = source->config->insecure,
        .plain = url->plain,
        .compressed = type == API_LIST && !source->config->disable_compression,
        .fresh = kind->fresh,
        .timeout_ms = timeout_ms,
        .min_speed = type == API_LIST ? MIN_LIST_SPEED : 0,
    };
    kind->fresh = false;
    kind->generation = source->generation;
    return http_start(source->http, &options, handler, &kind->request, err);
}
