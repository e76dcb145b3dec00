// SPDX-License-Identifier: Apache-2.0
#include "source/kubeconfig.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/limits.h"
#include "source/api_url.h"
#include "source/base64.h"
#include "source/small_file.h"
#include "yaml/yaml_doc.h"

#define SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

// A map of the file and where it stands, for errors.
struct place {
    const struct doc *map;
    const char *file;
    char path[96];  // "users[2].user"
};

void api_config_free(struct api_config *config)
{
    if (!config) {
        return;
    }
    free(config->server);
    free(config->ca_pem);
    free(config->ca_file);
    free(config->tls_server_name);
    secret_free(config->token);
    free(config->token_file);
    free(config->cert_pem);
    secret_free(config->key_pem);
    free(config->cert_file);
    free(config->key_file);
    free(config->ns);
    free(config);
}

static int at_field(const struct place *place, const char *key, struct err *err)
{
    const struct doc *child = doc_get(place->map, key);
    unsigned line = child ? child->line : place->map->line;
    (void)err_at_object(err, "%s:%u", place->file, line);
    return err_at_field(err, "%s%s%s", place->path, place->path[0] ? "." : "", key);
}

// The text of a key; NULL when it is absent, null or empty.
static int get_string(const struct place *place, const char *key, const char **ret, struct err *err)
{
    const struct doc *child = doc_get(place->map, key);
    if (child && child->type != DOC_NULL && child->type != DOC_STRING) {
        (void)err_set(err, ERR_INPUT, 0, "is a %s, not a string", doc_type_name(child->type));
        return at_field(place, key, err);
    }
    *ret = child && child->type == DOC_STRING && child->text[0] ? child->text : NULL;
    return 0;
}

static int get_bool(const struct place *place, const char *key, bool *ret, struct err *err)
{
    const struct doc *child = doc_get(place->map, key);
    if (child && child->type != DOC_NULL && child->type != DOC_BOOL) {
        (void)err_set(err, ERR_INPUT, 0, "is a %s, not a boolean", doc_type_name(child->type));
        return at_field(place, key, err);
    }
    *ret = child && child->type == DOC_BOOL && child->boolean;
    return 0;
}

static int copy(const char *text, char **ret, struct err *err)
{
    if (!text) {
        return 0;
    }
    char *copied = strdup(text);
    if (!copied) {
        return err_oom(err);
    }
    *ret = copied;
    return 0;
}

static int get_copy(const struct place *place, const char *key, char **ret, struct err *err)
{
    const char *text = NULL;
    return get_string(place, key, &text, err) < 0 ? -1 : copy(text, ret, err);
}

// Standard base64 of PEM.
static int get_pem(const struct place *place, const char *key, char **ret, struct err *err)
{
    const char *text = NULL;
    if (get_string(place, key, &text, err) < 0) {
        return -1;
    }
    if (!text) {
        return 0;
    }
    size_t len = 0;
    CLEANUP(secret_free) char *pem = base64_decode(text, &len);
    if (!pem && len) {
        return err_oom(err);
    }
    if (!pem) {
        (void)err_set(err, ERR_INPUT, 0, "is not base64");
        return at_field(place, key, err);
    }
    if (len != strlen(pem) || !strstr(pem, "-----BEGIN ")) {
        (void)err_set(err, ERR_INPUT, 0, "does not hold PEM (\"-----BEGIN …\")");
        return at_field(place, key, err);
    }
    *ret = TAKE(pem);
    return 0;
}

// The path in a key, resolved against the directory of the kubeconfig, and readable.
static int get_file(const struct place *place, const char *key, size_t max, char **ret, struct err *err)
{
    const char *text = NULL;
    if (get_string(place, key, &text, err) < 0) {
        return -1;
    }
    if (!text) {
        return 0;
    }
    struct buf BUF_CLEANUP path = {0};
    const char *slash = strrchr(place->file, '/');
    if (text[0] != '/' && slash) {
        buf_add(&path, place->file, (size_t)(slash - place->file) + 1);
    }
    buf_puts(&path, text);
    CLEANUP(free) char *resolved = buf_take(&path);
    if (!resolved) {
        return err_oom(err);
    }
    CLEANUP(secret_free) char *content = NULL;
    if (small_file_read(resolved, max, &content, err) < 0) {
        if (err && err->kind == ERR_NOT_FOUND) {
            err->kind = ERR_INPUT;
        }
        return at_field(place, key, err);
    }
    *ret = TAKE(resolved);
    return 0;
}

// A PEM that stands in the file itself, or in a file of its own; the first wins.
static int get_pem_or_file(const struct place *place, const char *data_key, const char *file_key, char **ret_pem,
                           char **ret_file, struct err *err)
{
    if (get_pem(place, data_key, ret_pem, err) < 0) {
        return -1;
    }
    return *ret_pem ? 0 : get_file(place, file_key, LIMIT_PEM, ret_file, err);
}

static int refuse(const struct place *place, const char *const *keys, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct doc *child = doc_get(place->map, keys[i]);
        bool empty = !child || child->type == DOC_NULL || (child->type == DOC_STRING && child->text[0] == '\0') ||
                     ((child->type == DOC_LIST || child->type == DOC_MAP) && !child->child);
        if (!empty) {
            (void)err_set(err, ERR_UNSUPPORTED, 0,
                          "is not supported; use a token, a tokenFile or a client certificate, without proxy");
            return at_field(place, keys[i], err);
        }
    }
    return 0;
}

static int read_cluster(const struct place *place, struct api_config *config, struct err *err)
{
    static const char *const unsupported[] = {"proxy-url"};
    if (refuse(place, unsupported, ARRAY_SIZE(unsupported), err) < 0 ||
        get_copy(place, "server", &config->server, err) < 0 ||
        get_copy(place, "tls-server-name", &config->tls_server_name, err) < 0 ||
        get_bool(place, "insecure-skip-tls-verify", &config->insecure, err) < 0 ||
        get_bool(place, "disable-compression", &config->disable_compression, err) < 0 ||
        get_pem_or_file(place, "certificate-authority-data", "certificate-authority", &config->ca_pem, &config->ca_file,
                        err) < 0) {
        return -1;
    }
    if (!config->server) {
        (void)err_set(err, ERR_INPUT, 0, "is missing");
        return at_field(place, "server", err);
    }
    if (api_url_check(config->server, err) < 0) {
        return at_field(place, "server", err);
    }
    for (size_t len = strlen(config->server); config->server[len - 1] == '/'; len--) {
        config->server[len - 1] = '\0';
    }
    if (config->insecure && (config->ca_pem || config->ca_file)) {
        (void)err_set(err, ERR_INPUT, 0, "together with a certificate-authority is a contradiction");
        return at_field(place, "insecure-skip-tls-verify", err);
    }
    return 0;
}

static int read_user(const struct place *place, struct api_config *config, struct err *err)
{
    static const char *const unsupported[] = {"exec", "auth-provider", "username",  "password",
                                              "as",   "as-uid",        "as-groups", "as-user-extra"};
    if (refuse(place, unsupported, ARRAY_SIZE(unsupported), err) < 0 ||
        get_file(place, "tokenFile", LIMIT_TOKEN, &config->token_file, err) < 0 ||
        get_copy(place, "token", &config->token, err) < 0 ||
        get_pem_or_file(place, "client-certificate-data", "client-certificate", &config->cert_pem, &config->cert_file,
                        err) < 0 ||
        get_pem_or_file(place, "client-key-data", "client-key", &config->key_pem, &config->key_file, err) < 0) {
        return -1;
    }
    bool cert = config->cert_pem || config->cert_file;
    bool key = config->key_pem || config->key_file;
    if (cert != key) {
        (void)err_set(err, ERR_INPUT, 0, "is missing: a client certificate and its key belong together");
        return at_field(place, cert ? "client-key" : "client-certificate", err);
    }
    if (config->token && strpbrk(config->token, "\r\n")) {
        (void)err_set(err, ERR_INPUT, 0, "holds a line break");
        return at_field(place, "token", err);
    }
    return 0;
}

// list[i][inner] of the entry whose name is wanted.
static int find_entry(const struct place *root, const char *list_key, const char *inner, const char *name,
                      struct place *ret, struct err *err)
{
    const struct doc *list = doc_get(root->map, list_key);
    size_t i = 0;
    for (const struct doc *entry = list && list->type == DOC_LIST ? list->child : NULL; entry; entry = entry->next) {
        const struct doc *entry_name = doc_get(entry, "name");
        const struct doc *map = doc_get(entry, inner);
        if (entry_name && entry_name->type == DOC_STRING && strcmp(entry_name->text, name) == 0) {
            *ret = (struct place){.map = map ? map : entry, .file = root->file};
            (void)snprintf(ret->path, sizeof(ret->path), "%s[%zu].%s", list_key, i, inner);
            if (map && map->type == DOC_MAP) {
                return 0;
            }
            (void)err_set(err, ERR_INPUT, 0, "is missing or no map");
            (void)err_at_object(err, "%s:%u", root->file, ret->map->line);
            return err_at_field(err, "%s", ret->path);
        }
        i++;
    }
    (void)err_set(err, ERR_INPUT, 0, "has no entry \"%s\"", name);
    return at_field(root, list_key, err);
}

static int read_root(const struct place *root, const char *context, struct api_config *config, struct err *err)
{
    struct place place;
    const char *cluster = NULL;
    const char *user = NULL;
    if (!context && get_string(root, "current-context", &context, err) < 0) {
        return -1;
    }
    if (!context) {
        (void)err_set(err, ERR_INPUT, 0, "is not set, and no context was asked for");
        return at_field(root, "current-context", err);
    }
    if (find_entry(root, "contexts", "context", context, &place, err) < 0 ||
        get_string(&place, "cluster", &cluster, err) < 0 || get_string(&place, "user", &user, err) < 0 ||
        get_copy(&place, "namespace", &config->ns, err) < 0) {
        return -1;
    }
    if (!cluster) {
        (void)err_set(err, ERR_INPUT, 0, "is missing");
        return at_field(&place, "cluster", err);
    }
    if (find_entry(root, "clusters", "cluster", cluster, &place, err) < 0 || read_cluster(&place, config, err) < 0) {
        return -1;
    }
    if (user && (find_entry(root, "users", "user", user, &place, err) < 0 || read_user(&place, config, err) < 0)) {
        return -1;
    }
    return api_config_check(config, err);
}

struct load {
    const char *file;
    const char *context;
    struct api_config *config;
    bool seen;
};

// The tree holds tokens and keys of every user; its depth is bounded by the parser.
static void wipe(struct doc *doc)
{
    if (doc->type == DOC_STRING) {
        explicit_bzero((char *)(uintptr_t)doc->text, strlen(doc->text));
    }
    for (struct doc *child = doc->child; child; child = child->next) {
        wipe(child);
    }
}

static int read_document(struct doc *doc, void *arg, struct err *err)
{
    struct load *load = arg;
    if (load->seen) {
        return err_set(err, ERR_INPUT, 0, "a kubeconfig is one document, this is a second one");
    }
    load->seen = true;
    if (doc->type != DOC_MAP) {
        return err_set(err, ERR_INPUT, 0, "a kubeconfig is a map, this is a %s", doc_type_name(doc->type));
    }
    const struct place root = {.map = doc, .file = load->file};
    int rc = read_root(&root, load->context, load->config, err);
    wipe(doc);
    return rc;
}

static int load_file(const char *path, const char *context, struct api_config **ret, struct err *err)
{
    CLEANUP(secret_free) char *text = NULL;
    CLEANUP(api_config_free) struct api_config *config = calloc(1, sizeof(*config));
    if (!config) {
        return err_oom(err);
    }
    if (small_file_read(path, LIMIT_KUBECONFIG, &text, err) < 0) {
        return -1;
    }
    struct load load = {.file = path, .context = context, .config = config};
    struct arena arena = {0};
    int rc = yaml_parse(text, strlen(text), &arena, read_document, NULL, &load, err);
    arena_free(&arena);
    if (rc < 0) {
        if (err && strncmp(err->object, "line ", 5) == 0) {
            (void)snprintf(err->object, sizeof(err->object), "%s:%d", path, err->num);
        }
        return err_at_object(err, "%s", path);
    }
    if (!load.seen) {
        (void)err_set(err, ERR_INPUT, 0, "the kubeconfig is empty");
        return err_at_object(err, "%s", path);
    }
    *ret = TAKE(config);
    return 0;
}

// The files to try, in order: what $KUBECONFIG lists, else ~/.kube/config.
static int load_default(const char *context, struct api_config **ret, struct err *err)
{
    const char *list = getenv("KUBECONFIG");
    const char *home = getenv("HOME");
    struct buf BUF_CLEANUP paths = {0};
    if (list && list[0]) {
        buf_puts(&paths, list);
    } else if (home && home[0]) {
        buf_printf(&paths, "%s/.kube/config", home);
    }
    buf_puts(&paths, "");
    if (paths.failed) {
        return err_oom(err);
    }
    char *rest = paths.data;
    for (char *path = strsep(&rest, ":"); path; path = strsep(&rest, ":")) {
        if (path[0] == '\0') {
            continue;
        }
        struct err why = {0};
        if (load_file(path, context, ret, &why) == 0) {
            return 0;
        }
        if (why.kind != ERR_NOT_FOUND) {
            if (err) {
                *err = why;
            }
            return -1;
        }
    }
    return err_set(err, ERR_NOT_FOUND, 0,
                   "no kubeconfig: neither $KUBECONFIG nor ~/.kube/config names a file that exists");
}

int kubeconfig_load(const char *path, const char *context, struct api_config **ret, struct err *err)
{
    return path ? load_file(path, context, ret, err) : load_default(context, ret, err);
}

static int in_directory(const char *directory, const char *name, size_t max, char **ret, struct err *err)
{
    struct buf BUF_CLEANUP path = {0};
    buf_printf(&path, "%s/%s", directory, name);
    CLEANUP(free) char *taken = buf_take(&path);
    CLEANUP(secret_free) char *content = NULL;
    if (!taken) {
        return err_oom(err);
    }
    if (small_file_read(taken, max, &content, err) < 0) {
        // Only a missing environment means "not in a cluster".
        if (err && err->kind == ERR_NOT_FOUND) {
            err->kind = ERR_INPUT;
        }
        return err_at_object(err, "service account");
    }
    *ret = TAKE(taken);
    return 0;
}

int kubeconfig_service_account(const char *directory, struct api_config **ret, struct err *err)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST");
    const char *port = getenv("KUBERNETES_SERVICE_PORT");
    if (!host || !host[0] || !port || !port[0]) {
        return err_set(err, ERR_NOT_FOUND, 0,
                       "not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not both set");
    }
    CLEANUP(api_config_free) struct api_config *config = calloc(1, sizeof(*config));
    struct buf BUF_CLEANUP server = {0};
    bool bracket = strchr(host, ':') && host[0] != '[';
    buf_printf(&server, "https://%s%s%s:%s", bracket ? "[" : "", host, bracket ? "]" : "", port);
    if (!config || !(config->server = buf_take(&server))) {
        return err_oom(err);
    }
    if (in_directory(directory, "ca.crt", LIMIT_PEM, &config->ca_file, err) < 0 ||
        in_directory(directory, "token", LIMIT_TOKEN, &config->token_file, err) < 0 ||
        api_config_check(config, err) < 0) {
        return -1;
    }
    *ret = TAKE(config);
    return 0;
}

int kubeconfig_in_cluster(struct api_config **ret, struct err *err)
{
    return kubeconfig_service_account(SERVICE_ACCOUNT, ret, err);
}
