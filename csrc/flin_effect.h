/**
 * The effect log: what a handler sends, broadcasts, joins, leaves and closes, in order, until it
 * is known whether it may leave.
 *
 * A hub has one open log at most, because handlers never nest. commit() applies it, rollback()
 * forgets it, hold() detaches it until its writes are durable. Effects caused by one connection
 * leave in the order its handlers ran: behind a held log, later ones of that connection queue.
 *
 * Rules
 *   1. A record pins the rooms (`refs`) and large buffers it names; connections are named by id.
 *   2. `current` stays allocated while a log of its is open or held (flin_hub_reap() waits).
 *   3. Recording never changes rooms or queues, so dropping a log needs no undo.
 *   4. While a held log closes `current`, its messages wait in the inbox (FLIN_CONN_CLOSE_HELD):
 *      they are dropped when the log leaves, and handled when it is discarded.
 */
#ifndef FLIN_EFFECT_H
#define FLIN_EFFECT_H

#include "flin_batch.h"

typedef enum {
    FLIN_EFFECT_SEND,  /* to one connection */
    FLIN_EFFECT_ROOM,  /* to a room, perhaps without one connection */
    FLIN_EFFECT_UNION, /* to all of the current endpoint and to a room, each once */
    FLIN_EFFECT_ALL,   /* to every open connection */
    FLIN_EFFECT_JOIN,
    FLIN_EFFECT_LEAVE,
    FLIN_EFFECT_CLOSE
} flin_effect_kind;

typedef enum {
    FLIN_LOG_IDLE,
    FLIN_LOG_OPEN,     /* a handler writes into it */
    FLIN_LOG_HELD,     /* waits for release or discard */
    FLIN_LOG_READY,    /* may leave once those in front of it have */
    FLIN_LOG_DISCARDED /* never leaves */
} flin_log_state;

struct flin_log {
    uint8_t *data; /* records, each a multiple of 8 bytes long */
    size_t size;
    size_t capacity;
    flin_conn *current;        /* connection the handler runs for, or NULL */
    flin_log *next;            /* in current->extra->held */
    uint32_t membership_count; /* JOIN and LEAVE records */
    int32_t membership_delta;  /* rooms the current connection will be in more than now */
    uint8_t state;
    bool closes_current; /* there is a CLOSE record of `current` */
};

/** One message to record. The bytes are copied, or moved into a shared buffer when large. */
typedef struct {
    const uint8_t *data;
    size_t size;
    const uint8_t *twin; /* the same, deflated without its tail; or NULL */
    size_t twin_size;
    flin_buffer *shared; /* a buffer that holds just `data`, to refer to instead; or NULL */
    uint8_t opcode;      /* FLIN_OPCODE_TEXT or FLIN_OPCODE_BINARY */
    bool is_volatile;    /* passes connections by that are behind with reading (FLIN_CONN_SLOW) */
} flin_payload;

/** Open the log; false when it is open already. */
bool flin_log_begin(flin_hub *hub, flin_conn *current);

/** Apply the open log now, or queue it behind held ones of the same connection. */
void flin_log_commit(flin_hub *hub);

/** Forget the open log. */
void flin_log_rollback(flin_hub *hub);

/** Detach the open log; NULL without memory, the log is open still. */
flin_log *flin_log_hold(flin_hub *hub);

/** Let a held log leave as soon as those in front of it have; it is gone after the call. */
void flin_log_release(flin_hub *hub, flin_log *log);

/** Forget a held log. */
void flin_log_discard(flin_hub *hub, flin_log *log);

/* Record into the open log; each returns false without memory, having recorded nothing. */
bool flin_log_send(flin_hub *hub, const flin_conn *conn, const flin_payload *payload);

/**
 * @param kind    FLIN_EFFECT_ROOM, UNION or ALL.
 * @param room    For ROOM; for UNION it may be NULL; for ALL it is NULL.
 * @param except  For ROOM and UNION: connection to leave out, or NULL.
 */
bool flin_log_publish(flin_hub *hub, flin_effect_kind kind, flin_room *room,
                      const flin_conn *except, const flin_payload *payload);
bool flin_log_membership(flin_hub *hub, flin_effect_kind kind, const flin_conn *conn,
                         flin_room *room);
bool flin_log_close(flin_hub *hub, const flin_conn *conn, uint16_t code, const char *reason,
                    size_t reason_size);

/** Whether joins or leaves of this connection are recorded that have not been applied. */
bool flin_log_has_pending(const flin_hub *hub, const flin_conn *conn);

/** Membership as the connection's own handler sees it: applied, then held, then open effects. */
bool flin_log_is_member(const flin_hub *hub, const flin_conn *conn, const flin_room *room);

/** Number of named rooms the connection is in, seen the same way. */
uint32_t flin_log_room_count(const flin_hub *hub, const flin_conn *conn);

/** Called for each pending join and leave of a connection, in order. */
typedef void (*flin_log_visitor)(void *context, const flin_room *room, bool is_join);
void flin_log_visit(const flin_hub *hub, const flin_conn *conn, flin_log_visitor visitor,
                    void *context);

#endif
