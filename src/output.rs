//! Standard output: the report and nothing else.

use std::io::{self, IsTerminal as _, Write as _};

use eksnet_triage::render::Style;

use crate::exit::Failure;

/// Writes to standard output. A reader that went away, as `head` does, is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::no_verdict(
            format!("cannot write to standard output: {error}"),
        )),
        _ => Ok(()),
    }
}

/// How text is shown here.
pub(crate) fn style(wide: bool) -> Style {
    Style {
        colour: wants_colour(),
        unicode: has_unicode(),
        width: width(),
        wide,
    }
}

/// Whether colour is wanted: on a terminal, unless `NO_COLOR` or `TERM=dumb`; anywhere with
/// `CLICOLOR_FORCE`.
pub(crate) fn wants_colour() -> bool {
    let set =
        |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    if set("NO_COLOR") {
        return false;
    }
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    set("CLICOLOR_FORCE") || (io::stdout().is_terminal() && !dumb)
}

/// Whether the locale can show more than ASCII.
pub(crate) fn has_unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// Columns of the terminal; `COLUMNS` where it is set, 100 where nothing tells.
pub(crate) fn width() -> usize {
    let set = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    let width = set.or_else(|| {
        terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0))
    });
    width.unwrap_or(100).clamp(40, 160)
}
