// SPDX-License-Identifier: Apache-2.0
//
// Random numbers for property tests: splitmix64, so that one printed seed repeats a run on any machine.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t state;
};

uint64_t rng_next(struct rng *rng);
size_t rng_below(struct rng *rng, size_t n);         // 0..n-1; n > 0
bool rng_chance(struct rng *rng, unsigned percent);  // true in percent of 100 cases
// The seed of this run: SEED of the environment, else the clock; printed with the test's name.
uint64_t rng_seed(const char *test);
// Iterations of this run: N of the environment, else preset.
size_t rng_iterations(size_t preset);

#define RNG_PICK(rng, array) ((array)[rng_below((rng), sizeof(array) / sizeof((array)[0]))])
