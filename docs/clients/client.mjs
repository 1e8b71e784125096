// A whole client of Event Protocol 1 for Node, with no package: node client.mjs HOST PORT
// It logs in as ann, tells each event that it sees as a line of JSON, follows the orders that a member
// called kit gives in the room, and resumes its session when told to. EP-… are the specification's statements.
import net from "node:net";

const [HOST, PORT] = process.argv.slice(2);
const LOGIN = 1, MESSAGE = 2, LOGOUT = 3, ACK = 4, ERROR = 5, PING = 6, PONG = 7, WELCOME = 8, JOINED = 9, LEFT = 10;
const MALFORMED = 1, FRAME_TOO_LARGE = 2, UNSUPPORTED_VERSION = 3, UNEXPECTED_EVENT = 5, USER_TAKEN = 13, SLOW_CONSUMER = 21;
const FINAL = [1, 2, 3, 12, 13]; // the codes after which nobody connects again (EP-9.3-3, EP-9.3-4)
const SHORTEST = 500, LONGEST = 30000; // milliseconds between two connections (EP-9.3-1)
const ofApplication = (type) => type >= 0x80;

class Fault extends Error { // the server broke a rule: the connection ends here (EP-4.2-12)
  constructor(code) { super(`server's fault ${code}`); this.code = code; }
}

// ---------------------------------------------------------------- bytes -> fields

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }); // EP-2.3-3, EP-2.3-5

function text(bytes) { try { return utf8.decode(bytes); } catch { throw new Fault(MALFORMED); } }

class Body {
  constructor(bytes) { this.bytes = bytes; this.at = 0; }
  take(size) {
    if (this.at + size > this.bytes.length) throw new Fault(MALFORMED); // EP-2.4-2, EP-2.4-3
    return this.bytes.subarray(this.at, (this.at += size));
  }
  rest() { return this.take(this.bytes.length - this.at); }
  number(size) { return this.take(size).readUIntBE(0, size); }
  u64() { return this.take(8).readBigUInt64BE(); }
  short() { return text(this.take(this.number(1))); }
  end() { if (this.at < this.bytes.length) throw new Fault(MALFORMED); } // EP-2.4-4
}

const KINDS = {
  [LOGIN]: ["Login", (b) => ({
    user: b.short(), credential: b.take(b.number(2)), ticket: b.u64(), position: b.u64() })],
  [MESSAGE]: ["Message", (b) => ({ sender: b.short(), content: text(b.rest()) })],
  [LOGOUT]: ["Logout", () => ({})],
  [ACK]: ["Ack", (b) => ({ position: b.u64() })],
  [ERROR]: ["Error", (b) => ({ code: b.number(2), text: b.short() })],
  [PING]: ["Ping", () => ({})], [PONG]: ["Pong", () => ({})],
  [WELCOME]: ["Welcome", (b) => ({ user: b.short(), ticket: b.u64(), position: b.u64(),
    max_frame: b.number(4), heartbeat: b.number(2), server: b.short() })],
  [JOINED]: ["Joined", (b) => ({ user: b.short() })],
  [LEFT]: ["Left", (b) => ({ user: b.short(), reason: ((r) => (r > 2 ? 1 : r))(b.number(1)) })],
};
const APPLICATION = ["ApplicationEvent", (b) => ({ sender: b.short(), data: b.rest() })];
const UNKNOWN = ["Unknown", (b) => ({ body: b.rest() })];

function decode(type, bytes) {
  const [event, read] = ofApplication(type) ? APPLICATION : KINDS[type] ?? UNKNOWN;
  const body = new Body(bytes);
  const fields = read(body);
  body.end();
  return KINDS[type] ? { event, ...fields } : { event, type, ...fields };
}

// ---------------------------------------------------------------- events -> bytes, lines

function frame(type, seq, ...parts) {
  const header = Buffer.from([0, 0, 0, 0, 1, type, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  const whole = Buffer.concat([header, ...parts]);
  whole.writeUInt32BE(whole.length - 4);
  whole.writeBigUInt64BE(seq, 8);
  return whole;
}

const u64 = (value) => { const bytes = Buffer.alloc(8); bytes.writeBigUInt64BE(value); return bytes; };
const short = (value) => Buffer.concat([Buffer.from([Buffer.byteLength(value)]), Buffer.from(value)]);

function tell({ ticket, ...said }) { // without the secret (EP-12-1), and in ASCII (EP-12-6)
  const plain = (_, value) => (typeof value === "bigint" ? String(value) : value);
  const escaped = (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
  for (const key of ["data", "body"]) if (said[key]) said[key] = said[key].toString("hex");
  console.log(JSON.stringify(said, plain).replace(/[^ -~]/g, escaped));
}

// ---------------------------------------------------------------- one connection

const session = { user: "ann", ticket: 0n, position: 0n, resumes: false, pause: SHORTEST };
// Requests, over all connections of the session (6.5): those in doubt, which were sent and have no reply, and
// those that were not accepted and are to be sent again.
let kept = [], refused = [];
const settle = () => refused.push(...kept.splice(0));

function connect() {
  const socket = net.connect({ host: HOST, port: Number(PORT), noDelay: true });
  const waiting = []; // requests without a reply, the oldest first
  let next = 1n, limit = 4096, allowed = 4096, place = null, loggedOut = false, ended = false;
  let chunks = [], held = 0, wanted = 4, replaying = session.ticket !== 0n;

  function send(type, ...parts) {
    const bytes = frame(type, next, ...parts);
    if (bytes.length - 4 > allowed) return tell({ event: "Refused" }); // EP-7.1-1, EP-7.1-2
    const request = { type, seq: next++, parts };
    waiting.push(request);
    if (type === MESSAGE || ofApplication(type)) kept.push(request);
    socket.write(bytes);
    return request;
  }

  function end(how, code) {
    ended = true;
    socket.destroy();
    tell({ event: "End", how, code });
    const mayResume = how === "lost" || (how === "refused" && code === USER_TAKEN) ||
      (how === "explained" && !FINAL.includes(code));
    if (!session.resumes || !session.ticket || !mayResume) return;
    setTimeout(connect, session.pause * (0.5 + Math.random() / 2));
    session.pause = Math.min(LONGEST, 2 * session.pause);
  }

  function enter(position) { // EP-5.2-5, EP-5.2-6, EP-4.4-1
    if (place === null || position !== place + 1n) throw new Fault(UNEXPECTED_EVENT);
    place = session.position = position;
  }

  function replied(type, seq, event) {
    const request = waiting.shift();
    const fits = { [LOGIN]: WELCOME, [PING]: PONG }[request?.type] ?? ACK; // EP-4.2-10, EP-4.2-11
    if (request?.seq !== seq || ![fits, ERROR].includes(type)) throw new Fault(UNEXPECTED_EVENT);
    if (type === ACK && event.position) enter(event.position);
    kept = kept.filter((each) => each !== request);
    if (type !== WELCOME) return request;
    if (replaying && event.position !== session.position) throw new Fault(UNEXPECTED_EVENT); // EP-6.4-16
    [place, allowed] = [event.position, event.max_frame];
    limit = event.max_frame + 255; // EP-7.1-5
    Object.assign(session, { user: event.user, ticket: event.ticket, position: place, pause: SHORTEST });
    return request;
  }

  function replayed(type, { user, sender, content, data }) { // what a fact says of that which is in doubt
    if (type === LEFT && user === session.user) return settle(); // EP-6.5-10
    if (sender !== session.user) return;
    const said = data ?? Buffer.from(content);
    if (kept[0]?.type === type && kept[0].parts[1].equals(said)) kept.shift(); // accepted (EP-6.5-8)
    else settle(); // another session's (EP-6.5-9)
  }

  function obey(order) {
    const [, verb, rest] = order.match(/^(\S*) ?([^]*)$/);
    if (verb === "resume") session.resumes = true;
    if (loggedOut) return; // EP-4.4-5
    const [number, hex] = rest.split(" ");
    if (verb === "say") send(MESSAGE, short(""), Buffer.from(rest));
    if (verb === "event") send(Number(number), short(""), Buffer.from(hex ?? "", "hex"));
    if (verb === "ping") send(PING);
    if (verb === "logout") loggedOut = send(LOGOUT);
  }

  function handle(type, seq, event) {
    if (type === PING) return void socket.write(frame(PONG, seq)); // EP-3.7-3
    if (type === ERROR && seq === 0n) {
      if (place !== null && event.code !== SLOW_CONSUMER) settle(); // EP-6.5-12
      return end("explained", event.code);
    }
    if (type === LOGIN || type === LOGOUT) throw new Fault(UNEXPECTED_EVENT); // EP-4.4-2
    const isFact = [MESSAGE, JOINED, LEFT].includes(type) || ofApplication(type);
    if (isFact) enter(seq);
    const request = isFact || event.event === "Unknown" ? null : replied(type, seq, event);
    tell({ seq, ...event });
    if (type === ACK && request.type === LOGOUT) return end("clean");
    if (type === ERROR && request.type === LOGIN) return end("refused", event.code);
    if (isFact && replaying) replayed(type, event);
    if (type === PONG && replaying) { // EP-6.5-11
      replaying = false;
      settle();
      for (const each of refused.splice(0)) send(each.type, ...each.parts); // EP-6.5-16
    }
    if (type === MESSAGE && event.sender === "kit") obey(event.content);
  }

  function step(buffer) { // handle one frame; gives what is behind it, or null for "not yet"
    if (buffer.length < (wanted = 4)) return null;
    const length = buffer.readUInt32BE(0);
    if (length < 12) throw new Fault(MALFORMED);
    if (length > limit) throw new Fault(FRAME_TOO_LARGE); // EP-2.1-3: with 4 bytes in
    if (buffer.length < (wanted = 16)) return null;
    const [version, type, seq] = [buffer[4], buffer[5], buffer.readBigUInt64BE(8)];
    if (version !== 1) throw new Fault(UNSUPPORTED_VERSION);
    if (buffer.readUInt16BE(6) !== 0 || (seq === 0n && type !== ERROR)) throw new Fault(MALFORMED);
    if (buffer.length < (wanted = 4 + length)) return null;
    handle(type, seq, decode(type, buffer.subarray(16, 4 + length)));
    return buffer.subarray(4 + length);
  }

  socket.on("data", (chunk) => {
    chunks.push(chunk);
    held += chunk.length;
    try {
      while (!ended && held >= wanted) { // joined only now: many small chunks cost no more
        let buffer = Buffer.concat(chunks);
        for (let left = buffer; left !== null && !ended; left = step(buffer)) buffer = left;
        [chunks, held] = [[buffer], buffer.length];
      }
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      end("fault", error.code);
    }
    if (socket.writableNeedDrain) socket.pause(); // a server that does not read is not read from, either
  });
  socket.on("drain", () => socket.resume());
  for (const loss of ["end", "error"]) socket.on(loss, () => ended || end("lost")); // EP-10.3-1
  socket.on("connect", () => {
    send(LOGIN, short(session.user), Buffer.alloc(2), u64(session.ticket), u64(session.position));
    if (replaying) send(PING); // EP-6.5-6
  });
}

connect();
