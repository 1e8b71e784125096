/* MQTT 3.1.1: subscribers at QoS 0, publishers at QoS 1.
 *
 * The PUBACK is the acknowledgement; what goes out to the subscribers needs
 * none. That is the nearest to a window of acknowledged messages.
 */
#include "loadgen.h"

#include <stdio.h>
#include <string.h>

enum { CONNECT = 0x10, CONNACK = 0x20, PUBLISH = 0x30, PUBACK = 0x40, SUBSCRIBE = 0x82, SUBACK = 0x90 };
enum { QOS_1 = 0x02, TOPIC_SIZE = 2 + sizeof TOPIC - 1 };

static void queue_packet(struct member *member, uint8_t type, const void *body, size_t size)
{
    uint8_t head[5] = {type};
    size_t used = 1;
    for (size_t left = size; used == 1 || left; left >>= 7)
        head[used++] = (uint8_t)((left & 127) | (left >> 7 ? 128 : 0));
    queue(member, head, used);
    queue(member, body, size);
}

static void greet(struct member *member)
{
    uint8_t body[32] = {0, 4, 'M', 'Q', 'T', 'T', 4, 0x02 /* clean session */, 0, 0 /* no keep-alive */};
    int name = snprintf((char *)body + 12, 16, "c%u", member->index);
    body[11] = (uint8_t)name;
    queue_packet(member, CONNECT, body, 12 + (size_t)name);
}

static void subscribe(struct member *member)
{
    uint8_t body[] = {0, 1, 0, sizeof TOPIC - 1, TOPIC[0], 0};
    queue_packet(member, SUBSCRIBE, body, sizeof body);
}

static void publish(struct member *member, const uint8_t *content)
{
    uint8_t body[TOPIC_SIZE + 2 + run.size];
    unsigned id = (unsigned)(member->sent % 65535) + 1;
    memcpy(body, (uint8_t[]){0, sizeof TOPIC - 1, TOPIC[0], (uint8_t)(id >> 8), (uint8_t)id}, TOPIC_SIZE + 2);
    memcpy(body + TOPIC_SIZE + 2, content, run.size);
    queue_packet(member, PUBLISH | QOS_1, body, sizeof body);
}

static void take_packet(struct member *member, uint8_t type, const uint8_t *body, size_t size)
{
    if (type == PUBLISH && size == TOPIC_SIZE + run.size)
        delivered(member, body + TOPIC_SIZE);
    else if (type == PUBACK)
        acknowledged(member);
    else if (type == CONNACK && body[1] == 0 && !member->publisher)
        subscribe(member);
    else if (type == SUBACK || (type == CONNACK && body[1] == 0))
        became_ready(member);
    else
        fail("member %u: a packet of type %#x", member->index, type);
}

static size_t take(struct member *member, const uint8_t *data, size_t size)
{
    size_t taken = 0;
    for (;;) {
        size_t at = taken + 1, length = 0;
        for (int shift = 0;; shift += 7) {
            if (at >= size)
                return taken;
            length |= (size_t)(data[at] & 127) << shift;
            if (!(data[at++] & 128))
                break;
        }
        if (size - at < length)
            return taken;
        take_packet(member, data[taken], data + at, length);
        taken = at + length;
    }
}

const struct protocol mqtt_protocol = {"mqtt", greet, publish, take};
