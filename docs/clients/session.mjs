// A session of Event Protocol 1 over WebSocket, for pages. EP-… are the specification's statements.
//
//   const session = new Session("ws://localhost:3001/", { user: "ann", onFact: (fact) => show(fact) });
//   const position = await session.say("hello"); // said exactly once, over as many connections as it takes
//   await session.leave();
//
// Positions, tickets and seqs are BigInts: a Number does not hold every u64 (EP-16.4-1).

const LOGIN = 1, MESSAGE = 2, LOGOUT = 3, ACK = 4, ERROR = 5, PING = 6, PONG = 7, WELCOME = 8, JOINED = 9, LEFT = 10;
const MALFORMED = 1, FRAME_TOO_LARGE = 2, UNSUPPORTED_VERSION = 3, UNEXPECTED_EVENT = 5;
const USER_TAKEN = 13, HISTORY_GONE = 15, SLOW_CONSUMER = 21, INTERNAL = 30;
const FINAL = [1, 2, 3, 12, 13]; // codes after which nobody connects again by itself (EP-9.3-3, EP-9.3-4)
const SUBPROTOCOL = "event-protocol.1";
const SHORTEST = 500, LONGEST = 30_000, WELCOME_TIMEOUT = 10_000; // milliseconds: waits (EP-9.3-1), and for a Welcome
const HEARTBEAT = 20; // seconds, where the Welcome names none (EP-9.1-8)
const MOST_FAILURES = 3; // connections that may end with INTERNAL at the same request
const WINDOW = 65_536, MOST_KEPT = 1 << 20; // bytes of requests: sent without a reply, and kept without an outcome
const MOST_UNSENT = 1 << 20; // bytes for a server that does not read: its Pongs, above all (7.2)
const isApplication = (type) => type >= 0x80;
const isFact = (type) => [MESSAGE, JOINED, LEFT].includes(type) || isApplication(type);

class Fault extends Error { // the server broke a rule: the connection ends here (EP-4.2-12)
  constructor(code) { super(`server's fault ${code}`); this.code = code; }
}

/** A request that was not acknowledged. `fate` is refused, too long, not accepted, never sent or unknown. */
export class NotSaid extends Error {
  constructor(fate, code) { super(code ? `${fate}, code ${code}` : fate); this.fate = fate; this.code = code; }
}

// ---------------------------------------------------------------- frames

const utf8 = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }); // EP-2.3-3, EP-2.3-5
const NOTHING = new Uint8Array();

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) { whole.set(part, at); at += part.length; }
  return whole;
}

function number(size, value) {
  const view = new DataView(new ArrayBuffer(size));
  if (size === 2) view.setUint16(0, value);
  else if (size === 4) view.setUint32(0, value);
  else view.setBigUint64(0, value);
  return new Uint8Array(view.buffer);
}

function short(text) {
  const bytes = utf8.encode(text);
  if (bytes.length > 255) throw new RangeError("a name has at most 255 bytes");
  return joined([Uint8Array.of(bytes.length), bytes]);
}

function frame(type, seq, ...parts) {
  const body = joined(parts);
  return joined([number(4, 12 + body.length), Uint8Array.of(1, type, 0, 0), number(8, seq), body]);
}

class Body {
  constructor(bytes) { this.bytes = bytes; this.at = 0; }
  take(size) {
    if (this.at + size > this.bytes.length) throw new Fault(MALFORMED); // EP-2.4-2, EP-2.4-3
    return this.bytes.subarray(this.at, (this.at += size));
  }
  view(size) { const part = this.take(size); return new DataView(part.buffer, part.byteOffset, size); }
  u8() { return this.take(1)[0]; }
  u16() { return this.view(2).getUint16(0); }
  u32() { return this.view(4).getUint32(0); }
  u64() { return this.view(8).getBigUint64(0); }
  text(size) { try { return strict.decode(this.take(size)); } catch (e) { throw e instanceof Fault ? e : new Fault(MALFORMED); } }
  short() { return this.text(this.u8()); }
  rest() { return this.bytes.length - this.at; }
}

const KINDS = {
  [LOGIN]: ["Login", (b) => ({ user: b.short(), credential: b.take(b.u16()), ticket: b.u64(), position: b.u64() })],
  [MESSAGE]: ["Message", (b) => ({ sender: b.short(), content: b.text(b.rest()) })],
  [LOGOUT]: ["Logout", () => ({})],
  [ACK]: ["Ack", (b) => ({ position: b.u64() })],
  [ERROR]: ["Error", (b) => ({ code: b.u16(), text: b.short() })],
  [PING]: ["Ping", () => ({})],
  [PONG]: ["Pong", () => ({})],
  [WELCOME]: ["Welcome", (b) => ({ user: b.short(), ticket: b.u64(), position: b.u64(), max_frame: b.u32(), heartbeat: b.u16(), server: b.short() })],
  [JOINED]: ["Joined", (b) => ({ user: b.short() })],
  [LEFT]: ["Left", (b) => ({ user: b.short(), reason: ((r) => (r > 2 ? 1 : r))(b.u8()) })], // EP-3.10-2
};

function decode(type, seq, bytes) {
  const body = new Body(bytes);
  const [event, read] = KINDS[type] ?? (isApplication(type)
    ? ["ApplicationEvent", (b) => ({ type, sender: b.short(), data: b.take(b.rest()).slice() })]
    : ["Unknown", (b) => ({ type, body: b.take(b.rest()).slice() })]);
  const fields = read(body);
  if (body.rest()) throw new Fault(MALFORMED); // EP-2.4-4
  return { event, seq, ...fields };
}

class Stream { // received bytes; where messages begin and end means nothing (EP-16.1-2)
  constructor() { this.bytes = new Uint8Array(4_096); this.start = this.end = 0; }
  push(data) {
    const held = this.end - this.start;
    if (this.end + data.length > this.bytes.length) {
      if (held + data.length > this.bytes.length) {
        const grown = new Uint8Array(2 * (held + data.length));
        grown.set(this.bytes.subarray(this.start, this.end));
        this.bytes = grown;
      } else {
        this.bytes.copyWithin(0, this.start, this.end);
      }
      [this.start, this.end] = [0, held];
    }
    this.bytes.set(data, this.end);
    this.end += data.length;
  }
  next(limit) { // the next whole frame, or null
    const size = this.end - this.start;
    if (size < 4) return null;
    const view = new DataView(this.bytes.buffer, this.start, size);
    const length = view.getUint32(0);
    if (length < 12) throw new Fault(MALFORMED);
    if (length > limit) throw new Fault(FRAME_TOO_LARGE); // EP-2.1-3, EP-7.1-6
    if (size < 16) return null;
    const type = view.getUint8(5), seq = view.getBigUint64(8);
    if (view.getUint8(4) !== 1) throw new Fault(UNSUPPORTED_VERSION);
    if (view.getUint16(6) !== 0 || (seq === 0n && type !== ERROR)) throw new Fault(MALFORMED);
    if (size < 4 + length) return null;
    const body = this.bytes.subarray(this.start + 16, this.start + 4 + length);
    this.start += 4 + length;
    return { type, seq, body };
  }
}

// ---------------------------------------------------------------- the session

/**
 * One identity over as many connections as it takes.
 *
 * Options: `user`; `credential`, a function that returns bytes, asked at each attempt (or a promise of
 * them); `onFact(fact)`; `onStatus(status)`, with status.state online, offline, paused or closed;
 * `onEvent(event)` and `onEnd(how, code)` for who wants to see everything.
 */
export class Session {
  constructor(url, options = {}) {
    this.url = new URL(url);
    this.options = { user: "", credential: () => NOTHING, onFact() {}, onStatus() {}, onEvent() {}, onEnd() {}, ...options };
    this.reconnects = true;
    this.user = "";
    this.state = "connecting";
    this.position = 0n; // the last entry that was handled (EP-6.5-4)
    this.ticket = 0n;
    this.requests = []; // without an outcome, in order; the first `doubt` of them are in doubt (EP-6.5-7)
    this.doubt = 0;
    this.bytes = 0;
    this.pause = SHORTEST;
    this.loginUnanswered = false; // whether a Login got no reply: then USER_TAKEN can mean this session itself
    this.leaving = null;
    this.connect();
  }

  /** Say it: a promise of its position. It is rejected with NotSaid, and with RangeError while too much waits. */
  say(content) {
    if (/\p{Surrogate}/u.test(content)) return Promise.reject(new RangeError("half of a character")); // EP-2.3-4
    return this.put(MESSAGE, utf8.encode(content));
  }

  /** Send an application event of a type from 0x80 to 0xFF; a promise as that of `say`. */
  put(type, body) {
    if (type !== MESSAGE && !(isApplication(type) && type <= 0xff)) return Promise.reject(new RangeError("not a type from 0x80 to 0xFF"));
    if (this.leaving || this.state === "closed") return Promise.reject(new NotSaid("never sent"));
    if (this.bytes + body.length > MOST_KEPT) return Promise.reject(new RangeError("too much waits for its outcome"));
    return new Promise((resolve, reject) => {
      this.requests.push({ type, body, resolve, reject, wasSent: false, failures: 0 });
      this.bytes += body.length + 17;
      queueMicrotask(() => this.pump()); // what is said in one go goes out in one message
    });
  }

  /** Ask the server whether it is there. */
  ping() { if (this.link?.place !== undefined && !this.link.loggedOut) { this.ask(PING); this.flush(); } }

  /** Log out behind all that was said; the promise says whether the Ack has come. */
  leave() {
    this.leaving ??= new Promise((resolve) => { this.left = resolve; });
    if (this.state === "paused" || (!this.link && !this.requests.length)) this.close();
    else this.pump();
    return this.leaving;
  }

  /** Go on after a pause, under another name if there is no session yet. */
  goOn(user) {
    if (this.state !== "paused") return;
    if (user !== undefined && !this.ticket) this.options.user = user;
    this.connect();
  }

  /** End it at once; each request gets its outcome. */
  close(isClean = false) {
    if (this.state === "closed") return;
    this.drop();
    clearTimeout(this.retry);
    this.state = "closed";
    this.requests.forEach((each, at) =>
      each.reject(new NotSaid(at < this.doubt ? "unknown" : each.wasSent ? "not accepted" : "never sent")));
    this.requests = [];
    this.left?.(isClean);
    this.tell("onStatus", { state: "closed", isClean });
  }

  // -------------------------------------------------------------- one connection

  async connect() {
    this.state = "connecting";
    const link = { next: 1n, waiting: [], out: [], stream: new Stream(), limit: 4_351, allowed: 4_096,
      replaying: this.ticket !== 0n, loggedOut: false, hasAsked: false, lastByte: 0, asked: 0 };
    this.link = link;
    const mine = (act) => (event) => { if (this.link === link) act(event); };
    let credential, ws;
    try {
      credential = await this.options.credential();
      if (this.link !== link) return;
      if (credential.length && !this.isPrivate()) return this.stop("a credential goes over wss only"); // EP-16.2-10
      ws = link.ws = new WebSocket(this.url, SUBPROTOCOL); // EP-16.2-1
    } catch (error) { // no credential, or an address that this page may not use
      if (this.link === link) this.stop(String(error?.message ?? error));
      return;
    }
    link.timer = setTimeout(mine(() => this.end("lost")), WELCOME_TIMEOUT);
    ws.binaryType = "arraybuffer";
    ws.onopen = mine(() => {
      if (ws.protocol !== SUBPROTOCOL) return this.end("fault", UNEXPECTED_EVENT); // EP-16.2-3
      const user = this.ticket ? this.user : this.options.user;
      link.hasAsked = true;
      this.ask(LOGIN, short(user), number(2, credential.length), credential, number(8, this.ticket), number(8, this.position));
      if (link.replaying) link.marker = this.ask(PING); // EP-6.5-6
      this.flush();
    });
    ws.onmessage = mine(({ data }) => this.receive(data));
    ws.onclose = mine(() => this.end("lost")); // whatever its code (EP-16.3-3)
  }

  isPrivate() {
    const host = this.url.hostname;
    return this.url.protocol === "wss:" || host === "localhost" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
  }

  receive(data) {
    const link = this.link;
    [link.lastByte, link.asked] = [performance.now(), 0];
    try {
      if (typeof data === "string") throw new Fault(MALFORMED); // EP-16.1-4
      link.stream.push(new Uint8Array(data));
      for (let next; this.link === link && (next = link.stream.next(link.limit)); ) {
        this.handle(next.type, next.seq, decode(next.type, next.seq, next.body));
      }
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.flush(); // the Pong to a Ping before the fault
      if (this.link === link) this.end("fault", error.code);
    }
    if (this.link === link) this.pump();
    if (this.link === link && link.ws.bufferedAmount > MOST_UNSENT) this.end("lost"); // a page cannot stop reading
  }

  ask(type, ...parts) { // a request, numbered; sent by `flush`
    const request = { type, seq: this.link.next++ };
    this.link.waiting.push(request);
    this.link.out.push(frame(type, request.seq, ...parts));
    return request;
  }

  pump() { // hand out what may be sent now (EP-6.5-5, EP-6.5-6, EP-6.5-16)
    const link = this.link;
    if (this.state !== "online" || !link) return this.flush();
    let inDoubt = this.requests.slice(0, this.doubt).reduce((size, each) => size + each.body.length + 17, 0);
    while (this.doubt < this.requests.length && inDoubt < WINDOW) {
      const request = this.requests[this.doubt];
      if (13 + request.body.length > link.allowed) { // EP-6.5-17, EP-7.1-2
        this.settled(this.doubt).reject(new NotSaid("too long"));
        continue;
      }
      this.ask(request.type, Uint8Array.of(0), request.body).kept = request;
      request.wasSent = true;
      this.doubt += 1;
      inDoubt += request.body.length + 17;
    }
    if (this.leaving && this.doubt === this.requests.length && !link.loggedOut) {
      link.loggedOut = true;
      this.ask(LOGOUT);
    }
    this.flush();
  }

  flush() { // as few messages as are allowed (EP-16.1-5)
    const link = this.link;
    if (link?.ws?.readyState !== 1) return;
    let message = [], size = 0;
    for (const each of link.out.splice(0)) {
      if (message.length && size + each.length > link.allowed + 4) {
        link.ws.send(joined(message));
        [message, size] = [[], 0];
      }
      message.push(each);
      size += each.length;
    }
    if (message.length) link.ws.send(joined(message));
  }

  // -------------------------------------------------------------- what comes

  handle(type, seq, event) {
    const link = this.link;
    if (type === PING) return void link.out.push(frame(PONG, seq)); // EP-3.7-3
    if (type === ERROR && seq === 0n) {
      const failures = event.code === INTERNAL && this.state === "online" && this.doubt ? ++this.requests[0].failures : 0;
      if (link.place !== undefined && event.code !== SLOW_CONSUMER) this.doubt = 0; // EP-6.5-12
      return this.end(failures >= MOST_FAILURES ? "failing" : "explained", event.code);
    }
    if (type === LOGIN || type === LOGOUT) throw new Fault(UNEXPECTED_EVENT); // EP-4.4-2
    if (isFact(type)) {
      this.enter(seq);
      const isOwn = link.replaying && this.replayed(type, event);
      this.tell("onEvent", event);
      if (!isOwn) this.tell("onFact", event);
    } else if (event.event === "Unknown") {
      this.tell("onEvent", event); // EP-3.12-2
    } else {
      this.replied(type, seq, event);
    }
  }

  enter(position) { // EP-5.2-5, EP-5.2-6, EP-4.4-1
    if (this.link.place === undefined || position !== this.link.place + 1n) throw new Fault(UNEXPECTED_EVENT);
    this.link.place = this.position = position;
  }

  settled(at) { // take a request out of those without an outcome
    const [request] = this.requests.splice(at, 1);
    this.bytes -= request.body.length + 17;
    if (at < this.doubt) this.doubt -= 1;
    return request;
  }

  replayed(type, event) { // whether a fact of the replay is the oldest request in doubt
    if (type === LEFT && event.user === this.user) this.doubt = 0; // EP-6.5-10
    if (event.sender !== this.user || !this.doubt) return false;
    const said = event.data ?? utf8.encode(event.content), { type: asked, body } = this.requests[0];
    const isIt = asked === type && body.length === said.length && body.every((byte, at) => byte === said[at]);
    if (isIt) this.settled(0).resolve(event.seq); // EP-6.5-8
    else this.doubt = 0; // another session's (EP-6.5-9)
    return isIt;
  }

  replied(type, seq, event) {
    const link = this.link, request = link.waiting.shift();
    const fits = { [LOGIN]: WELCOME, [PING]: PONG }[request?.type] ?? ACK; // EP-4.2-10, EP-4.2-11
    if (request?.seq !== seq || ![fits, ERROR].includes(type)) throw new Fault(UNEXPECTED_EVENT);
    if (type === ACK && event.position) this.enter(event.position);
    if (request.kept) {
      const { resolve, reject } = this.settled(0);
      if (type === ACK) resolve(event.position); else reject(new NotSaid("refused", event.code));
    }
    if (type === WELCOME) this.welcomed(event);
    this.tell("onEvent", event);
    if (request.type === LOGIN && type === ERROR) return this.end("refused", event.code);
    if (request.type === LOGOUT && type === ACK) return this.end("clean");
    if (request.type === LOGOUT) this.stays(); // EP-4.4-5
    if (request === link.marker && type === ERROR) return this.stop(`the marker was refused, code ${event.code}`);
    if (request === link.marker && type === PONG && this.state === "login") { // EP-6.5-11
      link.replaying = false;
      this.doubt = 0;
      this.state = "online";
    }
  }

  tell(name, ...what) { // an exception of the page's own is reported, and no later event is lost by it
    try { this.options[name](...what); } catch (error) { queueMicrotask(() => { throw error; }); }
  }

  stays() { // the Logout was refused: it is a member as before
    this.link.loggedOut = false;
    this.left(false);
    this.leaving = null;
  }

  welcomed(event) {
    const link = this.link;
    const isOther = link.replaying && event.ticket !== this.ticket;
    if (!event.ticket || isOther || event.max_frame < 4_096) throw new Fault(UNEXPECTED_EVENT); // EP-3.8-5
    if (link.replaying && event.position !== this.position) throw new Fault(UNEXPECTED_EVENT); // EP-6.4-16
    clearTimeout(link.timer);
    const heartbeat = 1000 * (event.heartbeat || HEARTBEAT);
    link.timer = setInterval(() => this.listen(link, heartbeat), heartbeat / 4);
    [this.user, this.ticket, this.pause, this.loginUnanswered] = [event.user, event.ticket, SHORTEST, false];
    [link.place, this.position] = [event.position, event.position];
    [link.allowed, link.limit] = [event.max_frame, Math.max(4_351, event.max_frame + 255)]; // EP-7.1-5, EP-7.1-6
    this.state = link.replaying ? "login" : "online";
    this.tell("onStatus", { state: "online", user: this.user, resumed: link.replaying });
  }

  listen(link, heartbeat) { // whether a silent server is there (EP-9.1-7); after a sleep it asks before it decides
    if (this.link !== link) return;
    const now = performance.now();
    if (link.asked && now - link.asked >= heartbeat) return this.end("lost");
    if (!link.asked && now - link.lastByte >= heartbeat) { link.asked = now; this.ping(); }
  }

  // -------------------------------------------------------------- the end of a connection

  drop() {
    const link = this.link;
    this.link = null;
    clearTimeout(link?.timer);
    clearInterval(link?.timer);
    link?.ws?.close();
  }

  end(how, code) {
    const { replaying: wasResuming, hasAsked, place } = this.link;
    this.flush();
    this.drop();
    this.tell("onEnd", how, code);
    if (how === "clean") return this.close(true);
    if (how === "refused" && code === HISTORY_GONE && wasResuming) return this.gone();
    const isGhost = how === "refused" && code === USER_TAKEN && (wasResuming || this.loginUnanswered);
    if (how === "lost" && hasAsked && place === undefined) this.loginUnanswered = true;
    const isOver = how === "fault" || how === "failing" || (how === "refused" && !isGhost) || (how === "explained" && FINAL.includes(code));
    if (this.leaving && !this.requests.length) return this.close(); // EP-6.4: it has left in any case
    if (isOver || !this.reconnects) return this.stop(`${how}${code ? `, code ${code}` : ""}`);
    const wait = this.pause * (0.5 + Math.random() / 2); // EP-9.3-1
    this.pause = Math.min(LONGEST, 2 * this.pause);
    this.state = "offline";
    this.retry = setTimeout(() => this.connect(), wait);
    this.tell("onStatus", { state: "offline", how, code, wait });
  }

  gone() { // EP-6.5-15
    while (this.doubt) this.settled(0).reject(new NotSaid("unknown"));
    [this.ticket, this.position, this.user] = [0n, 0n, ""];
    this.stop("history gone");
  }

  stop(reason) {
    this.drop();
    this.state = "paused";
    this.tell("onStatus", { state: "paused", reason });
  }
}
