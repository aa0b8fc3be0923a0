/*
 * Fuzzes the hub with programs of tests/c/flin_test_model.h: opens, handlers with effects, held
 * effects, turns in which peers take only some bytes, losses, failing allocations.
 *
 * Built with the sizes of VARIANT=small (csrc/Makefile): a program of a hundred bytes crosses every
 * limit of buffers, batches and segments, and an input costs tens of microseconds.
 *
 * Claims: those of the model, and no fault of memory.
 */
#define PEER_MAX 5u
#define MODEL_PEERS 5u
#define MODEL_EXPECTED_MAX 256u
#define MODEL_EFFECTS_MAX 4u
#define MODEL_LOGS 8u

#include "flin_fuzz.h"
#include "flin_test_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 1024) return 0;
    model_run(data, size);
    FUZZ_CHECK(flin_test_failure_count == 0);
    return 0;
}
