/*
 * Fuzzes known requests and their answers. Input: one byte that says how long the request is, one
 * how much room an answer has, one how long its start is, then the request and what was received.
 */
#include "flin_fuzz.h"
#include "flin_reply.h"

enum { HEAD = 3, COUNT_MAX = 5, DIGITS_ROOM = 32 };

/** The same, one comparison at a time and by another way. */
static unsigned repeats(const uint8_t *data, size_t size, const uint8_t *known, size_t known_size) {
    unsigned count = 0;
    for (size_t at = 0; count < COUNT_MAX; at += known_size) {
        for (size_t i = 0; i < known_size; i++) {
            if (at + i >= size || data[at + i] != known[i]) return count;
        }
        count++;
    }
    return count;
}

static void check_answer(const uint8_t *start, size_t start_size, const uint8_t *body,
                         size_t body_size, size_t room) {
    char length[DIGITS_ROOM];
    size_t length_size = (size_t)snprintf(length, sizeof length, "%zu\r\n\r\n", body_size);
    size_t wanted = start_size + length_size + body_size;
    uint8_t *out = calloc(1, room > 0 ? room : 1);
    FUZZ_CHECK(out);
    FUZZ_CHECK(flin_reply_write(out, room, start, start_size, body, body_size) ==
               (room >= wanted ? wanted : 0));
    if (room >= wanted) {
        FUZZ_CHECK(start_size == 0 || memcmp(out, start, start_size) == 0);
        FUZZ_CHECK(memcmp(out + start_size, length, length_size) == 0);
        FUZZ_CHECK(body_size == 0 || memcmp(out + start_size + length_size, body, body_size) == 0);
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size <= HEAD) return 0;
    size_t rest = size - HEAD, known_size = 1 + data[0] % rest;
    size_t received_size = rest - known_size, start_size = data[2] % (known_size + 1);
    uint8_t *known = fuzz_copy(data + HEAD, known_size);
    uint8_t *received = fuzz_copy(data + HEAD + known_size, received_size);
    FUZZ_CHECK(flin_reply_repeats(received, received_size, known, known_size, COUNT_MAX) ==
               repeats(received, received_size, known, known_size));
    check_answer(known, start_size, received, received_size, data[1]);
    check_answer(known, start_size, received, received_size,
                 start_size + received_size + data[1] % 8);
    free(received);
    free(known);
    return 0;
}
