#include "flin_effect.h"

#include <assert.h>
#include <string.h>

#include "flin_hub.h"
#include "flin_memory.h"
#include "flin_output.h"

/* First allocation of a log, and what an idle one may keep. */
#define FLIN_LOG_CAPACITY_MIN 1024u
#define FLIN_LOG_KEEP_MAX (64u << 10)

typedef struct {
    uint32_t record_size; /* header, bytes behind it and padding */
    uint8_t kind;         /* a flin_effect_kind */
    bool is_large : 1;    /* a flin_large stands behind the header, not bytes */
    bool is_volatile : 1;
    uint16_t code;    /* of CLOSE */
    uint64_t conn_id; /* receiver, member, or the one to leave out; 0 for none */
    flin_room *room;
    uint32_t frame_size; /* plain frame, or the header of a large one; of CLOSE: the reason */
    uint32_t twin_size;  /* the same of the deflated frame, 0 for none */
} flin_record;

_Static_assert(sizeof(flin_record) % 8 == 0, "records keep 8-byte alignment");

static uint8_t *record_bytes(flin_record *record) { return (uint8_t *)(record + 1); }

/* --- recording ------------------------------------------------------------------------------ */

/** A record with `extra` bytes behind it, not yet counted in log->size; NULL without memory. */
static flin_record *record_new(flin_hub *hub, flin_effect_kind kind, size_t extra) {
    flin_log *log = &hub->log;
    size_t size = (sizeof(flin_record) + extra + 7) & ~(size_t)7;
    flin_record *record;
    assert(log->state == FLIN_LOG_OPEN);
    if (size > log->capacity - log->size) {
        size_t capacity = log->capacity * 2;
        uint8_t *data;
        if (capacity < log->size + size) capacity = log->size + size;
        if (capacity < FLIN_LOG_CAPACITY_MIN) capacity = FLIN_LOG_CAPACITY_MIN;
        data = flin_memory_resize(log->data, capacity);
        if (data == NULL) return NULL;
        log->data = data;
        log->capacity = capacity;
    }
    record = (flin_record *)(void *)(log->data + log->size);
    memset(record, 0, sizeof *record);
    record->record_size = (uint32_t)size;
    record->kind = (uint8_t)kind;
    return record;
}

static void record_done(flin_hub *hub, flin_record *record, flin_room *room) {
    record->room = room;
    if (room != NULL) room->refs++;
    hub->log.size += record->record_size;
}

/** What stands behind the header of a record with large payloads. */
typedef struct {
    flin_buffer *payloads[FLIN_CLASS_COUNT]; /* one reference each, or NULL */
    uint8_t headers[FLIN_CLASS_COUNT][16];   /* of the frames */
} flin_large;

static flin_large *record_large_part(flin_record *record) { return (flin_large *)(record + 1); }

static flin_buffer *copy_payload(flin_hub *hub, const uint8_t *data, size_t size) {
    flin_buffer *buffer = flin_buffer_new(&hub->pool, size);
    if (buffer == NULL) return NULL;
    memcpy(buffer->data, data, size);
    buffer->size = (uint32_t)size;
    return buffer;
}

static flin_record *record_large(flin_hub *hub, flin_effect_kind kind,
                                 const flin_payload *payload) {
    flin_record *record = record_new(hub, kind, sizeof(flin_large));
    flin_buffer *plain = payload->shared, *twin = NULL;
    flin_large *large;
    if (record == NULL) return NULL;
    if (plain != NULL) {
        flin_buffer_acquire(plain);
    } else {
        plain = copy_payload(hub, payload->data, payload->size);
        if (plain == NULL) return NULL;
    }
    if (payload->twin_size > 0) {
        twin = copy_payload(hub, payload->twin, payload->twin_size);
        if (twin == NULL) {
            flin_buffer_release(&hub->pool, plain);
            return NULL;
        }
        twin->is_payload = 1;
    }
    plain->is_payload = 1;
    large = record_large_part(record);
    large->payloads[FLIN_CLASS_PLAIN] = plain;
    large->payloads[FLIN_CLASS_DEFLATE] = twin;
    record->is_large = true;
    record->frame_size = (uint32_t)flin_frame_header_encode(
        large->headers[FLIN_CLASS_PLAIN], (flin_opcode)payload->opcode, true, false, payload->size);
    if (twin != NULL) {
        record->twin_size = (uint32_t)flin_frame_header_encode(large->headers[FLIN_CLASS_DEFLATE],
                                                               (flin_opcode)payload->opcode, true,
                                                               true, payload->twin_size);
    }
    return record;
}

static size_t write_frame(uint8_t *out, uint8_t opcode, bool rsv1, const uint8_t *data,
                          size_t size) {
    size_t header_size = flin_frame_header_encode(out, (flin_opcode)opcode, true, rsv1, size);
    if (size > 0) memcpy(out + header_size, data, size);
    return header_size + size;
}

static flin_record *record_message(flin_hub *hub, flin_effect_kind kind,
                                   const flin_payload *payload) {
    flin_record *record;
    size_t frame_size, twin_size = 0;
    if (payload->size >= FLIN_LARGE_PAYLOAD_MIN) return record_large(hub, kind, payload);
    record = record_new(
        hub, kind, payload->size + payload->twin_size + 2 * (size_t)FLIN_FRAME_SERVER_HEADER_MAX);
    if (record == NULL) return NULL;
    frame_size =
        write_frame(record_bytes(record), payload->opcode, false, payload->data, payload->size);
    if (payload->twin_size > 0) {
        twin_size = write_frame(record_bytes(record) + frame_size, payload->opcode, true,
                                payload->twin, payload->twin_size);
    }
    record->frame_size = (uint32_t)frame_size;
    record->twin_size = (uint32_t)twin_size;
    record->record_size =
        (uint32_t)((sizeof(flin_record) + frame_size + twin_size + 7) & ~(size_t)7);
    return record;
}

bool flin_log_send(flin_hub *hub, const flin_conn *conn, const flin_payload *payload) {
    flin_record *record = record_message(hub, FLIN_EFFECT_SEND, payload);
    if (record == NULL) return false;
    record->conn_id = flin_conn_id(conn);
    record->is_volatile = payload->is_volatile;
    record_done(hub, record, NULL);
    return true;
}

bool flin_log_publish(flin_hub *hub, flin_effect_kind kind, flin_room *room,
                      const flin_conn *except, const flin_payload *payload) {
    flin_record *record = record_message(hub, kind, payload);
    if (record == NULL) return false;
    record->conn_id = except == NULL ? 0 : flin_conn_id(except);
    record->is_volatile = payload->is_volatile;
    record_done(hub, record, room);
    return true;
}

bool flin_log_membership(flin_hub *hub, flin_effect_kind kind, const flin_conn *conn,
                         flin_room *room) {
    flin_record *record = record_new(hub, kind, 0);
    if (record == NULL) return false;
    record->conn_id = flin_conn_id(conn);
    record_done(hub, record, room);
    hub->log.membership_count++;
    if (conn == hub->log.current) hub->log.membership_delta += kind == FLIN_EFFECT_JOIN ? 1 : -1;
    return true;
}

bool flin_log_close(flin_hub *hub, const flin_conn *conn, uint16_t code, const char *reason,
                    size_t reason_size) {
    flin_record *record = record_new(hub, FLIN_EFFECT_CLOSE, reason_size);
    if (record == NULL) return false;
    record->conn_id = flin_conn_id(conn);
    record->code = code;
    if (conn == hub->log.current) hub->log.closes_current = true;
    record->frame_size = (uint32_t)reason_size;
    if (reason_size > 0) memcpy(record_bytes(record), reason, reason_size);
    record_done(hub, record, NULL);
    return true;
}

/* --- leaving -------------------------------------------------------------------------------- */

static void apply_message(flin_hub *hub, const flin_log *log, flin_record *record) {
    flin_frames frames = {.size = {record->frame_size, record->twin_size},
                          .is_volatile = record->is_volatile};
    flin_conn *conn = record->conn_id == 0 ? NULL : flin_slab_find(&hub->slab, record->conn_id);
    flin_endpoint *endpoint;
    if (record->is_large) {
        flin_large *large = record_large_part(record);
        for (unsigned i = 0; i < FLIN_CLASS_COUNT; i++) {
            frames.frame[i] = large->headers[i];
            frames.large[i] = large->payloads[i];
        }
    } else {
        frames.frame[FLIN_CLASS_PLAIN] = record_bytes(record);
        frames.frame[FLIN_CLASS_DEFLATE] = record_bytes(record) + record->frame_size;
    }
    switch ((flin_effect_kind)record->kind) {
    case FLIN_EFFECT_SEND:
        if (conn != NULL && conn->state == FLIN_CONN_OPEN) (void)flin_conn_send(hub, conn, &frames);
        break;
    case FLIN_EFFECT_ROOM:
        (void)flin_room_publish(hub, record->room, &frames, conn);
        break;
    case FLIN_EFFECT_UNION:
        endpoint = log->current->endpoint;
        (void)flin_room_publish(hub, endpoint->room, &frames, conn);
        if (record->room != NULL) {
            (void)flin_room_publish_others(hub, record->room, endpoint, &frames);
        }
        break;
    default:
        (void)flin_room_publish(hub, hub->all, &frames, NULL);
        break;
    }
}

static void apply_membership(flin_hub *hub, const flin_record *record) {
    flin_conn *conn = flin_slab_find(&hub->slab, record->conn_id);
    if (conn == NULL || conn->state != FLIN_CONN_OPEN) return;
    if (record->kind == FLIN_EFFECT_LEAVE) {
        (void)flin_room_leave(hub, conn, record->room);
    } else if (!flin_room_join(hub, conn, record->room)) {
        flin_conn_doom(hub, conn);
    }
}

static void apply_record(flin_hub *hub, const flin_log *log, flin_record *record) {
    flin_conn *conn;
    switch ((flin_effect_kind)record->kind) {
    case FLIN_EFFECT_JOIN:
    case FLIN_EFFECT_LEAVE:
        apply_membership(hub, record);
        break;
    case FLIN_EFFECT_CLOSE:
        conn = flin_slab_find(&hub->slab, record->conn_id);
        if (conn == NULL) break;
        /* What came behind is not for its handler, also when the peer has left meanwhile. */
        if (conn == log->current) flin_inbox_clear(hub, conn);
        flin_conn_close(hub, conn, record->code, (const char *)record_bytes(record),
                        record->frame_size);
        break;
    default:
        apply_message(hub, log, record);
        break;
    }
}

/** Apply or just drop every record, and release what they pin. */
static void log_finish(flin_hub *hub, flin_log *log, bool is_applied) {
    size_t offset = 0;
    while (offset < log->size) {
        flin_record *record = (flin_record *)(void *)(log->data + offset);
        offset += record->record_size;
        if (is_applied) apply_record(hub, log, record);
        if (record->is_large) {
            flin_large *large = record_large_part(record);
            flin_buffer_release(&hub->pool, large->payloads[FLIN_CLASS_PLAIN]);
            if (large->payloads[FLIN_CLASS_DEFLATE] != NULL) {
                flin_buffer_release(&hub->pool, large->payloads[FLIN_CLASS_DEFLATE]);
            }
        }
        if (record->room != NULL) {
            record->room->refs--;
            flin_room_release_if_idle(&hub->rooms, record->room);
        }
    }
    log->size = 0;
}

static void log_reset(flin_log *log) {
    if (log->capacity > FLIN_LOG_KEEP_MAX) {
        flin_memory_free(log->data);
        log->data = NULL;
        log->capacity = 0;
    }
    log->size = 0;
    log->state = FLIN_LOG_IDLE;
    log->current = NULL;
    log->membership_count = 0;
    log->membership_delta = 0;
    log->closes_current = false;
}

static void held_free(flin_log *log) {
    flin_memory_free(log->data);
    flin_memory_free(log);
}

/** A log of its own with the open one's records; the open one is closed. NULL without memory. */
static flin_log *log_detach(flin_hub *hub, flin_log_state state) {
    flin_log *held = flin_memory_alloc(sizeof *held);
    flin_conn *conn = hub->log.current;
    if (held == NULL) return NULL;
    *held = hub->log;
    held->data = flin_memory_alloc(held->size > 0 ? held->size : 1);
    if (held->data == NULL || (conn != NULL && flin_conn_need_extra(conn) == NULL)) {
        held_free(held);
        return NULL;
    }
    if (held->size > 0) memcpy(held->data, hub->log.data, held->size);
    held->capacity = held->size;
    held->state = (uint8_t)state;
    held->next = NULL;
    if (conn != NULL) {
        if (conn->extra->held == NULL) {
            conn->extra->held = held;
        } else {
            conn->extra->held_last->next = held;
        }
        conn->extra->held_last = held;
        if (held->closes_current) conn->flags |= FLIN_CONN_CLOSE_HELD;
    }
    log_reset(&hub->log);
    return held;
}

bool flin_log_begin(flin_hub *hub, flin_conn *current) {
    if (hub->log.state != FLIN_LOG_IDLE) return false;
    hub->log.state = FLIN_LOG_OPEN;
    hub->log.current = current;
    return true;
}

void flin_log_commit(flin_hub *hub) {
    flin_log *log = &hub->log;
    flin_conn *conn = log->current;
    if (log->size > 0) {
        if (conn == NULL || conn->extra == NULL || conn->extra->held == NULL) {
            log_finish(hub, log, true);
        } else if (log_detach(hub, FLIN_LOG_READY) == NULL) {
            flin_conn_doom(hub, conn);
            log_finish(hub, log, false);
        }
    }
    log_reset(log);
}

void flin_log_rollback(flin_hub *hub) {
    log_finish(hub, &hub->log, false);
    log_reset(&hub->log);
}

flin_log *flin_log_hold(flin_hub *hub) { return log_detach(hub, FLIN_LOG_HELD); }

/** Let everything at the head of a connection's queue leave that may. */
static void held_drain(flin_hub *hub, flin_conn *conn) {
    flin_log *log;
    while ((log = conn->extra->held) != NULL && log->state != FLIN_LOG_HELD) {
        conn->extra->held = log->next;
        if (log->next == NULL) conn->extra->held_last = NULL;
        log_finish(hub, log, log->state == FLIN_LOG_READY);
        held_free(log);
    }
    /* The slot may have waited for its last held effects, and messages behind a held close. */
    if (conn->extra->held == NULL &&
        (conn->state != FLIN_CONN_OPEN || (conn->flags & FLIN_CONN_CLOSE_HELD) != 0)) {
        flin_conn_end_later(hub, conn);
    }
}

static void held_settle(flin_hub *hub, flin_log *log, flin_log_state state) {
    flin_conn *conn = log->current;
    log->state = (uint8_t)state;
    if (conn != NULL) {
        held_drain(hub, conn);
    } else {
        log_finish(hub, log, state == FLIN_LOG_READY);
        held_free(log);
    }
}

void flin_log_release(flin_hub *hub, flin_log *log) { held_settle(hub, log, FLIN_LOG_READY); }

void flin_log_discard(flin_hub *hub, flin_log *log) { held_settle(hub, log, FLIN_LOG_DISCARDED); }

/* --- memberships as a handler sees them ----------------------------------------------------- */

static void visit_log(const flin_log *log, uint64_t conn_id, flin_log_visitor visitor,
                      void *context) {
    size_t offset = 0;
    if (log->membership_count == 0 || log->state == FLIN_LOG_DISCARDED) return;
    while (offset < log->size) {
        const flin_record *record = (const flin_record *)(const void *)(log->data + offset);
        offset += record->record_size;
        if (record->kind != FLIN_EFFECT_JOIN && record->kind != FLIN_EFFECT_LEAVE) continue;
        if (record->conn_id == conn_id) {
            visitor(context, record->room, record->kind == FLIN_EFFECT_JOIN);
        }
    }
}

void flin_log_visit(const flin_hub *hub, const flin_conn *conn, flin_log_visitor visitor,
                    void *context) {
    uint64_t id = flin_conn_id(conn);
    if (conn->extra != NULL) {
        for (const flin_log *log = conn->extra->held; log != NULL; log = log->next) {
            visit_log(log, id, visitor, context);
        }
    }
    visit_log(&hub->log, id, visitor, context);
}

bool flin_log_has_pending(const flin_hub *hub, const flin_conn *conn) {
    return hub->log.membership_count > 0 || (conn->extra != NULL && conn->extra->held != NULL);
}

typedef struct {
    const flin_room *room;
    bool is_member;
} membership_query;

static void answer_query(void *context, const flin_room *room, bool is_join) {
    membership_query *query = context;
    if (room == query->room) query->is_member = is_join;
}

bool flin_log_is_member(const flin_hub *hub, const flin_conn *conn, const flin_room *room) {
    membership_query query = {room, flin_room_membership(conn, room) != NULL};
    if (flin_log_has_pending(hub, conn)) flin_log_visit(hub, conn, answer_query, &query);
    return query.is_member;
}

uint32_t flin_log_room_count(const flin_hub *hub, const flin_conn *conn) {
    int64_t count = conn->membership_count;
    if (conn->extra != NULL) {
        for (const flin_log *log = conn->extra->held; log != NULL; log = log->next) {
            if (log->state != FLIN_LOG_DISCARDED) count += log->membership_delta;
        }
    }
    if (hub->log.current == conn) count += hub->log.membership_delta;
    return count < 0 ? 0 : (uint32_t)count;
}
