// The live page: asks for what is new, and shows it.
//
// Rule: what a peer wrote becomes text and nothing else. What the page shows is bounded, however
// much passes; a paused page asks for nothing.

const EVERY = 300; // milliseconds between two questions
const ROWS = 500; // rows of the timeline that are shown
const token = document.querySelector('meta[name="form-token"]').content;
const $ = (id) => document.getElementById(id);

history.replaceState(null, "", "/"); // the link is good once, and is no longer of use

/** A new element with text in it. */
function made(name, { text = "", kind = "", ...others } = {}) {
  const element = document.createElement(name);
  element.textContent = text;
  if (kind) element.className = kind;
  for (const [key, value] of Object.entries(others)) element.setAttribute(key, value);
  return element;
}

/** A paragraph; what stands in backticks is code. */
function prose(text, kind = "") {
  const paragraph = made("p", { kind });
  text.split("`").forEach((part, n) => paragraph.append(n % 2 ? made("code", { text: part }) : part));
  return paragraph;
}

const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

async function post(path, said) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Token": token },
    body: JSON.stringify(said),
  });
  const told = await response.json().catch(() => ({ error: "it was refused" }));
  if (!response.ok) throw new Error(told.error);
  return told;
}

// ---------------------------------------------------------------- what is new

let about = null;
let after = 0;
let found = 0;
let unseen = 0;
let leftOut = 0;
let paused = false;
let asked = 0; // the number of the filter that was asked with
let timer = 0;
let standing = ""; // what is to be known all the time
const broken = new Set();

function wanted() {
  const query = new URLSearchParams({ after, found, text: $("text").value });
  query.set("connection", /^[0-9]+$/.test($("connection").value) ? $("connection").value : "");
  query.set("side", $("side").value);
  query.set("findings", $("only").checked ? "1" : "0");
  return query;
}

async function look() {
  clearTimeout(timer);
  const mine = asked;
  try {
    const response = await fetch(`changes?${wanted()}`);
    if (!response.ok) throw new Error(await response.text());
    const told = await response.json();
    if (mine === asked && !paused) show(told);
    notice(standing);
  } catch (error) {
    notice(error instanceof TypeError ? "It has ended, or cannot be reached." : error.message);
  }
  if (mine === asked && !paused) timer = setTimeout(look, EVERY);
}

function notice(text) {
  if ($("notice").textContent === text) return;
  $("notice").hidden = !text;
  $("notice").textContent = text;
}

function again() {
  asked += 1;
  after = 0;
  leftOut = 0;
  $("timeline").replaceChildren();
  if (paused) pause(false);
  else look();
}

function pause(on) {
  paused = on;
  $("pause").setAttribute("aria-pressed", String(on));
  $("pause").textContent = on ? "Go on" : "Pause";
  asked += 1;
  if (!on) look();
}

function show(told) {
  const { totals } = told;
  $("totals").textContent =
    `${plural(totals.open, "open connection")}, ${plural(totals.frames, "frame")}, ` +
    `${plural(totals.bytes, "byte")}` +
    (totals.missing ? `, ${plural(totals.missing, "byte")} not seen` : "");
  if (after) leftOut += told.left_out;
  else leftOut = told.left_out;
  after = told.last;
  unseen = told.unseen;
  showRows(told.rows);
  showSampled();
  showFindings(told.findings, totals);
  showConnections(told.connections, totals);
  showCoverage(told.coverage);
  showHands(told.hand);
}

function showSampled() {
  const parts = [];
  if (unseen) parts.push(`${plural(unseen, "frame")} passed too fast to be kept here`);
  if (leftOut) parts.push(`${plural(leftOut, "row")} came too fast to be shown`);
  $("sampled").hidden = !parts.length;
  const text = parts.length ? `A sample: ${parts.join("; ")}. The judge has seen all of them.` : "";
  if ($("sampled").textContent !== text) $("sampled").textContent = text;
}

// ---------------------------------------------------------------- the timeline

const ARROWS = { client: "→", server: "←" };

function showRows(rows) {
  const list = $("timeline");
  const follows = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  for (const row of rows) {
    const kind = row.kind === "frame" ? row.side : `aside ${row.kind}`;
    const item = made("li", { kind, role: "option" });
    item.id = `row-${row.id}`;
    item.dataset.id = row.kind === "frame" ? row.id : "";
    item.dataset.key = `${row.connection} ${row.side} ${row.frame}`;
    item.setAttribute("aria-selected", "false");
    const arrow = row.kind === "frame" ? `${ARROWS[row.side]} ` : "";
    item.append(
      made("span", { kind: "at", text: row.at.toFixed(3) }),
      made("span", { kind: "n", text: String(row.connection) }),
      made("span", { kind: "said", text: arrow + row.text }),
    );
    if (row.bad) mark(item);
    list.append(item);
  }
  while (list.childElementCount > ROWS) list.firstElementChild.remove();
  if (follows && rows.length) list.scrollTop = list.scrollHeight;
}

/** Say that a finding is about this row. */
function mark(item) {
  if (item.classList.contains("bad")) return;
  item.classList.add("bad");
  item.lastElementChild.append(" — finding");
}

let chosen = null;

function choose(item) {
  if (!item) return;
  chosen?.setAttribute("aria-selected", "false");
  chosen = item;
  item.setAttribute("aria-selected", "true");
  $("timeline").setAttribute("aria-activedescendant", item.id);
  item.scrollIntoView({ block: "nearest" });
  if (item.dataset.id) dissect(item.dataset.id);
}

$("timeline").addEventListener("click", (event) => choose(event.target.closest("li")));
$("timeline").addEventListener("keydown", (event) => {
  const list = $("timeline");
  const here = chosen?.isConnected ? chosen : null;
  const steps = {
    ArrowDown: () => (here ? here.nextElementSibling : list.firstElementChild),
    ArrowUp: () => (here ? here.previousElementSibling : list.lastElementChild),
    Home: () => list.firstElementChild,
    End: () => list.lastElementChild,
    Enter: () => here,
  };
  if (!(event.key in steps)) return;
  event.preventDefault();
  choose(steps[event.key]());
  if (event.key === "Enter" && here?.dataset.id) $("frame").focus();
});

// ---------------------------------------------------------------- a frame, field by field

async function dissect(id) {
  const response = await fetch(`frame/${id}`);
  const told = await response.json().catch(() => ({ error: "it was refused" }));
  const place = $("frame");
  place.tabIndex = -1;
  if (told.error && !response.ok) place.replaceChildren(made("p", { text: told.error }));
  else place.replaceChildren(...dissected(told));
  tab("frame");
}

function dissected(told) {
  const bytes = made("p", { kind: "bytes" });
  const body = made("tbody");
  told.fields.forEach((field, index) => {
    const colour = `c${index % 8}`;
    const hidden = field.bytes === null;
    const hex = hidden ? "·· ".repeat(field.size) : field.bytes.replace(/../g, "$& ");
    const run = made("span", { kind: colour, text: hex.trim() });
    const row = made("tr", { tabindex: "0" });
    const name = made("td");
    name.append(made("span", { kind: `swatch ${colour}`, text: field.name || "(no field)" }));
    row.append(
      name,
      made("td", { text: field.value }),
      made("td", { text: field.meaning, kind: "dim" }),
      made("td", { text: String(told.offset + field.offset), kind: "r" }),
    );
    if (field.faulty) {
      run.classList.add("faulty");
      row.classList.add("faulty");
    }
    const light = (on) => () => [run, row].forEach((each) => each.classList.toggle("lit", on));
    for (const each of [run, row]) {
      each.addEventListener("mouseenter", light(true));
      each.addEventListener("mouseleave", light(false));
    }
    row.addEventListener("focus", light(true));
    row.addEventListener("blur", light(false));
    bytes.append(run, " ");
    body.append(row);
  });
  if (told.not_shown) bytes.append(`… ${plural(told.not_shown, "byte")} more`);
  const table = made("table", { kind: "fields" });
  const head = made("tr");
  for (const text of ["field", "value", "", "byte"]) head.append(made("th", { text, scope: "col" }));
  const top = made("thead");
  top.append(head);
  table.append(top, body);
  const scroll = made("div", { kind: "scroll" });
  scroll.append(table);
  const where =
    `Frame ${told.number} of the ${told.side} of connection ${told.connection}, ` +
    `${plural(told.size, "byte")} from byte ${told.offset} on, at ${told.at.toFixed(6)} s`;
  const parts = [made("h2", { text: told.name }), made("p", { text: where, kind: "dim" })];
  parts.push(...told.findings.map((each) => finding(each, false)));
  if (told.error) parts.push(made("p", { text: told.error, kind: "error" }));
  if (told.hint) parts.push(made("p", { text: told.hint }));
  parts.push(bytes, scroll);
  return parts;
}

// ---------------------------------------------------------------- findings

function finding(told, link = true) {
  const item = made(link ? "li" : "div", { kind: "finding" });
  const list = made("dl");
  const add = (name, value) => list.append(made("dt", { text: name }), value);
  item.append(made("h2", { text: `${told.statement}, broken by the ${told.side}` }));
  item.append(prose(told.requirement));
  add("required", made("dd", { text: told.required }));
  add("came", made("dd", { text: told.came }));
  if (told.cause) add("usually", made("dd", { text: told.cause }));
  const where = made("dd");
  const text = told.frame
    ? `connection ${told.connection}, frame ${told.frame}, byte ${told.offset}, ${told.at} s`
    : `connection ${told.connection}, its end`;
  if (link && told.frame) {
    const button = made("button", { kind: "link", text, type: "button" });
    button.addEventListener("click", () => openFrame(told));
    where.append(button);
  } else where.textContent = text;
  add("where", where);
  item.append(list);
  return item;
}

async function openFrame({ connection, side, frame }) {
  const response = await fetch(`frame-of?${new URLSearchParams({ connection, side, frame })}`);
  const told = await response.json().catch(() => ({ error: "it was refused" }));
  if (!response.ok) {
    $("frame").replaceChildren(made("p", { text: told.error }));
    tab("frame");
    return;
  }
  const row = $(`row-${told.id}`);
  if (row) choose(row);
  else await dissect(told.id);
}

function showFindings(findings, totals) {
  for (const each of findings) {
    $("found").append(finding(each));
    broken.add(each.statement);
    // It can be about a frame that is shown already.
    const row = document.querySelector(`[data-key="${each.connection} ${each.side} ${each.frame}"]`);
    if (row) mark(row);
  }
  found += findings.length;
  const count = totals.findings + totals.more;
  $("no-findings").hidden = count > 0;
  $("count-findings").textContent = count ? count.toLocaleString("en") : "";
  $("count-findings").className = count ? "some" : "";
  while ($("found").childElementCount > ROWS) $("found").firstElementChild.remove();
  $("more-findings").hidden = !totals.more;
  $("more-findings").textContent = `${plural(totals.more, "finding")} like these are only counted.`;
}

// ---------------------------------------------------------------- connections and coverage

function showConnections(connections, totals) {
  $("count-connections").textContent = totals.open ? totals.open.toLocaleString("en") : "";
  if ($("connections").hidden) return;
  const rows = connections.map((each) => {
    const row = made("tr");
    const number = made("td");
    const button = made("button", { kind: "link", text: String(each.number), type: "button" });
    button.setAttribute("aria-label", `Show connection ${each.number} only`);
    button.addEventListener("click", () => {
      $("connection").value = each.number;
      again();
    });
    number.append(button);
    const leg = each.leg ? ` (leg with the ${each.leg})` : "";
    row.append(
      number,
      made("td", { text: each.client + leg }),
      made("td", { text: each.frames.toLocaleString("en"), kind: "r" }),
      made("td", { text: each.bytes.toLocaleString("en"), kind: "r" }),
      made("td", { text: each.findings ? String(each.findings) : "", kind: "r error" }),
      made("td", { text: each.ended ? "ended" : "open", kind: "dim" }),
    );
    return row;
  });
  const focused = document.activeElement?.closest("#all-connections")
    ? document.activeElement.textContent
    : null;
  $("all-connections").replaceChildren(...rows);
  if (focused !== null) {
    const same = [...$("all-connections").querySelectorAll("button")];
    same.find((each) => each.textContent === focused)?.focus();
  }
  const others = totals.opened - connections.length;
  $("more-connections").hidden = others <= 0 || $("connection").value !== "";
  $("more-connections").textContent = `${plural(others, "other connection")} not shown.`;
}

const SEEN = new Set(["connection", "session", "room", "times"]);

function showCoverage(exercised) {
  if (!about) return;
  let can = 0;
  let seen = 0;
  for (const [number, each] of Object.entries(about.statements)) {
    const visible = SEEN.has(each.visible);
    const count = exercised[number] ?? 0;
    can += visible;
    seen += visible && count > 0;
    const button = each.button;
    const kind = broken.has(number) ? "broken" : !visible ? "never" : count ? "yes" : "";
    if (button.className !== kind) button.className = kind;
    each.count = count;
  }
  $("count-coverage").textContent = `${seen}/${can}`;
  $("coverage-said").textContent =
    `${seen} of ${can} statements that can be seen were put to the test so far. ` +
    "Dashed ones can never be seen from here.";
  $("bar").firstElementChild.style.width = `${(100 * seen) / can}%`;
}

function readStatement(number) {
  const each = about.statements[number];
  const state = broken.has(number)
    ? "It was broken."
    : each.count
      ? `It was put to the test ${plural(each.count, "time")}.`
      : "It was not put to the test.";
  const text = `${number}: ${each.text} ${state} A breach is seen ${each.where}.`;
  $("statement").replaceChildren(...prose(text).childNodes);
}

// ---------------------------------------------------------------- sending

const FIELDS = {
  Login: [["user", "user"], ["credential", "credential", "password"], ["ticket", "ticket"], ["position", "position"]],
  Message: [["content", "content"]],
  "Application event": [["type", "type (0x80 to 0xFF)"], ["content", "data"]],
  Ping: [],
  Pong: [],
  Logout: [],
  Bytes: [["hex", "bytes in hexadecimal", "area"]],
};
let number = 1;

function showFields() {
  const event = $("send-event").value;
  const fields = event === "Bytes" ? FIELDS.Bytes : [...FIELDS[event], ["seq", "seq"]];
  const rows = fields.map(([name, text, type]) => {
    const label = made("label", { text: `${text} ` });
    const input = made(type === "area" ? "textarea" : "input", { name, autocomplete: "off" });
    if (type === "password") input.type = "password";
    if (name === "seq") input.value = number;
    label.append(input);
    return label;
  });
  $("send-fields").replaceChildren(...rows);
}

let hands = "";

function showHands(numbers) {
  if (hands === String(numbers)) return;
  hands = String(numbers);
  const before = $("send-on").value;
  const options = numbers.map((each) => made("option", { value: each, text: `mine, number ${each}` }));
  $("send-on").replaceChildren(made("option", { value: 0, text: "a new one" }), ...options);
  $("send-on").value = numbers.includes(Number(before)) ? before : "0";
  $("send-close").disabled = $("send-on").value === "0";
}

async function send(event) {
  event.preventDefault();
  const kind = $("send-event").value;
  const said = { connection: Number($("send-on").value) };
  if (kind !== "Bytes") said.event = kind;
  for (const input of $("send-fields").querySelectorAll("input, textarea")) said[input.name] = input.value;
  try {
    const told = await post("send", said);
    $("send-said").textContent = `Sent ${plural(told.sent, "byte")}: ${told.bytes}`;
    $("send-said").className = "";
    number += 1;
    const seq = $("send-fields").querySelector('[name="seq"]');
    if (seq) seq.value = number;
    showHands([...new Set([...hands.split(",").filter(Boolean).map(Number), told.connection])]);
    $("send-on").value = told.connection;
    $("send-close").disabled = false;
  } catch (error) {
    $("send-said").textContent = error.message;
    $("send-said").className = "error";
  }
}

// ---------------------------------------------------------------- faults

function showRules(rules) {
  const items = rules.map(({ text, on }) => {
    const item = made("li");
    const label = made("label", { kind: "check" });
    const box = made("input", { type: "checkbox" });
    box.checked = on;
    box.addEventListener("change", () => change({ text, on: box.checked }));
    label.append(box, made("code", { text }));
    item.append(label);
    return item;
  });
  const focused = [...document.querySelectorAll("#rules input")].indexOf(document.activeElement);
  $("rules").replaceChildren(...items);
  if (focused >= 0) document.querySelectorAll("#rules input")[focused]?.focus();
}

async function change(said) {
  try {
    showRules((await post("rules", said)).rules);
    $("rule-said").textContent = "";
    return true;
  } catch (error) {
    $("rule-said").textContent = error.message;
    $("rule-said").className = "error";
    return false;
  }
}

// ---------------------------------------------------------------- the parts

function tab(name, focus = false) {
  for (const button of document.querySelectorAll("#tabs button")) {
    const on = button.id === `tab-${name}`;
    button.setAttribute("aria-selected", String(on));
    button.tabIndex = on ? 0 : -1;
    $(button.getAttribute("aria-controls")).hidden = !on;
    if (on && focus) button.focus();
  }
}

$("tabs").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) tab(button.id.slice(4));
});
$("tabs").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const all = [...document.querySelectorAll("#tabs button:not([hidden])")];
  const here = all.findIndex((each) => each.getAttribute("aria-selected") === "true");
  tab(all[(here + step + all.length) % all.length].id.slice(4), true);
});
$("pause").addEventListener("click", () => pause(!paused));
$("filter").addEventListener("submit", (event) => event.preventDefault());
let typing = 0;
$("filter").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(again, 150);
});
$("sender").addEventListener("submit", send);
$("send-event").addEventListener("change", showFields);
$("send-on").addEventListener("change", () => ($("send-close").disabled = $("send-on").value === "0"));
$("send-close").addEventListener("click", () => post("close", { connection: Number($("send-on").value) }));
$("add-rule").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await change({ text: $("rule").value })) $("rule").value = "";
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.matches("input, textarea, select")) {
    event.preventDefault();
    $("text").focus();
  }
});

async function start() {
  const response = await fetch("about");
  if (!response.ok) return notice(await response.text());
  about = await response.json();
  document.title = about.source;
  $("source").textContent = about.source;
  $("tab-faults").hidden = !about.proxy;
  $("send-where").textContent = about.proxy
    ? "It goes through the proxy to its server, and to no other place. Pings are answered."
    : "It goes to this server. Pings are answered.";
  $("masked").textContent = about.masked
    ? "Credentials and tickets are hidden, here and in the files."
    : "Credentials and tickets are shown, here and in the files.";
  if (!about.proxy) standing = "This page shows what every member of the room says.";
  for (const kind of Object.keys(FIELDS)) $("send-event").append(made("option", { text: kind }));
  $("send-event").value = "Login";
  showFields();
  for (const [number, each] of Object.entries(about.statements)) {
    each.button = made("button", { text: number.replace("EP-", ""), type: "button" });
    each.button.setAttribute("aria-label", number);
    each.button.addEventListener("click", () => readStatement(number));
    const item = made("li");
    item.append(each.button);
    $("statements").append(item);
  }
  for (const [verb, text] of Object.entries(about.verbs)) {
    $("verbs").append(made("option", { value: verb }));
    $("verbs-said").append(made("dt", { text: verb }), made("dd", { text }));
  }
  showRules(about.rules);
  await look();
}

start();
