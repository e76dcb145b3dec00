// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <unistd.h>

#include "netpolctl.h"
#include "policy/compile.h"
#include "ruleset/render.h"

// Indices into the choices of --output and --section.
enum { OUTPUT_RESTORE, OUTPUT_JSON };
enum { SECTION_ALL, SECTION_IPSET, SECTION_IPTABLES, SECTION_IP6TABLES };

static struct {
    struct verb_common common;
    const char *node;
    const char *facts;
    unsigned output;
    unsigned section;
} args;

static int render_options(struct cli_option *rows)
{
    const struct cli_option table[] = {
        {.name = "node",
         .kind = CLI_STRING,
         .target = &args.node,
         .arg = "NAME",
         .help = "The node whose rules to render (required)."},
        {.name = "facts",
         .kind = CLI_STRING,
         .target = &args.facts,
         .arg = "FILE",
         .help =
             "Facts of that node, as netpold --print-facts wrote them: interfaces, routes. Without it the guards that "
             "need interface names are left out."},
        {.name = "output",
         .letter = 'o',
         .kind = CLI_CHOICE,
         .target = &args.output,
         .choices = "restore|json",
         .preset = "restore",
         .help = "Text for the stock tools, or JSON."},
        {.name = "section",
         .kind = CLI_CHOICE,
         .target = &args.section,
         .choices = "all|ipset|iptables|ip6tables",
         .preset = "all",
         .help = "One part of the text: for `ipset restore`, `iptables-legacy-restore --noflush` or "
                 "`ip6tables-legacy-restore --noflush`."},
        {0},
    };
    return cli_append(rows, VERB_ROWS, table) < 0 ? -1 : verb_common_options(&args.common, true, rows);
}

static void render(const struct ruleset *ruleset, struct buf *out)
{
    if (args.output == OUTPUT_JSON) {
        render_json(ruleset, out);
        return;
    }
    switch (args.section) {
    case SECTION_IPSET:
        render_section(ruleset, RENDER_IPSET, out);
        break;
    case SECTION_IPTABLES:
        render_section(ruleset, RENDER_IPTABLES, out);
        break;
    case SECTION_IP6TABLES:
        render_section(ruleset, RENDER_IP6TABLES, out);
        break;
    default:
        render_restore(ruleset, out);
        break;
    }
}

static int check_words(const struct cli_list *operands, struct err *err)
{
    if (operands->n > 0) {
        return err_set(err, ERR_USAGE, 0, "render: unexpected word \"%s\"; files are given with -f", operands->v[0]);
    }
    if (!args.node || !*args.node) {
        return err_set(err, ERR_USAGE, 0, "render: --node NAME is required");
    }
    if (args.output == OUTPUT_JSON && args.section != SECTION_ALL) {
        return err_set(err, ERR_USAGE, 0, "render: --section is a part of the text; JSON is whole");
    }
    return one_reads_stdin(&args.common, "render", (struct path_option[]){{"--facts", args.facts}, {0}}, err);
}

static int render_run(const struct verb *verb UNUSED, const struct cli_list *operands)
{
    struct err err = {0};
    CLEANUP(state_free) struct state *state = NULL;
    CLEANUP(facts_free) struct facts *facts = NULL;
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    size_t findings = 0;
    struct policy_options options;
    if (check_words(operands, &err) < 0 || policy_options_from(&args.common.policy, &options, &err) < 0 ||
        (args.facts && read_facts(args.facts, &facts, &err) < 0) ||
        load_state(&args.common, &state, &findings, &err) < 0 || require_node(state, args.node, &err) < 0 ||
        compile_ruleset(state, args.node, facts, &options, &ruleset, NULL, &err) < 0) {
        complain(&err);
        return exit_of(&err);
    }
    struct buf BUF_CLEANUP out = {0};
    render(ruleset, &out);
    if (out.failed) {
        (void)err_oom(&err);
        complain(&err);
        return EXIT_OTHER;
    }
    int rc = args.output == OUTPUT_JSON ? print_object(&out, findings) : print_out(out.data ? out.data : "", out.len);
    return rc != EXIT_CLEAN ? rc : findings ? EXIT_INPUT : EXIT_CLEAN;
}

const struct verb verb_render = {
    .name = "render",
    .operands = "",
    .summary = "print the rules and sets that netpold would program on a node",
    .text = "Prints what the kernel of one node would be given, byte for byte as netpold programs\n"
            "it. The text loads with the stock tools into a host without netpold's jumps:\n\n"
            "  netpolctl render -f DIR --node N --section ipset | ipset restore\n"
            "  netpolctl render -f DIR --node N --section iptables |\n"
            "      iptables-legacy-restore --noflush",
    .options = render_options,
    .run = render_run,
    .common = &args.common,
};
