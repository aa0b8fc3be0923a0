/*
 * Fuzzes the hub with programs of tests/c/flin_test_model.h: opens, handlers with effects, held
 * effects, turns in which peers take only some bytes, losses, failing allocations.
 *
 * Claims: those of the model, and no fault of memory.
 */
#include "flin_fuzz.h"
#include "flin_test_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 4096) return 0;
    model_run(data, size);
    FUZZ_CHECK(flin_test_failure_count == 0);
    return 0;
}
