// SPDX-License-Identifier: Apache-2.0
#include <ctype.h>
#include <strings.h>
#include <unistd.h>

#include "base/utf8.h"
#include "source/exec_credential.h"

enum {
    SHORTEST = 6,  // of what is hidden for what it is: shorter words are no secrets
    TELLING = 20,  // a part of a secret
    LINE_OF_KEY = 60,
};

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("._~+/-", c));
}

// Does text hold the n bytes at word?
static bool holds(const char *text, const char *word, size_t n)
{
    return text && memmem(text, strlen(text), word, n);
}

// Does the name, of n bytes, hold one of these (which end with NULL)?
static bool names_one(const char *name, size_t n, const char *const *words)
{
    for (; *words; words++) {
        size_t len = strlen(*words);
        for (size_t i = 0; i + len <= n; i++) {
            if (strncasecmp(name + i, *words, len) == 0) {
                return true;
            }
        }
    }
    return false;
}

static bool names_password(const char *name, size_t n)
{
    static const char *const words[] = {"secret", "passw", "passphrase", NULL};
    return names_one(name, n, words);
}

static bool names_secret(const char *name, size_t n)
{
    static const char *const words[] = {"token", "key", "credential", "auth", NULL};
    return names_password(name, n) || names_one(name, n, words);
}

// Is the value the place of a secret, and not the secret? Who is told that it cannot be read wants to know which.
static bool is_place(const char *name, size_t n, const char *value)
{
    static const char *const ends[] = {"FILE", "PATH", "DIR", "SOCK", "CREDENTIALS", "AUTHORITY"};
    for (size_t i = 0; i < ARRAY_SIZE(ends) && *value == '/'; i++) {
        size_t len = strlen(ends[i]);
        if (n >= len && strncasecmp(name + n - len, ends[i], len) == 0) {
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
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
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
    // How tokens of identity providers begin; a line of a key.
    bool secret = strncmp(word, "eyJ", 3) == 0 || strncmp(word, "k8s-aws-v1.", 11) == 0 || holds(printed, word, n) ||
                  (n >= LINE_OF_KEY && strspn(word, base64) >= n);
    for (char **entry = environ; entry && *entry && !secret; entry++) {
        size_t name = strcspn(*entry, "=");
        const char *value = *entry + name + ((*entry)[name] ? 1 : 0);
        secret = names_secret(*entry, name) && !is_place(*entry, name, value) && shares(value, word, n) &&
                 // Any name may be that of something long, which holds words that are no secrets.
                 (n >= TELLING || 2 * n >= strlen(value));
    }
    for (char *const *entry = exec->env; *entry && !secret; entry++) {
        secret = shares(strchr(*entry, '=') + 1, word, n);
    }
    for (char *const *arg = exec->argv + 1; *arg && !secret; arg++) {
        const char *value = strchr(*arg, '=');
        bool after = arg > exec->argv + 1 && arg[-1][0] == '-' && !strchr(arg[-1], '=') &&
                     names_secret(arg[-1], strlen(arg[-1]));
        secret = (value && names_secret(*arg, (size_t)(value - *arg)) && shares(value + 1, word, n)) ||
                 (after && shares(*arg, word, n));
    }
    return secret;
}

static bool is_quote(char c)
{
    return c == '"' || c == '\'' || c == '\\';
}

static bool is_blank(char c)
{
    return (unsigned char)c <= ' ';
}

// Prose has "cannot get token: connection refused" as well.
static bool looks_random(const char *text, size_t n)
{
    bool digit = false;
    bool letter = false;
    for (size_t i = 0; i < n; i++) {
        digit = digit || isdigit((unsigned char)text[i]);
        letter = letter || isalpha((unsigned char)text[i]);
    }
    return n >= 20 || (n >= 8 && digit && letter);
}

static bool is_scheme(const char *word, size_t n)
{
    return (n == 6 && strncasecmp(word, "bearer", n) == 0) || (n == 5 && strncasecmp(word, "basic", n) == 0);
}

// What stands before a value: a name, and between the two blanks, quotes and a colon or an equals sign.
struct before {
    const char *name;
    size_t n;
    char mark;  // ':', '=' or none
    bool blank;
    bool quoted;
};

static struct before look_before(const char *said, const char *p)
{
    struct before before = {.name = p};
    for (; before.name > said; before.name--) {
        char c = before.name[-1];
        bool mark = !before.mark && (c == ':' || c == '=');
        if (!mark && !is_blank(c) && !is_quote(c)) {
            break;
        }
        before.mark = mark ? c : before.mark;
        before.blank = before.blank || is_blank(c);
        before.quoted = before.quoted || is_quote(c);
    }
    const char *end = before.name;
    while (before.name > said && is_word(before.name[-1])) {
        before.name--;
    }
    before.n = (size_t)(end - before.name);
    return before;
}

// "user:password" of "//user:password@host".
static size_t user_info(const char *p)
{
    const char *at = memrchr(p, '@', 2 + strcspn(p + 2, "/ \t\r\n\"'"));
    return at ? (size_t)(at - p) : 0;
}

// The bytes at p that are hidden because of what stands before them: "client_secret=…", "password: …", "Bearer …",
// "--token …", "https://user:…@host"; 0: none.
static size_t named_secret(const char *said, const char *p)
{
    if (p > said && p[-1] == ':' && strncmp(p, "//", 2) == 0) {
        return user_info(p);
    }
    struct before before = look_before(said, p);
    // The end of a URL is no name.
    if (before.n == 0 || before.name + before.n == p || memchr(before.name, '/', before.n)) {
        return 0;
    }
    bool quote = is_quote(p[-1]) && p[-1] != '\\';
    const char until[] = {quote ? p[-1] : '\0', '\0'};
    size_t len = strcspn(p, quote ? until : " \t\r\n\"'\\,;)}]&<>");
    if (is_scheme(before.name, before.n) && before.mark != '=') {
        // "basic authentication", "bearer token"
        bool prose =
            strncasecmp(p, "auth", 4) == 0 || strncasecmp(p, "cred", 4) == 0 || strncasecmp(p, "token", 5) == 0;
        return prose || len < SHORTEST ? 0 : len;
    }
    if (!names_secret(before.name, before.n) || is_place(before.name, before.n, p) ||
        (!quote && is_scheme(p, strcspn(p, " ")))) {
        return 0;
    }
    if (!before.mark) {
        return before.name[0] == '-' ? len : 0;
    }
    bool always = before.mark == '=' || before.quoted || !before.blank || names_password(before.name, before.n);
    return always || looks_random(p, len) ? len : 0;
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
        size_t named = n && !(p > said && is_word(p[-1])) ? named_secret(said, p) : 0;
        if (named) {
            buf_puts(&clean, "[hidden]");
            p += named;
        } else if (n == 0) {
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
