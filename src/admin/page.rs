//! `/`: the status page, one document with its style and its script inside.
//!
//! It draws what `/status.json` says, once a second. The parts are kept apart in `page/` and put together here.

use std::sync::LazyLock;

/// The whole page.
pub(super) fn text() -> &'static str {
    static PAGE: LazyLock<String> = LazyLock::new(|| {
        include_str!("page/page.html")
            .replace("/* style */", include_str!("page/style.css"))
            .replace("/* script */", include_str!("page/script.js"))
    });
    &PAGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = text();
        assert!(page.contains("fetch(\"status.json\"") && page.contains(":root {"), "its parts are inside");
        assert!(!page.contains("http://") && !page.contains("https://") && !page.contains(" src="));
    }
}
