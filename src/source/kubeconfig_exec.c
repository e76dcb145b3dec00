// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "base/buf.h"
#include "source/kubeconfig_fields.h"

static void list_free(char **list)
{
    for (char **item = list; item && *item; item++) {
        secret_free(*item);
    }
    free(list);
}
CLEANUP_DEFINE(char *, list_free);

void api_exec_free(struct api_exec *exec)
{
    if (!exec) {
        return;
    }
    free(exec->command);
    list_free(exec->argv);
    list_free(exec->env);
    free(exec->version);
    free(exec->install_hint);
    free(exec->where);
    free(exec);
}

static size_t count(const struct doc *list)
{
    size_t n = 0;
    for (const struct doc *item = list ? list->child : NULL; item; item = item->next) {
        n++;
    }
    return n;
}

static int read_args(const struct kubeconfig_place *place, struct api_exec *exec, struct err *err)
{
    const struct doc *list = NULL;
    if (kubeconfig_child(place, "args", DOC_LIST, &list, err) < 0) {
        return -1;
    }
    CLEANUP(list_free) char **argv = calloc(count(list) + 2, sizeof(*argv));
    if (!argv || !(argv[0] = strdup(exec->command))) {
        return err_oom(err);
    }
    size_t n = 1;
    for (const struct doc *item = list ? list->child : NULL; item; item = item->next) {
        if (item->type != DOC_STRING) {
            (void)err_set(err, ERR_INPUT, 0, "holds a %s where a string belongs", doc_type_name(item->type));
            return kubeconfig_at(place, "args", err);
        }
        if (!(argv[n++] = strdup(item->text))) {
            return err_oom(err);
        }
    }
    exec->argv = TAKE(argv);
    return 0;
}

static int read_env(const struct kubeconfig_place *place, struct api_exec *exec, struct err *err)
{
    const struct doc *list = NULL;
    if (kubeconfig_child(place, "env", DOC_LIST, &list, err) < 0) {
        return -1;
    }
    CLEANUP(list_free) char **env = calloc(count(list) + 1, sizeof(*env));
    if (!env) {
        return err_oom(err);
    }
    size_t n = 0;
    for (const struct doc *item = list ? list->child : NULL; item; item = item->next) {
        const struct doc *name = doc_get(item, "name");
        const struct doc *value = doc_get(item, "value");
        bool named = name && name->type == DOC_STRING && name->text[0] && !strchr(name->text, '=');
        if (!named || (value && value->type != DOC_STRING && value->type != DOC_NULL)) {
            (void)err_set(err, ERR_INPUT, 0, "each entry has a name, without \"=\", and a value, both strings");
            return kubeconfig_at(place, "env", err);
        }
        const char *text = value && value->type == DOC_STRING ? value->text : "";
        size_t size = strlen(name->text) + strlen(text) + 2;
        char *entry = calloc(1, size);
        if (!entry) {
            return err_oom(err);
        }
        (void)snprintf(entry, size, "%s=%s", name->text, text);
        env[n++] = entry;
    }
    exec->env = TAKE(env);
    return 0;
}

static int read_version(const struct kubeconfig_place *place, struct api_exec *exec, struct err *err)
{
    static const char group[] = "client.authentication.k8s.io/";
    if (kubeconfig_copy(place, "apiVersion", &exec->version, err) < 0) {
        return -1;
    }
    const char *version = exec->version ? exec->version : "";
    bool ours = strncmp(version, group, strlen(group)) == 0;
    version += ours ? strlen(group) : 0;
    if (ours && (strcmp(version, "v1") == 0 || strcmp(version, "v1beta1") == 0)) {
        return 0;
    }
    bool alpha = ours && strcmp(version, "v1alpha1") == 0;
    (void)err_set(err, alpha ? ERR_UNSUPPORTED : ERR_INPUT, 0,
                  "%s: use %sv1 (or v1beta1), which the plugin must know too%s",
                  !exec->version ? "is missing"
                  : alpha        ? "v1alpha1 is not supported"
                                 : "is no version of this interface",
                  group, alpha ? "; a newer version of the plugin, or of the tool that wrote this file, does" : "");
    return kubeconfig_at(place, "apiVersion", err);
}

static int check_mode(const struct kubeconfig_place *place, const struct api_exec *exec, struct err *err)
{
    const char *mode = NULL;
    if (kubeconfig_string(place, "interactiveMode", &mode, err) < 0) {
        return -1;
    }
    bool may_be_absent = strcmp(exec->version, "client.authentication.k8s.io/v1beta1") == 0;
    if ((!mode && may_be_absent) || (mode && (strcmp(mode, "Never") == 0 || strcmp(mode, "IfAvailable") == 0))) {
        return 0;
    }
    if (mode && strcmp(mode, "Always") == 0) {
        (void)err_set(
            err, ERR_UNSUPPORTED, 0,
            "is Always, but plugins run without a terminal here: use one that needs none (IfAvailable, Never)");
    } else {
        (void)err_set(err, ERR_INPUT, 0, "%s: one of Never and IfAvailable", mode ? "is unknown" : "is missing");
    }
    return kubeconfig_at(place, "interactiveMode", err);
}

static int read_command(const struct kubeconfig_place *place, struct api_exec *exec, struct err *err)
{
    const char *command = NULL;
    if (kubeconfig_string(place, "command", &command, err) < 0) {
        return -1;
    }
    if (!command) {
        (void)err_set(err, ERR_INPUT, 0, "is missing");
        return kubeconfig_at(place, "command", err);
    }
    if (strchr(command, '/')) {
        return kubeconfig_resolve(place, command, &exec->command, err);
    }
    exec->command = strdup(command);
    return exec->command ? 0 : err_oom(err);
}

int kubeconfig_exec(const struct kubeconfig_place *user, struct api_exec **ret, struct err *err)
{
    struct kubeconfig_place place = *user;
    if (kubeconfig_child(user, "exec", DOC_MAP, &place.map, err) < 0) {
        return -1;
    }
    if (!place.map) {
        return 0;
    }
    (void)snprintf(place.path, sizeof(place.path), "%.80s.exec", user->path);
    CLEANUP(api_exec_free) struct api_exec *exec = calloc(1, sizeof(*exec));
    struct buf BUF_CLEANUP where = {0};
    buf_printf(&where, "%s:%u: %s", place.file, place.map->line, place.path);
    if (!exec || !(exec->where = buf_take(&where))) {
        return err_oom(err);
    }
    if (read_version(&place, exec, err) < 0 || check_mode(&place, exec, err) < 0 ||
        read_command(&place, exec, err) < 0 || read_args(&place, exec, err) < 0 || read_env(&place, exec, err) < 0 ||
        kubeconfig_copy(&place, "installHint", &exec->install_hint, err) < 0 ||
        kubeconfig_bool(&place, "provideClusterInfo", &exec->provide_cluster_info, err) < 0) {
        return -1;
    }
    *ret = TAKE(exec);
    return 0;
}
