//! `kubectl eksnet checks`.

use eksnet_model::Check;
use serde_json::{Value, json};

use crate::args::{Checks, ListFormat};
use crate::exit::{Failure, OK};
use crate::output::print;
use crate::selection::select;

pub(crate) fn run(options: &Checks) -> Result<u8, Failure> {
    let checks = select(&options.select)?;
    print(&match options.output {
        ListFormat::Text => table(&checks),
        ListFormat::Json => {
            let entries: Vec<Value> = checks.iter().map(|check| entry(check)).collect();
            format!("{:#}\n", Value::from(entries))
        }
    })?;
    Ok(OK)
}

fn table(checks: &[&Check]) -> String {
    let width = checks
        .iter()
        .map(|check| check.meta.id.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        let severity = format!("{:?}", check.meta.severity).to_lowercase();
        text.push_str(&format!(
            "{:width$}  {severity:8}  {}\n",
            check.meta.id, check.meta.title
        ));
    }
    text
}

/// One entry of `checks -o json`; fields are only added.
pub(crate) fn entry(check: &Check) -> Value {
    let meta = check.meta;
    let all = || meta.needs.iter().chain(meta.helps);
    let rbac: Vec<Value> = all()
        .flat_map(|source| source.permission().rbac)
        .map(|rule| json!({"apiGroups": [rule.group], "resources": [rule.resource], "verbs": rule.verbs}))
        .collect();
    let mut iam: Vec<&str> = all()
        .flat_map(|source| source.permission().iam)
        .copied()
        .collect();
    iam.sort_unstable();
    iam.dedup();
    json!({
        "id": meta.id,
        "title": meta.title,
        "family": meta.family(),
        "severity": meta.severity,
        "role": meta.role,
        "needs": meta.needs,
        "helps": meta.helps,
        "permissions": {"rbac": rbac, "iam": iam},
    })
}
