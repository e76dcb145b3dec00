// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/backend_host.h"
#include "dataplane/nft/nft_read.h"
#include "dataplane/nft/nft_tool.h"

#include <stdio.h>

#define USABLE .offered = true, .usable = true

static void choices(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct backend_host host;
        const struct backend_ops *want;
        const char *why;  // a part of it
    } rows[] = {
        {"an empty host", {.legacy = {USABLE}, .nft = {USABLE}}, &backend_legacy, "the host says nothing"},
        {"a hint on the nft side",
         {.legacy = {USABLE}, .nft = {USABLE, .hinted = true, .hint = "KUBE-IPTABLES-HINT (mangle)", .kube = 1}},
         &backend_nft,
         "KUBE-IPTABLES-HINT (mangle)"},
        {"a hint on the legacy side, more rules on the other",
         {.legacy = {USABLE, .hinted = true, .hint = "KUBE-KUBELET-CANARY (nat)"},
          .nft = {USABLE, .kube = 40, .rules = 400}},
         &backend_legacy,
         "KUBE-KUBELET-CANARY (nat)"},
        {"a hint against what we hold",
         {.legacy = {USABLE, .ours = true}, .nft = {USABLE, .hinted = true, .hint = "KUBE-IPTABLES-HINT (mangle)"}},
         &backend_nft,
         "KUBE-IPTABLES-HINT"},
        {"hints on both sides, ours in legacy",
         {.legacy = {USABLE, .hinted = true, .ours = true}, .nft = {USABLE, .hinted = true}},
         &backend_legacy,
         "there already"},
        {"hints on both sides",
         {.legacy = {USABLE, .hinted = true}, .nft = {USABLE, .hinted = true, .hint = "KUBE-IPTABLES-HINT (mangle)"}},
         &backend_nft,
         "both sides"},
        {"ours in nft, more rules in legacy",
         {.legacy = {USABLE, .rules = 90}, .nft = {USABLE, .ours = true}},
         &backend_nft,
         "there already"},
        {"ours in both, as a kill while switching leaves it",
         {.legacy = {USABLE, .ours = true, .kube = 3}, .nft = {USABLE, .ours = true}},
         &backend_legacy,
         "3 chains of Kubernetes"},
        {"chains of Kubernetes before mere rules",
         {.legacy = {USABLE, .rules = 1000}, .nft = {USABLE, .kube = 2, .rules = 5}},
         &backend_nft,
         "2 chains of Kubernetes"},
        {"rules of whoever", {.legacy = {USABLE}, .nft = {USABLE, .rules = 7}}, &backend_nft, "7 rules"},
        {"no legacy tables, nothing there", {.nft = {USABLE}}, &backend_nft, "the host says nothing"},
        {"no nf_tables", {.legacy = {USABLE}, .nft = {.lacks = "nf_tables is not loaded"}}, &backend_legacy, ""},
        {"a hint on the nft side, but no program to write it",
         {.legacy = {USABLE},
          .nft = {.offered = true, .hinted = true, .hint = "KUBE-IPTABLES-HINT (mangle)", .lacks = "no tools"}},
         &backend_legacy,
         "nft cannot be used (no tools)"},
        {"a hint on a legacy side that cannot be written",
         {.legacy = {.hinted = true, .hint = "KUBE-KUBELET-CANARY (nat)", .lacks = "xt_set is missing"},
          .nft = {USABLE}},
         &backend_nft,
         "legacy cannot be used (xt_set is missing)"},
        {"neither can be used: the probe of what the host says tells why",
         {.legacy = {.lacks = "a"},
          .nft = {.offered = true, .hinted = true, .hint = "KUBE-IPTABLES-HINT", .lacks = "b"}},
         &backend_nft,
         "KUBE-IPTABLES-HINT"},
        {"neither can be used, nothing there", {.legacy = {.lacks = "a"}, .nft = {.lacks = "b"}}, &backend_legacy, ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct backend_choice choice = {0};
        backend_host_choose(&rows[i].host, &choice);
        if (choice.ops != rows[i].want || !strstr(choice.why, rows[i].why) || !choice.why[0]) {
            fail_msg("%s: %s, since %s", rows[i].name, choice.ops->name, choice.why);
        }
    }
}

static void names(void **state)
{
    (void)state;
    struct backend_choice choice = {0};
    struct err err = {0};
    assert_int_equal(backend_choose("nft", &choice, &err), 0);
    assert_ptr_equal(choice.ops, &backend_nft);
    assert_string_equal(choice.why, "by --backend nft");
    assert_int_equal(backend_choose("nftables", &choice, &err), -1);
    assert_int_equal(err.kind, ERR_USAGE);
    assert_ptr_equal(choice.ops, &backend_nft);
    assert_ptr_equal(backend_find("legacy"), &backend_legacy);
    assert_ptr_equal(backend_find("nft"), &backend_nft);
    assert_ptr_equal(backend_find("memory"), &backend_memory);
    assert_null(backend_find("auto"));
    assert_null(backend_find(""));
}

static void versions(void **state)
{
    (void)state;
    assert_int_equal(nft_tool_version("iptables-nft-save v1.8.9 (nf_tables)\n"), 10809);
    assert_int_equal(nft_tool_version("ip6tables-restore v1.8.11 (nf_tables)\n"), 10811);
    assert_int_equal(nft_tool_version("iptables-restore v1.8.9 (legacy)\n"), 0);
    assert_int_equal(nft_tool_version("iptables-restore v1.4.21\n"), 0);
    assert_int_equal(nft_tool_version(""), 0);
}

// What iptables-nft-save 1.8.9 prints, with rules of others and rules that nobody of ours has written.
static const char save[] = "# Generated by iptables-nft-save v1.8.9 (nf_tables)\n"
                           "*filter\n"
                           ":INPUT ACCEPT [0:0]\n"
                           ":FORWARD DROP [5:300]\n"
                           ":FOREIGN - [0:0]\n"
                           ":NETPOL-B - [0:0]\n"
                           ":NETPOL-A - [0:0]\n"
                           "-A FORWARD -s 192.0.2.1/32 -m odd --thing \"x y\" -j ACCEPT\n"
                           "-A FORWARD -m conntrack ! --ctstate ESTABLISHED -j NETPOL-A\n"
                           "-A FOREIGN -p tcp -j NETPOL-B\n"
                           "-A NETPOL-A -m set --match-set NP4-P dst,dst -j RETURN\n"
                           "-A NETPOL-A -m set --match-set NP4-P dst -j RETURN\n"
                           "-A NETPOL-A -m set --match-set OTHER src -j RETURN\n"
                           "-A NETPOL-A -m mark --mark 0x1 -j ACCEPT\n"
                           "-A NETPOL-B -p ipencap -j DROP\n"
                           "COMMIT\n";

static void reading(void **state)
{
    (void)state;
    const struct set sets[] = {{.name = "NP4-P", .type = SET_HASH_IP_PORT}};
    const struct table table = {.sets = sets, .n_sets = 1};
    struct arena arena = {0};
    CLEANUP(nft_seen_free) struct nft_seen *seen = NULL;
    struct err err = {0};
    assert_int_equal(nft_seen_parse(FAMILY_V4, save, sizeof(save) - 1, &table, &arena, &seen, &err), 0);
    assert_int_equal(seen->chains.n, 2);
    const struct chain *a = nft_seen_chain(seen, "NETPOL-A");
    assert_int_equal(a->n_rules, 4);
    assert_string_equal(a->rules[0].set, "NP4-P");
    for (size_t i = 1; i < 4; i++) {
        assert_string_equal(a->rules[i].comment, BACKEND_UNKNOWN_RULE);
    }
    assert_int_equal(nft_seen_chain(seen, "NETPOL-B")->rules[0].protocol, 4);
    assert_int_equal(seen->jumps.n, 1);
    assert_string_equal(seen->jumps.v[0].text, "-m conntrack ! --ctstate ESTABLISHED -j NETPOL-A");
    assert_int_equal(seen->jumps.v[0].position, 1);
    assert_string_equal(map_get_str(seen->referrers, "NETPOL-B"), "FOREIGN");
    assert_null(map_get_str(seen->referrers, "NETPOL-A"));
    arena_free(&arena);
}

static void refused_texts(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "*filter\n:NETPOL-A - [0:0]\n",
        "# Table `filter' is incompatible, use 'nft' tool.\n",
        "*filter\n-A NETPOL-A -j DROP\nCOMMIT\n",
        "*nat\nCOMMIT\n",
    };
    const struct table table = {0};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct arena arena = {0};
        struct nft_seen *seen = NULL;
        struct err err = {0};
        assert_int_equal(nft_seen_parse(FAMILY_V6, texts[i], strlen(texts[i]), &table, &arena, &seen, &err), -1);
        assert_null(seen);
        assert_string_not_equal(err.msg, "");
        arena_free(&arena);
    }
}

// Programs in the place of iptables': what goes wrong with them is said, and none is waited for without end.
static void running(void **state)
{
    (void)state;
    static const char *const quiet[] = {"-c", "cat", NULL};
    static const char *const retry[] = {
        "-c", "echo 'line 3 failed: Bad rule (does a matching rule exist in that chain?).' >&2; exit 1", NULL};
    static const char *const bad[] = {"-c", "echo one >&2; echo 'two  three' >&2; exit 2", NULL};
    static const char *const env[] = {"-c", "echo $LC_ALL$HOME$NETPOLD_TEST", NULL};
    struct buf BUF_CLEANUP out = {0};
    struct err err = {0};
    assert_int_equal(nft_tool_run("/bin/sh", quiet, "a\nb\n", 4, &out, &err), 0);
    assert_string_equal(out.data, "a\nb\n");
    assert_int_equal(nft_tool_run("/bin/sh", retry, "", 0, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    assert_non_null(strstr(err.msg, "line 3"));
    assert_int_equal(nft_tool_run("/bin/sh", bad, "", 0, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_string_equal(err.msg, "/bin/sh: exit 2: one two three");
    assert_int_equal(nft_tool_run("/nowhere/iptables", bad, "", 0, NULL, &err), -1);
    assert_int_equal(err.num, 2);
    assert_int_equal(setenv("NETPOLD_TEST", "leaks", 1), 0);
    buf_clear(&out);
    assert_int_equal(nft_tool_run("/bin/sh", env, "", 0, &out, &err), 0);
    assert_string_equal(out.data, "C\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(choices), cmocka_unit_test(names),         cmocka_unit_test(versions),
        cmocka_unit_test(reading), cmocka_unit_test(refused_texts), cmocka_unit_test(running),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
