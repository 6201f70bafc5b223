//! Which kubeconfig, context, cluster and user are used.

use std::path::{Path, PathBuf};

use eksnet_model::Text;
use kube::config::{AuthInfo, Cluster, Context, Kubeconfig, KubeconfigError};

use super::error::ConnectError;
use super::options::ConnectOptions;

/// The chosen entries of a kubeconfig.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) context_name: String,
    pub(crate) context: Context,
    pub(crate) cluster_name: String,
    pub(crate) cluster: Cluster,
    pub(crate) user_name: String,
    pub(crate) user: AuthInfo,
}

/// Reads the kubeconfigs and chooses; `None` when there is none to read, as in a pod.
///
/// As kubectl does, files of `KUBECONFIG` that do not exist are passed over, and one that
/// `--kubeconfig` names must exist.
///
/// # Errors
/// A [`ConnectError`] for which [`ConnectError::is_usage`] holds.
pub(crate) fn choose(options: &ConnectOptions) -> Result<Option<Chosen>, ConnectError> {
    let merged = match &options.kubeconfig {
        Some(path) => Some(read(path)?),
        None => {
            let listed = options.environment.kubeconfigs();
            let paths = if listed.is_empty() {
                options
                    .environment
                    .default_kubeconfig()
                    .into_iter()
                    .collect()
            } else {
                listed
            };
            read_existing(&paths)?
        }
    };
    match merged {
        Some(kubeconfig) => select(kubeconfig, options).map(Some),
        None => Ok(None),
    }
}

/// Where kubeconfigs were looked for, for the message that there is none.
pub(crate) fn looked_for(options: &ConnectOptions) -> Text {
    let listed = options.environment.kubeconfigs();
    let shown = |paths: &[PathBuf]| {
        paths
            .iter()
            .map(|path| path.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
            .join(", ")
    };
    if listed.is_empty() {
        match options.environment.default_kubeconfig() {
            Some(path) => format!("{} does not exist", shown(&[path])).into(),
            None => "neither KUBECONFIG nor HOME is set".into(),
        }
    } else {
        format!("KUBECONFIG names {}, which does not exist", shown(&listed)).into()
    }
}

fn read_existing(paths: &[PathBuf]) -> Result<Option<Kubeconfig>, ConnectError> {
    let mut merged: Option<Kubeconfig> = None;
    for path in paths {
        if !path.try_exists().unwrap_or(true) {
            continue;
        }
        let next = read(path)?;
        merged = Some(match merged {
            None => next,
            Some(before) => before
                .merge(next)
                .map_err(|error| unreadable(path, &error))?,
        });
    }
    Ok(merged)
}

fn read(path: &Path) -> Result<Kubeconfig, ConnectError> {
    Kubeconfig::read_from(path).map_err(|error| unreadable(path, &error))
}

/// Says why without quoting the file: it holds credentials.
fn unreadable(path: &Path, error: &KubeconfigError) -> ConnectError {
    let why = match error {
        KubeconfigError::ReadConfig(io, _) => io.to_string(),
        KubeconfigError::Parse(yaml) => match yaml.location() {
            Some(at) => format!(
                "it is no YAML of a kubeconfig (line {}, column {})",
                at.line(),
                at.column()
            ),
            None => "it is no YAML of a kubeconfig".to_owned(),
        },
        other => other.to_string(),
    };
    ConnectError::Kubeconfig {
        path: path.to_owned(),
        why: why.into(),
    }
}

fn select(kubeconfig: Kubeconfig, options: &ConnectOptions) -> Result<Chosen, ConnectError> {
    let contexts = kubeconfig.contexts.iter().map(|named| named.name.as_str());
    let context_name = options
        .context
        .clone()
        .or(kubeconfig.current_context.clone())
        .filter(|name| !name.is_empty());
    let context = match &context_name {
        Some(name) => Some(
            kubeconfig
                .contexts
                .iter()
                .find(|named| named.name == *name)
                .and_then(|named| named.context.clone())
                .ok_or_else(|| unknown("context", name, contexts.clone()))?,
        ),
        // --cluster alone says enough.
        None if options.cluster.is_some() => None,
        None => return Err(ConnectError::NoContext(list(contexts))),
    };
    let context = context.unwrap_or_default();
    let cluster_name = options
        .cluster
        .clone()
        .unwrap_or_else(|| context.cluster.clone());
    let clusters = kubeconfig.clusters.iter().map(|named| named.name.as_str());
    let cluster = kubeconfig
        .clusters
        .iter()
        .find(|named| named.name == cluster_name)
        .and_then(|named| named.cluster.clone())
        .ok_or_else(|| unknown("cluster", &cluster_name, clusters))?;
    let user_name = options
        .user
        .clone()
        .or(context.user.clone())
        .unwrap_or_default();
    let users = kubeconfig
        .auth_infos
        .iter()
        .map(|named| named.name.as_str());
    let user = kubeconfig
        .auth_infos
        .iter()
        .find(|named| named.name == user_name)
        .map(|named| named.auth_info.clone().unwrap_or_default());
    let user = match user {
        Some(user) => user,
        None if user_name.is_empty() => AuthInfo::default(),
        None => return Err(unknown("user", &user_name, users)),
    };
    Ok(Chosen {
        context_name: context_name.unwrap_or_default(),
        context,
        cluster_name,
        cluster,
        user_name,
        user,
    })
}

fn unknown<'a>(
    kind: &'static str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> ConnectError {
    ConnectError::Unknown {
        kind,
        name: name.into(),
        known: list(known),
    }
}

/// The names, some of them where there are many.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> Text {
    const SHOWN: usize = 10;
    let all: Vec<&str> = names.collect();
    if all.is_empty() {
        return "none".into();
    }
    let mut text = all[..all.len().min(SHOWN)].join(", ");
    if all.len() > SHOWN {
        text.push_str(&format!(" and {} more", all.len() - SHOWN));
    }
    text.into()
}
