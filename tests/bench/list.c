// SPDX-License-Identifier: Apache-2.0
//
// What it costs to read a large cluster: `list SERVER [PODS [EVENTS [ROW]]]`, where SERVER is tests/tools/list_server.
// Each measurement runs in a process of its own against a server of its own, so that CPU time (user and system, TLS
// included) and peak memory are those of the client alone; prints a Markdown table. The last column compares CPU time a
// byte with that of whole pages and cJSON, of the same run.
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/num.h"
#include "decode/decode.h"
#include "http/http.h"
#include "model/state.h"
#include "source/kubeconfig.h"
#include "source/object_stream.h"
#include "source/source.h"
#include "support/pod_text.h"
#include "json/json.h"

enum { PODS = 150000, EVENTS = 100000, PAGE = 500, WHOLE_CJSON_PODS = 10000, TIMEOUT_MS = 600 * 1000 };

extern char **environ;

enum mode {
    MODE_SOURCE,       // the API source until it has synced
    MODE_EVENTS,       // and from then on, until the last update has come
    MODE_LIST,         // a list in one response, decoded and stored, without the source around it
    MODE_CJSON_PAGES,  // whole pages of 500 with cJSON, looking at one field of each object
    MODE_CJSON_WHOLE,
};

static const struct row {
    const char *name;
    enum mode mode;
    bool tls;
    bool watch_list;
} rows[] = {
    {"source, WatchList", MODE_SOURCE, true, true},
    {"source, pages of 500", MODE_SOURCE, true, false},
    {"source, WatchList, no TLS", MODE_SOURCE, false, true},
    {"list in one response", MODE_LIST, true, false},
    {"whole pages of 500, cJSON", MODE_CJSON_PAGES, true, false},
    {"whole list, cJSON", MODE_CJSON_WHOLE, true, false},
    {"updates that change nothing", MODE_EVENTS, true, true},
    {"updates that change nothing, no TLS", MODE_EVENTS, false, true},
};

// What the process of a measurement sends home.
struct figures {
    size_t objects;
    size_t bytes;
    double wall_s;
    double cpu_s;
    long peak_kib;
};

struct run {
    enum mode mode;
    size_t pods;
    size_t events;
    char url[128];
    const char *ca_file;  // NULL: no TLS
    char *ca;
    struct loop *loop;
    struct source *source;
    size_t updates;
    struct http *http;
    struct state *state;
    struct http_request *request;
    struct object_stream stream;
    struct arena arena;
    struct buf page;
    char next[64];
    struct figures figures;
    double wall_start;
    double cpu_start;
};

static _Noreturn void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "list: %s: %s\n", what, why);
    exit(1);
}

static double wall_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double seconds(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static double cpu_now(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return seconds(&usage.ru_utime) + seconds(&usage.ru_stime);
}

static void start_clocks(struct run *run)
{
    run->figures = (struct figures){0};
    run->wall_start = wall_now();
    run->cpu_start = cpu_now();
}

static void finish(struct run *run)
{
    struct rusage usage;
    run->figures.cpu_s = cpu_now() - run->cpu_start;
    run->figures.wall_s = wall_now() - run->wall_start;
    (void)getrusage(RUSAGE_SELF, &usage);
    run->figures.peak_kib = usage.ru_maxrss;
    loop_quit(run->loop, 0);
}

// ---- the API source

static void on_changed(void *arg)
{
    (void)arg;
}

static void on_synced(bool synced, const char *why, void *arg)
{
    struct run *run = arg;
    if (!synced) {
        die("not synced", why);
    }
    run->figures.objects = state_count(run->state, OBJECT_POD);
    if (run->mode == MODE_SOURCE) {
        finish(run);
    } else {
        // Some updates have come already, with the last bytes of the list.
        size_t before = run->updates;
        start_clocks(run);
        run->figures.objects = run->events - before;
    }
}

static void on_report(enum source_level level, const char *event, const char *fields, void *arg)
{
    (void)arg;
    if (level != SOURCE_INFO) {
        (void)fprintf(stderr, "list: %s %s\n", event, fields);
    }
}

static void on_count(const char *counter, const char *label, unsigned delta, void *arg)
{
    struct run *run = arg;
    if (strcmp(counter, "watch_events") == 0 && strcmp(label, "pods/MODIFIED") == 0) {
        run->updates += delta;
        if (run->updates == run->events) {
            run->figures.bytes = run->figures.objects * pod_text_len();
            finish(run);
        }
    }
}

static void start_source(struct run *run)
{
    struct err err = {0};
    struct api_config *config = calloc(1, sizeof(*config));
    const struct api_options options = {.view = API_VIEW_ALL};
    const struct source_owner owner = {
        .arg = run, .changed = on_changed, .synced = on_synced, .report = on_report, .count = on_count};
    if (!config || !(config->server = strdup(run->url)) ||
        (run->ca_file && !(config->ca_file = strdup(run->ca_file)))) {
        die("start", "no memory");
    }
    if (api_source_new(run->loop, config, &options, run->state, &owner, &run->source, &err) < 0) {
        die("the source", err.msg);
    }
}

// ---- one list

static int on_object(const char *text, size_t len, void *arg, struct err *err)
{
    struct run *run = arg;
    struct doc *doc;
    size_t used;
    unsigned line;
    struct decoded decoded;
    struct diagnostics DIAGNOSTICS_CLEANUP diagnostics = {0};
    if (json_parse(text, len, 1, &run->arena, &doc, &used, &line, err) < 0) {
        die("an object", err->msg);
    }
    if (decode_object(doc, OBJECT_POD, "", &run->arena, &decoded, &diagnostics, err) != 0) {
        die("a pod", "cannot be decoded");
    }
    void *object = decoded_dup(&decoded);
    if (!object || state_put(run->state, OBJECT_POD, object, err) < 0) {
        die("a pod", "no memory");
    }
    run->figures.objects++;
    arena_reset(&run->arena);
    return 0;
}

// ---- with cJSON

static const char *text_of(const cJSON *map, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(map, key);
    return cJSON_IsString(item) ? item->valuestring : "";
}

// The cheapest thing that can be done with a page: look at one field of each object.
static void take_page(struct run *run)
{
    cJSON *tree = cJSON_ParseWithLength(run->page.data, run->page.len);
    const cJSON *item;
    if (!tree) {
        die("a page", "cJSON refuses it");
    }
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(tree, "items"))
    {
        run->figures.objects += text_of(cJSON_GetObjectItemCaseSensitive(item, "metadata"), "name")[0] != '\0';
    }
    (void)snprintf(run->next, sizeof(run->next), "%s",
                   text_of(cJSON_GetObjectItemCaseSensitive(tree, "metadata"), "continue"));
    cJSON_Delete(tree);
    buf_clear(&run->page);
}

// ---- requests

static bool on_head(const struct http_head *head, void *arg)
{
    (void)head;
    (void)arg;
    return true;
}

static bool on_body(const char *data, size_t len, void *arg)
{
    struct run *run = arg;
    struct err err = {0};
    run->figures.bytes += len;
    if (run->mode == MODE_CJSON_PAGES || run->mode == MODE_CJSON_WHOLE) {
        buf_add(&run->page, data, len);
        return !run->page.failed;
    }
    if (object_stream_feed(&run->stream, data, len, &err) < 0) {
        die("the stream", err.msg);
    }
    return true;
}

static void request(struct run *run);

static void on_done(const struct http_result *result, void *arg)
{
    struct run *run = arg;
    struct err err = {0};
    run->request = NULL;
    if (result->outcome != HTTP_COMPLETE || result->status != 200) {
        die("the answer", result->why);
    }
    if (run->mode == MODE_LIST && object_stream_finish(&run->stream, &err) < 0) {
        die("the list", err.msg);
    }
    if (run->mode == MODE_CJSON_PAGES || run->mode == MODE_CJSON_WHOLE) {
        take_page(run);
        if (run->next[0]) {
            request(run);
            return;
        }
    }
    finish(run);
}

static void request(struct run *run)
{
    char url[512];
    struct err err = {0};
    (void)snprintf(url, sizeof(url), "%s/api/v1/pods%s%s%s", run->url,
                   run->mode == MODE_CJSON_PAGES ? "?limit=500" : "", run->next[0] ? "&continue=" : "", run->next);
    const struct http_options options = {
        .url = url, .accept = "application/json", .ca_pem = run->ca, .plain = !run->ca, .timeout_ms = TIMEOUT_MS};
    const struct http_handler handler = {.arg = run, .head = on_head, .body = on_body, .done = on_done};
    if (http_start(run->http, &options, &handler, &run->request, &err) < 0) {
        die("the request", err.msg);
    }
}

static void measure(struct run *run)
{
    struct err err = {0};
    run->page.max = LIMIT_TEXT;
    object_stream_init(&run->stream, OBJECT_STREAM_LIST, OBJECT_POD, on_object, run);
    if (loop_new(&run->loop, &err) < 0 || http_new(run->loop, "bench", &run->http, &err) < 0 ||
        state_new(&run->state, &err) < 0) {
        die("start", err.msg);
    }
    start_clocks(run);
    if (run->mode <= MODE_EVENTS) {
        start_source(run);
    } else {
        request(run);
    }
    if (loop_run(run->loop, &err) < 0) {
        die("the loop", err.msg);
    }
    if ((run->mode != MODE_EVENTS && run->figures.objects != run->pods) ||
        (run->mode <= MODE_LIST && state_count(run->state, OBJECT_POD) != run->pods)) {
        die("the result", "objects are missing");
    }
    if (run->mode == MODE_SOURCE) {
        run->figures.bytes = run->pods * pod_text_len();
    }
}

// ---- processes

struct server {
    pid_t pid;
    int in;
    unsigned port;
};

static void start_server(const char *program, const struct row *row, size_t pods, size_t events, const char *ca_file,
                         struct server *ret)
{
    char n_pods[24];
    char n_events[24];
    (void)snprintf(n_pods, sizeof(n_pods), "%zu", pods);
    (void)snprintf(n_events, sizeof(n_events), "%zu", events);
    const char *argv[] = {program,
                          row->tls ? "tls" : "plain",
                          row->watch_list ? "watchlist" : "list",
                          n_pods,
                          n_events,
                          row->tls ? ca_file : NULL,
                          NULL};
    int in[2];
    int out[2];
    posix_spawn_file_actions_t actions;
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || posix_spawn_file_actions_init(&actions) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO) != 0 ||
        posix_spawn(&ret->pid, program, &actions, NULL, (char *const *)(uintptr_t)argv, environ) != 0) {
        die(program, strerror(errno));
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(in[0]);
    (void)close(out[1]);
    FILE *stream = fdopen(out[0], "r");
    if (!stream || fscanf(stream, "%u", &ret->port) != 1) {
        die(program, "does not start");
    }
    (void)fclose(stream);
    ret->in = in[1];
}

static void end_server(struct server *server)
{
    (void)close(server->in);
    (void)waitpid(server->pid, NULL, 0);
}

static char *read_file(const char *path)
{
    static char text[8192];
    FILE *file = fopen(path, "r");
    size_t n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
    if (n == 0) {
        die(path, "cannot be read");
    }
    (void)fclose(file);
    text[n] = '\0';
    return text;
}

static void run_row(const char *program, const struct row *row, size_t pods, size_t events, struct figures *ret)
{
    char ca_file[] = "/tmp/np-bench-XXXXXX";
    int fd = mkstemp(ca_file);
    int home[2];
    if (fd < 0 || pipe2(home, O_CLOEXEC) < 0) {
        die("start", strerror(errno));
    }
    (void)close(fd);
    struct server server;
    start_server(program, row, pods, row->mode == MODE_EVENTS ? events : 0, ca_file, &server);
    pid_t child = fork();
    if (child == 0) {
        (void)mallopt(M_ARENA_MAX, 1);
        struct run run = {.mode = row->mode,
                          .pods = pods,
                          .events = events,
                          .ca_file = row->tls ? ca_file : NULL,
                          .ca = row->tls ? read_file(ca_file) : NULL};
        (void)snprintf(run.url, sizeof(run.url), "%s://127.0.0.1:%u", row->tls ? "https" : "http", server.port);
        measure(&run);
        _exit(write(home[1], &run.figures, sizeof(run.figures)) == (ssize_t)sizeof(run.figures) ? 0 : 1);
    }
    (void)close(home[1]);
    if (child < 0 || read(home[0], ret, sizeof(*ret)) != (ssize_t)sizeof(*ret)) {
        die(row->name, "failed");
    }
    (void)close(home[0]);
    (void)waitpid(child, NULL, 0);
    end_server(&server);
    (void)unlink(ca_file);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "usage: list SERVER [PODS [EVENTS [ROW]]]\n");
        return 2;
    }
    size_t pods = argc > 2 ? strtoul(argv[2], NULL, 10) : PODS;
    size_t events = argc > 3 ? strtoul(argv[3], NULL, 10) : EVENTS;
    struct figures all[ARRAY_SIZE(rows)] = {0};
    double baseline = 0;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (argc > 4 && strtoul(argv[4], NULL, 10) != i) {
            continue;
        }
        bool whole = rows[i].mode == MODE_CJSON_WHOLE;
        run_row(argv[1], &rows[i], whole && pods > WHOLE_CJSON_PODS ? WHOLE_CJSON_PODS : pods, events, &all[i]);
        if (rows[i].mode == MODE_CJSON_PAGES) {
            baseline = all[i].cpu_s / (double)all[i].bytes;
        }
    }
    (void)printf("| | objects | MB | wall s | CPU s | us an object | peak MiB | CPU against cJSON pages |\n");
    (void)printf("|---|---:|---:|---:|---:|---:|---:|---:|\n");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct figures *f = &all[i];
        if (f->objects) {
            (void)printf("| %s | %zu | %.0f | %.2f | %.2f | %.2f | %.1f | %.2f |\n", rows[i].name, f->objects,
                         (double)f->bytes / 1e6, f->wall_s, f->cpu_s, f->cpu_s * 1e6 / (double)f->objects,
                         (double)f->peak_kib / 1024, baseline > 0 ? f->cpu_s / (double)f->bytes / baseline : 0.0);
        }
    }
    return 0;
}
