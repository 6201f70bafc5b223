//! Lists in pages, as each service hands them out.

use serde_json::{Value, json};

use crate::aws::answer::Answer;
use crate::aws::call::{AwsCall, Protocol};

/// Answers a list call page by page: `field` holds the items on the wire, a page has at most
/// `size` of them or what the caller asks for, and the token of the next page travels as the
/// service does it (`nextToken`, `NextToken`, or `Marker` with `IsTruncated` for IAM).
///
/// ```
/// use eksnet_testkit::{FakeAws, aws_pages};
/// use serde_json::json;
///
/// let aws = FakeAws::start();
/// let subnets = (0..5).map(|n| json!({"subnetId": format!("subnet-{n}")})).collect();
/// aws.on("ec2", "DescribeSubnets", aws_pages("subnetSet", subnets, 2));
/// ```
pub fn aws_pages(
    field: &str,
    items: Vec<Value>,
    size: usize,
) -> impl Fn(&AwsCall) -> Answer + Send + Sync + 'static {
    let field = field.to_owned();
    move |call| page(call, &field, &items, size)
}

/// Names of the parameters for size and token, and of the token in the answer.
fn names(call: &AwsCall) -> (&'static str, &'static str, &'static str) {
    match (call.protocol, call.service.as_str()) {
        (Protocol::Ec2, _) => ("MaxResults", "NextToken", "nextToken"),
        (Protocol::Query, "iam") => ("MaxItems", "Marker", "Marker"),
        (Protocol::Query, _) => ("MaxRecords", "NextToken", "NextToken"),
        (Protocol::RestJson, _) => ("maxResults", "nextToken", "nextToken"),
        (Protocol::Json, _) => ("MaxResults", "NextToken", "NextToken"),
    }
}

fn page(call: &AwsCall, field: &str, items: &[Value], size: usize) -> Answer {
    let (size_name, token_name, next_name) = names(call);
    // JSON bodies carry what forms and queries carry as parameters.
    let given = |name: &str| {
        call.param(name)
            .map(str::to_owned)
            .or_else(|| match &call.body[name] {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            })
    };
    let asked = given(size_name).and_then(|text| text.parse::<usize>().ok());
    let size = asked.map_or(size, |asked| asked.min(size)).max(1);
    let from = match given(token_name).filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => match token.strip_prefix("from-").and_then(|at| at.parse().ok()) {
            Some(at) if at <= items.len() => at,
            _ => {
                return Answer::error(400, "InvalidNextToken", "The token is not valid.");
            }
        },
    };
    let to = items.len().min(from + size);
    let mut fields = json!({field: items[from..to]});
    if to < items.len() {
        fields[next_name] = json!(format!("from-{to}"));
    }
    if call.service == "iam" {
        fields["IsTruncated"] = json!(to < items.len());
    }
    Answer::Fields(fields)
}
