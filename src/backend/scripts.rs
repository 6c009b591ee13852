//! The scripts and function libraries that clients have sent, for nodes that miss them.
//!
//! A node that takes over or is new knows none of the scripts that were loaded before: they are not replicated. One
//! store for the process, limited by bytes; the oldest goes first. What a client flushes is forgotten here too.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha1::{Digest as _, Sha1};

use super::record::{Pending, Taken, Traits};
use super::retry::Mark;
use super::{Backend, PipelineId};
use crate::replies::Replies;
use crate::resp::request::{Args, Decoder, Limits, Request, Step};
use crate::resp::{Proto, encode};

/// As many bytes of text are kept.
const MAX_BYTES: usize = 16 << 20;
/// A longer text is not kept.
const MAX_TEXT: usize = 2 << 20;

/// What tells a text from others.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    /// A script, by the SHA1 of its text in lower-case hexadecimal digits.
    Script(Box<[u8]>),
    /// A library of functions, by its name.
    Library(Box<[u8]>),
}

/// The texts that were seen.
#[derive(Debug, Default)]
pub struct Scripts(Mutex<Store>);

#[derive(Debug, Default)]
struct Store {
    /// The oldest first.
    texts: VecDeque<(Name, Box<[u8]>)>,
    bytes: usize,
}

impl Store {
    fn keep(&mut self, name: Name, text: &[u8]) {
        if text.len() > MAX_TEXT {
            return;
        }
        self.forget(|known| *known == name);
        self.bytes += text.len();
        self.texts.push_back((name, text.into()));
        while self.bytes > MAX_BYTES
            && let Some((_, oldest)) = self.texts.pop_front()
        {
            self.bytes -= oldest.len();
        }
    }

    fn forget(&mut self, which: impl Fn(&Name) -> bool) {
        self.texts.retain(|(name, _)| !which(name));
        self.bytes = self.texts.iter().map(|(_, text)| text.len()).sum();
    }

    fn text(&self, wanted: &Name) -> Option<&[u8]> {
        // What was used last stands at the end.
        self.texts.iter().rev().find(|(name, _)| name == wanted).map(|(_, text)| &**text)
    }
}

impl Scripts {
    fn lock(&self) -> MutexGuard<'_, Store> {
        // Whoever stopped half-way has at worst left a wrong sum of bytes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the script of an EVAL or a SCRIPT LOAD.
    pub fn saw_script(&self, text: &[u8]) {
        let mut name = String::with_capacity(40);
        for byte in Sha1::digest(text) {
            let _ = write!(name, "{byte:02x}");
        }
        let name = Name::Script(name.into_bytes().into());
        let mut store = self.lock();
        if store.text(&name).is_none() {
            store.keep(name, text);
        }
    }

    /// Notes what a SCRIPT or FUNCTION command that goes to every primary means for the store.
    pub fn saw(&self, request: &Request<'_>) {
        let word = |at: usize| request.arg(at).unwrap_or_default().to_ascii_lowercase();
        match (word(0).as_slice(), word(1).as_slice()) {
            (b"script", b"load") => self.saw_script(request.arg(2).unwrap_or_default()),
            (b"script", b"flush") => self.lock().forget(|name| matches!(name, Name::Script(_))),
            (b"function", b"load") => {
                let text = request.args().last().unwrap_or_default();
                if let Some(name) = library_name(text) {
                    self.lock().keep(Name::Library(name.into()), text);
                }
            }
            (b"function", b"delete") => {
                let gone = Name::Library(request.arg(2).unwrap_or_default().into());
                self.lock().forget(|name| *name == gone);
            }
            // What a payload holds is not known here, and it may replace what is.
            (b"function", b"flush" | b"restore") => self.lock().forget(|name| matches!(name, Name::Library(_))),
            _ => {}
        }
    }

    /// The requests that give a node what `request` did not find there.
    fn cure(&self, request: &Request<'_>) -> Vec<Vec<u8>> {
        let (command, wanted) = (request.name(), request.arg(1).unwrap_or_default());
        let is_one_of = |names: [&str; 2]| names.iter().any(|name| command.eq_ignore_ascii_case(name.as_bytes()));
        let mut frames = Vec::new();
        let mut add = |words: &[&[u8]]| {
            let mut frame = Vec::new();
            encode::request(&mut frame, words);
            frames.push(frame);
        };
        let store = self.lock();
        if is_one_of(["evalsha", "evalsha_ro"]) {
            if let Some(text) = store.text(&Name::Script(wanted.to_ascii_lowercase().into())) {
                add(&[b"SCRIPT", b"LOAD", text]);
            }
        } else if is_one_of(["fcall", "fcall_ro"]) && !wanted.is_empty() {
            // Libraries do not say which functions they make, but they have to name them.
            let libraries = store.texts.iter().filter(|(name, _)| matches!(name, Name::Library(_)));
            for (_, text) in libraries.filter(|(_, text)| memchr::memmem::find(text, wanted).is_some()) {
                add(&[b"FUNCTION", b"LOAD", b"REPLACE", text]);
            }
        }
        frames
    }
}

/// The name in a library's first line, `#!lua name=…`.
fn library_name(text: &[u8]) -> Option<&[u8]> {
    let line = text.split(|&byte| byte == b'\n').next()?;
    line.split(u8::is_ascii_whitespace).find_map(|word| word.strip_prefix(b"name="))
}

/// A text that was sent to a node and may not have arrived.
#[derive(Debug)]
pub(super) struct Sent {
    text: Vec<u8>,
    mark: Mark,
}

impl Backend {
    /// A node misses a script: gives it the script and tries again behind it. The request comes back if nothing can
    /// be done.
    pub(super) fn cure(
        &mut self,
        pipe: PipelineId,
        proto: Proto,
        mut request: Taken,
        reply: &[u8],
        replies: &mut Replies,
    ) -> Option<Taken> {
        if request.pending.hops >= self.options.max_redirects {
            return Some(request);
        }
        let frames = parsed(&request.frame, |parsed| self.around.scripts.cure(parsed)).unwrap_or_default();
        if frames.is_empty() {
            return Some(request);
        }
        self.teach(pipe, frames, &request.pending, replies);
        request.pending.hops += 1;
        request.pending.traits = request.pending.traits.plain();
        self.put_off(proto, request, reply, Some(pipe));
        None
    }

    /// A replica misses a script: it is given the script for the next time. Libraries of functions come to replicas by
    /// themselves.
    pub(super) fn teach_replica(&mut self, pipe: PipelineId, request: &Taken, replies: &mut Replies) {
        let mut frames = parsed(&request.frame, |parsed| self.around.scripts.cure(parsed)).unwrap_or_default();
        frames.retain(|frame| frame.starts_with(b"*3\r\n$6\r\nSCRIPT\r\n"));
        self.teach(pipe, frames, &request.pending, replies);
    }

    fn teach(&mut self, pipe: PipelineId, frames: Vec<Vec<u8>>, like: &Pending, replies: &mut Replies) {
        self.sent_scripts.retain(|sent| !sent.mark.is_passed(&self.pipelines));
        for text in frames {
            if !self.sent_scripts.iter().any(|sent| sent.mark.pipe == pipe && sent.text == text) {
                self.send_unasked(pipe, &text, like, replies);
                if let Some(mark) = Mark::of(pipe, &self.pipelines) {
                    self.sent_scripts.push(Sent { text, mark });
                }
            }
        }
    }

    /// Sends what no client asked for; nobody gets the reply.
    fn send_unasked(&mut self, pipe: PipelineId, frame: &[u8], like: &Pending, replies: &mut Replies) {
        let pending = Pending {
            ticket: replies.orphan(),
            len: frame.len() as u32,
            epoch: self.view.epoch(),
            born: self.now_us,
            slot: like.slot,
            hops: 0,
            traits: Traits::Here,
        };
        self.push(pipe, frame, pending);
    }
}

/// Reads a canonical frame.
fn parsed<T>(frame: &[u8], then: impl FnOnce(&Request<'_>) -> T) -> Option<T> {
    let limits = Limits { args: usize::MAX, bulk: usize::MAX, frame: usize::MAX, unauthenticated: false };
    let mut args = Args::default();
    match Decoder::default().step(frame, &mut args, &limits) {
        Ok(Step::Request { used, inline: false }) => Some(then(&args.request(frame, used, false))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cures(scripts: &Scripts, words: &[&str]) -> usize {
        ask(words, |request| scripts.cure(request).len())
    }

    fn ask<T>(words: &[&str], then: impl FnOnce(&Request<'_>) -> T) -> T {
        let mut frame = Vec::new();
        encode::request(&mut frame, &words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
        parsed(&frame, then).expect("a request")
    }

    #[test]
    fn a_script_is_known_by_its_digest_until_it_is_flushed() {
        let scripts = Scripts::default();
        scripts.saw_script(b"return 1");
        let sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
        assert_eq!(cures(&scripts, &["evalsha", sha, "0"]), 1);
        assert_eq!(cures(&scripts, &["EVALSHA_RO", &sha.to_uppercase(), "0"]), 1);
        assert_eq!(cures(&scripts, &["GET", sha]), 0);
        ask(&["script", "FLUSH", "ASYNC"], |request| scripts.saw(request));
        assert_eq!(cures(&scripts, &["evalsha", sha, "0"]), 0);
    }

    #[test]
    fn a_library_is_found_by_the_functions_that_it_names() {
        let scripts = Scripts::default();
        let code = "#!lua name=mine\nredis.register_function('f1', function() return 1 end)";
        ask(&["FUNCTION", "LOAD", "REPLACE", code], |request| scripts.saw(request));
        assert_eq!(cures(&scripts, &["fcall", "f1", "0"]), 1);
        assert_eq!(cures(&scripts, &["fcall", "f2", "0"]), 0);
        ask(&["FUNCTION", "DELETE", "mine"], |request| scripts.saw(request));
        assert_eq!(cures(&scripts, &["fcall", "f1", "0"]), 0);
    }

    #[test]
    fn the_store_is_limited_by_bytes_and_drops_the_oldest() {
        let scripts = Scripts::default();
        let text = |n: usize| format!("{n:08}").repeat(MAX_TEXT / 8).into_bytes();
        for n in 0..12 {
            scripts.saw_script(&text(n));
        }
        let store = scripts.lock();
        assert_eq!(store.texts.len(), MAX_BYTES / MAX_TEXT);
        assert_eq!(store.bytes, MAX_BYTES);
        assert_eq!(*store.texts.front().expect("a text").1, *text(12 - MAX_BYTES / MAX_TEXT));
    }
}
