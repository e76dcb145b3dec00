// SPDX-License-Identifier: Apache-2.0
//
// Credential plugins for tests: shell scripts in the directory of the test (support/scratch.h), run through the whole
// way from a kubeconfig to the values of a request. Whatever is said meanwhile must not hold the secret that they
// print.
#pragma once

#include "base/buf.h"
#include "source/credentials.h"
#include "support/kubeconfig_samples.h"
#include "support/scratch.h"

#define SECRET "hunter2-and-more"
#define V1 "client.authentication.k8s.io/v1"
#define JSON_CERT "-----BEGIN CERTIFICATE-----\\nY2VydA==\\n-----END CERTIFICATE-----\\n"
#define JSON_KEY "-----BEGIN PRIVATE KEY-----\\na2V5\\n-----END PRIVATE KEY-----\\n"
// A script that counts its runs: how many there were, this one included, is $n.
#define SCRIPT "#!/bin/sh\nhere=${0%/*}\necho x >>$here/runs\nn=$(wc -l <$here/runs)\n"
#define SAYS(status) "printf '%s\\n' '{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\",\"status\":" status "}'\n"
#define TOKEN(token) SAYS("{\"token\":\"" token "\"}")
// A token that lives for so many seconds.
#define TOKEN_FOR(token, seconds)                                                                                      \
    "end=$(date -u -d '+" seconds                                                                                      \
    " sec' +%Y-%m-%dT%H:%M:%SZ)\n" SAYS("{\"token\":\"" token "\",\"expirationTimestamp\":\"'$end'\"}")
#define EXEC(more) ONE(SERVER, "exec: {apiVersion: " V1 ", interactiveMode: Never, command: ./plugin" more "}")

enum { PATIENCE_MS = 20000 };

struct plugin_world {
    struct loop *loop;
    struct credentials *credentials;
    struct api_config *config;
    struct loop_timer *impatience;
    struct buf heard;  // all reports and errors, a line each
    struct err err;    // of the last prepare
    unsigned reports;
    unsigned settled;
};

extern const struct credentials_timing plugin_quick;

void plugin_begin(struct plugin_world *w, const char *kubeconfig, const struct credentials_timing *timing);
// Fails the test when the secret was heard.
void plugin_end(struct plugin_world *w);
enum credentials_state plugin_prepare(struct plugin_world *w);
// Until the plugin has ended.
void plugin_wait(struct plugin_world *w);
// A run from its start to its end, and what it comes to.
enum credentials_state plugin_run(struct plugin_world *w);
// Ready with this token, in this generation.
void plugin_expect(struct plugin_world *w, const char *token, unsigned generation);
// How often a SCRIPT was run.
unsigned plugin_runs(void);
void plugin_pause(unsigned ms);
