// SPDX-License-Identifier: Apache-2.0
#include "yaml/yaml_doc.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/limits.h"
#include "yaml/yaml_build.h"
#include "yaml/yaml_text.h"

// libyaml's work grows with the square of the depth, so a document that is nested this deeply is abandoned: the stream
// goes on at the next "---" line, as behind a syntax error.
enum { ABANDON_DEPTH = 8 * LIMIT_DOCUMENT_DEPTH };

struct stream {
    const char *text;
    size_t len;
    struct yaml_build build;
    yaml_document_fn *fn;
    yaml_bad_fn *bad;
    void *arg;
    struct err *err;
};

static void cleanup_parser(yaml_parser_t *parser)
{
    yaml_parser_delete(parser);
}

static void cleanup_stream(struct stream *stream)
{
    yaml_build_done(&stream->build);
}

static int report_bad(const struct stream *stream, const struct err *why)
{
    if (!stream->bad) {
        if (stream->err) {
            *stream->err = *why;
        }
        return -1;
    }
    return stream->bad(why, stream->arg, stream->err);
}

static int end_document(struct stream *stream)
{
    struct yaml_build *build = &stream->build;
    if (build->refused) {
        struct err why = build->why;
        yaml_build_reset(build);
        return report_bad(stream, &why);
    }
    struct doc *root = build->root;
    yaml_build_accept(build);
    yaml_build_reset(build);
    bool empty = !root || (root->type == DOC_NULL && root->text[0] == '\0');
    return empty ? 0 : stream->fn(root, stream->arg, stream->err);
}

static int on_event(struct stream *stream, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        yaml_build_reset(&stream->build);
        return 0;
    case YAML_DOCUMENT_END_EVENT:
        return end_document(stream);
    default:
        return yaml_build_event(&stream->build, event) < 0 ? err_oom(stream->err) : 0;
    }
}

// Report libyaml's error; *ret_at is the byte of the segment where it stands.
static int report_syntax(struct stream *stream, const yaml_parser_t *parser, const char *text, size_t len,
                         size_t *ret_at)
{
    if (parser->error == YAML_MEMORY_ERROR) {
        return err_oom(stream->err);
    }
    struct err why = {0};
    const char *problem = parser->problem ? parser->problem : "unreadable";
    bool reader = parser->error == YAML_READER_ERROR;
    *ret_at = reader ? (parser->problem_offset < len ? parser->problem_offset : len)
                     : yaml_text_bytes(text, len, parser->problem_mark.index);
    unsigned line =
        stream->build.first_line + (reader ? yaml_text_lines(text, *ret_at) : (unsigned)parser->problem_mark.line);
    if (parser->context && !reader) {
        (void)err_set(&why, ERR_INPUT, (int)line, "invalid YAML: %s: %s (which starts in line %u)", problem,
                      parser->context, stream->build.first_line + (unsigned)parser->context_mark.line);
    } else {
        (void)err_set(&why, ERR_INPUT, (int)line, "invalid YAML: %s", problem);
    }
    (void)err_at_object(&why, "line %u", line);
    yaml_build_reset(&stream->build);
    return report_bad(stream, &why);
}

// Parse text to its end or to a syntax error. *ret_at: bytes that are done with.
static int parse_some(struct stream *stream, const char *text, size_t len, size_t *ret_at)
{
    __attribute__((cleanup(cleanup_parser))) yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        memset(&parser, 0, sizeof(parser));
        return err_oom(stream->err);
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    unsigned open = 0;
    for (;;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            return report_syntax(stream, &parser, text, len, ret_at);
        }
        bool last = event.type == YAML_STREAM_END_EVENT;
        size_t mark = event.start_mark.index;
        open += event.type == YAML_SEQUENCE_START_EVENT || event.type == YAML_MAPPING_START_EVENT;
        open -= event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT;
        int rc = on_event(stream, &event);
        yaml_event_delete(&event);
        if (rc == 0 && open > ABANDON_DEPTH) {
            *ret_at = yaml_text_bytes(text, len, mark);
            return end_document(stream);
        }
        if (rc < 0) {
            return rc;
        }
        if (last) {
            *ret_at = len;
            return 0;
        }
    }
}

// All documents of a part of the text, going on behind the ones with syntax errors.
static int parse_part(struct stream *stream, size_t start, size_t end, unsigned *line)
{
    while (start < end) {
        size_t done = 0;
        stream->build.first_line = *line;
        if (parse_some(stream, stream->text + start, end - start, &done) < 0) {
            return -1;
        }
        // At least one byte on: an error may stand on the very marker that the part starts with.
        size_t next = start + (done > 0 ? done : 1);
        next = next < end ? yaml_text_next_document(stream->text, end, next) : end;
        *line += yaml_text_lines(stream->text + start, next - start);
        start = next;
    }
    return 0;
}

static int report_bad_byte(struct stream *stream, size_t at, unsigned line, const char *why)
{
    struct err bad = {0};
    (void)err_set(&bad, ERR_INPUT, (int)line, "%s at byte %zu", why, at);
    (void)err_at_object(&bad, "line %u", line);
    return report_bad(stream, &bad);
}

// libyaml reads ahead, so a byte that it refuses would take the documents before it along: it never gets to see one.
int yaml_parse(const char *text, size_t len, struct arena *arena, yaml_document_fn *fn, yaml_bad_fn *bad, void *arg,
               struct err *err)
{
    __attribute__((cleanup(cleanup_stream))) struct stream stream = {
        .text = text, .len = len, .fn = fn, .bad = bad, .arg = arg, .err = err};
    if (yaml_build_init(&stream.build, arena) < 0) {
        return err_oom(err);
    }
    unsigned line = 1;
    for (size_t start = 0; start < len;) {
        const char *why = NULL;
        size_t at = yaml_text_bad(text, len, start, &why);
        size_t end = at < len ? yaml_text_document_of(text, len, start, at) : len;
        if (parse_part(&stream, start, end, &line) < 0) {
            return -1;
        }
        if (at == len) {
            return 0;
        }
        if (report_bad_byte(&stream, at, line + yaml_text_lines(text + end, at - end), why) < 0) {
            return -1;
        }
        start = yaml_text_next_document(text, len, at + 1);
        line += yaml_text_lines(text + end, start - end);
    }
    return 0;
}
