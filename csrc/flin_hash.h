/**
 * SipHash: keyed hashes for tables that strangers can fill (SipHash-1-3, 64 bits) and for
 * unguessable connection ids (SipHash-2-4, 128 bits). Aumasson and Bernstein, 2012.
 */
#ifndef FLIN_HASH_H
#define FLIN_HASH_H

#include <stddef.h>
#include <stdint.h>

/** A secret key; drawn from the operating system once per hub. */
typedef struct {
    uint64_t k0, k1;
} flin_hash_key;

/** SipHash-1-3 of `size` bytes; `data` may be NULL only when `size` is 0. Thread-safe. */
uint64_t flin_hash_short(const flin_hash_key *key, const void *data, size_t size);

/** SipHash-2-4 with 128 bits of output, as 16 bytes in the reference order. Thread-safe. */
void flin_hash_strong(const flin_hash_key *key, const void *data, size_t size, uint8_t out[16]);

#endif
