/* Batches and the effect log: what is shared, in which order it leaves, and who is left out. */
#include "flin_test_hub.h"

static test_hub test;
static test_peer *a, *b, *c;

static void start(void) {
    test_hub_start(&test);
    a = test_open(&test, &test.endpoint, false);
    b = test_open(&test, &test.endpoint, false);
    c = test_open(&test, &test.endpoint, false);
    test_join(&test, a, "room");
    test_join(&test, b, "room");
    test_join(&test, c, "room");
}

static void end(void) {
    for (unsigned i = 0; i < PEER_MAX; i++) {
        if (test.peers[i].conn) flin_conn_lost(&test.hub, test.peers[i].conn, false);
    }
    test_settle(&test);
    test_check_empty(&test);
    test_hub_end(&test);
}

static void later_messages_of_a_turn_share_one_segment(void) {
    start();
    for (unsigned i = 0; i < 100; i++) test_publish(&test, "room", NULL, "tick");
    FLIN_CHECK_EQ(a->conn->segment_count, 1);
    FLIN_CHECK(a->conn->segments[0].buffer == b->conn->segments[0].buffer);
    FLIN_CHECK_EQ(a->conn->segments[0].buffer->refs, 4); /* three members and the batch */
    test_settle(&test);
    FLIN_CHECK_EQ(a->received.size, 600);
    FLIN_CHECK_EQ(test.hub.stats.deliveries, 300);
    FLIN_CHECK_EQ(test.hub.stats.messages_out, 100);
    end();
}

static void a_direct_send_in_between_keeps_its_place(void) {
    start();
    test_publish(&test, "room", NULL, "1");
    test_send(&test, b, "mine");
    test_publish(&test, "room", NULL, "2");
    test_publish(&test, "room", NULL, "3");
    FLIN_CHECK_EQ(a->conn->segment_count, 1);
    FLIN_CHECK_EQ(b->conn->segment_count, 3);
    test_settle(&test);
    CHECK_RECEIVED(a, "1|2|3|");
    CHECK_RECEIVED(b, "1|mine|2|3|");
    end();
}

static void the_sender_left_out_gets_what_comes_before_and_after(void) {
    start();
    test_publish(&test, "room", NULL, "1");
    test_publish(&test, "room", b, "2");
    test_publish(&test, "room", b, "3");
    test_publish(&test, "room", NULL, "4");
    test_settle(&test);
    CHECK_RECEIVED(a, "1|2|3|4|");
    CHECK_RECEIVED(b, "1|4|");
    end();
}

static void the_first_message_may_leave_somebody_out(void) {
    start();
    test_publish(&test, "room", c, "1");
    test_publish(&test, "room", NULL, "2");
    test_settle(&test);
    CHECK_RECEIVED(c, "2|");
    CHECK_RECEIVED(a, "1|2|");
    end();
}

static void joining_and_leaving_in_a_turn_take_effect_between_messages(void) {
    start();
    test_publish(&test, "room", NULL, "1");
    test_leave(&test, b, "room");
    test_publish(&test, "room", NULL, "2");
    test_join(&test, b, "room");
    test_publish(&test, "room", NULL, "3");
    test_settle(&test);
    CHECK_RECEIVED(a, "1|2|3|");
    CHECK_RECEIVED(b, "1|3|");
    end();
}

static void two_rooms_of_one_member_interleave(void) {
    start();
    test_join(&test, a, "other");
    test_publish(&test, "room", NULL, "r1");
    test_publish(&test, "other", NULL, "o1");
    test_publish(&test, "room", NULL, "r2");
    test_publish(&test, "other", NULL, "o2");
    test_settle(&test);
    CHECK_RECEIVED(a, "r1|o1|r2|o2|");
    CHECK_RECEIVED(b, "r1|r2|");
    end();
}

static void a_batch_beyond_its_size_goes_on_in_a_new_buffer(void) {
    char text[4001];
    memset(text, 'y', 4000);
    text[4000] = '\0';
    start();
    for (unsigned i = 0; i < 40; i++) test_publish(&test, "room", NULL, text);
    FLIN_CHECK_EQ(a->conn->segment_count, 3);
    FLIN_CHECK(a->conn->segments[0].buffer->size <= FLIN_BATCH_BUFFER_MAX);
    test_settle(&test);
    FLIN_CHECK_EQ(a->received.size, 40 * 4004);
    end();
}

static void a_large_message_is_one_buffer_for_all(void) {
    char *text = calloc(1, FLIN_LARGE_PAYLOAD_MIN + 1);
    memset(text, 'z', FLIN_LARGE_PAYLOAD_MIN);
    start();
    test_publish(&test, "room", NULL, "before");
    test_publish(&test, "room", NULL, text);
    test_publish(&test, "room", NULL, "after");
    FLIN_CHECK(a->conn->segments[1].buffer == c->conn->segments[1].buffer);
    test_settle(&test);
    CHECK_RECEIVED(a, "before|zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz|after|");
    free(text);
    end();
}

static void readers_of_deflate_get_the_twin(void) {
    start();
    test_peer *d = test_open(&test, &test.endpoint, true);
    test_join(&test, d, "room");
    flin_payload payload = test_text("plain");
    payload.twin = (const uint8_t *)"tw";
    payload.twin_size = 2;
    FLIN_CHECK(flin_log_begin(&test.hub, NULL));
    FLIN_CHECK(flin_log_publish(&test.hub, FLIN_EFFECT_ROOM,
                                flin_room_find(&test.hub.rooms, "room", 4), NULL, &payload));
    FLIN_CHECK(flin_log_send(&test.hub, d->conn, &payload));
    FLIN_CHECK(flin_log_send(&test.hub, a->conn, &payload));
    flin_log_commit(&test.hub);
    test_publish(&test, "room", NULL, "no twin");
    test_settle(&test);
    CHECK_RECEIVED(a, "plain|plain|no twin|");
    CHECK_RECEIVED(d, "tw|tw|no twin|");
    FLIN_CHECK_EQ(d->received.data[0], TEST_FIN | TEST_RSV1 | FLIN_OPCODE_TEXT);
    FLIN_CHECK_EQ(d->received.data[8], TEST_FIN | FLIN_OPCODE_TEXT);
    end();
}

static void a_slow_peer_keeps_references_not_copies(void) {
    start();
    test_publish(&test, "room", NULL, "shared");
    flin_hub_flush(&test.hub);
    test_take_all(&test, a);
    test_take(&test, b, 3);
    flin_conn_flushed(&test.hub, b->conn, true, 0);
    FLIN_CHECK(b->conn->segments[0].buffer == c->conn->segments[0].buffer);
    FLIN_CHECK_EQ(b->conn->backlog, 5);
    test_publish(&test, "room", NULL, "next");
    test_settle(&test);
    CHECK_RECEIVED(b, "shared|next|");
    end();
}

static void a_cut_keeps_only_the_frame_that_has_begun(void) {
    start();
    test_publish(&test, "room", NULL, "first");
    test_send(&test, a, "second");
    test_send(&test, a, "third");
    flin_hub_flush(&test.hub);
    test_take(&test, a, 7 + 8 + 2); /* two whole frames and the header of "third" */
    flin_conn_close_slow(&test.hub, a->conn);
    FLIN_CHECK_EQ(test.hub.stats.dropped, 0);
    test_settle(&test);
    CHECK_RECEIVED(a, "first|second|third|<8:1013>|");
    end();
}

static void a_cut_at_a_boundary_keeps_nothing(void) {
    start();
    test_publish(&test, "room", NULL, "first");
    test_send(&test, a, "second");
    test_publish(&test, "room", NULL, "third");
    flin_hub_flush(&test.hub);
    test_take(&test, a, 7);
    flin_conn_close_slow(&test.hub, a->conn);
    FLIN_CHECK_EQ(test.hub.stats.dropped, 2);
    test_settle(&test);
    CHECK_RECEIVED(a, "first|<8:1013>|");
    end();
}

static void a_cut_walks_frames_of_every_length_form(void) {
    static const size_t SIZES[] = {0, 125, 126, 65535, 65536, 3};
    for (size_t cut = 0; cut < 131500; cut += 1 + cut / 3) {
        start();
        for (unsigned i = 0; i < 6; i++) {
            char *text = calloc(1, SIZES[i] + 1);
            memset(text, 'a' + (int)i, SIZES[i]);
            test_send(&test, a, text);
            free(text);
        }
        flin_hub_flush(&test.hub);
        test_take(&test, a, cut);
        flin_conn_close_slow(&test.hub, a->conn);
        test_settle(&test);
        const char *received = test_received(a);
        FLIN_CHECK(strstr(received, "<8:1013>|") != NULL);
        FLIN_CHECK(strchr(received, '~') == NULL);
        FLIN_CHECK(a->received.size < cut + 65546 + 60);
        end();
    }
}

/* --- the effect log ---------------------------------------------------------------------------- */

static void record_send(test_peer *peer, const char *text) {
    flin_payload payload = test_text(text);
    FLIN_CHECK(flin_log_send(&test.hub, peer->conn, &payload));
}

static void a_rolled_back_handler_leaves_nothing(void) {
    start();
    flin_room *fresh = flin_room_need(&test.hub.rooms, "fresh", 5);
    FLIN_CHECK(flin_log_begin(&test.hub, a->conn));
    FLIN_CHECK(!flin_log_begin(&test.hub, b->conn));
    record_send(a, "never");
    FLIN_CHECK(flin_log_membership(&test.hub, FLIN_EFFECT_JOIN, a->conn, fresh));
    FLIN_CHECK(flin_log_close(&test.hub, a->conn, 1000, "x", 1));
    flin_log_rollback(&test.hub);
    test_settle(&test);
    CHECK_RECEIVED(a, "");
    FLIN_CHECK_EQ(a->conn->state, FLIN_CONN_OPEN);
    FLIN_CHECK(flin_room_find(&test.hub.rooms, "fresh", 5) == NULL);
    end();
}

static void a_join_counts_before_the_broadcast_behind_it(void) {
    start();
    flin_room *room = flin_room_need(&test.hub.rooms, "new", 3);
    flin_payload payload = test_text("hello");
    FLIN_CHECK(flin_log_begin(&test.hub, a->conn));
    FLIN_CHECK(!flin_log_is_member(&test.hub, a->conn, room));
    FLIN_CHECK(flin_log_membership(&test.hub, FLIN_EFFECT_JOIN, a->conn, room));
    FLIN_CHECK(flin_log_is_member(&test.hub, a->conn, room));
    FLIN_CHECK_EQ(flin_log_room_count(&test.hub, a->conn), 2);
    FLIN_CHECK_EQ(room->count, 0);
    FLIN_CHECK(flin_log_publish(&test.hub, FLIN_EFFECT_ROOM, room, NULL, &payload));
    FLIN_CHECK(flin_log_membership(&test.hub, FLIN_EFFECT_LEAVE, a->conn, room));
    FLIN_CHECK(!flin_log_is_member(&test.hub, a->conn, room));
    flin_log_commit(&test.hub);
    test_settle(&test);
    CHECK_RECEIVED(a, "hello|");
    FLIN_CHECK(flin_room_find(&test.hub.rooms, "new", 3) == NULL);
    end();
}

static flin_log *hold_send(test_peer *current, const char *text) {
    FLIN_CHECK(flin_log_begin(&test.hub, current ? current->conn : NULL));
    record_send(a, text);
    return flin_log_hold(&test.hub);
}

static void held_effects_of_a_connection_leave_in_handler_order(void) {
    start();
    flin_log *first = hold_send(a, "1");
    flin_log *second = hold_send(a, "2");
    FLIN_CHECK(flin_log_begin(&test.hub, a->conn));
    record_send(a, "3");
    flin_log_commit(&test.hub); /* behind what is held */
    FLIN_CHECK(flin_log_begin(&test.hub, b->conn));
    record_send(a, "b");
    flin_log_commit(&test.hub); /* of another connection: at once */
    test_settle(&test);
    CHECK_RECEIVED(a, "b|");
    flin_log_release(&test.hub, second); /* too early: it waits for the first */
    test_settle(&test);
    CHECK_RECEIVED(a, "b|");
    flin_log_release(&test.hub, first);
    test_settle(&test);
    CHECK_RECEIVED(a, "b|1|2|3|");
    end();
}

static void discarded_effects_let_later_ones_pass(void) {
    start();
    flin_log *first = hold_send(a, "lost");
    FLIN_CHECK(flin_log_begin(&test.hub, a->conn));
    record_send(a, "kept");
    flin_log_commit(&test.hub);
    flin_log_discard(&test.hub, first);
    test_settle(&test);
    CHECK_RECEIVED(a, "kept|");
    end();
}

static void held_effects_keep_the_slot_and_still_reach_others(void) {
    start();
    FLIN_CHECK(flin_log_begin(&test.hub, a->conn));
    record_send(b, "from the departed");
    flin_log *held = flin_log_hold(&test.hub);
    flin_conn_lost(&test.hub, a->conn, false);
    test_settle(&test);
    FLIN_CHECK_EQ(a->closed_count, 1);
    FLIN_CHECK(!a->is_freed);
    flin_log_release(&test.hub, held);
    test_settle(&test);
    FLIN_CHECK(a->is_freed);
    CHECK_RECEIVED(b, "from the departed|");
    end();
}

static void effects_without_a_connection_leave_at_their_release(void) {
    start();
    flin_log *first = hold_send(NULL, "1"), *second = hold_send(NULL, "2");
    flin_log_release(&test.hub, second);
    flin_log_discard(&test.hub, first);
    test_settle(&test);
    CHECK_RECEIVED(a, "2|");
    end();
}

static void a_union_reaches_everybody_once(void) {
    flin_endpoint chat;
    start();
    chat = test.endpoint;
    chat.room = NULL;
    test_peer *d = test_open(&test, &chat, false), *e = test_open(&test, &chat, false);
    test_join(&test, d, "room"); /* in the endpoint and in the room */
    flin_payload payload = test_text("once");
    FLIN_CHECK(flin_log_begin(&test.hub, e->conn));
    FLIN_CHECK(flin_log_publish(&test.hub, FLIN_EFFECT_UNION,
                                flin_room_find(&test.hub.rooms, "room", 4), NULL, &payload));
    payload = test_text("others");
    FLIN_CHECK(flin_log_publish(&test.hub, FLIN_EFFECT_UNION, NULL, e->conn, &payload));
    flin_log_commit(&test.hub);
    test_settle(&test);
    CHECK_RECEIVED(a, "once|");
    CHECK_RECEIVED(d, "once|others|");
    CHECK_RECEIVED(e, "once|");
    test_leave(&test, d, "room");
    FLIN_CHECK_EQ(chat.room->count, 2);
    flin_conn_lost(&test.hub, d->conn, false);
    flin_conn_lost(&test.hub, e->conn, false);
    test_settle(&test);
    flin_endpoint_unbind(&test.hub, &chat);
    end();
}

static void memory_returns_after_large_messages(void) {
    char *text = calloc(1, (1 << 20) + 1);
    memset(text, 'q', 1 << 20);
    start();
    for (unsigned i = 0; i < 10; i++) test_publish(&test, "room", NULL, text);
    FLIN_CHECK(test.hub.pool.retained_bytes >= 10u << 20);
    test_settle(&test);
    FLIN_CHECK_EQ(test.hub.pool.retained_bytes, 0);
    FLIN_CHECK(test.hub.log.capacity <= 64 << 10);
    free(text);
    end();
}

int main(void) {
    FLIN_RUN(later_messages_of_a_turn_share_one_segment);
    FLIN_RUN(a_direct_send_in_between_keeps_its_place);
    FLIN_RUN(the_sender_left_out_gets_what_comes_before_and_after);
    FLIN_RUN(the_first_message_may_leave_somebody_out);
    FLIN_RUN(joining_and_leaving_in_a_turn_take_effect_between_messages);
    FLIN_RUN(two_rooms_of_one_member_interleave);
    FLIN_RUN(a_batch_beyond_its_size_goes_on_in_a_new_buffer);
    FLIN_RUN(a_large_message_is_one_buffer_for_all);
    FLIN_RUN(readers_of_deflate_get_the_twin);
    FLIN_RUN(a_slow_peer_keeps_references_not_copies);
    FLIN_RUN(a_cut_keeps_only_the_frame_that_has_begun);
    FLIN_RUN(a_cut_at_a_boundary_keeps_nothing);
    FLIN_RUN(a_cut_walks_frames_of_every_length_form);
    FLIN_RUN(a_rolled_back_handler_leaves_nothing);
    FLIN_RUN(a_join_counts_before_the_broadcast_behind_it);
    FLIN_RUN(held_effects_of_a_connection_leave_in_handler_order);
    FLIN_RUN(discarded_effects_let_later_ones_pass);
    FLIN_RUN(held_effects_keep_the_slot_and_still_reach_others);
    FLIN_RUN(effects_without_a_connection_leave_at_their_release);
    FLIN_RUN(a_union_reaches_everybody_once);
    FLIN_RUN(memory_returns_after_large_messages);
    return flin_test_end();
}
