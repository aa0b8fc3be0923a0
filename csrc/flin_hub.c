#include "flin_hub.h"

#include <assert.h>
#include <string.h>

#include "flin_memory.h"
#include "flin_reactor.h"

bool flin_hub_init(flin_hub *hub, const flin_hub_options *options, const flin_callbacks *callbacks,
                   void *user) {
    memset(hub, 0, sizeof *hub);
    hub->options = *options;
    hub->callbacks = *callbacks;
    hub->user = user;
    hub->rooms.key = options->key;
    hub->watch_head = FLIN_SLOT_NONE;
    hub->all = flin_room_new_internal();
    hub->receive = flin_memory_alloc(FLIN_RECEIVE_SIZE);
    if (hub->all != NULL && hub->receive != NULL) return true;
    flin_room_free_internal(hub->all);
    flin_memory_free(hub->receive);
    return false;
}

/** Drop what one connection holds, as the hub goes away with it. */
static void free_conn(flin_hub *hub, flin_conn *conn) {
    flin_output_clear(hub, conn);
    if (conn->fd >= 0) flin_socket_close(conn->fd, false);
    if (conn->memberships != conn->memberships_inline) flin_memory_free(conn->memberships);
    while (conn->extra != NULL && conn->extra->held != NULL) {
        flin_log *log = conn->extra->held;
        log->state = FLIN_LOG_DISCARDED;
        flin_log_discard(hub, log);
    }
    flin_conn_drop_extra(hub, conn);
    flin_message_free(&conn->input);
}

void flin_hub_free(flin_hub *hub) {
    if (hub->log.state == FLIN_LOG_OPEN) flin_log_rollback(hub);
    for (uint32_t i = 0; i < hub->slab.chunk_count * FLIN_CHUNK_COUNT; i++) {
        flin_conn *conn = flin_slab_at(&hub->slab, i);
        if (conn->state == FLIN_CONN_OPEN) flin_room_leave_all(hub, conn);
    }
    flin_batch_seal_all(hub);
    flin_batch_free_spare(hub);
    for (uint32_t i = 0; i < hub->slab.chunk_count * FLIN_CHUNK_COUNT; i++) {
        flin_conn *conn = flin_slab_at(&hub->slab, i);
        if (conn->state != FLIN_CONN_FREE) free_conn(hub, conn);
    }
    flin_channel_free(hub);
    flin_reactor_free(hub);
    flin_memory_free(hub->log.data);
    flin_room_table_free(&hub->rooms);
    flin_room_free_internal(hub->all);
    flin_slab_free(&hub->slab);
    flin_buffer_pool_free(&hub->pool);
    flin_memory_free(hub->receive);
    memset(hub, 0, sizeof *hub);
}

int flin_hub_visit_users(const flin_hub *hub, int (*visit)(void *user, void *context),
                         void *context) {
    for (uint32_t i = 0; i < hub->slab.chunk_count * FLIN_CHUNK_COUNT; i++) {
        void *user = flin_slab_at(&hub->slab, i)->user;
        int result = user == NULL ? 0 : visit(user, context);
        if (result != 0) return result;
    }
    for (uint32_t i = 0; i < hub->channels.capacity; i++) {
        void *user = hub->channels.items[i].user;
        int result = user == NULL ? 0 : visit(user, context);
        if (result != 0) return result;
    }
    return 0;
}

/** Close a connection's socket at once; its slot stays taken, with what is held for it. */
static void abandon_conn(flin_hub *hub, flin_conn *conn) {
    flin_conn_lost(hub, conn, false);
    flin_output_clear(hub, conn);
    if (conn->fd >= 0) {
        flin_reactor_forget(hub, conn);
        flin_socket_close(conn->fd, false);
        conn->fd = -1;
    }
    conn->state = FLIN_CONN_CLOSED;
    if (conn->user != NULL) hub->callbacks.freed(hub->user, conn);
    conn->user = NULL;
}

void flin_hub_abandon(flin_hub *hub, void (*drop_channel)(void *channel_user)) {
    flin_batch_seal_all(hub);
    for (uint32_t i = 0; i < hub->slab.chunk_count * FLIN_CHUNK_COUNT; i++) {
        flin_conn *conn = flin_slab_at(&hub->slab, i);
        if (conn->state != FLIN_CONN_FREE) abandon_conn(hub, conn);
    }
    for (uint32_t i = 0; i < hub->channels.capacity; i++) {
        void *user = hub->channels.items[i].user;
        hub->channels.items[i].user = NULL;
        if (user != NULL) drop_channel(user);
    }
    flin_channel_free(hub);
    /* Nobody is left to be flushed or reaped. */
    hub->dirty_head = hub->dirty_tail = NULL;
    hub->transport_head = hub->transport_tail = NULL;
    hub->ended_head = hub->ended_tail = NULL;
}

bool flin_endpoint_bind(flin_endpoint *endpoint) {
    if (endpoint->room == NULL) endpoint->room = flin_room_new_internal();
    return endpoint->room != NULL;
}

void flin_endpoint_unbind(flin_hub *hub, flin_endpoint *endpoint) {
    if (endpoint->room == NULL) return;
    if (endpoint->room->batch != NULL) flin_batch_seal_all(hub);
    flin_room_free_internal(endpoint->room);
    endpoint->room = NULL;
}

flin_conn *flin_hub_open(flin_hub *hub, flin_endpoint *endpoint, void *user,
                         flin_compression compression) {
    flin_conn *conn;
    if (!flin_endpoint_bind(endpoint)) return NULL;
    conn = flin_slab_take(&hub->slab);
    if (conn == NULL) return NULL;
    conn->user = user;
    conn->endpoint = endpoint;
    conn->flags = FLIN_CONN_BUSY | FLIN_CONN_TRANSPORT;
    if (compression != FLIN_COMPRESSION_NONE) conn->flags |= FLIN_CONN_INFLATE;
    if (compression == FLIN_COMPRESSION_BOTH) conn->flags |= FLIN_CONN_DEFLATE;
    conn->interest = FLIN_INTEREST_READ;
    *flin_conn_heard_ms(&hub->slab, conn) = hub->now_ms;
    if (!flin_room_join_internal(conn, hub->all, FLIN_MEMBER_ALL)) {
        flin_slab_give(&hub->slab, conn);
        return NULL;
    }
    if (!flin_room_join_internal(conn, endpoint->room, FLIN_MEMBER_ENDPOINT)) {
        flin_room_leave_internal(hub, conn, hub->all);
        flin_slab_give(&hub->slab, conn);
        return NULL;
    }
    hub->stats.opened++;
    return conn;
}

void flin_hub_unopen(flin_hub *hub, flin_conn *conn) {
    flin_room_leave_all(hub, conn);
    flin_output_clear(hub, conn);
    conn->fd = -1;
    flin_slab_give(&hub->slab, conn);
    hub->stats.opened--;
}

/* --- output --------------------------------------------------------------------------------- */

static uint8_t wanted_interest(const flin_conn *conn) {
    uint8_t interest = 0;
    bool is_full = (conn->flags & FLIN_CONN_QUEUES) != 0 && !flin_inbox_is_empty(conn) &&
                   (flin_inbox_is_full(conn) || conn->extra->stash != NULL);
    bool is_slow = (conn->flags & FLIN_CONN_SLOW) != 0 && conn->state == FLIN_CONN_OPEN;
    if (!is_full && !is_slow && (conn->flags & FLIN_CONN_END_SEEN) == 0) {
        interest |= FLIN_INTEREST_READ;
    }
    if ((conn->flags & FLIN_CONN_STALLED) != 0) interest |= FLIN_INTEREST_WRITE;
    return interest;
}

void flin_conn_update_interest(flin_hub *hub, flin_conn *conn) {
    uint8_t interest = wanted_interest(conn);
    if (interest == conn->interest) return;
    if ((conn->flags & FLIN_CONN_TRANSPORT) != 0) {
        /* flin_hub_next_transport() hands it over; the caller compares and keeps the wish. */
        if (((interest ^ conn->interest) & FLIN_INTEREST_READ) != 0) {
            flin_output_mark_dirty(hub, conn);
        }
        conn->interest = interest;
        return;
    }
    conn->interest = interest;
    if (conn->fd >= 0) flin_reactor_watch(hub, conn);
}

/** Output of a peer that is not taking any has grown: keep to the limit. */
static bool is_too_slow(const flin_conn *conn, size_t queued) {
    return conn->state == FLIN_CONN_OPEN && conn->backlog > conn->endpoint->queue_hard &&
           queued > conn->backlog;
}

void flin_conn_set_backlog(flin_hub *hub, flin_conn *conn, size_t queued) {
    uint32_t backlog = queued > UINT32_MAX ? UINT32_MAX : (uint32_t)queued;
    bool is_slow = backlog > conn->endpoint->queue_soft;
    hub->backlog_bytes = hub->backlog_bytes - conn->backlog + backlog;
    conn->backlog = backlog;
    if (is_slow == ((conn->flags & FLIN_CONN_SLOW) != 0)) return;
    conn->flags ^= FLIN_CONN_SLOW;
    hub->slow_count = is_slow ? hub->slow_count + 1 : hub->slow_count - 1;
}

/** The peer takes output again: what waited for that goes next. */
static void end_stall(flin_hub *hub, flin_conn *conn) {
    conn->flags &= ~FLIN_CONN_STALLED;
    flin_conn_set_backlog(hub, conn, 0);
    if (conn->state == FLIN_CONN_OPEN && conn->extra != NULL && conn->extra->pong != NULL) {
        flin_buffer *pong = conn->extra->pong;
        conn->extra->pong = NULL;
        (void)flin_output_push(hub, conn, pong, 0);
        flin_buffer_release(&hub->pool, pong);
    }
    flin_conn_update_interest(hub, conn);
}

static void start_stall(flin_hub *hub, flin_conn *conn) {
    conn->flags |= FLIN_CONN_STALLED;
    flin_conn_progress(hub, conn);
    flin_conn_watch(hub, conn);
}

void flin_conn_flushed(flin_hub *hub, flin_conn *conn, bool is_stalled, size_t outside) {
    size_t queued;
    if (conn->segment_count == 0) {
        if (conn->state == FLIN_CONN_CLOSING) flin_conn_drained(hub, conn);
        if (!is_stalled) {
            if ((conn->flags & FLIN_CONN_STALLED) != 0) end_stall(hub, conn);
            return;
        }
    }
    queued = flin_output_size(conn) + outside;
    if (is_too_slow(conn, queued)) {
        flin_conn_close_slow(hub, conn);
        queued = flin_output_size(conn) + outside;
    }
    if ((conn->flags & FLIN_CONN_STALLED) == 0) {
        start_stall(hub, conn);
    } else if (queued < conn->backlog) {
        flin_conn_progress(hub, conn);
    }
    flin_conn_set_backlog(hub, conn, queued);
    /* What stalls is kept for a while: let the room's batch have only what it wrote. */
    flin_output_trim(hub, conn);
    flin_conn_update_interest(hub, conn);
}

static void add_transport(flin_hub *hub, flin_conn *conn) {
    conn->dirty_next = NULL;
    if (hub->transport_tail == NULL) {
        hub->transport_head = conn;
    } else {
        hub->transport_tail->dirty_next = conn;
    }
    hub->transport_tail = conn;
}

/** Everybody has taken what they would: what is held now is held for those who do not. */
static void keep_to_cap(flin_hub *hub) {
    if (hub->pool.retained_bytes > hub->options.retained_max) flin_hub_shed(hub);
}

void flin_hub_flush(flin_hub *hub) {
    flin_conn *conn = hub->dirty_head;
    hub->dirty_head = hub->dirty_tail = NULL;
    flin_batch_seal_all(hub);
    while (conn != NULL) {
        flin_conn *next = conn->dirty_next;
        if (conn->state == FLIN_CONN_CLOSED) {
            conn->flags &= ~FLIN_CONN_DIRTY;
            flin_conn_end_later(hub, conn);
        } else if ((conn->flags & FLIN_CONN_TRANSPORT) != 0) {
            add_transport(hub, conn); /* stays DIRTY until it is handed over */
        } else {
            conn->flags &= ~FLIN_CONN_DIRTY;
            if ((conn->flags & FLIN_CONN_STALLED) != 0) {
                flin_conn_flushed(hub, conn, true, 0);
            } else {
                flin_reactor_write(hub, conn);
            }
        }
        conn = next;
    }
    if (hub->transport_head == NULL) keep_to_cap(hub);
}

flin_conn *flin_hub_next_transport(flin_hub *hub) {
    while (hub->transport_head != NULL) {
        flin_conn *conn = hub->transport_head;
        hub->transport_head = conn->dirty_next;
        if (hub->transport_head == NULL) hub->transport_tail = NULL;
        conn->flags &= ~FLIN_CONN_DIRTY;
        if (conn->state != FLIN_CONN_CLOSED) return conn;
        flin_conn_end_later(hub, conn);
    }
    keep_to_cap(hub);
    return NULL;
}
