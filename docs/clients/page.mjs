// What client.html shows and does. Nothing that a peer said is markup, and nothing of it is invisible.
import { Session } from "./session.mjs";

const $ = (id) => document.getElementById(id);
const HIDDEN = /[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\u2800]/gu;
const visible = (text) => text.replace(HIDDEN, (c) => `\\u{${c.codePointAt(0).toString(16)}}`); // EP-12-6
const MOST = 500; // lines; older ones go

function show(text, kind) {
  const line = document.createElement("li");
  line.textContent = visible(text);
  line.className = kind;
  $("facts").append(line);
  if ($("facts").children.length > MOST) $("facts").firstChild.remove();
  line.scrollIntoView({ block: "nearest" });
}

function told(fact) {
  switch (fact.event) {
    case "Message": return [`${fact.sender}: ${fact.content}`, "message"];
    case "Joined": return [`${fact.user} joined`, "notice"];
    case "Left": return [`${fact.user} left`, "notice"];
    default: return [`${fact.sender}: ${fact.data.length} bytes of type ${fact.type}`, "notice"];
  }
}

const STATUS = {
  online: ({ user }) => `online as ${user}`,
  offline: ({ wait }) => `offline; again in ${(wait / 1000).toFixed(1)} s`,
  paused: ({ reason }) => `paused: ${reason}`,
  closed: ({ isClean }) => (isClean ? "left" : "closed"),
};

const asked = new URLSearchParams(location.search);
const session = new Session(asked.get("server") ?? `ws://${location.hostname || "localhost"}:3001/`, {
  user: asked.get("user") ?? "",
  onFact: (fact) => show(...told(fact)),
  onStatus(status) {
    $("status").textContent = visible(STATUS[status.state](status));
    $("go-on").hidden = status.state !== "paused";
  },
});
globalThis.session = session; // for whoever looks at it in the console

$("form").onsubmit = async (event) => {
  event.preventDefault();
  const content = $("content").value;
  $("content").value = "";
  try {
    await session.say(content);
    show(`${session.user}: ${content}`, "own");
  } catch (error) {
    show(`not said (${error.message}): ${content}`, "notice");
  }
};
$("leave").onclick = () => session.leave();
$("go-on").onclick = () => session.goOn();
