//! The clients as operators see them: the lines of CLIENT LIST, and which clients a CLIENT KILL or LIST means.
//!
//! Each worker looks at its own clients; `asking` puts the answers of all workers together.

use super::desk::{Filter, Kind, Line, List};
use super::state::{Room, Session};
use crate::command::{Spec, keys};
use crate::replies::ClientId;
use crate::resp::Proto;
use crate::resp::request::Request;

impl Kind {
    fn read(word: &[u8]) -> Result<Self, String> {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        match () {
            () if is("normal") => Ok(Self::Normal),
            () if is("pubsub") => Ok(Self::PubSub),
            () if is("master") => Ok(Self::Master),
            () if is("replica") || is("slave") => Ok(Self::Replica),
            () => Err(format!("ERR Unknown client type '{}'", String::from_utf8_lossy(word))),
        }
    }
}

impl List {
    /// Reads `CLIENT LIST …`; an error text if it is none.
    pub(super) fn read(request: &Request<'_>) -> Result<Self, String> {
        let is = |name: &str| request.arg(2).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()));
        match request.argc() {
            2 => Ok(Self::All),
            4 if is("TYPE") => Kind::read(request.arg(3).unwrap_or_default()).map(Self::Of),
            4.. if is("ID") => {
                let ids = request.args().skip(3).map(keys::integer).collect::<Option<_>>();
                ids.map(Self::Ids).ok_or_else(|| "ERR Invalid client ID".to_owned())
            }
            _ => Err("ERR syntax error".to_owned()),
        }
    }

    /// Whether it shows this client.
    #[must_use]
    pub fn shows(&self, client: ClientId, session: &Session, room: &Room) -> bool {
        match self {
            Self::All => true,
            Self::Of(kind) => kind_of(client, room) == *kind,
            Self::Ids(ids) => ids.contains(&(session.id as i64)),
        }
    }

    /// All lines as one text.
    pub(super) fn text(&self, mut lines: Vec<Line>) -> String {
        lines.sort_unstable_by_key(|(id, _)| *id);
        let Self::Ids(ids) = self else { return lines.into_iter().map(|(_, line)| line).collect() };
        let find = |id: &i64| lines.binary_search_by_key(&(*id as u64), |(id, _)| *id).ok();
        ids.iter().filter_map(|id| lines.get(find(id)?)).map(|(_, line)| line.as_str()).collect()
    }
}

impl Filter {
    /// The old form: the client that comes from this address, oneself included.
    pub(super) fn old(addr: &[u8]) -> Self {
        Self { addr: Some(addr.into()), ..Self::default() }
    }

    /// Reads the options of `CLIENT KILL`; an error text if they are none.
    pub(super) fn read(asker: &Session, request: &Request<'_>, room: &Room) -> Result<Self, String> {
        let syntax = || "ERR syntax error".to_owned();
        let mut filter = Self { spared: Some(asker.id), ..Self::default() };
        let mut at = 2;
        while let Some(option) = request.arg(at) {
            let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
            let value = request.arg(at + 1).ok_or_else(syntax)?;
            let text = || String::from_utf8_lossy(value).into_owned();
            match () {
                () if is("ID") => {
                    let id = keys::integer(value).filter(|id| *id > 0);
                    filter.id = Some(id.ok_or("ERR client-id should be greater than 0")? as u64);
                }
                () if is("MAXAGE") => {
                    let age = keys::integer(value).filter(|age| *age > 0);
                    filter.age = Some((age.ok_or("ERR maxage is not an integer or out of range")? as u64) * 1000);
                }
                () if is("TYPE") => filter.kind = Some(Kind::read(value)?),
                () if is("ADDR") => filter.addr = Some(value.into()),
                () if is("LADDR") => filter.laddr = Some(value.into()),
                () if is("USER") => {
                    if !room.is_user(value) {
                        return Err(format!("ERR No such user '{}'", text()));
                    }
                    filter.user = Some(value.into());
                }
                () if is("SKIPME") && value.eq_ignore_ascii_case(b"YES") => filter.spared = Some(asker.id),
                () if is("SKIPME") && value.eq_ignore_ascii_case(b"NO") => filter.spared = None,
                () => return Err(syntax()),
            }
            at += 2;
        }
        Ok(filter)
    }

    /// Whether it means this client.
    #[must_use]
    pub fn means(&self, client: ClientId, session: &Session, room: &Room) -> bool {
        let is = |wanted: &Option<Box<[u8]>>, text: &str| wanted.as_deref().is_none_or(|w| w == text.as_bytes());
        self.spared != Some(session.id)
            && self.id.is_none_or(|id| id == session.id)
            && is(&self.addr, &session.peer)
            && is(&self.laddr, &session.local)
            && self.kind.is_none_or(|kind| kind == kind_of(client, room))
            && (self.user.is_none() || (session.is_trusted(room) && is(&self.user, session.user_name(room))))
            && self.age.is_none_or(|age| room.now.saturating_sub(session.since) >= age)
    }
}

/// What kind of client it is.
fn kind_of(client: ClientId, room: &Room) -> Kind {
    if room.pubsub.has(client) { Kind::PubSub } else { Kind::Normal }
}

impl Session {
    /// What `CLIENT ID` answers.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The client's address.
    #[must_use]
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// The client's name, empty if it gave none.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.introduction.name
    }

    /// The letters that tell its state.
    fn marks(&self, is_subscriber: bool) -> String {
        let in_transaction = self.pinned.as_ref().is_some_and(|pinned| pinned.transaction.is_some());
        let marks = [
            (self.is_monitor, 'O'),
            (is_subscriber, 'P'),
            (self.reads_replicas(), 'r'),
            (in_transaction, 'x'),
            (self.is_blocked(), 'b'),
        ];
        let marks: String = marks.iter().filter(|(is, _)| *is).map(|(_, letter)| *letter).collect();
        if marks.is_empty() { "N".to_owned() } else { marks }
    }

    /// Its line in CLIENT LIST, with the fields of Redis 7.0 and the two that tell of its library.
    #[must_use]
    pub fn describe(&self, client: ClientId, room: &Room) -> String {
        let (in_flight, held) = room.replies.queue(client).map_or((0, 0), |queue| (queue.in_flight(), queue.held()));
        let seconds = |ms: u64| ms / 1000;
        let (unread, spare) = (self.inbox.len() - self.taken, self.inbox.capacity() - self.inbox.len());
        let said = &self.introduction;
        let [channels, patterns, shards] = room.pubsub.counts(client);
        format!(
            "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags={} db={} sub={channels} psub={patterns} ssub={shards} multi={} \
             qbuf={unread} qbuf-free={spare} argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll={in_flight} omem={held} \
             tot-mem={} events=r cmd={} user={} redir=-1 resp={} lib-name={} lib-ver={}\n",
            self.id,
            self.peer,
            self.local,
            said.name,
            seconds(room.now.saturating_sub(self.since)),
            seconds(self.idle_ms(room.now)),
            self.marks(room.pubsub.has(client)),
            self.db,
            self.pinned.as_ref().and_then(|pinned| pinned.transaction.as_ref()).map_or(-1, |open| open.count as i64),
            size_of::<Self>() + self.inbox.capacity() + held,
            self.last_command.map_or_else(|| "NULL".to_owned(), Spec::full_name),
            self.user_name(room),
            if self.proto == Proto::Resp3 { 3 } else { 2 },
            said.library,
            said.library_version,
        )
    }
}
