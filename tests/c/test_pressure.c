/*
 * Peers that read slowly beside others that do not: volatile messages, the cap on all buffers, and
 * the count of messages.
 */
#include "flin_test_hub.h"

static test_hub test;
static char text_70k[70001]; /* one message above the soft mark */

static void start(void) {
    memset(text_70k, 'x', sizeof text_70k - 1);
    test_hub_start(&test);
}

static void publish(flin_effect_kind kind, const char *name, const test_peer *except,
                    const char *text, bool is_volatile) {
    flin_room *room = name == NULL ? NULL : flin_room_find(&test.hub.rooms, name, strlen(name));
    flin_payload payload = test_text(text);
    payload.is_volatile = is_volatile;
    FLIN_CHECK(flin_log_begin(&test.hub, test.peers[0].conn));
    FLIN_CHECK(
        flin_log_publish(&test.hub, kind, room, except == NULL ? NULL : except->conn, &payload));
    flin_log_commit(&test.hub);
}

static void to_room(const char *text, bool is_volatile) {
    publish(FLIN_EFFECT_ROOM, "room", NULL, text, is_volatile);
}

static void send_volatile(const test_peer *peer, const char *text) {
    flin_payload payload = test_text(text);
    payload.is_volatile = true;
    FLIN_CHECK(flin_log_begin(&test.hub, NULL));
    FLIN_CHECK(flin_log_send(&test.hub, peer->conn, &payload));
    flin_log_commit(&test.hub);
}

/* Have a peer refuse `size` bytes of one message, header of 10 or 4 bytes included. */
static void make_backlog(test_peer *peer, size_t size) {
    size_t header = size > 65535 + 4 ? 10 : 4;
    text_70k[size - header] = '\0';
    test_send(&test, peer, text_70k);
    text_70k[size - header] = 'x';
    test_settle_but(&test, peer);
    FLIN_CHECK_EQ(peer->conn->backlog, size);
}

static void skip_received(test_peer *peer) {
    test_take_all(&test, peer);
    bytes_free(&peer->received);
}

/* --- volatile messages ----------------------------------------------------------------------- */

static void volatile_messages_reach_everybody_who_keeps_up(void) {
    start();
    test_peer *a = test_open(&test, &test.endpoint, false);
    test_join(&test, a, "room");
    to_room("one", true);
    to_room("two", false);
    send_volatile(a, "three");
    test_settle(&test);
    CHECK_RECEIVED(a, "one|two|three|");
    FLIN_CHECK_EQ(test.hub.stats.dropped, 0);
    test_hub_end(&test);
}

static void a_peer_is_slow_above_its_soft_mark(void) {
    for (size_t over = 0; over <= 1; over++) {
        start();
        test_peer *peer = test_open(&test, &test.endpoint, false);
        test_join(&test, peer, "room");
        make_backlog(peer, test.endpoint.queue_soft + over);
        FLIN_CHECK_EQ(test.hub.slow_count, over);
        to_room("in a room", true);
        send_volatile(peer, "direct");
        test_settle_but(&test, peer);
        FLIN_CHECK_EQ(test.hub.stats.dropped, 2 * over);
        skip_received(peer);
        FLIN_CHECK_EQ(test.hub.slow_count, 0);
        to_room("again", true);
        test_settle(&test);
        CHECK_RECEIVED(peer, "again|");
        test_hub_end(&test);
    }
}

static void a_slow_member_misses_volatile_messages_only_and_keeps_the_order(void) {
    start();
    test_peer *slow = test_open(&test, &test.endpoint, false);
    test_peer *a = test_open(&test, &test.endpoint, false);
    test_peer *b = test_open(&test, &test.endpoint, true);
    test_join(&test, slow, "room");
    test_join(&test, a, "room");
    test_join(&test, b, "room");
    make_backlog(slow, 70000);
    to_room("1", false);
    to_room("v1", true);
    to_room("v2", true);
    to_room("2", false);
    test_send(&test, slow, "direct");
    to_room("v3", true);
    to_room("3", false);
    publish(FLIN_EFFECT_ROOM, "room", a, "v4", true);
    publish(FLIN_EFFECT_ROOM, "room", slow, "v5", true);
    publish(FLIN_EFFECT_ROOM, "room", slow, "4", false);
    to_room("5", false);
    test_settle_but(&test, slow);
    FLIN_CHECK_EQ(test.hub.stats.dropped, 4);
    test_take_all(&test, slow);
    slow->received.size -= 70000;
    memmove(slow->received.data, slow->received.data + 70000, slow->received.size);
    CHECK_RECEIVED(slow, "1|2|direct|3|5|");
    CHECK_RECEIVED(a, "1|v1|v2|2|v3|3|v5|4|5|");
    CHECK_RECEIVED(b, "1|v1|v2|2|v3|3|v4|v5|4|5|");
    FLIN_CHECK_EQ(flin_conn_messages_out(&test.hub, slow->conn), 6);
    FLIN_CHECK_EQ(flin_conn_messages_out(&test.hub, a->conn), 9);
    test_hub_end(&test);
}

static void large_volatile_messages_and_all_kinds_of_rooms_pass_slow_peers_by(void) {
    start();
    flin_endpoint other = test.endpoint;
    other.room = NULL;
    test_peer *slow = test_open(&test, &test.endpoint, false);
    test_peer *a = test_open(&test, &other, false);
    test_join(&test, slow, "room");
    test_join(&test, a, "room");
    make_backlog(slow, 70000);
    text_70k[20000] = '\0';
    to_room(text_70k, true);
    text_70k[20000] = 'x';
    publish(FLIN_EFFECT_ALL, NULL, NULL, "all", true);
    publish(FLIN_EFFECT_UNION, "room", NULL, "union", true);
    test_settle_but(&test, slow);
    FLIN_CHECK_EQ(slow->conn->backlog, 70000);
    FLIN_CHECK_EQ(test.hub.stats.dropped, 3);
    FLIN_CHECK_EQ(a->received.size, 20004 + 5 + 7);
    flin_conn_lost(&test.hub, slow->conn, true);
    flin_conn_lost(&test.hub, a->conn, true);
    test_settle(&test);
    test_check_empty(&test);
    flin_endpoint_unbind(&test.hub, &other);
    test_hub_end(&test);
}

static void a_slow_peer_that_goes_is_slow_no_more(void) {
    start();
    test_peer *peer = test_open(&test, &test.endpoint, false);
    make_backlog(peer, 70000);
    FLIN_CHECK_EQ(test.hub.slow_count, 1);
    flin_conn_lost(&test.hub, peer->conn, true);
    test_settle(&test);
    FLIN_CHECK_EQ(test.hub.slow_count, 0);
    test_check_empty(&test);
    test_hub_end(&test);
}

/* --- the cap on all buffers ------------------------------------------------------------------ */

/* Three peers with backlogs of about 10, 30 and 60 KiB, none of them beyond a limit of its own. */
static void open_three(test_peer **peers) {
    static const size_t sizes[3] = {10000, 30000, 60000};
    for (unsigned i = 0; i < 3; i++) {
        peers[i] = test_open(&test, &test.endpoint, false);
        test_send(&test, peers[i], "half");
        test_settle_but(&test, peers[i]);
        test_take(&test, peers[i], 3);
        text_70k[sizes[i]] = '\0';
        test_send(&test, peers[i], text_70k);
        text_70k[sizes[i]] = 'x';
        /* Nobody takes anything from here on. */
        flin_hub_flush(&test.hub);
        for (flin_conn *conn; (conn = flin_hub_next_transport(&test.hub)) != NULL;) {
            flin_conn_flushed(&test.hub, conn, true, 0);
        }
    }
}

static void flush_nothing_taken(void) {
    flin_hub_flush(&test.hub);
    for (flin_conn *conn; (conn = flin_hub_next_transport(&test.hub)) != NULL;) {
        flin_conn_flushed(&test.hub, conn, conn->segment_count > 0, 0);
    }
    flin_hub_reap(&test.hub);
}

static void the_cap_closes_nobody_until_it_is_passed_then_the_worst_first(void) {
    test_peer *peers[3];
    start();
    open_three(peers);
    test.hub.options.retained_max = test.hub.pool.retained_bytes;
    flush_nothing_taken();
    for (unsigned i = 0; i < 3; i++) FLIN_CHECK_EQ(peers[i]->conn->state, FLIN_CONN_OPEN);
    for (unsigned closed = 1; closed <= 3; closed++) {
        test.hub.options.retained_max = test.hub.pool.retained_bytes - 1;
        flush_nothing_taken();
        FLIN_CHECK_EQ(test.hub.stats.slow_closed, closed);
        FLIN_CHECK(test.hub.pool.retained_bytes <= test.hub.options.retained_max);
        for (unsigned i = 0; i < 3; i++) FLIN_CHECK_EQ(peers[i]->closed_count, i >= 3 - closed);
    }
    for (unsigned i = 0; i < 3; i++) {
        FLIN_CHECK_EQ(peers[i]->close_code, 1013);
        test_take_all(&test, peers[i]);
        CHECK_RECEIVED(peers[i], "half|<8:1013>|");
    }
    FLIN_CHECK_EQ(test.hub.stats.dropped, 3);
    test_hub_end(&test);
}

static void a_half_sent_frame_above_the_soft_mark_is_reset_by_the_cap(void) {
    start();
    test_peer *peer = test_open(&test, &test.endpoint, false);
    test_peer *idle = test_open(&test, &test.endpoint, false);
    make_backlog(peer, 70000);
    test_take(&test, peer, 20);
    flin_conn_flushed(&test.hub, peer->conn, true, 0);
    test.hub.options.retained_max = 1000;
    test_settle_but(&test, peer);
    FLIN_CHECK_EQ(peer->closed_count, 0); /* only a flush looks, and there was nothing to do */
    test_send(&test, idle, "x");
    test_settle_but(&test, peer);
    FLIN_CHECK_EQ(peer->close_code, 1013);
    FLIN_CHECK(peer->is_reset && peer->is_freed);
    FLIN_CHECK_EQ(test.hub.pool.retained_bytes, 0);
    CHECK_RECEIVED(idle, "x|");
    test_hub_end(&test);
}

static void shared_bytes_count_once(void) {
    test_peer *peers[20];
    start();
    for (unsigned i = 0; i < 20; i++) {
        peers[i] = test_open(&test, &test.endpoint, false);
        test_join(&test, peers[i], "room");
    }
    test.hub.options.retained_max = 90000;
    text_70k[60000] = '\0';
    to_room(text_70k, false);
    text_70k[60000] = 'x';
    flush_nothing_taken();
    FLIN_CHECK_EQ(test.hub.backlog_bytes, 20 * 60004);
    FLIN_CHECK_EQ(test.hub.stats.slow_closed, 0);
    to_room("more", false);
    flush_nothing_taken();
    FLIN_CHECK_EQ(test.hub.stats.slow_closed, 0);
    FLIN_CHECK(test.hub.pool.retained_bytes < 90000);
    test_hub_end(&test);
}

/* --- messages of a connection ---------------------------------------------------------------- */

static void messages_of_a_connection_are_counted_once_each(void) {
    start();
    test_peer *a = test_open(&test, &test.endpoint, false);
    test_peer *b = test_open(&test, &test.endpoint, false);
    test_join(&test, a, "room");
    to_room("before b came", false);
    test_join(&test, b, "room");
    to_room("both", false);
    publish(FLIN_EFFECT_ROOM, "room", a, "b alone", false);
    publish(FLIN_EFFECT_ALL, NULL, NULL, "both", false);
    publish(FLIN_EFFECT_UNION, "room", NULL, "both", false);
    test_send(&test, a, "a alone");
    test_leave(&test, b, "room");
    to_room("a alone", false);
    test_feed_text(&test, a, "in");
    test_feed_frame(&test, a, TEST_FIN | FLIN_OPCODE_PING, "no message", 10);
    test_settle(&test);
    FLIN_CHECK_EQ(flin_conn_messages_out(&test.hub, a->conn), 6);
    FLIN_CHECK_EQ(flin_conn_messages_out(&test.hub, b->conn), 4);
    FLIN_CHECK_EQ(a->conn->messages_in, 1);
    FLIN_CHECK_EQ(b->conn->messages_in, 0);
    flin_conn_close(&test.hub, a->conn, 1000, NULL, 0);
    FLIN_CHECK_EQ(flin_conn_messages_out(&test.hub, a->conn), 6);
    test_hub_end(&test);
}

static void dropped_messages_are_not_counted(void) {
    start();
    test_peer *peer = test_open(&test, &test.endpoint, false);
    test_join(&test, peer, "room");
    test_send(&test, peer, "gets there");
    test_settle(&test);
    make_backlog(peer, 60000);
    test_take(&test, peer, 1);
    to_room("dropped", false);
    test.hub.now_ms += 15000;
    test_feed_frame(&test, peer, TEST_FIN | FLIN_OPCODE_PING, "", 0);
    flin_conn_close_slow(&test.hub, peer->conn);
    FLIN_CHECK_EQ(flin_conn_messages_out(&test.hub, peer->conn), 2);
    FLIN_CHECK_EQ(test.hub.stats.dropped, 1);
    test_hub_end(&test);
}

int main(void) {
    FLIN_RUN(volatile_messages_reach_everybody_who_keeps_up);
    FLIN_RUN(a_peer_is_slow_above_its_soft_mark);
    FLIN_RUN(a_slow_member_misses_volatile_messages_only_and_keeps_the_order);
    FLIN_RUN(large_volatile_messages_and_all_kinds_of_rooms_pass_slow_peers_by);
    FLIN_RUN(a_slow_peer_that_goes_is_slow_no_more);
    FLIN_RUN(the_cap_closes_nobody_until_it_is_passed_then_the_worst_first);
    FLIN_RUN(a_half_sent_frame_above_the_soft_mark_is_reset_by_the_cap);
    FLIN_RUN(shared_bytes_count_once);
    FLIN_RUN(messages_of_a_connection_are_counted_once_each);
    FLIN_RUN(dropped_messages_are_not_counted);
    return flin_test_end();
}
