// SPDX-License-Identifier: Apache-2.0
#include "support/sync_fixture.h"

#include <setjmp.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/num.h"
#include "decode/decode.h"

struct sync_spy spy;

static int spy_probe(struct err *err)
{
    return spy.fail_open ? err_set(err, ERR_UNSUPPORTED, 0, "load ip_tables") : backend_memory.probe(err);
}

static int spy_open(const struct backend_options *options, struct backend **ret, struct err *err)
{
    return backend_memory.open(options, ret, err);
}

// Another program removes everything of ours.
static int play_drift(struct backend *backend, bool *when, struct err *err)
{
    struct apply_report ignored;
    if (!*when) {
        return 0;
    }
    *when = false;
    return backend_memory.purge(backend, &ignored, err);
}

// A set that is not wanted and stays, since a rule of others uses it.
static int add_pinned(struct ruleset *ruleset, struct err *err)
{
    struct table *table = &ruleset->tables[FAMILY_V4];
    struct set *sets = arena_alloc(&ruleset->arena, (table->n_sets + 1) * sizeof(*sets));
    if (!sets) {
        return err_oom(err);
    }
    const struct set old = {.name = "NP4-", .type = SET_HASH_IP, .describe = ""};  // before every other name
    sets[0] = old;
    memcpy(sets + 1, table->sets, table->n_sets * sizeof(*sets));
    table->sets = sets;
    table->n_sets++;
    return 0;
}

// A jump behind the rules of others, as a snapshot tells it.
static int push_jumps(struct ruleset *ruleset, struct err *err)
{
    struct table *table = &ruleset->tables[FAMILY_V4];
    struct hook *hooks = arena_alloc(&ruleset->arena, table->n_hooks * sizeof(*hooks));
    if (!hooks) {
        return err_oom(err);
    }
    memcpy(hooks, table->hooks, table->n_hooks * sizeof(*hooks));
    for (size_t i = 0; i < table->n_hooks; i++) {
        if (strcmp(hooks[i].builtin, "FORWARD") == 0) {
            hooks[i].rule.comment = BACKEND_MISPLACED_HOOK;
        }
    }
    table->hooks = hooks;
    return 0;
}

static int spy_snapshot(struct backend *backend, struct ruleset **ret, struct err *err)
{
    spy.snapshots++;
    if (spy.fail_snapshots > 0) {
        spy.fail_snapshots--;
        return err_set(err, ERR_RETRY, 0, "the rules change faster than they can be read");
    }
    return play_drift(backend, &spy.drift, err) < 0 || backend_memory.snapshot(backend, ret, err) < 0 ||
                   (spy.pinned && add_pinned(*ret, err) < 0) || (spy.pushed && push_jumps(*ret, err) < 0)
               ? -1
               : 0;
}

// A step of backend_apply before the last one.
static bool is_interim(const struct ruleset *want)
{
    for (size_t i = 0; i < want->tables[FAMILY_V4].n_sets; i++) {
        size_t len = strlen(want->tables[FAMILY_V4].sets[i].name);
        if (len > 2 && want->tables[FAMILY_V4].sets[i].name[len - 2] == '-') {
            return true;
        }
    }
    return false;
}

static int spy_apply(struct backend *backend, const struct ruleset *have, const struct ruleset *want,
                     struct apply_report *ret, struct err *err)
{
    spy.applies += have && !is_interim(want);
    spy.read_backs += !have;
    if (spy.fail_next > 0) {
        spy.fail_next--;
        return err_set(err, ERR_RETRY, 0, "the lock is busy");
    }
    if (play_drift(backend, &spy.drift, err) < 0) {
        return -1;
    }
    int rc = backend_memory.apply(backend, have, want, ret, err);
    spy.anywhere = want->tables[FAMILY_V4].n_hooks && want->tables[FAMILY_V4].hooks[0].anywhere;
    ret->writes += spy.pushed && !spy.anywhere;  // the jump put back
    if (!have && spy.pinned) {
        ret->pinned = (struct leftovers){.n = spy.pinned, .names = "set NP4-OLD"};
    }
    spy.last = *ret;
    return rc;
}

static int spy_change_members(struct backend *backend, const struct set_change *changes, size_t n,
                              struct apply_report *ret, struct err *err)
{
    spy.member_changes++;
    if (spy.fail_next > 0) {
        spy.fail_next--;
        return err_set(err, ERR_RETRY, 0, "the kernel is busy");
    }
    if (play_drift(backend, &spy.lose_sets, err) < 0) {
        return -1;
    }
    int rc = backend_memory.change_members(backend, changes, n, ret, err);
    if (rc == 0) {
        spy.last = *ret;
    }
    return rc;
}

static int spy_purge(struct backend *backend, struct apply_report *ret, struct err *err)
{
    return backend_memory.purge(backend, ret, err);
}

static int spy_stamp(struct backend *backend, uint64_t *ret, struct err *err)
{
    (void)backend;
    (void)err;
    spy.stamps++;
    *ret = spy.stamp;
    return 0;
}

static struct backend_ops spy_ops = {
    .name = "spy",
    .probe = spy_probe,
    .open = spy_open,
    .snapshot = spy_snapshot,
    .apply = spy_apply,
    .change_members = spy_change_members,
    .purge = spy_purge,
    .stamp = spy_stamp,
};

static int spy_ahead(struct findings *ret, struct err *err)
{
    if (spy.fail_ahead) {
        return err_set(err, ERR_DENIED, 0, "CAP_NET_RAW is missing");
    }
    return spy.ahead
               ? findings_add(ret, spy.ahead_where ? spy.ahead_where : "IPv4 filter FORWARD rule 1", spy.ahead, err)
               : 0;
}

static void spy_step(const char *what, bool after, void *arg)
{
    (void)what;
    (void)arg;
    spy.steps += after;
}

static int spy_fail(const char *what, void *arg)
{
    (void)arg;
    if (!spy.fail_step || strcmp(spy.fail_step, what) != 0 || spy.fail_count == 0) {
        return 0;
    }
    spy.fail_count--;
    spy.failed_steps++;
    return spy.fail_num;
}

uint64_t fixture_period_ms;
bool fixture_overwritable;
uint64_t fixture_interval_ms = 100;

static struct fixture *current;

static void capture(const char *line, void *arg)
{
    (void)arg;
    size_t len = strlen(current->log);
    (void)snprintf(current->log + len, sizeof(current->log) - len, "%s\n", line);
}

int count_log(const struct fixture *f, const char *what)
{
    int n = 0;
    for (const char *p = f->log; (p = strstr(p, what)); p++) {
        n++;
    }
    return n;
}

static void on_timeout(void *arg)
{
    struct fixture *f = arg;
    loop_quit(f->loop, 0);
}

static void on_applied(const struct sync_applied *applied, void *arg)
{
    struct fixture *f = arg;
    f->applied += applied->structural;
    f->everything += applied->everything;
}

int sync_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    if (!f) {
        return -1;
    }
    *state = current = f;
    memset(&spy, 0, sizeof(spy));
    log_configure(&(struct log_config){.level = LOG_LEVEL_DEBUG, .sink = capture});
    health_init(&f->health, num_now_ms());
    (void)health_set(&f->health, HEALTH_HOST, true, "");
    (void)health_set(&f->health, HEALTH_BRIDGE, true, "");
    (void)health_set(&f->health, HEALTH_CNI, true, "");
    if (loop_new(&f->loop, &f->err) < 0 || loop_add_timer(f->loop, on_timeout, f, &f->timeout, &f->err) < 0 ||
        state_new(&f->state, &f->err) < 0 || metrics_new(&f->metrics, &f->err) < 0 ||
        facts_new(&f->facts, &f->err) < 0) {
        return -1;
    }
    struct sync_config config = {.loop = f->loop,
                                 .state = f->state,
                                 .node = "n1",
                                 .ops = &spy_ops,
                                 .metrics = f->metrics,
                                 .health = &f->health,
                                 .min_apply_interval_ms = fixture_interval_ms,
                                 .retry_min_ms = 20,
                                 .retry_max_ms = 1280,
                                 .settle_ms = 100,
                                 .look_ms = 20,
                                 .stamp_ms = 10,
                                 .rules_ahead = spy_ahead,
                                 .applied = on_applied,
                                 .applied_arg = f};
    config.period_ms = fixture_period_ms;
    spy_ops.overwritable = fixture_overwritable;
    // These facts know no place of any pod: the guard would need a set of all of them, which no real host needs.
    config.options.encap_allowed = true;
    config.backend_options = (struct backend_options){.step = spy_step, .fail = spy_fail};
    return sync_new(&config, &f->sync, &f->err);
}

int sync_teardown(void **state)
{
    struct fixture *f = *state;
    sync_free(f->sync);
    facts_free(f->facts);
    metrics_free(f->metrics);
    state_free(f->state);
    loop_free(f->loop);
    free(f);
    return 0;
}

void run(struct fixture *f, unsigned ms)
{
    loop_arm(f->timeout, ms);
    assert_int_equal(loop_run(f->loop, &f->err), 0);
}

int put_object(enum object_kind kind, void *object, void *arg, struct err *err)
{
    return state_put(arg, kind, object, err) < 0 ? -1 : 0;
}

void load(struct fixture *f, const char *text)
{
    struct diagnostics diagnostics = {0};
    struct decode_stats stats = {0};
    assert_int_equal(decode_text(text, strlen(text), "test.yaml", put_object, f->state, &diagnostics, &stats, &f->err),
                     0);
    assert_int_equal(diagnostics.list.n, 0);
    diagnostics_free(&diagnostics);
}

const char namespace_x[] = "apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n";
const char deny_all[] = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
                        "metadata: {name: deny, namespace: x}\nspec: {podSelector: {}}\n";

void put_pod(struct fixture *f, const char *name, const char *node, const char *address, const char *label)
{
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "apiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: x, labels: {app: %s}}\n"
                   "spec: {nodeName: %s}\nstatus: {phase: Running, podIPs: [{ip: %s}]}\n",
                   name, label, node, address);
    load(f, text);
}

// A namespace with an isolated pod on this node, a synced source and known facts.
void sync_up(struct fixture *f)
{
    load(f, namespace_x);
    load(f, deny_all);
    put_pod(f, "a", "n1", "10.0.0.1", "a");
    sync_facts(f->sync, f->facts);
    sync_changed(f->sync);
    sync_source_synced(f->sync, true, "");
    run(f, 30);
    assert_int_equal(spy.read_backs, 1);
    assert_true(health_ready(&f->health));
}

void assert_untouched(const struct fixture *f)
{
    assert_int_equal(spy.applies + spy.read_backs, 0);
    assert_false(health_ready(&f->health));
    assert_true(metrics_get(f->metrics, METRIC_SYNCED, NULL, NULL) == 0);
}
