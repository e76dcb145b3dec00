// SPDX-License-Identifier: Apache-2.0
//
// Rules of others that a packet meets before ours, in the iptables tables of a kernel or of a text: which of them can
// change what becomes of it. Told of every foreign rule in the order of its chain, it names those
//   - ahead of a jump of ours in the filter table's FORWARD, INPUT and OUTPUT, where any verdict counts;
//   - in raw (PREROUTING, OUTPUT), mangle (all but POSTROUTING) and nat (PREROUTING, OUTPUT), where ACCEPT and RETURN
//     end no more than that table, and where nat's own targets do what our rules are meant to see done;
// and leaves out those that decide nothing: they count, log or mark. A jump counts when the chain, or one that it leads
// to, does.
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "model/address.h"
#include "ruleset/findings.h"

struct foreign;
NODISCARD int foreign_new(struct foreign **ret, struct err *err);
void foreign_free(struct foreign *foreign);
CLEANUP_DEFINE(struct foreign, foreign_free);

// A table that is asked before the filter table, or that itself: others need not be told of.
bool foreign_has_table(const char *table);

struct foreign_rule {
    enum family family;
    const char *table;  // "filter", "raw", "mangle", "nat"; of others nothing is kept
    const char *chain;
    const char *target;  // a verdict, a target or a chain; "" none
    const char *what;    // the rule as `iptables -S` prints it behind the chain's name
    bool is_goto;        // nothing of this built-in chain is asked behind the target
    bool is_first;       // it was put ahead of what stands in the chain
    unsigned number;     // in its chain, from 1; 0: not known
    unsigned line;       // of a text; 0: of a kernel
};

// A chain that is there, with or without rules.
NODISCARD int foreign_add_chain(struct foreign *foreign, enum family family, const char *table, const char *chain,
                                struct err *err);
// The policy of a built-in chain: "ACCEPT", "DROP".
NODISCARD int foreign_add_policy(struct foreign *foreign, enum family family, const char *table, const char *chain,
                                 const char *policy, unsigned line, struct err *err);
// Everything is copied.
NODISCARD int foreign_add_rule(struct foreign *foreign, const struct foreign_rule *rule, struct err *err);
// A jump of ours stands here in a built-in chain of the filter table: what was told of that chain is ahead of it.
void foreign_hook(struct foreign *foreign, enum family family, const char *chain);

// Adds a finding each, in the order in which they were told: "IPv4 filter FORWARD rule 1", "IPv6 raw OUTPUT, line 23".
NODISCARD int foreign_judge(struct foreign *foreign, struct findings *to, struct err *err);
