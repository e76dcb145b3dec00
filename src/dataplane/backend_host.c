// SPDX-License-Identifier: Apache-2.0
#include "dataplane/backend_host.h"

#include <stdio.h>
#include <string.h>

#include "dataplane/live_kernel.h"
#include "dataplane/nft/nft_kernel.h"
#include "dataplane/nft/nft_tool.h"
#include "xtables/xtables.h"

// ---- reading -------------------------------------------------------------------------------------------------------

// kubelet makes the first two for this very purpose (KEP-3178), kube-proxy the third.
static bool is_hint(const char *chain)
{
    static const char *const hints[] = {"KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY", "KUBE-PROXY-CANARY"};
    for (size_t i = 0; i < ARRAY_SIZE(hints); i++) {
        if (strcmp(hints[i], chain) == 0) {
            return true;
        }
    }
    return false;
}

static void see_chain(struct backend_host_side *side, const char *table, const char *chain, size_t rules)
{
    if (backend_is_our_chain(chain)) {
        side->ours = true;
        return;
    }
    side->kube += strncmp(chain, "KUBE-", 5) == 0;
    side->rules += rules;
    if (!side->hinted && is_hint(chain)) {
        side->hinted = true;
        (void)snprintf(side->hint, sizeof(side->hint), "%s (%s)", chain, table);
    }
}

static int count_rule(const struct xtables_view *view, void *arg, struct err *err)
{
    (void)err;
    *(size_t *)arg += !backend_is_our_chain(view->target);
    return 0;
}

static void read_legacy_table(enum xtables_family family, const char *name, struct backend_host_side *side)
{
    enum xtables_presence presence = XTABLES_UNSUPPORTED;
    struct err err = {0};
    CLEANUP(xtables_close) struct xtables *table = NULL;
    // Opening a table that is not there would make it.
    if (xtables_presence_of(family, name, &presence, &err) < 0 || presence != XTABLES_PRESENT ||
        xtables_open_table(family, name, &table, &err) < 0) {
        return;
    }
    for (const char *chain = xtables_first_chain(table); chain; chain = xtables_next_chain(table)) {
        size_t rules = 0;
        if (xtables_read(table, chain, count_rule, &rules, &err) == 0) {
            see_chain(side, name, chain, rules);
        }
    }
}

static void read_legacy(struct backend_host_side *side)
{
    static const char *const tables[] = {"mangle", "nat", "filter"};
    enum xtables_presence presence = XTABLES_UNSUPPORTED;
    struct err err = {0};
    side->offered = xtables_presence(XTABLES_V4, &presence, &err) == 0 && presence != XTABLES_UNSUPPORTED &&
                    presence != XTABLES_NO_FAMILY;
    side->usable = side->offered && xtables_probe(XTABLES_V4, &err) == 0;
    if (!side->usable) {
        (void)snprintf(side->lacks, sizeof(side->lacks), "%.159s",
                       err.kind != ERR_NONE ? err.msg : "the kernel offers no legacy tables");
    }
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        read_legacy_table(XTABLES_V4, tables[i], side);
        read_legacy_table(XTABLES_V6, tables[i], side);
    }
}

static int see_nft_chain(const struct nft_kernel_chain *chain, void *arg, struct err *err)
{
    (void)err;
    see_chain(arg, chain->table, chain->name, chain->uses);
    return 0;
}

static void read_nft(struct backend_host_side *side, bool load)
{
    struct err err = {0};
    // Asking a kernel whose module is not loaded would load it.
    if (!load && !live_kernel_has("", "nf_tables", "nft_do_chain")) {
        (void)snprintf(side->lacks, sizeof(side->lacks), "nf_tables is not loaded");
        return;
    }
    if (nft_kernel_probe(&err) < 0) {
        (void)snprintf(side->lacks, sizeof(side->lacks), "%.159s", err.msg);
        return;
    }
    side->offered = true;
    side->usable =
        nft_tool_check(FAMILY_V4, NFT_TOOL_SAVE, &err) == 0 && nft_tool_check(FAMILY_V4, NFT_TOOL_RESTORE, &err) == 0;
    if (!side->usable) {
        (void)snprintf(side->lacks, sizeof(side->lacks), "%.159s", err.msg);
    }
    const struct backend_host_side clean = *side;
    for (unsigned i = 0; i < 5; i++) {
        *side = clean;
        if (nft_kernel_chains(see_nft_chain, side, &err) == 0 || err.kind != ERR_RETRY) {
            break;
        }
    }
}

void backend_host_read(struct backend_host *ret)
{
    struct backend_host host = {0};
    read_legacy(&host.legacy);
    read_nft(&host.nft, !host.legacy.usable);
    *ret = host;
}

// ---- choosing ------------------------------------------------------------------------------------------------------

// What speaks for a side, the strongest first. NULL: nothing.
static const struct backend_host_side *prefer(const struct backend_host *host, char *why, size_t size)
{
    const struct backend_host_side *legacy = &host->legacy;
    const struct backend_host_side *nft = &host->nft;
    if (legacy->hinted != nft->hinted) {
        const struct backend_host_side *side = nft->hinted ? nft : legacy;
        (void)snprintf(why, size, "the host's %s is there", side->hint);
        return side;
    }
    if (legacy->ours != nft->ours) {
        (void)snprintf(why, size, "rules of netpold are there already%s",
                       nft->hinted ? ", and hints on both sides" : "");
        return nft->ours ? nft : legacy;
    }
    if (nft->hinted) {
        // As kubelet's own iptables-wrappers decide.
        (void)snprintf(why, size, "hints on both sides (%s)", nft->hint);
        return nft;
    }
    if (legacy->kube != nft->kube) {
        (void)snprintf(why, size, "%zu chains of Kubernetes are there, %zu on the other side",
                       nft->kube > legacy->kube ? nft->kube : legacy->kube,
                       nft->kube > legacy->kube ? legacy->kube : nft->kube);
        return nft->kube > legacy->kube ? nft : legacy;
    }
    if (legacy->rules != nft->rules) {
        (void)snprintf(why, size, "%zu rules are there, %zu on the other side",
                       nft->rules > legacy->rules ? nft->rules : legacy->rules,
                       nft->rules > legacy->rules ? legacy->rules : nft->rules);
        return nft->rules > legacy->rules ? nft : legacy;
    }
    (void)snprintf(why, size, "the host says nothing: no hint chain, no rule on either side");
    return NULL;
}

void backend_host_choose(const struct backend_host *host, struct backend_choice *ret)
{
    struct backend_choice choice = {0};
    char why[128];
    const struct backend_host_side *side = prefer(host, why, sizeof(why));
    // Where nothing speaks for either: no program is needed to write legacy tables.
    bool nft = side ? side == &host->nft : !host->legacy.usable && host->nft.usable;
    const struct backend_host_side *chosen = nft ? &host->nft : &host->legacy;
    const struct backend_host_side *other = nft ? &host->legacy : &host->nft;
    if (chosen->usable || !other->usable) {
        // Neither usable: the probe of what the host speaks for says what to install.
        (void)snprintf(choice.why, sizeof(choice.why), "%s%s%s", why,
                       side || chosen->usable == other->usable || !other->lacks[0] ? "" : "; of the other: ",
                       side || chosen->usable == other->usable ? "" : other->lacks);
    } else {
        nft = !nft;
        (void)snprintf(choice.why, sizeof(choice.why), "%s cannot be used (%s), although %.100s",
                       nft ? "legacy" : "nft", chosen->lacks, why);
    }
    choice.ops = nft ? &backend_nft : &backend_legacy;
    *ret = choice;
}

int backend_choose(const char *name, struct backend_choice *ret, struct err *err)
{
    if (strcmp(name, "auto") == 0) {
        struct backend_host host;
        backend_host_read(&host);
        backend_host_choose(&host, ret);
        return 0;
    }
    const struct backend_ops *ops = backend_find(name);
    if (!ops) {
        return err_set(err, ERR_USAGE, 0, "backend %s: neither auto nor legacy nor nft", name);
    }
    struct backend_choice choice = {.ops = ops};
    (void)snprintf(choice.why, sizeof(choice.why), "by --backend %s", name);
    *ret = choice;
    return 0;
}
