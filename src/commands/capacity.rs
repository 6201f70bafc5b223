//! `kubectl eksnet capacity`: how many more pods can start, what binds, and what would happen.

use eksnet_capacity::{Ask, AskError, PlanRequest, SOURCES, Types, measure, plan, render, what_if};
use eksnet_model::kubernetes::PodRequests;
use eksnet_model::{CniSettings, Snapshot};

use crate::args::{Capacity, CapacityFormat, CniFlags};
use crate::commands::{doctor, live};
use crate::exit::{Failure, OK};
use crate::output::{print, style};
use crate::progress::Line;

pub(crate) fn run(options: Capacity, verbose: u8) -> Result<u8, Failure> {
    if !options.plan.instance_types.is_empty() {
        return without_cluster(&options);
    }
    let snapshot = match doctor::saved(&options.saved)? {
        Some(given) => given.snapshot,
        None => cluster(&options, verbose)?,
    };
    let measured = measure(&snapshot);
    if measured.nodes.is_empty() {
        let gap = snapshot.kubernetes.nodes.gap();
        let why = gap.map_or_else(|| "there are none".to_owned(), ToString::to_string);
        return Err(Failure::no_verdict(format!(
            "no node is known, so nothing can be measured: {why}"
        )));
    }
    let answer = match ask(&options) {
        Some(ask) => Some(what_if(&snapshot, &ask).map_err(|error| match error {
            AskError::NoNodes | AskError::NoRequests(_) => Failure::no_verdict(error),
            error => Failure::usage(error),
        })?),
        None => None,
    };
    let shown = render::Shown {
        measured: &measured,
        what_if: answer.as_ref(),
        version: env!("CARGO_PKG_VERSION"),
    };
    print(&match options.output {
        CapacityFormat::Json => render::json(&shown).map_err(anyhow::Error::from)?,
        CapacityFormat::Markdown => render::markdown(&shown),
        CapacityFormat::Html => render::html(&shown),
        CapacityFormat::Prometheus => render::prometheus(&shown),
        format @ (CapacityFormat::Text | CapacityFormat::Wide) => {
            render::text(&shown, &style(format == CapacityFormat::Wide))
        }
    })?;
    Ok(OK)
}

fn without_cluster(options: &Capacity) -> Result<u8, Failure> {
    let names = &options.plan.instance_types;
    let mut settings = CniSettings::default();
    for (name, value) in assignments(&options.cni) {
        settings.set(&name, &value).map_err(Failure::usage)?;
    }
    let request = PlanRequest {
        types: if names.iter().any(|name| name.eq_ignore_ascii_case("all")) {
            Types::All
        } else {
            Types::Named(names.clone())
        },
        nodes: options.plan.nodes,
        subnets: options.plan.subnet_cidr.clone(),
        surge: options.plan.surge,
        settings,
    };
    let planned = plan(&request).map_err(Failure::usage)?;
    print(&match options.output {
        CapacityFormat::Json => render::plan_json(&planned).map_err(anyhow::Error::from)?,
        CapacityFormat::Markdown => render::plan_markdown(&planned),
        format @ (CapacityFormat::Text | CapacityFormat::Wide) => {
            render::plan_text(&planned, &style(format == CapacityFormat::Wide))
        }
        CapacityFormat::Html | CapacityFormat::Prometheus => {
            return Err(Failure::usage(
                "a plan without a cluster is text, wide, json or markdown",
            ));
        }
    })?;
    Ok(OK)
}

/// What the flags set of the CNI, by the names of its variables; later ones win.
fn assignments(flags: &CniFlags) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (on, name) in [
        (flags.prefix_delegation, "ENABLE_PREFIX_DELEGATION"),
        (
            flags.custom_networking,
            "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG",
        ),
        (flags.pod_eni, "ENABLE_POD_ENI"),
    ] {
        if on {
            all.push((name.to_owned(), "true".to_owned()));
        }
    }
    if let Some(most) = flags.max_eni {
        all.push(("MAX_ENI".to_owned(), most.to_string()));
    }
    all.extend(flags.set.iter().cloned());
    all
}

/// What is supposed; `None` where nothing is.
fn ask(options: &Capacity) -> Option<Ask> {
    let flags = &options.what_if;
    let ask = Ask {
        pods: flags.pods,
        requests: PodRequests {
            cpu_m: flags.cpu.unwrap_or(0),
            memory: flags.memory.unwrap_or(0),
            branch: 0,
        },
        workload: flags.workload.clone().zip(flags.replicas),
        set: assignments(&options.cni),
        add_cidr: flags.add_cidr.clone(),
        group: flags.nodegroup.clone().zip(flags.max),
    };
    (ask != Ask::default()).then_some(ask)
}

fn cluster(options: &Capacity, verbose: u8) -> Result<Snapshot, Failure> {
    let request = live::request_of(SOURCES, &options.aws, options.timeout)?;
    let line = Line::new(verbose);
    let live = live::block_on(live::run(&options.kubectl, &request, &line));
    line.clear();
    Ok(live?.collected.snapshot)
}
