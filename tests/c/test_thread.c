/*
 * What may be shared between threads: nothing but constants and what is chosen once (masking,
 * UTF-8). Every thread may have a hub of its own, and one hub may change threads under a lock, as
 * it does under that of an interpreter. `make tsan` proves it.
 */
#include <pthread.h>

#include "flin_block.h"
#include "flin_mask.h"
#include "flin_test_model.h"

#define THREADS 4u
#define PROGRAMS 60u
#define PROGRAM_SIZE 300u
#define HANDOVERS 200u

static void *run_programs(void *argument) {
    uint64_t seed = 100 + *(const unsigned *)argument;
    uint8_t data[64] = {0};
    /* The first calls of several threads at once: who chooses the implementation? */
    (void)flin_mask_apply(data, sizeof data, 0x01020304u, 0);
    FLIN_CHECK(flin_utf8_is_valid((const uint8_t *)"\xc3\xa9", 2));
    for (unsigned i = 0; i < PROGRAMS; i++) {
        uint8_t program[PROGRAM_SIZE];
        for (size_t at = 0; at < sizeof program; at++) {
            program[at] = (uint8_t)flin_test_random(&seed);
        }
        program[0] = i % 2;
        model_run(program, sizeof program);
    }
    return NULL;
}

static void every_thread_may_have_a_hub(void) {
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        FLIN_CHECK_EQ(pthread_create(&threads[i], NULL, run_programs, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) FLIN_CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

static test_hub shared;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* A turn of the shared hub that sends a block made in one thread and perhaps freed in another. */
static void *take_turns(void *argument) {
    static char text[FLIN_BLOCK_MAP_MIN + 1];
    (void)argument;
    for (unsigned i = 0; i < HANDOVERS; i++) {
        FLIN_CHECK_EQ(pthread_mutex_lock(&lock), 0);
        memset(text, 'x', sizeof text - 1);
        test_send(&shared, &shared.peers[0], i % 8 == 0 ? text : "small");
        if (i % 3 == 0) test_settle(&shared);
        if (i % 16 == 0) flin_hub_sweep(&shared.hub);
        FLIN_CHECK_EQ(pthread_mutex_unlock(&lock), 0);
    }
    return NULL;
}

static void a_hub_may_change_threads_under_a_lock(void) {
    pthread_t threads[THREADS];
    test_hub_start(&shared);
    FLIN_CHECK(test_open(&shared, &shared.endpoint, false) == &shared.peers[0]);
    for (unsigned i = 0; i < THREADS; i++) {
        FLIN_CHECK_EQ(pthread_create(&threads[i], NULL, take_turns, NULL), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) FLIN_CHECK_EQ(pthread_join(threads[i], NULL), 0);
    test_settle(&shared);
    FLIN_CHECK_EQ(flin_conn_messages_out(&shared.hub, shared.peers[0].conn), THREADS * HANDOVERS);
    test_hub_end(&shared);
}

int main(void) {
    FLIN_RUN(every_thread_may_have_a_hub);
    FLIN_RUN(a_hub_may_change_threads_under_a_lock);
    return flin_test_end();
}
