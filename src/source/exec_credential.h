// SPDX-License-Identifier: Apache-2.0
//
// Credential plugins (client.authentication.k8s.io/v1, v1beta1; api-client.md 3.6): a program that a kubeconfig names
// prints a token or a certificate with its key. It runs in a process group of its own, without a shell, without our
// file descriptors, with /dev/null for input, for a bounded time and with bounded output. Private to the credentials.
#pragma once

#include "base/buf.h"
#include "base/loop.h"
#include "source/kubeconfig.h"

struct exec_credential {
    char *token;     // NULL none
    char *cert_pem;  // both or none
    char *key_pem;
    bool expires;
    int64_t expiry_s;  // UTC, seconds since 1970
    bool over;         // by our clock it had expired when it was given; the server's may say otherwise
};
void exec_credential_free(struct exec_credential *credential);  // wipes it
CLEANUP_DEFINE(struct exec_credential, exec_credential_free);

struct exec_run;
struct exec_run_options {
    const struct api_config *config;  // its exec, which outlives the run
    const char *ca_pem;               // for a plugin that wants to know the cluster; NULL none
    unsigned timeout_ms;
    bool without_pidfd;  // as on kernels before 5.3
    // The end, once, from the loop; exec_run_free may be called in it. credential is the callee's; NULL: err says why
    // there is none. said: what the plugin wrote to stderr, cleaned, "" for nothing.
    void (*done)(struct exec_credential *credential, const struct err *err, const char *said, void *arg);
    void *arg;
};
// Fails when the program is not there or cannot be run. A process is made, nothing is waited for.
NODISCARD int exec_run_start(struct loop *loop, const struct exec_run_options *options, struct exec_run **ret,
                             struct err *err);
// A run that has not ended is killed, with every process of its group. NULL is accepted.
void exec_run_free(struct exec_run *run);

// ---- exec_credential_answer.c
// What a plugin printed. No error shows any of it.
NODISCARD int exec_credential_parse(const char *text, size_t len, const char *version, struct exec_credential **ret,
                                    struct err *err);
// RFC 3339, as the API writes times; false when it is none.
bool exec_credential_time(const char *text, int64_t *ret_s);

// ---- exec_credential_environment.c
// Our environment, what the kubeconfig adds, and KUBERNETES_EXEC_INFO. Only *ret_info and the array are new: free them,
// the first with secret_free.
NODISCARD int exec_credential_environment(const struct api_config *config, const char *ca_pem, char ***ret,
                                          char **ret_info, struct err *err);
// The file to run for a command: a bare name is looked up in the absolute directories of PATH. The caller frees it.
NODISCARD int exec_credential_find(const struct api_exec *exec, char **ret, struct err *err);

// ---- exec_credential_said.c
// Appends the end of what a plugin wrote to stderr, on one line. Words are left out that stand in its output, in the
// environment of the kubeconfig, in a variable of ours or behind an option or another name that is that of a secret: a
// plugin that traces itself shows them.
void exec_credential_said(const char *said, const char *printed, const struct api_exec *exec, struct buf *out);
