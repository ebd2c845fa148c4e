//! Owns: the bridge and the network namespaces, and their removal by name. Must not: start anything in them.

use crate::moto::PUBLIC_NETWORKS;
use crate::process::{self, words};
use crate::{Result, ensure};
use rustix::process::Signal;

/// Where the balancers and servers listen: the bridge itself, in the root namespace.
pub const BRIDGE_ADDRESS: &str = "10.77.0.254";
/// All that the lab calls into being begins with this, so that a later lab knows what to remove.
pub const PREFIX: &str = "swl";
/// Marks the routes that a lab adds here.
const ROUTE_MARK: &str = "177";

#[derive(Debug, Clone)]
pub struct Net {
    pub bridge: String,
}

impl Net {
    /// Makes the bridge. Interface names have at most 15 letters: `swl` + 6 of the run id + the host.
    pub fn new(id: &str) -> Result<Self> {
        let routes = words("ip -4 route show 10.77.0.0/24")?;
        ensure!(
            routes.trim().is_empty(),
            "10.77.0.0/24 is already in use here: {routes}"
        );
        let net = Self {
            bridge: format!("{PREFIX}{id}"),
        };
        let bridge = &net.bridge;
        words(&format!("ip link add {bridge} type bridge"))?;
        // A bridge takes the lowest MAC of its ports unless it has one: a port that comes later would change it,
        // and hosts would go on sending to the old one.
        words(&format!("ip link set {bridge} address 02:77:00:00:00:fe"))?;
        words(&format!("ip addr add {BRIDGE_ADDRESS}/24 dev {bridge}"))?;
        words(&format!("ip link set {bridge} up"))?;
        // Should anything ever be sent to an address that moto made up, it goes nowhere.
        for network in PUBLIC_NETWORKS {
            words(&format!("ip route add unreachable {network} proto {ROUTE_MARK}"))?;
        }
        Ok(net)
    }

    /// A namespace of its own with `address` on the bridge. Gives its name.
    pub fn namespace(&self, host: &str, address: &str) -> Result<String> {
        let (bridge, namespace) = (&self.bridge, format!("{}-{host}", self.bridge));
        let port = format!("{bridge}{host}");
        words(&format!("ip netns add {namespace}"))?;
        words(&format!(
            "ip link add {port} type veth peer name eth0 netns {namespace}"
        ))?;
        words(&format!("ip link set {port} master {bridge} up"))?;
        words(&format!("ip -n {namespace} addr add {address}/24 dev eth0"))?;
        words(&format!("ip -n {namespace} link set eth0 up"))?;
        words(&format!("ip -n {namespace} link set lo up"))?;
        Ok(namespace)
    }
}

/// Ends what runs in namespaces of our prefix and removes them and the bridges. `id`: of one lab only.
pub fn remove(id: Option<&str>) -> Result {
    let mine = format!("{PREFIX}{}", id.unwrap_or_default());
    let listed = words("ip netns list")?;
    for namespace in listed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|n| n.starts_with(&mine))
    {
        process::wait_until("a namespace to be empty", std::time::Duration::from_secs(5), || {
            let pids = words(&format!("ip netns pids {namespace}"))?;
            for pid in pids.split_whitespace() {
                let _ = process::signal(pid.parse()?, Signal::KILL);
            }
            Ok(pids.trim().is_empty())
        })?;
        words(&format!("ip netns del {namespace}"))?;
    }
    // Deleting a namespace takes its veth pair along, a moment later.
    for line in words("ip -o link show type bridge")?.lines() {
        let Some(name) = line.split(": ").nth(1) else { continue };
        if name.starts_with(&mine) {
            words(&format!("ip link del {name}"))?;
        }
    }
    words(&format!("ip -4 route flush proto {ROUTE_MARK}"))?;
    Ok(())
}
