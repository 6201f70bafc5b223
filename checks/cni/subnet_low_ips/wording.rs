//! How a shortage reads: title, proof, and what to do.

use eksnet_model::aws::Subnet;
use eksnet_model::capacity::PREFIX;
use eksnet_model::{Cx, Fact, Source, Subject, SubjectKind};

use super::pools::{OWN_ADDRESS, Pool, size};

/// The subnets that a finding is about: the home where none may be used.
pub(super) fn subnets_of<'p>(pool: &'p Pool<'_>) -> Vec<&'p str> {
    if pool.subnets.is_empty() {
        vec![&pool.home.subnet_id]
    } else {
        pool.subnets
            .iter()
            .map(|subnet| subnet.subnet_id.as_str())
            .collect()
    }
}

/// Such as: Subnet subnet-0c1 has 14 of 251 addresses free: 1 more node fits.
pub(super) fn title(pool: &Pool<'_>, free: u32, size: u32) -> String {
    let ids = subnets_of(pool);
    if pool.subnets.is_empty() {
        return format!(
            "Subnet {} is kept out of use for pods by its tag, and no other is in use",
            ids[0]
        );
    }
    let subject = match ids.as_slice() {
        [one] => format!("Subnet {one} has"),
        many => format!("Subnets {} have", many.join(" and ")),
    };
    let fits = match pool.need.node.map(|need| free / need.max(1)) {
        _ if free == 0 => String::new(),
        None => String::new(),
        Some(0) => ": not one more node fits".to_owned(),
        Some(1) => ": 1 more node fits".to_owned(),
        Some(n) => format!(": {n} more nodes fit"),
    };
    let free = if free == 0 {
        "none".to_owned()
    } else {
        free.to_string()
    };
    format!("{subject} {free} of {size} addresses free{fits}")
}

pub(super) fn detail(pool: &Pool<'_>, free: u32) -> String {
    let zone = &pool.home.availability_zone;
    if pool.subnets.is_empty() {
        return format!(
            "ipamd finds no subnet in {zone} for further interfaces: pods there get only what the primary interface holds."
        );
    }
    let own_only = pool.need == OWN_ADDRESS;
    let need = match pool.need.node {
        Some(_) if own_only => "A node takes 1 address here, its pods none. ".to_owned(),
        Some(need) => format!("One more node takes {need} at once, its warm stock included. "),
        None => String::new(),
    };
    let users = match pool.nodes.len() {
        1 => "1 node uses it".to_owned(),
        n => format!("{n} nodes use it"),
    };
    match pool.nodes.len() {
        0 => format!(
            "{need}No node stands there yet; the next one that an Auto Scaling group puts there may not start its pods."
        ),
        _ if free == 0 && own_only => format!("{need}{users}; no further node starts there."),
        _ if free == 0 => {
            format!("{need}{users} and get no further address: new pods wait in ContainerCreating.")
        }
        _ => format!("{need}{users}."),
    }
}

pub(super) fn subjects(pool: &Pool<'_>) -> Vec<Subject> {
    subnets_of(pool)
        .into_iter()
        .map(|id| Subject::new(SubjectKind::Subnet, id))
        .collect()
}

pub(super) fn facts(cx: &Cx<'_>, pool: &Pool<'_>) -> Vec<Fact> {
    let mut facts = Vec::new();
    if pool.subnets.is_empty() {
        facts.push(
            Fact::new(
                Source::Subnets,
                &pool.home.subnet_id,
                "tag kubernetes.io/role/cni",
                "0",
            )
            .expected("1, or another subnet of the zone with 1"),
        );
    }
    for subnet in &pool.subnets {
        let free = subnet.available_ip_address_count.unwrap_or(0);
        let fact = Fact::new(
            Source::Subnets,
            &subnet.subnet_id,
            "AvailableIpAddressCount",
            format!(
                "{free} in {} ({})",
                subnet.cidr_block, subnet.availability_zone
            ),
        );
        facts.push(match pool.need.node {
            Some(need) => fact.expected(format!("{} for two more nodes", 2 * need)),
            None => fact,
        });
        facts.extend(held_by_others(cx, subnet));
    }
    facts
}

/// Addresses of the subnet on no interface of this account: a shared subnet, or prefix reservations.
pub(super) fn held_by_others(cx: &Cx<'_>, subnet: &Subnet) -> Option<Fact> {
    let all = cx.network_interfaces().optional()?;
    if !cx.network_interfaces().is_complete() {
        return None;
    }
    let own: u32 = all
        .iter()
        .filter(|one| one.subnet_id == subnet.subnet_id)
        .map(|one| {
            let single = u32::try_from(one.private_ip_addresses.len().max(1)).unwrap_or(u32::MAX);
            let prefixes = u32::try_from(one.ipv4_prefixes.len()).unwrap_or(u32::MAX);
            single.saturating_add(prefixes.saturating_mul(PREFIX))
        })
        .sum();
    let used = size(subnet).saturating_sub(subnet.available_ip_address_count?);
    let others = used.saturating_sub(own);
    (others * 4 >= used.max(1)).then(|| {
        Fact::new(
            Source::NetworkInterfaces,
            &subnet.subnet_id,
            "addresses in use",
            format!("{own} of {used} on interfaces that this account sees, {others} elsewhere: another account that shares the subnet, or a reservation"),
        )
    })
}

pub(super) fn fix(pool: &Pool<'_>, custom_networking: bool) -> String {
    let home = &pool.home.subnet_id;
    if pool.subnets.is_empty() {
        return format!(
            "aws ec2 create-tags --resources {home} --tags Key=kubernetes.io/role/cni,Value=1"
        );
    }
    let (vpc, zone) = (&pool.home.vpc_id, &pool.home.availability_zone);
    if custom_networking && pool.need != OWN_ADDRESS {
        return format!(
            "aws ec2 create-subnet --vpc-id {vpc} --availability-zone {zone} --cidr-block NEW_BLOCK   # then name it in the ENIConfig of {zone} and replace the nodes"
        );
    }
    format!(
        "aws ec2 create-subnet --vpc-id {vpc} --availability-zone {zone} --cidr-block NEW_BLOCK \
         --tag-specifications 'ResourceType=subnet,Tags=[{{Key=kubernetes.io/role/cni,Value=1}}]'"
    )
}
