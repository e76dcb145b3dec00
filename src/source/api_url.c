// SPDX-License-Identifier: Apache-2.0
#include "source/api_url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

#include "base/buf.h"
#include "base/num.h"

static int refuse(const char *text, const char *why, struct err *err)
{
    // What may be a secret, a user's name and password or a query, is not shown.
    bool user = strchr(text, '@');
    return err_set(err, ERR_INPUT, 0, "\"%.*s\" is not the URL of an API server (https://HOST[:PORT][/PREFIX]): %s",
                   user ? (int)strlen("https://…@…") : (int)strcspn(text, "?#"), user ? "https://…@…" : text, why);
}

static bool take(char *ret, size_t size, const char *from, size_t len)
{
    if (len >= size) {
        return false;
    }
    memcpy(ret, from, len);
    ret[len] = '\0';
    return true;
}

// "host", "host:port", "[v6]", "[v6]:port".
static const char *parse_authority(const char *at, size_t len, struct api_url *ret)
{
    const char *end = at + len;
    const char *host = at;
    const char *host_end;
    const char *after;
    if (len && *at == '[') {
        host++;
        host_end = memchr(at, ']', len);
        if (!host_end) {
            return "a bracket is not closed";
        }
        after = host_end + 1;
    } else {
        host_end = memchr(at, ':', len);
        host_end = host_end ? host_end : end;
        after = host_end;
    }
    if (host == host_end) {
        return "there is no host";
    }
    if (!take(ret->host, sizeof(ret->host), host, (size_t)(host_end - host))) {
        return "the host is too long";
    }
    struct in6_addr v6;
    if (*at == '[' && inet_pton(AF_INET6, ret->host, &v6) != 1) {
        return "the brackets do not hold an IPv6 address";
    }
    if (strspn(ret->host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._:") != strlen(ret->host)) {
        return "the host holds a character that no name has";
    }
    if (after == end) {
        return NULL;
    }
    uint64_t port;
    if (*after != ':' || !num_parse_u64(after + 1, (size_t)(end - after - 1), 65535, &port) || port == 0) {
        return "the port is no number of 1 to 65535";
    }
    (void)snprintf(ret->port, sizeof(ret->port), "%u", (unsigned)port);
    return NULL;
}

int api_url_parse(const char *text, struct api_url *ret, struct err *err)
{
    struct api_url url = {.plain = strncmp(text, "http://", 7) == 0};
    if (!url.plain && strncmp(text, "https://", 8) != 0) {
        return refuse(text, "it does not start with https://", err);
    }
    const char *at = text + (url.plain ? 7 : 8);
    size_t len = strcspn(at, "/?#");
    (void)snprintf(url.port, sizeof(url.port), "%s", url.plain ? "80" : "443");
    if (memchr(at, '@', len)) {
        return refuse(text, "it holds a user name", err);
    }
    const char *why = parse_authority(at, len, &url);
    if (why) {
        return refuse(text, why, err);
    }
    const char *prefix = at + len;
    size_t prefix_len = strlen(prefix);
    if (strpbrk(prefix, "?# \t\r\n\\\"<>")) {
        return refuse(text, "its path holds a query or a character that needs encoding", err);
    }
    while (prefix_len && prefix[prefix_len - 1] == '/') {
        prefix_len--;
    }
    if (!take(url.prefix, sizeof(url.prefix), prefix, prefix_len)) {
        return refuse(text, "its path is too long", err);
    }
    *ret = url;
    return 0;
}

int api_url_proxy(const char *text, char **ret, struct err *err)
{
    static const struct {
        const char *scheme;
        const char *ours;
        const char *port;
    } schemes[] = {
        {"http://", "http://", "80"},
        {"https://", "https://", "443"},
        {"socks5://", "socks5h://", "1080"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
        size_t scheme = strlen(schemes[i].scheme);
        if (strncasecmp(text, schemes[i].scheme, scheme) != 0) {
            continue;
        }
        struct api_url url = {0};
        (void)snprintf(url.port, sizeof(url.port), "%s", schemes[i].port);
        const char *at = text + scheme;
        size_t len = strcspn(at, "/?#");
        const char *user_end = memrchr(at, '@', len);
        size_t user = user_end ? (size_t)(user_end - at) + 1 : 0;
        const char *why = parse_authority(at + user, len - user, &url);
        if (!why && strcmp(at + len, "") != 0 && strcmp(at + len, "/") != 0) {
            why = "it holds more than a host and a port";
        }
        for (size_t n = 0; n < user && !why; n++) {
            why = at[n] <= ' ' || at[n] == 0x7f ? "its user name or password needs encoding" : NULL;
        }
        if (why) {
            return err_set(err, ERR_INPUT, 0, "is not the URL of a proxy: %s", why);
        }
        char authority[300];
        struct buf BUF_CLEANUP made = {0};
        api_url_authority(url.host, url.port, authority, sizeof(authority));
        buf_printf(&made, "%s%.*s%s", schemes[i].ours, (int)user, at, authority);
        char *taken = buf_take(&made);
        if (!taken) {
            return err_oom(err);
        }
        *ret = taken;
        return 0;
    }
    return err_set(err, ERR_INPUT, 0,
                   "is not the URL of a proxy: it starts with none of http://, https:// and socks5://");
}

int api_url_check(const char *text, struct err *err)
{
    struct api_url url;
    return api_url_parse(text, &url, err);
}

void api_url_authority(const char *host, const char *port, char *ret, size_t size)
{
    bool v6 = strchr(host, ':');
    (void)snprintf(ret, size, "%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    return strcmp(host, "localhost") == 0 || (inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127) ||
           (inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6));
}

int api_config_check(const struct api_config *config, struct err *err)
{
    struct api_url url;
    if (api_url_parse(config->server, &url, err) < 0) {
        return -1;
    }
    if (url.plain && !is_loopback(url.host)) {
        return err_set(err, ERR_INPUT, 0, "server \"%s\": http is only accepted for a loopback address",
                       config->server);
    }
    bool credentials = config->token || config->token_file || config->cert_pem || config->cert_file ||
                       config->key_pem || config->username || config->exec || config->impersonation;
    if (url.plain && credentials && !config->plain_credentials) {
        return err_set(err, ERR_INPUT, 0, "server \"%s\": credentials are not sent over http", config->server);
    }
    if (config->tls_server_name &&
        (strlen(config->tls_server_name) > 253 ||
         strspn(config->tls_server_name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.") !=
             strlen(config->tls_server_name))) {
        return err_set(err, ERR_INPUT, 0, "tls-server-name \"%s\" is not a host name", config->tls_server_name);
    }
    return 0;
}

void api_url_escape(struct buf *out, const char *text)
{
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (const char *p = text; *p; p++) {
        if (strchr(unreserved, *p)) {
            buf_putc(out, *p);
        } else {
            buf_printf(out, "%%%02X", (unsigned char)*p);
        }
    }
}
