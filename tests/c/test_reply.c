/* Finding known requests and writing their answers. */
#include "flin_reply.h"

#include <stdio.h>
#include <string.h>

#include "flin_test.h"

static void only_whole_requests_in_a_row_are_counted(void) {
    static const char KNOWN[] = "GET /a\r\n\r\n";
    const size_t known_size = sizeof KNOWN - 1;
    uint8_t row[64];
    for (unsigned i = 0; i < 5; i++) memcpy(row + i * known_size, KNOWN, known_size);
    for (size_t size = 0; size <= 5 * known_size; size++) {
        uint8_t *copy = malloc(size > 0 ? size : 1); /* the sanitizer sees what is read behind it */
        memcpy(copy, row, size);
        for (unsigned most = 0; most <= 6; most++) {
            unsigned whole = (unsigned)(size / known_size);
            FLIN_CHECK_EQ(flin_reply_repeats(copy, size, (const uint8_t *)KNOWN, known_size, most),
                          whole < most ? whole : most);
        }
        for (size_t at = 0; at < size; at++) {
            copy[at] ^= 0x20;
            FLIN_CHECK_EQ(flin_reply_repeats(copy, size, (const uint8_t *)KNOWN, known_size, 9),
                          at / known_size < size / known_size ? at / known_size
                                                              : size / known_size);
            copy[at] ^= 0x20;
        }
        free(copy);
    }
    FLIN_CHECK_EQ(flin_reply_repeats(NULL, 0, (const uint8_t *)KNOWN, known_size, 9), 0);
}

/* An answer written into exactly enough room, and refused by one byte less. */
static void check_answer(const char *start, const uint8_t *body, size_t body_size) {
    char expected[64];
    size_t start_size = strlen(start);
    size_t head_size =
        (size_t)snprintf(expected, sizeof expected, "%s%zu\r\n\r\n", start, body_size);
    size_t size = head_size + body_size;
    uint8_t *out = malloc(size);
    FLIN_CHECK_EQ(flin_reply_write(out, size, (const uint8_t *)start, start_size, body, body_size),
                  size);
    FLIN_CHECK(memcmp(out, expected, head_size) == 0);
    FLIN_CHECK(body_size == 0 || memcmp(out + head_size, body, body_size) == 0);
    free(out);
    out = malloc(size - 1);
    memset(out, 7, size - 1);
    FLIN_CHECK_EQ(
        flin_reply_write(out, size - 1, (const uint8_t *)start, start_size, body, body_size), 0);
    for (size_t i = 0; i + 1 < size; i++) FLIN_CHECK_EQ(out[i], 7);
    FLIN_CHECK_EQ(flin_reply_write(out, 0, (const uint8_t *)start, start_size, body, body_size), 0);
    free(out);
}

static void answers_fit_exactly_or_are_not_written(void) {
    static const size_t SIZES[] = {0, 1, 9, 10, 11, 99, 100, 4095, 65535, 1000000};
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        uint8_t *body = malloc(SIZES[i] > 0 ? SIZES[i] : 1);
        memset(body, 'b', SIZES[i]);
        check_answer("HTTP/1.1 200 OK\r\nContent-Length: ", body, SIZES[i]);
        check_answer("", body, SIZES[i]);
        free(body);
    }
    check_answer("a: ", NULL, 0);
}

static void no_size_overflows(void) {
    /* Nothing of these sizes fits, so nothing is read; volatile hides them from the compiler. */
    static const volatile size_t HUGE_SIZES[] = {SIZE_MAX, SIZE_MAX - 3, SIZE_MAX - 23};
    uint8_t out[64];
    const uint8_t byte = 0;
    for (unsigned i = 0; i < 3; i++) {
        size_t huge = HUGE_SIZES[i];
        FLIN_CHECK_EQ(flin_reply_write(out, sizeof out, &byte, 0, &byte, huge), 0);
        FLIN_CHECK_EQ(flin_reply_write(out, sizeof out, &byte, huge, &byte, 0), 0);
        FLIN_CHECK_EQ(flin_reply_write(out, sizeof out, &byte, huge, &byte, huge), 0);
    }
}

int main(void) {
    FLIN_RUN(only_whole_requests_in_a_row_are_counted);
    FLIN_RUN(answers_fit_exactly_or_are_not_written);
    FLIN_RUN(no_size_overflows);
    return flin_test_end();
}
