//! The newest time in saved evidence, which stands for "now".

use eksnet_model::Time;
use serde_json::Value;

/// The newest time that a field of `value` says something happened at. Times that lie ahead by their
/// meaning, such as `expirationTimestamp`, do not count.
pub(crate) fn newest(value: &Value) -> Option<Time> {
    match value {
        Value::Array(items) => items.iter().filter_map(newest).max(),
        Value::Object(fields) => fields
            .iter()
            .filter_map(|(key, value)| match value {
                Value::String(text) if says_when(key) => Time::parse(text),
                Value::String(_) => None,
                other => newest(other),
            })
            .max(),
        _ => None,
    }
}

fn says_when(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    !lower.starts_with("expir")
        && ["time", "timestamp", "at"]
            .iter()
            .any(|end| lower.ends_with(end))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_past_time_is_now() {
        let value = json!({"a": [{"renewTime": "2026-11-22T10:07:24.004807Z"}, {"lastHeartbeatTime": "2026-11-22T10:06:32Z"}],
            "expirationTimestamp": "2030-01-01T00:00:00Z", "note": "2031-01-01T00:00:00Z"});
        assert_eq!(newest(&value), Time::parse("2026-11-22T10:07:24.004807Z"));
    }
}
