/* Random programs of joins, sends, broadcasts, stalls and ends against a naive model. */
#include "flin_test_model.h"

#define PROGRAMS 1500u
#define PROGRAM_SIZE 600u

static void run_many(uint64_t seed, bool may_fail) {
    for (unsigned i = 0; i < PROGRAMS; i++) {
        uint8_t program[PROGRAM_SIZE];
        int failures = flin_test_failure_count;
        for (size_t at = 0; at < sizeof program; at++)
            program[at] = (uint8_t)flin_test_random(&seed);
        program[0] = may_fail;
        model_run(program, 20 + flin_test_random(&seed) % (sizeof program - 20));
        if (flin_test_failure_count == failures) continue;
        fprintf(stderr, "in program %u\n", i);
        return;
    }
}

static void every_peer_gets_its_messages_in_order(void) { run_many(1, false); }

static void without_memory_nobody_misses_a_message_unknowingly(void) { run_many(2, true); }

int main(void) {
    FLIN_RUN(every_peer_gets_its_messages_in_order);
    FLIN_RUN(without_memory_nobody_misses_a_message_unknowingly);
    return flin_test_end();
}
