// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/version.h"
#include "plugin.h"
#include "json/json_plain.h"

// Where a runtime waits with more than one pod: DEL is asked again, STATUS is asked often.
enum { DEL_MS = 5000, STATUS_MS = 2500 };

struct plugin {
    struct buf input;
    struct arena arena;
    struct plugin_config config;
    struct buf out;
};

struct command {
    const char *name;
    int (*run)(struct plugin *plugin, struct plugin_error *error);
    bool needs_config;
};

static int read_attachment(struct plugin *plugin, struct cni_attachment *ret, bool *ret_is_pod,
                           struct plugin_error *error)
{
    if (plugin_read_key(ret, error) < 0 || plugin_read_pod(ret, ret_is_pod, error) < 0) {
        return -1;
    }
    if (!plugin->config.previous) {
        return plugin_fail(error, PLUGIN_CONFIG,
                           "this plugin is chained: it stands behind the one that gives addresses",
                           "network configuration: there is no \"prevResult\"");
    }
    return *ret_is_pod ? plugin_read_result(plugin->config.previous, ret, error) : 0;
}

static int tell(struct plugin *plugin, const char *op, struct plugin_error *error)
{
    struct cni_attachment attachment = {0};
    struct plugin_reply reply;
    bool is_pod = false;
    if (read_attachment(plugin, &attachment, &is_pod, error) < 0) {
        return -1;
    }
    if (!is_pod) {
        // Policies are about pods.
        return 0;
    }
    plugin_ask(&plugin->config, op, &attachment, plugin->config.timeout_ms, true, &reply);
    if (reply.kind == PLUGIN_DONE) {
        return 0;
    }
    if (plugin->config.fail_open) {
        (void)fprintf(stderr, "netpold-cni: %s: failOpen lets pod %s/%s through: %s\n", op, attachment.ns,
                      attachment.name, reply.why);
        return 0;
    }
    if (reply.kind != PLUGIN_ANSWERED) {
        return plugin_fail_reply(&plugin->config, &reply, error);
    }
    bool later = plugin_reply_is_later(&reply);
    return plugin_fail(error, later ? PLUGIN_LATER : PLUGIN_REFUSED, reply.why,
                       "the policies of pod %.253s/%.253s are not in force%s", attachment.ns, attachment.name,
                       later ? " in time" : "");
}

static int run_add(struct plugin *plugin, struct plugin_error *error)
{
    if (tell(plugin, "cni-add", error) < 0) {
        return -1;
    }
    plugin_put_result(&plugin->config, plugin->input.data, plugin->input.len, &plugin->out);
    return 0;
}

static int run_check(struct plugin *plugin, struct plugin_error *error)
{
    return tell(plugin, "cni-check", error);
}

static uint64_t at_most(uint64_t ms, uint64_t most_ms)
{
    return ms < most_ms ? ms : most_ms;
}

// What the daemon keeps of an attachment, removed without it: it learns from the folder when it starts, and one that is
// there all the same sees within half a minute that the file is gone.
static int remove_file(const struct plugin *plugin, const struct cni_attachment *attachment, const char *why,
                       struct plugin_error *error)
{
    struct err err = {0};
    char folder[CNI_PATH];
    char file[CNI_ID + PACKET_IFACE + 16];
    char path[CNI_PATH + sizeof(file)];
    if (cni_book_folder(plugin->config.socket, folder, &err) < 0 ||
        !cni_book_file(attachment->id, attachment->ifname, file, sizeof(file))) {
        // No daemon has such a folder or file.
        return 0;
    }
    (void)snprintf(path, sizeof(path), "%s/%s", folder, file);
    if (unlink(path) == 0) {
        (void)fprintf(stderr, "netpold-cni: %s: %s is removed in its place\n", why, path);
    } else if (errno != ENOENT && errno != ENOTDIR) {
        // The next daemon would learn from it that the pod is there.
        return plugin_fail(error, PLUGIN_IO, strerror(errno), "%s cannot be removed", path);
    }
    return 0;
}

// A daemon that answers keeps its book itself: where it is busy to the end, the runtime deletes again. Where none
// answers, its file goes in its place: pods must be able to end beside a daemon that hangs, however long it does.
static int run_del(struct plugin *plugin, struct plugin_error *error)
{
    struct cni_attachment attachment = {0};
    struct plugin_reply reply;
    if (plugin_read_key(&attachment, error) < 0) {
        return -1;
    }
    plugin_ask(&plugin->config, "cni-del", &attachment, at_most(plugin->config.timeout_ms, DEL_MS), false, &reply);
    if (reply.kind == PLUGIN_DONE) {
        return 0;
    }
    if (reply.kind == PLUGIN_ANSWERED) {
        return plugin_fail(error, plugin_reply_is_later(&reply) ? PLUGIN_LATER : PLUGIN_REFUSED, reply.why,
                           "attachment %.64s of %.20s is not deleted", attachment.id, attachment.ifname);
    }
    return remove_file(plugin, &attachment, reply.why, error);
}

static int run_status(struct plugin *plugin, struct plugin_error *error)
{
    struct cni_attachment none = {0};
    struct plugin_reply reply;
    if (plugin->config.fail_open) {
        return 0;
    }
    plugin_ask(&plugin->config, "cni-status", &none, at_most(plugin->config.timeout_ms, STATUS_MS), true, &reply);
    if (reply.kind == PLUGIN_DONE) {
        return 0;
    }
    if (reply.kind == PLUGIN_ANSWERED) {
        return plugin_fail(error, PLUGIN_NOT_AVAILABLE, reply.why, "netpold is not ready");
    }
    (void)plugin_fail_reply(&plugin->config, &reply, error);
    error->code = PLUGIN_NOT_AVAILABLE;
    return -1;
}

// netpold forgets by itself what is gone.
static int run_gc(UNUSED struct plugin *plugin, UNUSED struct plugin_error *error)
{
    return 0;
}

static int run_version(struct plugin *plugin, UNUSED struct plugin_error *error)
{
    size_t last = 0;
    while (plugin_versions[last + 1]) {
        last++;
    }
    buf_puts(&plugin->out, "{\"cniVersion\":");
    buf_json_string(&plugin->out, plugin->config.version ? plugin->config.version : plugin_versions[last]);
    buf_puts(&plugin->out, ",\"supportedVersions\":[");
    for (size_t i = 0; plugin_versions[i]; i++) {
        buf_puts(&plugin->out, i ? "," : "");
        buf_json_string(&plugin->out, plugin_versions[i]);
    }
    buf_puts(&plugin->out, "]}\n");
    return 0;
}

static const struct command commands[] = {
    {"ADD", run_add, true},       {"DEL", run_del, true}, {"CHECK", run_check, true},
    {"STATUS", run_status, true}, {"GC", run_gc, true},   {"VERSION", run_version, false},
};

static int read_input(struct plugin *plugin, struct plugin_error *error)
{
    char chunk[16384];
    plugin->input.max = PLUGIN_INPUT_MAX;
    for (;;) {
        ssize_t n = read(STDIN_FILENO, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return plugin_fail(error, PLUGIN_IO, strerror(errno), "standard input cannot be read");
        }
        if (n == 0) {
            return 0;
        }
        buf_add(&plugin->input, chunk, (size_t)n);
        if (plugin->input.failed) {
            return plugin_fail(error, PLUGIN_IO, "", "standard input is too long");
        }
    }
}

static int parse_input(struct plugin *plugin, bool needed, struct plugin_error *error)
{
    struct doc *doc = NULL;
    struct err err = {0};
    const char *text = plugin->input.data ? plugin->input.data : "";
    if (json_parse_plain(text, plugin->input.len, &plugin->arena, &doc, &err) < 0) {
        return needed ? plugin_fail(error, PLUGIN_DECODE, err.msg, "network configuration: it is no JSON") : 0;
    }
    if (needed) {
        return plugin_read_config(doc, &plugin->config, error);
    }
    const struct doc *version = doc_get(doc, "cniVersion");
    if (version && version->type == DOC_STRING && plugin_knows_version(version->text)) {
        plugin->config.version = version->text;
    }
    return 0;
}

static int run(struct plugin *plugin, struct plugin_error *error)
{
    const char *name = getenv("CNI_COMMAND");
    const struct command *command = NULL;
    for (size_t i = 0; name && i < ARRAY_SIZE(commands); i++) {
        command = strcmp(commands[i].name, name) == 0 ? &commands[i] : command;
    }
    if (!command) {
        return plugin_fail(error, PLUGIN_ENVIRONMENT, "ADD, DEL, CHECK, STATUS, GC and VERSION are known here",
                           "environment: CNI_COMMAND is \"%.40s\"", name ? name : "");
    }
    if (read_input(plugin, error) < 0 || parse_input(plugin, command->needs_config, error) < 0) {
        return -1;
    }
    return command->run(plugin, error);
}

static bool print(const struct buf *out)
{
    for (size_t sent = 0; sent < out->len;) {
        ssize_t n = write(STDOUT_FILENO, out->data + sent, out->len - sent);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        sent += n > 0 ? (size_t)n : 0;
    }
    return !out->failed;
}

static int about(void)
{
    (void)printf("netpold-cni %s (%s): a CNI plugin, run by the container runtime; see netpold-cni(8)\n"
                 "CNI versions: 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n",
                 version_string(), version_commit());
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "--help") == 0)) {
        return about();
    }
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL);
    struct plugin plugin = {0};
    struct plugin_error error = {0};
    int rc = run(&plugin, &error);
    if (rc < 0) {
        size_t last = 0;
        while (plugin_versions[last + 1]) {
            last++;
        }
        buf_clear(&plugin.out);
        plugin_put_error(plugin.config.version ? plugin.config.version : plugin_versions[last], &error, &plugin.out);
    }
    bool printed = print(&plugin.out);
    buf_free(&plugin.out);
    buf_free(&plugin.input);
    arena_free(&plugin.arena);
    return rc < 0 || !printed ? 1 : 0;
}
