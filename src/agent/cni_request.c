// SPDX-License-Identifier: Apache-2.0
#include "agent/cni_request.h"

#include <stdio.h>

static int take_text(const struct doc *doc, const char *key, bool required, char *ret, size_t size, struct err *err)
{
    const struct doc *got = doc_get(doc, key);
    if (!got && !required) {
        *ret = '\0';
        return 0;
    }
    if (!got || got->type != DOC_STRING || (required && !*got->text)) {
        (void)err_set(err, ERR_INPUT, 0, "%s", got ? "is no text, or empty" : "is missing");
        return err_at_field(err, "%s", key);
    }
    if (strlen(got->text) >= size) {
        (void)err_set(err, ERR_INPUT, 0, "is longer than %zu bytes", size - 1);
        return err_at_field(err, "%s", key);
    }
    memcpy(ret, got->text, strlen(got->text) + 1);
    return 0;
}

int cni_request_key(const struct doc *doc, struct cni_attachment *ret, struct err *err)
{
    char name[CNI_ID + PACKET_IFACE + 16];
    if (take_text(doc, "id", true, ret->id, sizeof(ret->id), err) < 0 ||
        take_text(doc, "ifname", true, ret->ifname, sizeof(ret->ifname), err) < 0) {
        return -1;
    }
    return cni_book_file(ret->id, ret->ifname, name, sizeof(name))
               ? 0
               : err_set(err, ERR_INPUT, 0, "id or ifname is not what CNI allows");
}

static int take_addresses(const struct doc *doc, struct cni_attachment *ret, struct err *err)
{
    const struct doc *list = doc_get(doc, "addresses");
    if (!list || list->type != DOC_LIST || !list->child) {
        (void)err_set(err, ERR_INPUT, 0, "is no list, or empty");
        return err_at_field(err, "addresses");
    }
    for (const struct doc *item = list->child; item; item = item->next) {
        struct address address;
        if (item->type != DOC_STRING || !address_parse(item->text, &address)) {
            (void)err_set(err, ERR_INPUT, 0, "\"%.60s\" is no address", item->text ? item->text : "");
            return err_at_field(err, "addresses");
        }
        bool there = false;
        for (size_t i = 0; i < ret->n_addresses; i++) {
            there = there || address_equal(&ret->addresses[i], &address);
        }
        if (!there && ret->n_addresses == LIMIT_POD_ADDRESSES) {
            (void)err_set(err, ERR_LIMIT, 0, "more than %d", LIMIT_POD_ADDRESSES);
            return err_at_field(err, "addresses");
        }
        if (!there) {
            ret->addresses[ret->n_addresses++] = address;
        }
    }
    return 0;
}

int cni_request_parse(const struct doc *doc, struct cni_attachment *ret, struct err *err)
{
    struct cni_attachment got = {0};
    if (cni_request_key(doc, &got, err) < 0 || take_text(doc, "ns", true, got.ns, sizeof(got.ns), err) < 0 ||
        take_text(doc, "name", true, got.name, sizeof(got.name), err) < 0 ||
        take_text(doc, "uid", false, got.uid, sizeof(got.uid), err) < 0 ||
        take_text(doc, "port", false, got.port, sizeof(got.port), err) < 0 || take_addresses(doc, &got, err) < 0) {
        return -1;
    }
    const struct doc *added = doc_get(doc, "added_ms");
    got.added_ms =
        added && added->type == DOC_NUMBER && added->integral && added->integer > 0 ? (uint64_t)added->integer : 0;
    *ret = got;
    return 0;
}

void cni_request_put(const struct cni_attachment *attachment, struct buf *out)
{
    const struct {
        const char *key;
        const char *text;
    } rows[] = {{"id", attachment->id},     {"ifname", attachment->ifname}, {"ns", attachment->ns},
                {"name", attachment->name}, {"uid", attachment->uid},       {"port", attachment->port}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        buf_printf(out, "%s\"%s\":", i ? "," : "", rows[i].key);
        buf_json_string(out, rows[i].text);
    }
    buf_puts(out, ",\"addresses\":[");
    for (size_t i = 0; i < attachment->n_addresses; i++) {
        char text[ADDRESS_TEXT];
        buf_printf(out, "%s\"%s\"", i ? "," : "", address_format(&attachment->addresses[i], text));
    }
    buf_printf(out, "],\"added_ms\":%llu", (unsigned long long)attachment->added_ms);
}
