// SPDX-License-Identifier: Apache-2.0
#include "source/api_status.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "json/json.h"

static const char *text_of(const struct doc *map, const char *key)
{
    const struct doc *child = doc_get(map, key);
    return child && child->type == DOC_STRING ? child->text : "";
}

static bool is_too_large(const struct doc *doc, const char *message)
{
    const struct doc *causes = doc_get(doc_get(doc, "details"), "causes");
    for (const struct doc *cause = causes && causes->type == DOC_LIST ? causes->child : NULL; cause;
         cause = cause->next) {
        if (strcmp(text_of(cause, "reason"), "ResourceVersionTooLarge") == 0) {
            return true;
        }
    }
    // Up to 1.18 a message only.
    return strncmp(message, "Too large resource version", strlen("Too large resource version")) == 0;
}

// What a server says ends in logs and on terminals: no control characters, the C1 ones of UTF-8 neither.
static void clean(char *text)
{
    unsigned char before = 0;
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if (*p < 0x20 || *p == 0x7f || (before == 0xc2 && *p < 0xa0)) {
            before = *p;
            *p = before >= 0x80 ? 0xb7 : ' ';  // "·", whose first byte stands already
        } else {
            before = *p;
        }
    }
}

void api_status_of(const struct doc *doc, struct api_status *ret)
{
    *ret = (struct api_status){.code = 0};
    if (!doc || doc->type != DOC_MAP) {
        return;
    }
    const struct doc *code = doc_get(doc, "code");
    const struct doc *after = doc_get(doc_get(doc, "details"), "retryAfterSeconds");
    if (code && code->type == DOC_NUMBER && code->integral && code->integer > 0 && code->integer < 1000) {
        ret->code = (unsigned)code->integer;
    }
    (void)snprintf(ret->reason, sizeof(ret->reason), "%s", text_of(doc, "reason"));
    (void)snprintf(ret->message, sizeof(ret->message), "%s", text_of(doc, "message"));
    clean(ret->reason);
    clean(ret->message);
    ret->too_large = is_too_large(doc, text_of(doc, "message"));
    ret->expired = ret->code == 410 || strcmp(ret->reason, "Expired") == 0 || strcmp(ret->reason, "Gone") == 0;
    if (after && after->type == DOC_NUMBER && after->integral && after->integer > 0) {
        ret->has_retry_after = true;
        ret->retry_after_s = after->integer < UINT32_MAX ? (unsigned)after->integer : UINT32_MAX;
    }
}

void api_status_read(const char *body, size_t len, struct api_status *ret)
{
    struct arena arena = {0};
    struct doc *doc = NULL;
    size_t used;
    unsigned line;
    *ret = (struct api_status){.code = 0};
    if (len && json_parse(body, len, 1, &arena, &doc, &used, &line, NULL) == 0) {
        api_status_of(doc, ret);
    } else if (len) {
        (void)snprintf(ret->message, sizeof(ret->message), "%.*s", (int)strcspn(body, "\r\n"), body);
        clean(ret->message);
    }
    arena_free(&arena);
}
