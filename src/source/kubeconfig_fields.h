// SPDX-License-Identifier: Apache-2.0
//
// Fields of a kubeconfig, and errors that say where they stand. No function here puts a value into an error: any may be
// a secret. Private to the files kubeconfig*.c.
#pragma once

#include "base/doc.h"
#include "source/kubeconfig.h"
#include "source/small_file.h"

// A map of a kubeconfig and where it stands.
struct kubeconfig_place {
    const struct doc *map;
    const char *file;
    char path[96];  // "users[2].user"; "" for the top
};

// Completes an error with the file, the line and the name of a field (which may be absent). Returns -1.
int kubeconfig_at(const struct kubeconfig_place *place, const char *key, struct err *err);
// The value of a key; NULL when it is absent or null. ERR_INPUT when it is of another type.
NODISCARD int kubeconfig_child(const struct kubeconfig_place *place, const char *key, enum doc_type type,
                               const struct doc **ret, struct err *err);
// NULL when it is absent, null or empty.
NODISCARD int kubeconfig_string(const struct kubeconfig_place *place, const char *key, const char **ret,
                                struct err *err);
// A copy of it, into *ret; *ret stays as it is when there is nothing.
NODISCARD int kubeconfig_copy(const struct kubeconfig_place *place, const char *key, char **ret, struct err *err);
NODISCARD int kubeconfig_bool(const struct kubeconfig_place *place, const char *key, bool *ret, struct err *err);
// A path, relative to the directory of the kubeconfig. The caller frees it.
NODISCARD int kubeconfig_resolve(const struct kubeconfig_place *place, const char *path, char **ret, struct err *err);
// The name of a file that read accepts.
NODISCARD int kubeconfig_file(const struct kubeconfig_place *place, const char *key, small_file_fn *read, char **ret,
                              struct err *err);
// A PEM in base64 in the kubeconfig itself, else the name of a file that holds one.
NODISCARD int kubeconfig_pem(const struct kubeconfig_place *place, const char *data_key, const char *file_key,
                             char **ret_pem, char **ret_file, struct err *err);

// ---- kubeconfig_cluster.c, kubeconfig_user.c, kubeconfig_exec.c: what an entry says, into config.
NODISCARD int kubeconfig_cluster(const struct kubeconfig_place *place, struct api_config *config, struct err *err);
NODISCARD int kubeconfig_user(const struct kubeconfig_place *place, struct api_config *config, struct err *err);
// users[].user.exec; *ret stays as it is when there is none.
NODISCARD int kubeconfig_exec(const struct kubeconfig_place *user, struct api_exec **ret, struct err *err);
void api_exec_free(struct api_exec *exec);
CLEANUP_DEFINE(struct api_exec, api_exec_free);
