/* Listeners and accepted sockets: first bytes, upgrades, ends, exhaustion, stale ids. */
#include "flin_reactor.h"

#if FLIN_HAS_EPOLL

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flin_channel.h"
#include "flin_reactor.h"
#include "flin_test_hub.h"

#define TEXT (TEST_FIN | FLIN_OPCODE_TEXT)
#define CLIENT_MAX 300

static test_hub test;

/* What the application side saw of the channel that spoke last. */
static struct {
    uint64_t id;
    test_bytes first, received;
    unsigned first_count, eof_count, writable_count, lost_count, failed_count;
    int lost_error, failed_error;
    bool upgrades, closes;
} seen;

static void on_first(void *user, uint64_t id, uint8_t *data, size_t size) {
    test_hub *hub = user;
    seen.id = id;
    seen.first_count++;
    bytes_append(&seen.first, data, size);
    if (seen.closes) {
        flin_channel_close(&hub->hub, id, false);
    } else if (seen.upgrades) {
        test_peer *peer = &hub->peers[0];
        peer->conn = flin_channel_upgrade(&hub->hub, id, &hub->endpoint, peer, false);
        FLIN_CHECK(peer->conn != NULL);
        flin_conn_handler_done(&hub->hub, peer->conn);
    } else {
        flin_channel_attach(&hub->hub, id, &seen);
    }
}

static void on_received(void *user, void *channel_user, uint8_t *data, size_t size) {
    (void)user;
    FLIN_CHECK(channel_user == &seen);
    if (size == 0) seen.eof_count++;
    bytes_append(&seen.received, data, size);
}

static void on_writable(void *user, void *channel_user) {
    test_hub *hub = user;
    FLIN_CHECK(channel_user == &seen);
    seen.writable_count++;
    FLIN_CHECK_EQ(flin_channel_watch(&hub->hub, seen.id, FLIN_INTEREST_READ), 0);
}

static void on_lost(void *user, void *channel_user, int error) {
    test_hub *hub = user;
    FLIN_CHECK(channel_user == &seen);
    seen.lost_count++;
    seen.lost_error = error;
    flin_channel_close(&hub->hub, seen.id, true);
}

static void on_accept_failed(void *user, int error) {
    (void)user;
    seen.failed_count++;
    seen.failed_error = error;
}

static const flin_channel_callbacks CALLBACKS = {on_first, on_received, on_writable, on_lost,
                                                 on_accept_failed};

static int listen_start(struct sockaddr_in *address) {
    socklen_t size = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    memset(&seen, 0, sizeof seen);
    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    FLIN_CHECK_EQ(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
    FLIN_CHECK_EQ(listen(fd, 512), 0);
    FLIN_CHECK_EQ(getsockname(fd, (struct sockaddr *)address, &size), 0);
    test_hub_start(&test);
    FLIN_CHECK_EQ(flin_channel_listen(&test.hub, fd, &CALLBACKS), 0);
    return fd;
}

static void listen_end(int fd) {
    flin_channel_unlisten(&test.hub, fd);
    FLIN_CHECK_EQ(test.hub.channels.used_count, 0);
    close(fd);
    test_hub_end(&test);
    bytes_free(&seen.first);
    bytes_free(&seen.received);
}

static int client_of(const struct sockaddr_in *address) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    FLIN_CHECK_EQ(connect(fd, (const struct sockaddr *)address, sizeof *address), 0);
    return fd;
}

static void turn(void) {
    for (unsigned round = 0; round < 3; round++) {
        do {
            flin_reactor_poll(&test.hub);
        } while (flin_reactor_has_more(&test.hub));
        while (flin_hub_has_work(&test.hub)) {
            flin_hub_flush(&test.hub);
            flin_hub_reap(&test.hub);
        }
    }
}

static void first_bytes_then_more_then_the_end(void) {
    struct sockaddr_in address, from;
    socklen_t size = sizeof from;
    int fd = listen_start(&address), client = client_of(&address);
    const flin_channel *channel;
    turn();
    FLIN_CHECK_EQ(seen.first_count, 0);
    FLIN_CHECK_EQ(test.hub.channels.fresh_count, 1);
    FLIN_CHECK_EQ(write(client, "GET", 3), 3);
    turn();
    FLIN_CHECK_EQ(seen.first_count, 1);
    FLIN_CHECK(seen.first.size == 3 && memcmp(seen.first.data, "GET", 3) == 0);
    FLIN_CHECK_EQ(test.hub.channels.fresh_count, 0);
    channel = flin_channel_find(&test.hub, seen.id);
    FLIN_CHECK_EQ(getsockname(client, (struct sockaddr *)&from, &size), 0);
    FLIN_CHECK_EQ(channel->family, AF_INET);
    FLIN_CHECK_EQ(channel->port, ntohs(from.sin_port));
    FLIN_CHECK(memcmp(channel->address, &from.sin_addr, 4) == 0);
    FLIN_CHECK_EQ(write(client, " /", 2), 2);
    turn();
    FLIN_CHECK(seen.received.size == 2 && memcmp(seen.received.data, " /", 2) == 0);
    FLIN_CHECK_EQ(flin_channel_watch(&test.hub, seen.id, FLIN_INTEREST_READ | FLIN_INTEREST_WRITE),
                  0);
    turn();
    FLIN_CHECK_EQ(seen.writable_count, 1);
    FLIN_CHECK_EQ(shutdown(client, SHUT_WR), 0);
    turn();
    FLIN_CHECK(seen.eof_count >= 1);
    flin_channel_close(&test.hub, seen.id, false);
    FLIN_CHECK(flin_channel_find(&test.hub, seen.id) == NULL);
    flin_channel_close(&test.hub, seen.id, false); /* stale: nothing happens */
    FLIN_CHECK_EQ(flin_channel_watch(&test.hub, seen.id, 0), 0);
    FLIN_CHECK_EQ(read(client, &address, sizeof address), 0);
    close(client);
    listen_end(fd);
}

static void an_upgraded_channel_is_a_connection(void) {
    struct sockaddr_in address;
    test_bytes stream = {0};
    char echo[64];
    int fd = listen_start(&address), client = client_of(&address);
    seen.upgrades = true;
    FLIN_CHECK_EQ(write(client, "head", 4), 4);
    turn();
    FLIN_CHECK_EQ(seen.first_count, 1);
    FLIN_CHECK(flin_channel_find(&test.hub, seen.id) == NULL);
    FLIN_CHECK_EQ(test.hub.channels.used_count, 1); /* the listener */
    stream_text(&stream, TEXT, "hello");
    FLIN_CHECK_EQ(write(client, stream.data, stream.size), (ssize_t)stream.size);
    turn();
    FLIN_CHECK(test.peers[0].log.size == 6 && memcmp(test.peers[0].log.data, "hello|", 6) == 0);
    bytes_free(&stream);
    stream_frame(&stream, TEST_FIN | FLIN_OPCODE_CLOSE, "\x03\xe8", 2);
    FLIN_CHECK_EQ(write(client, stream.data, stream.size), (ssize_t)stream.size);
    turn();
    FLIN_CHECK(test.peers[0].is_freed);
    FLIN_CHECK_EQ(test.peers[0].closed_count, 1);
    FLIN_CHECK_EQ(read(client, echo, sizeof echo), 4); /* the close frame, and no reset */
    FLIN_CHECK_EQ(read(client, echo, sizeof echo), 0);
    bytes_free(&stream);
    close(client);
    listen_end(fd);
}

static void a_reset_is_told_once(void) {
    struct sockaddr_in address;
    struct linger linger = {1, 0};
    for (uint8_t interest = 0; interest <= FLIN_INTEREST_READ; interest++) {
        int fd = listen_start(&address), client = client_of(&address);
        FLIN_CHECK_EQ(write(client, "x", 1), 1);
        turn();
        FLIN_CHECK_EQ(flin_channel_watch(&test.hub, seen.id, interest), 0);
        FLIN_CHECK_EQ(setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
        close(client);
        turn();
        FLIN_CHECK_EQ(seen.lost_count, 1);
        FLIN_CHECK_EQ(seen.lost_error, ECONNRESET);
        listen_end(fd);
    }
}

static void bytes_that_nobody_has_read_yet_keep_a_socket(void) {
    struct sockaddr_in address;
    int fd = listen_start(&address), client = client_of(&address);
    turn();
    FLIN_CHECK_EQ(write(client, "x", 1), 1);
    test.hub.now_ms += 1000;
    flin_channel_sweep(&test.hub, 1000);
    FLIN_CHECK_EQ(test.hub.channels.fresh_count, 1);
    FLIN_CHECK_EQ(seen.first_count, 0);
    turn();
    FLIN_CHECK_EQ(seen.first_count, 1);
    FLIN_CHECK_EQ(test.hub.channels.fresh_count, 0);
    flin_channel_close(&test.hub, seen.id, false);
    close(client);
    listen_end(fd);
}

static void silent_sockets_are_closed_by_the_sweep(void) {
    struct sockaddr_in address;
    char byte;
    int fd = listen_start(&address), silent = client_of(&address), speaking = client_of(&address);
    FLIN_CHECK_EQ(write(speaking, "x", 1), 1);
    turn();
    FLIN_CHECK_EQ(test.hub.channels.fresh_count, 1);
    test.hub.now_ms += 999;
    flin_channel_sweep(&test.hub, 1000);
    FLIN_CHECK_EQ(test.hub.channels.fresh_count, 1);
    test.hub.now_ms += 1;
    flin_channel_sweep(&test.hub, 1000);
    FLIN_CHECK_EQ(test.hub.channels.fresh_count, 0);
    FLIN_CHECK_EQ(read(silent, &byte, 1), 0);
    FLIN_CHECK(flin_channel_find(&test.hub, seen.id) != NULL);
    flin_channel_close(&test.hub, seen.id, true);
    FLIN_CHECK_EQ(read(speaking, &byte, 1), -1);
    FLIN_CHECK_EQ(errno, ECONNRESET);
    close(silent);
    close(speaking);
    listen_end(fd);
}

static void a_peer_that_says_nothing_and_leaves_costs_nothing(void) {
    struct sockaddr_in address;
    int fd = listen_start(&address);
    for (unsigned i = 0; i < 3; i++) {
        int client = client_of(&address);
        close(client);
        turn();
    }
    FLIN_CHECK_EQ(seen.first_count, 0);
    FLIN_CHECK_EQ(test.hub.channels.used_count, 1);
    listen_end(fd);
}

static void without_descriptors_the_listener_rests(void) {
    struct sockaddr_in address;
    struct rlimit limit, low;
    int fd = listen_start(&address), client = client_of(&address);
    FLIN_CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = (rlim_t)client + 1;
    FLIN_CHECK_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
    turn();
    FLIN_CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    FLIN_CHECK_EQ(seen.failed_count, 1); /* once, not on every wake */
    FLIN_CHECK_EQ(seen.failed_error, EMFILE);
    FLIN_CHECK_EQ(write(client, "late", 4), 4);
    turn();
    FLIN_CHECK_EQ(seen.first_count, 0);
    test.hub.now_ms += FLIN_ACCEPT_PAUSE_MS;
    flin_channel_sweep(&test.hub, 60000);
    turn();
    FLIN_CHECK_EQ(seen.first_count, 1);
    flin_channel_close(&test.hub, seen.id, false);
    close(client);
    listen_end(fd);
}

static void many_are_accepted_and_slots_are_used_again(void) {
    struct sockaddr_in address;
    static int clients[CLIENT_MAX];
    uint64_t stale;
    uint32_t capacity;
    int fd = listen_start(&address);
    for (unsigned i = 0; i < CLIENT_MAX; i++) clients[i] = client_of(&address);
    for (unsigned i = 0; i < CLIENT_MAX / FLIN_ACCEPT_MAX + 1; i++) turn();
    FLIN_CHECK_EQ(test.hub.channels.fresh_count, CLIENT_MAX);
    capacity = test.hub.channels.capacity;
    seen.closes = true;
    for (unsigned i = 0; i < CLIENT_MAX; i++) FLIN_CHECK_EQ(write(clients[i], "x", 1), 1);
    turn();
    FLIN_CHECK_EQ(seen.first_count, CLIENT_MAX);
    FLIN_CHECK_EQ(test.hub.channels.used_count, 1);
    stale = seen.id;
    for (unsigned i = 0; i < CLIENT_MAX; i++) close(clients[i]);
    for (unsigned i = 0; i < CLIENT_MAX; i++) clients[i] = client_of(&address);
    for (unsigned i = 0; i < CLIENT_MAX / FLIN_ACCEPT_MAX + 1; i++) turn();
    FLIN_CHECK_EQ(test.hub.channels.capacity, capacity);
    FLIN_CHECK(flin_channel_find(&test.hub, stale) == NULL);
    FLIN_CHECK(flin_channel_find(&test.hub, 7) == NULL); /* an id of a connection */
    flin_channel_close_fresh(&test.hub);
    FLIN_CHECK_EQ(test.hub.channels.used_count, 1);
    for (unsigned i = 0; i < CLIENT_MAX; i++) close(clients[i]);
    listen_end(fd);
}

static void a_hub_that_ends_closes_its_channels(void) {
    struct sockaddr_in address;
    char byte;
    int fd = listen_start(&address), fresh = client_of(&address), open = client_of(&address);
    FLIN_CHECK_EQ(write(open, "x", 1), 1);
    turn();
    test_hub_end(&test);
    FLIN_CHECK_EQ(read(fresh, &byte, 1), 0);
    FLIN_CHECK_EQ(read(open, &byte, 1), 0);
    bytes_free(&seen.first);
    close(fresh);
    close(open);
    close(fd);
}

static void memory_that_ends_is_told_as_a_failed_accept(void) {
    struct sockaddr_in address;
    static int clients[CLIENT_MAX];
    int fd = listen_start(&address);
    flin_memory_countdown = 0;
    for (unsigned i = 0; i < CLIENT_MAX; i++) clients[i] = client_of(&address);
    for (unsigned i = 0; i < 5; i++) turn();
    flin_memory_countdown = -1;
    FLIN_CHECK_EQ(seen.failed_count, 1);
    FLIN_CHECK_EQ(seen.failed_error, ENOMEM);
    FLIN_CHECK(test.hub.channels.fresh_count < CLIENT_MAX);
    flin_channel_close_fresh(&test.hub);
    for (unsigned i = 0; i < CLIENT_MAX; i++) close(clients[i]);
    listen_end(fd);
}

int main(void) {
    FLIN_RUN(first_bytes_then_more_then_the_end);
    FLIN_RUN(an_upgraded_channel_is_a_connection);
    FLIN_RUN(a_reset_is_told_once);
    FLIN_RUN(bytes_that_nobody_has_read_yet_keep_a_socket);
    FLIN_RUN(silent_sockets_are_closed_by_the_sweep);
    FLIN_RUN(a_peer_that_says_nothing_and_leaves_costs_nothing);
    FLIN_RUN(without_descriptors_the_listener_rests);
    FLIN_RUN(many_are_accepted_and_slots_are_used_again);
    FLIN_RUN(a_hub_that_ends_closes_its_channels);
    FLIN_RUN(memory_that_ends_is_told_as_a_failed_accept);
    return flin_test_end();
}

#else

#include <errno.h>

#include "flin_test_hub.h"

/* Systems without epoll: listening is refused, and what asks about channels finds none. */
static void listening_is_refused(void) {
    static test_hub test;
    test_hub_start(&test);
    errno = 0;
    FLIN_CHECK_EQ(flin_channel_listen(&test.hub, 0, &test.hub.channels.callbacks), -1);
    FLIN_CHECK_EQ(errno, ENOSYS);
    FLIN_CHECK(flin_channel_find(&test.hub, FLIN_CHANNEL_TAG) == NULL);
    flin_channel_unlisten(&test.hub, 0);
    flin_channel_sweep(&test.hub, 1);
    flin_channel_close_fresh(&test.hub);
    test_hub_end(&test);
}

int main(void) {
    FLIN_RUN(listening_is_refused);
    return flin_test_end();
}

#endif
