// SPDX-License-Identifier: Apache-2.0
//
// What the two families offer to the door. One source, xtables_family.inc, is compiled once for each of them.
#pragma once

#include "xtables/xtables.h"

struct xtables_ops {
    const char *name;        // "IPv4"
    const char *proc_names;  // lists the tables of this network namespace
    const char *module;      // to load when the kernel has no such tables
    int socket_family;
    int level;
    int revision_match;
    int revision_target;
    // What the kernel says of a table without telling its rules: sizes and the places of built-in chains, mixed.
    int (*measure)(int fd, const char *table, uint64_t *ret);
    // As libiptc: pointers, or 0 on failure with errno set.
    void *(*init)(const char *table);
    void (*free)(void *handle);
    int (*commit)(void *handle);
    const char *(*text)(int num);  // what errno means for the call that has just failed
    int (*is_chain)(const char *chain, void *handle);
    int (*is_builtin)(const char *chain, void *handle);
    const char *(*first_chain)(void *handle);
    const char *(*next_chain)(void *handle);
    const void *(*first_rule)(const char *chain, void *handle);
    const void *(*next_rule)(const void *entry, void *handle);
    const char *(*target)(const void *entry, void *handle);
    bool (*is_goto)(const void *entry);
    const char *(*policy)(const char *chain, void *handle);  // of a built-in one
    int (*create)(const char chain[XTABLES_CHAIN], void *handle);
    int (*flush)(const char chain[XTABLES_CHAIN], void *handle);
    int (*remove)(const char chain[XTABLES_CHAIN], void *handle);
    int (*append)(const char chain[XTABLES_CHAIN], const void *entry, void *handle);
    int (*insert)(const char chain[XTABLES_CHAIN], const void *entry, unsigned position, void *handle);
    int (*delete_at)(const char chain[XTABLES_CHAIN], unsigned position, void *handle);
    // Kernel form of a rule in buf (aligned as malloc does, XTABLES_ENTRY bytes).
    int (*encode)(const struct xtables_rule *rule, void *buf, struct err *err);
    // False when the entry says something that struct xtables_rule cannot.
    bool (*decode)(const void *entry, const char *target, struct xtables_rule *ret);
    // The same by what the kernel does, not by how it is written. why (may be NULL) gets the reason when it is false.
    bool (*tell)(const void *entry, const char *target, struct xtables_rule *ret, struct buf *why);
    void (*describe)(const void *entry, const char *target, struct buf *out);
};
extern const struct xtables_ops xtables_v4;
extern const struct xtables_ops xtables_v6;

// The largest entry that encode makes, with room: header, every match once, a target.
enum { XTABLES_ENTRY = 2048 };

// Helpers of the entry header, for both families.
void xtables_interface_put(const char *name, char *ret_name, unsigned char *ret_mask);
bool xtables_interface_get(const char *name, const unsigned char *mask, char ret[XTABLES_INTERFACE]);
void xtables_mask_put(unsigned length, void *mask, size_t size);
// False when the mask is no prefix.
bool xtables_mask_get(const void *mask, size_t size, uint8_t *ret_length);
// Looser than xtables_interface_get: what lies behind the mask does not matter.
bool xtables_interface_tell(const char *name, const unsigned char *mask, char ret[XTABLES_INTERFACE]);

// xtables_tell.c: texts of the header, for both families. `not`: printed as inverted.
bool xtables_no(struct buf *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));  // false; why may be NULL
void xtables_put_address(struct buf *out, const char *option, bool not, const void *address, const void *mask,
                         size_t size);
void xtables_put_interface(struct buf *out, const char *option, bool not, const char *name, const unsigned char *mask);
void xtables_put_protocol(struct buf *out, bool not, unsigned protocol);
