// SPDX-License-Identifier: Apache-2.0
#include "audit/verify.h"

#include <stdio.h>
#include <unistd.h>

#include "agent/host_ports.h"
#include "audit/verify_report.h"
#include "base/limits.h"
#include "base/num.h"
#include "dataplane/live.h"
#include "netpolctl.h"
#include "policy/compile.h"
#include "read_file.h"
#include "ruleset/jumps.h"
#include "ruleset/parse.h"
#include "ruleset/simulate_check.h"

enum { OUTPUT_TEXT, OUTPUT_JSON };  // indices into the choices of --output
enum { EXAMPLES_MAX = 100000 };

static struct {
    struct verb_common common;
    const char *node;
    const char *facts;
    const char *rules;
    bool kernel;
    unsigned output;
    uint64_t max_examples;
} args = {.max_examples = 10};

static int verify_options_table(struct cli_option *rows)
{
    const struct cli_option table[] = {
        {.name = "node",
         .kind = CLI_STRING,
         .target = &args.node,
         .arg = "NAME",
         .help = "The node whose rules to prove (required)."},
        {.name = "rules",
         .kind = CLI_STRING,
         .target = &args.rules,
         .arg = "FILE",
         .help = "Prove these rules instead of the compiled ones: what `render` writes, or `ipset save`, "
                 "`iptables-save` and `ip6tables-save` of a node one behind the other; - is standard input."},
        {.name = "kernel",
         .kind = CLI_FLAG,
         .target = &args.kernel,
         .help = "Prove what is programmed on this node now. Needs root."},
        {.name = "facts",
         .kind = CLI_STRING,
         .target = &args.facts,
         .arg = "FILE",
         .help = "Facts of that node, as netpold --print-facts wrote them: interfaces, routes.",
         .preset = "none; with --kernel, read from this node"},
        {.name = "output",
         .letter = 'o',
         .kind = CLI_CHOICE,
         .target = &args.output,
         .choices = "text|json",
         .preset = "text",
         .help = "Form of the answer."},
        {.name = "max-counterexamples",
         .kind = CLI_NUMBER,
         .target = &args.max_examples,
         .arg = "N",
         .max = EXAMPLES_MAX,
         .preset = "10",
         .help = "How many counterexamples to print; all are counted."},
        {0},
    };
    return cli_append(rows, VERB_ROWS, table) < 0 ? -1 : verb_common_options(&args.common, true, rows);
}

// What is proven, and of what.
struct proof {
    struct state *state;
    struct facts *facts;
    enum verify_facts facts_from;
    struct ruleset *own;            // compiled, or of a text
    struct live *live;              // or of the kernel
    const struct ruleset *ruleset;  // the one of them that is proven
    struct findings outside;        // of a text
    struct findings unprovable;     // of ours, whatever they were read from
    struct findings jumps;
    struct verify_result *result;
    uint64_t milliseconds;
};

static void proof_done(struct proof *proof)
{
    if (proof->result) {
        verify_result_free(proof->result);
    }
    if (proof->live) {
        live_free(proof->live);
    }
    findings_free(&proof->outside);
    findings_free(&proof->unprovable);
    findings_free(&proof->jumps);
    ruleset_free(proof->own);
    facts_free(proof->facts);
    state_free(proof->state);
}
#define PROOF_CLEANUP __attribute__((cleanup(proof_done)))

static int read_rules(struct proof *proof, struct err *err)
{
    CLEANUP(free) char *text = NULL;
    size_t len;
    if (read_file(args.rules, LIMIT_DOCUMENT_BYTES, &text, &len, err) < 0) {
        return -1;
    }
    if (parse_restore_foreign(text, len, &proof->own, &proof->outside, err) < 0) {
        const char *name = strcmp(args.rules, "-") == 0 ? "standard input" : args.rules;
        char line[sizeof(err->object)];
        (void)snprintf(line, sizeof(line), "%s", err->object);
        err->object[0] = '\0';
        return err_at_object(err, "%.150s%s%s", name, *line ? ", " : "", line);
    }
    proof->ruleset = proof->own;
    return 0;
}

static int take_facts(struct proof *proof, struct err *err)
{
    if (args.facts) {
        proof->facts_from = VERIFY_FACTS_FILE;
        return read_facts(args.facts, &proof->facts, err);
    }
    if (args.kernel) {
        proof->facts_from = VERIFY_FACTS_LIVE;
        return host_ports_read_facts(proof->state, args.node, &proof->facts, err);
    }
    return 0;
}

static int take_rules(struct proof *proof, const struct policy_options *options, struct err *err)
{
    if (args.rules) {
        return read_rules(proof, err);
    }
    if (args.kernel) {
        if (live_read(NULL, &proof->live, err) < 0) {
            return -1;
        }
        proof->ruleset = proof->live->ruleset;
        return 0;
    }
    if (compile_ruleset(proof->state, args.node, proof->facts, options, &proof->own, NULL, err) < 0) {
        return -1;
    }
    proof->ruleset = proof->own;
    return 0;
}

static void show_progress(size_t done, size_t of, void *arg)
{
    unsigned *shown = arg;
    unsigned percent = of ? (unsigned)(done * 100 / of) : 100;
    if (percent != *shown) {
        (void)fprintf(stderr, "\rnetpolctl: %u %% of the local pods' addresses judged\033[K", percent);
        *shown = percent;
    }
}

static void clear_progress(void)
{
    (void)fputs("\r\033[K", stderr);
}

static int take_findings(struct findings *from, struct findings *to, struct err *err)
{
    for (size_t i = 0; i < from->n; i++) {
        if (findings_add(to, from->v[i].where, from->v[i].what, err) < 0) {
            return -1;
        }
    }
    to->more += from->more;
    return 0;
}

// What was read may hold more than netpold writes.
static int check_rules(struct proof *proof, struct err *err)
{
    if (proof->live && take_findings(&proof->live->unprovable, &proof->unprovable, err) < 0) {
        return -1;
    }
    if (!args.rules && !args.kernel) {
        return 0;
    }
    return simulate_check(proof->ruleset, &proof->unprovable, err) < 0
               ? -1
               : jumps_check(proof->ruleset, &proof->jumps, err);
}

// A kernel took rules that the simulator does not walk: nothing is proven, and they are named.
static int note_walk(struct proof *proof, struct err *err)
{
    const struct err why = *err;
    *err = (struct err){0};
    proof->result = calloc(1, sizeof(*proof->result));
    if (!proof->result) {
        return err_oom(err);
    }
    return findings_add(&proof->unprovable, *why.object ? why.object : "our rules", why.msg, err);
}

static int prove(struct proof *proof, const struct verify_input *input, struct err *err)
{
    bool terminal = isatty(STDERR_FILENO);
    unsigned shown = 0;
    const struct verify_options how = {
        .max_examples = (size_t)args.max_examples,
        .progress = terminal ? show_progress : NULL,
        .progress_arg = &shown,
    };
    uint64_t started = num_now_ms();
    int rc = verify_ruleset(input, &how, &proof->result, err);
    proof->milliseconds = num_now_ms() - started;
    if (terminal) {
        clear_progress();
    }
    bool walk = rc < 0 && (err->kind == ERR_BUG || err->kind == ERR_UNSUPPORTED || err->kind == ERR_LIMIT);
    if (walk && args.rules) {
        err->kind = ERR_INPUT;  // of whoever wrote the text
    }
    return walk && args.kernel ? note_walk(proof, err) : rc;
}

static int report(const struct proof *proof, const struct verify_input *input, size_t findings, bool *ret_proven,
                  struct err *err)
{
    struct buf BUF_CLEANUP out = {0};
    const struct verify_report report = {
        .input = input,
        .result = proof->result,
        .milliseconds = proof->milliseconds,
        .facts = proof->facts_from,
        .foreign_rules = args.rules || args.kernel,
        .outside = proof->live ? &proof->live->foreign : &proof->outside,
        .unprovable = &proof->unprovable,
        .jumps = &proof->jumps,
    };
    bool colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    if ((args.output == OUTPUT_JSON ? verify_report_json(&report, &out, err)
                                    : verify_report_text(&report, colour, &out, err)) < 0) {
        return -1;
    }
    *ret_proven = verify_report_proven(&report);
    return args.output == OUTPUT_JSON ? print_object(&out, findings) : print_out(out.data, out.len);
}

static int check_words(const struct cli_list *operands, struct err *err)
{
    if (operands->n > 0) {
        return err_set(err, ERR_USAGE, 0, "verify: unexpected word \"%s\"; files are given with -f", operands->v[0]);
    }
    if (!args.node || !*args.node) {
        return err_set(err, ERR_USAGE, 0, "verify: --node NAME is required");
    }
    if (args.rules && args.kernel) {
        return err_set(err, ERR_USAGE, 0, "verify: --rules and --kernel do not go together: one ruleset is proven");
    }
    return one_reads_stdin(&args.common, "verify",
                           (struct path_option[]){{"--rules", args.rules}, {"--facts", args.facts}, {0}}, err);
}

static int verify_run(const struct verb *verb UNUSED, const struct cli_list *operands)
{
    struct err err = {0};
    struct proof PROOF_CLEANUP proof = {0};
    size_t findings = 0;
    bool proven = false;
    struct policy_options options;
    if (check_words(operands, &err) < 0 || policy_options_from(&args.common.policy, &options, &err) < 0 ||
        load_state(&args.common, &proof.state, &findings, &err) < 0 || require_node(proof.state, args.node, &err) < 0 ||
        take_facts(&proof, &err) < 0 || take_rules(&proof, &options, &err) < 0 || check_rules(&proof, &err) < 0) {
        complain(&err);
        return exit_of(&err);
    }
    const struct verify_input input = {
        .state = proof.state, .node = args.node, .facts = proof.facts, .options = &options, .ruleset = proof.ruleset};
    int rc = prove(&proof, &input, &err) < 0 ? -1 : report(&proof, &input, findings, &proven, &err);
    if (rc < 0) {
        complain(&err);
        return exit_of(&err);
    }
    return rc != EXIT_CLEAN ? rc : findings ? EXIT_INPUT : proven ? EXIT_CLEAN : EXIT_FINDINGS;
}

const struct verb verb_verify = {
    .name = "verify",
    .operands = "",
    .summary = "prove that rules and policies agree for every packet of a node",
    .text = "Cuts all packets of a node into classes that neither its policies nor its rules can\n"
            "tell apart, and has one of each class judged by both. Without --rules and --kernel\n"
            "the compiled ruleset is proven. Differences are printed as `explain` prints a\n"
            "connection: what the policies say, what the rules do. Rules of others that may decide\n"
            "before ours are named: they are no part of the proof. Exit code 0: proven; 2: not\n"
            "proven; 4: some input could not be read.",
    .options = verify_options_table,
    .run = verify_run,
    .common = &args.common,
};
