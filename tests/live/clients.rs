//! Client libraries as programs use them: their connect sequences and real work, from the scripts in `tests/clients`.

use std::path::PathBuf;
use std::process::Command;

use crate::harness::proxy;

/// Where `scripts/test` installs the libraries: beside the build's own files.
pub(crate) fn installed(library: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("clients").join(library);
    assert!(
        directory.is_dir(),
        "{library} is not installed at {}: run scripts/test, which installs it",
        directory.display()
    );
    directory
}

/// Runs a script with the proxy's port; it prints `ok` and nothing else.
fn run(program: &str, script: &str, path: (&str, PathBuf)) {
    let proxy = proxy();
    let output = Command::new(program)
        .arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script))
        .arg(proxy.port())
        .env(path.0, path.1)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; install it"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out == "ok\n", "{script}: {}\n{out}{err}", output.status);
}

#[test]
fn redis_py_connects_and_works_in_both_protocols() {
    run("python3", "redis_py.py", ("PYTHONPATH", installed("python")));
}

#[test]
fn ioredis_connects_and_works_in_both_protocols() {
    run("node", "ioredis.js", ("NODE_PATH", installed("node").join("node_modules")));
}
