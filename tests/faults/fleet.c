// SPDX-License-Identifier: Apache-2.0
#include "faults/fleet.h"

#include <inttypes.h>
#include <stdio.h>

enum { SEATS = 245, QUEUE_MS = 15000, RETRY_AFTER_MAX_S = 32, SPREAD_STEPS = 4 };

// Seats and time of a list of namespaces, policies, nodes and pods of a cluster of that size.
static const struct {
    unsigned seats, ms;
} cost[FLEET_STEPS] = {{1, 50}, {1, 50}, {5, 300}, {10, 1000}};

static void push(struct fleet *fleet, struct fleet_event event)
{
    if (vec_push(&fleet->heap, event) < 0) {
        abort();
    }
    struct fleet_event *v = fleet->heap.v;
    for (size_t i = fleet->heap.n - 1; i && v[(i - 1) / 2].at_ms > v[i].at_ms; i = (i - 1) / 2) {
        struct fleet_event other = v[i];
        v[i] = v[(i - 1) / 2];
        v[(i - 1) / 2] = other;
    }
}

static struct fleet_event pop(struct fleet *fleet)
{
    struct fleet_event *v = fleet->heap.v;
    struct fleet_event first = v[0];
    v[0] = v[--fleet->heap.n];
    for (size_t i = 0;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < fleet->heap.n; child++) {
            least = v[child].at_ms < v[least].at_ms ? child : least;
        }
        if (least == i) {
            return first;
        }
        struct fleet_event other = v[i];
        v[i] = v[least];
        v[least] = other;
        i = least;
    }
}

static unsigned seats_of(const struct fleet *fleet, uint32_t client)
{
    return fleet->watches ? 1 : cost[fleet->clients[client].step].seats;
}

static void begin(struct fleet *fleet, uint32_t client, uint64_t now)
{
    fleet->free_seats -= seats_of(fleet, client);
    uint64_t took = fleet->watches ? 5 : cost[fleet->clients[client].step].ms;
    push(fleet, (struct fleet_event){.at_ms = now + took, .client = client, .what = FLEET_DONE});
}

static void dequeue(struct fleet *fleet, size_t at)
{
    fleet->queued--;
    memmove(&fleet->queue[at], &fleet->queue[at + 1], (fleet->queued - at) * sizeof(fleet->queue[0]));
    memmove(&fleet->tickets[at], &fleet->tickets[at + 1], (fleet->queued - at) * sizeof(fleet->tickets[0]));
}

// Retry-After: one second at first, doubled by each second with drops, to 32; down again without.
static void tick(struct fleet *fleet, uint64_t now)
{
    for (; fleet->second < now / 1000; fleet->second++) {
        unsigned more = fleet->retry_after_s * 2 < RETRY_AFTER_MAX_S ? fleet->retry_after_s * 2 : RETRY_AFTER_MAX_S;
        fleet->retry_after_s = fleet->dropped ? more : fleet->retry_after_s > 1 ? fleet->retry_after_s / 2 : 1;
        fleet->dropped = 0;
    }
}

static void refuse(struct fleet *fleet, uint32_t client, uint64_t now)
{
    struct fleet_client *c = &fleet->clients[client];
    const struct api_outcome outcome = {.act = fleet->watches ? API_ACT_WATCH : API_ACT_LIST,
                                        .end = HTTP_COMPLETE,
                                        .http = 429,
                                        .has_retry_after = true,
                                        .retry_after_s = fleet->retry_after_s};
    fleet->refused++;
    fleet->dropped++;
    struct api_plan plan =
        api_plan_next(&api_kind_rows[c->step], &outcome, &api_timing_default, now, &c->retry, &c->random);
    if (plan.next != (fleet->watches ? API_NEXT_WATCH : API_NEXT_SYNC)) {
        abort();
    }
    push(fleet, (struct fleet_event){
                    .at_ms = now + (fleet->naive ? 1000 : plan.wait_ms), .client = client, .what = FLEET_ARRIVES});
}

static void arrive(struct fleet *fleet, uint32_t client, uint64_t now)
{
    fleet->clients[client].tries++;
    fleet->arrivals[now / 1000]++;
    if (fleet->queued == 0 && fleet->free_seats >= seats_of(fleet, client)) {
        begin(fleet, client, now);
    } else if (fleet->queued < FLEET_QUEUE) {
        fleet->queue[fleet->queued] = client;
        fleet->tickets[fleet->queued++] = ++fleet->next_ticket;
        push(fleet,
             (struct fleet_event){
                 .at_ms = now + QUEUE_MS, .client = client, .what = FLEET_GIVEN_UP, .ticket = fleet->next_ticket});
    } else {
        refuse(fleet, client, now);
    }
}

static void done(struct fleet *fleet, uint32_t client, uint64_t now)
{
    struct fleet_client *c = &fleet->clients[client];
    fleet->free_seats += seats_of(fleet, client);
    if (++c->step < FLEET_STEPS) {
        push(fleet, (struct fleet_event){.at_ms = now, .client = client, .what = FLEET_ARRIVES});
    } else {
        fleet->finished++;
        fleet->finished_ms = now;
    }
    while (fleet->queued && fleet->free_seats >= seats_of(fleet, fleet->queue[0])) {
        uint32_t next = fleet->queue[0];
        dequeue(fleet, 0);
        begin(fleet, next, now);
    }
}

void fleet_run(struct fleet *fleet)
{
    fleet->free_seats = SEATS;
    fleet->retry_after_s = 1;
    while (fleet->heap.n && fleet->heap.v[0].at_ms < (uint64_t)FLEET_SECONDS * 1000) {
        struct fleet_event event = pop(fleet);
        tick(fleet, event.at_ms);
        if (event.what == FLEET_ARRIVES) {
            arrive(fleet, event.client, event.at_ms);
        } else if (event.what == FLEET_DONE) {
            done(fleet, event.client, event.at_ms);
        } else {
            size_t at = 0;
            while (at < fleet->queued && fleet->tickets[at] != event.ticket) {
                at++;
            }
            if (at < fleet->queued) {
                dequeue(fleet, at);
                refuse(fleet, event.client, event.at_ms);
            }
        }
    }
}

struct fleet_figures fleet_figures(const struct fleet *fleet, const char *title)
{
    struct fleet_figures figures = {0};
    uint64_t total = 0;
    for (unsigned i = 0; i < FLEET_SECONDS; i++) {
        unsigned n = fleet->arrivals[i];
        total += n;
        figures.peak = n > figures.peak ? n : figures.peak;
        figures.peak_late = i >= 60 && n > figures.peak_late ? n : figures.peak_late;
    }
    for (unsigned i = 0; i < FLEET_CLIENTS; i++) {
        figures.most = fleet->clients[i].tries > figures.most ? fleet->clients[i].tries : figures.most;
    }
    figures.per_client = (double)total / FLEET_CLIENTS;
    (void)printf("%s: %u of %d clients in %" PRIu64 " s, %.1f requests each (at most %u), %u refused, peak %u/s\n",
                 title, fleet->finished, FLEET_CLIENTS, fleet->finished_ms / 1000, figures.per_client, figures.most,
                 fleet->refused, figures.peak);
    unsigned last = (unsigned)(fleet->finished_ms / 1000);
    unsigned width = last / 20 + 1;
    for (unsigned from = 0; from <= last; from += width) {
        unsigned sum = 0;
        for (unsigned i = from; i < from + width && i < FLEET_SECONDS; i++) {
            sum += fleet->arrivals[i];
        }
        (void)printf("  %4u s %7.1f/s %.*s\n", from, (double)sum / width, (int)(sum / width / 5),
                     "############################################################");
    }
    return figures;
}

struct fleet *fleet_new(uint64_t (*first)(struct api_retry *retry, struct api_random *random))
{
    struct fleet *fleet = calloc(1, sizeof(*fleet));
    if (!fleet) {
        abort();
    }
    for (uint32_t i = 0; i < FLEET_CLIENTS; i++) {
        struct fleet_client *client = &fleet->clients[i];
        client->random.state = UINT64_C(0x9e3779b97f4a7c15) * (i + 1);
        // A few steps, so that neighbours are no neighbours any more.
        for (int n = 0; n < SPREAD_STEPS; n++) {
            (void)api_random_between(&client->random, 0, 1);
        }
        uint64_t at_ms = first(&client->retry, &client->random);
        push(fleet, (struct fleet_event){.at_ms = at_ms, .client = i, .what = FLEET_ARRIVES});
    }
    return fleet;
}

void fleet_free(struct fleet *fleet)
{
    vec_free(&fleet->heap);
    free(fleet);
}
