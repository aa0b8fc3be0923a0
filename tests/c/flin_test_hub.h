/**
 * A hub whose connections write into memory: frames in, frames out, callbacks that count.
 */
#ifndef FLIN_TEST_HUB_H
#define FLIN_TEST_HUB_H

#include "flin_hub.h"
#include "flin_memory.h"
#include "flin_test_stream.h"

#ifndef PEER_MAX
#define PEER_MAX 64u
#endif

/* The far end of one connection, and what its application saw. */
typedef struct {
    flin_conn *conn; /* NULL once freed */
    test_bytes received;
    test_bytes log; /* payloads of delivered messages, each followed by '|' */
    unsigned closed_count;
    uint16_t close_code; /* as `on close` saw it */
    uint32_t rooms_at_close;
    bool is_detached, is_reset, is_freed;
} test_peer;

typedef struct test_hub test_hub;
typedef bool (*test_handler)(test_hub *test, test_peer *peer, flin_message_event *event);

struct test_hub {
    flin_hub hub;
    flin_endpoint endpoint;
    test_peer peers[PEER_MAX];
    test_handler on_message; /* NULL: log only */
    test_handler on_closed;
};

static inline bool test_on_message(void *user, flin_conn *conn, flin_message_event *event) {
    test_hub *test = user;
    test_peer *peer = conn->user;
    bytes_append(&peer->log, event->data, event->size);
    bytes_append(&peer->log, "|", 1);
    return test->on_message == NULL || test->on_message(test, peer, event);
}

static inline bool test_on_closed(void *user, flin_conn *conn) {
    test_hub *test = user;
    test_peer *peer = conn->user;
    peer->closed_count++;
    peer->close_code = conn->close_code;
    peer->rooms_at_close = conn->membership_count;
    return test->on_closed == NULL || test->on_closed(test, peer, NULL);
}

static inline void test_on_detach(void *user, flin_conn *conn, bool reset) {
    test_peer *peer = conn->user;
    (void)user;
    peer->is_detached = true;
    peer->is_reset = reset;
}

static inline void test_on_freed(void *user, flin_conn *conn) {
    test_peer *peer = conn->user;
    (void)user;
    peer->is_freed = true;
    peer->conn = NULL;
}

static inline void test_hub_start(test_hub *test) {
    static const flin_callbacks CALLBACKS = {test_on_message, test_on_closed, test_on_detach,
                                             test_on_freed};
    flin_hub_options options = {.key = {1, 2},
                                .heartbeat_ms = 15000,
                                .timeout_ms = 30000,
                                .close_ms = 5000,
                                .rooms_max = 8,
                                .retained_max = SIZE_MAX};
    memset(test, 0, sizeof *test);
    test->endpoint.limits[0] = TEST_LIMITS;
    test->endpoint.limits[1] = TEST_LIMITS;
    test->endpoint.limits[1].allow_rsv1 = true;
    test->endpoint.queue_soft = 64 << 10;
    test->endpoint.queue_hard = 1 << 20;
    test->endpoint.stall_ms = 10000;
    FLIN_CHECK(flin_hub_init(&test->hub, &options, &CALLBACKS, test));
    test->hub.now_ms = 1000;
}

static inline void test_hub_end(test_hub *test) {
    flin_hub_free(&test->hub);
    flin_endpoint_unbind(&test->hub, &test->endpoint);
    for (unsigned i = 0; i < PEER_MAX; i++) {
        bytes_free(&test->peers[i].received);
        bytes_free(&test->peers[i].log);
    }
}

/* Open a connection whose `on connect` has finished; NULL without memory. */
static inline test_peer *test_open(test_hub *test, flin_endpoint *endpoint, bool deflate) {
    for (unsigned i = 0; i < PEER_MAX; i++) {
        test_peer *peer = &test->peers[i];
        if (peer->conn != NULL) continue;
        bytes_free(&peer->received);
        bytes_free(&peer->log);
        memset(peer, 0, sizeof *peer);
        peer->conn = flin_hub_open(&test->hub, endpoint, peer, deflate);
        if (peer->conn == NULL) return NULL;
        flin_conn_handler_done(&test->hub, peer->conn);
        return peer;
    }
    return NULL;
}

/* Take up to `limit` bytes of a connection's output. */
static inline void test_take(test_hub *test, test_peer *peer, size_t limit) {
    struct iovec vectors[FLIN_OUTPUT_VECTOR_MAX];
    size_t total, taken = 0;
    unsigned count = flin_output_peek(peer->conn, vectors, FLIN_OUTPUT_VECTOR_MAX, &total);
    for (unsigned i = 0; i < count && taken < limit; i++) {
        size_t size = vectors[i].iov_len < limit - taken ? vectors[i].iov_len : limit - taken;
        bytes_append(&peer->received, vectors[i].iov_base, size);
        taken += size;
    }
    flin_output_consume(&test->hub, peer->conn, taken);
}

static inline void test_take_all(test_hub *test, test_peer *peer) {
    while (peer->conn->segment_count > 0) test_take(test, peer, SIZE_MAX);
    flin_conn_flushed(&test->hub, peer->conn, false, 0);
}

/* A whole turn: everything leaves, sockets close, `on close` runs. */
static inline void test_settle(test_hub *test) {
    while (flin_hub_has_work(&test->hub)) {
        flin_conn *conn;
        flin_hub_flush(&test->hub);
        while ((conn = flin_hub_next_transport(&test->hub)) != NULL)
            test_take_all(test, conn->user);
        flin_hub_reap(&test->hub);
    }
}

/* Like test_settle(), but this peer's side takes nothing. */
static inline void test_settle_but(test_hub *test, const test_peer *stalled) {
    for (unsigned round = 0; round < 4 && flin_hub_has_work(&test->hub); round++) {
        flin_conn *conn;
        flin_hub_flush(&test->hub);
        while ((conn = flin_hub_next_transport(&test->hub)) != NULL) {
            if (conn->user == stalled) {
                flin_conn_flushed(&test->hub, conn, conn->segment_count > 0, 0);
            } else {
                test_take_all(test, conn->user);
            }
        }
        flin_hub_reap(&test->hub);
    }
}

static inline void test_feed(test_hub *test, test_peer *peer, const test_bytes *stream) {
    uint8_t *copy = flin_test_copy(stream->data, stream->size);
    flin_conn_feed(&test->hub, peer->conn, copy, stream->size);
    free(copy);
}

/* Feed one masked frame. */
static inline void test_feed_frame(test_hub *test, test_peer *peer, unsigned first,
                                   const void *payload, size_t size) {
    test_bytes stream = {0};
    stream_frame(&stream, first, payload, size);
    test_feed(test, peer, &stream);
    bytes_free(&stream);
}

static inline void test_feed_text(test_hub *test, test_peer *peer, const char *text) {
    test_feed_frame(test, peer, TEST_FIN | FLIN_OPCODE_TEXT, text, strlen(text));
}

static inline flin_payload test_text(const char *text) {
    flin_payload payload = {
        .data = (const uint8_t *)text, .size = strlen(text), .opcode = FLIN_OPCODE_TEXT};
    return payload;
}

/* Effects, each in a handler of its own that succeeds. */
static inline void test_join(test_hub *test, test_peer *peer, const char *name) {
    flin_room *room = flin_room_need(&test->hub.rooms, name, strlen(name));
    FLIN_CHECK(flin_log_begin(&test->hub, peer->conn));
    FLIN_CHECK(flin_log_membership(&test->hub, FLIN_EFFECT_JOIN, peer->conn, room));
    flin_log_commit(&test->hub);
}

static inline void test_leave(test_hub *test, test_peer *peer, const char *name) {
    flin_room *room = flin_room_find(&test->hub.rooms, name, strlen(name));
    FLIN_CHECK(flin_log_begin(&test->hub, peer->conn));
    FLIN_CHECK(flin_log_membership(&test->hub, FLIN_EFFECT_LEAVE, peer->conn, room));
    flin_log_commit(&test->hub);
}

static inline void test_send(test_hub *test, test_peer *peer, const char *text) {
    flin_payload payload = test_text(text);
    FLIN_CHECK(flin_log_begin(&test->hub, NULL));
    FLIN_CHECK(flin_log_send(&test->hub, peer->conn, &payload));
    flin_log_commit(&test->hub);
}

static inline void test_publish(test_hub *test, const char *name, const test_peer *except,
                                const char *text) {
    flin_room *room = flin_room_find(&test->hub.rooms, name, strlen(name));
    flin_payload payload = test_text(text);
    FLIN_CHECK(room != NULL);
    FLIN_CHECK(flin_log_begin(&test->hub, NULL));
    FLIN_CHECK(flin_log_publish(&test->hub, FLIN_EFFECT_ROOM, room,
                                except == NULL ? NULL : except->conn, &payload));
    flin_log_commit(&test->hub);
}

/* Received frames as text: payloads of messages, `<opcode:payload>` of control frames, each ends
 * with '|'. A frame that is cut short shows as '~'. */
static inline char *test_received(const test_peer *peer) {
    static char text[1 << 16];
    size_t at = 0, out = 0;
    const uint8_t *data = peer->received.data;
    while (at + 2 <= peer->received.size && out + 200 < sizeof text) {
        unsigned opcode = data[at] & 15u;
        size_t size = data[at + 1], header = 2;
        if (size == 126) {
            size = (size_t)data[at + 2] << 8 | data[at + 3];
            header = 4;
        } else if (size == 127) {
            size = (size_t)data[at + 6] << 24 | (size_t)data[at + 7] << 16 |
                   (size_t)data[at + 8] << 8 | data[at + 9];
            header = 10;
        }
        if (at + header + size > peer->received.size) {
            text[out++] = '~';
            break;
        }
        if (opcode >= 8) out += (size_t)sprintf(text + out, "<%u:", opcode);
        if (opcode == 8 && size >= 2) {
            unsigned code = (unsigned)data[at + header] << 8 | data[at + header + 1];
            out += (size_t)sprintf(text + out, "%u", code);
        } else {
            size_t shown = size < 40 ? size : 40;
            memcpy(text + out, data + at + header, shown);
            out += shown;
        }
        if (opcode >= 8) text[out++] = '>';
        text[out++] = '|';
        at += header + size;
    }
    text[out] = '\0';
    return text;
}

static inline void test_check_text(const char *file, int line, const char *actual,
                                   const char *expected) {
    char message[512];
    if (strcmp(actual, expected) == 0) return;
    (void)snprintf(message, sizeof message, "got \"%.200s\", expected \"%.200s\"", actual,
                   expected);
    flin_test_fail(file, line, message);
}

#define CHECK_RECEIVED(peer, expected)                                                             \
    test_check_text(__FILE__, __LINE__, test_received(peer), expected)

#define CHECK_LOG(peer, expected) FLIN_CHECK(log_equals(&(peer)->log, expected))

/* Nothing may be left over once every connection is gone. */
static inline void test_check_empty(test_hub *test) {
    FLIN_CHECK_EQ(test->hub.slab.used_count, 0);
    FLIN_CHECK_EQ(test->hub.rooms.used, 0);
    FLIN_CHECK_EQ(test->hub.rooms.occupied_count, 0);
    FLIN_CHECK_EQ(test->hub.all->count, 0);
    FLIN_CHECK_EQ(test->hub.pool.retained_bytes, 0);
    FLIN_CHECK_EQ(test->hub.backlog_bytes, 0);
    FLIN_CHECK_EQ(test->hub.watch_head, FLIN_SLOT_NONE);
}

#endif
