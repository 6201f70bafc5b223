//! Lists of EC2, paged and filtered by what belongs to the cluster.

use tokio::time::Instant;

use eksnet_model::aws;

use super::super::failure::Failure;
use super::super::paging::{Gathered, Page, gather, side_by_side, within};
use super::client::Ec2;
use super::element::{Element, Malformed};
use super::query::Query;
use super::{instances, interfaces, security, vpc};

/// Most values of one filter.
const VALUES: usize = 200;

/// Chunks and prefix lists that are read at the same time.
const AT_ONCE: usize = 4;

type Reader<T> = fn(Element<'_>) -> Result<Vec<T>, Malformed>;

impl Ec2 {
    /// All pages of `query`.
    async fn list<T>(&self, query: Query, deadline: Instant, reader: Reader<T>) -> Gathered<T> {
        let action = format!("ec2:{}", query.action());
        gather(&action, deadline, |token| {
            let query = query.clone().after(token);
            self.call(query, move |root| {
                Ok(Page {
                    items: reader(root)?,
                    next: root.optional("nextToken"),
                })
            })
        })
        .await
    }

    /// All pages of `query` for chunks of `values` of one filter.
    async fn list_any<T>(
        &self,
        query: Query,
        filter: &str,
        values: &[String],
        deadline: Instant,
        reader: Reader<T>,
    ) -> Gathered<T> {
        let lists = values.chunks(VALUES).map(|chunk| {
            let query = query.clone().filter(filter, chunk);
            self.list(query, deadline, reader)
        });
        let answers = side_by_side(AT_ONCE, lists).await;
        let mut gathered = Gathered::default();
        if answers.is_empty() {
            // Nothing was asked for: a filter without values would list everything.
            gathered.add(Ok([]));
        }
        for answer in answers {
            gathered.join(answer);
        }
        gathered
    }

    /// Instances of a VPC, in every state.
    pub(crate) async fn fetch_instances(
        &self,
        vpc: &str,
        deadline: Instant,
    ) -> Gathered<aws::Instance> {
        let query = Query::new("DescribeInstances")
            .filter("vpc-id", [vpc])
            .pages_of(1000);
        self.list(query, deadline, instances::instances).await
    }

    /// Instances of which `filter` has any of `values`. Those that are gone are left out, where
    /// asking by id would refuse the whole call.
    pub(crate) async fn fetch_instances_by(
        &self,
        filter: &str,
        values: &[String],
        deadline: Instant,
    ) -> Gathered<aws::Instance> {
        let query = Query::new("DescribeInstances").pages_of(1000);
        self.list_any(query, filter, values, deadline, instances::instances)
            .await
    }

    /// Limits of instance types. Names that are no types are left out.
    pub(crate) async fn fetch_instance_types(
        &self,
        types: &[String],
        deadline: Instant,
    ) -> Gathered<aws::InstanceType> {
        let query = Query::new("DescribeInstanceTypes").pages_of(100);
        self.list_any(
            query,
            "instance-type",
            types,
            deadline,
            instances::instance_types,
        )
        .await
    }

    /// Subnets of a VPC.
    pub(crate) async fn fetch_subnets(
        &self,
        vpc: &str,
        deadline: Instant,
    ) -> Gathered<aws::Subnet> {
        self.of_vpc("DescribeSubnets", vpc, 1000, deadline, vpc::subnets)
            .await
    }

    /// CIDR reservations of subnets.
    pub(crate) async fn fetch_cidr_reservations(
        &self,
        subnets: &[String],
        deadline: Instant,
    ) -> Gathered<aws::SubnetCidrReservation> {
        let lists = subnets.iter().map(|id| {
            let query = Query::new("GetSubnetCidrReservations").with("SubnetId", id);
            self.list(query, deadline, vpc::cidr_reservations)
        });
        let mut gathered = Gathered::default();
        gathered.add(Ok([]));
        for answer in side_by_side(AT_ONCE, lists).await {
            gathered.join(answer);
        }
        gathered
    }

    /// Network interfaces of a VPC.
    pub(crate) async fn fetch_network_interfaces(
        &self,
        vpc: &str,
        deadline: Instant,
    ) -> Gathered<aws::NetworkInterface> {
        self.of_vpc(
            "DescribeNetworkInterfaces",
            vpc,
            1000,
            deadline,
            interfaces::interfaces,
        )
        .await
    }

    /// Security groups of a VPC.
    pub(crate) async fn fetch_security_groups(
        &self,
        vpc: &str,
        deadline: Instant,
    ) -> Gathered<aws::SecurityGroup> {
        self.of_vpc(
            "DescribeSecurityGroups",
            vpc,
            1000,
            deadline,
            security::security_groups,
        )
        .await
    }

    /// Network ACLs of a VPC.
    pub(crate) async fn fetch_network_acls(
        &self,
        vpc: &str,
        deadline: Instant,
    ) -> Gathered<aws::NetworkAcl> {
        self.of_vpc(
            "DescribeNetworkAcls",
            vpc,
            1000,
            deadline,
            security::network_acls,
        )
        .await
    }

    /// Route tables of a VPC.
    pub(crate) async fn fetch_route_tables(
        &self,
        vpc: &str,
        deadline: Instant,
    ) -> Gathered<aws::RouteTable> {
        self.of_vpc("DescribeRouteTables", vpc, 100, deadline, vpc::route_tables)
            .await
    }

    /// VPC endpoints of a VPC.
    pub(crate) async fn fetch_vpc_endpoints(
        &self,
        vpc: &str,
        deadline: Instant,
    ) -> Gathered<aws::VpcEndpoint> {
        self.of_vpc(
            "DescribeVpcEndpoints",
            vpc,
            1000,
            deadline,
            vpc::vpc_endpoints,
        )
        .await
    }

    /// NAT gateways of a VPC, deleted ones of the last hour included.
    pub(crate) async fn fetch_nat_gateways(
        &self,
        vpc: &str,
        deadline: Instant,
    ) -> Gathered<aws::NatGateway> {
        self.of_vpc(
            "DescribeNatGateways",
            vpc,
            1000,
            deadline,
            vpc::nat_gateways,
        )
        .await
    }

    async fn of_vpc<T>(
        &self,
        action: &'static str,
        vpc: &str,
        page: u32,
        deadline: Instant,
        reader: Reader<T>,
    ) -> Gathered<T> {
        let query = Query::new(action).filter("vpc-id", [vpc]).pages_of(page);
        self.list(query, deadline, reader).await
    }

    /// A VPC with its DNS attributes, which are calls of their own.
    pub(crate) async fn fetch_vpcs(&self, vpc: &str, deadline: Instant) -> Gathered<aws::Vpc> {
        let query = Query::new("DescribeVpcs").filter("vpc-id", [vpc]);
        let (mut vpcs, support, hostnames) = tokio::join!(
            self.list(query, deadline, vpc::vpcs),
            self.vpc_attribute(vpc, "enableDnsSupport", deadline),
            self.vpc_attribute(vpc, "enableDnsHostnames", deadline),
        );
        for found in &mut vpcs.items {
            found.enable_dns_support = support.as_ref().ok().copied();
            found.enable_dns_hostnames = hostnames.as_ref().ok().copied();
        }
        for failure in [support.err(), hostnames.err()].into_iter().flatten() {
            vpcs.fail(failure);
        }
        vpcs
    }

    async fn vpc_attribute(
        &self,
        vpc: &str,
        attribute: &'static str,
        deadline: Instant,
    ) -> Result<bool, Failure> {
        let query = Query::new("DescribeVpcAttribute")
            .with("VpcId", vpc)
            .with("Attribute", attribute);
        let call = self.call(query, |root| vpc::vpc_attribute(root, attribute));
        within(deadline, "ec2:DescribeVpcAttribute", call).await
    }

    /// DHCP options by their ids.
    pub(crate) async fn fetch_dhcp_options(
        &self,
        ids: &[String],
        deadline: Instant,
    ) -> Gathered<aws::DhcpOptions> {
        let query = Query::new("DescribeDhcpOptions");
        self.list_any(query, "dhcp-options-id", ids, deadline, vpc::dhcp_options)
            .await
    }

    /// Prefix lists with all their entries. One that could not be read to its end is left out: a part
    /// of it would read as a rule that admits less.
    pub(crate) async fn fetch_prefix_lists(
        &self,
        ids: &[String],
        deadline: Instant,
    ) -> Gathered<aws::PrefixList> {
        let calls = ids.iter().map(|id| {
            let query = Query::new("GetManagedPrefixListEntries")
                .with("PrefixListId", id)
                .pages_of(100);
            self.list(query, deadline, security::prefix_list_entries)
        });
        let answers = side_by_side(AT_ONCE, calls).await;
        let mut lists = Gathered::default();
        if answers.is_empty() {
            lists.add(Ok([]));
        }
        for (id, entries) in ids.iter().zip(answers) {
            lists.add(match entries.failure {
                Some(mut failure) => {
                    failure.detail = format!("{id}: {}", failure.detail);
                    Err(failure)
                }
                None => Ok([aws::PrefixList {
                    prefix_list_id: id.clone(),
                    entries: entries.items,
                }]),
            });
        }
        lists
    }
}
