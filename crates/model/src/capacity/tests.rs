use super::*;

const SECONDARY: Mode = Mode {
    prefixes: false,
    custom_networking: false,
    trunk: false,
    max_enis: None,
};

fn limits(name: &str) -> Limits {
    Limits::of(name, &[]).unwrap()
}

/// The worked examples: type, secondary, capped, custom networking, prefixes, prefixes capped,
/// prefixes and custom networking, addresses beside a trunk, branch interfaces.
#[test]
fn worked_examples_come_out() {
    let prefixes = Mode {
        prefixes: true,
        ..SECONDARY
    };
    let custom = Mode {
        custom_networking: true,
        ..SECONDARY
    };
    let both = Mode {
        prefixes: true,
        ..custom
    };
    let trunk = Mode {
        trunk: true,
        ..SECONDARY
    };
    for (name, plain, capped, own, raw, raw_capped, combined, beside_trunk, branch) in [
        ("t3.medium", 17, 17, 12, 242, 110, 162, None, Some(0)),
        ("m5.large", 29, 29, 20, 434, 110, 290, Some(18), Some(9)),
        ("m5.xlarge", 58, 58, 44, 898, 110, 674, Some(42), Some(18)),
        (
            "c5.4xlarge",
            234,
            110,
            205,
            3714,
            110,
            3250,
            Some(203),
            Some(54),
        ),
        (
            "m5.24xlarge",
            737,
            250,
            688,
            11762,
            250,
            10978,
            Some(686),
            Some(107),
        ),
        (
            "p5.48xlarge",
            100,
            100,
            51,
            1570,
            250,
            786,
            Some(49),
            Some(120),
        ),
    ] {
        let limits = limits(name);
        assert_eq!(limits.max_pods(SECONDARY), plain, "{name}");
        assert_eq!(limits.recommended(SECONDARY), Some(capped), "{name}");
        assert_eq!(limits.max_pods(custom), own, "{name} custom networking");
        assert_eq!(limits.max_pods(prefixes), raw, "{name} prefixes");
        assert_eq!(
            limits.recommended(prefixes),
            Some(raw_capped),
            "{name} prefixes"
        );
        assert_eq!(limits.max_pods(both), combined, "{name} both");
        if let Some(addresses) = beside_trunk {
            assert_eq!(
                limits.addresses(trunk, 0),
                addresses,
                "{name} beside a trunk"
            );
            assert_eq!(limits.trunk, Some(true), "{name}");
        } else {
            assert_eq!(limits.trunk, Some(false), "{name}");
        }
        assert_eq!(
            limits.branch_enis.unwrap_or(0),
            branch.unwrap_or(0),
            "{name}"
        );
    }
}

#[test]
fn what_takes_interfaces_takes_addresses() {
    let m5 = limits("m5.large");
    assert_eq!(m5.addresses(SECONDARY, 0), 27);
    assert_eq!(m5.addresses(SECONDARY, 1), 18);
    let most = Mode {
        max_enis: Some(2),
        ..SECONDARY
    };
    assert_eq!(m5.addresses(most, 0), 18);
    let all = Mode {
        custom_networking: true,
        trunk: true,
        ..SECONDARY
    };
    assert_eq!(m5.addresses(all, 0), 9, "one interface is left of three");
    assert_eq!(m5.addresses(all, 3), 0, "never below nothing");
}

#[test]
fn the_figures_of_the_field_notes_come_out() {
    for (name, enis, ipv4, pods) in [
        ("t2.large", 3, 12, 35),
        ("c5.large", 3, 10, 29),
        ("c5.xlarge", 4, 15, 58),
        ("m5.large", 3, 10, 29),
        ("m5.xlarge", 4, 15, 58),
    ] {
        let limits = limits(name);
        assert_eq!((limits.enis, limits.ipv4), (enis, ipv4), "{name}");
        assert_eq!(limits.max_pods(SECONDARY), pods, "{name}");
    }
}

#[test]
fn ec2_comes_before_the_table_and_the_default_card_counts() {
    let said: Vec<InstanceType> = serde_json::from_value(serde_json::json!([
        {"InstanceType": "p5.48xlarge", "Hypervisor": "nitro", "VCpuInfo": {"DefaultVCpus": 192},
         "NetworkInfo": {"MaximumNetworkInterfaces": 64, "Ipv4AddressesPerInterface": 50, "DefaultNetworkCardIndex": 0,
            "NetworkCards": [{"NetworkCardIndex": 0, "MaximumNetworkInterfaces": 2}, {"NetworkCardIndex": 1, "MaximumNetworkInterfaces": 2}]}},
        {"InstanceType": "z9.new", "NetworkInfo": {"MaximumNetworkInterfaces": 4, "Ipv4AddressesPerInterface": 15}}
    ])).unwrap();
    let p5 = Limits::of("p5.48xlarge", &said).unwrap();
    assert_eq!(
        (p5.enis, p5.source, p5.branch_enis),
        (2, LimitsSource::Ec2, Some(120))
    );
    let new = Limits::of("z9.new", &said).unwrap();
    assert_eq!((new.enis, new.prefixes, new.branch_enis), (4, None, None));
    assert_eq!(new.recommended(SECONDARY), Some(58));
    assert_eq!(
        Limits::of("z9.other", &said),
        None,
        "unknown is not nothing"
    );
}

#[test]
fn every_row_of_the_table_is_read() {
    let rows = include_str!("../../data/instance-limits.csv")
        .lines()
        .count()
        - 1;
    assert_eq!(table().len(), rows);
    assert!(rows > 1300);
    assert!(table().values().all(|one| one.enis > 0 && one.ipv4 > 1));
}

fn settings(change: impl Fn(&mut CniSettings)) -> CniSettings {
    let mut settings = CniSettings::default();
    change(&mut settings);
    settings
}

fn cost(change: impl Fn(&mut CniSettings)) -> (u32, u32) {
    let settings = settings(change);
    let limits = limits("m5.large");
    let mode = Mode::of(&settings, &limits).unwrap();
    (
        addresses_of_a_new_node(&settings, &limits, mode),
        addresses_of_one_step(&settings, &limits, mode),
    )
}

#[test]
fn a_new_node_takes_its_warm_stock_at_once() {
    assert_eq!(cost(|_| ()), (20, 10), "two full interfaces of ten");
    assert_eq!(cost(|s| s.warm_enis = 5), (30, 10), "the type has three");
    assert_eq!(cost(|s| s.warm_enis = 0), (10, 10));
    assert_eq!(
        cost(|s| s.warm_ips = Some(5)),
        (7, 2),
        "six addresses and the interface's own"
    );
    assert_eq!(
        cost(|s| {
            s.warm_ips = Some(2);
            s.minimum_ips = Some(12);
        }),
        (14, 2),
        "twelve on two interfaces"
    );
    assert_eq!(
        cost(|s| s.prefix_delegation = true),
        (33, 16),
        "one in use, one spare, one own"
    );
    assert_eq!(
        cost(|s| s.custom_networking = true),
        (20, 10),
        "two of the pods' subnet"
    );
    assert_eq!(cost(|s| s.max_enis = Some(1)), (10, 10));
}

#[test]
fn prefixes_need_a_known_hypervisor() {
    let on = settings(|s| s.prefix_delegation = true);
    assert!(Mode::of(&on, &limits("m5.large")).unwrap().prefixes);
    assert!(!Mode::of(&on, &limits("m4.large")).unwrap().prefixes, "xen");
    let unknown = Limits {
        prefixes: None,
        ..limits("m5.large")
    };
    assert_eq!(Mode::of(&on, &unknown), None);
}

#[test]
fn a_full_node_holds_what_its_pods_use_and_no_stock_beyond_the_kubelets_maximum() {
    let held = |name: &str, pods, kubelet, change: &dyn Fn(&mut CniSettings)| {
        let settings = settings(change);
        let limits = limits(name);
        let mode = Mode::of(&settings, &limits).unwrap();
        let held = Held::by_a_node(&settings, &limits, mode, pods, kubelet);
        (held.enis, held.addresses)
    };
    let plain = |_: &mut CniSettings| ();
    assert_eq!(held("c5.xlarge", 56, Some(58), &plain), (4, 56));
    assert_eq!(held("c5.xlarge", 14, Some(58), &plain), (2, 28));
    assert_eq!(held("c5.xlarge", 15, Some(58), &plain), (3, 42));
    // 4 x 29 addresses are more than the kubelet's 110 pods: no fifth interface.
    assert_eq!(held("c5.4xlarge", 108, Some(110), &plain), (4, 116));
    assert_eq!(held("c5.4xlarge", 108, None, &plain), (5, 145));
    let prefixes = |s: &mut CniSettings| s.prefix_delegation = true;
    assert_eq!(held("m5.large", 108, Some(110), &prefixes), (1, 112));
    assert_eq!(held("m5.large", 0, Some(110), &prefixes), (1, 16));
    let few = |s: &mut CniSettings| s.warm_ips = Some(2);
    assert_eq!(held("m5.large", 9, Some(29), &few), (2, 11));
    let trunk = |s: &mut CniSettings| s.pod_eni = true;
    assert_eq!(held("m5.large", 18, Some(29), &trunk), (2, 18));
}

/// The public table, read by other code than the program's.
#[test]
fn every_type_has_the_limits_that_aws_publishes() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/instance-eni-limits.csv");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("left out: no table of limits beside the project");
        return;
    };
    let mut rows = 0;
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let [
            name,
            vcpus,
            enis,
            _,
            ipv4,
            _,
            hypervisor,
            bare,
            trunking,
            branch,
        ] = cells.as_slice()
        else {
            panic!("{line}");
        };
        let known = Limits::of(name, &[]).unwrap_or_else(|| panic!("{name} is missing"));
        let shown = |number: Option<u32>| number.map(|n| n.to_string()).unwrap_or_default();
        let flag = |flag: Option<bool>| flag.map(|f| f.to_string()).unwrap_or_default();
        let prefixes = match (*hypervisor, *bare) {
            ("nitro", _) | (_, "true") => "true",
            ("xen", _) => "false",
            _ => "",
        };
        assert_eq!(
            (
                shown(known.vcpus),
                known.enis.to_string(),
                known.ipv4.to_string(),
                flag(known.prefixes),
                flag(known.trunk),
                shown(known.branch_enis)
            ),
            (
                (*vcpus).to_owned(),
                (*enis).to_owned(),
                (*ipv4).to_owned(),
                prefixes.to_owned(),
                (*trunking).to_owned(),
                (*branch).to_owned()
            ),
            "{name}"
        );
        rows += 1;
    }
    assert_eq!(rows, known_types().count());
}
