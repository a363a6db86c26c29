#include "CZip.h"

#include <stdlib.h>
#include <zlib.h>

int czip_gunzip(const uint8_t *bytes, size_t length, size_t limit, uint8_t **out, size_t *count) {
    z_stream stream = {0};
    size_t capacity = length < (limit >> 2) ? length * 4 + 4096 : limit;
    size_t taken = 0;
    uint8_t *memory = malloc(capacity ? capacity : 1);
    int result = memory ? CZIP_DONE : CZIP_NO_MEMORY;
    *out = NULL;
    *count = 0;
    // 16: a gzip header, not zlib's own.
    if (result == CZIP_DONE && inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) result = CZIP_NO_MEMORY;
    if (result != CZIP_DONE) {
        free(memory);
        return result;
    }
    for (;;) {
        // avail_in and avail_out are 32 bits wide.
        if (stream.avail_in == 0 && taken < length) {
            size_t part = length - taken < (1u << 30) ? length - taken : (1u << 30);
            stream.next_in = (Bytef *)bytes + taken;
            stream.avail_in = (uInt)part;
            taken += part;
        }
        if (*count == capacity) {
            if (capacity >= limit) {
                result = CZIP_TOO_LARGE;
                break;
            }
            size_t larger = capacity < limit / 2 ? capacity * 2 : limit;
            uint8_t *grown = realloc(memory, larger);
            if (!grown) {
                result = CZIP_NO_MEMORY;
                break;
            }
            memory = grown;
            capacity = larger;
        }
        size_t room = capacity - *count < (1u << 30) ? capacity - *count : (1u << 30);
        stream.next_out = memory + *count;
        stream.avail_out = (uInt)room;
        int code = inflate(&stream, Z_NO_FLUSH);
        *count += room - stream.avail_out;
        if (code == Z_STREAM_END) {
            if (stream.avail_in == 0 && taken == length) break;
            // Another member follows.
            if (inflateReset(&stream) != Z_OK) {
                result = CZIP_DAMAGED;
                break;
            }
        } else if (code != Z_OK && !(code == Z_BUF_ERROR && *count == capacity)) {
            result = CZIP_DAMAGED;
            break;
        }
    }
    inflateEnd(&stream);
    if (result == CZIP_DONE) {
        *out = memory;
    } else {
        free(memory);
        *count = 0;
    }
    return result;
}
