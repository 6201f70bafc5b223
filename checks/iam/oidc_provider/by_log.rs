//! What STS says of the provider, in anybody's log.

use eksnet_model::iam::without_scheme;
use eksnet_model::{Confidence, Cx, Finding, Place, Severity, Speaker, Subject, SubjectKind};

use super::{META, make};

/// How far back a refusal counts, in seconds.
const RECENT_S: i64 = 3600;
const UNKNOWN: &str = "sts-no-oidc-provider";
const AUDIENCE: &str = "sts-token-audience";
const THUMBPRINT: &str = "sts-thumbprint";
const UNREACHABLE: &str = "sts-issuer-unreachable";

/// Adds what logs say to what the list says, or makes findings of it alone.
pub(super) fn join(cx: &Cx<'_>, listed: &[Finding]) -> Vec<Finding> {
    let said = Speaker::in_logs(cx, &[UNKNOWN, AUDIENCE, THUMBPRINT, UNREACHABLE], RECENT_S);
    if let [first, rest @ ..] = listed {
        let facts = said.iter().flat_map(|said| said.facts("refused by STS"));
        let first = first.clone().facts(facts);
        let first = if said.is_empty() {
            first
        } else {
            first.signal("from-log")
        };
        return std::iter::once(first).chain(rest.iter().cloned()).collect();
    }
    said.iter().map(|said| alone(cx, said)).collect()
}

fn alone(cx: &Cx<'_>, said: &Speaker<'_>) -> Finding {
    let who = said.caller();
    let issuer = said.values("issuer").into_iter().next().map(without_scheme);
    let named = issuer.unwrap_or("ISSUER_WITHOUT_HTTPS");
    let arn = format!(
        "arn:aws:iam::{}:oidc-provider/{named}",
        cx.cluster().account.as_deref().unwrap_or("ACCOUNT")
    );
    let (title, detail, signal, fix) = if said.has(UNKNOWN) {
        (
            format!("IAM has no OIDC provider for the cluster of {who}"),
            "STS refuses every token of this cluster until its issuer is known to IAM in the account of the role.",
            "missing",
            make(cx, named),
        )
    } else if said.has(AUDIENCE) {
        (
            format!("The OIDC provider does not list the audience of the token of {who}"),
            "STS refuses tokens whose audience is not among the provider's client ids; EKS's are for sts.amazonaws.com.",
            "audience",
            format!(
                "aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn {arn} --client-id sts.amazonaws.com"
            ),
        )
    } else if said.has(THUMBPRINT) {
        (
            format!(
                "The OIDC provider's thumbprint is not that of the certificate that the issuer shows, and {who} is refused"
            ),
            "IAM compares the thumbprint where it does not know the authority behind the issuer's certificate: it is that of another certificate than the one in use, or of the wrong one of its chain.",
            "thumbprint",
            format!(
                "aws iam update-open-id-connect-provider-thumbprint --open-id-connect-provider-arn {arn} --thumbprint-list THUMBPRINT_OF_THE_TOPMOST_CERTIFICATE"
            ),
        )
    } else {
        (
            format!("STS cannot fetch the keys of the issuer that signed the token of {who}"),
            "STS reads the issuer's keys over the internet: the issuer's URL does not answer, or the provider stands for an issuer that is gone.",
            "issuer-unreachable",
            "Compare the issuer with `aws eks describe-cluster --query cluster.identity.oidc.issuer`; an issuer of one's own must answer at /.well-known/openid-configuration to everybody".to_owned(),
        )
    };
    let mut finding = META
        .finding(Severity::Critical, title)
        .confidence(Confidence::Confirmed)
        .detail(detail)
        .subject(Subject::new(
            SubjectKind::Other,
            issuer.unwrap_or("OIDC provider"),
        ))
        .subject(said.subject())
        .facts(said.facts("refused by STS"))
        .signal(signal)
        .signal("from-log")
        .confirm("aws iam list-open-id-connect-providers")
        .confirm(format!(
            "aws eks describe-cluster --name {} --query cluster.identity.oidc.issuer --output text",
            cx.cluster_name()
        ))
        .fix(fix);
    if said.place != Place::default() {
        finding = finding.at(said.place.clone());
    }
    finding
}
