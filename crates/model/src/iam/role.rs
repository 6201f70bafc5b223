//! Roles, policies and identity providers, with the keys of the AWS CLI's JSON.

use serde::{Deserialize, Serialize};

use super::PolicyDocument;
use crate::aws::null_is_default;

/// A role. `get-role` gives its trust policy, `list-attached-role-policies` what is attached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Role {
    /// Name; empty where only its trust policy is known.
    #[serde(deserialize_with = "null_is_default")]
    pub role_name: String,
    /// ARN.
    #[serde(deserialize_with = "null_is_default")]
    pub arn: String,
    /// Trust policy; `None` where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assume_role_policy_document: Option<PolicyDocument>,
    /// Managed policies; `None` where they are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attached_policies: Option<Vec<AttachedPolicy>>,
    /// Names of its inline policies; `None` where they are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_names: Option<Vec<String>>,
}

/// A managed policy that is attached to a role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AttachedPolicy {
    /// Name.
    #[serde(deserialize_with = "null_is_default")]
    pub policy_name: String,
    /// ARN.
    #[serde(deserialize_with = "null_is_default")]
    pub policy_arn: String,
}

/// A permissions policy that was read: inline, a version of a managed one, or a document without name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Policy {
    /// Role that it is inline in; empty where not known.
    #[serde(deserialize_with = "null_is_default")]
    pub role_name: String,
    /// Name, or the file that it was read from.
    #[serde(deserialize_with = "null_is_default")]
    pub policy_name: String,
    /// The document.
    pub policy_document: PolicyDocument,
}

/// An instance profile, with its role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct InstanceProfile {
    /// Name.
    #[serde(deserialize_with = "null_is_default")]
    pub instance_profile_name: String,
    /// ARN.
    #[serde(deserialize_with = "null_is_default")]
    pub arn: String,
    /// Roles; there is one at most.
    #[serde(deserialize_with = "null_is_default")]
    pub roles: Vec<Role>,
}

/// An OIDC identity provider of IAM.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct OidcProvider {
    /// ARN; empty in what `get-open-id-connect-provider` prints.
    #[serde(deserialize_with = "null_is_default")]
    pub arn: String,
    /// Issuer without scheme; empty in a list.
    #[serde(deserialize_with = "null_is_default")]
    pub url: String,
    /// Audiences; `None` in a list, which does not show them.
    #[serde(rename = "ClientIDList", skip_serializing_if = "Option::is_none")]
    pub client_id_list: Option<Vec<String>>,
    /// Thumbprints of the issuer's certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbprint_list: Option<Vec<String>>,
}

/// What the payload of a service account's token says of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenClaims {
    /// Issuer, a URL.
    #[serde(deserialize_with = "null_is_default")]
    pub iss: String,
    /// Subject, such as `system:serviceaccount:kube-system:aws-node`.
    #[serde(deserialize_with = "null_is_default")]
    pub sub: String,
    /// Audiences.
    #[serde(deserialize_with = "one_or_many")]
    pub aud: Vec<String>,
}

impl Role {
    /// Its name: its own, or that in its ARN.
    #[must_use]
    pub fn name(&self) -> &str {
        match self.role_name.as_str() {
            "" => name_of_arn(&self.arn),
            name => name,
        }
    }
}

impl OidcProvider {
    /// Issuer without scheme: host and path.
    #[must_use]
    pub fn issuer(&self) -> &str {
        match self.url.as_str() {
            "" => issuer_of_arn(&self.arn).unwrap_or_default(),
            url => without_scheme(url),
        }
    }
}

impl TokenClaims {
    /// Namespace and name of the service account.
    #[must_use]
    pub fn service_account(&self) -> Option<(&str, &str)> {
        self.sub
            .strip_prefix("system:serviceaccount:")?
            .split_once(':')
    }
}

/// The part of a role's ARN that is its name: behind the last slash, as paths are not part of it.
#[must_use]
pub fn name_of_arn(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// Account of an ARN; `None` where it has none, or none of twelve digits.
#[must_use]
pub fn account_of_arn(arn: &str) -> Option<&str> {
    let account = arn.split(':').nth(4)?;
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    is_account.then_some(account)
}

/// Issuer in the ARN of an OIDC provider: what stands behind `oidc-provider/`.
#[must_use]
pub fn issuer_of_arn(arn: &str) -> Option<&str> {
    arn.split_once(":oidc-provider/").map(|(_, issuer)| issuer)
}

/// An issuer's URL as IAM keeps it: without scheme and closing slash.
#[must_use]
pub fn without_scheme(url: &str) -> &str {
    url.strip_prefix("https://")
        .unwrap_or(url)
        .trim_end_matches('/')
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        One(String),
        Many(Vec<String>),
        None(()),
    }
    Ok(match Written::deserialize(from)? {
        Written::One(one) => vec![one],
        Written::Many(many) => many,
        Written::None(()) => Vec::new(),
    })
}
