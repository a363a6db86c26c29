// Inflating a whole gzip file (RFC 1952, several members allowed) by zlib.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    CZIP_DONE = 0,
    CZIP_DAMAGED = 1,   // not gzip, cut off, or a wrong check sum
    CZIP_TOO_LARGE = 2, // more than `limit` bytes come out
    CZIP_NO_MEMORY = 3,
};

// On CZIP_DONE `*out` has `*count` bytes and is the caller's to free().
int czip_gunzip(const uint8_t *bytes, size_t length, size_t limit, uint8_t **out, size_t *count);
