// SPDX-License-Identifier: Apache-2.0
//
// What a configuration refers to, as it is now: kubelet and other programs rewrite tokens and certificates while we
// run, and credential plugins give ones that expire. Files are read before each request, a plugin is run when what it
// gave has expired or was refused; the last good content serves until there is a newer one. A plugin runs beside the
// loop, never in it (api-client.md 3.2, 3.6).
#pragma once

#include "base/loop.h"
#include "source/kubeconfig.h"

// What a request is sent with; NULL: there is none. Points into the credentials, until the next call of
// credentials_prepare.
struct credential_values {
    const char *ca_pem;
    const char *cert_pem;
    const char *key_pem;
    const char *token;
    const char *username;
    const char *password;
};

enum credentials_state {
    CREDENTIALS_READY,    // values may be used
    CREDENTIALS_PENDING,  // a plugin runs; owner->settled is called when it has ended, however
    CREDENTIALS_FAILED,   // nothing usable; err says what and where
};

struct credentials_owner {
    void *arg;
    // A plugin has ended; call credentials_prepare again. From the loop.
    void (*settled)(void *arg);
    // Something that does not stop us (a file that cannot be read any more, the plugin's stderr), once per change: a
    // stable key and fields as in log_event. Never holds a secret.
    void (*report)(const char *event, const char *fields, void *arg);
};

// Times of plugins; tests shorten them.
struct credentials_timing {
    unsigned run_ms;    // a plugin that runs longer is killed
    unsigned again_ms;  // after a run that failed, or gave what was refused at once or had expired; doubled each time
    unsigned again_max_ms;
    unsigned proven_ms;  // what serves longer than that was good: a refusal then has the plugin run at once
    unsigned early_s;    // before its end, what a plugin gave is replaced; half of its life at most
    bool without_pidfd;  // as on kernels before 5.3
};
extern const struct credentials_timing credentials_timing_default;

struct credentials;
// Does not take config, which must outlive it. Reads nothing yet.
NODISCARD int credentials_new(struct loop *loop, const struct api_config *config, const struct credentials_owner *owner,
                              struct credentials **ret, struct err *err);
NODISCARD int credentials_new_timed(struct loop *loop, const struct api_config *config,
                                    const struct credentials_owner *owner, const struct credentials_timing *timing,
                                    struct credentials **ret, struct err *err);
// Kills a plugin that runs (its whole process group), wipes everything.
void credentials_free(struct credentials *credentials);
CLEANUP_DEFINE(struct credentials, credentials_free);

// Before each request. err is set for CREDENTIALS_FAILED only. A plugin is never run twice at a time, and after a
// failure not before its time has come, however often this is called: until then the answer is CREDENTIALS_FAILED. What
// is good still serves while a plugin runs, or has failed, to replace it.
enum credentials_state credentials_prepare(struct credentials *credentials, struct err *err);
const struct credential_values *credentials_values(const struct credentials *credentials);
// Counts the changes of token, certificate and key (not of the CA): a request that was refused with an older number is
// worth repeating at once.
unsigned credentials_generation(const struct credentials *credentials);
// The server refused (401) what had this generation: what a plugin gave is dropped, so that the next prepare runs it
// again. Nothing happens when the values are newer already.
void credentials_refused(struct credentials *credentials, unsigned generation);
// The same for a certificate or a key that cannot be sent, which the server never sees.
void credentials_unusable(struct credentials *credentials, unsigned generation);
