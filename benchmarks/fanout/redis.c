/* RESP 2: SUBSCRIBE for the subscribers, pipelined PUBLISH for the publishers.
 *
 * The reply to PUBLISH, the number of receivers, is the acknowledgement. All
 * messages of a run have one shape, so a push is known by its first bytes.
 */
#include "loadgen.h"

#include <stdio.h>
#include <string.h>

#define SUBSCRIBE "*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\n" TOPIC "\r\n"
#define SUBSCRIBED "*3\r\n$9\r\nsubscribe\r\n$1\r\n" TOPIC "\r\n:1\r\n"

static void greet(struct member *member)
{
    if (member->publisher)
        became_ready(member);
    else
        queue(member, SUBSCRIBE, sizeof SUBSCRIBE - 1);
}

static void publish(struct member *member, const uint8_t *content)
{
    char head[64];
    int size = snprintf(head, sizeof head, "*3\r\n$7\r\nPUBLISH\r\n$1\r\n" TOPIC "\r\n$%zu\r\n", run.size);
    queue(member, head, (size_t)size);
    queue(member, content, run.size);
    queue(member, "\r\n", 2);
}

static size_t take_replies(struct member *member, const uint8_t *data, size_t size)
{
    static char reply[16];
    static size_t whole;
    if (whole == 0)
        whole = (size_t)snprintf(reply, sizeof reply, ":%u\r\n", run.subscribers);
    size_t taken = 0;
    const uint8_t *end;
    while ((end = memchr(data + taken, '\n', size - taken)) != NULL) {
        if (end - data + 1 - (ptrdiff_t)taken != (ptrdiff_t)whole || memcmp(data + taken, reply, whole) != 0)
            fail("member %u: not the reply of a PUBLISH to %u", member->index, run.subscribers);
        acknowledged(member);
        taken = (size_t)(end - data) + 1;
    }
    return taken;
}

static size_t take_pushes(struct member *member, const uint8_t *data, size_t size)
{
    static char push[64];
    static size_t head;
    if (head == 0)
        head = (size_t)snprintf(push, sizeof push, "*3\r\n$7\r\nmessage\r\n$1\r\n" TOPIC "\r\n$%zu\r\n", run.size);
    size_t taken = 0, whole = head + run.size + 2;
    if (!member->ready) {
        if (size < sizeof SUBSCRIBED - 1)
            return 0;
        if (memcmp(data, SUBSCRIBED, sizeof SUBSCRIBED - 1) != 0)
            fail("member %u: not subscribed", member->index);
        became_ready(member);
        taken = sizeof SUBSCRIBED - 1;
    }
    for (; size - taken >= whole; taken += whole) {
        if (memcmp(data + taken, push, head) != 0)
            fail("member %u: not a message", member->index);
        delivered(member, data + taken + head);
    }
    return taken;
}

static size_t take(struct member *member, const uint8_t *data, size_t size)
{
    return member->publisher ? take_replies(member, data, size) : take_pushes(member, data, size);
}

const struct protocol redis_protocol = {"redis", greet, publish, take};
