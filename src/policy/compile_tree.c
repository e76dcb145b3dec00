// SPDX-License-Identifier: Apache-2.0
//
// Dispatch to the pods' chains: a path-compressed prefix tree with fan-out 8 over the addresses of enforced pods
// (DESIGN 4, dataplane.md 3.3). Every step is a goto, so that a RETURN in a policy chain goes on behind the jump to the
// tree, where the packet's other end may be judged.
#include "policy/compile_build.h"

#include <stdio.h>

#include "policy/names.h"

enum { FAN_OUT = 8, FAN_OUT_BITS = 3 };

struct tree {
    struct compile *compile;
    enum family family;
    const char *root;       // name of the root's chain
    bool by_source;         // else by destination
    const char *otherwise;  // chain for what is at no leaf; NULL: it goes on behind the jump to the tree
};

static struct tree tree_of(struct compile *compile, enum family family, enum direction direction)
{
    bool egress = direction == DIRECTION_EGRESS;
    return (struct tree){
        .compile = compile,
        .family = family,
        .root = egress ? NAMES_EGRESS_TREE : NAMES_INGRESS_TREE,
        .by_source = egress,
    };
}

static int compare_leaves(const void *a, const void *b)
{
    return address_compare(&((const struct compile_leaf *)a)->address, &((const struct compile_leaf *)b)->address);
}

static void sort_leaves(struct compile_leaves *leaves)
{
    if (leaves->n > 1) {
        qsort(leaves->v, leaves->n, sizeof(*leaves->v), compare_leaves);
    }
}

// Of sorted leaves.
static struct prefix common_prefix(const struct compile_leaf *leaves, size_t n)
{
    struct prefix first = prefix_of(&leaves[0].address);
    struct prefix last = prefix_of(&leaves[n - 1].address);
    return prefix_common(&first, &last);
}

static int node_name(const struct tree *tree, const struct prefix *prefix, const char **ret, struct err *err)
{
    struct compile *compile = tree->compile;
    struct compile_table *table = &compile->tables[tree->family];
    char head[sizeof(NAMES_EGRESS_TREE) + 1];
    (void)snprintf(head, sizeof(head), "%s-", tree->root);
    if (tree->family == FAMILY_V6) {
        char text[PREFIX_TEXT];
        (void)prefix_format(prefix, text);
        return names_take(table->chains_taken, &compile->out->arena, head, text, strlen(text), ret, err);
    }
    const uint8_t *b = prefix->address.bytes;
    char name[CHAIN_NAME_SIZE];
    (void)snprintf(name, sizeof(name), "%s%02X%02X%02X%02X-%u", head, b[0], b[1], b[2], b[3], prefix->length);
    *ret = arena_strdup(&compile->out->arena, name);
    return *ret ? 0 : err_oom(err);
}

static struct rule step(const struct tree *tree, const struct prefix *prefix, enum rule_target target,
                        const char *chain)
{
    struct rule rule = rule_init();
    if (tree->by_source) {
        rule.has_source = true;
        rule.source = *prefix;
    } else {
        rule.has_destination = true;
        rule.destination = *prefix;
    }
    rule.target = target;
    rule.chain = chain;
    return rule;
}

static int add_node(const struct tree *tree, const char *name, const struct compile_leaf *leaves, size_t n,
                    struct err *err);

// A rule to the leaf, or to a node of its own for several.
static int add_child(const struct tree *tree, const struct compile_leaf *leaves, size_t n, struct compile_rules *rules,
                     struct err *err)
{
    struct prefix prefix = common_prefix(leaves, n);
    const char *chain = leaves[0].chain;
    if (n > 1 && (node_name(tree, &prefix, &chain, err) < 0 || add_node(tree, chain, leaves, n, err) < 0)) {
        return -1;
    }
    return vec_push(rules, step(tree, &prefix, TARGET_GOTO, chain)) < 0 ? err_oom(err) : 0;
}

static int add_children(const struct tree *tree, const struct compile_leaf *leaves, size_t n,
                        struct compile_rules *rules, struct err *err)
{
    unsigned length =
        n <= FAN_OUT ? family_bits(tree->family) : (unsigned)common_prefix(leaves, n).length + FAN_OUT_BITS;
    for (size_t i = 0, same = 0; i < n; i += same) {
        struct prefix part = prefix_truncate(&leaves[i].address, length);
        same = 1;
        while (i + same < n && prefix_contains(&part, &leaves[i + same].address)) {
            same++;
        }
        if (add_child(tree, leaves + i, same, rules, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int add_node(const struct tree *tree, const char *name, const struct compile_leaf *leaves, size_t n,
                    struct err *err)
{
    struct compile_rules rules = {0};
    int rc = add_children(tree, leaves, n, &rules, err);
    if (rc == 0 && tree->otherwise) {
        rc = compile_push(&rules, compile_rule_to(TARGET_GOTO, tree->otherwise), err);
    }
    rc = rc < 0 ? -1 : compile_add_chain(tree->compile, tree->family, name, &rules, err);
    vec_free(&rules);
    return rc;
}

int compile_tree(struct compile *compile, enum family family, enum direction direction, struct err *err)
{
    struct compile_leaves *leaves = &compile->tables[family].leaves[direction];
    const struct tree tree = tree_of(compile, family, direction);
    sort_leaves(leaves);
    return leaves->n ? add_node(&tree, tree.root, leaves->v, leaves->n, err) : 0;
}

int compile_tree_of_sources(struct compile *compile, enum family family, const char *root, const char *otherwise,
                            struct compile_leaves *leaves, struct err *err)
{
    const struct tree tree = {
        .compile = compile, .family = family, .root = root, .by_source = true, .otherwise = otherwise};
    sort_leaves(leaves);
    return add_node(&tree, root, leaves->v, leaves->n, err);
}

int compile_tree_jump(struct compile *compile, enum family family, enum direction direction,
                      struct compile_rules *rules, struct err *err)
{
    const struct compile_leaves *leaves = &compile->tables[family].leaves[direction];
    if (leaves->n == 0) {
        return 0;
    }
    const struct tree tree = tree_of(compile, family, direction);
    struct prefix root = common_prefix(leaves->v, leaves->n);
    struct rule rule = step(&tree, &root, TARGET_JUMP, tree.root);
    return vec_push(rules, rule) < 0 ? err_oom(err) : 0;
}
