//! How long a blocking request may wait: its own timeout, found in its frame and put in anew when it is sent again,
//! and what it is answered when its time is over without a node.

use super::dedicated::{key, not_run};
use super::record::{Pending, Taken};
use super::{Backend, Millis};
use crate::command;
use crate::replies::{Replies, Ticket};
use crate::resp::request::{Args, Decoder, Limits, Request, Step};
use crate::resp::{Proto, encode};

/// What one unit of a timeout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
}

impl Backend {
    /// Whether the time of a request is over for which a node could not be found. A client that was blocked already
    /// goes on waiting for as long as it said: its request is patient anew.
    pub(super) fn is_over(&self, pending: &mut Pending) -> bool {
        if pending.age(self.now) < self.timeout() {
            return false;
        }
        let loan = self.loans.get(&key(pending)).filter(|loan| pending.traits.blocks() && loan.waited);
        let may_wait = loan.is_some_and(|loan| loan.until.is_none_or(|until| self.now < until));
        if may_wait {
            pending.born = self.now_us;
        }
        !may_wait
    }

    /// Ends a request that no node could be found for, if its client only waits until its time is over.
    pub(super) fn end_waiting(&mut self, request: Taken, proto: Proto, replies: &mut Replies) -> Option<Taken> {
        let key = key(&request.pending);
        if request.pending.traits.blocks() && self.loans.get(&key).is_some_and(|loan| loan.waited) {
            nothing_came(request.pending.ticket, proto, replies);
            return None;
        }
        Some(request)
    }

    /// Makes a blocking request that ended before its time ready for the next try: with the time that is left, and
    /// with patience for the way there anew.
    pub(super) fn rearm(&mut self, mut request: Taken) -> Taken {
        request.pending.born = self.now_us;
        let loan = self.loans.get_mut(&key(&request.pending));
        if let Some(until) = loan.and_then(|loan| {
            loan.waited = true;
            loan.until
        }) && let Some(frame) = with_timeout(&request.frame, until.saturating_sub(self.now))
        {
            request.pending.len = frame.len() as u32;
            request.frame = frame;
        }
        request
    }
}

/// Answers a blocking request as if its time were up.
pub(super) fn nothing_came(ticket: Ticket, proto: Proto, replies: &mut Replies) {
    // A part is one of several nodes that were asked how many replicas have a write.
    let reply = if ticket.part().is_some() { b":0\r\n" } else { not_run(proto) };
    replies.deliver(ticket, reply);
}

/// How many milliseconds the request behind `frames` wants to wait at most; `None` is for ever, or something that
/// only the node can judge.
pub(super) fn timeout(frames: &[u8]) -> Option<Millis> {
    last(frames, |_, request, (at, unit)| {
        let text = std::str::from_utf8(request.arg(at)?).ok()?;
        let wanted = match unit {
            Unit::Seconds => text.parse::<f64>().ok()? * 1000.0,
            Unit::Milliseconds => text.parse::<u32>().ok()?.into(),
        };
        let longest = f64::from(u32::MAX);
        (wanted > 0.0 && wanted <= longest).then(|| wanted.ceil() as Millis)
    })?
}

/// The same frames with a timeout of `left` milliseconds; at least one, for none at all is for ever.
pub(super) fn with_timeout(frames: &[u8], left: Millis) -> Option<Box<[u8]>> {
    let left = left.max(1);
    last(frames, |before, request, (timeout, unit)| {
        let text = match unit {
            Unit::Seconds => format!("{}.{:03}", left / 1000, left % 1000),
            Unit::Milliseconds => left.to_string(),
        };
        let mut out = before.to_vec();
        encode::array(&mut out, request.argc());
        for (at, arg) in request.args().enumerate() {
            encode::bulk(&mut out, if at == timeout { text.as_bytes() } else { arg });
        }
        out.into()
    })
}

/// Looks at the last of some requests in canonical frames: what stands before it, it, and where its timeout is.
fn last<T>(frames: &[u8], look: impl FnOnce(&[u8], &Request<'_>, (usize, Unit)) -> T) -> Option<T> {
    let limits = Limits { args: usize::MAX, bulk: usize::MAX, frame: usize::MAX, unauthenticated: false };
    let (mut args, mut at) = (Args::default(), 0);
    loop {
        let rest = frames.get(at..)?;
        let Ok(Step::Request { used, inline: false }) = Decoder::default().step(rest, &mut args, &limits) else {
            return None;
        };
        if used == rest.len() {
            let request = args.request(rest, used, false);
            return Some(look(frames.get(..at)?, &request, place(&request)?));
        }
        at += used;
    }
}

/// Where the timeout of a blocking request stands.
fn place(request: &Request<'_>) -> Option<(usize, Unit)> {
    match command::lookup(request.name())?.name {
        "xread" | "xreadgroup" => {
            let option = request.args().position(|arg| arg.eq_ignore_ascii_case(b"BLOCK"))?;
            Some((option + 1, Unit::Milliseconds))
        }
        "wait" => Some((2, Unit::Milliseconds)),
        "blmpop" | "bzmpop" => Some((1, Unit::Seconds)),
        _ => Some((request.argc() - 1, Unit::Seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(line: &str) -> Vec<u8> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut out = Vec::new();
        encode::request(&mut out, &words);
        out
    }

    #[test]
    fn timeouts_are_found_wherever_they_stand() {
        assert_eq!(timeout(&frame("BLPOP a b 1.5")), Some(1500));
        assert_eq!(timeout(&frame("BLMPOP 0.0001 1 a LEFT")), Some(1));
        assert_eq!(timeout(&frame("XREADGROUP GROUP g c BLOCK 20 STREAMS s >")), Some(20));
        assert_eq!(timeout(&[frame("PING"), frame("WAIT 1 70")].concat()), Some(70));
    }

    #[test]
    fn what_waits_for_ever_or_is_wrong_has_none() {
        for line in
            ["BLPOP a 0", "BLPOP a -1", "BLPOP a x", "BLPOP a inf", "BLPOP a 1e300", "XREAD BLOCK 0 STREAMS s $"]
        {
            assert_eq!(timeout(&frame(line)), None, "{line}");
        }
    }

    #[test]
    fn the_time_that_is_left_takes_its_place() {
        let anew = |line: &str, left| with_timeout(&frame(line), left).unwrap().into_vec();
        assert_eq!(anew("BLMOVE a b LEFT RIGHT 3", 1250), frame("BLMOVE a b LEFT RIGHT 1.250"));
        assert_eq!(anew("BZMPOP 2 1 a MIN", 0), frame("BZMPOP 0.001 1 a MIN"));
        assert_eq!(anew("XREAD COUNT 2 BLOCK 500 STREAMS s 0", 7), frame("XREAD COUNT 2 BLOCK 7 STREAMS s 0"));
        let both = [frame("PING"), frame("WAIT 1 70")].concat();
        assert_eq!(with_timeout(&both, 30).unwrap().into_vec(), [frame("PING"), frame("WAIT 1 30")].concat());
    }
}
