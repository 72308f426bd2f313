//! What `/metrics` shows is what `docs/metrics.md` says.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tempfile::tempdir;

use crate::support::{Backends, Gateway, document, eventually, free_port, get};

#[test]
fn every_metric_is_documented_and_no_other() {
    let backends = Backends::named(["one"]);
    let folder = tempdir().unwrap();
    let config = folder.path().join("gateway.json");
    let (port, admin) = (free_port(), free_port());
    // A second member that refuses, so that failures are counted too.
    let refuses = format!("127.0.0.1:{}", free_port()).parse().unwrap();
    fs::write(&config, document(port, &[backends.address(0), refuses])).unwrap();
    let _gateway = Gateway::run(admin, &["--config", config.to_str().unwrap()]);
    get(port, "/");
    let text = eventually("a probe that failed", || {
        let text = get(admin, "/metrics")?.body;
        text.contains("gateway_probe_failures_total{")
            .then_some(text)
    });

    let shown: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|rest| rest.split_once(' '))
        .map(|(name, kind)| match kind {
            "info" => format!("{name}_info"),
            _ => name.to_owned(),
        })
        .collect();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let documented: BTreeSet<String> = fs::read_to_string(page)
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|rest| rest.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(shown, documented);
}
