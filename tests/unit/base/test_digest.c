// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

static void assert_sha256(const void *data, size_t len, const char *want)
{
    uint8_t hash[32];
    digest_sha256(data, len, hash);
    char hex[65];
    for (unsigned i = 0; i < 32; i++) {
        (void)snprintf(hex + i * 2, 3, "%02x", hash[i]);
    }
    assert_string_equal(hex, want);
}

// The examples of FIPS 180-4 (one block, two blocks, a million bytes) and the empty message.
static void test_fips_vectors(void **state)
{
    (void)state;
    assert_sha256("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_sha256("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const char two[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    assert_sha256(two, 56, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    const char four[] =
        "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrs"
        "mnopqrstnopqrstu";
    assert_sha256(four, 112, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
    char *million = malloc(1000000);
    assert_non_null(million);
    memset(million, 'a', 1000000);
    assert_sha256(million, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

// Every length around the padding borders, against the NIST short-message vectors' border cases.
static void test_padding_borders(void **state)
{
    (void)state;
    char as[120];
    memset(as, 'a', sizeof(as));
    assert_sha256(as, 55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
    assert_sha256(as, 56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a");
    assert_sha256(as, 64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
}

static void test_name_is_base32_of_the_first_80_bits(void **state)
{
    (void)state;
    char name[DIGEST_NAME_SIZE];
    digest_name("abc", 3, name);
    // ba7816bf8f01cfea4141 in base32.
    assert_string_equal(name, "XJ4BNP4PAHH6UQKB");
    digest_name("", 0, name);
    assert_string_equal(name, "4OYMIQUY7QOBJGX3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fips_vectors),
        cmocka_unit_test(test_padding_borders),
        cmocka_unit_test(test_name_is_base32_of_the_first_80_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
