//! What the command line says by itself, and against groups and config maps.

use eksnet_model::aws::AutoScalingGroup;
use eksnet_model::{
    ClusterAutoscaler, Confidence, Cx, Deployed, Discovery, Fact, Finding, NamedGroup, Severity,
    Source, Stop, Subject, SubjectKind,
};

use super::{META, words};

/// The ConfigMap of the priority expander; its name is fixed.
const PRIORITIES: &str = "cluster-autoscaler-priority-expander";

pub(super) fn findings(
    cx: &Cx<'_>,
    deployed: &Deployed<'_>,
    flags: &ClusterAutoscaler<'_>,
) -> Result<Vec<Finding>, Stop> {
    let one = Flags {
        cx,
        deployed,
        flags,
    };
    let discovery = flags.discovery();
    let mut findings: Vec<Finding> = Vec::new();
    findings.extend(one.provider());
    findings.extend(one.refused(&discovery));
    findings.extend(one.expanders());
    findings.extend(one.switches());
    findings.extend(one.scale_down_off());
    let map = one.priorities();
    let groups = one.groups(&discovery);
    let unknown = [map.as_ref().err().cloned(), groups.as_ref().err().cloned()];
    findings.extend(map.ok().flatten());
    findings.extend(groups.unwrap_or_default());
    match unknown.into_iter().flatten().next() {
        Some(stop) if findings.is_empty() => Err(stop),
        _ => Ok(findings),
    }
}

struct Flags<'a, 'c> {
    cx: &'a Cx<'c>,
    deployed: &'a Deployed<'a>,
    flags: &'a ClusterAutoscaler<'a>,
}

impl Flags<'_, '_> {
    /// A finding about `flag`, which has the value `saw` and should have `wanted`.
    fn finding(
        &self,
        severity: Severity,
        title: String,
        (flag, saw, wanted): (&str, &str, &str),
    ) -> Finding {
        let (namespace, resource) = (self.deployed.namespace, self.deployed.resource());
        META.finding(severity, title)
            .confidence(Confidence::Confirmed)
            .subject(self.deployed.subject())
            .subject(Subject::new(SubjectKind::Other, format!("{flag}: {saw}")))
            .fact(
                Fact::new(
                    Source::Deployments,
                    self.deployed.subject().to_string(),
                    flag,
                    saw,
                )
                .expected(wanted),
            )
            .at(self.deployed.place())
            .confirm(format!(
                "kubectl -n {namespace} get {resource} -o yaml | grep -e '{flag}'"
            ))
            .fix(format!(
                "kubectl -n {namespace} edit {resource}   # {flag}: {wanted}"
            ))
    }

    fn who(&self) -> String {
        format!("cluster-autoscaler ({})", self.deployed.workload())
    }

    fn provider(&self) -> Option<Finding> {
        let provider = self.flags.value("cloud-provider");
        // A build for AWS alone needs no flag; that it works proves it.
        let has_flags = self
            .deployed
            .running()
            .is_some_and(|running| running.words().any(|word| word.starts_with('-')));
        let severity = Severity::Critical;
        match provider {
            Some("aws") => None,
            Some(other) => Some(self.finding(
                severity,
                format!("{} is started for {other}, not for AWS", self.who()),
                ("--cloud-provider", other, "aws"),
            )),
            None if has_flags && self.deployed.ready() == 0 => Some(
                self.finding(
                    Severity::Error,
                    format!(
                        "{} is started without --cloud-provider=aws: it takes the cloud that it was built for, gce unless built otherwise",
                        self.who()
                    ),
                    ("--cloud-provider", "not set", "aws"),
                )
                .confidence(Confidence::Likely),
            ),
            None => None,
        }
        .map(|finding| finding.signal("provider"))
    }

    fn refused(&self, discovery: &Discovery) -> Vec<Finding> {
        let unordered = discovery.named.iter().filter(|named| named.min > named.max);
        let mut findings: Vec<Finding> = unordered
            .map(|named| {
                let written = format!("{}:{}:{}", named.min, named.max, named.name);
                self.finding(
                    Severity::Critical,
                    format!(
                        "{} exits over --nodes={written}: the minimum is above the maximum",
                        self.who()
                    ),
                    ("--nodes", &written, "MIN:MAX:GROUP with MIN at most MAX"),
                )
                .signal("exits")
            })
            .collect();
        // A group that --nodes names may stand in a variable that is not known.
        if discovery.unresolved.is_empty() {
            findings.extend(discovery.refused.iter().map(|why| {
                let flag = if why.starts_with("--nodes=") {
                    "--nodes"
                } else {
                    "--node-group-auto-discovery"
                };
                self.finding(
                    Severity::Critical,
                    format!("{} exits over a flag: {why}", self.who()),
                    (flag, why, "a value that parses"),
                )
                .signal("exits")
            }));
        }
        findings
    }

    fn expanders(&self) -> Option<Finding> {
        let value = self.flags.value("expander")?;
        let names: Vec<&str> = value.split(',').collect();
        let unknown = names.iter().find(|name| !words::EXPANDERS.contains(name));
        let twice = names
            .iter()
            .enumerate()
            .find(|(at, name)| names[..*at].contains(name));
        let why = match (unknown, twice) {
            (Some(&"price"), _) => "AWS has no prices for --expander=price".to_owned(),
            (Some(name), _) => format!("there is no expander {name}"),
            (None, Some((_, name))) => format!("--expander names {name} twice"),
            (None, None) => return None,
        };
        let wanted = format!("one or more of {}", words::EXPANDERS.join(", "));
        Some(
            self.finding(
                Severity::Critical,
                format!("{} exits: {why}", self.who()),
                ("--expander", value, &wanted),
            )
            .signal("expander"),
        )
    }

    /// `--switch false`: pflag never takes the next word for the value of a switch.
    fn switches(&self) -> Vec<Finding> {
        let Some(running) = self.deployed.running() else {
            return Vec::new();
        };
        let words: Vec<&str> = running.words().collect();
        let pairs = words.windows(2);
        pairs
            .filter_map(|pair| {
                let name = pair[0].strip_prefix("--")?;
                (pair[1] == "false" && words::SWITCHES.contains(&name)).then(|| {
                    let flag = format!("--{name}");
                    self.finding(
                        Severity::Warning,
                        format!("{} reads \"{flag} false\" as {flag}=true", self.who()),
                        (
                            &flag,
                            "on, by the word before \"false\"",
                            "=false, in one word",
                        ),
                    )
                    .signal("bool-word")
                })
            })
            .collect()
    }

    fn scale_down_off(&self) -> Option<Finding> {
        (!self.flags.is_on("scale-down-enabled", true)).then(|| {
            self.finding(
                Severity::Info,
                format!(
                    "{} removes no nodes: --scale-down-enabled=false",
                    self.who()
                ),
                (
                    "--scale-down-enabled",
                    "false",
                    "true, where nodes shall go",
                ),
            )
            .signal("scale-down-off")
        })
    }

    fn priorities(&self) -> Result<Option<Finding>, Stop> {
        let names = self.flags.value("expander").unwrap_or("");
        if !names.split(',').any(|name| name == "priority") {
            return Ok(None);
        }
        let namespace = self
            .flags
            .value("namespace")
            .unwrap_or(self.deployed.namespace);
        let known = self.cx.config_maps().optional().into_iter().flatten();
        let mut maps = known.map(|map| &map.metadata);
        if maps.any(|map| map.name == PRIORITIES && map.namespace == namespace) {
            return Ok(None);
        }
        self.cx.config_maps().all_in(namespace)?;
        Ok(Some(
            self.finding(
                Severity::Warning,
                format!(
                    "{} has --expander=priority, and ConfigMap {namespace}/{PRIORITIES} does not exist",
                    self.who()
                ),
                ("--expander", names, "a ConfigMap with the key priorities beside it"),
            )
            .fix(format!(
                "kubectl -n {namespace} create configmap {PRIORITIES} --from-literal=priorities='10: [\".*\"]'"
            ))
            .signal("priority-map"),
        ))
    }

    fn groups(&self, discovery: &Discovery) -> Result<Vec<Finding>, Stop> {
        if discovery.named.is_empty() {
            return Ok(Vec::new());
        }
        let groups = self.cx.auto_scaling_groups().some()?;
        let mut findings = Vec::new();
        for group in groups {
            let Some(named) = discovery.named(group) else {
                continue;
            };
            findings.extend(self.bounds(named, group));
            let by_tags = discovery
                .alternatives
                .iter()
                .any(|filters| filters.iter().all(|filter| filter.holds(group)));
            if by_tags {
                findings.push(self.named_twice(named));
            }
        }
        Ok(findings)
    }

    fn bounds(&self, named: &NamedGroup, group: &AutoScalingGroup) -> Option<Finding> {
        let below = named.min < group.min_size;
        let above = named.max > group.max_size;
        let what = match (below, above) {
            (false, false) => return None,
            (true, false) => "wants fewer nodes than the group's minimum",
            (false, true) => "wants more nodes than the group's maximum",
            (true, true) => "goes beyond the group's own bounds at both ends",
        };
        let name = &named.name;
        let own = format!("{}:{}", group.min_size, group.max_size);
        let written = format!("{}:{}", named.min, named.max);
        let mut finding = self
            .finding(
                Severity::Error,
                format!(
                    "{} {what}: --nodes={written}:{name}, and Auto Scaling group {name} has {own}",
                    self.who()
                ),
                ("--nodes", &written, &format!("within {own}")),
            )
            .subject(Subject::new(SubjectKind::AutoScalingGroup, name.as_str()))
            .detail("AWS refuses a size outside the group's own bounds: the autoscaler tries, fails and puts the group into backoff.")
            .fact(Fact::new(
                Source::AutoScalingGroups,
                format!("Auto Scaling group {name}"),
                "MinSize:MaxSize",
                own.as_str(),
            ))
            .signal("bounds");
        finding.remedy.confirm.push(
            format!("aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names {name} --query 'AutoScalingGroups[].[MinSize,MaxSize]'").into(),
        );
        Some(finding)
    }

    fn named_twice(&self, named: &NamedGroup) -> Finding {
        let name = &named.name;
        let written = format!("{}:{}:{name}", named.min, named.max);
        self.finding(
            Severity::Warning,
            format!(
                "{} is given Auto Scaling group {name} twice: by --nodes and by its tags",
                self.who()
            ),
            ("--nodes", &written, "the group in one of both"),
        )
        .subject(Subject::new(SubjectKind::AutoScalingGroup, name.as_str()))
        .detail(
            "The bounds in --nodes win over those of the group, also after the group was resized.",
        )
        .signal("named-twice")
    }
}
