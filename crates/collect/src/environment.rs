//! Environment variables, read once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// The environment variables that connecting depends on. Taken from the process once, so that
/// everything behind it is a function of its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// The variables of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
                .collect(),
        )
    }

    /// The same, with `name` set to `value`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// The value of a variable that is set, is not empty and is text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .and_then(|value| value.to_str())
            .filter(|value| !value.is_empty())
    }

    /// The value of the first of these variables that is set.
    #[must_use]
    pub fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }

    /// The files of `KUBECONFIG`, in order; empty when it is not set.
    #[must_use]
    pub fn kubeconfigs(&self) -> Vec<PathBuf> {
        self.0
            .get("KUBECONFIG")
            .map(|list| std::env::split_paths(list).collect::<Vec<_>>())
            .unwrap_or_default()
            .into_iter()
            .filter(|path| !path.as_os_str().is_empty())
            .collect()
    }

    /// `~/.kube/config`.
    #[must_use]
    pub fn default_kubeconfig(&self) -> Option<PathBuf> {
        Some(PathBuf::from(self.0.get("HOME")?).join(".kube/config"))
    }
}
