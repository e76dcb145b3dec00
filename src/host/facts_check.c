// SPDX-License-Identifier: Apache-2.0
#include "host/facts_check.h"

enum { FACTS_CHECK_NAMES = 8 };  // bridges named in one text; a node has one or two

static const char *const switch_name[FAMILY_COUNT] = {
    [FAMILY_V4] = "net.bridge.bridge-nf-call-iptables",
    [FAMILY_V6] = "net.bridge.bridge-nf-call-ip6tables",
};

void facts_check_free(struct facts_check *check)
{
    if (!check) {
        return;
    }
    arena_free(&check->arena);
    free(check);
}

static int describe(enum family family, const char *const *bridges, size_t n, struct facts_check *check,
                    struct facts_finding *ret, struct err *err)
{
    BUF_CLEANUP struct buf text = {0};
    buf_printf(&text, "%s is off while local pods are bridged (", switch_name[family]);
    for (size_t i = 0; i < n && i < FACTS_CHECK_NAMES; i++) {
        buf_printf(&text, "%s%s", i ? ", " : "", bridges[i]);
    }
    buf_puts(&text, n > FACTS_CHECK_NAMES ? ", …" : "");
    buf_printf(
        &text,
        "): %s packets between pods of one bridge are not filtered; run: modprobe br_netfilter && sysctl -w %s=1",
        family_name(family), switch_name[family]);
    if (text.failed) {
        return err_oom(err);
    }
    ret->family = family;
    ret->text = arena_strdup(&check->arena, text.data);
    return ret->text ? 0 : err_oom(err);
}

int facts_check(const struct facts *facts, const char *const *const bridges[FAMILY_COUNT], const size_t n[FAMILY_COUNT],
                struct facts_check **ret, struct err *err)
{
    CLEANUP(facts_check_free) struct facts_check *check = calloc(1, sizeof(*check));
    struct facts_finding *findings = check ? arena_alloc(&check->arena, FAMILY_COUNT * sizeof(*findings)) : NULL;
    if (!findings) {
        return err_oom(err);
    }
    check->findings = findings;
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        if (n[family] == 0 || facts->bridge_nf[family] != FACTS_OFF) {
            continue;
        }
        if (describe(family, bridges[family], n[family], check, &findings[check->n], err) < 0) {
            return -1;
        }
        check->n++;
    }
    *ret = TAKE(check);
    return 0;
}
