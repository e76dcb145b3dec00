// SPDX-License-Identifier: Apache-2.0
#include "policy/compile_build.h"

#include "base/limits.h"
#include "policy/names.h"

// Members while a set is made. Same layout as region_members, which writes them.
struct members {
    struct region_members list;
};

static void cleanup_members(struct members *members)
{
    vec_free(&members->list);
}
#define MEMBERS_CLEANUP __attribute__((cleanup(cleanup_members)))

static int compare_members(const void *a, const void *b)
{
    return set_member_compare(a, b);
}

static void sort_members(struct region_members *members)
{
    if (members->n < 2) {
        return;
    }
    bool sorted = true;
    for (size_t i = 1; sorted && i < members->n; i++) {
        sorted = set_member_compare(&members->v[i - 1], &members->v[i]) < 0;
    }
    if (sorted) {
        return;
    }
    qsort(members->v, members->n, sizeof(*members->v), compare_members);
    size_t kept = 0;
    for (size_t i = 1; i < members->n; i++) {
        if (set_member_compare(&members->v[kept], &members->v[i]) != 0) {
            members->v[++kept] = members->v[i];
        }
    }
    members->n = kept + 1;
}

// Adds the set under a name of its identity and remembers it. The members stay the caller's and must live as long as
// the ruleset.
static int place_set(struct compile *compile, enum family family, struct set set, const char *text,
                     const struct buf *describe, const char **ret, struct err *err)
{
    struct compile_table *table = &compile->tables[family];
    struct arena *arena = &compile->out->arena;
    const char *prefix = family == FAMILY_V4 ? RULESET_SET_PREFIX_V4 : RULESET_SET_PREFIX_V6;
    if (set.n_members > LIMIT_SET_MEMBERS) {
        return err_set(err, ERR_LIMIT, 0, "a set would have %zu members, more than %d (%.100s)", set.n_members,
                       LIMIT_SET_MEMBERS, describe->data ? describe->data : "");
    }
    if (names_take(table->sets_taken, arena, prefix, text, strlen(text), &set.name, err) < 0) {
        return -1;
    }
    char *words = describe->failed ? NULL : arena_strndup(arena, describe->data, describe->len);
    if (!words) {
        return err_oom(err);
    }
    names_plain(words);
    set.describe = words;
    if (vec_push(&table->sets, set) < 0 || map_put_str(table->set_names, text, (void *)(uintptr_t)set.name, NULL) < 0) {
        return err_oom(err);
    }
    *ret = set.name;
    return 0;
}

static int add_set(struct compile *compile, enum family family, enum set_type type, const char *text,
                   struct region_members *members, const struct buf *describe, const char **ret, struct err *err)
{
    sort_members(members);
    struct set_member *copy = arena_alloc(&compile->out->arena, members->n * sizeof(*copy));
    if (!copy) {
        return err_oom(err);
    }
    if (members->n) {
        memcpy(copy, members->v, members->n * sizeof(*copy));
    }
    struct set set = {.type = type, .members = copy, .n_members = members->n};
    return place_set(compile, family, set, text, describe, ret, err);
}

// Members that the provider has, or has just got.
static int add_shared(struct compile *compile, enum family family, enum set_type type, const char *text,
                      struct set_members *members, const struct buf *describe, const char **ret, struct err *err)
{
    const struct compile_provider *provider = compile->provider;
    struct set set = {.type = type, .members = members->v, .n_members = members->n};
    if (ruleset_share(compile->out, members) < 0) {
        return err_oom(err);
    }
    if (place_set(compile, family, set, text, describe, ret, err) < 0) {
        return -1;
    }
    return provider->placed(provider->arg, family, text, *ret) < 0 ? err_oom(err) : 0;
}

// NULL when memory is out.
static struct set_members *share_members(struct region_members *list)
{
    sort_members(list);
    struct set_members *members = set_members_new(list->n);
    if (members && list->n) {
        memcpy(members->v, list->v, list->n * sizeof(*list->v));
    }
    return members;
}

// ---- pods ----------------------------------------------------------------------------------------------------------

void compile_union_free(struct compile_union *u)
{
    vec_free(&u->pods);
    free(u);
}

// The peers sorted, without doubles, in the scratch arena.
static const struct select_peer *canonical_peers(struct compile *compile, const struct select_peer *peers, size_t *n)
{
    struct select_peer *sorted = arena_alloc(&compile->scratch, *n * sizeof(*sorted));
    if (!sorted) {
        return NULL;
    }
    memcpy(sorted, peers, *n * sizeof(*sorted));
    qsort(sorted, *n, sizeof(*sorted), select_peer_compare);
    size_t kept = 0;
    for (size_t i = 1; i < *n; i++) {
        if (select_peer_compare(&sorted[kept], &sorted[i]) != 0) {
            sorted[++kept] = sorted[i];
        }
    }
    *n = kept + 1;
    return sorted;
}

int compile_union_get(struct compile *compile, const struct select_peer *peers, size_t n, struct compile_union **ret,
                      struct err *err)
{
    const struct select_peer *sorted = canonical_peers(compile, peers, &n);
    BUF_CLEANUP struct buf text = {0};
    buf_puts(&text, "pods");
    for (size_t i = 0; sorted && i < n; i++) {
        buf_printf(&text, " %zu:", strlen(sorted[i].text));
        buf_puts(&text, sorted[i].text);
    }
    if (!sorted || text.failed) {
        return err_oom(err);
    }
    struct compile_union *u = map_get_str(compile->unions, text.data);
    if (!u) {
        char *copy = arena_strndup(&compile->scratch, text.data, text.len);
        u = calloc(1, sizeof(*u));
        if (!copy || !u || map_put_str(compile->unions, copy, u, NULL) < 0) {
            free(u);
            return err_oom(err);
        }
        *u = (struct compile_union){.text = copy, .peers = sorted, .n = n};
    }
    *ret = u;
    return 0;
}

static void describe_peers(const char *what, const struct select_peer *peers, size_t n, struct buf *out)
{
    enum { LONG = 200 };
    buf_puts(out, what);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && out->len > LONG) {
            buf_printf(out, "; +%zu more", n - i);
            return;
        }
        buf_puts(out, i ? "; " : " ");
        select_peer_describe(&peers[i], out);
    }
}

// The pod's owned addresses of the family.
static int add_pod(struct index *index, uint32_t id, enum family family, struct region_members *to)
{
    const struct pod *pod = index_pod(index, id);
    for (size_t i = 0; i < pod->n_addresses; i++) {
        if (pod->addresses[i].family == family && index_owns(index, id, i) &&
            vec_push(to, (struct set_member){.prefix = prefix_of(&pod->addresses[i])}) < 0) {
            return -1;
        }
    }
    return 0;
}

// By pod: whether the union selects it. NULL when memory is out.
static bool *chosen_pods(const struct index *index, const struct index_ids *ids)
{
    bool *chosen = calloc((size_t)index_count(index) + 1, sizeof(*chosen));
    for (size_t i = 0; chosen && i < ids->n; i++) {
        chosen[ids->v[i]] = true;
    }
    return chosen;
}

// Many pods: a walk over all addresses in their order is cheaper than sorting the members.
static int add_many_pods(struct index *index, const struct index_ids *ids, enum family family,
                         struct region_members *to, struct err *err)
{
    const struct index_address *addresses;
    size_t n;
    CLEANUP(free) bool *chosen = chosen_pods(index, ids);
    if (!chosen) {
        return err_oom(err);
    }
    if (index_addresses(index, family, &addresses, &n, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (chosen[addresses[i].id] &&
            vec_push(to, (struct set_member){.prefix = prefix_of(&addresses[i].address)}) < 0) {
            return err_oom(err);
        }
    }
    return 0;
}

static int add_pods(struct index *index, const struct index_ids *ids, enum family family, struct region_members *to,
                    struct err *err)
{
    enum { MANY = 1000, SHARE = 32 };
    if (ids->n > MANY && ids->n > index_count(index) / SHARE) {
        return add_many_pods(index, ids, family, to, err);
    }
    for (size_t i = 0; i < ids->n; i++) {
        if (add_pod(index, ids->v[i], family, to) < 0) {
            return err_oom(err);
        }
    }
    return 0;
}

static int select_union(struct index *index, struct compile_union *u, struct err *err)
{
    if (!u->selected) {
        if (select_pods(index, u->peers, u->n, &u->pods, err) < 0) {
            return -1;
        }
        u->selected = true;
    }
    return 0;
}

// A set of pods that nobody knows yet.
static int select_set(struct compile *compile, enum family family, struct compile_union *u, const struct buf *describe,
                      struct err *err)
{
    const struct compile_provider *provider = compile->provider;
    const char **name = &u->sets[family];
    struct index *index = compile_everyone(compile, err);
    MEMBERS_CLEANUP struct members members = {0};
    if (!index || select_union(index, u, err) < 0 || add_pods(index, &u->pods, family, &members.list, err) < 0) {
        return -1;
    }
    if (!provider) {
        return add_set(compile, family, SET_HASH_IP, u->text, &members.list, describe, name, err);
    }
    CLEANUP(set_members_free) struct set_members *shared = share_members(&members.list);
    if (!shared || provider->made_pods(provider->arg, family, u, shared) < 0) {
        return err_oom(err);
    }
    return add_shared(compile, family, SET_HASH_IP, u->text, shared, describe, name, err);
}

int compile_set_pods(struct compile *compile, enum family family, struct compile_union *u, const char **ret,
                     struct err *err)
{
    if (u->sets[family]) {
        *ret = u->sets[family];
        return 0;
    }
    BUF_CLEANUP struct buf describe = {0};
    describe_peers("pods", u->peers, u->n, &describe);
    const struct compile_provider *provider = compile->provider;
    struct set_members *known = provider ? provider->known(provider->arg, family, u->text) : NULL;
    int rc = known ? add_shared(compile, family, SET_HASH_IP, u->text, known, &describe, &u->sets[family], err)
                   : select_set(compile, family, u, &describe, err);
    if (rc == 0) {
        *ret = u->sets[family];
    }
    return rc;
}

// ---- plain addresses and regions -----------------------------------------------------------------------------------

int compile_set_addresses(struct compile *compile, enum family family, const char *what,
                          const struct address *addresses, size_t n, const char **ret, struct err *err)
{
    const char *present = map_get_str(compile->tables[family].set_names, what);
    if (present) {
        *ret = present;
        return 0;
    }
    MEMBERS_CLEANUP struct members members = {0};
    for (size_t i = 0; i < n; i++) {
        struct set_member member = {.prefix = prefix_of(&addresses[i])};
        if (addresses[i].family == family && vec_push(&members.list, member) < 0) {
            return err_oom(err);
        }
    }
    BUF_CLEANUP struct buf describe = {0};
    buf_puts(&describe, what);
    return add_set(compile, family, SET_HASH_IP, what, &members.list, &describe, ret, err);
}

static void format_members(const char *what, const struct region_members *members, struct buf *out)
{
    buf_puts(out, what);
    for (size_t i = 0; i < members->n; i++) {
        char text[PREFIX_TEXT];
        buf_printf(out, " %s%s", members->v[i].nomatch ? "!" : "", prefix_format(&members->v[i].prefix, text));
    }
}

int compile_set_region(struct compile *compile, enum family family, struct region *region, const char **ret,
                       struct err *err)
{
    MEMBERS_CLEANUP struct members members = {0};
    if (region_write(region, &members.list, err) < 0) {
        return -1;
    }
    BUF_CLEANUP struct buf text = {0};
    format_members("blocks", &members.list, &text);
    if (text.failed) {
        return err_oom(err);
    }
    const char *present = map_get_str(compile->tables[family].set_names, text.data);
    if (present) {
        *ret = present;
        return 0;
    }
    BUF_CLEANUP struct buf describe = {0};
    buf_printf(&describe, "ipBlocks, %zu entries", members.list.n);
    return add_set(compile, family, SET_HASH_NET, text.data, &members.list, &describe, ret, err);
}

// ---- named ports ---------------------------------------------------------------------------------------------------

// Every live pod of the family is a destination of the group.
static bool any_pod(const struct compile_group *group, struct region *region)
{
    return group->any_peer || (region && region_is_whole(region));
}

static bool no_pod(const struct compile_group *group, struct region *region)
{
    return !group->any_peer && !group->pod_union && (!region || region_is_empty(region));
}

// The group's part of the set's identity.
static int identify_named(const struct compile_group *group, struct region *region, struct buf *text, struct err *err)
{
    buf_printf(text, " %zu:%s", strlen(group->name), group->name);
    if (any_pod(group, region)) {
        buf_puts(text, " any");
        return 0;
    }
    if (group->pod_union) {
        buf_printf(text, " %zu:%s", strlen(group->pod_union->text), group->pod_union->text);
    }
    if (region && !region_is_empty(region)) {
        MEMBERS_CLEANUP struct members members = {0};
        if (region_write(region, &members.list, err) < 0) {
            return -1;
        }
        format_members(" blocks", &members.list, text);
    }
    return 0;
}

static int add_named(struct index *index, const struct compile_group *group, struct region *region, enum family family,
                     struct region_members *to, struct err *err)
{
    const struct index_ports *ports;
    const struct index_address *addresses;
    size_t n;
    static const struct index_ids none;
    if ((group->pod_union && select_union(index, group->pod_union, err) < 0) ||
        index_named_ports(index, family, group->protocol, group->name, &ports, err) < 0 ||
        index_addresses(index, family, &addresses, &n, err) < 0) {
        return -1;
    }
    bool any = any_pod(group, region);
    CLEANUP(free) bool *chosen = chosen_pods(index, group->pod_union ? &group->pod_union->pods : &none);
    if (!chosen) {
        return err_oom(err);
    }
    for (size_t i = 0; i < ports->n; i++) {
        const struct index_address *address = &addresses[ports->v[i].at];
        if (!any && !chosen[address->id] && !(region && region_contains(region, &address->address))) {
            continue;
        }
        struct set_member member = {
            .prefix = prefix_of(&address->address), .protocol = group->protocol, .port = ports->v[i].number};
        if (vec_push(to, member) < 0) {
            return err_oom(err);
        }
    }
    return 0;
}

int compile_set_named(struct compile *compile, enum family family, struct compile_group *const *groups,
                      struct region *const *regions, size_t n, const char **ret, struct err *err)
{
    BUF_CLEANUP struct buf text = {0};
    BUF_CLEANUP struct buf describe = {0};
    const char *protocol = protocol_name(groups[0]->protocol);
    buf_printf(&text, "ports %u", groups[0]->protocol);
    buf_printf(&describe, "%s ports", protocol ? protocol : "");
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (no_pod(groups[i], regions[i])) {
            continue;
        }
        buf_printf(&describe, "%s%s", used++ ? "," : " ", groups[i]->name);
        if (identify_named(groups[i], regions[i], &text, err) < 0) {
            return -1;
        }
    }
    if (text.failed) {
        return err_oom(err);
    }
    *ret = used ? map_get_str(compile->tables[family].set_names, text.data) : NULL;
    if (*ret || !used) {
        return 0;
    }
    const struct compile_provider *provider = compile->provider;
    struct set_members *known = provider ? provider->known(provider->arg, family, text.data) : NULL;
    if (known) {
        return add_shared(compile, family, SET_HASH_IP_PORT, text.data, known, &describe, ret, err);
    }
    struct index *index = compile_everyone(compile, err);
    MEMBERS_CLEANUP struct members members = {0};
    for (size_t i = 0; index && i < n; i++) {
        if (!no_pod(groups[i], regions[i]) && add_named(index, groups[i], regions[i], family, &members.list, err) < 0) {
            return -1;
        }
    }
    if (!index || !provider) {
        return !index ? -1 : add_set(compile, family, SET_HASH_IP_PORT, text.data, &members.list, &describe, ret, err);
    }
    CLEANUP(set_members_free) struct set_members *shared = share_members(&members.list);
    if (!shared || provider->made_named(provider->arg, family, text.data, groups, n, shared) < 0) {
        return err_oom(err);
    }
    return add_shared(compile, family, SET_HASH_IP_PORT, text.data, shared, &describe, ret, err);
}
