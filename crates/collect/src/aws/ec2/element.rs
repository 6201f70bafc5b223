//! XML of EC2's Query API, read by name.

use std::str::FromStr;

use roxmltree::{Document, Node, ParsingOptions};
use thiserror::Error;

/// Most nodes of one answer: a page of 1,000 interfaces with 50 addresses each has fewer than a
/// million.
const MOST_NODES: u32 = 8_000_000;

/// An answer that is not what EC2 documents.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Malformed {
    /// No XML.
    #[error("an answer that is no XML: {0}")]
    NotXml(String),
    /// XML of something else.
    #[error("an answer with <{found}> where <{expected}> was due")]
    WrongRoot {
        /// What was due.
        expected: String,
        /// What came.
        found: String,
    },
    /// An element that every object has.
    #[error("<{within}> without <{name}>")]
    Missing {
        /// The object.
        within: String,
        /// The element.
        name: &'static str,
    },
    /// A value of another kind.
    #[error("<{name}> is {text:?}, not {expected}")]
    WrongValue {
        /// The element.
        name: &'static str,
        /// Its text, shortened.
        text: String,
        /// What was due.
        expected: &'static str,
    },
}

/// One element of an answer. Children are found by local name; white space around values is not part
/// of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a>(Node<'a, 'a>);

/// Reads the answer to `action`.
pub(crate) fn read<T>(
    action: &str,
    body: &str,
    read: impl FnOnce(Element<'_>) -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    // EC2 sends no document type; without one there are no entities that could grow.
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: MOST_NODES,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(body, options)
        .map_err(|error| Malformed::NotXml(error.to_string()))?;
    let root = Element(document.root_element());
    let expected = format!("{action}Response");
    if root.name() != expected {
        return Err(Malformed::WrongRoot {
            expected,
            found: shortened(root.name()),
        });
    }
    read(root)
}

impl<'a> Element<'a> {
    /// Local name.
    pub(crate) fn name(self) -> &'a str {
        self.0.tag_name().name()
    }

    fn children(self) -> impl Iterator<Item = Self> {
        self.0.children().filter(Node::is_element).map(Self)
    }

    /// The first child of this name.
    pub(crate) fn child(self, name: &str) -> Option<Self> {
        self.children().find(|child| child.name() == name)
    }

    /// Its own text.
    pub(crate) fn value(self) -> &'a str {
        self.0.text().unwrap_or("").trim()
    }

    /// Text of a child, empty when there is none.
    pub(crate) fn text(self, name: &str) -> String {
        self.optional(name).unwrap_or_default()
    }

    /// Text of a child, if there is one and it is not empty.
    pub(crate) fn optional(self, name: &str) -> Option<String> {
        let text = self.child(name)?.value();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Text of a child that every such object has.
    pub(crate) fn required(self, name: &'static str) -> Result<String, Malformed> {
        self.optional(name).ok_or_else(|| Malformed::Missing {
            within: shortened(self.name()),
            name,
        })
    }

    /// A number.
    pub(crate) fn number<T: FromStr>(self, name: &'static str) -> Result<Option<T>, Malformed> {
        self.parsed(name, "a number", |text| text.parse().ok())
    }

    /// `true` or `false`; absent counts as `false`.
    pub(crate) fn flag(self, name: &'static str) -> Result<bool, Malformed> {
        let flag = self.parsed(name, "true or false", |text| match text {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        })?;
        Ok(flag.unwrap_or_default())
    }

    fn parsed<T>(
        self,
        name: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Malformed> {
        let Some(text) = self
            .child(name)
            .map(Self::value)
            .filter(|text| !text.is_empty())
        else {
            return Ok(None);
        };
        match parse(text) {
            Some(value) => Ok(Some(value)),
            None => Err(Malformed::WrongValue {
                name,
                text: shortened(text),
                expected,
            }),
        }
    }

    /// The `item`s of a list. No list is an empty one: EC2 leaves empty lists out at will.
    pub(crate) fn list<T>(
        self,
        name: &str,
        mut read: impl FnMut(Element<'a>) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let Some(list) = self.child(name) else {
            return Ok(Vec::new());
        };
        list.children()
            .filter(|item| item.name() == "item")
            .map(&mut read)
            .collect()
    }

    /// The texts of a list of texts.
    pub(crate) fn texts(self, name: &str) -> Result<Vec<String>, Malformed> {
        self.list(name, |item| Ok(item.value().to_owned()))
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

/// What an error answer says: code and message. `None` for both when it is no error of AWS, as from a
/// proxy in between.
pub(crate) fn read_error(body: &str) -> (Option<String>, Option<String>) {
    let Ok(document) = Document::parse(body) else {
        return (None, None);
    };
    let error = document
        .descendants()
        .find(|node| node.tag_name().name() == "Error")
        .map(Element);
    match error {
        Some(error) => (error.optional("Code"), error.optional("Message")),
        None => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(body: &str) -> Result<Option<u32>, Malformed> {
        read("DescribeThings", body, |root| root.number("size"))
    }

    #[test]
    fn values_are_read_with_any_namespace_and_white_space() {
        let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DescribeThingsResponse \
                    xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\n <size> 7 </size></DescribeThingsResponse>";
        assert_eq!(size(body), Ok(Some(7)));
    }

    #[test]
    fn a_missing_number_is_none_and_a_wrong_one_is_malformed() {
        let wrap =
            |inner: &str| format!("<DescribeThingsResponse>{inner}</DescribeThingsResponse>");
        assert_eq!(size(&wrap("")), Ok(None));
        assert_eq!(size(&wrap("<size/>")), Ok(None));
        assert!(size(&wrap("<size>many</size>")).is_err());
        assert!(size(&wrap("<size>-1</size>")).is_err());
    }

    #[test]
    fn an_answer_of_another_call_a_page_of_a_proxy_and_entities_are_malformed() {
        assert!(matches!(
            size("<DescribeSubnetsResponse/>"),
            Err(Malformed::WrongRoot { .. })
        ));
        assert!(matches!(
            size("<html><body>Sign in"),
            Err(Malformed::NotXml(_))
        ));
        let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\">]><DescribeThingsResponse>&a;</DescribeThingsResponse>";
        assert!(matches!(size(bomb), Err(Malformed::NotXml(_))));
    }

    #[test]
    fn an_answer_that_is_cut_off_is_malformed() {
        let body = "<DescribeThingsResponse><size>7</si";
        assert!(matches!(size(body), Err(Malformed::NotXml(_))));
    }

    #[test]
    fn errors_are_read_in_the_shape_of_ec2_and_of_the_other_query_apis() {
        let ec2 = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error>\
                   </Errors><RequestID>x</RequestID></Response>";
        let query = "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code></Error></ErrorResponse>";
        assert_eq!(
            read_error(ec2),
            (
                Some("UnauthorizedOperation".to_owned()),
                Some("no".to_owned())
            )
        );
        assert_eq!(read_error(query), (Some("Throttling".to_owned()), None));
        assert_eq!(read_error("<html>502</html>"), (None, None));
        assert_eq!(read_error("Bad Gateway"), (None, None));
    }
}
