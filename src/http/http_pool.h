// SPDX-License-Identifier: Apache-2.0
//
// The pool behind http.h: libcurl's multi handle, its sockets in the loop, the requests that run. Private to this
// module.
#pragma once

#include <sys/types.h>

#include "base/loop.h"
#include "base/mem.h"
#include "http/http_easy.h"

struct http_socket;

// libcurl closes sockets whose connection never came about without a word to us: the number may be anybody's by now.
struct http_opened {
    int fd;
    ino_t inode;
};

struct http {
    void *multi;  // the multi handle
    struct loop *loop;
    struct loop_timer *timer;
    struct http_request *requests;
    struct http_socket *sockets;     // those that libcurl has us watch
    VEC(struct http_opened) opened;  // those that it has, watched or not
    char *user_agent;
    bool curl_ready;
};

// Have libcurl's sockets made, closed and watched by us. Returns a CURLMcode.
int http_sockets_setup(struct http *http);
// Stops watching all of them.
void http_sockets_free(struct http *http);
// Who wants a new connection distrusts those that stand. The idle ones would be taken by the next request that does not
// say so: shut down, libcurl sees that they are dead and closes them.
void http_drop_idle(struct http *http);
// Ends the requests that libcurl is done with.
void http_finish_all(struct http *http);
