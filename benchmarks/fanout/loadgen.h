/* What the load generator and its protocols share.
 *
 * A member is one connection, whatever the protocol. A protocol knows bytes
 * and nothing else: it greets, writes one message, and reads what came. The
 * loop in loadgen.c owns the sockets, the clock and the figures.
 */
#ifndef LOADGEN_H
#define LOADGEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TOPIC "r"
#define STAMP_SIZE 16 /* a send time in hexadecimal opens every content */

struct member {
    int fd;
    unsigned index;
    bool publisher;
    bool greeted;         /* the protocol's first bytes are queued */
    bool ready;           /* logged in or subscribed */
    void *tls;            /* its session, with --tls */
    bool wants_write;     /* the socket took less than we had */
    unsigned outstanding; /* messages without their acknowledgement */
    uint64_t sent;
    uint64_t acknowledged;
    uint64_t received;
    uint64_t bytes;
    uint64_t position; /* Event Protocol: the last log entry seen */
    uint8_t *held;     /* the beginning of a frame whose end has not come */
    size_t held_size, held_room;
    uint8_t *out;
    size_t out_start, out_end, out_room;
};

struct protocol {
    const char *name;
    /* Called once the connection stands. */
    void (*greet)(struct member *member);
    /* Queue one message; `content` has run.size bytes. */
    void (*publish)(struct member *member, const uint8_t *content);
    /* Take the whole frames out of `data`; the number of bytes taken. */
    size_t (*take)(struct member *member, const uint8_t *data, size_t size);
};

struct run {
    const struct protocol *protocol;
    unsigned subscribers, publishers, window;
    size_t size;
};

extern struct run run;
extern const struct protocol event_protocol, redis_protocol, mqtt_protocol, nats_protocol;

/* tls.c. Read and write return -1 with EAGAIN where nothing moves now, and fail otherwise. */
void *tls_connect(int fd);
int tls_handshake(void *session); /* 1: done, 0: not yet, -1: failed */
ssize_t tls_read(void *session, void *data, size_t size);
ssize_t tls_write(void *session, const void *data, size_t size);

/* The loop's side of the bargain, for the protocols to call. */
void queue(struct member *member, const void *data, size_t size);
void became_ready(struct member *member);
void delivered(struct member *member, const uint8_t *content);
void acknowledged(struct member *member);
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
