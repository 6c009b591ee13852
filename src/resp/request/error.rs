//! Why bytes are no request, worded as Redis words it.

/// Bytes that are no request. The connection cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// `*` without a usable number.
    #[error("invalid multibulk length")]
    MultibulkLength,
    /// `$` without a usable number.
    #[error("invalid bulk length")]
    BulkLength,
    /// Too many arguments before authentication.
    #[error("unauthenticated multibulk length")]
    UnauthenticatedMultibulk,
    /// Too large an argument before authentication.
    #[error("unauthenticated bulk length")]
    UnauthenticatedBulk,
    /// An argument that does not begin with `$`.
    #[error("expected '$', got '{}'", char::from(*.0))]
    ExpectedBulk(u8),
    /// A bulk that is longer than announced.
    #[error("expected CRLF after a bulk string")]
    ExpectedCrlf,
    /// A request above the limit for one request.
    #[error("too big request")]
    RequestSize,
    /// A line without an end.
    #[error("too big inline request")]
    InlineSize,
    /// A quote that is not closed, or not followed by a space.
    #[error("unbalanced quotes in request")]
    Quotes,
    /// The first byte belongs to another protocol (TLS, `PostgreSQL`).
    #[error("not a RESP request")]
    NotResp,
}
