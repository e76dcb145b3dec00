// SPDX-License-Identifier: Apache-2.0
//
// Golden folders: tests/golden/<case>/in.yaml (and, where they matter, facts.json and options) compiled and rendered
// must give want.rules, byte for byte, in whatever order the objects came, and that text must be proven against the
// policies for every packet class. GOLDEN=write writes want.rules anew: read
// the diff before you keep it. GOLDEN_DIR names another folder of cases.
//
// options: lines of node=NAME (preset "n1"), denied=drop|reject, allowed=return|accept, host-egress=enforce|allow,
// source-guard=enforced|all|off, drop-encap=no, unknown-pods=drop, pod-cidr=CIDR, revoke (the default mark; facts say
// whether there are revoked flows).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "audit/verify.h"
#include "decode/decode.h"
#include "policy/compile.h"
#include "ruleset/parse.h"
#include "ruleset/render.h"

static const char *golden_dir(void)
{
    const char *dir = getenv("GOLDEN_DIR");
    return dir ? dir : "tests/golden";
}

// The file's text, or NULL when there is no such file.
static char *read_text(const char *name, const char *file, size_t *ret_len)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s/%s", golden_dir(), name, file);
    FILE *stream = fopen(path, "re");
    if (!stream) {
        assert_int_equal(errno, ENOENT);
        return NULL;
    }
    struct buf text = {0};
    char block[4096];
    size_t n;
    while ((n = fread(block, 1, sizeof(block), stream)) > 0) {
        buf_add(&text, block, n);
    }
    assert_int_equal(ferror(stream), 0);
    assert_int_equal(fclose(stream), 0);
    *ret_len = text.len;
    char *taken = buf_take(&text);
    assert_non_null(taken);
    return taken;
}

static void write_text(const char *name, const char *file, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s/%s", golden_dir(), name, file);
    FILE *stream = fopen(path, "we");
    assert_non_null(stream);
    assert_true(fputs(text, stream) >= 0);
    assert_int_equal(fclose(stream), 0);
}

struct objects {
    struct {
        enum object_kind kind;
        void *object;
    } v[4096];
    size_t n;
};

static int keep_object(enum object_kind kind, void *object, void *arg, struct err *err)
{
    struct objects *objects = arg;
    (void)err;
    assert_true(objects->n < ARRAY_SIZE(objects->v));
    objects->v[objects->n].kind = kind;
    objects->v[objects->n++].object = object;
    return 0;
}

static void put_object(struct state *state, enum object_kind kind, void *object)
{
    assert_int_equal(state_put(state, kind, object, NULL), STATE_ADDED);
}

static struct state *load_state(const char *text, size_t len, bool backwards)
{
    static struct objects objects;
    struct decode_stats stats;
    DIAGNOSTICS_CLEANUP struct diagnostics diagnostics = {0};
    struct state *state = NULL;
    objects.n = 0;
    assert_int_equal(decode_text(text, len, "in.yaml", keep_object, &objects, &diagnostics, &stats, NULL), 0);
    assert_int_equal(diagnostics.counts[DIAGNOSTIC_LOST], 0);
    assert_int_equal(state_new(&state, NULL), 0);
    for (size_t i = 0; i < objects.n; i++) {
        size_t at = backwards ? objects.n - 1 - i : i;
        put_object(state, objects.v[at].kind, objects.v[at].object);
    }
    return state;
}

struct golden_options {
    char node[64];
    struct policy_options policy;
};

static void read_option(const char *line, struct golden_options *options)
{
    if (sscanf(line, "node=%63s", options->node) == 1 || strcmp(line, "denied=drop") == 0 ||
        strcmp(line, "allowed=return") == 0 || strcmp(line, "host-egress=enforce") == 0) {
        return;
    }
    if (strcmp(line, "denied=reject") == 0) {
        options->policy.denied = DENIED_REJECT;
    } else if (strcmp(line, "allowed=accept") == 0) {
        options->policy.allowed = ALLOWED_ACCEPT;
    } else if (strcmp(line, "host-egress=allow") == 0) {
        options->policy.host_egress_allowed = true;
    } else if (strcmp(line, "source-guard=all") == 0) {
        options->policy.source_guard = SOURCE_GUARD_ALL;
    } else if (strcmp(line, "source-guard=off") == 0) {
        options->policy.source_guard = SOURCE_GUARD_OFF;
    } else if (strcmp(line, "drop-encap=no") == 0) {
        options->policy.encap_allowed = true;
    } else if (strcmp(line, "unknown-pods=drop") == 0) {
        options->policy.unknown_pods = UNKNOWN_PODS_DROP;
    } else if (strcmp(line, "revoke") == 0) {
        options->policy.revoke_mask = UINT32_C(1) << REVOKE_BIT_DEFAULT;
    } else if (strncmp(line, "pod-cidr=", strlen("pod-cidr=")) == 0) {
        assert_true(
            prefix_parse(line + strlen("pod-cidr="), &options->policy.pod_cidrs[options->policy.n_pod_cidrs++]));
    } else {
        fail_msg("options: \"%s\"", line);
    }
}

static void read_options(const char *name, struct golden_options *options)
{
    size_t len;
    CLEANUP(free) char *text = read_text(name, "options", &len);
    for (char *line = text; line && *line;) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        *end = '\0';
        read_option(line, options);
        line = end + 1;
    }
}

// The text, read back, means what the policies say.
static void prove(const char *name, const char *text, struct verify_input *input)
{
    CLEANUP(ruleset_free) struct ruleset *parsed = NULL;
    CLEANUP(verify_result_free) struct verify_result *result = NULL;
    const struct verify_options options = {0};
    struct err err = {0};
    if (parse_restore(text, strlen(text), &parsed, &err) < 0) {
        fail_msg("%s/want.rules: %s %s", name, err.object, err.msg);
    }
    input->ruleset = parsed;
    if (verify_ruleset(input, &options, &result, &err) < 0) {
        fail_msg("%s: %s %s", name, err.object, err.msg);
    }
    assert_true(result->classes > 0);
    assert_int_equal(result->differing, 0);
}

static char *compile_text(const char *name, const char *yaml, size_t len, bool backwards)
{
    struct golden_options options = {.node = "n1"};
    read_options(name, &options);
    CLEANUP(facts_free) struct facts *facts = NULL;
    size_t facts_len;
    CLEANUP(free) char *json = read_text(name, "facts.json", &facts_len);
    struct err err = {0};
    if (json && facts_parse_json(json, facts_len, "facts.json", &facts, &err) < 0) {
        fail_msg("facts.json: %s", err.msg);
    }
    CLEANUP(state_free) struct state *state = load_state(yaml, len, backwards);
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    assert_int_equal(compile_ruleset(state, options.node, facts, &options.policy, &ruleset, NULL, &err), 0);
    struct buf out = {0};
    render_restore(ruleset, &out);
    char *text = buf_take(&out);
    assert_non_null(text);
    struct verify_input input = {.state = state, .node = options.node, .facts = facts, .options = &options.policy};
    prove(name, text, &input);
    return text;
}

// cmocka prints whole texts; the first line that differs says more.
static void assert_same_text(const char *name, const char *got, const char *want)
{
    unsigned line = 1;
    while (*got && *got == *want) {
        line += *got == '\n';
        got++;
        want++;
    }
    if (*got == *want) {
        return;
    }
    fail_msg("%s/want.rules:%u: got …%.*s…, want …%.*s… (GOLDEN=write writes it anew)", name, line,
             (int)strcspn(got, "\n"), got, (int)strcspn(want, "\n"), want);
}

static void golden(void **state)
{
    const char *name = *state;
    size_t len;
    CLEANUP(free) char *yaml = read_text(name, "in.yaml", &len);
    assert_non_null(yaml);
    CLEANUP(free) char *got = compile_text(name, yaml, len, false);
    CLEANUP(free) char *backwards = compile_text(name, yaml, len, true);
    assert_same_text(name, got, backwards);
    const char *mode = getenv("GOLDEN");
    if (mode && strcmp(mode, "write") == 0) {
        write_text(name, "want.rules", got);
        return;
    }
    CLEANUP(free) char *want = read_text(name, "want.rules", &len);
    assert_non_null(want);
    assert_same_text(name, got, want);
}

static int is_case(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && !strchr(entry->d_name, '.');
}

int main(void)
{
    struct dirent **entries;
    int n = scandir(golden_dir(), &entries, is_case, alphasort);
    if (n <= 0) {
        (void)fprintf(stderr, "no golden folders in %s\n", golden_dir());
        return 1;
    }
    struct CMUnitTest *tests = calloc((size_t)n, sizeof(*tests));
    for (int i = 0; tests && i < n; i++) {
        tests[i] =
            (struct CMUnitTest){.name = entries[i]->d_name, .test_func = golden, .initial_state = entries[i]->d_name};
    }
    int failed = tests ? _cmocka_run_group_tests("golden", tests, (size_t)n, NULL, NULL) : 1;
    for (int i = 0; i < n; i++) {
        free(entries[i]);
    }
    free(entries);
    free(tests);
    return failed;
}
