// SPDX-License-Identifier: Apache-2.0
#include "ruleset/ruleset.h"

struct set_members *set_members_new(size_t n)
{
    if (n > (SIZE_MAX - sizeof(struct set_members)) / sizeof(struct set_member)) {
        return NULL;
    }
    struct set_members *members = malloc(sizeof(*members) + n * sizeof(members->v[0]));
    if (members) {
        members->references = 1;
        members->n = n;
    }
    return members;
}

void set_members_free(struct set_members *members)
{
    if (members && --members->references == 0) {
        free(members);
    }
}

int ruleset_share(struct ruleset *ruleset, struct set_members *members)
{
    if (vec_push(&ruleset->shared, members) < 0) {
        return -1;
    }
    members->references++;
    return 0;
}
