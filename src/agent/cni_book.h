// SPDX-License-Identifier: Apache-2.0
//
// What the CNI plugin told of pods that are there: kept in memory and in a folder, a file an attachment, so that a
// restart of the daemon forgets nothing. The folder is "cni" beside the control socket; it is below /run, so it is
// empty after a reboot, as the node is empty of pods. The plugin itself removes a file when it is told to forget and no
// daemon answers.
#pragma once

#include "base/err.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "model/address.h"
#include "model/packet.h"

enum { CNI_ID = 129, CNI_PATH = 4096 };

// An interface of a sandbox, and the pod that it is of.
struct cni_attachment {
    char id[CNI_ID];            // CNI_CONTAINERID
    char ifname[PACKET_IFACE];  // CNI_IFNAME, inside
    char ns[LIMIT_NAME + 1];
    char name[LIMIT_NAME + 1];
    char uid[LIMIT_UID + 1];  // "" when the runtime does not tell
    char port[PACKET_IFACE];  // the end on the host; "" not known
    struct address addresses[LIMIT_POD_ADDRESSES];
    size_t n_addresses;
    uint64_t added_ms;    // CLOCK_REALTIME: of two attachments of one pod, the newer counts
    uint64_t missing_ms;  // CLOCK_MONOTONIC since when the pod is not in the state; 0: it is. Not kept in the file
};

struct cni_book;

// The folder for a control socket at that path.
NODISCARD int cni_book_folder(const char *socket_path, char ret[CNI_PATH], struct err *err);
// "ID@IFNAME.json"; false when one of them is not what CNI allows.
bool cni_book_file(const char *id, const char *ifname, char *ret, size_t size);

// Reads the folder, and makes it when it is missing. What cannot be read is logged, left and counted.
NODISCARD int cni_book_open(const char *folder, struct cni_book **ret, struct err *err);
// The same to look at only: nothing is made or removed, and what is missing holds nothing.
NODISCARD int cni_book_read(const char *folder, struct cni_book **ret, struct err *err);
void cni_book_free(struct cni_book *book);
CLEANUP_DEFINE(struct cni_book, cni_book_free);

// Adds or replaces (copied). It is on the disk when this returns.
NODISCARD int cni_book_add(struct cni_book *book, const struct cni_attachment *attachment, struct err *err);
const struct cni_attachment *cni_book_get(const struct cni_book *book, const char *id, const char *ifname);
// Removes it and its file, which may be gone already, or never have been read. A file that stays is logged, and tried
// again by cni_book_tidy: a restart would believe it.
void cni_book_remove(struct cni_book *book, const char *id, const char *ifname);
// Looks after what the last calls could not do, and at what is there no more. True: an attachment is in the book whose
// file was removed (by the plugin, when nobody answered it); it is copied to ret, and stays until it is removed.
bool cni_book_tidy(struct cni_book *book, struct cni_attachment *ret);
// Files that could not be read and are there still; first (may be NULL): the name of one, valid until the next call.
size_t cni_book_unreadable(const struct cni_book *book, const char **first);
size_t cni_book_count(const struct cni_book *book);

// for (struct map_entry *e = cni_book_first(b); e; e = map_next(e)) with the value a struct cni_attachment *.
struct map_entry *cni_book_first(const struct cni_book *book);
