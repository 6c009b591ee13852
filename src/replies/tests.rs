//! What each client is owed, in which order, and what is left when it goes.

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
        assert!(replies.queue(client).unwrap().stash.bytes.len() <= STASH_MIN + 200);
    }
    replies.deliver(before, b"z");
    assert_eq!(replies.queue(client).map(Queue::in_flight), Some(0));
}
