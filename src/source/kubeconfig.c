// SPDX-License-Identifier: Apache-2.0
#include "source/kubeconfig.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/limits.h"
#include "source/api_url.h"
#include "source/kubeconfig_fields.h"
#include "source/small_file.h"
#include "yaml/yaml_doc.h"

struct kubeconfig_one {
    char *path;
    struct arena arena;
    struct doc *root;  // NULL: the file holds nothing
};

// The files that are read as one: for every entry the first that has it counts.
struct kubeconfig_files {
    VEC(struct kubeconfig_one) list;
    bool explicit;  // one that was asked for
};

static void files_free(struct kubeconfig_files *files)
{
    for (size_t i = 0; i < files->list.n; i++) {
        struct kubeconfig_one *one = &files->list.v[i];
        // It holds tokens and keys of every user.
        arena_wipe(&one->arena);
        free(one->path);
    }
    vec_free(&files->list);
}

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
    free(config->username);
    secret_free(config->password);
    secret_free(config->proxy_url);
    secret_free(config->plugin_config);
    if (config->impersonation) {
        for (size_t i = 0; i < config->impersonation->n_headers; i++) {
            free((char *)(uintptr_t)config->impersonation->headers[i].name);
            free((char *)(uintptr_t)config->impersonation->headers[i].value);
        }
        free(config->impersonation->headers);
        free(config->impersonation);
    }
    api_exec_free(config->exec);
    free(config);
}

static int take_document(struct doc *doc, void *arg, struct err *err)
{
    struct kubeconfig_one *one = arg;
    if (one->root) {
        return err_set(err, ERR_INPUT, 0, "a kubeconfig is one document, this is a second one");
    }
    one->root = doc;
    if (doc->type != DOC_MAP) {
        return err_set(err, ERR_INPUT, 0, "a kubeconfig is a map, this is a %s", doc_type_name(doc->type));
    }
    const struct kubeconfig_place place = {.map = doc, .file = one->path};
    static const struct {
        const char *key;
        const char *value;
    } type[] = {{"apiVersion", "v1"}, {"kind", "Config"}};
    for (size_t i = 0; i < ARRAY_SIZE(type); i++) {
        const char *text = NULL;
        if (kubeconfig_string(&place, type[i].key, &text, err) < 0) {
            return -1;
        }
        if (text && strcmp(text, type[i].value) != 0) {
            (void)err_set(err, ERR_INPUT, 0, "is not %s: this is no kubeconfig", type[i].value);
            return kubeconfig_at(&place, type[i].key, err);
        }
    }
    return 0;
}

// What the parser quotes may be a secret: "password: *x" is an alias.
static void drop_quoted(struct err *err)
{
    char *quoted = err && err->object[0] && strncmp(err->object, "line ", 5) == 0 ? strstr(err->msg, ": \"") : NULL;
    if (quoted) {
        explicit_bzero(quoted, sizeof(err->msg) - (size_t)(quoted - err->msg));
    }
}

static int add_file(struct kubeconfig_files *files, const char *path, struct err *err)
{
    enum { PIPE_MS = 5000 };
    static const char mark[] = "\xEF\xBB\xBF";  // of UTF-8: some editors write it
    CLEANUP(secret_free) char *text = NULL;
    int rc = files->explicit ? small_file_read_pipe(path, LIMIT_KUBECONFIG, PIPE_MS, &text, err)
                             : small_file_read(path, LIMIT_KUBECONFIG, &text, err);
    if (rc < 0) {
        return -1;
    }
    const char *start = text + (strncmp(text, mark, strlen(mark)) == 0 ? strlen(mark) : 0);
    CLEANUP(free) char *copy = strdup(path);
    if (!copy || vec_push(&files->list, (struct kubeconfig_one){.path = copy}) < 0) {
        return err_oom(err);
    }
    (void)TAKE(copy);
    struct kubeconfig_one *one = &files->list.v[files->list.n - 1];
    if (yaml_parse(start, strlen(start), &one->arena, take_document, NULL, one, err) < 0) {
        drop_quoted(err);
        if (err && strncmp(err->object, "line ", 5) == 0) {
            (void)snprintf(err->object, sizeof(err->object), "%s:%d", path, err->num);
        }
        return err_at_object(err, "%s", path);
    }
    if (!one->root && files->explicit) {
        (void)err_set(err, ERR_INPUT, 0, "the kubeconfig is empty");
        return err_at_object(err, "%s", path);
    }
    return 0;
}

// The entry of that name in one list; a second one is an error, as in kubectl. *ret stays when there is none.
static int find_in_list(const struct kubeconfig_place *root, const char *list_key, const char *inner, const char *name,
                        struct kubeconfig_place *ret, struct err *err)
{
    const struct doc *list = NULL;
    if (kubeconfig_child(root, list_key, DOC_LIST, &list, err) < 0) {
        return -1;
    }
    struct kubeconfig_place found = {0};
    size_t i = 0;
    for (const struct doc *entry = list ? list->child : NULL; entry; entry = entry->next, i++) {
        const struct doc *entry_name = doc_get(entry, "name");
        if (!entry_name || entry_name->type != DOC_STRING || strcmp(entry_name->text, name) != 0) {
            continue;
        }
        const struct doc *map = doc_get(entry, inner);
        bool nothing = !map || map->type == DOC_NULL;
        struct kubeconfig_place place = {.map = map ? map : entry, .file = root->file};
        (void)snprintf(place.path, sizeof(place.path), "%s[%zu].%s", list_key, i, inner);
        if (found.map) {
            (void)err_set(err, ERR_INPUT, 0, "is a second entry \"%s\", after that of line %u", name, found.map->line);
        } else if (nothing ? strcmp(inner, "user") != 0 : map->type != DOC_MAP) {
            (void)err_set(err, ERR_INPUT, 0, "is missing or no map");
        } else {
            // A user of whom nothing is said is anonymous, as in kubectl; the name is a text, which has no fields.
            place.map = map ? map : entry_name;
            found = place;
            continue;
        }
        (void)err_at_object(err, "%s:%u", root->file, place.map->line);
        return err_at_field(err, "%s", place.path);
    }
    if (found.map) {
        *ret = found;
    }
    return 0;
}

static void list_names(const struct kubeconfig_files *files, const char *list_key, struct buf *names)
{
    enum { SHOWN = 8 };
    size_t n = 0;
    for (size_t i = 0; i < files->list.n; i++) {
        const struct doc *list = files->list.v[i].root ? doc_get(files->list.v[i].root, list_key) : NULL;
        for (const struct doc *entry = list && list->type == DOC_LIST ? list->child : NULL; entry;
             entry = entry->next) {
            const struct doc *name = doc_get(entry, "name");
            if (name && name->type == DOC_STRING && n++ < SHOWN) {
                buf_printf(names, "%s\"%.64s\"", n == 1 ? "" : ", ", name->text);
            }
        }
    }
    buf_puts(names, n == 0 ? "none" : n > SHOWN ? ", …" : "");
}

// contexts, clusters or users: the entry of that name, wherever it is. An error stands where the name does.
static int find_entry(const struct kubeconfig_files *files, const char *list_key, const char *inner, const char *name,
                      const struct kubeconfig_place *from, const char *from_key, struct kubeconfig_place *ret,
                      struct err *err)
{
    struct kubeconfig_place found = {0};
    for (size_t i = 0; i < files->list.n && !found.map; i++) {
        const struct kubeconfig_one *one = &files->list.v[i];
        const struct kubeconfig_place root = {.map = one->root, .file = one->path};
        if (one->root && find_in_list(&root, list_key, inner, name, &found, err) < 0) {
            return -1;
        }
    }
    if (found.map) {
        *ret = found;
        return 0;
    }
    struct buf BUF_CLEANUP names = {0};
    list_names(files, list_key, &names);
    (void)err_set(err, ERR_INPUT, 0, "%s has no entry \"%s\"; there is %s", list_key, name,
                  names.failed ? "?" : names.data);
    return kubeconfig_at(from, from_key, err);
}

// The context that counts: the one asked for, else current-context of the first file that sets it.
static int find_context(const struct kubeconfig_files *files, const char *wanted, struct kubeconfig_place *ret,
                        struct err *err)
{
    static const struct doc nothing = {.type = DOC_MAP, .line = 1};
    const struct kubeconfig_one *first = &files->list.v[0];
    struct kubeconfig_place root = {.map = first->root ? first->root : &nothing, .file = first->path};
    const char *name = wanted;
    for (size_t i = files->list.n; i > 0; i--) {
        const struct kubeconfig_one *one = &files->list.v[i - 1];
        const struct kubeconfig_place place = {.map = one->root ? one->root : &nothing, .file = one->path};
        const char *text = NULL;
        if (kubeconfig_string(&place, "current-context", &text, err) < 0) {
            return -1;
        }
        if (text) {
            root = place;
        }
        name = !wanted && text ? text : name;
    }
    if (!name) {
        (void)err_set(err, ERR_INPUT, 0, "is not set, and no context was asked for");
        return kubeconfig_at(&root, "current-context", err);
    }
    return find_entry(files, "contexts", "context", name, &root, wanted ? "contexts" : "current-context", ret, err);
}

static int read_files(const struct kubeconfig_files *files, const char *wanted, struct api_config *config,
                      struct err *err)
{
    struct kubeconfig_place context;
    struct kubeconfig_place cluster_place;
    struct kubeconfig_place user_place;
    const char *cluster = NULL;
    const char *user = NULL;
    if (find_context(files, wanted, &context, err) < 0 || kubeconfig_string(&context, "cluster", &cluster, err) < 0 ||
        kubeconfig_string(&context, "user", &user, err) < 0 ||
        kubeconfig_copy(&context, "namespace", &config->ns, err) < 0) {
        return -1;
    }
    if (!cluster) {
        (void)err_set(err, ERR_INPUT, 0, "is missing");
        return kubeconfig_at(&context, "cluster", err);
    }
    if (find_entry(files, "clusters", "cluster", cluster, &context, "cluster", &cluster_place, err) < 0 ||
        kubeconfig_cluster(&cluster_place, config, err) < 0) {
        return -1;
    }
    if (user && (find_entry(files, "users", "user", user, &context, "user", &user_place, err) < 0 ||
                 kubeconfig_user(&user_place, config, err) < 0)) {
        return -1;
    }
    if (api_config_check(config, err) < 0) {
        (void)err_at_object(err, "%s:%u", cluster_place.file, cluster_place.map->line);
        return err_at_field(err, "%s", cluster_place.path);
    }
    return 0;
}

// What $KUBECONFIG lists, else ~/.kube/config; those of the list that are not there are skipped.
static int add_default(struct kubeconfig_files *files, struct err *err)
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
        struct err why = {0};
        if (path[0] == '\0' || add_file(files, path, &why) == 0) {
            if (files->list.n > LIMIT_KUBECONFIG_FILES) {
                return err_set(err, ERR_LIMIT, 0, "$KUBECONFIG names more than %d files", LIMIT_KUBECONFIG_FILES);
            }
            continue;
        }
        if (why.kind != ERR_NOT_FOUND) {
            if (err) {
                *err = why;
            }
            return -1;
        }
    }
    return files->list.n ? 0
                         : err_set(err, ERR_NOT_FOUND, 0,
                                   "no kubeconfig: neither $KUBECONFIG nor ~/.kube/config names a file that exists");
}

int kubeconfig_load(const char *path, const char *context, struct api_config **ret, struct err *err)
{
    CLEANUP(api_config_free) struct api_config *config = calloc(1, sizeof(*config));
    if (!config) {
        return err_oom(err);
    }
    struct kubeconfig_files files = {.explicit = path != NULL};
    int rc = path ? add_file(&files, path, err) : add_default(&files, err);
    rc = rc < 0 ? rc : read_files(&files, context, config, err);
    files_free(&files);
    if (rc < 0) {
        return -1;
    }
    *ret = TAKE(config);
    return 0;
}
