/*
 * The heartbeat (flin_close.h): when a ping is due, who is dead and when, and who is not judged.
 */
#include "flin_test_hub.h"

#define TEXT (TEST_FIN | FLIN_OPCODE_TEXT)
#define PONG (TEST_FIN | FLIN_OPCODE_PONG)

/* Small constants, so that a test can sweep each millisecond and meet every boundary. */
#define HEARTBEAT 100u
#define TIMEOUT 350u
#define REMAINING (TIMEOUT - HEARTBEAT)

static test_hub test;

static void start(uint32_t heartbeat_ms, uint32_t timeout_ms) {
    test_hub_start(&test);
    test.hub.options.heartbeat_ms = heartbeat_ms;
    test.hub.options.timeout_ms = timeout_ms;
    test.hub.now_ms = test.hub.swept_ms = 1000000;
}

static void sweep_after(uint32_t ms) {
    test.hub.now_ms += ms;
    flin_hub_sweep(&test.hub);
    test_settle(&test);
}

/* Sweep each millisecond until this peer is pinged; how long that took. */
static uint32_t wait_for_ping(const test_peer *peer) {
    uint64_t before = test.hub.stats.pings;
    uint32_t waited = 0;
    while (test.hub.stats.pings == before && peer->conn != NULL && waited < 10 * TIMEOUT) {
        sweep_after(1);
        waited++;
    }
    return waited;
}

static void answer(test_peer *peer) { test_feed_frame(&test, peer, PONG, NULL, 0); }

/* --- the ping -------------------------------------------------------------------------------- */

static void a_ping_is_due_after_more_than_half_the_heartbeat_and_at_most_all_of_it(void) {
    uint32_t least = UINT32_MAX, most = 0;
    start(HEARTBEAT, TIMEOUT);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    for (unsigned i = 0; i < 2000; i++) {
        uint32_t waited = wait_for_ping(peer);
        if (waited < least) least = waited;
        if (waited > most) most = waited;
        answer(peer);
    }
    FLIN_CHECK_EQ(least, HEARTBEAT / 2 + 1);
    FLIN_CHECK_EQ(most, HEARTBEAT);
    FLIN_CHECK_EQ(test.hub.stats.timeouts, 0);
    test_hub_end(&test);
}

static void one_ping_is_under_way_at_a_time(void) {
    start(HEARTBEAT, TIMEOUT);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    uint32_t waited = wait_for_ping(peer);
    while (++waited < TIMEOUT) sweep_after(1);
    CHECK_RECEIVED(peer, "<9:>|");
    test_hub_end(&test);
}

/* Ten thousand connections that open together and answer together: no sweep pings a fifth. */
static void pings_of_connections_opened_together_spread_over_time(void) {
    enum { COUNT = 10000, SECONDS = 120, SHARE = 5 };
    static const uint8_t pong[6] = {PONG, 0x80, 0, 0, 0, 0};
    test_peer shared = {0};
    uint64_t before = 0, most = 0;
    start(15000, 30000);
    for (unsigned i = 0; i < COUNT; i++) {
        flin_conn *conn = flin_hub_open(&test.hub, &test.endpoint, &shared, false);
        FLIN_CHECK(conn != NULL);
        if (conn != NULL) flin_conn_handler_done(&test.hub, conn);
    }
    for (unsigned second = 0; second < SECONDS; second++) {
        flin_conn *conn;
        test.hub.now_ms += 1000;
        flin_hub_sweep(&test.hub);
        flin_hub_flush(&test.hub);
        while ((conn = flin_hub_next_transport(&test.hub)) != NULL) {
            uint8_t answer_bytes[sizeof pong];
            memcpy(answer_bytes, pong, sizeof pong);
            flin_output_clear(&test.hub, conn);
            flin_conn_flushed(&test.hub, conn, false, 0);
            flin_conn_feed(&test.hub, conn, answer_bytes, sizeof answer_bytes);
        }
        if (test.hub.stats.pings - before > most) most = test.hub.stats.pings - before;
        before = test.hub.stats.pings;
    }
    FLIN_CHECK(most < COUNT / SHARE);
    /* On average one per three quarters of the heartbeat, rounded up to the next sweep. */
    FLIN_CHECK(test.hub.stats.pings > (uint64_t)COUNT * SECONDS / 15);
    FLIN_CHECK(test.hub.stats.pings < (uint64_t)COUNT * SECONDS / 10);
    FLIN_CHECK_EQ(test.hub.stats.timeouts, 0);
    test_hub_end(&test);
}

/* --- the verdict ----------------------------------------------------------------------------- */

static void a_silent_peer_is_dead_at_the_timeout_not_before(void) {
    start(HEARTBEAT, TIMEOUT);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    for (uint32_t silence = 1; silence < TIMEOUT; silence++) sweep_after(1);
    FLIN_CHECK(!peer->is_freed);
    sweep_after(1);
    FLIN_CHECK(peer->is_freed && peer->is_reset);
    FLIN_CHECK_EQ(peer->close_code, 1006);
    FLIN_CHECK_EQ(peer->closed_count, 1);
    FLIN_CHECK_EQ(test.hub.stats.timeouts, 1);
    test_check_empty(&test);
    test_hub_end(&test);
}

static void a_late_ping_leaves_the_whole_time_to_answer(void) {
    start(HEARTBEAT, TIMEOUT);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    sweep_after(TIMEOUT + 700); /* the first sweep there is: beyond the timeout already */
    CHECK_RECEIVED(peer, "<9:>|");
    sweep_after(REMAINING - 1);
    FLIN_CHECK(!peer->is_freed);
    sweep_after(1);
    FLIN_CHECK(peer->is_freed);
    test_hub_end(&test);
}

static void any_byte_answers_up_to_the_last_millisecond(void) {
    start(HEARTBEAT, TIMEOUT);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    test_bytes stream = {0};
    stream_text(&stream, TEXT, "a message that dribbles in");
    for (size_t i = 0; i < stream.size; i++) {
        test_bytes one = {stream.data + i, 1, 1};
        sweep_after(TIMEOUT + 700);
        sweep_after(REMAINING - 1);
        test_feed(&test, peer, &one);
        sweep_after(1);
        FLIN_CHECK(!peer->is_freed);
        sweep_after(HEARTBEAT / 2 - 1);
        FLIN_CHECK(!peer->is_freed);
    }
    CHECK_LOG(peer, "a message that dribbles in|");
    FLIN_CHECK_EQ(test.hub.stats.pings, stream.size);
    bytes_free(&stream);
    test_hub_end(&test);
}

static void an_answer_in_the_millisecond_of_the_ping_counts(void) {
    start(HEARTBEAT, TIMEOUT);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    sweep_after(HEARTBEAT);
    FLIN_CHECK_EQ(test.hub.stats.pings, 1);
    answer(peer);
    sweep_after(TIMEOUT);
    FLIN_CHECK(!peer->is_freed);
    FLIN_CHECK_EQ(test.hub.stats.pings, 2);
    test_hub_end(&test);
}

/* The smallest sensible settings with a timer that is never quite on time. */
static void heartbeat_of_one_second_and_timeout_of_two_lose_no_living_peer(void) {
    static const uint32_t answer_after[6] = {0, 1, 500, 900, 990, 999};
    test_peer *peers[6];
    uint32_t pinged[6] = {0};
    size_t seen[6] = {0};
    start(1000, 2000);
    for (unsigned i = 0; i < 6; i++) peers[i] = test_open(&test, &test.endpoint, false);
    for (unsigned ms = 1; ms < 600000; ms++) {
        test.hub.now_ms++;
        for (unsigned i = 0; i < 6 && peers[i]->conn != NULL; i++) {
            if (peers[i]->received.size > seen[i] && ms - pinged[i] >= answer_after[i]) {
                seen[i] = peers[i]->received.size;
                answer(peers[i]);
            }
        }
        if (ms % 1003 != 0) continue;
        sweep_after(0);
        for (unsigned i = 0; i < 6; i++) {
            if (peers[i]->received.size > seen[i]) pinged[i] = ms;
        }
    }
    for (unsigned i = 0; i < 6; i++) FLIN_CHECK(!peers[i]->is_freed);
    FLIN_CHECK_EQ(test.hub.stats.timeouts, 0);
    FLIN_CHECK(test.hub.stats.pings > 6 * 100);
    test_hub_end(&test);
}

static void a_late_sweep_gives_up_nobody_the_next_one_does(void) {
    start(15000, 30000);
    test_peer *dead = test_open(&test, &test.endpoint, false);
    test_peer *alive = test_open(&test, &test.endpoint, false);
    for (unsigned second = 0; second < 16; second++) sweep_after(1000);
    FLIN_CHECK_EQ(test.hub.stats.pings, 2);
    sweep_after(60000); /* the process was stopped: nobody has read what came meanwhile */
    FLIN_CHECK(!dead->is_freed && !alive->is_freed);
    answer(alive);
    sweep_after(1000);
    FLIN_CHECK(dead->is_freed && !alive->is_freed);
    test_hub_end(&test);
}

static void a_sweep_is_late_from_two_seconds_on(void) {
    for (uint32_t gap = 1999; gap <= 2000; gap++) {
        start(1000, 2500);
        test_peer *peer = test_open(&test, &test.endpoint, false);
        sweep_after(1000);
        sweep_after(gap);
        FLIN_CHECK_EQ(peer->is_freed, gap < 2000);
        test_hub_end(&test);
    }
}

/* --- who is not judged ----------------------------------------------------------------------- */

static bool wait_always(test_hub *hub, test_peer *peer, flin_message_event *event) {
    (void)hub, (void)peer, (void)event;
    return false;
}

static void a_peer_we_do_not_read_is_not_blamed(void) {
    static char text[60000];
    memset(text, 'x', sizeof text);
    start(15000, 30000);
    test.on_message = wait_always;
    test_peer *peer = test_open(&test, &test.endpoint, false);
    for (unsigned i = 0; i < 3; i++) test_feed_frame(&test, peer, TEXT, text, sizeof text);
    for (unsigned i = 0; i < 100; i++) sweep_after(1000);
    FLIN_CHECK(!peer->is_freed);
    FLIN_CHECK_EQ(test.hub.stats.pings, 0);
    test_hub_end(&test);
}

static void a_stalled_peer_is_left_to_the_stall_time(void) {
    start(HEARTBEAT, TIMEOUT);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    test_send(&test, peer, "stuck");
    test_settle_but(&test, peer);
    for (unsigned i = 0; i < 9 * TIMEOUT; i++) {
        test.hub.now_ms++;
        flin_hub_sweep(&test.hub);
        test_settle_but(&test, peer);
    }
    FLIN_CHECK(!peer->is_freed);
    FLIN_CHECK_EQ(test.hub.stats.pings, 0);
    test_hub_end(&test);
}

static void time_to_answer_begins_when_a_stall_ends(void) {
    start(HEARTBEAT, TIMEOUT);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    test.hub.now_ms += HEARTBEAT;
    flin_hub_sweep(&test.hub);
    FLIN_CHECK_EQ(test.hub.stats.pings, 1);
    test_settle_but(&test, peer); /* the ping itself is stuck */
    for (unsigned i = 0; i < 3 * TIMEOUT; i++) {
        test.hub.now_ms++;
        flin_hub_sweep(&test.hub);
        test_settle_but(&test, peer);
    }
    FLIN_CHECK(!peer->is_freed);
    test_take_all(&test, peer);
    CHECK_RECEIVED(peer, "<9:>|");
    for (unsigned i = 1; i < REMAINING; i++) sweep_after(1);
    FLIN_CHECK(!peer->is_freed);
    sweep_after(1);
    FLIN_CHECK(peer->is_freed);
    test_hub_end(&test);
}

static void the_clock_may_wrap(void) {
    start(15000, 30000);
    test.hub.now_ms = test.hub.swept_ms = UINT32_MAX - 20000;
    test_peer *alive = test_open(&test, &test.endpoint, false);
    test_peer *dead = test_open(&test, &test.endpoint, false);
    for (unsigned second = 0; second < 29; second++) {
        sweep_after(1000);
        answer(alive);
    }
    FLIN_CHECK_EQ(test.hub.stats.pings, 1);
    FLIN_CHECK(!dead->is_freed);
    sweep_after(1000);
    FLIN_CHECK(dead->is_freed && !alive->is_freed);
    flin_conn_close(&test.hub, alive->conn, 1000, NULL, 0);
    sweep_after(1000);
    FLIN_CHECK(!alive->is_detached);
    test_hub_end(&test);
}

int main(void) {
    FLIN_RUN(a_ping_is_due_after_more_than_half_the_heartbeat_and_at_most_all_of_it);
    FLIN_RUN(one_ping_is_under_way_at_a_time);
    FLIN_RUN(pings_of_connections_opened_together_spread_over_time);
    FLIN_RUN(a_silent_peer_is_dead_at_the_timeout_not_before);
    FLIN_RUN(a_late_ping_leaves_the_whole_time_to_answer);
    FLIN_RUN(any_byte_answers_up_to_the_last_millisecond);
    FLIN_RUN(an_answer_in_the_millisecond_of_the_ping_counts);
    FLIN_RUN(heartbeat_of_one_second_and_timeout_of_two_lose_no_living_peer);
    FLIN_RUN(a_late_sweep_gives_up_nobody_the_next_one_does);
    FLIN_RUN(a_sweep_is_late_from_two_seconds_on);
    FLIN_RUN(a_peer_we_do_not_read_is_not_blamed);
    FLIN_RUN(a_stalled_peer_is_left_to_the_stall_time);
    FLIN_RUN(time_to_answer_begins_when_a_stall_ends);
    FLIN_RUN(the_clock_may_wrap);
    return flin_test_end();
}
