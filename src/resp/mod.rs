//! The Redis serialization protocol: where a message ends and what its parts are.
//!
//! [`request`] reads what clients send, [`reply`] finds the end of what nodes send, [`encode`] writes what the
//! proxy says itself, [`value`] reads whole replies on the cold path (discovery). No I/O, no clock; see
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

pub mod encode;
mod inline;
pub mod reply;
pub mod request;
pub mod value;

/// The protocol version that a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Proto {
    /// RESP2, where every connection begins.
    #[default]
    Resp2,
    /// RESP3, after `HELLO 3`.
    Resp3,
}
