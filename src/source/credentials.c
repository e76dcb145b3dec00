// SPDX-License-Identifier: Apache-2.0
#include "source/credentials.h"

#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "base/num.h"
#include "source/exec_credential.h"
#include "source/small_file.h"

enum { DOUBLINGS = 16 };

const struct credentials_timing credentials_timing_default = {
    .run_ms = 60000, .again_ms = 1000, .again_max_ms = 60000, .proven_ms = 120000, .early_s = 10};

struct credentials {
    struct loop *loop;
    const struct api_config *config;
    struct credentials_owner owner;
    struct credentials_timing timing;
    struct credential_values values;
    unsigned generation;
    // What was read from files last.
    char *ca;
    char *cert;
    char *key;
    char *token;
    // The plugin.
    struct exec_run *run;           // NULL: it does not run
    struct exec_credential *got;    // what it gave, in use
    struct exec_credential *fresh;  // what it gave last, for the next prepare
    bool refused;                   // got was
    int64_t due_s;                  // when to look for a successor of got
    unsigned strikes;               // runs in a row that brought nothing good
    uint64_t ended_ms;              // the last run, on the clock of num_now_ms
    struct err why;                 // of the last strike
    // What was said last; NULL: nothing, or it is good again.
    char *told_files;
    char *told_plugin;
    char *told_said;
};

int credentials_new_timed(struct loop *loop, const struct api_config *config, const struct credentials_owner *owner,
                          const struct credentials_timing *timing, struct credentials **ret, struct err *err)
{
    struct credentials *credentials = calloc(1, sizeof(*credentials));
    if (!credentials) {
        return err_oom(err);
    }
    *credentials = (struct credentials){.loop = loop, .config = config, .owner = *owner, .timing = *timing};
    *ret = credentials;
    return 0;
}

int credentials_new(struct loop *loop, const struct api_config *config, const struct credentials_owner *owner,
                    struct credentials **ret, struct err *err)
{
    return credentials_new_timed(loop, config, owner, &credentials_timing_default, ret, err);
}

void credentials_free(struct credentials *credentials)
{
    if (!credentials) {
        return;
    }
    exec_run_free(credentials->run);
    exec_credential_free(credentials->got);
    exec_credential_free(credentials->fresh);
    free(credentials->ca);
    free(credentials->cert);
    secret_free(credentials->key);
    secret_free(credentials->token);
    free(credentials->told_files);
    free(credentials->told_plugin);
    free(credentials->told_said);
    free(credentials);
}

// Reports a text once, until there is another (NULL or "": none).
static void tell(struct credentials *c, char **told, const char *event, const char *key, const char *text)
{
    text = text ? text : "";
    if (strcmp(*told ? *told : "", text) == 0) {
        return;
    }
    free(*told);
    *told = text[0] ? strdup(text) : NULL;
    if (text[0]) {
        struct buf BUF_CLEANUP fields = {0};
        buf_printf(&fields, "%s=%s", key, log_quote(text));
        c->owner.report(event, fields.failed ? "" : fields.data, c->owner.arg);
    }
}

static void tell_err(struct credentials *c, char **told, const char *event, const struct err *why)
{
    char text[1024];
    tell(c, told, event, "error", why ? err_text(why, text, sizeof(text)) : NULL);
}

// ---- files

// Replaces *kept when the file holds something else. Returns 1 when it did, -1 when the file cannot be read.
static int update(small_file_fn *read, const char *path, char **kept, struct err *err)
{
    if (!path) {
        return 0;
    }
    CLEANUP(secret_free) char *fresh = NULL;
    if (read(path, &fresh, err) < 0) {
        return -1;
    }
    if (*kept && strcmp(*kept, fresh) == 0) {
        return 0;
    }
    secret_free(*kept);
    *kept = TAKE(fresh);
    return 1;
}

// -1 when there is a file of which nothing good was ever read.
static int prepare_files(struct credentials *c, struct err *err)
{
    const struct api_config *config = c->config;
    const struct {
        small_file_fn *read;
        const char *path;
        char **kept;
        bool counts;
    } files[] = {
        {small_file_pem, config->ca_file, &c->ca, false},
        {small_file_pem, config->cert_file, &c->cert, true},
        {small_file_pem, config->key_file, &c->key, true},
        {small_file_token, config->token_file, &c->token, true},
    };
    struct err first = {0};
    bool changed = false;
    bool usable = true;
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        int rc = update(files[i].read, files[i].path, files[i].kept, first.kind != ERR_NONE ? NULL : &first);
        changed = changed || (rc > 0 && files[i].counts);
        usable = usable && (!files[i].path || *files[i].kept || (files[i].kept == &c->token && config->token));
    }
    c->generation += changed ? 1 : 0;
    c->values = (struct credential_values){
        .ca_pem = c->ca ? c->ca : config->ca_pem,
        .cert_pem = c->cert ? c->cert : config->cert_pem,
        .key_pem = c->key ? c->key : config->key_pem,
        .token = c->token ? c->token : config->token,
        .username = config->username,
        .password = config->password,
    };
    if (!usable) {
        if (err) {
            *err = first;
        }
        return -1;
    }
    tell_err(c, &c->told_files, "credentials-unreadable", first.kind != ERR_NONE ? &first : NULL);
    return 0;
}

// ---- plugins

static int64_t now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

static bool is_good(const struct credentials *c)
{
    return c->got && !c->refused && (!c->got->expires || c->got->over || now_s() < c->got->expiry_s);
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void adopt(struct credentials *c)
{
    if (!c->fresh) {
        return;
    }
    const struct exec_credential *got = c->got;
    if (!got || !same(got->token, c->fresh->token) || !same(got->cert_pem, c->fresh->cert_pem) ||
        !same(got->key_pem, c->fresh->key_pem)) {
        c->generation++;
    }
    exec_credential_free(c->got);
    c->got = TAKE(c->fresh);
    c->refused = false;
    // Something that lives for seconds is not replaced every time that it is used.
    int64_t early = c->timing.early_s;
    int64_t half = (c->got->expiry_s - now_s()) / 2;
    c->due_s = c->got->expires ? c->got->expiry_s - (half < early ? half : early) : INT64_MAX;
}

static void strike(struct credentials *c, const struct err *why)
{
    c->why = *why;
    c->strikes++;
    c->ended_ms = num_now_ms();
    // Without a good one the caller is told by prepare.
    if (is_good(c)) {
        tell_err(c, &c->told_plugin, "credential-plugin-failed", why);
    }
}

// As kubectl, we let the server judge what had expired when it was given; a clock that is wrong is more likely than a
// plugin that keeps the old. There is another try for a newer one meanwhile.
static void tell_over(struct credentials *c)
{
    struct err why = {0};
    (void)err_set(&why, ERR_INPUT, 0,
                  "what the credential plugin \"%.128s\" gives has expired already: is the clock right? It is used "
                  "until the server refuses it",
                  c->config->exec->command);
    (void)err_at_object(&why, "%s", c->config->exec->where);
    tell_err(c, &c->told_plugin, "credential-plugin-expired", &why);
}

static void on_done(struct exec_credential *credential, const struct err *err, const char *said, void *arg)
{
    struct credentials *c = arg;
    if (credential) {
        exec_credential_free(c->fresh);
        c->fresh = credential;
        c->ended_ms = num_now_ms();
        if (credential->over) {
            c->strikes++;
            tell_over(c);
        } else {
            // What was refused before proves itself first.
            c->strikes = c->refused ? c->strikes : 0;
            tell_err(c, &c->told_plugin, "", NULL);
        }
        tell(c, &c->told_said, "credential-plugin-said", "text", said);
    } else {
        strike(c, err);
    }
    exec_run_free(TAKE(c->run));
    c->owner.settled(c->owner.arg);
}

static bool may_run(const struct credentials *c)
{
    if (c->strikes == 0) {
        return true;
    }
    unsigned doublings = c->strikes - 1 < DOUBLINGS ? c->strikes - 1 : DOUBLINGS;
    uint64_t wait_ms = (uint64_t)c->timing.again_ms << doublings;
    wait_ms = wait_ms < c->timing.again_max_ms ? wait_ms : c->timing.again_max_ms;
    return num_now_ms() - c->ended_ms >= wait_ms;
}

static enum credentials_state prepare_plugin(struct credentials *c, struct err *err)
{
    adopt(c);
    bool good = is_good(c);
    bool due = !good || now_s() >= c->due_s;
    if (due && !c->run && may_run(c)) {
        const struct exec_run_options options = {
            .config = c->config,
            .ca_pem = c->values.ca_pem,
            .timeout_ms = c->timing.run_ms,
            .without_pidfd = c->timing.without_pidfd,
            .done = on_done,
            .arg = c,
        };
        struct err why = {0};
        if (exec_run_start(c->loop, &options, &c->run, &why) < 0) {
            strike(c, &why);
        }
    }
    if (good) {
        c->values.token = c->got->token;
        c->values.cert_pem = c->got->cert_pem;
        c->values.key_pem = c->got->key_pem;
        return CREDENTIALS_READY;
    }
    if (c->run) {
        return CREDENTIALS_PENDING;
    }
    if (err) {
        *err = c->why;
    }
    return CREDENTIALS_FAILED;
}

enum credentials_state credentials_prepare(struct credentials *credentials, struct err *err)
{
    if (prepare_files(credentials, err) < 0) {
        return CREDENTIALS_FAILED;
    }
    return credentials->config->exec ? prepare_plugin(credentials, err) : CREDENTIALS_READY;
}

const struct credential_values *credentials_values(const struct credentials *credentials)
{
    return &credentials->values;
}

unsigned credentials_generation(const struct credentials *credentials)
{
    return credentials->generation;
}

// What is in use is good for nothing; why is for those who ask before the plugin may run again.
static void give_up(struct credentials *c, unsigned generation, const struct err *why)
{
    if (!c->got || c->refused || generation != c->generation) {
        return;
    }
    c->refused = true;
    if (c->run || c->fresh) {
        return;
    }
    if (num_now_ms() - c->ended_ms >= c->timing.proven_ms) {
        c->strikes = 0;
        return;
    }
    c->strikes++;
    c->why = *why;
    (void)err_at_object(&c->why, "%s", c->config->exec->where);
}

void credentials_refused(struct credentials *credentials, unsigned generation)
{
    struct err why = {0};
    if (credentials->config->exec) {
        (void)err_set(&why, ERR_DENIED, 401,
                      "the server refused what the credential plugin \"%.128s\" gave; it is run again",
                      credentials->config->exec->command);
        give_up(credentials, generation, &why);
    }
}

void credentials_unusable(struct credentials *credentials, unsigned generation)
{
    struct err why = {0};
    if (credentials->config->exec) {
        (void)err_set(&why, ERR_INPUT, 0,
                      "the certificate and the key that the credential plugin \"%.128s\" gave cannot be used; it is "
                      "run again",
                      credentials->config->exec->command);
        give_up(credentials, generation, &why);
    }
}
