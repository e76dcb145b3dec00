// SPDX-License-Identifier: Apache-2.0
//
// A snapshot of random clusters, as YAML and as JSON, reads back to the same state; its bytes do not depend on the
// order in which objects came; nothing that was planted where secrets live is in it.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/snapshot.h"
#include "support/state_yaml.h"
#include "yaml/yaml_doc.h"

enum { CLUSTERS = 150 };

static char directory[] = "/tmp/netpold-test-XXXXXX";

static const char *result_path(void)
{
    static char path[64];
    (void)snprintf(path, sizeof(path), "%s/state", directory);
    return path;
}

static char *read_result(size_t *ret_len)
{
    FILE *file = fopen(result_path(), "re");
    assert_non_null(file);
    struct buf text = {0};
    char part[4096];
    size_t n;
    while ((n = fread(part, 1, sizeof(part), file)) > 0) {
        buf_add(&text, part, n);
    }
    assert_int_equal(fclose(file), 0);
    *ret_len = text.len;
    return buf_take(&text);
}

// Adds a member {"apps/env": "PLANTED"} to the map at key.
static void plant(struct doc *object, const char *part, const char *key, struct doc nodes[2])
{
    struct doc *map = (struct doc *)(uintptr_t)doc_get(object, part);
    if (!map || map->type != DOC_MAP) {
        return;
    }
    nodes[1] = (struct doc){.type = DOC_STRING, .key = "apps/env", .text = "PLANTED"};
    nodes[0] = (struct doc){.type = DOC_MAP, .key = key, .child = &nodes[1], .next = map->child};
    map->child = &nodes[0];
}

struct feed {
    enum object_kind kind;
    struct snapshot *snapshot;
};

static int feed_document(struct doc *doc, void *arg, struct err *err UNUSED)
{
    struct feed *feed = arg;
    struct doc planted[10];
    plant(doc, "metadata", "annotations", &planted[0]);
    plant(doc, "metadata", "managedFields", &planted[2]);
    if (feed->kind != OBJECT_POLICY) {
        plant(doc, "spec", "env", &planted[4]);
    }
    plant(doc, "status", "conditions", &planted[6]);
    const struct doc *spec = doc_get(doc, "spec");
    const struct doc *containers = doc_get(spec, "containers");
    if (containers && containers->child) {
        plant((struct doc *)(uintptr_t)containers->child, "env", "value", &planted[8]);
    }
    snapshot_add(feed->kind, doc, feed->snapshot);
    return 0;
}

static void feed_object(struct snapshot *snapshot, const struct random_object *object)
{
    BUF_CLEANUP struct buf text = {0};
    struct arena arena = {0};
    struct err err = {0};
    state_yaml_object(object, NULL, NULL, &text);
    struct feed feed = {.kind = object->kind, .snapshot = snapshot};
    assert_int_equal(yaml_parse(text.data, text.len, &arena, feed_document, NULL, &feed, &err), 0);
    arena_free(&arena);
}

static char *take(const struct random_cluster *cluster, const struct state *state, enum snapshot_format format,
                  const size_t *order, size_t *ret_len)
{
    NEW_FILE_CLEANUP struct new_file file = {0};
    CLEANUP(fd) int spool = -1;
    CLEANUP(snapshot_free) struct snapshot *snapshot = NULL;
    struct err err = {0};
    char why[1024];
    if (new_file_check(result_path(), &file, &spool, &err) < 0 || snapshot_new(format, spool, &snapshot, &err) < 0) {
        fail_msg("%s", err_text(&err, why, sizeof(why)));
    }
    for (size_t i = 0; i < cluster->objects.n; i++) {
        feed_object(snapshot, &cluster->objects.v[order[i]]);
    }
    if (snapshot_write(snapshot, state, "a head\nof two lines\x01\n", &file, &err) < 0) {
        fail_msg("%s", err_text(&err, why, sizeof(why)));
    }
    return read_result(ret_len);
}

static void shuffle(struct rng *rng, size_t *order, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = rng_below(rng, i);
        size_t keep = order[i - 1];
        order[i - 1] = order[j];
        order[j] = keep;
    }
}

static void check_format(const struct random_cluster *cluster, enum snapshot_format format, uint64_t seed)
{
    size_t n = cluster->objects.n;
    size_t *order = calloc(n + 1, sizeof(*order));
    assert_non_null(order);
    for (size_t i = 0; i < n; i++) {
        order[i] = i;
    }
    struct rng rng = {.state = seed};
    CLEANUP(state_free) struct state *state = random_cluster_state(cluster);
    size_t len;
    size_t len_shuffled;
    CLEANUP(free) char *text = take(cluster, state, format, order, &len);
    shuffle(&rng, order, n);
    CLEANUP(free) char *shuffled = take(cluster, state, format, order, &len_shuffled);
    free(order);
    if (len != len_shuffled || memcmp(text, shuffled, len) != 0) {
        fail_msg("SEED=%" PRIu64 " N=1: another order gives other bytes", seed);
    }
    assert_null(strstr(text, "PLANTED"));
    assert_null(strstr(text, "apps/env"));
    struct buf view = {.data = text, .len = len};
    CLEANUP(state_free) struct state *back = state_yaml_read(&view);
    size_t held = 0;
    for (unsigned kind = 0; kind < OBJECT_KIND_COUNT; kind++) {
        held += state_count(back, (enum object_kind)kind);
    }
    assert_int_equal(held, n);
    for (size_t i = 0; i < n; i++) {
        if (!state_yaml_holds(back, &cluster->objects.v[i])) {
            fail_msg("SEED=%" PRIu64 " N=1: object %zu does not read back as itself\n%s", seed, i, text);
        }
    }
}

static void test_reads_back(void **unused UNUSED)
{
    uint64_t seed = rng_seed(__func__);
    size_t n = rng_iterations(CLUSTERS);
    size_t objects = 0;
    for (size_t i = 0; i < n; i++) {
        RANDOM_CLUSTER_CLEANUP struct random_cluster cluster = {0};
        random_cluster_make(&cluster, seed + i);
        if (!cluster.wild) {
            check_format(&cluster, SNAPSHOT_YAML, seed + i);
            check_format(&cluster, SNAPSHOT_JSON, seed + i);
            objects += cluster.objects.n;
        }
    }
    printf("%zu objects in two formats and two orders\n", objects);
    assert_true(n < 100 || objects > 10 * n);
}

static int make_directory(void **state UNUSED)
{
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state UNUSED)
{
    (void)unlink(result_path());
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reads_back)};
    return cmocka_run_group_tests_name("snapshots of random clusters", tests, make_directory, remove_directory);
}
