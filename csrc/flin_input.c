/* From received bytes to handlers: parsing, control frames, and the queue of a waiting handler. */
#include <assert.h>
#include <string.h>

#include "flin_hub.h"
#include "flin_memory.h"

/* Nothing that comes after one of these is looked at. */
#define STOPS_PARSING (FLIN_CONN_FAILED | FLIN_CONN_DOOMED | FLIN_CONN_CLOSE_RECEIVED)

/** Answer a ping; a peer that does not read is owed one pong only, for its latest ping. */
static void answer_ping(flin_hub *hub, flin_conn *conn, const flin_message_event *event) {
    uint8_t frame[FLIN_FRAME_SERVER_HEADER_MAX + FLIN_FRAME_CONTROL_MAX];
    size_t size = flin_frame_header_encode(frame, FLIN_OPCODE_PONG, true, false, event->size);
    flin_conn_extra *extra;
    if (conn->state != FLIN_CONN_OPEN) return;
    if (event->size > 0) memcpy(frame + size, event->data, event->size);
    size += event->size;
    if ((conn->flags & FLIN_CONN_STALLED) == 0) {
        (void)flin_output_append(hub, conn, frame, size);
        return;
    }
    extra = flin_conn_need_extra(conn);
    if (extra != NULL && extra->pong == NULL) extra->pong = flin_buffer_new(&hub->pool, size);
    if (extra == NULL || extra->pong == NULL) {
        flin_conn_doom(hub, conn);
        return;
    }
    /* Nobody else holds this buffer and it is not queued yet: rule 1 of buffers starts later. */
    memcpy(extra->pong->data, frame, size);
    extra->pong->size = (uint32_t)size;
}

/**
 * Call the handler, or queue the message: behind a handler that waits, and behind one that closed
 * the connection while nobody knows yet whether its effects may leave.
 */
static void deliver(flin_hub *hub, flin_conn *conn, flin_message_event *event) {
    /* A doomed connection has missed something: what comes behind that is not for its handler. */
    if ((conn->flags & (FLIN_CONN_CLOSE_SENT | FLIN_CONN_FAILED | FLIN_CONN_DOOMED)) != 0) return;
    hub->stats.messages_in++;
    conn->messages_in++;
    if ((conn->flags & FLIN_CONN_QUEUES) != 0) {
        if (!flin_inbox_push(conn, event)) flin_conn_doom(hub, conn);
        return;
    }
    conn->flags |= FLIN_CONN_BUSY;
    if (hub->callbacks.message(hub->user, conn, event)) conn->flags &= ~FLIN_CONN_BUSY;
}

flin_buffer *flin_conn_take_message(flin_hub *hub, flin_conn *conn,
                                    const flin_message_event *event) {
    flin_buffer *buffer;
    uint8_t *block;
    size_t capacity;
    if (event->size < FLIN_LARGE_PAYLOAD_MIN || event->size > FLIN_BUFFER_SIZE_MAX) return NULL;
    if (event->rsv1) return NULL;
    buffer = flin_buffer_new_empty();
    if (buffer == NULL) return NULL;
    block = flin_message_take(&conn->input, event, &capacity);
    if (block == NULL) {
        flin_buffer_release(&hub->pool, buffer);
        return NULL;
    }
    flin_buffer_wrap(&hub->pool, buffer, block, event->size, capacity);
    return buffer;
}

void flin_conn_handle_event(flin_hub *hub, flin_conn *conn, flin_message_event *event) {
    switch ((flin_opcode)event->opcode) {
    case FLIN_OPCODE_TEXT:
    case FLIN_OPCODE_BINARY:
        deliver(hub, conn, event);
        break;
    case FLIN_OPCODE_PING:
        answer_ping(hub, conn, event);
        break;
    case FLIN_OPCODE_CLOSE:
        flin_conn_close_received(hub, conn, event);
        break;
    default:
        break; /* a pong: that bytes came is all there is to know */
    }
}

static inline bool must_wait(const flin_conn *conn) {
    return (conn->flags & FLIN_CONN_QUEUES) != 0 && flin_inbox_is_full(conn);
}

/** Parse until the bytes, the connection or the inbox's room end; returns where it stopped. */
static uint8_t *parse(flin_hub *hub, flin_conn *conn, uint8_t *cursor, uint8_t *end) {
    const flin_message_limits *limits =
        &conn->endpoint->limits[(conn->flags & FLIN_CONN_INFLATE) != 0 ? FLIN_CLASS_DEFLATE
                                                                       : FLIN_CLASS_PLAIN];
    flin_message_event event;
    while ((conn->flags & STOPS_PARSING) == 0) {
        flin_status status;
        if (must_wait(conn)) return cursor;
        status = flin_message_next(&conn->input, &cursor, end, limits, &event);
        if (status == FLIN_OK) {
            flin_conn_handle_event(hub, conn, &event);
        } else {
            if (status != FLIN_NEED_MORE) flin_conn_fail(hub, conn, status);
            break;
        }
    }
    return end;
}

/** Keep bytes that cannot be parsed yet; without memory the connection is lost. */
static void stash(flin_hub *hub, flin_conn *conn, const uint8_t *data, size_t size) {
    flin_conn_extra *extra = flin_conn_need_extra(conn);
    if (size == 0) return;
    if (extra != NULL && extra->stash == NULL) extra->stash = flin_buffer_new(&hub->pool, size);
    if (extra == NULL || extra->stash == NULL ||
        !flin_buffer_reserve(&hub->pool, extra->stash, size)) {
        flin_conn_doom(hub, conn);
        return;
    }
    memcpy(extra->stash->data + extra->stash->size, data, size);
    extra->stash->size += (uint32_t)size;
}

static bool has_stash(const flin_conn *conn) {
    return conn->extra != NULL && conn->extra->stash != NULL;
}

/** Parse bytes that are next in the stream; what must wait goes in front of what came since. */
static void parse_next(flin_hub *hub, flin_conn *conn, uint8_t *data, size_t size) {
    uint8_t *cursor = parse(hub, conn, data, data + size);
    size_t left = (size_t)(data + size - cursor);
    flin_buffer *newer;
    if (left == 0) return;
    newer = has_stash(conn) ? conn->extra->stash : NULL;
    if (newer != NULL) conn->extra->stash = NULL;
    stash(hub, conn, cursor, left);
    if (newer == NULL) return;
    stash(hub, conn, newer->data, newer->size);
    flin_buffer_release(&hub->pool, newer);
}

/** Parse what is stashed as far as handlers keep up. */
static void pump_stash(flin_hub *hub, flin_conn *conn) {
    while (has_stash(conn) && !must_wait(conn)) {
        flin_buffer *buffer = conn->extra->stash;
        conn->extra->stash = NULL;
        parse_next(hub, conn, buffer->data, buffer->size);
        flin_buffer_release(&hub->pool, buffer);
    }
}

void flin_conn_feed(flin_hub *hub, flin_conn *conn, uint8_t *data, size_t size) {
    hub->stats.bytes_in += size;
    *flin_conn_heard_ms(&hub->slab, conn) = hub->now_ms;
    if ((conn->flags & (STOPS_PARSING | FLIN_CONN_FINISHED)) != 0) return;
    if (has_stash(conn) || (conn->flags & FLIN_CONN_READING) != 0) {
        stash(hub, conn, data, size);
        return;
    }
    conn->flags |= FLIN_CONN_READING;
    parse_next(hub, conn, data, size);
    pump_stash(hub, conn);
    conn->flags &= ~FLIN_CONN_READING;
    flin_conn_update_interest(hub, conn);
}

void flin_conn_feed_end(flin_hub *hub, flin_conn *conn) {
    conn->flags |= FLIN_CONN_END_SEEN;
    if (conn->state == FLIN_CONN_OPEN) {
        flin_conn_lost(hub, conn, false);
    } else if (conn->state == FLIN_CONN_CLOSING) {
        flin_output_mark_dirty(hub, conn);
        flin_conn_update_interest(hub, conn);
    }
}

/** Deliver what was queued, as far as handlers finish at once. */
static void pump_inbox(flin_hub *hub, flin_conn *conn) {
    flin_inbox_entry *entry;
    while ((conn->flags & FLIN_CONN_QUEUES) == 0 && (entry = flin_inbox_pop(conn)) != NULL) {
        flin_message_event event = {entry->data, entry->size, 0, entry->opcode, entry->rsv1};
        conn->flags |= FLIN_CONN_BUSY;
        if (hub->callbacks.message(hub->user, conn, &event)) conn->flags &= ~FLIN_CONN_BUSY;
        flin_memory_free(entry);
    }
}

/** Deliver what had to wait, as far as it need not any more. */
static void go_on(flin_hub *hub, flin_conn *conn) {
    if ((conn->flags & FLIN_CONN_READING) != 0) return;
    conn->flags |= FLIN_CONN_READING;
    pump_inbox(hub, conn);
    pump_stash(hub, conn);
    conn->flags &= ~FLIN_CONN_READING;
    if (conn->state != FLIN_CONN_OPEN) flin_conn_end_later(hub, conn);
    flin_conn_update_interest(hub, conn);
}

void flin_conn_handler_done(flin_hub *hub, flin_conn *conn) {
    conn->flags &= ~FLIN_CONN_BUSY;
    go_on(hub, conn);
}

void flin_conn_close_settled(flin_hub *hub, flin_conn *conn) {
    conn->flags &= ~FLIN_CONN_CLOSE_HELD;
    go_on(hub, conn);
}
