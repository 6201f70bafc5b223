//! The agent inside network namespaces: what it reports when packets are dropped, refused, late
//! or answered with an error.
//!
//! Each file in `cases/` describes one small network (namespaces, addresses, packet filters,
//! servers), the probes that the agent runs in it, and what it must report. Needs root, iproute2
//! and nftables. Without them a test says so and passes, unless `EKSNET_REQUIRE` lists `netns`.

mod case;
mod dns_server;
mod http_server;
mod lab;
mod play;
mod topology;

/// One test per file: the name of the test is the name of the file.
macro_rules! cases {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            play::play(stringify!($name));
        })*

        #[test]
        fn every_case_has_a_test() {
            let mut listed = vec![$(concat!(stringify!($name), ".toml")),*];
            listed.sort_unstable();
            assert_eq!(listed, play::files());
        }
    };
}

cases! {
    answers_that_are_no_address
    answers_that_cannot_be_trusted
    dns_dropped_both
    dns_dropped_tcp_only
    dns_dropped_udp_only
    dns_late
    dns_lossy
    dns_rejected
    dns_without_listener
    everything_times_out
    imds_states
    ipv6_server
    local_filter
    lookup_as_a_client
    lookup_failures
    routes_missing
    sts_identities
    tcp_states
    tls_out_of_reach
}

/// One test per topology: the name of the test is the name of the file.
macro_rules! topologies {
    ($($name:ident)*) => {
        mod topologies {
            $(#[test]
            fn $name() {
                crate::topology::diagnose(stringify!($name));
            })*
        }

        #[test]
        fn every_topology_has_a_test() {
            let mut listed = vec![$(concat!(stringify!($name), ".toml")),*];
            listed.sort_unstable();
            assert_eq!(listed, topology::files());
        }
    };
}

topologies! {
    answers_blocked
    healthy
    large_answers_blocked
    one_replica_blocked
    one_replica_silent
    policy_blocks_dns
    random_loss
    random_loss_unexplained
    resolver_dead
    service_address_dead
    tcp_blocked
    udp_blocked
}
