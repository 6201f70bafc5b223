//! What is asked of the simulation: actions with the resource and the tags that they meet in real
//! life. Asked for `*`, a policy that names resources or tags would look like a refusal.

use std::collections::{BTreeMap, BTreeSet};

use eksnet_model::iam::Action;
use eksnet_model::{Component, aws};

/// Most groups that the autoscaler's writes are asked for, one for each set of tags.
const MOST_GROUPS: usize = 10;

/// Some actions on one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Actions, such as `ec2:AttachNetworkInterface`.
    pub actions: Vec<String>,
    /// ARN of the resource; `None` asks for all.
    pub resource: Option<String>,
    /// Condition keys and their values.
    pub context: Vec<ContextValue>,
}

/// A condition key and its values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContextValue {
    /// Such as `aws:ResourceTag/k8s.io/cluster-autoscaler/enabled`.
    pub key: String,
    /// Values.
    pub values: Vec<String>,
}

/// Where the cluster is, for ARNs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) partition: &'a str,
    pub(crate) region: &'a str,
    pub(crate) account: &'a str,
    pub(crate) cluster: &'a str,
}

impl Place<'_> {
    fn arn(&self, service: &str, rest: &str) -> String {
        let Self {
            partition,
            region,
            account,
            ..
        } = self;
        format!("arn:{partition}:{service}:{region}:{account}:{rest}")
    }
}

/// What `component` is asked for at minor version `minor`.
pub(crate) fn questions(
    component: Component,
    actions: &[&'static Action],
    place: Place<'_>,
    groups: &[aws::AutoScalingGroup],
) -> Vec<Question> {
    let mut asked: BTreeMap<Option<String>, Vec<String>> = BTreeMap::new();
    let mut on_groups = Vec::new();
    for action in actions {
        match target(component, action, place) {
            Target::Resource(resource) => asked
                .entry(resource)
                .or_default()
                .push(action.name.to_owned()),
            Target::Groups => on_groups.push(action.name.to_owned()),
            Target::Nothing => {}
        }
    }
    let context = context(component, place);
    let mut questions: Vec<Question> = asked
        .into_iter()
        .map(|(resource, actions)| Question {
            actions,
            resource,
            context: context.clone(),
        })
        .collect();
    if !on_groups.is_empty() {
        for group in managed_groups(groups) {
            let mut context = context.clone();
            context.extend(tags_of(group));
            questions.push(Question {
                actions: on_groups.clone(),
                resource: Some(group.auto_scaling_group_arn.clone()),
                context,
            });
        }
    }
    questions
}

enum Target {
    /// An ARN, or all resources.
    Resource(Option<String>),
    /// The Auto Scaling groups of the cluster.
    Groups,
    /// A resource that is not known: the answer would be a guess.
    Nothing,
}

/// The resource that an action meets. Sources: the policies that the components publish (as named in
/// `eksnet_model::iam`) and the service authorization reference, read November 2026.
fn target(component: Component, action: &Action, place: Place<'_>) -> Target {
    let arn = |service, rest: &str| Target::Resource(Some(place.arn(service, rest)));
    let interface = "network-interface/eni-00000000000000000";
    let volume = "volume/vol-00000000000000000";
    match (component, action.name) {
        // The role that is passed is known to Karpenter's node classes alone.
        (_, "iam:PassRole") => Target::Nothing,
        (_, "eks:DescribeCluster") => arn("eks", &format!("cluster/{}", place.cluster)),
        (Component::ClusterAutoscaler, name)
            if action.writes && name.starts_with("autoscaling:") =>
        {
            Target::Groups
        }
        (Component::AwsNode, _) if action.writes => arn("ec2", interface),
        (Component::EbsCsi, _) if action.writes => arn("ec2", volume),
        (Component::LoadBalancerController, "elasticloadbalancing:RegisterTargets") => arn(
            "elasticloadbalancing",
            "targetgroup/eksnet/0000000000000000",
        ),
        (Component::LoadBalancerController, "elasticloadbalancing:AddTags") => arn(
            "elasticloadbalancing",
            "loadbalancer/net/eksnet/0000000000000000",
        ),
        (Component::Karpenter, "ec2:CreateFleet") => {
            arn("ec2", "fleet/fleet-00000000-0000-0000-0000-000000000000")
        }
        (Component::Karpenter, "ec2:CreateLaunchTemplate") => {
            arn("ec2", "launch-template/lt-00000000000000000")
        }
        (Component::Karpenter, _) if action.writes => arn("ec2", "instance/i-00000000000000000"),
        (Component::Karpenter, "ssm:GetParameter") => Target::Resource(Some(format!(
            // Parameters of AWS have no account.
            "arn:{}:ssm:{}::parameter/aws/service/eks/optimized-ami/recommended/image_id",
            place.partition, place.region
        ))),
        _ => Target::Resource(None),
    }
}

/// Condition keys that the component's own policy tests, with the values of real requests.
fn context(component: Component, place: Place<'_>) -> Vec<ContextValue> {
    let cluster = place.cluster;
    let owned = format!("kubernetes.io/cluster/{cluster}");
    let tags: &[(&str, &str)] = match component {
        Component::AwsNode => &[
            ("cluster.k8s.amazonaws.com/name", cluster),
            (&owned, "owned"),
        ],
        Component::EbsCsi => &[("ebs.csi.aws.com/cluster", "true"), (&owned, "owned")],
        Component::LoadBalancerController => &[("elbv2.k8s.aws/cluster", cluster)],
        Component::Karpenter => &[
            (&owned, "owned"),
            ("eks:eks-cluster-name", cluster),
            ("karpenter.sh/nodepool", "default"),
            ("karpenter.k8s.aws/ec2nodeclass", "default"),
        ],
        _ => &[],
    };
    let mut values = vec![value("aws:RequestedRegion", place.region)];
    for (key, tag) in tags {
        for source in ["aws:RequestTag", "aws:ResourceTag", "ec2:ResourceTag"] {
            values.push(value(&format!("{source}/{key}"), tag));
        }
    }
    let created_by = match component {
        Component::AwsNode => Some(("ec2:CreateAction", "CreateNetworkInterface")),
        Component::EbsCsi => Some(("ec2:CreateAction", "CreateVolume")),
        Component::Karpenter => Some(("ec2:CreateAction", "RunInstances")),
        Component::LoadBalancerController => {
            Some(("elasticloadbalancing:CreateAction", "CreateLoadBalancer"))
        }
        _ => None,
    };
    values.extend(created_by.map(|(key, action)| value(key, action)));
    values
}

fn value(key: &str, one: &str) -> ContextValue {
    ContextValue {
        key: key.to_owned(),
        values: vec![one.to_owned()],
    }
}

/// The groups that an autoscaler would change: those with its tags or of managed node groups, one for
/// each set of tags; without any such, all of them.
fn managed_groups(groups: &[aws::AutoScalingGroup]) -> Vec<&aws::AutoScalingGroup> {
    let managed = |group: &&aws::AutoScalingGroup| {
        group
            .tags
            .iter()
            .any(|tag| tag.key.starts_with("k8s.io/cluster-autoscaler/"))
            || group.nodegroup().is_some()
    };
    let mut chosen: Vec<&aws::AutoScalingGroup> = groups.iter().filter(managed).collect();
    if chosen.is_empty() {
        chosen = groups.iter().collect();
    }
    let mut seen = BTreeSet::new();
    chosen.retain(|group| !group.auto_scaling_group_arn.is_empty() && seen.insert(tags_of(group)));
    chosen.truncate(MOST_GROUPS);
    chosen
}

/// The tags of a group as condition keys. Names differ from group to group and decide nothing.
fn tags_of(group: &aws::AutoScalingGroup) -> Vec<ContextValue> {
    let mut values: Vec<ContextValue> = group
        .tags
        .iter()
        .filter(|tag| tag.key != "Name" && tag.key != "eks:nodegroup-name")
        .flat_map(|tag| {
            ["aws:ResourceTag", "autoscaling:ResourceTag"]
                .map(|source| value(&format!("{source}/{}", tag.key), &tag.value))
        })
        .collect();
    values.sort();
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place {
        partition: "aws-cn",
        region: "cn-north-1",
        account: "123456789012",
        cluster: "prod",
    };

    fn ask(component: Component, groups: &[aws::AutoScalingGroup]) -> Vec<Question> {
        let actions: Vec<&'static Action> = component.actions(None).collect();
        questions(component, &actions, PLACE, groups)
    }

    fn group(name: &str, tags: &[(&str, &str)]) -> aws::AutoScalingGroup {
        aws::AutoScalingGroup {
            auto_scaling_group_name: name.to_owned(),
            auto_scaling_group_arn: format!("arn:{name}"),
            tags: tags
                .iter()
                .map(|(key, value)| aws::Tag {
                    key: (*key).to_owned(),
                    value: (*value).to_owned(),
                    propagate_at_launch: None,
                })
                .collect(),
            ..aws::AutoScalingGroup::default()
        }
    }

    fn on<'a>(questions: &'a [Question], action: &str) -> Vec<&'a Question> {
        questions
            .iter()
            .filter(|question| question.actions.iter().any(|asked| asked == action))
            .collect()
    }

    fn has(question: &Question, key: &str, of: &str) -> bool {
        question.context.contains(&value(key, of))
    }

    #[test]
    fn writes_of_the_autoscaler_are_asked_for_each_set_of_tags_of_its_groups() {
        let enabled = ("k8s.io/cluster-autoscaler/enabled", "true");
        let groups = [
            group("a", &[enabled, ("Name", "a")]),
            group("b", &[enabled, ("Name", "b")]),
            group("c", &[enabled, ("team", "x")]),
            group("d", &[("team", "y")]),
        ];
        let questions = ask(Component::ClusterAutoscaler, &groups);
        let writes = on(&questions, "autoscaling:SetDesiredCapacity");
        let resources: Vec<&str> = writes
            .iter()
            .filter_map(|question| question.resource.as_deref())
            .collect();
        assert_eq!(resources, ["arn:a", "arn:c"]);
        let tag = "aws:ResourceTag/k8s.io/cluster-autoscaler/enabled";
        assert!(has(writes[0], tag, "true"));
        let reads = on(&questions, "autoscaling:DescribeAutoScalingGroups");
        assert_eq!(reads.len(), 1);
        assert_eq!(reads[0].resource, None);
    }

    #[test]
    fn without_a_group_the_writes_of_the_autoscaler_are_not_asked() {
        let questions = ask(Component::ClusterAutoscaler, &[]);
        assert!(on(&questions, "autoscaling:SetDesiredCapacity").is_empty());
        assert!(!questions.is_empty());
    }

    #[test]
    fn the_cni_is_asked_for_an_interface_of_its_account() {
        let questions = ask(Component::AwsNode, &[]);
        let tags = on(&questions, "ec2:CreateTags");
        assert_eq!(
            tags[0].resource.as_deref(),
            Some("arn:aws-cn:ec2:cn-north-1:123456789012:network-interface/eni-00000000000000000")
        );
        assert!(has(
            tags[0],
            "aws:RequestTag/cluster.k8s.amazonaws.com/name",
            "prod"
        ));
        assert!(has(tags[0], "aws:RequestedRegion", "cn-north-1"));
    }

    #[test]
    fn what_would_be_a_guess_is_not_asked() {
        let questions = ask(Component::Karpenter, &[]);
        assert!(on(&questions, "iam:PassRole").is_empty());
        let launch = on(&questions, "ec2:RunInstances");
        assert!(has(
            launch[0],
            "aws:RequestTag/kubernetes.io/cluster/prod",
            "owned"
        ));
    }
}
