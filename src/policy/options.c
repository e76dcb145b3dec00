// SPDX-License-Identifier: Apache-2.0
#include "policy/options.h"

#include <stdlib.h>
#include <string.h>

// As text for the help, which takes no number.
#define REVOKE_BIT_PRESET 27
#define STRINGIFY_(text) #text
#define STRINGIFY(text) STRINGIFY_(text)

void policy_options_table(struct policy_options_args *args, struct cli_option ret[POLICY_OPTIONS_ROWS])
{
    const struct cli_option rows[POLICY_OPTIONS_ROWS] = {
        {.name = "allowed-verdict",
         .kind = CLI_CHOICE,
         .target = &args->allowed,
         .choices = "return|accept",
         .preset = "return",
         .help = "What happens to traffic that policy allows: go on to the host's other rules, or accept it here (for "
                 "hosts "
                 "whose FORWARD policy is DROP)."},
        {.name = "denied-verdict",
         .kind = CLI_CHOICE,
         .target = &args->denied,
         .choices = "drop|reject",
         .preset = "drop",
         .help = "What happens to traffic that policy denies: drop it silently, or answer with a TCP reset or an ICMP "
                 "error."},
        {.name = "host-egress",
         .kind = CLI_CHOICE,
         .target = &args->host_egress,
         .choices = "enforce|allow",
         .preset = "enforce",
         .help = "Whether egress policy applies to traffic from a pod to its own node."},
        {.name = "source-guard",
         .kind = CLI_CHOICE,
         .target = &args->source_guard,
         .choices = "enforced|all|off",
         .preset = "enforced",
         .help = "Which local pods may send from their own addresses alone: those isolated for egress, all, or none. "
                 "Nor is an isolated pod's address taken from another pod's place."},
        {.name = "drop-encap",
         .kind = CLI_UNFLAG,
         .target = &args->encap_allowed,
         .help = "Drop tunnel packets (VXLAN, Geneve, IP in IP, GRE) from local pods to nodes, which could forge the "
                 "overlay. The default."},
        {.name = "no-drop-encap",
         .kind = CLI_FLAG,
         .target = &args->encap_allowed,
         .help = "Let local pods send tunnel packets to nodes."},
        {.name = "unknown-pods",
         .kind = CLI_CHOICE,
         .target = &args->unknown_pods,
         .choices = "allow|drop",
         .preset = "allow",
         .help = "What happens to addresses of --pod-cidr that no known local pod has, in both directions: pods that "
                 "start before their address is known."},
        {.name = "pod-cidr",
         .kind = CLI_LIST,
         .target = &args->pod_cidrs,
         .arg = "CIDR,...",
         .preset = "the node's spec.podCIDRs",
         .help = "The addresses that pods of this node get; repeats."},
        {.name = "revoke",
         .kind = CLI_UNFLAG,
         .target = &args->no_revoke,
         .help = "Cut established flows that policy no longer allows. The default."},
        {.name = "no-revoke",
         .kind = CLI_FLAG,
         .target = &args->no_revoke,
         .help = "Leave flows alone that were established before policy denied them."},
        {.name = "revoke-mark",
         .kind = CLI_NUMBER,
         .target = &args->revoke_bit,
         .arg = "BIT",
         .max = 31,
         .preset = STRINGIFY(REVOKE_BIT_PRESET),
         .help = "The bit (0 to 31) of the conntrack mark that cuts a flow; nobody else may use it."},
    };
    _Static_assert(REVOKE_BIT_PRESET == REVOKE_BIT_DEFAULT, "the help says what is");
    for (size_t i = 0; i < POLICY_OPTIONS_ROWS; i++) {
        ret[i] = rows[i];
    }
    args->revoke_bit = REVOKE_BIT_DEFAULT;
}

static int add_cidr(const char *text, size_t len, struct policy_options *to, struct err *err)
{
    char word[PREFIX_TEXT] = "";
    struct prefix prefix;
    if (len < sizeof(word)) {
        memcpy(word, text, len);
    }
    if (!prefix_parse(word, &prefix)) {
        return err_set(err, ERR_USAGE, 0, "--pod-cidr: \"%.*s\" is not a CIDR (10.244.1.0/24, fd00:244:1::/64)",
                       (int)(len < 60 ? len : 60), text);
    }
    if (prefix.length == 0) {
        return err_set(err, ERR_USAGE, 0, "--pod-cidr: \"%s\" holds every address, not those of this node's pods",
                       word);
    }
    for (size_t i = 0; i < to->n_pod_cidrs; i++) {
        if (prefix_compare(&to->pod_cidrs[i], &prefix) == 0) {
            return 0;
        }
    }
    if (to->n_pod_cidrs == POD_CIDRS_MAX) {
        return err_set(err, ERR_USAGE, 0, "--pod-cidr: more than %d of them", POD_CIDRS_MAX);
    }
    to->pod_cidrs[to->n_pod_cidrs++] = prefix;
    return 0;
}

static int compare_cidrs(const void *a, const void *b)
{
    return prefix_compare(a, b);
}

int policy_options_from(const struct policy_options_args *args, struct policy_options *ret, struct err *err)
{
    struct policy_options options = {
        .denied = args->denied ? DENIED_REJECT : DENIED_DROP,
        .allowed = args->allowed ? ALLOWED_ACCEPT : ALLOWED_RETURN,
        .host_egress_allowed = args->host_egress == 1,
        .source_guard = (enum source_guard)args->source_guard,
        .encap_allowed = args->encap_allowed,
        .unknown_pods = (enum unknown_pods)args->unknown_pods,
        .revoke_mask = args->no_revoke ? 0 : UINT32_C(1) << args->revoke_bit,
    };
    for (size_t i = 0; i < args->pod_cidrs.n; i++) {
        for (const char *at = args->pod_cidrs.v[i];; at++) {
            size_t len = strcspn(at, ",");
            if (add_cidr(at, len, &options, err) < 0) {
                return -1;
            }
            at += len;
            if (!*at) {
                break;
            }
        }
    }
    // The order that they are given in means nothing, and equal inputs give equal rules.
    qsort(options.pod_cidrs, options.n_pod_cidrs, sizeof(*options.pod_cidrs), compare_cidrs);
    *ret = options;
    return 0;
}
