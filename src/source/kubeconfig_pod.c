// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"
#include "base/limits.h"
#include "source/api_url.h"
#include "source/small_file.h"

#define SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

static int in_directory(const char *directory, const char *name, small_file_fn *read, char **ret, struct err *err)
{
    struct buf BUF_CLEANUP path = {0};
    buf_printf(&path, "%s/%s", directory, name);
    CLEANUP(free) char *taken = buf_take(&path);
    CLEANUP(secret_free) char *content = NULL;
    if (!taken) {
        return err_oom(err);
    }
    if (read(taken, &content, err) < 0) {
        // Only a missing environment means "not in a cluster".
        if (err && err->kind == ERR_NOT_FOUND) {
            err->kind = ERR_INPUT;
        }
        return err_at_object(err, "service account");
    }
    *ret = TAKE(taken);
    return 0;
}

// The pod's own namespace, where a volume has it.
static void read_namespace(const char *directory, struct api_config *config)
{
    struct buf BUF_CLEANUP path = {0};
    buf_printf(&path, "%s/namespace", directory);
    CLEANUP(free) char *text = NULL;
    if (!path.failed && small_file_read(path.data, LIMIT_NAME + 1, &text, NULL) == 0) {
        text[strcspn(text, " \t\r\n")] = '\0';
        config->ns = text[0] ? TAKE(text) : NULL;
    }
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
    if (in_directory(directory, "ca.crt", small_file_pem, &config->ca_file, err) < 0 ||
        in_directory(directory, "token", small_file_token, &config->token_file, err) < 0 ||
        api_config_check(config, err) < 0) {
        return -1;
    }
    read_namespace(directory, config);
    *ret = TAKE(config);
    return 0;
}

int kubeconfig_in_cluster(struct api_config **ret, struct err *err)
{
    return kubeconfig_service_account(SERVICE_ACCOUNT, ret, err);
}
