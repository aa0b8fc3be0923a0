/*
 * The message state machine: the same events for every cut of the stream, faults at the first
 * byte that shows them, memory that follows the bytes received.
 */
#include "flin_message.h"

#include "flin_block.h"
#include "flin_memory.h"
#include "flin_test_stream.h"

#define CONTINUATION 0x00u
#define TEXT 0x01u
#define BINARY 0x02u
#define CLOSE 0x88u
#define PING 0x89u
#define PONG 0x8Au

/* --- streams ----------------------------------------------------------------------------------- */

/* All kinds of frames, control frames inside a message, code points across fragments. */
static test_bytes script_new(void) {
    char long_text[300];
    for (size_t i = 0; i < sizeof long_text; i += 3) memcpy(long_text + i, "\xE2\x82\xAC", 3);
    test_bytes stream = {0};
    stream_text(&stream, TEST_FIN | TEXT, "hello");
    stream_text(&stream, TEST_FIN | TEXT, "");
    stream_text(&stream, TEXT, "a\xF0\x9F");
    stream_text(&stream, PING, "in the middle");
    stream_text(&stream, CONTINUATION, "");
    stream_text(&stream, CONTINUATION, "\x98");
    stream_text(&stream, PONG, "");
    stream_text(&stream, TEST_FIN | CONTINUATION, "\x80z");
    stream_frame(&stream, TEST_FIN | TEXT, long_text, sizeof long_text);
    stream_frame(&stream, TEST_FIN | BINARY, "\0\xFF\xC0", 3);
    stream_text(&stream, BINARY, "");
    stream_text(&stream, TEST_FIN | CONTINUATION, "late");
    stream_text(&stream, BINARY, "");
    stream_text(&stream, PING, "!");
    stream_text(&stream, TEST_FIN | CONTINUATION, "");
    stream_text(&stream, BINARY, "early");
    stream_text(&stream, TEST_FIN | CONTINUATION, "");
    stream_text(&stream, CLOSE, "\x03\xE9reason");
    return stream;
}

static void check_same(const test_bytes *log, const test_bytes *expected) {
    FLIN_CHECK_EQ(log->size, expected->size);
    FLIN_CHECK(log->size == expected->size && memcmp(log->data, expected->data, log->size) == 0);
}

static void a_scripted_stream_gives_its_events(void) {
    flin_message_limits limits = TEST_LIMITS;
    test_bytes stream = script_new();
    test_bytes log = {0};
    FLIN_CHECK_EQ(feed_cut(&stream, NULL, 0, &limits, &log), FLIN_NEED_MORE);
    static const char START[] = "[1 0 5 hello][1 0 0 ][9 0 13 in the middle][10 0 0 ]"
                                "[1 0 6 a\xF0\x9F\x98\x80z][1 0 300 \xE2\x82\xAC";
    static const char END[] = "[2 0 4 late][9 0 1 !][2 0 0 ][2 0 5 early][8 1001 6 reason]";
    FLIN_CHECK(log.size > sizeof START + sizeof END);
    FLIN_CHECK(memcmp(log.data, START, sizeof START - 1) == 0);
    FLIN_CHECK(memcmp(log.data + log.size - (sizeof END - 1), END, sizeof END - 1) == 0);
    bytes_free(&log);
    bytes_free(&stream);
}

static void every_cut_gives_the_same_events(void) {
    flin_message_limits limits = TEST_LIMITS;
    test_bytes stream = script_new();
    test_bytes expected = {0};
    feed_cut(&stream, NULL, 0, &limits, &expected);
    for (size_t first = 0; first <= stream.size; first++) {
        for (size_t second = first; second <= stream.size; second++) {
            const size_t cuts[2] = {first, second};
            test_bytes log = {0};
            FLIN_CHECK_EQ(feed_cut(&stream, cuts, 2, &limits, &log), FLIN_NEED_MORE);
            check_same(&log, &expected);
            bytes_free(&log);
        }
    }
    for (size_t piece = 1; piece <= stream.size; piece++) {
        test_bytes log = {0};
        FLIN_CHECK_EQ(feed_pieces(&stream, piece, &limits, &log), FLIN_NEED_MORE);
        check_same(&log, &expected);
        bytes_free(&log);
    }
    bytes_free(&expected);
    bytes_free(&stream);
}

static void every_header_width_survives_small_pieces(void) {
    static const size_t SIZES[] = {125, 126, 65535, 65536, 200001};
    static const size_t PIECES[] = {1, 7, 1448, 65536};
    for (size_t s = 0; s < sizeof SIZES / sizeof SIZES[0]; s++) {
        uint8_t *payload = malloc(SIZES[s]);
        if (!payload) abort();
        uint64_t seed = s;
        for (size_t i = 0; i < SIZES[s]; i++) payload[i] = (uint8_t)flin_test_random(&seed);
        test_bytes stream = {0};
        stream_frame(&stream, TEST_FIN | BINARY, payload, SIZES[s]);
        flin_message_limits limits = TEST_LIMITS;
        for (size_t p = 0; p < sizeof PIECES / sizeof PIECES[0]; p++) {
            test_bytes log = {0};
            FLIN_CHECK_EQ(feed_pieces(&stream, PIECES[p], &limits, &log), FLIN_NEED_MORE);
            FLIN_CHECK(log.size > SIZES[s]);
            FLIN_CHECK(memcmp(log.data + log.size - 1 - SIZES[s], payload, SIZES[s]) == 0);
            bytes_free(&log);
        }
        bytes_free(&stream);
        free(payload);
    }
}

/* --- delivery in place -------------------------------------------------------------------------- */

static void a_whole_message_is_handed_out_in_place_without_memory(void) {
    flin_message_limits limits = TEST_LIMITS;
    test_bytes stream = {0};
    stream_text(&stream, TEST_FIN | TEXT, "one");
    stream_text(&stream, PING, "two");
    stream_text(&stream, TEXT, "");
    stream_text(&stream, TEST_FIN | CONTINUATION, "three");
    flin_message_state state;
    flin_message_init(&state);
    flin_memory_countdown = 0;
    uint8_t *cursor = stream.data;
    uint8_t *end = stream.data + stream.size;
    size_t count = 0;
    flin_message_event event;
    while (flin_message_next(&state, &cursor, end, &limits, &event) == FLIN_OK) {
        FLIN_CHECK(event.data >= stream.data && event.data + event.size == cursor);
        count++;
    }
    flin_memory_countdown = -1;
    FLIN_CHECK_EQ(count, 3);
    FLIN_CHECK(flin_message_is_idle(&state));
    bytes_free(&stream);
}

static void a_reader_may_stop_after_any_event(void) {
    flin_message_limits limits = TEST_LIMITS;
    test_bytes stream = script_new();
    test_bytes expected = {0};
    test_bytes log = {0};
    feed_cut(&stream, NULL, 0, &limits, &expected);
    flin_message_state state;
    flin_message_init(&state);
    /* Each event is followed by a fresh copy of what is left, as after a pause. */
    size_t offset = 0;
    flin_status status = FLIN_OK;
    while (status == FLIN_OK) {
        uint8_t *copy = flin_test_copy(stream.data + offset, stream.size - offset);
        uint8_t *cursor = copy;
        flin_message_event event;
        status = flin_message_next(&state, &cursor, copy + stream.size - offset, &limits, &event);
        if (status == FLIN_OK) log_event(&log, &event);
        offset += (size_t)(cursor - copy);
        free(copy);
    }
    FLIN_CHECK_EQ(status, FLIN_NEED_MORE);
    check_same(&log, &expected);
    flin_message_free(&state);
    bytes_free(&log);
    bytes_free(&expected);
    bytes_free(&stream);
}

/* --- faults --------------------------------------------------------------------------------------- */

/* The stream, fed byte by byte, fails with `expected` at its last byte and not before; cut in any
 * two it fails just so, after the same events. */
static void check_fails_at_end(test_bytes *stream, const flin_message_limits *limits,
                               flin_status expected, const char *events) {
    flin_message_state state;
    flin_message_init(&state);
    test_bytes log = {0};
    for (size_t i = 0; i < stream->size; i++) {
        flin_status status = feed_piece(&state, stream->data + i, 1, limits, &log);
        FLIN_CHECK_EQ(status, i + 1 < stream->size ? FLIN_NEED_MORE : expected);
    }
    FLIN_CHECK(log_equals(&log, events));
    /* A fault stays. */
    FLIN_CHECK_EQ(feed_piece(&state, (const uint8_t *)"\x81\x80\0\0\0\0", 6, limits, &log),
                  expected);
    FLIN_CHECK_EQ(feed_piece(&state, NULL, 0, limits, &log), expected);
    FLIN_CHECK(log_equals(&log, events));
    flin_message_free(&state);
    bytes_free(&log);
    for (size_t cut = 0; cut <= stream->size; cut++) {
        FLIN_CHECK_EQ(feed_cut(stream, &cut, 1, limits, &log), expected);
        FLIN_CHECK(log_equals(&log, events));
        bytes_free(&log);
    }
    bytes_free(stream);
}

static void faults_of_the_frame_sequence_show_at_the_first_byte(void) {
    flin_message_limits limits = TEST_LIMITS;
    test_bytes stream = {0};
    bytes_append(&stream, "\x80", 1);
    check_fails_at_end(&stream, &limits, FLIN_ERR_CONTINUATION, "");
    stream_text(&stream, TEST_FIN | TEXT, "done");
    bytes_append(&stream, "\x00", 1);
    check_fails_at_end(&stream, &limits, FLIN_ERR_CONTINUATION, "[1 0 4 done]");
    stream_text(&stream, TEXT, "part");
    bytes_append(&stream, "\x81", 1);
    check_fails_at_end(&stream, &limits, FLIN_ERR_INTERLEAVED, "");
    stream_text(&stream, BINARY, "");
    stream_text(&stream, PING, "x");
    bytes_append(&stream, "\x02", 1);
    check_fails_at_end(&stream, &limits, FLIN_ERR_INTERLEAVED, "[9 0 1 x]");
}

static void faults_of_a_header_come_after_earlier_messages(void) {
    flin_message_limits limits = TEST_LIMITS;
    test_bytes stream = {0};
    stream_text(&stream, TEST_FIN | TEXT, "ok");
    bytes_append(&stream, "\xC1", 1);
    check_fails_at_end(&stream, &limits, FLIN_ERR_RSV, "[1 0 2 ok]");
    stream_text(&stream, TEST_FIN | TEXT, "ok");
    bytes_append(&stream, "\x81\x01", 2);
    check_fails_at_end(&stream, &limits, FLIN_ERR_MASK_MISSING, "[1 0 2 ok]");
    bytes_append(&stream, "\x82\xFF\x80", 3);
    check_fails_at_end(&stream, &limits, FLIN_ERR_LENGTH_SIGN, "");
}

static void bad_text_fails_at_the_bad_byte_of_an_unfinished_frame(void) {
    flin_message_limits limits = TEST_LIMITS;
    static const char *const BAD[] = {"\xFF",       "ab\xC0",
                                      "\xED\xA0",   "\xF4\x90",
                                      "z\xE2\x82z", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\x80"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        for (unsigned fin = 0; fin < 2; fin++) {
            test_bytes stream = {0};
            uint8_t payload[100] = {0};
            size_t bad_size = strlen(BAD[i]);
            memcpy(payload, BAD[i], bad_size);
            stream_frame(&stream, fin ? TEST_FIN | TEXT : TEXT, payload, sizeof payload);
            stream.size -= sizeof payload - bad_size;
            check_fails_at_end(&stream, &limits, FLIN_ERR_UTF8, "");
        }
    }
}

static void text_that_ends_inside_a_code_point_fails(void) {
    flin_message_limits limits = TEST_LIMITS;
    test_bytes stream = {0};
    stream_text(&stream, TEST_FIN | TEXT, "price \xE2\x82");
    check_fails_at_end(&stream, &limits, FLIN_ERR_UTF8, "");
    stream_text(&stream, TEXT, "\xE2\x82");
    stream_text(&stream, CONTINUATION, "");
    bytes_append(&stream, "\x80\x80\0\0\0\0", 6); /* a last fragment without a byte */
    check_fails_at_end(&stream, &limits, FLIN_ERR_UTF8, "");
    stream_text(&stream, TEXT, "\xE2\x82");
    stream_text(&stream, TEST_FIN | CONTINUATION, "x");
    check_fails_at_end(&stream, &limits, FLIN_ERR_UTF8, "");
}

static void bytes_that_are_no_text_pass_in_binary_and_ping(void) {
    flin_message_limits limits = TEST_LIMITS;
    test_bytes stream = {0};
    test_bytes log = {0};
    stream_text(&stream, TEST_FIN | BINARY, "\xFF\xC0");
    stream_text(&stream, TEXT, "a");
    stream_text(&stream, PING, "\xFF");
    stream_text(&stream, TEST_FIN | CONTINUATION, "b");
    FLIN_CHECK_EQ(feed_pieces(&stream, 1, &limits, &log), FLIN_NEED_MORE);
    FLIN_CHECK(log_equals(&log, "[2 0 2 \xFF\xC0][9 0 1 \xFF][1 0 2 ab]"));
    bytes_free(&log);
    bytes_free(&stream);
}

static void bad_close_payloads_fail(void) {
    flin_message_limits limits = TEST_LIMITS;
    test_bytes stream = {0};
    stream_frame(&stream, CLOSE, "\x03", 1);
    check_fails_at_end(&stream, &limits, FLIN_ERR_CLOSE_SIZE, "");
    stream_frame(&stream, CLOSE, "\x03\xED", 2);
    check_fails_at_end(&stream, &limits, FLIN_ERR_CLOSE_CODE, "");
    stream_frame(&stream, CLOSE, "\x03\xE8\xFF", 3);
    check_fails_at_end(&stream, &limits, FLIN_ERR_UTF8, "");
}

static void nothing_counts_after_a_close(void) {
    flin_message_limits limits = TEST_LIMITS;
    for (unsigned inside = 0; inside < 2; inside++) {
        test_bytes stream = {0};
        if (inside) stream_text(&stream, TEXT, "never finished");
        stream_frame(&stream, CLOSE, NULL, 0);
        stream_text(&stream, TEST_FIN | TEXT, "unseen");
        bytes_append(&stream, "\xFF\xFF\xFF", 3);
        for (size_t piece = 1; piece < 30; piece++) {
            test_bytes log = {0};
            FLIN_CHECK_EQ(feed_pieces(&stream, piece, &limits, &log), FLIN_NEED_MORE);
            FLIN_CHECK(log_equals(&log, "[8 1005 0 ]"));
            bytes_free(&log);
        }
        bytes_free(&stream);
    }
}

static void a_close_inside_a_message_gives_its_memory_back(void) {
    flin_message_limits limits = TEST_LIMITS;
    test_bytes stream = {0};
    test_bytes log = {0};
    stream_text(&stream, TEXT, "never finished");
    flin_message_state state;
    flin_message_init(&state);
    feed_piece(&state, stream.data, stream.size, &limits, &log);
    FLIN_CHECK(flin_message_held_bytes(&state) > 0);
    FLIN_CHECK(!flin_message_is_idle(&state));
    bytes_free(&stream);
    stream_frame(&stream, CLOSE, NULL, 0);
    FLIN_CHECK_EQ(feed_piece(&state, stream.data, stream.size, &limits, &log), FLIN_NEED_MORE);
    FLIN_CHECK_EQ(flin_message_held_bytes(&state), 0);
    FLIN_CHECK(flin_message_is_idle(&state));
    bytes_free(&log);
    bytes_free(&stream);
}

/* --- limits ---------------------------------------------------------------------------------------- */

/* A message of the given fragment sizes under a limit of 1000 bytes. */
static flin_status under_limit(const size_t *sizes, size_t count, size_t piece) {
    flin_message_limits limits = TEST_LIMITS;
    limits.message_bytes_max = 1000;
    uint8_t payload[1001] = {0};
    test_bytes stream = {0};
    for (size_t i = 0; i < count; i++) {
        unsigned first = (i == 0 ? TEXT : CONTINUATION) | (i + 1 == count ? TEST_FIN : 0);
        stream_frame(&stream, first, payload, sizes[i]);
    }
    test_bytes log = {0};
    flin_status status = feed_pieces(&stream, piece, &limits, &log);
    FLIN_CHECK_EQ(log.size > 0, status == FLIN_NEED_MORE);
    bytes_free(&log);
    bytes_free(&stream);
    return status;
}

static void the_message_limit_holds_at_below_and_above(void) {
    for (size_t piece = 1; piece < 2100; piece = piece * 2 + 1) {
        FLIN_CHECK_EQ(under_limit((const size_t[]){999}, 1, piece), FLIN_NEED_MORE);
        FLIN_CHECK_EQ(under_limit((const size_t[]){1000}, 1, piece), FLIN_NEED_MORE);
        FLIN_CHECK_EQ(under_limit((const size_t[]){1001}, 1, piece), FLIN_ERR_MESSAGE_SIZE);
        FLIN_CHECK_EQ(under_limit((const size_t[]){500, 499}, 2, piece), FLIN_NEED_MORE);
        FLIN_CHECK_EQ(under_limit((const size_t[]){500, 0, 500}, 3, piece), FLIN_NEED_MORE);
        FLIN_CHECK_EQ(under_limit((const size_t[]){500, 501}, 2, piece), FLIN_ERR_MESSAGE_SIZE);
        FLIN_CHECK_EQ(under_limit((const size_t[]){1000, 1}, 2, piece), FLIN_ERR_MESSAGE_SIZE);
        FLIN_CHECK_EQ(under_limit((const size_t[]){1000, 0}, 2, piece), FLIN_NEED_MORE);
    }
}

static void a_limit_lowered_inside_a_message_is_obeyed(void) {
    flin_message_limits limits = TEST_LIMITS;
    test_bytes stream = {0};
    stream_text(&stream, TEXT, "0123456789");
    flin_message_state state;
    flin_message_init(&state);
    test_bytes log = {0};
    FLIN_CHECK_EQ(feed_piece(&state, stream.data, stream.size, &limits, &log), FLIN_NEED_MORE);
    limits.message_bytes_max = 9;
    bytes_free(&stream);
    stream_text(&stream, TEST_FIN | CONTINUATION, "");
    FLIN_CHECK_EQ(feed_piece(&state, stream.data, stream.size, &limits, &log),
                  FLIN_ERR_MESSAGE_SIZE);
    flin_message_free(&state);
    bytes_free(&stream);
}

static void the_longest_length_is_refused_by_its_header(void) {
    flin_message_limits limits = TEST_LIMITS;
    limits.message_bytes_max = SIZE_MAX / 4;
    test_bytes stream = {0};
    bytes_append(&stream, "\x82\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\0\0\0", 14);
    check_fails_at_end(&stream, &limits, FLIN_ERR_MESSAGE_SIZE, "");
}

static flin_status with_empty_fragments(size_t count) {
    flin_message_limits limits = TEST_LIMITS;
    test_bytes stream = {0};
    test_bytes log = {0};
    /* A message before it, to see the count start again. */
    stream_text(&stream, TEXT, "");
    stream_text(&stream, TEST_FIN | CONTINUATION, "");
    for (size_t i = 0; i < count; i++) stream_text(&stream, i == 0 ? BINARY : CONTINUATION, "");
    stream_text(&stream, TEST_FIN | CONTINUATION, "");
    flin_status status = feed_pieces(&stream, 1000, &limits, &log);
    bytes_free(&log);
    bytes_free(&stream);
    return status;
}

static void the_cap_on_empty_fragments_holds_at_and_above(void) {
    FLIN_CHECK_EQ(with_empty_fragments(FLIN_MESSAGE_EMPTY_FRAGMENTS_MAX), FLIN_NEED_MORE);
    FLIN_CHECK_EQ(with_empty_fragments(FLIN_MESSAGE_EMPTY_FRAGMENTS_MAX + 1),
                  FLIN_ERR_FRAGMENT_COUNT);
}

static void fragments_with_bytes_are_not_counted(void) {
    flin_message_limits limits = TEST_LIMITS;
    limits.message_bytes_max = 100000;
    test_bytes stream = {0};
    test_bytes log = {0};
    for (size_t i = 0; i < 100000; i++) stream_text(&stream, i == 0 ? TEXT : CONTINUATION, "x");
    stream_text(&stream, TEST_FIN | CONTINUATION, "");
    FLIN_CHECK_EQ(feed_pieces(&stream, 60000, &limits, &log), FLIN_NEED_MORE);
    FLIN_CHECK_EQ(log.size, 100000 + sizeof "[1 0 100000 ]" - 1);
    bytes_free(&log);
    bytes_free(&stream);
}

/* --- memory ---------------------------------------------------------------------------------------- */

static void a_length_bomb_allocates_nothing(void) {
    flin_message_limits limits = TEST_LIMITS;
    uint8_t payload[64] = {0};
    flin_message_state state;
    flin_message_init(&state);
    test_bytes log = {0};
    uint8_t header[FLIN_FRAME_HEADER_MAX];
    size_t size = flin_frame_header_encode_masked(header, FLIN_OPCODE_BINARY, true, false,
                                                  limits.message_bytes_max, TEST_KEY);
    FLIN_CHECK_EQ(feed_piece(&state, header, size, &limits, &log), FLIN_NEED_MORE);
    FLIN_CHECK_EQ(flin_message_held_bytes(&state), 0);
    FLIN_CHECK(!flin_message_is_idle(&state));
    FLIN_CHECK_EQ(feed_piece(&state, payload, sizeof payload, &limits, &log), FLIN_NEED_MORE);
    FLIN_CHECK_EQ(flin_message_held_bytes(&state), FLIN_MESSAGE_ALLOC_MIN);
    flin_message_free(&state);
    FLIN_CHECK_EQ(flin_message_held_bytes(&state), 0);
    flin_message_free(&state);
}

static void memory_is_given_back_after_the_message(void) {
    flin_message_limits limits = TEST_LIMITS;
    uint8_t payload[5000] = {0};
    test_bytes stream = {0};
    test_bytes log = {0};
    stream_frame(&stream, TEST_FIN | BINARY, payload, sizeof payload);
    flin_message_state state;
    flin_message_init(&state);
    feed_piece(&state, stream.data, 4000, &limits, &log);
    FLIN_CHECK(flin_message_held_bytes(&state) >= 4000 - 8);
    FLIN_CHECK(flin_message_held_bytes(&state) <= sizeof payload);
    feed_piece(&state, stream.data + 4000, stream.size - 4000, &limits, &log);
    FLIN_CHECK_EQ(flin_message_held_bytes(&state), 0);
    FLIN_CHECK(flin_message_is_idle(&state));
    bytes_free(&log);
    bytes_free(&stream);
}

static void every_failed_allocation_is_reported_and_leaks_nothing(void) {
    flin_message_limits limits = TEST_LIMITS;
    test_bytes stream = {0};
    uint8_t payload[9000] = {0};
    stream_text(&stream, TEXT, "start");
    stream_text(&stream, PING, "a ping in pieces");
    stream_frame(&stream, TEST_FIN | CONTINUATION, payload, sizeof payload);
    long failures = 0;
    for (long nth = 0;; nth++) {
        test_bytes log = {0};
        flin_memory_countdown = nth;
        flin_status status = feed_pieces(&stream, 100, &limits, &log);
        flin_memory_countdown = -1;
        bytes_free(&log);
        if (status == FLIN_NEED_MORE) break;
        FLIN_CHECK_EQ(status, FLIN_ERR_NO_MEMORY);
        failures++;
    }
    FLIN_CHECK_EQ(failures, 5);
    test_bytes log = {0};
    bytes_free(&stream);
    stream_text(&stream, PING, "in two pieces");
    flin_memory_countdown = 0;
    FLIN_CHECK_EQ(feed_pieces(&stream, 10, &limits, &log), FLIN_ERR_NO_MEMORY);
    flin_memory_countdown = -1;
    bytes_free(&stream);
}

/* --- receiving into the message -------------------------------------------------------------------- */

/* Receive a stream through the room whenever there is one, at most `step` bytes at a time. */
static flin_status feed_through_room(const test_bytes *stream, size_t start, size_t step,
                                     test_bytes *log, size_t *through_room) {
    flin_message_limits limits = TEST_LIMITS;
    flin_message_state state;
    flin_message_init(&state);
    flin_status status = feed_piece(&state, stream->data, start, &limits, log);
    size_t offset = start;
    *through_room = 0;
    while (status == FLIN_NEED_MORE && offset < stream->size) {
        uint8_t *room;
        size_t size = flin_message_room(&state, &room);
        FLIN_CHECK_EQ(room == NULL, size == 0);
        if (size > step) size = step;
        if (size > stream->size - offset) size = stream->size - offset;
        if (size == 0) {
            size = stream->size - offset < step ? stream->size - offset : step;
            status = feed_piece(&state, stream->data + offset, size, &limits, log);
            offset += size;
            continue;
        }
        memcpy(room, stream->data + offset, size);
        offset += size;
        *through_room += size;
        flin_message_event event;
        status = flin_message_commit(&state, size, &event);
        if (status == FLIN_OK) {
            log_event(log, &event);
            status = feed_piece(&state, NULL, 0, &limits, log);
        } else {
            check_bounds(&state);
        }
    }
    flin_message_free(&state);
    return status;
}

static void bytes_received_in_the_room_give_the_same_events(void) {
    flin_message_limits limits = TEST_LIMITS;
    test_bytes stream = {0};
    char text[3000];
    for (size_t i = 0; i < sizeof text; i += 3) memcpy(text + i, "\xE2\x82\xAC", 3);
    stream_frame(&stream, TEXT, text, sizeof text);
    stream_text(&stream, PING, "between");
    stream_frame(&stream, TEST_FIN | CONTINUATION, text, sizeof text);
    stream_frame(&stream, TEST_FIN | BINARY, text, 10);
    test_bytes expected = {0};
    feed_cut(&stream, NULL, 0, &limits, &expected);
    static const size_t STEPS[] = {1, 2, 100, 1448, 100000};
    for (size_t s = 0; s < sizeof STEPS / sizeof STEPS[0]; s++) {
        for (size_t start = 1; start < 60; start++) {
            test_bytes log = {0};
            size_t through_room;
            flin_status status = feed_through_room(&stream, start, STEPS[s], &log, &through_room);
            FLIN_CHECK_EQ(status, FLIN_NEED_MORE);
            FLIN_CHECK(STEPS[s] > 2000 || through_room > 3000);
            check_same(&log, &expected);
            bytes_free(&log);
        }
    }
    bytes_free(&expected);
    bytes_free(&stream);
}

static void bad_text_in_the_room_fails(void) {
    test_bytes stream = {0};
    stream_text(&stream, TEST_FIN | TEXT, "good so far \xFF and more");
    for (size_t start = 7; start < 17; start++) {
        test_bytes log = {0};
        size_t through_room;
        FLIN_CHECK_EQ(feed_through_room(&stream, start, 100, &log, &through_room), FLIN_ERR_UTF8);
        FLIN_CHECK_EQ(log.size, 0);
    }
    bytes_free(&stream);
}

static void there_is_no_room_where_no_payload_is_awaited(void) {
    flin_message_limits limits = TEST_LIMITS;
    test_bytes stream = {0};
    test_bytes log = {0};
    flin_message_state state;
    flin_message_event event;
    uint8_t *room = stream.data;
    flin_message_init(&state);
    FLIN_CHECK_EQ(flin_message_room(&state, &room), 0);
    stream_text(&stream, TEXT, "held");
    stream_text(&stream, PING, "partial");
    /* Inside the ping: its payload is not the message's. */
    feed_piece(&state, stream.data, stream.size - 3, &limits, &log);
    FLIN_CHECK_EQ(flin_message_room(&state, &room), 0);
    feed_piece(&state, stream.data + stream.size - 3, 3, &limits, &log);
    FLIN_CHECK_EQ(flin_message_room(&state, &room), 0);
    FLIN_CHECK_EQ(flin_message_commit(&state, 0, &event), FLIN_NEED_MORE);
    /* After a fault. */
    FLIN_CHECK_EQ(feed_piece(&state, (const uint8_t *)"\x81", 1, &limits, &log),
                  FLIN_ERR_INTERLEAVED);
    FLIN_CHECK_EQ(flin_message_room(&state, &room), 0);
    FLIN_CHECK_EQ(flin_message_commit(&state, 0, &event), FLIN_ERR_INTERLEAVED);
    flin_message_free(&state);
    bytes_free(&log);
    bytes_free(&stream);
}

static void without_memory_the_room_is_what_is_left(void) {
    flin_message_limits limits = TEST_LIMITS;
    uint8_t payload[4000] = {0};
    test_bytes stream = {0};
    test_bytes log = {0};
    stream_frame(&stream, TEST_FIN | BINARY, payload, sizeof payload);
    flin_message_state state;
    flin_message_init(&state);
    feed_piece(&state, stream.data, 8 + 600, &limits, &log);
    FLIN_CHECK_EQ(flin_message_held_bytes(&state), 1200);
    feed_piece(&state, stream.data + 608, 500, &limits, &log);
    uint8_t *room;
    flin_memory_countdown = 0;
    FLIN_CHECK_EQ(flin_message_room(&state, &room), 100);
    feed_piece(&state, stream.data + 1108, 100, &limits, &log);
    flin_memory_countdown = 0;
    FLIN_CHECK_EQ(flin_message_room(&state, &room), 0);
    flin_memory_countdown = -1;
    FLIN_CHECK_EQ(flin_message_room(&state, &room), 1200);
    flin_message_free(&state);
    bytes_free(&stream);
}

/* --- taking the block of a message ------------------------------------------------------------- */

/* Feed `size` bytes up to one event; the receive buffer is freed before the event is looked at. */
static flin_status feed_one(flin_message_state *state, const uint8_t *data, size_t size,
                            flin_message_event *event) {
    flin_message_limits limits = TEST_LIMITS;
    uint8_t *copy = flin_test_copy(data, size);
    uint8_t *cursor = copy;
    flin_status status = flin_message_next(state, &cursor, copy + size, &limits, event);
    FLIN_CHECK(cursor == copy + size);
    free(copy);
    return status;
}

static void the_block_of_a_message_in_pieces_can_be_taken(void) {
    static const size_t SIZES[] = {3, 1025, 200000};
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        uint8_t *payload = malloc(SIZES[i]);
        if (!payload) abort();
        memset(payload, 'p', SIZES[i]);
        test_bytes stream = {0};
        stream_frame(&stream, TEST_FIN | TEXT, payload, SIZES[i]);
        flin_message_state state;
        flin_message_event event;
        size_t capacity = 0;
        flin_message_init(&state);
        FLIN_CHECK_EQ(feed_one(&state, stream.data, stream.size - 1, &event), FLIN_NEED_MORE);
        FLIN_CHECK_EQ(feed_one(&state, stream.data + stream.size - 1, 1, &event), FLIN_OK);
        uint8_t *block = flin_message_take(&state, &event, &capacity);
        FLIN_CHECK(block && block == event.data);
        FLIN_CHECK(capacity >= SIZES[i]);
        FLIN_CHECK_EQ(flin_message_held_bytes(&state), 0);
        size_t again;
        FLIN_CHECK(!flin_message_take(&state, &event, &again));
        /* The state goes on without it, and the block outlives the state. */
        FLIN_CHECK_EQ(feed_one(&state, stream.data, stream.size - 1, &event), FLIN_NEED_MORE);
        FLIN_CHECK_EQ(feed_one(&state, stream.data + stream.size - 1, 1, &event), FLIN_OK);
        FLIN_CHECK_EQ(event.size, SIZES[i]);
        flin_message_free(&state);
        FLIN_CHECK(memcmp(block, payload, SIZES[i]) == 0);
        flin_block_free(block, capacity);
        bytes_free(&stream);
        free(payload);
    }
}

static void a_message_in_place_has_no_block_to_take(void) {
    flin_message_limits limits = TEST_LIMITS;
    flin_message_state state;
    flin_message_event event;
    size_t capacity;
    test_bytes stream = {0};
    stream_text(&stream, TEST_FIN | BINARY, "whole");
    stream_text(&stream, TEST_FIN | BINARY, "");
    flin_message_init(&state);
    uint8_t *cursor = stream.data;
    for (int i = 0; i < 2; i++) {
        FLIN_CHECK_EQ(
            flin_message_next(&state, &cursor, stream.data + stream.size, &limits, &event),
            FLIN_OK);
        FLIN_CHECK(!flin_message_take(&state, &event, &capacity));
    }
    bytes_free(&stream);
}

static void a_ping_does_not_give_away_the_message_around_it(void) {
    flin_message_state state;
    flin_message_event event;
    size_t capacity;
    test_bytes stream = {0};
    flin_message_init(&state);
    stream_text(&stream, TEXT, "kept ");
    stream_text(&stream, PING, "ping");
    FLIN_CHECK_EQ(feed_one(&state, stream.data, stream.size - 2, &event), FLIN_NEED_MORE);
    FLIN_CHECK_EQ(feed_one(&state, stream.data + stream.size - 2, 2, &event), FLIN_OK);
    FLIN_CHECK_EQ(event.opcode, FLIN_OPCODE_PING);
    FLIN_CHECK(!flin_message_take(&state, &event, &capacity));
    bytes_free(&stream);
    stream_text(&stream, TEST_FIN | CONTINUATION, "and taken");
    FLIN_CHECK_EQ(feed_one(&state, stream.data, stream.size, &event), FLIN_OK);
    uint8_t *block = flin_message_take(&state, &event, &capacity);
    FLIN_CHECK(block && event.size == 14 && memcmp(block, "kept and taken", 14) == 0);
    flin_block_free(block, capacity);
    flin_message_free(&state);
    bytes_free(&stream);
}

/* --- extensions and roles --------------------------------------------------------------------------- */

static void compressed_messages_are_handed_out_unvalidated(void) {
    flin_message_limits limits = TEST_LIMITS;
    limits.allow_rsv1 = true;
    test_bytes stream = {0};
    stream_text(&stream, TEST_FIN | TEST_RSV1 | TEXT, "\xFF\xFE");
    stream_text(&stream, TEST_RSV1 | TEXT, "\xC0");
    stream_text(&stream, TEST_FIN | CONTINUATION, "\xC0");
    stream_text(&stream, TEST_FIN | TEXT, "plain");
    stream_text(&stream, TEST_RSV1 | BINARY, "x");
    stream_text(&stream, TEST_FIN | CONTINUATION, "y");
    for (size_t piece = 1; piece < stream.size; piece++) {
        test_bytes log = {0};
        FLIN_CHECK_EQ(feed_pieces(&stream, piece, &limits, &log), FLIN_NEED_MORE);
        FLIN_CHECK(log_equals(&log, "[1 rsv1 0 2 \xFF\xFE][1 rsv1 0 2 \xC0\xC0][1 0 5 plain]"
                                    "[2 rsv1 0 2 xy]"));
        bytes_free(&log);
    }
    /* A plain text after compressed ones is validated again. */
    stream_text(&stream, TEST_FIN | TEXT, "\xFF");
    test_bytes log = {0};
    FLIN_CHECK_EQ(feed_cut(&stream, NULL, 0, &limits, &log), FLIN_ERR_UTF8);
    bytes_free(&log);
    bytes_free(&stream);
}

static void frames_of_a_server_are_read_unmasked(void) {
    flin_message_limits limits = TEST_LIMITS;
    limits.sender = FLIN_ROLE_SERVER;
    test_bytes stream = {0};
    bytes_append(&stream, "\x01\x02He\x89\x01!\x80\x03llo\x88\x02\x03\xE8", 16);
    for (size_t piece = 1; piece <= stream.size; piece++) {
        test_bytes log = {0};
        FLIN_CHECK_EQ(feed_pieces(&stream, piece, &limits, &log), FLIN_NEED_MORE);
        FLIN_CHECK(log_equals(&log, "[9 0 1 !][1 0 5 Hello][8 1000 0 ]"));
        bytes_free(&log);
    }
    bytes_free(&stream);
    stream_text(&stream, TEST_FIN | TEXT, "x");
    stream.size = 2;
    check_fails_at_end(&stream, &limits, FLIN_ERR_MASK_PRESENT, "");
}

static void the_state_stays_one_cache_line(void) {
    FLIN_CHECK(sizeof(void *) != 8 || sizeof(flin_message_state) == 64);
}

int main(void) {
    FLIN_RUN(a_scripted_stream_gives_its_events);
    FLIN_RUN(every_cut_gives_the_same_events);
    FLIN_RUN(every_header_width_survives_small_pieces);
    FLIN_RUN(a_whole_message_is_handed_out_in_place_without_memory);
    FLIN_RUN(a_reader_may_stop_after_any_event);
    FLIN_RUN(faults_of_the_frame_sequence_show_at_the_first_byte);
    FLIN_RUN(faults_of_a_header_come_after_earlier_messages);
    FLIN_RUN(bad_text_fails_at_the_bad_byte_of_an_unfinished_frame);
    FLIN_RUN(text_that_ends_inside_a_code_point_fails);
    FLIN_RUN(bytes_that_are_no_text_pass_in_binary_and_ping);
    FLIN_RUN(bad_close_payloads_fail);
    FLIN_RUN(nothing_counts_after_a_close);
    FLIN_RUN(a_close_inside_a_message_gives_its_memory_back);
    FLIN_RUN(the_message_limit_holds_at_below_and_above);
    FLIN_RUN(a_limit_lowered_inside_a_message_is_obeyed);
    FLIN_RUN(the_longest_length_is_refused_by_its_header);
    FLIN_RUN(the_cap_on_empty_fragments_holds_at_and_above);
    FLIN_RUN(fragments_with_bytes_are_not_counted);
    FLIN_RUN(a_length_bomb_allocates_nothing);
    FLIN_RUN(memory_is_given_back_after_the_message);
    FLIN_RUN(every_failed_allocation_is_reported_and_leaks_nothing);
    FLIN_RUN(bytes_received_in_the_room_give_the_same_events);
    FLIN_RUN(bad_text_in_the_room_fails);
    FLIN_RUN(there_is_no_room_where_no_payload_is_awaited);
    FLIN_RUN(without_memory_the_room_is_what_is_left);
    FLIN_RUN(the_block_of_a_message_in_pieces_can_be_taken);
    FLIN_RUN(a_message_in_place_has_no_block_to_take);
    FLIN_RUN(a_ping_does_not_give_away_the_message_around_it);
    FLIN_RUN(compressed_messages_are_handed_out_unvalidated);
    FLIN_RUN(frames_of_a_server_are_read_unmasked);
    FLIN_RUN(the_state_stays_one_cache_line);
    return flin_test_end();
}
