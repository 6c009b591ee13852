//! What each client is owed, in which order, and what is left when it goes.

use proptest::prelude::*;

use super::*;
use crate::command::Merge;
use crate::resp::Proto;

fn sent(replies: &mut Replies, client: ClientId) -> String {
    let text = String::from_utf8(replies.begin_write(client).unwrap().to_vec()).unwrap();
    replies.wrote(client, text.len());
    text
}

#[test]
fn replies_leave_in_the_order_of_their_requests() {
    let mut replies = Replies::default();
    let client = replies.open();
    let tickets: Vec<_> = (0..4).map(|_| replies.reserve(client, 10).unwrap()).collect();
    replies.answer(client, |out| out.extend_from_slice(b"e"));
    for (ticket, reply) in tickets.into_iter().zip(["a", "b", "c", "d"]).rev() {
        replies.deliver(ticket, reply.as_bytes());
    }
    assert_eq!(sent(&mut replies, client), "abcde");
    assert_eq!(replies.tickets_out(), 0);
    assert_eq!(replies.queue(client).map(Queue::held), Some(0));
}

#[test]
fn a_message_stands_between_replies_and_overtakes_those_that_wait() {
    let mut replies = Replies::default();
    let client = replies.open();
    let tickets: Vec<_> = (0..3).map(|_| replies.reserve(client, 10).unwrap()).collect();
    let [first, second, third] = <[Ticket; 3]>::try_from(tickets).unwrap();
    replies.deliver(second, b"b");
    assert_eq!(replies.push(client, |out| out.extend_from_slice(b"!")), 1);
    replies.deliver(first, b"a");
    assert_eq!(replies.push(client, |out| out.extend_from_slice(b"?")), 4);
    replies.deliver(third, b"c");
    assert_eq!(sent(&mut replies, client), "!ab?c");
    replies.close(client);
    assert_eq!(replies.push(client, |out| out.push(b'!')), 0, "it left");
}

#[test]
fn a_ticket_of_a_client_that_left_goes_nowhere() {
    let mut replies = Replies::default();
    let gone = replies.open();
    let ticket = replies.reserve(gone, 1).unwrap();
    replies.close(gone);
    let next = replies.open();
    assert_eq!(next, gone, "the id is used again");
    replies.deliver(ticket, b"secret");
    assert_eq!(sent(&mut replies, next), "");
}

#[test]
fn a_merge_takes_one_place() {
    let mut replies = Replies::default();
    let client = replies.open();
    let first = replies.reserve(client, 0).unwrap();
    let second = replies.reserve(client, 0).unwrap();
    let parts: Vec<_> = replies.split(second, Gather::new(Merge::Sum, Proto::Resp2, 2), 2).collect();
    for part in parts {
        replies.deliver(part, b":1\r\n");
    }
    replies.deliver(first, b"+a\r\n");
    assert_eq!(sent(&mut replies, client), "+a\r\n:2\r\n");
    assert_eq!(replies.tickets_out(), 0);
}

#[test]
fn the_stash_stays_small_for_a_client_that_never_pauses() {
    let mut replies = Replies::default();
    let client = replies.open();
    let mut before = replies.reserve(client, 0).unwrap();
    for _ in 0..10_000 {
        let next = replies.reserve(client, 0).unwrap();
        let early = replies.reserve(client, 0).unwrap();
        replies.deliver(early, &[b'x'; 100]);
        replies.deliver(before, b"y");
        before = next;
        let len = replies.begin_write(client).unwrap().len();
        replies.wrote(client, len);
        assert!(replies.queue(client).unwrap().stash.bytes.len() <= stash::STASH_MIN + 200);
    }
    replies.deliver(before, b"z");
    assert_eq!(replies.queue(client).map(Queue::in_flight), Some(0));
}

/// What happens to the queues, drawn by lot.
#[derive(Clone, Debug)]
enum Move {
    Ask(usize),
    Answer(usize),
    Split(usize, u32),
    Deliver(usize),
    Write(usize, usize),
    Leave(usize),
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => (0..3_usize).prop_map(Move::Ask),
        1 => (0..3_usize).prop_map(Move::Answer),
        1 => (0..3_usize, 1..4_u32).prop_map(|(client, parts)| Move::Split(client, parts)),
        6 => any::<usize>().prop_map(Move::Deliver),
        2 => (0..3_usize, 0..40_usize).prop_map(|(client, bytes)| Move::Write(client, bytes)),
        1 => (0..3_usize).prop_map(Move::Leave),
    ]
}

/// A client as the twin knows it: what it must be sent from now on, one entry a request.
#[derive(Default)]
struct Twin {
    id: ClientId,
    owed: Vec<String>,
    got: String,
}

/// Tickets that are out, each with its client and its reply.
type Out = Vec<(Ticket, String)>;

fn play(moves: &[Move]) {
    let mut replies = Replies::default();
    let mut twins: Vec<Twin> = (0..3).map(|_| Twin { id: replies.open(), ..Twin::default() }).collect();
    let mut out: Out = Vec::new();
    for (n, step) in moves.iter().enumerate() {
        match *step {
            Move::Ask(client) => {
                let text = format!("$of-{client}-{n}");
                out.push((replies.reserve(twins[client].id, 7).unwrap(), text.clone()));
                twins[client].owed.push(text);
            }
            Move::Answer(client) => {
                let text = format!("+at-once-{n}");
                replies.answer(twins[client].id, |bytes| bytes.extend_from_slice(text.as_bytes()));
                twins[client].owed.push(text);
            }
            Move::Split(client, parts) => {
                let whole = replies.reserve(twins[client].id, 9).unwrap();
                let gather = Gather::new(Merge::Sum, Proto::Resp2, parts);
                out.extend(replies.split(whole, gather, parts).map(|part| (part, ":2\r\n".to_owned())));
                twins[client].owed.push(format!(":{}\r\n", 2 * parts));
            }
            Move::Deliver(at) if !out.is_empty() => {
                let (ticket, reply) = out.swap_remove(at % out.len());
                replies.deliver(ticket, reply.as_bytes());
            }
            Move::Write(client, bytes) => take(&mut replies, &mut twins[client], bytes),
            Move::Leave(client) => {
                replies.close(twins[client].id);
                twins[client] = Twin { id: replies.open(), ..Twin::default() };
            }
            Move::Deliver(_) => {}
        }
        assert_eq!(replies.tickets_out(), out.len() as u64);
        for twin in &twins {
            let sent: String = twin.owed.concat();
            let unwritten = String::from_utf8(replies.queue(twin.id).unwrap().unwritten().to_vec()).unwrap();
            assert!(sent.starts_with(&format!("{}{unwritten}", twin.got)), "replies out of order");
        }
    }
    for (ticket, reply) in out {
        replies.deliver(ticket, reply.as_bytes());
    }
    for twin in &mut twins {
        take(&mut replies, twin, usize::MAX);
        assert_eq!(twin.got, twin.owed.concat(), "every request is answered, in order");
        let queue = replies.queue(twin.id).unwrap();
        assert_eq!((queue.in_flight(), queue.held()), (0, 0));
    }
    assert_eq!(replies.tickets_out(), 0);
}

/// The socket of a client takes up to `bytes`.
fn take(replies: &mut Replies, twin: &mut Twin, bytes: usize) {
    let rest = replies.begin_write(twin.id).unwrap();
    let taken = rest.len().min(bytes);
    twin.got.push_str(std::str::from_utf8(&rest[..taken]).unwrap());
    replies.wrote(twin.id, taken);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_ticket_is_answered_once_and_in_order(moves in prop::collection::vec(any_move(), 0..120)) {
        play(&moves);
    }
}

#[test]
fn tickets_know_their_order() {
    let mut replies = Replies::default();
    let client = replies.open();
    let first = replies.reserve(client, 1).unwrap();
    assert!(!replies.is_followed(&first));
    let second = replies.reserve(client, 1).unwrap();
    assert!(first.comes_before(&second) && !second.comes_before(&first) && !first.comes_before(&first));
    assert!(replies.is_followed(&first) && !replies.is_followed(&second));
    assert_eq!(first.client_key(), second.client_key());
    replies.close(client);
    assert!(!replies.is_followed(&first), "nobody is left to be overtaken");
    let next = replies.open();
    let other = replies.reserve(next, 1).unwrap();
    assert_ne!(first.client_key(), other.client_key());
    for ticket in [first, second, other] {
        replies.deliver(ticket, b"x");
    }
}

#[test]
fn what_is_muted_is_never_seen_whenever_it_comes() {
    for early in [false, true] {
        let mut replies = Replies::default();
        let client = replies.open();
        let first = replies.reserve(client, 1).unwrap();
        replies.mute(client);
        let muted = replies.reserve(client, 1).unwrap();
        replies.unmute(client);
        let last = replies.reserve(client, 1).unwrap();
        let order = if early { [last, muted, first] } else { [first, muted, last] };
        for ticket in order {
            let text = format!(":{}\r\n", ticket.sequence());
            replies.deliver(ticket, text.as_bytes());
        }
        assert_eq!(replies.queue(client).unwrap().unwritten(), b":0\r\n:2\r\n");
        assert_eq!(replies.queue(client).unwrap().in_flight(), 0);
        assert_eq!(replies.tickets_out(), 0);
    }
}

#[test]
fn a_muted_request_that_is_answered_at_once_or_not_taken_leaves_no_place() {
    let mut replies = Replies::default();
    let client = replies.open();
    replies.mute(client);
    replies.answer(client, |out| out.extend_from_slice(b"+no\r\n"));
    replies.unmute(client);
    replies.mute(client);
    replies.push(client, |out| out.extend_from_slice(b">pushed"));
    replies.unmute(client);
    replies.answer(client, |out| out.extend_from_slice(b"+yes\r\n"));
    assert_eq!(replies.queue(client).unwrap().unwritten(), b">pushed+yes\r\n");
}
