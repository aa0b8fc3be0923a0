#include "flin_reply.h"

#include <string.h>

/* Decimal digits of the largest size_t. */
#define DIGITS_MAX 20u
/* Ends the last field and the head; bytes, not a text. */
static const uint8_t HEAD_END[4] = {'\r', '\n', '\r', '\n'};

unsigned flin_reply_repeats(const uint8_t *data, size_t size, const uint8_t *known,
                            size_t known_size, unsigned count_max) {
    unsigned count = 0;
    while (count < count_max && size >= known_size && memcmp(data, known, known_size) == 0) {
        data += known_size;
        size -= known_size;
        count++;
    }
    return count;
}

size_t flin_reply_write(uint8_t *out, size_t room, const uint8_t *start, size_t start_size,
                        const uint8_t *body, size_t body_size) {
    uint8_t length[DIGITS_MAX + sizeof HEAD_END];
    size_t first = DIGITS_MAX, rest = body_size, length_size;
    memcpy(length + DIGITS_MAX, HEAD_END, sizeof HEAD_END);
    do {
        length[--first] = (uint8_t)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    length_size = sizeof length - first;
    /* In this order no sum can overflow. */
    if (room < start_size || room - start_size < length_size) return 0;
    if (room - start_size - length_size < body_size) return 0;
    if (start_size > 0) memcpy(out, start, start_size);
    memcpy(out + start_size, length + first, length_size);
    if (body_size > 0) memcpy(out + start_size + length_size, body, body_size);
    return start_size + length_size + body_size;
}
