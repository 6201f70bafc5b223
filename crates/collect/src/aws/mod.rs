//! Evidence from AWS: STS, EKS, EC2, Auto Scaling and IAM.
//!
//! [`AwsSession::connect`] finds credentials and a region, [`AwsSession::fetch`] reads the wanted
//! sources at the same time, [`AwsSession::simulate`] asks IAM what the components' roles may do.
//! Nothing fails as a whole: what was refused, throttled or came too late is a gap of its source.
//!
//! Before anything is mixed with what Kubernetes said, the identity guard compares the context's CA
//! with the cluster's: see [`Identity`].

mod activities;
mod calls;
mod ec2;
mod eks;
mod failure;
mod fetch;
mod groups;
mod http;
mod identity;
mod locate;
mod options;
mod paging;
mod permissions;
mod reading;
mod roles;
mod roots;
mod session;

pub use fetch::AwsEvidence;
pub use identity::Identity;
pub use options::AwsOptions;
pub use permissions::{
    ContextValue, Question, RoleSource, RoleToSimulate, Roles, roles_to_simulate,
};
pub use roles::HeldByIam;
pub(crate) use roles::SOURCES as READ_LATER;
pub use session::AwsSession;
