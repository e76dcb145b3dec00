// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "source/base64.h"
#include "source/exec_credential.h"
#include "source/small_file.h"

static const char info_name[] = "KUBERNETES_EXEC_INFO=";

static void add_member(struct buf *out, const char *name, const char *value)
{
    if (value) {
        buf_printf(out, ",\"%s\":", name);
        buf_json_string(out, value);
    }
}

static void add_cluster(struct buf *out, const struct api_config *config, const char *ca_pem)
{
    static const char ours[] = "socks5h:";
    buf_puts(out, ",\"cluster\":{\"server\":");
    buf_json_string(out, config->server);
    add_member(out, "tls-server-name", config->tls_server_name);
    buf_puts(out, config->insecure ? ",\"insecure-skip-tls-verify\":true" : "");
    if (ca_pem) {
        buf_puts(out, ",\"certificate-authority-data\":\"");
        base64_encode(out, ca_pem, strlen(ca_pem));
        buf_putc(out, '"');
    }
    // The plugin knows the scheme as the kubeconfig spells it.
    if (config->proxy_url && strncmp(config->proxy_url, ours, strlen(ours)) == 0) {
        struct buf BUF_CLEANUP proxy = {0};
        buf_printf(&proxy, "socks5:%s", config->proxy_url + strlen(ours));
        add_member(out, "proxy-url", proxy.failed ? NULL : proxy.data);
        out->failed = out->failed || proxy.failed;
        if (proxy.data) {
            explicit_bzero(proxy.data, proxy.cap);
        }
    } else {
        add_member(out, "proxy-url", config->proxy_url);
    }
    buf_puts(out, config->disable_compression ? ",\"disable-compression\":true" : "");
    if (config->plugin_config) {
        buf_printf(out, ",\"config\":%s", config->plugin_config);
    }
    buf_putc(out, '}');
}

static bool same_name(const char *a, const char *b)
{
    size_t len = strcspn(a, "=");
    return strncmp(a, b, len) == 0 && b[len] == '=';
}

// Is the name given again, further on?
static bool overridden(const char *entry, char *const *later)
{
    for (; *later; later++) {
        if (same_name(entry, *later)) {
            return true;
        }
    }
    return same_name(entry, info_name);
}

int exec_credential_environment(const struct api_config *config, const char *ca_pem, char ***ret, char **ret_info,
                                struct err *err)
{
    char *const *own = config->exec->env;
    struct buf BUF_CLEANUP out = {0};
    buf_printf(&out, "%s{\"kind\":\"ExecCredential\",\"apiVersion\":\"%s\",\"spec\":{\"interactive\":false", info_name,
               config->exec->version);
    if (config->exec->provide_cluster_info) {
        add_cluster(&out, config, ca_pem);
    }
    buf_puts(&out, "}}");
    CLEANUP(secret_free) char *info = buf_take(&out);
    size_t n = 2;
    for (char **entry = environ; entry && *entry; entry++) {
        n++;
    }
    for (char *const *entry = own; *entry; entry++) {
        n++;
    }
    CLEANUP(free) char **list = calloc(n, sizeof(*list));
    if (!info || !list) {
        return err_oom(err);
    }
    n = 0;
    for (char **entry = environ; entry && *entry; entry++) {
        if (!overridden(*entry, own)) {
            list[n++] = *entry;
        }
    }
    for (char *const *entry = own; *entry; entry++) {
        if (!overridden(*entry, entry + 1)) {
            list[n++] = *entry;
        }
    }
    list[n] = info;
    *ret_info = TAKE(info);
    *ret = TAKE(list);
    return 0;
}

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static int look_up(const char *name, char **ret)
{
    const char *path = getenv("PATH");
    for (const char *at = path ? path : "/usr/local/bin:/usr/bin:/bin"; at; at = strchr(at, ':')) {
        at += *at == ':' ? 1 : 0;
        int len = (int)strcspn(at, ":");
        // What the present directory holds is nobody's command.
        if (at[0] != '/') {
            continue;
        }
        struct buf BUF_CLEANUP made = {0};
        buf_printf(&made, "%.*s/%s", len, at, name);
        if (!made.failed && is_program(made.data)) {
            *ret = buf_take(&made);
            return 0;
        }
    }
    return -1;
}

int exec_credential_find(const struct api_exec *exec, char **ret, struct err *err)
{
    char *found = NULL;
    if (strchr(exec->command, '/')) {
        struct stat st;
        found = stat(exec->command, &st) == 0 ? strdup(exec->command) : NULL;
    } else {
        (void)look_up(exec->command, &found);
    }
    if (!found) {
        struct buf BUF_CLEANUP hint = {0};
        for (const char *p = exec->install_hint; p && *p; p++) {
            bool control = (unsigned char)*p < ' ' || *p == 0x7f;
            buf_putc(&hint, control ? ' ' : *p);
        }
        buf_puts(&hint, "");
        (void)err_set(err, ERR_INPUT, 0, "the credential plugin \"%.128s\" is not %s%s%.280s", exec->command,
                      strchr(exec->command, '/') ? "there" : "in PATH", hint.len ? ": " : "",
                      hint.failed ? "" : hint.data);
        return err_at_object(err, "%s", exec->where);
    }
    *ret = found;
    return 0;
}
