// SPDX-License-Identifier: Apache-2.0
#include "sets/sets_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct code {
    int num;
    enum err_kind kind;
    const char *text;
};

static const struct code codes[] = {
    {IPSET_ERR_PROTOCOL, ERR_UNSUPPORTED, "the kernel's ipset does not take this request"},
    {IPSET_ERR_FIND_TYPE, ERR_UNSUPPORTED, "the kernel lacks this set type or its revision"},
    {IPSET_ERR_MAX_SETS, ERR_LIMIT, "the kernel's number of sets is reached (module option max_sets of ip_set)"},
    {IPSET_ERR_BUSY, ERR_RETRY, "a rule uses the set"},
    {IPSET_ERR_EXIST_SETNAME2, ERR_RETRY, "the second name is taken"},
    {IPSET_ERR_TYPE_MISMATCH, ERR_INPUT, "the sets differ in type or family"},
    {IPSET_ERR_EXIST, ERR_INPUT, "the member is there already, or not there to delete"},
    {IPSET_ERR_INVALID_CIDR, ERR_INPUT, "the prefix length is out of range"},
    {IPSET_ERR_INVALID_NETMASK, ERR_INPUT, "the netmask is invalid"},
    {IPSET_ERR_INVALID_FAMILY, ERR_UNSUPPORTED, "the set type does not take this address family"},
    {IPSET_ERR_TIMEOUT, ERR_INPUT, "the set has no timeouts"},
    {IPSET_ERR_REFERENCED, ERR_RETRY, "the set is referenced"},
    {IPSET_ERR_IPADDR_IPV4, ERR_INPUT, "an IPv4 address was expected"},
    {IPSET_ERR_IPADDR_IPV6, ERR_INPUT, "an IPv6 address was expected"},
    {IPSET_ERR_COUNTER, ERR_INPUT, "the set has no counters"},
    {IPSET_ERR_COMMENT, ERR_INPUT, "the set has no comments"},
    {IPSET_ERR_INVALID_MARKMASK, ERR_INPUT, "the mark mask is invalid"},
    {IPSET_ERR_SKBINFO, ERR_INPUT, "the set has no skbinfo"},
    {SETS_HASH_FULL, ERR_LIMIT, "the set is full (maxelem)"},
    {ENOENT, ERR_NOT_FOUND, "there is no such set"},
    {EEXIST, ERR_RETRY, "a set of this name exists"},
    {EPERM, ERR_DENIED, "CAP_NET_ADMIN is missing"},
    {EACCES, ERR_DENIED, "CAP_NET_ADMIN is missing"},
    {ENOMEM, ERR_OOM, "the kernel is out of memory"},
    {EAGAIN, ERR_RETRY, "the kernel is busy with the set"},
    {EINTR, ERR_RETRY, "the kernel is busy with the set"},
};

int sets_refused(int code, struct err *err, const char *doing, ...)
{
    char what[160];
    va_list ap;
    va_start(ap, doing);
    (void)vsnprintf(what, sizeof(what), doing, ap);
    va_end(ap);
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        if (codes[i].num == code) {
            return err_set(err, codes[i].kind, code, "%s: %s", what, codes[i].text);
        }
    }
    if (code > IPSET_ERR_PRIVATE) {
        return err_set(err, ERR_SYSTEM, code, "%s: ipset error %d", what, code);
    }
    return err_set(err, ERR_SYSTEM, code, "%s: %s", what, strerror(code));
}
