// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <unistd.h>

#include "audit/answer.h"
#include "audit/endpoint.h"
#include "audit/walk.h"
#include "base/num.h"
#include "netpolctl.h"

enum { PORT_MAX = 65535, NO_PORT = PORT_MAX + 1 };

static struct {
    struct verb_common common;
    const char *protocol;
    uint64_t port;
    uint64_t family;
    unsigned output;
    bool rules;
} args = {.protocol = "tcp", .port = NO_PORT};

static int explain_options(struct cli_option *rows)
{
    const struct cli_option table[] = {
        {.name = "protocol",
         .letter = 'p',
         .kind = CLI_STRING,
         .target = &args.protocol,
         .arg = "NAME",
         .preset = "tcp",
         .help = "tcp, udp, sctp, icmp or an IP protocol number."},
        {.name = "port",
         .kind = CLI_NUMBER,
         .target = &args.port,
         .arg = "N",
         .max = PORT_MAX,
         .help = "Destination port after Service translation (required for tcp, udp and sctp)."},
        {.name = "family",
         .kind = CLI_NUMBER,
         .target = &args.family,
         .arg = "4|6",
         .max = 6,
         .help = "Address family, for dual-stack ends.",
         .preset = "the first that both have"},
        {.name = "rules",
         .kind = CLI_FLAG,
         .target = &args.rules,
         .help = "Add the walk through the compiled chains of the nodes of both ends."},
        {.name = "output",
         .letter = 'o',
         .kind = CLI_CHOICE,
         .target = &args.output,
         .choices = "text|json",
         .preset = "text",
         .help = "Form of the answer."},
        {0},
    };
    return cli_append(rows, VERB_ROWS, table) < 0 ? -1 : verb_common_options(&args.common, true, rows);
}

static int resolve(struct state *state, const struct cli_list *ends, struct query *query, struct err *err)
{
    struct audit_end from;
    struct audit_end to;
    enum family family = FAMILY_V4;
    if (audit_end_find(state, ends->v[0], args.common.ns, &from, err) < 0 ||
        audit_end_find(state, ends->v[1], args.common.ns, &to, err) < 0 ||
        audit_ends_join(&from, &to, (unsigned)args.family, query, &family, err) < 0 ||
        audit_protocol(args.protocol, family, &query->protocol, err) < 0) {
        return -1;
    }
    query->port = args.port == NO_PORT ? 0 : (uint16_t)args.port;
    return 0;
}

// Everything that can be said of the words alone, before anything is read.
static int check_words(const struct cli_list *operands, struct err *err)
{
    uint8_t protocol;
    if (operands->n != 2) {
        return err_set(err, ERR_USAGE, 0, "explain: needs two ends, FROM and TO; got %zu", operands->n);
    }
    if (args.family != 0 && args.family != 4 && args.family != 6) {
        return err_set(err, ERR_USAGE, 0, "explain: --family is 4 or 6");
    }
    if (audit_protocol(args.protocol, FAMILY_V4, &protocol, err) < 0) {
        err->kind = ERR_USAGE;
        return err_wrap(err, "explain: -p");
    }
    bool wants_port = audit_protocol_has_ports(protocol);
    if (wants_port && args.port == NO_PORT) {
        return err_set(err, ERR_USAGE, 0, "explain: %s needs --port N, the destination port after Service translation",
                       args.protocol);
    }
    if (wants_port && args.port == 0) {
        return err_set(err, ERR_USAGE, 0, "explain: --port 0: no connection has it; a port is 1 to %d", PORT_MAX);
    }
    if (!wants_port && args.port != NO_PORT) {
        return err_set(err, ERR_USAGE, 0, "explain: %s has no ports: leave --port out", args.protocol);
    }
    return one_reads_stdin(&args.common, "explain", (struct path_option[]){{0}}, err);
}

static void write_answer(const struct cli_list *ends, const struct query *query,
                         const struct connection_verdict *verdict, const struct buf *walk, struct buf *out)
{
    if (args.output == 0) {
        answer_text(query, verdict, isatty(STDOUT_FILENO) && !getenv("NO_COLOR"), out);
        if (walk->len) {
            buf_add(out, walk->data, walk->len);
        }
        return;
    }
    const char *protocol = protocol_name(query->protocol);
    buf_puts(out, "{\"from\":");
    buf_json_string(out, ends->v[0]);
    buf_puts(out, ",\"to\":");
    buf_json_string(out, ends->v[1]);
    buf_puts(out, ",\"protocol\":");
    buf_json_string(out, protocol ? protocol : args.protocol);
    if (query->port) {
        buf_printf(out, ",\"port\":%u", query->port);
    }
    buf_printf(out, ",\"family\":%u,", family_number(query->to.address.family));
    answer_json(query, verdict, out);
    if (args.rules) {
        buf_puts(out, ",\"rules\":");
        buf_json_string(out, walk->data ? walk->data : "");
    }
    buf_puts(out, "}\n");
}

static int explain_run(const struct verb *verb UNUSED, const struct cli_list *operands)
{
    struct err err = {0};
    CLEANUP(state_free) struct state *state = NULL;
    size_t findings = 0;
    struct query query = {0};
    struct connection_verdict verdict;
    struct policy_options options;
    if (check_words(operands, &err) < 0 || policy_options_from(&args.common.policy, &options, &err) < 0 ||
        load_state(&args.common, &state, &findings, &err) < 0 || resolve(state, operands, &query, &err) < 0 ||
        evaluate_query(state, &options, &query, &verdict, &err) < 0) {
        complain(&err);
        return exit_of(&err);
    }
    struct buf BUF_CLEANUP walk = {0};
    struct buf BUF_CLEANUP out = {0};
    int rc = EXIT_OTHER;
    if (args.rules && walk_rules(state, &options, &query, &walk, &err) < 0) {
        complain(&err);
        rc = exit_of(&err);
    } else {
        write_answer(operands, &query, &verdict, &walk, &out);
        rc = out.failed ? EXIT_OTHER : print_out(out.data, out.len);
        if (rc == EXIT_CLEAN) {
            rc = findings ? EXIT_INPUT : verdict.verdict == VERDICT_ALLOW ? EXIT_CLEAN : EXIT_FINDINGS;
        }
    }
    verdict_done(&verdict);
    return rc;
}

const struct verb verb_explain = {
    .name = "explain",
    .operands = "FROM TO",
    .summary = "say whether one end may connect to another, and which policy decides",
    .text = "FROM and TO are \"namespace/pod\", an address, or \"node:NAME\". The answer names, for both\n"
            "ends, the policies that isolate the pod and the rule and peer that allow, with\n"
            "file:line. Exit code 0: allowed; 2: denied, or undecidable because a pod has no\n"
            "address; 4: some input could not be read.",
    .options = explain_options,
    .run = explain_run,
    .common = &args.common,
};
