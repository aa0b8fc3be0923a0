#include "flin_close.h"

#include <assert.h>
#include <string.h>

#include "flin_block.h"
#include "flin_hub.h"
#include "flin_memory.h"
#include "flin_reactor.h"

#define CLOSE_FRAME_SIZE_MAX (2u + FLIN_FRAME_CONTROL_MAX)
#define CLOSE_CODE_NONE 1005u
#define CLOSE_CODE_ABNORMAL 1006u
/* Time between two sweeps, milliseconds, from which the second one is late; they come each second. */
#define LATE_SWEEP_MS 2000u

static const uint8_t PING_FRAME[2] = {0x80u | FLIN_OPCODE_PING, 0};

void flin_conn_end_later(flin_hub *hub, flin_conn *conn) {
    if ((conn->flags & FLIN_CONN_ENDED) != 0) return;
    conn->flags |= FLIN_CONN_ENDED;
    conn->ended_next = NULL;
    if (hub->ended_tail == NULL) {
        hub->ended_head = conn;
    } else {
        hub->ended_tail->ended_next = conn;
    }
    hub->ended_tail = conn;
}

void flin_conn_watch(flin_hub *hub, flin_conn *conn) {
    if ((conn->flags & FLIN_CONN_WATCHED) != 0) return;
    conn->flags |= FLIN_CONN_WATCHED;
    conn->watch_previous = FLIN_SLOT_NONE;
    conn->watch_next = hub->watch_head;
    if (hub->watch_head != FLIN_SLOT_NONE) {
        flin_slab_at(&hub->slab, hub->watch_head)->watch_previous = conn->slot;
    }
    hub->watch_head = conn->slot;
}

void flin_conn_unwatch(flin_hub *hub, flin_conn *conn) {
    if ((conn->flags & FLIN_CONN_WATCHED) == 0) return;
    conn->flags &= ~FLIN_CONN_WATCHED;
    if (conn->watch_previous == FLIN_SLOT_NONE) {
        hub->watch_head = conn->watch_next;
    } else {
        flin_slab_at(&hub->slab, conn->watch_previous)->watch_next = conn->watch_next;
    }
    if (conn->watch_next != FLIN_SLOT_NONE) {
        flin_slab_at(&hub->slab, conn->watch_next)->watch_previous = conn->watch_previous;
    }
}

void flin_conn_doom(flin_hub *hub, flin_conn *conn) {
    /* It must not receive what comes after the message it missed. */
    flin_output_seal(conn);
    conn->flags |= FLIN_CONN_DOOMED;
    flin_conn_end_later(hub, conn);
}

/** Leave OPEN: no room holds it any more, `on close` will run once with `code`. */
static void end_open(flin_hub *hub, flin_conn *conn, uint16_t code, const char *reason,
                     size_t reason_size) {
    assert(conn->state == FLIN_CONN_OPEN);
    conn->state = FLIN_CONN_CLOSING;
    conn->close_code = code;
    conn->flags |= FLIN_CONN_CLOSE_DUE;
    *flin_conn_liveness(&hub->slab, conn) = FLIN_LIVENESS_NONE;
    if (reason_size > FLIN_FRAME_CLOSE_REASON_MAX) reason_size = FLIN_FRAME_CLOSE_REASON_MAX;
    if (reason_size > 0 && flin_conn_need_extra(conn) != NULL) {
        memcpy(conn->extra->reason, reason, reason_size);
        conn->extra->reason_size = (uint8_t)reason_size;
    }
    flin_room_leave_all(hub, conn);
    flin_conn_end_later(hub, conn);
}

static void start_deadline(flin_hub *hub, flin_conn *conn) {
    conn->deadline_ms = hub->now_ms + hub->options.close_ms;
    flin_conn_watch(hub, conn);
}

static void queue_close_frame(flin_hub *hub, flin_conn *conn, uint16_t code, const char *reason,
                              size_t reason_size) {
    uint8_t frame[CLOSE_FRAME_SIZE_MAX];
    size_t size = flin_frame_close_encode(frame, code, reason, reason_size);
    conn->flags |= FLIN_CONN_CLOSE_SENT;
    /* Without memory the push has doomed the connection, which is the end as well. */
    (void)flin_output_append(hub, conn, frame, size);
    start_deadline(hub, conn);
}

void flin_conn_close(flin_hub *hub, flin_conn *conn, uint16_t code, const char *reason,
                     size_t reason_size) {
    if (conn->state != FLIN_CONN_OPEN) return;
    end_open(hub, conn, code, reason, reason_size);
    flin_inbox_clear(hub, conn);
    queue_close_frame(hub, conn, code, reason, reason_size);
    flin_conn_update_interest(hub, conn);
}

void flin_conn_fail(flin_hub *hub, flin_conn *conn, flin_status status) {
    uint16_t code = flin_status_close_code(status);
    const char *text = flin_status_text(status);
    if ((conn->flags & FLIN_CONN_FAILED) != 0 || conn->state == FLIN_CONN_CLOSED) return;
    conn->flags |= FLIN_CONN_FAILED;
    hub->stats.protocol_errors++;
    flin_message_free(&conn->input);
    if (conn->state == FLIN_CONN_OPEN) {
        end_open(hub, conn, code, text, strlen(text));
        queue_close_frame(hub, conn, code, text, strlen(text));
    } else {
        flin_output_mark_dirty(hub, conn);
    }
    flin_conn_update_interest(hub, conn);
}

void flin_conn_close_received(flin_hub *hub, flin_conn *conn, const flin_message_event *event) {
    if ((conn->flags & FLIN_CONN_CLOSE_RECEIVED) != 0) return;
    conn->flags |= FLIN_CONN_CLOSE_RECEIVED;
    if (conn->state == FLIN_CONN_OPEN) {
        end_open(hub, conn, event->close_code, (const char *)event->data, event->size);
        queue_close_frame(hub, conn, event->close_code, NULL, 0);
    } else {
        /* Ours went before theirs: once it has left, the handshake is complete. */
        flin_output_mark_dirty(hub, conn);
    }
}

void flin_conn_lost(flin_hub *hub, flin_conn *conn, bool reset) {
    if (conn->state == FLIN_CONN_CLOSED) return;
    if (conn->state == FLIN_CONN_OPEN) end_open(hub, conn, CLOSE_CODE_ABNORMAL, NULL, 0);
    conn->flags |= FLIN_CONN_FINISHED | (reset ? FLIN_CONN_RESET : 0);
    flin_conn_end_later(hub, conn);
}

void flin_conn_close_slow(flin_hub *hub, flin_conn *conn) {
    uint16_t code = flin_status_close_code(FLIN_ERR_SLOW_CONSUMER);
    const char *text = flin_status_text(FLIN_ERR_SLOW_CONSUMER);
    uint64_t dropped;
    if (conn->state != FLIN_CONN_OPEN) return;
    hub->stats.slow_closed++;
    end_open(hub, conn, code, text, strlen(text));
    flin_inbox_clear(hub, conn);
    dropped = flin_output_cut(hub, conn);
    hub->stats.dropped += dropped;
    conn->messages_out -= (uint32_t)dropped;
    queue_close_frame(hub, conn, code, text, strlen(text));
    flin_conn_update_interest(hub, conn);
}

static void shed_one(flin_hub *hub, flin_conn *conn) {
    flin_conn_close_slow(hub, conn);
    if (flin_output_size(conn) <= conn->endpoint->queue_soft) return;
    flin_output_clear(hub, conn);
    flin_conn_lost(hub, conn, true);
}

void flin_hub_shed(flin_hub *hub) {
    uint32_t least = UINT32_MAX;
    do {
        least /= 2;
        for (uint32_t slot = hub->watch_head; slot != FLIN_SLOT_NONE;) {
            flin_conn *conn = flin_slab_at(&hub->slab, slot);
            slot = conn->watch_next;
            if (hub->pool.retained_bytes <= hub->options.retained_max) return;
            if (conn->state == FLIN_CONN_OPEN && conn->backlog > least) shed_one(hub, conn);
        }
    } while (least > 0);
}

void flin_conn_drained(flin_hub *hub, flin_conn *conn) {
    uint32_t flags = conn->flags;
    assert(conn->state == FLIN_CONN_CLOSING);
    if ((flags & (FLIN_CONN_CLOSE_SENT | FLIN_CONN_FAILED)) == 0) return;
    if ((flags & FLIN_CONN_CLOSE_RECEIVED) != 0 || (flags & FLIN_CONN_END_SEEN) != 0) {
        /* Handshake complete, or the peer is gone: the server closes first. */
        conn->flags |= FLIN_CONN_FINISHED;
        flin_conn_end_later(hub, conn);
    } else if ((flags & FLIN_CONN_FAILED) != 0 && (flags & FLIN_CONN_SHUT) == 0) {
        conn->flags |= FLIN_CONN_SHUT;
        if (conn->fd >= 0) {
            flin_socket_shut(conn->fd);
        } else {
            /* A transport cannot be half closed; closing it flushes what it holds. */
            conn->flags |= FLIN_CONN_FINISHED;
            flin_conn_end_later(hub, conn);
        }
    }
}

/** Close the socket; output that is still queued is lost. */
static void close_socket(flin_hub *hub, flin_conn *conn) {
    bool reset = (conn->flags & FLIN_CONN_RESET) != 0;
    conn->state = FLIN_CONN_CLOSED;
    flin_conn_unwatch(hub, conn);
    flin_output_clear(hub, conn);
    flin_conn_set_backlog(hub, conn, 0);
    if ((conn->flags & FLIN_CONN_TRANSPORT) != 0) {
        hub->callbacks.detach(hub->user, conn, reset);
    } else if (conn->fd >= 0) {
        flin_reactor_forget(hub, conn);
        flin_socket_close(conn->fd, reset);
        conn->fd = -1;
    }
}

static bool has_held(const flin_conn *conn) {
    return conn->extra != NULL && conn->extra->held != NULL;
}

static bool may_be_freed(const flin_conn *conn) {
    return conn->state == FLIN_CONN_CLOSED &&
           (conn->flags & (FLIN_CONN_CLOSE_DUE | FLIN_CONN_BUSY | FLIN_CONN_DIRTY |
                           FLIN_CONN_READING | FLIN_CONN_ENDED)) == 0 &&
           !has_held(conn);
}

static void reap_one(flin_hub *hub, flin_conn *conn) {
    if ((conn->flags & FLIN_CONN_DOOMED) != 0) flin_conn_lost(hub, conn, true);
    conn->flags &= ~FLIN_CONN_ENDED;
    if ((conn->flags & FLIN_CONN_CLOSE_HELD) != 0 && !has_held(conn)) {
        flin_conn_close_settled(hub, conn);
    }
    if ((conn->flags & FLIN_CONN_FINISHED) != 0 && conn->state != FLIN_CONN_CLOSED) {
        close_socket(hub, conn);
    }
    if ((conn->flags & FLIN_CONN_CLOSE_DUE) != 0 && (conn->flags & FLIN_CONN_BUSY) == 0 &&
        flin_inbox_is_empty(conn)) {
        conn->flags = (conn->flags & ~FLIN_CONN_CLOSE_DUE) | FLIN_CONN_BUSY;
        hub->stats.closed++;
        if (hub->callbacks.closed(hub->user, conn)) conn->flags &= ~FLIN_CONN_BUSY;
    }
    if (!may_be_freed(conn)) return;
    hub->callbacks.freed(hub->user, conn);
    flin_conn_drop_extra(hub, conn);
    flin_message_free(&conn->input);
    flin_slab_give(&hub->slab, conn);
}

void flin_hub_reap(flin_hub *hub) {
    while (hub->ended_head != NULL) {
        flin_conn *conn = hub->ended_head;
        hub->ended_head = conn->ended_next;
        if (hub->ended_head == NULL) hub->ended_tail = NULL;
        reap_one(hub, conn);
    }
}

/* --- the sweep ------------------------------------------------------------------------------ */

/** Silence after which a ping is due: more than half the heartbeat, at most all of it. */
static uint32_t ping_due_ms(const flin_hub *hub, uint32_t slot, uint32_t heard_ms) {
    uint32_t spread = hub->options.heartbeat_ms / 2;
    uint64_t mixed = ((uint64_t)heard_ms << 32 | slot) * UINT64_C(0x9E3779B97F4A7C15);
    mixed = (mixed ^ mixed >> 32) * UINT64_C(0xD6E8FEB86659FD93);
    return hub->options.heartbeat_ms - (uint32_t)((mixed >> 32) * spread >> 32);
}

static void ping(flin_hub *hub, flin_conn *conn, flin_chunk *chunk, uint32_t index) {
    if (!flin_output_append(hub, conn, PING_FRAME, sizeof PING_FRAME)) return;
    chunk->liveness[index] = FLIN_LIVENESS_PINGED;
    chunk->pinged_ms[index] = hub->now_ms;
    hub->stats.pings++;
}

/** Judge one open connection that has been silent for more than half the heartbeat. */
static void sweep_silent(flin_hub *hub, flin_chunk *chunk, uint32_t index, bool is_late) {
    flin_conn *conn = &chunk->conns[index];
    uint32_t silence = hub->now_ms - chunk->heard_ms[index];
    uint32_t waited = hub->now_ms - chunk->pinged_ms[index];
    if ((conn->interest & FLIN_INTEREST_READ) == 0) {
        chunk->heard_ms[index] = hub->now_ms;
        chunk->liveness[index] = FLIN_LIVENESS_OPEN;
        return;
    }
    /* What came in the millisecond of the ping came after it: before, there was silence. */
    if (silence <= waited) chunk->liveness[index] = FLIN_LIVENESS_OPEN;
    if ((conn->flags & FLIN_CONN_STALLED) != 0) {
        if (chunk->liveness[index] == FLIN_LIVENESS_OVERDUE) {
            chunk->liveness[index] = FLIN_LIVENESS_PINGED;
        }
        chunk->pinged_ms[index] = hub->now_ms;
        return;
    }
    if (chunk->liveness[index] == FLIN_LIVENESS_OPEN) {
        if (silence >= ping_due_ms(hub, conn->slot, chunk->heard_ms[index])) {
            ping(hub, conn, chunk, index);
        }
        return;
    }
    if (silence < hub->options.timeout_ms) return;
    if (waited < hub->options.timeout_ms - hub->options.heartbeat_ms) return;
    if (is_late && chunk->liveness[index] == FLIN_LIVENESS_PINGED) {
        chunk->liveness[index] = FLIN_LIVENESS_OVERDUE;
        return;
    }
    hub->stats.timeouts++;
    flin_conn_lost(hub, conn, true);
}

static void sweep_heartbeat(flin_hub *hub) {
    uint32_t quiet_ms = hub->options.heartbeat_ms / 2;
    bool is_late = hub->now_ms - hub->swept_ms >= LATE_SWEEP_MS;
    hub->swept_ms = hub->now_ms;
    for (uint32_t c = 0; c < hub->slab.chunk_count; c++) {
        flin_chunk *chunk = hub->slab.chunks[c];
        for (uint32_t i = 0; i < FLIN_CHUNK_COUNT; i++) {
            if (chunk->liveness[i] == FLIN_LIVENESS_NONE) continue;
            if (hub->now_ms - chunk->heard_ms[i] > quiet_ms) {
                sweep_silent(hub, chunk, i, is_late);
            } else {
                chunk->liveness[i] = FLIN_LIVENESS_OPEN;
            }
        }
    }
}

static void sweep_watched(flin_hub *hub) {
    uint32_t slot = hub->watch_head;
    while (slot != FLIN_SLOT_NONE) {
        flin_conn *conn = flin_slab_at(&hub->slab, slot);
        slot = conn->watch_next;
        /* A transport drains without telling: the next flush looks at how far it is. */
        if ((conn->flags & FLIN_CONN_TRANSPORT) != 0) flin_output_mark_dirty(hub, conn);
        if (conn->state == FLIN_CONN_CLOSING) {
            if ((int32_t)(hub->now_ms - conn->deadline_ms) >= 0) flin_conn_lost(hub, conn, true);
        } else if (conn->backlog == 0) {
            flin_conn_unwatch(hub, conn);
        } else if (hub->now_ms - conn->progress_ms >= conn->endpoint->stall_ms) {
            flin_conn_close_slow(hub, conn);
        }
    }
}

void flin_hub_sweep(flin_hub *hub) {
    flin_block_trim();
    if (hub->slab.used_count == 0) flin_block_trim(); /* nobody to keep anything for */
    sweep_watched(hub);
    sweep_heartbeat(hub);
}
