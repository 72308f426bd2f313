//! Which crate may import which, and what else may come in.
//!
//! The edges are the architecture: downwards, never sideways (ARCHITECTURE.md).

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use crate::shell;

/// Each crate of the workspace with those of the workspace that it may import.
const EDGES: &[(&str, &[&str])] = &[
    ("gateway-core", &[]),
    ("gateway-net", &["gateway-core"]),
    ("gateway-proxy", &["gateway-core", "gateway-net"]),
    ("gateway-probe", &["gateway-core", "gateway-net"]),
    ("gateway-admin", &["gateway-core"]),
    (
        "gateway",
        &[
            "gateway-core",
            "gateway-net",
            "gateway-proxy",
            "gateway-probe",
            "gateway-admin",
            "test-backend",
        ],
    ),
    ("test-backend", &[]),
    ("conformance", &[]),
    ("xtask", &[]),
];

/// What the pure core must never see, directly or through others.
const NOT_IN_CORE: &[&str] = &["tokio", "hyper", "axum", "rustls", "socket2", "mio"];

pub(crate) fn check() -> Result<()> {
    let metadata = MetadataCommand::new().current_dir(shell::root()).exec()?;
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        check_edges(package, &mut wrong);
    }
    check_core(&metadata, &mut wrong);
    if !wrong.is_empty() {
        bail!("import rules are broken:\n  {}", wrong.join("\n  "));
    }
    deny()
}

fn check_edges(package: &Package, wrong: &mut Vec<String>) {
    let Some((_, allowed)) = EDGES
        .iter()
        .find(|(name, _)| *name == package.name.as_str())
    else {
        wrong.push(format!(
            "{} has no row in the table of edges (xtask/src/deps.rs)",
            package.name
        ));
        return;
    };
    for dependency in &package.dependencies {
        let ours = EDGES.iter().any(|(name, _)| *name == dependency.name);
        if ours
            && dependency.kind == DependencyKind::Normal
            && !allowed.contains(&dependency.name.as_str())
        {
            wrong.push(format!(
                "{} must not import {}",
                package.name, dependency.name
            ));
        }
    }
}

fn check_core(metadata: &Metadata, wrong: &mut Vec<String>) {
    let Some(resolve) = &metadata.resolve else {
        return;
    };
    let Some(core) = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == "gateway-core")
    else {
        wrong.push("gateway-core is gone".into());
        return;
    };
    let mut seen = BTreeSet::new();
    let mut open = vec![core.id.clone()];
    while let Some(id) = open.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        let package = &metadata[&id];
        if NOT_IN_CORE.contains(&package.name.as_str()) {
            wrong.push(format!(
                "gateway-core reaches {}: it has no runtime and no sockets",
                package.name
            ));
        }
        let node = resolve.nodes.iter().find(|node| node.id == id);
        for dependency in node.into_iter().flat_map(|node| &node.deps) {
            if dependency
                .dep_kinds
                .iter()
                .any(|kind| kind.kind == DependencyKind::Normal)
            {
                open.push(dependency.pkg.clone());
            }
        }
    }
}

/// Licences, sources and duplicates, by cargo-deny and `deny.toml`. In CI it is built where it is
/// missing; elsewhere a line says that it was left out. Advisories need a database from the network
/// and are not part of this.
fn deny() -> Result<()> {
    let tools = shell::target_directory().join("tools");
    let built = tools.join("bin/cargo-deny");
    if !shell::is_installed("cargo-deny") && !built.is_file() {
        if !shell::is_ci() {
            println!("left out: licences and duplicates (cargo install cargo-deny)");
            return Ok(());
        }
        let arguments = [
            "install",
            "cargo-deny",
            "--version",
            "0.20.2",
            "--locked",
            "--debug",
            "--root",
        ];
        shell::run(shell::cargo().args(arguments).arg(&tools))?;
    }
    let program = if built.is_file() {
        built.into_os_string()
    } else {
        "cargo-deny".into()
    };
    shell::run(shell::command(program).args([
        "--log-level",
        "error",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))
}
