// SPDX-License-Identifier: Apache-2.0
#include "xtables/xtables_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/x_tables.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "xtables/xtables_match.h"

struct xtables {
    const struct xtables_ops *ops;
    const char *name;
    void *handle;
};

static const struct xtables_ops *family_ops(enum xtables_family family)
{
    return family == XTABLES_V6 ? &xtables_v6 : &xtables_v4;
}

// libiptc's texts depend on the call that failed last: read them at once.
static int refused(const struct xtables *table, int num, const char *doing, const char *chain, struct err *err)
{
    enum err_kind kind = ERR_SYSTEM;
    switch (num) {
    case EAGAIN:
    case EMLINK:
        kind = ERR_RETRY;
        break;
    case EPERM:
    case EACCES:
        kind = ERR_DENIED;
        break;
    case ENOMEM:
        kind = ERR_OOM;
        break;
    case ENOPROTOOPT:
        kind = ERR_UNSUPPORTED;
        break;
    }
    (void)err_set(err, kind, num, "%s%s%s: %s", doing, chain[0] ? " " : "", chain, table->ops->text(num));
    return err_at_object(err, "table %s (%s)", table->name, table->ops->name);
}

void xtables_interface_put(const char *name, char *ret_name, unsigned char *ret_mask)
{
    size_t len = strnlen(name, XTABLES_INTERFACE - 1);
    if (len) {
        memcpy(ret_name, name, len);
        memset(ret_mask, 0xff, len + 1);  // the NUL compared too: the exact name
    }
}

bool xtables_interface_get(const char *name, const unsigned char *mask, char ret[XTABLES_INTERFACE])
{
    char want_name[XTABLES_INTERFACE] = {0};
    unsigned char want_mask[XTABLES_INTERFACE] = {0};
    memcpy(ret, name, XTABLES_INTERFACE - 1);
    ret[XTABLES_INTERFACE - 1] = '\0';
    xtables_interface_put(ret, want_name, want_mask);
    return memcmp(want_name, name, XTABLES_INTERFACE) == 0 && memcmp(want_mask, mask, XTABLES_INTERFACE) == 0;
}

void xtables_mask_put(unsigned length, void *mask, size_t size)
{
    uint8_t *bytes = mask;
    for (size_t i = 0; i < size; i++) {
        unsigned bits = length > i * 8 ? length - (unsigned)i * 8 : 0;
        bytes[i] = (uint8_t)(0xff00u >> (bits < 8 ? bits : 8));
    }
}

bool xtables_mask_get(const void *mask, size_t size, uint8_t *ret_length)
{
    const uint8_t *bytes = mask;
    unsigned length = 0;
    while (length < size * 8 && (bytes[length / 8] & (0x80u >> length % 8))) {
        length++;
    }
    uint8_t again[16];
    xtables_mask_put(length, again, size);
    *ret_length = (uint8_t)length;
    return memcmp(again, bytes, size) == 0;
}

static bool has_family(const struct xtables_ops *ops)
{
    __attribute__((cleanup(cleanup_fd))) int fd = socket(ops->socket_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return fd >= 0 || errno != EAFNOSUPPORT;
}

int xtables_presence(enum xtables_family family, enum xtables_presence *ret, struct err *err)
{
    return xtables_presence_of(family, "filter", ret, err);
}

int xtables_presence_of(enum xtables_family family, const char *table, enum xtables_presence *ret, struct err *err)
{
    const struct xtables_ops *ops = family_ops(family);
    __attribute__((cleanup(cleanup_fd))) int fd = open(ops->proc_names, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        *ret = has_family(ops) ? XTABLES_UNSUPPORTED : XTABLES_NO_FAMILY;
        return 0;
    }
    if (fd < 0) {
        return err_errno(err, "open %s", ops->proc_names);
    }
    char text[512];  // a name a line; there are six tables at most
    size_t len = 0;
    for (;;) {
        ssize_t got = read(fd, text + len, sizeof(text) - 1 - len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return err_errno(err, "read %s", ops->proc_names);
        }
        if (got == 0) {
            break;
        }
        len += (size_t)got;
    }
    text[len] = '\0';
    bool found = false;
    size_t name_len = strlen(table);
    for (const char *line = text; line && *line && !found;) {
        found = strncmp(line, table, name_len) == 0 && line[name_len] == '\n';
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    *ret = found ? XTABLES_PRESENT : XTABLES_ABSENT;
    return 0;
}

static int probe_extension(const struct xtables_ops *ops, int fd, const struct xtables_extension *extension,
                           struct err *err)
{
    struct xt_get_revision request = {.revision = extension->revision};
    socklen_t size = sizeof(request);
    memcpy(request.name, extension->name, strlen(extension->name) + 1);
    int option = extension->is_target ? ops->revision_target : ops->revision_match;
    if (getsockopt(fd, ops->level, option, &request, &size) == 0) {
        return 0;
    }
    switch (errno) {
    case ENOPROTOOPT:
        return err_set(err, ERR_UNSUPPORTED, errno, "the kernel has no legacy %s tables: modprobe %s", ops->name,
                       ops->module);
    case EPERM:
        return err_set(err, ERR_DENIED, errno, "ask for iptables extensions: CAP_NET_ADMIN is missing");
    case ENOENT:
    case EPROTONOSUPPORT:
    case EPROTOTYPE:
        return err_set(err, ERR_UNSUPPORTED, errno, "the kernel has no %s %s revision %u for %s: modprobe %s",
                       extension->is_target ? "target" : "match", extension->name, extension->revision, ops->name,
                       extension->module);
    }
    return err_errno(err, "ask for iptables extension %s", extension->name);
}

static int open_probe(const struct xtables_ops *ops, int *ret, struct err *err)
{
    int fd = socket(ops->socket_family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    if (fd < 0 && (errno == EPERM || errno == EACCES)) {
        return err_set(err, ERR_DENIED, errno, "open raw %s socket: CAP_NET_RAW is missing", ops->name);
    }
    if (fd < 0 && errno == EAFNOSUPPORT) {
        return err_set(err, ERR_UNSUPPORTED, errno, "the kernel has no %s", ops->name);
    }
    if (fd < 0) {
        return err_errno(err, "open raw %s socket", ops->name);
    }
    *ret = fd;
    return 0;
}

int xtables_probe(enum xtables_family family, struct err *err)
{
    const struct xtables_ops *ops = family_ops(family);
    CLEANUP(fd) int fd = -1;
    struct xtables_extension extension;
    if (open_probe(ops, &fd, err) < 0) {
        return -1;
    }
    for (size_t i = 0; xtables_match_extension(family, i, &extension); i++) {
        if (!extension.optional && probe_extension(ops, fd, &extension, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int xtables_probe_match(enum xtables_family family, const char *match, struct err *err)
{
    const struct xtables_ops *ops = family_ops(family);
    CLEANUP(fd) int fd = -1;
    struct xtables_extension extension;
    if (open_probe(ops, &fd, err) < 0) {
        return -1;
    }
    for (size_t i = 0; xtables_match_extension(family, i, &extension); i++) {
        if (!extension.is_target && strcmp(extension.name, match) == 0) {
            return probe_extension(ops, fd, &extension, err);
        }
    }
    return err_set(err, ERR_BUG, 0, "no match %s is known", match);
}

int xtables_measure(enum xtables_family family, uint64_t *ret, struct err *err)
{
    const struct xtables_ops *ops = family_ops(family);
    CLEANUP(fd) int fd = -1;
    enum xtables_presence presence;
    uint64_t measure = 0;
    if (xtables_presence(family, &presence, err) < 0) {
        return -1;
    }
    if (presence == XTABLES_PRESENT && open_probe(ops, &fd, err) < 0) {
        return -1;
    }
    if (presence == XTABLES_PRESENT && ops->measure(fd, "filter", &measure) < 0) {
        return err_errno(err, "measure the %s filter table", ops->name);
    }
    *ret = measure;
    return 0;
}

int xtables_open(enum xtables_family family, struct xtables **ret, struct err *err)
{
    return xtables_open_table(family, "filter", ret, err);
}

int xtables_open_table(enum xtables_family family, const char *name, struct xtables **ret, struct err *err)
{
    CLEANUP(xtables_close) struct xtables *table = calloc(1, sizeof(*table));
    if (!table) {
        return err_oom(err);
    }
    table->ops = family_ops(family);
    table->name = name;
    table->handle = table->ops->init(name);
    if (!table->handle && (errno == ENOPROTOOPT || errno == ENOENT)) {
        (void)err_set(err, ERR_UNSUPPORTED, errno, "the kernel has no legacy %s %s table: modprobe %s",
                      table->ops->name, name, table->ops->module);
        return -1;
    }
    if (!table->handle) {
        return refused(table, errno, "read", "", err);
    }
    *ret = TAKE(table);
    return 0;
}

void xtables_close(struct xtables *table)
{
    if (!table) {
        return;
    }
    if (table->handle) {
        table->ops->free(table->handle);
    }
    free(table);
}

int xtables_commit(struct xtables *table, struct err *err)
{
    return table->ops->commit(table->handle) ? 0 : refused(table, errno, "commit", "", err);
}

bool xtables_has_chain(struct xtables *table, const char *chain)
{
    return table->ops->is_chain(chain, table->handle);
}

bool xtables_is_builtin(struct xtables *table, const char *chain)
{
    return table->ops->is_builtin(chain, table->handle);
}

const char *xtables_first_chain(struct xtables *table)
{
    return table->ops->first_chain(table->handle);
}

const char *xtables_next_chain(struct xtables *table)
{
    return table->ops->next_chain(table->handle);
}

const char *xtables_policy(struct xtables *table, const char *chain)
{
    return table->ops->is_builtin(chain, table->handle) ? table->ops->policy(chain, table->handle) : NULL;
}

void xtables_describe(const struct xtables_view *view, struct buf *out)
{
    view->ops->describe(view->entry, view->target, out);
}

void xtables_untold(const struct xtables_view *view, struct buf *out)
{
    struct xtables_rule rule = {0};
    (void)view->ops->tell(view->entry, view->target, &rule, out);
}

int xtables_read(struct xtables *table, const char *chain,
                 int (*fn)(const struct xtables_view *view, void *arg, struct err *err), void *arg, struct err *err)
{
    for (const void *entry = table->ops->first_rule(chain, table->handle); entry;
         entry = table->ops->next_rule(entry, table->handle)) {
        struct xtables_view view = {0};
        const char *target = table->ops->target(entry, table->handle);
        view.target = target ? target : "";
        view.known = table->ops->decode(entry, view.target, &view.rule);
        view.told = view.known || table->ops->tell(entry, view.target, &view.rule, NULL);
        view.is_goto = table->ops->is_goto(entry);
        view.ops = table->ops;
        view.entry = entry;
        if (fn(&view, arg, err) < 0) {
            return -1;
        }
    }
    return 0;
}

// libiptc reads 32 bytes of a chain's name whatever its length.
static int chain_label(const char *chain, char label[XTABLES_CHAIN], struct err *err)
{
    size_t len = strlen(chain);
    if (len >= XTABLES_CHAIN) {
        return err_set(err, ERR_BUG, 0, "chain name %s is too long", chain);
    }
    memset(label, 0, XTABLES_CHAIN);
    memcpy(label, chain, len);
    return 0;
}

int xtables_create_chain(struct xtables *table, const char *chain, struct err *err)
{
    char label[XTABLES_CHAIN];
    if (chain_label(chain, label, err) < 0) {
        return -1;
    }
    return table->ops->create(label, table->handle) ? 0 : refused(table, errno, "create chain", chain, err);
}

int xtables_flush_chain(struct xtables *table, const char *chain, struct err *err)
{
    char label[XTABLES_CHAIN];
    if (chain_label(chain, label, err) < 0) {
        return -1;
    }
    return table->ops->flush(label, table->handle) ? 0 : refused(table, errno, "flush chain", chain, err);
}

int xtables_delete_chain(struct xtables *table, const char *chain, struct err *err)
{
    char label[XTABLES_CHAIN];
    if (chain_label(chain, label, err) < 0) {
        return -1;
    }
    return table->ops->remove(label, table->handle) ? 0 : refused(table, errno, "delete chain", chain, err);
}

int xtables_append(struct xtables *table, const char *chain, const struct xtables_rule *rule, struct err *err)
{
    _Alignas(16) uint8_t entry[XTABLES_ENTRY];
    char label[XTABLES_CHAIN];
    if (chain_label(chain, label, err) < 0 || table->ops->encode(rule, entry, err) < 0) {
        return -1;
    }
    return table->ops->append(label, entry, table->handle) ? 0 : refused(table, errno, "append a rule to", chain, err);
}

int xtables_insert(struct xtables *table, const char *chain, unsigned position, const struct xtables_rule *rule,
                   struct err *err)
{
    _Alignas(16) uint8_t entry[XTABLES_ENTRY];
    char label[XTABLES_CHAIN];
    if (chain_label(chain, label, err) < 0 || table->ops->encode(rule, entry, err) < 0) {
        return -1;
    }
    return table->ops->insert(label, entry, position, table->handle)
               ? 0
               : refused(table, errno, "insert a rule into", chain, err);
}

int xtables_delete(struct xtables *table, const char *chain, unsigned position, struct err *err)
{
    char label[XTABLES_CHAIN];
    if (chain_label(chain, label, err) < 0) {
        return -1;
    }
    return table->ops->delete_at(label, position, table->handle)
               ? 0
               : refused(table, errno, "delete a rule of", chain, err);
}
