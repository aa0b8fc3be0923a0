/**
 * The hub: every connection, room and batch of one loop, and the order in which things happen.
 *
 * A turn: flin_hub_poll() (or flin_hub_feed() for transports) reads and calls handlers, whose
 * effects queue output; flin_hub_flush() writes one vector per connection; flin_hub_reap() closes
 * sockets, calls `on close` and frees slots. Flushing calls nothing of the application, so it may
 * run without the lock of an interpreter; everything else calls back and must not.
 *
 * The core has no clock: `now_ms` is what the caller last stored there.
 */
#ifndef FLIN_HUB_H
#define FLIN_HUB_H

#include "flin_batch.h"
#include "flin_channel.h"
#include "flin_close.h"
#include "flin_conn.h"
#include "flin_effect.h"
#include "flin_output.h"
#include "flin_room.h"

/* Received at once into the shared buffer, bytes; a transport may hand over larger pieces. */
#ifndef FLIN_RECEIVE_SIZE
#define FLIN_RECEIVE_SIZE (256u << 10)
#endif

/** What the core asks of the application; none may be NULL. */
typedef struct {
    /** A message; true when its handler has finished, false when it waits. */
    bool (*message)(void *user, flin_conn *conn, flin_message_event *event);
    /** `on close`, once, after leaving every room; true when its handler has finished. */
    bool (*closed)(void *user, flin_conn *conn);
    /** A transport must be closed (after flushing what it holds) or, if `reset`, aborted. */
    void (*detach)(void *user, flin_conn *conn, bool reset);
    /** The slot is about to be free: forget the pointer. */
    void (*freed)(void *user, flin_conn *conn);
} flin_callbacks;

/** Counters since the hub was made. */
typedef struct {
    uint64_t opened, closed, messages_in, messages_out, bytes_in, bytes_out, deliveries, dropped,
        slow_closed, pings, timeouts, protocol_errors;
} flin_stats;

typedef struct {
    flin_hash_key key;
    uint32_t heartbeat_ms; /* silence after which a ping is sent, at the latest */
    uint32_t timeout_ms;   /* silence after which a connection is dead; more than heartbeat_ms */
    uint32_t close_ms;     /* time for the closing handshake */
    uint32_t rooms_max;    /* rooms one connection may be in */
    size_t retained_max;   /* bytes of all buffers above which stalled connections are closed */
} flin_hub_options;

struct flin_hub {
    flin_slab slab;
    flin_buffer_pool pool;
    flin_room_table rooms;
    flin_room *all; /* internal room of every open connection */
    flin_log log;   /* the open effect log, if any */
    flin_conn *dirty_head, *dirty_tail;
    flin_conn *transport_head, *transport_tail; /* dirty, waiting for flin_hub_next_transport() */
    flin_conn *ended_head, *ended_tail;
    uint32_t watch_head; /* slot */
    flin_batch *active_batches, *spare_batches;
    uint32_t spare_batch_count;
    uint32_t now_ms;   /* monotonic, wraps after 49 days: compare differences only */
    uint32_t swept_ms; /* time of the last sweep */
    flin_hub_options options;
    flin_callbacks callbacks;
    void *user;
    flin_stats stats;
    uint64_t backlog_bytes;       /* sum of conn->backlog */
    uint32_t slow_count;          /* connections that are SLOW */
    uint8_t *receive;             /* FLIN_RECEIVE_SIZE bytes */
    struct flin_reactor *reactor; /* epoll set, or NULL */
    flin_channel_table channels;  /* sockets that are no connections */
};

/** Make an empty hub; false without memory. */
bool flin_hub_init(flin_hub *hub, const flin_hub_options *options, const flin_callbacks *callbacks,
                   void *user);

/** Close every socket without ceremony or callbacks and free everything. Endpoints outlive it. */
void flin_hub_free(flin_hub *hub);

/**
 * Visit every object of the application that connections and channels hold, for a collector.
 *
 * @return The first value of `visit` other than 0, which ends the visit; else 0.
 */
int flin_hub_visit_users(const flin_hub *hub, int (*visit)(void *user, void *context),
                         void *context);

/**
 * Close every socket but listeners' without ceremony and let go of every object of the application:
 * `freed` is called for connections, `drop_channel` for channels, nothing else. Held logs may still
 * be discarded afterwards, endpoints go; then there is only flin_hub_free().
 */
void flin_hub_abandon(flin_hub *hub, void (*drop_channel)(void *channel_user));

/** Make the endpoint's implicit room on first use; false without memory. */
bool flin_endpoint_bind(flin_endpoint *endpoint);

/** Free the endpoint's room; no connection uses it any more. */
void flin_endpoint_unbind(flin_hub *hub, flin_endpoint *endpoint);

/**
 * Open a connection whose bytes pass through a transport; `fd` -1. Descriptors: flin_reactor.h.
 *
 * It is BUSY until flin_conn_handler_done(), so that nothing is delivered before `on connect` ran.
 *
 * @return NULL without memory.
 */
flin_conn *flin_hub_open(flin_hub *hub, flin_endpoint *endpoint, void *user,
                         flin_compression compression);

/** Undo flin_hub_open() of a connection that never came to life; no callback is made. */
void flin_hub_unopen(flin_hub *hub, flin_conn *conn);

/** The handler that runs or waits for this connection has finished: go on with its input. */
void flin_conn_handler_done(flin_hub *hub, flin_conn *conn);

/** Nothing is held any more that would close this connection: go on with its input. */
void flin_conn_close_settled(flin_hub *hub, flin_conn *conn);

/** Whether something waits for a flush or a reap. */
static inline bool flin_hub_has_work(const flin_hub *hub) {
    return hub->dirty_head != NULL || hub->ended_head != NULL || hub->transport_head != NULL ||
           hub->active_batches != NULL;
}

/**
 * Write what is queued for descriptors; what is queued for transports is handed over by
 * flin_hub_next_transport(), until it returns NULL. Ends the turn of every room batch. In the end
 * the worst of the stalled connections are closed while buffers hold more than `retained_max`.
 * Calls nothing of the application.
 */
void flin_hub_flush(flin_hub *hub);

/** Next connection with a transport that has output or a changed wish to read; NULL at the end. */
flin_conn *flin_hub_next_transport(flin_hub *hub);

/**
 * What could be written has been: judge slow consumers, complete closing handshakes.
 *
 * @param is_stalled  The peer's side takes no more for now; true whenever output is left.
 * @param outside     Bytes that left the queue and still wait in a transport.
 */
void flin_conn_flushed(flin_hub *hub, flin_conn *conn, bool is_stalled, size_t outside);

/** Note how many bytes the peer's side has refused, and so whether it is SLOW. */
void flin_conn_set_backlog(flin_hub *hub, flin_conn *conn, size_t queued);

/** The peer takes bytes. */
static inline void flin_conn_progress(const flin_hub *hub, flin_conn *conn) {
    if (conn->state == FLIN_CONN_OPEN) conn->progress_ms = hub->now_ms;
}

/** Ask for FLIN_INTEREST_* according to state; for descriptors it tells epoll. */
void flin_conn_update_interest(flin_hub *hub, flin_conn *conn);

/**
 * Parse received bytes of a connection; they are changed in place (unmasked).
 * Copies what must wait; `data` is the caller's again afterwards.
 */
void flin_conn_feed(flin_hub *hub, flin_conn *conn, uint8_t *data, size_t size);

/** The peer has ended its direction of the stream. */
void flin_conn_feed_end(flin_hub *hub, flin_conn *conn);

/**
 * Take over the bytes of a message that its handler has just been called with.
 *
 * @return A buffer with one reference that holds event->data, or NULL when they lie in the receive
 *         buffer, are too few to be worth it, or there is no memory.
 */
flin_buffer *flin_conn_take_message(flin_hub *hub, flin_conn *conn,
                                    const flin_message_event *event);

/** Deliver one event of the input state machine (used by readers with a room of their own). */
void flin_conn_handle_event(flin_hub *hub, flin_conn *conn, flin_message_event *event);

#endif
