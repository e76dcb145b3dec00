// SPDX-License-Identifier: Apache-2.0
//
// Evaluator ≡ simulator ≡ kernel (DESIGN 2.2) on samples: N random states, for each the rules of one node in a real
// kernel, random packets sent for real. Runs in the namespaces that tests/kernel/test_sample.sh makes.
//
//   SEED=… N=… ksample --node NETNS --peer NETNS --interfaces NAME,… [--packets 300] [--lock FILE] [--plant
//   member|rule]
//
// Exit: 0 all agree, 1 they do not, 2 too few of something to prove anything, 3 wrong usage, 4 the test itself failed.
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "policy/compile.h"
#include "support/ksample_lab.h"
#include "support/shrink.h"

enum { STATES = 300, PACKETS = 300, DRAWS = 4 };
enum { EXIT_AGREE = 0, EXIT_DIFFER = 1, EXIT_THIN = 2, EXIT_USAGE = 3, EXIT_FAILED = 4 };

struct options {
    const char *node, *peer, *lock;
    struct ksample_interfaces interfaces;
    const struct backend_ops *backend;
    trial_tamper_fn *plant;
    size_t packets;
};

struct tally {
    size_t states, packets, altered;
    size_t verdicts[2];
    size_t ways[KSAMPLE_WAYS][2];
    size_t families[FAMILY_COUNT][2];
    size_t tracked[CT_UNTRACKED + 1][2];
    size_t translated[2];
    size_t skipped[KSAMPLE_REASONS];
    struct ksample_effort effort;
};

struct sampler {
    const struct options *options;
    struct ksample_lab *lab;
    struct ksample *samples;
    struct ksample_verdicts *verdicts;
    struct ksample_taken taken;
    struct tally tally;
};

// ---- faults on purpose ---------------------------------------------------------------------------------------------

// Takes the first member out of the first set of each family that has one: allows too little (or, with a nomatch
// member, too much).
static void plant_member(struct ruleset *ruleset)
{
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        const struct table *table = &ruleset->tables[family];
        for (size_t i = 0; i < table->n_sets; i++) {
            struct set *set = (struct set *)&table->sets[i];
            if (set->n_members > 0) {
                set->members++;
                set->n_members--;
                break;
            }
        }
    }
}

// Takes the first rule out of the first policy chain that has more of them (allows too little), or the last one, which
// drops (allows too much).
static void plant_in_chain(struct ruleset *ruleset, bool last)
{
    static const char prefix[] = "NETPOL-P-";
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        const struct table *table = &ruleset->tables[family];
        for (size_t i = 0; i < table->n_chains; i++) {
            struct chain *chain = (struct chain *)&table->chains[i];
            if (strncmp(chain->name, prefix, sizeof(prefix) - 1) == 0 && chain->n_rules > (last ? 0 : 1)) {
                chain->rules += !last;
                chain->n_rules--;
                break;
            }
        }
    }
}

static void plant_rule(struct ruleset *ruleset)
{
    plant_in_chain(ruleset, false);
}

static void plant_leak(struct ruleset *ruleset)
{
    plant_in_chain(ruleset, true);
}

static const struct {
    const char *name;
    trial_tamper_fn *tamper;
} plants[] = {{"member", plant_member}, {"rule", plant_rule}, {"leak", plant_leak}};

// ---- one state -----------------------------------------------------------------------------------------------------

static struct policy_options sample_options(struct rng *rng)
{
    return (struct policy_options){
        .denied = rng_chance(rng, 25) ? DENIED_REJECT : DENIED_DROP,
        .allowed = rng_chance(rng, 25) ? ALLOWED_ACCEPT : ALLOWED_RETURN,
        .host_egress_allowed = rng_chance(rng, 25),
    };
}

// Draws until there are enough packets that a kernel can be shown.
static size_t draw(struct sampler *sampler, struct random_cluster *cluster, const char *node, const struct facts *facts)
{
    size_t n = 0;
    sampler->taken.n = 0;
    for (size_t i = 0; n < sampler->options->packets && i < DRAWS * sampler->options->packets; i++) {
        struct packet packet;
        random_packet_wide(cluster, node, facts, &packet);
        // The lab has no bridge and marks no flow.
        memset(packet.physdev_in, 0, sizeof(packet.physdev_in));
        memset(packet.physdev_out, 0, sizeof(packet.physdev_out));
        packet.connmark = 0;
        packet.source_is_node = ksample_lab_is_own(sampler->lab, &packet.source);
        enum ksample_reason reason =
            ksample_fit(&packet, n, &sampler->options->interfaces, &sampler->taken, &sampler->samples[n]);
        sampler->tally.skipped[reason]++;
        n += reason == KSAMPLE_KEPT;
    }
    return n;
}

static bool agree(const struct ksample_verdicts *verdicts)
{
    return verdicts->evaluator == verdicts->simulator && verdicts->simulator == verdicts->kernel;
}

static void count(struct tally *tally, const struct ksample *sample, const struct ksample_verdicts *verdicts)
{
    const struct packet *packet = &verdicts->packet;
    enum ct_state wanted = sample->packet.ct ? sample->packet.ct : CT_NEW;
    tally->packets++;
    tally->altered += packet->ct != wanted || packet->dnat != sample->packet.dnat;
    tally->verdicts[verdicts->kernel]++;
    tally->ways[sample->way][verdicts->kernel]++;
    tally->families[packet->source.family][verdicts->kernel]++;
    tally->tracked[packet->ct][verdicts->kernel]++;
    tally->translated[verdicts->kernel] += packet->dnat;
}

// ---- a disagreement ------------------------------------------------------------------------------------------------

// The shrinker asks about cases, and knows nothing of the kernel.
static struct sampler *asked;

// Asks all three about a case of one packet. False: it cannot be shown to a kernel.
static bool ask(const struct trial *trial, struct ksample_verdicts *ret)
{
    CLEANUP(state_free) struct state *state = trial_state(trial);
    struct ksample sample;
    struct packet packet = trial->packet;
    struct ksample_effort effort = {0};
    const struct ksample_case what = {
        .state = state, .node = trial->node, .facts = trial->facts, .options = trial->options};
    packet.source_is_node = ksample_lab_is_own(asked->lab, &packet.source);
    asked->taken.n = 0;
    return ksample_fit(&packet, 0, &asked->options->interfaces, &asked->taken, &sample) == KSAMPLE_KEPT &&
           ksample_lab_judge(asked->lab, &what, &sample, 1, ret, &effort, NULL) == 0;
}

static bool differs(const struct trial *trial)
{
    struct ksample_verdicts verdicts;
    return ask(trial, &verdicts) && !agree(&verdicts);
}

static const char *word(bool allowed)
{
    return allowed ? "allow" : "deny";
}

static void print_verdicts(const struct ksample_verdicts *verdicts)
{
    random_packet_print(&verdicts->packet);
    printf("evaluator: %s, simulator: %s, kernel: %s\n", word(verdicts->evaluator), word(verdicts->simulator),
           word(verdicts->kernel));
}

static void tell(struct sampler *sampler, const struct random_cluster *cluster, const struct ksample_case *what,
                 const struct ksample_verdicts *verdicts, uint64_t seed)
{
    TRIAL_CLEANUP struct trial trial = {0};
    printf("mismatch: SEED=%" PRIu64 " N=1, node %s\n", seed, what->node);
    print_verdicts(verdicts);
    trial_init(&trial, cluster->objects.v, cluster->objects.n, what->facts, what->node, &what->options,
               &verdicts->packet);
    asked = sampler;
    struct ksample_verdicts alone;
    if (!differs(&trial)) {
        printf("alone, all three agree about this packet: it takes the others of its batch\n");
    } else {
        size_t tried = shrink(&trial, differs);
        printf("the smallest case that differs as well, after %zu tries:\n", tried);
    }
    trial_print(&trial);
    if (ask(&trial, &alone)) {
        print_verdicts(&alone);
    }
}

// Mostly the node that has most to enforce: the others let everything through.
static const char *choose_node(struct rng *rng, struct state *state, const struct policy_options *options)
{
    size_t chosen = rng_below(rng, RANDOM_NODES);
    size_t most = 0;
    for (size_t i = 0, n = rng_chance(rng, 80) ? RANDOM_NODES : 0; i < n; i++) {
        CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
        struct compile_stats stats;
        if (compile_ruleset(state, random_nodes[i], NULL, options, &ruleset, &stats, NULL) == 0 &&
            stats.enforced_pods > most) {
            most = stats.enforced_pods;
            chosen = i;
        }
    }
    return random_nodes[chosen];
}

// EXIT_AGREE, EXIT_DIFFER or EXIT_FAILED.
static int prove(struct sampler *sampler, uint64_t seed)
{
    RANDOM_CLUSTER_CLEANUP struct random_cluster cluster = {0};
    random_cluster_make(&cluster, seed);
    CLEANUP(state_free) struct state *state = random_cluster_state(&cluster);
    struct ksample_case what = {.state = state, .options = sample_options(&cluster.rng)};
    what.node = choose_node(&cluster.rng, state, &what.options);
    CLEANUP(facts_free) struct facts *facts = rng_chance(&cluster.rng, 50) ? random_facts(&cluster.rng) : NULL;
    what.facts = facts;
    size_t n = draw(sampler, &cluster, what.node, facts);
    struct err err = {0};
    if (ksample_lab_judge(sampler->lab, &what, sampler->samples, n, sampler->verdicts, &sampler->tally.effort, &err) <
        0) {
        printf("SEED=%" PRIu64 " N=1, node %s: %s\n", seed, what.node, err.msg);
        return EXIT_FAILED;
    }
    sampler->tally.states++;
    for (size_t i = 0; i < n; i++) {
        count(&sampler->tally, &sampler->samples[i], &sampler->verdicts[i]);
        if (!agree(&sampler->verdicts[i])) {
            tell(sampler, &cluster, &what, &sampler->verdicts[i], seed);
            return EXIT_DIFFER;
        }
    }
    return EXIT_AGREE;
}

// ---- the account ---------------------------------------------------------------------------------------------------

static void row(const char *name, const size_t counts[2])
{
    printf("  %-24s %8zu allowed %8zu denied\n", name, counts[true], counts[false]);
}

static void account(const struct tally *tally, uint64_t took_ms)
{
    static const char *const ways[KSAMPLE_WAYS] = {"bridged", "routed", "to the node", "from the node"};
    static const char *const families[FAMILY_COUNT] = {"IPv4", "IPv6"};
    static const struct {
        enum ct_state state;
        const char *name;
    } states[] = {{CT_NEW, "NEW"},
                  {CT_ESTABLISHED, "ESTABLISHED"},
                  {CT_RELATED, "RELATED"},
                  {CT_INVALID, "INVALID"},
                  {CT_UNTRACKED, "UNTRACKED"}};
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        row(ways[i], tally->ways[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        row(families[i], tally->families[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
        row(states[i].name, tally->tracked[states[i].state]);
    }
    row("DNATed", tally->translated);
    for (size_t i = KSAMPLE_KEPT + 1; i < KSAMPLE_REASONS; i++) {
        printf("  left out: %zu, %s\n", tally->skipped[i], ksample_reason_name((enum ksample_reason)i));
    }
    printf("  tracked otherwise than drawn: %zu; flows that tracking refused: %zu; asked twice: %zu\n", tally->altered,
           tally->effort.refused, tally->effort.again);
    size_t skipped = 0;
    for (size_t i = KSAMPLE_KEPT + 1; i < KSAMPLE_REASONS; i++) {
        skipped += tally->skipped[i];
    }
    printf("%zu states, %zu packets: %zu allowed, %zu denied, %zu left out, %" PRIu64 ".%" PRIu64 " s\n", tally->states,
           tally->packets, tally->verdicts[true], tally->verdicts[false], skipped, took_ms / 1000, took_ms / 100 % 10);
}

// Does the run show something of everything? Few states may not.
static bool is_rich(const struct tally *tally)
{
    enum { ENOUGH = 100 };
    if (tally->states < ENOUGH) {
        return true;
    }
    bool rich = tally->verdicts[true] >= tally->packets / 10 && tally->verdicts[false] >= tally->packets / 10;
    for (size_t i = 0; i < KSAMPLE_WAYS; i++) {
        // What the node sends is judged on IPVS nodes only.
        rich = rich && tally->ways[i][true] > 0 && (tally->ways[i][false] > 0 || i == KSAMPLE_FROM_NODE);
    }
    for (size_t i = CT_NEW; i <= CT_UNTRACKED; i *= 2) {
        rich = rich && tally->tracked[i][true] > 0 && (tally->tracked[i][false] > 0 || i == CT_ESTABLISHED);
    }
    for (size_t verdict = 0; verdict < 2; verdict++) {
        rich = rich && tally->families[FAMILY_V4][verdict] > 0 && tally->families[FAMILY_V6][verdict] > 0 &&
               tally->translated[verdict] > 0;
    }
    return rich;
}

// ---- the command line ----------------------------------------------------------------------------------------------

static bool parse_interfaces(char *text, struct ksample_interfaces *ret)
{
    for (char *rest = text; rest && *rest;) {
        char *name = strsep(&rest, ",");
        if (!*name || ret->n == ARRAY_SIZE(ret->names)) {
            return false;
        }
        ret->names[ret->n++] = name;
    }
    return ret->n > 0;
}

static trial_tamper_fn *plant_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(plants); i++) {
        if (strcmp(plants[i].name, name) == 0) {
            return plants[i].tamper;
        }
    }
    return NULL;
}

static bool parse(int argc, char **argv, struct options *ret)
{
    static const struct option longs[] = {
        {"node", required_argument, NULL, 'n'},       {"peer", required_argument, NULL, 'p'},
        {"interfaces", required_argument, NULL, 'i'}, {"packets", required_argument, NULL, 'c'},
        {"lock", required_argument, NULL, 'l'},       {"plant", required_argument, NULL, 'f'},
        {"backend", required_argument, NULL, 'b'},    {0},
    };
    *ret = (struct options){.packets = PACKETS, .backend = &backend_legacy};
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        uint64_t number;
        if (c == 'n') {
            ret->node = optarg;
        } else if (c == 'p') {
            ret->peer = optarg;
        } else if (c == 'l') {
            ret->lock = optarg;
        } else if (c == 'i' && parse_interfaces(optarg, &ret->interfaces)) {
            continue;
        } else if (c == 'c' && num_parse_u64(optarg, strlen(optarg), KSAMPLE_BATCH_MAX - 1, &number) && number > 0) {
            ret->packets = (size_t)number;
        } else if (c == 'b' && (ret->backend = backend_find(optarg))) {
            continue;
        } else if (c == 'f' && (ret->plant = plant_find(optarg))) {
            continue;
        } else {
            return false;
        }
    }
    return optind == argc && ret->node && ret->peer && ret->interfaces.n > 0;
}

static int run(struct sampler *sampler)
{
    uint64_t seed = rng_seed("ksample");
    size_t n = rng_iterations(STATES);
    uint64_t begun = num_now_ms();
    int rc = EXIT_AGREE;
    for (size_t i = 0; rc == EXIT_AGREE && i < n; i++) {
        rc = prove(sampler, seed + i);
    }
    account(&sampler->tally, num_now_ms() - begun);
    if (rc == EXIT_AGREE && !is_rich(&sampler->tally)) {
        printf("too few of something: this run proves nothing about it\n");
        rc = EXIT_THIN;
    }
    return rc;
}

int main(int argc, char **argv)
{
    static struct sampler sampler;
    struct options options;
    struct err err = {0};
    if (!parse(argc, argv, &options)) {
        fprintf(stderr, "ksample: --node, --peer and --interfaces are needed; --packets N, "
                        "--backend NAME, --lock FILE, --plant member|rule|leak\n");
        return EXIT_USAGE;
    }
    sampler.options = &options;
    sampler.samples = calloc(options.packets, sizeof(*sampler.samples));
    sampler.verdicts = calloc(options.packets, sizeof(*sampler.verdicts));
    int rc = EXIT_FAILED;
    if (!sampler.samples || !sampler.verdicts) {
        (void)err_oom(&err);
    } else if (ksample_lab_open(options.node, options.peer, options.lock, &options.interfaces, options.backend,
                                options.plant, &sampler.lab, &err) == 0) {
        rc = run(&sampler);
    }
    if (err.kind != ERR_NONE) {
        fprintf(stderr, "ksample: %s\n", err.msg);
    }
    ksample_lab_close(sampler.lab);
    free(sampler.samples);
    free(sampler.verdicts);
    return rc;
}
