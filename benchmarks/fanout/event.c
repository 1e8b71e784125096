/* Event Protocol 1, read by its own knowledge of the layout.
 *
 * Nothing is taken from the implementation under test: a server that is fast
 * because it is wrong must not get past this file. Each member's log positions
 * must rise by one, a fact or the acknowledgement of an own message each.
 */
#include "loadgen.h"

#include <stdio.h>
#include <string.h>

enum { LOGIN = 1, MESSAGE = 2, ACK = 4, ERROR = 5, PING = 6, PONG = 7, WELCOME = 8, JOINED = 9, LEFT = 10 };
enum { HEADER = 16, UNCOUNTED = 4 };

static uint64_t big_endian(const uint8_t *at, int size)
{
    uint64_t value = 0;
    for (int i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

static uint64_t u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, 8);
    return __builtin_bswap64(value);
}

static uint32_t u32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return __builtin_bswap32(value);
}

static void queue_frame(struct member *member, uint8_t type, uint64_t seq, const void *body, size_t size)
{
    uint8_t header[HEADER] = {0};
    uint32_t length = __builtin_bswap32((uint32_t)(HEADER - UNCOUNTED + size));
    seq = __builtin_bswap64(seq);
    memcpy(header, &length, 4);
    header[4] = 1;
    header[5] = type;
    memcpy(header + 8, &seq, 8);
    queue(member, header, HEADER);
    queue(member, body, size);
}

static void greet(struct member *member)
{
    uint8_t body[64] = {0};
    int name = snprintf((char *)body + 1, 32, "%c%u", member->publisher ? 'p' : 's', member->index);
    body[0] = (uint8_t)name;
    queue_frame(member, LOGIN, 1, body, 1 + (size_t)name + 2 + 8 + 8);
}

static void publish(struct member *member, const uint8_t *content)
{
    uint8_t body[1 + run.size];
    body[0] = 0;
    memcpy(body + 1, content, run.size);
    queue_frame(member, MESSAGE, 2 + member->sent, body, sizeof body);
}

static void advance(struct member *member, uint64_t position)
{
    if (position != member->position + 1)
        fail("member %u: position %lu follows %lu", member->index, position, member->position);
    member->position = position;
}

static void take_message(struct member *member, const uint8_t *frame, size_t size)
{
    size_t sender = frame[HEADER];
    if (size != HEADER + 1 + sender + run.size || sender == 0)
        fail("member %u: a message of %zu bytes", member->index, size);
    advance(member, u64(frame + 8));
    delivered(member, frame + HEADER + 1 + sender);
}

static void take_ack(struct member *member, const uint8_t *frame)
{
    if (u64(frame + 8) != 2 + member->acknowledged)
        fail("member %u: an acknowledgement out of order", member->index);
    advance(member, u64(frame + HEADER));
    acknowledged(member);
}

static void take_welcome(struct member *member, const uint8_t *frame)
{
    member->position = u64(frame + HEADER + 1 + frame[HEADER] + 8);
    became_ready(member);
}

static void take_frame(struct member *member, const uint8_t *frame, size_t size)
{
    switch (frame[5]) {
    case MESSAGE: take_message(member, frame, size); break;
    case ACK: take_ack(member, frame); break;
    case JOINED:
    case LEFT: advance(member, u64(frame + 8)); break;
    case WELCOME: take_welcome(member, frame); break;
    case PING: queue_frame(member, PONG, u64(frame + 8), NULL, 0); break;
    case ERROR: fail("member %u: error %lu from the server", member->index, big_endian(frame + HEADER, 2));
    default: fail("member %u: a frame of type %u", member->index, frame[5]);
    }
}

static size_t take(struct member *member, const uint8_t *data, size_t size)
{
    size_t taken = 0;
    while (size - taken >= HEADER) {
        size_t frame = UNCOUNTED + u32(data + taken);
        if (size - taken < frame)
            break;
        take_frame(member, data + taken, frame);
        taken += frame;
    }
    return taken;
}

const struct protocol event_protocol = {"event", greet, publish, take};
