// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/log.h"

static char last[4096];
static int lines;

static void capture(const char *line, void *arg)
{
    (void)arg;
    lines++;
    (void)snprintf(last, sizeof(last), "%s", line);
}

static void configure(enum log_level level, enum log_format format)
{
    log_configure(&(struct log_config){.level = level, .format = format, .sink = capture});
    last[0] = '\0';
    lines = 0;
}

static void assert_tail(const char *want)
{
    const char *at = strstr(last, want);
    assert_non_null(at);
    assert_string_equal(at, want);
}

static void test_text_line(void **state)
{
    (void)state;
    configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    log_event(LOG_LEVEL_INFO, "applied", "family=%d error=%s", 4, log_quote("a \"b\"\nc"));
    assert_int_equal(strncmp(last, "time=2", 6), 0);
    assert_tail("level=info event=applied family=4 error=\"a \\\"b\\\"\\nc\"");
}

static void test_level_filters(void **state)
{
    (void)state;
    configure(LOG_LEVEL_WARN, LOG_FORMAT_TEXT);
    log_event(LOG_LEVEL_INFO, "quiet", "a=%d", 1);
    assert_int_equal(lines, 0);
    assert_false(log_enabled(LOG_LEVEL_DEBUG));
    log_event(LOG_LEVEL_ERROR, "loud", "a=%d", 1);
    assert_int_equal(lines, 1);
    assert_tail("level=error event=loud a=1");
}

static void test_json_members(void **state)
{
    (void)state;
    configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_event(LOG_LEVEL_WARN, "x", "n=%d f=%s z=%s ip=%s ok=%s q=%s", -4, "0.25", "007", "10.0.0.1", "true",
              log_quote("7"));
    assert_int_equal(strncmp(last, "{\"time\":\"2", 10), 0);
    assert_tail("\"level\":\"warn\",\"event\":\"x\",\"n\":-4,\"f\":0.25,\"z\":\"007\",\"ip\":\"10.0.0.1\",\"ok\":true,"
                "\"q\":\"7\"}");
}

static void test_json_unquotes(void **state)
{
    (void)state;
    configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_event(LOG_LEVEL_INFO, "x", "a=%s b=%s", log_quote("p \"q\" \\ \n\x01\xff="), log_quote(""));
    assert_tail(",\"a\":\"p \\\"q\\\" \\\\ \\n\\u0001\\\\xff=\",\"b\":\"\"}");
}

// What a tenant may put into a name must not become a second line or a second pair.
static void test_one_event_is_one_line(void **state)
{
    (void)state;
    configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    log_event(LOG_LEVEL_INFO, "x", "a=%s", "one\ntwo\x1b[31m");
    assert_null(strchr(last, '\n'));
    assert_null(strchr(last, '\x1b'));
}

static void test_quote_is_bounded_and_rotates(void **state)
{
    (void)state;
    char big[5000];
    memset(big, 'a', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    const char *quoted = log_quote(big);
    assert_true(strlen(quoted) < 1024);
    assert_string_equal(quoted + strlen(quoted) - 4, "...\"");
    // Cut between characters, never inside one.
    for (size_t i = 0; i + 2 < sizeof(big) - 1; i += 2) {
        memcpy(big + i, "\xc3\xa9", 2);
    }
    quoted = log_quote(big);
    assert_null(strstr(quoted, "\xc3."));
    const char *a = log_quote("a");
    const char *b = log_quote("b");
    const char *c = log_quote("c");
    const char *d = log_quote("d");
    assert_string_equal(a, "\"a\"");
    assert_string_equal(b, "\"b\"");
    assert_string_equal(c, "\"c\"");
    assert_string_equal(d, "\"d\"");
    assert_string_equal(log_quote(NULL), "\"\"");
}

static void test_names_parse(void **state)
{
    (void)state;
    enum log_level level = LOG_LEVEL_ERROR;
    enum log_format format = LOG_FORMAT_TEXT;
    assert_true(log_level_parse("debug", &level));
    assert_int_equal(level, LOG_LEVEL_DEBUG);
    assert_false(log_level_parse("loud", &level));
    assert_true(log_format_parse("json", &format));
    assert_int_equal(format, LOG_FORMAT_JSON);
    assert_false(log_format_parse("", &format));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_line),
        cmocka_unit_test(test_level_filters),
        cmocka_unit_test(test_json_members),
        cmocka_unit_test(test_json_unquotes),
        cmocka_unit_test(test_one_event_is_one_line),
        cmocka_unit_test(test_quote_is_bounded_and_rotates),
        cmocka_unit_test(test_names_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
