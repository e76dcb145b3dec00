// SPDX-License-Identifier: Apache-2.0
#include "policy/options.h"

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
    };
    for (size_t i = 0; i < POLICY_OPTIONS_ROWS; i++) {
        ret[i] = rows[i];
    }
}

struct policy_options policy_options_from(const struct policy_options_args *args)
{
    return (struct policy_options){
        .denied = args->denied ? DENIED_REJECT : DENIED_DROP,
        .allowed = args->allowed ? ALLOWED_ACCEPT : ALLOWED_RETURN,
        .host_egress_allowed = args->host_egress == 1,
    };
}
