/* Drive a fan-out server from one core and count what its members receive.
 *
 * S subscribers listen, P publishers keep W unacknowledged messages outstanding
 * each. Only what subscribers received counts as a delivery, in every protocol:
 * where publishers are members too, what they receive is work that the server
 * does for nothing. Every message sent must arrive; what did not is reported.
 * With --closed the next message is sent when the last one has reached everybody;
 * with --rate so many are sent in a second, whatever has arrived. With several
 * --port the members are spread over the servers, which have one room.
 *
 * One line of JSON on stdout, a reason on stderr and exit code 1 otherwise.
 */
#define _GNU_SOURCE
#include "loadgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RECEIVE_SIZE (256 * 1024)
#define CONNECTING_AT_ONCE 64 /* below every listen backlog in use */
#define SETUP_SECONDS 120.0
#define DRAIN_SECONDS 60.0
#define MAX_BURSTS 1000
#define MAX_SERVERS 8

/* Latency histogram: 32 buckets for each power of two of nanoseconds (3 %). */
#define SUB_BUCKETS 32
#define SUB_BITS 5
static uint64_t histogram[64 * SUB_BUCKETS];

struct run run = {.subscribers = 100, .publishers = 1, .window = 1, .size = 64};

static struct sockaddr_in server = {.sin_family = AF_INET};
static uint16_t ports[MAX_SERVERS];
static pid_t pids[MAX_SERVERS]; /* none: nothing is read of the server's process */
static clockid_t clocks[MAX_SERVERS];
static unsigned port_count, pid_count;
static double warmup_seconds = 0.5, measured_seconds = 1.0;
static unsigned bursts, rate;

static int poller;
static struct member *members;
static unsigned member_count, opened, ready;
static bool publishing, timing, closed, over_tls;
static double published_since;
static uint8_t *content;
static uint8_t *scratch;
static size_t scratch_room;

/* Sums over all members, kept as they happen so that a snapshot is cheap. */
struct totals {
    double time, cpu[MAX_SERVERS], own_cpu;
    uint64_t sent, acknowledged, deliveries, subscriber_bytes, member_bytes;
};
static struct totals totals;

struct setup {
    double seconds;
    size_t server_memory; /* before anybody came in */
};

_Noreturn void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("loadgen: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0)
        fail("the server has ended");
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double now(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

static uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void *allocate(void *old, size_t size)
{
    void *block = realloc(old, size);
    if (block == NULL)
        fail("out of memory");
    return block;
}

/* ---- latency ---------------------------------------------------------- */

static void stamp(uint8_t *at)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t time = now_ns();
    for (int i = STAMP_SIZE - 1; i >= 0; i--, time >>= 4)
        at[i] = (uint8_t)digits[time & 15];
}

static uint64_t read_stamp(const uint8_t *at)
{
    uint64_t time = 0;
    for (int i = 0; i < STAMP_SIZE; i++)
        time = time << 4 | (uint64_t)(at[i] <= '9' ? at[i] - '0' : at[i] - 'a' + 10);
    return time;
}

static void record_latency(uint64_t ns)
{
    if (ns < SUB_BUCKETS)
        ns = SUB_BUCKETS;
    int power = 63 - __builtin_clzll(ns);
    histogram[power * SUB_BUCKETS + (int)(ns >> (power - SUB_BITS) & (SUB_BUCKETS - 1))]++;
}

static double latency_us(double share)
{
    uint64_t all = 0, seen = 0;
    for (size_t i = 0; i < sizeof histogram / sizeof *histogram; i++)
        all += histogram[i];
    for (size_t i = 0; i < sizeof histogram / sizeof *histogram; i++) {
        seen += histogram[i];
        if (histogram[i] && (double)seen >= share * (double)all) {
            int power = (int)(i / SUB_BUCKETS);
            uint64_t low = ((uint64_t)SUB_BUCKETS + i % SUB_BUCKETS) << (power - SUB_BITS);
            return (double)low / 1e3;
        }
    }
    return 0;
}

/* ---- what the protocols tell us --------------------------------------- */

void queue(struct member *member, const void *data, size_t size)
{
    if (member->out_end + size > member->out_room) {
        member->out_room = 2 * (member->out_end + size);
        member->out = allocate(member->out, member->out_room);
    }
    memcpy(member->out + member->out_end, data, size);
    member->out_end += size;
}

void became_ready(struct member *member)
{
    if (member->ready)
        fail("member %u: greeted twice", member->index);
    member->ready = true;
    ready++;
}

void delivered(struct member *member, const uint8_t *at)
{
    member->received++;
    if (member->publisher)
        return;
    totals.deliveries++;
    if (timing)
        record_latency(now_ns() - read_stamp(at));
}

void acknowledged(struct member *member)
{
    if (member->outstanding == 0)
        fail("member %u: an acknowledgement of nothing", member->index);
    member->outstanding--;
    member->acknowledged++;
    totals.acknowledged++;
}

/* ---- bytes, over TLS or not --------------------------------------------- */

static ssize_t put(struct member *member, const void *data, size_t size)
{
    if (over_tls)
        return tls_write(member->tls, data, size);
    return send(member->fd, data, size, MSG_NOSIGNAL);
}

static ssize_t get(struct member *member, void *data, size_t size)
{
    if (over_tls)
        return tls_read(member->tls, data, size);
    return recv(member->fd, data, size, 0);
}

/* ---- the loop --------------------------------------------------------- */

static void watch(struct member *member, int operation, bool for_write)
{
    struct epoll_event interest = {.events = EPOLLIN | (for_write ? EPOLLOUT : 0), .data.ptr = member};
    if (epoll_ctl(poller, operation, member->fd, &interest) != 0)
        fail("epoll_ctl: %s", strerror(errno));
    member->wants_write = for_write;
}

/* Go on with the handshake; whether it is done. */
static bool handshake(struct member *member)
{
    if (member->tls == NULL)
        member->tls = tls_connect(member->fd);
    int done = tls_handshake(member->tls);
    if (done < 0)
        fail("member %u: no TLS", member->index);
    if (member->wants_write)
        watch(member, EPOLL_CTL_MOD, false);
    return done > 0;
}

static void flush(struct member *member)
{
    while (member->out_start < member->out_end) {
        ssize_t took = put(member, member->out + member->out_start, member->out_end - member->out_start);
        if (took < 0 && errno == EAGAIN)
            break;
        if (took < 0)
            fail("member %u: send: %s", member->index, strerror(errno));
        member->out_start += (size_t)took;
    }
    bool left = member->out_start < member->out_end;
    if (!left)
        member->out_start = member->out_end = 0;
    if (left != member->wants_write)
        watch(member, EPOLL_CTL_MOD, left);
}

static void publish(struct member *member)
{
    if (run.window == 1 || rate)
        stamp(content);
    run.protocol->publish(member, content);
    member->outstanding++;
    member->sent++;
    totals.sent++;
}

static bool everything_arrived(void)
{
    return totals.sent == totals.acknowledged && totals.deliveries == totals.sent * run.subscribers;
}

static bool may_publish(const struct member *member)
{
    return publishing && member->publisher && (closed ? everything_arrived() : member->outstanding < run.window);
}

static void top_up(struct member *member)
{
    while (!rate && may_publish(member))
        publish(member);
    if (member->out_start < member->out_end && !member->wants_write)
        flush(member);
}

/* Send what is due by now, the publishers in turn. */
static void keep_pace(double seconds)
{
    while ((double)totals.sent < seconds * rate) {
        struct member *member = &members[totals.sent % run.publishers];
        if (!may_publish(member))
            fail("member %u: more is due than its window takes", member->index);
        publish(member);
        top_up(member);
    }
}

static void hold(struct member *member, const uint8_t *rest, size_t size)
{
    if (size > member->held_room) {
        member->held_room = 2 * size;
        member->held = allocate(member->held, member->held_room);
    }
    memcpy(member->held, rest, size);
    member->held_size = size;
}

/* Take what came; whether there may be more, which epoll does not tell: TLS has read ahead. */
static bool receive(struct member *member)
{
    size_t kept = member->held_size;
    if (kept + RECEIVE_SIZE > scratch_room) {
        scratch_room = 2 * (kept + RECEIVE_SIZE);
        scratch = allocate(scratch, scratch_room);
    }
    memcpy(scratch, member->held, kept);
    ssize_t came = get(member, scratch + kept, RECEIVE_SIZE);
    if (came < 0 && errno == EAGAIN)
        return false;
    if (came < 0)
        fail("member %u: recv: %s", member->index, strerror(errno));
    if (came == 0)
        fail("member %u: the server closed the connection", member->index);
    member->bytes += (uint64_t)came;
    totals.member_bytes += (uint64_t)came;
    if (!member->publisher)
        totals.subscriber_bytes += (uint64_t)came;
    size_t size = kept + (size_t)came;
    size_t taken = run.protocol->take(member, scratch, size);
    hold(member, scratch + taken, size - taken);
    return over_tls;
}

static void open_member(struct member *member)
{
    int one = 1;
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    member->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (member->fd < 0)
        fail("socket: %s", strerror(errno));
    setsockopt(member->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    /* A reset leaves no TIME_WAIT: ten thousand of those a run would use up the ports. */
    setsockopt(member->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    server.sin_port = htons(ports[member->index % port_count]);
    if (connect(member->fd, (struct sockaddr *)&server, sizeof server) != 0 && errno != EINPROGRESS)
        fail("connect: %s", strerror(errno));
    watch(member, EPOLL_CTL_ADD, true);
}

static void serve(struct member *member, uint32_t events)
{
    if (!member->greeted && events & (EPOLLIN | EPOLLOUT | EPOLLERR)) {
        if (over_tls && !handshake(member))
            return;
        member->greeted = true;
        run.protocol->greet(member);
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        while (receive(member))
            continue;
    if (events & EPOLLOUT)
        flush(member);
    top_up(member);
}

static bool never(void)
{
    return false;
}

/* Turn until `done` or the time is over; whether it was done. */
static bool turn_until(bool (*done)(void), double seconds)
{
    struct epoll_event events[512];
    double end = now() + seconds;
    for (;;) {
        if (done())
            return true;
        double left = end - now();
        if (left <= 0)
            return false;
        int count = epoll_wait(poller, events, 512, rate && publishing ? 1 : (int)(left * 1e3) + 1);
        if (count < 0 && errno != EINTR)
            fail("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < count; i++)
            serve(events[i].data.ptr, events[i].events);
        if (closed && publishing)
            top_up(&members[0]);
        if (rate && publishing)
            keep_pace(now() - published_since);
    }
}

/* ---- the phases ------------------------------------------------------- */

static bool everybody_is_ready(void)
{
    while (opened < member_count && opened - ready < CONNECTING_AT_ONCE)
        open_member(&members[opened++]);
    return ready == member_count;
}

/* Everybody has read what entering members caused: nothing of it is left to count. */
static bool everybody_is_level(void)
{
    uint64_t last = 0;
    for (unsigned i = 0; i < member_count; i++)
        if (members[i].position > last)
            last = members[i].position;
    for (unsigned i = 0; i < member_count; i++)
        if (members[i].position != last)
            return false;
    return true;
}

static struct totals snapshot(void)
{
    totals.time = now();
    totals.own_cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    for (unsigned i = 0; i < pid_count; i++)
        totals.cpu[i] = seconds_of(clocks[i]);
    return totals;
}

/* What the server's process holds in memory, in bytes. */
static size_t server_memory(void)
{
    char path[64];
    size_t pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", pids[0]);
    FILE *file = fopen(path, "r");
    if (file == NULL || fscanf(file, "%*u %zu", &pages) != 1)
        fail("cannot read %s", path);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void start_publishing(void)
{
    publishing = true;
    published_since = now();
    for (unsigned i = 0; i < run.publishers; i++)
        top_up(&members[i]);
}

static void report(const struct totals *a, const struct totals *b, const struct setup *setup)
{
    double seconds = b->time - a->time;
    double deliveries = (double)(b->deliveries - a->deliveries);
    printf("{\"protocol\": \"%s\", \"subscribers\": %u, \"publishers\": %u, \"window\": %u, \"size\": %zu, ",
           run.protocol->name, run.subscribers, run.publishers, run.window, run.size);
    printf("\"setup_s\": %.3f, \"seconds\": %.6f, ", setup->seconds, seconds);
    printf("\"messages\": %lu, \"deliveries\": %.0f, \"subscriber_bytes\": %lu, \"member_bytes\": %lu, ",
           b->acknowledged - a->acknowledged, deliveries, b->subscriber_bytes - a->subscriber_bytes,
           b->member_bytes - a->member_bytes);
    printf("\"messages_per_s\": %.1f, \"deliveries_per_s\": %.1f, ",
           (double)(b->acknowledged - a->acknowledged) / seconds, deliveries / seconds);
    printf("\"loadgen_cpu_share\": %.4f, ", (b->own_cpu - a->own_cpu) / seconds);
    if (pid_count) {
        double first = b->cpu[0] - a->cpu[0];
        printf("\"server_cpu_s\": %.6f, \"server_cpu_share\": %.4f, \"cpu_s\": [", first, first / seconds);
        for (unsigned i = 0; i < pid_count; i++)
            printf("%s%.6f", i ? ", " : "", b->cpu[i] - a->cpu[i]);
        printf("], ");
        printf("\"server_rss_alone\": %zu, \"server_rss\": %zu, ", setup->server_memory, server_memory());
    }
    if (timing)
        printf("\"latency_us\": {\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"p99.9\": %.1f, \"max\": %.1f}, ",
               latency_us(0.5), latency_us(0.9), latency_us(0.99), latency_us(0.999), latency_us(1));
}

static struct totals measured_since;

/* A message was acknowledged and one was delivered: there is a rate to report. */
static bool something_was_measured(void)
{
    return totals.acknowledged > measured_since.acknowledged &&
           totals.deliveries > measured_since.deliveries;
}

/* A steady flow: warm up, measure, stop, and wait until all of it has arrived. Where the machine is
 * so busy that nothing arrives in the time to measure, it is measured until something does. */
static void flow(const struct setup *setup)
{
    start_publishing();
    turn_until(never, warmup_seconds);
    timing = (run.window == 1 || rate) && run.publishers > 0;
    struct totals a = measured_since = snapshot();
    turn_until(never, measured_seconds);
    if (run.publishers > 0 && run.subscribers > 0)
        turn_until(something_was_measured, DRAIN_SECONDS);
    struct totals b = snapshot();
    publishing = false;
    bool complete = turn_until(everything_arrived, DRAIN_SECONDS);
    report(&a, &b, setup);
    printf("\"lost\": %ld}\n", complete ? 0 : (long)(totals.sent * run.subscribers - totals.deliveries));
}

/* Single messages into a quiet room: how long until the last member has each. */
static void burst(const struct setup *setup)
{
    double times[MAX_BURSTS];
    timing = true;
    struct totals a = snapshot();
    for (unsigned i = 0; i < bursts; i++) {
        double start = now();
        publish(&members[0]);
        top_up(&members[0]);
        if (!turn_until(everything_arrived, DRAIN_SECONDS))
            fail("message %u has not reached everybody within %.0f s", i, DRAIN_SECONDS);
        times[i] = now() - start;
    }
    struct totals b = snapshot();
    report(&a, &b, setup);
    printf("\"everybody_has_it_s\": [");
    for (unsigned i = 0; i < bursts; i++)
        printf("%s%.6f", i ? ", " : "", times[i]);
    printf("], \"lost\": 0}\n");
}

/* ---- the command line -------------------------------------------------- */

static const struct protocol *protocol_named(const char *name)
{
    static const struct protocol *const all[] = {&event_protocol, &redis_protocol, &mqtt_protocol, &nats_protocol};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    fail("no protocol named %s", name);
}

static unsigned number(const char *text, unsigned long least, unsigned long most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text == 0 || *end != 0 || value < least || value > most)
        fail("%s is not a number from %lu to %lu", text, least, most);
    return (unsigned)value;
}

static void read_arguments(int count, char **arguments)
{
    static const struct option options[] = {
        {"protocol", required_argument, 0, 'P'}, {"port", required_argument, 0, 'p'},
        {"subscribers", required_argument, 0, 's'}, {"publishers", required_argument, 0, 'u'},
        {"window", required_argument, 0, 'w'}, {"size", required_argument, 0, 'z'},
        {"warmup", required_argument, 0, 'a'}, {"seconds", required_argument, 0, 't'},
        {"bursts", required_argument, 0, 'b'}, {"server-pid", required_argument, 0, 'i'},
        {"rate", required_argument, 0, 'r'}, {"closed", no_argument, 0, 'c'}, {"tls", no_argument, 0, 'T'}, {0}};
    int option;
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    while ((option = getopt_long(count, arguments, "", options, NULL)) != -1)
        switch (option) {
        case 'P': run.protocol = protocol_named(optarg); break;
        case 'p':
            if (port_count == MAX_SERVERS)
                fail("more than %d servers", MAX_SERVERS);
            ports[port_count++] = (uint16_t)number(optarg, 1, 65535);
            break;
        case 's': run.subscribers = number(optarg, 0, 100000); break;
        case 'u': run.publishers = number(optarg, 0, 100000); break;
        case 'w': run.window = number(optarg, 1, 65535); break;
        case 'z': run.size = number(optarg, STAMP_SIZE, 1 << 20); break;
        case 'a': warmup_seconds = number(optarg, 0, 60000) / 1e3; break;
        case 't': measured_seconds = number(optarg, 1, 600000) / 1e3; break;
        case 'c': closed = true; break;
        case 'T': over_tls = true; break;
        case 'b': bursts = number(optarg, 1, MAX_BURSTS); break;
        case 'r': rate = number(optarg, 1, 1000000); break;
        case 'i':
            if (pid_count == MAX_SERVERS)
                fail("more than %d processes", MAX_SERVERS);
            pids[pid_count] = (pid_t)number(optarg, 1, 1u << 30);
            if (clock_getcpuclockid(pids[pid_count], &clocks[pid_count]) != 0)
                fail("no process %s", optarg);
            pid_count++;
            break;
        default: fail("see the long options in the source");
        }
    if (run.protocol == NULL || port_count == 0)
        fail("--protocol and --port are needed");
    if ((bursts || closed) && run.publishers != 1)
        fail("a burst and a closed loop have one publisher");
}

int main(int count, char **arguments)
{
    read_arguments(count, arguments);
    member_count = run.subscribers + run.publishers;
    members = allocate(NULL, member_count * sizeof *members);
    memset(members, 0, member_count * sizeof *members);
    for (unsigned i = 0; i < member_count; i++) {
        members[i].index = i;
        members[i].publisher = i < run.publishers;
    }
    content = allocate(NULL, run.size);
    memset(content, 'x', run.size);
    poller = epoll_create1(0);

    double start = now();
    struct setup setup = {.server_memory = pid_count ? server_memory() : 0};
    if (!turn_until(everybody_is_ready, SETUP_SECONDS))
        fail("only %u of %u members came in within %.0f s", ready, member_count, SETUP_SECONDS);
    if (!turn_until(everybody_is_level, SETUP_SECONDS))
        fail("the members did not come level within %.0f s", SETUP_SECONDS);
    setup.seconds = now() - start;
    if (bursts)
        burst(&setup);
    else
        flow(&setup);
    return 0;
}
