//! Go: its program is `go/`, built here by whichever `go` is found. `install.sh` brings one.

use std::{
    env,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::Server;

pub(super) const SERVER: Server = Server {
    name: "go",
    about: "Go, goroutines",
    version,
    prepare,
    many_workers: true,
    serve: |workers| bail!(program(workers)?.arg("serve").exec()),
};

/// The built Go program, to be started or become. `prepare` has built it in the parent process.
pub(crate) fn program(workers: usize) -> Result<Command> {
    let mut program = Command::new(binary()?);
    program.env("GOMAXPROCS", workers.to_string());
    Ok(program)
}

/// Beside this program's own file, so that it is rebuilt and cleaned with it.
fn binary() -> Result<PathBuf> {
    Ok(env::current_exe()?.with_file_name("sedge-compare-go"))
}

fn prepare() -> Result<()> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.as_ref().copied().map_err(|error| anyhow!("{error}"))
}

fn build() -> Result<()> {
    let output = Command::new(find_go()?)
        .args(["build", "-p", "1", "-o"])
        .arg(binary()?)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("go"))
        // Nothing is downloaded: the program has no dependencies, and this go is the one to
        // measure.
        .envs([("GOTOOLCHAIN", "local"), ("GOPROXY", "off"), ("CGO_ENABLED", "0")])
        .output()
        .context("starting go")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "go build failed: {}", said.trim());
    Ok(())
}

fn version() -> Result<String> {
    let output = Command::new(find_go()?).arg("version").output()?;
    let said = String::from_utf8(output.stdout)?;
    let version = said.split_whitespace().nth(2).context("go said no version")?;
    Ok(version.trim_start_matches("go").to_owned())
}

/// `$GO`, what `install.sh` brought, or what is on the path.
fn find_go() -> Result<PathBuf> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/bin/go");
    let on_path = env::var_os("PATH").into_iter().flat_map(|path| {
        env::split_paths(&path).map(|folder| folder.join("go")).collect::<Vec<_>>()
    });
    env::var_os("GO")
        .map(PathBuf::from)
        .into_iter()
        .chain([installed])
        .chain(on_path)
        .find(|path| path.is_file())
        .context("no go was found: run benches/compare/install.sh, or name one in $GO")
}
