/**
 * Rooms: named sets of connections, indexed both ways so that joining and leaving are O(1).
 *
 * Rules
 *   1. room->members[i] names a slot and which of its memberships this is; that membership names
 *      the room and i. Every change keeps both sides (flin_room_check() proves it in tests).
 *   2. A room is in the table from its first member, or from the first effect that names it, and
 *      is freed as soon as it has neither members, nor effects (`refs`), nor a batch.
 *   3. Members are visited only by publishing, which calls no user code: nothing joins or leaves
 *      during a visit.
 */
#ifndef FLIN_ROOM_H
#define FLIN_ROOM_H

#include "flin_conn.h"
#include "flin_hash.h"

/* flin_member.index of the two rooms a connection is in by itself. */
#define FLIN_MEMBER_ALL UINT32_MAX
#define FLIN_MEMBER_ENDPOINT (UINT32_MAX - 1)

typedef struct flin_batch flin_batch;

typedef struct {
    uint32_t slot;
    uint32_t index; /* into the connection's memberships, or FLIN_MEMBER_* */
} flin_member;

struct flin_room {
    flin_member *members;
    uint32_t count;
    uint32_t capacity;
    uint32_t class_count[FLIN_CLASS_COUNT]; /* members that read each encoding */
    uint32_t refs;                          /* effects that name the room */
    uint32_t published;                     /* messages so far, modulo 2^32 */
    uint32_t name_size;
    uint64_t hash;
    flin_batch *batch; /* messages of this turn, or NULL */
    bool is_internal;  /* the room of all connections, or of an endpoint: not in the table */
    char name[];       /* UTF-8, name_size bytes, not terminated */
};

typedef struct {
    flin_room **slots; /* open addressing, linear probing; a power of two */
    uint32_t capacity;
    uint32_t used;
    uint32_t occupied_count; /* rooms with members */
    flin_hash_key key;
} flin_room_table;

/** The room of that name, or NULL. */
flin_room *flin_room_find(const flin_room_table *table, const char *name, size_t name_size);

/** The room of that name, made empty if need be; NULL without memory or beyond 1 KiB of name. */
flin_room *flin_room_need(flin_room_table *table, const char *name, size_t name_size);

/** A room outside the table; free it with flin_room_free_internal() when it is empty. */
flin_room *flin_room_new_internal(void);
void flin_room_free_internal(flin_room *room);

/** Free the room if nothing uses it any more. */
void flin_room_release_if_idle(flin_room_table *table, flin_room *room);

/** Free the table and every room in it; members must be gone. */
void flin_room_table_free(flin_room_table *table);

/** The connection's membership of `room`, or NULL. O(rooms of the connection). */
flin_membership *flin_room_membership(const flin_conn *conn, const flin_room *room);

/** Whether an open connection is a member of any kind of room, internal ones included. */
bool flin_room_has(const flin_hub *hub, const flin_conn *conn, const flin_room *room);

/**
 * Make an open connection a member; idempotent.
 *
 * @return false without memory: nothing changed.
 */
bool flin_room_join(flin_hub *hub, flin_conn *conn, flin_room *room);

/** Add to an internal room; false without memory. */
bool flin_room_join_internal(flin_conn *conn, flin_room *room, uint32_t index);

/** Take out of an internal room it is in. */
void flin_room_leave_internal(flin_hub *hub, flin_conn *conn, flin_room *room);

/** End a membership; returns whether there was one. Messages published before still leave. */
bool flin_room_leave(flin_hub *hub, flin_conn *conn, flin_room *room);

/** Leave every room, the internal ones included. */
void flin_room_leave_all(flin_hub *hub, flin_conn *conn);

/**
 * Messages queued for a connection so far, less those dropped again; modulo 2^32.
 *
 * Publishing visits no members, so what rooms published is added up here, O(rooms of the
 * connection), and fixed when it leaves them.
 */
uint32_t flin_conn_messages_out(const flin_hub *hub, const flin_conn *conn);

/** Whether all indices agree; for tests, O(members + memberships). */
bool flin_room_check(const flin_hub *hub);

#endif
