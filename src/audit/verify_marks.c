// SPDX-License-Identifier: Apache-2.0
//
// Each question may be answered yes or no; which of these combinations some mark gives is found by trying: a yes fixes
// the bits of the mask, a no needs one bit of it that differs.
#include "audit/verify_marks.h"

#include "audit/verify_class.h"

enum { QUESTIONS_MAX = 12 };

struct search {
    struct verify_mark questions[QUESTIONS_MAX];
    size_t n;
    bool yes[QUESTIONS_MAX];
    uint32_t found;
};

// Settles the questions from `at` on that are answered no; `fixed` bits of `mark` are settled.
static bool settle(struct search *search, size_t at, uint32_t mark, uint32_t fixed)
{
    while (at < search->n && search->yes[at]) {
        at++;
    }
    if (at == search->n) {
        search->found = mark;
        return true;
    }
    const struct verify_mark *question = &search->questions[at];
    if (((mark ^ question->value) & question->mask & fixed) != 0) {
        return settle(search, at + 1, mark, fixed);
    }
    for (unsigned bit = 0; bit < 32; bit++) {
        uint32_t one = UINT32_C(1) << bit;
        if ((question->mask & one & ~fixed) &&
            settle(search, at + 1, (mark & ~one) | (~question->value & one), fixed | one)) {
            return true;
        }
    }
    return false;
}

static bool answer(struct search *search)
{
    uint32_t mark = 0;
    uint32_t fixed = 0;
    for (size_t i = 0; i < search->n; i++) {
        const struct verify_mark *question = &search->questions[i];
        if (!search->yes[i]) {
            continue;
        }
        if ((mark ^ question->value) & question->mask & fixed) {
            return false;
        }
        mark |= question->value;
        fixed |= question->mask;
    }
    return settle(search, 0, mark, fixed);
}

static int add_question(struct search *search, const struct verify_mark *question, struct err *err)
{
    for (size_t i = 0; i < search->n; i++) {
        if (search->questions[i].mask == question->mask && search->questions[i].value == question->value) {
            return 0;
        }
    }
    if (search->n == QUESTIONS_MAX) {
        return err_set(err, ERR_LIMIT, 0, "rules ask for more than %d marks of flows", QUESTIONS_MAX);
    }
    search->questions[search->n++] = *question;
    return 0;
}

int verify_marks_find(const struct verify_mark *questions, size_t n, uint32_t **v, size_t *ret_n, size_t *cap,
                      struct err *err)
{
    struct search search = {0};
    *ret_n = 0;
    for (size_t i = 0; i < n; i++) {
        if (add_question(&search, &questions[i], err) < 0) {
            return -1;
        }
    }
    for (unsigned answers = 0; answers < 1u << search.n; answers++) {
        for (size_t i = 0; i < search.n; i++) {
            search.yes[i] = (answers >> i & 1) != 0;
        }
        if (!answer(&search)) {
            continue;
        }
        if (vec_reserve_((void **)v, cap, *ret_n + 1, sizeof(**v)) < 0) {
            return err_oom(err);
        }
        (*v)[(*ret_n)++] = search.found;
    }
    return 0;
}

bool verify_class_has_mark(const struct verify_class *class, uint32_t mark)
{
    for (size_t i = 0; i < class->n_marks; i++) {
        const struct verify_mark *question = &class->marks[i];
        if (((mark & question->mask) == question->value) !=
            ((class->witness.connmark & question->mask) == question->value)) {
            return false;
        }
    }
    return true;
}

bool verify_class_has_name(const struct verify_class *class, enum verify_dimension dimension, const char *name)
{
    const struct verify_name *known = verify_names_find(class->space->names, name);
    size_t number = known ? (size_t)(known - class->space->names->v) : class->signatures[dimension].n;
    uint64_t signature = number < class->signatures[dimension].n ? class->signatures[dimension].v[number] : 0;
    return signature == class->wanted[dimension];
}
