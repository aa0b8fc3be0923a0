/**
 * The message state machine; see flin_message.h.
 *
 * Layout of `buffer`: [0, size) is the message in progress, and behind it stand the
 * `control_size` bytes of a control frame that arrived in pieces.
 */
#include "flin_message.h"

#include <string.h>

#include "flin_block.h"
#include "flin_mask.h"

enum {
    IN_FRAME = 0x01,  /* a header was decoded, its payload is not complete */
    FIN = 0x02,       /* of the current frame */
    RSV1 = 0x04,      /* of the message in progress */
    CLOSED = 0x08,    /* a close frame was handed out: nothing counts any more */
    HANDED_OUT = 0x10 /* the last call returned an event that may lie in buffer */
};

static bool is_control(unsigned opcode) { return (opcode & 0x8u) != 0; }

static flin_status fail(flin_message_state *state, flin_status status) {
    state->fault = (uint8_t)status;
    return status;
}

static void drop_buffer(flin_message_state *state) {
    flin_block_free(state->buffer, state->capacity);
    state->buffer = NULL;
    state->size = 0;
    state->capacity = 0;
}

void flin_message_init(flin_message_state *state) { memset(state, 0, sizeof *state); }

void flin_message_free(flin_message_state *state) {
    flin_block_free(state->buffer, state->capacity);
    flin_message_init(state);
}

/* What the last event pointed to is not needed any more. */
static void release_event(flin_message_state *state) {
    state->flags &= (uint8_t)~HANDED_OUT;
    state->control_size = 0;
    if (state->buffer && state->message_opcode == 0) drop_buffer(state);
}

/**
 * Allocate twice `need` bytes, so that a payload that dribbles in is moved a bounded number of
 * times, but never more than `ceiling`, the most that can still come.
 */
static bool grow(flin_message_state *state, size_t need, size_t ceiling) {
    size_t capacity = need > FLIN_MESSAGE_ALLOC_MIN / 2 ? 2 * need : FLIN_MESSAGE_ALLOC_MIN;
    if (capacity > ceiling) capacity = ceiling > need ? ceiling : need;
    uint8_t *buffer = flin_block_grow(state->buffer, state->capacity,
                                      state->size + state->control_size, capacity);
    if (!buffer) return false;
    state->buffer = buffer;
    state->capacity = capacity;
    return true;
}

static bool reserve(flin_message_state *state, size_t need, size_t ceiling) {
    return need <= state->capacity || grow(state, need, ceiling);
}

/* Faults of the sequence of frames, which the first byte of a header shows. */
static flin_status check_sequence(const flin_message_state *state, unsigned first_byte) {
    switch (first_byte & 0x0Fu) {
    case FLIN_OPCODE_CONTINUATION:
        return state->message_opcode == 0 ? FLIN_ERR_CONTINUATION : FLIN_OK;
    case FLIN_OPCODE_TEXT:
    case FLIN_OPCODE_BINARY:
        return state->message_opcode != 0 ? FLIN_ERR_INTERLEAVED : FLIN_OK;
    default:
        return FLIN_OK;
    }
}

/* Enter a frame whose header is complete. */
static flin_status begin_frame(flin_message_state *state, const flin_frame_header *header,
                               const flin_message_limits *limits) {
    if (!is_control(header->opcode)) {
        if (state->size > limits->message_bytes_max ||
            header->payload_size > limits->message_bytes_max - state->size) {
            return FLIN_ERR_MESSAGE_SIZE;
        }
        if (header->opcode != FLIN_OPCODE_CONTINUATION) {
            state->message_opcode = header->opcode;
            state->empty_fragment_count = 0;
            state->flags &= (uint8_t)~RSV1;
            if (header->rsv1) state->flags |= RSV1;
        }
        if (header->payload_size == 0 && !header->fin) {
            if (state->empty_fragment_count >= limits->empty_fragments_max) {
                return FLIN_ERR_FRAGMENT_COUNT;
            }
            state->empty_fragment_count++;
        }
    }
    state->flags &= (uint8_t)~FIN;
    state->flags |= header->fin ? IN_FRAME | FIN : IN_FRAME;
    state->frame_opcode = header->opcode;
    state->remaining = header->payload_size;
    state->mask_key = header->mask_key;
    state->phase = 0;
    return FLIN_OK;
}

/* Read a header at the cursor, or behind the part of it that was spilled. */
static flin_status read_header(flin_message_state *state, uint8_t **cursor, const uint8_t *end,
                               const flin_message_limits *limits) {
    flin_frame_header header;
    size_t available = (size_t)(end - *cursor);
    size_t spilled = state->spill_size;
    const uint8_t *data = *cursor;
    size_t size = available;
    if (spilled > 0) {
        size_t lacking = sizeof state->spill - spilled;
        size_t taken = available < lacking ? available : lacking;
        memcpy(state->spill + spilled, *cursor, taken);
        data = state->spill;
        size = spilled + taken;
    }
    flin_status status = check_sequence(state, data[0]);
    if (status != FLIN_OK) return status;
    status = flin_frame_header_decode(data, size, limits->sender, limits->allow_rsv1, &header);
    if (status == FLIN_NEED_MORE) {
        /* A header needs FLIN_FRAME_HEADER_MAX bytes at most, so these are fewer and all that
         * there is. */
        if (spilled == 0) memcpy(state->spill, data, size);
        state->spill_size = (uint8_t)size;
        *cursor += available;
        return FLIN_NEED_MORE;
    }
    if (status != FLIN_OK) return status;
    state->spill_size = 0;
    *cursor += header.header_size - spilled;
    return begin_frame(state, &header, limits);
}

/* Unmask and, for text, validate `size` payload bytes that have come to rest at `data`. */
static flin_status take_payload(flin_message_state *state, uint8_t *data, size_t size) {
    if (state->mask_key != 0) {
        state->phase = (uint8_t)flin_mask_apply(data, size, state->mask_key, state->phase);
    }
    state->remaining -= size;
    if (is_control(state->frame_opcode) || state->message_opcode != FLIN_OPCODE_TEXT ||
        (state->flags & RSV1)) {
        return FLIN_OK;
    }
    return flin_utf8_feed(&state->utf8, data, size) ? FLIN_OK : FLIN_ERR_UTF8;
}

static flin_status emit(flin_message_state *state, uint8_t *data, size_t size, unsigned opcode,
                        flin_message_event *event) {
    event->data = data;
    event->size = size;
    event->close_code = 0;
    event->opcode = (uint8_t)opcode;
    event->rsv1 = false;
    state->flags |= HANDED_OUT;
    return FLIN_OK;
}

/* The current frame is complete; the message is at `data` when this was its last frame. */
static flin_status end_data_frame(flin_message_state *state, uint8_t *data, size_t size,
                                  flin_message_event *event) {
    state->flags &= (uint8_t)~IN_FRAME;
    state->frame_opcode = 0;
    if (!(state->flags & FIN)) return FLIN_NEED_MORE;
    unsigned opcode = state->message_opcode;
    bool rsv1 = (state->flags & RSV1) != 0;
    if (opcode == FLIN_OPCODE_TEXT && !rsv1 && !flin_utf8_is_complete(state->utf8)) {
        return FLIN_ERR_UTF8;
    }
    state->message_opcode = 0;
    emit(state, data, size, opcode, event);
    event->rsv1 = rsv1;
    return FLIN_OK;
}

static flin_status end_control_frame(flin_message_state *state, uint8_t *data, size_t size,
                                     flin_message_event *event) {
    unsigned opcode = state->frame_opcode;
    state->flags &= (uint8_t)~IN_FRAME;
    state->frame_opcode = 0;
    if (opcode != FLIN_OPCODE_CLOSE) return emit(state, data, size, opcode, event);
    uint16_t code;
    size_t reason_size;
    flin_status status = flin_frame_close_decode(data, size, &code, &reason_size);
    if (status != FLIN_OK) return status;
    state->flags |= CLOSED;
    state->message_opcode = 0;
    emit(state, size > 2 ? data + 2 : NULL, reason_size, opcode, event);
    event->close_code = code;
    return FLIN_OK;
}

/* Consume payload of the current control frame; it is judged when it is complete. */
static flin_status read_control(flin_message_state *state, uint8_t **cursor, const uint8_t *end,
                                flin_message_event *event) {
    size_t available = (size_t)(end - *cursor);
    size_t taken = available < state->remaining ? available : (size_t)state->remaining;
    uint8_t *source = *cursor;
    *cursor += taken;
    if (state->control_size == 0 && taken == state->remaining) {
        take_payload(state, source, taken);
        return end_control_frame(state, taken > 0 ? source : NULL, taken, event);
    }
    if (taken == 0) return FLIN_NEED_MORE;
    size_t held = state->size + state->control_size;
    if (!reserve(state, held + taken, SIZE_MAX)) return FLIN_ERR_NO_MEMORY;
    memcpy(state->buffer + held, source, taken);
    take_payload(state, state->buffer + held, taken);
    state->control_size = (uint8_t)(state->control_size + taken);
    if (state->remaining > 0) return FLIN_NEED_MORE;
    return end_control_frame(state, state->buffer + state->size, state->control_size, event);
}

/* Consume payload of the current data frame. */
static flin_status read_data(flin_message_state *state, uint8_t **cursor, const uint8_t *end,
                             const flin_message_limits *limits, flin_message_event *event) {
    size_t available = (size_t)(end - *cursor);
    size_t taken = available < state->remaining ? available : (size_t)state->remaining;
    uint8_t *source = *cursor;
    *cursor += taken;
    bool fin = (state->flags & FIN) != 0;
    flin_status status;
    if (fin && state->size == 0 && taken == state->remaining) {
        /* The whole message lies here: no copy. */
        status = take_payload(state, source, taken);
        if (status != FLIN_OK) return status;
        return end_data_frame(state, taken > 0 ? source : NULL, taken, event);
    }
    if (taken > 0) {
        size_t ceiling = fin ? state->size + (size_t)state->remaining : limits->message_bytes_max;
        if (!reserve(state, state->size + taken, ceiling)) return FLIN_ERR_NO_MEMORY;
        uint8_t *tail = state->buffer + state->size;
        memcpy(tail, source, taken);
        state->size += taken;
        status = take_payload(state, tail, taken);
        if (status != FLIN_OK) return status;
    }
    if (state->remaining > 0) return FLIN_NEED_MORE;
    return end_data_frame(state, state->buffer, state->size, event);
}

flin_status flin_message_next(flin_message_state *state, uint8_t **cursor, uint8_t *end,
                              const flin_message_limits *limits, flin_message_event *event) {
    if (state->fault != FLIN_OK) return (flin_status)state->fault;
    if (state->flags & HANDED_OUT) release_event(state);
    if (state->flags & CLOSED) {
        *cursor = end;
        return FLIN_NEED_MORE;
    }
    while (*cursor != end) {
        flin_status status;
        if (!(state->flags & IN_FRAME)) {
            status = read_header(state, cursor, end, limits);
            if (status == FLIN_NEED_MORE) return status;
            if (status != FLIN_OK) return fail(state, status);
        }
        status = is_control(state->frame_opcode) ? read_control(state, cursor, end, event)
                                                 : read_data(state, cursor, end, limits, event);
        if (status == FLIN_OK) return status;
        if (status != FLIN_NEED_MORE) return fail(state, status);
    }
    return FLIN_NEED_MORE;
}

size_t flin_message_room(flin_message_state *state, uint8_t **room) {
    *room = NULL;
    if (state->fault != FLIN_OK || !(state->flags & IN_FRAME) || is_control(state->frame_opcode) ||
        state->size == 0) {
        return 0;
    }
    size_t size = state->capacity - state->size;
    if (size < state->remaining && size < state->size) {
        /* Without memory for more, what is there still serves. */
        (void)grow(state, state->size, state->size + (size_t)state->remaining);
        size = state->capacity - state->size;
    }
    if (size == 0) return 0;
    if (size > state->remaining) size = (size_t)state->remaining;
    *room = state->buffer + state->size;
    return size;
}

flin_status flin_message_commit(flin_message_state *state, size_t size, flin_message_event *event) {
    if (state->fault != FLIN_OK) return (flin_status)state->fault;
    if (size == 0) return FLIN_NEED_MORE;
    uint8_t *tail = state->buffer + state->size;
    state->size += size;
    flin_status status = take_payload(state, tail, size);
    if (status == FLIN_OK) {
        if (state->remaining > 0) return FLIN_NEED_MORE;
        status = end_data_frame(state, state->buffer, state->size, event);
    }
    return status == FLIN_OK || status == FLIN_NEED_MORE ? status : fail(state, status);
}

uint8_t *flin_message_take(flin_message_state *state, const flin_message_event *event,
                           size_t *capacity) {
    uint8_t *taken = state->buffer;
    if (!(state->flags & HANDED_OUT) || state->message_opcode != 0 || event->data != taken) {
        return NULL;
    }
    *capacity = state->capacity;
    state->buffer = NULL;
    state->size = 0;
    state->capacity = 0;
    return taken;
}
