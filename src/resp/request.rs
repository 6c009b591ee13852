//! What clients send: one request at a time, as a frame and the spans of its arguments.

/// Where an argument stands, relative to the start of its frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

/// One whole request: its canonical multibulk frame and where its arguments stand in it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    frame: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Request<'a> {
    /// Puts a frame and its spans together; every span must lie inside the frame.
    #[must_use]
    pub const fn new(frame: &'a [u8], spans: &'a [Span]) -> Self {
        Self { frame, spans }
    }

    /// The bytes to send to a node.
    #[must_use]
    pub const fn frame(&self) -> &'a [u8] {
        self.frame
    }

    /// How many arguments there are, the command's name included; never 0.
    #[must_use]
    pub const fn argc(&self) -> usize {
        self.spans.len()
    }

    /// Argument `at` (0 is the command's name), or `None` behind the last.
    #[inline]
    #[must_use]
    pub fn arg(&self, at: usize) -> Option<&'a [u8]> {
        let span = self.spans.get(at)?;
        let start = span.start as usize;
        self.frame.get(start..start + span.len as usize)
    }

    /// The command's name as the client wrote it.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        self.arg(0).unwrap_or_default()
    }

    /// The arguments in order, the name first.
    pub fn args(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let frame = self.frame;
        self.spans.iter().map(move |span| {
            let start = span.start as usize;
            frame.get(start..start + span.len as usize).unwrap_or_default()
        })
    }
}
