# Declarations of csrc/flin_hub.h and what it includes, as far as hub.pyx uses them.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "<stdbool.h>":
    ctypedef bint c_bool "bool"

cdef extern from "<sys/uio.h>":
    cdef struct iovec:
        void *iov_base
        size_t iov_len

cdef extern from "flin_frame.h":
    ctypedef enum flin_role:
        FLIN_ROLE_CLIENT
    enum:
        FLIN_OPCODE_TEXT
        FLIN_OPCODE_BINARY
        FLIN_FRAME_CLOSE_REASON_MAX
    c_bool flin_frame_close_code_is_valid(uint16_t code) nogil

cdef extern from "flin_handshake.h":
    enum:
        FLIN_HANDSHAKE_KEY_SIZE
        FLIN_HANDSHAKE_ACCEPT_SIZE
    c_bool flin_handshake_key_is_valid(const uint8_t *key)
    void flin_handshake_accept(const uint8_t *key, uint8_t *accept)
    size_t flin_handshake_find_key(const uint8_t *data, size_t size, size_t *end)
    c_bool flin_handshake_repeats(const uint8_t *data, size_t size, const uint8_t *rest,
                                  size_t rest_size, size_t at)

cdef extern from "flin_utf8.h":
    c_bool flin_utf8_is_valid(const uint8_t *data, size_t size) nogil

cdef extern from "flin_status.h":
    ctypedef enum flin_status:
        FLIN_ERR_NO_MEMORY
        FLIN_ERR_INFLATE
        FLIN_ERR_MESSAGE_SIZE
        FLIN_ERR_UTF8

cdef extern from "flin_hash.h":
    ctypedef struct flin_hash_key:
        uint64_t k0
        uint64_t k1
    void flin_hash_strong(const flin_hash_key *key, const void *data, size_t size, uint8_t *out)

cdef extern from "flin_message.h":
    enum:
        FLIN_MESSAGE_EMPTY_FRAGMENTS_MAX
    ctypedef struct flin_message_limits:
        size_t message_bytes_max
        uint32_t empty_fragments_max
        flin_role sender
        c_bool allow_rsv1
    ctypedef struct flin_message_event:
        uint8_t *data
        size_t size
        uint16_t close_code
        uint8_t opcode
        c_bool rsv1

cdef extern from "flin_hub.h":
    enum:
        FLIN_RECEIVE_SIZE
        FLIN_OUTPUT_VECTOR_MAX
        FLIN_CHUNK_COUNT
        FLIN_CONN_FREE
        FLIN_CONN_OPEN
        FLIN_CONN_DEFLATE
        FLIN_CONN_TRANSPORT
        FLIN_CONN_FINISHED
        FLIN_INTEREST_READ
        FLIN_CLASS_PLAIN
        FLIN_CLASS_DEFLATE
        FLIN_LOG_IDLE
        FLIN_LOG_OPEN

    ctypedef enum flin_compression:
        FLIN_COMPRESSION_NONE
        FLIN_COMPRESSION_BOTH
        FLIN_COMPRESSION_RECEIVE

    ctypedef enum flin_effect_kind:
        FLIN_EFFECT_ROOM
        FLIN_EFFECT_UNION
        FLIN_EFFECT_ALL
        FLIN_EFFECT_JOIN
        FLIN_EFFECT_LEAVE

    ctypedef struct flin_buffer:
        pass
    ctypedef struct flin_buffer_pool:
        size_t retained_bytes
    void flin_buffer_release(flin_buffer_pool *pool, flin_buffer *buffer)
    ctypedef struct flin_room:
        flin_member *members
        uint32_t count
        uint32_t class_count[2]
        uint32_t refs
        uint32_t name_size
        char *name
    ctypedef struct flin_member:
        uint32_t slot
    ctypedef struct flin_membership:
        flin_room *room
        uint32_t sequence
    ctypedef struct flin_endpoint:
        flin_message_limits limits[2]
        flin_room *room
        uint32_t queue_soft
        uint32_t queue_hard
        uint32_t stall_ms
        c_bool is_implicit
    ctypedef struct flin_conn_extra:
        uint8_t reason_size
        char *reason
    ctypedef struct flin_conn:
        int fd
        uint32_t slot
        uint32_t flags
        uint8_t state
        uint8_t interest
        uint16_t segment_count
        uint16_t close_code
        flin_endpoint *endpoint
        flin_membership *memberships
        uint32_t membership_count
        void *user
        flin_conn_extra *extra
        uint32_t messages_in
    ctypedef struct flin_slab:
        uint32_t chunk_count
        uint32_t used_count
    ctypedef struct flin_room_table:
        uint32_t occupied_count
    ctypedef struct flin_log:
        flin_conn *current
        uint8_t state
    ctypedef struct flin_stats:
        uint64_t opened, closed, messages_in, messages_out, bytes_in, bytes_out, deliveries
        uint64_t dropped, slow_closed, pings, timeouts, protocol_errors
    ctypedef struct flin_callbacks:
        c_bool (*message)(void *user, flin_conn *conn, flin_message_event *event) noexcept
        c_bool (*closed)(void *user, flin_conn *conn) noexcept
        void (*detach)(void *user, flin_conn *conn, c_bool reset) noexcept
        void (*freed)(void *user, flin_conn *conn) noexcept
    ctypedef struct flin_channel:
        int fd
        uint8_t state
        uint8_t interest
        uint16_t port
        uint16_t family
        uint8_t *address
        void *user
    ctypedef struct flin_channel_callbacks:
        void (*first)(void *user, uint64_t id, uint8_t *data, size_t size) noexcept
        void (*received)(void *user, void *channel_user, uint8_t *data, size_t size) noexcept
        void (*writable)(void *user, void *channel_user) noexcept
        void (*lost)(void *user, void *channel_user, int error) noexcept
        void (*accept_failed)(void *user, int error) noexcept
    ctypedef struct flin_channel_table:
        uint32_t fresh_count
        uint32_t used_count
    ctypedef struct flin_hub_options:
        flin_hash_key key
        uint32_t heartbeat_ms
        uint32_t timeout_ms
        uint32_t close_ms
        uint32_t rooms_max
        size_t retained_max
    ctypedef struct flin_hub:
        flin_slab slab
        flin_buffer_pool pool
        flin_room_table rooms
        flin_room *all
        flin_log log
        uint32_t now_ms
        flin_hub_options options
        flin_stats stats
        uint64_t backlog_bytes
        uint8_t *receive
        flin_channel_table channels
    ctypedef struct flin_payload:
        const uint8_t *data
        size_t size
        const uint8_t *twin
        size_t twin_size
        flin_buffer *shared
        uint8_t opcode
        c_bool is_volatile

    c_bool flin_hub_init(flin_hub *hub, const flin_hub_options *options,
                         const flin_callbacks *callbacks, void *user)
    void flin_hub_free(flin_hub *hub)
    int flin_hub_visit_users(const flin_hub *hub, int (*visit)(void *user, void *context) noexcept,
                             void *context) noexcept
    void flin_hub_abandon(flin_hub *hub, void (*drop_channel)(void *channel_user) noexcept)
    c_bool flin_endpoint_bind(flin_endpoint *endpoint)
    void flin_endpoint_unbind(flin_hub *hub, flin_endpoint *endpoint)
    flin_conn *flin_hub_open(flin_hub *hub, flin_endpoint *endpoint, void *user,
                             flin_compression compression)
    void flin_conn_handler_done(flin_hub *hub, flin_conn *conn)
    c_bool flin_hub_has_work(const flin_hub *hub)
    void flin_hub_flush(flin_hub *hub) nogil
    flin_conn *flin_hub_next_transport(flin_hub *hub)
    void flin_conn_flushed(flin_hub *hub, flin_conn *conn, c_bool is_stalled, size_t outside)
    void flin_conn_feed(flin_hub *hub, flin_conn *conn, uint8_t *data, size_t size)
    void flin_conn_feed_end(flin_hub *hub, flin_conn *conn)
    void flin_conn_close(flin_hub *hub, flin_conn *conn, uint16_t code, const char *reason,
                         size_t reason_size)
    void flin_conn_fail(flin_hub *hub, flin_conn *conn, flin_status status)
    void flin_conn_lost(flin_hub *hub, flin_conn *conn, c_bool reset)
    void flin_hub_reap(flin_hub *hub)
    void flin_hub_sweep(flin_hub *hub)
    flin_buffer *flin_conn_take_message(flin_hub *hub, flin_conn *conn,
                                        const flin_message_event *event)
    flin_conn *flin_slab_at(const flin_slab *slab, uint32_t slot)
    flin_conn *flin_slab_find(const flin_slab *slab, uint64_t number)
    uint64_t flin_conn_id(const flin_conn *conn)
    c_bool flin_output_append_raw(flin_hub *hub, flin_conn *conn, const uint8_t *data, size_t size)
    void flin_output_mark_dirty(flin_hub *hub, flin_conn *conn)
    size_t flin_output_size(const flin_conn *conn)
    unsigned flin_output_peek(const flin_conn *conn, iovec *vectors, unsigned count, size_t *total)
    void flin_output_consume(flin_hub *hub, flin_conn *conn, size_t size)
    flin_room *flin_room_find(const flin_room_table *table, const char *name, size_t name_size)
    flin_room *flin_room_need(flin_room_table *table, const char *name, size_t name_size)
    void flin_room_release_if_idle(flin_room_table *table, flin_room *room)
    uint32_t flin_conn_messages_out(const flin_hub *hub, const flin_conn *conn)
    flin_membership *flin_room_membership(const flin_conn *conn, const flin_room *room)
    c_bool flin_log_begin(flin_hub *hub, flin_conn *current)
    void flin_log_commit(flin_hub *hub)
    void flin_log_rollback(flin_hub *hub)
    flin_log *flin_log_hold(flin_hub *hub)
    void flin_log_release(flin_hub *hub, flin_log *log)
    void flin_log_discard(flin_hub *hub, flin_log *log)
    c_bool flin_log_send(flin_hub *hub, const flin_conn *conn, const flin_payload *payload)
    c_bool flin_log_publish(flin_hub *hub, flin_effect_kind kind, flin_room *room,
                            const flin_conn *excluded, const flin_payload *payload)
    c_bool flin_log_membership(flin_hub *hub, flin_effect_kind kind, const flin_conn *conn,
                               flin_room *room)
    c_bool flin_log_close(flin_hub *hub, const flin_conn *conn, uint16_t code, const char *reason,
                          size_t reason_size)
    c_bool flin_log_has_pending(const flin_hub *hub, const flin_conn *conn)
    c_bool flin_log_is_member(const flin_hub *hub, const flin_conn *conn, const flin_room *room)
    uint32_t flin_log_room_count(const flin_hub *hub, const flin_conn *conn)
    ctypedef void (*flin_log_visitor)(void *context, const flin_room *room, c_bool is_join) noexcept
    void flin_log_visit(const flin_hub *hub, const flin_conn *conn, flin_log_visitor visitor,
                        void *context)

    enum:
        FLIN_INTEREST_WRITE
        FLIN_CHANNEL_OPEN
    int flin_channel_listen(flin_hub *hub, int fd, const flin_channel_callbacks *callbacks)
    void flin_channel_unlisten(flin_hub *hub, int fd)
    flin_channel *flin_channel_find(const flin_hub *hub, uint64_t id)
    void flin_channel_attach(flin_hub *hub, uint64_t id, void *user)
    int flin_channel_watch(flin_hub *hub, uint64_t id, uint8_t interest)
    flin_conn *flin_channel_upgrade(flin_hub *hub, uint64_t id, flin_endpoint *endpoint,
                                    void *user, flin_compression compression)
    void flin_channel_close(flin_hub *hub, uint64_t id, c_bool reset)
    void flin_channel_sweep(flin_hub *hub, uint32_t fresh_ms)
    void flin_channel_close_fresh(flin_hub *hub)

cdef extern from "flin_reactor.h":
    enum:
        FLIN_WAKE_NS
    int flin_reactor_start(flin_hub *hub)
    flin_conn *flin_reactor_open(flin_hub *hub, flin_endpoint *endpoint, void *user,
                                 flin_compression compression, int fd)
    unsigned flin_reactor_poll(flin_hub *hub)
    void flin_reactor_write_reply(flin_hub *hub, flin_conn *conn)
    void flin_socket_shut(int fd)
    uint64_t flin_clock_ns()

cdef extern from "flin_reply.h":
    unsigned flin_reply_repeats(const uint8_t *data, size_t size, const uint8_t *known,
                                size_t known_size, unsigned count_max)
    size_t flin_reply_write(uint8_t *out, size_t room, const uint8_t *start, size_t start_size,
                            const uint8_t *body, size_t body_size)
