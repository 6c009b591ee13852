//! The ready list: how sockets tell the one driver of a worker that it has something to do.
//!
//! Every link has a waker that puts its token on the list; the first token of a batch wakes the driver, which
//! takes the whole list at once. One allocation a connection, none a wake.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// What became ready: the driver gives tokens their meaning.
pub type Token = u32;

#[derive(Default)]
struct Inner {
    tokens: Vec<Token>,
    driver: Option<Waker>,
}

/// The list, shared by the driver and the wakers of its links.
#[derive(Default)]
pub struct Ready {
    inner: Mutex<Inner>,
}

impl Ready {
    /// An empty list.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Nothing in here can panic half-way, so a poisoned list is still a whole one.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `token` on the list and wakes the driver if the list was empty.
    pub fn push(&self, token: Token) {
        let mut inner = self.lock();
        inner.tokens.push(token);
        if inner.tokens.len() == 1
            && let Some(driver) = inner.driver.clone()
        {
            drop(inner);
            driver.wake();
        }
    }

    /// Swaps the list for the empty `into`, and remembers whom to wake for the next token.
    pub fn take(&self, into: &mut Vec<Token>, driver: &Waker) {
        let mut inner = self.lock();
        if !inner.driver.as_ref().is_some_and(|known| known.will_wake(driver)) {
            inner.driver = Some(driver.clone());
        }
        std::mem::swap(&mut inner.tokens, into);
    }

    /// A waker that pushes `token`.
    #[must_use]
    pub fn waker(self: &Arc<Self>, token: Token) -> Waker {
        Arc::new(TokenWaker { ready: Arc::clone(self), token }).into()
    }
}

struct TokenWaker {
    ready: Arc<Ready>,
    token: Token,
}

impl Wake for TokenWaker {
    fn wake(self: Arc<Self>) {
        self.ready.push(self.token);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.push(self.token);
    }
}
