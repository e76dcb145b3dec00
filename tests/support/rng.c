// SPDX-License-Identifier: Apache-2.0
#include "support/rng.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

uint64_t rng_next(struct rng *rng)
{
    uint64_t z = rng->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

size_t rng_below(struct rng *rng, size_t n)
{
    return (size_t)(rng_next(rng) % n);
}

bool rng_chance(struct rng *rng, unsigned percent)
{
    return rng_below(rng, 100) < percent;
}

static uint64_t from_environment(const char *name, uint64_t preset)
{
    const char *text = getenv(name);
    uint64_t value = preset;
    if (text && *text && !num_parse_u64(text, strlen(text), UINT64_MAX, &value)) {
        fprintf(stderr, "%s=%s: not a number\n", name, text);
        exit(3);
    }
    return value;
}

uint64_t rng_seed(const char *test)
{
    uint64_t seed = from_environment("SEED", num_now_ns());
    printf("%s: SEED=%" PRIu64 "\n", test, seed);
    (void)fflush(stdout);
    return seed;
}

size_t rng_iterations(size_t preset)
{
    return (size_t)from_environment("N", preset);
}
