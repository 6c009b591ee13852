//! Where log lines go: to stderr, as text or as JSON. Nothing logs single requests.
//!
//! Level and format can be changed while the process runs.

use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::{Layered, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::config::{Format, Level, Log};

type Lines = Box<dyn Layer<Registry> + Send + Sync>;

/// The log of this process, to be changed.
pub(super) struct Handle {
    lines: reload::Handle<Lines, Registry>,
    level: reload::Handle<LevelFilter, Layered<reload::Layer<Lines, Registry>, Registry>>,
}

impl Handle {
    /// Logs in this way from now on.
    pub(super) fn set(&self, log: Log) {
        // Without a log there is nobody to tell.
        let _ = self.lines.reload(lines(log.format));
        let _ = self.level.reload(level(log.level));
    }
}

/// Sets up the log of this process; later calls change nothing.
pub(super) fn init(log: Log) -> Handle {
    let (shown, lines) = reload::Layer::new(lines(log.format));
    let (filter, level) = reload::Layer::new(level(log.level));
    // An error means that a log is set up already, which then stays.
    let _ = Registry::default().with(shown).with(filter).try_init();
    Handle { lines, level }
}

fn lines(format: Format) -> Lines {
    let lines = fmt::layer().with_writer(io::stderr);
    match format {
        Format::Text => lines.with_target(false).with_ansi(io::stderr().is_terminal()).boxed(),
        Format::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    }
}

const fn level(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}
