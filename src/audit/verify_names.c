// SPDX-License-Identifier: Apache-2.0
#include "audit/verify_names.h"

#include "audit/verify_space.h"
#include "policy/evaluate_seat.h"

uint64_t verify_names_mix(uint64_t number)
{
    // splitmix64
    number += UINT64_C(0x9e3779b97f4a7c15);
    number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
    return number ^ number >> 31;
}

void verify_names_free(struct verify_names *names)
{
    if (names) {
        free(names->v);
        map_free(names->known);
        free(names);
    }
}
CLEANUP_DEFINE(struct verify_names, verify_names_free);

int verify_names_number(struct verify_names *names, const char *text, uint32_t *ret, struct err *err)
{
    uintptr_t number = (uintptr_t)map_get_str(names->known, text);
    if (!number) {
        number = names->n + 1;
        if (vec_push(names, (struct verify_name){.text = text}) < 0 ||
            map_put_str(names->known, text, (void *)number, NULL) < 0) {
            return err_oom(err);
        }
    }
    *ret = (uint32_t)(number - 1);
    return 0;
}

const struct verify_name *verify_names_find(const struct verify_names *names, const char *text)
{
    uintptr_t number = *text ? (uintptr_t)map_get_str(names->known, text) : 0;
    return number ? &names->v[number - 1] : NULL;
}

// Guarded, or at least its addresses are taken from its own place alone.
static bool is_claimed(const struct verify_input *input, const struct verify_pod *pod)
{
    enum source_guard guard = input->options->source_guard;
    return guard == SOURCE_GUARD_ALL || (guard == SOURCE_GUARD_ENFORCED && (pod->isolating[DIRECTION_EGRESS].n > 0 ||
                                                                            pod->isolating[DIRECTION_INGRESS].n > 0));
}

// A name that some claimed pod is alone behind: of two pods each makes it one of its own.
static void note_pod(const struct pod **slot, bool *several, const struct pod *pod)
{
    *several = *several || (*slot && *slot != pod);
    *slot = pod;
}

static int note_seat(const struct verify_input *input, const struct verify_pod *pod, const struct seat *seat,
                     bool uplink, struct verify_names *names, struct err *err)
{
    uint32_t at;
    uint32_t port;
    if (verify_names_number(names, seat->behind->name, &at, err) < 0) {
        return -1;
    }
    struct verify_name *name = &names->v[at];
    name->of_pods = name->of_pods || !uplink;
    name->closed =
        name->closed || (pod->isolating[DIRECTION_EGRESS].n > 0 && (seat->alone || !uplink) && !seat->bridge);
    if (!seat->bridge && seat->alone && is_claimed(input, pod)) {
        note_pod(&name->claimed, &name->several, pod->pod);
    }
    if (!seat->bridge || !seat->alone) {
        return 0;
    }
    if (verify_names_number(names, seat->port, &port, err) < 0) {
        return -1;
    }
    name = &names->v[port];
    note_pod(&name->port_pod, &name->port_several, pod->pod);
    name->port_several = name->port_several || (name->port_bridge && name->port_bridge != at + 1);
    name->port_bridge = at + 1;
    name->port_claimed = is_claimed(input, pod);
    for (size_t d = 0; d < DIRECTION_COUNT; d++) {
        name->port_isolated[d] = pod->isolating[d].n > 0;
    }
    return 0;
}

static int note_address(const struct guard_world *world, const struct verify_input *input, const struct verify_pod *pod,
                        const struct address *address, struct verify_names *names, struct err *err)
{
    struct seat seat;
    bool uplink;
    uint32_t at;
    const struct facts_interface *behind = facts_pod_interface(input->facts, address);
    if (!behind || state_owner(input->state, address) != pod->pod) {
        return 0;
    }
    if (verify_names_number(names, behind->name, &at, err) < 0) {
        return -1;
    }
    names->v[at].enforced =
        names->v[at].enforced || pod->isolating[DIRECTION_EGRESS].n > 0 || pod->isolating[DIRECTION_INGRESS].n > 0;
    if (!seat_of(world, address, &seat)) {
        return 0;
    }
    return seat_is_uplink(world, behind, &uplink, err) < 0 ? -1 : note_seat(input, pod, &seat, uplink, names, err);
}

// Pods that nobody knows may be behind it (--unknown-pods=drop).
static int note_unknown(const struct guard_world *world, const struct verify_input *input, struct verify_name *name,
                        struct err *err)
{
    if (seat_has_unknown(world, input->options, name->text, &name->unknown, err) < 0) {
        return -1;
    }
    name->enforced = name->unknown;
    return 0;
}

static int note_all(const struct verify_input *input, const struct verify_pods *pods, struct verify_names *names,
                    struct err *err)
{
    const struct guard_world world = {.state = input->state, .node = input->node, .facts = input->facts};
    for (size_t i = 0; i < input->facts->n_interfaces; i++) {
        uint32_t at;
        if (verify_names_number(names, input->facts->interfaces[i].name, &at, err) < 0) {
            return -1;
        }
        names->v[at].bridge = strcmp(input->facts->interfaces[i].kind, "bridge") == 0;
        if (note_unknown(&world, input, &names->v[at], err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < pods->n; i++) {
        for (size_t j = 0; j < pods->v[i].pod->n_addresses; j++) {
            if (note_address(&world, input, &pods->v[i], &pods->v[i].pod->addresses[j], names, err) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

int verify_names_new(const struct verify_input *input, const struct verify_pods *pods, struct verify_names **ret,
                     struct err *err)
{
    CLEANUP(verify_names_free) struct verify_names *names = calloc(1, sizeof(*names));
    uint32_t unused;
    if (!names || !(names->known = map_new())) {
        return err_oom(err);
    }
    if (verify_names_number(names, "lo", &unused, err) < 0 || (input->facts && note_all(input, pods, names, err) < 0)) {
        return -1;
    }
    *ret = TAKE(names);
    return 0;
}
