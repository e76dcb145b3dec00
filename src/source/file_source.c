// SPDX-License-Identifier: Apache-2.0
//
// Files as a source: inotify says when to look, files_scan says what is there. Nothing is taken from an event but its
// time, so a lost event costs a delay at most.
//
// Fail closed: before the first complete read the source is not synced while a path is missing or a file loses a
// document, and after such a state only when a quarter of a second brought no further change. Later a missing path
// keeps what it held (an unmounted or half-replaced directory must not open the node); a file removed from a directory
// that is there takes its objects with it.
#include "source/source.h"

#include <errno.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/log.h"
#include "base/map.h"
#include "base/num.h"
#include "source/files.h"

enum {
    QUIET_MS = 3,         // a burst (rename into place, symlink swap) is one change
    BURST_MS = 50,        // and is looked at after that long even when it goes on
    WRITING_MS = 5000,    // a file that is being written is waited for that long: half a file could parse
    POLL_MS = 1000,       // while something cannot be watched
    SETTLE_MS = 250,      // without a change, before a state that was incomplete at first counts as complete
    FINDINGS_LOGGED = 20  // of one scan; the rest is counted
};

// IN_MODIFY only tells that a writer is at work; what it wrote is read when it closes the file.
#define WATCH_MASK                                                                                                     \
    (IN_MODIFY | IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF |   \
     IN_MOVE_SELF | IN_ONLYDIR)

struct watch {
    int wd;
    char *path;
    bool wanted;
};

struct file_source {
    struct source base;
    struct loop *loop;
    struct state *state;
    struct source_owner owner;
    struct files *files;
    const char **paths;
    size_t n_paths;
    int fd;
    struct loop_fd *readable;
    struct loop_timer *scan;
    VEC(struct watch) watches;
    struct map *writing;  // "wd/name" of files that a writer holds open
    uint64_t burst_start_ms;
    bool burst;
    bool synced;
    bool settling;  // a scan found it complete after others had not
    char why[512];
    char findings[DIGEST_NAME_SIZE];  // of the last scan: the same ones are said once
    bool missing_said;
    uint64_t back_ms;  // when a missing path was seen again: it is given a moment; 0: it was not
    bool unwatched_said;
};

static void unwatch(struct file_source *fs, size_t at)
{
    free(fs->watches.v[at].path);
    fs->watches.v[at] = fs->watches.v[--fs->watches.n];
}

static void file_source_free(struct source *source)
{
    struct file_source *fs = (struct file_source *)source;
    if (!fs) {
        return;
    }
    loop_remove_fd(fs->readable);
    loop_remove_timer(fs->scan);
    while (fs->watches.n) {
        unwatch(fs, fs->watches.n - 1);
    }
    vec_free(&fs->watches);
    map_free(fs->writing);
    if (fs->fd >= 0) {
        (void)close(fs->fd);
    }
    files_free(fs->files);
    free(fs->paths);
    free(fs);
}

static void file_source_refresh(struct source *source)
{
    struct file_source *fs = (struct file_source *)source;
    fs->burst = false;
    loop_arm(fs->scan, 0);
}

static const struct source_ops file_source_ops = {
    .name = "files",
    .free = file_source_free,
    .refresh = file_source_refresh,
};

static void not_synced(struct file_source *fs, const char *why)
{
    if (!fs->synced && strcmp(fs->why, why) != 0) {
        (void)snprintf(fs->why, sizeof(fs->why), "%s", why);
        fs->owner.synced(false, fs->why, fs->owner.arg);
    }
}

static void report(struct file_source *fs, enum source_level level, const char *event, const char *fields)
{
    fs->owner.report(level, event, fields, fs->owner.arg);
}

// The first path that is not there, or NULL.
static const char *missing_path(const struct file_source *fs)
{
    for (size_t i = 0; i < fs->n_paths; i++) {
        struct stat st;
        if (strcmp(fs->paths[i], "-") != 0 && stat(fs->paths[i], &st) < 0) {
            return fs->paths[i];
        }
    }
    return NULL;
}

static void say_missing(struct file_source *fs, const char *path)
{
    char why[512];
    (void)snprintf(why, sizeof(why), "%.400s: %s", path, "does not exist or cannot be read");
    not_synced(fs, why);
    if (!fs->missing_said) {
        char fields[1200];
        (void)snprintf(fields, sizeof(fields), "path=%s effect=%s", log_quote(path),
                       fs->synced ? "\"what it held stays in force\"" : "\"waiting for it\"");
        report(fs, SOURCE_ERROR, "state-path-missing", fields);
        fs->missing_said = true;
    }
}

static void report_finding(struct file_source *fs, const struct diagnostic *d)
{
    BUF_CLEANUP struct buf fields = {.max = 8192};
    buf_printf(&fields, "severity=%s file=%s line=%u", diagnostic_level_name(d->level), log_quote(d->file), d->line);
    if (d->object && *d->object) {
        buf_printf(&fields, " object=%s", log_quote(d->object));
    }
    if (d->field && *d->field) {
        buf_printf(&fields, " field=%s", log_quote(d->field));
    }
    buf_printf(&fields, " error=%s", log_quote(d->message));
    if (!fields.failed) {
        report(fs, d->level == DIAGNOSTIC_LOST ? SOURCE_ERROR : SOURCE_WARN, "state-finding", fields.data);
    }
}

// Findings of duplicates come back with every scan: the same list is reported once.
static bool findings_are_new(struct file_source *fs, const struct diagnostics *diagnostics)
{
    BUF_CLEANUP struct buf all = {0};
    for (size_t i = 0; i < diagnostics->list.n; i++) {
        diagnostic_format(&diagnostics->list.v[i], &all);
        buf_putc(&all, '\n');
    }
    if (all.failed || all.len == 0) {
        fs->findings[0] = '\0';
        return all.failed;
    }
    char name[DIGEST_NAME_SIZE];
    digest_name(all.data, all.len, name);
    bool fresh = strcmp(name, fs->findings) != 0;
    memcpy(fs->findings, name, sizeof(name));
    return fresh;
}

static void report_findings(struct file_source *fs, const struct files_report *got)
{
    const struct diagnostics *diagnostics = &got->diagnostics;
    if (!findings_are_new(fs, diagnostics)) {
        return;
    }
    size_t total = diagnostics->counts[DIAGNOSTIC_LOST] + diagnostics->counts[DIAGNOSTIC_PARTIAL];
    if (total) {
        fs->owner.count("parse_errors", "files", (unsigned)total, fs->owner.arg);
    }
    size_t logged = diagnostics->list.n < FINDINGS_LOGGED ? diagnostics->list.n : FINDINGS_LOGGED;
    for (size_t i = 0; i < logged; i++) {
        report_finding(fs, &diagnostics->list.v[i]);
    }
    size_t all = total + diagnostics->counts[DIAGNOSTIC_WARNING];
    if (all > logged) {
        char fields[64];
        (void)snprintf(fields, sizeof(fields), "count=%zu", all - logged);
        report(fs, SOURCE_WARN, "state-findings-not-shown", fields);
    }
}

// A reason that names the place says more than a count, and stays while nothing new is known.
static void say_incomplete(struct file_source *fs, const struct files_report *got)
{
    for (size_t i = 0; i < got->diagnostics.list.n && !fs->missing_said; i++) {
        if (got->diagnostics.list.v[i].level == DIAGNOSTIC_LOST) {
            BUF_CLEANUP struct buf text = {.max = 4096};
            diagnostic_format(&got->diagnostics.list.v[i], &text);
            not_synced(fs, text.failed ? "a file cannot be read" : text.data);
            return;
        }
    }
    if (!fs->why[0]) {
        not_synced(fs, "a path or a file cannot be read");
    }
}

static void say_unwatched(struct file_source *fs, const char *path)
{
    if (!fs->unwatched_said) {
        char why[96];
        char fields[1400];
        (void)snprintf(fields, sizeof(fields), "path=%s error=%s effect=\"looking every second instead\"",
                       log_quote(path), log_quote(strerror_r(errno, why, sizeof(why))));
        report(fs, SOURCE_WARN, "state-path-not-watched", fields);
        fs->unwatched_said = true;
    }
}

// Returns whether a directory is watched now that was not before: something in it may have changed unseen.
static bool watch_directory(struct file_source *fs, const char *path, bool *ret_poll)
{
    int wd = inotify_add_watch(fs->fd, path, WATCH_MASK);
    if (wd < 0) {
        // A directory that went away meanwhile shows in the next scan.
        *ret_poll = true;
        if (errno != ENOENT && errno != ENOTDIR) {
            say_unwatched(fs, path);
        }
        return false;
    }
    for (size_t i = 0; i < fs->watches.n; i++) {
        struct watch *watch = &fs->watches.v[i];
        if (watch->wd == wd) {
            watch->wanted = true;
            return false;
        }
    }
    char *copy = strdup(path);
    if (!copy || vec_push(&fs->watches, (struct watch){.wd = wd, .path = copy, .wanted = true}) < 0) {
        free(copy);
        (void)inotify_rm_watch(fs->fd, wd);
        *ret_poll = true;
        return false;
    }
    return true;
}

static bool update_watches(struct file_source *fs, bool *ret_poll)
{
    for (size_t i = 0; i < fs->watches.n; i++) {
        fs->watches.v[i].wanted = false;
    }
    bool fresh = false;
    size_t n;
    const char *const *directories = files_directories(fs->files, &n);
    for (size_t i = 0; i < n; i++) {
        fresh = watch_directory(fs, directories[i], ret_poll) || fresh;
    }
    for (size_t i = fs->watches.n; i-- > 0;) {
        if (!fs->watches.v[i].wanted) {
            (void)inotify_rm_watch(fs->fd, fs->watches.v[i].wd);
            unwatch(fs, i);
        }
    }
    return fresh;
}

static void use_report(struct file_source *fs, const struct files_report *got)
{
    report_findings(fs, got);
    if (got->files_read || got->changed) {
        char fields[160];
        (void)snprintf(fields, sizeof(fields), "files=%zu read=%zu failing=%zu objects=%zu ignored=%zu", got->files,
                       got->files_read, got->files_failing, got->objects, got->ignored);
        report(fs, SOURCE_INFO, "state-read", fields);
        fs->owner.count("state_reads", "files", 1, fs->owner.arg);
    }
    if (got->changed) {
        fs->owner.changed(fs->owner.arg);
    }
    if (fs->synced) {
        return;
    }
    if (got->missing || got->files_failing) {
        fs->settling = false;
        say_incomplete(fs, got);
    } else if (fs->why[0] && (!fs->settling || got->changed)) {
        // Somebody mends it, perhaps file by file: the next look decides.
        fs->settling = true;
    } else {
        fs->synced = true;
        fs->owner.synced(true, "", fs->owner.arg);
    }
}

// Returns whether to look at the files at all.
static bool paths_are_there(struct file_source *fs, bool *ret_poll)
{
    const char *missing = missing_path(fs);
    if (missing) {
        say_missing(fs, missing);
        fs->back_ms = 0;
        *ret_poll = true;
        // Before the first complete read, the look is for what there is to watch.
        return !fs->synced;
    }
    if (!fs->missing_said) {
        return true;
    }
    fs->back_ms = fs->back_ms ? fs->back_ms : num_now_ms();
    if (fs->synced && num_now_ms() - fs->back_ms < SETTLE_MS) {
        return false;  // it may still be filled
    }
    fs->missing_said = false;
    fs->back_ms = 0;
    report(fs, SOURCE_INFO, "state-path-back", "");
    return true;
}

static void scan(struct file_source *fs)
{
    fs->burst = false;
    bool poll = false;
    if (!paths_are_there(fs, &poll)) {
        loop_arm(fs->scan, poll ? POLL_MS : SETTLE_MS);
        return;
    }
    struct files_report got = {0};
    struct err err = {0};
    if (files_scan(fs->files, false, fs->state, &got, &err) < 0) {
        char text[1024];
        char fields[1200];
        (void)snprintf(fields, sizeof(fields), "error=%s", log_quote(err_text(&err, text, sizeof(text))));
        report(fs, SOURCE_ERROR, "state-scan-failed", fields);
        not_synced(fs, text);
        poll = true;
    } else {
        use_report(fs, &got);
        poll = poll || got.missing;
    }
    bool again = update_watches(fs, &poll);
    files_report_free(&got);
    if (fs->settling && !fs->synced) {
        loop_arm(fs->scan, SETTLE_MS);
    } else if (again) {
        loop_arm(fs->scan, 0);
    } else if (poll && !fs->burst) {
        loop_arm(fs->scan, POLL_MS);
    }
}

static void on_scan(void *arg)
{
    struct file_source *fs = arg;
    if (map_size(fs->writing) && fs->burst && num_now_ms() - fs->burst_start_ms < WRITING_MS) {
        loop_arm(fs->scan, WRITING_MS - (num_now_ms() - fs->burst_start_ms));
        return;
    }
    scan(fs);
}

static bool is_state_name(const struct file_source *fs, const char *name)
{
    static const char *const endings[] = {".yaml", ".yml", ".json"};
    size_t len = strlen(name);
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
        size_t ending = strlen(endings[i]);
        if (len > ending && strcmp(name + len - ending, endings[i]) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < fs->n_paths; i++) {
        const char *slash = strrchr(fs->paths[i], '/');
        if (strcmp(slash ? slash + 1 : fs->paths[i], name) == 0) {
            return true;
        }
    }
    return false;
}

// Keeps the list of files that are being written. Returns whether the event is one to look after.
static bool track_writer(struct file_source *fs, const struct inotify_event *event, const char *name)
{
    char key[320];
    (void)snprintf(key, sizeof(key), "%d/%s", event->wd, name);
    if (event->mask & IN_MODIFY) {
        // Only of files that are ours to read: a log file beside them is written for ever.
        return is_state_name(fs, name) && map_put_str(fs->writing, key, fs, NULL) == 0;
    }
    if (event->mask & (IN_CLOSE_WRITE | IN_MOVED_FROM | IN_DELETE)) {
        (void)map_del_str(fs->writing, key);
    }
    return true;
}

static void forget_writers(struct file_source *fs)
{
    while (map_first(fs->writing)) {
        size_t len;
        char key[320];
        const void *first = map_entry_key(map_first(fs->writing), &len);
        memcpy(key, first, len < sizeof(key) ? len : sizeof(key));
        (void)map_del(fs->writing, key, len);
    }
}

// Returns whether to look.
static bool take_event(struct file_source *fs, const struct inotify_event *event)
{
    if (event->mask & IN_Q_OVERFLOW) {
        forget_writers(fs);
        return true;
    }
    if (event->mask & IN_IGNORED) {
        for (size_t i = 0; i < fs->watches.n; i++) {
            if (fs->watches.v[i].wd == event->wd) {
                unwatch(fs, i);
                break;
            }
        }
        return true;
    }
    const char *name = event->len ? event->name : "";
    // Editors' swap files; "..data" is how Kubernetes swaps a mounted directory.
    bool hidden = name[0] == '.' && name[1] != '.';
    return !hidden && track_writer(fs, event, name);
}

static void on_readable(int fd, UNUSED unsigned events, void *arg)
{
    struct file_source *fs = arg;
    bool look = false;
    for (;;) {
        char buffer[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
        ssize_t n = read(fd, buffer, sizeof(buffer));
        if (n <= 0) {
            break;
        }
        for (const char *p = buffer; p < buffer + n;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)p;
            look = take_event(fs, event) || look;
            p += sizeof(*event) + event->len;
        }
    }
    if (!look) {
        return;
    }
    uint64_t now = num_now_ms();
    if (!fs->burst) {
        fs->burst = true;
        fs->burst_start_ms = now;
        loop_arm(fs->scan, QUIET_MS);
    } else if (now - fs->burst_start_ms < BURST_MS || map_size(fs->writing) == 0) {
        // A writer that held the scan up may have closed its file just now.
        loop_arm(fs->scan, now - fs->burst_start_ms < BURST_MS ? QUIET_MS : 0);
    }
}

static void free_half(struct file_source *fs)
{
    file_source_free(&fs->base);
}
CLEANUP_DEFINE(struct file_source, free_half);

int file_source_new(struct loop *loop, const char *const *paths, size_t n, struct state *state,
                    const struct source_owner *owner, struct source **ret, struct err *err)
{
    CLEANUP(free_half) struct file_source *fs = calloc(1, sizeof(*fs));
    if (!fs) {
        return err_oom(err);
    }
    *fs = (struct file_source){
        .base = {.ops = &file_source_ops}, .loop = loop, .state = state, .owner = *owner, .fd = -1, .n_paths = n};
    fs->writing = map_new();
    fs->paths = calloc(n ? n : 1, sizeof(*fs->paths));
    if (!fs->writing || !fs->paths) {
        return err_oom(err);
    }
    memcpy(fs->paths, paths, n * sizeof(*paths));
    if (files_new(paths, n, &fs->files, err) < 0) {
        return -1;
    }
    fs->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fs->fd < 0) {
        return err_errno(err, "cannot watch files");
    }
    if (loop_add_fd(loop, fs->fd, LOOP_READ, on_readable, fs, &fs->readable, err) < 0 ||
        loop_add_timer(loop, on_scan, fs, &fs->scan, err) < 0) {
        return -1;
    }
    loop_arm(fs->scan, 0);
    *ret = &TAKE(fs)->base;
    return 0;
}
