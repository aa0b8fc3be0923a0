/* The reactor on real sockets: reading, short writes, ends of every kind, fairness, storms. */
#include "flin_reactor.h"

#if FLIN_HAS_EPOLL

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flin_reactor.h"
#include "flin_test_hub.h"

#define TEXT (TEST_FIN | FLIN_OPCODE_TEXT)

static test_hub test;

static bool echo(test_hub *hub, test_peer *peer, flin_message_event *event) {
    flin_payload payload = {.data = event->data, .size = event->size, .opcode = event->opcode};
    FLIN_CHECK(flin_log_begin(&hub->hub, peer->conn));
    FLIN_CHECK(flin_log_send(&hub->hub, peer->conn, &payload));
    flin_log_commit(&hub->hub);
    return true;
}

/* A connection on one end of a socket pair; the other end, non-blocking, is returned in `far`. */
static test_peer *open_pair(int *far, int buffer_size) {
    int fds[2];
    FLIN_CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    if (buffer_size > 0) {
        FLIN_CHECK_EQ(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &buffer_size, sizeof buffer_size),
                      0);
    }
    FLIN_CHECK_EQ(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    for (unsigned i = 0; i < PEER_MAX; i++) {
        test_peer *peer = &test.peers[i];
        if (peer->conn != NULL) continue;
        bytes_free(&peer->received);
        bytes_free(&peer->log);
        memset(peer, 0, sizeof *peer);
        peer->conn = flin_reactor_open(&test.hub, &test.endpoint, peer, false, fds[0]);
        FLIN_CHECK(peer->conn != NULL);
        if (peer->conn == NULL) abort();
        FLIN_CHECK((fcntl(fds[0], F_GETFL) & O_NONBLOCK) != 0);
        flin_conn_handler_done(&test.hub, peer->conn);
        *far = fds[1];
        return peer;
    }
    abort();
}

static void turn(void) {
    do {
        flin_reactor_poll(&test.hub);
    } while (flin_reactor_has_more(&test.hub));
    while (flin_hub_has_work(&test.hub)) {
        flin_hub_flush(&test.hub);
        flin_hub_reap(&test.hub);
    }
}

static void write_all(int far, const test_bytes *stream) {
    FLIN_CHECK_EQ(write(far, stream->data, stream->size), (ssize_t)stream->size);
}

static void write_text(int far, const char *text) {
    test_bytes stream = {0};
    stream_text(&stream, TEXT, text);
    write_all(far, &stream);
    bytes_free(&stream);
}

/* Read what is there; false at the end of the stream. */
static bool read_some(int far, test_peer *peer, size_t limit) {
    uint8_t data[4096];
    while (limit > 0) {
        ssize_t size = read(far, data, limit < sizeof data ? limit : sizeof data);
        if (size <= 0) return size < 0 && errno == EAGAIN;
        bytes_append(&peer->received, data, (size_t)size);
        limit -= (size_t)size;
    }
    return true;
}

static void echo_leaves_within_the_poll(void) {
    int far;
    test_hub_start(&test);
    test.on_message = echo;
    test_peer *peer = open_pair(&far, 0);
    write_text(far, "one");
    write_text(far, "two");
    FLIN_CHECK(flin_reactor_poll(&test.hub) == 1);
    FLIN_CHECK(read_some(far, peer, SIZE_MAX));
    CHECK_RECEIVED(peer, "one|two|");
    turn();
    FLIN_CHECK_EQ(flin_reactor_poll(&test.hub), 0);
    test_hub_end(&test);
    close(far);
}

static void a_message_in_pieces_arrives_whole(void) {
    int far;
    test_bytes stream = {0};
    char *large = calloc(1, 300001);
    memset(large, 'L', 300000);
    test_hub_start(&test);
    test_peer *peer = open_pair(&far, 0);
    stream_text(&stream, TEXT, large);
    stream_text(&stream, TEXT, "next");
    for (size_t at = 0; at < stream.size;) {
        size_t size = stream.size - at < 50001 ? stream.size - at : 50001;
        ssize_t sent = write(far, stream.data + at, size);
        if (sent > 0) at += (size_t)sent;
        turn();
    }
    turn();
    FLIN_CHECK_EQ(peer->log.size, 300001 + 5);
    FLIN_CHECK_EQ(test.hub.stats.bytes_in, stream.size);
    FLIN_CHECK_EQ(flin_message_held_bytes(&peer->conn->input), 0);
    bytes_free(&stream);
    free(large);
    test_hub_end(&test);
    close(far);
}

static void a_short_write_goes_on_when_there_is_room(void) {
    int far;
    char *large = calloc(1, 500001);
    memset(large, 'w', 500000);
    test_hub_start(&test);
    test_peer *peer = open_pair(&far, 4096);
    test_send(&test, peer, large);
    test_send(&test, peer, "tail");
    turn();
    FLIN_CHECK((peer->conn->flags & FLIN_CONN_STALLED) != 0);
    FLIN_CHECK_EQ(peer->conn->interest, FLIN_INTEREST_WRITE); /* above the soft mark: no reading */
    FLIN_CHECK(test.hub.backlog_bytes > 400000);
    for (unsigned i = 0; i < 10000 && peer->received.size < 500016; i++) {
        FLIN_CHECK(read_some(far, peer, 3000));
        turn();
    }
    FLIN_CHECK_EQ(peer->received.size, 500000 + 10 + 6);
    FLIN_CHECK_EQ(peer->conn->interest, FLIN_INTEREST_READ);
    FLIN_CHECK_EQ(test.hub.backlog_bytes, 0);
    FLIN_CHECK_EQ(test.hub.pool.retained_bytes, 0);
    free(large);
    test_hub_end(&test);
    close(far);
}

static void the_handshake_of_a_close_ends_in_fin(void) {
    int far;
    test_bytes stream = {0};
    test_hub_start(&test);
    test_peer *peer = open_pair(&far, 0);
    stream_frame(&stream, TEST_FIN | FLIN_OPCODE_CLOSE, "\x03\xe8", 2);
    write_all(far, &stream);
    turn();
    FLIN_CHECK(!read_some(far, peer, SIZE_MAX));
    CHECK_RECEIVED(peer, "<8:1000>|");
    FLIN_CHECK(peer->is_freed);
    FLIN_CHECK_EQ(peer->closed_count, 1);
    test_check_empty(&test);
    bytes_free(&stream);
    test_hub_end(&test);
    close(far);
}

static void a_fault_shuts_our_side_and_waits_for_theirs(void) {
    int far;
    test_bytes stream = {0};
    test_hub_start(&test);
    test.on_message = echo;
    test_peer *peer = open_pair(&far, 0);
    stream_text(&stream, TEXT, "good");
    stream_frame(&stream, TEST_FIN | 3u, "bad", 3);
    stream_text(&stream, TEXT, "unseen");
    write_all(far, &stream);
    turn();
    FLIN_CHECK(!read_some(far, peer, SIZE_MAX)); /* FIN behind the close frame */
    CHECK_RECEIVED(peer, "good|<8:1002>|");
    FLIN_CHECK_EQ(peer->closed_count, 1);
    FLIN_CHECK(!peer->is_freed);
    write_all(far, &stream); /* thrown away, not a reset */
    turn();
    FLIN_CHECK(!peer->is_freed);
    close(far);
    turn();
    FLIN_CHECK(peer->is_freed);
    test_check_empty(&test);
    bytes_free(&stream);
    test_hub_end(&test);
}

static void losses_are_noticed_with_and_without_reading(void) {
    int far;
    test_hub_start(&test);
    test_peer *peer = open_pair(&far, 0);
    close(far);
    turn();
    FLIN_CHECK(peer->is_freed);
    FLIN_CHECK_EQ(peer->close_code, 1006);
    /* A peer whose output is stalled is not read; its end shows as a hang-up. */
    char *large = calloc(1, 500001);
    memset(large, 'w', 500000);
    peer = open_pair(&far, 4096);
    test_send(&test, peer, large);
    turn();
    FLIN_CHECK_EQ(peer->conn->interest, FLIN_INTEREST_WRITE);
    close(far);
    turn();
    FLIN_CHECK(peer->is_freed);
    FLIN_CHECK_EQ(peer->closed_count, 1);
    free(large);
    test_check_empty(&test);
    test_hub_end(&test);
}

static void a_duplicate_descriptor_leaves_no_registration(void) {
    int far;
    test_hub_start(&test);
    test_peer *peer = open_pair(&far, 0);
    int copy = dup(peer->conn->fd);
    flin_conn_lost(&test.hub, peer->conn, false);
    turn();
    FLIN_CHECK(peer->is_freed);
    write_text(far, "to nobody");
    FLIN_CHECK_EQ(flin_reactor_poll(&test.hub), 0);
    close(copy);
    close(far);
    test_hub_end(&test);
}

static void what_cannot_be_registered_stays_the_callers(void) {
    FILE *file = tmpfile();
    test_hub_start(&test);
    errno = 0;
    FLIN_CHECK(flin_reactor_open(&test.hub, &test.endpoint, &test.peers[0], false, fileno(file)) ==
               NULL);
    FLIN_CHECK_EQ(errno, EPERM);
    FLIN_CHECK(fcntl(fileno(file), F_GETFD) >= 0);
    FLIN_CHECK_EQ(test.hub.slab.used_count, 0);
    FLIN_CHECK_EQ(test.hub.stats.opened, 0);
    FLIN_CHECK(flin_reactor_open(&test.hub, &test.endpoint, &test.peers[0], false, -1) == NULL);
    FLIN_CHECK_EQ(errno, EBADF);
    fclose(file);
    test_hub_end(&test);
}

static bool burn(test_hub *hub, test_peer *peer, flin_message_event *event) {
    uint64_t start = flin_clock_ns();
    (void)hub, (void)peer, (void)event;
    while (flin_clock_ns() - start < FLIN_WAKE_NS) continue;
    return true;
}

static void a_long_wake_goes_on_with_the_next_in_line(void) {
    int far[6];
    test_peer *peers[6];
    test_hub_start(&test);
    test.on_message = burn;
    for (unsigned i = 0; i < 6; i++) {
        peers[i] = open_pair(&far[i], 0);
        write_text(far[i], "x");
    }
    for (unsigned wake = 0; wake < 6; wake++) {
        FLIN_CHECK_EQ(flin_reactor_poll(&test.hub), 1);
        FLIN_CHECK_EQ(flin_reactor_has_more(&test.hub), wake < 5);
        /* The first one is ready again at once, yet everybody else comes before it. */
        write_text(far[0], "y");
    }
    for (unsigned i = 1; i < 6; i++) CHECK_LOG(peers[i], "x|");
    CHECK_LOG(peers[0], "x|");
    test.on_message = NULL;
    turn();
    test_hub_end(&test);
    for (unsigned i = 0; i < 6; i++) close(far[i]);
}

static void an_event_of_an_earlier_owner_of_the_descriptor_is_nobodys(void) {
    int far[2], newer_far, number;
    test_peer *peers[2], *newer;
    test_hub_start(&test);
    test.on_message = burn;
    for (unsigned i = 0; i < 2; i++) {
        peers[i] = open_pair(&far[i], 0);
        write_text(far[i], "x");
    }
    FLIN_CHECK_EQ(flin_reactor_poll(&test.hub), 1);
    FLIN_CHECK(flin_reactor_has_more(&test.hub)); /* the event of the second one */
    number = peers[1]->conn->fd;
    flin_conn_lost(&test.hub, peers[1]->conn, false);
    flin_hub_reap(&test.hub);
    close(far[1]);
    newer = open_pair(&newer_far, 0);
    FLIN_CHECK_EQ(newer->conn->fd, number);
    write_text(newer_far, "y");
    FLIN_CHECK_EQ(flin_reactor_poll(&test.hub), 1);
    FLIN_CHECK_EQ(newer->log.size, 0); /* not read for that event */
    FLIN_CHECK_EQ(flin_reactor_poll(&test.hub), 1);
    CHECK_LOG(newer, "y|");
    test.on_message = NULL;
    turn();
    test_hub_end(&test);
    close(far[0]);
    close(newer_far);
}

static void descriptors_have_any_number(void) {
    static const int NUMBERS[] = {63, 64, 65, 500, 129};
    enum { COUNT = sizeof NUMBERS / sizeof NUMBERS[0] };
    int far[COUNT];
    test_peer *peers[COUNT];
    test_hub_start(&test);
    for (unsigned i = 0; i < COUNT; i++) {
        int fds[2];
        FLIN_CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        FLIN_CHECK_EQ(dup2(fds[0], NUMBERS[i]), NUMBERS[i]);
        close(fds[0]);
        far[i] = fds[1];
        peers[i] = &test.peers[i];
        peers[i]->conn = flin_reactor_open(&test.hub, &test.endpoint, peers[i], false, NUMBERS[i]);
        FLIN_CHECK(peers[i]->conn != NULL);
        flin_conn_handler_done(&test.hub, peers[i]->conn);
    }
    for (unsigned i = 0; i < COUNT; i++) write_text(far[i], "x");
    turn();
    for (unsigned i = 0; i < COUNT; i++) CHECK_LOG(peers[i], "x|");
    test_hub_end(&test);
    for (unsigned i = 0; i < COUNT; i++) close(far[i]);
}

/* Publishers of the tests below; the last one that spoke has the next one speak meanwhile. */
static int gather_far[FLIN_GATHER_MEMBERS_MIN];
static unsigned gather_spoken, gather_limit;

static bool publish_and_pass_on(test_hub *hub, test_peer *peer, flin_message_event *event) {
    (void)peer, (void)event;
    test_publish(hub, "room", NULL, "m");
    if (++gather_spoken < gather_limit) {
        write_text(gather_far[gather_spoken % FLIN_GATHER_MEMBERS_MIN], "x");
    }
    return true;
}

/* A room of `members`, whose first one has said something; `limit` messages will come in all. */
static void start_gathering(test_peer **peers, unsigned members, unsigned limit) {
    test_hub_start(&test);
    test.on_message = publish_and_pass_on;
    gather_spoken = 0;
    gather_limit = limit;
    for (unsigned i = 0; i < FLIN_GATHER_MEMBERS_MIN; i++) {
        peers[i] = open_pair(&gather_far[i], 0);
        if (i < members) test_join(&test, peers[i], "room");
    }
    write_text(gather_far[0], "x");
}

static void end_gathering(void) {
    turn();
    test_hub_end(&test);
    for (unsigned i = 0; i < FLIN_GATHER_MEMBERS_MIN; i++) close(gather_far[i]);
}

static void what_comes_before_a_large_room_is_written_to_goes_along(void) {
    test_peer *peers[FLIN_GATHER_MEMBERS_MIN];
    start_gathering(peers, FLIN_GATHER_MEMBERS_MIN, 4);
    FLIN_CHECK_EQ(flin_reactor_poll(&test.hub), 4);
    flin_hub_flush(&test.hub);
    for (unsigned i = 0; i < FLIN_GATHER_MEMBERS_MIN; i++) {
        uint8_t data[64];
        /* One segment of one buffer, so one write. */
        FLIN_CHECK_EQ(read(gather_far[i], data, sizeof data), 4 * 3);
    }
    end_gathering();
}

static void a_small_room_is_written_to_at_once(void) {
    test_peer *peers[FLIN_GATHER_MEMBERS_MIN];
    start_gathering(peers, FLIN_GATHER_MEMBERS_MIN - 1, 4);
    for (unsigned i = 0; i < 4; i++) FLIN_CHECK_EQ(flin_reactor_poll(&test.hub), 1);
    FLIN_CHECK_EQ(flin_reactor_poll(&test.hub), 0);
    end_gathering();
}

static void gathering_ends_although_messages_do_not(void) {
    test_peer *peers[FLIN_GATHER_MEMBERS_MIN];
    start_gathering(peers, FLIN_GATHER_MEMBERS_MIN, UINT_MAX);
    FLIN_CHECK_EQ(flin_reactor_poll(&test.hub), gather_spoken);
    gather_limit = 0;
    end_gathering();
}

static void who_has_ended_is_no_reason_to_go_on(void) {
    test_peer *peers[FLIN_GATHER_MEMBERS_MIN];
    int far;
    start_gathering(peers, FLIN_GATHER_MEMBERS_MIN, 1);
    test_peer *leaver = open_pair(&far, 0);
    close(far);
    /* The message and the end; then, since there was a message, the end once more. */
    FLIN_CHECK_EQ(flin_reactor_poll(&test.hub), 3);
    FLIN_CHECK((leaver->conn->flags & FLIN_CONN_FINISHED) != 0);
    end_gathering();
    FLIN_CHECK(leaver->is_freed);
}

static void nobody_is_harmed_by_a_storm_of_disconnects(void) {
    uint64_t seed = 11;
    test_hub_start(&test);
    for (unsigned round = 0; round < 60; round++) {
        int far[40];
        test_peer *peers[40];
        for (unsigned i = 0; i < 40; i++) {
            peers[i] = open_pair(&far[i], i % 4 == 0 ? 2048 : 0);
            test_join(&test, peers[i], "room");
        }
        for (unsigned step = 0; step < 30; step++) {
            unsigned i = (unsigned)(flin_test_random(&seed) % 40);
            char text[3000];
            memset(text, 'a', sizeof text);
            text[flin_test_random(&seed) % sizeof text] = '\0';
            text[sizeof text - 1] = '\0';
            if (far[i] >= 0) {
                struct linger linger = {1, 0};
                if (step % 2) setsockopt(far[i], SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
                close(far[i]);
                far[i] = -1;
            }
            if (flin_room_find(&test.hub.rooms, "room", 4)) {
                test_publish(&test, "room", NULL, text);
                test_publish(&test, "room", NULL, text);
            }
            if (step % 3 != 0) turn();
            FLIN_CHECK(flin_room_check(&test.hub));
        }
        for (unsigned i = 0; i < 40; i++) {
            if (far[i] >= 0) close(far[i]);
        }
        turn();
        for (unsigned i = 0; i < 40; i++) {
            FLIN_CHECK_EQ(peers[i]->closed_count, 1);
            FLIN_CHECK(peers[i]->is_freed);
        }
        test_check_empty(&test);
    }
    FLIN_CHECK_EQ(test.hub.stats.opened, 60 * 40);
    FLIN_CHECK_EQ(test.hub.stats.closed, 60 * 40);
    test_hub_end(&test);
}

int main(void) {
    FLIN_RUN(echo_leaves_within_the_poll);
    FLIN_RUN(a_message_in_pieces_arrives_whole);
    FLIN_RUN(a_short_write_goes_on_when_there_is_room);
    FLIN_RUN(the_handshake_of_a_close_ends_in_fin);
    FLIN_RUN(a_fault_shuts_our_side_and_waits_for_theirs);
    FLIN_RUN(losses_are_noticed_with_and_without_reading);
    FLIN_RUN(a_duplicate_descriptor_leaves_no_registration);
    FLIN_RUN(what_cannot_be_registered_stays_the_callers);
    FLIN_RUN(a_long_wake_goes_on_with_the_next_in_line);
    FLIN_RUN(an_event_of_an_earlier_owner_of_the_descriptor_is_nobodys);
    FLIN_RUN(descriptors_have_any_number);
    FLIN_RUN(what_comes_before_a_large_room_is_written_to_goes_along);
    FLIN_RUN(a_small_room_is_written_to_at_once);
    FLIN_RUN(gathering_ends_although_messages_do_not);
    FLIN_RUN(who_has_ended_is_no_reason_to_go_on);
    FLIN_RUN(nobody_is_harmed_by_a_storm_of_disconnects);
    return flin_test_end();
}

#else

#include <errno.h>

#include "flin_test_hub.h"

static test_hub test;

/* Systems without epoll: nothing opens by descriptor, and what a hub calls anyway does nothing. */
static void descriptors_are_refused_and_transports_work(void) {
    test_hub_start(&test);
    FLIN_CHECK_EQ(flin_reactor_start(&test.hub), -1);
    FLIN_CHECK_EQ(errno, ENOSYS);
    errno = 0;
    FLIN_CHECK(flin_reactor_open(&test.hub, &test.endpoint, NULL, FLIN_COMPRESSION_NONE, 0) ==
               NULL);
    FLIN_CHECK_EQ(errno, ENOSYS);
    FLIN_CHECK_EQ(flin_reactor_poll(&test.hub), 0);
    FLIN_CHECK(!flin_reactor_has_more(&test.hub));
    FLIN_CHECK(flin_clock_ns() > 0);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    test_send(&test, peer, "through a transport");
    flin_reactor_write_reply(&test.hub, peer->conn);
    test_settle(&test);
    CHECK_RECEIVED(peer, "through a transport|");
    flin_reactor_free(&test.hub);
    test_hub_end(&test);
}

int main(void) {
    FLIN_RUN(descriptors_are_refused_and_transports_work);
    return flin_test_end();
}

#endif
