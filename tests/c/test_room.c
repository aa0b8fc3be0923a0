/* Rooms: the table of names, membership both ways, and what ends when nobody is left. */
#include "flin_test_hub.h"

static test_hub test;

static flin_room *find(const char *name) {
    return flin_room_find(&test.hub.rooms, name, strlen(name));
}

static void joining_is_idempotent_and_leaving_frees(void) {
    test_hub_start(&test);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    test_join(&test, peer, "a");
    test_join(&test, peer, "a");
    FLIN_CHECK_EQ(find("a")->count, 1);
    FLIN_CHECK_EQ(peer->conn->membership_count, 1);
    FLIN_CHECK_EQ(test.hub.rooms.occupied_count, 1);
    test_leave(&test, peer, "a");
    FLIN_CHECK(find("a") == NULL);
    FLIN_CHECK_EQ(test.hub.rooms.occupied_count, 0);
    FLIN_CHECK_EQ(test.hub.rooms.used, 0);
    test_hub_end(&test);
}

static void names_are_bytes_of_any_kind(void) {
    test_hub_start(&test);
    flin_room *empty = flin_room_need(&test.hub.rooms, "", 0);
    flin_room *zero = flin_room_need(&test.hub.rooms, "\0", 1);
    FLIN_CHECK(empty != zero);
    FLIN_CHECK(flin_room_find(&test.hub.rooms, "", 0) == empty);
    FLIN_CHECK(flin_room_find(&test.hub.rooms, "\0", 1) == zero);
    FLIN_CHECK(flin_room_find(&test.hub.rooms, "\0\0", 2) == NULL);
    flin_room_release_if_idle(&test.hub.rooms, empty);
    flin_room_release_if_idle(&test.hub.rooms, zero);
    FLIN_CHECK_EQ(test.hub.rooms.used, 0);
    test_hub_end(&test);
}

static void a_name_beyond_the_limit_is_refused(void) {
    char *name = calloc(1, (1u << 10) + 1);
    test_hub_start(&test);
    flin_room *longest = flin_room_need(&test.hub.rooms, name, 1u << 10);
    FLIN_CHECK(longest != NULL);
    flin_room_release_if_idle(&test.hub.rooms, longest);
    FLIN_CHECK(flin_room_need(&test.hub.rooms, name, (1u << 10) + 1) == NULL);
    free(name);
    test_hub_end(&test);
}

static void the_table_grows_shrinks_and_finds_everything(void) {
    uint64_t seed = 7;
    bool is_there[2000] = {false};
    test_hub_start(&test);
    for (unsigned step = 0; step < 30000; step++) {
        unsigned i = (unsigned)(flin_test_random(&seed) % 2000);
        char name[16];
        int size = snprintf(name, sizeof name, "room-%u", i);
        flin_room *room = flin_room_find(&test.hub.rooms, name, (size_t)size);
        FLIN_CHECK_EQ(room != NULL, is_there[i]);
        /* In the first half more come than go, then the other way round. */
        bool wanted = flin_test_random(&seed) % 10 < (step < 15000 ? 8u : 2u);
        if (wanted && room == NULL) {
            room = flin_room_need(&test.hub.rooms, name, (size_t)size);
            FLIN_CHECK(room != NULL);
            room->refs++;
        } else if (!wanted && room != NULL) {
            room->refs--;
            flin_room_release_if_idle(&test.hub.rooms, room);
        }
        is_there[i] = wanted;
    }
    FLIN_CHECK(test.hub.rooms.capacity <= 16 * (test.hub.rooms.used + 1));
    for (unsigned i = 0; i < 2000; i++) {
        char name[16];
        int size = snprintf(name, sizeof name, "room-%u", i);
        flin_room *room = flin_room_find(&test.hub.rooms, name, (size_t)size);
        FLIN_CHECK_EQ(room != NULL, is_there[i]);
        if (room == NULL) continue;
        room->refs--;
        flin_room_release_if_idle(&test.hub.rooms, room);
    }
    FLIN_CHECK_EQ(test.hub.rooms.used, 0);
    test_hub_end(&test);
}

static void sequences_keep_the_order_of_joining(void) {
    test_hub_start(&test);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    const char *names[] = {"a", "b", "c", "d", "e"};
    for (unsigned i = 0; i < 5; i++) test_join(&test, peer, names[i]);
    test_leave(&test, peer, "b");
    test_join(&test, peer, "b");
    uint32_t last = 0;
    const char *expected[] = {"a", "c", "d", "e", "b"};
    for (unsigned i = 0; i < 5; i++) {
        flin_membership *membership = flin_room_membership(peer->conn, find(expected[i]));
        FLIN_CHECK(membership != NULL && (i == 0 || membership->sequence > last));
        last = membership->sequence;
    }
    FLIN_CHECK(flin_room_check(&test.hub));
    test_hub_end(&test);
}

static void leaving_moves_the_last_member_into_the_gap(void) {
    test_peer *peers[20];
    test_hub_start(&test);
    for (unsigned i = 0; i < 20; i++) {
        peers[i] = test_open(&test, &test.endpoint, i % 3 == 0);
        test_join(&test, peers[i], "x");
        test_join(&test, peers[i], i % 2 ? "odd" : "even");
    }
    for (unsigned i = 0; i < 20; i += 3) test_leave(&test, peers[i], "x");
    FLIN_CHECK(flin_room_check(&test.hub));
    FLIN_CHECK_EQ(find("x")->count, 13);
    FLIN_CHECK_EQ(find("x")->class_count[FLIN_CLASS_DEFLATE], 0);
    for (unsigned i = 0; i < 20; i++) flin_conn_lost(&test.hub, peers[i]->conn, false);
    FLIN_CHECK(flin_room_check(&test.hub));
    test_settle(&test);
    test_check_empty(&test);
    test_hub_end(&test);
}

static void a_room_named_by_an_effect_outlives_its_members(void) {
    test_hub_start(&test);
    test_peer *peer = test_open(&test, &test.endpoint, false);
    test_join(&test, peer, "a");
    flin_payload payload = test_text("late");
    FLIN_CHECK(flin_log_begin(&test.hub, NULL));
    FLIN_CHECK(flin_log_publish(&test.hub, FLIN_EFFECT_ROOM, find("a"), NULL, &payload));
    flin_log *held = flin_log_hold(&test.hub);
    test_leave(&test, peer, "a");
    FLIN_CHECK(find("a") != NULL);
    FLIN_CHECK_EQ(test.hub.rooms.occupied_count, 0);
    test_join(&test, peer, "a");
    flin_log_release(&test.hub, held);
    test_settle(&test);
    CHECK_RECEIVED(peer, "late|");
    test_leave(&test, peer, "a");
    FLIN_CHECK(find("a") == NULL);
    test_hub_end(&test);
}

static void a_failed_join_changes_nothing_and_costs_the_connection(void) {
    for (long allowed = 0; allowed < 3; allowed++) {
        test_hub_start(&test);
        test_peer *peer = test_open(&test, &test.endpoint, false);
        flin_room *room = flin_room_need(&test.hub.rooms, "a", 1);
        FLIN_CHECK(flin_log_begin(&test.hub, peer->conn));
        FLIN_CHECK(flin_log_membership(&test.hub, FLIN_EFFECT_JOIN, peer->conn, room));
        flin_memory_countdown = 0;
        flin_log_commit(&test.hub);
        FLIN_CHECK_EQ(flin_memory_countdown, -1);
        test_settle(&test);
        FLIN_CHECK(peer->is_freed && peer->is_reset);
        FLIN_CHECK_EQ(peer->closed_count, 1);
        test_check_empty(&test);
        test_hub_end(&test);
    }
}

static void siphash_matches_its_reference(void) {
    /* First vectors of the authors' reference code: key 00..0f, input 00, 01, 02, ... */
    static const uint8_t STRONG[3][16] = {{0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d,
                                           0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93},
                                          {0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34,
                                           0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc, 0x45},
                                          {0x81, 0x77, 0x22, 0x8d, 0xa4, 0xa4, 0x5d, 0xc7, 0xfc,
                                           0xa3, 0x8b, 0xde, 0xf6, 0x0a, 0xff, 0xe4}};
    const flin_hash_key key = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    uint8_t input[3] = {0, 1, 2}, out[16];
    for (size_t size = 0; size < 3; size++) {
        flin_hash_strong(&key, input, size, out);
        FLIN_CHECK(memcmp(out, STRONG[size], 16) == 0);
    }
    FLIN_CHECK(flin_hash_short(&key, input, 3) != flin_hash_short(&key, input, 2));
}

int main(void) {
    FLIN_RUN(joining_is_idempotent_and_leaving_frees);
    FLIN_RUN(names_are_bytes_of_any_kind);
    FLIN_RUN(a_name_beyond_the_limit_is_refused);
    FLIN_RUN(the_table_grows_shrinks_and_finds_everything);
    FLIN_RUN(sequences_keep_the_order_of_joining);
    FLIN_RUN(leaving_moves_the_last_member_into_the_gap);
    FLIN_RUN(a_room_named_by_an_effect_outlives_its_members);
    FLIN_RUN(a_failed_join_changes_nothing_and_costs_the_connection);
    FLIN_RUN(siphash_matches_its_reference);
    return flin_test_end();
}
