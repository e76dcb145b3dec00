// SPDX-License-Identifier: Apache-2.0
//
// The sync state machine over the memory backend, with a backend in front of it that counts, fails and plays the other
// program that changes the kernel. The functions assert by cmocka.
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/sync.h"

struct sync_spy {
    int applies;  // with have given
    int read_backs;
    int member_changes;
    int snapshots;
    int fail_next;       // that many applies fail
    int fail_snapshots;  // that many snapshots
    bool fail_open;
    bool drift;               // before the next read-back another program removes what is ours
    bool lose_sets;           // before the next change of members the same
    size_t pinned;            // leftovers that a read-back finds in use
    bool pushed;              // the jumps of FORWARD (IPv4) stand behind a rule of others
    bool anywhere;            // the last apply left them there
    const char *ahead;        // what stands before them; NULL: nothing that decides
    const char *ahead_where;  // NULL: the first rule of FORWARD (IPv4)
    bool fail_ahead;
    struct apply_report last;
    // The memory backend's own writes: the next fail_count ones named fail_step fail with the errno fail_num.
    const char *fail_step;
    int fail_num;
    unsigned fail_count;
    unsigned failed_steps;
    unsigned steps;
    uint64_t stamp;  // of the tables; another program counts it up
    unsigned stamps;
};
extern struct sync_spy spy;

struct fixture {
    struct loop *loop;
    struct loop_timer *timeout;
    struct state *state;
    struct metrics *metrics;
    struct health health;
    struct facts *facts;
    struct sync *sync;
    int applied;     // structural ones
    int everything;  // flows of all pods to be judged again
    char log[16384];
    struct err err;
};

// sync_config.period_ms and .min_apply_interval_ms of the next sync_setup: 0 and 100.
extern uint64_t fixture_period_ms;
extern uint64_t fixture_interval_ms;
// Whether others may put an older copy of the tables over ours, in the next sync_setup.
extern bool fixture_overwritable;

// For cmocka: *state is a struct fixture whose node is n1.
int sync_setup(void **state);
int sync_teardown(void **state);
// Runs the loop that long.
void run(struct fixture *f, unsigned ms);
// How often the text stands in what was logged.
int count_log(const struct fixture *f, const char *what);
// decode_object_fn into a struct state.
int put_object(enum object_kind kind, void *object, void *arg, struct err *err);
// Objects of a YAML text into the state; nothing is told to sync.
void load(struct fixture *f, const char *text);
void put_pod(struct fixture *f, const char *name, const char *node, const char *address, const char *label);
extern const char namespace_x[];
extern const char deny_all[];
// A namespace with an isolated pod on this node, a synced source and known facts; applied.
void sync_up(struct fixture *f);
// Nothing was written, and that shows.
void assert_untouched(const struct fixture *f);
