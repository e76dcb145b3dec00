// SPDX-License-Identifier: Apache-2.0
//
// What both ends of the control socket share.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "base/err.h"
#include "base/mem.h"

enum { CONTROL_BACKLOG = 128 };

// ERR_USAGE when the path is longer than the kernel takes for a socket, or empty.
NODISCARD int control_address(const char *path, struct sockaddr_un *ret, struct err *err);
// Whether the process at the other end of a connected socket is root or runs as our own user.
bool control_peer_trusted(int fd);
// A socket that listens at path, as control_new says.
NODISCARD int control_listen(const char *path, int *ret, struct err *err);
