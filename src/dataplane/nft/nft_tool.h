// SPDX-License-Identifier: Apache-2.0
//
// The iptables programs for nf_tables: found at fixed places, run without a shell and with an environment of their own,
// and never waited for longer than NFT_TOOL_MS.
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "model/address.h"

enum { NFT_TOOL_MS = 20000 };  // reference/dataplane.md 1.2: 100k rules are read in 2 s and written in 4 s
enum { NFT_TOOL_PATH = 64 };

enum nft_tool { NFT_TOOL_SAVE, NFT_TOOL_RESTORE };

// The directories that are looked into, in this order.
extern const char *const nft_tool_dirs[2];
// Where the family's program is. ERR_UNSUPPORTED says what to install.
NODISCARD int nft_tool_find(enum family family, enum nft_tool tool, char ret[NFT_TOOL_PATH], struct err *err);
// Whether it runs and is new enough: ERR_UNSUPPORTED says what it is and what is needed.
NODISCARD int nft_tool_check(enum family family, enum nft_tool tool, struct err *err);

// Runs it with the words behind its name (ended by NULL) and the text as its input; what it prints is added to out (may
// be NULL). A failure carries what it complained about: ERR_RETRY when rules changed meanwhile or it took too long,
// ERR_DENIED, ERR_UNSUPPORTED, else ERR_SYSTEM.
NODISCARD int nft_tool_run(const char *path, const char *const *words, const char *text, size_t len, struct buf *out,
                           struct err *err);

// The version in "iptables-nft-save v1.8.9 (nf_tables)" as 10809; 0 when there is none, or when it is of legacy.
unsigned nft_tool_version(const char *text);
