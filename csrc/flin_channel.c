#include "flin_channel.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "flin_hub.h"
#include "flin_memory.h"
#include "flin_reactor.h"

flin_channel *flin_channel_find(const flin_hub *hub, uint64_t id) {
    uint32_t slot = (uint32_t)id;
    flin_channel *channel;
    if (slot >= hub->channels.capacity || (id & FLIN_CHANNEL_TAG) == 0) return NULL;
    channel = &hub->channels.items[slot];
    if (channel->state == FLIN_CHANNEL_FREE) return NULL;
    return channel->generation == ((uint32_t)(id >> 32) & FLIN_GENERATION_MASK) ? channel : NULL;
}

#if FLIN_HAS_EPOLL

#include <netinet/in.h>
#include <sys/socket.h>

#define CAPACITY_MIN 64u

static uint64_t id_of(const flin_channel_table *table, const flin_channel *channel) {
    return FLIN_CHANNEL_TAG | (uint64_t)channel->generation << 32 |
           (uint32_t)(channel - table->items);
}

static bool grow(flin_channel_table *table) {
    uint32_t capacity = table->capacity == 0 ? CAPACITY_MIN : table->capacity * 2;
    flin_channel *items = flin_memory_resize(table->items, capacity * sizeof *items);
    if (items == NULL) return false;
    for (uint32_t i = capacity; i-- > table->capacity;) {
        memset(&items[i], 0, sizeof items[i]);
        items[i].fd = -1;
        items[i].free_next = table->free_head;
        table->free_head = i;
    }
    table->items = items;
    table->capacity = capacity;
    return true;
}

/** A slot for a descriptor, registered for reading; NULL with errno: the descriptor is as it was. */
static flin_channel *take(flin_hub *hub, int fd, flin_channel_state state) {
    flin_channel_table *table = &hub->channels;
    flin_channel *channel;
    if (table->capacity == 0) table->free_head = FLIN_SLOT_NONE;
    if (table->free_head == FLIN_SLOT_NONE && !grow(table)) {
        errno = ENOMEM;
        return NULL;
    }
    channel = &table->items[table->free_head];
    channel->generation = (channel->generation + 1) & FLIN_GENERATION_MASK;
    channel->interest = FLIN_INTEREST_READ;
    if (flin_reactor_register(hub, fd, FLIN_INTEREST_READ, id_of(table, channel)) < 0) return NULL;
    table->free_head = channel->free_next;
    channel->fd = fd;
    channel->state = (uint8_t)state;
    channel->since_ms = hub->now_ms;
    channel->user = NULL;
    table->used_count++;
    if (state == FLIN_CHANNEL_FRESH) table->fresh_count++;
    return channel;
}

static void give(flin_channel_table *table, flin_channel *channel) {
    if (channel->state == FLIN_CHANNEL_FRESH) table->fresh_count--;
    channel->state = FLIN_CHANNEL_FREE;
    channel->fd = -1;
    channel->user = NULL;
    channel->free_next = table->free_head;
    table->free_head = (uint32_t)(channel - table->items);
    table->used_count--;
}

int flin_channel_listen(flin_hub *hub, int fd, const flin_channel_callbacks *callbacks) {
    if (flin_reactor_start(hub) < 0) return -1;
    flin_socket_tune(fd);
    hub->channels.callbacks = *callbacks;
    return take(hub, fd, FLIN_CHANNEL_LISTENER) == NULL ? -1 : 0;
}

void flin_channel_unlisten(flin_hub *hub, int fd) {
    for (uint32_t i = 0; i < hub->channels.capacity; i++) {
        flin_channel *channel = &hub->channels.items[i];
        if (channel->state != FLIN_CHANNEL_LISTENER || channel->fd != fd) continue;
        flin_reactor_unregister(hub, fd);
        give(&hub->channels, channel);
    }
}

void flin_channel_attach(flin_hub *hub, uint64_t id, void *user) {
    flin_channel *channel = flin_channel_find(hub, id);
    assert(channel != NULL && channel->state == FLIN_CHANNEL_FRESH);
    channel->state = FLIN_CHANNEL_OPEN;
    channel->user = user;
    hub->channels.fresh_count--;
}

int flin_channel_watch(flin_hub *hub, uint64_t id, uint8_t interest) {
    flin_channel *channel = flin_channel_find(hub, id);
    if (channel == NULL || channel->interest == interest) return 0;
    channel->interest = interest;
    return flin_reactor_change(hub, channel->fd, interest, id);
}

flin_conn *flin_channel_upgrade(flin_hub *hub, uint64_t id, flin_endpoint *endpoint, void *user,
                                flin_compression compression) {
    flin_channel *channel = flin_channel_find(hub, id);
    flin_conn *conn;
    if (channel == NULL) {
        errno = EBADF;
        return NULL;
    }
    conn = flin_reactor_adopt(hub, endpoint, user, compression, channel->fd);
    if (conn != NULL) give(&hub->channels, channel);
    return conn;
}

void flin_channel_close(flin_hub *hub, uint64_t id, bool reset) {
    flin_channel *channel = flin_channel_find(hub, id);
    if (channel == NULL) return;
    /* Nobody else has this descriptor, so closing it takes it out of the epoll set. */
    flin_socket_close(channel->fd, reset);
    give(&hub->channels, channel);
}

/** Whether bytes of the peer wait to be read: then it is we who are late. */
static bool has_input(int fd) {
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void flin_channel_sweep(flin_hub *hub, uint32_t fresh_ms) {
    for (uint32_t i = 0; i < hub->channels.capacity; i++) {
        flin_channel *channel = &hub->channels.items[i];
        uint32_t age_ms = hub->now_ms - channel->since_ms;
        if (channel->state == FLIN_CHANNEL_FRESH && age_ms >= fresh_ms) {
            if (fresh_ms > 0 && has_input(channel->fd)) continue;
            flin_channel_close(hub, id_of(&hub->channels, channel), false);
        } else if (channel->state == FLIN_CHANNEL_LISTENER && channel->interest == 0 &&
                   age_ms >= FLIN_ACCEPT_PAUSE_MS) {
            (void)flin_channel_watch(hub, id_of(&hub->channels, channel), FLIN_INTEREST_READ);
        }
    }
}

void flin_channel_close_fresh(flin_hub *hub) { flin_channel_sweep(hub, 0); }

void flin_channel_free(flin_hub *hub) {
    for (uint32_t i = 0; i < hub->channels.capacity; i++) {
        const flin_channel *channel = &hub->channels.items[i];
        if (channel->state == FLIN_CHANNEL_FRESH || channel->state == FLIN_CHANNEL_OPEN) {
            flin_socket_close(channel->fd, false);
        }
    }
    flin_memory_free(hub->channels.items);
    memset(&hub->channels, 0, sizeof hub->channels);
}

/* --- readiness ------------------------------------------------------------------------------ */

static void keep_address(flin_channel *channel, const struct sockaddr_storage *peer) {
    channel->family = peer->ss_family;
    channel->port = 0;
    if (peer->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)peer;
        channel->port = ntohs(in->sin_port);
        memcpy(channel->address, &in->sin_addr, sizeof in->sin_addr);
    } else if (peer->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)peer;
        channel->port = ntohs(in6->sin6_port);
        memcpy(channel->address, &in6->sin6_addr, sizeof in6->sin6_addr);
    }
}

/** Out of descriptors or memory: a ready listener would keep the loop busy for nothing. */
static void pause_listener(flin_hub *hub, uint64_t id, int error) {
    flin_channel *listener = flin_channel_find(hub, id);
    listener->since_ms = hub->now_ms;
    (void)flin_channel_watch(hub, id, 0);
    hub->channels.callbacks.accept_failed(hub->user, error);
}

static void accept_ready(flin_hub *hub, uint64_t id, int fd) {
    for (unsigned i = 0; i < FLIN_ACCEPT_MAX; i++) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof peer;
        flin_channel *channel;
        int accepted;
        peer.ss_family = AF_UNIX; /* of a peer without an address the kernel may write none */
        accepted = accept4(fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK) return;
            /* Anything that concerns one connection only (ECONNABORTED, EPROTO, ...): the next. */
            if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) continue;
            pause_listener(hub, id, errno);
            return;
        }
        channel = take(hub, accepted, FLIN_CHANNEL_FRESH);
        if (channel == NULL) {
            int error = errno;
            flin_socket_close(accepted, true);
            pause_listener(hub, id, error);
            return;
        }
        keep_address(channel, &peer);
    }
}

static void read_channel(flin_hub *hub, uint64_t id, flin_channel *channel) {
    const flin_channel_callbacks *callbacks = &hub->channels.callbacks;
    ssize_t received;
    do {
        received = recv(channel->fd, hub->receive, FLIN_READ_SIZE, 0);
    } while (received < 0 && errno == EINTR);
    if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (channel->state == FLIN_CHANNEL_FRESH) {
        if (received > 0) {
            callbacks->first(hub->user, id, hub->receive, (size_t)received);
        } else {
            flin_channel_close(hub, id, received < 0);
        }
    } else if (received >= 0) {
        callbacks->received(hub->user, channel->user, hub->receive, (size_t)received);
    } else {
        callbacks->lost(hub->user, channel->user, errno);
    }
}

void flin_channel_ready(flin_hub *hub, uint64_t id, bool is_readable, bool is_writable,
                        bool is_broken) {
    flin_channel *channel = flin_channel_find(hub, id);
    if (channel == NULL) return;
    if (channel->state == FLIN_CHANNEL_LISTENER) {
        accept_ready(hub, id, channel->fd);
        return;
    }
    if (is_writable && (channel->interest & FLIN_INTEREST_WRITE) != 0) {
        hub->channels.callbacks.writable(hub->user, channel->user);
        channel = flin_channel_find(hub, id);
        if (channel == NULL) return;
    }
    if ((channel->interest & FLIN_INTEREST_READ) == 0) {
        /* Nobody reads, yet the peer has reset, or both directions have ended. */
        if (is_broken) hub->channels.callbacks.lost(hub->user, channel->user, ECONNRESET);
    } else if (is_readable || is_broken) {
        read_channel(hub, id, channel);
    }
}

#else

int flin_channel_listen(flin_hub *hub, int fd, const flin_channel_callbacks *callbacks) {
    (void)hub, (void)fd, (void)callbacks;
    errno = ENOSYS;
    return -1;
}

void flin_channel_unlisten(flin_hub *hub, int fd) { (void)hub, (void)fd; }

void flin_channel_attach(flin_hub *hub, uint64_t id, void *user) {
    (void)hub, (void)id, (void)user;
}

int flin_channel_watch(flin_hub *hub, uint64_t id, uint8_t interest) {
    (void)hub, (void)id, (void)interest;
    errno = ENOSYS;
    return -1;
}

flin_conn *flin_channel_upgrade(flin_hub *hub, uint64_t id, flin_endpoint *endpoint, void *user,
                                flin_compression compression) {
    (void)hub, (void)id, (void)endpoint, (void)user, (void)compression;
    errno = ENOSYS;
    return NULL;
}

void flin_channel_close(flin_hub *hub, uint64_t id, bool reset) {
    (void)hub, (void)id, (void)reset;
}

void flin_channel_sweep(flin_hub *hub, uint32_t fresh_ms) { (void)hub, (void)fresh_ms; }

void flin_channel_close_fresh(flin_hub *hub) { (void)hub; }

void flin_channel_free(flin_hub *hub) { (void)hub; }

void flin_channel_ready(flin_hub *hub, uint64_t id, bool is_readable, bool is_writable,
                        bool is_broken) {
    (void)hub, (void)id, (void)is_readable, (void)is_writable, (void)is_broken;
}

#endif
