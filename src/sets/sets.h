// SPDX-License-Identifier: Apache-2.0
//
// The door to ipset, over netlink (the kernel's protocol 6 and 7): hash:ip, hash:net and hash:ip,port sets of both
// families. Plain types; knows nothing of rulesets. Errors carry ipset's own code (4096 and more) or errno in num.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

enum { SETS_NAME = 32 };         // with the NUL
enum { SETS_HASH_FULL = 4352 };  // err.num of sets_add when maxelem is reached
enum { SETS_BUSY = 4100 };       // err.num of sets_destroy when a rule uses the set

enum sets_family { SETS_V4, SETS_V6 };
enum sets_type { SETS_HASH_IP, SETS_HASH_NET, SETS_HASH_IP_PORT, SETS_OTHER };

struct sets_member {
    uint8_t address[16];  // network order; IPv4 uses the first 4, the rest is zero
    uint8_t length;       // prefix length; hash:ip and hash:ip,port: 32 or 128
    uint8_t protocol;     // hash:ip,port
    uint16_t port;        // hash:ip,port
    bool nomatch;         // hash:net
};

// One set of the kernel.
struct sets_header {
    char name[SETS_NAME];
    enum sets_type
        type;  // SETS_OTHER also for our types with a timeout, netmask or bitmask: they do not behave as ours
    enum sets_family family;
    uint32_t hashsize;
    uint32_t maxelem;
    uint32_t references;  // rules that use it
};

// One connection to the kernel. Not for several threads.
struct sets;

// Opens it and checks the protocol version. ERR_UNSUPPORTED names the module that is missing, ERR_DENIED the right.
NODISCARD int sets_open(struct sets **ret, struct err *err);
void sets_close(struct sets *sets);
CLEANUP_DEFINE(struct sets, sets_close);
const char *sets_type_name(enum sets_type type);  // "hash:ip", …

// Whether the kernel can make such sets; ERR_UNSUPPORTED names the module.
NODISCARD int sets_probe(struct sets *sets, enum sets_type type, enum sets_family family, struct err *err);

// An empty set. ERR_RETRY with num EEXIST when the name is taken.
NODISCARD int sets_create(struct sets *sets, const char *name, enum sets_type type, enum sets_family family,
                          uint32_t hashsize, uint32_t maxelem, struct err *err);
// Members already there (or, to delete, not there) are no error. Not atomic: on failure the members before the one that
// err names are done. ERR_LIMIT with num SETS_HASH_FULL: grow the set by sets_create, sets_add, sets_swap,
// sets_destroy.
NODISCARD int sets_add(struct sets *sets, const char *name, enum sets_family family, enum sets_type type,
                       const struct sets_member *members, size_t n, struct err *err);
NODISCARD int sets_delete(struct sets *sets, const char *name, enum sets_family family, enum sets_type type,
                          const struct sets_member *members, size_t n, struct err *err);
// Exchanges the contents of two sets of one type and family: atomic for packets.
NODISCARD int sets_swap(struct sets *sets, const char *a, const char *b, struct err *err);
// A set that is not there is no error. ERR_RETRY with num SETS_BUSY when a rule uses it.
NODISCARD int sets_destroy(struct sets *sets, const char *name, struct err *err);

struct sets_list {
    struct sets_header *v;  // in the kernel's order
    size_t n;
};
void sets_list_free(struct sets_list *list);
CLEANUP_DEFINE(struct sets_list, sets_list_free);
// Headers of the sets whose name starts with the prefix.
NODISCARD int sets_list(struct sets *sets, const char *prefix, struct sets_list **ret, struct err *err);

struct sets_members {
    struct sets_member *v;  // in the kernel's order
    size_t n;
};
void sets_members_free(struct sets_members *members);
CLEANUP_DEFINE(struct sets_members, sets_members_free);
// Members of a set of one of our types. ERR_NOT_FOUND.
NODISCARD int sets_dump(struct sets *sets, const char *name, enum sets_family family, struct sets_members **ret,
                        struct err *err);

// A set's index, as rules hold it, and back. Valid until the set is destroyed. ERR_NOT_FOUND.
NODISCARD int sets_index(struct sets *sets, const char *name, uint16_t *ret, struct err *err);
NODISCARD int sets_name(struct sets *sets, uint16_t index, char ret[SETS_NAME], struct err *err);
