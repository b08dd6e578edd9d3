//! `cargo xtask conformance`: upstream's own specs against a cluster of this
//! program. An interrupted run goes on where it stopped.
//!
//! Nothing here changes a spec, runs one twice to make it pass, or leaves one
//! out unsaid.

mod registry;
mod report;
mod specs;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use testkit::{Cluster, Joined};

use crate::images;
use crate::shell::{cache, command, run};
use registry::Registry;
use report::Causes;
use specs::{Outcome, Spec, State};

/// How long a spec may take before it is ended. (Upstream's slowest waits are
/// of 15 minutes.)
const LONGEST: Duration = Duration::from_secs(20 * 60);

#[derive(Args)]
pub struct Options {
    /// Runs the specs whose names this pattern fits, again where they have run.
    #[arg(long)]
    focus: Option<String>,
    /// Runs the specs that this file lists, all of which must pass.
    #[arg(long)]
    list: Option<PathBuf>,
    /// Specs at the same time; those that must be alone are.
    #[arg(long, default_value_t = 4)]
    workers: usize,
    /// Forgets what earlier runs found.
    #[arg(long)]
    fresh: bool,
    /// Writes the report of what was found so far, and runs nothing.
    #[arg(long)]
    report: bool,
}

/// Runs specs; whether all of the list passed, where one was given.
pub fn conformance(root: &Path, options: &Options) -> Result<bool> {
    let place = cache().join("conformance");
    let suite = suite(root, &place)?;
    let all = specs::list(&suite)?;
    // A list's outcomes are its own: they are no part of the report.
    let kept = place.join(if options.list.is_some() { "slice" } else { "run" });
    if options.fresh || options.list.is_some() {
        let _ = std::fs::remove_dir_all(&kept);
    }
    std::fs::create_dir_all(&kept)?;
    let mut outcomes = read(&kept, &all)?;
    if options.focus.is_none() && outcomes.len() == all.len() && !options.report {
        // The last run is complete: this is the next.
        std::fs::remove_dir_all(&kept)?;
        std::fs::create_dir_all(&kept)?;
        outcomes.clear();
    }
    let wanted = wanted(&all, &outcomes, options)?;
    if !options.report {
        let run = Run::start(root, suite, kept)?;
        run.specs(&wanted, options.workers)?;
        outcomes = read(&run.kept, &all)?;
    }
    finish(root, &place, &all, &outcomes, options)
}

/// The specs to run now, in order.
fn wanted(all: &[Spec], outcomes: &BTreeMap<String, Outcome>, options: &Options) -> Result<Vec<Spec>> {
    if let Some(list) = &options.list {
        let names = specs::read_list(list)?;
        let find = |name: &String| {
            all.iter()
                .find(|spec| spec.name == *name)
                .cloned()
                .with_context(|| format!("upstream has no spec {name}"))
        };
        return names.iter().map(find).collect();
    }
    match &options.focus {
        Some(pattern) => {
            let pattern = regex::Regex::new(pattern).context("the focus")?;
            Ok(all.iter().filter(|spec| pattern.is_match(&spec.name)).cloned().collect())
        }
        None => Ok(all.iter().filter(|spec| !outcomes.contains_key(&spec.name)).cloned().collect()),
    }
}

fn finish(
    root: &Path,
    place: &Path,
    all: &[Spec],
    outcomes: &BTreeMap<String, Outcome>,
    options: &Options,
) -> Result<bool> {
    let failed = outcomes.values().filter(|outcome| outcome.state != State::Passed).count();
    if let Some(list) = &options.list {
        let names = specs::read_list(list)?;
        std::fs::write(place.join("slice.xml"), report::junit(outcomes.values()))?;
        let passed = outcomes.len() - failed;
        println!("{passed} passed, {} failed", names.len() - passed);
        return Ok(passed == names.len());
    }
    let causes: Causes = toml::from_str(&std::fs::read_to_string(root.join("conformance/causes.toml"))?)
        .context("conformance/causes.toml")?;
    std::fs::write(root.join("conformance/report.md"), report::markdown(all, outcomes, &causes))?;
    let junit = place.join("junit.xml");
    std::fs::write(&junit, report::junit(outcomes.values()))?;
    println!(
        "{} of {} pass; {failed} do not; conformance/report.md and {}",
        outcomes.len() - failed,
        all.len(),
        junit.display()
    );
    Ok(true)
}

/// Upstream's suite, built where it is not there at this version.
fn suite(root: &Path, place: &Path) -> Result<PathBuf> {
    let module = root.join("conformance");
    let bin = place.join("bin");
    std::fs::create_dir_all(&bin)?;
    let (program, mark) = (bin.join("e2e.test"), bin.join("e2e.test.sum"));
    let sums = std::fs::read_to_string(module.join("go.sum")).context("go.sum")?;
    let sources = std::fs::read_to_string(module.join("go.mod")).context("go.mod")?;
    let flags = linked(&sources).context("go.mod requires no k8s.io/kubernetes")?;
    let wanted = format!("{flags}\n{sums}");
    if program.exists() && std::fs::read_to_string(&mark).is_ok_and(|built| built == wanted) {
        return Ok(program);
    }
    println!("building upstream's e2e.test");
    let mut build = command(&["go", "test", "-c", "-vet=off", "-ldflags", &flags, "-o"]);
    build.arg(&program).arg("k8s.io/kubernetes/test/e2e");
    build.current_dir(&module).env("CGO_ENABLED", "0");
    run(build)?;
    std::fs::write(&mark, wanted)?;
    Ok(program)
}

/// What the linker is told: the suite asks itself of which version it is.
fn linked(sources: &str) -> Option<String> {
    let (_, rest) = sources.split_once("k8s.io/kubernetes v")?;
    let version = rest.split_whitespace().next()?;
    let (major, rest) = version.split_once('.')?;
    let (minor, _) = rest.split_once('.')?;
    let set = |name: &str, value: &str| format!(" -X k8s.io/component-base/version.{name}={value}");
    Some(format!(
        "-s -w{}{}{}",
        set("gitVersion", &format!("v{version}")),
        set("gitMajor", major),
        set("gitMinor", minor)
    ))
}

/// What was found of these specs.
fn read(kept: &Path, all: &[Spec]) -> Result<BTreeMap<String, Outcome>> {
    let mut out = BTreeMap::new();
    for spec in all {
        if let Ok(text) = std::fs::read_to_string(specs::file(kept, &spec.name, "json")) {
            let outcome: Outcome = serde_json::from_str(&text).with_context(|| spec.name.clone())?;
            out.insert(spec.name.clone(), outcome);
        }
    }
    Ok(out)
}

/// A cluster of two nodes, which upstream asks for, with its registry; and
/// where outcomes are kept.
struct Run {
    suite: PathBuf,
    kept: PathBuf,
    // In the order in which they end.
    _registry: Registry,
    _second: Joined,
    cluster: Cluster,
}

impl Run {
    fn start(root: &Path, suite: PathBuf, kept: PathBuf) -> Result<Self> {
        let made = images::make(root)?;
        let mut registry = Registry::prepare(testkit::NODE_ADDRESS)?;
        let mut builder = Cluster::builder().arguments(&[
            "--node-name",
            "first",
            "--pod-cidr",
            "10.42.0.0/17",
            "--cluster-cidr",
            "10.42.0.0/16",
        ]);
        let settings: Vec<(PathBuf, String)> =
            registry.settings().into_iter().map(|(path, text)| (path.into(), text)).collect();
        for (path, text) in &settings {
            builder = builder.file(path, text);
        }
        let cluster = builder.start();
        let second = cluster.join("second", "10.42.128.0/17", &settings);
        registry.start(&cluster)?;
        images::push(&made, registry.address(), &|| registry.curl(&cluster))?;
        Ok(Self { suite, kept, _registry: registry, _second: second, cluster })
    }

    fn specs(&self, wanted: &[Spec], workers: usize) -> Result<()> {
        let (alone, together): (Vec<&Spec>, Vec<&Spec>) = wanted.iter().partition(|spec| spec.alone);
        let done = Mutex::new(0);
        self.some(&together, workers.max(1), &done, wanted.len())?;
        self.some(&alone, 1, &done, wanted.len())
    }

    fn some(&self, specs: &[&Spec], workers: usize, done: &Mutex<usize>, of: usize) -> Result<()> {
        let queue = Mutex::new(specs.iter());
        let next = || queue.lock().ok().and_then(|mut queue| queue.next().copied());
        let work = || -> Result<()> {
            while let Some(spec) = next() {
                let outcome = self.spec(spec)?;
                let Ok(mut done) = done.lock() else { bail!("another worker panicked") };
                *done += 1;
                let state = match outcome.state {
                    State::Passed => "pass",
                    State::Failed => "FAIL",
                    State::Skipped => "skip",
                };
                println!("{:>4}/{of} {state} {:>4.0} s  {}", *done, outcome.seconds, spec.name);
                if outcome.state != State::Passed {
                    println!("          {}", outcome.message.chars().take(300).collect::<String>());
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            for worker in workers {
                worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??;
            }
            Ok(())
        })
    }

    /// Runs one spec to its end, and keeps how it ended.
    #[allow(clippy::disallowed_methods)] // specs run in real time
    fn spec(&self, spec: &Spec) -> Result<Outcome> {
        let log = specs::file(&self.kept, &spec.name, "log");
        let file = std::fs::File::create(&log)?;
        let scratch = tempfile::tempdir()?;
        let mut suite = self.cluster.command("timeout");
        suite
            .args(["--kill-after=10", &LONGEST.as_secs().to_string()])
            .arg(&self.suite)
            .arg(format!("--ginkgo.focus={}", specs::pattern(&spec.name)))
            .args(["--ginkgo.no-color", "--ginkgo.timeout=24h", "--provider=local", "--disable-log-dump"])
            .arg(format!("--kubeconfig={}", self.cluster.kubeconfig().display()))
            .arg(format!("--kubectl-path={}", kubectl()?.display()))
            // Some specs leave folders there.
            .env("TMPDIR", scratch.path())
            .env("HOME", scratch.path())
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .current_dir(scratch.path());
        let start = Instant::now();
        let status = suite.status().context("running e2e.test")?;
        let output = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
        let outcome = specs::outcome(&spec.name, &output, status.success(), start.elapsed().as_secs_f64());
        std::fs::write(specs::file(&self.kept, &spec.name, "json"), serde_json::to_string(&outcome)?)?;
        Ok(outcome)
    }
}

/// The newest kubectl, which `scripts/clients` fetches.
fn kubectl() -> Result<PathBuf> {
    testkit::every_kubectl().into_iter().next().context("scripts/clients fetches kubectl")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_suite_is_linked_with_its_version() {
        let flags = super::linked("require k8s.io/kubernetes v1.37.2 // indirect\n").unwrap();
        assert!(flags.contains("gitVersion=v1.37.2 ") && flags.ends_with("gitMinor=37"), "{flags}");
        assert!(super::linked("module x").is_none());
    }
}
