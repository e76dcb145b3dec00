// SPDX-License-Identifier: Apache-2.0
#include "cluster.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/loop.h"
#include "base/num.h"

// Progress is shown from here on, and this often.
enum { SHOW_AFTER_MS = 1000, SHOW_EVERY_MS = 200 };

struct cluster {
    struct loop *loop;
    struct loop_timer *timer;
    const struct cluster_look *look;
    uint64_t timeout_ms;  // without anything that arrives; 0: none
    uint64_t start_ms;
    uint64_t heard_ms;  // when something arrived last
    uint64_t shown_ms;
    size_t counts[OBJECT_KIND_COUNT];
    bool shown;
    bool synced;
    bool failed;
    int signal;       // that ended it; 0: none
    bool throttled;   // the last failure was "too many requests": the server asks to come back, and the source does
    size_t findings;  // objects that could not be read, wholly or in part
    char problem[512];
};

int cluster_config(const struct cluster_options *options, struct api_config **ret, struct err *err)
{
    if (kubeconfig_load(options->kubeconfig, options->context, ret, err) == 0) {
        return 0;
    }
    struct err in_cluster = {0};
    if (err->kind != ERR_NOT_FOUND || options->kubeconfig || options->context) {
        return -1;
    }
    if (kubeconfig_in_cluster(ret, &in_cluster) == 0) {
        err_clear(err);
        return 0;
    }
    if (in_cluster.kind != ERR_NOT_FOUND) {
        *err = in_cluster;
    }
    return -1;
}

static const char *plural(enum object_kind kind)
{
    switch (kind) {
    case OBJECT_POD:
        return "pods";
    case OBJECT_NAMESPACE:
        return "namespaces";
    case OBJECT_POLICY:
        return "networkpolicies";
    case OBJECT_NODE:
        return "nodes";
    }
    return "objects";
}

static void hide_progress(struct cluster *cluster)
{
    if (cluster->shown) {
        (void)fprintf(stderr, "\r\033[K");
        cluster->shown = false;
    }
}

static void show_progress(struct cluster *cluster, enum object_kind kind)
{
    if (cluster->heard_ms - cluster->start_ms < SHOW_AFTER_MS ||
        cluster->heard_ms - cluster->shown_ms < SHOW_EVERY_MS || !isatty(STDERR_FILENO)) {
        return;
    }
    (void)fprintf(stderr, "\r\033[K%s %zu…", plural(kind), cluster->counts[kind]);
    (void)fflush(stderr);
    cluster->shown_ms = cluster->heard_ms;
    cluster->shown = true;
}

static void on_object(enum object_kind kind, const struct doc *object, void *arg)
{
    struct cluster *cluster = arg;
    cluster->counts[kind]++;
    cluster->heard_ms = num_now_ms();
    show_progress(cluster, kind);
    if (cluster->look->object) {
        cluster->look->object(kind, object, cluster->look->object_arg);
    }
}

static void on_changed(UNUSED void *arg)
{
}

static void on_synced(bool synced, const char *why, void *arg)
{
    struct cluster *cluster = arg;
    if (synced) {
        cluster->synced = true;
        loop_quit(cluster->loop, 0);
    } else if (why && *why) {
        // Nobody is served by waiting for a cluster that does not answer. One that is busy says so (429).
        (void)snprintf(cluster->problem, sizeof(cluster->problem), "%s", why);
        if (!cluster->throttled) {
            cluster->failed = true;
            loop_quit(cluster->loop, 1);
        }
    }
}

static void on_report(enum source_level level, const char *event, const char *fields, void *arg)
{
    struct cluster *cluster = arg;
    bool finding = strncmp(event, "object-", 7) == 0;
    cluster->findings += finding;
    if (strcmp(event, "list-failed") == 0 || strcmp(event, "access-denied") == 0) {
        cluster->throttled = strstr(fields, " status=429 ") != NULL;
    }
    if (strcmp(event, "object-unreadable") == 0 && cluster->look->unreadable) {
        cluster->look->unreadable(fields, cluster->look->object_arg);
    }
    if (level == SOURCE_INFO || strcmp(event, "list-failed") == 0 || strcmp(event, "watch-failed") == 0 ||
        strcmp(event, "access-denied") == 0) {
        return;  // `synced` follows, and says it in words
    }
    if (finding && cluster->findings > LIMIT_DIAGNOSTICS) {
        return;
    }
    hide_progress(cluster);
    (void)fprintf(stderr, "netpolctl: %s %s\n", event, fields);
}

static void on_count(UNUSED const char *counter, UNUSED const char *label, UNUSED unsigned delta, UNUSED void *arg)
{
}

static void on_timer(void *arg)
{
    struct cluster *cluster = arg;
    uint64_t silence = num_now_ms() - cluster->heard_ms;
    if (silence >= cluster->timeout_ms) {
        loop_quit(cluster->loop, 1);
    } else {
        loop_arm(cluster->timer, cluster->timeout_ms - silence);
    }
}

// Ended by hand: what was started (a credential plugin) is ended, too.
static void on_signal(int signo, void *arg)
{
    struct cluster *cluster = arg;
    cluster->signal = signo;
    loop_quit(cluster->loop, 1);
}

static int catch_signals(struct cluster *cluster, struct err *err)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        if (loop_on_signal(cluster->loop, signals[i], on_signal, cluster, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int explain_failure(const struct cluster *cluster, struct err *err)
{
    if (cluster->failed) {
        // The message of the server names user, verb and resource.
        bool denied = strstr(cluster->problem, "HTTP 403") != NULL;
        return err_set(err, denied ? ERR_DENIED : ERR_RETRY, 0, "the cluster cannot be read: %.350s%s",
                       cluster->problem,
                       denied ? "; what is needed is the ClusterRole of manifests/base/clusterrole.yaml" : "");
    }
    return err_set(err, ERR_RETRY, 0,
                   "the cluster could not be read: nothing came for %llu s (--request-timeout)%s%.300s",
                   (unsigned long long)(cluster->timeout_ms / 1000), cluster->problem[0] ? ": " : "", cluster->problem);
}

int cluster_read(struct api_config *config, const struct cluster_options *options, const struct cluster_look *look,
                 struct state *state, size_t *findings, struct err *err)
{
    CLEANUP(api_config_free) struct api_config *own = config;
    CLEANUP(loop_free) struct loop *loop = NULL;
    if (loop_new(&loop, err) < 0) {
        return -1;
    }
    struct cluster cluster = {.loop = loop, .look = look, .timeout_ms = options->request_timeout};
    cluster.start_ms = cluster.heard_ms = num_now_ms();
    const struct source_owner owner = {
        .arg = &cluster, .changed = on_changed, .synced = on_synced, .report = on_report, .count = on_count};
    const struct api_options api = {.view = API_VIEW_ALL, .once = true, .object = on_object, .object_arg = &cluster};
    struct source *source = NULL;
    if (catch_signals(&cluster, err) < 0 || loop_add_timer(loop, on_timer, &cluster, &cluster.timer, err) < 0 ||
        api_source_new(loop, TAKE(own), &api, state, &owner, &source, err) < 0) {
        return -1;
    }
    if (cluster.timeout_ms) {
        loop_arm(cluster.timer, cluster.timeout_ms);
    }
    int rc = loop_run(loop, err);
    hide_progress(&cluster);
    if (cluster.findings > LIMIT_DIAGNOSTICS) {
        (void)fprintf(stderr, "netpolctl: … and %zu more findings\n", cluster.findings - LIMIT_DIAGNOSTICS);
    }
    source->ops->free(source);
    loop_remove_timer(cluster.timer);
    if (cluster.signal) {
        // As if it had not been caught: shells look at that.
        loop_free(TAKE(loop));
        const struct sigaction end = {.sa_handler = SIG_DFL};
        (void)sigaction(cluster.signal, &end, NULL);
        (void)raise(cluster.signal);
    }
    if (rc < 0) {
        return -1;
    }
    *findings += cluster.findings;
    return cluster.synced ? 0 : explain_failure(&cluster, err);
}
