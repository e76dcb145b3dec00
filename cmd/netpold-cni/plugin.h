// SPDX-License-Identifier: Apache-2.0
//
// netpold-cni, a chained CNI plugin: what the runtime asks (environment and standard input), and what it is answered.
#pragma once

#include <stdint.h>

#include "agent/cni_book.h"
#include "base/buf.h"
#include "base/doc.h"
#include "base/err.h"

// Codes of the CNI specification; from 100 on they are the plugin's own.
enum plugin_code {
    PLUGIN_VERSION = 1,
    PLUGIN_ENVIRONMENT = 4,
    PLUGIN_IO = 5,
    PLUGIN_DECODE = 6,
    PLUGIN_CONFIG = 7,
    PLUGIN_LATER = 11,
    PLUGIN_NOT_AVAILABLE = 50,
    PLUGIN_REFUSED = 100,
};

enum { PLUGIN_INPUT_MAX = 1 << 20, PLUGIN_TEXT = 1024 };

// What goes to standard output when something fails. code 0: nothing did.
struct plugin_error {
    unsigned code;
    char msg[PLUGIN_TEXT];
    char details[PLUGIN_TEXT];
};
// Fills it; returns -1.
int plugin_fail(struct plugin_error *error, unsigned code, const char *details, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

struct plugin_config {
    const char *version;  // of the specification, as the configuration names it
    const char *socket;
    uint64_t timeout_ms;
    bool fail_open;
    const struct doc *previous;  // prevResult; NULL: none
};

extern const char *const plugin_versions[];  // ended by NULL, the newest last
bool plugin_knows_version(const char *version);

// The network configuration. Borrows from doc. version is set as soon as it is known, failures included.
NODISCARD int plugin_read_config(const struct doc *doc, struct plugin_config *ret, struct plugin_error *error);

// id and ifname from the environment.
NODISCARD int plugin_read_key(struct cni_attachment *ret, struct plugin_error *error);
// The pod from CNI_ARGS; *ret_is_pod false: the runtime names none.
NODISCARD int plugin_read_pod(struct cni_attachment *ret, bool *ret_is_pod, struct plugin_error *error);
// The pod's addresses and its end on the host, from the result of the plugins before.
NODISCARD int plugin_read_result(const struct doc *previous, struct cni_attachment *ret, struct plugin_error *error);

// ---- the daemon ----------------------------------------------------------------------------------------------------

enum plugin_reply_kind {
    PLUGIN_DONE,
    PLUGIN_ANSWERED,  // the daemon says no: code and why are its own
    PLUGIN_NOBODY,    // there is no socket, or nobody listens on it
    PLUGIN_SILENT,    // somebody listens, and says nothing, or half of it, in time
    PLUGIN_STRANGE,   // what came is no answer of a daemon
    PLUGIN_DENIED,    // we may not ask, or the listener is neither root nor our own user
};

struct plugin_reply {
    enum plugin_reply_kind kind;
    char why[PLUGIN_TEXT];
    char code[32];  // of the daemon; else ""
};

// Asks until there is an answer other than "busy", for timeout_ms at most. patient: a daemon that is not there is
// waited for (it may be starting, or be replaced by a newer one); else that is the reply at once. A "busy" stands when
// there is only silence after it.
void plugin_ask(const struct plugin_config *config, const char *op, const struct cni_attachment *attachment,
                uint64_t timeout_ms, bool patient, struct plugin_reply *ret);
// Whether asking again may help, by what the daemon says.
bool plugin_reply_is_later(const struct plugin_reply *reply);
// The error of a reply that is not PLUGIN_DONE; returns -1.
int plugin_fail_reply(const struct plugin_config *config, const struct plugin_reply *reply, struct plugin_error *error);

// ---- the result ----------------------------------------------------------------------------------------------------

// Where the value of the top object's member `key` stands in text, which is valid JSON; false when it is not there in
// plain letters.
bool plugin_raw_member(const char *text, size_t len, const char *key, size_t *ret_at, size_t *ret_len);
// The previous result as it came, byte for byte, or with the cniVersion of the configuration when it names another.
void plugin_put_result(const struct plugin_config *config, const char *text, size_t len, struct buf *out);
void plugin_put_error(const char *version, const struct plugin_error *error, struct buf *out);
