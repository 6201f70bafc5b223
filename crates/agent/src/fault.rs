//! What an error of a socket says about the network.

use std::io;

use eksnet_probe::{DnsOutcome, TcpState};
use rustix::io::Errno;

/// Meaning of an error that the kernel gave for a connection or a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The other side said no: ICMP port unreachable, or a reset.
    Refused,
    /// Nothing came back, or the packet was dropped on its way out.
    Lost,
    /// There is no way to the address, or the way is prohibited.
    NoRoute,
    /// The agent itself could not ask: no descriptors, no memory, no ports.
    Local,
}

impl Fault {
    /// Reads a socket error as Linux gives it (`icmp_err_convert` and `tab_unreach` in the kernel
    /// turn ICMP codes into these numbers).
    ///
    /// Two of them carry more than their names say. `EPERM` comes back from sending when a packet
    /// filter or eBPF program of the pod's own network namespace drops the packet, and when the
    /// connection table is full there: a packet lost in the first hop, as lost as in a later one.
    /// `EACCES` is the answer of a `prohibit` route and of ICMPv6 "administratively prohibited":
    /// the address is closed by decree, which the catalogue counts as no route. `EINVAL` is how
    /// connecting fails on a `blackhole` route.
    pub(crate) fn of(error: &io::Error) -> Self {
        let Some(errno) = Errno::from_io_error(error) else {
            return match error.kind() {
                io::ErrorKind::UnexpectedEof => Self::Refused,
                io::ErrorKind::TimedOut => Self::Lost,
                _ => Self::Local,
            };
        };
        match errno {
            Errno::CONNREFUSED | Errno::CONNRESET | Errno::CONNABORTED | Errno::PIPE => {
                Self::Refused
            }
            Errno::TIMEDOUT | Errno::PERM => Self::Lost,
            Errno::NETUNREACH
            | Errno::HOSTUNREACH
            | Errno::NETDOWN
            | Errno::HOSTDOWN
            | Errno::ADDRNOTAVAIL
            | Errno::AFNOSUPPORT
            | Errno::ACCESS
            | Errno::INVAL
            | Errno::NOPROTOOPT
            | Errno::PROTO => Self::NoRoute,
            _ => Self::Local,
        }
    }

    /// As the end of a DNS query; `None` where the agent itself failed.
    pub(crate) fn dns(self) -> Option<DnsOutcome> {
        match self {
            Self::Refused => Some(DnsOutcome::ConnRefused),
            Self::Lost => Some(DnsOutcome::Timeout),
            Self::NoRoute => Some(DnsOutcome::NoRoute),
            Self::Local => None,
        }
    }

    /// As the end of an attempt to connect; `None` where the agent itself failed.
    pub(crate) fn tcp(self) -> Option<TcpState> {
        match self {
            Self::Refused => Some(TcpState::Refused),
            Self::Lost => Some(TcpState::Timeout),
            Self::NoRoute => Some(TcpState::NoRoute),
            Self::Local => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(errno: Errno) -> Fault {
        Fault::of(&io::Error::from_raw_os_error(errno.raw_os_error()))
    }

    #[test]
    fn a_reset_and_an_unreachable_port_are_refusals() {
        assert_eq!(fault(Errno::CONNREFUSED), Fault::Refused);
        assert_eq!(fault(Errno::CONNRESET), Fault::Refused);
    }

    #[test]
    fn a_packet_dropped_by_the_pods_own_filter_is_lost_not_unroutable() {
        assert_eq!(fault(Errno::PERM), Fault::Lost);
        assert_eq!(fault(Errno::PERM).dns(), Some(DnsOutcome::Timeout));
    }

    #[test]
    fn unreachable_prohibited_and_black_hole_routes_are_no_route() {
        for errno in [
            Errno::NETUNREACH,
            Errno::HOSTUNREACH,
            Errno::ACCESS,
            Errno::INVAL,
            Errno::AFNOSUPPORT,
        ] {
            assert_eq!(fault(errno), Fault::NoRoute, "{errno}");
        }
    }

    #[test]
    fn running_out_of_descriptors_says_nothing_about_the_network() {
        assert_eq!(fault(Errno::MFILE), Fault::Local);
        assert_eq!(Fault::Local.dns(), None);
        assert_eq!(Fault::Local.tcp(), None);
    }
}
