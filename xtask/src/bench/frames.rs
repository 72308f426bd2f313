//! What following frames costs: CPU time per message with `"frames": "Tracked"`, the default, against
//! `"Opaque"`, by turns on the same backend.

use std::path::Path;

use anyhow::Result;

use super::cores::Cores;
use super::load;
use super::proxies::{Kind, Proxy};
use super::{Options, Tools, start_backend};

/// Bytes of payload; the last is the most that a frame with a short length has.
const SIZES: [u16; 2] = [128, u16::MAX];

/// Measures both by turns; the table as Markdown.
pub(super) fn measure(
    options: &Options,
    tools: &Tools,
    gateway: &Path,
    cores: &Cores,
) -> Result<String> {
    let backend = start_backend(tools, cores)?;
    let start = |kind| Proxy::start(kind, gateway, backend.port, cores);
    let proxies = [start(Kind::Gateway)?, start(Kind::Opaque)?];
    let mut table = format!(
        "{} rounds of {} s, {} connections.\n\n\
         | bytes | Tracked, us/message | Opaque, us/message | ratio |\n|---:|---:|---:|---:|\n",
        options.rounds, options.seconds, options.connections,
    );
    for size in SIZES {
        let mut rounds = Vec::new();
        for round in 0..=options.rounds {
            let mut micros = [0.0; 2];
            for (proxy, micros) in proxies.iter().zip(&mut micros) {
                let sample = load::websocket(proxy, &tools.websocket_load, size, options, cores)?;
                *micros = sample.cpu_micros;
            }
            println!("round {round}  {size} bytes  {micros:.2?} us CPU each");
            // The first round warms up.
            if round > 0 {
                rounds.push(micros);
            }
        }
        let [tracked, opaque] = [0, 1].map(|of| median(rounds.iter().map(|micros| micros[of])));
        let ratio = median(rounds.iter().map(|[tracked, opaque]| tracked / opaque));
        table += &format!("| {size} | {tracked:.2} | {opaque:.2} | {ratio:.3} |\n");
    }
    Ok(table)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
