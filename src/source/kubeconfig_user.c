// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "base/buf.h"
#include "source/kubeconfig_fields.h"

// A value of a header: no control character but the tab (RFC 9110, 5.5), and something.
static bool is_header_value(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if ((*p < ' ' && *p != '\t') || *p == 0x7f) {
            return false;
        }
    }
    return text[strspn(text, " \t")] != '\0';
}

// "Impersonate-Extra-" and the key, as client-go writes it: what no header name may hold is percent-encoded, and "%".
static char *extra_name(const char *key)
{
    static const char legal[] = "!#$&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    struct buf BUF_CLEANUP name = {0};
    buf_puts(&name, "Impersonate-Extra-");
    for (const char *p = key; *p; p++) {
        if (strchr(legal, *p)) {
            buf_putc(&name, *p);
        } else {
            buf_printf(&name, "%%%02X", (unsigned char)*p);
        }
    }
    return buf_take(&name);
}

typedef VEC(struct http_header) header_list;

// Takes name.
static int add_header(const struct kubeconfig_place *place, const char *field, char *name, const char *value,
                      header_list *headers, struct err *err)
{
    CLEANUP(free) char *owned = name;
    if (!is_header_value(value)) {
        (void)err_set(err, ERR_INPUT, 0, "is empty or holds a line break or another control character");
        return kubeconfig_at(place, field, err);
    }
    CLEANUP(free) char *copy = strdup(value);
    if (!owned || !copy || vec_push(headers, (struct http_header){.name = owned, .value = copy}) < 0) {
        return err_oom(err);
    }
    (void)TAKE(owned);
    (void)TAKE(copy);
    return 0;
}

// One header for each string of a list, all of one name.
static int add_list(const struct kubeconfig_place *place, const char *field, const struct doc *list, const char *key,
                    header_list *headers, struct err *err)
{
    for (const struct doc *item = list ? list->child : NULL; item; item = item->next) {
        if (item->type != DOC_STRING) {
            (void)err_set(err, ERR_INPUT, 0, "holds a %s where a string belongs", doc_type_name(item->type));
            return kubeconfig_at(place, field, err);
        }
        char *name = key ? extra_name(key) : strdup("Impersonate-Group");
        if (add_header(place, field, name, item->text, headers, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int add_extra(const struct kubeconfig_place *place, header_list *headers, struct err *err)
{
    static const char field[] = "as-user-extra";
    const struct doc *map = NULL;
    if (kubeconfig_child(place, field, DOC_MAP, &map, err) < 0) {
        return -1;
    }
    for (const struct doc *list = map ? map->child : NULL; list; list = list->next) {
        if (list->type != DOC_LIST || !list->key[0]) {
            (void)err_set(err, ERR_INPUT, 0, "maps names to lists of strings");
            return kubeconfig_at(place, field, err);
        }
        if (add_list(place, field, list, list->key, headers, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int fill_headers(const struct kubeconfig_place *place, header_list *headers, struct err *err)
{
    const char *user = NULL;
    const char *uid = NULL;
    const struct doc *groups = NULL;
    if (kubeconfig_string(place, "as", &user, err) < 0 || kubeconfig_string(place, "as-uid", &uid, err) < 0 ||
        kubeconfig_child(place, "as-groups", DOC_LIST, &groups, err) < 0 ||
        (user && add_header(place, "as", strdup("Impersonate-User"), user, headers, err) < 0) ||
        (uid && add_header(place, "as-uid", strdup("Impersonate-Uid"), uid, headers, err) < 0) ||
        add_list(place, "as-groups", groups, NULL, headers, err) < 0 || add_extra(place, headers, err) < 0) {
        return -1;
    }
    if (headers->n && !user) {
        (void)err_set(err, ERR_INPUT, 0, "is missing: as-uid, as-groups and as-user-extra belong to a user");
        return kubeconfig_at(place, "as", err);
    }
    return 0;
}

static int read_impersonation(const struct kubeconfig_place *place, struct api_config *config, struct err *err)
{
    header_list headers = {0};
    struct api_impersonation *made = NULL;
    int rc = fill_headers(place, &headers, err);
    if (rc == 0 && headers.n) {
        made = calloc(1, sizeof(*made));
        rc = made ? 0 : err_oom(err);
    }
    if (!made) {
        for (size_t i = 0; i < headers.n; i++) {
            free((char *)(uintptr_t)headers.v[i].name);
            free((char *)(uintptr_t)headers.v[i].value);
        }
        vec_free(&headers);
        return rc;
    }
    *made = (struct api_impersonation){.headers = headers.v, .n_headers = headers.n};
    config->impersonation = made;
    return 0;
}

static int refuse_provider(const struct kubeconfig_place *place, struct err *err)
{
    static const struct {
        const char *name;
        const char *instead;
    } known[] = {
        {"gcp", "exec with gke-gcloud-auth-plugin (\"gcloud container clusters get-credentials\" writes it)"},
        {"azure", "exec with kubelogin (\"kubelogin convert-kubeconfig\" writes it)"},
        {"oidc", "exec with an OpenID Connect plugin, such as kubelogin (\"kubectl oidc-login\")"},
    };
    const struct doc *provider = doc_get(place->map, "auth-provider");
    if (!provider || provider->type == DOC_NULL || (provider->type == DOC_MAP && !provider->child)) {
        return 0;
    }
    const struct doc *name = doc_get(provider, "name");
    const char *instead = "exec with a credential plugin, or a token, a tokenFile or a client certificate";
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (name && name->type == DOC_STRING && strcmp(name->text, known[i].name) == 0) {
            instead = known[i].instead;
        }
    }
    (void)err_set(err, ERR_UNSUPPORTED, 0, "is not supported, kubectl has given it up as well: use %s", instead);
    return kubeconfig_at(place, "auth-provider", err);
}

// One way to say who we are: a token or a password; a certificate may stand beside either.
static int check_methods(const struct kubeconfig_place *place, struct api_config *config, struct err *err)
{
    bool token = config->token || config->token_file;
    if (config->password && !config->username) {
        (void)err_set(err, ERR_INPUT, 0, "is missing: there is a password");
        return kubeconfig_at(place, "username", err);
    }
    if (config->username && token) {
        (void)err_set(err, ERR_INPUT, 0, "together with a %s is a contradiction: a request holds one of them",
                      config->token ? "token" : "tokenFile");
        return kubeconfig_at(place, "username", err);
    }
    if (config->username && strchr(config->username, ':')) {
        (void)err_set(err, ERR_INPUT, 0, "holds a colon, which ends a user name");
        return kubeconfig_at(place, "username", err);
    }
    if (config->token && !secret_is_token(config->token)) {
        (void)err_set(err, ERR_INPUT, 0, "holds a blank, a line break or a byte that no token has");
        return kubeconfig_at(place, "token", err);
    }
    bool cert = config->cert_pem || config->cert_file;
    bool key = config->key_pem || config->key_file;
    if (cert != key) {
        (void)err_set(err, ERR_INPUT, 0, "is missing: a client certificate and its key belong together");
        return kubeconfig_at(place, cert ? "client-key" : "client-certificate", err);
    }
    if (config->exec && (token || config->username || cert)) {
        // As client-go: a plugin is for those who have nothing else.
        api_exec_free(TAKE(config->exec));
    }
    if (config->username && !config->password && !(config->password = strdup(""))) {
        return err_oom(err);
    }
    return 0;
}

// Beside a token the file may be missing: the token is what there is without it, as in client-go.
static int read_token(const struct kubeconfig_place *place, struct api_config *config, struct err *err)
{
    const char *path = NULL;
    if (kubeconfig_copy(place, "token", &config->token, err) < 0) {
        return -1;
    }
    if (!config->token) {
        return kubeconfig_file(place, "tokenFile", small_file_token, &config->token_file, err);
    }
    if (kubeconfig_string(place, "tokenFile", &path, err) < 0) {
        return -1;
    }
    return path ? kubeconfig_resolve(place, path, &config->token_file, err) : 0;
}

int kubeconfig_user(const struct kubeconfig_place *place, struct api_config *config, struct err *err)
{
    if (refuse_provider(place, err) < 0 || kubeconfig_exec(place, &config->exec, err) < 0 ||
        read_token(place, config, err) < 0 || kubeconfig_copy(place, "username", &config->username, err) < 0 ||
        kubeconfig_copy(place, "password", &config->password, err) < 0 ||
        kubeconfig_pem(place, "client-certificate-data", "client-certificate", &config->cert_pem, &config->cert_file,
                       err) < 0 ||
        kubeconfig_pem(place, "client-key-data", "client-key", &config->key_pem, &config->key_file, err) < 0 ||
        read_impersonation(place, config, err) < 0) {
        return -1;
    }
    return check_methods(place, config, err);
}
