// SPDX-License-Identifier: Apache-2.0
#include "agent/open_source.h"

#include <stdio.h>
#include <unistd.h>

#include "source/kubeconfig.h"

// The kernel is only looked at: a brief try.
enum { LOCK_WAIT_MS = 50 };

_Static_assert((unsigned)AGENT_HTTP_AUTO == (unsigned)HTTP_VERSION_AUTO &&
                   (unsigned)AGENT_HTTP_1_1 == (unsigned)HTTP_VERSION_1_1 &&
                   (unsigned)AGENT_HTTP_2 == (unsigned)HTTP_VERSION_2,
               "one order of HTTP versions");

// The service account's reader takes the place of the server from the environment, as every client does.
static int set_server(const char *server, struct err *err)
{
    const char *colon = strrchr(server, ':');
    bool bracketed = *server == '[' && colon > server && colon[-1] == ']';
    CLEANUP(free) char *host = strndup(server + bracketed, (size_t)(colon - server) - 2 * (size_t)bracketed);
    if (!host || setenv("KUBERNETES_SERVICE_HOST", host, 1) < 0 ||
        setenv("KUBERNETES_SERVICE_PORT", colon + 1, 1) < 0) {
        return err_oom(err);
    }
    return 0;
}

static int load_config(const struct agent_config *config, struct api_config **ret, struct err *err)
{
    if (config->kubeconfig) {
        return kubeconfig_load(config->kubeconfig, config->context, ret, err);
    }
    if (config->api_server && set_server(config->api_server, err) < 0) {
        return -1;
    }
    int rc = kubeconfig_in_cluster(ret, err);
    return rc < 0 && err && err->kind == ERR_NOT_FOUND
               ? err_set(err, ERR_USAGE, 0,
                         "no source: give --state PATH or --kubeconfig FILE (this is no pod of a cluster)")
               : rc;
}

// Whether the kernel holds chains of ours. What cannot be told counts as yes: such a node waits for its turn.
static bool holds_rules(const struct backend_ops *ops)
{
    struct err err = {0};
    struct backend *backend = NULL;
    CLEANUP(ruleset_free) struct ruleset *live = NULL;
    const struct backend_options options = {.lock_wait_ms = LOCK_WAIT_MS};
    if (ops->probe(&err) < 0 || ops->open(&options, &backend, &err) < 0) {
        return true;
    }
    bool holds = true;
    if (ops->snapshot(backend, &live, &err) == 0) {
        size_t chains = 0;
        for (unsigned family = 0; family < FAMILY_COUNT; family++) {
            chains += live->tables[family].n_chains;
        }
        holds = chains > 0;
    }
    backend->ops->close(backend);
    return holds;
}

int open_source(const struct agent_config *config, enum open_mode mode, struct loop *loop, struct state *state,
                const struct source_owner *owner, struct source **ret, struct err *err)
{
    if (config->n_state_paths) {
        return file_source_new(loop, config->state_paths, config->n_state_paths, state, owner, ret, err);
    }
    CLEANUP(api_config_free) struct api_config *api = NULL;
    if (load_config(config, &api, err) < 0) {
        return -1;
    }
    const struct api_options options = {
        .view = API_VIEW_RULES,
        .http_version = config->http_version,
        .once = mode == OPEN_ONCE,
        .spread_start = config->spread_start,
        .node = config->node,
        .has_rules = config->spread_start && holds_rules(config->backend),
    };
    return api_source_new(loop, TAKE(api), &options, state, owner, ret, err);
}
