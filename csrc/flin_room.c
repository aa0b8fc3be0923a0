#include "flin_room.h"

#include <assert.h>
#include <string.h>

#include "flin_batch.h"
#include "flin_hub.h"
#include "flin_memory.h"
#include "flin_output.h"

#define FLIN_ROOM_TABLE_MIN 16u
#define FLIN_ROOM_NAME_MAX (1u << 10) /* peers often choose names, and rooms keep them */
#define FLIN_ROOM_MEMBERS_MIN 4u

/* --- the table of names --------------------------------------------------------------------- */

static uint32_t probe(const flin_room_table *table, uint64_t hash, const char *name,
                      size_t name_size) {
    uint32_t mask = table->capacity - 1;
    uint32_t at = (uint32_t)hash & mask;
    while (table->slots[at] != NULL) {
        const flin_room *room = table->slots[at];
        if (room->hash == hash && room->name_size == name_size &&
            memcmp(room->name, name, name_size) == 0) {
            break;
        }
        at = (at + 1) & mask;
    }
    return at;
}

static bool table_resize(flin_room_table *table, uint32_t capacity) {
    uint32_t mask = capacity - 1;
    flin_room **slots = flin_memory_zalloc(capacity * sizeof(void *));
    if (slots == NULL) return false;
    for (uint32_t i = 0; i < table->capacity; i++) {
        flin_room *room = table->slots[i];
        uint32_t at;
        if (room == NULL) continue;
        for (at = (uint32_t)room->hash & mask; slots[at] != NULL; at = (at + 1) & mask) continue;
        slots[at] = room;
    }
    flin_memory_free(table->slots);
    table->slots = slots;
    table->capacity = capacity;
    return true;
}

flin_room *flin_room_find(const flin_room_table *table, const char *name, size_t name_size) {
    if (table->used == 0) return NULL;
    return table
        ->slots[probe(table, flin_hash_short(&table->key, name, name_size), name, name_size)];
}

flin_room *flin_room_need(flin_room_table *table, const char *name, size_t name_size) {
    uint64_t hash = flin_hash_short(&table->key, name, name_size);
    flin_room *room;
    if (name_size > FLIN_ROOM_NAME_MAX) return NULL;
    if (table->used > 0) {
        room = table->slots[probe(table, hash, name, name_size)];
        if (room != NULL) return room;
    }
    if ((table->used + 1) * 2 > table->capacity) {
        uint32_t capacity = table->capacity == 0 ? FLIN_ROOM_TABLE_MIN : table->capacity * 2;
        if (!table_resize(table, capacity)) return NULL;
    }
    room = flin_memory_zalloc(sizeof *room + name_size);
    if (room == NULL) return NULL;
    room->hash = hash;
    room->name_size = (uint32_t)name_size;
    if (name_size > 0) memcpy(room->name, name, name_size);
    table->slots[probe(table, hash, name, name_size)] = room;
    table->used++;
    return room;
}

/** Delete by shifting back what the probe sequences of others reach through the hole. */
static void table_remove(flin_room_table *table, const flin_room *room) {
    uint32_t mask = table->capacity - 1;
    uint32_t hole = (uint32_t)room->hash & mask;
    while (table->slots[hole] != room) hole = (hole + 1) & mask;
    for (uint32_t at = (hole + 1) & mask; table->slots[at] != NULL; at = (at + 1) & mask) {
        uint32_t home = (uint32_t)table->slots[at]->hash & mask;
        if (((at - home) & mask) < ((at - hole) & mask)) continue;
        table->slots[hole] = table->slots[at];
        hole = at;
    }
    table->slots[hole] = NULL;
    table->used--;
    /* A failed shrink is harmless: the table is merely larger than it need be. */
    if (table->capacity > FLIN_ROOM_TABLE_MIN && table->used * 8 < table->capacity) {
        (void)table_resize(table, table->capacity / 2);
    }
}

flin_room *flin_room_new_internal(void) {
    flin_room *room = flin_memory_zalloc(sizeof *room);
    if (room != NULL) room->is_internal = true;
    return room;
}

void flin_room_free_internal(flin_room *room) {
    if (room == NULL) return;
    assert(room->batch == NULL);
    flin_memory_free(room->members);
    flin_memory_free(room);
}

void flin_room_release_if_idle(flin_room_table *table, flin_room *room) {
    if (room->count > 0 || room->refs > 0 || room->batch != NULL || room->is_internal) return;
    table_remove(table, room);
    flin_memory_free(room->members);
    flin_memory_free(room);
}

void flin_room_table_free(flin_room_table *table) {
    for (uint32_t i = 0; i < table->capacity; i++) {
        flin_room *room = table->slots[i];
        if (room == NULL) continue;
        flin_memory_free(room->members);
        flin_memory_free(room);
    }
    flin_memory_free(table->slots);
    table->slots = NULL;
    table->capacity = table->used = 0;
}

/* --- members -------------------------------------------------------------------------------- */

flin_membership *flin_room_membership(const flin_conn *conn, const flin_room *room) {
    for (uint32_t i = 0; i < conn->membership_count; i++) {
        if (conn->memberships[i].room == room) return &conn->memberships[i];
    }
    return NULL;
}

bool flin_room_has(const flin_hub *hub, const flin_conn *conn, const flin_room *room) {
    if (conn->state != FLIN_CONN_OPEN) return false;
    if (!room->is_internal) return flin_room_membership(conn, room) != NULL;
    return room == hub->all || room == conn->endpoint->room;
}

static bool add_member(flin_conn *conn, flin_room *room, uint32_t index) {
    if (room->count == room->capacity) {
        uint32_t capacity = room->capacity == 0 ? FLIN_ROOM_MEMBERS_MIN : room->capacity * 2;
        flin_member *members = flin_memory_resize(room->members, capacity * sizeof *members);
        if (members == NULL) return false;
        room->members = members;
        room->capacity = capacity;
    }
    room->members[room->count++] = (flin_member){conn->slot, index};
    conn->messages_out -= room->published;
    room->class_count[flin_conn_class(conn)]++;
    if (room->batch != NULL) flin_batch_reopen_later(room->batch, conn);
    return true;
}

bool flin_room_join_internal(flin_conn *conn, flin_room *room, uint32_t index) {
    uint32_t *position = index == FLIN_MEMBER_ALL ? &conn->all_position : &conn->endpoint_position;
    *position = room->count;
    return add_member(conn, room, index);
}

bool flin_room_join(flin_hub *hub, flin_conn *conn, flin_room *room) {
    if (flin_room_membership(conn, room) != NULL) return true;
    if (conn->membership_count == conn->membership_capacity) {
        bool is_inline = conn->memberships == conn->memberships_inline;
        uint32_t capacity = conn->membership_capacity * 2;
        flin_membership *memberships =
            is_inline ? flin_memory_alloc(capacity * sizeof *memberships)
                      : flin_memory_resize(conn->memberships, capacity * sizeof *memberships);
        if (memberships == NULL) return false;
        if (is_inline)
            memcpy(memberships, conn->memberships_inline, sizeof conn->memberships_inline);
        conn->memberships = memberships;
        conn->membership_capacity = capacity;
    }
    if (!add_member(conn, room, conn->membership_count)) return false;
    if (room->count == 1) hub->rooms.occupied_count++;
    conn->memberships[conn->membership_count++] =
        (flin_membership){room, room->count - 1, conn->join_sequence++};
    return true;
}

/** Take the member at `position` out, putting the last one in its place. */
static void remove_member(flin_hub *hub, flin_conn *conn, flin_room *room, uint32_t position) {
    flin_member moved = room->members[--room->count];
    conn->messages_out += room->published;
    assert(room->members[position].slot == conn->slot || position == room->count);
    if (position != room->count) {
        flin_conn *other = flin_slab_at(&hub->slab, moved.slot);
        room->members[position] = moved;
        if (moved.index == FLIN_MEMBER_ALL) {
            other->all_position = position;
        } else if (moved.index == FLIN_MEMBER_ENDPOINT) {
            other->endpoint_position = position;
        } else {
            other->memberships[moved.index].position = position;
        }
    }
    room->class_count[flin_conn_class(conn)]--;
    if (room->batch != NULL) flin_batch_forget(room->batch, conn);
    if (room->capacity > FLIN_ROOM_MEMBERS_MIN && room->count < room->capacity / 4) {
        uint32_t capacity = room->capacity / 2;
        flin_member *members = flin_memory_resize(room->members, capacity * sizeof *members);
        if (members == NULL) return;
        room->members = members;
        room->capacity = capacity;
    }
}

/** End the membership at `index`, putting the last one in its place. */
static void end_membership(flin_hub *hub, flin_conn *conn, uint32_t index) {
    flin_membership ended = conn->memberships[index];
    uint32_t last = --conn->membership_count;
    remove_member(hub, conn, ended.room, ended.position);
    if (index != last) {
        flin_membership moved = conn->memberships[last];
        conn->memberships[index] = moved;
        moved.room->members[moved.position].index = index;
    }
    if (ended.room->count == 0) hub->rooms.occupied_count--;
    flin_room_release_if_idle(&hub->rooms, ended.room);
    if (conn->membership_count == 0 && conn->memberships != conn->memberships_inline) {
        flin_memory_free(conn->memberships);
        conn->memberships = conn->memberships_inline;
        conn->membership_capacity = FLIN_MEMBERSHIP_INLINE;
    }
}

bool flin_room_leave(flin_hub *hub, flin_conn *conn, flin_room *room) {
    flin_membership *membership = flin_room_membership(conn, room);
    if (membership == NULL) return false;
    end_membership(hub, conn, (uint32_t)(membership - conn->memberships));
    return true;
}

void flin_room_leave_internal(flin_hub *hub, flin_conn *conn, flin_room *room) {
    remove_member(hub, conn, room, room == hub->all ? conn->all_position : conn->endpoint_position);
}

void flin_room_leave_all(flin_hub *hub, flin_conn *conn) {
    while (conn->membership_count > 0) end_membership(hub, conn, conn->membership_count - 1);
    flin_room_leave_internal(hub, conn, hub->all);
    flin_room_leave_internal(hub, conn, conn->endpoint->room);
}

uint32_t flin_conn_messages_out(const flin_hub *hub, const flin_conn *conn) {
    uint32_t count = conn->messages_out;
    if (conn->state != FLIN_CONN_OPEN) return count;
    count += hub->all->published + conn->endpoint->room->published;
    for (uint32_t i = 0; i < conn->membership_count; i++) {
        count += conn->memberships[i].room->published;
    }
    return count;
}

/* --- checks --------------------------------------------------------------------------------- */

static bool member_agrees(const flin_hub *hub, const flin_room *room, uint32_t position) {
    flin_member member = room->members[position];
    const flin_conn *conn = flin_slab_at(&hub->slab, member.slot);
    if (conn->state == FLIN_CONN_FREE) return false;
    if (member.index == FLIN_MEMBER_ALL) return conn->all_position == position;
    if (member.index == FLIN_MEMBER_ENDPOINT) return conn->endpoint_position == position;
    return member.index < conn->membership_count && conn->memberships[member.index].room == room &&
           conn->memberships[member.index].position == position;
}

static bool room_agrees(const flin_hub *hub, const flin_room *room) {
    uint32_t deflate_count = 0;
    for (uint32_t i = 0; i < room->count; i++) {
        const flin_conn *conn = flin_slab_at(&hub->slab, room->members[i].slot);
        if (!member_agrees(hub, room, i)) return false;
        deflate_count += flin_conn_class(conn) == FLIN_CLASS_DEFLATE;
    }
    return room->class_count[FLIN_CLASS_DEFLATE] == deflate_count &&
           room->class_count[FLIN_CLASS_PLAIN] == room->count - deflate_count;
}

bool flin_room_check(const flin_hub *hub) {
    uint32_t used = 0, occupied = 0;
    for (uint32_t i = 0; i < hub->rooms.capacity; i++) {
        const flin_room *room = hub->rooms.slots[i];
        if (room == NULL) continue;
        used++;
        occupied += room->count > 0;
        if (!room_agrees(hub, room)) return false;
        if (flin_room_find(&hub->rooms, room->name, room->name_size) != room) return false;
        if (room->count == 0 && room->refs == 0 && room->batch == NULL) return false;
    }
    return used == hub->rooms.used && occupied == hub->rooms.occupied_count &&
           room_agrees(hub, hub->all);
}
