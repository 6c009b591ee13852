//! How long a blocking request may wait: its own timeout, found in its frame and put in anew when it is sent again.

use super::Millis;
use crate::command;
use crate::resp::encode;
use crate::resp::request::{Args, Decoder, Limits, Request, Step};

/// What one unit of a timeout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
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
