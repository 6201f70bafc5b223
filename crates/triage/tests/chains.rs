//! The worked chains of the causal graph, with findings made by hand.

mod support;

use eksnet_triage::{correlate, render, report};
use support::{closed_port_53, graph, input, judged, low_subnet, snapshot};

#[test]
fn show() {
    let graph = graph();
    let mut all = closed_port_53();
    all.push(low_subnet());
    let snapshot = snapshot();
    let report = report(input(&snapshot, &graph, judged(all)));
    for width in [80, 120] {
        let style = render::Style {
            width,
            ..render::Style::default()
        };
        println!("{}", render::text(&report, &style));
    }
    println!("{}", render::json(&report).expect("json").len());
    let _ = correlate(closed_port_53(), &graph);
}
