//! Bounds on text that comes from outside.

/// Longest text, in characters, that the agent repeats from a server, a certificate or an error.
/// Results share one stream of 1 MiB.
pub(crate) const MAX_TEXT_CHARS: usize = 400;

/// `text` without what lies beyond [`MAX_TEXT_CHARS`]. Control characters stay: the stream is
/// JSON, which escapes them, and the plugin strips them before a terminal sees them.
pub(crate) fn bounded(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_longer_than_the_bound_is_cut_between_characters() {
        let long = "ü".repeat(MAX_TEXT_CHARS * 3);
        assert_eq!(bounded(&long).chars().count(), MAX_TEXT_CHARS);
        assert_eq!(bounded("short"), "short");
    }
}
