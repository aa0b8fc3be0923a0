/**
 * What the fuzz harnesses share. Built by libFuzzer they have no main(); built with FLIN_FUZZ_MAIN
 * they run once over the files named on the command line, which needs no clang.
 */
#ifndef FLIN_FUZZ_H
#define FLIN_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A claim that does not hold is a finding: say which and stop where a sanitizer would. */
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: claim does not hold: %s\n", __FILE__, __LINE__, #condition);   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A heap copy of exactly `size` bytes; free() it. */
static inline uint8_t *fuzz_copy(const uint8_t *data, size_t size) {
    uint8_t *copy = calloc(1, size > 0 ? size : 1);
    FUZZ_CHECK(copy);
    if (size > 0) memcpy(copy, data, size);
    return copy;
}

#ifdef FLIN_FUZZ_MAIN
/* Largest corpus file, bytes. */
#define FUZZ_FILE_MAX (1u << 20)

int main(int count, char **names) {
    static uint8_t data[FUZZ_FILE_MAX];
    for (int i = 1; i < count; i++) {
        FILE *file = fopen(names[i], "rb");
        FUZZ_CHECK(file);
        size_t size = fread(data, 1, sizeof data, file);
        FUZZ_CHECK(fclose(file) == 0);
        uint8_t *copy = fuzz_copy(data, size);
        (void)LLVMFuzzerTestOneInput(copy, size);
        free(copy);
    }
    printf("%d inputs, 0 findings\n", count - 1);
    return 0;
}
#endif

#endif
