// SPDX-License-Identifier: Apache-2.0
#include "source/kubeconfig_fields.h"

#include "base/buf.h"
#include "source/base64.h"

int kubeconfig_at(const struct kubeconfig_place *place, const char *key, struct err *err)
{
    const struct doc *child = doc_get(place->map, key);
    (void)err_at_object(err, "%s:%u", place->file, child ? child->line : place->map->line);
    return err_at_field(err, "%s%s%s", place->path, place->path[0] ? "." : "", key);
}

int kubeconfig_child(const struct kubeconfig_place *place, const char *key, enum doc_type type, const struct doc **ret,
                     struct err *err)
{
    const struct doc *child = doc_get(place->map, key);
    if (!child || child->type == DOC_NULL) {
        *ret = NULL;
        return 0;
    }
    if (child->type != type) {
        (void)err_set(err, ERR_INPUT, 0, "is a %s, not a %s", doc_type_name(child->type), doc_type_name(type));
        return kubeconfig_at(place, key, err);
    }
    *ret = child;
    return 0;
}

int kubeconfig_string(const struct kubeconfig_place *place, const char *key, const char **ret, struct err *err)
{
    const struct doc *child = NULL;
    if (kubeconfig_child(place, key, DOC_STRING, &child, err) < 0) {
        return -1;
    }
    *ret = child && child->text[0] ? child->text : NULL;
    return 0;
}

int kubeconfig_copy(const struct kubeconfig_place *place, const char *key, char **ret, struct err *err)
{
    const char *text = NULL;
    if (kubeconfig_string(place, key, &text, err) < 0) {
        return -1;
    }
    if (!text) {
        return 0;
    }
    char *copy = strdup(text);
    if (!copy) {
        return err_oom(err);
    }
    *ret = copy;
    return 0;
}

int kubeconfig_bool(const struct kubeconfig_place *place, const char *key, bool *ret, struct err *err)
{
    const struct doc *child = NULL;
    if (kubeconfig_child(place, key, DOC_BOOL, &child, err) < 0) {
        return -1;
    }
    *ret = child && child->boolean;
    return 0;
}

int kubeconfig_resolve(const struct kubeconfig_place *place, const char *path, char **ret, struct err *err)
{
    struct buf BUF_CLEANUP resolved = {0};
    const char *slash = strrchr(place->file, '/');
    if (path[0] != '/' && slash) {
        buf_add(&resolved, place->file, (size_t)(slash - place->file) + 1);
    }
    buf_puts(&resolved, path);
    char *taken = buf_take(&resolved);
    if (!taken) {
        return err_oom(err);
    }
    *ret = taken;
    return 0;
}

int kubeconfig_file(const struct kubeconfig_place *place, const char *key, small_file_fn *read, char **ret,
                    struct err *err)
{
    const char *text = NULL;
    if (kubeconfig_string(place, key, &text, err) < 0) {
        return -1;
    }
    if (!text) {
        return 0;
    }
    CLEANUP(free) char *path = NULL;
    CLEANUP(secret_free) char *content = NULL;
    if (kubeconfig_resolve(place, text, &path, err) < 0) {
        return -1;
    }
    if (read(path, &content, err) < 0) {
        // The file that the kubeconfig names is absent, not the kubeconfig.
        if (err && err->kind == ERR_NOT_FOUND) {
            err->kind = ERR_INPUT;
        }
        return kubeconfig_at(place, key, err);
    }
    *ret = TAKE(path);
    return 0;
}

static int pem_data(const struct kubeconfig_place *place, const char *key, char **ret, struct err *err)
{
    const char *text = NULL;
    if (kubeconfig_string(place, key, &text, err) < 0) {
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
        return kubeconfig_at(place, key, err);
    }
    const char *fault = len == strlen(pem) ? pem_fault(pem) : "holds a NUL byte, and is no PEM";
    if (fault) {
        explicit_bzero(pem, len);
        (void)err_set(err, ERR_INPUT, 0, "%s", fault);
        return kubeconfig_at(place, key, err);
    }
    *ret = TAKE(pem);
    return 0;
}

int kubeconfig_pem(const struct kubeconfig_place *place, const char *data_key, const char *file_key, char **ret_pem,
                   char **ret_file, struct err *err)
{
    if (pem_data(place, data_key, ret_pem, err) < 0) {
        return -1;
    }
    return *ret_pem ? 0 : kubeconfig_file(place, file_key, small_file_pem, ret_file, err);
}
