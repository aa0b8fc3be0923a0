#include "flin_memory.h"

#ifndef NDEBUG
_Thread_local long flin_memory_countdown = -1;

bool flin_memory_must_fail(void) {
    if (flin_memory_countdown < 0) return false;
    if (flin_memory_countdown > 0) {
        flin_memory_countdown--;
        return false;
    }
    flin_memory_countdown = -1;
    return true;
}
#else
/* ISO C forbids an empty translation unit. */
typedef int flin_memory_unused;
#endif
