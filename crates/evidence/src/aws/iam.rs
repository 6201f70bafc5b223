//! What `aws iam` prints, policy documents on their own, and payloads of tokens.

use std::collections::BTreeMap;

use eksnet_model::iam::{
    AttachedPolicy, InstanceProfile, OidcProvider, Policy, PolicyDocument, Role, TokenClaims,
};
use eksnet_model::{Aws, Source};
use serde_json::{Map, Value};

use super::partial;

/// Everything of IAM that was found.
#[derive(Default)]
pub(crate) struct IamObjects {
    /// By name; those of which only the trust policy is known by their number.
    roles: BTreeMap<String, Role>,
    policies: Vec<Policy>,
    /// By issuer.
    providers: BTreeMap<String, OidcProvider>,
    /// Whether all providers of the account were listed.
    providers_listed: bool,
    profiles: Vec<InstanceProfile>,
    claims: Vec<TokenClaims>,
    /// Role that the newest command names: some answers do not say whose they are.
    asked: Option<String>,
}

impl IamObjects {
    /// Whether a key is one of an answer of IAM.
    pub(crate) fn is_key(key: &str) -> bool {
        matches!(
            key,
            "Role"
                | "Roles"
                | "AttachedPolicies"
                | "PolicyNames"
                | "PolicyDocument"
                | "PolicyVersion"
                | "AssumeRolePolicyDocument"
                | "OpenIDConnectProviderList"
                | "InstanceProfile"
                | "InstanceProfiles"
                | "Statement"
        )
    }

    /// Takes the role that a command names: `--role-name NAME`.
    pub(crate) fn command(&mut self, command: &str) {
        let mut words = command.split([' ', '=']).filter(|word| !word.is_empty());
        self.asked = words
            .any(|word| word == "--role-name")
            .then(|| words.next())
            .flatten()
            .map(|name| name.trim_matches(['"', '\'']).to_owned());
    }

    /// Ends a text: its commands say nothing of the next.
    pub(crate) fn end_text(&mut self) {
        self.asked = None;
    }

    /// Reads a document; `None` when it is none of IAM.
    pub(crate) fn document(&mut self, fields: &mut Map<String, Value>, file: &str) -> Option<bool> {
        for (key, many) in [("Role", false), ("Roles", true)] {
            match fields.get(key) {
                Some(Value::Object(_)) if !many => {}
                Some(Value::Array(roles))
                    if many && roles.iter().any(|role| role.get("RoleName").is_some()) => {}
                _ => continue,
            }
            let value = fields.remove(key)?;
            let roles = match value {
                Value::Array(many) => many,
                one => vec![one],
            };
            return Some(
                roles
                    .into_iter()
                    .fold(false, |any, role| self.role(role) | any),
            );
        }
        let has = |key: &str| fields.contains_key(key);
        if has("RoleName") && (has("AssumeRolePolicyDocument") || has("Arn")) {
            return Some(self.role(Value::Object(std::mem::take(fields))));
        }
        if let Some(trust) = fields.remove("AssumeRolePolicyDocument") {
            return Some(self.trust(&trust));
        }
        if let Some(Value::Array(attached)) = fields.remove("AttachedPolicies") {
            return Some(self.attached(attached, file));
        }
        if fields.contains_key("PolicyDocument") {
            let read = serde_json::from_value::<Policy>(Value::Object(std::mem::take(fields)));
            return Some(read.is_ok_and(|policy| self.policy(policy)));
        }
        if let Some(Value::Object(mut version)) = fields.remove("PolicyVersion") {
            let document = version.remove("Document")?;
            return Some(self.bare(&document, file));
        }
        if let Some(Value::Array(names)) = fields.remove("PolicyNames") {
            let names = names.iter().filter_map(Value::as_str).map(str::to_owned);
            let names: Vec<String> = names.collect();
            let role = self.asked(file)?;
            role.policy_names = Some(names);
            return Some(true);
        }
        if let Some(Value::Array(list)) = fields.remove("OpenIDConnectProviderList") {
            self.providers_listed = true;
            for one in list {
                self.provider(one);
            }
            return Some(true);
        }
        if fields.contains_key("ClientIDList") && fields.contains_key("Url") {
            return Some(self.provider(Value::Object(std::mem::take(fields))));
        }
        for key in ["InstanceProfile", "InstanceProfiles"] {
            let profiles = match fields.remove(key) {
                Some(Value::Array(many)) => many,
                Some(one @ Value::Object(_)) => vec![one],
                _ => continue,
            };
            let read = profiles.into_iter().map(serde_json::from_value);
            self.profiles.extend(read.filter_map(Result::ok));
            return Some(true);
        }
        if fields.contains_key("Statement") {
            return Some(self.bare(&Value::Object(std::mem::take(fields)), file));
        }
        let is_token = |text: &Value| {
            text.as_str()
                .is_some_and(|text| text.starts_with("system:serviceaccount:"))
        };
        if fields.contains_key("iss") && fields.get("sub").is_some_and(is_token) {
            let claims = serde_json::from_value(Value::Object(std::mem::take(fields)));
            return Some(claims.map(|claims| self.claims.push(claims)).is_ok());
        }
        None
    }

    fn role(&mut self, value: Value) -> bool {
        let Ok(role) = serde_json::from_value::<Role>(value) else {
            return false;
        };
        let known = self.roles.entry(role.name().to_owned()).or_default();
        if known.arn.is_empty() {
            known.arn.clone_from(&role.arn);
        }
        known.role_name = role.name().to_owned();
        let trust = role.assume_role_policy_document;
        known.assume_role_policy_document = trust.or(known.assume_role_policy_document.take());
        true
    }

    /// The role that the newest command, or the name of the file, names.
    fn asked(&mut self, file: &str) -> Option<&mut Role> {
        let stem = file.rsplit('/').next().unwrap_or(file);
        let by_file = stem.split_once("list-attached-role-policies-");
        let name = self
            .asked
            .clone()
            .or_else(|| Some(by_file?.1.split('.').next()?.to_owned()))
            .or_else(|| match self.roles.len() {
                1 => self.roles.keys().next().cloned(),
                _ => None,
            })
            .unwrap_or_default();
        let role = self.roles.entry(name.clone()).or_default();
        role.role_name = name;
        Some(role)
    }

    fn attached(&mut self, attached: Vec<Value>, file: &str) -> bool {
        let read = attached.into_iter().map(serde_json::from_value);
        let policies: Vec<AttachedPolicy> = read.filter_map(Result::ok).collect();
        let Some(role) = self.asked(file) else {
            return false;
        };
        role.attached_policies = Some(policies);
        true
    }

    fn policy(&mut self, policy: Policy) -> bool {
        if policy.policy_document.is_trust() {
            return self.keep_trust(policy.policy_document);
        }
        self.policies.push(policy);
        true
    }

    /// A document without the answer around it.
    fn bare(&mut self, document: &Value, file: &str) -> bool {
        let Ok(document) = PolicyDocument::parse(document) else {
            return false;
        };
        if document.is_trust() {
            return self.keep_trust(document);
        }
        self.policies.push(Policy {
            role_name: self.asked.clone().unwrap_or_default(),
            policy_name: file.to_owned(),
            policy_document: document,
        });
        true
    }

    fn trust(&mut self, document: &Value) -> bool {
        PolicyDocument::parse(document).is_ok_and(|document| self.keep_trust(document))
    }

    fn keep_trust(&mut self, document: PolicyDocument) -> bool {
        let name = self.asked.clone().unwrap_or_default();
        let key = if name.is_empty() {
            format!("#{}", self.roles.len())
        } else {
            name.clone()
        };
        let role = self.roles.entry(key).or_default();
        role.role_name = name;
        role.assume_role_policy_document = Some(document);
        true
    }

    fn provider(&mut self, value: Value) -> bool {
        let Ok(provider) = serde_json::from_value::<OidcProvider>(value) else {
            return false;
        };
        let issuer = provider.issuer().to_owned();
        let known = self.providers.entry(issuer).or_default();
        if known.arn.is_empty() {
            known.arn = provider.arn;
        }
        if known.url.is_empty() {
            known.url = provider.url;
        }
        known.client_id_list = provider.client_id_list.or(known.client_id_list.take());
        known.thumbprint_list = provider.thumbprint_list.or(known.thumbprint_list.take());
        true
    }

    /// Sorts everything into its source.
    pub(crate) fn finish(self, found: &mut Aws) {
        if !self.roles.is_empty() {
            found.roles = partial(self.roles.into_values().collect(), Source::Roles);
        }
        if !self.policies.is_empty() {
            found.policies = partial(self.policies, Source::Policies);
        }
        let providers: Vec<OidcProvider> = self.providers.into_values().collect();
        if self.providers_listed {
            found.oidc_providers = eksnet_model::Evidence::Present(providers);
        } else if !providers.is_empty() {
            found.oidc_providers = partial(providers, Source::OidcProviders);
        }
        if !self.profiles.is_empty() {
            found.instance_profiles = partial(self.profiles, Source::InstanceProfiles);
        }
        if !self.claims.is_empty() {
            found.token_claims = partial(self.claims, Source::TokenClaims);
        }
    }
}
