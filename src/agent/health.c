// SPDX-License-Identifier: Apache-2.0
#include "agent/health.h"

#include <stdio.h>
#include <string.h>

static const char *const names[HEALTH_CHECK_COUNT] = {
    [HEALTH_SYNC] = "sync",   [HEALTH_APPLY] = "apply", [HEALTH_HOST] = "host", [HEALTH_BRIDGE] = "bridge",
    [HEALTH_STATE] = "state", [HEALTH_JUMPS] = "jumps", [HEALTH_CNI] = "cni",
};

void health_init(struct health *health, uint64_t now_ms)
{
    *health = (struct health){.tick_ms = now_ms};
    for (unsigned i = 0; i < HEALTH_CHECK_COUNT; i++) {
        (void)snprintf(health->checks[i].why, sizeof(health->checks[i].why), "not yet");
    }
}

bool health_set(struct health *health, enum health_check check, bool ok, const char *why)
{
    char text[sizeof(health->checks[check].why)];
    (void)snprintf(text, sizeof(text), "%s", ok ? "" : why);
    bool changed = health->checks[check].ok != ok || strcmp(health->checks[check].why, text) != 0;
    health->checks[check].ok = ok;
    memcpy(health->checks[check].why, text, sizeof(text));
    return changed;
}

bool health_warn(struct health *health, enum health_check check, const char *warning)
{
    char text[sizeof(health->checks[check].warning)];
    (void)snprintf(text, sizeof(text), "%s", warning);
    bool changed = strcmp(health->checks[check].warning, text) != 0;
    memcpy(health->checks[check].warning, text, sizeof(text));
    return changed;
}

void health_tick(struct health *health, uint64_t now_ms)
{
    health->tick_ms = now_ms;
}

bool health_live(const struct health *health, uint64_t now_ms)
{
    return now_ms - health->tick_ms < HEALTH_TICK_MAX_MS;
}

bool health_ready(const struct health *health)
{
    for (unsigned i = 0; i < HEALTH_CHECK_COUNT; i++) {
        if (!health->checks[i].ok) {
            return false;
        }
    }
    return true;
}

const char *health_check_name(enum health_check check)
{
    return names[check];
}

static void render_check(const char *name, bool ok, const char *why, const char *warning, struct buf *out)
{
    buf_printf(out, "[%c]%s %s%s%s%s\n", ok ? '+' : '-', name, ok ? "ok" : "failed: ", ok ? "" : why,
               *warning ? "; warning: " : "", warning);
}

bool health_render(const struct health *health, bool ready_checks, bool verbose, uint64_t now_ms,
                   health_exclude_fn *exclude, void *arg, struct buf *out)
{
    BUF_CLEANUP struct buf list = {0};
    bool all = true;
    if (!exclude("loop", arg)) {
        bool live = health_live(health, now_ms);
        all = all && live;
        render_check("loop", live, "the event loop stands still", "", &list);
    }
    for (unsigned i = 0; ready_checks && i < HEALTH_CHECK_COUNT; i++) {
        if (!exclude(names[i], arg)) {
            all = all && health->checks[i].ok;
            render_check(names[i], health->checks[i].ok, health->checks[i].why, health->checks[i].warning, &list);
        }
    }
    if (verbose || !all) {
        buf_add(out, list.data ? list.data : "", list.len);
        buf_puts(out, all ? "check passed\n" : "check failed\n");
    } else {
        buf_puts(out, "ok");
    }
    return all;
}
