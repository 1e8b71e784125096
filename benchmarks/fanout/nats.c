/* NATS core: plain SUB for the subscribers, PUB in verbose mode for the publishers.
 *
 * Verbose mode answers every PUB with +OK, which is the acknowledgement.
 */
#include "loadgen.h"

#include <stdio.h>
#include <string.h>

#define LISTEN "CONNECT {\"verbose\":false}\r\nSUB " TOPIC " 1\r\nPING\r\n"
#define SPEAK "CONNECT {\"verbose\":true}\r\nPING\r\n"

static void greet(struct member *member)
{
    if (member->publisher)
        queue(member, SPEAK, sizeof SPEAK - 1);
    else
        queue(member, LISTEN, sizeof LISTEN - 1);
}

static void publish(struct member *member, const uint8_t *content)
{
    char head[32];
    int size = snprintf(head, sizeof head, "PUB " TOPIC " %zu\r\n", run.size);
    queue(member, head, (size_t)size);
    queue(member, content, run.size);
    queue(member, "\r\n", 2);
}

static void take_line(struct member *member, const uint8_t *line)
{
    if (memcmp(line, "+OK", 3) == 0) {
        if (member->ready) /* before that it answers the CONNECT */
            acknowledged(member);
    } else if (memcmp(line, "PONG", 4) == 0)
        became_ready(member);
    else if (memcmp(line, "PING", 4) == 0)
        queue(member, "PONG\r\n", 6);
    else if (memcmp(line, "INFO", 4) != 0)
        fail("member %u: an unexpected line", member->index);
}

static size_t take(struct member *member, const uint8_t *data, size_t size)
{
    static char push[32];
    static size_t head;
    if (head == 0)
        head = (size_t)snprintf(push, sizeof push, "MSG " TOPIC " 1 %zu\r\n", run.size);
    size_t taken = 0, whole = head + run.size + 2;
    for (;;) {
        const uint8_t *at = data + taken;
        size_t left = size - taken;
        if (left >= 4 && memcmp(at, "MSG ", 4) == 0) {
            if (left < whole)
                return taken;
            if (memcmp(at, push, head) != 0)
                fail("member %u: not a message of this run", member->index);
            delivered(member, at + head);
            taken += whole;
            continue;
        }
        const uint8_t *end = left ? memchr(at, '\n', left) : NULL;
        if (end == NULL)
            return taken;
        take_line(member, at);
        taken = (size_t)(end - data) + 1;
    }
}

const struct protocol nats_protocol = {"nats", greet, publish, take};
