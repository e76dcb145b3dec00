// SPDX-License-Identifier: Apache-2.0
#include "yaml/yaml_scalar.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(text, *words) == 0) {
            return true;
        }
    }
    return false;
}

static bool resolve_word(struct doc *doc)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", NULL};
    if (is_one_of(doc->text, nulls)) {
        doc->type = DOC_NULL;
        return true;
    }
    doc->boolean = is_one_of(doc->text, trues);
    if (doc->boolean || is_one_of(doc->text, falses)) {
        doc->type = DOC_BOOL;
        return true;
    }
    return false;
}

static unsigned digit_value(char c)
{
    if (c >= '0' && c <= '9') {
        return (unsigned)(c - '0');
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? (unsigned)(lower - 'a') + 10 : 16;
}

// "_" is skipped anywhere behind the first character, as Kubernetes does.
static const char *skip_grouping(const char *p)
{
    while (*p == '_') {
        p++;
    }
    return p;
}

static const char *skip_digits(const char *p, bool *ret_any)
{
    for (p = skip_grouping(p); *p >= '0' && *p <= '9'; p = skip_grouping(p + 1)) {
        *ret_any = true;
    }
    return p;
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
static bool is_decimal(const char *p)
{
    bool any = false;
    p = skip_grouping(*p == '-' || *p == '+' ? p + 1 : p);
    p = skip_digits(p, &any);
    if (*p == '.') {
        p = skip_digits(p + 1, &any);
    }
    if (!any) {
        return false;
    }
    if (*p == 'e' || *p == 'E') {
        p = skip_grouping(p + 1);
        p = *p == '-' || *p == '+' ? p + 1 : p;
        bool exponent = false;
        p = skip_digits(p, &exponent);
        return exponent && *p == '\0';
    }
    return *p == '\0';
}

// An integer of any base. False when the text is none; *ret_fits when magnitude holds it.
static bool read_integer(const char *p, uint64_t *ret_magnitude, bool *ret_fits)
{
    unsigned base = 10;
    p = skip_grouping(p);
    if (*p == '0') {
        const char *prefix = skip_grouping(p + 1);
        char lower = (char)(*prefix | 0x20);
        base = lower == 'x' ? 16 : lower == 'b' ? 2 : 8;
        p = lower == 'x' || lower == 'b' || lower == 'o' ? prefix + 1 : p;
    }
    uint64_t value = 0;
    bool any = false;
    bool fits = true;
    for (p = skip_grouping(p); *p; p = skip_grouping(p + 1)) {
        unsigned digit = digit_value(*p);
        if (digit >= base) {
            return false;
        }
        any = true;
        fits = fits && value <= (UINT64_MAX - digit) / base;
        value = fits ? value * base + digit : value;
    }
    *ret_magnitude = value;
    *ret_fits = fits;
    return any;
}

static bool resolve_number(struct doc *doc)
{
    const char *text = doc->text;
    bool negative = text[0] == '-';
    bool sign = negative || text[0] == '+';
    uint64_t magnitude = 0;
    bool fits = false;
    bool integer = read_integer(text + sign, &magnitude, &fits);
    if (!integer && !is_decimal(text)) {
        return false;
    }
    doc->type = DOC_NUMBER;
    doc->integral = integer && fits && magnitude <= (uint64_t)INT64_MAX + (negative ? 1 : 0);
    if (doc->integral) {
        doc->integer = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    }
    return true;
}

static bool is_infinity_or_nan(const char *text)
{
    static const char *const words[] = {".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", NULL};
    bool sign = text[0] == '-' || text[0] == '+';
    return is_one_of(text + sign, words) && !(sign && (text[2] | 0x20) == 'n');
}

void yaml_scalar_resolve(struct doc *doc)
{
    doc->type = DOC_STRING;
    char first = doc->text[0];
    if (first && !strchr("+-.0123456789tTfFyYnNoO~", first)) {
        return;
    }
    if (resolve_word(doc)) {
        return;
    }
    if (is_infinity_or_nan(doc->text)) {
        doc->type = DOC_NUMBER;
        return;
    }
    if (first == '+' || first == '-' || first == '.' || (first >= '0' && first <= '9')) {
        (void)resolve_number(doc);
    }
}
