/**
 * Allocation for the core: malloc and friends, with a switch that lets tests make any one fail.
 * Every caller handles NULL; nothing here aborts.
 */
#ifndef FLIN_MEMORY_H
#define FLIN_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#ifdef NDEBUG
static inline bool flin_memory_must_fail(void) { return false; }
#else
/** Debug builds, per thread: allocations to let through before one fails; negative switches it off. */
extern _Thread_local long flin_memory_countdown;
bool flin_memory_must_fail(void);
#endif

/** malloc(); NULL when there is no memory, and never for another reason. */
static inline void *flin_memory_alloc(size_t size) {
    return flin_memory_must_fail() ? NULL : malloc(size > 0 ? size : 1);
}

/** calloc(1, size). */
static inline void *flin_memory_zalloc(size_t size) {
    return flin_memory_must_fail() ? NULL : calloc(1, size);
}

/** realloc(); on NULL the old block is untouched. */
static inline void *flin_memory_resize(void *block, size_t size) {
    return flin_memory_must_fail() ? NULL : realloc(block, size > 0 ? size : 1);
}

/** free(); NULL is fine. */
static inline void flin_memory_free(void *block) { free(block); }

#endif
