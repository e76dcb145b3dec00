// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <unistd.h>

#include "agent/control.h"
#include "base/num.h"

enum { ROWS = 48, LEVEL_BY_MODE = 4 };

// What the rows write.
struct values {
    const char *node;
    struct cli_list state;
    const char *kubeconfig;
    const char *context;
    const char *api_server;
    unsigned http_version;
    unsigned backend;
    bool once;
    bool dry_run;
    bool cleanup;
    bool print_facts;
    const char *facts;
    uint64_t sync_period;
    uint64_t min_apply_interval;
    uint64_t drift_exit_code;
    unsigned output;
    const char *metrics_address;
    const char *socket;
    unsigned log_level;
    unsigned log_format;
    bool version;
    bool help;
    struct policy_options_args policy;
};

static const char *const backends[] = {"auto", "legacy", "nft"};

static int add_input_rows(struct values *values, struct cli_option rows[ROWS])
{
    const struct cli_option table[] = {
        {.name = "node-name",
         .kind = CLI_STRING,
         .target = &values->node,
         .arg = "NAME",
         .help = "Name of this node as Pods and Nodes give it. Needed by all that programs or plans."},
        {.name = "state",
         .kind = CLI_LIST,
         .target = &values->state,
         .arg = "PATH",
         .help = "Take objects from a file or directory (YAML or JSON) and watch it, instead of an API server; - is "
                 "standard input. May repeat."},
        {.name = "kubeconfig",
         .kind = CLI_STRING,
         .target = &values->kubeconfig,
         .arg = "FILE",
         .preset = "the service account of this pod",
         .help = "How to reach the API server."},
        {.name = "context",
         .kind = CLI_STRING,
         .target = &values->context,
         .arg = "NAME",
         .preset = "its current-context",
         .help = "Context of the kubeconfig."},
        {.name = "api-server",
         .kind = CLI_STRING,
         .target = &values->api_server,
         .arg = "HOST:PORT",
         .preset = "what the cluster tells its pods",
         .help = "Where the API server of this pod's cluster is, for nodes on which nothing forwards its service "
                 "address yet."},
        {.name = "http-version",
         .kind = CLI_CHOICE,
         .target = &values->http_version,
         .choices = "auto|1.1|2",
         .preset = "auto",
         .help =
             "How to talk to the API server: 2 shares one connection; auto takes it where it is known to work well."},
        {.name = "backend",
         .kind = CLI_CHOICE,
         .target = &values->backend,
         .choices = "auto|legacy|nft",
         .preset = "auto",
         .help = "Which iptables of the kernel to program; auto follows the host (kubelet's and kube-proxy's chains)."},
        {0},
    };
    return cli_append(rows, ROWS, table);
}

static int add_mode_rows(struct values *values, struct cli_option rows[ROWS])
{
    const struct cli_option table[] = {
        {.name = "once",
         .kind = CLI_FLAG,
         .target = &values->once,
         .help = "One pass: read, program, read back, print a summary, exit."},
        {.name = "dry-run",
         .kind = CLI_FLAG,
         .target = &values->dry_run,
         .help = "One pass that prints what it would write; exit code 2 when there is something."},
        {.name = "cleanup", .kind = CLI_FLAG, .target = &values->cleanup, .help = "Remove all that is ours and exit."},
        {.name = "print-facts",
         .kind = CLI_FLAG,
         .target = &values->print_facts,
         .help = "Print the facts of this host that rules depend on, as JSON, and exit."},
        {.name = "facts",
         .kind = CLI_STRING,
         .target = &values->facts,
         .arg = "FILE",
         .help = "Use these facts (of --print-facts) instead of reading them; only with --dry-run."},
        {0},
    };
    return cli_append(rows, ROWS, table);
}

static int add_behaviour_rows(struct values *values, struct cli_option rows[ROWS])
{
    const struct cli_option table[] = {
        {.name = "sync-period",
         .kind = CLI_DURATION,
         .target = &values->sync_period,
         .arg = "DURATION",
         .preset = "60s",
         .help = "How often the kernel is read back and repaired; 0: only on SIGHUP."},
        {.name = "min-apply-interval",
         .kind = CLI_DURATION,
         .target = &values->min_apply_interval,
         .arg = "DURATION",
         .preset = "10ms",
         .help = "Under load, write to the kernel at most this often; when idle a change is written at once."},
        {.name = "drift-exit-code",
         .kind = CLI_NUMBER,
         .target = &values->drift_exit_code,
         .arg = "N",
         .max = 255,
         .preset = "2",
         .help = "Exit code of --once when the kernel differed."},
        {.name = "output",
         .letter = 'o',
         .kind = CLI_CHOICE,
         .target = &values->output,
         .choices = "text|json",
         .preset = "text",
         .help = "The summary of --once: lines for people, or one line of JSON."},
        {.name = "metrics-address",
         .kind = CLI_STRING,
         .target = &values->metrics_address,
         .arg = "ADDRESS:PORT",
         .preset = "127.0.0.1:9469",
         .help = "Where /metrics, /livez and /readyz are served; off: nowhere."},
        {.name = "socket",
         .kind = CLI_STRING,
         .target = &values->socket,
         .arg = "PATH",
         .preset = CONTROL_SOCKET,
         .help = "Unix socket, for root only, on which `netpolctl status` and the CNI plugin ask; none: no socket."},
        {.name = "log-level",
         .kind = CLI_CHOICE,
         .target = &values->log_level,
         .choices = "debug|info|warn|error",
         .preset = "info; warn for a single pass",
         .help = "The least level that is logged, to standard error."},
        {.name = "log-format",
         .kind = CLI_CHOICE,
         .target = &values->log_format,
         .choices = "text|json",
         .preset = "text",
         .help = "One event a line: key=value pairs, or JSON."},
        {.name = "version", .kind = CLI_FLAG, .target = &values->version, .help = "Print version and commit."},
        {.name = "help", .letter = 'h', .kind = CLI_FLAG, .target = &values->help, .help = "This text."},
        {0},
    };
    return cli_append(rows, ROWS, table);
}

static int make_rows(struct values *values, struct cli_option rows[ROWS])
{
    struct cli_option policy[POLICY_OPTIONS_ROWS];
    policy_options_table(&values->policy, policy);
    rows[0] = (struct cli_option){0};
    return add_input_rows(values, rows) < 0 || add_mode_rows(values, rows) < 0 || cli_append(rows, ROWS, policy) < 0 ||
                   add_behaviour_rows(values, rows) < 0
               ? -1
               : 0;
}

static int pick_mode(const struct values *values, enum mode *ret, struct err *err)
{
    int given = (values->once || values->dry_run) + values->cleanup + values->print_facts;
    if (values->help || values->version) {
        *ret = values->help ? MODE_HELP : MODE_VERSION;
        return 0;
    }
    if (given > 1) {
        return err_set(err, ERR_USAGE, 0, "--cleanup, --print-facts and --once or --dry-run do not go together");
    }
    *ret = values->dry_run       ? MODE_PLAN
           : values->once        ? MODE_ONCE
           : values->cleanup     ? MODE_CLEANUP
           : values->print_facts ? MODE_PRINT_FACTS
                                 : MODE_DAEMON;
    return 0;
}

static bool serves_metrics(const struct values *values)
{
    return *values->metrics_address && strcmp(values->metrics_address, "off") != 0;
}

// "127.0.0.1:9469", "[::1]:9469", ":9469". Whether it can be listened on shows when a daemon does.
static bool is_listen_address(const char *text)
{
    char host[64];
    struct address address;
    uint64_t port;
    const char *colon = strrchr(text, ':');
    if (!colon || !num_parse_u64(colon + 1, strlen(colon + 1), UINT16_MAX, &port)) {
        return false;
    }
    size_t len = (size_t)(colon - text);
    bool bracketed = len >= 2 && text[0] == '[' && colon[-1] == ']';
    if (bracketed) {
        text++;
        len -= 2;
        // An IPv6 zone.
        const char *zone = memchr(text, '%', len);
        len = zone ? (size_t)(zone - text) : len;
    }
    if (len == 0 || len >= sizeof(host)) {
        return len == 0 && !bracketed;
    }
    memcpy(host, text, len);
    host[len] = '\0';
    return address_parse(host, &address) && (strchr(host, ':') != NULL) == bracketed;
}

// "api.example:6443", "10.0.0.1:6443", "[fd00::1]:6443".
static bool is_server(const char *text)
{
    char host[256];
    struct address address;
    uint64_t port;
    const char *colon = strrchr(text, ':');
    if (!colon || !num_parse_u64(colon + 1, strlen(colon + 1), UINT16_MAX, &port) || port == 0) {
        return false;
    }
    size_t len = (size_t)(colon - text);
    bool bracketed = len > 2 && text[0] == '[' && colon[-1] == ']';
    size_t skip = bracketed ? 1 : 0;
    if (len <= 2 * skip || len - 2 * skip >= sizeof(host)) {
        return false;
    }
    memcpy(host, text + skip, len - 2 * skip);
    host[len - 2 * skip] = '\0';
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    return bracketed ? address_parse(host, &address) && strchr(host, ':') : host[strspn(host, allowed)] == '\0';
}

static int check(const struct values *values, enum mode mode, struct err *err)
{
    if (serves_metrics(values) && !is_listen_address(values->metrics_address)) {
        return err_set(err, ERR_USAGE, 0,
                       "--metrics-address: \"%s\" is not ADDRESS:PORT (127.0.0.1:9469, [::1]:9469, :9469) or off",
                       values->metrics_address);
    }
    bool programs = mode == MODE_DAEMON || mode == MODE_ONCE || mode == MODE_PLAN;
    if (programs && (!values->node || !*values->node)) {
        return err_set(err, ERR_USAGE, 0, "--node-name is missing: the name of this node as Pods and Nodes give it");
    }
    if (values->state.n && values->kubeconfig) {
        return err_set(err, ERR_USAGE, 0, "--state and --kubeconfig do not go together: one source of objects");
    }
    if (values->context && *values->context && !values->kubeconfig) {
        return err_set(err, ERR_USAGE, 0, "--context goes with --kubeconfig: it names a context in that file");
    }
    if (values->api_server && *values->api_server) {
        if (values->state.n || values->kubeconfig) {
            return err_set(err, ERR_USAGE, 0,
                           "--api-server is for a pod of the cluster; with --kubeconfig the file names the server");
        }
        if (!is_server(values->api_server)) {
            return err_set(err, ERR_USAGE, 0, "--api-server: \"%s\" is not HOST:PORT (10.0.0.1:6443, [fd00::1]:6443)",
                           values->api_server);
        }
    }
    if (values->facts && mode != MODE_PLAN) {
        return err_set(err, ERR_USAGE, 0, "--facts goes with --dry-run only: what is programmed follows the real host");
    }
    for (size_t i = 0; i < values->state.n; i++) {
        if (*values->state.v[i] == '\0') {
            return err_set(err, ERR_USAGE, 0, "--state: the path is empty");
        }
        if (mode == MODE_DAEMON && strcmp(values->state.v[i], "-") == 0) {
            return err_set(err, ERR_USAGE, 0, "--state - cannot be watched: it goes with --once and --dry-run only");
        }
    }
    return 0;
}

static const char *given(const char *text)
{
    return text && *text ? text : NULL;
}

static const char *socket_of(const struct values *values)
{
    const char *path = given(values->socket);
    return !path ? control_default_path() : strcmp(path, "none") == 0 ? NULL : path;
}

static struct options make_options(struct values *values, const struct policy_options *policy, enum mode mode)
{
    bool single = mode != MODE_DAEMON;
    // A timer of the system starts a pass on all nodes at once; a person at a terminal does not.
    bool fleet = mode == MODE_DAEMON || (mode == MODE_ONCE && !isatty(STDERR_FILENO));
    unsigned level = values->log_level;
    return (struct options){
        .mode = mode,
        .backend = backends[values->backend],
        .agent =
            {
                .node = values->node,
                .state_paths = values->state.v,
                .n_state_paths = values->state.n,
                .kubeconfig = given(values->kubeconfig),
                .context = given(values->context),
                .api_server = given(values->api_server),
                .http_version = (enum agent_http)values->http_version,
                .spread_start = fleet,
                .facts_file = values->facts,
                .options = *policy,
                .sync_period_ms = values->sync_period,
                .min_apply_interval_ms = values->min_apply_interval,
                .metrics_address = serves_metrics(values) ? values->metrics_address : NULL,
                .socket = socket_of(values),
                .drift_exit_code = (int)values->drift_exit_code,
                .json = values->output == 1,
            },
        .log =
            {
                .level = level != LEVEL_BY_MODE ? (enum log_level)level
                         : single               ? LOG_LEVEL_WARN
                                                : LOG_LEVEL_INFO,
                .format = values->log_format ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT,
            },
    };
}

static struct values defaults(void)
{
    return (struct values){
        .sync_period = 60000,
        .min_apply_interval = 10,
        .drift_exit_code = EXIT_DIFFERS,
        .metrics_address = "127.0.0.1:9469",
        .log_level = LEVEL_BY_MODE,
    };
}

int options_parse(int argc, char *const *argv, struct options *ret, struct err *err)
{
    struct values values = defaults();
    struct cli_option rows[ROWS];
    struct cli_list words = {0};
    struct policy_options policy;
    enum mode mode = MODE_HELP;
    if (make_rows(&values, rows) < 0) {
        return err_set(err, ERR_BUG, 0, "the table of options is full");
    }
    int rc = cli_parse(rows, argc, argv, &words, err);
    if (rc == 0 && words.n) {
        rc = err_set(err, ERR_USAGE, 0, "\"%s\": there are only options here; --help lists them", words.v[0]);
    }
    rc = rc < 0 || pick_mode(&values, &mode, err) < 0 || check(&values, mode, err) < 0 ||
                 policy_options_from(&values.policy, &policy, err) < 0
             ? -1
             : 0;
    if (rc == 0) {
        *ret = make_options(&values, &policy, mode);
        values.state = (struct cli_list){0};
    }
    cli_lists_free(rows, &words);
    return rc;
}

void options_done(struct options *options)
{
    free((void *)(uintptr_t)options->agent.state_paths);
    options->agent.state_paths = NULL;
}

void options_help(struct buf *out)
{
    struct values values = defaults();
    struct cli_option rows[ROWS];
    buf_puts(out, "netpold: enforce Kubernetes NetworkPolicy on this node with iptables and ipset\n\n"
                  "usage: netpold --node-name NAME [--state PATH | --kubeconfig FILE] [options]\n\n");
    if (make_rows(&values, rows) == 0) {
        cli_help(rows, out);
    }
    buf_puts(out, "\nEvery option is also read from the environment: NETPOLD_NODE_NAME for\n"
                  "--node-name. SIGTERM ends netpold and leaves the rules in force; SIGHUP reads\n"
                  "everything again and verifies.\n\n"
                  "exit codes: 0 ok, 1 failed, 2 --once repaired drift or --dry-run has changes,\n"
                  "3 bad usage, 4 bad input\n");
}
