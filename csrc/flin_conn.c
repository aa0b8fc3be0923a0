#include "flin_conn.h"

#include <assert.h>
#include <string.h>

#include "flin_hub.h"
#include "flin_memory.h"

_Static_assert(sizeof(void *) != 8 || sizeof(flin_conn) == 256,
               "a connection fills four cache lines");

static bool slab_grow(flin_slab *slab) {
    flin_chunk *chunk;
    uint32_t base = slab->chunk_count * FLIN_CHUNK_COUNT;
    if (slab->chunk_count == FLIN_CHUNK_MAX) return false;
    if (slab->chunk_count == slab->chunk_capacity) {
        uint32_t capacity = slab->chunk_capacity == 0 ? 16 : slab->chunk_capacity * 2;
        flin_chunk **chunks = flin_memory_resize(slab->chunks, capacity * sizeof(void *));
        if (chunks == NULL) return false;
        slab->chunks = chunks;
        slab->chunk_capacity = capacity;
    }
    chunk = flin_memory_zalloc(sizeof *chunk);
    if (chunk == NULL) return false;
    slab->chunks[slab->chunk_count++] = chunk;
    for (uint32_t i = FLIN_CHUNK_COUNT; i-- > 0;) {
        chunk->conns[i].slot = base + i;
        chunk->conns[i].fd = -1;
        chunk->conns[i].watch_next = slab->free_slot;
        slab->free_slot = base + i;
    }
    return true;
}

flin_conn *flin_slab_take(flin_slab *slab) {
    flin_conn *conn;
    uint32_t slot, generation;
    if (slab->used_count == slab->chunk_count * FLIN_CHUNK_COUNT) {
        if (slab->chunk_count == 0) slab->free_slot = FLIN_SLOT_NONE;
        if (!slab_grow(slab)) return NULL;
    }
    conn = flin_slab_at(slab, slab->free_slot);
    slab->free_slot = conn->watch_next;
    slab->used_count++;
    slot = conn->slot;
    generation = (conn->generation + 1) & FLIN_GENERATION_MASK;
    memset(conn, 0, sizeof *conn);
    conn->fd = -1;
    conn->slot = slot;
    conn->generation = generation;
    conn->state = FLIN_CONN_OPEN;
    conn->segments = conn->segments_inline;
    conn->segment_capacity = FLIN_SEGMENT_INLINE;
    conn->memberships = conn->memberships_inline;
    conn->membership_capacity = FLIN_MEMBERSHIP_INLINE;
    conn->watch_next = conn->watch_previous = FLIN_SLOT_NONE;
    flin_message_init(&conn->input);
    *flin_conn_liveness(slab, conn) = FLIN_LIVENESS_OPEN;
    return conn;
}

void flin_slab_give(flin_slab *slab, flin_conn *conn) {
    assert(conn->segment_count == 0 && conn->membership_count == 0 && conn->fd < 0);
    assert((conn->flags & (FLIN_CONN_DIRTY | FLIN_CONN_ENDED | FLIN_CONN_WATCHED)) == 0);
    *flin_conn_liveness(slab, conn) = FLIN_LIVENESS_NONE;
    conn->state = FLIN_CONN_FREE;
    conn->user = NULL;
    conn->watch_next = slab->free_slot;
    slab->free_slot = conn->slot;
    slab->used_count--;
}

void flin_slab_free(flin_slab *slab) {
    for (uint32_t i = 0; i < slab->chunk_count; i++) flin_memory_free(slab->chunks[i]);
    flin_memory_free(slab->chunks);
    memset(slab, 0, sizeof *slab);
}

flin_conn_extra *flin_conn_need_extra(flin_conn *conn) {
    if (conn->extra == NULL) conn->extra = flin_memory_zalloc(sizeof *conn->extra);
    return conn->extra;
}

void flin_conn_drop_extra(flin_hub *hub, flin_conn *conn) {
    flin_conn_extra *extra = conn->extra;
    if (extra == NULL) return;
    flin_inbox_clear(hub, conn);
    if (extra->pong != NULL) flin_buffer_release(&hub->pool, extra->pong);
    assert(extra->held == NULL);
    flin_memory_free(extra);
    conn->extra = NULL;
}

bool flin_inbox_push(flin_conn *conn, const flin_message_event *event) {
    flin_conn_extra *extra = flin_conn_need_extra(conn);
    flin_inbox_entry *entry;
    if (extra == NULL) return false;
    entry = flin_memory_alloc(sizeof *entry + event->size);
    if (entry == NULL) return false;
    entry->next = NULL;
    entry->size = event->size;
    entry->opcode = event->opcode;
    entry->rsv1 = event->rsv1;
    if (event->size > 0) memcpy(entry->data, event->data, event->size);
    if (extra->inbox_tail == NULL) {
        extra->inbox_head = entry;
    } else {
        extra->inbox_tail->next = entry;
    }
    extra->inbox_tail = entry;
    extra->inbox_count++;
    extra->inbox_bytes += event->size;
    return true;
}

flin_inbox_entry *flin_inbox_pop(flin_conn *conn) {
    flin_conn_extra *extra = conn->extra;
    flin_inbox_entry *entry = extra == NULL ? NULL : extra->inbox_head;
    if (entry == NULL) return NULL;
    extra->inbox_head = entry->next;
    if (extra->inbox_head == NULL) extra->inbox_tail = NULL;
    extra->inbox_count--;
    extra->inbox_bytes -= entry->size;
    return entry;
}

void flin_inbox_clear(flin_hub *hub, flin_conn *conn) {
    flin_inbox_entry *entry;
    while ((entry = flin_inbox_pop(conn)) != NULL) flin_memory_free(entry);
    if (conn->extra != NULL && conn->extra->stash != NULL) {
        flin_buffer_release(&hub->pool, conn->extra->stash);
        conn->extra->stash = NULL;
    }
}
