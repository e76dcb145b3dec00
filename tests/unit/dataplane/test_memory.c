// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/backend.h"
#include "support/backend_contract.h"
#include "support/random_ruleset.h"

static void memory_first(void **state)
{
    (void)state;
    contract_first(&backend_memory);
}

static void memory_random(void **state)
{
    (void)state;
    contract_random(&backend_memory);
}

static void memory_members(void **state)
{
    (void)state;
    contract_members(&backend_memory);
}

static void memory_changes(void **state)
{
    (void)state;
    contract_changes(&backend_memory);
}

static void memory_growth(void **state)
{
    (void)state;
    contract_growth(&backend_memory);
}

static void memory_retype(void **state)
{
    (void)state;
    contract_retype(&backend_memory);
}

// What was applied belongs to the caller: the backend keeps a copy.
static void memory_copies(void **state)
{
    (void)state;
    struct rng rng = {rng_seed("memory_copies")};
    struct contract contract = {0};
    contract_open(&contract, &backend_memory);
    for (size_t round = 0; round < 50; round++) {
        struct ruleset *want = random_ruleset(&rng);
        (void)contract_apply(&contract, NULL, want);
        ruleset_free(want);
        CLEANUP(ruleset_free) struct ruleset *seen = NULL;
        struct err err = {0};
        assert_int_equal(backend_memory.snapshot(contract.backend, &seen, &err), 0);
        contract_expect(&contract, seen);
    }
    contract_close(&contract);
}

static void memory_faults(void **state)
{
    (void)state;
    contract_faults(&backend_memory);
}

static void memory_full(void **state)
{
    (void)state;
    contract_full(&backend_memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_first),   cmocka_unit_test(memory_changes), cmocka_unit_test(memory_random),
        cmocka_unit_test(memory_members), cmocka_unit_test(memory_growth),  cmocka_unit_test(memory_retype),
        cmocka_unit_test(memory_copies),  cmocka_unit_test(memory_faults),  cmocka_unit_test(memory_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
