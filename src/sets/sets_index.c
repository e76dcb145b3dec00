// SPDX-License-Identifier: Apache-2.0
//
// Rules hold a set's index, not its name; the translation is a socket option of ip_set.
#include "sets/sets_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static int index_socket(struct sets *sets, struct err *err)
{
    if (sets->socket < 0) {
        sets->socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (sets->socket < 0) {
            return err_errno(err, "open socket for set indices");
        }
    }
    if (sets->index_version) {
        return 0;
    }
    struct ip_set_req_version request = {.op = IP_SET_OP_VERSION};
    socklen_t size = sizeof(request);
    if (getsockopt(sets->socket, SOL_IP, SO_IP_SET, &request, &size) < 0) {
        if (errno == ENOPROTOOPT) {
            return err_set(err, ERR_UNSUPPORTED, errno, "the kernel has no ipset: modprobe ip_set");
        }
        return sets_refused(errno, err, "ask for the version of set indices");
    }
    sets->index_version = request.version;
    return 0;
}

int sets_index(struct sets *sets, const char *name, uint16_t *ret, struct err *err)
{
    struct ip_set_req_get_set_family request = {.op = IP_SET_OP_GET_FNAME};
    socklen_t size = sizeof(request);
    if (index_socket(sets, err) < 0) {
        return -1;
    }
    if (strlen(name) >= sizeof(request.set.name)) {
        return err_set(err, ERR_BUG, 0, "set name %s is too long", name);
    }
    request.version = sets->index_version;
    memcpy(request.set.name, name, strlen(name) + 1);
    if (getsockopt(sets->socket, SOL_IP, SO_IP_SET, &request, &size) < 0) {
        return sets_refused(errno, err, "find set %s", name);
    }
    if (request.set.index == IPSET_INVALID_ID) {
        return sets_refused(ENOENT, err, "find set %s", name);
    }
    *ret = request.set.index;
    return 0;
}

int sets_name(struct sets *sets, uint16_t index, char ret[SETS_NAME], struct err *err)
{
    struct ip_set_req_get_set request = {.op = IP_SET_OP_GET_BYINDEX, .set.index = index};
    socklen_t size = sizeof(request);
    if (index_socket(sets, err) < 0) {
        return -1;
    }
    request.version = sets->index_version;
    if (getsockopt(sets->socket, SOL_IP, SO_IP_SET, &request, &size) < 0) {
        return sets_refused(errno, err, "find the set of index %u", index);
    }
    size_t len = strnlen(request.set.name, sizeof(request.set.name));
    if (len == 0 || len >= SETS_NAME) {
        return sets_refused(ENOENT, err, "find the set of index %u", index);
    }
    memcpy(ret, request.set.name, len);
    ret[len] = '\0';
    return 0;
}
