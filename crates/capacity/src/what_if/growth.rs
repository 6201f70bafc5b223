//! Nodes that would be added for pods that wait.

use std::collections::BTreeMap;

use eksnet_model::Text;

use super::{Ask, AskError, NewNodes};
use crate::ground::Ground;
use crate::measure::sizes;
use crate::simulate::{Engine, First, PodShape, Rules};

/// What new nodes bring.
#[derive(Default)]
pub(super) struct Growth {
    pub(super) nodes: Vec<NewNodes>,
    pub(super) running: u32,
    pub(super) without_address: u32,
    /// A group would have to grow further.
    pub(super) hit_max: bool,
    /// No subnet has an address for another node.
    pub(super) no_address: bool,
    pub(super) first: Option<First>,
}

/// Adds nodes while pods wait and groups may grow, each group in the zone where it has fewest.
pub(super) fn grow(
    ground: &Ground<'_>,
    engine: &mut Engine,
    rules: &mut Rules,
    pod: &PodShape,
    waiting: u32,
    ask: &Ask,
) -> Result<Growth, AskError> {
    let mut grown = Growth::default();
    let mut left = waiting;
    let only = match &ask.group {
        Some((name, _)) => Some(group_of(ground, name)?),
        None => None,
    };
    for group in 0..ground.groups.len() {
        if only.is_some_and(|only| only != group) || left == 0 {
            continue;
        }
        let Some((possible, max)) = room_of(ground, group, ask) else {
            continue;
        };
        let mut added = 0;
        let mut per_zone: BTreeMap<&str, (u32, usize)> = BTreeMap::new();
        for (at, place) in engine.places.iter().enumerate() {
            if place.group == group {
                let zone = ground.nodes[place.of].node.zone().unwrap_or("");
                let entry = per_zone.entry(zone).or_insert((0, at));
                entry.0 += 1;
            }
        }
        while left > 0 {
            if added >= possible {
                grown.hit_max = true;
                break;
            }
            let Some((zone, like)) = per_zone
                .iter()
                .min_by_key(|(_, (nodes, _))| *nodes)
                .map(|(zone, (_, at))| (*zone, *at))
            else {
                break;
            };
            let (kept, kept_rules) = (engine.clone(), rules.clone());
            if engine.add_like(like, ground).is_none() {
                grown.no_address = true;
                break;
            }
            rules.grow(like);
            let ran = engine.run(pod, rules, left, true);
            if ran.running + ran.without_address == 0 {
                // No pod of the kind would run there: an autoscaler does not add it.
                (*engine, *rules) = (kept, kept_rules);
                per_zone.remove(zone);
                continue;
            }
            added += 1;
            left = ran.waiting;
            grown.running += ran.running;
            grown.without_address += ran.without_address;
            if ran.without_address > 0 && grown.first.is_none() {
                grown.first = ran.first;
            }
            if let Some((nodes, _)) = per_zone.get_mut(zone) {
                *nodes += 1;
            }
        }
        if added > 0 {
            grown.nodes.push(NewNodes {
                group: ground.groups[group].clone(),
                nodes: added,
                possible,
                max,
            });
        }
    }
    Ok(grown)
}

fn group_of(ground: &Ground<'_>, name: &str) -> Result<usize, AskError> {
    let found = ground.groups.iter().position(|one| one.as_str() == name);
    found.ok_or_else(|| {
        let known: Vec<&str> = ground.groups.iter().map(Text::as_str).collect();
        AskError::NoGroup {
            name: name.to_owned(),
            known: known.join(", "),
        }
    })
}

/// Nodes that a group may still get, and its most; `None` where that is not known.
pub(super) fn room_of(ground: &Ground<'_>, group: usize, ask: &Ask) -> Option<(u32, u32)> {
    let there = ground.nodes.iter().filter(|one| one.group == group).count();
    let there = u32::try_from(there).unwrap_or(u32::MAX);
    let known = sizes(ground, group);
    let asked = ask
        .group
        .as_ref()
        .filter(|(name, _)| ground.groups[group].as_str() == name)
        .map(|(_, max)| *max);
    let max = asked.or(known.map(|sizes| sizes.max))?;
    let now = known.map_or(there, |sizes| sizes.desired.max(there));
    Some((max.saturating_sub(now), max))
}
