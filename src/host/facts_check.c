// SPDX-License-Identifier: Apache-2.0
#include "host/facts_check.h"

enum { FACTS_CHECK_NAMES = 8 };  // bridges named in one text; a node has one or two

#define VLAN_SWITCH_NAME "net.bridge.bridge-nf-filter-vlan-tagged"

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

static void add_names(const char *const *bridges, size_t n, struct buf *text)
{
    for (size_t i = 0; i < n && i < FACTS_CHECK_NAMES; i++) {
        buf_printf(text, "%s%s", i ? ", " : "", bridges[i]);
    }
    buf_puts(text, n > FACTS_CHECK_NAMES ? ", …" : "");
}

static int add(struct facts_check *check, struct facts_finding *findings, bool vlan, enum family family,
               const struct buf *text, struct err *err)
{
    const char *copy = text->failed ? NULL : arena_strdup(&check->arena, text->data);
    if (!copy) {
        return err_oom(err);
    }
    findings[check->n++] = (struct facts_finding){.vlan = vlan, .family = family, .text = copy};
    return 0;
}

static void describe(enum family family, const char *const *bridges, size_t n, struct buf *text)
{
    buf_printf(text, "%s is off while local pods are bridged (", switch_name[family]);
    add_names(bridges, n, text);
    buf_printf(text,
               "): %s packets between pods of one bridge are not filtered; run: modprobe br_netfilter && sysctl -w "
               "%s=1",
               family_name(family), switch_name[family]);
}

static void describe_vlan(const char *const *bridges, size_t n, struct buf *text)
{
    buf_puts(text, VLAN_SWITCH_NAME " is off while local pods are bridged (");
    add_names(bridges, n, text);
    buf_puts(text,
             "): a pod with CAP_NET_RAW gets round the rules with VLAN 0 tags; run: sysctl -w " VLAN_SWITCH_NAME "=1");
}

int facts_check(const struct facts *facts, const char *const *const bridges[FAMILY_COUNT], const size_t n[FAMILY_COUNT],
                struct facts_check **ret, struct err *err)
{
    CLEANUP(facts_check_free) struct facts_check *check = calloc(1, sizeof(*check));
    struct facts_finding *findings = check ? arena_alloc(&check->arena, (FAMILY_COUNT + 1) * sizeof(*findings)) : NULL;
    if (!findings) {
        return err_oom(err);
    }
    check->findings = findings;
    bool filtered = false;
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        BUF_CLEANUP struct buf text = {0};
        filtered = filtered || (n[family] > 0 && facts->bridge_nf[family] != FACTS_OFF);
        if (n[family] == 0 || facts->bridge_nf[family] != FACTS_OFF) {
            continue;
        }
        describe(family, bridges[family], n[family], &text);
        if (add(check, findings, false, family, &text, err) < 0) {
            return -1;
        }
    }
    if (filtered && facts->bridge_nf_vlan == FACTS_OFF) {
        BUF_CLEANUP struct buf text = {0};
        // A pod's bridge is always one of IPv6: link-local addresses are there without being given.
        enum family family = n[FAMILY_V6] > 0 ? FAMILY_V6 : FAMILY_V4;
        describe_vlan(bridges[family], n[family], &text);
        if (add(check, findings, true, family, &text, err) < 0) {
            return -1;
        }
    }
    *ret = TAKE(check);
    return 0;
}
