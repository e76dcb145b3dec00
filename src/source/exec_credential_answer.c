// SPDX-License-Identifier: Apache-2.0
#include <time.h>

#include "base/doc.h"
#include "base/limits.h"
#include "base/num.h"
#include "source/exec_credential.h"
#include "source/small_file.h"
#include "json/json.h"

void exec_credential_free(struct exec_credential *credential)
{
    if (credential) {
        secret_free(credential->token);
        secret_free(credential->cert_pem);
        secret_free(credential->key_pem);
        free(credential);
    }
}

// Exactly n digits at *at, from low to high.
static bool take_number(const char **at, size_t n, unsigned low, unsigned high, int *ret)
{
    uint64_t value;
    if (strnlen(*at, n) < n || !num_parse_u64(*at, n, high, &value) || value < low) {
        return false;
    }
    *at += n;
    *ret = (int)value;
    return true;
}

static bool take_char(const char **at, char c)
{
    bool there = **at == c;
    *at += there ? 1 : 0;
    return there;
}

// "Z", "+hh:mm" or "-hh:mm", and then the end.
static bool take_zone(const char **at, int *ret_s)
{
    int hours = 0;
    int minutes = 0;
    bool west = **at == '-';
    if (!take_char(at, 'Z')) {
        if ((!take_char(at, '+') && !take_char(at, '-')) || !take_number(at, 2, 0, 23, &hours) || !take_char(at, ':') ||
            !take_number(at, 2, 0, 59, &minutes)) {
            return false;
        }
    }
    *ret_s = (hours * 60 + minutes) * (west ? -60 : 60);
    return **at == '\0';
}

bool exec_credential_time(const char *text, int64_t *ret_s)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const char *at = text;
    struct tm tm = {0};
    int zone_s;
    if (!take_number(&at, 4, 0, 9999, &tm.tm_year) || !take_char(&at, '-') || !take_number(&at, 2, 1, 12, &tm.tm_mon) ||
        !take_char(&at, '-') || !take_number(&at, 2, 1, 31, &tm.tm_mday) || !take_char(&at, 'T') ||
        !take_number(&at, 2, 0, 23, &tm.tm_hour) || !take_char(&at, ':') || !take_number(&at, 2, 0, 59, &tm.tm_min) ||
        !take_char(&at, ':') || !take_number(&at, 2, 0, 59, &tm.tm_sec)) {
        return false;
    }
    if (take_char(&at, '.')) {
        size_t digits = strspn(at, "0123456789");
        if (digits == 0) {
            return false;
        }
        at += digits;
    }
    int year = tm.tm_year;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (tm.tm_mday > days[tm.tm_mon - 1] + (leap && tm.tm_mon == 2 ? 1 : 0) || !take_zone(&at, &zone_s)) {
        return false;
    }
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *ret_s = (int64_t)timegm(&tm) - zone_s;
    return true;
}

// The text of a key; NULL when it is absent, null or empty.
static int get_text(const struct doc *map, const char *key, const char **ret, struct err *err)
{
    const struct doc *child = doc_get(map, key);
    if (child && child->type != DOC_NULL && child->type != DOC_STRING) {
        return err_set(err, ERR_INPUT, 0, "its %s is a %s, not a string", key, doc_type_name(child->type));
    }
    *ret = child && child->type == DOC_STRING && child->text[0] ? child->text : NULL;
    return 0;
}

static int get_pem(const struct doc *status, const char *key, char **ret, struct err *err)
{
    const char *text = NULL;
    if (get_text(status, key, &text, err) < 0) {
        return -1;
    }
    if (!text) {
        return 0;
    }
    const char *fault = strlen(text) > LIMIT_PEM ? "is too long" : pem_fault(text);
    if (fault) {
        return err_set(err, ERR_INPUT, 0, "its status.%s %s", key, fault);
    }
    *ret = strdup(text);
    return *ret ? 0 : err_oom(err);
}

static int get_token(const struct doc *status, char **ret, struct err *err)
{
    const char *text = NULL;
    if (get_text(status, "token", &text, err) < 0) {
        return -1;
    }
    if (!text) {
        return 0;
    }
    if (!secret_is_token(text) || strlen(text) > LIMIT_TOKEN) {
        return err_set(err, ERR_INPUT, 0,
                       "its status.token is too long, or holds a blank, a line break or a byte that no token has");
    }
    *ret = strdup(text);
    return *ret ? 0 : err_oom(err);
}

static int get_expiry(const struct doc *status, struct exec_credential *credential, struct err *err)
{
    const char *text = NULL;
    if (get_text(status, "expirationTimestamp", &text, err) < 0) {
        return -1;
    }
    credential->expires = text;
    return !text || exec_credential_time(text, &credential->expiry_s)
               ? 0
               : err_set(err, ERR_INPUT, 0, "its status.expirationTimestamp is no time of RFC 3339");
}

static int read_answer(const struct doc *doc, const char *version, struct exec_credential **ret, struct err *err)
{
    CLEANUP(exec_credential_free) struct exec_credential *credential = calloc(1, sizeof(*credential));
    const char *kind = NULL;
    const char *api = NULL;
    if (!credential) {
        return err_oom(err);
    }
    if (doc->type != DOC_MAP) {
        return err_set(err, ERR_INPUT, 0, "its output is no ExecCredential but a %s", doc_type_name(doc->type));
    }
    if (get_text(doc, "kind", &kind, err) < 0 || get_text(doc, "apiVersion", &api, err) < 0) {
        return -1;
    }
    if (!kind || strcmp(kind, "ExecCredential") != 0) {
        return err_set(err, ERR_INPUT, 0, "its output is no ExecCredential");
    }
    if (!api || strcmp(api, version) != 0) {
        return err_set(err, ERR_INPUT, 0, "its answer has another apiVersion than %s, which the kubeconfig asks for",
                       version);
    }
    const struct doc *status = doc_get(doc, "status");
    if (!status || status->type != DOC_MAP) {
        return err_set(err, ERR_INPUT, 0, "its answer has no status");
    }
    if (get_token(status, &credential->token, err) < 0 ||
        get_pem(status, "clientCertificateData", &credential->cert_pem, err) < 0 ||
        get_pem(status, "clientKeyData", &credential->key_pem, err) < 0 || get_expiry(status, credential, err) < 0) {
        return -1;
    }
    if (!credential->cert_pem != !credential->key_pem) {
        return err_set(err, ERR_INPUT, 0,
                       "its answer has only one of clientCertificateData and clientKeyData, which belong together");
    }
    if (!credential->token && !credential->cert_pem) {
        return err_set(err, ERR_INPUT, 0, "its answer has neither a token nor a client certificate with its key");
    }
    *ret = TAKE(credential);
    return 0;
}

int exec_credential_parse(const char *text, size_t len, const char *version, struct exec_credential **ret,
                          struct err *err)
{
    struct arena arena = {0};
    struct doc *doc = NULL;
    size_t used = 0;
    unsigned line = 1;
    struct err why = {0};
    int rc = -1;
    if (len == 0) {
        (void)err_set(err, ERR_INPUT, 0, "it printed nothing");
    } else if (json_parse(text, len, 1, &arena, &doc, &used, &line, &why) < 0) {
        // The parser's own words may quote the output.
        (void)err_set(err, why.kind, why.num, "its output is not JSON (line %d)", why.num);
    } else if (used != len) {
        (void)err_set(err, ERR_INPUT, 0, "its output goes on behind the JSON (line %u)", line);
    } else {
        rc = read_answer(doc, version, ret, err);
    }
    arena_wipe(&arena);
    return rc;
}
