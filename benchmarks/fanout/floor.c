/* The floor: what the kernel costs a fan-out server, and nothing else.
 *
 * Speaks just enough of Event Protocol 1 to be driven by the same generator: a
 * canned Welcome, then for each message one `recv`, one `send` to every other
 * member and the Ack to its author. No queue, no check, no limit, no history.
 *
 * With --batched: one `send` per member and turn of the loop, as the server under
 * test writes. That is the floor for the rows where messages come in bunches.
 *
 * Sends block: its only peer is the generator, which never stops reading.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOGIN = 1, MESSAGE = 2, ACK = 4, WELCOME = 8, HEADER = 16, UNCOUNTED = 4, ACK_SIZE = HEADER + 8 };
enum { INPUT_ROOM = 256 * 1024, MAX_MEMBERS = 32768 };

struct member {
    int fd;
    bool wrote; /* in this turn */
    size_t name_size, held;
    char name[32];
    uint8_t *input;
};

struct entry { /* one message of this turn */
    struct member *author;
    uint64_t seq, position;
    size_t start, end; /* in `turn` */
};

static struct member *members[MAX_MEMBERS];
static unsigned member_count;
static uint64_t position;
static bool batched;

static uint8_t *turn;
static size_t turn_size, turn_room;
static struct entry *entries;
static size_t entry_count, entry_room;

static void check(bool good, const char *what)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

static void put_u32(uint8_t *at, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(at, &value, 4);
}

static void put_u64(uint8_t *at, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(at, &value, 8);
}

static uint32_t get_u32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return __builtin_bswap32(value);
}

static uint64_t get_u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, 8);
    return __builtin_bswap64(value);
}

static void send_all(struct member *member, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t took = send(member->fd, data, size, MSG_NOSIGNAL);
        if (took < 0)
            return; /* gone: its end of file comes next */
        data += took;
        size -= (size_t)took;
    }
}

static size_t put_header(uint8_t *frame, uint8_t type, uint64_t seq, size_t size)
{
    memset(frame, 0, HEADER);
    put_u32(frame, (uint32_t)(size - UNCOUNTED));
    frame[4] = 1;
    frame[5] = type;
    put_u64(frame + 8, seq);
    return size;
}

static size_t put_ack(uint8_t *frame, uint64_t seq, uint64_t at)
{
    put_header(frame, ACK, seq, ACK_SIZE);
    put_u64(frame + HEADER, at);
    return ACK_SIZE;
}

static void welcome(struct member *member, const uint8_t *frame)
{
    uint8_t reply[128] = {0};
    size_t size = HEADER + 1 + frame[HEADER] + 8 + 8 + 4 + 2 + 1;
    member->name_size = frame[HEADER];
    memcpy(member->name, frame + HEADER + 1, member->name_size);
    put_header(reply, WELCOME, get_u64(frame + 8), size);
    memcpy(reply + HEADER, frame + HEADER, 1 + member->name_size);
    uint8_t *rest = reply + HEADER + 1 + member->name_size;
    put_u64(rest, 1);
    put_u64(rest + 8, position);
    put_u32(rest + 16, 65536);
    send_all(member, reply, size);
}

/* Append the fact for one request to this turn. */
static void enter(struct member *author, const uint8_t *frame, size_t size)
{
    size_t fact = size + author->name_size;
    if (turn_size + fact > turn_room)
        check((turn = realloc(turn, turn_room = 2 * (turn_size + fact))) != NULL, "realloc");
    if (entry_count == entry_room) {
        entry_room = 2 * entry_room + 64;
        check((entries = realloc(entries, entry_room * sizeof *entries)) != NULL, "realloc");
    }
    uint8_t *at = turn + turn_size;
    put_header(at, MESSAGE, ++position, fact);
    at[HEADER] = (uint8_t)author->name_size;
    memcpy(at + HEADER + 1, author->name, author->name_size);
    memcpy(at + HEADER + 1 + author->name_size, frame + HEADER + 1, size - HEADER - 1);
    entries[entry_count++] = (struct entry){author, get_u64(frame + 8), position, turn_size, turn_size + fact};
    turn_size += fact;
    author->wrote = true;
}

/* What an author gets of this turn: others' facts, an Ack in the place of its own. */
static void send_to_author(struct member *member)
{
    static uint8_t *own;
    static size_t room;
    size_t size = 0, most = turn_size + entry_count * ACK_SIZE;
    if (most > room)
        check((own = realloc(own, room = 2 * most)) != NULL, "realloc");
    for (size_t i = 0; i < entry_count; i++) {
        struct entry *entry = &entries[i];
        if (entry->author == member) {
            size += put_ack(own + size, entry->seq, entry->position);
        } else {
            memcpy(own + size, turn + entry->start, entry->end - entry->start);
            size += entry->end - entry->start;
        }
    }
    send_all(member, own, size);
    member->wrote = false;
}

static void flush_turn(void)
{
    if (entry_count == 0)
        return;
    for (unsigned i = 0; i < member_count; i++)
        if (members[i]->wrote)
            send_to_author(members[i]);
        else
            send_all(members[i], turn, turn_size);
    turn_size = entry_count = 0;
}

static void handle(struct member *member, const uint8_t *frame, size_t size)
{
    if (frame[5] == LOGIN)
        welcome(member, frame);
    if (frame[5] == MESSAGE) {
        enter(member, frame, size);
        if (!batched)
            flush_turn();
    }
}

static void leave(struct member *member)
{
    for (unsigned i = 0; i < member_count; i++)
        if (members[i] == member)
            members[i] = members[--member_count];
    close(member->fd);
    free(member->input);
    free(member);
}

static void receive(struct member *member)
{
    ssize_t came = recv(member->fd, member->input + member->held, INPUT_ROOM - member->held, 0);
    if (came <= 0) {
        flush_turn(); /* its entries name it */
        leave(member);
        return;
    }
    size_t size = member->held + (size_t)came, taken = 0;
    while (size - taken >= HEADER) {
        size_t frame = UNCOUNTED + get_u32(member->input + taken);
        if (size - taken < frame)
            break;
        handle(member, member->input + taken, frame);
        taken += frame;
    }
    member->held = size - taken;
    memmove(member->input, member->input + taken, member->held);
}

static void come_in(int poller, int listener)
{
    int one = 1;
    struct member *member = calloc(1, sizeof *member);
    check(member != NULL && (member->input = malloc(INPUT_ROOM)) != NULL, "malloc");
    check(member_count < MAX_MEMBERS, "members");
    check((member->fd = accept(listener, NULL, NULL)) >= 0, "accept");
    setsockopt(member->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    members[member_count++] = member;
    struct epoll_event interest = {.events = EPOLLIN, .data.ptr = member};
    check(epoll_ctl(poller, EPOLL_CTL_ADD, member->fd, &interest) == 0, "epoll_ctl");
}

static int listen_on(uint16_t port)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in address = {AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {0}};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    check(bind(listener, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    check(listen(listener, 1024) == 0, "listen");
    printf("listening on localhost:%u\n", port);
    fflush(stdout);
    return listener;
}

int main(int count, char **arguments)
{
    if (count < 2) {
        fputs("usage: floor PORT [--batched]\n", stderr);
        return 2;
    }
    batched = count > 2 && strcmp(arguments[2], "--batched") == 0;
    int poller = epoll_create1(0), listener = listen_on((uint16_t)atoi(arguments[1]));
    struct epoll_event interest = {.events = EPOLLIN, .data.ptr = NULL}, events[512];
    check(epoll_ctl(poller, EPOLL_CTL_ADD, listener, &interest) == 0, "epoll_ctl");
    for (;;) {
        int ready = epoll_wait(poller, events, 512, -1);
        check(ready >= 0 || errno == EINTR, "epoll_wait");
        for (int i = 0; i < ready; i++)
            if (events[i].data.ptr == NULL)
                come_in(poller, listener);
            else
                receive(events[i].data.ptr);
        flush_turn();
    }
}
