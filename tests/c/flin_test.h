/**
 * The whole test framework of the C core: checks that print and count, tests that are functions.
 *
 * A test program is one main() of FLIN_RUN() lines and `return flin_test_end();`. Memory faults
 * are found by the sanitizers the programs are built with, so buffers are heap blocks of the exact
 * size (flin_test_copy).
 */
#ifndef FLIN_TEST_H
#define FLIN_TEST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int flin_test_failure_count;
static int flin_test_count;

/* A broken loop would print millions of lines: stop after this many. */
#define FLIN_TEST_FAILURES_MAX 20

static inline void flin_test_fail(const char *file, int line, const char *text) {
    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, text);
    if (++flin_test_failure_count >= FLIN_TEST_FAILURES_MAX) {
        fprintf(stderr, "too many failures, giving up\n");
        exit(1);
    }
}

#define FLIN_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) flin_test_fail(__FILE__, __LINE__, #condition);                          \
    } while (0)

/* Like FLIN_CHECK for integers, printing both. */
#define FLIN_CHECK_EQ(actual, expected)                                                            \
    do {                                                                                           \
        long long flin_actual = (long long)(actual);                                               \
        long long flin_expected = (long long)(expected);                                           \
        if (flin_actual != flin_expected) {                                                        \
            char flin_text[256];                                                                   \
            (void)snprintf(flin_text, sizeof flin_text, "%s == %s: got %lld, expected %lld",       \
                           #actual, #expected, flin_actual, flin_expected);                        \
            flin_test_fail(__FILE__, __LINE__, flin_text);                                         \
        }                                                                                          \
    } while (0)

#define FLIN_RUN(test)                                                                             \
    do {                                                                                           \
        flin_test_count++;                                                                         \
        test();                                                                                    \
    } while (0)

/* Exit status of the program; prints one line that a wrapper can look for. */
static inline int flin_test_end(void) {
    printf("%d tests, %d failures\n", flin_test_count, flin_test_failure_count);
    return flin_test_failure_count == 0 ? 0 : 1;
}

/* A heap copy of exactly `size` bytes (at least one byte is allocated); free() it. */
static inline uint8_t *flin_test_copy(const void *data, size_t size) {
    uint8_t *copy = calloc(1, size > 0 ? size : 1);
    if (!copy) abort();
    if (size > 0) memcpy(copy, data, size);
    return copy;
}

/* Deterministic noise: the same bytes in every run (splitmix64). */
static inline uint64_t flin_test_random(uint64_t *seed) {
    uint64_t value = (*seed += UINT64_C(0x9E3779B97F4A7C15));
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31);
}

#endif
