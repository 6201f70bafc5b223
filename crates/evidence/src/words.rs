//! Pieces of kubectl's texts: columns, ages, ratios.

use eksnet_model::Component;

/// Columns of a line, which two or more spaces or a tab divide.
pub(crate) fn columns(text: &str) -> Vec<&str> {
    limited_columns(text, usize::MAX)
}

/// At most that many columns; the last one keeps whatever spaces it holds.
pub(crate) fn limited_columns(text: &str, most: usize) -> Vec<&str> {
    let mut columns = Vec::new();
    let mut rest = text.trim();
    while columns.len() + 1 < most {
        let gap = rest
            .char_indices()
            .find(|(at, c)| *c == '\t' || (*c == ' ' && rest[at + 1..].starts_with([' ', '\t'])));
        let Some((at, _)) = gap else { break };
        columns.push(&rest[..at]);
        rest = rest[at..].trim_start();
    }
    if !rest.is_empty() {
        columns.push(rest);
    }
    columns
}

/// Columns of a table's row: as the spaces divide them, or, where an editor made one space of many, word
/// by word. `most` is how many the table has.
pub(crate) fn row(text: &str, most: usize) -> Vec<String> {
    let divided: Vec<String> = limited_columns(text, most)
        .into_iter()
        .map(str::to_owned)
        .collect();
    if divided.len() > 2 || most < 3 {
        return divided;
    }
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        // `19 (4m52s ago)` is one column.
        let goes_on = words
            .last()
            .is_some_and(|last| last.contains('(') && !last.contains(')'));
        match words.last_mut() {
            Some(last) if goes_on || word.starts_with('(') => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    if words.len() > most {
        let last = words.split_off(most - 1).join(" ");
        words.push(last);
    }
    words
}

/// Seconds of an age such as `2m23s`, `4d`, `2y62d`.
pub(crate) fn age(text: &str) -> Option<i64> {
    let mut total = 0_i64;
    let mut number = String::new();
    for character in text.chars() {
        if character.is_ascii_digit() {
            number.push(character);
            continue;
        }
        let unit = match character {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'y' => 31_536_000,
            _ => return None,
        };
        let value: i64 = number.parse().ok()?;
        total = total.checked_add(value.checked_mul(unit)?)?;
        number.clear();
    }
    (!text.is_empty() && number.is_empty()).then_some(total)
}

/// The two numbers of `1/2`.
pub(crate) fn ratio(text: &str) -> Option<(u32, u32)> {
    let (part, whole) = text.split_once('/')?;
    Some((part.parse().ok()?, whole.parse().ok()?))
}

/// The name of a workload in the name of its pod: without what Kubernetes appends, whose letters are no
/// vowels (`k8s.io/apimachinery/pkg/util/rand`; hashes of old have all letters).
pub(crate) fn owner(pod: &str) -> &str {
    match pod.rsplit_once('-') {
        Some((rest, last)) if last.len() == 5 => match rest.rsplit_once('-') {
            Some((name, hash))
                if (8..=10).contains(&hash.len())
                    && hash.bytes().any(|byte| byte.is_ascii_digit())
                    && hash.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
            {
                name
            }
            _ => rest,
        },
        _ => pod,
    }
}

/// The label that EKS gives the pods of a component, which a table does not show.
pub(crate) fn label(owner: &str) -> Option<(&'static str, &'static str)> {
    Some(match owner {
        "coredns" => ("k8s-app", "kube-dns"),
        "aws-node" => ("k8s-app", "aws-node"),
        "kube-proxy" => ("k8s-app", "kube-proxy"),
        "node-local-dns" => ("k8s-app", "node-local-dns"),
        "cluster-autoscaler" => ("app", Component::ClusterAutoscaler.name()),
        "karpenter" => ("app.kubernetes.io/name", Component::Karpenter.name()),
        "aws-load-balancer-controller" => (
            "app.kubernetes.io/name",
            Component::LoadBalancerController.name(),
        ),
        "external-dns" => ("app.kubernetes.io/name", Component::ExternalDns.name()),
        "eks-pod-identity-agent" => ("app.kubernetes.io/name", Component::PodIdentityAgent.name()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_divided_however_they_were_pasted() {
        let pretty =
            "coredns-e0692e06d3-hgrsm                 0/1     OOMKilled   19 (4m52s ago)   117m";
        let flat = "coredns-e0692e06d3-hgrsm 0/1 OOMKilled 19 (4m52s ago) 117m";
        for text in [pretty, flat] {
            assert_eq!(
                row(text, 5),
                [
                    "coredns-e0692e06d3-hgrsm",
                    "0/1",
                    "OOMKilled",
                    "19 (4m52s ago)",
                    "117m"
                ]
            );
        }
        assert_eq!(limited_columns("a   b  c   d e", 3), ["a", "b", "c   d e"]);
    }

    #[test]
    fn ages_are_seconds() {
        assert_eq!(age("2m23s"), Some(143));
        assert_eq!(age("2y62d"), Some(2 * 31_536_000 + 62 * 86_400));
        for none in ["", "5", "<unknown>", "m", "1x"] {
            assert_eq!(age(none), None, "{none}");
        }
    }

    #[test]
    fn the_workload_shows_in_the_name_of_its_pod() {
        assert_eq!(owner("coredns-e0692e06d3-hgrsm"), "coredns");
        assert_eq!(owner("aws-node-7bbjw"), "aws-node");
        assert_eq!(
            owner("cluster-autoscaler-7b6d9c5f4x-x2kq9"),
            "cluster-autoscaler"
        );
        assert_eq!(owner("kube-proxy-abcde"), "kube-proxy");
        assert_eq!(owner("web-0"), "web-0");
    }
}
