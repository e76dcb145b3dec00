// SPDX-License-Identifier: Apache-2.0
//
// A Kubernetes API server for tests: serves the Pods, Namespaces, NetworkPolicies and Nodes of a directory of YAML or
// JSON files as lists (paged) and watches (with bookmarks and history), and turns changes of the files into events.
//
//   fake_apiserver --dir DIR [--port N] [--any-address] [--first-version N] [--token TOKEN] [--bookmark-ms N] [--log]
//
// It prints "port N" when it listens. SIGUSR1 ends every connection in the middle; SIGTERM ends the server.
#include <getopt.h>
#include <signal.h>
#include <stdio.h>

#include "base/num.h"
#include "support/api_objects.h"
#include "support/api_server.h"

enum { POLL_MS = 20 };

struct watch {
    const struct api_exchange *exchange;
    enum object_kind kind;
    uint64_t version;  // sent up to here
    uint64_t end_ms;
    uint64_t bookmark_ms;
    bool alive;
};

struct fake {
    struct loop *loop;
    struct loop_timer *timer;
    struct api_server *server;
    struct api_objects objects;
    VEC(struct watch) watches;
    const char *token;
    uint64_t bookmark_ms;
    bool log;
};

static const struct {
    const char *path;
    enum object_kind kind;
    const char *list;
} kinds[] = {
    {"/api/v1/pods", OBJECT_POD, "PodList"},
    {"/api/v1/namespaces", OBJECT_NAMESPACE, "NamespaceList"},
    {"/api/v1/nodes", OBJECT_NODE, "NodeList"},
    {"/apis/networking.k8s.io/v1/networkpolicies", OBJECT_POLICY, "NetworkPolicyList"},
};

static void reply_status(struct api_exchange *exchange, unsigned code, const char *reason)
{
    char body[256];
    (void)snprintf(body, sizeof(body),
                   "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"code\":%u,\"reason\":\"%s\","
                   "\"message\":\"%s\"}\n",
                   code, reason, reason);
    api_exchange_reply(exchange, code, "application/json", "", body);
}

static uint64_t param_number(const struct api_exchange *exchange, const char *name, uint64_t preset)
{
    char text[64];
    uint64_t number;
    return api_exchange_param(exchange, name, text, sizeof(text)) &&
                   num_parse_u64(text, strlen(text), UINT64_MAX, &number)
               ? number
               : preset;
}

// The continue token is "VERSION.OFFSET"; a change in between ends it, as compaction does.
static void serve_list(struct fake *fake, struct api_exchange *exchange, size_t which)
{
    uint64_t limit = param_number(exchange, "limit", UINT64_MAX);
    uint64_t offset = 0;
    uint64_t version = 0;
    char token[64];
    if (api_exchange_param(exchange, "continue", token, sizeof(token))) {
        char *dot = strchr(token, '.');
        if (!dot || !num_parse_u64(token, (size_t)(dot - token), UINT64_MAX, &version) ||
            !num_parse_u64(dot + 1, strlen(dot + 1), UINT64_MAX, &offset) || version != fake->objects.version) {
            reply_status(exchange, 410, "Expired");
            return;
        }
    }
    struct buf BUF_CLEANUP items = {0};
    uint64_t at = 0;
    uint64_t given = 0;
    bool more = false;
    for (size_t i = 0; i < fake->objects.objects.n && !more; i++) {
        const struct api_object *object = &fake->objects.objects.v[i];
        if (object->kind != kinds[which].kind || at++ < offset) {
            continue;
        }
        more = given == limit;
        if (!more) {
            buf_puts(&items, given++ ? "," : "");
            api_object_json(object, &items);
        }
    }
    struct buf BUF_CLEANUP body = {0};
    buf_printf(&body, "{\"kind\":\"%s\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"%llu\"",
               kinds[which].list, (unsigned long long)fake->objects.version);
    if (more) {
        buf_printf(&body, ",\"continue\":\"%llu.%llu\"", (unsigned long long)fake->objects.version,
                   (unsigned long long)(offset + given));
    }
    buf_printf(&body, "},\"items\":[%s]}\n", items.data ? items.data : "");
    api_exchange_reply(exchange, 200, "application/json", "", body.data);
}

static void serve_watch(struct fake *fake, struct api_exchange *exchange, size_t which)
{
    uint64_t version = param_number(exchange, "resourceVersion", 0);
    uint64_t seconds = param_number(exchange, "timeoutSeconds", 1800);
    api_exchange_begin(exchange, "application/json", "");
    if (version < fake->objects.oldest) {
        static const char gone[] = "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":"
                                   "\"Expired\",\"message\":\"too old resource version\"}}\n";
        api_exchange_chunk(exchange, gone, sizeof(gone) - 1);
        api_exchange_end(exchange);
        return;
    }
    uint64_t now = num_now_ms();
    struct watch watch = {.exchange = exchange,
                          .kind = kinds[which].kind,
                          .version = version,
                          .end_ms = now + seconds * 1000,
                          .bookmark_ms = now + fake->bookmark_ms};
    if (vec_push(&fake->watches, watch) < 0) {
        api_exchange_cut(exchange, true);
    }
}

// The memory of an exchange that has ended may be that of a new one.
static void forget(struct fake *fake, const struct api_exchange *exchange)
{
    for (size_t i = fake->watches.n; i-- > 0;) {
        if (fake->watches.v[i].exchange == exchange) {
            fake->watches.v[i] = fake->watches.v[--fake->watches.n];
        }
    }
}

static void serve(struct api_exchange *exchange, void *arg)
{
    struct fake *fake = arg;
    forget(fake, exchange);
    if (fake->log) {
        (void)printf("GET %s?%s\n", api_exchange_path(exchange), api_exchange_query(exchange));
        (void)fflush(stdout);
    }
    char bearer[4200];
    (void)snprintf(bearer, sizeof(bearer), "Bearer %s", fake->token ? fake->token : "");
    if (fake->token && strcmp(api_exchange_header(exchange, "Authorization"), bearer) != 0) {
        reply_status(exchange, 401, "Unauthorized");
        return;
    }
    char watch[16];
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (strcmp(api_exchange_path(exchange), kinds[i].path) == 0) {
            if (api_exchange_param(exchange, "sendInitialEvents", watch, sizeof(watch))) {
                // As a server without WatchList.
                reply_status(exchange, 422, "Invalid");
            } else if (api_exchange_param(exchange, "watch", watch, sizeof(watch))) {
                serve_watch(fake, exchange, i);
            } else {
                serve_list(fake, exchange, i);
            }
            return;
        }
    }
    reply_status(exchange, 404, "NotFound");
}

static void send_events(struct fake *fake, struct watch *watch, struct api_exchange *exchange)
{
    struct buf BUF_CLEANUP out = {0};
    for (size_t i = 0; i < fake->objects.events.n; i++) {
        const struct api_event *event = &fake->objects.events.v[i];
        if (event->kind == watch->kind && event->version > watch->version) {
            buf_printf(&out, "{\"type\":\"%s\",\"object\":%s}\n", event->type, event->object);
        }
    }
    watch->version = fake->objects.version;
    if (fake->bookmark_ms && num_now_ms() >= watch->bookmark_ms) {
        buf_printf(&out, "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"%llu\"}}}\n",
                   (unsigned long long)watch->version);
        watch->bookmark_ms = num_now_ms() + fake->bookmark_ms;
    }
    api_exchange_chunk(exchange, out.data ? out.data : "", out.len);
}

static void on_timer(void *arg)
{
    struct fake *fake = arg;
    struct err err = {0};
    if (api_objects_read(&fake->objects, &err) < 0) {
        char text[1024];
        (void)fprintf(stderr, "fake_apiserver: %s\n", err_text(&err, text, sizeof(text)));
    }
    for (size_t i = 0; i < fake->watches.n; i++) {
        fake->watches.v[i].alive = false;
    }
    struct api_exchange *next;
    for (struct api_exchange *exchange = api_server_next(fake->server, NULL); exchange; exchange = next) {
        next = api_server_next(fake->server, exchange);
        for (size_t i = 0; i < fake->watches.n; i++) {
            struct watch *watch = &fake->watches.v[i];
            if (watch->exchange != exchange) {
                continue;
            }
            watch->alive = num_now_ms() < watch->end_ms;
            send_events(fake, watch, exchange);
            if (!watch->alive) {
                api_exchange_end(exchange);
            }
        }
    }
    for (size_t i = fake->watches.n; i-- > 0;) {
        if (!fake->watches.v[i].alive) {
            fake->watches.v[i] = fake->watches.v[--fake->watches.n];
        }
    }
    loop_arm(fake->timer, POLL_MS);
}

static void on_signal(int signo, void *arg)
{
    struct fake *fake = arg;
    struct err err = {0};
    if (signo == SIGUSR1) {
        fake->watches.n = 0;
        if (api_server_outage(fake->server, true, &err) < 0) {
            loop_quit(fake->loop, 1);
        }
    } else {
        loop_quit(fake->loop, 0);
    }
}

struct options {
    const char *directory;
    uint64_t port;
    uint64_t first_version;
    bool any_address;
};

static bool parse(int argc, char **argv, struct fake *fake, struct options *options)
{
    static const struct option table[] = {
        {"dir", required_argument, NULL, 'd'},   {"port", required_argument, NULL, 'p'},
        {"any-address", no_argument, NULL, 'a'}, {"first-version", required_argument, NULL, 'v'},
        {"token", required_argument, NULL, 't'}, {"bookmark-ms", required_argument, NULL, 'b'},
        {"log", no_argument, NULL, 'l'},         {NULL, 0, NULL, 0},
    };
    int c;
    bool good = true;
    while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
        uint64_t *number = c == 'p' ? &options->port : c == 'v' ? &options->first_version : &fake->bookmark_ms;
        if (c == 'd') {
            options->directory = optarg;
        } else if (c == 'a') {
            options->any_address = true;
        } else if (c == 't') {
            fake->token = optarg;
        } else if (c == 'l') {
            fake->log = true;
        } else {
            good = good && strchr("pvb", c) && num_parse_u64(optarg, strlen(optarg), UINT64_MAX, number);
        }
    }
    return good && options->directory && optind == argc && options->port < 65536;
}

static int run(struct fake *fake, const struct options *options, struct err *err)
{
    if (api_objects_init(&fake->objects, options->directory, options->first_version, err) < 0 ||
        api_objects_read(&fake->objects, err) < 0 || loop_new(&fake->loop, err) < 0 ||
        loop_add_timer(fake->loop, on_timer, fake, &fake->timer, err) < 0 ||
        loop_on_signal(fake->loop, SIGTERM, on_signal, fake, err) < 0 ||
        loop_on_signal(fake->loop, SIGINT, on_signal, fake, err) < 0 ||
        loop_on_signal(fake->loop, SIGUSR1, on_signal, fake, err) < 0 ||
        api_server_new(fake->loop, (unsigned)options->port, options->any_address, serve, fake, &fake->server, err) <
            0) {
        return -1;
    }
    (void)printf("port %u\n", api_server_port(fake->server));
    (void)fflush(stdout);
    loop_arm(fake->timer, POLL_MS);
    return loop_run(fake->loop, err);
}

int main(int argc, char **argv)
{
    struct fake fake = {0};
    struct options options = {.first_version = 1000};
    if (!parse(argc, argv, &fake, &options)) {
        (void)fprintf(stderr, "usage: fake_apiserver --dir DIR [--port N] [--any-address] [--first-version N] "
                              "[--token TOKEN] [--bookmark-ms N] [--log]\n");
        return 3;
    }
    struct err err = {0};
    int rc = run(&fake, &options, &err);
    if (rc < 0) {
        char text[1024];
        (void)fprintf(stderr, "fake_apiserver: %s\n", err_text(&err, text, sizeof(text)));
    }
    api_server_free(fake.server);
    vec_free(&fake.watches);
    api_objects_free(&fake.objects);
    loop_free(fake.loop);
    return rc < 0 ? 1 : 0;
}
