// SPDX-License-Identifier: Apache-2.0
#include "support/plugin_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/stat.h>
#include <time.h>

const struct credentials_timing plugin_quick = {
    .run_ms = PATIENCE_MS, .again_ms = 100, .again_max_ms = 400, .proven_ms = 120000, .early_s = 10};

static void on_settled(void *arg)
{
    struct plugin_world *w = arg;
    w->settled++;
    loop_quit(w->loop, 0);
}

static void on_report(const char *event, const char *fields, void *arg)
{
    struct plugin_world *w = arg;
    w->reports++;
    buf_printf(&w->heard, "%s %s\n", event, fields);
}

static void on_impatience(void *arg)
{
    struct plugin_world *w = arg;
    loop_quit(w->loop, 1);
}

void plugin_begin(struct plugin_world *w, const char *kubeconfig, const struct credentials_timing *timing)
{
    struct err err = {0};
    const struct credentials_owner owner = {.arg = w, .settled = on_settled, .report = on_report};
    scratch_put("config", kubeconfig);
    if (kubeconfig_load(scratch_path("config"), NULL, &w->config, &err) < 0) {
        fail_msg("%s: %s: %s", err.object, err.field, err.msg);
    }
    assert_int_equal(loop_new(&w->loop, &err), 0);
    assert_int_equal(loop_add_timer(w->loop, on_impatience, w, &w->impatience, &err), 0);
    assert_int_equal(credentials_new_timed(w->loop, w->config, &owner, timing, &w->credentials, &err), 0);
}

void plugin_end(struct plugin_world *w)
{
    credentials_free(w->credentials);
    loop_free(w->loop);
    api_config_free(w->config);
    buf_puts(&w->heard, "");
    if (strstr(w->heard.data, SECRET)) {
        fail_msg("%s", w->heard.data);
    }
    buf_free(&w->heard);
}

enum credentials_state plugin_prepare(struct plugin_world *w)
{
    char text[1024];
    w->err = (struct err){0};
    enum credentials_state state = credentials_prepare(w->credentials, &w->err);
    assert_int_equal(w->err.kind != ERR_NONE, state == CREDENTIALS_FAILED);
    buf_printf(&w->heard, "%s\n", err_text(&w->err, text, sizeof(text)));
    return state;
}

void plugin_wait(struct plugin_world *w)
{
    struct err err = {0};
    loop_arm(w->impatience, PATIENCE_MS);
    assert_int_equal(loop_run(w->loop, &err), 0);
    loop_disarm(w->impatience);
}

enum credentials_state plugin_run(struct plugin_world *w)
{
    assert_int_equal(plugin_prepare(w), CREDENTIALS_PENDING);
    plugin_wait(w);
    return plugin_prepare(w);
}

void plugin_expect(struct plugin_world *w, const char *token, unsigned generation)
{
    assert_int_equal(plugin_prepare(w), CREDENTIALS_READY);
    assert_string_equal(credentials_values(w->credentials)->token, token);
    assert_int_equal(credentials_generation(w->credentials), generation);
}

unsigned plugin_runs(void)
{
    struct stat st;
    return stat(scratch_path("runs"), &st) == 0 ? (unsigned)st.st_size / 2 : 0;
}

void plugin_pause(unsigned ms)
{
    const struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&wait, NULL);
}
