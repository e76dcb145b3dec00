// SPDX-License-Identifier: Apache-2.0
#include "support/api_objects.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "source/small_file.h"
#include "yaml/yaml_doc.h"

int api_objects_init(struct api_objects *objects, const char *directory, uint64_t first, struct err *err)
{
    *objects = (struct api_objects){.version = first, .oldest = first, .directory = strdup(directory)};
    return objects->directory ? 0 : err_oom(err);
}

static void object_free(struct api_object *object)
{
    free(object->key);
    free(object->rest);
}

void api_objects_free(struct api_objects *objects)
{
    for (size_t i = 0; i < objects->objects.n; i++) {
        object_free(&objects->objects.v[i]);
    }
    for (size_t i = 0; i < objects->events.n; i++) {
        free(objects->events.v[i].object);
    }
    vec_free(&objects->objects);
    vec_free(&objects->events);
    free(objects->directory);
    free(objects->signature);
}

static void write_json(const struct doc *doc, struct buf *out, const struct doc *skip)
{
    switch (doc->type) {
    case DOC_NULL:
        buf_puts(out, "null");
        break;
    case DOC_BOOL:
        buf_puts(out, doc->boolean ? "true" : "false");
        break;
    case DOC_NUMBER:
        buf_puts(out, doc->text);
        break;
    case DOC_STRING:
        buf_json_string(out, doc->text);
        break;
    case DOC_LIST:
    case DOC_MAP: {
        bool map = doc->type == DOC_MAP;
        bool first = true;
        buf_putc(out, map ? '{' : '[');
        for (const struct doc *child = doc->child; child; child = child->next) {
            if (child == skip) {
                continue;
            }
            buf_puts(out, first ? "" : ",");
            first = false;
            if (map) {
                buf_json_string(out, child->key);
                buf_putc(out, ':');
            }
            write_json(child, out, NULL);
        }
        buf_putc(out, map ? '}' : ']');
        break;
    }
    }
}

void api_object_json(const struct api_object *object, struct buf *out)
{
    buf_printf(out, "{\"metadata\":{\"resourceVersion\":\"%llu\"%s", (unsigned long long)object->version, object->rest);
}

static const char *text_of(const struct doc *map, const char *key)
{
    const struct doc *child = doc_get(map, key);
    return child && child->type == DOC_STRING ? child->text : "";
}

static int add_event(struct api_objects *objects, struct api_object *object, const char *type, struct err *err)
{
    struct buf text = {0};
    object->version = ++objects->version;
    api_object_json(object, &text);
    char *json = buf_take(&text);
    struct api_event event = {.kind = object->kind, .type = type, .object = json, .version = object->version};
    if (!json || vec_push(&objects->events, event) < 0) {
        free(json);
        return err_oom(err);
    }
    return 0;
}

// metadata without resourceVersion, and with a uid, then everything else.
static char *rest_of(const struct doc *doc, const char *key)
{
    struct buf out = {0};
    const struct doc *meta = doc_get(doc, "metadata");
    if (!doc_get(meta, "uid")) {
        buf_puts(&out, ",\"uid\":");
        buf_json_string(&out, key);
    }
    for (const struct doc *child = meta ? meta->child : NULL; child; child = child->next) {
        if (strcmp(child->key, "resourceVersion") != 0) {
            buf_putc(&out, ',');
            buf_json_string(&out, child->key);
            buf_putc(&out, ':');
            write_json(child, &out, NULL);
        }
    }
    buf_puts(&out, "},");
    struct buf BUF_CLEANUP others = {0};
    write_json(doc, &others, meta);
    buf_puts(&out, others.data ? others.data + 1 : "}");
    if (others.failed) {
        out.failed = true;
    }
    return buf_take(&out);
}

static int put_object(struct api_objects *objects, enum object_kind kind, const struct doc *doc, struct err *err)
{
    const struct doc *meta = doc_get(doc, "metadata");
    char key[600];
    (void)snprintf(key, sizeof(key), "%s/%s", text_of(meta, "namespace"), text_of(meta, "name"));
    const char *phase = text_of(doc_get(doc, "status"), "phase");
    char *rest = rest_of(doc, key);
    if (!rest) {
        return err_oom(err);
    }
    bool finished = strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
    for (size_t i = 0; i < objects->objects.n; i++) {
        struct api_object *object = &objects->objects.v[i];
        if (object->kind != kind || strcmp(object->key, key) != 0) {
            continue;
        }
        object->seen = !finished;
        if (finished || strcmp(object->rest, rest) == 0) {
            free(rest);
            return 0;
        }
        free(object->rest);
        object->rest = rest;
        return add_event(objects, object, "MODIFIED", err);
    }
    struct api_object object = {.kind = kind, .key = strdup(key), .rest = rest, .seen = true};
    if (finished || !object.key || vec_push(&objects->objects, object) < 0) {
        object_free(&object);
        return finished ? 0 : err_oom(err);
    }
    return add_event(objects, &objects->objects.v[objects->objects.n - 1], "ADDED", err);
}

static int put_document(struct doc *doc, void *arg, struct err *err)
{
    const char *kind = text_of(doc, "kind");
    size_t len = strlen(kind);
    const struct doc *items = doc_get(doc, "items");
    if (len > 4 && strcmp(kind + len - 4, "List") == 0 && items) {
        for (struct doc *item = items->child; item; item = item->next) {
            if (put_document(item, arg, err) < 0) {
                return -1;
            }
        }
        return 0;
    }
    for (int i = 0; i < OBJECT_KIND_COUNT; i++) {
        if (strcmp(kind, object_kind_name((enum object_kind)i)) == 0) {
            return put_object(arg, (enum object_kind)i, doc, err);
        }
    }
    return 0;
}

static bool is_wanted(const char *name)
{
    const char *dot = strrchr(name, '.');
    return name[0] != '.' && dot &&
           (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0 || strcmp(dot, ".json") == 0);
}

static int read_files(struct api_objects *objects, struct dirent **names, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        CLEANUP(free) char *text = NULL;
        char path[4096];
        (void)snprintf(path, sizeof(path), "%s/%s", objects->directory, names[i]->d_name);
        if (!is_wanted(names[i]->d_name)) {
            continue;
        }
        if (small_file_read(path, LIMIT_DOCUMENT_BYTES, &text, err) < 0) {
            return -1;
        }
        struct arena arena = {0};
        int rc = yaml_parse(text, strlen(text), &arena, put_document, NULL, objects, err);
        arena_free(&arena);
        if (rc < 0) {
            return err_at_object(err, "%s", path);
        }
    }
    return 0;
}

static int remove_unseen(struct api_objects *objects, struct err *err)
{
    for (size_t i = objects->objects.n; i-- > 0;) {
        struct api_object *object = &objects->objects.v[i];
        if (object->seen) {
            continue;
        }
        if (add_event(objects, object, "DELETED", err) < 0) {
            return -1;
        }
        object_free(object);
        objects->objects.v[i] = objects->objects.v[--objects->objects.n];
    }
    return 0;
}

static char *signature_of(const char *directory, struct dirent **names, size_t n)
{
    struct buf out = {0};
    for (size_t i = 0; i < n; i++) {
        char path[4096];
        struct stat st;
        (void)snprintf(path, sizeof(path), "%s/%s", directory, names[i]->d_name);
        if (is_wanted(names[i]->d_name) && stat(path, &st) == 0) {
            buf_printf(&out, "%s %lld %lld.%ld %lld\n", names[i]->d_name, (long long)st.st_ino,
                       (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (long long)st.st_size);
        }
    }
    return buf_take(&out);
}

int api_objects_read(struct api_objects *objects, struct err *err)
{
    struct dirent **names = NULL;
    int n = scandir(objects->directory, &names, NULL, alphasort);
    if (n < 0) {
        return err_errno(err, "cannot read %s", objects->directory);
    }
    uint64_t before = objects->version;
    char *signature = signature_of(objects->directory, names, (size_t)n);
    int rc = 0;
    if (!signature) {
        rc = err_oom(err);
    } else if (!objects->signature || strcmp(signature, objects->signature) != 0) {
        for (size_t i = 0; i < objects->objects.n; i++) {
            objects->objects.v[i].seen = false;
        }
        rc = read_files(objects, names, (size_t)n, err);
        rc = rc == 0 ? remove_unseen(objects, err) : rc;
        free(objects->signature);
        objects->signature = TAKE(signature);
    }
    for (int i = 0; i < n; i++) {
        free(names[i]);
    }
    free(names);
    free(signature);
    return rc < 0 ? -1 : objects->version > before;
}
