//! What the log says of releases: the own one, and what it misses in the API.

use eksnet_model::{
    Component, Confidence, Cx, Fact, Finding, Heard, Severity, Source, Subject, SubjectKind,
};

use super::META;

/// Lines older than this, in seconds, are history; the start may lie long ago.
const WINDOW_S: i64 = 3600;
const LONG_S: i64 = 365 * 86_400;
/// Kinds that only schedulers and autoscalers list.
const OF_SCHEDULERS: [&str; 4] = [
    "CSINode",
    "CSIStorageCapacity",
    "CSIDriver",
    "PodDisruptionBudget",
];

pub(super) struct Lines<'a> {
    starts: Vec<Heard<'a>>,
    gone: Vec<Heard<'a>>,
    prices: Vec<Heard<'a>>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(cx: &'a Cx<'_>) -> Self {
        let of = |signature: &str, seconds: i64| {
            let mut all = Heard::in_logs(cx, &[signature], seconds);
            all.retain(|said| match said.scan.component {
                Component::ClusterAutoscaler => true,
                // Others list kinds of the API, too.
                Component::Unknown => said.values("kind").all(|kind| {
                    let name = kind.rsplit('.').next().unwrap_or(kind);
                    OF_SCHEDULERS.contains(&name)
                }),
                _ => false,
            });
            all
        };
        Self {
            starts: of("ca-version", LONG_S),
            gone: of("ca-api-gone", WINDOW_S),
            prices: of("ca-price-list", WINDOW_S),
        }
    }

    /// Minor release by the line of the newest start.
    pub(super) fn minor(&self) -> Option<u32> {
        let newest = self.starts.iter().max_by_key(|said| said.hits.last)?;
        let version = newest.values("version").last()?;
        match version.split_once('.')? {
            ("1", minor) => minor.parse().ok(),
            _ => Some(0),
        }
    }

    pub(super) fn says_api_gone(&self) -> bool {
        !self.gone.is_empty()
    }

    /// The finding with what the log adds to it.
    pub(super) fn added_to(&self, cx: &Cx<'_>, finding: Finding) -> Finding {
        let mut finding = finding;
        for (lines, signal) in [(&self.gone, "api-gone"), (&self.prices, "price-list")] {
            for said in lines {
                finding = finding.fact(said.fact("lines")).signal(signal);
                finding
                    .at
                    .workloads
                    .extend(said.at(cx.topology()).workloads);
            }
        }
        finding.facts(self.starts.iter().map(|said| said.fact("start")))
    }

    /// What the log says without a Deployment beside it.
    pub(super) fn alone(&self, cx: &Cx<'_>) -> Option<Finding> {
        let kinds: Vec<&str> = self
            .gone
            .iter()
            .flat_map(|said| said.values("kind"))
            .collect();
        let (own, cluster) = (self.minor(), cx.cluster().minor());
        let apart = own.zip(cluster).filter(|(own, cluster)| own != cluster);
        let is_old = own.is_some_and(|own| own < 23);
        let release = own.map_or_else(String::new, |own| format!(" 1.{own}"));
        let (severity, confidence, title) = if let Some(kind) = kinds.first() {
            let title = match apart {
                Some((own, cluster)) => format!(
                    "cluster-autoscaler 1.{own} on Kubernetes 1.{cluster} asks for {kind}, which this API server does not have"
                ),
                None => format!(
                    "cluster-autoscaler{release} asks for {kind}, which this API server does not have: their releases do not fit"
                ),
            };
            (Severity::Error, Confidence::Confirmed, title)
        } else if let Some((own, cluster)) = apart {
            let severity = if own.abs_diff(cluster) >= 2 {
                Severity::Error
            } else {
                Severity::Warning
            };
            let title =
                format!("cluster-autoscaler is of release 1.{own}, and Kubernetes is 1.{cluster}");
            (severity, Confidence::Possible, title)
        } else if self.prices.is_empty() {
            return None;
        } else {
            let title = format!(
                "cluster-autoscaler{release} is of a release before 1.23: it reads instance types from the public price list"
            );
            let confidence = if is_old {
                Confidence::Confirmed
            } else {
                Confidence::Likely
            };
            (Severity::Error, confidence, title)
        };
        let wanted = cluster.map_or_else(|| "1.X".to_owned(), |minor| format!("1.{minor}"));
        let mut finding = META
            .finding(severity, title)
            .detail("It watches the APIs of its own release and carries that release's scheduler. Upstream tests equal minor releases alone.")
            .confidence(confidence)
            .subject(Subject::new(SubjectKind::Other, "cluster-autoscaler"))
            .confirm("kubectl version")
            .confirm("kubectl -n kube-system get deployment/cluster-autoscaler -o jsonpath='{.spec.template.spec.containers[*].image}'")
            .fix(format!(
                "kubectl -n kube-system set image deployment/cluster-autoscaler cluster-autoscaler=registry.k8s.io/autoscaling/cluster-autoscaler:v{wanted}.0   # the newest patch release of the cluster's minor release, with its ClusterRole"
            ));
        if let Some((own, cluster)) = apart {
            finding = finding
                .fact(
                    Fact::new(
                        Source::Logs,
                        "cluster-autoscaler",
                        "release",
                        format!("1.{own}"),
                    )
                    .expected(format!("1.{cluster}")),
                )
                .signal(if own.abs_diff(cluster) >= 2 {
                    "many-minors"
                } else {
                    "one-minor"
                });
        }
        Some(self.added_to(cx, finding))
    }
}
