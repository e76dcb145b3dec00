// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <strings.h>

#include <curl/curl.h>

#include "http/http_easy.h"

// The schemes, what libcurl is to do, and the port when the URL names none (as Go's net/http).
static const struct scheme {
    const char *name, *used;
    unsigned port;
} schemes[] = {
    {"http", "http", 80},
    {"https", "https", 443},
    // Go has the proxy resolve names for both spellings.
    {"socks5", "socks5h", 1080},
    {"socks5h", "socks5h", 1080},
};

static void free_part(char **part)
{
    if (*part) {
        explicit_bzero(*part, strlen(*part));
        curl_free(*part);
    }
}
#define PART_CLEANUP __attribute__((cleanup(free_part)))

static void free_url(CURLU **url)
{
    curl_url_cleanup(*url);
}

// Not the URL itself: it may hold a password.
static int refuse(struct err *err, const char *why)
{
    return err_set(err, ERR_INPUT, 0, "the proxy's URL is not used: %s", why);
}

static CURLUcode parse(CURLU *url, const char *proxy, struct err *err)
{
    struct buf BUF_CLEANUP text = {0};
    // Environments often leave the scheme out.
    buf_printf(&text, "%s%s", strstr(proxy, "://") ? "" : "http://", proxy);
    if (text.failed) {
        (void)err_oom(err);
        return CURLUE_OUT_OF_MEMORY;
    }
    CURLUcode rc = curl_url_set(url, CURLUPART_URL, text.data, CURLU_NON_SUPPORT_SCHEME);
    explicit_bzero(text.data, text.cap);
    return rc;
}

static CURLUcode part_of(CURLU *url, CURLUPart part, CURLUcode absent, unsigned flags, char **ret)
{
    CURLUcode rc = curl_url_get(url, part, ret, flags);
    return rc == absent ? CURLUE_OK : rc;
}

// As they stand in the URL: what this option is given is percent-decoded by every libcurl, what the options for the
// name and the password alone are given by some.
static CURLcode set_credentials(CURL *easy, const char *user, const char *password)
{
    struct buf BUF_CLEANUP both = {0};
    buf_printf(&both, "%s:%s", user, password ? password : "");
    CURLcode rc = both.failed ? CURLE_OUT_OF_MEMORY : curl_easy_setopt(easy, CURLOPT_PROXYUSERPWD, both.data);
    if (both.data) {
        explicit_bzero(both.data, both.cap);
    }
    return rc;
}

static CURLUcode check_decoding(CURLU *url, CURLUPart part, CURLUcode absent)
{
    char PART_CLEANUP *decoded = NULL;
    return part_of(url, part, absent, CURLU_URLDECODE, &decoded);
}

static int use_proxy(CURL *easy, const char *proxy, struct err *err)
{
    __attribute__((cleanup(free_url))) CURLU *url = curl_url();
    if (!url) {
        return err_oom(err);
    }
    char PART_CLEANUP *name = NULL;
    char PART_CLEANUP *host = NULL;
    char PART_CLEANUP *port = NULL;
    char PART_CLEANUP *user = NULL;
    char PART_CLEANUP *password = NULL;
    CURLUcode bad = parse(url, proxy, err);
    bad = bad ? bad : curl_url_get(url, CURLUPART_SCHEME, &name, 0);
    bad = bad ? bad : curl_url_get(url, CURLUPART_HOST, &host, 0);
    bad = bad ? bad : part_of(url, CURLUPART_PORT, CURLUE_NO_PORT, 0, &port);
    bad = bad ? bad : part_of(url, CURLUPART_USER, CURLUE_NO_USER, 0, &user);
    bad = bad ? bad : part_of(url, CURLUPART_PASSWORD, CURLUE_NO_PASSWORD, 0, &password);
    bad = bad ? bad : check_decoding(url, CURLUPART_USER, CURLUE_NO_USER);
    bad = bad ? bad : check_decoding(url, CURLUPART_PASSWORD, CURLUE_NO_PASSWORD);
    if (bad) {
        return bad == CURLUE_OUT_OF_MEMORY ? err_oom(err) : refuse(err, curl_url_strerror(bad));
    }
    const struct scheme *scheme = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(schemes) && !scheme; i++) {
        scheme = strcasecmp(name, schemes[i].name) == 0 ? &schemes[i] : NULL;
    }
    if (!scheme) {
        return refuse(err, "its scheme is none of http, https, socks5 and socks5h");
    }
    struct buf BUF_CLEANUP plain = {0};
    buf_printf(&plain, "%s://%s:", scheme->used, host);
    if (port) {
        buf_puts(&plain, port);
    } else {
        buf_printf(&plain, "%u", scheme->port);
    }
    if (plain.failed) {
        return err_oom(err);
    }
    CURLcode rc = curl_easy_setopt(easy, CURLOPT_PROXY, plain.data);
    return (int)(rc == CURLE_OK && user ? set_credentials(easy, user, password) : rc);
}

static const char *from_environment(const char *const *names)
{
    for (; *names; names++) {
        const char *value = getenv(*names);
        if (value && *value) {
            return value;
        }
    }
    return NULL;
}

// The proxy of the environment, chosen as Go's clients do (golang.org/x/net/http/httpproxy), so that we go where
// kubectl goes: capitals first, no ALL_PROXY, and the server that counts is the one that is connected to, whatever name
// TLS is told. NULL: none.
static const char *proxy_of_environment(const struct http_options *options)
{
    static const char *const secure[] = {"HTTPS_PROXY", "https_proxy", NULL};
    static const char *const plain[] = {"HTTP_PROXY", "http_proxy", NULL};
    static const char *const except[] = {"NO_PROXY", "no_proxy", NULL};
    bool tls = strncasecmp(options->url, "https:", 6) == 0;
    // A web server sets HTTP_PROXY from a header of its client.
    bool cgi = getenv("REQUEST_METHOD") != NULL;
    const char *proxy = from_environment(tls ? secure : plain + cgi);
    if (!proxy) {
        return NULL;
    }
    const char *at = options->connect_to;
    if (at) {
        at += strspn(at, ":");
    } else {
        at = strstr(options->url, "://");
        at = at ? at + 3 : options->url;
    }
    char authority[320];
    size_t len = strcspn(at, "/?#");
    if (len >= sizeof(authority)) {
        return proxy;
    }
    memcpy(authority, at, len);
    authority[len] = '\0';
    return http_goes_direct(authority, tls ? 443 : 80, from_environment(except)) ? NULL : proxy;
}

int http_setup_proxy(void *easy, const struct http_options *options, struct err *err)
{
    const char *proxy = options->proxy                    ? options->proxy
                        : options->proxy_from_environment ? proxy_of_environment(options)
                                                          : NULL;
    // libcurl's own look at the environment has other rules than ours.
    CURLcode rc = curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    if (rc == CURLE_OK && !proxy) {
        rc = curl_easy_setopt(easy, CURLOPT_PROXY, "");
    }
    return rc != CURLE_OK || !proxy ? (int)rc : use_proxy(easy, proxy, err);
}
