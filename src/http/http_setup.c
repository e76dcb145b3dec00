// SPDX-License-Identifier: Apache-2.0
#include <curl/curl.h>

#include "base/limits.h"
#include "http/http_easy.h"

enum {
    // The first libcurl whose HTTP/2 has had its rewrite of 7.87 repaired (api-client.md 4.2).
    SOUND_HTTP2 = 0x080200,
    // What is read from a socket at once: less than half of the system time of libcurl's 16 KiB, and more is not
    // better.
    // Under TLS it is a record at a time whatever this says.
    READ_SIZE = 64 << 10,
    DNS_CACHE_S = 60,
};

// Line breaks would begin a header of the value's own.
static bool one_line(const char *text)
{
    return !strpbrk(text, "\r\n");
}

static int add_header(struct http_request *request, const char *name, const char *value, struct err *err)
{
    if (!*name || strpbrk(name, ":; \t\r\n") || !one_line(value)) {
        return err_set(err, ERR_INPUT, 0, "a request header is malformed: %s",
                       one_line(name) && *name ? name : "its name");
    }
    struct buf BUF_CLEANUP line = {0};
    // libcurl's way to send a header that is empty; with a colon it sends none.
    buf_printf(&line, *value ? "%s: %s" : "%s;", name, value);
    struct curl_slist *longer = line.failed ? NULL : curl_slist_append(request->headers, line.data);
    if (line.data) {
        explicit_bzero(line.data, line.cap);
    }
    if (!longer) {
        return err_oom(err);
    }
    request->headers = longer;
    return 0;
}

static int add_bearer(struct http_request *request, const char *token, struct err *err)
{
    struct buf BUF_CLEANUP value = {0};
    buf_printf(&value, "Bearer %s", token);
    if (!value.data) {
        return err_oom(err);
    }
    int rc = value.failed ? err_oom(err) : add_header(request, "Authorization", value.data, err);
    explicit_bzero(value.data, value.cap);
    return rc;
}

static int set_headers(struct http_request *request, const struct http_options *options, struct err *err)
{
    if (add_header(request, "Accept", options->accept, err) < 0 ||
        (options->host && add_header(request, "Host", options->host, err) < 0) ||
        (options->bearer && add_bearer(request, options->bearer, err) < 0)) {
        return -1;
    }
    for (size_t i = 0; i < options->n_headers; i++) {
        if (add_header(request, options->headers[i].name, options->headers[i].value, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static CURLcode set_pem(CURL *easy, CURLoption option, const char *pem)
{
    // Copied: libcurl hands the memory to the TLS library at a time of its own.
    struct curl_blob blob = {.data = (void *)(uintptr_t)pem, .len = strlen(pem), .flags = CURL_BLOB_COPY};
    return curl_easy_setopt(easy, option, &blob);
}

static CURLcode set_certificates(CURL *easy, const struct http_options *options)
{
    CURLcode rc = CURLE_OK;
    if (options->ca_pem) {
        rc = set_pem(easy, CURLOPT_CAINFO_BLOB, options->ca_pem);
        // Only these, not those of the system as well.
        rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) : rc;
        // A proxy may have a certificate of either kind: kubectl trusts the cluster's there, libcurl the system's.
        rc = rc == CURLE_OK ? set_pem(easy, CURLOPT_PROXY_CAINFO_BLOB, options->ca_pem) : rc;
    }
    if (rc == CURLE_OK && options->cert_pem && options->key_pem) {
        rc = set_pem(easy, CURLOPT_SSLCERT_BLOB, options->cert_pem);
        rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_SSLCERTTYPE, "PEM") : rc;
        rc = rc == CURLE_OK ? set_pem(easy, CURLOPT_SSLKEY_BLOB, options->key_pem) : rc;
        rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_SSLKEYTYPE, "PEM") : rc;
        // libcurl 7.88 hands OpenSSL a callback that takes the length of this, whether it is there or not.
        rc = rc == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_KEYPASSWD, "") : rc;
    }
    return rc;
}

static bool http2_is_sound(void)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    return info->version_num >= SOUND_HTTP2 && (info->features & CURL_VERSION_HTTP2);
}

struct setting {
    CURLoption option;
    long value;
};

static CURLcode set_numbers(struct http_request *request, const struct http_options *options)
{
    bool http2 = options->version == HTTP_VERSION_2 || (options->version == HTTP_VERSION_AUTO && http2_is_sound());
    const struct setting settings[] = {
        {CURLOPT_HTTP_VERSION, http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1},
        // Without it, requests that begin together open a connection each (api-client.md 4.2).
        {CURLOPT_PIPEWAIT, http2},
        {CURLOPT_FOLLOWLOCATION, 0},
        {CURLOPT_NOSIGNAL, 1},
        {CURLOPT_QUICK_EXIT, 1},
        {CURLOPT_BUFFERSIZE, READ_SIZE},
        {CURLOPT_CONNECTTIMEOUT_MS, (long)request->times.connect_ms},
        {CURLOPT_TIMEOUT_MS, (long)options->timeout_ms},
        {CURLOPT_LOW_SPEED_LIMIT, (long)options->min_speed},
        {CURLOPT_LOW_SPEED_TIME, options->min_speed ? (long)request->times.slow_s : 0},
        {CURLOPT_FRESH_CONNECT, options->fresh},
        {CURLOPT_MAXLIFETIME_CONN, (long)request->times.connection_s},
        {CURLOPT_DNS_CACHE_TIMEOUT, options->fresh ? 0 : DNS_CACHE_S},
        {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
        {CURLOPT_PROXY_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
        {CURLOPT_SSL_VERIFYPEER, !options->insecure},
        {CURLOPT_SSL_VERIFYHOST, options->insecure ? 0 : 2},
        {CURLOPT_PROXY_SSL_VERIFYPEER, !options->insecure},
        {CURLOPT_PROXY_SSL_VERIFYHOST, options->insecure ? 0 : 2},
        // What a proxy answers to CONNECT is not the server's answer.
        {CURLOPT_SUPPRESS_CONNECT_HEADERS, 1},
    };
    CURLcode rc = CURLE_OK;
    for (size_t i = 0; i < ARRAY_SIZE(settings) && rc == CURLE_OK; i++) {
        rc = curl_easy_setopt(request->easy, settings[i].option, settings[i].value);
    }
    return rc;
}

static CURLcode set_texts(CURL *easy, const struct http_options *options, const char *user_agent)
{
    const struct {
        CURLoption option;
        const char *value;
    } settings[] = {
        {CURLOPT_URL, options->url},           {CURLOPT_PROTOCOLS_STR, options->plain ? "https,http" : "https"},
        {CURLOPT_USERAGENT, user_agent},       {CURLOPT_ACCEPT_ENCODING, options->compressed ? "gzip" : NULL},
        {CURLOPT_USERNAME, options->username}, {CURLOPT_PASSWORD, options->password},
    };
    CURLcode rc = CURLE_OK;
    for (size_t i = 0; i < ARRAY_SIZE(settings) && rc == CURLE_OK; i++) {
        rc = curl_easy_setopt(easy, settings[i].option, settings[i].value);
    }
    return rc;
}

static CURLcode set_route(struct http_request *request, const struct http_options *options)
{
    CURLcode rc = curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->headers);
    if (rc == CURLE_OK && options->connect_to) {
        request->route = curl_slist_append(NULL, options->connect_to);
        rc = request->route ? curl_easy_setopt(request->easy, CURLOPT_CONNECT_TO, request->route) : CURLE_OUT_OF_MEMORY;
    }
    return rc;
}

int http_setup(struct http_request *request, const struct http_options *options, const char *user_agent,
               struct err *err)
{
    if (!options->username != !options->password || (options->username && options->bearer)) {
        return err_set(err, ERR_BUG, 0, "a request needs a user name and a password, or a token");
    }
    if (set_headers(request, options, err) < 0) {
        return -1;
    }
    int proxy = http_setup_proxy(request->easy, options, err);
    if (proxy < 0) {
        return -1;
    }
    CURLcode rc = (CURLcode)proxy;
    rc = rc == CURLE_OK ? set_numbers(request, options) : rc;
    rc = rc == CURLE_OK ? set_texts(request->easy, options, user_agent) : rc;
    rc = rc == CURLE_OK ? set_certificates(request->easy, options) : rc;
    rc = rc == CURLE_OK ? set_route(request, options) : rc;
    if (rc != CURLE_OK) {
        return err_set(err, rc == CURLE_OUT_OF_MEMORY ? ERR_OOM : ERR_UNSUPPORTED, (int)rc,
                       "libcurl refuses an option: %s", curl_easy_strerror(rc));
    }
    return 0;
}
