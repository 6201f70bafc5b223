//! What cluster DNS listens on.

use super::Flow;
use crate::kubernetes::{IntOrString, Pod, Service};

/// The flows that a pod behind the DNS Service is asked with, UDP and TCP: port 53, unless the
/// Service's target port differs.
#[must_use]
pub fn dns_flows(service: Option<&Service>, pod: &Pod) -> [Flow; 2] {
    [("UDP", Flow::udp(53)), ("TCP", Flow::tcp(53))].map(|(protocol, usual)| Flow {
        port: target_port(service, pod, protocol).unwrap_or(usual.port),
        ..usual
    })
}

fn target_port(service: Option<&Service>, pod: &Pod, protocol: &str) -> Option<u16> {
    let ports = &service?.spec.ports;
    let port = ports
        .iter()
        .find(|port| port.port == 53 && port.protocol == protocol)?;
    match port.target_port.as_ref()? {
        IntOrString::Int(number) => u16::try_from(*number).ok(),
        IntOrString::String(name) => pod
            .spec
            .containers
            .iter()
            .flat_map(|container| &container.ports)
            .find(|port| port.name == *name)
            .map(|port| port.container_port),
    }
}
