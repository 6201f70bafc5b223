//! JSON values as the XML of the query protocols.

use serde_json::Value;

/// Writes the members of an object as elements. Lists become repeated elements
/// named `item` within their own (`<subnetSet><item>..</item></subnetSet>`); null is left out.
pub(super) fn members(out: &mut String, value: &Value, item: &str) {
    for (name, value) in value.as_object().into_iter().flatten() {
        element(out, name, value, item);
    }
}

pub(super) fn element(out: &mut String, name: &str, value: &Value, item: &str) {
    if value.is_null() {
        return;
    }
    out.push('<');
    out.push_str(name);
    out.push('>');
    match value {
        Value::Object(_) => members(out, value, item),
        Value::Array(all) => {
            for each in all {
                element(out, item, each, item);
            }
        }
        Value::String(text) => escape(out, text),
        other => out.push_str(&other.to_string()),
    }
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#xD;"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::members;

    #[test]
    fn objects_lists_and_text_become_elements() {
        let mut out = String::new();
        let value =
            json!({"a": {"b": 1, "c": null}, "set": [{"d": "<&>"}, {"d": true}], "none": []});
        members(&mut out, &value, "item");
        assert_eq!(
            out,
            "<a><b>1</b></a><none></none><set><item><d>&lt;&amp;&gt;</d></item><item><d>true</d></item></set>"
        );
    }
}
