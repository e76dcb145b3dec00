// SPDX-License-Identifier: Apache-2.0
//
// A region is a sorted list of disjoint, not adjacent spans of addresses. To write it, the binary trie of the spans is
// walked twice. The first walk stores one byte a node, in preorder: which inherited meanings (match, nomatch) let the
// node be written with the fewest entries (as in "Constructing Optimal IP Routing Tables", Draves et al. 1999). The
// second walk goes down with the meaning in force and puts an entry where it must change.
#include "policy/region.h"

__extension__ typedef unsigned __int128 region_value;

struct span {
    region_value first;
    region_value last;
};

struct spans {
    struct span *v;
    size_t n;
    size_t cap;
};

struct region {
    enum family family;
    bool united;  // spans are sorted, disjoint and not adjacent
    struct spans spans;
};

int region_new(enum family family, struct region **ret, struct err *err)
{
    struct region *region = calloc(1, sizeof(*region));
    if (!region) {
        return err_oom(err);
    }
    region->family = family;
    region->united = true;
    *ret = region;
    return 0;
}

void region_free(struct region *region)
{
    if (region) {
        vec_free(&region->spans);
        free(region);
    }
}

static region_value value_of(const struct address *address)
{
    region_value value = 0;
    for (unsigned i = 0; i < family_bits(address->family) / 8; i++) {
        value = value << 8 | address->bytes[i];
    }
    return value;
}

static struct address address_of(enum family family, region_value value)
{
    struct address address = {.family = family};
    for (unsigned i = family_bits(family) / 8; i-- > 0;) {
        address.bytes[i] = (uint8_t)value;
        value >>= 8;
    }
    return address;
}

// The values below a prefix of that length, less one: its host mask.
static region_value host_mask(enum family family, unsigned length)
{
    unsigned bits = family_bits(family) - length;
    return bits == 128 ? ~(region_value)0 : ((region_value)1 << bits) - 1;
}

static struct span span_of(const struct prefix *prefix)
{
    region_value mask = host_mask(prefix->address.family, prefix->length);
    region_value first = value_of(&prefix->address) & ~mask;
    return (struct span){.first = first, .last = first | mask};
}

static int compare_spans(const void *a, const void *b)
{
    const struct span *x = a;
    const struct span *y = b;
    return x->first != y->first ? (x->first < y->first ? -1 : 1) : (x->last > y->last) - (x->last < y->last);
}

static void sort_spans(struct spans *spans)
{
    if (spans->n > 1) {
        qsort(spans->v, spans->n, sizeof(*spans->v), compare_spans);
    }
}

int region_add(struct region *region, const struct prefix *cidr, const struct prefix *excepts, size_t n_excepts,
               struct err *err)
{
    if (cidr->address.family != region->family) {
        return 0;
    }
    struct span block = span_of(cidr);
    __attribute__((cleanup(cleanup_free))) struct span *cuts = malloc((n_excepts + 1) * sizeof(*cuts));
    if (!cuts || vec_reserve(&region->spans, region->spans.n + n_excepts + 1) < 0) {
        return err_oom(err);
    }
    size_t n_cuts = 0;
    for (size_t i = 0; i < n_excepts; i++) {
        if (excepts[i].address.family == region->family) {
            cuts[n_cuts++] = span_of(&excepts[i]);
        }
    }
    sort_spans(&(struct spans){.v = cuts, .n = n_cuts});
    region->united = false;
    region_value first = block.first;
    for (size_t i = 0; i < n_cuts; i++) {
        if (cuts[i].last < first) {
            continue;
        }
        if (cuts[i].first > block.last) {
            break;
        }
        if (cuts[i].first > first) {
            region->spans.v[region->spans.n++] = (struct span){first, cuts[i].first - 1};
        }
        if (cuts[i].last >= block.last) {
            return 0;
        }
        first = cuts[i].last + 1;
    }
    region->spans.v[region->spans.n++] = (struct span){first, block.last};
    return 0;
}

static void unite(struct region *region)
{
    struct spans *spans = &region->spans;
    if (region->united) {
        return;
    }
    region->united = true;
    sort_spans(spans);
    size_t kept = 0;
    for (size_t i = 1; i < spans->n; i++) {
        struct span *last = &spans->v[kept];
        // The first test also keeps last->last + 1 from wrapping round.
        if (spans->v[i].first <= last->last || spans->v[i].first == last->last + 1) {
            last->last = spans->v[i].last > last->last ? spans->v[i].last : last->last;
        } else {
            spans->v[++kept] = spans->v[i];
        }
    }
    spans->n = spans->n ? kept + 1 : 0;
}

bool region_is_empty(struct region *region)
{
    return region->spans.n == 0;
}

bool region_is_whole(struct region *region)
{
    unite(region);
    return region->spans.n == 1 && region->spans.v[0].first == 0 &&
           region->spans.v[0].last == host_mask(region->family, 0);
}

// The first of spans[from..to) that begins at or behind value.
static size_t first_from(const struct spans *spans, size_t from, size_t to, region_value value)
{
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (spans->v[middle].first < value) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

bool region_contains(struct region *region, const struct address *address)
{
    if (address->family != region->family) {
        return false;
    }
    unite(region);
    region_value value = value_of(address);
    const struct spans *spans = &region->spans;
    size_t next = first_from(spans, 0, spans->n, value);
    return (next < spans->n && spans->v[next].first == value) || (next > 0 && spans->v[next - 1].last >= value);
}

// ---- the two walks -------------------------------------------------------------------------------------------------

// One byte a node. CHEAP_x: the subtree takes the fewest entries if its root inherits x (one more otherwise).
enum {
    CHEAP_NOMATCH = 1,
    CHEAP_MATCH = 2,
    INNER = 4,
    // Neither child is cheap with the other meaning: an entry here saves one below. Without it an entry here would only
    // tie, and entries further down leave fewer nomatch ones.
    PLACE = 8,
};

struct trie {
    const struct region *region;
    struct {
        uint8_t *v;
        size_t n;
        size_t cap;
    } nodes;
    size_t at;  // second walk
    struct region_members *out;
};

// First walk: the node that begins at `first` with that prefix length; spans[from..to) are those that touch it. Returns
// the node's byte, or -1 when memory is out.
static int trie_build(struct trie *trie, region_value first, unsigned length, size_t from, size_t to)
{
    const struct spans *spans = &trie->region->spans;
    region_value mask = host_mask(trie->region->family, length);
    size_t at = trie->nodes.n;
    bool covered = from < to && spans->v[from].first <= first && spans->v[from].last >= (first | mask);
    uint8_t node = from == to ? CHEAP_NOMATCH : covered ? CHEAP_MATCH : INNER;
    if (vec_push(&trie->nodes, node) < 0) {
        return -1;
    }
    if (node != INNER) {
        return node;
    }
    region_value middle = first | ((mask >> 1) + 1);
    size_t right = first_from(spans, from, to, middle);
    int low = trie_build(trie, first, length + 1, from, right);
    int high = low < 0 ? -1
                       : trie_build(trie, middle, length + 1,
                                    right > from && spans->v[right - 1].last >= middle ? right - 1 : right, to);
    if (low < 0 || high < 0) {
        return -1;
    }
    int both = low & high & (CHEAP_NOMATCH | CHEAP_MATCH);
    int either = (low | high) & (CHEAP_NOMATCH | CHEAP_MATCH);
    bool alike = both && both == either;
    trie->nodes.v[at] = (uint8_t)(INNER | (both ? both : either) | (alike ? PLACE : 0));
    return trie->nodes.v[at];
}

// Second walk, in the same order; match is the meaning that the node inherits.
static int trie_write(struct trie *trie, region_value first, unsigned length, bool match)
{
    uint8_t node = trie->nodes.v[trie->at++];
    bool cheap = node & (match ? CHEAP_MATCH : CHEAP_NOMATCH);
    if (length > 0 && !cheap && (!(node & INNER) || (node & PLACE))) {
        match = !match;
        struct set_member member = {.nomatch = !match};
        member.prefix.address = address_of(trie->region->family, first);
        member.prefix.length = (uint8_t)length;
        if (vec_push(trie->out, member) < 0) {
            return -1;
        }
    }
    if (!(node & INNER)) {
        return 0;
    }
    region_value middle = first | ((host_mask(trie->region->family, length) >> 1) + 1);
    return trie_write(trie, first, length + 1, match) < 0 ? -1 : trie_write(trie, middle, length + 1, match);
}

static int write_whole(struct region *region, struct region_members *ret, struct err *err)
{
    if (vec_reserve(ret, ret->n + 2) < 0) {
        return err_oom(err);
    }
    for (unsigned half = 0; half < 2; half++) {
        struct address address = {.family = region->family, .bytes = {(uint8_t)(half << 7)}};
        ret->v[ret->n++] = (struct set_member){.prefix = {.address = address, .length = 1}};
    }
    return 0;
}

static int compare_members(const void *a, const void *b)
{
    return set_member_compare(a, b);
}

int region_write(struct region *region, struct region_members *ret, struct err *err)
{
    unite(region);
    if (region_is_empty(region)) {
        return 0;
    }
    if (region_is_whole(region)) {
        return write_whole(region, ret, err);
    }
    size_t before = ret->n;
    struct trie trie = {.region = region, .out = ret};
    int rc = trie_build(&trie, 0, 0, 0, region->spans.n) < 0 ? -1 : trie_write(&trie, 0, 0, false);
    vec_free(&trie.nodes);
    if (rc < 0) {
        ret->n = before;
        return err_oom(err);
    }
    if (ret->n - before > 1) {
        qsort(ret->v + before, ret->n - before, sizeof(*ret->v), compare_members);
    }
    return 0;
}
