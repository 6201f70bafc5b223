//! Findings that a line of a log or an Event makes by itself: a table of what each signature proves.

use std::collections::BTreeMap;

use eksnet_model::{
    Confidence, Cx, Finding, Meta, Place, Severity, SignatureSet, Subject, SubjectKind, Text, Told,
    told,
};

/// Lines and Events older than this, in seconds, are history.
const RECENT_S: i64 = 3600;
/// Most lines that stand as proof in one finding.
const MAX_FACTS: usize = 4;

/// Characters of an Event's message by which a quotation of it is known.
const QUOTED: usize = 40;

/// What a signature proves. `{field}` in a text is a captured field, in capitals where nothing was
/// captured; `{who}`, `{place}`, `{cluster}` and `{region}` are always there.
pub(crate) struct Say {
    pub(crate) signatures: &'static [&'static str],
    pub(crate) title: &'static str,
    pub(crate) detail: &'static str,
    pub(crate) severity: Severity,
    pub(crate) confidence: Confidence,
    pub(crate) signal: &'static str,
    pub(crate) confirm: &'static str,
    pub(crate) fix: &'static str,
}

/// The findings of a table. Of several signatures that were met for one subject, the first in the table
/// decides, and the others stand as proof. `noun` is the subject where nothing names it.
pub(crate) fn findings(
    cx: &Cx<'_>,
    meta: &Meta,
    set: &SignatureSet,
    noun: &str,
    table: &[Say],
    counts: impl Fn(&Told<'_>) -> bool,
) -> Vec<Finding> {
    let mut subjects: BTreeMap<String, Vec<Told<'_>>> = BTreeMap::new();
    let all = told(cx, meta.id, set, RECENT_S);
    let events: Vec<&Told<'_>> = all.iter().filter(|one| one.scan.is_none()).collect();
    let repeated: Vec<bool> = all.iter().map(|one| quotes_event(one, &events)).collect();
    for (one, repeated) in all.iter().zip(repeated) {
        if !repeated && counts(one) {
            let one = one.clone();
            subjects.entry(key(&one)).or_default().push(one);
        }
    }
    let mut found = Vec::new();
    for lines in subjects.values() {
        let decides = table.iter().find_map(|say| {
            let of = |one: &&Told<'_>| say.signatures.contains(&one.signature());
            lines.iter().find(of).map(|one| (say, one))
        });
        if let Some((say, first)) = decides {
            found.push(finding(cx, meta, noun, say, first, lines));
        }
    }
    found
}

/// Whether a text shows an Event that was read as an Event, too: `kubectl describe` in a file with log lines.
fn quotes_event(told: &Told<'_>, events: &[&Told<'_>]) -> bool {
    told.scan.is_some()
        && events.iter().any(|event| {
            let message = event
                .line()
                .split_once(": ")
                .map_or("", |(_, message)| message);
            let start: String = message.chars().take(QUOTED).collect();
            event.signature() == told.signature()
                && !start.is_empty()
                && told.line().contains(start.trim_end())
        })
}

fn finding(
    cx: &Cx<'_>,
    meta: &Meta,
    noun: &str,
    say: &Say,
    first: &Told<'_>,
    lines: &[Told<'_>],
) -> Finding {
    let text = |template: &str| fill(cx, template, noun, first);
    let decided = std::iter::once(first);
    let others = lines
        .iter()
        .filter(|one| !(one.signature() == first.signature() && one.place == first.place));
    let finding = meta
        .finding(say.severity, text(say.title))
        .confidence(say.confidence)
        .detail(text(say.detail))
        .subject(subject(first))
        .facts(decided.chain(others).take(MAX_FACTS).map(Told::fact))
        .signal(say.signal)
        .confirm(text(say.confirm))
        .fix(text(say.fix));
    match &first.node {
        Some(node) => {
            let place = Place::nodes([node.clone()]);
            finding.at(place.clone()).reaches(place)
        }
        None => finding,
    }
}

/// What a line is about: the Event's object, the node, else the log in which it stands.
fn key(told: &Told<'_>) -> String {
    match (&told.object, &told.node) {
        (None, Some(node)) => format!("Node {node}"),
        _ => told.place.to_string(),
    }
}

fn subject(told: &Told<'_>) -> Subject {
    match told.object.filter(|object| !object.name.is_empty()) {
        Some(object) if object.kind == "Service" => {
            Subject::namespaced(SubjectKind::Service, &object.namespace, &object.name)
        }
        Some(object) if object.kind == "Node" => Subject::node(&object.name),
        Some(object) if object.kind == "Pod" => Subject::pod(&object.namespace, &object.name),
        Some(_) => Subject::new(SubjectKind::Other, told.place.clone()),
        None => told.subject(),
    }
}

fn fill(cx: &Cx<'_>, template: &str, noun: &str, told: &Told<'_>) -> Text {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let Some((field, after)) = after.split_once('}') else {
            text.push('{');
            rest = after;
            continue;
        };
        let is_field = !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_lowercase());
        if is_field {
            text.push_str(&value(cx, field, noun, told));
            rest = after;
        } else {
            // Braces of a command, such as a jsonpath.
            text.push('{');
            text.push_str(field);
            text.push('}');
            rest = after;
        }
    }
    text.push_str(rest);
    text.into()
}

fn value(cx: &Cx<'_>, field: &str, noun: &str, told: &Told<'_>) -> String {
    if let Some(value) = told.value(field) {
        return value.trim_matches(['"', '\'', '\\']).to_owned();
    }
    match field {
        "who" => match (
            told.object.filter(|object| !object.name.is_empty()),
            &told.node,
        ) {
            (Some(_), _) => told.place.to_string(),
            (None, Some(node)) => format!("Node {node}"),
            (None, None) => noun.to_owned(),
        },
        "node" => told
            .node
            .as_ref()
            .map_or_else(|| "NODE".to_owned(), ToString::to_string),
        "cluster" => cx.cluster_name().to_owned(),
        "region" => cx
            .cluster()
            .region
            .as_ref()
            .map_or_else(|| "REGION".to_owned(), ToString::to_string),
        "namespace" | "name" => told
            .object
            .map(|object| match field {
                "name" => object.name.clone(),
                _ => object.namespace.clone(),
            })
            .filter(|value| !value.is_empty())
            .unwrap_or_else(|| field.to_ascii_uppercase()),
        "place" => told.place.to_string(),
        _ => field.to_ascii_uppercase(),
    }
}
