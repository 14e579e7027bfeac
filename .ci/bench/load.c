/* Load for Socket.IO servers: any number of clients in one thread, by epoll and without a library.
 *
 *     cc -O2 -o load load.c
 *     ./load --port 8888 --pid 4711 --mode echo --clients 50 --depth 1 --seconds 3
 *
 * Modes
 *     echo       every client keeps --depth messages in flight
 *     broadcast  one client sends --depth messages, --receivers of the clients (all) get them; when the last has them,
 *                the next are sent
 *     connect    every client comes, is welcomed and goes, again and again
 *     idle       the clients stay, and answer heartbeats
 *     poll       echo over long-polling: a POST, then the GET that brings the answer
 *     handshake  polling handshakes alone, a new session each
 *     default    every client connects as a browser does by default, again and again: over polling a handshake, the
 *                CONNECT and a poll; a WebSocket that takes over; one event over it; then both connections close
 *     waiting    the clients are connected over polling and wait in a poll, and answer heartbeats
 *
 * --page names a path that each client of the mode default asks for first, on its polling connection. --headers browser
 * gives every request the twelve headers of Firefox (but not its offer to compress WebSocket frames, for what comes is
 * compared byte by byte); without it a request has only those that it needs.
 *
 * --sender-port and --sender-pid name another server of the same cluster: in the mode broadcast the client that sends is
 * one more then, and connected to that. What comes to it is not counted.
 *
 * --dialect names the generation of the clients; of several, as in EIO4,0.9, the clients take turns. --bytes is the
 * size of what a message carries. Every answer is compared, byte by byte, with what has to come.
 *
 * Prints one line of JSON: the messages answered (deliveries, connections, handshakes) within --seconds, the CPU time
 * that the server, which is the process --pid with its children, took meanwhile, and by how many bytes for each client it has grown; also
 * the CPU time of the sender's server, and how many messages were sent to be broadcast. First comes a warm-up, for
 * compilers in the server: --warm seconds of its CPU time. Says what went wrong on stderr, and ends with 1 then.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define AT_ONCE 100         /* clients on their way in: fewer than any server's backlog */
#define PATIENCE 120.0      /* seconds for all of them to get in, and for an answer: machines may be busy */
#define SETTLING 2.0        /* seconds before memory is read a second time */
#define READ_SIZE 65536
#define MAX_COMPLAINTS 5

/* -- Buffers and errors ------------------------------------------------------------ */

typedef struct {
    char *data;             /* one NUL more than `size` says, so that it can be searched as a string */
    size_t size, capacity;
} Buffer;

static unsigned long failures;

static void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(2);
}

/* Something went wrong that the others need not suffer for; it shows in the exit code. */
static void complain(const char *what, const char *data, size_t size)
{
    if (failures++ < MAX_COMPLAINTS)
        fprintf(stderr, "load: %s: %.*s\n", what, (int)(size < 200 ? size : 200), data);
}

static void reserve(Buffer *buffer, size_t more)
{
    size_t needed = buffer->size + more + 1;
    if (needed <= buffer->capacity)
        return;
    buffer->capacity = 2 * buffer->capacity > needed ? 2 * buffer->capacity : needed;
    buffer->data = realloc(buffer->data, buffer->capacity);
    if (!buffer->data)
        die("out of memory");
}

static void append(Buffer *buffer, const void *data, size_t size)
{
    reserve(buffer, size);
    memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
    buffer->data[buffer->size] = 0;
}

__attribute__((format(printf, 2, 3)))
static void append_format(Buffer *buffer, const char *format, ...)
{
    va_list arguments;
    char *text;
    va_start(arguments, format);
    int size = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (size < 0)
        die("out of memory");
    append(buffer, text, size);
    free(text);
}

static void drop_front(Buffer *buffer, size_t size)
{
    buffer->size -= size;
    memmove(buffer->data, buffer->data + size, buffer->size);
}

static bool starts_with(const char *data, size_t size, const char *prefix)
{
    size_t length = strlen(prefix);
    return size >= length && !memcmp(data, prefix, length);
}

/* -- Dialects ---------------------------------------------------------------------- */
/* What an event looks like is the same in both directions, in every one of them. */

typedef struct {
    const char *name;
    const char *handshake;  /* a request before the WebSocket, whose answer begins with the sid; NULL: none */
    const char *path;       /* of the WebSocket; the sid follows, where there is a handshake */
    const char *hello;      /* what the client says first; NULL: nothing */
    const char *welcome;    /* how the frame begins that says: you are in; NULL: none comes */
    const char *ping;       /* how a heartbeat begins; NULL: none comes */
    const char *pong;       /* the answer; NULL: the heartbeat itself */
    const char *before, *between, *after;   /* around an event's name and argument */
    bool counted;           /* framed by its length once more */
    Buffer text, frame;     /* the event that is sent in this run, and the WebSocket frame with it */
} Dialect;

static Dialect dialects[] = {
    {.name = "EIO4", .path = "/socket.io/?EIO=4&transport=websocket", .hello = "40", .welcome = "40",
     .ping = "2", .pong = "3", .before = "42[\"", .between = "\",\"", .after = "\"]"},
    {.name = "EIO3", .path = "/socket.io/?EIO=3&transport=websocket", .welcome = "40",
     .before = "42[\"", .between = "\",\"", .after = "\"]"},
    {.name = "0.9", .handshake = "/socket.io/1/", .path = "/socket.io/1/websocket/", .welcome = "1::",
     .ping = "2::", .before = "5:::{\"name\":\"", .between = "\",\"args\":[\"", .after = "\"]}"},
    {.name = "0.6", .path = "/socket.io/websocket", .welcome = "~m~", .ping = "~m~4~m~~h~",
     .before = "~j~{\"name\":\"", .between = "\",\"args\":[\"", .after = "\"]}", .counted = true},
    {.name = "raw", .path = "/", .before = "", .between = ": ", .after = ""},   /* no Socket.IO at all */
};

static Dialect *find_dialect(const char *name)
{
    for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++)
        if (!strcmp(dialects[i].name, name))
            return &dialects[i];
    die("no dialect %s", name);
    return NULL;
}

/* One whole text frame, masked as a client must.  [RFC6455 "Base Framing Protocol"] */
static void append_frame(Buffer *out, const char *text, size_t size)
{
    static const unsigned char mask[4] = {0x12, 0x34, 0x56, 0x78};
    unsigned char head[14] = {0x81};
    size_t length_bytes = size < 126 ? 0 : size < 65536 ? 2 : 8;
    head[1] = 0x80 | (length_bytes == 0 ? size : length_bytes == 2 ? 126 : 127);
    for (size_t i = 0; i < length_bytes; i++)
        head[2 + i] = (uint64_t)size >> 8 * (length_bytes - 1 - i);
    memcpy(head + 2 + length_bytes, mask, 4);
    append(out, head, 6 + length_bytes);
    append(out, text, size);
    char *payload = out->data + out->size - size;
    for (size_t i = 0; i < size; i++)
        payload[i] ^= mask[i % 4];
}

static void prepare_event(Dialect *dialect, const char *name, size_t bytes)
{
    Buffer text = {0};
    append_format(&text, "%s%s%s", dialect->before, name, dialect->between);
    for (size_t i = 0; i < bytes; i++)
        append(&text, &"hello world "[i % 12], 1);
    append_format(&text, "%s", dialect->after);
    if (dialect->counted)
        append_format(&dialect->text, "~m~%zu~m~", text.size);
    append(&dialect->text, text.data, text.size);
    append_frame(&dialect->frame, dialect->text.data, dialect->text.size);
    free(text.data);
}

/* -- The run ----------------------------------------------------------------------- */

typedef enum { ECHO_MODE, BROADCAST, CONNECT, IDLE, POLL, HANDSHAKE, BY_DEFAULT, WAITING_POLLS } Mode;
static const char *const mode_names[] = {"echo", "broadcast", "connect", "idle", "poll", "handshake", "default",
                                         "waiting"};

typedef enum {
    CLOSED,
    CONNECTING,
    SHAKING_HANDS,          /* the answer will name the sid */
    UPGRADING,
    WAITING,                /* for the welcome */
    READY,
    /* Polling: which answer is awaited. */
    POLL_OPENING,
    POLL_JOINING,
    POLL_WELCOME,
    POLL_POST,
    POLL_GET,
    /* Polling, then a WebSocket that takes over. */
    PAGE,                   /* is awaited */
    POLL_HELD,              /* a poll waits, until the upgrade or a heartbeat releases it */
    POLL_PONG,              /* the heartbeat has been answered by a POST */
    POLL_OVER,              /* the WebSocket may tell that polling has stopped */
    PROBING,                /* the WebSocket has asked whether it works */
    PROBED,
} Stage;

typedef struct Client {
    int fd, port;
    Stage stage;
    Dialect *dialect;
    struct Client *partner; /* mode default: of a polling connection its WebSocket, and the reverse */
    bool takes_over;        /* it is the WebSocket of the two */
    char sid[128];
    bool blocked;           /* `out` waits until the socket takes more */
    unsigned long received; /* answers and broadcasts */
    Buffer in, out;
} Client;

static struct {
    Mode mode;
    int port, sender_port, clients, receivers, depth;
    pid_t pid, sender_pid;
    size_t bytes;
    double seconds, warm;
    char *event, *page;
    bool browser;           /* with a browser's headers */
    Dialect *dialects[8];
    int dialect_count;
} options = {.clients = 50, .depth = 1, .bytes = 11, .seconds = 3, .warm = 0.5};

static Client *clients;
static int epoll;
static int begun, ready;            /* clients that have set out, and that have arrived */
static unsigned long messages;      /* answered since `messages` was last set to zero */
static unsigned long events_sent;   /* to be broadcast, */
static int missing;                 /* and deliveries of the last ones that have not come */

static bool is_polling(void)
{
    return options.mode == POLL || options.mode == HANDSHAKE || options.mode == BY_DEFAULT
        || options.mode == WAITING_POLLS;
}

/* How many clients connect by themselves: the last may be the sender at the other server. */
static int count_clients(void)
{
    return options.clients + (options.sender_port != 0);
}

static bool is_sender_elsewhere(const Client *client)
{
    return options.sender_port && client == &clients[options.clients];
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

/* The CPU time of all threads of a process, in seconds. */
static double cpu_of_one(pid_t pid)
{
    clockid_t clock;
    struct timespec time;
    if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &time))
        die("process %d is gone", pid);
    return time.tv_sec + time.tv_nsec / 1e9;
}

/* The CPU time of a server and of its workers, which are its children. */
static double cpu_of(pid_t pid)
{
    char path[64];
    int child;
    double seconds = cpu_of_one(pid);
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return seconds;     /* a kernel without this file */
    while (fscanf(file, "%d", &child) == 1)
        seconds += cpu_of_one(child);
    fclose(file);
    return seconds;
}

static long server_memory(void)
{
    char path[64];
    long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", options.pid);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1)
        die("%s cannot be read", path);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

/* -- Sockets ----------------------------------------------------------------------- */

static void watch(Client *client, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = client};
    if (epoll_ctl(epoll, operation, client->fd, &event))
        die("epoll_ctl: %s", strerror(errno));
}

static void open_client(Client *client)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(client->port)};
    struct linger reset = {1, 0};   /* no TIME_WAIT, of which there would soon be more than ports */
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (client->fd < 0)
        die("socket: %s", strerror(errno));
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (connect(client->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    client->stage = CONNECTING;
    client->in.size = client->out.size = 0;
    client->blocked = true;
    watch(client, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static void close_client(Client *client)
{
    if (client->stage == READY)
        ready--;
    close(client->fd);
    client->stage = CLOSED;
}

static void flush(Client *client)
{
    size_t sent = 0;
    while (sent < client->out.size) {
        ssize_t size = send(client->fd, client->out.data + sent, client->out.size - sent, MSG_NOSIGNAL);
        if (size < 0)
            break;          /* full, or broken: then reading says so, too */
        sent += size;
    }
    if (sent)
        drop_front(&client->out, sent);
    bool blocked = client->out.size > 0;
    if (blocked != client->blocked)
        watch(client, EPOLL_CTL_MOD, blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
    client->blocked = blocked;
}

/* -- HTTP -------------------------------------------------------------------------- */

typedef struct {
    int status;
    char *body;
    size_t size;
} Response;

/* What stands in every request; a browser's WebSocket handshake has others than its other requests. */
static void append_headers(Client *client, bool upgrades)
{
    append_format(&client->out, "Host: 127.0.0.1:%d\r\n", client->port);
    if (!options.browser)
        return;
    append_format(&client->out,
                  "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\r\n"
                  "Accept: */*\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
                  "%sCookie: theme=dark; visitor=4f1c2d7e90ab35c8\r\nSec-Fetch-Dest: %s\r\nSec-Fetch-Mode: %s\r\n"
                  "Sec-Fetch-Site: same-origin\r\n",
                  upgrades ? "" : "Connection: keep-alive\r\nPriority: u=4\r\n", upgrades ? "websocket" : "empty",
                  upgrades ? "websocket" : "cors");
    append_format(&client->out, upgrades ? "Origin: http://127.0.0.1:%d\r\nPragma: no-cache\r\n"
                  "Cache-Control: no-cache\r\n" : "Referer: http://127.0.0.1:%d/\r\n", client->port);
}

static void ask(Client *client, Stage stage, const char *path, bool upgrades, const char *more_headers)
{
    append_format(&client->out, "GET %s%s HTTP/1.1\r\n", path, client->sid);
    append_headers(client, upgrades);
    append_format(&client->out, "%s\r\n", more_headers);
    client->stage = stage;
}

static void ask_upgrade(Client *client)
{
    char path[96];
    snprintf(path, sizeof path, "%s%s", client->dialect->path, client->takes_over ? "&sid=" : "");
    ask(client, UPGRADING, path, true,
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
}

static const char *const POLL_PATH = "/socket.io/?EIO=4&transport=polling";

static void ask_poll(Client *client, Stage stage)
{
    char path[96];
    snprintf(path, sizeof path, "%s%s", POLL_PATH, client->sid[0] ? "&sid=" : "");
    ask(client, stage, path, false, "");
}

static void post(Client *client, Stage stage, const char *text)
{
    append_format(&client->out, "POST %s&sid=%s HTTP/1.1\r\n", POLL_PATH, client->sid);
    append_headers(client, false);
    if (options.browser)
        append_format(&client->out, "Origin: http://127.0.0.1:%d\r\n", client->port);
    append_format(&client->out, "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %zu\r\n\r\n%s",
                  strlen(text), text);
    client->stage = stage;
}

/* Joins the chunks of a body in their place. */
static size_t unchunk(char *body)
{
    char *from = body, *to = body;
    for (size_t size; (size = strtoul(from, &from, 16)) > 0; from += size + 2, to += size) {
        from += 2;
        memmove(to, from, size);
    }
    return to - body;
}

/* Whether *in* holds a whole response; there is never more than one. */
static bool parse_response(Buffer *in, Response *response)
{
    char *head_end = memmem(in->data, in->size, "\r\n\r\n", 4);
    if (!head_end)
        return false;
    char *length = strcasestr(in->data, "\r\nContent-Length:");
    char *chunked = strcasestr(in->data, "\r\nTransfer-Encoding: chunked");
    response->status = in->size > 12 ? atoi(in->data + 9) : 0;
    response->body = head_end + 4;
    size_t there = in->data + in->size - response->body;
    if (chunked && chunked < head_end) {
        if (there < 5 || memcmp(in->data + in->size - 5, "0\r\n\r\n", 5))
            return false;
        response->size = unchunk(response->body);
    } else {
        response->size = length && length < head_end ? strtoul(length + 17, NULL, 10) : 0;
    }
    return there >= response->size;
}

static bool take_sid(Client *client, const char *from, const char *end)
{
    size_t size = from ? strcspn(from, end) : 0;
    if (size == 0 || size >= sizeof client->sid)
        return false;
    memcpy(client->sid, from, size);
    client->sid[size] = 0;
    return true;
}

/* -- Modes ------------------------------------------------------------------------- */

static void send_event(Client *client)
{
    append(&client->out, client->dialect->frame.data, client->dialect->frame.size);
}

static void send_round(void)
{
    Client *sender = &clients[options.sender_port ? options.clients : 0];
    events_sent += options.depth;
    missing = options.receivers * options.depth;
    for (int i = 0; i < options.depth; i++)
        send_event(sender);
    flush(sender);
}

/* Everybody is there: begin. */
static void start(void)
{
    if (options.mode == BROADCAST)
        send_round();
    if (options.mode != ECHO_MODE)
        return;
    for (int i = 0; i < options.clients; i++) {
        for (int sent = 0; sent < options.depth; sent++)
            send_event(&clients[i]);
        flush(&clients[i]);
    }
}

static void welcomed(Client *client)
{
    client->stage = READY;
    ready++;
    if (options.mode == CONNECT) {
        messages++;
        close_client(client);
        client->sid[0] = 0;
        open_client(client);
    }
}

/* The poll of *polling* has been released, and its WebSocket has been told that it works: it takes over. */
static void take_over(Client *polling)
{
    Client *websocket = polling->partner;
    if (polling->stage != POLL_OVER || websocket->stage != PROBED)
        return;
    append_frame(&websocket->out, "5", 1);
    send_event(websocket);
    websocket->stage = READY;
    ready++;
    flush(websocket);
}

/* Connected, and taken over: once more. */
static void start_over(Client *websocket)
{
    Client *polling = websocket->partner;
    messages++;
    close_client(websocket);
    close_client(polling);
    polling->sid[0] = 0;
    open_client(polling);
}

static void open_websocket(Client *polling)
{
    memcpy(polling->partner->sid, polling->sid, sizeof polling->sid);
    open_client(polling->partner);
}

static void answered(Client *client)
{
    if (options.mode == BY_DEFAULT)
        return start_over(client);
    if (is_sender_elsewhere(client))
        return;
    messages++;
    client->received++;
    if (options.mode == ECHO_MODE)
        send_event(client);
    else if (client->received > events_sent)
        complain("a broadcast came twice", "", 0);
    else if (--missing == 0)
        send_round();
}

static void on_text(Client *client, const char *text, size_t size)
{
    Dialect *dialect = client->dialect;
    if (dialect->ping && starts_with(text, size, dialect->ping)) {
        append_frame(&client->out, dialect->pong ? dialect->pong : text, dialect->pong ? strlen(dialect->pong) : size);
    } else if (client->takes_over && size == 1 && text[0] == '6') {
        /* python-socketio's noop for the poll: it may come here, where clients ignore it */
    } else if (client->stage == PROBING) {
        if (size != 6 || memcmp(text, "3probe", 6))
            return complain("no answer to the probe", text, size);
        client->stage = PROBED;
        take_over(client->partner);
    } else if (client->stage == WAITING) {
        if (starts_with(text, size, dialect->welcome))
            welcomed(client);
        else if (starts_with(text, size, "44"))
            complain("not welcome", text, size);
    } else if (size == dialect->text.size && !memcmp(text, dialect->text.data, size) && options.mode != IDLE) {
        answered(client);
    } else {
        complain("a wrong answer", text, size);
    }
}

static void on_upgraded(Client *client, const Response *response)
{
    if (response->status != 101) {
        complain("no WebSocket", client->in.data, client->in.size);
        return close_client(client);
    }
    drop_front(&client->in, response->body - client->in.data);
    if (client->takes_over) {
        append_frame(&client->out, "2probe", 6);
        client->stage = PROBING;
        return;
    }
    client->stage = WAITING;
    if (client->dialect->hello)
        append_frame(&client->out, client->dialect->hello, strlen(client->dialect->hello));
    if (!client->dialect->welcome)
        welcomed(client);
}

static void on_poll(Client *client, const char *body, size_t size)
{
    const char *sid;
    Dialect *dialect = client->dialect;
    switch (client->stage) {
    case PAGE:
        return ask_poll(client, POLL_OPENING);
    case POLL_OPENING:
        sid = memmem(body, size, "\"sid\":\"", 7);
        if (!take_sid(client, sid ? sid + 7 : NULL, "\""))
            return complain("no handshake", body, size);
        if (options.mode != HANDSHAKE)
            return post(client, POLL_JOINING, dialect->hello);
        messages++;
        client->sid[0] = 0;
        return ask_poll(client, POLL_OPENING);
    case POLL_JOINING:
        return ask_poll(client, POLL_WELCOME);
    case POLL_WELCOME:
        if (!starts_with(body, size, dialect->welcome))
            return complain("not welcome", body, size);
        if (options.mode == BY_DEFAULT)
            open_websocket(client);
        else
            ready++;
        if (options.mode != POLL)
            return ask_poll(client, POLL_HELD);
        return post(client, POLL_POST, dialect->text.data);
    case POLL_HELD:
        if (size == strlen(dialect->ping) && starts_with(body, size, dialect->ping))
            return post(client, POLL_PONG, dialect->pong);
        if (options.mode != BY_DEFAULT || size != 1 || body[0] != '6')
            return complain("a poll was answered", body, size);
        client->stage = POLL_OVER;
        return take_over(client);
    case POLL_PONG:
        return ask_poll(client, POLL_HELD);
    case POLL_POST:
        return ask_poll(client, POLL_GET);
    default:
        if (size == strlen(dialect->ping) && starts_with(body, size, dialect->ping))
            return post(client, POLL_POST, dialect->pong);
        if (size != dialect->text.size || memcmp(body, dialect->text.data, size))
            return complain("a wrong answer", body, size);
        messages++;
        client->received++;
        post(client, POLL_POST, dialect->text.data);
    }
}

/* -- What comes in ----------------------------------------------------------------- */

static void on_connected(Client *client)
{
    if (client->takes_over)
        ask_upgrade(client);
    else if (options.mode == BY_DEFAULT && options.page)
        ask(client, PAGE, options.page, false, "");
    else if (is_polling())
        ask_poll(client, POLL_OPENING);
    else if (client->dialect->handshake)
        ask(client, SHAKING_HANDS, client->dialect->handshake, false, "");
    else
        ask_upgrade(client);
}

static void on_http(Client *client)
{
    Response response;
    if (!parse_response(&client->in, &response))
        return;
    if (client->stage == UPGRADING)
        return on_upgraded(client, &response);
    if (response.status != 200)
        complain("refused", client->in.data, client->in.size);
    else if (client->stage != SHAKING_HANDS)
        on_poll(client, response.body, response.size);
    else if (take_sid(client, response.body, ":"))
        ask_upgrade(client);
    else
        complain("no handshake", response.body, response.size);
    client->in.size = 0;
}

/* The size of the frame's header at *at*, 0 if it is not all there; *size* becomes that of its payload. */
static size_t parse_header(const unsigned char *at, size_t there, size_t *size)
{
    if (there < 2)
        return 0;
    size_t length_bytes = at[1] < 126 ? 0 : at[1] == 126 ? 2 : 8;
    if (there < 2 + length_bytes)
        return 0;
    *size = length_bytes ? 0 : at[1];
    for (size_t i = 0; i < length_bytes; i++)
        *size = *size << 8 | at[2 + i];
    return 2 + length_bytes;
}

static bool has_frames(const Client *client)
{
    return client->stage == WAITING || client->stage == READY || client->stage == PROBING || client->stage == PROBED;
}

static void on_frames(Client *client)
{
    size_t position = 0, header, size;
    while (has_frames(client)) {
        const char *frame = client->in.data + position;
        size_t there = client->in.size - position;
        header = parse_header((const unsigned char *)frame, there, &size);
        if (!header || there < header + size)
            break;
        if ((frame[0] & 0x0F) == 1)
            on_text(client, frame + header, size);
        else if (client->stage != CONNECTING && client->stage != CLOSED)
            complain("not a text frame", frame + header, size);
        position += header + size;
    }
    if (position && has_frames(client))     /* a client that closed, or came anew, has nothing left */
        drop_front(&client->in, position);
}

static void on_readable(Client *client)
{
    reserve(&client->in, READ_SIZE);
    ssize_t size = recv(client->fd, client->in.data + client->in.size, READ_SIZE, 0);
    if (size < 0 && errno == EAGAIN)
        return;
    if (size <= 0) {
        const char *why = size ? strerror(errno) : "closed by the server";
        complain("a connection ended", why, strlen(why));
        return close_client(client);
    }
    client->in.size += size;
    client->in.data[client->in.size] = 0;
    if (!has_frames(client))
        on_http(client);
    if (has_frames(client))
        on_frames(client);
}

static void on_event(Client *client)
{
    if (client->stage == CLOSED)
        return;
    if (client->stage == CONNECTING) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error)
            die("connect: %s", strerror(error));
        on_connected(client);
    } else {
        on_readable(client);
    }
    if (client->stage != CLOSED && client->stage != CONNECTING)
        flush(client);
}

static void turn(void)
{
    struct epoll_event events[256];
    while (begun < count_clients() && begun - ready < AT_ONCE)
        open_client(&clients[begun++]);
    int count = epoll_wait(epoll, events, 256, 20);
    for (int i = 0; i < count; i++)
        on_event(events[i].data.ptr);
}

static void run_for(double seconds)
{
    for (double end = now() + seconds; now() < end;)
        turn();
}

/* Clients without any answer yet; others may keep the numbers up. */
static int count_silent(void)
{
    int silent = messages == 0 && options.mode != IDLE && options.mode != WAITING_POLLS;
    for (int i = 0; i < options.clients && (options.mode == ECHO_MODE || options.mode == POLL); i++)
        silent += clients[i].received == 0;
    return silent;
}

static void wait_for_answers(void)
{
    double end = now() + PATIENCE;
    while (count_silent()) {
        if (now() > end || failures > MAX_COMPLAINTS)
            die("%d of %d clients got no answer", count_silent(), options.clients);
        turn();
    }
}

/* In CPU time: on a busy machine a second may do little. */
static void warm_up(void)
{
    double enough = cpu_of(options.pid) + options.warm, end = now() + 10 * options.warm;
    while (cpu_of(options.pid) < enough && now() < end)
        turn();
}

/* -- Main -------------------------------------------------------------------------- */

/* In modes that never rest, the first is enough to begin with. */
static void wait_for_clients(void)
{
    bool all = options.mode != CONNECT && options.mode != HANDSHAKE && options.mode != BY_DEFAULT;
    double end = now() + PATIENCE;
    while (all ? ready < count_clients() : messages == 0) {
        if (now() > end || failures > MAX_COMPLAINTS)
            die("only %d of %d clients got in", ready, count_clients());
        turn();
    }
}

static void allow_files(rlim_t needed)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_max < needed)
        limit.rlim_cur = limit.rlim_max = needed;
    if (setrlimit(RLIMIT_NOFILE, &limit))
        die("%lu file descriptors are needed, and may not be had: see ulimit -n", (unsigned long)needed);
}

static void parse_dialects(char *names)
{
    options.dialect_count = 0;
    for (char *name = strtok(names, ","); name && options.dialect_count < 8; name = strtok(NULL, ","))
        options.dialects[options.dialect_count++] = find_dialect(name);
}

static Mode find_mode(const char *name)
{
    for (size_t i = 0; i < sizeof mode_names / sizeof *mode_names; i++)
        if (!strcmp(mode_names[i], name))
            return i;
    die("no mode %s", name);
    return 0;
}

static void parse_option(const char *name, char *value)
{
    if (!strcmp(name, "--mode")) options.mode = find_mode(value);
    else if (!strcmp(name, "--dialect")) parse_dialects(value);
    else if (!strcmp(name, "--event")) options.event = value;
    else if (!strcmp(name, "--page")) options.page = value;
    else if (!strcmp(name, "--headers")) options.browser = !strcmp(value, "browser");
    else if (!strcmp(name, "--port")) options.port = atoi(value);
    else if (!strcmp(name, "--pid")) options.pid = atoi(value);
    else if (!strcmp(name, "--sender-port")) options.sender_port = atoi(value);
    else if (!strcmp(name, "--sender-pid")) options.sender_pid = atoi(value);
    else if (!strcmp(name, "--clients")) options.clients = atoi(value);
    else if (!strcmp(name, "--receivers")) options.receivers = atoi(value);
    else if (!strcmp(name, "--depth")) options.depth = atoi(value);
    else if (!strcmp(name, "--bytes")) options.bytes = strtoul(value, NULL, 10);
    else if (!strcmp(name, "--seconds")) options.seconds = atof(value);
    else if (!strcmp(name, "--warm")) options.warm = atof(value);
    else die("no option %s", name);
}

static void parse_options(int count, char **arguments)
{
    options.dialects[options.dialect_count++] = find_dialect("EIO4");
    for (int i = 1; i < count; i += 2) {
        if (i + 1 == count)
            die("%s needs a value", arguments[i]);
        parse_option(arguments[i], arguments[i + 1]);
    }
    if (!options.port || !options.pid)
        die("--port and --pid are needed");
    if (options.sender_port && (!options.sender_pid || options.mode != BROADCAST))
        die("--sender-port is for broadcasts, and needs --sender-pid");
    if (!options.event)
        options.event = options.mode == BROADCAST ? "all" : "echo";
    if (!options.receivers)
        options.receivers = options.clients;
}

static int count_connections(void)
{
    return options.mode == BY_DEFAULT ? 2 * options.clients : count_clients();
}

static void make_clients(void)
{
    for (int i = 0; i < options.dialect_count; i++)
        prepare_event(options.dialects[i], options.event, options.bytes);
    int connections = count_connections();
    clients = calloc(connections, sizeof *clients);
    epoll = epoll_create1(0);
    if (!clients || epoll < 0)
        die("out of memory, or of file descriptors");
    for (int i = 0; i < count_clients(); i++)
        clients[i].dialect = options.dialects[i % options.dialect_count];
    for (int i = count_clients(); i < connections; i++) {
        Client *websocket = &clients[i], *polling = &clients[i - options.clients];
        *websocket = (Client){.dialect = polling->dialect, .partner = polling, .takes_over = true};
        polling->partner = websocket;
    }
    for (int i = 0; i < connections; i++)
        clients[i].port = is_sender_elsewhere(&clients[i]) ? options.sender_port : options.port;
}

int main(int count, char **arguments)
{
    parse_options(count, arguments);
    allow_files(count_connections() + 32);
    make_clients();
    long memory_before = server_memory();
    wait_for_clients();
    run_for(options.mode == IDLE || options.mode == WAITING_POLLS ? SETTLING : 0);
    long memory_after = server_memory();
    start();
    warm_up();

    messages = 0;
    pid_t sender_pid = options.sender_pid ? options.sender_pid : options.pid;
    unsigned long sent_before = events_sent;
    double cpu = cpu_of(options.pid), sender_cpu = cpu_of(sender_pid), began = now();
    run_for(options.seconds);
    wait_for_answers();
    cpu = cpu_of(options.pid) - cpu;
    sender_cpu = cpu_of(sender_pid) - sender_cpu;
    double seconds = now() - began;

    printf("{\"messages\": %lu, \"seconds\": %.6f, \"cpu\": %.9f, \"bytes\": %ld, \"sent\": %lu, \"sender_cpu\": %.9f, "
           "\"failures\": %lu}\n", messages, seconds, cpu, (memory_after - memory_before) / options.clients,
           events_sent - sent_before, sender_cpu, failures);
    return failures ? 1 : 0;
}
