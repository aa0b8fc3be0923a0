/**
 * Room batches: messages published to one room during one turn, framed once, shared by members.
 *
 * The first message of a turn visits every member and gives it an open segment on the batch; later
 * messages of the turn append and visit nobody, because an open segment ends wherever the batch
 * ends when it is sent. Members whose segment was sealed since (something else was queued for
 * them, they were left out as the sender, they joined during the turn) stand on the reopen list,
 * and only those are visited. Order per connection is the order of publishing.
 */
#ifndef FLIN_BATCH_H
#define FLIN_BATCH_H

#include "flin_room.h"

/* Bytes after which a batch starts a new buffer: bounds what one slow peer can pin. */
#ifndef FLIN_BATCH_BUFFER_MAX
#define FLIN_BATCH_BUFFER_MAX (64u << 10)
#endif
/* Payloads from this size on get a buffer of their own, shared by reference. */
#ifndef FLIN_LARGE_PAYLOAD_MIN
#define FLIN_LARGE_PAYLOAD_MIN (16u << 10)
#endif
/* Spare batches kept: rooms that are busy in one turn. */
#define FLIN_SPARE_BATCH_MAX 256u

/** One encoding of a batch. */
typedef struct flin_stream {
    flin_buffer *buffer; /* what members' open segments end in, or NULL */
    uint32_t *reopen;    /* slots to visit before the next message; may name strangers */
    uint32_t reopen_count;
    uint32_t reopen_capacity;
    bool reopen_all; /* visit all members instead */
} flin_stream;

struct flin_batch {
    flin_room *room;
    flin_batch *next; /* in the hub's list of batches of this turn, or of spare ones */
    flin_stream streams[FLIN_CLASS_COUNT];
};

/** One framed message in the encodings that its readers want. */
typedef struct {
    const uint8_t *frame[FLIN_CLASS_COUNT]; /* PLAIN always; DEFLATE may be NULL */
    size_t size[FLIN_CLASS_COUNT];
    flin_buffer *large[FLIN_CLASS_COUNT]; /* payload; `frame` is the header then. Or NULL */
    bool is_volatile; /* not for connections that are SLOW: what they will read is old by then */
} flin_frames;

/** The encoding that readers of a class get: theirs if there is one, else the plain one. */
static inline flin_class flin_frames_class(const flin_frames *frames, flin_class wanted) {
    return frames->size[wanted] > 0 ? wanted : FLIN_CLASS_PLAIN;
}

/**
 * Publish to every member of a room but one; O(1) unless members must be visited.
 *
 * @param except  Left out; may be NULL.
 * A volatile message passes SLOW members by, which costs O(stalled connections of the hub).
 *
 * @return Members the message was queued for. Members for which there was no memory are doomed.
 */
uint32_t flin_room_publish(flin_hub *hub, flin_room *room, const flin_frames *frames,
                           flin_conn *except);

/** Publish to members of `room` that do not belong to `endpoint`; O(members). */
uint32_t flin_room_publish_others(flin_hub *hub, flin_room *room, const flin_endpoint *endpoint,
                                  const flin_frames *frames);

/** Queue one message for one open connection, unless it is volatile and the connection SLOW;
 * false without memory: it is doomed. */
bool flin_conn_send(flin_hub *hub, flin_conn *conn, const flin_frames *frames);

/** Remember that this slot needs a new segment before the next message. */
void flin_stream_reopen_later(flin_stream *stream, uint32_t slot);

/** A connection joined the room of an active batch. */
void flin_batch_reopen_later(flin_batch *batch, const flin_conn *conn);

/** A connection left the room of an active batch: nothing published from now on reaches it. */
void flin_batch_forget(flin_batch *batch, flin_conn *conn);

/** End the turn: no batch appends to its buffers any more. Call before flushing all. */
void flin_batch_seal_all(flin_hub *hub);

/** Free spare batches. */
void flin_batch_free_spare(flin_hub *hub);

#endif
