/*
 * Life of a connection: delivery, waiting handlers, closing handshakes, slow consumers.
 */
#include "flin_test_hub.h"

#define TEXT (TEST_FIN | FLIN_OPCODE_TEXT)
#define PING (TEST_FIN | FLIN_OPCODE_PING)
#define CLOSE (TEST_FIN | FLIN_OPCODE_CLOSE)

static test_hub test;

static bool echo(test_hub *hub, test_peer *peer, flin_message_event *event) {
    flin_payload payload = {.data = event->data, .size = event->size, .opcode = event->opcode};
    FLIN_CHECK(flin_log_begin(&hub->hub, peer->conn));
    FLIN_CHECK(flin_log_send(&hub->hub, peer->conn, &payload));
    flin_log_commit(&hub->hub);
    return true;
}

static bool wait_always(test_hub *hub, test_peer *peer, flin_message_event *event) {
    (void)hub, (void)peer, (void)event;
    return false;
}

/* --- delivery -------------------------------------------------------------------------------- */

static void messages_come_in_order_and_replies_too(void) {
    test_hub_start(&test);
    test.on_message = echo;
    test_peer *peer = test_open(&test, &test.endpoint, false);
    test_feed_text(&test, peer, "one");
    test_feed_text(&test, peer, "two");
    test_settle(&test);
    CHECK_LOG(peer, "one|two|");
    CHECK_RECEIVED(peer, "one|two|");
    FLIN_CHECK_EQ(test.hub.stats.messages_in, 2);
    FLIN_CHECK_EQ(test.hub.stats.deliveries, 2);
    test_hub_end(&test);
}

static void pings_are_answered_while_a_handler_waits(void) {
    test_hub_start(&test);
    test.on_message = wait_always;
    test_peer *peer = test_open(&test, &test.endpoint, false);
    test_feed_text(&test, peer, "one");
    test_feed_frame(&test, peer, PING, "hey", 3);
    test_settle(&test);
    CHECK_RECEIVED(peer, "<10:hey>|");
    test_hub_end(&test);
}

static void a_waiting_handler_queues_to_the_limit_and_reading_stops(void) {
    test_bytes stream = {0};
    test_hub_start(&test);
    test.on_message = wait_always;
    test_peer *peer = test_open(&test, &test.endpoint, false);
    for (unsigned i = 0; i < 40; i++) {
        char text[8];
        (void)snprintf(text, sizeof text, "%02u", i);
        stream_text(&stream, TEXT, text);
    }
    test_feed(&test, peer, &stream);
    FLIN_CHECK_EQ(peer->conn->extra->inbox_count, FLIN_INBOX_COUNT_MAX);
    FLIN_CHECK((peer->conn->interest & FLIN_INTEREST_READ) == 0);
    CHECK_LOG(peer, "00|");
    for (unsigned i = 0; i < 20; i++) flin_conn_handler_done(&test.hub, peer->conn);
    FLIN_CHECK((peer->conn->flags & FLIN_CONN_BUSY) != 0);
    test.on_message = NULL;
    flin_conn_handler_done(&test.hub, peer->conn);
    FLIN_CHECK((peer->conn->interest & FLIN_INTEREST_READ) != 0);
    FLIN_CHECK_EQ(peer->log.size, 40 * 3);
    FLIN_CHECK(memcmp(peer->log.data + 39 * 3, "39|", 3) == 0);
    FLIN_CHECK(flin_inbox_is_empty(peer->conn));
    bytes_free(&stream);
    test_hub_end(&test);
}

static void inbox_bytes_are_limited_too(void) {
    char *large = calloc(1, 40000);
    test_hub_start(&test);
    test.on_message = wait_always;
    test_peer *peer = test_open(&test, &test.endpoint, false);
    for (unsigned i = 0; i < 4; i++) test_feed_frame(&test, peer, TEXT, large, 40000);
    /* One is with the handler, two exceed 64 KiB, the fourth waits unparsed. */
    FLIN_CHECK_EQ(peer->conn->extra->inbox_count, 2);
    FLIN_CHECK(peer->conn->extra->stash != NULL);
    FLIN_CHECK_EQ(peer->conn->interest & FLIN_INTEREST_READ, 0);
    free(large);
    test_hub_end(&test);
}

static bool finish_within_the_call(test_hub *hub, test_peer *peer, flin_message_event *event) {
    (void)event;
    flin_conn_handler_done(&hub->hub, peer->conn);
    return false;
}

static void a_handler_may_finish_before_it_returns(void) {
    test_bytes stream = {0};
    test_hub_start(&test);
    test.on_message = finish_within_the_call;
    test_peer *peer = test_open(&test, &test.endpoint, false);
    stream_text(&stream, TEXT, "a");
    stream_text(&stream, TEXT, "b");
    test_feed(&test, peer, &stream);
    CHECK_LOG(peer, "a|b|");
    FLIN_CHECK((peer->conn->flags & FLIN_CONN_BUSY) == 0);
    bytes_free(&stream);
    test_hub_end(&test);
}

/* --- a close that is held ------------------------------------------------------------------------ */

static flin_log *held_close;

/* The first message closes the connection, and its effects are held. */
static bool close_and_hold(test_hub *hub, test_peer *peer, flin_message_event *event) {
    (void)event;
    if (held_close == NULL) {
        FLIN_CHECK(flin_log_begin(&hub->hub, peer->conn));
        FLIN_CHECK(flin_log_close(&hub->hub, peer->conn, 4001, "bye", 3));
        held_close = flin_log_hold(&hub->hub);
    }
    return true;
}

static bool close_hold_and_wait(test_hub *hub, test_peer *peer, flin_message_event *event) {
    bool is_first = held_close == NULL;
    (void)close_and_hold(hub, peer, event);
    return !is_first;
}

static test_peer *feed_behind_a_held_close(bool (*on_message)(test_hub *, test_peer *,
                                                              flin_message_event *),
                                           unsigned count) {
    test_bytes stream = {0};
    test_hub_start(&test);
    held_close = NULL;
    test.on_message = on_message;
    test_peer *peer = test_open(&test, &test.endpoint, false);
    for (unsigned i = 0; i < count; i++) stream_text(&stream, TEXT, i == 0 ? "close" : "next");
    test_feed(&test, peer, &stream);
    bytes_free(&stream);
    test_settle(&test);
    CHECK_LOG(peer, "close|");
    FLIN_CHECK_EQ(peer->closed_count, 0);
    return peer;
}

static void messages_behind_a_held_close_are_dropped_when_it_leaves(void) {
    test_peer *peer = feed_behind_a_held_close(close_and_hold, 3);
    flin_log_release(&test.hub, held_close);
    test_settle(&test);
    CHECK_LOG(peer, "close|");
    CHECK_RECEIVED(peer, "<8:4001>|");
    FLIN_CHECK_EQ(peer->closed_count, 1);
    test_hub_end(&test);
}

static void a_handler_that_waits_behind_its_held_close_handles_nothing_more(void) {
    test_peer *peer = feed_behind_a_held_close(close_hold_and_wait, 3);
    flin_conn_handler_done(&test.hub, peer->conn);
    test_settle(&test);
    CHECK_LOG(peer, "close|");
    flin_log_release(&test.hub, held_close);
    test_settle(&test);
    CHECK_LOG(peer, "close|");
    FLIN_CHECK_EQ(peer->closed_count, 1);
    test_hub_end(&test);
}

static void messages_behind_a_held_close_are_handled_when_it_is_discarded(void) {
    test_peer *peer = feed_behind_a_held_close(close_and_hold, 40);
    FLIN_CHECK_EQ(peer->conn->extra->inbox_count, FLIN_INBOX_COUNT_MAX);
    FLIN_CHECK_EQ(peer->conn->interest & FLIN_INTEREST_READ, 0);
    flin_log_discard(&test.hub, held_close);
    test_settle(&test);
    FLIN_CHECK_EQ(peer->log.size, 6 + 39 * 5);
    FLIN_CHECK(flin_inbox_is_empty(peer->conn));
    FLIN_CHECK((peer->conn->interest & FLIN_INTEREST_READ) != 0);
    test_feed_text(&test, peer, "more");
    FLIN_CHECK_EQ(peer->log.size, 6 + 40 * 5);
    FLIN_CHECK_EQ(peer->closed_count, 0);
    test_hub_end(&test);
}

static void a_handler_that_waits_is_done_before_messages_behind_its_discarded_close(void) {
    test_peer *peer = feed_behind_a_held_close(close_hold_and_wait, 3);
    flin_log_discard(&test.hub, held_close);
    test_settle(&test);
    CHECK_LOG(peer, "close|");
    flin_conn_handler_done(&test.hub, peer->conn);
    CHECK_LOG(peer, "close|next|next|");
    test_hub_end(&test);
}

static void a_lost_peer_is_told_of_when_its_held_close_is_settled(void) {
    for (unsigned is_left = 0; is_left < 2; is_left++) {
        test_peer *peer = feed_behind_a_held_close(close_and_hold, 3);
        flin_conn_lost(&test.hub, peer->conn, false);
        test_settle(&test);
        FLIN_CHECK_EQ(peer->closed_count, 0);
        if (is_left) {
            flin_log_release(&test.hub, held_close);
        } else {
            flin_log_discard(&test.hub, held_close);
        }
        test_settle(&test);
        CHECK_LOG(peer, is_left ? "close|" : "close|next|next|");
        FLIN_CHECK_EQ(peer->closed_count, 1);
        FLIN_CHECK(peer->is_freed);
        test_check_empty(&test);
        test_hub_end(&test);
    }
}

/* --- closing handshakes ------------------------------------------------------------------------ */

static void close_of_the_peer_is_echoed_and_runs_on_close_once(void) {
    test_hub_start(&test);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    test_join(&test, peer, "room");
    test_feed_frame(&test, peer, CLOSE, "\x0f\xa1why", 5);
    FLIN_CHECK_EQ(test.hub.all->count, 0);
    test_settle(&test);
    CHECK_RECEIVED(peer, "<8:4001>|");
    FLIN_CHECK_EQ(peer->closed_count, 1);
    FLIN_CHECK_EQ(peer->close_code, 4001);
    FLIN_CHECK_EQ(peer->rooms_at_close, 0);
    FLIN_CHECK(peer->is_freed && peer->is_detached && !peer->is_reset);
    test_check_empty(&test);
    test_hub_end(&test);
}

static void an_empty_close_is_1005_and_echoed_empty(void) {
    test_hub_start(&test);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    test_feed_frame(&test, peer, CLOSE, "", 0);
    test_settle(&test);
    CHECK_RECEIVED(peer, "<8:>|");
    FLIN_CHECK_EQ(peer->close_code, 1005);
    test_hub_end(&test);
}

static void our_close_waits_for_the_answer_and_drops_later_messages(void) {
    test_hub_start(&test);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    test_send(&test, peer, "before");
    flin_conn_close(&test.hub, peer->conn, 1000, "bye", 3);
    test_settle(&test);
    CHECK_RECEIVED(peer, "before|<8:1000>|");
    FLIN_CHECK_EQ(peer->closed_count, 1);
    FLIN_CHECK_EQ(peer->close_code, 1000);
    FLIN_CHECK(!peer->is_detached);
    test_feed_text(&test, peer, "too late");
    CHECK_LOG(peer, "");
    test_feed_frame(&test, peer, CLOSE, "\x03\xe8", 2);
    test_settle(&test);
    FLIN_CHECK(peer->is_freed && !peer->is_reset);
    FLIN_CHECK_EQ(peer->closed_count, 1);
    test_check_empty(&test);
    test_hub_end(&test);
}

static void an_unanswered_close_is_reset_after_its_time(void) {
    test_hub_start(&test);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    flin_conn_close(&test.hub, peer->conn, 1000, NULL, 0);
    test_settle(&test);
    test.hub.now_ms += 4999;
    flin_hub_sweep(&test.hub);
    test_settle(&test);
    FLIN_CHECK(!peer->is_detached);
    test.hub.now_ms += 1;
    flin_hub_sweep(&test.hub);
    test_settle(&test);
    FLIN_CHECK(peer->is_freed && peer->is_reset);
    FLIN_CHECK_EQ(peer->closed_count, 1);
    test_check_empty(&test);
    test_hub_end(&test);
}

static void a_fault_sends_earlier_replies_then_its_code(void) {
    test_bytes stream = {0};
    test_hub_start(&test);
    test.on_message = echo;
    test_peer *peer = test_open(&test, &test.endpoint, false);
    stream_text(&stream, TEXT, "fine");
    stream_frame(&stream, TEXT, "\xff", 1);
    stream_text(&stream, TEXT, "never seen");
    test_feed(&test, peer, &stream);
    test_settle(&test);
    CHECK_RECEIVED(peer, "fine|<8:1007>|");
    CHECK_LOG(peer, "fine|");
    FLIN_CHECK_EQ(peer->close_code, 1007);
    FLIN_CHECK(peer->is_detached && !peer->is_reset);
    FLIN_CHECK_EQ(test.hub.stats.protocol_errors, 1);
    bytes_free(&stream);
    test_check_empty(&test);
    test_hub_end(&test);
}

static void an_end_without_a_close_frame_is_1006(void) {
    test_hub_start(&test);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    flin_conn_feed_end(&test.hub, peer->conn);
    test_settle(&test);
    FLIN_CHECK_EQ(peer->close_code, 1006);
    FLIN_CHECK_EQ(peer->closed_count, 1);
    FLIN_CHECK(peer->is_freed);
    test_hub_end(&test);
}

static void queued_messages_run_before_on_close(void) {
    test_hub_start(&test);
    test.on_message = wait_always;
    test_peer *peer = test_open(&test, &test.endpoint, false);
    test_feed_text(&test, peer, "one");
    test_feed_text(&test, peer, "two");
    test_feed_frame(&test, peer, CLOSE, "\x03\xe8", 2);
    test_settle(&test);
    FLIN_CHECK(peer->is_detached && !peer->is_freed);
    FLIN_CHECK_EQ(peer->closed_count, 0);
    flin_conn_handler_done(&test.hub, peer->conn);
    CHECK_LOG(peer, "one|two|");
    test_settle(&test);
    FLIN_CHECK_EQ(peer->closed_count, 0);
    flin_conn_handler_done(&test.hub, peer->conn);
    test_settle(&test);
    FLIN_CHECK_EQ(peer->closed_count, 1);
    FLIN_CHECK(peer->is_freed);
    test_check_empty(&test);
    test_hub_end(&test);
}

static void stashed_messages_survive_a_lost_connection(void) {
    test_bytes stream = {0};
    test_hub_start(&test);
    test.on_message = wait_always;
    test_peer *peer = test_open(&test, &test.endpoint, false);
    for (unsigned i = 0; i < 30; i++) stream_text(&stream, TEXT, "x");
    test_feed(&test, peer, &stream);
    flin_conn_lost(&test.hub, peer->conn, false);
    test_settle(&test);
    FLIN_CHECK_EQ(peer->closed_count, 0);
    test.on_message = NULL;
    flin_conn_handler_done(&test.hub, peer->conn);
    test_settle(&test);
    FLIN_CHECK_EQ(peer->log.size, 60);
    FLIN_CHECK_EQ(peer->closed_count, 1);
    bytes_free(&stream);
    test_check_empty(&test);
    test_hub_end(&test);
}

static void a_waiting_on_close_keeps_the_slot(void) {
    test_hub_start(&test);
    test.on_closed = wait_always;
    test_peer *peer = test_open(&test, &test.endpoint, false);
    flin_conn_lost(&test.hub, peer->conn, true);
    test_settle(&test);
    FLIN_CHECK(peer->is_detached && !peer->is_freed);
    FLIN_CHECK_EQ(test.hub.slab.used_count, 1);
    flin_conn_handler_done(&test.hub, peer->conn);
    test_settle(&test);
    FLIN_CHECK(peer->is_freed);
    FLIN_CHECK_EQ(peer->closed_count, 1);
    test_check_empty(&test);
    test_hub_end(&test);
}

static void a_slot_gets_a_new_id_each_time(void) {
    test_hub_start(&test);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    uint64_t id = flin_conn_id(peer->conn);
    flin_conn_lost(&test.hub, peer->conn, false);
    test_settle(&test);
    FLIN_CHECK(flin_slab_find(&test.hub.slab, id) == NULL);
    peer = test_open(&test, &test.endpoint, false);
    FLIN_CHECK_EQ(peer->conn->slot, (uint32_t)id);
    FLIN_CHECK(flin_conn_id(peer->conn) != id);
    FLIN_CHECK(flin_slab_find(&test.hub.slab, id) == NULL);
    FLIN_CHECK(flin_slab_find(&test.hub.slab, UINT64_MAX) == NULL);
    test_hub_end(&test);
}

/* --- slow consumers ------------------------------------------------------------------------------ */

static char *filler(size_t size) {
    char *text = malloc(size + 1);
    if (!text) abort();
    memset(text, 'x', size);
    text[size] = '\0';
    return text;
}

static void a_stalled_peer_is_not_read_above_the_soft_mark(void) {
    char *text = filler(70 << 10);
    test_hub_start(&test);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    test_send(&test, peer, text);
    test_settle_but(&test, peer);
    FLIN_CHECK_EQ(peer->conn->interest, FLIN_INTEREST_WRITE);
    FLIN_CHECK_EQ(peer->conn->backlog, (70 << 10) + 10);
    test_take_all(&test, peer);
    FLIN_CHECK_EQ(peer->conn->interest, FLIN_INTEREST_READ);
    FLIN_CHECK_EQ(test.hub.backlog_bytes, 0);
    free(text);
    test_hub_end(&test);
}

static void pongs_to_a_stalled_peer_are_one(void) {
    test_hub_start(&test);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    test_send(&test, peer, "stuck");
    test_settle_but(&test, peer);
    for (unsigned i = 0; i < 1000; i++) test_feed_frame(&test, peer, PING, i < 999 ? "a" : "z", 1);
    test_settle_but(&test, peer);
    FLIN_CHECK_EQ(peer->conn->backlog, 7);
    test_take_all(&test, peer);
    test_settle(&test);
    CHECK_RECEIVED(peer, "stuck|<10:z>|");
    test_hub_end(&test);
}

static void the_hard_limit_cuts_whole_frames_and_closes_1013(void) {
    char *text = filler(600 << 10);
    test_hub_start(&test);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    test_join(&test, peer, "room");
    test_send(&test, peer, "first");
    test_send(&test, peer, "second");
    test_settle_but(&test, peer);
    test_take(&test, peer, 4); /* in the middle of "first" */
    test_send(&test, peer, text);
    test_settle_but(&test, peer);
    test_send(&test, peer, text);
    test_settle_but(&test, peer);
    FLIN_CHECK_EQ(peer->conn->state, FLIN_CONN_OPEN);
    test_publish(&test, "room", NULL, "the drop too much");
    test_settle_but(&test, peer);
    FLIN_CHECK_EQ(peer->closed_count, 1);
    FLIN_CHECK_EQ(peer->close_code, 1013);
    FLIN_CHECK_EQ(test.hub.stats.slow_closed, 1);
    FLIN_CHECK_EQ(test.hub.stats.dropped, 4);
    test_take_all(&test, peer);
    CHECK_RECEIVED(peer, "first|<8:1013>|");
    test.hub.now_ms += 5000;
    flin_hub_sweep(&test.hub);
    test_settle(&test);
    FLIN_CHECK(peer->is_reset && peer->is_freed);
    test_check_empty(&test);
    free(text);
    test_hub_end(&test);
}

static void no_progress_for_the_stall_time_closes_1013(void) {
    test_hub_start(&test);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    test_send(&test, peer, "stuck");
    test_settle_but(&test, peer);
    test.hub.now_ms += 9000;
    test_take(&test, peer, 1); /* progress */
    flin_conn_flushed(&test.hub, peer->conn, true, 0);
    test.hub.now_ms += 9999;
    flin_hub_sweep(&test.hub);
    FLIN_CHECK_EQ(peer->conn->state, FLIN_CONN_OPEN);
    test.hub.now_ms += 1;
    flin_hub_sweep(&test.hub);
    test_settle_but(&test, peer);
    FLIN_CHECK_EQ(peer->close_code, 1013);
    test_hub_end(&test);
}

static void many_small_turns_to_a_stalled_peer_merge(void) {
    test_hub_start(&test);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    test_peer *other = test_open(&test, &test.endpoint, false);
    test_join(&test, peer, "room");
    test_join(&test, other, "room");
    for (unsigned i = 0; i < 2000; i++) {
        test_publish(&test, "room", NULL, "tick");
        test_settle_but(&test, peer);
        if (i == 0) test_take(&test, peer, 3);
    }
    FLIN_CHECK(peer->conn->segment_count <= FLIN_SEGMENT_MAX);
    FLIN_CHECK_EQ(peer->conn->backlog, 2000 * 6 - 3);
    test_take_all(&test, peer);
    FLIN_CHECK_EQ(peer->received.size, 2000 * 6);
    FLIN_CHECK_EQ(other->received.size, 2000 * 6);
    FLIN_CHECK(memcmp(peer->received.data, other->received.data, 2000 * 6) == 0);
    test_hub_end(&test);
}

static int count_user(void *user, void *context) {
    test_peer **seen = context;
    for (unsigned i = 0; i < 4; i++) {
        if (seen[i] == user) return 1 + (int)i; /* seen twice: nobody may be */
        if (seen[i] == NULL) {
            seen[i] = user;
            return 0;
        }
    }
    return 9;
}

static void a_collector_sees_each_object_once(void) {
    test_peer *seen[4] = {NULL};
    test_hub_start(&test);
    FLIN_CHECK_EQ(flin_hub_visit_users(&test.hub, count_user, seen), 0);
    FLIN_CHECK(seen[0] == NULL);
    test_peer *first = test_open(&test, &test.endpoint, false);
    test_peer *gone = test_open(&test, &test.endpoint, false);
    test_peer *last = test_open(&test, &test.endpoint, false);
    flin_conn_lost(&test.hub, gone->conn, false);
    test_settle(&test);
    FLIN_CHECK_EQ(flin_hub_visit_users(&test.hub, count_user, seen), 0);
    FLIN_CHECK(seen[0] == first && seen[1] == last && seen[2] == NULL);
    /* What a visitor answers ends the visit. */
    FLIN_CHECK_EQ(flin_hub_visit_users(&test.hub, count_user, seen), 1);
    test_hub_end(&test);
}

static void no_channel(void *channel_user) {
    (void)channel_user;
    FLIN_CHECK(false);
}

static void an_abandoned_hub_lets_go_of_everybody_in_silence(void) {
    test_hub_start(&test);
    test_peer *open = test_open(&test, &test.endpoint, false);
    test_peer *holding = test_open(&test, &test.endpoint, true);
    test_peer *closing = test_open(&test, &test.endpoint, false);
    flin_payload payload = test_text("held");
    test_join(&test, open, "room");
    test_join(&test, holding, "room");
    FLIN_CHECK(flin_log_begin(&test.hub, holding->conn));
    FLIN_CHECK(flin_log_send(&test.hub, open->conn, &payload));
    flin_log *held = flin_log_hold(&test.hub);
    FLIN_CHECK(held != NULL);
    flin_conn_close(&test.hub, closing->conn, 1000, "bye", 3);
    test_publish(&test, "room", NULL, "in a batch");
    flin_hub_abandon(&test.hub, no_channel);
    FLIN_CHECK(open->is_freed && holding->is_freed && closing->is_freed);
    FLIN_CHECK_EQ(open->closed_count + holding->closed_count + closing->closed_count, 0);
    FLIN_CHECK(!flin_hub_has_work(&test.hub));
    FLIN_CHECK_EQ(test.hub.rooms.occupied_count, 0);
    FLIN_CHECK_EQ(test.hub.pool.retained_bytes, 0);
    FLIN_CHECK_EQ(flin_hub_visit_users(&test.hub, count_user, NULL), 0);
    flin_endpoint_unbind(&test.hub, &test.endpoint);
    flin_log_discard(&test.hub, held);
    FLIN_CHECK(!flin_hub_has_work(&test.hub));
    test_hub_end(&test);
}

int main(void) {
    FLIN_RUN(messages_come_in_order_and_replies_too);
    FLIN_RUN(pings_are_answered_while_a_handler_waits);
    FLIN_RUN(a_waiting_handler_queues_to_the_limit_and_reading_stops);
    FLIN_RUN(inbox_bytes_are_limited_too);
    FLIN_RUN(a_handler_may_finish_before_it_returns);
    FLIN_RUN(messages_behind_a_held_close_are_dropped_when_it_leaves);
    FLIN_RUN(a_handler_that_waits_behind_its_held_close_handles_nothing_more);
    FLIN_RUN(messages_behind_a_held_close_are_handled_when_it_is_discarded);
    FLIN_RUN(a_handler_that_waits_is_done_before_messages_behind_its_discarded_close);
    FLIN_RUN(a_lost_peer_is_told_of_when_its_held_close_is_settled);
    FLIN_RUN(close_of_the_peer_is_echoed_and_runs_on_close_once);
    FLIN_RUN(an_empty_close_is_1005_and_echoed_empty);
    FLIN_RUN(our_close_waits_for_the_answer_and_drops_later_messages);
    FLIN_RUN(an_unanswered_close_is_reset_after_its_time);
    FLIN_RUN(a_fault_sends_earlier_replies_then_its_code);
    FLIN_RUN(an_end_without_a_close_frame_is_1006);
    FLIN_RUN(queued_messages_run_before_on_close);
    FLIN_RUN(stashed_messages_survive_a_lost_connection);
    FLIN_RUN(a_waiting_on_close_keeps_the_slot);
    FLIN_RUN(a_slot_gets_a_new_id_each_time);
    FLIN_RUN(a_stalled_peer_is_not_read_above_the_soft_mark);
    FLIN_RUN(pongs_to_a_stalled_peer_are_one);
    FLIN_RUN(the_hard_limit_cuts_whole_frames_and_closes_1013);
    FLIN_RUN(no_progress_for_the_stall_time_closes_1013);
    FLIN_RUN(many_small_turns_to_a_stalled_peer_merge);
    FLIN_RUN(a_collector_sees_each_object_once);
    FLIN_RUN(an_abandoned_hub_lets_go_of_everybody_in_silence);
    return flin_test_end();
}
