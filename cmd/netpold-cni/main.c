// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/cni_request.h"
#include "agent/control.h"
#include "base/num.h"
#include "base/version.h"
#include "plugin.h"
#include "json/json_plain.h"

// The daemon is asked for less than the whole time, so that its reason arrives.
enum { ANSWER_MS = 500, AGAIN_MS = 200, SHORT_MS = 5000 };

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

// Asks until there is an answer or the time is over: the daemon may be starting, or be replaced by a newer one. 0: it
// is done; else the reason, and *ret_away whether there was nobody to ask.
static int ask(const struct plugin *plugin, const char *op, const struct cni_attachment *attachment,
               uint64_t timeout_ms, bool *ret_away, char why[PLUGIN_TEXT], char code[32])
{
    uint64_t until_ms = num_now_ms() + timeout_ms;
    (void)snprintf(why, PLUGIN_TEXT, "there was no time to ask");
    (void)snprintf(code, 32, "timeout");
    *ret_away = true;
    for (uint64_t now_ms; (now_ms = num_now_ms()) < until_ms;) {
        uint64_t left_ms = until_ms - now_ms;
        uint64_t daemon_ms = left_ms > 2 * ANSWER_MS ? left_ms - ANSWER_MS : left_ms / 2 + 1;
        BUF_CLEANUP struct buf request = {0};
        BUF_CLEANUP struct buf line = {0};
        struct arena arena = {0};
        struct doc *answer = NULL;
        struct err err = {0};
        buf_printf(&request, "{\"op\":\"%s\",\"timeout_ms\":%llu,", op, (unsigned long long)daemon_ms);
        cni_request_put(attachment, &request);
        buf_putc(&request, '}');
        int rc = request.failed ? err_oom(&err)
                                : control_ask(plugin->config.socket, request.data, (unsigned)left_ms, &line, &err);
        rc = rc < 0 ? -1 : json_parse_plain(line.data ? line.data : "", line.len, &arena, &answer, &err);
        const struct doc *ok = doc_get(answer, "ok");
        if (rc == 0 && ok && ok->type == DOC_BOOL && ok->boolean) {
            arena_free(&arena);
            return 0;
        }
        const struct doc *said = doc_get(answer, "error");
        const struct doc *said_code = doc_get(answer, "code");
        bool answered = said && said->type == DOC_STRING && said_code && said_code->type == DOC_STRING;
        (void)snprintf(why, PLUGIN_TEXT, "%s", answered ? said->text : err.msg);
        (void)snprintf(code, 32, "%s", answered ? said_code->text : "away");
        arena_free(&arena);
        *ret_away = !answered;
        bool again = answered ? strcmp(code, "busy") == 0 : err.kind == ERR_NOT_FOUND || err.kind == ERR_RETRY;
        if (!again) {
            return -1;
        }
        now_ms = num_now_ms();
        if (now_ms < until_ms) {
            (void)poll(NULL, 0, until_ms - now_ms < AGAIN_MS ? (int)(until_ms - now_ms) : AGAIN_MS);
        }
    }
    return -1;
}

static int fail_ask(const struct plugin *plugin, const struct cni_attachment *attachment, bool away, const char *why,
                    const char *code, struct plugin_error *error)
{
    if (away) {
        return plugin_fail(error, PLUGIN_LATER, why, "netpold does not answer on %s: is it running on this node?",
                           plugin->config.socket);
    }
    bool later = strcmp(code, "timeout") == 0 || strcmp(code, "not-synced") == 0 || strcmp(code, "busy") == 0;
    return plugin_fail(error, later ? PLUGIN_LATER : PLUGIN_REFUSED, why,
                       "the policies of pod %.253s/%.253s are not in force%s", attachment->ns, attachment->name,
                       later ? " in time" : "");
}

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
    bool is_pod = false;
    bool away;
    char why[PLUGIN_TEXT];
    char code[32];
    if (read_attachment(plugin, &attachment, &is_pod, error) < 0) {
        return -1;
    }
    if (!is_pod) {
        // Policies are about pods.
        return 0;
    }
    if (ask(plugin, op, &attachment, plugin->config.timeout_ms, &away, why, code) == 0) {
        return 0;
    }
    (void)fail_ask(plugin, &attachment, away, why, code, error);
    if (plugin->config.fail_open) {
        (void)fprintf(stderr, "netpold-cni: %s: failOpen lets pod %s/%s through: %s\n", op, attachment.ns,
                      attachment.name, why);
        error->code = 0;
        return 0;
    }
    return -1;
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

// A runtime deletes again and again until it works, so what cannot be told now is done without the daemon: it learns
// from the folder when it starts.
static int run_del(struct plugin *plugin, struct plugin_error *error)
{
    struct cni_attachment attachment = {0};
    bool away;
    char why[PLUGIN_TEXT];
    char code[32];
    uint64_t timeout_ms = plugin->config.timeout_ms < SHORT_MS ? plugin->config.timeout_ms : SHORT_MS;
    if (plugin_read_key(&attachment, error) < 0) {
        return -1;
    }
    // One try where nobody listens.
    if (access(plugin->config.socket, F_OK) == 0 &&
        ask(plugin, "cni-del", &attachment, timeout_ms, &away, why, code) == 0) {
        return 0;
    }
    struct err err = {0};
    char folder[CNI_PATH];
    char file[CNI_ID + PACKET_IFACE + 16];
    char path[CNI_PATH + sizeof(file)];
    if (cni_book_folder(plugin->config.socket, folder, &err) == 0 &&
        cni_book_file(attachment.id, attachment.ifname, file, sizeof(file))) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, file);
        if (unlink(path) == 0) {
            (void)fprintf(stderr, "netpold-cni: netpold does not answer: %s is removed in its place\n", path);
        } else if (errno != ENOENT && errno != ENOTDIR) {
            (void)fprintf(stderr, "netpold-cni: %s: %m\n", path);
        }
    }
    return 0;
}

static int run_status(struct plugin *plugin, struct plugin_error *error)
{
    struct cni_attachment none = {0};
    bool away;
    char why[PLUGIN_TEXT];
    char code[32];
    uint64_t timeout_ms = plugin->config.timeout_ms < SHORT_MS / 2 ? plugin->config.timeout_ms : SHORT_MS / 2;
    if (plugin->config.fail_open || ask(plugin, "cni-status", &none, timeout_ms, &away, why, code) == 0) {
        return 0;
    }
    return plugin_fail(error, PLUGIN_NOT_AVAILABLE, why,
                       away ? "netpold does not answer on %s" : "netpold is not ready (%s)", plugin->config.socket);
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
