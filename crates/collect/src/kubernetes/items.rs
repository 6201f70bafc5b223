//! Reads the items of a list while it arrives.
//!
//! A list of 150,000 pods is 860 MB of JSON. Held whole it would not fit a laptop, so the text is
//! split at the borders of its items, and each is read into its narrow form and forgotten.

use serde::Deserialize;

/// Longest item, in bytes: etcd's limit with room for what the API server adds.
const MAX_ITEM: usize = 16 * 1024 * 1024;
/// Longest text around the items, in bytes.
const MAX_ENVELOPE: usize = 64 * 1024;

/// What stands around the items of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Envelope {
    pub(crate) kind: String,
    pub(crate) metadata: ListMeta,
}

/// `metadata` of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ListMeta {
    /// Token of the next page; empty at the end.
    #[serde(rename = "continue")]
    pub(crate) next: Option<String>,
}

/// Splits the text of a list into items.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    state: State,
    /// The text so far, without the items.
    envelope: Vec<u8>,
    /// The item that is being read.
    item: Vec<u8>,
    /// Open brackets, of the envelope or of the item.
    depth: usize,
    in_string: bool,
    escaped: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Envelope,
    BetweenItems,
    Item,
}

impl Splitter {
    /// Takes the next piece of the text and hands each item that ends in it to `take`.
    ///
    /// # Errors
    /// A clause, when the text is no list of objects.
    pub(crate) fn push(&mut self, piece: &[u8], mut take: impl FnMut(&[u8])) -> Result<(), String> {
        let mut rest = piece;
        while let Some(&byte) = rest.first() {
            match self.state {
                State::Envelope => {
                    self.envelope_byte(byte)?;
                    rest = &rest[1..];
                }
                State::BetweenItems => {
                    rest = &rest[1..];
                    match byte {
                        b'{' => {
                            self.state = State::Item;
                            self.depth = 1;
                            self.item.clear();
                            self.item.push(byte);
                        }
                        b']' => {
                            self.state = State::Envelope;
                            self.depth = 1;
                            self.envelope.push(byte);
                        }
                        b',' => {}
                        byte if byte.is_ascii_whitespace() => {}
                        _ => return Err("an item that is no object".to_owned()),
                    }
                }
                State::Item => {
                    let taken = self.item_bytes(rest);
                    if self.item.len() + taken > MAX_ITEM {
                        return Err(format!("an item of more than {MAX_ITEM} bytes"));
                    }
                    self.item.extend_from_slice(&rest[..taken]);
                    rest = &rest[taken..];
                    if self.depth == 0 {
                        take(&self.item);
                        self.state = State::BetweenItems;
                    }
                }
            }
        }
        Ok(())
    }

    /// What stands around the items, once the text has ended.
    ///
    /// # Errors
    /// A clause, when the text is no list or did not end.
    pub(crate) fn finish(&self) -> Result<Envelope, String> {
        if self.state != State::Envelope {
            return Err("the list ends in the middle".to_owned());
        }
        let envelope: Envelope = serde_json::from_slice(&self.envelope)
            .map_err(|error| format!("{error} in {:?}", super::fault::excerpt(&self.envelope)))?;
        if !envelope.kind.ends_with("List") {
            return Err(format!(
                "kind {:?} where a list was expected",
                envelope.kind
            ));
        }
        Ok(envelope)
    }

    /// What came so far outside of items, for messages.
    pub(crate) fn envelope(&self) -> &[u8] {
        &self.envelope
    }

    fn envelope_byte(&mut self, byte: u8) -> Result<(), String> {
        if self.envelope.len() >= MAX_ENVELOPE {
            return Err("something that is no list".to_owned());
        }
        self.envelope.push(byte);
        if self.in_string {
            self.string_byte(byte);
            return Ok(());
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => {
                if byte == b'[' && self.depth == 1 && ends_with_items_key(&self.envelope) {
                    self.state = State::BetweenItems;
                }
                self.depth += 1;
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        Ok(())
    }

    /// Number of bytes that belong to the item; 0 is its depth when it has ended.
    fn item_bytes(&mut self, bytes: &[u8]) -> usize {
        for (at, &byte) in bytes.iter().enumerate() {
            if self.in_string {
                self.string_byte(byte);
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return at + 1;
                    }
                }
                _ => {}
            }
        }
        bytes.len()
    }

    fn string_byte(&mut self, byte: u8) {
        if self.escaped {
            self.escaped = false;
        } else if byte == b'\\' {
            self.escaped = true;
        } else if byte == b'"' {
            self.in_string = false;
        }
    }
}

/// Whether the text ends with the key `items`, its colon and the bracket. A colon follows keys
/// only, so a value that reads `"items"` is never mistaken.
fn ends_with_items_key(text: &[u8]) -> bool {
    let before = |text: &[u8], end: &[u8]| text.trim_ascii_end().strip_suffix(end).map(<[u8]>::len);
    before(text, b"[")
        .and_then(|at| before(&text[..at], b":"))
        .and_then(|at| before(&text[..at], b"\"items\""))
        .is_some_and(|at| matches!(text[..at].trim_ascii_end().last(), Some(b'{' | b',')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, piece: usize) -> (Vec<String>, Result<Envelope, String>) {
        let mut items = Vec::new();
        let mut splitter = Splitter::default();
        for piece in text.as_bytes().chunks(piece) {
            let pushed = splitter.push(piece, |item| {
                items.push(String::from_utf8_lossy(item).into_owned());
            });
            if let Err(why) = pushed {
                return (items, Err(why));
            }
        }
        (items, splitter.finish())
    }

    const LIST: &str = r#"{"kind":"PodList","apiVersion":"v1","note":"\"items\":[","tags":["items"],
        "metadata":{"resourceVersion":"7","continue":"to]ken","items":["x"]},
        "items" : [ {"a":"}]\"{\\"} , {"b":[{"c":[]}]} ] }"#;

    #[test]
    fn items_are_split_wherever_the_pieces_end() {
        for piece in 1..LIST.len() {
            let (items, envelope) = split(LIST, piece);
            assert_eq!(
                items,
                [r#"{"a":"}]\"{\\"}"#, r#"{"b":[{"c":[]}]}"#],
                "{piece}"
            );
            assert_eq!(envelope.unwrap().metadata.next.as_deref(), Some("to]ken"));
        }
    }

    #[test]
    fn an_empty_list_and_a_null_list_have_no_items() {
        let (items, envelope) = split(r#"{"kind":"PodList","items":[]}"#, 3);
        assert!(items.is_empty() && envelope.is_ok());
        let (items, envelope) = split(r#"{"kind":"PodList","items":null,"metadata":{}}"#, 3);
        assert!(items.is_empty() && envelope.is_ok());
    }

    #[test]
    fn items_before_a_cut_are_kept_and_the_cut_is_told() {
        let cut = &LIST[..LIST.len() - 12];
        let (items, envelope) = split(cut, 7);
        assert_eq!(items.len(), 1);
        assert_eq!(envelope, Err("the list ends in the middle".to_owned()));
        assert!(split(&LIST[..LIST.len() - 1], 7).1.is_err());
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in [
            "<html></html>",
            "[1]",
            r#"{"kind":"Status"}"#,
            r#"{"kind":"PodList","items":[1]}"#,
        ] {
            assert!(split(text, 5).1.is_err(), "{text}");
        }
        let endless = "x".repeat(MAX_ENVELOPE + 10);
        assert_eq!(
            split(&endless, 4096).1,
            Err("something that is no list".to_owned())
        );
    }
}
