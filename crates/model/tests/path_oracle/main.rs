//! The packet-path evaluator against a slow oracle that shares no code with it: it reads rules as
//! text, compares addresses bit by bit, and walks every address and every port one by one.

#![allow(clippy::unwrap_used)] // helpers of tests are tests too

mod acls;
mod groups;
mod planted;
mod policies;
mod routes;

use std::net::IpAddr;

use eksnet_model::path::{Passage, Protocol};

/// Cases per kind of rule; `EKSNET_ORACLE_CASES` asks for another number.
pub(crate) fn cases() -> u64 {
    let asked = std::env::var("EKSNET_ORACLE_CASES").ok();
    asked
        .and_then(|number| number.parse().ok())
        .unwrap_or(100_000)
}

/// SplitMix64: the same cases on every machine.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    pub(crate) fn percent(&mut self, p: u64) -> bool {
        self.below(100) < p
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Answer {
    Denied,
    Undecided,
    Allowed,
}

pub(crate) fn shape<D>(passage: &Passage<D>) -> Answer {
    match passage {
        Passage::Allowed(_) => Answer::Allowed,
        Passage::Denied(_) => Answer::Denied,
        Passage::Undecided(_) => Answer::Undecided,
    }
}

/// A block as the bits that addresses in it start with. `None` when the text spells none.
pub(crate) fn slow_block(cidr: &str) -> Option<Vec<u8>> {
    let (base, length) = cidr.split_once('/')?;
    let length: usize = length.parse().ok()?;
    let mut bits = slow_bits(base.parse().ok()?);
    if length > bits.len() - 1 {
        return None;
    }
    bits.truncate(1 + length);
    Some(bits)
}

/// The family and then the bits of an address, one a byte.
pub(crate) fn slow_bits(address: IpAddr) -> Vec<u8> {
    let (family, bytes) = match address {
        IpAddr::V4(v4) => (4, v4.octets().to_vec()),
        IpAddr::V6(v6) => (6, v6.octets().to_vec()),
    };
    let mut bits = vec![family];
    for byte in bytes {
        for bit in (0..8).rev() {
            bits.push(byte >> bit & 1);
        }
    }
    bits
}

/// Whether `address` lies in the block that `cidr` spells. `None` when it spells none.
pub(crate) fn slow_contains(cidr: &str, address: IpAddr) -> Option<bool> {
    Some(slow_bits(address).starts_with(&slow_block(cidr)?))
}

pub(crate) fn slow_protocol(rule: &str, wanted: Protocol) -> Option<bool> {
    let wanted = if wanted == Protocol::Tcp {
        ["tcp", "6"]
    } else {
        ["udp", "17"]
    };
    match rule {
        "-1" => Some(true),
        known if wanted.contains(&known) => Some(true),
        "tcp" | "6" | "udp" | "17" | "icmp" | "1" | "icmpv6" | "58" | "50" => Some(false),
        _ => None,
    }
}

/// A test whose cases all end alike tests little.
pub(crate) fn report(what: &str, asked: u64, split: [u64; 3]) {
    let all: u64 = split.iter().sum();
    assert!(all * 100 >= asked * 99, "{all} of {asked} cases");
    let share = |n: u64| n * 100 / all;
    println!(
        "{what}: {all} cases, {} % denied, {} % undecided, {} % allowed",
        share(split[0]),
        share(split[1]),
        share(split[2])
    );
    assert!((30..=70).contains(&share(split[0])), "{split:?}");
    assert!(share(split[2]) >= 15, "{split:?}");
    assert!(split[1] > 0, "{split:?}");
}
