// SPDX-License-Identifier: Apache-2.0
#include "agent/control.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/control_private.h"
#include "base/log.h"
#include "base/num.h"
#include "json/json.h"

enum { CHUNK = 16 << 10, LOOK_MS = 1000, ACCEPT_PAUSE_MS = 200 };

struct connection;

struct control_call {
    struct connection *connection;
    const struct control_op *op;  // NULL: no question is open
    struct arena arena;           // of the request
};

struct connection {
    struct control *control;
    struct connection *prev, *next;
    int fd;
    struct loop_fd *source;
    struct buf in;
    struct buf out;
    size_t sent;  // of out
    struct control_call call;
    uint64_t active_ms;  // when a line was begun or answered, or some of the answer was taken
    bool ended;          // the peer sends no more
    bool closing;        // when out is sent
    bool asking;         // in the ask of an op: an answer from there is not acted upon at once
};

struct control {
    struct loop *loop;
    const struct control_op *ops;
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    dev_t device;
    ino_t inode;
    int fd;
    struct loop_fd *source;
    struct loop_timer *timer;
    bool paused;  // no descriptors left: not accepting for a moment
    struct connection *connections;
    size_t n_connections;
};

// ---- connections ---------------------------------------------------------------------------------------------------

static void call_end(struct control_call *call)
{
    call->op = NULL;
    arena_free(&call->arena);
}

static void connection_free(struct connection *connection)
{
    struct control *control = connection->control;
    const struct control_op *op = connection->call.op;
    if (op && op->gone) {
        op->gone(&connection->call, op->arg);
    }
    call_end(&connection->call);
    if (connection->prev) {
        connection->prev->next = connection->next;
    } else {
        control->connections = connection->next;
    }
    if (connection->next) {
        connection->next->prev = connection->prev;
    }
    control->n_connections--;
    loop_remove_fd(connection->source);
    (void)close(connection->fd);
    buf_free(&connection->in);
    buf_free(&connection->out);
    free(connection);
}

// Sends what there is to send; false when the peer is gone.
static bool flush(struct connection *connection)
{
    while (connection->sent < connection->out.len) {
        ssize_t n = send(connection->fd, connection->out.data + connection->sent,
                         connection->out.len - connection->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno == EAGAIN;
        }
        connection->sent += (size_t)n;
        connection->active_ms = num_now_ms();
    }
    buf_clear(&connection->out);
    connection->sent = 0;
    return true;
}

static bool has_answer_to_send(const struct connection *connection)
{
    return connection->sent < connection->out.len;
}

static void put_refusal(struct buf *out, const char *code, const char *why)
{
    buf_puts(out, "{\"ok\":false,\"error\":");
    buf_json_string(out, why);
    buf_puts(out, ",\"code\":");
    buf_json_string(out, code);
    buf_puts(out, "}\n");
}

static void refuse(struct connection *connection, const char *code, const char *why)
{
    put_refusal(&connection->out, code, why);
    connection->closing = connection->closing || connection->out.failed;
}

static const struct control_op *find_op(const struct control *control, const char *name)
{
    const struct control_op *op = control->ops;
    while (op->name && strcmp(op->name, name) != 0) {
        op++;
    }
    return op->name ? op : NULL;
}

static void ask(struct connection *connection, const char *line, size_t len)
{
    struct err err = {0};
    struct doc *request = NULL;
    size_t used;
    unsigned next_line;
    struct control_call *call = &connection->call;
    if (json_parse(line, len, 1, &call->arena, &request, &used, &next_line, &err) < 0 || used != len) {
        refuse(connection, "bad-request", err.kind == ERR_NONE ? "more than one JSON value in a line" : err.msg);
        call_end(call);
        return;
    }
    const struct doc *name = doc_get(request, "op");
    const struct control_op *op = name && name->type == DOC_STRING ? find_op(connection->control, name->text) : NULL;
    if (!op) {
        refuse(connection, "bad-request", name ? "unknown op" : "no op");
        call_end(call);
        return;
    }
    call->op = op;
    connection->asking = true;
    op->ask(call, request, op->arg);
    connection->asking = false;
}

// Takes question after question, as long as each is answered and its answer is on the way. False: the connection is to
// be closed.
static bool serve(struct connection *connection)
{
    for (;;) {
        if (!flush(connection)) {
            return false;
        }
        if (has_answer_to_send(connection) || connection->call.op) {
            return true;
        }
        if (connection->closing) {
            return false;
        }
        const char *end = connection->in.len ? memchr(connection->in.data, '\n', connection->in.len) : NULL;
        if (!end) {
            bool too_long = connection->in.len >= CONTROL_LINE_MAX;
            if (too_long) {
                refuse(connection, "bad-request", "the line is too long");
                connection->closing = true;
                continue;
            }
            return !connection->ended;
        }
        size_t len = (size_t)(end - connection->in.data);
        ask(connection, connection->in.data, len);
        connection->active_ms = num_now_ms();
        connection->in.len -= len + 1;
        memmove(connection->in.data, end + 1, connection->in.len);
    }
}

// False when the peer is gone.
static bool take(struct connection *connection)
{
    char chunk[CHUNK];
    size_t room = CONTROL_LINE_MAX - connection->in.len;
    ssize_t n = room ? recv(connection->fd, chunk, room < sizeof(chunk) ? room : sizeof(chunk), MSG_DONTWAIT) : -1;
    if (n < 0) {
        return room == 0 || errno == EAGAIN || errno == EINTR;
    }
    if (connection->in.len == 0 && !connection->call.op) {
        connection->active_ms = num_now_ms();
    }
    connection->ended = n == 0;
    buf_add(&connection->in, chunk, (size_t)n);
    return !connection->in.failed;
}

// What to wait for. A peer that has sent all it will is known to be gone by the error event, which always comes.
static bool watch(struct connection *connection)
{
    struct err err = {0};
    bool reads = !connection->ended && !connection->closing && connection->in.len < CONTROL_LINE_MAX;
    unsigned events = (reads ? (unsigned)LOOP_READ : 0) | (has_answer_to_send(connection) ? (unsigned)LOOP_WRITE : 0);
    return loop_change_fd(connection->source, events, &err) == 0;
}

static void go_on(struct connection *connection)
{
    if (!serve(connection) || !watch(connection)) {
        connection_free(connection);
    }
}

static void on_connection(UNUSED int fd, unsigned events, void *arg)
{
    struct connection *connection = arg;
    bool there = !(events & LOOP_READ) || take(connection);
    if (!there || (events & LOOP_ERROR && (connection->ended || !(events & LOOP_READ)))) {
        // Both directions are closed: nobody reads an answer.
        connection_free(connection);
        return;
    }
    go_on(connection);
}

static void answered(struct control_call *call)
{
    struct connection *connection = call->connection;
    connection->closing = connection->closing || connection->out.failed;
    connection->active_ms = num_now_ms();
    call_end(call);
    if (!connection->asking) {
        go_on(connection);
    }
}

void control_answer(struct control_call *call, const char *fields)
{
    if (!fields || strlen(fields) > CONTROL_ANSWER_MAX - 64) {
        control_refuse(call, "failed", fields ? "the answer is too long" : "out of memory");
        return;
    }
    buf_printf(&call->connection->out, "{\"ok\":true%s}\n", fields);
    answered(call);
}

void control_refuse(struct control_call *call, const char *code, const char *why)
{
    put_refusal(&call->connection->out, code, why);
    answered(call);
}

// ---- the listener --------------------------------------------------------------------------------------------------

// One line to somebody who gets no connection. Nobody waits for them to read it.
static void turn_away(int fd, const char *code, const char *why)
{
    BUF_CLEANUP struct buf out = {0};
    put_refusal(&out, code, why);
    if (!out.failed) {
        (void)!send(fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    (void)close(fd);
}

static void welcome(struct control *control, int fd)
{
    struct err err = {0};
    if (!control_peer_trusted(fd)) {
        log_event(LOG_LEVEL_WARN, "control-refused", "%s", "why=\"the peer is neither root nor our own user\"");
        turn_away(fd, "denied", "only root may ask");
        return;
    }
    if (control->n_connections >= CONTROL_CONNECTIONS_MAX) {
        turn_away(fd, "busy", "too many connections are open");
        return;
    }
    struct connection *connection = calloc(1, sizeof(*connection));
    if (!connection ||
        loop_add_fd(control->loop, fd, LOOP_READ, on_connection, connection, &connection->source, &err) < 0) {
        free(connection);
        turn_away(fd, "busy", "out of memory");
        return;
    }
    connection->control = control;
    connection->fd = fd;
    connection->in.max = CONTROL_LINE_MAX + 1;
    connection->call.connection = connection;
    connection->active_ms = num_now_ms();
    connection->next = control->connections;
    if (connection->next) {
        connection->next->prev = connection;
    }
    control->connections = connection;
    control->n_connections++;
    if (!loop_armed(control->timer)) {
        loop_arm(control->timer, LOOK_MS);
    }
}

static void pause_listening(struct control *control, bool paused)
{
    struct err err = {0};
    if (loop_change_fd(control->source, paused ? 0 : LOOP_READ, &err) == 0) {
        control->paused = paused;
    }
    if (paused) {
        loop_arm(control->timer, ACCEPT_PAUSE_MS);
    }
}

static void on_listener(int fd, UNUSED unsigned events, void *arg)
{
    struct control *control = arg;
    // A bounded number, then the others of the loop have their turn.
    for (unsigned i = 0; i < CONTROL_BACKLOG; i++) {
        int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (peer >= 0) {
            welcome(control, peer);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            // It would be readable again at once.
            pause_listening(control, true);
            return;
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

// Closes those that let us wait.
static void on_timer(void *arg)
{
    struct control *control = arg;
    uint64_t now = num_now_ms();
    if (control->paused) {
        pause_listening(control, false);
    }
    struct connection *next;
    for (struct connection *connection = control->connections; connection; connection = next) {
        next = connection->next;
        // We owe the answer: then it is not the peer who is slow.
        bool owing = connection->call.op != NULL;
        if (!owing && now - connection->active_ms >= CONTROL_IDLE_MS) {
            connection_free(connection);
        }
    }
    if (control->connections || control->paused) {
        loop_arm(control->timer, LOOK_MS);
    }
}

static int open_listener(struct control *control, struct err *err)
{
    struct stat st;
    if (control_listen(control->path, &control->fd, err) < 0) {
        return -1;
    }
    if (lstat(control->path, &st) < 0) {
        return err_errno(err, "cannot look at %s", control->path);
    }
    control->device = st.st_dev;
    control->inode = st.st_ino;
    return loop_add_fd(control->loop, control->fd, LOOP_READ, on_listener, control, &control->source, err) < 0 ||
                   loop_add_timer(control->loop, on_timer, control, &control->timer, err) < 0
               ? -1
               : 0;
}

int control_new(struct loop *loop, const char *path, const struct control_op *ops, struct control **ret,
                struct err *err)
{
    struct sockaddr_un address;
    if (control_address(path, &address, err) < 0) {
        return -1;
    }
    CLEANUP(control_free) struct control *control = calloc(1, sizeof(*control));
    if (!control) {
        return err_oom(err);
    }
    control->loop = loop;
    control->ops = ops;
    control->fd = -1;
    (void)snprintf(control->path, sizeof(control->path), "%s", path);
    if (open_listener(control, err) < 0) {
        return -1;
    }
    *ret = TAKE(control);
    return 0;
}

void control_keep(struct control *control)
{
    struct stat st;
    struct err err = {0};
    int fd = -1;
    struct loop_fd *source = NULL;
    if (lstat(control->path, &st) == 0 && st.st_dev == control->device && st.st_ino == control->inode) {
        return;
    }
    if (control_listen(control->path, &fd, &err) < 0 ||
        loop_add_fd(control->loop, fd, LOOP_READ, on_listener, control, &source, &err) < 0) {
        log_event(LOG_LEVEL_ERROR, "control-socket-lost", "path=%s error=%s", log_quote(control->path),
                  log_quote(err.msg));
        if (fd >= 0) {
            (void)close(fd);
        }
        return;
    }
    loop_remove_fd(control->source);
    (void)close(control->fd);
    control->fd = fd;
    control->source = source;
    control->paused = false;
    if (lstat(control->path, &st) == 0) {
        control->device = st.st_dev;
        control->inode = st.st_ino;
    }
    log_event(LOG_LEVEL_WARN, "control-socket-made-anew", "path=%s", log_quote(control->path));
}

void control_free(struct control *control)
{
    if (!control) {
        return;
    }
    while (control->connections) {
        connection_free(control->connections);
    }
    loop_remove_timer(control->timer);
    loop_remove_fd(control->source);
    if (control->fd >= 0) {
        (void)close(control->fd);
    }
    // Not the one that another process has put in its place.
    struct stat st;
    if (control->inode && lstat(control->path, &st) == 0 && st.st_dev == control->device &&
        st.st_ino == control->inode) {
        (void)unlink(control->path);
    }
    free(control);
}
