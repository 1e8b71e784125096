/* A client of Event Protocol 1 in C, for POSIX: cc -O2 -o client client.c && ./client HOST PORT
 * It logs in as ann, tells each event that it sees as a line of JSON, follows the orders that a member called kit
 * gives in the room, and resumes its session when told to. It waits for a server that does not read, which is well as
 * long as it only answers; who sends much uses poll(). EP-... are statements of the specification. */
#define _POSIX_C_SOURCE 200809L
#include <iconv.h>
#include <netdb.h>
#include <poll.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef unsigned char byte; typedef unsigned long long u64;
enum { LOGIN = 1, MESSAGE, LOGOUT, ACK, ERROR, PING, PONG, WELCOME, JOINED, LEFT, APPLICATION = 0x80 };
enum { MALFORMED = 1, FRAME_TOO_LARGE, UNSUPPORTED_VERSION, UNEXPECTED_EVENT = 5, UNAUTHORIZED = 12, USER_TAKEN,
       SLOW_CONSUMER = 21 };

/* Section 3, by type. Layouts: an integer of 1 to 8 bytes, `s` short text, `c` u16 length + bytes, `t` text and `r`
 * bytes to the end of the body. */
static const char *const LAYOUTS[] = {
    "Unknown body:r", "Login user:s credential:c ticket:8 position:8", "Message sender:s content:t", "Logout",
    "Ack position:8", "Error code:2 text:s", "Ping", "Pong",
    "Welcome user:s ticket:8 position:8 max_frame:4 heartbeat:2 server:s", "Joined user:s", "Left user:s reason:1",
    "ApplicationEvent sender:s data:r",
};

/* The session. What is `kept` was sent on an older connection, and is in doubt; what is `refused` was not accepted,
 * and is to be sent again (6.5). */
static byte user[256] = {3, 'a', 'n', 'n'}; /* behind its length, as in a frame */
static u64 ticket, place;
static struct request { struct request *next; size_t size; byte frame[]; } *kept, *refused;
static bool resumes, logged_out;
static jmp_buf next_connection;
/* Its connection. What is `waiting` has no reply yet; the oldest is first. */
static struct request *waiting, **newest = &waiting;
static int server;
static u64 next_seq, allowed, limit;
static bool member, replaying;
/* The event at hand, and all of it that may be told. */
static byte header[16], kind, *body;
static u64 seq, size;
static char *json;

static _Noreturn void end(const char *how, u64 code) {
    static int pause; /* milliseconds; waited is from half of it to all of it (EP-9.3-1, EP-9.3-2) */
    printf("{\"event\": \"End\", \"how\": \"%s\", \"code\": %llu}\n", how, code);
    bool is_final = code == UNAUTHORIZED || code == USER_TAKEN || code <= UNSUPPORTED_VERSION; /* EP-9.3-3, EP-9.3-4 */
    bool may_resume = !strcmp(how, "lost") || (!strcmp(how, "refused") && code == USER_TAKEN) ||
                      (!strcmp(how, "explained") && !is_final);
    if (!resumes || !ticket || !may_resume) exit(0); /* which closes the connection */
    close(server);
    pause = member ? 500 : pause < 15000 ? 2 * pause : 30000;
    poll(NULL, 0, pause / 2 + rand() % (pause / 2));
    longjmp(next_connection, 1);
}
static _Noreturn void fault(int code) { end("fault", code); } /* EP-4.2-12 */
static u64 number(const byte *at, size_t left) {
    u64 value = 0;
    while (left--) value = value << 8 | *at++;
    return value;
}
static void set(byte *at, u64 value, size_t left) { while (left--) *at++ = (byte)(value >> 8 * left); }
static void ask(byte type, const void *fields, size_t length) {
    if (12 + length > allowed) { puts("{\"event\": \"Refused\"}"); return; } /* EP-7.1-1, EP-7.1-2 */
    struct request *request = calloc(1, sizeof *request + 16 + length);
    request->size = 16 + length, request->frame[4] = 1, request->frame[5] = type;
    set(request->frame, 12 + length, 4), set(request->frame + 8, next_seq++, 8);
    memcpy(request->frame + 16, fields, length);
    *newest = request, newest = &request->next;
    send(server, request->frame, request->size, MSG_NOSIGNAL); /* a failure shows when reading */
}
static void tell_text(FILE *out, byte *text, size_t left) { /* in ASCII (EP-12-6) */
    static iconv_t utf16; static char *units;
    if (!utf16) utf16 = iconv_open("UTF-16BE", "UTF-8");
    size_t room = 2 * left;
    char *from = (char *)text, *to = units = realloc(units, room + 1);
    if (iconv(utf16, &from, &left, &to, &room) == (size_t)-1) fault(MALFORMED); /* EP-2.3-3 */
    for (char *unit = units; unit < to; unit += 2) {
        bool is_plain = !unit[0] && unit[1] >= 0x20 && unit[1] < 0x7F && unit[1] != '"' && unit[1] != '\\';
        fprintf(out, is_plain ? "%c" : "\\u%04x", (unsigned)number((byte *)unit, 2));
    }
}
static void tell(FILE *out, const char *name, char layout, byte *at, size_t left) {
    fprintf(out, layout < '8' ? ", \"%s\": " : ", \"%s\": \"", name); /* EP-2.3-7 */
    if (layout == '1') fprintf(out, "%d", *at > 2 ? 1 : *at); /* EP-3.10-2 */
    else if (layout <= '8') fprintf(out, "%llu", number(at, left));
    else if (layout != 'r') tell_text(out, at, left);
    else while (left--) fprintf(out, "%02x", *at++);
    if (layout >= '8') putc('"', out);
}
static void decode(void) {
    const char *known = LAYOUTS[kind >= APPLICATION ? LEFT + 1 : kind > LEFT ? 0 : kind];
    char name[24], layout; int used;
    size_t left = size, told;
    free(json);
    FILE *out = open_memstream(&json, &told);
    sscanf(known, "%23s%n", name, &used);
    fprintf(out, "{\"event\": \"%s\", \"seq\": \"%llu\", \"type\": %u", name, seq, kind);
    for (byte *at = body; sscanf(known += used, " %23[^:]:%c%n", name, &layout, &used) == 2;) {
        size_t prefix = layout == 's' ? 1 : layout == 'c' ? 2 : 0;
        if (left < prefix) fault(MALFORMED); /* EP-2.4-3 */
        size_t length = prefix ? number(at, prefix) : layout <= '8' ? (size_t)layout - '0' : left;
        if (left - prefix < length) fault(MALFORMED); /* EP-2.4-2 */
        if (strcmp(name, "ticket")) tell(out, name, layout, at + prefix, length); /* EP-12-1 */
        at += prefix + length, left -= prefix + length;
    }
    if (left) fault(MALFORMED); /* EP-2.4-4 */
    putc('}', out), fclose(out);
}

static void enter(u64 position) { if (!member || position != ++place) fault(UNEXPECTED_EVENT); } /* EP-5.2-6 */
static byte reply(void) { /* the request's type; EP-4.2-10, EP-4.2-11 */
    struct request *request = waiting;
    if (!request || number(request->frame + 8, 8) != seq) fault(UNEXPECTED_EVENT);
    byte asked = request->frame[5], fits = asked == LOGIN ? WELCOME : asked == PING ? PONG : ACK;
    if (kind != fits && kind != ERROR) fault(UNEXPECTED_EVENT);
    if (!(waiting = request->next)) newest = &waiting;
    free(request);
    if (kind == ACK && number(body, 8)) enter(number(body, 8));
    if (kind != WELCOME) return asked;
    const byte *numbers = body + 1 + body[0];
    if (replaying && number(numbers + 8, 8) != place) fault(UNEXPECTED_EVENT); /* EP-6.4-16 */
    memcpy(user, body, 1 + body[0]);
    member = true, ticket = number(numbers, 8), place = number(numbers + 8, 8);
    allowed = number(numbers + 16, 4), limit = allowed + 255; /* EP-7.1-5 */
    return asked;
}
static void add(struct request **list, struct request *more) { /* to its end */
    while (*list) list = &(*list)->next;
    *list = more;
}
static void keep(void) { /* of what has no reply: the rest dies with its connection */
    for (struct request *each; (each = waiting);) {
        waiting = each->next, each->next = NULL;
        if (each->frame[5] == LOGIN || each->frame[5] == PING) free(each);
        else add(&kept, each);
    }
}
static void settle(void) { add(&refused, kept), kept = NULL; }
static void replayed(void) { /* what a fact says of that which is in doubt */
    size_t name = 1 + user[0], length = size - name;
    bool is_own = size >= name && !memcmp(body, user, name);
    if (is_own && kind == LEFT) settle(); /* EP-6.5-10 */
    if (!is_own || (kind != MESSAGE && kind < APPLICATION)) return;
    struct request *oldest = kept;
    bool is_same = oldest && oldest->frame[5] == kind && oldest->size == 17 + length;
    if (!is_same || memcmp(oldest->frame + 17, body + name, length)) { settle(); return; } /* EP-6.5-9 */
    kept = oldest->next, free(oldest);                                                     /* EP-6.5-8 */
}
static void obey(char *order, size_t length) { /* requests are made in its place, behind an empty sender */
    unsigned type, data; int used;
    if (!strcmp(order, "resume")) resumes = true;
    if (logged_out) return; /* EP-4.4-5 */
    if (!strcmp(order, "ping")) ask(PING, "", 0);
    if (!strcmp(order, "logout")) logged_out = true, ask(LOGOUT, "", 0);
    if (!strncmp(order, "say ", 4)) order[3] = 0, ask(MESSAGE, order + 3, length - 3);
    else if (sscanf(order, "event %u%n", &type, &used) == 1) {
        order[0] = 0, length = 1;
        for (char *hex = order; sscanf(hex += used, "%2x%n", &data, &used) == 1;) order[length++] = (char)data;
        ask((byte)type, order, length);
    }
}
static void handle(void) {
    byte asked = 0;
    if (kind == PING) { header[5] = PONG, send(server, header, 16, MSG_NOSIGNAL); return; } /* EP-3.7-3 */
    if (kind == ERROR && !seq) { /* EP-3.6-3 */
        u64 code = number(body, 2);
        if (member && code != SLOW_CONSUMER) keep(), settle(); /* EP-6.5-12 */
        end("explained", code);
    }
    if (kind == LOGIN || kind == LOGOUT) fault(UNEXPECTED_EVENT);                            /* EP-4.4-2 */
    if (kind == MESSAGE || kind == JOINED || kind == LEFT || kind >= APPLICATION) enter(seq);
    else if (kind && kind < JOINED) asked = reply();
    puts(json); /* an unknown type too, and it is no entry (EP-3.12-3) */
    if (kind == ACK && asked == LOGOUT) end("clean", 0);
    if (kind == ERROR && asked == LOGIN) end("refused", number(body, 2));
    if (replaying) replayed();
    if (kind == PONG && replaying) replaying = false, settle(); /* EP-6.5-11 */
    for (struct request *each; !replaying && (each = refused); refused = each->next, free(each))
        ask(each->frame[5], each->frame + 16, each->size - 16); /* EP-6.5-16 */
    if (kind == MESSAGE && !strncmp((char *)body, "\3kit", 4)) obey((char *)body + 4, size - 4);
}
static void get(byte *to, size_t n) { if (n && recv(server, to, n, MSG_WAITALL) != (ssize_t)n) end("lost", 0); }
static void get_event(void) { /* judged as it comes in (8.3) */
    get(header, 4);
    u64 length = number(header, 4);
    if (length < 12) fault(MALFORMED);
    if (length > limit) fault(FRAME_TOO_LARGE);
    get(header + 4, 12);
    kind = header[5], seq = number(header + 8, 8), size = length - 12;
    if (header[4] != 1) fault(UNSUPPORTED_VERSION);
    if (number(header + 6, 2) || (!seq && kind != ERROR)) fault(MALFORMED);
    get(body = realloc(body, size + 1), size);
    body[size] = 0; /* of an order: the end of its text */
    decode();
}
static void begin(const struct addrinfo *address) { /* connect, and log in */
    keep(), newest = &waiting, next_seq = 1, allowed = limit = 4096, member = false, replaying = ticket != 0;
    for (server = -1; address && server < 0; address = address->ai_next) {
        server = socket(address->ai_family, SOCK_STREAM, 0);
        if (connect(server, address->ai_addr, address->ai_addrlen)) close(server), server = -1;
    }
    byte login[256 + 18] = {0}, *numbers = login + 1 + user[0] + 2; /* behind the name and no credential */
    memcpy(login, user, 1 + user[0]);
    set(numbers, ticket, 8), set(numbers + 8, place, 8);
    ask(LOGIN, login, (size_t)(numbers + 16 - login));
    if (replaying) ask(PING, "", 0); /* EP-6.5-6 */
}
int main(int count, char **args) {
    struct addrinfo *address, hints = {.ai_socktype = SOCK_STREAM};
    if (count != 3 || getaddrinfo(args[1], args[2], &hints, &address)) return fputs("client HOST PORT\n", stderr), 2;
    setvbuf(stdout, NULL, _IOLBF, 0), srand((unsigned)getpid());
    setjmp(next_connection);
    begin(address);
    for (;;) get_event(), handle();
}
