/*
 * Fuzzes the way of a message through the core: masked frames arrive in pieces (also into the room
 * of a large payload, as readv() puts them there), the handler takes the bytes over and relays them
 * by reference to everybody, at once or while further messages wait; readers take some, stall, go.
 *
 * Claims: every handler call sees the message that was sent, in order; every peer receives what was
 * relayed while it was open, in order; nothing is left over. With failing allocations a peer may be
 * lost, but misses nothing in the middle.
 */
#define PEER_MAX 4u

#include "flin_fuzz.h"
#include "flin_test_hub.h"

#define MESSAGES_MAX 64u
#define MESSAGE_SIZE_MAX 700u
#define ID_SIZE 2u

typedef struct {
    test_bytes stream; /* masked frames that have not been fed yet */
    size_t fed;
    unsigned sent[MESSAGES_MAX], sent_count, handled_count;
    unsigned expected[MESSAGES_MAX * PEER_MAX], expected_count;
    bool is_open, waits;
} relay_peer;

typedef struct {
    test_hub test;
    relay_peer peers[PEER_MAX];
    uint16_t sizes[MESSAGES_MAX * PEER_MAX]; /* of messages, by id */
    unsigned message_count;
    unsigned how; /* handlers wait when bit 0 is set */
    bool may_fail;
    const uint8_t *program;
    size_t size, at;
} relay;

static relay *current;

static unsigned next_byte(relay *r) { return r->at < r->size ? r->program[r->at++] : 0; }

static void write_message(unsigned id, uint8_t *out, size_t size) {
    memset(out, (int)(id * 7 + 1), size);
    out[0] = (uint8_t)id;
    out[1] = (uint8_t)(id >> 8);
}

static bool on_message(test_hub *test, test_peer *peer, flin_message_event *event) {
    relay *r = current;
    unsigned index = (unsigned)(peer - test->peers);
    relay_peer *mine = &r->peers[index];
    uint8_t wanted[MESSAGE_SIZE_MAX];
    unsigned id;
    flin_buffer *taken;
    bool is_relayed, was_open[PEER_MAX];
    flin_payload payload = {.data = event->data, .size = event->size, .opcode = event->opcode};
    FUZZ_CHECK(mine->handled_count < mine->sent_count);
    id = mine->sent[mine->handled_count++];
    write_message(id, wanted, r->sizes[id]);
    FUZZ_CHECK(event->size == r->sizes[id] && memcmp(event->data, wanted, event->size) == 0);
    taken = flin_conn_take_message(&test->hub, peer->conn, event);
    payload.shared = taken;
    for (unsigned i = 0; i < PEER_MAX; i++) {
        const flin_conn *conn = test->peers[i].conn;
        was_open[i] = conn != NULL && conn->state == FLIN_CONN_OPEN;
    }
    FUZZ_CHECK(flin_log_begin(&test->hub, peer->conn));
    is_relayed = flin_log_publish(&test->hub, FLIN_EFFECT_ALL, NULL, NULL, &payload);
    FUZZ_CHECK(is_relayed || r->may_fail);
    flin_log_commit(&test->hub);
    for (unsigned i = 0; is_relayed && i < PEER_MAX; i++) {
        if (was_open[i]) r->peers[i].expected[r->peers[i].expected_count++] = id;
    }
    if (taken != NULL) flin_buffer_release(&test->hub.pool, taken);
    mine->waits = (r->how & 1u) != 0;
    return !mine->waits;
}

/* Whole frames received must be the expected ones; returns how many there are. */
static unsigned check_received(const relay *r, unsigned index) {
    const test_bytes *received = &r->test.peers[index].received;
    const relay_peer *mine = &r->peers[index];
    unsigned count = 0;
    for (size_t at = 0; at + 2 <= received->size;) {
        uint8_t frame[FLIN_FRAME_SERVER_HEADER_MAX + MESSAGE_SIZE_MAX];
        unsigned id;
        size_t size;
        if ((received->data[at] & 15u) == FLIN_OPCODE_CLOSE) break;
        if ((received->data[at] & 15u) == FLIN_OPCODE_PONG) {
            at += 2;
            continue;
        }
        FUZZ_CHECK(count < mine->expected_count);
        id = mine->expected[count];
        size = flin_frame_header_encode(frame, FLIN_OPCODE_BINARY, true, false, r->sizes[id]);
        write_message(id, frame + size, r->sizes[id]);
        size += r->sizes[id];
        if (received->size - at < size) break;
        FUZZ_CHECK(memcmp(received->data + at, frame, size) == 0);
        at += size;
        count++;
    }
    return count;
}

static void sync_peers(relay *r) {
    for (unsigned i = 0; i < PEER_MAX; i++) {
        const flin_conn *conn = r->test.peers[i].conn;
        (void)check_received(r, i);
        if (!r->peers[i].is_open || (conn != NULL && conn->state == FLIN_CONN_OPEN)) continue;
        FUZZ_CHECK(r->may_fail);
        r->peers[i].is_open = false;
    }
}

static void open_peer(relay *r, unsigned index) {
    test_peer *peer = &r->test.peers[index];
    if (peer->conn != NULL) return;
    bytes_free(&peer->received);
    bytes_free(&peer->log);
    bytes_free(&r->peers[index].stream);
    memset(peer, 0, sizeof *peer);
    memset(&r->peers[index], 0, sizeof r->peers[index]);
    peer->conn = flin_hub_open(&r->test.hub, &r->test.endpoint, peer, FLIN_COMPRESSION_NONE);
    FUZZ_CHECK(peer->conn != NULL || r->may_fail);
    if (peer->conn == NULL) return;
    r->peers[index].is_open = true;
    flin_conn_handler_done(&r->test.hub, peer->conn);
}

/* Append one message, perhaps in fragments with a ping between them, to what a peer will send. */
static void send_message(relay *r, unsigned index) {
    relay_peer *mine = &r->peers[index];
    unsigned how = next_byte(r);
    size_t size = ID_SIZE + (size_t)next_byte(r) * (1 + (how & 1u)), at = 0;
    unsigned fragments = 1 + ((how >> 1) & 3u);
    uint8_t message[MESSAGE_SIZE_MAX];
    if (!mine->is_open || mine->sent_count == MESSAGES_MAX) return;
    if (r->message_count == MESSAGES_MAX * PEER_MAX) return;
    r->sizes[r->message_count] = (uint16_t)size;
    mine->sent[mine->sent_count++] = r->message_count;
    write_message(r->message_count++, message, size);
    for (unsigned i = 0; i < fragments; i++) {
        size_t piece = i + 1 == fragments ? size - at : size / fragments;
        unsigned opcode = i == 0 ? FLIN_OPCODE_BINARY : FLIN_OPCODE_CONTINUATION;
        stream_frame(&mine->stream, opcode | (i + 1 == fragments ? TEST_FIN : 0), message + at,
                     piece);
        at += piece;
        if ((how & 8u) != 0) stream_frame(&mine->stream, TEST_FIN | FLIN_OPCODE_PING, NULL, 0);
    }
}

/* Feed some of what a peer sends: through the shared buffer, or into the room of its message. */
static void feed(relay *r, unsigned index, size_t size, bool into_room) {
    relay_peer *mine = &r->peers[index];
    flin_conn *conn = r->test.peers[index].conn;
    uint8_t *room, *copy;
    size_t room_size;
    if (conn == NULL || (conn->interest & FLIN_INTEREST_READ) == 0) return;
    if (size > mine->stream.size - mine->fed) size = mine->stream.size - mine->fed;
    if (into_room && (conn->flags & (FLIN_CONN_FAILED | FLIN_CONN_FINISHED)) == 0 &&
        (room_size = flin_message_room(&conn->input, &room)) > 0) {
        flin_message_event event;
        flin_status status;
        if (size > room_size) size = room_size;
        memcpy(room, mine->stream.data + mine->fed, size);
        mine->fed += size;
        *flin_conn_heard_ms(&r->test.hub.slab, conn) = r->test.hub.now_ms;
        status = flin_message_commit(&conn->input, size, &event);
        if (status == FLIN_OK) {
            conn->flags |= FLIN_CONN_READING;
            flin_conn_handle_event(&r->test.hub, conn, &event);
            conn->flags &= ~FLIN_CONN_READING;
        } else if (status != FLIN_NEED_MORE) {
            flin_conn_fail(&r->test.hub, conn, status);
        }
        size = 0; /* the parser lets go of the message only when it is called again */
    }
    copy = fuzz_copy(mine->stream.data == NULL ? NULL : mine->stream.data + mine->fed, size);
    mine->fed += size;
    flin_conn_feed(&r->test.hub, conn, copy, size);
    free(copy);
}

static void turn(relay *r) {
    flin_conn *conn;
    flin_hub_flush(&r->test.hub);
    while ((conn = flin_hub_next_transport(&r->test.hub)) != NULL) {
        test_peer *peer = conn->user;
        unsigned how = next_byte(r);
        if ((how & 3u) != 0) {
            while (conn->segment_count > 0) test_take(&r->test, peer, SIZE_MAX);
        } else {
            test_take(&r->test, peer, how);
        }
        flin_conn_flushed(&r->test.hub, conn, conn->segment_count > 0, 0);
    }
    flin_hub_reap(&r->test.hub);
    sync_peers(r);
}

static void finish_handler(relay *r, unsigned index) {
    test_peer *peer = &r->test.peers[index];
    if (peer->conn == NULL || !r->peers[index].waits) return;
    r->peers[index].waits = false;
    flin_conn_handler_done(&r->test.hub, peer->conn);
}

static void step(relay *r) {
    unsigned what = next_byte(r), index = (what >> 3) % PEER_MAX;
    test_peer *peer = &r->test.peers[index];
    switch (what & 7u) {
    case 0:
        open_peer(r, index);
        break;
    case 1:
        send_message(r, index);
        break;
    case 2:
    case 3:
        feed(r, index, (size_t)next_byte(r) * 4, (what & 1u) != 0);
        break;
    case 4:
        turn(r);
        break;
    case 5:
        finish_handler(r, index);
        break;
    case 6:
        r->how = what >> 5;
        if ((what & 0x40u) != 0) flin_hub_sweep(&r->test.hub);
        break;
    default:
        if (peer->conn == NULL || (what & 0xc0u) != 0) break;
        flin_conn_lost(&r->test.hub, peer->conn, (what & 0x20u) != 0);
        r->peers[index].is_open = false;
        break;
    }
}

/* Everything that was sent arrives, everything that was relayed leaves, then everybody goes. */
static void finish(relay *r) {
    flin_memory_countdown = -1;
    r->how = 0;
    for (unsigned round = 0; round < 2 * MESSAGES_MAX * PEER_MAX; round++) {
        bool is_done = true;
        for (unsigned i = 0; i < PEER_MAX; i++) {
            finish_handler(r, i);
            if (!r->peers[i].is_open) continue;
            feed(r, i, SIZE_MAX / 2, false);
            is_done &= r->peers[i].fed == r->peers[i].stream.size && !r->peers[i].waits;
        }
        test_settle(&r->test);
        for (unsigned i = 0; i < PEER_MAX; i++) {
            if (r->test.peers[i].conn != NULL) test_take_all(&r->test, &r->test.peers[i]);
        }
        if (is_done && !flin_hub_has_work(&r->test.hub)) break;
    }
    sync_peers(r);
    for (unsigned i = 0; i < PEER_MAX; i++) {
        if (r->peers[i].is_open) {
            FUZZ_CHECK(r->peers[i].handled_count == r->peers[i].sent_count);
            FUZZ_CHECK(check_received(r, i) == r->peers[i].expected_count);
        }
        if (r->test.peers[i].conn != NULL) {
            flin_conn_lost(&r->test.hub, r->test.peers[i].conn, false);
        }
        finish_handler(r, i);
    }
    test_settle(&r->test);
    test_check_empty(&r->test);
    FUZZ_CHECK(flin_test_failure_count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    relay *r = calloc(1, sizeof *r);
    FUZZ_CHECK(r);
    current = r;
    r->program = data;
    r->size = size > 1024 ? 0 : size;
    test_hub_start(&r->test);
    r->test.endpoint.queue_hard = UINT32_MAX;
    r->test.on_message = on_message;
    r->may_fail = (next_byte(r) & 1u) != 0;
    while (r->at < r->size) {
        if (r->may_fail && flin_memory_countdown < 0) flin_memory_countdown = (long)next_byte(r);
        step(r);
    }
    finish(r);
    test_hub_end(&r->test);
    for (unsigned i = 0; i < PEER_MAX; i++) bytes_free(&r->peers[i].stream);
    free(r);
    return 0;
}
