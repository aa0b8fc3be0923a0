#include "flin_batch.h"

#include <assert.h>
#include <string.h>

#include "flin_hub.h"
#include "flin_memory.h"
#include "flin_output.h"

/* Reopen entries a spare batch may keep allocated. */
#define FLIN_REOPEN_KEEP_MAX 1024u
/* Members ahead of the visited one that are fetched into the cache. */
#define FLIN_VISIT_AHEAD 8u

void flin_stream_reopen_later(flin_stream *stream, uint32_t slot) {
    if (stream->reopen_all) return;
    if (stream->reopen_count == stream->reopen_capacity) {
        uint32_t capacity = stream->reopen_capacity == 0 ? 8 : stream->reopen_capacity * 2;
        uint32_t *reopen = flin_memory_resize(stream->reopen, capacity * sizeof *reopen);
        if (reopen == NULL) {
            stream->reopen_all = true;
            return;
        }
        stream->reopen = reopen;
        stream->reopen_capacity = capacity;
    }
    stream->reopen[stream->reopen_count++] = slot;
}

void flin_batch_reopen_later(flin_batch *batch, const flin_conn *conn) {
    flin_stream *stream = &batch->streams[flin_conn_class(conn)];
    if (stream->buffer != NULL) flin_stream_reopen_later(stream, conn->slot);
    /* Joining and leaving in turns must not grow the list beyond one entry per member. */
    if (stream->reopen_count > 2 * batch->room->count + 64) stream->reopen_all = true;
}

void flin_batch_forget(flin_batch *batch, flin_conn *conn) {
    flin_stream *stream = &batch->streams[flin_conn_class(conn)];
    flin_segment *last;
    if (stream->buffer == NULL || conn->segment_count == 0) return;
    last = &conn->segments[conn->segment_count - 1];
    if (last->buffer == stream->buffer && last->end == FLIN_SEGMENT_OPEN) {
        last->end = last->buffer->size;
    }
}

static flin_batch *activate(flin_hub *hub, flin_room *room) {
    flin_batch *batch = hub->spare_batches;
    if (room->batch != NULL) return room->batch;
    if (batch != NULL) {
        hub->spare_batches = batch->next;
        hub->spare_batch_count--;
    } else {
        batch = flin_memory_zalloc(sizeof *batch);
        if (batch == NULL) return NULL;
    }
    batch->room = room;
    batch->next = hub->active_batches;
    hub->active_batches = batch;
    room->batch = batch;
    return batch;
}

/** Let go of the buffer: what was published stays with the members, nothing is appended. */
static void stream_seal(flin_hub *hub, flin_stream *stream) {
    flin_buffer *buffer = stream->buffer;
    if (buffer == NULL) return;
    buffer->link.stream = NULL;
    stream->buffer = NULL;
    stream->reopen_count = 0;
    stream->reopen_all = false;
    flin_buffer_release(&hub->pool, buffer);
}

/** Have a buffer with room for `size` more bytes that members' segments can end in. */
static bool stream_prepare(flin_hub *hub, flin_stream *stream, size_t size) {
    flin_buffer *buffer = stream->buffer;
    if (buffer != NULL && buffer->size + size > FLIN_BATCH_BUFFER_MAX) {
        stream_seal(hub, stream);
        buffer = NULL;
    }
    if (buffer != NULL) return flin_buffer_reserve(&hub->pool, buffer, size);
    buffer = flin_buffer_new(&hub->pool, size);
    if (buffer == NULL) return false;
    buffer->link.stream = stream;
    stream->buffer = buffer;
    stream->reopen_count = 0;
    stream->reopen_all = true;
    return true;
}

static inline bool is_open_on(const flin_conn *conn, const flin_buffer *buffer) {
    const flin_segment *last;
    if (conn->segment_count == 0) return false;
    last = &conn->segments[conn->segment_count - 1];
    return last->buffer == buffer && last->end == FLIN_SEGMENT_OPEN;
}

/** Whom a message is not for; `skips_slow` is false while no connection is SLOW. */
typedef struct {
    flin_conn *conn; /* or NULL */
    bool skips_slow;
} exception;

static inline bool is_excepted(const flin_conn *conn, const exception *except) {
    return conn == except->conn || (except->skips_slow && (conn->flags & FLIN_CONN_SLOW) != 0);
}

/** Give every member of a class that is not excepted a segment from `offset` of `buffer` on. */
static void visit_members(flin_hub *hub, const flin_room *room, flin_class class,
                          const exception *except, flin_buffer *buffer, uint32_t offset) {
    for (uint32_t i = 0; i < room->count; i++) {
        flin_conn *conn = flin_slab_at(&hub->slab, room->members[i].slot);
        if (i + FLIN_VISIT_AHEAD < room->count) {
            __builtin_prefetch(flin_slab_at(&hub->slab, room->members[i + FLIN_VISIT_AHEAD].slot),
                               1);
        }
        if (is_excepted(conn, except) || flin_conn_class(conn) != class) continue;
        if (is_open_on(conn, buffer)) continue;
        (void)flin_output_push(hub, conn, buffer, offset);
    }
}

/** Visit whom the reopen list names, if they still belong here and are not excepted. */
static void visit_reopened(flin_hub *hub, flin_room *room, flin_class class,
                           const exception *except, flin_stream *stream) {
    for (uint32_t i = 0; i < stream->reopen_count; i++) {
        flin_conn *conn = flin_slab_at(&hub->slab, stream->reopen[i]);
        if (!flin_room_has(hub, conn, room) || flin_conn_class(conn) != class) continue;
        if (is_excepted(conn, except)) continue; /* leave_out() names it again */
        if (is_open_on(conn, stream->buffer)) continue;
        (void)flin_output_push(hub, conn, stream->buffer, stream->buffer->size);
    }
    stream->reopen_count = 0;
}

/** Have a member miss what is appended next, and be visited before the message behind it. */
static void leave_out(flin_stream *stream, flin_conn *conn) {
    if (is_open_on(conn, stream->buffer)) {
        conn->segments[conn->segment_count - 1].end = stream->buffer->size;
    }
    flin_stream_reopen_later(stream, conn->slot);
}

/** Leave out SLOW members, all of which the sweep watches; returns how many. */
static uint32_t leave_out_slow(flin_hub *hub, const flin_room *room, flin_class class,
                               const exception *except, flin_stream *stream) {
    uint32_t count = 0;
    for (uint32_t slot = hub->watch_head; slot != FLIN_SLOT_NONE;) {
        flin_conn *conn = flin_slab_at(&hub->slab, slot);
        slot = conn->watch_next;
        if ((conn->flags & FLIN_CONN_SLOW) == 0 || conn == except->conn) continue;
        if (flin_conn_class(conn) != class || !flin_room_has(hub, conn, room)) continue;
        leave_out(stream, conn);
        conn->messages_out--;
        count++;
    }
    return count;
}

/** Append one frame to a batch that was prepared; returns how many members it passed by. */
static uint32_t publish_small(flin_hub *hub, flin_room *room, flin_class class, flin_stream *stream,
                              const uint8_t *frame, size_t size, const exception *except) {
    flin_buffer *buffer = stream->buffer;
    uint32_t passed_by = 0;
    if (stream->reopen_all) {
        stream->reopen_all = false;
        stream->reopen_count = 0;
        visit_members(hub, room, class, except, buffer, buffer->size);
    } else {
        visit_reopened(hub, room, class, except, stream);
    }
    if (except->conn != NULL && flin_conn_class(except->conn) == class &&
        flin_room_has(hub, except->conn, room)) {
        leave_out(stream, except->conn);
    }
    if (except->skips_slow) passed_by = leave_out_slow(hub, room, class, except, stream);
    memcpy(buffer->data + buffer->size, frame, size);
    buffer->size += (uint32_t)size;
    return passed_by;
}

/** Nobody may miss a message and not know: without memory the members of the class must go. */
static void doom_members(flin_hub *hub, const flin_room *room, flin_class class,
                         const flin_conn *except) {
    for (uint32_t i = 0; i < room->count; i++) {
        flin_conn *conn = flin_slab_at(&hub->slab, room->members[i].slot);
        if (conn != except && flin_conn_class(conn) == class) flin_conn_doom(hub, conn);
    }
}

uint32_t flin_room_publish(flin_hub *hub, flin_room *room, const flin_frames *frames,
                           flin_conn *except) {
    exception excepted = {except, frames->is_volatile && hub->slow_count > 0};
    uint32_t count = room->count;
    flin_batch *batch;
    if (except != NULL && flin_room_has(hub, except, room)) {
        count--;
        except->messages_out--; /* `published` counts for all members */
    }
    room->published++;
    if (count == 0) return 0;
    batch = activate(hub, room);
    for (unsigned i = 0; i < FLIN_CLASS_COUNT; i++) {
        flin_class class = (flin_class)i;
        flin_class used = flin_frames_class(frames, class);
        flin_stream *stream;
        uint32_t passed_by;
        if (room->class_count[class] == 0) continue;
        if (batch == NULL) {
            doom_members(hub, room, class, except);
            continue;
        }
        stream = &batch->streams[class];
        if (!stream_prepare(hub, stream, frames->size[used])) {
            doom_members(hub, room, class, except);
            continue;
        }
        passed_by = publish_small(hub, room, class, stream, frames->frame[used], frames->size[used],
                                  &excepted);
        count -= passed_by;
        hub->stats.dropped += passed_by;
        if (frames->large[used] == NULL) continue;
        stream_seal(hub, stream);
        visit_members(hub, room, class, &excepted, frames->large[used], 0);
    }
    hub->stats.messages_out++;
    hub->stats.deliveries += count;
    return count;
}

bool flin_conn_send(flin_hub *hub, flin_conn *conn, const flin_frames *frames) {
    flin_class used = flin_frames_class(frames, flin_conn_class(conn));
    hub->stats.messages_out++;
    if (frames->is_volatile && (conn->flags & FLIN_CONN_SLOW) != 0) {
        hub->stats.dropped++;
        return true;
    }
    hub->stats.deliveries++;
    conn->messages_out++;
    if (!flin_output_append(hub, conn, frames->frame[used], frames->size[used])) return false;
    return frames->large[used] == NULL || flin_output_push(hub, conn, frames->large[used], 0);
}

uint32_t flin_room_publish_others(flin_hub *hub, flin_room *room, const flin_endpoint *endpoint,
                                  const flin_frames *frames) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < room->count; i++) {
        flin_conn *conn = flin_slab_at(&hub->slab, room->members[i].slot);
        count += conn->endpoint != endpoint;
    }
    if (count == room->count) return flin_room_publish(hub, room, frames, NULL);
    for (uint32_t i = 0; i < room->count; i++) {
        flin_conn *conn = flin_slab_at(&hub->slab, room->members[i].slot);
        if (conn->endpoint != endpoint) (void)flin_conn_send(hub, conn, frames);
    }
    hub->stats.messages_out -= count > 0 ? count - 1 : 0;
    return count;
}

void flin_batch_seal_all(flin_hub *hub) {
    while (hub->active_batches != NULL) {
        flin_batch *batch = hub->active_batches;
        flin_room *room = batch->room;
        hub->active_batches = batch->next;
        for (unsigned i = 0; i < FLIN_CLASS_COUNT; i++) {
            flin_stream *stream = &batch->streams[i];
            stream_seal(hub, stream);
            if (stream->reopen_capacity > FLIN_REOPEN_KEEP_MAX) {
                flin_memory_free(stream->reopen);
                stream->reopen = NULL;
                stream->reopen_capacity = 0;
            }
        }
        room->batch = NULL;
        flin_room_release_if_idle(&hub->rooms, room);
        batch->next = hub->spare_batches;
        hub->spare_batches = batch;
        hub->spare_batch_count++;
    }
    if (hub->spare_batch_count > FLIN_SPARE_BATCH_MAX) flin_batch_free_spare(hub);
}

void flin_batch_free_spare(flin_hub *hub) {
    while (hub->spare_batches != NULL) {
        flin_batch *batch = hub->spare_batches;
        hub->spare_batches = batch->next;
        for (unsigned i = 0; i < FLIN_CLASS_COUNT; i++) flin_memory_free(batch->streams[i].reopen);
        flin_memory_free(batch);
    }
    hub->spare_batch_count = 0;
}
