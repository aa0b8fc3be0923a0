/**
 * From received bytes to messages: the state machine above frames (RFC 6455 sections 5.4 to 5.6).
 *
 * For: reassembly, unmasking, streaming UTF-8 validation, close payloads, limits; sans I/O.
 * Not for: inflating (the caller does it for events with `rsv1`, and validates that text itself),
 * answering pings, the closing handshake, sending.
 *
 * Rules
 *   1. Nothing is allocated while a message lies whole in the receive buffer: it is unmasked in
 *      place and handed out in place. Only partial and fragmented messages are copied, once,
 *      into one growing buffer.
 *   2. Memory follows the bytes that arrived, never the length that was announced: at most
 *      max(FLIN_MESSAGE_ALLOC_MIN, 2 * (message bytes held + 125 for a control frame)).
 *      A length bomb allocates nothing.
 *   3. A fault is found at the first byte that shows it; text is validated while it arrives, also
 *      inside an unfinished frame. What came before the fault has been handed out by then.
 *   4. How the stream is cut into buffers never changes the events or the fault.
 *
 * The loop of a reader (`sender` is FLIN_ROLE_CLIENT on a server):
 *
 *     uint8_t *cursor = rx, *end = rx + received;
 *     while ((status = flin_message_next(&state, &cursor, end, &limits, &event)) == FLIN_OK) {
 *         ... event.data is valid until the next call for this state, or until rx is reused ...
 *     }
 *     if (status != FLIN_NEED_MORE) fail the connection with flin_status_close_code(status)
 *
 * A reader may stop after any event and go on later, as long as it keeps [cursor, end).
 */
#ifndef FLIN_MESSAGE_H
#define FLIN_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flin_frame.h"
#include "flin_status.h"
#include "flin_utf8.h"

/* Smallest message buffer, bytes: one small message, so that dribbled input reallocates rarely. */
#ifndef FLIN_MESSAGE_ALLOC_MIN
#define FLIN_MESSAGE_ALLOC_MIN 1024u
#endif
/* Empty fragments in one message before FLIN_ERR_FRAGMENT_COUNT: they hold no bytes, so the byte
 * limit cannot see them. Fragments that carry bytes are not counted (Autobahn 9.3, 9.4). */
#define FLIN_MESSAGE_EMPTY_FRAGMENTS_MAX 1024u

/** What a connection accepts; shared by all connections of an endpoint, borrowed for the call. */
typedef struct {
    size_t message_bytes_max; /* payload bytes of one message, all fragments, 0 to SIZE_MAX / 4 */
    uint32_t empty_fragments_max; /* at most UINT16_MAX; FLIN_MESSAGE_EMPTY_FRAGMENTS_MAX */
    flin_role sender;             /* the side whose bytes are read */
    bool allow_rsv1;              /* permessage-deflate was negotiated (RFC 7692) */
} flin_message_limits;

/**
 * State of one direction of one connection; all zero is the start state. Private to
 * flin_message.c except where an accessor below reads it. 64 bytes on 64-bit platforms.
 */
typedef struct {
    uint8_t *buffer;    /* owned; message in progress, then a partial control payload; or NULL */
    size_t size;        /* message bytes in buffer */
    size_t capacity;    /* bytes allocated at buffer */
    uint64_t remaining; /* payload bytes of the current frame still to come */
    uint32_t mask_key;  /* of the current frame, as on the wire */
    uint16_t empty_fragment_count;
    uint8_t spill[FLIN_FRAME_HEADER_MAX]; /* a header that is not complete yet */
    uint8_t spill_size;
    uint8_t message_opcode; /* TEXT or BINARY of the message in progress, or 0 */
    uint8_t frame_opcode;   /* of the current frame */
    uint8_t flags;
    uint8_t phase; /* into mask_key, of the next payload byte */
    uint8_t control_size;
    flin_utf8_state utf8; /* of text in progress; a message that ended left it at the start */
    uint8_t fault;        /* a flin_status: what every further call returns, or FLIN_OK */
} flin_message_state;

/** One complete message or control frame. */
typedef struct {
    uint8_t *data;       /* unmasked payload (of a close frame: its reason); NULL only when empty */
    size_t size;         /* bytes at data */
    uint16_t close_code; /* of a close frame, 1005 when it has none; else 0 */
    uint8_t opcode;      /* FLIN_OPCODE_TEXT, BINARY, CLOSE, PING or PONG; never CONTINUATION */
    bool rsv1;           /* compressed message: inflate, limit and validate it yourself */
} flin_message_event;

/** Set a state to the start state. Never frees: for memory that holds no state yet. */
void flin_message_init(flin_message_state *state);

/** Free what a state owns and set it to the start state; safe to repeat. */
void flin_message_free(flin_message_state *state);

/**
 * Consume bytes up to the end of one message or control frame.
 *
 * @param state   One direction of one connection.
 * @param cursor  In: first unread byte. Out: first byte after what was consumed. The bytes are
 *                unmasked in place, so the buffer must be writable, even for bytes of servers.
 * @param end     End of the received bytes; `*cursor == end` is fine.
 * @param limits  May differ from call to call; a message in progress obeys what it meets.
 * @param event   Written only when FLIN_OK is returned. `data` points into the receive buffer or
 *                into the state and is the caller's to change until the next call for this state.
 * @return FLIN_OK: one event; call again. FLIN_NEED_MORE: everything was consumed (`*cursor` is
 *         `end`), no memory is held except for an unfinished message or control frame.
 *         FLIN_ERR_*: fail the connection; every further call returns the same, until
 *         flin_message_free(). After a CLOSE event all further bytes are consumed unseen
 *         (RFC 6455 section 5.5.1). No system call; allocates only for partial and fragmented
 *         messages. Not thread-safe for one state.
 */
flin_status flin_message_next(flin_message_state *state, uint8_t **cursor, uint8_t *end,
                              const flin_message_limits *limits, flin_message_event *event);

/**
 * Where the next bytes of a large payload may be received without a copy; optional.
 *
 * Call after FLIN_NEED_MORE. With a room of n > 0 bytes: receive up to n bytes there, for example
 * with readv([room, receive buffer]), and report them by flin_message_commit() before anything
 * else is done with the state.
 *
 * @param room  First writable byte, or NULL.
 * @return Size of the room; 0 when no data payload is in progress or no memory is left: receive
 *         into the ordinary buffer. Never more than the current frame lacks.
 */
size_t flin_message_room(flin_message_state *state, uint8_t **room);

/**
 * Take `size` bytes received in the room, 0 to what flin_message_room() returned.
 *
 * @return As flin_message_next(); FLIN_OK when they complete a message.
 */
flin_status flin_message_commit(flin_message_state *state, size_t size, flin_message_event *event);

/**
 * Take over the memory of the message that was just handed out.
 *
 * Call right after FLIN_OK, before anything else is done with the state.
 *
 * @param capacity  Written when a block is returned: what flin_block_free() wants to know.
 * @return The block at event->data; NULL when the message lies in the receive buffer.
 */
uint8_t *flin_message_take(flin_message_state *state, const flin_message_event *event,
                           size_t *capacity);

/** Bytes of heap this state holds, for accounting. */
static inline size_t flin_message_held_bytes(const flin_message_state *state) {
    return state->capacity;
}

/** Whether the stream may end here without cutting a frame or a message in two. */
static inline bool flin_message_is_idle(const flin_message_state *state) {
    return state->spill_size == 0 && state->message_opcode == 0 && state->frame_opcode == 0;
}

#endif
