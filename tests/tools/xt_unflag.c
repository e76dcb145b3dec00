// SPDX-License-Identifier: Apache-2.0
//
// xt_unflag CHAIN N: takes IP6T_F_PROTO from the Nth rule (from 1) of a chain of the IPv6 filter table. The kernel then
// matches neither its protocol nor its ports, while ip6tables-save goes on to print both: what a proof of the text
// would not see. Straight on libip6tc, for no tool writes such a rule.
#include <errno.h>
#include <libiptc/libip6tc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    unsigned long number = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    if (number == 0) {
        fputs("usage: xt_unflag CHAIN N\n", stderr);
        return 3;
    }
    struct xtc_handle *table = ip6tc_init("filter");
    const struct ip6t_entry *entry = table ? ip6tc_first_rule(argv[1], table) : NULL;
    for (unsigned long i = 1; entry && i < number; i++) {
        entry = ip6tc_next_rule(entry, table);
    }
    if (!entry || !(entry->ipv6.flags & IP6T_F_PROTO)) {
        fputs("xt_unflag: no such rule, or it has no protocol\n", stderr);
        return 1;
    }
    xt_chainlabel chain = {0};
    memcpy(chain, argv[1], strnlen(argv[1], sizeof(chain) - 1));
    struct ip6t_entry *changed = calloc(1, entry->next_offset);
    if (!changed) {
        return 1;
    }
    memcpy(changed, entry, entry->next_offset);
    changed->ipv6.flags &= (uint8_t)~IP6T_F_PROTO;
    // libiptc's own form of a target is not the kernel's: the verdict is given by name again.
    struct xt_standard_target *target = (struct xt_standard_target *)(void *)((char *)changed + changed->target_offset);
    const char *name = ip6tc_get_target(entry, table);
    memset(target->target.u.user.name, 0, sizeof(target->target.u.user.name));
    memcpy(target->target.u.user.name, name, strnlen(name, sizeof(target->target.u.user.name) - 1));
    int done = ip6tc_replace_entry(chain, changed, (unsigned)number - 1, table) && ip6tc_commit(table);
    if (!done) {
        fprintf(stderr, "xt_unflag: %s\n", ip6tc_strerror(errno));
    }
    free(changed);
    ip6tc_free(table);
    return done ? 0 : 1;
}
