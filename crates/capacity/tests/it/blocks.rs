//! Free /28 blocks, against brute force over every address.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use eksnet_capacity::{BlockMap, Cell};
use proptest::prelude::*;

/// A subnet as numbers: its first address and length, addresses in use, ranges set aside.
#[derive(Clone, Debug)]
struct Drawn {
    first: u32,
    length: u32,
    used: Vec<u32>,
    prefixes: Vec<u32>,
    ranges: Vec<(u32, u32, bool)>,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    (16_u32..=28, 0_u32..4096).prop_flat_map(|(bits, place)| {
        let length = 1_u32 << (32 - bits);
        let first = 0x0a00_0000 + place * length % 0x0100_0000;
        let many = (length / 12).clamp(1, 600) as usize;
        let range = (0..length, 0_u32..=6, any::<bool>()).prop_map(move |(at, power, kind)| {
            let size = (1_u32 << power) * 4;
            (at / size * size, size, kind)
        });
        (
            proptest::collection::vec(0..length, 0..many),
            proptest::collection::vec(0..length, 0..8),
            proptest::collection::vec(range, 0..4),
        )
            .prop_map(move |(used, prefixes, ranges)| Drawn {
                first,
                length,
                used,
                prefixes: prefixes.into_iter().map(|at| at / 16 * 16).collect(),
                ranges,
            })
    })
}

/// Which blocks are free, asked address by address.
fn by_brute_force(drawn: &Drawn) -> Vec<u32> {
    let mut taken: BTreeSet<u32> = drawn.used.iter().copied().collect();
    taken.extend([0, 1, 2, 3, drawn.length - 1]);
    for prefix in &drawn.prefixes {
        taken.extend(*prefix..prefix + 16);
    }
    for (at, size, for_prefixes) in &drawn.ranges {
        if !for_prefixes {
            taken.extend(*at..at + size);
        }
    }
    let mut free = Vec::new();
    for candidate in 0..drawn.length {
        let aligned = (drawn.first + candidate).is_multiple_of(16);
        if aligned
            && (candidate..candidate + 16).all(|at| at < drawn.length && !taken.contains(&at))
        {
            free.push(drawn.first + candidate);
        }
    }
    free
}

fn by_the_map(drawn: &Drawn) -> BlockMap {
    let bits = 32 - drawn.length.trailing_zeros();
    let net = format!("{}/{bits}", Ipv4Addr::from(drawn.first))
        .parse()
        .expect("a block");
    let mut map = BlockMap::empty(net);
    // A range that overlaps another is refused by AWS; here the one that gives nothing out wins.
    for for_prefixes in [false, true] {
        for (at, size, kind) in drawn.ranges.iter().filter(|range| range.2 == for_prefixes) {
            let bits = 32 - size.trailing_zeros();
            let range = format!("{}/{bits}", Ipv4Addr::from(drawn.first + at))
                .parse()
                .expect("a range");
            map.reserve(range, *kind);
        }
    }
    for at in &drawn.used {
        map.take(Ipv4Addr::from(drawn.first + at), Cell::Foreign);
    }
    for prefix in &drawn.prefixes {
        for at in *prefix..prefix + 16 {
            map.take(Ipv4Addr::from(drawn.first.wrapping_add(at)), Cell::Warm);
        }
    }
    map
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn free_blocks_are_those_of_brute_force(drawn in drawn()) {
        let map = by_the_map(&drawn);
        let found: Vec<u32> = map.free_blocks().iter().map(|net| u32::from(net.network())).collect();
        let expected = by_brute_force(&drawn);
        prop_assert_eq!(map.free_block_count() as usize, expected.len());
        prop_assert_eq!(found, expected);
        let counts = map.counts();
        let sum = counts.free + counts.free_for_prefixes + counts.aws + counts.reserved + counts.nodes
            + counts.pods + counts.warm + counts.leaked + counts.control_plane + counts.foreign;
        prop_assert_eq!(sum, drawn.length, "every address has one use");
    }
}

#[test]
fn thousands_of_free_addresses_can_hold_no_free_block() {
    let mut map = BlockMap::empty("10.1.0.0/18".parse().expect("a block"));
    for block in 0..1024_u32 {
        let address = 0x0a01_0000 + block * 16 + block % 16;
        map.take(Ipv4Addr::from(address), Cell::Pod);
    }
    assert!(map.counts().free > 15_000);
    assert_eq!(map.free_block_count(), 0);
}

#[test]
fn a_range_for_prefixes_is_free_for_them_alone_and_an_explicit_one_for_nothing() {
    let mut map = BlockMap::empty("10.0.0.0/24".parse().expect("a block"));
    assert_eq!(map.free_block_count(), 14);
    map.reserve("10.0.0.64/26".parse().expect("a range"), true);
    assert_eq!(map.free_block_count(), 14);
    assert_eq!(map.counts().free_for_prefixes, 64);
    map.reserve("10.0.0.128/26".parse().expect("a range"), false);
    assert_eq!(map.free_block_count(), 10);
    map.reserve("10.0.0.0/16".parse().expect("a range"), false);
    assert_eq!(
        map.free_block_count(),
        0,
        "a range may be larger than what it touches"
    );
}

#[test]
fn the_smallest_subnet_has_no_block() {
    assert_eq!(
        BlockMap::empty("10.0.0.16/28".parse().expect("a block")).free_block_count(),
        0
    );
}
