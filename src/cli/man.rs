//! `slotway man`: the manual page, in roff.

use super::failure::{Failure, print};

/// Prints the page of `command`.
pub(super) fn print_page(command: clap::Command) -> Result<(), Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    print(&page)
}
