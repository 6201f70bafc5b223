//! Scaling activities of Auto Scaling groups.

use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::primitives::DateTimeFormat as Format;
use aws_sdk_autoscaling::types as sdk;
use tokio::time::Instant;

use eksnet_model::{Time, aws};

use super::failure::Failure;
use super::paging::{Gathered, side_by_side, within};

/// Calls at the same time.
const AT_ONCE: usize = 4;
/// The newest activities of each group that are read: those of days ago explain nothing.
const NEWEST: i32 = 20;

const DESCRIBE: &str = "autoscaling:DescribeScalingActivities";

/// The newest activities of each of the groups.
pub(crate) async fn fetch_activities(
    client: &Client,
    groups: &[&str],
    deadline: Instant,
) -> Gathered<aws::ScalingActivity> {
    let calls = groups.iter().map(|group| {
        let call = async move {
            let answer = client
                .describe_scaling_activities()
                .auto_scaling_group_name(*group)
                .max_records(NEWEST)
                .send()
                .await;
            let output = answer.map_err(|error| Failure::of_sdk(DESCRIBE, &error))?;
            Ok(output.activities.unwrap_or_default())
        };
        within(deadline, DESCRIBE, call)
    });
    let answers = side_by_side(AT_ONCE, calls).await;
    let mut found = Gathered::default();
    if answers.is_empty() {
        found.add(Ok(Vec::new()));
    }
    for answer in answers {
        found
            .add(answer.map(|activities| activities.into_iter().map(activity).collect::<Vec<_>>()));
    }
    found
}

fn activity(from: sdk::Activity) -> aws::ScalingActivity {
    aws::ScalingActivity {
        activity_id: from.activity_id.unwrap_or_default(),
        auto_scaling_group_name: from.auto_scaling_group_name.unwrap_or_default(),
        description: from.description.unwrap_or_default(),
        cause: from.cause.unwrap_or_default(),
        status_code: from
            .status_code
            .map(|code| code.as_str().to_owned())
            .unwrap_or_default(),
        status_message: from.status_message.unwrap_or_default(),
        start_time: from
            .start_time
            .and_then(|at| Time::parse(&at.fmt(Format::DateTime).ok()?)),
    }
}
