#include "flin_output.h"

#include <assert.h>
#include <string.h>

#include "flin_batch.h"
#include "flin_hub.h"
#include "flin_memory.h"

void flin_output_mark_dirty(flin_hub *hub, flin_conn *conn) {
    if ((conn->flags & FLIN_CONN_DIRTY) != 0) return;
    conn->flags |= FLIN_CONN_DIRTY;
    conn->dirty_next = NULL;
    if (hub->dirty_tail == NULL) {
        hub->dirty_head = conn;
    } else {
        hub->dirty_tail->dirty_next = conn;
    }
    hub->dirty_tail = conn;
}

void flin_output_seal(flin_conn *conn) {
    flin_segment *last;
    if (conn->segment_count == 0) return;
    last = &conn->segments[conn->segment_count - 1];
    if (last->end != FLIN_SEGMENT_OPEN) return;
    last->end = last->buffer->size;
    if (!last->buffer->is_private && last->buffer->link.stream != NULL) {
        flin_stream_reopen_later(last->buffer->link.stream, conn->slot);
    }
}

/** Merge all segments into one private copy, from the last known frame boundary on. */
static bool merge_segments(flin_hub *hub, flin_conn *conn) {
    flin_buffer *merged;
    flin_segment *head = &conn->segments[0];
    bool is_behind = conn->head_frame < head->offset;
    uint32_t sent = is_behind ? head->offset - conn->head_frame : 0;
    uint32_t boundary = is_behind ? 0 : conn->head_frame - head->offset;
    merged = flin_buffer_new(&hub->pool, sent + flin_output_size(conn));
    if (merged == NULL) return false;
    flin_output_seal(conn);
    head->offset -= sent;
    for (uint16_t i = 0; i < conn->segment_count; i++) {
        flin_segment *segment = &conn->segments[i];
        uint32_t size = segment->end - segment->offset;
        memcpy(merged->data + merged->size, segment->buffer->data + segment->offset, size);
        merged->size += size;
        merged->is_raw |= segment->buffer->is_raw;
        flin_buffer_release(&hub->pool, segment->buffer);
    }
    merged->is_private = 1;
    conn->segments[0] = (flin_segment){merged, sent, FLIN_SEGMENT_OPEN};
    conn->segment_count = 1;
    conn->head_frame = boundary;
    return true;
}

static bool grow_segments(flin_hub *hub, flin_conn *conn) {
    uint16_t capacity =
        conn->segment_capacity == FLIN_SEGMENT_INLINE ? 8 : (uint16_t)(conn->segment_capacity * 2);
    flin_segment *segments;
    if (conn->segment_count >= FLIN_SEGMENT_MAX) return merge_segments(hub, conn);
    if (conn->segments == conn->segments_inline) {
        segments = flin_memory_alloc(capacity * sizeof *segments);
        if (segments == NULL) return false;
        memcpy(segments, conn->segments, conn->segment_count * sizeof *segments);
    } else {
        segments = flin_memory_resize(conn->segments, capacity * sizeof *segments);
        if (segments == NULL) return false;
    }
    conn->segments = segments;
    conn->segment_capacity = capacity;
    return true;
}

bool flin_output_push(flin_hub *hub, flin_conn *conn, flin_buffer *buffer, uint32_t offset) {
    if ((conn->flags & FLIN_CONN_DOOMED) != 0) return false;
    if (conn->segment_count == conn->segment_capacity && !grow_segments(hub, conn)) {
        flin_conn_doom(hub, conn);
        return false;
    }
    flin_output_seal(conn);
    if (conn->segment_count == 0) conn->head_frame = offset;
    flin_buffer_acquire(buffer);
    conn->segments[conn->segment_count++] = (flin_segment){buffer, offset, FLIN_SEGMENT_OPEN};
    flin_output_mark_dirty(hub, conn);
    return true;
}

static bool push_new(flin_hub *hub, flin_conn *conn, const uint8_t *data, size_t size,
                     size_t capacity, bool is_private) {
    bool is_queued;
    flin_buffer *buffer = flin_buffer_new(&hub->pool, capacity);
    if (buffer == NULL) {
        flin_conn_doom(hub, conn);
        return false;
    }
    memcpy(buffer->data, data, size);
    buffer->size = (uint32_t)size;
    buffer->is_private = is_private;
    is_queued = flin_output_push(hub, conn, buffer, 0);
    flin_buffer_release(&hub->pool, buffer);
    return is_queued;
}

bool flin_output_append(flin_hub *hub, flin_conn *conn, const uint8_t *frames, size_t size) {
    size_t capacity = size;
    if (conn->segment_count > 0) {
        flin_segment *last = &conn->segments[conn->segment_count - 1];
        flin_buffer *buffer = last->buffer;
        if (last->end == FLIN_SEGMENT_OPEN && buffer->is_private) {
            if (flin_buffer_free_size(buffer) >= size) {
                memcpy(buffer->data + buffer->size, frames, size);
                buffer->size += (uint32_t)size;
                flin_output_mark_dirty(hub, conn);
                return true;
            }
            if (capacity < FLIN_PRIVATE_SIZE) capacity = FLIN_PRIVATE_SIZE;
        }
    }
    return push_new(hub, conn, frames, size, capacity, true);
}

bool flin_output_append_raw(flin_hub *hub, flin_conn *conn, const uint8_t *data, size_t size) {
    if (!push_new(hub, conn, data, size, size, false)) return false;
    flin_output_seal(conn);
    conn->segments[conn->segment_count - 1].buffer->is_raw = 1;
    return true;
}

size_t flin_output_size(const flin_conn *conn) {
    size_t size = 0;
    for (uint16_t i = 0; i < conn->segment_count; i++) {
        const flin_segment *segment = &conn->segments[i];
        size += flin_segment_end(segment) - segment->offset;
    }
    return size;
}

unsigned flin_output_peek(const flin_conn *conn, struct iovec *vectors, unsigned count,
                          size_t *total) {
    unsigned used = 0;
    size_t size = 0;
    for (uint16_t i = 0; i < conn->segment_count && used < count; i++) {
        const flin_segment *segment = &conn->segments[i];
        size_t length = flin_segment_end(segment) - segment->offset;
        vectors[used].iov_base = segment->buffer->data + segment->offset;
        vectors[used].iov_len = length;
        size += length;
        used++;
    }
    *total = size;
    return used;
}

static void shrink_segments(flin_conn *conn) {
    if (conn->segments == conn->segments_inline) return;
    flin_memory_free(conn->segments);
    conn->segments = conn->segments_inline;
    conn->segment_capacity = FLIN_SEGMENT_INLINE;
}

void flin_output_consume(flin_hub *hub, flin_conn *conn, size_t size) {
    uint16_t done = 0;
    if ((conn->flags & FLIN_CONN_STALLED) != 0 && size > 0) flin_conn_progress(hub, conn);
    while (done < conn->segment_count) {
        flin_segment *segment = &conn->segments[done];
        size_t length = flin_segment_end(segment) - segment->offset;
        if (done > 0) {
            conn->head_frame =
                segment->offset + (segment->buffer->is_payload ? (uint32_t)length : 0);
        }
        if (size < length) {
            segment->offset += (uint32_t)size;
            size = 0;
            break;
        }
        size -= length;
        if (segment->end == FLIN_SEGMENT_OPEN) flin_output_seal(conn);
        flin_buffer_release(&hub->pool, segment->buffer);
        done++;
    }
    assert(size == 0);
    if (done == 0) return;
    conn->segment_count = (uint16_t)(conn->segment_count - done);
    if (conn->segment_count == 0) {
        shrink_segments(conn);
        return;
    }
    memmove(conn->segments, conn->segments + done, conn->segment_count * sizeof *conn->segments);
}

void flin_output_trim(flin_hub *hub, flin_conn *conn) {
    flin_buffer *last;
    if (conn->segment_count == 0) return;
    last = conn->segments[conn->segment_count - 1].buffer;
    if (!last->is_private && last->link.stream == NULL) flin_buffer_trim(&hub->pool, last);
}

void flin_output_clear(flin_hub *hub, flin_conn *conn) {
    flin_output_seal(conn);
    for (uint16_t i = 0; i < conn->segment_count; i++) {
        flin_buffer_release(&hub->pool, conn->segments[i].buffer);
    }
    conn->segment_count = 0;
    shrink_segments(conn);
}

/** First boundary behind the frame at `at`; never beyond `end`. Server frames have no mask. */
static uint32_t frame_end(const flin_buffer *buffer, uint32_t at, uint32_t end) {
    const uint8_t *data = buffer->data + at;
    uint32_t room = end - at;
    uint64_t size;
    if (room < 2) return end;
    size = (uint64_t)(data[1] & 0x7fu) + 2;
    if (data[1] == 126) {
        if (room < 4) return end;
        size = ((uint64_t)data[2] << 8 | data[3]) + 4;
    } else if (data[1] == 127) {
        if (room < 10) return end;
        size = 10;
        for (unsigned i = 0; i < 8; i++) size += (uint64_t)data[2 + i] << (56 - 8 * i);
    }
    return size < room ? at + (uint32_t)size : end;
}

uint64_t flin_output_cut(flin_hub *hub, flin_conn *conn) {
    uint64_t dropped = 0;
    uint16_t keep = 0;
    flin_output_seal(conn);
    for (uint16_t i = 0; i < conn->segment_count; i++) {
        flin_segment *segment = &conn->segments[i];
        uint32_t start = i == 0 ? conn->head_frame : segment->offset;
        uint32_t end = segment->end;
        if (segment->buffer->is_raw || (i == 0 && segment->buffer->is_payload)) {
            keep = 1;
            continue;
        }
        if (segment->buffer->is_payload) continue; /* counted with its header */
        while (start < segment->offset) start = frame_end(segment->buffer, start, end);
        segment->end = start;
        if (i == 0 && start > segment->offset) {
            bool is_split =
                start == end && conn->segment_count > 1 && conn->segments[1].buffer->is_payload;
            keep = is_split ? 2 : 1;
        }
        for (; start < end; start = frame_end(segment->buffer, start, end)) {
            dropped +=
                (segment->buffer->data[start] & 0x8u) == 0; /* control frames are not counted */
        }
    }
    for (uint16_t i = keep; i < conn->segment_count; i++) {
        flin_buffer_release(&hub->pool, conn->segments[i].buffer);
    }
    conn->segment_count = keep;
    if (keep == 0) shrink_segments(conn);
    return dropped;
}
