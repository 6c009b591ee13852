//! The binary: arguments in, exit code out. Everything else is in the library, see [`slotway::cli`].

use std::process::ExitCode;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    slotway::cli::main(std::env::args_os())
}
