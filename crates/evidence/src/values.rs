//! Values of Helm charts: service accounts with their role, and flags.

use eksnet_model::{Component, kept_annotation};
use serde_json::{Map, Value};

use crate::config::{Config, meta};
use crate::shown::Shown;

/// Deepest nesting that is looked into.
const MAX_DEPTH: usize = 12;

/// Reads values; whether anything in them was understood. `component` is the one that the file's name
/// suggests.
pub(crate) fn read(
    values: &Map<String, Value>,
    component: Option<Component>,
    file: &str,
    shown: &mut Shown,
) -> bool {
    let mut config = Config::default();
    let accounts = look(values, component, 0, &mut config, shown);
    config.finish(file, shown) | accounts
}

fn look(
    values: &Map<String, Value>,
    component: Option<Component>,
    depth: usize,
    config: &mut Config,
    shown: &mut Shown,
) -> bool {
    let mut any = false;
    for (key, value) in values {
        match (key.as_str(), value) {
            ("serviceAccount", Value::Object(account)) => {
                any |= service_account(account, component, shown);
            }
            // Charts write flags as a map, a value of `true` or `""` for those that have none.
            ("extraArgs", Value::Object(flags)) => {
                for (name, value) in flags {
                    config.line(&match value {
                        Value::String(text) if text.is_empty() => format!("--{name}"),
                        Value::String(text) => format!("--{name}={text}"),
                        other => format!("--{name}={other}"),
                    });
                }
            }
            ("args" | "command" | "extraArgs", Value::Array(words)) => {
                for word in words.iter().filter_map(Value::as_str) {
                    config.line(word);
                }
            }
            ("env", Value::Object(variables)) => {
                for (name, value) in variables {
                    let text = value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned);
                    config.line(&format!("{name}={text}"));
                }
            }
            (_, Value::Object(inner)) if depth < MAX_DEPTH => {
                any |= look(inner, component, depth + 1, config, shown);
            }
            _ => {}
        }
    }
    any
}

fn service_account(
    account: &Map<String, Value>,
    component: Option<Component>,
    shown: &mut Shown,
) -> bool {
    let name = account.get("name").and_then(Value::as_str);
    let Some(name) = name.or(component.map(Component::name)) else {
        return false;
    };
    let Some(Value::Object(annotations)) = account.get("annotations") else {
        return false;
    };
    let mut object = eksnet_model::kubernetes::ServiceAccount {
        metadata: meta(name),
    };
    for (key, value) in annotations {
        if let Some(value) = value.as_str().filter(|_| kept_annotation(key)) {
            object
                .metadata
                .annotations
                .insert(key.clone(), value.to_owned());
        }
    }
    shown.serviceaccounts.push(object);
    true
}
