// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cli.h"

static bool verbose;
static const char *path;
static struct cli_list files;
static uint64_t period;
static uint64_t code;
static unsigned verdict;

static const struct cli_option options[] = {
    {.name = "verbose", .letter = 'v', .kind = CLI_FLAG, .target = &verbose, .help = "Say more."},
    {.name = "path", .kind = CLI_STRING, .target = &path, .arg = "PATH", .help = "A path."},
    {.name = "file", .letter = 'f', .kind = CLI_LIST, .target = &files, .arg = "FILE", .help = "Files."},
    {.name = "sync-period",
     .kind = CLI_DURATION,
     .target = &period,
     .arg = "TIME",
     .preset = "60s",
     .help = "How often."},
    {.name = "code", .kind = CLI_NUMBER, .target = &code, .arg = "N", .max = 255, .help = "A number."},
    {.name = "verdict", .kind = CLI_CHOICE, .target = &verdict, .choices = "drop|reject", .help = "Which."},
    {0},
};

static int reset(void **state)
{
    (void)state;
    verbose = false;
    path = NULL;
    period = 60000;
    code = 0;
    verdict = 0;
    (void)unsetenv("NETPOLD_VERDICT");
    (void)unsetenv("NETPOLD_FILE");
    (void)unsetenv("NETPOLD_SYNC_PERIOD");
    (void)unsetenv("NETPOLD_VERBOSE");
    return 0;
}

static int parse(struct cli_list *words, struct err *err, int argc, const char *const *argv)
{
    return cli_parse(options, argc, (char *const *)(uintptr_t)argv, words, err);
}
#define ARGS(...) ((const char *[]){"prog", __VA_ARGS__, NULL})
#define PARSE(words, err, ...) parse((words), (err), (int)ARRAY_SIZE(ARGS(__VA_ARGS__)) - 1, ARGS(__VA_ARGS__))

static void every_kind_is_read(void **state)
{
    (void)state;
    struct cli_list words = {0};
    struct err err = {0};
    assert_int_equal(PARSE(&words, &err, "-v", "--path=/x y", "-fa", "-f", "b", "--file", "c", "--sync-period", "1m30s",
                           "--code", "007", "--verdict", "reject", "one", "-", "--", "--two"),
                     0);
    assert_true(verbose);
    assert_string_equal(path, "/x y");
    assert_int_equal(files.n, 3);
    assert_string_equal(files.v[2], "c");
    assert_int_equal(period, 90000);
    assert_int_equal(code, 7);
    assert_int_equal(verdict, 1);
    assert_int_equal(words.n, 3);
    assert_string_equal(words.v[1], "-");
    assert_string_equal(words.v[2], "--two");
    cli_lists_free(options, &words);
}

static void refused(const char *part, struct err *err, int rc)
{
    assert_int_equal(rc, -1);
    assert_int_equal(err->kind, ERR_USAGE);
    if (!strstr(err->msg, part)) {
        fail_msg("\"%s\" does not say \"%s\"", err->msg, part);
    }
}

static void bad_words_name_the_option_and_the_fix(void **state)
{
    (void)state;
    struct cli_list words = {0};
    struct err err = {0};
    refused("did you mean --path", &err, PARSE(&words, &err, "--pth", "x"));
    refused("--path needs a value", &err, PARSE(&words, &err, "--path"));
    refused("a duration such as", &err, PARSE(&words, &err, "--sync-period", "60"));
    refused("a duration such as", &err, PARSE(&words, &err, "--sync-period", "1s1h"));
    refused("0 to 255", &err, PARSE(&words, &err, "--code", "256"));
    refused("0 to 255", &err, PARSE(&words, &err, "--code", "-1"));
    refused("0 to 255", &err, PARSE(&words, &err, "--code", "99999999999999999999999"));
    refused("drop|reject", &err, PARSE(&words, &err, "--verdict", "dro"));
    refused("drop|reject", &err, PARSE(&words, &err, "--verdict", ""));
    refused("unknown option -x", &err, PARSE(&words, &err, "-x"));
    refused("true or false", &err, PARSE(&words, &err, "--verbose=maybe"));
    cli_lists_free(options, &words);
}

static void the_environment_is_read_and_the_command_line_wins(void **state)
{
    (void)state;
    struct cli_list words = {0};
    struct err err = {0};
    (void)setenv("NETPOLD_VERDICT", "reject", 1);
    (void)setenv("NETPOLD_FILE", "env.yaml", 1);
    (void)setenv("NETPOLD_SYNC_PERIOD", "5s", 1);
    (void)setenv("NETPOLD_VERBOSE", "true", 1);
    assert_int_equal(PARSE(&words, &err, "--sync-period", "7s"), 0);
    assert_int_equal(verdict, 1);
    assert_int_equal(period, 7000);
    assert_true(verbose);
    assert_int_equal(files.n, 1);
    cli_lists_free(options, &words);
    assert_int_equal(PARSE(&words, &err, "-f", "line.yaml", "--verdict=drop"), 0);
    assert_int_equal(files.n, 1);
    assert_string_equal(files.v[0], "line.yaml");
    assert_int_equal(verdict, 0);
    cli_lists_free(options, &words);
    (void)setenv("NETPOLD_VERDICT", "maybe", 1);
    refused("drop|reject", &err, PARSE(&words, &err, "-v"));
    cli_lists_free(options, &words);
}

static void an_empty_variable_is_none(void **state)
{
    (void)state;
    static const char *const names[] = {"NETPOLD_VERDICT", "NETPOLD_FILE", "NETPOLD_SYNC_PERIOD", "NETPOLD_VERBOSE"};
    struct cli_list words = {0};
    struct err err = {0};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        (void)setenv(names[i], "", 1);
    }
    assert_int_equal(PARSE(&words, &err, "one"), 0);
    assert_int_equal(verdict, 0);
    assert_int_equal(files.n, 0);
    assert_int_equal(period, 60000);
    assert_false(verbose);
    cli_lists_free(options, &words);
}

static void help_stays_within_80_columns(void **state)
{
    (void)state;
    struct buf BUF_CLEANUP out = {0};
    cli_help(options, &out);
    assert_non_null(strstr(out.data, "--sync-period TIME"));
    assert_non_null(strstr(out.data, "(default 60s)"));
    for (const char *line = out.data; *line;) {
        size_t len = strcspn(line, "\n");
        assert_true(len <= 80);
        line += len + 1;
    }
}

static void near_words_are_found_and_far_ones_are_not(void **state)
{
    (void)state;
    const char *const words[] = {"render", "check", "explain", NULL};
    assert_string_equal(cli_nearest("rendr", words), "render");
    assert_string_equal(cli_nearest("chekc", words), "check");
    assert_null(cli_nearest("xyz", words));
}

static void a_full_table_is_refused(void **state)
{
    (void)state;
    struct cli_option table[4] = {0};
    assert_int_equal(cli_append(table, 4, options), -1);
    struct cli_option room[8] = {0};
    assert_int_equal(cli_append(room, 8, options), 0);
    assert_null(room[6].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_kind_is_read, reset),
        cmocka_unit_test_setup(bad_words_name_the_option_and_the_fix, reset),
        cmocka_unit_test_setup(the_environment_is_read_and_the_command_line_wins, reset),
        cmocka_unit_test_setup(an_empty_variable_is_none, reset),
        cmocka_unit_test(help_stays_within_80_columns),
        cmocka_unit_test(near_words_are_found_and_far_ones_are_not),
        cmocka_unit_test(a_full_table_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
