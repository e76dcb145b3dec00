// SPDX-License-Identifier: Apache-2.0
#include "agent/host_book.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/doc.h"
#include "base/log.h"
#include "json/json.h"

#define DEFAULT_RUN_DIR "/run/netpold"

enum { BOOK_MAX = 1 << 20, PATH = 4096 };

static const char *const family_key[FAMILY_COUNT] = {[FAMILY_V4] = "ipv4", [FAMILY_V6] = "ipv6"};

static int book_path(const char *suffix, bool make, char ret[PATH], struct err *err)
{
    const char *dir = getenv("NETPOLD_RUN_DIR");
    dir = dir && *dir ? dir : DEFAULT_RUN_DIR;
    if (make && mkdir(dir, 0755) < 0 && errno != EEXIST) {
        return err_errno(err, "cannot create the run directory %s", dir);
    }
    return snprintf(ret, PATH, "%s/host.json%s", dir, suffix) < PATH
               ? 0
               : err_set(err, ERR_USAGE, 0, "NETPOLD_RUN_DIR is too long");
}

static const char *text_of(const struct doc *map, const char *key, size_t size)
{
    const struct doc *doc = doc_get(map, key);
    return doc && doc->type == DOC_STRING && *doc->text && strlen(doc->text) < size ? doc->text : NULL;
}

static int compare_binding(const void *a, const void *b)
{
    return address_compare(&((const struct facts_binding *)a)->port.address,
                           &((const struct facts_binding *)b)->port.address);
}

static int parse_binding(const struct doc *doc, struct facts_ports *ports, struct err *err)
{
    struct facts_binding binding = {0};
    const char *address = doc->type == DOC_MAP ? text_of(doc, "address", ADDRESS_TEXT) : NULL;
    const char *port = address ? text_of(doc, "port", sizeof(binding.port.port)) : NULL;
    const char *pod = port ? text_of(doc, "pod", sizeof(binding.pod)) : NULL;
    if (!pod || !address_parse(address, &binding.port.address)) {
        return err_set(err, ERR_INPUT, 0, "line %u: not an address, a port and a pod", doc->line);
    }
    memcpy(binding.port.port, port, strlen(port) + 1);
    memcpy(binding.pod, pod, strlen(pod) + 1);
    return vec_push(&ports->bindings, binding) < 0 ? err_oom(err) : 0;
}

static int parse(const struct buf *text, struct facts_ports *ports, bool revoked[FAMILY_COUNT], struct err *err)
{
    struct arena arena = {0};
    struct doc *root = NULL;
    size_t used = 0;
    unsigned line = 0;
    int rc = json_parse(text->data ? text->data : "", text->len, 1, &arena, &root, &used, &line, err);
    const struct doc *list = rc == 0 && root->type == DOC_MAP ? doc_get(root, "ports") : NULL;
    const struct doc *flags = list ? doc_get(root, "revoked") : NULL;
    if (rc == 0 && (!list || list->type != DOC_LIST || !flags || flags->type != DOC_MAP)) {
        rc = err_set(err, ERR_INPUT, 0, "no ports, or not whether flows are revoked");
    }
    for (const struct doc *item = rc == 0 ? list->child : NULL; rc == 0 && item; item = item->next) {
        rc = parse_binding(item, ports, err);
    }
    for (unsigned family = 0; rc == 0 && family < FAMILY_COUNT; family++) {
        const struct doc *flag = doc_get(flags, family_key[family]);
        revoked[family] = flag && flag->type == DOC_BOOL && flag->boolean;
    }
    arena_free(&arena);
    return rc;
}

static int read_all(const char *path, struct buf *text, struct err *err)
{
    __attribute__((cleanup(cleanup_fd))) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ? 1 : err_errno(err, "open %s", path);
    }
    char part[16384];
    ssize_t n;
    while ((n = read(fd, part, sizeof(part))) > 0 || (n < 0 && errno == EINTR)) {
        buf_add(text, part, n > 0 ? (size_t)n : 0);
    }
    if (n < 0) {
        return err_errno(err, "read %s", path);
    }
    return text->failed ? err_set(err, ERR_LIMIT, 0, "%s is too big", path) : 0;
}

int host_book_load(struct facts_ports *ports, bool ret_revoked[FAMILY_COUNT], struct err *err)
{
    char path[PATH];
    BUF_CLEANUP struct buf text = {.max = BOOK_MAX};
    struct facts_ports read = {0};
    struct err why = {0};
    bool revoked[FAMILY_COUNT] = {false};
    if (book_path("", false, path, err) < 0) {
        return -1;
    }
    int rc = read_all(path, &text, &why);
    if (rc == 0) {
        rc = parse(&text, &read, revoked, &why);
    }
    if (rc != 0) {
        facts_ports_free(&read);
        memset(revoked, 0, sizeof(revoked));
    }
    if (rc < 0 && why.kind == ERR_OOM) {
        return err_oom(err);
    }
    if (rc < 0) {
        log_event(LOG_LEVEL_WARN, "host-book-unreadable", "file=%s error=%s", log_quote(path), log_quote(why.msg));
    }
    if (read.bindings.n) {
        qsort(read.bindings.v, read.bindings.n, sizeof(*read.bindings.v), compare_binding);
    }
    *ports = read;
    memcpy(ret_revoked, revoked, sizeof(revoked));
    return 0;
}

static void render(const struct facts_binding *bindings, size_t n, const bool revoked[FAMILY_COUNT], struct buf *out)
{
    const char *comma = "\n";
    buf_puts(out, "{\n  \"ports\": [");
    for (size_t i = 0; i < n; i++) {
        char text[ADDRESS_TEXT];
        if (!*bindings[i].pod) {
            continue;
        }
        buf_printf(out, "%s    {\"address\": \"%s\", \"port\": ", comma,
                   address_format(&bindings[i].port.address, text));
        buf_json_string(out, bindings[i].port.port);
        buf_puts(out, ", \"pod\": ");
        buf_json_string(out, bindings[i].pod);
        buf_putc(out, '}');
        comma = ",\n";
    }
    buf_printf(out, "\n  ],\n  \"revoked\": {\"ipv4\": %s, \"ipv6\": %s}\n}\n", revoked[FAMILY_V4] ? "true" : "false",
               revoked[FAMILY_V6] ? "true" : "false");
}

static int write_all(int fd, const struct buf *text)
{
    for (size_t at = 0; at < text->len;) {
        ssize_t n = write(fd, text->data + at, text->len - at);
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int host_book_save(const struct facts_binding *bindings, size_t n, const bool revoked[FAMILY_COUNT], struct err *err)
{
    char path[PATH];
    char fresh[PATH];
    BUF_CLEANUP struct buf text = {.max = BOOK_MAX};
    if (book_path("", true, path, err) < 0 || book_path(".new", true, fresh, err) < 0) {
        return -1;
    }
    render(bindings, n, revoked, &text);
    if (text.failed) {
        return err_oom(err);
    }
    __attribute__((cleanup(cleanup_fd))) int fd =
        open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write_all(fd, &text) < 0 || rename(fresh, path) < 0) {
        return err_errno(err, "write %s", path);
    }
    return 0;
}
