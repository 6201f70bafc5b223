//! A log as the programs of a cluster write it when all of their logs end in one file: deterministic, of any
//! length, a line in fifty one that a signature knows.

use std::fmt::Write as _;

use eksnet_model::SignatureSet;

/// One line in so many is the sample of a signature.
const ONE_IN: u64 = 50;

/// Writes the log piece by piece.
pub(crate) struct Mixed {
    samples: Vec<String>,
    state: u64,
    lines: u64,
}

impl Mixed {
    /// A log with samples of these signatures.
    pub(crate) fn new(signatures: &SignatureSet) -> Self {
        Self {
            samples: signatures
                .iter()
                .map(|signature| signature.sample.replace(['\n', '\r'], " "))
                .collect(),
            state: 0x9e37_79b9_7f4a_7c15,
            lines: 0,
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        // xorshift64
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % below
    }

    /// Appends one line.
    pub(crate) fn line(&mut self, into: &mut String) {
        self.lines += 1;
        let second = self.lines / 40;
        let (h, m, s) = (second / 3600 % 24, second / 60 % 60, second % 60);
        let us = self.random(1_000_000);
        let (a, b, c) = (self.random(250), self.random(250), self.random(10_000));
        if self.random(ONE_IN) == 0 && !self.samples.is_empty() {
            let which = self.random(self.samples.len() as u64);
            into.push_str(&self.samples[usize::try_from(which).unwrap_or(0)]);
            into.push('\n');
            return;
        }
        let _ = match self.random(12) {
            0 => writeln!(
                into,
                "I0612 {h:02}:{m:02}:{s:02}.{us:06}       1 static_autoscaler.go:235] Starting main loop"
            ),
            1 => writeln!(
                into,
                "I0612 {h:02}:{m:02}:{s:02}.{us:06}       1 filter_out_schedulable.go:65] Filtering out schedulables: {a} pods can be scheduled on existing nodes"
            ),
            2 => writeln!(
                into,
                "I0612 {h:02}:{m:02}:{s:02}.{us:06}       1 eligibility.go:162] Node ip-10-0-{a}-{b}.eu-central-1.compute.internal - cpu requested is 91.{c}% of allocatable"
            ),
            3 => writeln!(
                into,
                "{{\"level\":\"debug\",\"ts\":\"2026-06-12T{h:02}:{m:02}:{s:02}.{us:06}Z\",\"caller\":\"ipamd/ipamd.go:{c}\",\"msg\":\"Reconciling ENI/IP pool info because time since last {a}.{b}s > 1m0s\"}}"
            ),
            4 => writeln!(
                into,
                "{{\"level\":\"info\",\"ts\":\"2026-06-12T{h:02}:{m:02}:{s:02}.{us:06}Z\",\"caller\":\"rpc/rpc.pb.go:881\",\"msg\":\"Received AddNetwork for NS /var/run/netns/cni-{c:08x}-{us:08x}, Sandbox {us:032x}, ifname eth0\"}}"
            ),
            5 => writeln!(
                into,
                "[INFO] 10.0.{a}.{b}:{c} - {us} \"A IN orders-{c}.shop.svc.cluster.local. udp 54 false 512\" NOERROR qr,aa,rd 106 0.000{us}s"
            ),
            6 => writeln!(
                into,
                "[INFO] 10.0.{a}.{b}:{c} - {us} \"AAAA IN api-{c}.example.com.shop.svc.cluster.local. udp 62 false 512\" NXDOMAIN qr,aa,rd 155 0.000{us}s"
            ),
            7 => writeln!(
                into,
                "{{\"level\":\"INFO\",\"time\":\"2026-06-12T{h:02}:{m:02}:{s:02}.{us:06}Z\",\"logger\":\"controller\",\"message\":\"found provisionable pod(s)\",\"commit\":\"3f{c:05x}\",\"controller\":\"provisioner\",\"namespace\":\"\",\"name\":\"\",\"reconcileID\":\"{us:08x}-{c:04x}\",\"Pods\":\"shop/orders-{c}\",\"duration\":\"21.{c}ms\"}}"
            ),
            8 => writeln!(
                into,
                "{{\"level\":\"info\",\"ts\":\"2026-06-12T{h:02}:{m:02}:{s:02}Z\",\"logger\":\"controllers.ingress\",\"msg\":\"successfully built model\",\"model\":\"{{\\\"id\\\":\\\"shop/web-{c}\\\",\\\"resources\\\":{{}}}}\"}}"
            ),
            9 => writeln!(
                into,
                "Jun 12 {h:02}:{m:02}:{s:02} ip-10-0-{a}-{b}.eu-central-1.compute.internal kubelet[4021]: I0612 {h:02}:{m:02}:{s:02}.{us:06}    4021 pod_startup_latency_tracker.go:104] \"Observed pod startup duration\" pod=\"shop/orders-{c}\" podStartSLOduration={a}.{us}"
            ),
            10 => writeln!(
                into,
                "time=\"2026-06-12T{h:02}:{m:02}:{s:02}Z\" level=info msg=\"All records are already up to date, there are no changes for the matching hosted zones {c}\""
            ),
            _ => writeln!(
                into,
                "2026-06-12T{h:02}:{m:02}:{s:02}.{us:06}Z INFO 10.0.{a}.{b} GET /orders/{c} 200 {us}us user-agent=\"shop/1.{a}\" trace={us:016x}"
            ),
        };
    }

    /// Appends lines until `into` holds `bytes`.
    pub(crate) fn fill(&mut self, into: &mut String, bytes: usize) {
        while into.len() < bytes {
            self.line(into);
        }
    }
}
