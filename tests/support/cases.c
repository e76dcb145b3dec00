// SPDX-License-Identifier: Apache-2.0
#include "support/cases.h"

struct state *cases_world;

void cases_given(const char *yaml)
{
    state_free(cases_world);
    cases_world = build_world(yaml);
}

int cases_teardown(void **unused)
{
    (void)unused;
    state_free(cases_world);
    cases_world = NULL;
    return 0;
}
