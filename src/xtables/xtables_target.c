// SPDX-License-Identifier: Apache-2.0
#include "xtables/xtables_match.h"

#include <linux/netfilter/x_tables.h>
#include <netinet/in.h>
#include <string.h>

// Numbers of enum ipt_reject_with and enum ip6t_reject_with, whose headers cannot stand in one file.
enum { IPV4_PORT_UNREACHABLE = 3, IPV4_TCP_RESET = 7, IPV6_PORT_UNREACHABLE = 4, IPV6_TCP_RESET = 6 };

struct reject_target {
    uint32_t with;
};

// What libiptc calls the verdicts.
static const char *const verdict_names[] = {
    [XTABLES_CONTINUE] = "",
    [XTABLES_RETURN] = "RETURN",
    [XTABLES_ACCEPT] = "ACCEPT",
    [XTABLES_DROP] = "DROP",
};

static uint32_t reject_with(enum xtables_family family, bool reset)
{
    if (family == XTABLES_V6) {
        return reset ? IPV6_TCP_RESET : IPV6_PORT_UNREACHABLE;
    }
    return reset ? IPV4_TCP_RESET : IPV4_PORT_UNREACHABLE;
}

static struct xt_entry_target *put_target(struct xtables_writer *writer, const char *name, size_t size)
{
    if (writer->failed || writer->size - writer->len < size) {
        writer->failed = true;
        return NULL;
    }
    struct xt_entry_target *target = (struct xt_entry_target *)(void *)(writer->buf + writer->len);
    memset(target, 0, size);
    target->u.target_size = (uint16_t)size;
    memcpy(target->u.user.name, name, strnlen(name, sizeof(target->u.user.name) - 1));
    writer->len += size;
    return target;
}

int xtables_target_encode(enum xtables_family family, const struct xtables_rule *rule, struct xtables_writer *writer,
                          struct err *err)
{
    const size_t standard = XT_ALIGN(sizeof(struct xt_standard_target));
    switch (rule->verdict) {
    case XTABLES_CONTINUE:
    case XTABLES_RETURN:
    case XTABLES_ACCEPT:
    case XTABLES_DROP:
        (void)put_target(writer, verdict_names[rule->verdict], standard);
        return 0;
    case XTABLES_JUMP:
    case XTABLES_GOTO:
        if (!rule->chain[0] || strlen(rule->chain) >= sizeof(((struct xt_entry_target *)0)->u.user.name)) {
            return err_set(err, ERR_BUG, 0, "a rule jumps to chain \"%s\"", rule->chain);
        }
        (void)put_target(writer, rule->chain, standard);
        return 0;
    case XTABLES_REJECT_RESET:
        if (rule->protocol != IPPROTO_TCP) {
            return err_set(err, ERR_BUG, 0, "a rule resets protocol %u", rule->protocol);
        }
        break;
    case XTABLES_REJECT_UNREACHABLE:
        break;
    }
    struct xt_entry_target *target =
        put_target(writer, "REJECT", XT_ALIGN(sizeof(*target)) + XT_ALIGN(sizeof(struct reject_target)));
    if (target) {
        const struct reject_target data = {reject_with(family, rule->verdict == XTABLES_REJECT_RESET)};
        memcpy(target->data, &data, sizeof(data));
    }
    return 0;
}

static bool decode_reject(enum xtables_family family, const struct xt_entry_target *target, struct xtables_rule *ret)
{
    struct reject_target data;
    if (target->u.user.revision != 0 || target->u.target_size != XT_ALIGN(sizeof(*target)) + XT_ALIGN(sizeof(data))) {
        return false;
    }
    memcpy(&data, target->data, sizeof(data));
    for (enum xtables_verdict verdict = XTABLES_REJECT_UNREACHABLE; verdict <= XTABLES_REJECT_RESET; verdict++) {
        if (data.with == reject_with(family, verdict == XTABLES_REJECT_RESET)) {
            ret->verdict = verdict;
            return true;
        }
    }
    return false;
}

bool xtables_target_decode(enum xtables_family family, const struct xt_entry_target *target, const char *name,
                           bool is_goto, struct xtables_rule *ret)
{
    // Standard targets have no name of their own in the kernel; libiptc gives the chain or the verdict.
    if (target->u.user.name[0] != '\0') {
        return !is_goto && strcmp(target->u.user.name, "REJECT") == 0 && decode_reject(family, target, ret);
    }
    for (size_t i = 0; i < ARRAY_SIZE(verdict_names); i++) {
        if (strcmp(name, verdict_names[i]) == 0) {
            ret->verdict = (enum xtables_verdict)i;
            return !is_goto;
        }
    }
    // The one verdict more that libiptc has a name for.
    size_t len = strlen(name);
    if (len >= sizeof(ret->chain) || strcmp(name, "QUEUE") == 0) {
        return false;
    }
    ret->verdict = is_goto ? XTABLES_GOTO : XTABLES_JUMP;
    memcpy(ret->chain, name, len + 1);
    return true;
}
