//! Clients in Python, by its package `websockets` as Debian has it: of this machine where it is installed,
//! else in the container of `conformance/images/python`.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use super::NotHere;
use super::containers::Image;
use crate::scenario::Stage;

/// Which may have the package: what is found first may be another than the system's.
const INTERPRETERS: [&str; 2] = ["python3", "/usr/bin/python3"];

/// Runs a program of `conformance/images/python` to its end, and gives what it printed.
pub(crate) async fn run(stage: &Stage, program: &str, arguments: &[&str]) -> Result<String> {
    if let Some(interpreter) = interpreter().await {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("images/python");
        let output = Command::new(interpreter)
            .arg(folder.join(program))
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        let (said, wrong) = (output.stdout, String::from_utf8_lossy(&output.stderr));
        ensure!(
            output.status.success(),
            "{program}: {}\n{wrong}",
            output.status
        );
        return String::from_utf8(said).with_context(|| format!("{program} printed no UTF-8"));
    }
    let containers = stage.backends.containers();
    let containers = containers.ok_or(NotHere::Containers("run Python's websockets"))?;
    let program = format!("/srv/{program}");
    let command: Vec<&str> = [&[program.as_str()], arguments].concat();
    containers.run_to_end(Image::Python, &command, "host").await
}

async fn interpreter() -> Option<&'static str> {
    for interpreter in INTERPRETERS {
        let asked = Command::new(interpreter)
            .args(["-c", "import websockets"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if asked.await.is_ok_and(|status| status.success()) {
            return Some(interpreter);
        }
    }
    None
}
