//! A subnet drawn address by address.

use std::fmt::Write as _;

use crate::blocks::{BlockMap, Cell};

/// Every use, in the order of the key, with the name of its class and in words.
pub(super) const USES: [(Cell, &str, &str); 10] = [
    (Cell::Pod, "pod", "pods"),
    (Cell::Warm, "warm", "held by the CNI, no pod"),
    (Cell::Node, "node", "nodes' interfaces"),
    (Cell::ControlPlane, "control-plane", "control plane"),
    (Cell::Foreign, "foreign", "others"),
    (Cell::Leaked, "leaked", "left behind by the CNI"),
    (Cell::Reserved, "reserved", "set aside"),
    (
        Cell::FreeForPrefixes,
        "free-for-prefixes",
        "free, for prefixes alone",
    ),
    (Cell::Aws, "aws", "AWS"),
    (Cell::Free, "free", "free"),
];

/// Addresses of a /28 block.
const BLOCK: usize = 16;

/// How many blocks stand beside each other, and how wide an address is.
fn layout(addresses: usize) -> (usize, usize) {
    match addresses {
        0..=256 => (4, 12),
        257..=1024 => (8, 8),
        _ => (16, 4),
    }
}

/// The drawing: a row of blocks after the other, blocks apart, free blocks in a colour of their own.
pub(super) fn svg(map: &BlockMap, label: &str) -> String {
    let (across, size) = layout(map.cells().len());
    let gap = if size > 4 { 3 } else { 2 };
    let height = size;
    let block_width = BLOCK * size;
    let pitch = block_width + gap;
    let blocks = map.cells().len().div_ceil(BLOCK);
    let columns = blocks.min(across);
    let lines = blocks.div_ceil(across);
    let row = height + gap.min(2);
    let (width, total) = (columns * pitch, lines * row + 1);
    let mut out = format!(
        "<svg class=\"map\" role=\"img\" width=\"{width}\" height=\"{total}\" viewBox=\"0 0 {width} {total}\"><title>{label}</title>"
    );
    let place = |block: usize| (block % across * pitch, block / across * row);
    for (cell, class, _) in USES {
        let mut path = String::new();
        for (block, cells) in map.cells().chunks(BLOCK).enumerate() {
            let (x, y) = place(block);
            let mut at = 0;
            while at < cells.len() {
                let run = cells[at..].iter().take_while(|one| **one == cell).count();
                if run == 0 {
                    at += 1;
                    continue;
                }
                let wide = run * size;
                let _ = write!(path, "M{} {y}h{wide}v{height}h-{wide}z", x + at * size);
                at += run;
            }
        }
        if !path.is_empty() {
            let _ = write!(out, "<path class=\"c-{class}\" d=\"{path}\"/>");
        }
    }
    let first = u32::from(map.net().network());
    let mut frames = String::new();
    for free in map.free_blocks() {
        let block = (u32::from(free.network()) - first) as usize / BLOCK;
        let (x, y) = place(block);
        let _ = write!(frames, "M{x} {y}h{block_width}v{height}h-{block_width}z");
    }
    if !frames.is_empty() {
        let _ = write!(out, "<path class=\"o\" d=\"{frames}\"/>");
    }
    out.push_str("</svg>");
    out
}
