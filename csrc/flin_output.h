/**
 * What a connection has yet to send: an ordered list of segments of shared or private buffers.
 *
 * Rules
 *   1. Bytes are never copied to be queued for a second connection, nor when the peer stalls:
 *      segments hold references.
 *   2. Only the last segment may be open. Whatever is queued behind it seals it, and a room that
 *      still appends to its buffer is told to give the connection a new segment.
 *   3. A segment begins at a frame boundary, unless its buffer is the payload (`is_payload`) of
 *      the frame whose header ends the segment in front of it.
 *   4. A connection has at most FLIN_SEGMENT_MAX segments; beyond, they are merged into one copy.
 */
#ifndef FLIN_OUTPUT_H
#define FLIN_OUTPUT_H

#include <sys/uio.h>

#include "flin_conn.h"

#ifndef FLIN_SEGMENT_MAX
#define FLIN_SEGMENT_MAX 256u
#endif
/* Segments offered to one system call. */
#define FLIN_OUTPUT_VECTOR_MAX 64u
/* A private buffer after the first: replies of one turn that outgrew a small buffer. */
#ifndef FLIN_PRIVATE_SIZE
#define FLIN_PRIVATE_SIZE (16u << 10)
#endif

/** Put a connection on the dirty list: it has something to flush. */
void flin_output_mark_dirty(flin_hub *hub, flin_conn *conn);

/**
 * Queue `buffer` from `offset` on, as an open segment; takes a reference of its own.
 *
 * @return false without memory: the connection is doomed and nothing was queued.
 */
bool flin_output_push(flin_hub *hub, flin_conn *conn, flin_buffer *buffer, uint32_t offset);

/** Queue a copy of whole frames; false as for flin_output_push(). */
bool flin_output_append(flin_hub *hub, flin_conn *conn, const uint8_t *frames, size_t size);

/** Queue bytes that are not frames (the 101 response); false as for flin_output_push(). */
bool flin_output_append_raw(flin_hub *hub, flin_conn *conn, const uint8_t *data, size_t size);

/** Fix the end of the last segment where its buffer ends now. */
void flin_output_seal(flin_conn *conn);

/** Whether the last segment is open and belongs to a room batch that still appends. */
static inline bool flin_output_is_shared_open(const flin_conn *conn) {
    const flin_segment *last;
    if (conn->segment_count == 0) return false;
    last = &conn->segments[conn->segment_count - 1];
    return last->end == FLIN_SEGMENT_OPEN && !last->buffer->is_private &&
           last->buffer->link.stream != NULL;
}

static inline uint32_t flin_segment_end(const flin_segment *segment) {
    return segment->end == FLIN_SEGMENT_OPEN ? segment->buffer->size : segment->end;
}

/** Bytes queued. */
size_t flin_output_size(const flin_conn *conn);

/**
 * Describe the first segments.
 *
 * @param total  Bytes described.
 * @return Vectors written, at most `count`; the bytes stay valid until something is queued.
 */
unsigned flin_output_peek(const flin_conn *conn, struct iovec *vectors, unsigned count,
                          size_t *total);

/** The first `size` bytes have been taken by the peer's side. */
void flin_output_consume(flin_hub *hub, flin_conn *conn, size_t size);

/** Give back what the last segment's buffer reserved and will never write. */
void flin_output_trim(flin_hub *hub, flin_conn *conn);

/** Drop everything. */
void flin_output_clear(flin_hub *hub, flin_conn *conn);

/** Drop every frame of which no byte has been sent yet; returns how many messages that were. */
uint64_t flin_output_cut(flin_hub *hub, flin_conn *conn);

#endif
