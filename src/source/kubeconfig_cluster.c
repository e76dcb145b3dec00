// SPDX-License-Identifier: Apache-2.0
#include "source/api_url.h"
#include "source/kubeconfig_fields.h"
#include "json/json.h"
#include "json/json_write.h"

static int copy_json(const struct doc *value, char **ret, struct err *err)
{
    struct buf BUF_CLEANUP json = {0};
    struct arena arena = {0};
    struct doc *again = NULL;
    size_t used;
    unsigned line;
    json_write(value, &json);
    CLEANUP(secret_free) char *text = buf_take(&json);
    if (!text) {
        return err_oom(err);
    }
    int rc = json_parse(text, strlen(text), 1, &arena, &again, &used, &line, NULL);
    arena_wipe(&arena);
    if (rc < 0) {
        return err_set(err, ERR_INPUT, 0, "holds a number that is written as JSON has none");
    }
    *ret = TAKE(text);
    return 0;
}

// What this cluster has to say to credential plugins: the extension of that name (api-client.md 3.6).
static int plugin_config(const struct kubeconfig_place *place, char **ret, struct err *err)
{
    const struct doc *list = NULL;
    if (kubeconfig_child(place, "extensions", DOC_LIST, &list, err) < 0) {
        return -1;
    }
    for (const struct doc *entry = list ? list->child : NULL; entry; entry = entry->next) {
        const struct doc *name = doc_get(entry, "name");
        const struct doc *value = doc_get(entry, "extension");
        if (name && name->type == DOC_STRING && strcmp(name->text, "client.authentication.k8s.io/exec") == 0 && value &&
            value->type != DOC_NULL) {
            return copy_json(value, ret, err) < 0 ? kubeconfig_at(place, "extensions", err) : 0;
        }
    }
    return 0;
}

static int read_proxy(const struct kubeconfig_place *place, struct api_config *config, struct err *err)
{
    const char *text = NULL;
    if (kubeconfig_string(place, "proxy-url", &text, err) < 0) {
        return -1;
    }
    config->proxy_from_environment = !text;
    return text && api_url_proxy(text, &config->proxy_url, err) < 0 ? kubeconfig_at(place, "proxy-url", err) : 0;
}

int kubeconfig_cluster(const struct kubeconfig_place *place, struct api_config *config, struct err *err)
{
    if (kubeconfig_copy(place, "server", &config->server, err) < 0 ||
        kubeconfig_copy(place, "tls-server-name", &config->tls_server_name, err) < 0 ||
        kubeconfig_bool(place, "insecure-skip-tls-verify", &config->insecure, err) < 0 ||
        kubeconfig_bool(place, "disable-compression", &config->disable_compression, err) < 0 ||
        read_proxy(place, config, err) < 0 || plugin_config(place, &config->plugin_config, err) < 0 ||
        kubeconfig_pem(place, "certificate-authority-data", "certificate-authority", &config->ca_pem, &config->ca_file,
                       err) < 0) {
        return -1;
    }
    if (!config->server) {
        (void)err_set(err, ERR_INPUT, 0, "is missing");
        return kubeconfig_at(place, "server", err);
    }
    if (api_url_check(config->server, err) < 0) {
        return kubeconfig_at(place, "server", err);
    }
    for (size_t len = strlen(config->server); config->server[len - 1] == '/'; len--) {
        config->server[len - 1] = '\0';
    }
    if (config->insecure && (config->ca_pem || config->ca_file)) {
        (void)err_set(err, ERR_INPUT, 0, "together with a certificate-authority is a contradiction");
        return kubeconfig_at(place, "insecure-skip-tls-verify", err);
    }
    return 0;
}
