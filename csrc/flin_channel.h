/**
 * Sockets of the reactor that are not WebSockets: listeners, and what they accept.
 *
 * An accepted socket costs one small slot until its first bytes come (FRESH); then the application
 * either makes it a WebSocket connection, which keeps its place in the epoll set, or gives it an
 * object of its own (OPEN) and speaks another protocol (HTTP) over it. Nothing is buffered here.
 *
 * A channel is named by an id, `FLIN_CHANNEL_TAG | generation << 32 | slot`, which finds nothing
 * once it has gone; pointers hold only until the next call that may accept or close.
 */
#ifndef FLIN_CHANNEL_H
#define FLIN_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flin_conn.h"

/* Set in the ids of channels, never in those of connections. */
#define FLIN_CHANNEL_TAG (UINT64_C(1) << 63)
/* Sockets accepted per wake of a listener; the rest comes back with the next one. */
#define FLIN_ACCEPT_MAX 64u
/* A listener rests for so long after the process ran out of descriptors, milliseconds. */
#define FLIN_ACCEPT_PAUSE_MS 1000u

typedef enum {
    FLIN_CHANNEL_FREE,
    FLIN_CHANNEL_LISTENER,
    FLIN_CHANNEL_FRESH, /* accepted, has sent nothing yet */
    FLIN_CHANNEL_OPEN   /* has an object of the application */
} flin_channel_state;

typedef struct {
    int fd; /* -1 when not in use */
    uint32_t generation;
    uint8_t state;     /* a flin_channel_state */
    uint8_t interest;  /* FLIN_INTEREST_* bits that epoll was told */
    uint16_t port;     /* of the peer */
    uint16_t family;   /* AF_INET, AF_INET6, AF_UNIX */
    uint32_t since_ms; /* accepted, or (listener) paused */
    uint32_t free_next;
    uint8_t address[16]; /* of the peer, network order; 4 bytes of it for AF_INET */
    void *user;          /* the application's object; never touched here */
} flin_channel;

typedef struct {
    /** First bytes of an accepted socket: attach, open, or close it. */
    void (*first)(void *user, uint64_t id, uint8_t *data, size_t size);
    /** More bytes of an OPEN channel; size 0: the peer has ended its direction. */
    void (*received)(void *user, void *channel_user, uint8_t *data, size_t size);
    /** An OPEN channel whose interest includes writing can be written to. */
    void (*writable)(void *user, void *channel_user);
    /** The socket of an OPEN channel has failed; close it. */
    void (*lost)(void *user, void *channel_user, int error);
    /** A listener could not accept and rests for FLIN_ACCEPT_PAUSE_MS. */
    void (*accept_failed)(void *user, int error);
} flin_channel_callbacks;

typedef struct {
    flin_channel *items;
    uint32_t capacity;
    uint32_t free_head; /* slot, FLIN_SLOT_NONE when all are in use */
    uint32_t fresh_count;
    uint32_t used_count;
    flin_channel_callbacks callbacks;
} flin_channel_table;

/**
 * Accept on a listening channel socket, which stays the caller's to close after unlisten.
 *
 * Accepted sockets inherit TCP_NODELAY and TCP_USER_TIMEOUT from it.
 *
 * @return 0, or -1 with errno (ENOSYS on systems without epoll).
 */
int flin_channel_listen(flin_hub *hub, int fd, const flin_channel_callbacks *callbacks);

/** Stop accepting on a descriptor; no effect when it is not listened on. */
void flin_channel_unlisten(flin_hub *hub, int fd);

/** The channel with an id, NULL when it has gone. */
flin_channel *flin_channel_find(const flin_hub *hub, uint64_t id);

/** Make a FRESH channel OPEN, with the object that its callbacks get. */
void flin_channel_attach(flin_hub *hub, uint64_t id, void *user);

/** Ask for FLIN_INTEREST_* of an OPEN channel. @return 0, or -1 with errno. */
int flin_channel_watch(flin_hub *hub, uint64_t id, uint8_t interest);

/**
 * Make a channel a WebSocket connection (see flin_hub_open()); its id is gone then.
 *
 * @return NULL with errno: the channel is as it was.
 */
flin_conn *flin_channel_upgrade(flin_hub *hub, uint64_t id, flin_endpoint *endpoint, void *user,
                                flin_compression compression);

/** Close a channel's socket; `reset` throws away unsent bytes and tells the peer at once. */
void flin_channel_close(flin_hub *hub, uint64_t id, bool reset);

/**
 * Once a second: listeners accept again, FRESH channels older than `fresh_ms` are closed unless
 * bytes of theirs wait to be read.
 */
void flin_channel_sweep(flin_hub *hub, uint32_t fresh_ms);

/** Close every FRESH channel: no request will be answered any more. */
void flin_channel_close_fresh(flin_hub *hub);

/** Close every socket but listeners' and free the table. */
void flin_channel_free(flin_hub *hub);

/** Handle readiness of the descriptor of `id` (called by the reactor). */
void flin_channel_ready(flin_hub *hub, uint64_t id, bool is_readable, bool is_writable,
                        bool is_broken);

#endif
