// SPDX-License-Identifier: Apache-2.0
#include <ctype.h>

#include "base/utf8.h"
#include "source/exec_credential.h"

enum { SHORTEST = 6 };  // of what is hidden: shorter words are no secrets

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("._~+/-", c));
}

// Does text hold the n bytes at word?
static bool holds(const char *text, const char *word, size_t n)
{
    return text && memmem(text, strlen(text), word, n);
}

static bool names_secret(const char *option)
{
    static const char *const names[] = {"secret", "password", "passwd", "token", "key", "credential", "auth"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *at = strcasestr(option, names[i]);
        if (at && at < option + strcspn(option, "=")) {
            return true;
        }
    }
    return false;
}

// Is one part of the other?
static bool shares(const char *secret, const char *word, size_t n)
{
    return secret && strlen(secret) >= SHORTEST && (holds(secret, word, n) || memmem(word, n, secret, strlen(secret)));
}

static bool is_secret(const char *word, size_t n, const char *printed, const struct api_exec *exec)
{
    static const char around[] = "._~+/-";
    while (n && strchr(around, word[n - 1])) {
        n--;
    }
    while (n && strchr(around, *word)) {
        word++;
        n--;
    }
    if (n < SHORTEST) {
        return false;
    }
    // How tokens of identity providers begin.
    bool secret = strncmp(word, "eyJ", 3) == 0 || strncmp(word, "k8s-aws-v1.", 11) == 0 || holds(printed, word, n);
    for (char *const *entry = exec->env; *entry && !secret; entry++) {
        secret = shares(strchr(*entry, '=') + 1, word, n);
    }
    for (char *const *arg = exec->argv + 1; *arg && !secret; arg++) {
        const char *value = strchr(*arg, '=');
        bool after = arg > exec->argv + 1 && arg[-1][0] == '-' && !strchr(arg[-1], '=') && names_secret(arg[-1]);
        secret = (value && names_secret(*arg) && shares(value + 1, word, n)) || (after && shares(*arg, word, n));
    }
    return secret;
}

// One character that is no part of a word; blanks and control characters become one blank. Returns its bytes.
static size_t add_mark(struct buf *clean, const char *p)
{
    size_t n = utf8_length(p, strlen(p));
    bool control =
        n < 2 ? (unsigned char)*p <= ' ' || *p == 0x7f : (unsigned char)p[0] == 0xc2 && (unsigned char)p[1] < 0xa0;
    if (n == 0) {
        buf_putc(clean, '?');
    } else if (!control) {
        buf_add(clean, p, n);
    } else if (clean->len && clean->data[clean->len - 1] != ' ') {
        buf_putc(clean, ' ');
    }
    return n ? n : 1;
}

void exec_credential_said(const char *said, const char *printed, const struct api_exec *exec, struct buf *out)
{
    enum { READ = 1024, SHOWN = 300 };
    struct buf BUF_CLEANUP clean = {0};
    // The end says what went wrong; it begins with a whole word.
    size_t len = strlen(said);
    const char *p = said + (len > READ ? len - READ : 0);
    while (p > said && is_word(p[-1]) && is_word(*p)) {
        p++;
    }
    while (*p) {
        size_t n = 0;
        while (is_word(p[n])) {
            n++;
        }
        if (n == 0) {
            p += add_mark(&clean, p);
        } else if (is_secret(p, n, printed, exec)) {
            buf_puts(&clean, "[hidden]");
            p += n;
        } else {
            buf_add(&clean, p, n);
            p += n;
        }
    }
    while (clean.len && clean.data[clean.len - 1] == ' ') {
        clean.data[--clean.len] = '\0';
    }
    if (clean.failed || clean.len == 0) {
        return;
    }
    const char *end = clean.data;
    if (clean.len > SHOWN) {
        end += clean.len - SHOWN;
        while (((unsigned char)*end & 0xc0) == 0x80) {
            end++;
        }
    }
    buf_puts(out, end == clean.data && len <= READ ? "" : "… ");
    buf_puts(out, end);
}
