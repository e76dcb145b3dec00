// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/doc.h"
#include "base/mem.h"

enum { MAX = 100 };

struct fixture {
    struct doc map;
    struct doc children[MAX];
    char keys[MAX][8];
};

static void fill(struct fixture *f, unsigned n)
{
    *f = (struct fixture){.map = {.type = DOC_MAP}};
    struct doc **link = &f->map.child;
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(f->keys[i], sizeof(f->keys[i]), "k%u", (i * 37) % MAX);
        f->children[i] = (struct doc){.key = f->keys[i], .line = i + 1};
        *link = &f->children[i];
        link = &f->children[i].next;
    }
}

static void test_get(void **state)
{
    (void)state;
    struct fixture f;
    fill(&f, 3);
    assert_ptr_equal(doc_get(&f.map, "k37"), &f.children[1]);
    assert_null(doc_get(&f.map, "k"));
    assert_null(doc_get(NULL, "k0"));
    f.map.type = DOC_LIST;
    assert_null(doc_get(&f.map, "k0"));
    for (int type = DOC_NULL; type <= DOC_MAP; type++) {
        assert_string_not_equal(doc_type_name((enum doc_type)type), "?");
    }
}

// Small maps compare pairs, large ones sort: both must find each pair of equal keys, and give the later one.
static void test_duplicate_key(void **state)
{
    (void)state;
    static const unsigned sizes[] = {0, 1, 2, 12, 13, 14, MAX};
    struct fixture f;
    for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
        bool oom = false;
        unsigned n = sizes[s];
        fill(&f, n);
        assert_null(doc_duplicate_key(&f.map, &oom));
        for (unsigned i = 0; i < n; i++) {
            for (unsigned j = i + 1; j < n; j++) {
                const char *key = f.children[j].key;
                f.children[j].key = f.children[i].key;
                assert_ptr_equal(doc_duplicate_key(&f.map, &oom), &f.children[j]);
                f.children[j].key = key;
            }
        }
        assert_false(oom);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_get), cmocka_unit_test(test_duplicate_key)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
