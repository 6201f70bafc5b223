//! The logs in one text: records put together, told apart by who wrote them, and scanned.

mod head;

use std::collections::BTreeMap;

use eksnet_model::{
    Component, LogScan, Match, Scanner, SignatureSet, Text, Time, is_klog_head, klog_timestamp,
};

use crate::author;
use crate::line::{Line, starts_record};
use crate::prompt;
use crate::stamp::NO_YEAR;

pub(crate) use head::Head;
use head::{Form, continues, is_whole};

/// Most pods whose logs one text may mix.
const MAX_PODS: usize = 512;
/// Longest record that is put together from lines that it was broken into, in bytes.
const MAX_RECORD: usize = 16 * 1024;
/// A stamp that lies this much before the one above it is of the next year, in seconds.
const HALF_A_YEAR_S: i64 = 180 * 86_400;
/// Most samples of one signature, as [`Scanner`] keeps them.
const MAX_SAMPLES: usize = 5;

/// The logs in one text.
pub(crate) struct Logs<'s> {
    set: &'s SignatureSet,
    file: Text,
    /// Pod whose log the file is by its path on a node; empty where the path does not tell.
    pod: PodPath,
    /// Component that the name of the file suggests.
    hint: Option<Component>,
    /// By number of the pod and component.
    open: BTreeMap<(usize, Component), Open<'s>>,
    /// The pods, with what their names say; the first has no name.
    pods: Vec<Pod>,
    numbers: BTreeMap<String, usize>,
    /// A record that was broken over lines and is not whole yet.
    pending: Option<Pending>,
    /// Where a line that continues a record goes.
    newest: Option<(usize, Component)>,
    /// Component whose log the newest command asks for, and whether any of it came.
    asked: Option<(Component, bool)>,
    /// Lines of pods beyond [`MAX_PODS`].
    pub(crate) left_out: u64,
}

/// A pod whose log the text holds.
#[derive(Default)]
struct Pod {
    name: String,
    component: Option<Component>,
    /// Component of its newest record, by form.
    current: [Option<Component>; 6],
}

struct Pending {
    text: String,
    pod: usize,
    host: String,
    at: Option<Time>,
}

impl Pending {
    fn whole(&self) -> Whole<'_> {
        Whole {
            pod: self.pod,
            host: &self.host,
            at: self.at,
            text: &self.text,
            component: None,
        }
    }
}

/// A whole record.
#[derive(Clone, Copy)]
struct Whole<'w> {
    pod: usize,
    host: &'w str,
    at: Option<Time>,
    text: &'w str,
    component: Option<Component>,
}

/// A pod, as the paths of its log files on a node name it.
#[derive(Debug, Default, PartialEq, Eq)]
struct PodPath {
    namespace: String,
    pod: String,
}

impl PodPath {
    /// `pods/NAMESPACE_POD_UID/CONTAINER/0.log` or `containers/POD_NAMESPACE_CONTAINER-ID.log`.
    fn of(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        let found = |namespace: &str, pod: &str| Self {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
        };
        if let [.., folder, _, file] = parts.as_slice()
            && file.contains(".log")
            && let [namespace, pod, uid] = folder.split('_').collect::<Vec<_>>().as_slice()
            && uid.len() >= 32
        {
            return Some(found(namespace, pod));
        }
        let file = parts.last()?.strip_suffix(".log")?;
        match file.split('_').collect::<Vec<_>>().as_slice() {
            [pod, namespace, container] => {
                let id = container.rsplit('-').next()?;
                let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
                is_id.then(|| found(namespace, pod))
            }
            _ => None,
        }
    }
}

struct Open<'s> {
    scanner: Scanner<'s>,
    /// Records in the form of a log.
    records: u64,
    klog: KlogYear,
}

/// The year of klog's stamps, relative to [`NO_YEAR`].
#[derive(Default)]
struct KlogYear {
    newest: Option<Time>,
    turns: i16,
    /// The newest stamp up to its second, with its time.
    second: ([u8; 14], Option<Time>),
}

impl KlogYear {
    fn read(&mut self, text: &str) -> Option<Time> {
        let bytes = text.as_bytes();
        if !is_klog_head(bytes) {
            return None;
        }
        // Lines of one second differ in their microseconds alone.
        if let (stamp, Some(time)) = self.second
            && bytes[1..14] == stamp[1..]
        {
            let micros = bytes[15..21]
                .iter()
                .fold(0_i32, |sum, digit| sum * 10 + i32::from(digit - b'0'));
            let time = jiff::Timestamp::new(time.0.as_second(), micros * 1000)
                .ok()
                .map(Time)?;
            self.newest = Some(time);
            return Some(time);
        }
        let mut time = klog_timestamp(text, NO_YEAR + self.turns)?;
        let goes_back = self
            .newest
            .is_some_and(|newest| newest.seconds_since(time) > HALF_A_YEAR_S);
        if goes_back && self.turns < 7 {
            self.turns += 1;
            time = klog_timestamp(text, NO_YEAR + self.turns)?;
        }
        self.newest = Some(time);
        self.second.0.copy_from_slice(&bytes[..14]);
        self.second.1 = Some(time);
        Some(time)
    }
}

impl<'s> Logs<'s> {
    /// Logs of the text that `file` names.
    pub(crate) fn new(set: &'s SignatureSet, file: Text) -> Self {
        Self {
            set,
            hint: author::of_path(&file),
            pod: PodPath::of(&file).unwrap_or_default(),
            file,
            open: BTreeMap::new(),
            pods: vec![Pod::default()],
            numbers: BTreeMap::new(),
            pending: None,
            newest: None,
            asked: None,
            left_out: 0,
        }
    }

    /// Sees a command: what follows `kubectl logs POD` is that pod's log, until something else begins.
    pub(crate) fn command(&mut self, command: &str) {
        self.asked = prompt::log_of(command)
            .and_then(author::of_name)
            .map(|component| (component, false));
    }

    /// Ends what a command printed.
    pub(crate) fn end_command(&mut self) {
        self.asked = None;
    }

    /// Reads one line; empty ones are no part of any record.
    pub(crate) fn line(&mut self, line: &Line<'_>) {
        if line.text.is_empty() {
            // Between a command and what it prints some leave a line out.
            self.asked = self.asked.filter(|(_, began)| !began);
            return;
        }
        let Some(pod) = self.number(line.pod, line.container) else {
            self.left_out += 1;
            return;
        };
        if let Some(mut pending) = self.pending.take() {
            let goes_on = pending.pod == pod
                && !starts_record(line.text)
                && pending.text.len() + line.text.len() < MAX_RECORD;
            if goes_on {
                pending.text.truncate(pending.text.trim_end().len());
                pending.text.push(' ');
                pending.text.push_str(line.text.trim());
                if is_whole(&pending.text) {
                    self.record(&pending.whole());
                } else {
                    self.pending = Some(pending);
                }
                return;
            }
            self.record(&pending.whole());
        }
        if is_whole(line.text) {
            self.record(&Whole {
                pod,
                host: line.host,
                at: line.at,
                text: line.text,
                component: line.component,
            });
        } else {
            self.pending = Some(Pending {
                text: line.text.to_owned(),
                pod,
                host: line.host.to_owned(),
                at: line.at,
            });
        }
    }

    /// Reads a line that begins a record and was looked at already; `matches` are the signatures that it
    /// matches.
    pub(crate) fn begun(&mut self, line: &Line<'_>, head: &Head, matches: Vec<Match>) {
        if !head.is_whole || self.pending.is_some() {
            self.line(line);
        } else if let Some(pod) = self.number(line.pod, line.container) {
            self.take(pod, line.host, line.text, head, Some(matches));
        } else {
            self.left_out += 1;
        }
    }

    /// Number of the pod, where it is among those that are kept apart.
    fn number(&mut self, pod: &str, container: &str) -> Option<usize> {
        if pod.is_empty() {
            return Some(0);
        }
        if let Some(known) = self.numbers.get(pod) {
            return Some(*known);
        }
        if self.pods.len() > MAX_PODS {
            return None;
        }
        self.pods.push(Pod {
            name: pod.to_owned(),
            component: author::of_name(container).or_else(|| author::of_name(pod)),
            ..Pod::default()
        });
        let number = self.pods.len() - 1;
        self.numbers.insert(pod.to_owned(), number);
        Some(number)
    }

    /// The node-local cache is CoreDNS, and writes the same lines: only a name tells them apart.
    fn cache_or(&self, own: Component, pod: usize) -> Component {
        let cache = Component::NodeLocalDns;
        let named = match self.asked.filter(|_| pod == 0) {
            Some((asked, _)) => Some(asked),
            None if pod == 0 => self.hint,
            None => self.pods[pod].component,
        };
        if own == Component::CoreDns && named == Some(cache) {
            cache
        } else {
            own
        }
    }

    fn record(&mut self, whole: &Whole<'_>) {
        let Whole {
            pod,
            host,
            at,
            text,
            component: known,
        } = *whole;
        if continues(text)
            && let Some(key) = self.newest.filter(|(newest, _)| *newest == pod)
            && let Some(open) = self.open.get_mut(&key)
        {
            open.scanner.line_at(None, text);
            return;
        }
        let line = Line {
            at,
            component: known,
            text,
            ..Line::default()
        };
        self.take(pod, host, text, &Head::of(&line, true), None);
    }

    /// Takes a record that is no continuation.
    fn take(
        &mut self,
        pod: usize,
        host: &str,
        text: &str,
        head: &Head,
        matches: Option<Vec<Match>>,
    ) {
        let own = head.own.map(|own| self.cache_or(own, pod));
        let current = &mut self.pods[pod].current[head.form as usize];
        *current = own.or(*current);
        let mut component = current.unwrap_or_default();
        let is_told = pod > 0 || head.own.is_some();
        if let Some((asked, began)) = self.asked.as_mut().filter(|_| !is_told) {
            (component, *began) = (*asked, true);
        }
        let key = (pod, component);
        self.newest = Some(key);
        let (set, file, own_pod) = (self.set, &self.file, &self.pod);
        let name = self.pods[pod].name.as_str();
        let open = self.open.entry(key).or_insert_with(|| Open {
            scanner: Scanner::new(
                set,
                LogScan {
                    component,
                    namespace: own_pod.namespace.as_str().into(),
                    pod: if name.is_empty() {
                        own_pod.pod.as_str()
                    } else {
                        name
                    }
                    .into(),
                    node: host.into(),
                    file: file.clone(),
                    previous: file.contains("previous"),
                    ..LogScan::default()
                },
                None,
            ),
            records: 0,
            klog: KlogYear::default(),
        });
        let at = match head.form {
            Form::Klog => head.at.or_else(|| open.klog.read(text)),
            _ => head.at,
        };
        open.records += u64::from(head.form != Form::Bare || head.own.is_some());
        match matches {
            Some(matches) => open.scanner.line_with(at, text, matches),
            None => open.scanner.line_at(at, text),
        }
    }

    /// The scans, one per pod and component. A text that holds nothing like a log gives none.
    pub(crate) fn finish(mut self) -> Vec<LogScan> {
        if let Some(pending) = self.pending.take() {
            self.record(&pending.whole());
        }
        /// Number of a pod, and its scans with the records of each.
        type OfPod = (usize, Vec<(LogScan, u64)>);
        let mut by_pod: BTreeMap<&str, OfPod> = BTreeMap::new();
        for ((pod, _), open) in std::mem::take(&mut self.open) {
            let scan = (open.scanner.finish(), open.records);
            let name = self.pods[pod].name.as_str();
            by_pod.entry(name).or_insert((pod, Vec::new())).1.push(scan);
        }
        let mut scans = Vec::new();
        for (pod, (number, mut group)) in by_pod {
            let hint = if pod.is_empty() {
                self.hint
            } else {
                self.pods[number].component
            };
            let unknown = group
                .iter()
                .position(|(scan, _)| scan.component == Component::Unknown)
                .map(|at| group.swap_remove(at));
            match (unknown, group.as_mut_slice()) {
                (Some((mut scan, records)), []) => {
                    scan.component = hint.unwrap_or_default();
                    // A file that is called the log of a component is one, whatever its lines look like,
                    // and so is what kubectl prefixed with a pod.
                    let is_named =
                        !pod.is_empty() || (hint.is_some() && self.file.contains(".log"));
                    if records > 0 || !scan.hits.is_empty() || is_named {
                        scans.push(scan);
                    }
                }
                // What no line tells is taken for the one component that the others name.
                (Some((scan, _)), [(only, _)]) => merge(only, scan, self.set),
                (Some((scan, records)), _) if records > 0 || !scan.hits.is_empty() => {
                    scans.push(scan);
                }
                _ => {}
            }
            scans.extend(group.into_iter().map(|(scan, _)| scan));
        }
        scans
    }
}

/// Adds what `other` holds to `scan`, in the signatures of its component.
fn merge(scan: &mut LogScan, other: LogScan, set: &SignatureSet) {
    scan.lines += other.lines;
    scan.first_at = [scan.first_at, other.first_at].into_iter().flatten().min();
    scan.last_at = scan.last_at.max(other.last_at);
    let is_own = |id: &str| {
        set.iter()
            .any(|signature| signature.id == id && signature.is_of(scan.component))
    };
    for hits in other
        .hits
        .into_iter()
        .filter(|hits| is_own(&hits.signature))
    {
        let Some(known) = scan
            .hits
            .iter_mut()
            .find(|known| known.signature == hits.signature)
        else {
            scan.hits.push(hits);
            continue;
        };
        known.count += hits.count;
        known.first = [known.first, hits.first].into_iter().flatten().min();
        known.last = known.last.max(hits.last);
        known.samples.extend(hits.samples);
        known.samples.sort_by_key(|sample| sample.at);
        known.samples.truncate(MAX_SAMPLES);
        for (field, values) in hits.fields {
            let into = known.fields.entry(field).or_default();
            for (value, count) in values {
                *into.entry(value).or_default() += count;
            }
        }
        for (field, values) in hits.latest {
            let into = known.latest.entry(field).or_default();
            for (value, at) in values {
                let seen = into.entry(value).or_insert(at);
                *seen = (*seen).max(at);
            }
        }
    }
}

#[cfg(test)]
mod tests;
