// SPDX-License-Identifier: Apache-2.0
//
// Taking our chains out of the backend that is not used (backend.h, backend_clean_other).
#include "dataplane/backend.h"
#include "dataplane/legacy/legacy.h"
#include "dataplane/live_kernel.h"
#include "dataplane/nft/nft.h"
#include "dataplane/nft/nft_kernel.h"

static const struct ruleset nothing;

// Each family's table alone: sets stay.
static int clean_legacy(const struct backend_options *options, struct apply_report *ret, struct err *err)
{
    struct legacy legacy = {.backend = {.ops = &backend_legacy}, .kernel = {.options = *options}};
    struct kernel_sets_apply apply = {.kernel = &legacy.kernel, .want = &nothing};
    int result = 0;
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT && result == 0; family++) {
        result = legacy_table_apply(&legacy, &apply, family, err);
    }
    kernel_sets_close(&legacy.kernel);
    *ret = apply.report;
    return result;
}

static int clean_nft(const struct backend_options *options, struct apply_report *ret, struct err *err)
{
    struct nft nft = {.backend = {.ops = &backend_nft}, .kernel = {.options = *options}};
    struct kernel_sets_apply apply = {.kernel = &nft.kernel, .want = &nothing};
    // Asking a kernel whose module is not loaded would load it.
    bool present = live_kernel_has("", "nf_tables", "nft_do_chain");
    struct err why = {0};
    if (!present || (nft_kernel_probe(&why) < 0 && why.kind == ERR_UNSUPPORTED)) {
        return 0;
    }
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        if (nft_table_apply(&nft, &apply, family, err) < 0) {
            return -1;
        }
    }
    *ret = apply.report;
    return 0;
}

int backend_clean_other(const struct backend_ops *chosen, const struct backend_options *options,
                        struct apply_report *ret, struct err *err)
{
    struct apply_report report = {0};
    const struct backend_options none = {0};
    options = options ? options : &none;
    int result = 0;
    if (chosen == &backend_nft) {
        result = clean_legacy(options, &report, err);
    } else if (chosen == &backend_legacy) {
        result = clean_nft(options, &report, err);
    }
    if (result < 0) {
        return err_wrap(err, "remove netpold's rules from the backend that is not used");
    }
    if (ret) {
        *ret = report;
    }
    return 0;
}
