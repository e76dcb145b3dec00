// SPDX-License-Identifier: Apache-2.0
//
// The contract of a kernel backend, run inside a network namespace of its own (tests/kernel/test_backend_contract.sh):
//   backend_contract [-b BACKEND]    the cases, by cmocka; exit 77 when the kernel lacks something
//   backend_contract … probe         what the kernel lacks
//   backend_contract apply FILE | apply-known FILE | snapshot | purge     for the shell part; prints the report.
//                    apply-known believes that the kernel's sets are empty, as who has removed them does
//   backend_contract … clean-other   takes our rules out of the backends other than this one
//   backend_contract … choose        what auto would take, and why
//   backend_contract random SEED     text of a random ruleset
//   backend_contract speed N         times of filling, repeating and reading a set of N members
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/num.h"
#include "ruleset/parse.h"
#include "ruleset/render.h"
#include "sets/sets.h"
#include "support/backend_contract.h"
#include "support/random_ruleset.h"
#include "xtables/xtables.h"

enum { SKIP = 77 };

static const struct backend_ops *ops = &backend_legacy;

// ---- cases ---------------------------------------------------------------------------------------------------------

static void case_first(void **state)
{
    (void)state;
    contract_first(ops);
}

static void case_random(void **state)
{
    (void)state;
    contract_random(ops);
}

static void case_members(void **state)
{
    (void)state;
    contract_members(ops);
}

static void case_changes(void **state)
{
    (void)state;
    contract_changes(ops);
}

static void case_growth(void **state)
{
    (void)state;
    contract_growth(ops);
}

static void case_retype(void **state)
{
    (void)state;
    contract_retype(ops);
}

// Ends the process at every step of a change in turn: the next apply finds its way, and no half-made set stays.
static void case_killed(void **state)
{
    (void)state;
    struct rng rng = {rng_seed("case_killed")};
    for (size_t round = 0; round < 5; round++) {
        CLEANUP(ruleset_free) struct ruleset *old = random_ruleset(&rng);
        CLEANUP(ruleset_free) struct ruleset *new = contract_change(&rng, old);
        struct contract contract = {0};
        contract_open(&contract, ops);
        bool died = true;
        for (size_t at = 1; died; at++) {
            (void)contract_apply(&contract, NULL, old);
            pid_t child = fork();
            assert_true(child >= 0);
            if (child == 0) {
                contract.fail_at = contract.before + contract.after + at;
                _exit(ops->apply(contract.backend, NULL, new, NULL, NULL) < 0);
            }
            int status = 0;
            assert_int_equal(waitpid(child, &status, 0), child);
            assert_true(WIFEXITED(status));
            died = WEXITSTATUS(status) != 0;
            assert_true(!died || WEXITSTATUS(status) == 9);
            (void)contract_apply(&contract, NULL, new);
            contract_expect(&contract, new);
        }
        struct err err = {0};
        assert_int_equal(ops->purge(contract.backend, NULL, &err), 0);
        contract_close(&contract);
    }
}

static void legacy_lock(void **state)
{
    (void)state;
    const char *path = "/run/np-contract.lock";
    int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    const struct backend_options options = {.lock_path = path, .lock_wait_ms = 200};
    struct backend *backend = NULL;
    struct apply_report report = {0};
    struct err err = {0};
    CLEANUP(ruleset_free) struct ruleset *want = contract_big(2, NULL);
    assert_int_equal(ops->open(&options, &backend, &err), 0);
    uint64_t begun = num_now_ms();
    assert_int_equal(ops->apply(backend, NULL, want, &report, &err), -1);
    uint64_t took = num_now_ms() - begun;
    assert_int_equal(err.kind, ERR_RETRY);
    assert_non_null(strstr(err.msg, path));
    assert_true(took >= 200 && took < 2000);
    assert_int_equal(flock(fd, LOCK_UN), 0);
    assert_int_equal(ops->apply(backend, NULL, want, &report, &err), 0);
    assert_int_equal(ops->purge(backend, &report, &err), 0);
    ops->close(backend);
    (void)close(fd);
    (void)unlink(path);
}

// Another program, which does not take the lock, changes the table between our reading and our commit.
struct intruder {
    unsigned left;
    size_t commits;
};

static void intrude(const char *what, bool after, void *arg)
{
    struct intruder *intruder = arg;
    if (strcmp(what, "commit") != 0 || after) {
        return;
    }
    intruder->commits++;
    if (intruder->left == 0) {
        return;
    }
    intruder->left--;
    const struct xtables_rule rule = {.icmp_type = -1, .hop_limit = -1, .verdict = XTABLES_ACCEPT, .protocol = 6};
    struct xtables *table = NULL;
    struct err err = {0};
    if (xtables_open(XTABLES_V4, &table, &err) < 0 || xtables_append(table, "FORWARD", &rule, &err) < 0 ||
        xtables_commit(table, &err) < 0) {
        fail_msg("intrude: %s", err.msg);
    }
    xtables_close(table);
}

static int count_rule(const struct xtables_view *view, void *arg, struct err *err)
{
    (void)err;
    *(size_t *)arg += strcmp(view->target, "ACCEPT") == 0;
    return 0;
}

static void legacy_intruder(void **state)
{
    (void)state;
    struct intruder intruder = {.left = 2};
    const struct backend_options options = {.step = intrude, .step_arg = &intruder};
    struct backend *backend = NULL;
    struct apply_report report = {0};
    struct err err = {0};
    CLEANUP(ruleset_free) struct ruleset *want = contract_big(2, NULL);
    assert_int_equal(ops->open(&options, &backend, &err), 0);
    if (ops->apply(backend, NULL, want, &report, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    assert_int_equal(intruder.commits, 3);
    assert_int_equal(report.commits, 1);
    assert_int_equal(report.chains_created, 1);

    intruder = (struct intruder){.left = 100};
    want->tables[FAMILY_V4].n_chains = 0;
    assert_int_equal(ops->apply(backend, NULL, want, &report, &err), -1);
    assert_int_equal(err.num, EAGAIN);
    assert_int_equal(err.kind, ERR_RETRY);
    intruder = (struct intruder){0};
    assert_int_equal(ops->purge(backend, &report, &err), 0);

    struct xtables *table = NULL;
    size_t foreign = 0;
    assert_int_equal(xtables_open(XTABLES_V4, &table, &err), 0);
    assert_int_equal(xtables_read(table, "FORWARD", count_rule, &foreign, &err), 0);
    assert_int_equal(foreign, 2 + 5);
    for (size_t i = 0; i < foreign; i++) {
        assert_int_equal(xtables_delete(table, "FORWARD", 0, &err), 0);
    }
    assert_int_equal(xtables_commit(table, &err), 0);
    xtables_close(table);
    ops->close(backend);
}

// Wrong knowledge of the sets is an error that asks to read them, not damage.
static void case_stale_have(void **state)
{
    (void)state;
    struct contract contract = {0};
    struct apply_report report = {0};
    struct err err = {0};
    CLEANUP(ruleset_free) struct ruleset *three = contract_big(3, NULL);
    CLEANUP(ruleset_free) struct ruleset *five = contract_big(5, NULL);
    const struct ruleset nothing = {0};
    contract_open(&contract, ops);
    assert_int_equal(ops->apply(contract.backend, three, five, &report, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    contract.before = contract.after;
    (void)contract_apply(&contract, NULL, three);
    assert_int_equal(ops->apply(contract.backend, &nothing, five, &report, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    assert_int_equal(err.num, EEXIST);
    contract.before = contract.after;
    (void)contract_apply(&contract, NULL, five);
    contract_expect(&contract, five);
    assert_int_equal(ops->purge(contract.backend, NULL, &err), 0);
    contract_close(&contract);
}

// Sets of our names that are none of ours: another family or options. Unused they go; used they are named.
static void case_alien_sets(void **state)
{
    (void)state;
    struct contract contract = {0};
    struct sets *sets = NULL;
    struct err err = {0};
    struct apply_report report = {0};
    CLEANUP(ruleset_free) struct ruleset *want = contract_big(3, NULL);
    contract_open(&contract, ops);
    assert_int_equal(sets_open(&sets, &err), 0);
    assert_int_equal(sets_create(sets, "NP4-BIG", SETS_HASH_IP, SETS_V6, 64, 100, &err), 0);
    assert_int_equal(sets_create(sets, "NP4-OTHER", SETS_HASH_NET, SETS_V6, 64, 100, &err), 0);
    report = contract_apply(&contract, NULL, want);
    assert_int_equal(report.sets_destroyed, 2);
    contract_expect(&contract, want);
    assert_int_equal(ops->purge(contract.backend, NULL, &err), 0);

    uint16_t index = 0;
    struct xtables *table = NULL;
    assert_int_equal(sets_create(sets, "NP4-BIG", SETS_HASH_NET, SETS_V4, 64, 100, &err), 0);
    assert_int_equal(sets_index(sets, "NP4-BIG", &index, &err), 0);
    const struct xtables_rule rule = {
        .icmp_type = -1, .hop_limit = -1, .has_set = true, .set_index = index, .set_dimensions = 1};
    assert_int_equal(xtables_open(XTABLES_V4, &table, &err), 0);
    assert_int_equal(xtables_append(table, "INPUT", &rule, &err), 0);
    assert_int_equal(xtables_commit(table, &err), 0);
    xtables_close(table);
    assert_int_equal(ops->apply(contract.backend, NULL, want, &report, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    assert_non_null(strstr(err.msg, "NP4-BIG"));
    assert_non_null(strstr(err.msg, "remove that rule"));
    assert_int_equal(xtables_open(XTABLES_V4, &table, &err), 0);
    assert_int_equal(xtables_delete(table, "INPUT", 0, &err), 0);
    assert_int_equal(xtables_commit(table, &err), 0);
    xtables_close(table);
    contract.before = contract.after;
    (void)contract_apply(&contract, NULL, want);
    contract_expect(&contract, want);
    assert_int_equal(ops->purge(contract.backend, NULL, &err), 0);
    sets_close(sets);
    contract_close(&contract);
}

// What the kernel refuses of a member names the member.
static void case_refused_member(void **state)
{
    (void)state;
    struct sets *sets = NULL;
    struct err err = {0};
    static struct sets_member members[2500];
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        members[i] = (struct sets_member){.address = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}, .length = 32};
    }
    members[1700].length = 77;
    assert_int_equal(sets_open(&sets, &err), 0);
    assert_int_equal(sets_create(sets, "NP4-R", SETS_HASH_NET, SETS_V4, 64, 65536, &err), 0);
    assert_int_equal(sets_add(sets, "NP4-R", SETS_V4, SETS_HASH_NET, members, ARRAY_SIZE(members), &err), -1);
    assert_string_equal(err.msg, "add 10.0.6.164/77 to set NP4-R: the prefix length is out of range");
    assert_int_equal(sets_create(sets, "NP4-R", SETS_HASH_NET, SETS_V4, 64, 65536, &err), -1);
    assert_int_equal(err.num, EEXIST);
    assert_int_equal(sets_destroy(sets, "NP4-R", &err), 0);
    assert_int_equal(sets_destroy(sets, "NP4-R", &err), 0);
    assert_int_equal(sets_add(sets, "NP4-R", SETS_V4, SETS_HASH_NET, members, 1, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    sets_close(sets);
}

// Fails every write in turn with each error that a kernel has for it: never silently, never for good.
static void case_faults(void **state)
{
    (void)state;
    contract_faults(ops);
}

static void case_full(void **state)
{
    (void)state;
    contract_full(ops);
}

static int run_cases(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(case_first),      cmocka_unit_test(case_random),     cmocka_unit_test(case_members),
        cmocka_unit_test(case_changes),    cmocka_unit_test(case_full),       cmocka_unit_test(case_growth),
        cmocka_unit_test(case_retype),     cmocka_unit_test(case_killed),     cmocka_unit_test(case_faults),
        cmocka_unit_test(case_stale_have), cmocka_unit_test(case_alien_sets), cmocka_unit_test(case_refused_member),
    };
    const struct CMUnitTest legacy[] = {cmocka_unit_test(legacy_lock), cmocka_unit_test(legacy_intruder)};
    int failed = cmocka_run_group_tests_name("cases", tests, NULL, NULL);
    return ops == &backend_legacy ? failed + cmocka_run_group_tests_name("legacy", legacy, NULL, NULL) : failed;
}

// ---- verbs of the shell part ---------------------------------------------------------------------------------------

static int complain(const struct err *err)
{
    char text[1024];
    (void)fprintf(stderr, "backend_contract: %s: %s\n", err_kind_name(err->kind), err_text(err, text, sizeof(text)));
    return 1;
}

static int print_report(const struct apply_report *report)
{
    (void)printf("writes=%zu commits=%zu sets+%zu-%zu members+%zu-%zu chains+%zu~%zu-%zu hooks=%zu", report->writes,
                 report->commits, report->sets_created, report->sets_destroyed, report->members_added,
                 report->members_removed, report->chains_created, report->chains_rewritten, report->chains_deleted,
                 report->hooks_written);
    if (report->pinned.n) {
        (void)printf(" pinned=%zu: %s", report->pinned.n, report->pinned.names);
    }
    (void)putchar('\n');
    return 0;
}

static int read_ruleset(const char *path, struct ruleset **ret, struct err *err)
{
    BUF_CLEANUP struct buf text = {0};
    char chunk[65536];
    FILE *file = fopen(path, "re");
    if (!file) {
        return err_errno(err, "open %s", path);
    }
    for (size_t got; (got = fread(chunk, 1, sizeof(chunk), file)) > 0;) {
        buf_add(&text, chunk, got);
    }
    (void)fclose(file);
    return text.failed ? err_oom(err) : parse_restore(text.data ? text.data : "", text.len, ret, err);
}

static int run_apply(struct backend *backend, const char *path)
{
    CLEANUP(ruleset_free) struct ruleset *want = NULL;
    struct apply_report report = {0};
    struct err err = {0};
    if (read_ruleset(path, &want, &err) < 0 || backend->ops->apply(backend, NULL, want, &report, &err) < 0) {
        return complain(&err);
    }
    return print_report(&report);
}

static int run_apply_known(struct backend *backend, const char *path)
{
    CLEANUP(ruleset_free) struct ruleset *want = NULL;
    const struct ruleset nothing = {0};
    struct apply_report report = {0};
    struct err err = {0};
    if (read_ruleset(path, &want, &err) < 0 ||
        backend_apply(backend->ops, backend, &nothing, want, &report, &err) < 0) {
        return complain(&err);
    }
    return print_report(&report);
}

static int run_snapshot(struct backend *backend)
{
    CLEANUP(ruleset_free) struct ruleset *seen = NULL;
    BUF_CLEANUP struct buf text = {0};
    struct err err = {0};
    if (backend->ops->snapshot(backend, &seen, &err) < 0) {
        return complain(&err);
    }
    render_restore(seen, &text);
    (void)fputs(text.data ? text.data : "", stdout);
    return 0;
}

static int run_purge(struct backend *backend)
{
    struct apply_report report = {0};
    struct err err = {0};
    return backend->ops->purge(backend, &report, &err) < 0 ? complain(&err) : print_report(&report);
}

static int run_random(const char *number)
{
    uint64_t seed = 0;
    if (!num_parse_u64(number, strlen(number), UINT64_MAX, &seed)) {
        return 3;
    }
    struct rng rng = {seed};
    CLEANUP(ruleset_free) struct ruleset *ruleset = random_ruleset(&rng);
    BUF_CLEANUP struct buf text = {0};
    render_restore(ruleset, &text);
    (void)fputs(text.data ? text.data : "", stdout);
    return 0;
}

static double apply_ms(struct backend *backend, const struct ruleset *have, const struct ruleset *want)
{
    struct apply_report report = {0};
    struct err err = {0};
    uint64_t begun = num_now_ns();
    if (backend->ops->apply(backend, have, want, &report, &err) < 0) {
        (void)complain(&err);
        exit(1);
    }
    return (double)(num_now_ns() - begun) / 1e6;
}

static int run_speed(struct backend *backend, const char *number)
{
    uint64_t n = 0;
    if (!num_parse_u64(number, strlen(number), 4000000, &n) || n == 0) {
        return 3;
    }
    CLEANUP(ruleset_free) struct ruleset *want = contract_big((size_t)n, NULL);
    CLEANUP(ruleset_free) struct ruleset *less = contract_big((size_t)n, "10.0.0.1");
    const struct ruleset nothing = {0};
    double fill = apply_ms(backend, &nothing, want);
    (void)printf(
        "%llu members: fill %.1f ms (%.2f M/s), repeat known %.2f ms, repeat unknown %.1f ms, one less %.2f ms\n",
        (unsigned long long)n, fill, (double)n / fill / 1e3, apply_ms(backend, want, want),
        apply_ms(backend, NULL, want), apply_ms(backend, want, less));
    return run_purge(backend);
}

static int run_clean_other(void)
{
    struct apply_report report = {0};
    struct err err = {0};
    return backend_clean_other(ops, NULL, &report, &err) < 0 ? complain(&err) : print_report(&report);
}

static int run_choose(void)
{
    struct backend_choice choice;
    struct err err = {0};
    if (backend_choose("auto", &choice, &err) < 0) {
        return complain(&err);
    }
    (void)printf("%s: %s\n", choice.ops->name, choice.why);
    return 0;
}

int main(int argc, char **argv)
{
    struct err err = {0};
    struct backend *backend = NULL;
    if (argc > 2 && strcmp(argv[1], "-b") == 0) {
        ops = backend_find(argv[2]);
        argc -= 2;
        argv += 2;
    }
    if (!ops) {
        return 3;
    }
    if (ops->probe(&err) < 0) {
        (void)complain(&err);
        (void)fprintf(stderr, "SKIPPED: the kernel cannot run the %s backend: %s\n", ops->name, err.msg);
        return SKIP;
    }
    if (argc < 2) {
        return run_cases();
    }
    if (strcmp(argv[1], "probe") == 0) {
        return 0;
    }
    if (ops->open(NULL, &backend, &err) < 0) {
        return complain(&err);
    }
    int result = 3;
    if (argc == 3 && strcmp(argv[1], "apply") == 0) {
        result = run_apply(backend, argv[2]);
    } else if (argc == 3 && strcmp(argv[1], "apply-known") == 0) {
        result = run_apply_known(backend, argv[2]);
    } else if (argc == 2 && strcmp(argv[1], "snapshot") == 0) {
        result = run_snapshot(backend);
    } else if (argc == 2 && strcmp(argv[1], "purge") == 0) {
        result = run_purge(backend);
    } else if (argc == 2 && strcmp(argv[1], "clean-other") == 0) {
        result = run_clean_other();
    } else if (argc == 2 && strcmp(argv[1], "choose") == 0) {
        result = run_choose();
    } else if (argc == 3 && strcmp(argv[1], "random") == 0) {
        result = run_random(argv[2]);
    } else if (argc == 3 && strcmp(argv[1], "speed") == 0) {
        result = run_speed(backend, argv[2]);
    }
    ops->close(backend);
    return result;
}
