//! Numbers of kernels, drivers and programs: `ethtool -S`, `conntrack -S`, `nstat`, `sysctl`, Prometheus.

use eksnet_model::observed::{Counter, Vantage};

use super::MAX;

/// The numbers of a text.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) counters: Vec<Counter>,
    /// Program whose numbers follow.
    of: &'static str,
    /// File below /proc/sys that was printed.
    printed: String,
}

impl Counters {
    pub(super) fn command(&mut self, command: &str) {
        self.of = "";
        self.printed.clear();
        let mut words = command
            .split_whitespace()
            .skip_while(|word| *word == "sudo");
        match words.next() {
            Some("ethtool") => self.of = "ethtool",
            Some("nstat" | "netstat") => self.of = "nstat",
            Some("cat") => {
                if let Some(file) = words.find_map(|word| word.strip_prefix("/proc/sys/")) {
                    self.printed = file.replace('/', ".");
                }
            }
            _ => {}
        }
    }

    pub(super) fn line(&mut self, text: &str, from: &Vantage) -> bool {
        if text == "NIC statistics:" {
            self.of = "ethtool";
            return true;
        }
        if !self.printed.is_empty()
            && let Ok(value) = text.parse()
        {
            let name = std::mem::take(&mut self.printed);
            return self.push("sysctl", &name, "", value, from);
        }
        self.driver(text, from)
            || self.conntrack(text, from)
            || self.sysctl(text, from)
            || self.nstat(text, from)
            || self.prometheus(text, from)
    }

    /// `conntrack_allowance_exceeded: 0`.
    fn driver(&mut self, text: &str, from: &Vantage) -> bool {
        let Some((name, value)) = text.split_once(':') else {
            return false;
        };
        let is_name =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let counts = self.of == "ethtool"
            || name.ends_with("_allowance_exceeded")
            || name == "conntrack_allowance_available";
        match value.trim().parse() {
            Ok(value) if is_name && counts => self.push("ethtool", name, "", value, from),
            _ => false,
        }
    }

    /// `cpu=0 found=0 invalid=1 insert_failed=12 drop=12`.
    fn conntrack(&mut self, text: &str, from: &Vantage) -> bool {
        if !text.starts_with("cpu=") || !text.contains("insert_failed=") {
            return false;
        }
        let cpu = text
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned();
        for pair in text.split_whitespace().skip(1) {
            if let Some((name, value)) = pair.split_once('=')
                && let Ok(value) = value.parse()
            {
                self.push("conntrack", name, &cpu, value, from);
            }
        }
        true
    }

    /// `net.ipv4.conf.all.rp_filter = 1`.
    fn sysctl(&mut self, text: &str, from: &Vantage) -> bool {
        let Some((name, value)) = text.split_once('=') else {
            return false;
        };
        let name = name.trim();
        let is_name = ["net.", "kernel.", "fs.", "vm."]
            .iter()
            .any(|start| name.starts_with(start));
        match value.trim().parse() {
            Ok(value) if is_name && !name.contains(' ') => {
                self.push("sysctl", name, "", value, from)
            }
            _ => false,
        }
    }

    /// `TcpRetransSegs   123   0.0`.
    fn nstat(&mut self, text: &str, from: &Vantage) -> bool {
        let mut words = text.split_whitespace();
        let (Some(name), Some(value), third) = (words.next(), words.next(), words.next()) else {
            return false;
        };
        let is_name = ["Ip", "Tcp", "Udp", "Icmp"]
            .iter()
            .any(|start| name.starts_with(start))
            && name.bytes().all(|b| b.is_ascii_alphanumeric());
        match (value.parse(), third) {
            (Ok(value), Some(rate)) if is_name && rate.parse::<f64>().is_ok() => {
                self.push("nstat", name, "", value, from)
            }
            _ => false,
        }
    }

    /// `coredns_dns_responses_total{rcode="SERVFAIL"} 12`. Of histograms the sums and counts are kept.
    fn prometheus(&mut self, text: &str, from: &Vantage) -> bool {
        if text.starts_with("# TYPE ") || text.starts_with("# HELP ") {
            self.of = "prometheus";
            return true;
        }
        let (name, labels, rest) = match text.split_once('{') {
            Some((name, rest)) => match rest.rsplit_once('}') {
                Some((labels, rest)) => (name, labels, rest),
                None => return false,
            },
            None => match text.split_once(' ') {
                Some((name, rest)) if self.of == "prometheus" => (name, "", rest),
                _ => return false,
            },
        };
        let is_name = name.contains('_')
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':');
        let Some(Ok(value)) = rest.split_whitespace().next().map(str::parse) else {
            return false;
        };
        if !is_name || (self.of != "prometheus" && !labels.contains("=\"") && !labels.is_empty()) {
            return false;
        }
        let is_noise = ["go_", "process_", "promhttp_", "rest_client_", "workqueue_"]
            .iter()
            .any(|start| name.starts_with(start))
            || name.ends_with("_bucket");
        if is_noise {
            return true;
        }
        self.push("prometheus", name, labels, value, from)
    }

    fn push(&mut self, of: &str, name: &str, labels: &str, value: f64, from: &Vantage) -> bool {
        if self.counters.len() < MAX {
            self.counters.push(Counter {
                from: from.clone(),
                of: of.into(),
                name: name.into(),
                labels: labels.into(),
                value,
                at: None,
            });
        }
        true
    }
}
