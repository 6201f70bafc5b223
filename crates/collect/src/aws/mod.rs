//! Evidence from AWS: STS, EKS, EC2, Auto Scaling and IAM.
//!
//! [`AwsSession::connect`] finds credentials and a region, [`AwsSession::fetch`] reads the wanted
//! sources at the same time, [`AwsSession::simulate`] asks IAM what the components' roles may do.
//! Nothing fails as a whole: what was refused, throttled or came too late is a gap of its source.
//!
//! Before anything is mixed with what Kubernetes said, the identity guard compares the context's CA
//! with the cluster's: see [`Identity`].

mod calls;
mod eks;
mod failure;
mod fetch;
mod http;
mod identity;
mod locate;
mod options;
mod paging;
mod session;

pub use fetch::AwsEvidence;
pub use identity::Identity;
pub use options::AwsOptions;
pub use session::AwsSession;
