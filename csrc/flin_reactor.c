#include "flin_reactor.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "flin_channel.h"
#include "flin_hub.h"
#include "flin_memory.h"

#if FLIN_HAS_EPOLL

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/uio.h>

/* A peer that acknowledges nothing for this long is gone, milliseconds (TCP_USER_TIMEOUT). */
#define FLIN_USER_TIMEOUT_MS 20000

/**
 * What the events of a descriptor are for. It changes hands (an accepted socket becomes a WebSocket)
 * without a word to epoll, whose events carry descriptor and generation only.
 */
typedef struct {
    uint64_t id;         /* of a connection or channel */
    uint32_t generation; /* of the registration: events of an earlier one are nobody's */
    uint8_t interest;    /* FLIN_INTEREST_* bits that epoll was told */
} flin_place;

struct flin_reactor {
    int epoll_fd;
    unsigned event_count; /* of the last wait */
    unsigned event_next;  /* first one not handled */
    uint32_t place_count;
    flin_place *places; /* by descriptor; grown by doubling, so bounded by the process's limit */
    struct epoll_event events[FLIN_EVENTS_MAX];
};

/* Places of the first table, 16 bytes each. */
#define FLIN_PLACES_MIN 64u

uint64_t flin_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int flin_reactor_start(flin_hub *hub) {
    struct flin_reactor *reactor = hub->reactor;
    if (reactor != NULL) return reactor->epoll_fd;
    reactor = flin_memory_alloc(sizeof *reactor);
    if (reactor == NULL) {
        errno = ENOMEM;
        return -1;
    }
    reactor->event_count = reactor->event_next = 0;
    reactor->place_count = 0;
    reactor->places = NULL;
    reactor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (reactor->epoll_fd < 0) {
        flin_memory_free(reactor);
        return -1;
    }
    hub->reactor = reactor;
    return reactor->epoll_fd;
}

void flin_reactor_free(flin_hub *hub) {
    if (hub->reactor == NULL) return;
    close(hub->reactor->epoll_fd);
    flin_memory_free(hub->reactor->places);
    flin_memory_free(hub->reactor);
    hub->reactor = NULL;
}

static int control(const flin_hub *hub, int operation, int fd, uint8_t interest) {
    const struct flin_reactor *reactor = hub->reactor;
    struct epoll_event event = {0};
    if ((interest & FLIN_INTEREST_READ) != 0) event.events |= EPOLLIN;
    if ((interest & FLIN_INTEREST_WRITE) != 0) event.events |= EPOLLOUT;
    event.data.u64 = (uint64_t)reactor->places[fd].generation << 32 | (uint32_t)fd;
    return epoll_ctl(reactor->epoll_fd, operation, fd, &event);
}

/** Have a place for a descriptor; false with errno. */
static bool need_place(struct flin_reactor *reactor, int fd) {
    uint32_t count = reactor->place_count == 0 ? FLIN_PLACES_MIN : reactor->place_count;
    flin_place *places;
    if (fd < 0) {
        errno = EBADF;
        return false;
    }
    if ((uint32_t)fd < reactor->place_count) return true;
    while (count <= (uint32_t)fd) count *= 2;
    places = flin_memory_resize(reactor->places, count * sizeof *places);
    if (places == NULL) {
        errno = ENOMEM;
        return false;
    }
    memset(places + reactor->place_count, 0, (count - reactor->place_count) * sizeof *places);
    reactor->places = places;
    reactor->place_count = count;
    return true;
}

int flin_reactor_register(flin_hub *hub, int fd, uint8_t interest, uint64_t id) {
    flin_place *place;
    if (!need_place(hub->reactor, fd)) return -1;
    place = &hub->reactor->places[fd];
    place->generation++; /* what was registered under this number is gone */
    if (control(hub, EPOLL_CTL_ADD, fd, interest) < 0) return -1;
    place->id = id;
    place->interest = interest;
    return 0;
}

int flin_reactor_change(flin_hub *hub, int fd, uint8_t interest, uint64_t id) {
    flin_place *place = &hub->reactor->places[fd];
    if (place->interest != interest && control(hub, EPOLL_CTL_MOD, fd, interest) < 0) return -1;
    place->id = id;
    place->interest = interest;
    return 0;
}

void flin_reactor_unregister(flin_hub *hub, int fd) {
    hub->reactor->places[fd].generation++;
    (void)control(hub, EPOLL_CTL_DEL, fd, 0);
}

void flin_socket_tune(int fd) {
    int one = 1, timeout_ms = FLIN_USER_TIMEOUT_MS;
    /* Unix sockets have neither option; both only make a connection better. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
}

/** Open a connection on a non-blocking socket, which `place` puts into the epoll set. */
static flin_conn *open_conn(flin_hub *hub, flin_endpoint *endpoint, void *user,
                            flin_compression compression, int fd,
                            int (*place)(flin_hub *, int, uint8_t, uint64_t)) {
    flin_conn *conn = flin_hub_open(hub, endpoint, user, compression);
    if (conn == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    if (place(hub, fd, conn->interest, flin_conn_id(conn)) < 0) {
        int error = errno;
        flin_hub_unopen(hub, conn);
        errno = error;
        return NULL;
    }
    conn->flags &= ~FLIN_CONN_TRANSPORT;
    conn->fd = fd;
    return conn;
}

flin_conn *flin_reactor_open(flin_hub *hub, flin_endpoint *endpoint, void *user,
                             flin_compression compression, int fd) {
    int flags = fcntl(fd, F_GETFL);
    flin_conn *conn;
    if (flin_reactor_start(hub) < 0 || flags < 0) return NULL;
    if ((flags & O_NONBLOCK) == 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return NULL;
    conn = open_conn(hub, endpoint, user, compression, fd, flin_reactor_register);
    if (conn != NULL) flin_socket_tune(fd);
    return conn;
}

flin_conn *flin_reactor_adopt(flin_hub *hub, flin_endpoint *endpoint, void *user,
                              flin_compression compression, int fd) {
    flin_conn *conn = open_conn(hub, endpoint, user, compression, fd, flin_reactor_change);
    if (conn != NULL) conn->flags |= FLIN_CONN_ACCEPTED;
    return conn;
}

void flin_reactor_forget(flin_hub *hub, flin_conn *conn) {
    /* A duplicate of the descriptor would keep the registration alive beyond close(). */
    if ((conn->flags & FLIN_CONN_ACCEPTED) == 0) flin_reactor_unregister(hub, conn->fd);
}

void flin_reactor_watch(flin_hub *hub, flin_conn *conn) {
    if (flin_reactor_change(hub, conn->fd, conn->interest, flin_conn_id(conn)) < 0) {
        flin_conn_lost(hub, conn, true);
    }
}

/* --- writing -------------------------------------------------------------------------------- */

static ssize_t write_vector(int fd, struct iovec *vectors, unsigned count) {
    struct msghdr message = {0};
    if (count == 1) {
        return send(fd, vectors[0].iov_base, vectors[0].iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    message.msg_iov = vectors;
    message.msg_iovlen = count;
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void flin_reactor_write(flin_hub *hub, flin_conn *conn) {
    struct iovec vectors[FLIN_OUTPUT_VECTOR_MAX];
    bool is_stalled = false;
    while (conn->segment_count > 0 && !is_stalled) {
        size_t total;
        unsigned count = flin_output_peek(conn, vectors, FLIN_OUTPUT_VECTOR_MAX, &total);
        ssize_t written = write_vector(conn->fd, vectors, count);
        if (written < 0) {
            if (errno == EINTR) continue;
            if (errno != EAGAIN && errno != EWOULDBLOCK) {
                flin_output_clear(hub, conn);
                flin_conn_lost(hub, conn, false);
                return;
            }
            written = 0;
        }
        is_stalled = (size_t)written < total;
        hub->stats.bytes_out += (uint64_t)written;
        flin_output_consume(hub, conn, (size_t)written);
    }
    flin_conn_flushed(hub, conn, is_stalled, 0);
}

/* --- reading -------------------------------------------------------------------------------- */

/** Receive into the rest of a large message, then the shared buffer; one copy less. */
static ssize_t receive_into_room(flin_hub *hub, flin_conn *conn, uint8_t *room, size_t room_size) {
    struct iovec vectors[2] = {{room, room_size}, {hub->receive, FLIN_READ_SIZE}};
    flin_message_event event;
    flin_status status;
    size_t in_room;
    ssize_t received;
    /* A room larger than the share of one wake is filled in several; nothing goes behind it. */
    if (room_size > FLIN_RECEIVE_SIZE) vectors[0].iov_len = FLIN_RECEIVE_SIZE;
    received = readv(conn->fd, vectors, room_size > FLIN_RECEIVE_SIZE ? 1 : 2);
    if (received <= 0) return received;
    in_room = (size_t)received < room_size ? (size_t)received : room_size;
    hub->stats.bytes_in += in_room;
    *flin_conn_heard_ms(&hub->slab, conn) = hub->now_ms;
    status = flin_message_commit(&conn->input, in_room, &event);
    if (status == FLIN_OK) {
        conn->flags |= FLIN_CONN_READING;
        flin_conn_handle_event(hub, conn, &event);
        conn->flags &= ~FLIN_CONN_READING;
    } else if (status != FLIN_NEED_MORE) {
        flin_conn_fail(hub, conn, status);
    }
    /* Also without a byte: the parser lets go of the message only when it is called again. */
    flin_conn_feed(hub, conn, hub->receive, (size_t)received - in_room);
    return received;
}

static void read_conn(flin_hub *hub, flin_conn *conn) {
    uint8_t *room = NULL;
    size_t room_size = 0;
    ssize_t received;
    bool is_parsing = (conn->flags & (FLIN_CONN_FAILED | FLIN_CONN_FINISHED)) == 0;
    do {
        if (is_parsing) room_size = flin_message_room(&conn->input, &room);
        received = room_size > 0 ? receive_into_room(hub, conn, room, room_size)
                                 : recv(conn->fd, hub->receive, FLIN_READ_SIZE, 0);
    } while (received < 0 && errno == EINTR);
    if (received == 0) {
        flin_conn_feed_end(hub, conn);
    } else if (received < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK) flin_conn_lost(hub, conn, false);
    } else if (room_size == 0) {
        flin_conn_feed(hub, conn, hub->receive, (size_t)received);
    }
}

void flin_reactor_write_reply(flin_hub *hub, flin_conn *conn) {
    uint32_t flags = FLIN_CONN_DIRTY | FLIN_CONN_STALLED | FLIN_CONN_TRANSPORT;
    if ((conn->flags & flags) != FLIN_CONN_DIRTY || conn->fd < 0) return;
    if (conn->segment_count == 0 || flin_output_is_shared_open(conn)) return;
    if (hub->dirty_head == conn && hub->dirty_tail == conn) {
        /* The usual case: nobody else has output, and now nobody will need a flush. */
        hub->dirty_head = hub->dirty_tail = NULL;
        conn->flags &= ~FLIN_CONN_DIRTY;
    }
    flin_reactor_write(hub, conn);
}

static void handle_ready(flin_hub *hub, flin_conn *conn, uint32_t events) {
    if ((events & EPOLLOUT) != 0) {
        flin_reactor_write(hub, conn);
        if ((conn->flags & FLIN_CONN_FINISHED) != 0) return;
    }
    if ((conn->interest & FLIN_INTEREST_READ) == 0) {
        /* Nobody reads, yet the peer has reset, or both directions have ended. */
        if ((events & (EPOLLHUP | EPOLLERR)) != 0) flin_conn_lost(hub, conn, false);
        return;
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
    read_conn(hub, conn);
    flin_reactor_write_reply(hub, conn);
}

bool flin_reactor_has_more(const flin_hub *hub) {
    return hub->reactor != NULL && hub->reactor->event_next < hub->reactor->event_count;
}

/** Have events to handle, if there are any; returns whether there are. */
static bool has_events(struct flin_reactor *reactor) {
    int count;
    if (reactor->event_next < reactor->event_count) return true;
    count = epoll_wait(reactor->epoll_fd, reactor->events, (int)FLIN_EVENTS_MAX, 0);
    reactor->event_next = 0;
    reactor->event_count = count > 0 ? (unsigned)count : 0;
    return reactor->event_count > 0;
}

static void handle_event(flin_hub *hub, const struct epoll_event *event) {
    const flin_place *place = &hub->reactor->places[(uint32_t)event->data.u64];
    uint64_t id = place->id;
    flin_conn *conn;
    if (place->generation != (uint32_t)(event->data.u64 >> 32)) return;
    if ((id & FLIN_CHANNEL_TAG) != 0) {
        flin_channel_ready(hub, id, (event->events & EPOLLIN) != 0, (event->events & EPOLLOUT) != 0,
                           (event->events & (EPOLLHUP | EPOLLERR)) != 0);
        return;
    }
    conn = flin_slab_find(&hub->slab, id);
    if (conn == NULL || conn->fd < 0 || (conn->flags & FLIN_CONN_FINISHED) != 0) return;
    handle_ready(hub, conn, event->events);
}

/** Whether the turn will write to so many that one more look at the set is nothing beside it. */
static bool is_publishing(const flin_hub *hub) {
    return hub->active_batches != NULL &&
           hub->active_batches->room->count >= FLIN_GATHER_MEMBERS_MIN;
}

unsigned flin_reactor_poll(flin_hub *hub) {
    struct flin_reactor *reactor = hub->reactor;
    unsigned handled = 0;
    uint64_t start_ns, spent_ns = 0, message_count;
    if (reactor == NULL || !has_events(reactor)) return 0;
    start_ns = flin_clock_ns();
    do {
        message_count = hub->stats.messages_in;
        while (reactor->event_next < reactor->event_count && spent_ns < FLIN_WAKE_NS) {
            handle_event(hub, &reactor->events[reactor->event_next++]);
            handled++;
            spent_ns = flin_clock_ns() - start_ns;
        }
        /* Who has ended stays ready until it is reaped: only messages are worth another round. */
    } while (hub->stats.messages_in != message_count && is_publishing(hub) &&
             spent_ns < FLIN_GATHER_NS && has_events(reactor));
    return handled;
}

#else

struct flin_reactor {
    int epoll_fd;
};

uint64_t flin_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int flin_reactor_start(flin_hub *hub) {
    (void)hub;
    errno = ENOSYS;
    return -1;
}

void flin_reactor_free(flin_hub *hub) { (void)hub; }

flin_conn *flin_reactor_open(flin_hub *hub, flin_endpoint *endpoint, void *user,
                             flin_compression compression, int fd) {
    (void)hub, (void)endpoint, (void)user, (void)compression, (void)fd;
    errno = ENOSYS;
    return NULL;
}

flin_conn *flin_reactor_adopt(flin_hub *hub, flin_endpoint *endpoint, void *user,
                              flin_compression compression, int fd) {
    return flin_reactor_open(hub, endpoint, user, compression, fd);
}

int flin_reactor_register(flin_hub *hub, int fd, uint8_t interest, uint64_t id) {
    (void)hub, (void)fd, (void)interest, (void)id;
    errno = ENOSYS;
    return -1;
}

int flin_reactor_change(flin_hub *hub, int fd, uint8_t interest, uint64_t id) {
    return flin_reactor_register(hub, fd, interest, id);
}

void flin_reactor_unregister(flin_hub *hub, int fd) { (void)hub, (void)fd; }

void flin_socket_tune(int fd) { (void)fd; }

unsigned flin_reactor_poll(flin_hub *hub) {
    (void)hub;
    return 0;
}

bool flin_reactor_has_more(const flin_hub *hub) {
    (void)hub;
    return false;
}

void flin_reactor_forget(flin_hub *hub, flin_conn *conn) { (void)hub, (void)conn; }

void flin_reactor_watch(flin_hub *hub, flin_conn *conn) { (void)hub, (void)conn; }

void flin_reactor_write(flin_hub *hub, flin_conn *conn) { (void)hub, (void)conn; }

void flin_reactor_write_reply(flin_hub *hub, flin_conn *conn) { (void)hub, (void)conn; }

#endif

void flin_socket_shut(int fd) { (void)shutdown(fd, SHUT_WR); }

void flin_socket_close(int fd, bool reset) {
    struct linger linger = {1, 0};
    if (reset) (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    (void)close(fd);
}
