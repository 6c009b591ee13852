//! What a command answers, and how that looks on the wire in each protocol version.

use crate::resp::Proto;

/// The reply of a command, before a protocol version gives it its shape.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    /// A status line such as `OK`.
    Simple(&'static str),
    /// An error, prefix included, without the leading `-`.
    Error(String),
    /// A number.
    Int(i64),
    /// A string of any bytes.
    Bulk(Vec<u8>),
    /// A score; a string in RESP2.
    Double(String),
    /// No such value.
    Null,
    /// No such list; only RESP2 tells the two apart.
    NullArray,
    /// Values in order.
    Array(Vec<Reply>),
    /// What was not asked for, or stands for no single reply; an array in RESP2.
    Push(Vec<Reply>),
    /// One behind the other.
    Several(Vec<Reply>),
    /// Pairs; a flat array in RESP2.
    Map(Vec<(Reply, Reply)>),
    /// Values without order; an array in RESP2.
    Set(Vec<Reply>),
    /// Text to show to a person; a plain string in RESP2.
    Text(String),
}

impl Reply {
    /// A string of these bytes.
    pub(super) fn bulk(bytes: impl AsRef<[u8]>) -> Self {
        Self::Bulk(bytes.as_ref().to_vec())
    }

    /// A count of things.
    pub(super) fn count(n: usize) -> Self {
        Self::Int(n as i64)
    }

    /// 1 or 0.
    pub(super) fn flag(yes: bool) -> Self {
        Self::Int(i64::from(yes))
    }

    /// The value, or null where there is none.
    pub(super) fn maybe(value: Option<&Vec<u8>>) -> Self {
        value.map_or(Self::Null, Self::bulk)
    }

    /// Strings in order.
    pub(super) fn strings<T: AsRef<[u8]>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::Array(items.into_iter().map(Self::bulk).collect())
    }

    /// Appends the reply as `proto` writes it.
    pub(super) fn encode(&self, proto: Proto, out: &mut Vec<u8>) {
        let three = proto == Proto::Resp3;
        match self {
            Self::Simple(text) => line(out, '+', text),
            Self::Error(text) => line(out, '-', &text.replace(['\r', '\n'], " ")),
            Self::Int(n) => line(out, ':', &n.to_string()),
            Self::Bulk(bytes) => bulk(out, '$', bytes),
            Self::Double(text) if three => line(out, ',', text),
            Self::Null | Self::NullArray if three => line(out, '_', ""),
            Self::Null => line(out, '$', "-1"),
            Self::NullArray => line(out, '*', "-1"),
            Self::Array(items) => each(out, '*', items, proto),
            Self::Push(items) => each(out, if three { '>' } else { '*' }, items, proto),
            Self::Several(replies) => replies.iter().for_each(|reply| reply.encode(proto, out)),
            Self::Set(items) => each(out, if three { '~' } else { '*' }, items, proto),
            Self::Map(pairs) => {
                let (mark, len) = if three { ('%', pairs.len()) } else { ('*', pairs.len() * 2) };
                line(out, mark, &len.to_string());
                for (name, value) in pairs {
                    name.encode(proto, out);
                    value.encode(proto, out);
                }
            }
            Self::Text(text) if three => bulk(out, '=', format!("txt:{text}").as_bytes()),
            Self::Double(text) | Self::Text(text) => bulk(out, '$', text.as_bytes()),
        }
    }
}

fn line(out: &mut Vec<u8>, mark: char, text: &str) {
    out.extend_from_slice(format!("{mark}{text}\r\n").as_bytes());
}

fn bulk(out: &mut Vec<u8>, mark: char, bytes: &[u8]) {
    line(out, mark, &bytes.len().to_string());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn each(out: &mut Vec<u8>, mark: char, items: &[Reply], proto: Proto) {
    line(out, mark, &items.len().to_string());
    for item in items {
        item.encode(proto, out);
    }
}
