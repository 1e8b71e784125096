/* A client of Event Protocol 1 in C, for POSIX: cc -O2 -o client client.c && ./client HOST PORT
 *
 * It logs in as ann, tells each event that it sees as a line of JSON, and follows the orders that a member called kit
 * gives in the room. It does not resume. It waits for a server that does not read, which is well as long as it only
 * answers; who sends much uses poll(). EP-... are statements of the specification. */
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <netdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned char byte;
enum { LOGIN = 1, MESSAGE, LOGOUT, ACK, ERROR, PING, PONG, WELCOME, JOINED, LEFT, APPLICATION = 0x80 };
enum { MALFORMED = 1, FRAME_TOO_LARGE, UNSUPPORTED_VERSION, UNEXPECTED_EVENT = 5 };

/* Section 3. Layouts: an integer of 1 to 8 bytes, 's' short text, 'c' u16 length + bytes, 't' text and 'r' bytes to
 * the end of the body. */
struct field { const char *name; char layout; };
static const struct kind { const char *name; struct field fields[7]; } KINDS[] = {
    [0] = {"Unknown", {{"body", 'r'}}},
    [LOGIN] = {"Login", {{"user", 's'}, {"credential", 'c'}, {"ticket", 8}, {"position", 8}}},
    [MESSAGE] = {"Message", {{"sender", 's'}, {"content", 't'}}},
    [ACK] = {"Ack", {{"position", 8}}},
    [ERROR] = {"Error", {{"code", 2}, {"text", 's'}}},
    [LOGOUT] = {"Logout", {{0}}}, [PING] = {"Ping", {{0}}}, [PONG] = {"Pong", {{0}}},
    [WELCOME] = {"Welcome", {{"user", 's'}, {"ticket", 8}, {"position", 8}, {"max_frame", 4},
                             {"heartbeat", 2}, {"server", 's'}}},
    [JOINED] = {"Joined", {{"user", 's'}}},
    [LEFT] = {"Left", {{"user", 's'}, {"reason", 1}}},
    [LEFT + 1] = {"ApplicationEvent", {{"sender", 's'}, {"data", 'r'}}},
};
/* An event from the server: what is needed of its fields, and all that may be told as JSON. */
struct event { byte kind; uint64_t seq, code, position, max_frame; char *content, *json; bool from_kit; };
struct request { byte kind; uint64_t seq; struct request *next; };

static FILE *from_server, *to_server;
static struct request *waiting, **newest = &waiting; /* without a reply, the oldest first */
static uint64_t next_seq = 1, place, allowed = 4096, limit = 4096;
static bool member, logged_out;

static _Noreturn void end(const char *how, unsigned code) {
    printf("{\"event\": \"End\", \"how\": \"%s\", \"code\": %u}\n", how, code);
    exit(0); /* which closes the connection */
}
static _Noreturn void fault(unsigned code) { end("fault", code); } /* EP-4.2-12 */

static uint64_t number(const byte *at, size_t size) {
    uint64_t value = 0;
    while (size--) value = value << 8 | *at++;
    return value;
}
static void put_number(uint64_t value, int size) { while (size--) putc(value >> 8 * size & 0xFF, to_server); }
static void put(byte kind, uint64_t seq, const byte *body, size_t size) {
    put_number(12 + size, 4);
    put_number(1, 1), put_number(kind, 1), put_number(0, 2); /* version, type, reserved */
    put_number(seq, 8);
    if (size) fwrite(body, 1, size, to_server);
    fflush(to_server); /* a failure shows when reading */
}
static void ask(byte kind, const byte *body, size_t size) {
    if (12 + size > allowed) { puts("{\"event\": \"Refused\"}"); return; } /* EP-7.1-1, EP-7.1-2 */
    struct request *request = malloc(sizeof *request);
    *request = (struct request){kind, next_seq++, NULL};
    *newest = request, newest = &request->next;
    put(kind, request->seq, body, size);
}

static size_t character(const byte *at, size_t left, uint32_t *code) { /* its size; 0: no UTF-8 (EP-2.3-3) */
    size_t size = *at < 0x80 ? 1 : *at < 0xC2 ? 0 : *at < 0xE0 ? 2 : *at < 0xF0 ? 3 : *at < 0xF5 ? 4 : 0;
    if (!size || size > left) return 0;
    *code = size == 1 ? *at : *at & (0x7F >> size);
    for (size_t i = 1; i < size; i++) {
        if (at[i] >> 6 != 2) return 0;
        *code = *code << 6 | (at[i] & 0x3F);
    }
    bool is_overlong = *code < (uint32_t[]){0, 0, 0x80, 0x800, 0x10000}[size];
    return is_overlong || *code > 0x10FFFF || (*code >= 0xD800 && *code < 0xE000) ? 0 : size;
}
static void tell_text(FILE *json, const byte *at, size_t left) { /* in ASCII (EP-12-2) */
    putc('"', json);
    for (size_t size; left; at += size, left -= size) {
        uint32_t code;
        if (!(size = character(at, left, &code))) fault(MALFORMED);
        if (code >= 0x20 && code < 0x7F && code != '"' && code != '\\') putc((int)code, json);
        else if (code < 0x10000) fprintf(json, "\\u%04" PRIx32, code);
        else fprintf(json, "\\u%04" PRIx32 "\\u%04" PRIx32, 0xD7C0 + (code >> 10), 0xDC00 + (code & 0x3FF));
    }
    putc('"', json);
}
static void tell_hex(FILE *json, const byte *at, size_t left) {
    putc('"', json);
    for (; left; left--) fprintf(json, "%02x", *at++);
    putc('"', json);
}
static void decode(struct event *event, const byte *at, size_t left) {
    byte type = event->kind;
    const struct kind *kind = &KINDS[type >= APPLICATION ? LEFT + 1 : type > LEFT ? 0 : type];
    size_t json_size;
    FILE *json = open_memstream(&event->json, &json_size);
    fprintf(json, "{\"event\": \"%s\", \"seq\": \"%" PRIu64 "\", \"type\": %u", kind->name, event->seq, type);
    for (const struct field *field = kind->fields; field->name; field++) {
        size_t prefix = field->layout == 's' ? 1 : field->layout == 'c' ? 2 : 0;
        if (left < prefix) fault(MALFORMED); /* EP-2.4-3 */
        size_t size = prefix ? number(at, prefix) : field->layout <= 8 ? (size_t)field->layout : left;
        at += prefix, left -= prefix;
        if (left < size) fault(MALFORMED); /* EP-2.4-2 */
        uint64_t value = field->layout <= 8 ? number(at, size) : 0;
        if (!strcmp(field->name, "ticket")) { at += size, left -= size; continue; } /* a secret (EP-12-1) */
        fprintf(json, ", \"%s\": ", field->name);
        if (field->layout == 8) fprintf(json, "\"%" PRIu64 "\"", event->position = value); /* EP-2.3-7 */
        else if (field->layout == 4) fprintf(json, "%" PRIu64, event->max_frame = value);
        else if (field->layout == 2) fprintf(json, "%" PRIu64, event->code = value);
        else if (field->layout == 1) fprintf(json, "%" PRIu64, value > 2 ? 1 : value); /* EP-3.10-2 */
        else if (field->layout == 'r') tell_hex(json, at, size);
        else tell_text(json, at, size);
        if (!strcmp(field->name, "sender")) event->from_kit = size == 3 && !memcmp(at, "kit", 3);
        if (field->layout == 't') event->content = strndup((const char *)at, size);
        at += size, left -= size;
    }
    if (left) fault(MALFORMED); /* EP-2.4-4 */
    putc('}', json);
    fclose(json);
}

static void enter(uint64_t position) { /* EP-5.2-5, EP-5.2-6, EP-4.4-1 */
    if (!member || position != place + 1) fault(UNEXPECTED_EVENT);
    place = position;
}
static byte reply(const struct event *event) { /* the request's type; EP-4.2-10, EP-4.2-11 */
    struct request *request = waiting;
    if (!request || request->seq != event->seq) fault(UNEXPECTED_EVENT);
    byte asked = request->kind, fits = asked == LOGIN ? WELCOME : asked == PING ? PONG : ACK;
    if (event->kind != fits && event->kind != ERROR) fault(UNEXPECTED_EVENT);
    if (!(waiting = request->next)) newest = &waiting;
    free(request);
    if (event->kind == ACK && event->position) enter(event->position);
    if (event->kind == WELCOME)
        member = true, place = event->position, allowed = event->max_frame, limit = allowed + 255; /* EP-7.1-5 */
    return asked;
}
static void obey(char *order) { /* requests are made in its place, behind an empty sender */
    size_t size = 1;
    if (logged_out) return; /* EP-4.4-5 */
    if (!strncmp(order, "say ", 4)) order[3] = 0, ask(MESSAGE, (byte *)order + 3, 1 + strlen(order + 4));
    if (!strcmp(order, "ping")) ask(PING, NULL, 0);
    if (!strcmp(order, "logout")) logged_out = true, ask(LOGOUT, NULL, 0);
    if (strncmp(order, "event ", 6)) return;
    char *hex;
    byte type = (byte)strtoul(order + 6, &hex, 10);
    order[0] = 0;
    for (unsigned data; sscanf(hex += *hex == ' ', "%2x", &data) == 1; hex += 2) order[size++] = (char)data;
    ask(type, (byte *)order, size);
}
static void handle(struct event *event) {
    byte kind = event->kind, asked = 0;
    if (kind == PING) { put(PONG, event->seq, NULL, 0); return; }             /* EP-3.7-3 */
    if (kind == ERROR && !event->seq) end("explained", (unsigned)event->code); /* EP-3.6-3 */
    if (kind == LOGIN || kind == LOGOUT) fault(UNEXPECTED_EVENT);              /* EP-4.4-2 */
    if (kind == MESSAGE || kind == JOINED || kind == LEFT || kind >= APPLICATION) enter(event->seq);
    else if (kind && kind < JOINED) asked = reply(event);
    puts(event->json); /* an unknown type too, and it is no entry (EP-3.12-3) */
    if (kind == ACK && asked == LOGOUT) end("clean", 0);
    if (kind == ERROR && asked == LOGIN) end("refused", (unsigned)event->code);
    if (kind == MESSAGE && event->from_kit) obey(event->content);
}
static void get(byte *to, size_t size) { if (fread(to, 1, size, from_server) < size) end("lost", 0); } /* EP-10.3-1 */

int main(int count, char **args) {
    struct addrinfo *address, hints = {.ai_socktype = SOCK_STREAM};
    if (count != 3 || getaddrinfo(args[1], args[2], &hints, &address)) return fputs("client HOST PORT\n", stderr), 2;
    int server = -1;
    for (; address && server < 0; address = address->ai_next) {
        server = socket(address->ai_family, SOCK_STREAM, 0);
        if (connect(server, address->ai_addr, address->ai_addrlen)) close(server), server = -1;
    }
    if (server < 0) return perror("client"), 1;
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    from_server = fdopen(server, "rb"), to_server = fdopen(dup(server), "wb");
    ask(LOGIN, (byte[22]){3, 'a', 'n', 'n'}, 22); /* no credential, ticket 0, position 0 */
    for (byte *frame = NULL, header[16];; free(frame), frame = NULL) { /* judged as it comes in (8.3) */
        get(header, 4);
        uint64_t length = number(header, 4);
        if (length < 12) fault(MALFORMED);
        if (length > limit) fault(FRAME_TOO_LARGE);
        get(header + 4, 12);
        struct event event = {.kind = header[5], .seq = number(header + 8, 8)};
        if (header[4] != 1) fault(UNSUPPORTED_VERSION);
        if (number(header + 6, 2) || (!event.seq && event.kind != ERROR)) fault(MALFORMED);
        get(frame = malloc(length), length - 12);
        decode(&event, frame, length - 12);
        handle(&event);
        free(event.json), free(event.content);
    }
}
