//! Documents inside a text: a JSON object behind a shell prompt, a manifest in a fence.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::aws::AwsObjects;

/// Longest document inside a text, in bytes.
const MAX_BYTES: usize = 64 << 20;

/// A document that is being put together.
#[derive(Debug)]
pub(crate) struct Fragment {
    pub(crate) text: String,
    pub(crate) kind: Kind,
    indent: usize,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Kind {
    Json(Depth),
    Yaml,
    /// YAML of no kind: values of a Helm chart, perhaps.
    Values,
}

/// Where in a JSON document its end is.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Depth {
    open: i64,
    quoted: bool,
    escaped: bool,
}

impl Depth {
    /// Whether the document ends with this line.
    fn line(&mut self, text: &str) -> bool {
        for byte in text.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = self.quoted,
                b'"' => self.quoted = !self.quoted,
                b'{' | b'[' if !self.quoted => self.open += 1,
                b'}' | b']' if !self.quoted => self.open -= 1,
                _ => {}
            }
        }
        self.open <= 0
    }
}

/// What a line is to the document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A part of it.
    Part,
    /// Its last line.
    Last,
    /// None of it: the document ended above.
    Beyond,
}

impl Fragment {
    /// A document, if the line begins one.
    pub(crate) fn begin(text: &str) -> Option<Self> {
        let bare = text.trim_start();
        let kind = if is_json(bare) {
            Kind::Json(Depth::default())
        } else if is_yaml(bare) {
            Kind::Yaml
        } else if is_values(text) {
            Kind::Values
        } else {
            return None;
        };
        Some(Self {
            text: String::new(),
            kind,
            indent: text.len() - bare.len(),
        })
    }

    /// Takes a line.
    pub(crate) fn line(&mut self, text: &str) -> Step {
        if self.text.len() + text.len() > MAX_BYTES {
            return Step::Beyond;
        }
        let step = match &mut self.kind {
            Kind::Json(depth) => {
                if depth.line(text) {
                    Step::Last
                } else {
                    Step::Part
                }
            }
            Kind::Yaml | Kind::Values => {
                if goes_on(dedented(text, self.indent)) {
                    Step::Part
                } else {
                    return Step::Beyond;
                }
            }
        };
        self.text.push_str(dedented(text, self.indent));
        self.text.push('\n');
        step
    }
}

/// Without up to so many bytes of space in front.
fn dedented(text: &str, indent: usize) -> &str {
    let bare = text.trim_start();
    text.get(indent.min(text.len() - bare.len())..)
        .unwrap_or(bare)
}

/// Whether a line begins a JSON document, and not a record of a log.
pub(crate) fn is_json(text: &str) -> bool {
    let mut characters = text.chars();
    if !matches!(characters.next(), Some('{' | '[')) {
        return false;
    }
    let next = characters.as_str().trim_start().chars().next();
    matches!(next, None | Some('{' | '[' | '"' | '}' | ']')) && !is_record(text)
}

/// Whether a line of JSON is a record of a log: it has a level or a message, and is no object of
/// Kubernetes (Events have messages).
pub(crate) fn is_record(text: &str) -> bool {
    const FIRST: [&str; 5] = [
        "{\"level\":",
        "{\"ts\":",
        "{\"time\":",
        "{\"log\":",
        "{\"msg\":",
    ];
    // Made once: every record in JSON is asked.
    static API_VERSION: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"apiVersion\""));
    let is_object = || API_VERSION.find(text.as_bytes()).is_some();
    if FIRST.iter().any(|first| text.starts_with(first)) {
        return !is_object();
    }
    text.starts_with('{')
        && !is_object()
        && [
            "\"level\":",
            "\"msg\":",
            "\"ts\":",
            "\"log\":",
            "\"severity\":",
        ]
        .iter()
        .any(|key| text.contains(key))
}

/// Whether a line begins a YAML document that may be understood.
fn is_yaml(text: &str) -> bool {
    if let Some(kind) = text.strip_prefix("kind: ") {
        return kind.trim().chars().all(|c| c.is_ascii_alphanumeric());
    }
    if text.starts_with("apiVersion: ") || text == "items:" || text.starts_with("- apiVersion: ") {
        return true;
    }
    text.strip_suffix(':').is_some_and(AwsObjects::is_key)
}

/// Whether a line is a key alone in a line of its own, as values of Helm charts begin. So do parts of what
/// kubectl describes.
fn is_values(text: &str) -> bool {
    text.strip_suffix(':').is_some_and(|key| {
        key.starts_with(|c: char| c.is_ascii_lowercase())
            && key
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

/// Whether a line is YAML that belongs to the document above it.
fn goes_on(text: &str) -> bool {
    if text.is_empty() || text.starts_with([' ', '#', '\t']) || matches!(text, "---" | "...") {
        return true;
    }
    let text = text.strip_prefix("- ").unwrap_or(text);
    let key = text
        .split_once(": ")
        .map(|(key, _)| key)
        .or_else(|| text.strip_suffix(':'));
    text == "-"
        || key.is_some_and(|key| {
            !key.is_empty()
                && key
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-./\"'".contains(&byte))
        })
}
