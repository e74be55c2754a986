//! `[nodes.NAME]`.

use std::net::IpAddr;

use super::super::Node;
use super::super::file::{self, File};
use super::super::tree::Path;
use super::report::Report;

/// The nodes whose address is known.
pub(super) fn check(file: &File, report: &mut Report<'_>) -> Vec<Node> {
    let table = Path::default().key("nodes");
    let mut nodes: Vec<Node> = Vec::new();
    for (name, written) in file.nodes.iter() {
        let path = table.key(name);
        report.name(&path, name);
        let (address, interface, priority) = settings(written, &path, report);
        let Some(address) = address else {
            continue;
        };
        if let Some(other) = nodes.iter().find(|other| other.address == address) {
            report.wrong(
                &path.key("address"),
                format!("{address} is the address of node {:?} already", other.name),
                "every node has an address of its own",
            );
        }
        let ranked = |written: &file::Node| written.priority.is_none_or(|value| (1..=255).contains(&value));
        if let Some(other) = nodes.iter().find(|other| other.priority == priority)
            && !file.virtual_routers.is_empty()
            && file.nodes.iter().all(|(_, node)| ranked(node))
        {
            report.warn(
                &path.key("priority"),
                format!(
                    "node {:?} has priority {priority} too; the higher address decides between them",
                    other.name
                ),
                "give each node a priority of its own",
            );
        }
        nodes.push(Node {
            name: name.to_string(),
            address,
            interface,
            priority,
        });
    }
    nodes
}

fn settings(written: &file::Node, path: &Path, report: &mut Report<'_>) -> (Option<IpAddr>, String, u8) {
    let address = match &written.address {
        Some(text) => report.ip(&path.key("address"), text),
        None => {
            report.missing(
                path,
                "address",
                "add the node's own address, such as address = \"211.183.3.251\"",
            );
            None
        }
    };
    match &written.interface {
        Some(name) => report.interface(&path.key("interface"), name),
        None => report.missing(
            path,
            "interface",
            "add the network interface of the address, such as interface = \"ens32\"",
        ),
    }
    let interface = written.interface.clone().unwrap_or_default();
    let priority = report
        .optional_number(&path.key("priority"), written.priority, 1, 255)
        .unwrap_or(100);
    (address, interface, priority)
}
