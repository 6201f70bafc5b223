//! Runs the real agent as the process of a pod.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

use crate::api::serve::Api;
use crate::kubelet::run::Exit;
use crate::kubelet::script::first_container;
use crate::state::store::place;

/// Exit code of a container whose program cannot be started.
const CANNOT_START: i64 = 128;

/// Runs `program` with the arguments and the literal environment of the pod's first container,
/// as a kubelet would: `$(VAR)` is expanded, standard output and standard error are the log.
///
/// The container's `terminationMessagePath` and the mount paths of its config maps become paths
/// in a temporary folder; arguments and variables that begin with them are rewritten to it, and
/// the first is also handed over as `EKSNET_TERMINATION_LOG`, because the program's own default
/// `/dev/termination-log` does not exist here.
pub(crate) async fn run(api: &Arc<Api>, pod: &Value, program: &Path) -> Exit {
    match attempt(api, pod, program).await {
        Ok(exit) => exit,
        Err(error) => Exit {
            code: CANNOT_START,
            message: format!("{} did not run: {error}", program.display()),
        },
    }
}

async fn attempt(api: &Arc<Api>, pod: &Value, program: &Path) -> std::io::Result<Exit> {
    let folder = tempfile::tempdir()?;
    let message_file = folder.path().join("termination-log");
    std::fs::write(&message_file, "")?;
    let container = &pod["spec"]["containers"][0];
    let message_path = container["terminationMessagePath"]
        .as_str()
        .unwrap_or("/dev/termination-log");
    let mut moved = vec![(message_path.to_owned(), message_file.display().to_string())];
    mount(api, pod, folder.path(), &mut moved)?;

    let variables: BTreeMap<String, String> = list(&container["env"])
        .filter_map(|entry| {
            let name = entry["name"].as_str()?;
            let value = entry["value"].as_str()?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect();
    let here = |text: &str| relocate(&expand(text, &variables), &moved);
    let mut command = tokio::process::Command::new(program);
    command
        .args(
            // The first word of a command names the program, which is given here.
            list(&container["command"])
                .skip(1)
                .chain(list(&container["args"]))
                .filter_map(Value::as_str)
                .map(here),
        )
        .env_clear()
        .envs(variables.iter().map(|(name, value)| (name, here(value))))
        .env("EKSNET_TERMINATION_LOG", &message_file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (namespace, name) = place(pod);
    let log = |line: &str| {
        api.logs
            .append((&namespace, &name), first_container(pod), line);
    };
    let (_, _, status) = tokio::join!(copy(out, &log), copy(err, &log), child.wait());
    let message = std::fs::read(&message_file).unwrap_or_default();
    Ok(Exit {
        code: status?.code().map_or(137, i64::from),
        message: String::from_utf8_lossy(&message).into_owned(),
    })
}

/// Lines of a stream into the log, as they come.
async fn copy(stream: Option<impl AsyncRead + Unpin>, log: &impl Fn(&str)) {
    let Some(stream) = stream else { return };
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    while let Ok(1..) = stream.read_until(b'\n', &mut line).await {
        log(&String::from_utf8_lossy(&line));
        line.clear();
    }
}

/// Writes the mounted config maps into the folder.
fn mount(
    api: &Api,
    pod: &Value,
    folder: &Path,
    moved: &mut Vec<(String, String)>,
) -> std::io::Result<()> {
    let (namespace, _) = place(pod);
    let key = (String::new(), "configmaps".to_owned());
    for volume in list(&pod["spec"]["volumes"]) {
        let Some(map) = volume["configMap"]["name"].as_str() else {
            continue;
        };
        let Some(map) = api
            .shared
            .read(|store| store.get(&key, &namespace, map).cloned())
        else {
            continue;
        };
        let at = folder.join(volume["name"].as_str().unwrap_or_default());
        std::fs::create_dir_all(&at)?;
        for (file, text) in map["data"].as_object().into_iter().flatten() {
            std::fs::write(at.join(file), text.as_str().unwrap_or_default())?;
        }
        for mounted in list(&pod["spec"]["containers"][0]["volumeMounts"]) {
            if mounted["name"] == volume["name"]
                && let Some(path) = mounted["mountPath"].as_str()
            {
                moved.push((path.to_owned(), at.display().to_string()));
            }
        }
    }
    Ok(())
}

/// Replaces paths of the container, also behind `--flag=` and `@`, by those of the folder.
fn relocate(text: &str, moved: &[(String, String)]) -> String {
    let (lead, path) = match text.split_once('=') {
        Some((flag, path)) if flag.starts_with('-') => (format!("{flag}="), path),
        _ => match text.strip_prefix('@') {
            Some(path) => ("@".to_owned(), path),
            None => (String::new(), text),
        },
    };
    moved
        .iter()
        .find_map(|(from, to)| {
            let rest = path.strip_prefix(from.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("{lead}{to}{rest}"))
        })
        .unwrap_or_else(|| text.to_owned())
}

/// `$(VAR)` by its value where it has one, `$$` by `$`
/// (`k8s.io/kubernetes/third_party/forked/golang/expansion`).
fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|r| r.split_once(')')) {
            match variables.get(name) {
                Some(value) => out.push_str(value),
                None => out.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out + rest
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_expand_as_a_kubelet_does() {
        let variables = BTreeMap::from([("HOME".to_owned(), "/h".to_owned())]);
        assert_eq!(
            expand("a$(HOME)b$$(HOME)$(NO)$x$", &variables),
            "a/hb$(HOME)$(NO)$x$"
        );
    }

    #[test]
    fn mounted_paths_move_also_behind_a_flag_or_an_at_sign() {
        let moved = vec![("/plan".to_owned(), "/t/plan".to_owned())];
        assert_eq!(relocate("--file=/plan/p", &moved), "--file=/t/plan/p");
        assert_eq!(relocate("@/plan/p", &moved), "@/t/plan/p");
        assert_eq!(relocate("/plan", &moved), "/t/plan");
        assert_eq!(relocate("/planet", &moved), "/planet");
    }
}
