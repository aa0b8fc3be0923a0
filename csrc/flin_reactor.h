/**
 * The guest reactor: one epoll set that an event loop watches as a single descriptor.
 *
 * Each wake reads at most FLIN_READ_SIZE bytes of a connection, FLIN_EVENTS_MAX events and
 * FLIN_WAKE_NS of time; level-triggered readiness brings back the rest, and events that did not
 * fit are kept in order, so a flooding peer cannot push a neighbour out.
 * On systems without epoll nothing can be opened by descriptor; transports work everywhere.
 */
#ifndef FLIN_REACTOR_H
#define FLIN_REACTOR_H

#include "flin_conn.h"

#if defined(FLIN_HAS_EPOLL)
/* Tests switch it off to build what other systems get. */
#elif defined(__linux__)
#define FLIN_HAS_EPOLL 1
#else
#define FLIN_HAS_EPOLL 0
#endif

#define FLIN_EVENTS_MAX 512u
#define FLIN_READ_SIZE (64u << 10)
#define FLIN_WAKE_NS 2000000u
/* A poll that has published to a room of so many members asks the set again, until no message comes
 * or this much time has passed: the room costs a system call for each member, the question one. Four
 * publishers whose messages come within 10 us of each other then share a turn; a fan-out to 100 takes
 * 0.19 us of CPU per delivery instead of 0.33. */
#define FLIN_GATHER_MEMBERS_MIN 8u
#define FLIN_GATHER_NS 250000u

/**
 * Make the epoll set of a hub, if it has none.
 *
 * @return Its descriptor, readable when any connection is ready, or -1 with errno (ENOSYS on
 *         systems without epoll). flin_reactor_free() closes it.
 */
int flin_reactor_start(flin_hub *hub);
void flin_reactor_free(flin_hub *hub);

/**
 * Open a connection on a connected stream socket, which becomes non-blocking.
 *
 * @return NULL with errno: the descriptor is the caller's still.
 */
flin_conn *flin_reactor_open(flin_hub *hub, flin_endpoint *endpoint, void *user,
                             flin_compression compression, int fd);

/** The same for a socket that flin_reactor_register() put into the set and nobody else has. */
flin_conn *flin_reactor_adopt(flin_hub *hub, flin_endpoint *endpoint, void *user,
                              flin_compression compression, int fd);

/** Put a descriptor into the set; its events find what has `id`. @return 0, or -1 with errno. */
int flin_reactor_register(flin_hub *hub, int fd, uint8_t interest, uint64_t id);

/**
 * Change the FLIN_INTEREST_* bits or the id of a descriptor that is in the set; another id alone
 * takes no system call.
 *
 * @return 0, or -1 with errno: nothing has changed.
 */
int flin_reactor_change(flin_hub *hub, int fd, uint8_t interest, uint64_t id);

/** Take a descriptor out of the set. */
void flin_reactor_unregister(flin_hub *hub, int fd);

/**
 * Handle what is ready: read, parse, call handlers, write on. Before a large room is written to,
 * handle what has become ready meanwhile, too.
 *
 * @return Events handled; 0 when nothing was ready. Call again until it is 0 or the turn is long
 *         enough: flin_hub_flush() and flin_hub_reap() go between.
 */
unsigned flin_reactor_poll(flin_hub *hub);

/** Whether events of the last wait are left over. */
bool flin_reactor_has_more(const flin_hub *hub);

/** A connection's descriptor is about to be closed: take it out of the set. */
void flin_reactor_forget(flin_hub *hub, flin_conn *conn);

/** Tell epoll `conn->interest`. */
void flin_reactor_watch(flin_hub *hub, flin_conn *conn);

/** Write a connection's queue until it is empty or the kernel has enough; then account. */
void flin_reactor_write(flin_hub *hub, flin_conn *conn);

/** Write now what one connection alone is sent, unless it would split a room's batch. */
void flin_reactor_write_reply(flin_hub *hub, flin_conn *conn);

/** Send small writes at once, and give up on a peer that acknowledges nothing for 20 s. */
void flin_socket_tune(int fd);

/** End our direction of a socket. */
void flin_socket_shut(int fd);

/** Close a socket; `reset` throws away unsent bytes and tells the peer at once. */
void flin_socket_close(int fd, bool reset);

/** Monotonic nanoseconds. */
uint64_t flin_clock_ns(void);

#endif
