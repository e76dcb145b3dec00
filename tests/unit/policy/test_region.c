// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "policy/region.h"

static struct prefix prefix(const char *text)
{
    struct prefix ret;
    assert_true(prefix_parse(text, &ret));
    return ret;
}

static struct address address(const char *text)
{
    struct address ret;
    assert_true(address_parse(text, &ret));
    return ret;
}

// "cidr-except-except cidr …" in that family.
static struct region *region(enum family family, const char *blocks)
{
    struct region *ret = NULL;
    assert_int_equal(region_new(family, &ret, NULL), 0);
    char text[512];
    (void)snprintf(text, sizeof(text), "%s", blocks);
    char *outer = NULL;
    for (char *block = strtok_r(text, " ", &outer); block; block = strtok_r(NULL, " ", &outer)) {
        char *inner = NULL;
        struct prefix cidr = prefix(strtok_r(block, "-", &inner));
        struct prefix excepts[16];
        size_t n = 0;
        for (char *except = strtok_r(NULL, "-", &inner); except; except = strtok_r(NULL, "-", &inner)) {
            excepts[n++] = prefix(except);
        }
        assert_int_equal(region_add(ret, &cidr, excepts, n, NULL), 0);
    }
    return ret;
}

static void assert_written(enum family family, const char *blocks, const char *want)
{
    CLEANUP(region_free) struct region *r = region(family, blocks);
    struct region_members members = {0};
    assert_int_equal(region_write(r, &members, NULL), 0);
    char got[1024] = "";
    size_t used = 0;
    for (size_t i = 0; i < members.n; i++) {
        char text[PREFIX_TEXT];
        used += (size_t)snprintf(got + used, sizeof(got) - used, "%s%s%s", i ? " " : "",
                                 members.v[i].nomatch ? "!" : "", prefix_format(&members.v[i].prefix, text));
    }
    vec_free(&members);
    assert_string_equal(got, want);
}

static void writes_known_regions(void **unused)
{
    (void)unused;
    static const struct {
        enum family family;
        const char *blocks;
        const char *want;
    } rows[] = {
        {FAMILY_V4, "", ""},
        {FAMILY_V4, "10.0.0.0/8", "10.0.0.0/8"},
        {FAMILY_V4, "10.0.0.0/8 10.0.0.0/8 10.1.0.0/16", "10.0.0.0/8"},
        {FAMILY_V4, "10.0.0.0/9 10.128.0.0/9", "10.0.0.0/8"},
        {FAMILY_V4, "10.0.0.5/32", "10.0.0.5/32"},
        {FAMILY_V4, "10.0.0.0/8-10.0.1.0/24", "10.0.0.0/8 !10.0.1.0/24"},
        // A wrong merge would let the except of one block deny what the other holds.
        {FAMILY_V4, "10.0.0.0/8-10.0.1.0/24 10.0.1.0/24", "10.0.0.0/8"},
        {FAMILY_V4, "10.1.0.0/16 10.0.0.0/8-10.1.2.0/24", "10.0.0.0/8"},
        {FAMILY_V4, "10.0.0.0/8-10.1.0.0/16 10.0.0.0/8-10.2.0.0/16", "10.0.0.0/8"},
        {FAMILY_V4, "10.0.0.0/8-10.1.0.0/16 10.1.5.0/24", "10.0.0.0/8 !10.1.0.0/16 10.1.5.0/24"},
        {FAMILY_V4, "10.0.0.0/8-10.0.0.0/8", ""},
        {FAMILY_V4, "10.0.0.0/8-0.0.0.0/0", ""},
        {FAMILY_V4, "10.0.0.0/8-11.0.0.0/8-::/0", "10.0.0.0/8"},
        {FAMILY_V4, "10.0.0.0/8-10.0.0.0/10-10.0.0.0/12-10.64.0.0/10", "10.128.0.0/9"},
        // As many entries either way: the one without nomatch.
        {FAMILY_V4, "10.64.0.0/10 10.128.0.0/9", "10.64.0.0/10 10.128.0.0/9"},
        {FAMILY_V4, "0.0.0.0/0", "0.0.0.0/1 128.0.0.0/1"},
        {FAMILY_V4, "0.0.0.0/0-169.254.169.254/32", "0.0.0.0/1 128.0.0.0/1 !169.254.169.254/32"},
        {FAMILY_V4, "0.0.0.0/0-0.0.0.0/1", "128.0.0.0/1"},
        {FAMILY_V4, "0.0.0.0/0-255.255.255.255/32-0.0.0.0/32", "0.0.0.0/1 !0.0.0.0/32 128.0.0.0/1 !255.255.255.255/32"},
        {FAMILY_V4, "::/0", ""},
        {FAMILY_V6, "0.0.0.0/0", ""},
        {FAMILY_V6, "::/0", "::/1 8000::/1"},
        {FAMILY_V6, "::/0-fd00::1/128", "::/1 8000::/1 !fd00::1/128"},
        {FAMILY_V6, "fd00::/8-fd00:1::/32 2001:db8::/32", "2001:db8::/32 fd00::/8 !fd00:1::/32"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_written(rows[i].family, rows[i].blocks, rows[i].want);
    }
}

static void knows_empty_and_whole(void **unused)
{
    (void)unused;
    CLEANUP(region_free) struct region *nothing = region(FAMILY_V4, "10.0.0.0/8-10.0.0.0/8 fd00::/8");
    assert_true(region_is_empty(nothing));
    assert_false(region_is_whole(nothing));
    CLEANUP(region_free) struct region *halves = region(FAMILY_V6, "8000::/1 ::/2 4000::/2");
    assert_true(region_is_whole(halves));
    assert_false(region_is_empty(halves));
    CLEANUP(region_free) struct region *v4 = region(FAMILY_V4, "0.0.0.0/0-1.2.3.4/32 1.2.3.4/32");
    assert_true(region_is_whole(v4));
    CLEANUP(region_free) struct region *almost = region(FAMILY_V4, "0.0.0.0/0-1.2.3.4/32");
    assert_false(region_is_whole(almost));
    assert_false(region_contains(almost, &(struct address){.family = FAMILY_V6}));
    struct address inside = address("1.2.3.5");
    struct address outside = address("1.2.3.4");
    assert_true(region_contains(almost, &inside));
    assert_false(region_contains(almost, &outside));
}

// What a hash:net set answers: the longest prefix that holds the address decides.
static bool set_has(const struct region_members *members, const struct address *addr)
{
    int best = -1;
    bool match = false;
    for (size_t i = 0; i < members->n; i++) {
        if (prefix_contains(&members->v[i].prefix, addr) && members->v[i].prefix.length > best) {
            best = members->v[i].prefix.length;
            match = !members->v[i].nomatch;
        }
    }
    return match;
}

enum { UNIVERSE_BITS = 3, UNIVERSE = 1 << UNIVERSE_BITS, PREFIXES = 2 * UNIVERSE - 1, MASKS = 1 << UNIVERSE };

// Every way to write up to `left` more of the prefixes from `next` on (heap order: 1 the universe, 2 and 3 its halves,
// …), each match or nomatch; least[m] is the fewest entries that mean the addresses m.
static void try_writings(unsigned next, int entries, int8_t sign[PREFIXES + 1], int least[MASKS])
{
    unsigned mask = 0;
    for (unsigned a = 0; a < UNIVERSE; a++) {
        for (unsigned node = UNIVERSE + a; node; node /= 2) {
            if (sign[node]) {
                mask |= sign[node] > 0 ? 1u << a : 0;
                break;
            }
        }
    }
    least[mask] = entries < least[mask] ? entries : least[mask];
    for (unsigned node = next; entries < 5 && node <= PREFIXES; node++) {
        for (int8_t s = -1; s <= 1; s = (int8_t)(s + 2)) {
            sign[node] = s;
            try_writings(node + 1, entries + 1, sign, least);
        }
        sign[node] = 0;
    }
}

static void fewest_entries(const char *base, enum family family, unsigned bits)
{
    int least[MASKS];
    for (unsigned i = 0; i < MASKS; i++) {
        least[i] = 99;
    }
    int8_t sign[PREFIXES + 1] = {0};
    try_writings(1, 0, sign, least);
    for (unsigned mask = 0; mask < MASKS; mask++) {
        CLEANUP(region_free) struct region *r = NULL;
        assert_int_equal(region_new(family, &r, NULL), 0);
        for (unsigned a = 0; a < UNIVERSE; a++) {
            struct prefix one = {.address = address(base), .length = (uint8_t)bits};
            one.address.bytes[bits / 8 - 1] |= (uint8_t)a;
            if (mask >> a & 1) {
                assert_int_equal(region_add(r, &one, NULL, 0, NULL), 0);
            }
        }
        struct region_members members = {0};
        assert_int_equal(region_write(r, &members, NULL), 0);
        assert_in_range(least[mask], 0, 4);
        assert_int_equal(members.n, (size_t)least[mask]);
        vec_free(&members);
    }
}

static void writes_the_fewest_entries(void **unused)
{
    (void)unused;
    fewest_entries("10.0.0.0", FAMILY_V4, 32);
    fewest_entries("10.0.0.0", FAMILY_V4, 24);
    fewest_entries("fd00::", FAMILY_V6, 128);
}

// At the top there is no /0: the universe is the three first bits, and its own prefix may not be written.
static void writes_the_fewest_entries_without_a_zero_prefix(void **unused)
{
    (void)unused;
    int least[MASKS];
    for (unsigned i = 0; i < MASKS; i++) {
        least[i] = 99;
    }
    int8_t sign[PREFIXES + 1] = {0};
    try_writings(2, 0, sign, least);
    for (unsigned mask = 0; mask < MASKS; mask++) {
        CLEANUP(region_free) struct region *r = NULL;
        assert_int_equal(region_new(FAMILY_V4, &r, NULL), 0);
        for (unsigned a = 0; a < UNIVERSE; a++) {
            struct prefix one = {.address = {.family = FAMILY_V4, .bytes = {(uint8_t)(a << 5)}}, .length = 3};
            if (mask >> a & 1) {
                assert_int_equal(region_add(r, &one, NULL, 0, NULL), 0);
            }
        }
        struct region_members members = {0};
        assert_int_equal(region_write(r, &members, NULL), 0);
        assert_int_equal(members.n, (size_t)least[mask]);
        for (size_t i = 0; i < members.n; i++) {
            assert_true(members.v[i].prefix.length >= 1);
        }
        vec_free(&members);
    }
}

static uint64_t random_state;

static unsigned below(unsigned n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((random_state >> 33) % n);
}

static uint64_t number_from(const char *name, uint64_t preset)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : preset;
}

// A random prefix within the last six bits (v4: 10.0.0.64/26; v6: fd00::40/122), now and then a wider one.
static struct prefix random_prefix(enum family family)
{
    struct prefix ret = prefix(family == FAMILY_V4 ? "10.0.0.64/26" : "fd00::40/122");
    unsigned bits = family_bits(family);
    if (below(40) == 0) {
        return prefix_truncate(&ret.address, below(bits - 5));
    }
    ret.address.bytes[bits / 8 - 1] |= (uint8_t)below(64);
    return prefix_truncate(&ret.address, bits - below(7));
}

struct random_block {
    struct prefix cidr;
    struct prefix excepts[4];
    size_t n;
};

static bool blocks_hold(const struct random_block *blocks, size_t n, const struct address *addr)
{
    for (size_t i = 0; i < n; i++) {
        bool in = prefix_contains(&blocks[i].cidr, addr);
        for (size_t j = 0; j < blocks[i].n; j++) {
            in = in && !prefix_contains(&blocks[i].excepts[j], addr);
        }
        if (in) {
            return true;
        }
    }
    return false;
}

static void random_region(enum family family)
{
    struct random_block blocks[5];
    size_t n = 1 + below(5);
    CLEANUP(region_free) struct region *r = NULL;
    CLEANUP(region_free) struct region *reversed = NULL;
    assert_int_equal(region_new(family, &r, NULL), 0);
    assert_int_equal(region_new(family, &reversed, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        blocks[i].cidr = random_prefix(family);
        blocks[i].n = below(5);
        for (size_t j = 0; j < blocks[i].n; j++) {
            blocks[i].excepts[j] = random_prefix(below(10) ? family : FAMILY_V4);
        }
        assert_int_equal(region_add(r, &blocks[i].cidr, blocks[i].excepts, blocks[i].n, NULL), 0);
    }
    for (size_t i = n; i-- > 0;) {
        assert_int_equal(region_add(reversed, &blocks[i].cidr, blocks[i].excepts, blocks[i].n, NULL), 0);
    }
    struct region_members members = {0};
    struct region_members again = {0};
    assert_int_equal(region_write(r, &members, NULL), 0);
    assert_int_equal(region_write(reversed, &again, NULL), 0);
    assert_int_equal(members.n, again.n);
    for (size_t i = 0; i < members.n; i++) {
        assert_int_equal(set_member_compare(&members.v[i], &again.v[i]), 0);
        assert_int_equal(members.v[i].nomatch, again.v[i].nomatch);
        assert_true(i == 0 || set_member_compare(&members.v[i - 1], &members.v[i]) < 0);
        assert_true(members.v[i].prefix.length > 0);
    }
    struct address addr = prefix(family == FAMILY_V4 ? "10.0.0.0/24" : "fd00::/120").address;
    for (unsigned last = 0; last < 256; last++) {
        addr.bytes[family_bits(family) / 8 - 1] = (uint8_t)last;
        bool want = blocks_hold(blocks, n, &addr);
        assert_int_equal(set_has(&members, &addr), want);
        assert_int_equal(region_contains(r, &addr), want);
    }
    vec_free(&members);
    vec_free(&again);
}

static void agrees_with_plain_membership(void **unused)
{
    (void)unused;
    uint64_t seed = number_from("SEED", 1);
    uint64_t rounds = number_from("N", 3000);
    print_message("SEED=%llu N=%llu\n", (unsigned long long)seed, (unsigned long long)rounds);
    random_state = seed;
    for (uint64_t i = 0; i < rounds; i++) {
        random_region(i % 2 ? FAMILY_V4 : FAMILY_V6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_known_regions),
        cmocka_unit_test(knows_empty_and_whole),
        cmocka_unit_test(writes_the_fewest_entries),
        cmocka_unit_test(writes_the_fewest_entries_without_a_zero_prefix),
        cmocka_unit_test(agrees_with_plain_membership),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
