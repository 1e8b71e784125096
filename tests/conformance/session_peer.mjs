// The session of docs/clients/session.mjs as a command that `refserver peer --ws` tests.
import { Session } from "../../docs/clients/session.mjs";

function tell({ ticket, ...said }) { // without the secret (EP-12-1), and in ASCII (EP-12-6)
  const plain = (_, value) => (typeof value === "bigint" ? String(value) : value);
  const escaped = (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
  for (const key of ["data", "body"]) if (said[key]) said[key] = Buffer.from(said[key]).toString("hex");
  console.log(JSON.stringify(said, plain).replace(/[^ -~]/g, escaped));
}

const refused = ({ fate }) => { if (fate === "too long" || fate === "never sent") tell({ event: "Refused" }); };

function obey(order) {
  const [, verb, rest] = order.match(/^(\S*) ?([^]*)$/);
  const [number, hex] = rest.split(" ");
  if (verb === "resume") session.reconnects = true;
  if (verb === "say") session.say(rest).catch(refused);
  if (verb === "event") session.put(Number(number), new Uint8Array(Buffer.from(hex ?? "", "hex"))).catch(refused);
  if (verb === "ping") session.ping();
  if (verb === "logout") session.leave();
}

const session = new Session(process.argv[2], {
  user: "ann",
  onEvent(event) {
    tell(event);
    if (event.event === "Message" && event.sender === "kit") obey(event.content);
  },
  onEnd: (how, code) => tell({ event: "End", how, code }),
  onStatus({ state }) { if (state === "paused" || state === "closed") process.exit(0); },
});
session.reconnects = false;
