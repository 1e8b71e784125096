// Scenes of docs/clients/session.mjs: a server that says what a scene tells it to, on a clock that a scene moves.
// Run with the module's URL and a scene's name; prints what came of it, as JSON.
const [, , module, name] = process.argv;

// ---------------------------------------------------------------- the clock

let now = 0;
let timers = [];
const add = (act, delay, every) => { timers.push({ act, at: now + delay, every }); return timers.at(-1); };
const remove = (timer) => { timers = timers.filter((each) => each !== timer); };
globalThis.setTimeout = (act, delay) => add(act, delay, 0);
globalThis.setInterval = (act, delay) => add(act, delay, delay);
globalThis.clearTimeout = globalThis.clearInterval = remove;
globalThis.performance = { now: () => now };
const realTurn = setImmediate;
const settled = () => new Promise((done) => realTurn(done)); // promises and microtasks have run

async function pass(milliseconds) {
  const until = now + milliseconds;
  await settled();
  for (let next; (next = timers.filter((each) => each.at <= until).sort((a, b) => a.at - b.at)[0]); await settled()) {
    now = Math.max(now, next.at);
    if (next.every) next.at = now + next.every; else remove(next);
    next.act();
  }
  now = until;
  await settled();
}

// ---------------------------------------------------------------- the server

const sockets = [];
globalThis.WebSocket = class {
  constructor(url, protocol) { this.protocol = protocol; this.readyState = 0; this.sent = []; sockets.push(this); }
  send(data) { this.sent.push(Buffer.from(data)); }
  close() { this.readyState = 3; }
};
const server = {
  get ws() { return sockets.at(-1); },
  async open() { this.ws.readyState = 1; this.ws.onopen(); await settled(); },
  async say(...frames) { this.ws.onmessage({ data: Uint8Array.from(Buffer.concat(frames)).buffer }); await settled(); },
  async lose() { this.ws.readyState = 3; this.ws.onclose({}); await settled(); },
  get requests() { // type and seq of each frame that came, and the rest of it
    const all = Buffer.concat(this.ws.sent), found = [];
    for (let at = 0; at < all.length; at += 4 + all.readUInt32BE(at)) {
      const body = all.subarray(at + 16, at + 4 + all.readUInt32BE(at));
      found.push({ type: all[at + 5], seq: all.readBigUInt64BE(at + 8), body });
    }
    return found;
  },
  get types() { return this.requests.map(({ type }) => type); },
};
const u = (size, value) => { const b = Buffer.alloc(size); b.writeUIntBE(Number(value), Math.max(0, size - 6), Math.min(6, size)); return b; };
const text = (said) => Buffer.concat([u(1, Buffer.byteLength(said)), Buffer.from(said)]);
const frame = (type, seq, ...parts) => {
  const body = Buffer.concat(parts);
  return Buffer.concat([u(4, 12 + body.length), Buffer.of(1, type, 0, 0), u(8, seq), body]);
};
const welcome = ({ ticket = 9, position = 0, heartbeat = 10, max = 65_536 } = {}) =>
  frame(8, 1, text("ann"), u(8, ticket), u(8, position), u(4, max), u(2, heartbeat), text("kit"));
const message = (position, said, by = "bob") => frame(2, position, text(by), Buffer.from(said));
const ack = (seq, position) => frame(4, seq, u(8, position));
const error = (seq, code) => frame(5, seq, u(2, code), text(""));
const pong = (seq) => frame(7, seq);

// ---------------------------------------------------------------- the session

const { Session } = await import(module);
const statuses = [], facts = [], outcomes = [], uncaught = [];
process.on("uncaughtException", (error) => uncaught.push(error.message));
const begin = (options) => new Session("ws://localhost/", {
  user: "ann", onStatus: ({ state }) => statuses.push(state), onFact: (fact) => facts.push(fact.content), ...options,
});
const say = (session, said) => void session.say(said).then(
  (position) => outcomes.push(`${said} ${position}`), ({ message: why }) => outcomes.push(`${said} ${why}`));
const back = async () => { // when it connects again
  for (const known = sockets.length; sockets.length === known; ) await pass(250);
  await server.open();
};
const entered = async (options, says) => {
  const session = begin(options);
  await settled();
  await server.open();
  await server.say(welcome(says));
  return session;
};

const scenes = {
  async "a server that is silent after the Logout is left"() {
    const session = await entered();
    session.leave();
    await pass(21_000);
    return [server.types, statuses];
  },
  async "a silent server that names no heartbeat is asked, and left"() {
    await entered({}, { heartbeat: 0 });
    await pass(21_000);
    const asked = [...server.types];
    await pass(21_000);
    return [asked, statuses];
  },
  async "after a sleep the server is asked before it is left"() {
    await entered();
    now += 3_600_000;
    await pass(0);
    await server.say(pong(2), message(1, "still here"));
    await pass(3_000);
    return [server.types, statuses, facts];
  },
  async "a refused marker is a pause"() {
    await entered();
    await server.lose();
    await back();
    await server.say(welcome(), error(2, 99));
    return statuses;
  },
  async "a Welcome with another ticket, with none or with a small limit is a fault"() {
    const all = [];
    for (const says of [{ ticket: 8 }, { ticket: 0 }, { max: 4_095 }]) {
      await entered();
      await server.lose();
      await back();
      await server.say(welcome(says));
      all.push(statuses.splice(0));
    }
    return all;
  },
  async "an exception of the page loses no event"() {
    await entered({ onFact(fact) { facts.push(fact.content); throw new Error("the page's own"); } });
    await server.say(message(1, "one"), message(2, "two"));
    await server.say(message(3, "three"));
    return [facts, uncaught, statuses];
  },
  async "a credential that cannot be had is a pause"() {
    begin({ credential: () => Promise.reject(new Error("no keys")) });
    await settled();
    return [statuses, sockets.length];
  },
  async "who waits for a credential is not timed"() {
    let give;
    begin({ credential: () => new Promise((resolve) => { give = resolve; }) });
    await pass(60_000);
    give(new Uint8Array([1]));
    await settled();
    await server.open();
    await server.say(welcome());
    return [statuses, sockets.length];
  },
  async "a request at which the server fails three times is a pause"() {
    const session = await entered();
    say(session, "bad");
    await settled();
    await server.say(error(0, 30));
    for (let n = 0; n < 2; n++) {
      await back();
      await server.say(welcome(), pong(2));
      await server.say(error(0, 30));
    }
    return [statuses, outcomes];
  },
  async "a name that is taken may be held by a Login that got no reply"() {
    begin();
    await settled();
    await server.open();
    await server.lose();
    await back();
    await server.say(error(0, 23));
    await back();
    await server.say(error(1, 13));
    return statuses;
  },
  async "a name that another one has is a pause"() {
    begin();
    await settled();
    await server.open();
    await server.say(error(1, 13));
    return statuses;
  },
  async "only application types can be put"() {
    const session = await entered();
    const refused = await Promise.all([5, 0x7f, 0x100].map((type) => session.put(type, new Uint8Array()).catch((e) => e.name)));
    return [refused, server.types];
  },
  async "it resumes from the last entry, of whichever kind"() {
    const session = await entered();
    await server.say(message(1, "one"));
    say(session, "two");
    await settled();
    await server.say(ack(2, 2));
    await server.lose();
    say(session, "while offline");
    await back();
    const login = server.requests[0].body;
    const before = [...server.types];
    await server.say(welcome({ position: 2 }), message(3, "three"), pong(2));
    return [Number(login.readBigUInt64BE(login.length - 8)), before, server.types, facts, outcomes];
  },
  async "what is in doubt is found in the replay, or sent again behind the marker"() {
    const session = await entered();
    ["one", "two"].forEach((said) => say(session, said));
    await settled();
    await server.lose();
    await back();
    await server.say(welcome(), message(1, "one", "ann"));
    const before = [...server.types];
    await server.say(pong(2));
    const again = server.requests.filter(({ type }) => type === 2).map(({ body }) => body.subarray(1).toString());
    await server.say(ack(3, 2));
    return [before, again, outcomes, facts];
  },
};

console.log(JSON.stringify(name ? await scenes[name]() : Object.keys(scenes)));
process.exit(0);
