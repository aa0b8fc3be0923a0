/**
 * Random programs against a hub and against the plainest model there is: per connection a list of
 * the messages it must receive. A program is bytes, so that a fuzzer can write one.
 *
 * Claims: every connection receives what the model says, in order, once, however its output is cut
 * and stalled; `on close` runs once; rooms and counts agree; nothing is left over at the end. With
 * failing allocations a connection may be lost, but what it received is never short of a message
 * in the middle, and a connection that lives has received everything. What the hub counts (bytes
 * refused, bytes held, references, messages) is what a count by hand finds.
 */
#ifndef FLIN_TEST_MODEL_H
#define FLIN_TEST_MODEL_H

#include "flin_test_hub.h"

#ifndef MODEL_PEERS /* a fuzzer defines a smaller world */
#define MODEL_PEERS 12u
#define MODEL_EXPECTED_MAX 4096u
#define MODEL_EFFECTS_MAX 12u
#define MODEL_LOGS 24u
#endif
#define MODEL_ROOMS 5u
#define MODEL_ENDPOINTS 2u
#define MODEL_ID_SIZE 4u
/* Bytes; small, so that peers are often slow. */
#define MODEL_QUEUE_SOFT (FLIN_LARGE_PAYLOAD_MIN / 8)
#define MODEL_BUFFERS_MAX 4096u

typedef struct {
    flin_effect_kind kind;
    unsigned peer;   /* target, member, or the one left out; MODEL_PEERS for none */
    uint64_t serial; /* of that peer when it was named */
    unsigned room;
    uint32_t message;
    bool has_twin;
    bool has_room; /* the room existed when it was named */
    bool is_volatile;
} model_effect;

typedef struct {
    model_effect effects[MODEL_EFFECTS_MAX];
    unsigned count;
    unsigned current; /* MODEL_PEERS for none */
    uint64_t serial;
    flin_log *log; /* NULL: free place */
    uint64_t order;
    bool is_settled; /* released or discarded, maybe still waiting its turn */
    bool is_discarded;
} model_log;

typedef struct {
    bool is_open;
    uint64_t serial; /* differs for every connection ever opened */
    unsigned endpoint;
    bool deflate;
    bool rooms[MODEL_ROOMS];
    uint32_t expected[MODEL_EXPECTED_MAX]; /* message << 1 | compressed */
    unsigned expected_count;
    bool is_slow; /* left more than its soft mark when it was last offered its output */
} model_peer;

typedef struct {
    test_hub test;
    flin_endpoint endpoints[MODEL_ENDPOINTS];
    model_peer peers[MODEL_PEERS];
    model_log logs[MODEL_LOGS];
    uint64_t serial, order;
    uint32_t message;
    bool may_fail; /* allocations fail now and then */
    const uint8_t *program;
    size_t size, at;
} model;

static inline unsigned model_byte(model *m) { return m->at < m->size ? m->program[m->at++] : 0; }

static inline const char *model_room_name(unsigned room) {
    static const char *const NAMES[MODEL_ROOMS] = {"", "a", "room", "another room", "\xc3\xa9"};
    return NAMES[room];
}

/* --- messages: an id, then filling that depends on it ------------------------------------------ */

static inline size_t model_message_size(uint32_t message) {
    static const size_t SIZES[8] = {5,
                                    6,
                                    60,
                                    130,
                                    FLIN_LARGE_PAYLOAD_MIN - 1,
                                    FLIN_LARGE_PAYLOAD_MIN / 4,
                                    FLIN_LARGE_PAYLOAD_MIN,
                                    FLIN_BATCH_BUFFER_MAX + 1000};
    return SIZES[(message >> 1) % 4 == 3 ? (message >> 3) % 8 : message % 3];
}

static inline void model_message_write(uint32_t message, uint8_t *out, size_t size) {
    memset(out, (int)(message * 7), size);
    memcpy(out, &message, MODEL_ID_SIZE);
}

/* What a peer's bytes must be so far: every whole frame is the next expected one. */
static inline unsigned model_check_received(model *m, unsigned index) {
    static _Thread_local uint8_t body[FLIN_BATCH_BUFFER_MAX + 1000];
    const test_bytes *received = &m->test.peers[index].received;
    const model_peer *peer = &m->peers[index];
    size_t at = 0;
    unsigned count = 0;
    while (at + 2 <= received->size) {
        uint8_t header[FLIN_FRAME_SERVER_HEADER_MAX];
        uint32_t message;
        size_t size, header_size;
        bool is_twin;
        if ((received->data[at] & 15u) == FLIN_OPCODE_CLOSE) return count;
        if (count == peer->expected_count) {
            flin_test_fail(__FILE__, __LINE__, "received more than was sent");
            return count;
        }
        message = peer->expected[count] >> 1;
        is_twin = peer->expected[count] & 1u;
        size = model_message_size(message) - (is_twin ? 1 : 0);
        header_size = flin_frame_header_encode(header, FLIN_OPCODE_BINARY, true, is_twin, size);
        if (received->size - at < header_size + size) return count;
        model_message_write(message, body, size);
        if (memcmp(received->data + at, header, header_size) != 0 ||
            memcmp(received->data + at + header_size, body, size) != 0) {
            flin_test_fail(__FILE__, __LINE__, "not the next expected message");
            return count;
        }
        at += header_size + size;
        count++;
    }
    return count;
}

/* --- the model's side of effects -------------------------------------------------------------- */

static inline void model_expect(model *m, unsigned index, const model_effect *effect) {
    model_peer *peer = &m->peers[index];
    bool is_twin = peer->deflate && effect->has_twin;
    if (!peer->is_open || peer->expected_count == MODEL_EXPECTED_MAX) return;
    if (effect->is_volatile && peer->is_slow) return;
    peer->expected[peer->expected_count++] = effect->message << 1 | is_twin;
}

static inline bool model_is_same(const model *m, const model_effect *effect, unsigned index) {
    return effect->peer == index && m->peers[index].serial == effect->serial;
}

static inline void model_end(model *m, unsigned index) {
    m->peers[index].is_open = false;
    memset(m->peers[index].rooms, 0, sizeof m->peers[index].rooms);
}

static inline void model_apply(model *m, const model_log *log) {
    for (unsigned e = 0; e < log->count; e++) {
        const model_effect *effect = &log->effects[e];
        for (unsigned i = 0; i < MODEL_PEERS; i++) {
            model_peer *peer = &m->peers[i];
            bool is_same = model_is_same(m, effect, i);
            switch (effect->kind) {
            case FLIN_EFFECT_SEND:
                if (is_same) model_expect(m, i, effect);
                break;
            case FLIN_EFFECT_ROOM:
                if (peer->rooms[effect->room] && !is_same) model_expect(m, i, effect);
                break;
            case FLIN_EFFECT_UNION: {
                unsigned endpoint = m->peers[log->current].endpoint;
                if (peer->endpoint == endpoint) {
                    if (!is_same) model_expect(m, i, effect);
                } else if (effect->has_room && peer->rooms[effect->room]) {
                    model_expect(m, i, effect);
                }
                break;
            }
            case FLIN_EFFECT_ALL:
                model_expect(m, i, effect);
                break;
            case FLIN_EFFECT_JOIN:
                if (is_same && peer->is_open) peer->rooms[effect->room] = true;
                break;
            case FLIN_EFFECT_LEAVE:
                if (is_same) peer->rooms[effect->room] = false;
                break;
            case FLIN_EFFECT_CLOSE:
                if (is_same && peer->is_open) model_end(m, i);
                break;
            }
        }
    }
}

/* Let leave what may: a log waits while an earlier one of its connection is not settled. */
static inline void model_drain(model *m) {
    for (;;) {
        model_log *first = NULL;
        for (unsigned i = 0; i < MODEL_LOGS; i++) {
            model_log *log = &m->logs[i];
            bool is_blocked = false;
            if (log->order == 0 || !log->is_settled) continue;
            for (unsigned j = 0; j < MODEL_LOGS; j++) {
                const model_log *other = &m->logs[j];
                is_blocked |= other->order != 0 && other->order < log->order &&
                              log->current != MODEL_PEERS && other->current == log->current &&
                              other->serial == log->serial;
            }
            if (!is_blocked && (first == NULL || log->order < first->order)) first = log;
        }
        if (first == NULL) return;
        if (!first->is_discarded) model_apply(m, first);
        first->order = 0;
    }
}

static inline bool model_is_blocked(const model *m, unsigned current) {
    for (unsigned i = 0; i < MODEL_LOGS; i++) {
        const model_log *log = &m->logs[i];
        if (log->order != 0 && log->current == current && current != MODEL_PEERS &&
            log->serial == m->peers[current].serial) {
            return true;
        }
    }
    return false;
}

/* --- steps ------------------------------------------------------------------------------------ */

/* What the hub has ended by itself: only without memory. */
static inline void model_sync(model *m) {
    for (unsigned i = 0; i < MODEL_PEERS; i++) {
        test_peer *peer = &m->test.peers[i];
        if (!m->peers[i].is_open) continue;
        if (peer->conn != NULL && peer->conn->state == FLIN_CONN_OPEN) continue;
        FLIN_CHECK(m->may_fail);
        model_end(m, i);
    }
}

static inline void model_open(model *m, unsigned index) {
    test_peer *peer = &m->test.peers[index];
    unsigned options = model_byte(m);
    model_peer *mine = &m->peers[index];
    if (peer->conn != NULL) return;
    /* test_open() takes the first free place: open exactly this one. */
    bytes_free(&peer->received);
    bytes_free(&peer->log);
    memset(peer, 0, sizeof *peer);
    memset(mine, 0, sizeof *mine);
    mine->endpoint = options & 1u;
    mine->deflate = options & 2u;
    mine->serial = ++m->serial;
    peer->conn = flin_hub_open(&m->test.hub, &m->endpoints[mine->endpoint], peer, mine->deflate);
    FLIN_CHECK(peer->conn != NULL || m->may_fail);
    if (peer->conn == NULL) return;
    mine->is_open = true;
    flin_conn_handler_done(&m->test.hub, peer->conn);
}

static inline bool model_record_message(model *m, model_effect *effect, flin_effect_kind kind,
                                        flin_room *room, flin_conn *conn) {
    size_t size = model_message_size(effect->message);
    uint8_t *plain = malloc(size), *twin = malloc(size);
    flin_payload payload = {.data = plain,
                            .size = size,
                            .opcode = FLIN_OPCODE_BINARY,
                            .is_volatile = effect->is_volatile};
    bool is_recorded;
    if (!plain || !twin) abort();
    model_message_write(effect->message, plain, size);
    if (effect->has_twin) {
        model_message_write(effect->message, twin, size - 1);
        payload.twin = twin;
        payload.twin_size = size - 1;
    }
    is_recorded = kind == FLIN_EFFECT_SEND
                      ? flin_log_send(&m->test.hub, conn, &payload)
                      : flin_log_publish(&m->test.hub, kind, room, conn, &payload);
    free(plain);
    free(twin);
    return is_recorded;
}

/* Record one random effect on both sides. */
static inline void model_effect_step(model *m, model_log *log) {
    unsigned what = model_byte(m), who = model_byte(m) % MODEL_PEERS;
    unsigned room_index = (what >> 4) % MODEL_ROOMS;
    flin_hub *hub = &m->test.hub;
    const char *name = model_room_name(room_index);
    flin_conn *conn = m->test.peers[who].conn;
    model_effect effect = {(flin_effect_kind)(what % 7),
                           who,
                           m->peers[who].serial,
                           room_index,
                           ++m->message,
                           (what & 8u) != 0,
                           false,
                           m->message % 3 == 1};
    flin_room *room;
    bool is_recorded = false;
    if (log->count == MODEL_EFFECTS_MAX) return;
    if (effect.kind == FLIN_EFFECT_UNION && log->current == MODEL_PEERS) return;
    if (effect.kind == FLIN_EFFECT_CLOSE && who % 3 != 0) effect.kind = FLIN_EFFECT_ALL;
    room = effect.kind == FLIN_EFFECT_JOIN ? flin_room_need(&hub->rooms, name, strlen(name))
                                           : flin_room_find(&hub->rooms, name, strlen(name));
    effect.has_room = room != NULL;
    switch (effect.kind) {
    case FLIN_EFFECT_SEND:
        is_recorded = conn != NULL && model_record_message(m, &effect, effect.kind, NULL, conn);
        break;
    case FLIN_EFFECT_ROOM:
    case FLIN_EFFECT_UNION:
        if (room == NULL && effect.kind == FLIN_EFFECT_ROOM) break;
        if (effect.kind == FLIN_EFFECT_UNION || (what & 0x80u) == 0) {
            /* Leaving out the current connection is what a union supports. */
            bool is_to_others = log->current != MODEL_PEERS && (what & 0x80u) != 0;
            effect.peer = is_to_others ? log->current : MODEL_PEERS;
            conn = is_to_others ? m->test.peers[log->current].conn : NULL;
            effect.serial = is_to_others ? m->peers[log->current].serial : 0;
        }
        is_recorded = model_record_message(m, &effect, effect.kind, room, conn);
        break;
    case FLIN_EFFECT_ALL:
        effect.peer = MODEL_PEERS;
        is_recorded = model_record_message(m, &effect, effect.kind, NULL, NULL);
        break;
    case FLIN_EFFECT_JOIN:
    case FLIN_EFFECT_LEAVE:
        if (room == NULL) break;
        is_recorded = conn != NULL && flin_log_membership(hub, effect.kind, conn, room);
        if (effect.kind == FLIN_EFFECT_JOIN) flin_room_release_if_idle(&hub->rooms, room);
        break;
    case FLIN_EFFECT_CLOSE:
        is_recorded = conn != NULL && flin_log_close(hub, conn, 4000, "model", 5);
        break;
    }
    if (is_recorded) log->effects[log->count++] = effect;
}

static inline model_log *model_free_log(model *m) {
    for (unsigned i = 0; i < MODEL_LOGS; i++) {
        if (m->logs[i].order == 0) return &m->logs[i];
    }
    return NULL;
}

/* Logs the hub has queued for a connection. */
static inline unsigned model_queued(const model *m, unsigned current) {
    const flin_conn *conn = current == MODEL_PEERS ? NULL : m->test.peers[current].conn;
    unsigned count = 0;
    if (conn == NULL || conn->extra == NULL) return 0;
    for (const flin_log *log = conn->extra->held; log != NULL; log = log->next) count++;
    return count;
}

/* One handler: effects, then commit, rollback or hold. */
static inline void model_handler(model *m) {
    unsigned how = model_byte(m), count = 1 + model_byte(m) % MODEL_EFFECTS_MAX;
    unsigned current = (how >> 2) % (MODEL_PEERS + 1);
    flin_hub *hub = &m->test.hub;
    model_log *log = model_free_log(m);
    unsigned queued;
    bool is_blocked, is_empty;
    if (log == NULL) return;
    if (current < MODEL_PEERS && m->test.peers[current].conn == NULL) current = MODEL_PEERS;
    memset(log, 0, sizeof *log);
    log->current = current;
    log->serial = current < MODEL_PEERS ? m->peers[current].serial : 0;
    FLIN_CHECK(flin_log_begin(hub, current < MODEL_PEERS ? m->test.peers[current].conn : NULL));
    for (unsigned i = 0; i < count; i++) model_effect_step(m, log);
    if ((how & 3u) == 0) {
        flin_log_rollback(hub);
        return;
    }
    log->order = ++m->order;
    if ((how & 3u) == 1) {
        log->log = flin_log_hold(hub);
        FLIN_CHECK(log->log != NULL || m->may_fail);
        if (log->log != NULL) return;
        flin_log_rollback(hub);
        log->order = 0;
        return;
    }
    log->is_settled = true;
    log->order = 0;
    is_blocked = model_is_blocked(m, current);
    log->order = ++m->order;
    queued = model_queued(m, current);
    FLIN_CHECK_EQ(is_blocked, queued > 0);
    is_empty = hub->log.size == 0;
    flin_log_commit(hub);
    if (is_blocked && !is_empty && model_queued(m, current) == queued) {
        FLIN_CHECK(m->may_fail); /* no memory to wait: the connection is lost with its effects */
        log->is_discarded = true;
    }
    model_drain(m);
}

static inline void model_settle_held(model *m) {
    unsigned which = model_byte(m), seen = 0, held = 0;
    for (unsigned i = 0; i < MODEL_LOGS; i++) held += m->logs[i].log != NULL;
    if (held == 0) return;
    for (unsigned i = 0; i < MODEL_LOGS; i++) {
        model_log *log = &m->logs[i];
        flin_log *handle = log->log;
        if (handle == NULL || seen++ != (which >> 1) % held) continue;
        log->log = NULL;
        log->is_settled = true;
        log->is_discarded = which & 1u;
        if (log->is_discarded) {
            flin_log_discard(&m->test.hub, handle);
        } else {
            flin_log_release(&m->test.hub, handle);
        }
        model_drain(m);
        return;
    }
}

/* --- what the hub counts ---------------------------------------------------------------------- */

typedef struct {
    const flin_buffer *buffers[MODEL_BUFFERS_MAX];
    uint32_t refs[MODEL_BUFFERS_MAX];
    unsigned count;
} model_buffers;

static inline void model_count_buffer(model_buffers *found, const flin_buffer *buffer) {
    unsigned i = 0;
    if (buffer == NULL) return;
    while (i < found->count && found->buffers[i] != buffer) i++;
    if (i == MODEL_BUFFERS_MAX) abort();
    if (i == found->count) {
        found->buffers[found->count++] = buffer;
        found->refs[i] = 0;
    }
    found->refs[i]++;
}

static inline void model_check_conn(const flin_conn *conn, model_buffers *found) {
    bool is_slow = conn->backlog > conn->endpoint->queue_soft;
    FLIN_CHECK_EQ(is_slow, (conn->flags & FLIN_CONN_SLOW) != 0);
    if (is_slow) FLIN_CHECK((conn->flags & FLIN_CONN_WATCHED) != 0);
    if (conn->backlog > 0) FLIN_CHECK((conn->flags & FLIN_CONN_STALLED) != 0);
    for (unsigned i = 0; i < conn->segment_count; i++) {
        model_count_buffer(found, conn->segments[i].buffer);
    }
    if (conn->extra != NULL) {
        model_count_buffer(found, conn->extra->pong);
        model_count_buffer(found, conn->extra->stash);
    }
}

/* Bytes refused, bytes held, references and slow connections, counted by hand. */
static inline void model_check_accounting(const model *m) {
    static _Thread_local model_buffers found;
    const flin_hub *hub = &m->test.hub;
    uint64_t backlog = 0;
    size_t retained = 0;
    uint32_t slow = 0;
    bool has_logs = false; /* they refer to buffers too, out of sight */
    found.count = 0;
    for (unsigned i = 0; i < MODEL_PEERS; i++) {
        const flin_conn *conn = m->test.peers[i].conn;
        if (conn == NULL) continue;
        model_check_conn(conn, &found);
        backlog += conn->backlog;
        slow += (conn->flags & FLIN_CONN_SLOW) != 0;
        has_logs |= conn->extra != NULL && conn->extra->held != NULL;
    }
    for (const flin_batch *batch = hub->active_batches; batch != NULL; batch = batch->next) {
        for (unsigned i = 0; i < FLIN_CLASS_COUNT; i++) {
            model_count_buffer(&found, batch->streams[i].buffer);
        }
    }
    for (unsigned i = 0; i < MODEL_LOGS; i++) has_logs |= m->logs[i].log != NULL;
    for (unsigned i = 0; i < found.count; i++) {
        retained += found.buffers[i]->capacity;
        if (!has_logs) FLIN_CHECK_EQ(found.refs[i], found.buffers[i]->refs);
        FLIN_CHECK(found.refs[i] <= found.buffers[i]->refs);
    }
    FLIN_CHECK_EQ(backlog, hub->backlog_bytes);
    FLIN_CHECK_EQ(slow, hub->slow_count);
    FLIN_CHECK(retained <= hub->pool.retained_bytes);
    if (!has_logs) FLIN_CHECK_EQ(retained, hub->pool.retained_bytes);
    for (unsigned i = 0; i < MODEL_PEERS && !m->may_fail; i++) {
        const flin_conn *conn = m->test.peers[i].conn;
        if (!m->peers[i].is_open || m->peers[i].expected_count == MODEL_EXPECTED_MAX) continue;
        FLIN_CHECK_EQ(flin_conn_messages_out(hub, conn), m->peers[i].expected_count);
    }
}

/* Offer a peer's side the end of a flush, and note whether it is behind. */
static inline void model_flushed(model *m, test_peer *peer) {
    model_peer *mine = &m->peers[peer - m->test.peers];
    mine->is_slow = flin_output_size(peer->conn) > MODEL_QUEUE_SOFT;
    flin_conn_flushed(&m->test.hub, peer->conn, peer->conn->segment_count > 0, 0);
}

/* One turn in which some peers take only some bytes. */
static inline void model_turn(model *m) {
    flin_conn *conn;
    flin_hub_flush(&m->test.hub);
    while ((conn = flin_hub_next_transport(&m->test.hub)) != NULL) {
        test_peer *peer = conn->user;
        unsigned how = model_byte(m);
        if ((how & 3u) != 0) {
            while (conn->segment_count > 0) test_take(&m->test, peer, SIZE_MAX);
        } else {
            test_take(&m->test, peer, (size_t)how * model_byte(m));
        }
        model_flushed(m, peer);
    }
    flin_hub_reap(&m->test.hub);
    model_sync(m);
    model_check_accounting(m);
}

/* A stalled peer becomes writable and takes some. */
static inline void model_writable(model *m, unsigned index) {
    test_peer *peer = &m->test.peers[index];
    if (peer->conn == NULL || (peer->conn->flags & FLIN_CONN_STALLED) == 0) return;
    test_take(&m->test, peer, 1 + (size_t)model_byte(m) * 16);
    model_flushed(m, peer);
    model_check_accounting(m);
}

static inline void model_check(model *m) {
    FLIN_CHECK(flin_room_check(&m->test.hub));
    for (unsigned r = 0; r < MODEL_ROOMS; r++) {
        const char *name = model_room_name(r);
        const flin_room *room = flin_room_find(&m->test.hub.rooms, name, strlen(name));
        unsigned count = 0;
        for (unsigned i = 0; i < MODEL_PEERS; i++) count += m->peers[i].rooms[r];
        if (!m->may_fail) FLIN_CHECK_EQ(room == NULL ? 0 : room->count, count);
    }
    for (unsigned i = 0; i < MODEL_PEERS; i++) {
        (void)model_check_received(m, i);
        FLIN_CHECK(m->test.peers[i].closed_count <= 1);
    }
}

static inline void model_step(model *m) {
    unsigned what = model_byte(m), index = (what >> 3) % MODEL_PEERS;
    test_peer *peer = &m->test.peers[index];
    switch (what & 7u) {
    case 0:
        model_open(m, index);
        break;
    case 1:
    case 2:
    case 3:
        model_handler(m);
        break;
    case 4:
        model_turn(m);
        break;
    case 5:
        model_writable(m, index);
        break;
    case 6:
        model_settle_held(m);
        break;
    default:
        if (peer->conn == NULL || (what & 0xC0u) != 0) {
            model_turn(m);
        } else if ((what & 0x20u) != 0) {
            flin_conn_lost(&m->test.hub, peer->conn, false);
            model_end(m, index);
        } else {
            test_feed_frame(&m->test, peer, TEST_FIN | FLIN_OPCODE_CLOSE, "\x03\xe8", 2);
            model_end(m, index);
        }
        break;
    }
}

/* Settle everything, then close everything; both sides must agree to the end. */
static inline void model_finish(model *m) {
    flin_memory_countdown = -1;
    m->at = m->size; /* from here on every choice is 0 */
    for (unsigned i = 0; i < MODEL_LOGS; i++) model_settle_held(m);
    test_settle(&m->test);
    for (unsigned i = 0; i < MODEL_PEERS; i++) {
        if (m->test.peers[i].conn == NULL) continue;
        while (m->test.peers[i].conn->segment_count > 0)
            test_take(&m->test, &m->test.peers[i], 999);
        flin_conn_flushed(&m->test.hub, m->test.peers[i].conn, false, 0);
    }
    test_settle(&m->test);
    model_sync(m);
    model_check(m);
    for (unsigned i = 0; i < MODEL_PEERS; i++) {
        test_peer *peer = &m->test.peers[i];
        if (m->peers[i].is_open) {
            FLIN_CHECK_EQ(model_check_received(m, i), m->peers[i].expected_count);
        }
        if (peer->conn != NULL) flin_conn_lost(&m->test.hub, peer->conn, false);
    }
    test_settle(&m->test);
    for (unsigned i = 0; i < MODEL_PEERS; i++) {
        FLIN_CHECK(m->test.peers[i].conn == NULL);
        FLIN_CHECK_EQ(m->test.peers[i].closed_count, m->test.peers[i].is_freed ? 1 : 0);
    }
    test_check_empty(&m->test);
}

/* Run one program; checks fail through FLIN_CHECK. */
static inline void model_run(const uint8_t *program, size_t size) {
    model *m = calloc(1, sizeof *m);
    if (!m) abort();
    test_hub_start(&m->test);
    m->program = program;
    m->size = size;
    for (unsigned i = 0; i < MODEL_ENDPOINTS; i++) {
        m->endpoints[i] = m->test.endpoint;
        m->endpoints[i].queue_soft = MODEL_QUEUE_SOFT;
        m->endpoints[i].queue_hard = UINT32_MAX;
    }
    m->may_fail = (model_byte(m) & 1u) != 0;
    while (m->at < m->size) {
        if (m->may_fail && flin_memory_countdown < 0) flin_memory_countdown = model_byte(m);
        model_step(m);
    }
    model_finish(m);
    flin_hub_free(&m->test.hub);
    for (unsigned i = 0; i < MODEL_ENDPOINTS; i++) {
        flin_endpoint_unbind(&m->test.hub, &m->endpoints[i]);
    }
    for (unsigned i = 0; i < PEER_MAX; i++) {
        bytes_free(&m->test.peers[i].received);
        bytes_free(&m->test.peers[i].log);
    }
    free(m);
}

#endif
