//! Clusters made by hand, as JSON in the form of `kubectl get -o json` and of the AWS CLI.

use eksnet_model::Snapshot;
use serde_json::{Value, json};

/// A cluster under construction.
pub(crate) struct Cluster {
    nodes: Vec<Value>,
    pods: Vec<Value>,
    deployments: Vec<Value>,
    env: Vec<Value>,
    subnets: Vec<Value>,
    interfaces: Vec<Value>,
    groups: Vec<Value>,
    next_address: u32,
    more: Vec<(String, Value)>,
}

pub(crate) const ZONE: &str = "us-west-2a";

impl Cluster {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            pods: Vec::new(),
            deployments: Vec::new(),
            env: Vec::new(),
            subnets: Vec::new(),
            interfaces: Vec::new(),
            groups: Vec::new(),
            next_address: 0x0a00_0005,
            more: Vec::new(),
        }
    }

    /// A subnet `10.0.0.0/18` in each zone, and further ones of a size that is given.
    pub(crate) fn subnet(mut self, id: &str, zone: &str, cidr: &str, free: u32) -> Self {
        self.subnets.push(
            json!({"SubnetId": id, "VpcId": "vpc-1", "CidrBlock": cidr, "AvailabilityZone": zone,
            "AvailableIpAddressCount": free}),
        );
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push(json!({"name": name, "value": value}));
        self
    }

    /// Any other source, by its path in a snapshot.
    pub(crate) fn with(mut self, pointer: &str, value: Value) -> Self {
        self.more.push((pointer.to_owned(), value));
        self
    }

    /// A node whose primary interface alone is attached, with `aws-node` (10m of CPU) and `kube-proxy`
    /// (100m) on it. Its subnet is `subnet-ZONE`.
    pub(crate) fn node(self, name: &str, kind: &str, pods: u32, cpu: &str, interface: u32) -> Self {
        self.node_in(name, kind, pods, cpu, interface, ZONE, json!({}))
    }

    #[allow(clippy::too_many_arguments)] // a node is many things
    pub(crate) fn node_in(
        mut self,
        name: &str,
        kind: &str,
        pods: u32,
        cpu: &str,
        interface: u32,
        zone: &str,
        extra: Value,
    ) -> Self {
        let id = format!("i-{name}");
        let own = self.address();
        let mut node = json!({
            "metadata": {"name": name, "labels": {
                "node.kubernetes.io/instance-type": kind, "topology.kubernetes.io/zone": zone,
                "kubernetes.io/hostname": name, "eks.amazonaws.com/nodegroup": kind}},
            "spec": {"providerID": format!("aws:///{zone}/{id}")},
            "status": {
                "capacity": {"pods": pods.to_string(), "cpu": "4"},
                "allocatable": {"pods": pods.to_string(), "cpu": cpu, "memory": "7000000Ki"},
                "conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": own}]
            }
        });
        merge(&mut node, &extra);
        self.nodes.push(node);
        let mut addresses = vec![json!({"PrivateIpAddress": own, "Primary": true})];
        for _ in 1..interface {
            addresses.push(json!({"PrivateIpAddress": self.address(), "Primary": false}));
        }
        self.interfaces.push(json!({"NetworkInterfaceId": format!("eni-{name}-0"), "SubnetId": format!("subnet-{zone}"),
            "VpcId": "vpc-1", "Status": "in-use", "InterfaceType": "interface", "Description": "",
            "PrivateIpAddress": own, "PrivateIpAddresses": addresses,
            "Attachment": {"InstanceId": id, "DeviceIndex": 0, "NetworkCardIndex": 0}}));
        self.pods.push(daemon("aws-node", name, "10m"));
        self.pods.push(daemon("kube-proxy", name, "100m"));
        self
    }

    /// A further interface of a node with that many addresses, its own included.
    pub(crate) fn interface(
        mut self,
        node: &str,
        index: u32,
        addresses: u32,
        extra: Value,
    ) -> Self {
        let own = self.address();
        let mut all = vec![json!({"PrivateIpAddress": own, "Primary": true})];
        for _ in 1..addresses {
            all.push(json!({"PrivateIpAddress": self.address(), "Primary": false}));
        }
        let mut one = json!({"NetworkInterfaceId": format!("eni-{node}-{index}"), "SubnetId": format!("subnet-{ZONE}"),
            "VpcId": "vpc-1", "Status": "in-use", "InterfaceType": "interface", "Description": format!("aws-K8S-i-{node}"),
            "PrivateIpAddress": own, "PrivateIpAddresses": all,
            "TagSet": [{"Key": "node.k8s.amazonaws.com/instance_id", "Value": format!("i-{node}")}],
            "Attachment": {"InstanceId": format!("i-{node}"), "DeviceIndex": index, "NetworkCardIndex": 0}});
        merge(&mut one, &extra);
        self.interfaces.push(one);
        self
    }

    pub(crate) fn pod(mut self, name: &str, node: &str, extra: Value) -> Self {
        let mut pod = json!({
            "metadata": {"namespace": "default", "name": name, "labels": {"app": "web"}},
            "spec": {"nodeName": node, "containers": [{"name": "c", "image": "x"}]},
            "status": {"phase": if node.is_empty() { "Pending" } else { "Running" },
                "conditions": [{"type": "Ready", "status": "True"}]}
        });
        merge(&mut pod, &extra);
        self.pods.push(pod);
        self
    }

    /// A Deployment `default/web`, and `running` pods of it on a node.
    pub(crate) fn deployment(
        mut self,
        cpu: Option<&str>,
        running: u32,
        node: &str,
        spec: Value,
    ) -> Self {
        let requests = cpu.map_or(json!({}), |cpu| json!({"cpu": cpu}));
        let mut template = json!({"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "x", "resources": {"requests": requests}}]}});
        merge(&mut template["spec"], &spec);
        self.deployments.push(json!({"metadata": {"namespace": "default", "name": "web"},
            "spec": {"replicas": running, "selector": {"matchLabels": {"app": "web"}}, "template": template}}));
        for at in 0..running {
            let owner = json!({"metadata": {"labels": {"pod-template-hash": "5d"},
                "ownerReferences": [{"kind": "ReplicaSet", "name": "web-5d", "controller": true}]},
                "spec": {"containers": [{"name": "c", "image": "x", "resources": {"requests": requests}}]}});
            self = self.pod(&format!("web-5d-{at}"), node, owner);
        }
        self
    }

    /// An Auto Scaling group of the nodes of that instance type.
    pub(crate) fn group(mut self, kind: &str, desired: u32, max: u32) -> Self {
        self.groups.push(
            json!({"AutoScalingGroupName": format!("asg-{kind}"), "MinSize": 0, "MaxSize": max,
            "DesiredCapacity": desired, "VPCZoneIdentifier": format!("subnet-{ZONE}"),
            "Tags": [{"Key": "eks:nodegroup-name", "Value": kind}]}),
        );
        self
    }

    fn address(&mut self) -> String {
        self.next_address += 1;
        std::net::Ipv4Addr::from(self.next_address).to_string()
    }

    pub(crate) fn snapshot(self) -> Snapshot {
        let mut snapshot = json!({
            "takenAt": "2026-11-20T10:00:00Z",
            "cluster": {"name": "prod"},
            "kubernetes": {
                "nodes": self.nodes, "pods": self.pods, "deployments": self.deployments,
                "daemonsets": [{"metadata": {"namespace": "kube-system", "name": "aws-node"}, "spec": {"template": {"spec": {
                    "containers": [{"name": "aws-node", "image": "x/amazon-k8s-cni:v1.20.1", "env": self.env}]}}}}]
            },
            "aws": {"subnets": self.subnets, "networkInterfaces": self.interfaces, "autoScalingGroups": self.groups,
                "subnetCidrReservations": []}
        });
        for (pointer, value) in self.more {
            let (parent, key) = pointer.rsplit_once('/').expect("a path");
            snapshot.pointer_mut(parent).expect("a parent")[key] = value;
        }
        serde_json::from_value(snapshot).expect("a snapshot")
    }
}

fn daemon(name: &str, node: &str, cpu: &str) -> Value {
    json!({
        "metadata": {"namespace": "kube-system", "name": format!("{name}-{node}"), "labels": {"k8s-app": name},
            "ownerReferences": [{"kind": "DaemonSet", "name": name, "controller": true}]},
        "spec": {"nodeName": node, "hostNetwork": true, "containers": [{"name": name, "image": format!("x/{name}:v1"),
            "resources": {"requests": {"cpu": cpu}}}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    })
}

/// Objects are merged, everything else is replaced.
pub(crate) fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}
