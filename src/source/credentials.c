// SPDX-License-Identifier: Apache-2.0
#include "source/credentials.h"

#include "base/limits.h"
#include "source/small_file.h"

void credentials_clear(struct credentials *credentials)
{
    free(credentials->read_ca);
    free(credentials->read_cert);
    secret_free(credentials->read_key);
    secret_free(credentials->read_token);
    *credentials = (struct credentials){0};
}

static int read_pem(const char *path, char **ret, struct err *err)
{
    CLEANUP(secret_free) char *text = NULL;
    if (small_file_read(path, LIMIT_PEM, &text, err) < 0) {
        return -1;
    }
    if (!strstr(text, "-----BEGIN ")) {
        return err_set(err, ERR_INPUT, 0, "%s does not hold PEM (\"-----BEGIN …\")", path);
    }
    *ret = TAKE(text);
    return 0;
}

// One line of printable characters, without the blanks around it: it becomes part of a header.
static int read_token(const char *path, char **ret, struct err *err)
{
    static const char blanks[] = " \t\r\n";
    CLEANUP(secret_free) char *text = NULL;
    if (small_file_read(path, LIMIT_TOKEN, &text, err) < 0) {
        return -1;
    }
    const char *start = text + strspn(text, blanks);
    size_t len = strlen(start);
    while (len && strchr(blanks, start[len - 1])) {
        len--;
    }
    if (len == 0) {
        return err_set(err, ERR_INPUT, 0, "%s is empty", path);
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)start[i] <= ' ' || (unsigned char)start[i] >= 0x7f) {
            return err_set(err, ERR_INPUT, 0, "%s holds a blank, a line break or a byte that no token has", path);
        }
    }
    char *token = strndup(start, len);
    if (!token) {
        return err_oom(err);
    }
    *ret = token;
    return 0;
}

typedef int read_fn(const char *path, char **ret, struct err *err);

// Replaces *kept when the file holds something else. Returns 1 when it did, -1 when the file cannot be read.
static int update(read_fn *read, const char *path, char **kept, struct err *err)
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

int credentials_read(struct credentials *credentials, const struct api_config *config, bool *ret_usable,
                     struct err *err)
{
    struct credentials *c = credentials;
    struct err first = {0};
    const struct {
        read_fn *read;
        const char *path;
        char **kept;
        bool counts;
    } files[] = {
        {read_pem, config->ca_file, &c->read_ca, false},
        {read_pem, config->cert_file, &c->read_cert, true},
        {read_pem, config->key_file, &c->read_key, true},
        {read_token, config->token_file, &c->read_token, true},
    };
    bool changed = false;
    bool failed = false;
    bool usable = true;
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        int rc = update(files[i].read, files[i].path, files[i].kept, failed ? NULL : &first);
        failed = failed || rc < 0;
        changed = changed || (rc > 0 && files[i].counts);
        usable = usable && (!files[i].path || *files[i].kept);
    }
    c->ca_pem = c->read_ca ? c->read_ca : config->ca_pem;
    c->cert_pem = c->read_cert ? c->read_cert : config->cert_pem;
    c->key_pem = c->read_key ? c->read_key : config->key_pem;
    c->token = c->read_token ? c->read_token : config->token;
    if (ret_usable) {
        *ret_usable = usable;
    }
    if (failed && err) {
        *err = first;
    }
    return failed ? -1 : changed ? CREDENTIALS_CHANGED : CREDENTIALS_SAME;
}
