// SPDX-License-Identifier: Apache-2.0
#include "dataplane/live_kernel.h"

#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

// Whether word number `at` of the line is the word.
static bool is_word(const char *line, unsigned at, const char *word)
{
    static const char blanks[] = " \t\n";
    line += strspn(line, blanks);
    for (unsigned i = 0; i < at; i++) {
        line += strcspn(line, blanks);
        line += strspn(line, blanks);
    }
    size_t len = strcspn(line, blanks);
    return len == strlen(word) && memcmp(line, word, len) == 0;
}

// Whether the file has a line with that word at that place. -1: it cannot be read.
static int has_word(const char *path, unsigned at, const char *word)
{
    FILE *file = fopen(path, "re");
    CLEANUP(free) char *line = NULL;
    size_t size = 0;
    bool found = false;
    if (!file) {
        return -1;
    }
    while (!found && getline(&line, &size, file) > 0) {
        found = is_word(line, at, word);
    }
    (void)fclose(file);
    return found;
}

static bool exists(const char *root, const char *path, const char *name)
{
    char text[PATH_MAX];
    int n = snprintf(text, sizeof(text), "%s%s%s", root, path, name);
    return n > 0 && (size_t)n < sizeof(text) && access(text, F_OK) == 0;
}

bool live_kernel_has(const char *root, const char *module, const char *symbol)
{
    char modules[PATH_MAX];
    char symbols[PATH_MAX];
    (void)snprintf(modules, sizeof(modules), "%s/proc/modules", root);
    (void)snprintf(symbols, sizeof(symbols), "%s/proc/kallsyms", root);
    // A kernel that loads no modules can be asked at no cost.
    int listed = has_word(modules, 0, module);
    if (listed != 0 || exists(root, "/sys/module/", module)) {
        return true;
    }
    return has_word(symbols, 2, symbol) != 0;
}

int live_kernel_allows(struct err *err)
{
    static const struct {
        unsigned number;
        const char *name;
    } needed[] = {{CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {CAP_NET_RAW, "CAP_NET_RAW"}};
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    if (syscall(SYS_capget, &header, data) < 0) {
        return err_errno(err, "ask for the rights of this process");
    }
    for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
        if (!(data[CAP_TO_INDEX(needed[i].number)].effective & CAP_TO_MASK(needed[i].number))) {
            return err_set(err, ERR_DENIED, EPERM, "read the rules of this kernel: %s is missing (run it as root)",
                           needed[i].name);
        }
    }
    return 0;
}
