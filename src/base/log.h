// SPDX-License-Identifier: Apache-2.0
//
// Structured logs: one event a line, logfmt or JSON, stable keys. Only agent/ and cmd/ log above debug; everything
// below returns errors. The sink is stderr; tests install a capture.
#pragma once

#include <stdbool.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct log_config {
    enum log_level level;
    enum log_format format;
    // Where a finished line (without newline) goes; NULL: stderr.
    void (*sink)(const char *line, void *arg);
    void *arg;
};
void log_configure(const struct log_config *config);
bool log_enabled(enum log_level level);

// fields is one printf format of space-separated key=value pairs, so that the compiler checks the types:
// log_event(LOG_LEVEL_INFO, "applied", "family=%d chains=%zu error=%s", 4, n, log_quote(text)). Values that may hold
// blanks or quotes go through log_quote. The JSON form turns the pairs into members (numbers stay numbers).
void log_event(enum log_level level, const char *event, const char *fields, ...) __attribute__((format(printf, 3, 4)));
// Quotes text for use as a value in fields ("..." with escapes) in one of four rotating static buffers of 1 KiB.
const char *log_quote(const char *text);
// "debug|info|warn|error", "text|json"; false when unknown.
bool log_level_parse(const char *text, enum log_level *ret);
bool log_format_parse(const char *text, enum log_format *ret);
