/**
 * One connection: its struct, the slab it lives in and its ids.
 *
 * A connection has a stable address for as long as it is in use. Its 64-bit id is
 * `generation << 32 | slot`; a slot that is used again gets a new generation, so an id that went
 * stale finds nothing. Its top bit is clear: the ids of channels have it (flin_channel.h). What the
 * 1 Hz sweep looks at stands in arrays beside the structs.
 */
#ifndef FLIN_CONN_H
#define FLIN_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flin_buffer.h"
#include "flin_frame.h"
#include "flin_message.h"

typedef struct flin_hub flin_hub;
typedef struct flin_room flin_room;
typedef struct flin_log flin_log;
typedef struct flin_conn flin_conn;

/* Connections per chunk of the slab: 256 x 256 bytes = 64 KiB. */
#ifndef FLIN_CHUNK_COUNT
#define FLIN_CHUNK_COUNT 256u
#endif
/* Chunks, so connections: 2^24. More than a process can have descriptors for. */
#define FLIN_CHUNK_MAX 65536u
#define FLIN_SLOT_NONE UINT32_MAX
/* Generations have 31 bits: the top bit of an id tells channels from connections. */
#define FLIN_GENERATION_MASK 0x7fffffffu
/* Room memberships and output segments that need no allocation. */
#define FLIN_MEMBERSHIP_INLINE 2u
#define FLIN_SEGMENT_INLINE 2u
/* `end` of a segment that ends wherever its buffer ends when it is sent. */
#define FLIN_SEGMENT_OPEN UINT32_MAX
/* Queued input while FLIN_CONN_QUEUES: messages, then payload bytes. */
#define FLIN_INBOX_COUNT_MAX 16u
#define FLIN_INBOX_BYTES_MAX (64u << 10)

/** Encodings of one message; a member of a room reads exactly one of them. */
typedef enum { FLIN_CLASS_PLAIN, FLIN_CLASS_DEFLATE, FLIN_CLASS_COUNT } flin_class;

/** What permessage-deflate (RFC 7692) was agreed on for a connection. */
typedef enum {
    FLIN_COMPRESSION_NONE,
    FLIN_COMPRESSION_BOTH,
    FLIN_COMPRESSION_RECEIVE /* agreed, but we send uncompressed: its window is not ours */
} flin_compression;

typedef enum {
    FLIN_CONN_FREE,    /* slot not in use */
    FLIN_CONN_OPEN,    /* messages flow both ways */
    FLIN_CONN_CLOSING, /* no message flows any more; output and closing handshake finish */
    FLIN_CONN_CLOSED   /* socket gone; waits for handlers and held effects */
} flin_conn_state;

/* Bits of flin_conn.flags. */
#define FLIN_CONN_DIRTY (1u << 0)          /* in the hub's dirty list */
#define FLIN_CONN_ENDED (1u << 1)          /* in the hub's ended list */
#define FLIN_CONN_WATCHED (1u << 2)        /* in the hub's watch list: has a deadline */
#define FLIN_CONN_STALLED (1u << 3)        /* the peer's window is full: wait for writability */
#define FLIN_CONN_TRANSPORT (1u << 4)      /* bytes go through a transport, not a descriptor */
#define FLIN_CONN_DEFLATE (1u << 5)        /* the peer may be sent compressed messages */
#define FLIN_CONN_BUSY (1u << 6)           /* a handler runs or waits */
#define FLIN_CONN_READING (1u << 7)        /* its input is being parsed or pumped right now */
#define FLIN_CONN_CLOSE_SENT (1u << 8)     /* our close frame is queued or sent */
#define FLIN_CONN_CLOSE_RECEIVED (1u << 9) /* the peer's close frame was read */
#define FLIN_CONN_FAILED (1u << 10)        /* protocol error: further input is thrown away */
#define FLIN_CONN_SHUT (1u << 11)          /* our direction of the socket is shut down */
#define FLIN_CONN_FINISHED (1u << 12)      /* the socket must be closed */
#define FLIN_CONN_RESET (1u << 13)         /* ... with a reset */
#define FLIN_CONN_CLOSE_DUE (1u << 14)     /* `on close` has not been called yet */
#define FLIN_CONN_DOOMED (1u << 15)        /* out of memory while others were visited: abort it */
#define FLIN_CONN_END_SEEN (1u << 16)      /* the peer's direction has ended */
#define FLIN_CONN_INFLATE (1u << 17)       /* the peer may send compressed messages */
#define FLIN_CONN_SLOW (1u << 18)          /* has refused more than its soft mark */
#define FLIN_CONN_CLOSE_HELD (1u << 19)    /* a held log of its own handlers closes it */
#define FLIN_CONN_ACCEPTED (1u << 20)      /* nobody else has its descriptor */
/* With one of these, messages wait in the inbox. */
#define FLIN_CONN_QUEUES (FLIN_CONN_BUSY | FLIN_CONN_CLOSE_HELD)

/** Bytes waiting for the peer: a stretch of a buffer. */
typedef struct {
    flin_buffer *buffer; /* one reference */
    uint32_t offset;     /* next byte to send */
    uint32_t end;        /* first byte that is not ours, or FLIN_SEGMENT_OPEN (last one only) */
} flin_segment;

/** A connection's side of being in a room. */
typedef struct {
    flin_room *room;
    uint32_t position; /* of our entry in room->members */
    uint32_t sequence; /* grows with every join: order of joining */
} flin_membership;

/** A message that came while a handler was waiting, or behind a close that is held. */
typedef struct flin_inbox_entry {
    struct flin_inbox_entry *next;
    size_t size;
    uint8_t opcode;
    bool rsv1;
    uint8_t data[];
} flin_inbox_entry;

/** What few connections need and only for a while. */
typedef struct {
    flin_inbox_entry *inbox_head, *inbox_tail;
    size_t inbox_bytes;
    uint32_t inbox_count;
    flin_buffer *stash;         /* received bytes that wait for the inbox to drain, or NULL */
    flin_buffer *pong;          /* the one pong frame owed to a stalled peer, or NULL */
    flin_log *held, *held_last; /* effects of its handlers that have not left yet, in order */
    uint8_t reason_size;
    char reason[FLIN_FRAME_CLOSE_REASON_MAX]; /* close reason as `on close` sees it */
} flin_conn_extra;

/** What connections of one `ws` block share. Limits may change while connections are open. */
typedef struct {
    flin_message_limits limits[FLIN_CLASS_COUNT]; /* differ in allow_rsv1 only */
    flin_room *room;                              /* implicit room of all its connections */
    uint32_t queue_soft; /* bytes the kernel refused: not read, volatile messages pass it by */
    uint32_t queue_hard; /* bytes: closed when they grow beyond */
    uint32_t stall_ms;
    bool is_implicit; /* its handlers' broadcasts reach all its connections */
} flin_endpoint;

struct flin_conn {
    /* Line 0: output. */
    int fd; /* -1: transport, or closed */
    uint32_t slot;
    uint32_t generation;
    uint32_t flags;
    uint8_t state;    /* a flin_conn_state */
    uint8_t interest; /* reads wanted from epoll or the transport: FLIN_INTEREST_* bits */
    uint16_t segment_count;
    uint16_t segment_capacity;
    uint16_t close_code; /* 0 while open */
    flin_segment *segments;
    flin_segment segments_inline[FLIN_SEGMENT_INLINE];
    /* Line 1: input. */
    flin_message_state input;
    /* Line 2: rooms. */
    flin_endpoint *endpoint;
    flin_membership *memberships;
    flin_membership memberships_inline[FLIN_MEMBERSHIP_INLINE];
    uint32_t membership_count;
    uint32_t membership_capacity;
    flin_conn *dirty_next;
    /* Line 3: seldom. */
    void *user; /* the application's object; never touched here */
    flin_conn_extra *extra;
    flin_conn *ended_next;
    uint32_t watch_next, watch_previous; /* slots */
    uint32_t all_position;               /* in the room of all connections */
    uint32_t endpoint_position;          /* in the endpoint's implicit room */
    uint32_t join_sequence;
    uint32_t backlog; /* bytes the kernel has refused so far */
    union {
        uint32_t progress_ms; /* OPEN: last time the peer took bytes */
        uint32_t deadline_ms; /* CLOSING: end of the closing handshake */
    };
    uint32_t head_frame; /* a frame boundary of segments[0], at most one frame behind its offset */
    uint32_t messages_in;
    uint32_t messages_out; /* flin_conn_messages_out() less what its rooms have published */
};

#define FLIN_INTEREST_READ 1u
#define FLIN_INTEREST_WRITE 2u

typedef struct {
    flin_conn conns[FLIN_CHUNK_COUNT];
    uint32_t heard_ms[FLIN_CHUNK_COUNT];  /* last time any byte came */
    uint32_t pinged_ms[FLIN_CHUNK_COUNT]; /* since when a ping has been under way */
    uint8_t liveness[FLIN_CHUNK_COUNT];   /* FLIN_LIVENESS_* */
} flin_chunk;

#define FLIN_LIVENESS_NONE 0u    /* not open: the sweep skips it */
#define FLIN_LIVENESS_OPEN 1u    /* silence is measured */
#define FLIN_LIVENESS_PINGED 2u  /* a ping is under way */
#define FLIN_LIVENESS_OVERDUE 3u /* so it was when a late sweep came: the next one decides */

typedef struct {
    flin_chunk **chunks; /* FLIN_CHUNK_MAX pointers at most, grown by doubling */
    uint32_t chunk_count;
    uint32_t chunk_capacity;
    uint32_t free_slot; /* head of the free list (linked by watch_next), last in first out */
    uint32_t used_count;
} flin_slab;

static inline flin_conn *flin_slab_at(const flin_slab *slab, uint32_t slot) {
    return &slab->chunks[slot / FLIN_CHUNK_COUNT]->conns[slot % FLIN_CHUNK_COUNT];
}

static inline uint64_t flin_conn_id(const flin_conn *conn) {
    return (uint64_t)conn->generation << 32 | conn->slot;
}

static inline uint32_t *flin_conn_heard_ms(const flin_slab *slab, const flin_conn *conn) {
    return &slab->chunks[conn->slot / FLIN_CHUNK_COUNT]->heard_ms[conn->slot % FLIN_CHUNK_COUNT];
}

static inline uint8_t *flin_conn_liveness(const flin_slab *slab, const flin_conn *conn) {
    return &slab->chunks[conn->slot / FLIN_CHUNK_COUNT]->liveness[conn->slot % FLIN_CHUNK_COUNT];
}

/** The connection with an id, in any state but FREE; NULL when it is gone or never was. */
static inline flin_conn *flin_slab_find(const flin_slab *slab, uint64_t id) {
    uint32_t slot = (uint32_t)id;
    flin_conn *conn;
    if (slot / FLIN_CHUNK_COUNT >= slab->chunk_count) return NULL;
    conn = flin_slab_at(slab, slot);
    return conn->state != FLIN_CONN_FREE && conn->generation == (uint32_t)(id >> 32) ? conn : NULL;
}

static inline flin_class flin_conn_class(const flin_conn *conn) {
    return (conn->flags & FLIN_CONN_DEFLATE) != 0 ? FLIN_CLASS_DEFLATE : FLIN_CLASS_PLAIN;
}

/** Take a slot in state OPEN with nothing in it; NULL without memory. */
flin_conn *flin_slab_take(flin_slab *slab);

/** Give a slot back; everything the connection owned has been released by then. */
void flin_slab_give(flin_slab *slab, flin_conn *conn);

/** Free the chunks. */
void flin_slab_free(flin_slab *slab);

/** The connection's extra part, made on first use; NULL without memory. */
flin_conn_extra *flin_conn_need_extra(flin_conn *conn);

/** Free the extra part when nothing in it is in use. `conn->extra->held` is never dropped. */
void flin_conn_drop_extra(flin_hub *hub, flin_conn *conn);

/** Queue one received message while FLIN_CONN_QUEUES; false without memory. */
bool flin_inbox_push(flin_conn *conn, const flin_message_event *event);

/** Take the oldest queued message, or NULL; flin_memory_free() it. */
flin_inbox_entry *flin_inbox_pop(flin_conn *conn);

/** Forget queued messages and stashed input. */
void flin_inbox_clear(flin_hub *hub, flin_conn *conn);

static inline bool flin_inbox_is_empty(const flin_conn *conn) {
    return conn->extra == NULL || (conn->extra->inbox_count == 0 && conn->extra->stash == NULL);
}

static inline bool flin_inbox_is_full(const flin_conn *conn) {
    return conn->extra != NULL && (conn->extra->inbox_count >= FLIN_INBOX_COUNT_MAX ||
                                   conn->extra->inbox_bytes >= FLIN_INBOX_BYTES_MAX);
}

#endif
