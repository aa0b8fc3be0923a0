/*
 * Fuzzes UTF-8 validation against a decoder that works on code points, not on byte ranges.
 * Input: two bytes that say where to cut and what to put around the text, then the text.
 */
#include <stdbool.h>

#include "flin_fuzz.h"
#include "flin_utf8.h"

/* Whether `data`, of 1 to 4 bytes, is one encoded scalar value. */
static bool is_scalar(const uint8_t *data, size_t size) {
    static const uint32_t SMALLEST[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t width = data[0] < 0x80             ? 1
                   : (data[0] & 0xE0) == 0xC0 ? 2
                   : (data[0] & 0xF0) == 0xE0 ? 3
                   : (data[0] & 0xF8) == 0xF0 ? 4
                                              : 0;
    if (width == 0 || width != size) return false;
    if (width == 1) return true;
    uint32_t value = data[0] & (0x7Fu >> width);
    for (size_t i = 1; i < width; i++) {
        if ((data[i] & 0xC0) != 0x80) return false;
        value = value << 6 | (data[i] & 0x3Fu);
    }
    if (value < SMALLEST[width] || value > 0x10FFFF) return false;
    return value < 0xD800 || value > 0xDFFF;
}

/* Whether some continuation bytes would complete `data`: tries the extremes, which suffice as the
 * values that are allowed after a given start are neighbours. */
static bool may_continue(const uint8_t *data, size_t size) {
    static const uint8_t EXTREMES[] = {0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF};
    for (size_t width = size + 1; width <= 4; width++) {
        for (size_t i = 0; i < sizeof EXTREMES; i++) {
            uint8_t bytes[4] = {0x80, 0x80, 0x80, 0x80};
            memcpy(bytes, data, size);
            bytes[size] = EXTREMES[i];
            if (is_scalar(bytes, width)) return true;
        }
    }
    return false;
}

/* Bytes that can stand in a valid text, and whether it may end there. */
static size_t reference(const uint8_t *data, size_t size, bool *complete) {
    size_t start = 0;
    for (size_t i = 0; i < size; i++) {
        size_t length = i - start + 1;
        if (is_scalar(data + start, length)) {
            start = i + 1;
        } else if (length == 4 || !may_continue(data + start, length)) {
            return i;
        }
    }
    *complete = start == size;
    return size;
}

static void check(const uint8_t *text, size_t size, size_t cut) {
    bool complete = false;
    size_t good = reference(text, size, &complete);
    FUZZ_CHECK(flin_utf8_is_valid(text, size) == (good == size && complete));

    flin_utf8_state state = FLIN_UTF8_START;
    uint8_t *first = fuzz_copy(text, cut);
    uint8_t *second = fuzz_copy(text + cut, size - cut);
    bool fed = flin_utf8_feed(&state, first, cut);
    FUZZ_CHECK(fed == (good >= cut));
    if (fed) {
        fed = flin_utf8_feed(&state, second, size - cut);
        FUZZ_CHECK(fed == (good == size));
        FUZZ_CHECK(!fed || flin_utf8_is_complete(state) == complete);
    }
    free(first);
    free(second);

    state = FLIN_UTF8_START;
    for (size_t i = 0; i < size; i++) {
        fed = flin_utf8_feed(&state, text + i, 1);
        FUZZ_CHECK(fed == (i < good));
        if (!fed) return;
    }
    FUZZ_CHECK(flin_utf8_is_complete(state) == complete);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    size_t number = (size_t)(data[0] | data[1] << 8);
    uint8_t *text = fuzz_copy(data + 2, size - 2);
    size -= 2;
    size_t cut = number % (size + 1);
    /* Alone, or deep inside a longer text: behind ASCII or three-byte code points, and with more
     * of them after it or not, so that what short texts show is also tried on the vector paths. */
    if (size == 0 || size > 64 || number % 4 == 0) {
        check(text, size, cut);
    } else {
        uint8_t longer[200];
        for (size_t i = 0; i < sizeof longer; i++) {
            longer[i] = (uint8_t)((number & 1u) ? "\xE2\x82\xAC" : "abc")[i % 3];
        }
        size_t place = number % 129;
        place -= place % 3;
        memcpy(longer + place, text, size);
        size_t longer_size = (number & 2u) ? place + size : sizeof longer;
        uint8_t *copy = fuzz_copy(longer, longer_size);
        check(copy, longer_size, number % (longer_size + 1));
        free(copy);
    }
    free(text);
    return 0;
}
