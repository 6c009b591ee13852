//! `slotway doctor SEEDS`: what stands between an application and the cluster.

use std::io::Write as _;
use std::sync::Arc;

use super::failure::{Failure, print};
use super::settings::Settings;
use crate::doctor::{self, Finding, Grade};
use crate::net::Net;
use crate::net::tcp::Tcp;
use crate::net::tls::{Nodes, Secured};

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Nodes to ask, as for --seeds; without any, those of the configuration
    #[arg(value_name = "SEEDS", value_delimiter = ',')]
    nodes: Vec<String>,
    #[command(flatten)]
    settings: Settings,
}

/// Looks, tells, and fails if something is bad.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut settings = args.settings.clone();
    settings.seeds.extend(args.nodes.iter().cloned());
    let config = settings.load(true)?.config;
    let mut net: Arc<dyn Net> = Arc::new(Tcp);
    if config.cluster.tls.on {
        let nodes = Nodes::new(&config.cluster.tls);
        let nodes = nodes.map_err(|unfit| Failure::Runtime(format!("{unfit}; {}", unfit.instead)))?;
        net = Arc::new(Secured::new(net, Arc::new(nodes)));
    }
    let options = doctor::Options {
        seeds: config.cluster.seeds,
        credentials: config.backend.credentials,
        timeout: config.backend.connect_timeout,
        tls: config.cluster.tls.on,
    };
    // A reader that is gone changes nothing about what is found.
    let mut tell = |finding: &Finding| drop(writeln!(std::io::stdout(), "{finding}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let findings = runtime.block_on(doctor::examine(&*net, &options, &mut tell));
    let count = |grade| findings.iter().filter(|finding| finding.grade == grade).count();
    let (bad, warnings) = (count(Grade::Bad), count(Grade::Warning));
    if bad > 0 {
        return Err(Failure::Runtime(format!("{bad} bad findings, {warnings} warnings")));
    }
    print(format!("\nnothing bad, {warnings} warnings\n").as_bytes())
}
