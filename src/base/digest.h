// SPDX-License-Identifier: Apache-2.0
//
// SHA-256 (FIPS 180-4) and the short names made from it. Names of chains and sets come from text that a tenant writes
// (labels, selectors), so a hash without collision resistance would let one tenant choose another's name.
#pragma once

#include <stddef.h>
#include <stdint.h>

void digest_sha256(const void *data, size_t len, uint8_t ret[32]);
// The first 80 bits as 16 characters of base32 (RFC 4648, upper case, no padding) and a NUL.
enum { DIGEST_NAME_SIZE = 17 };
void digest_name(const void *data, size_t len, char ret[DIGEST_NAME_SIZE]);
