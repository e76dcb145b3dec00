// SPDX-License-Identifier: Apache-2.0
//
// Writer and reader of netlink messages against each other and against damaged input; no socket.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "netlink/netlink_attr.h"
#include "netlink/netlink_batch.h"

#include <string.h>

enum { HEADER = sizeof(struct nlmsghdr) };

static const struct nlmsghdr *header_of(const struct netlink_batch *batch)
{
    return (const struct nlmsghdr *)(const void *)batch->data;
}

static void test_attributes(void **state)
{
    (void)state;
    NETLINK_BATCH_CLEANUP struct netlink_batch batch = {0};
    const uint32_t fixed = 7;
    netlink_batch_message(&batch, 77, NLM_F_ACK, &fixed, sizeof(fixed));
    netlink_batch_u8(&batch, 1, 200);
    netlink_batch_u32(&batch, 2, 0x01020304);
    netlink_batch_be32(&batch, 3, 0x01020304);
    netlink_batch_be16(&batch, 4, 0x0506);
    netlink_batch_text(&batch, 5, "abc");
    size_t nest = netlink_batch_nest(&batch, 6);
    netlink_batch_u8(&batch, 1, 1);
    netlink_batch_u8(&batch, 2, 2);
    netlink_batch_nest_end(&batch, nest);
    assert_false(batch.failed);
    assert_int_equal(header_of(&batch)->nlmsg_len, batch.len);
    assert_int_equal(header_of(&batch)->nlmsg_type, 77);
    assert_int_equal(header_of(&batch)->nlmsg_flags, NLM_F_ACK | NLM_F_REQUEST);
    assert_memory_equal(batch.data + HEADER, &fixed, sizeof(fixed));

    struct netlink_attr attr[8];
    netlink_attr_parse(batch.data + HEADER + 4, batch.len - HEADER - 4, attr, 8);
    uint8_t u8 = 0;
    uint16_t u16 = 0;
    uint32_t u32 = 0;
    char text[4];
    assert_true(netlink_attr_u8(&attr[1], &u8) && u8 == 200);
    assert_true(netlink_attr_u32(&attr[2], &u32) && u32 == 0x01020304);
    assert_true(netlink_attr_be32(&attr[3], &u32) && u32 == 0x01020304);
    assert_memory_equal(attr[3].data, "\1\2\3\4", 4);
    assert_true(netlink_attr_be16(&attr[4], &u16) && u16 == 0x0506);
    assert_true(netlink_attr_text(&attr[5], text, sizeof(text)));
    assert_string_equal(text, "abc");
    assert_null(attr[0].data);
    assert_null(attr[7].data);
    struct netlink_attr inner[3];
    netlink_attr_parse(attr[6].data, attr[6].len, inner, 3);
    assert_true(netlink_attr_u8(&inner[2], &u8) && u8 == 2);

    // Of another size, absent, or too long: no value, and nothing written.
    u32 = 9;
    assert_false(netlink_attr_u32(&attr[1], &u32));
    assert_false(netlink_attr_u32(&attr[0], &u32));
    assert_int_equal(u32, 9);
    assert_false(netlink_attr_text(&attr[5], text, 3));
    assert_false(netlink_attr_text(&attr[0], text, sizeof(text)));
}

static void test_several_messages(void **state)
{
    (void)state;
    NETLINK_BATCH_CLEANUP struct netlink_batch batch = {0};
    for (unsigned i = 0; i < 100; i++) {
        netlink_batch_message(&batch, (uint16_t)(100 + i), 0, NULL, 0);
        for (unsigned j = 0; j < i; j++) {
            netlink_batch_u32(&batch, 1, j);
        }
        assert_int_equal(netlink_batch_message_len(&batch), HEADER + i * 8);
    }
    assert_int_equal(batch.n_messages, 100);
    size_t at = 0;
    for (unsigned i = 0; i < 100; i++) {
        const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)(batch.data + at);
        assert_int_equal(message->nlmsg_type, 100 + i);
        at += message->nlmsg_len;
    }
    assert_int_equal(at, batch.len);
    netlink_batch_clear(&batch);
    assert_int_equal(batch.len + batch.n_messages, 0);
}

static void test_limits(void **state)
{
    (void)state;
    static const uint8_t large[70000];
    NETLINK_BATCH_CLEANUP struct netlink_batch batch = {0};
    netlink_batch_message(&batch, 1, 0, NULL, 0);
    netlink_batch_put(&batch, 1, large, 65531);
    assert_false(batch.failed);
    netlink_batch_put(&batch, 1, large, 65532);
    assert_true(batch.failed);
    netlink_batch_u8(&batch, 1, 1);
    assert_int_equal(netlink_batch_message_len(&batch), 0);

    netlink_batch_clear(&batch);
    netlink_batch_message(&batch, 1, 0, NULL, 0);
    size_t nest = netlink_batch_nest(&batch, 1);
    netlink_batch_put(&batch, 1, large, 60000);
    netlink_batch_put(&batch, 1, large, 6000);
    netlink_batch_nest_end(&batch, nest);
    assert_true(batch.failed);

    // An attribute without a message is a mistake, not a write before the buffer.
    netlink_batch_clear(&batch);
    netlink_batch_u8(&batch, 1, 1);
    assert_true(batch.failed);
}

// Cut anywhere and with any length field: the reader stays inside.
static void test_damaged(void **state)
{
    (void)state;
    NETLINK_BATCH_CLEANUP struct netlink_batch batch = {0};
    netlink_batch_message(&batch, 1, 0, NULL, 0);
    size_t nest = netlink_batch_nest(&batch, 2);
    netlink_batch_text(&batch, 1, "some text");
    netlink_batch_nest_end(&batch, nest);
    netlink_batch_u8(&batch, 3, 1);
    size_t len = batch.len - HEADER;
    for (size_t cut = 0; cut <= len; cut++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t *copy = malloc(cut + 1);
            assert_non_null(copy);
            memcpy(copy, batch.data + HEADER, cut);
            if (cut > 0) {
                copy[value % cut] = (uint8_t)value;
            }
            uint8_t *exact = realloc(copy, cut ? cut : 1);
            assert_non_null(exact);
            struct netlink_attr attr[4];
            struct netlink_attr inner[4];
            char text[32];
            netlink_attr_parse(exact, cut, attr, 4);
            netlink_attr_parse(attr[2].data, attr[2].len, inner, 4);
            (void)netlink_attr_text(&inner[1], text, sizeof(text));
            free(exact);
        }
    }
    struct netlink_attr none[2];
    netlink_attr_parse(NULL, 0, none, 2);
    assert_null(none[1].data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_several_messages),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
