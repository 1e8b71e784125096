//! A whole client of Event Protocol 1 in Rust, std alone: `rustc --edition 2021 -O client.rs && ./client HOST PORT`
//! It logs in as ann, tells each event that it sees as a line of JSON, follows the orders that a member called
//! kit gives in the room, and resumes its session when told to. EP-… are statements of the specification.
use std::{collections::hash_map::RandomState, hash::{BuildHasher, Hasher}, io::{BufReader, Read, Write}};
use std::{collections::VecDeque, env, mem::take, net::Shutdown, net::TcpStream, sync::mpsc, thread, time::Duration};

/// How a connection ended, and the code of the Error, or the one that 8.3 gives a server's fault.
#[derive(PartialEq)] struct End(&'static str, u64);
const CLEAN: End = End("clean", 0); const LOST: End = End("lost", 0); const USER_TAKEN: End = End("refused", 13);
const MALFORMED: End = End("fault", 1); const FRAME_TOO_LARGE: End = End("fault", 2);
const UNSUPPORTED_VERSION: End = End("fault", 3); const UNEXPECTED_EVENT: End = End("fault", 5);
const SLOW_CONSUMER: u64 = 21; const MOST_UNSENT: usize = 4_096; // frames that wait for the server to read
const SHORTEST: u64 = 500; const LONGEST: u64 = 30_000; // milliseconds between two connections (EP-9.3-1)
enum Layout { Number(usize), Text(usize), Bytes(usize) } // its bytes; those of the length in front, 0: to the end
use Layout::*;
const LOGIN: u8 = 1; const MESSAGE: u8 = 2; const LOGOUT: u8 = 3; const ACK: u8 = 4; const ERROR: u8 = 5;
const PING: u8 = 6; const PONG: u8 = 7; const WELCOME: u8 = 8; const JOINED: u8 = 9; const LEFT: u8 = 10;

fn fields(kind: u8) -> (&'static str, &'static [(&'static str, Layout)]) { // section 3
    match kind {
        LOGIN => ("Login", &[("user", Text(1)), ("credential", Bytes(2)), ("ticket", Number(8)), ("position", Number(8))]),
        MESSAGE => ("Message", &[("sender", Text(1)), ("content", Text(0))]),
        ACK => ("Ack", &[("position", Number(8))]),
        ERROR => ("Error", &[("code", Number(2)), ("text", Text(1))]),
        LOGOUT => ("Logout", &[]), PING => ("Ping", &[]), PONG => ("Pong", &[]),
        WELCOME => ("Welcome", &[("user", Text(1)), ("ticket", Number(8)), ("position", Number(8)),
            ("max_frame", Number(4)), ("heartbeat", Number(2)), ("server", Text(1))]),
        JOINED => ("Joined", &[("user", Text(1))]), LEFT => ("Left", &[("user", Text(1)), ("reason", Number(1))]),
        0x80.. => ("ApplicationEvent", &[("sender", Text(1)), ("data", Bytes(0))]),
        _ => ("Unknown", &[("body", Bytes(0))]),
    }
}

/// An event from the server: the bytes of its fields, and all that may be told as JSON.
struct Event<'a> { kind: u8, seq: u64, fields: Vec<(&'static str, &'a [u8])>, json: String }
impl<'a> Event<'a> {
    fn decode(kind: u8, seq: u64, mut body: &'a [u8]) -> Result<Self, End> {
        let (name, layouts) = fields(kind);
        let mut event = Event { kind, seq, fields: vec![], json: format!(r#"{{"event": "{name}", "seq": "{seq}""#) };
        if kind == 0 || kind > LEFT { event.json += &format!(r#", "type": {kind}"#); }
        for (name, layout) in layouts {
            let bytes = cut(&mut body, layout)?;
            let said = match layout {
                Number(8) => format!(r#""{}""#, number(bytes)), // EP-2.3-7
                Number(1) if number(bytes) > 2 => "1".into(),    // EP-3.10-2
                Number(_) => number(bytes).to_string(),
                Text(_) => quoted(std::str::from_utf8(bytes).map_err(|_| MALFORMED)?), // EP-2.3-3
                Bytes(_) => format!(r#""{}""#, hex(bytes)),
            };
            if *name != "ticket" { event.json += &format!(r#", "{name}": {said}"#); } // EP-12-1
            event.fields.push((name, bytes));
        }
        if body.is_empty() { Ok(event) } else { Err(MALFORMED) } // EP-2.4-4
    }
    fn get(&self, field: &str) -> &'a [u8] { self.fields.iter().find(|each| each.0 == field).map_or(b"", |each| each.1) }
}
fn cut<'a>(body: &mut &'a [u8], layout: &Layout) -> Result<&'a [u8], End> {
    let mut bytes = |size: usize| {
        if size > body.len() { return Err(MALFORMED); } // EP-2.4-2, EP-2.4-3
        let (field, rest) = body.split_at(size);
        *body = rest;
        Ok(field)
    };
    match layout {
        Text(0) | Bytes(0) => Ok(take(body)),
        Text(prefix) | Bytes(prefix) => bytes(*prefix).and_then(|size| bytes(number(size) as usize)),
        Number(size) => bytes(*size),
    }
}
fn number(bytes: &[u8]) -> u64 { bytes.iter().fold(0, |sum, byte| sum << 8 | *byte as u64) }
fn hex(bytes: &[u8]) -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() }
fn unhex(text: &str) -> Vec<u8> { (0..text.len() / 2).flat_map(|at| u8::from_str_radix(&text[2 * at..][..2], 16)).collect() }
fn quoted(text: &str) -> String { // in ASCII: nothing that a terminal would obey (EP-12-6)
    let plain = |unit: u16| (32..127).contains(&unit) && unit != 34 && unit != 92;
    let escaped = |unit| if plain(unit) { char::from(unit as u8).into() } else { format!("\\u{unit:04x}") };
    format!("\"{}\"", text.encode_utf16().map(escaped).collect::<String>())
}
fn frame(kind: u8, seq: u64, body: &[u8]) -> Vec<u8> {
    [&(12 + body.len() as u32).to_be_bytes()[..], &[1, kind, 0, 0], &seq.to_be_bytes(), body].concat()
}

/// What outlives a connection. Requests are type and body (6.5): `kept` were sent and have no reply, so they are in
/// doubt; `refused` were not accepted, and are to be sent again.
struct Session {
    user: Vec<u8>, ticket: u64, position: u64, resumes: bool, pause: u64,
    kept: VecDeque<(u8, Vec<u8>)>, refused: VecDeque<(u8, Vec<u8>)>,
}
impl Session {
    fn settle(&mut self) { self.refused.append(&mut self.kept); }
    fn replayed(&mut self, event: &Event) { // what a fact says of that which is in doubt
        let said = [event.get("content"), event.get("data")].concat();
        match event.kind {
            LEFT if event.get("user") == self.user => self.settle(), // EP-6.5-10
            MESSAGE | 0x80.. if event.get("sender") == self.user => match self.kept.front() {
                Some((kind, body)) if *kind == event.kind && body[1..] == said => { // EP-6.5-8
                    self.kept.pop_front();
                }
                _ => self.settle(), // another session's (EP-6.5-9)
            },
            _ => {}
        }
    }
    fn comes_back(&self, end: &End) -> bool { // EP-9.3-3, EP-9.3-4
        let is_passing = end.0 == "explained" && ![1, 2, 3, 12, 13].contains(&end.1);
        self.resumes && self.ticket != 0 && (*end == LOST || *end == USER_TAKEN || is_passing)
    }
}

/// `waiting`: type and seq of each request without a reply.
struct Connection<'a> {
    session: &'a mut Session, out: mpsc::SyncSender<Vec<u8>>, waiting: VecDeque<(u8, u64)>, number: u64,
    allowed: u64, place: Option<u64>, logged_out: bool, replaying: bool,
}
impl Connection<'_> {
    fn send(&mut self, kind: u8, body: &[u8]) {
        if 12 + body.len() as u64 > self.allowed { return println!(r#"{{"event": "Refused"}}"#); } // EP-7.1-2
        let _ = self.out.send(frame(kind, self.number, body)); // a failure shows when reading
        self.waiting.push_back((kind, self.number));
        if kind == MESSAGE || kind >= 0x80 { self.session.kept.push_back((kind, body.to_vec())); }
        self.number += 1;
    }
    fn obey(&mut self, order: &str) {
        let (verb, rest) = order.split_once(' ').unwrap_or((order, ""));
        let (kind, data) = rest.split_once(' ').unwrap_or((rest, ""));
        match verb {
            "resume" => self.session.resumes = true,
            _ if self.logged_out => {} // EP-4.4-5
            "say" => self.send(MESSAGE, &[&[0], rest.as_bytes()].concat()),
            "event" => self.send(kind.parse().unwrap_or(0x80), &[&[0], &unhex(data)[..]].concat()),
            "ping" => self.send(PING, &[]),
            "logout" => { self.logged_out = true; self.send(LOGOUT, &[]) }
            _ => {}
        }
    }
    fn limit(&self) -> u64 { self.allowed + if self.place.is_some() { 255 } else { 0 } } // EP-7.1-5
    fn enter(&mut self, position: u64) -> Result<(), End> { // EP-5.2-5, EP-5.2-6, EP-4.4-1
        self.session.position = position;
        if self.place.replace(position) == Some(position - 1) { Ok(()) } else { Err(UNEXPECTED_EVENT) }
    }
    fn reply(&mut self, event: &Event) -> Result<u8, End> { // EP-4.2-10, EP-4.2-11
        let (asked, seq) = self.waiting.pop_front().ok_or(UNEXPECTED_EVENT)?;
        let fits = match asked { LOGIN => WELCOME, PING => PONG, _ => ACK };
        if seq != event.seq || ![fits, ERROR].contains(&event.kind) { return Err(UNEXPECTED_EVENT); }
        if asked == MESSAGE || asked >= 0x80 { self.session.kept.pop_front(); }
        let position = number(event.get("position"));
        if event.kind == ACK && position != 0 { self.enter(position)?; }
        if event.kind == WELCOME {
            if self.replaying && position != self.session.position { return Err(UNEXPECTED_EVENT); } // EP-6.4-16
            (self.place, self.allowed) = (Some(position), number(event.get("max_frame")));
            (self.session.user, self.session.ticket) = (event.get("user").into(), number(event.get("ticket")));
            (self.session.position, self.session.pause) = (position, SHORTEST);
        }
        Ok(asked)
    }
    fn handle(&mut self, event: &Event) -> Result<(), End> {
        let asked = match event.kind {
            PING => return Ok(drop(self.out.send(frame(PONG, event.seq, &[])))), // EP-3.7-3
            ERROR if event.seq == 0 => { // EP-3.6-3
                let code = number(event.get("code"));
                if self.place.is_some() && code != SLOW_CONSUMER { self.session.settle(); } // EP-6.5-12
                return Err(End("explained", code));
            }
            LOGIN | LOGOUT => return Err(UNEXPECTED_EVENT),                      // EP-4.4-2
            MESSAGE | JOINED | LEFT | 0x80.. => self.enter(event.seq).map(|()| 0)?,
            ACK | ERROR | PONG | WELCOME => self.reply(event)?,
            _ => 0, // an unknown type: told, and no entry (EP-3.12-3)
        };
        println!("{}}}", event.json);
        match (event.kind, asked) {
            (ACK, LOGOUT) => return Err(CLEAN),
            (ERROR, LOGIN) => return Err(End("refused", number(event.get("code")))),
            (PONG, _) if take(&mut self.replaying) => { // EP-6.5-11
                self.session.settle();
                for (kind, body) in take(&mut self.session.refused) { self.send(kind, &body); } // EP-6.5-16
            }
            _ if self.replaying => self.session.replayed(event),
            (MESSAGE, _) if event.get("sender") == b"kit" => self.obey(&String::from_utf8_lossy(event.get("content"))),
            _ => {}
        }
        Ok(())
    }
    fn next(&mut self, socket: &mut impl Read) -> Result<(), End> { // one frame, judged as it comes in (8.3)
        let length = number(&read(socket, 4)?);
        if length < 12 { return Err(MALFORMED); }
        if length > self.limit() { return Err(FRAME_TOO_LARGE); }
        let header = read(socket, 12)?;
        let (kind, seq) = (header[1], number(&header[4..]));
        if header[0] != 1 { return Err(UNSUPPORTED_VERSION); }
        if header[2..4] != [0, 0] || (seq == 0 && kind != ERROR) { return Err(MALFORMED); }
        self.handle(&Event::decode(kind, seq, &read(socket, length - 12)?)?)
    }
}
fn read(socket: &mut impl Read, size: u64) -> Result<Vec<u8>, End> {
    let mut bytes = vec![];
    socket.take(size).read_to_end(&mut bytes).map_err(|_| LOST)?; // holds what has come, no more (EP-7.2-1)
    if bytes.len() as u64 == size { Ok(bytes) } else { Err(LOST) } // EP-10.3-1
}

fn run(session: &mut Session, socket: TcpStream) -> End {
    let (out, queue) = mpsc::sync_channel::<Vec<u8>>(MOST_UNSENT);
    let mut writer = socket.try_clone().expect("a second handle");
    // A thread of its own writes: reading waits only for a server that has left much unread (7.2).
    thread::spawn(move || queue.iter().try_for_each(|bytes| writer.write_all(&bytes)));
    let (ticket, position) = (session.ticket.to_be_bytes(), session.position.to_be_bytes());
    let login = [&[session.user.len() as u8], &session.user[..], &[0, 0], &ticket, &position].concat();
    let mut connection = Connection { replaying: session.ticket != 0, session, out, waiting: VecDeque::new(),
        number: 1, allowed: 4096, place: None, logged_out: false };
    connection.send(LOGIN, &login);
    if connection.replaying { connection.send(PING, &[]); } // EP-6.5-6
    let mut reader = BufReader::new(&socket);
    loop {
        if let Err(end) = connection.next(&mut reader) { let _ = socket.shutdown(Shutdown::Both); return end; }
    }
}

fn main() {
    let address = format!("{}:{}", env::args().nth(1).expect("HOST"), env::args().nth(2).expect("PORT"));
    let mut session = Session { user: b"ann".to_vec(), ticket: 0, position: 0, resumes: false, pause: SHORTEST,
        kept: [].into(), refused: [].into() };
    loop {
        let end = TcpStream::connect(&address).map_or(LOST, |socket| run(&mut session, socket));
        println!(r#"{{"event": "End", "how": "{}", "code": {}}}"#, end.0, end.1);
        if !session.comes_back(&end) { return; }
        let random = RandomState::new().build_hasher().finish();
        thread::sleep(Duration::from_millis(session.pause / 2 + random % (session.pause / 2)));
        session.pause = LONGEST.min(2 * session.pause);
    }
}
