// SPDX-License-Identifier: Apache-2.0
//
// The API source against the model API server, in one loop and in virtual time: the tests of the rows of api-client.md
// section 7. A test program holds rows,
//
//     static void row_refused(struct faults *f)
//     {
//         faults_sync(f);                                     // started, everything read, all watches open
//         size_t mark = world_mark(f->world);
//         world_listen(f->world, false);                      // what goes wrong
//         faults_run(f, 60000);                               // a minute, of virtual time
//         world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
//         world_listen(f->world, true);
//         faults_settle(f);                                   // the state is the world's, all watches are open
//         FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);           // and no list was needed
//     }
//     static const struct fault_row rows[] = {ROW("01-refused", row_refused), …};
//     FAULTS_MAIN(rows)
//
// one for each variant, named by the number of the row and the variant. Each runs over plain HTTP/1.1, and again over
// HTTP/2 and TLS ("01-refused/http2"), where all requests share a connection. The source has its real intervals
// (api_timing_default), unless the test changes f->timing before faults_start. After each row is checked, beside what
// it asserts itself: the state is the world's (unless f->unsettled), no request was sent that no right client sends,
// never two lists at once, and no hot loop: within any ten seconds at most f->rate_max requests of one type for one
// kind. Names of rows go to docs/TESTING.md: `make fault-rows` writes the table, lint checks it.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/num.h"
#include "faults/clock.h"
#include "source/api_kinds.h"
#include "source/api_source.h"
#include "support/api_certs.h"
#include "support/api_world.h"

enum { FAULTS_SPEED = 2000, FAULTS_RATE = 6, FAULTS_WINDOW_MS = 10000, FAULTS_PATIENCE_MS = 180000 };
#define FAULTS_KINDS (WORLD_BIT(WORLD_CUSTOM) - 1)

struct faults;
struct fault_row {
    const char *name;  // "NN-variant"
    void (*fn)(struct faults *f);
    bool as_is;  // is not run again over TLS and HTTP/2
};
#define ROW(name, fn)                                                                                                  \
    {                                                                                                                  \
        (name), (fn), false                                                                                            \
    }
#define ROW_AS_IS(name, fn)                                                                                            \
    {                                                                                                                  \
        (name), (fn), true                                                                                             \
    }

struct faults {
    const struct fault_row *row;
    struct loop *loop;
    struct loop_timer *tick;
    struct world *world;
    const char *address;  // of its server
    struct state *state;
    struct source *source;
    struct err err;
    // ---- for faults_start
    struct api_timing timing;
    struct api_options options;
    const struct api_kind_row *kinds;  // NULL: the real ones
    size_t n_kinds;
    struct api_config *config;  // NULL: what the files below and the world's port make
    char token_file[64];        // "": none
    char ca_file[64];
    char cert_file[64];
    char key_file[64];
    struct api_authority *authority;
    // ---- for the checks of the end
    unsigned rate_max;   // 0: FAULTS_RATE
    unsigned lists_max;  // at once; 0: 1
    bool unsettled;
    uint64_t patience_ms;  // of UNTIL and faults_settle
    // ---- what the owner was told
    unsigned changed;
    bool synced;
    unsigned synced_calls;  // with true
    size_t lowest_pods;     // fewest pods of the state in any call of changed; SIZE_MAX at first, set it back yourself
    char why[512];
    struct buf reports;  // "LEVEL event fields" lines
    struct buf counts;   // "counter label" lines
    // ----
    void *own;  // of the test
    bool passed;
};

// Runs the rows whose names hold one of the arguments (all without any); --list prints their names.
int faults_main(const struct fault_row *rows, size_t n, int argc, char **argv);
#define FAULTS_MAIN(rows)                                                                                              \
    int main(int argc, char **argv)                                                                                    \
    {                                                                                                                  \
        return faults_main(rows, ARRAY_SIZE(rows), argc, argv);                                                        \
    }

// The world as every row finds it: namespaces x and y, node n1, a policy x/deny, pods x/a, x/b and y/c, and three that
// the source leaves to the server: x/host (host network), x/done (succeeded), x/late (unscheduled).
void faults_start(struct faults *f);
// A further source of the same kind, on another state; *synced is set once it is. The caller frees it.
struct source *faults_another(struct faults *f, struct state *state, bool *synced);
// For programs that are no tests of rows: a fixture of its own.
struct faults *faults_new(const struct fault_row *row);
void faults_free(struct faults *f);
// Before faults_start: the server speaks TLS with a certificate of f->authority, which the source trusts by a file
// (f->ca_file); http2: over HTTP/2 too.
void faults_tls(struct faults *f, bool http2);
// Before faults_start: the same world on another address of this machine.
void faults_move(struct faults *f, const char *address);
// Writes a file of the test; path "" first, then the same path each time. At the end it is removed.
void faults_write(char path[64], const char *text);
// Started, everything read and watched. Returns the mark of the log behind that.
size_t faults_sync(struct faults *f);
// Lets so much time pass.
void faults_run(struct faults *f, uint64_t ms);
// Until the state is the world's, every kind has an open watch that has seen everything, the source holds the version
// of the last event of each, and the owner was told: what is counted behind it counts nothing of before. Fails when it
// takes longer than f->patience_ms.
void faults_settle(struct faults *f);
// Whether it is so now; what is missing goes to out, one line each (NULL: nobody asks).
bool faults_settled(struct faults *f, struct buf *out);
// The file that the source takes its token from; from before faults_start on.
void faults_write_token(struct faults *f, const char *token);

const char *faults_text(const struct buf *buf);
// How often a part stands in f->reports or f->counts.
unsigned faults_times(const struct buf *buf, const char *part);
// Connections are accepted and nothing is said on them: tried again ten seconds later, at a measured pace.
void faults_check_connect_timeout(struct faults *f);
// Everything that helps to understand a failure.
void faults_print(struct faults *f);

bool faults_step(struct faults *f, uint64_t *step, uint64_t end_ms);
#define UNTIL(f, condition)                                                                                            \
    do {                                                                                                               \
        uint64_t end_ = num_now_ms() + (f)->patience_ms;                                                               \
        uint64_t step_ = 1;                                                                                            \
        while (!(condition)) {                                                                                         \
            if (!faults_step((f), &step_, end_)) {                                                                     \
                fail_msg("never came: %s", #condition);                                                                \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

// Exactly so many requests of these types and kinds since the mark.
#define FAULTS_COUNT(f, types, kinds, mark, n)                                                                         \
    do {                                                                                                               \
        size_t have_ = world_count((f)->world, (types), (kinds), (mark));                                              \
        if (have_ != (size_t)(n)) {                                                                                    \
            fail_msg("%zu requests of %s for %s, not %zu", have_, #types, #kinds, (size_t)(n));                        \
        }                                                                                                              \
    } while (0)
