//! `oprc-crm policy backtest`: what a bundle would have made of a recorded load, beside others.

mod input;
mod prometheus;
mod report;

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::origin::{Origin, Refused};
use crate::backtest::{
    Assumptions, Bench, ByPolicy, Demand, Fixed, Flip, Gate, Hpa, Run, Scaler, Unit, flips, run as play,
};
use crate::config::Profile;
use crate::policy::{Diagnostics, Given, Inputs, Policy};

/// The variable by which a controller has the limit of replicas; bundles read it as a param.
const LIMIT: &str = "OPRC_CRM_LIMITS_MAX_REPLICAS";
/// Utilisation up to which pods are trusted, where a number of replicas has to be guessed from a load.
const TRUSTED: f64 = 0.8;

const EXAMPLES: &str = "\
Examples:
  oprc-crm policy backtest my-policies --load load.csv                  beside an HPA and a number that stays
  oprc-crm policy backtest policies --base git:main --load load.csv.gz  what a pull request changes
  oprc-crm policy backtest --prom-url http://localhost:9090 --query 'sum(rate(container_cpu_usage_seconds_total[1m]))'
  oprc-crm policy backtest policies --base git:main --load load.csv \\
    --fail-on 'candidate.violation_minutes > base.violation_minutes'    a gate: exit 1 where it holds

A load is CSV (a column of times, and one of values for each class; a line of names above) or OpenMetrics text, either one gzipped.
Times are seconds or milliseconds since the epoch, or RFC 3339. It counts cores that the work takes, or with --unit rps requests.

Demand is as recorded, whatever serves it: asked = demand + waiting / seconds, served = min(asked, ready pods * --pod-cores). What
is not served waits, up to --patience * demand; what is beyond is given up. Every assumption is a flag, and is printed.

Exit codes: 0 done, 1 --fail-on holds, 2 it could not be played.";

/// Arguments of `policy backtest`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Directory of the bundle, `builtin`, or git:REVISION[:DIRECTORY]; without it the shipped one.
    #[arg(value_name = "BUNDLE", default_value = "builtin", hide_default_value = true)]
    bundle: Origin,
    /// Recorded load; several are played one after the other. - is the standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "prom_url")]
    load: Vec<String>,
    #[command(flatten)]
    prometheus: prometheus::Args,
    /// Column of a CSV file, or metric of an OpenMetrics one; without it every column, and the only metric.
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// What the load counts.
    #[arg(long, default_value = "cores")]
    unit: UnitName,
    /// Another bundle to compare with; git:REVISION alone is this directory in that revision.
    #[arg(long, value_name = "BUNDLE")]
    base: Option<Origin>,
    /// Profile: dev, edge or full.
    #[arg(short, long, default_value = "full", value_parser = crate::cli::offline::profile)]
    profile: Profile,
    #[command(flatten)]
    assumed: Assumed,
    /// Condition over figures, in CEL, under which it fails: `candidate.replica_hours > hpa.replica_hours * 0.97`.
    #[arg(long, value_name = "CONDITION")]
    fail_on: Vec<String>,
    /// Classes that are played at once; the answer is the same.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// One JSON document instead of the table.
    #[arg(long)]
    json: bool,
    /// Writes a page with charts, which needs nothing else.
    #[arg(long, value_name = "FILE")]
    html: Option<std::path::PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum UnitName {
    /// Cores that the work takes.
    Cores,
    /// Requests a second.
    Rps,
}

/// What is assumed; each is printed.
#[derive(clap::Args)]
struct Assumed {
    /// CPU request of a pod, cores.
    #[arg(long, default_value_t = 0.5, value_parser = positive)]
    cpu_request: f64,
    /// Cores that a pod can use at most; without it its request.
    #[arg(long, value_parser = positive)]
    pod_cores: Option<f64>,
    /// Time from a decision to its pods being ready.
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    start_up: Duration,
    /// How long work waits before it is given up.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    patience: Duration,
    /// Cores that one request a second takes, with --unit rps.
    #[arg(long, default_value_t = 0.001, value_parser = positive)]
    cores_per_rps: f64,
    /// Fewest replicas.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    min_replicas: u32,
    /// Most replicas.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max_replicas: u32,
    /// Time between two looks of the controller; 60s is its own default.
    #[arg(long, default_value = "60s", value_parser = whole_seconds)]
    interval: i64,
    /// Time between two steps of the load.
    #[arg(long, default_value = "30s", value_parser = whole_seconds)]
    step: i64,
    /// Utilisation that the autoscaler keeps, percent of the request.
    #[arg(long, default_value_t = 80.0, value_parser = positive)]
    hpa_target: f64,
    /// Replicas of the number that stays; without it so many that the highest step of each load is borne.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    fixed: Option<u32>,
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err("it must be above 0".to_owned()) }
}

fn whole_seconds(text: &str) -> Result<i64, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let seconds = i64::try_from(duration.as_secs()).ok().filter(|seconds| *seconds > 0 && duration.subsec_nanos() == 0);
    seconds.ok_or_else(|| "it must be of whole seconds, 1s at least".to_owned())
}

/// What was played for one class.
pub(super) struct Played<'a> {
    demand: &'a Demand,
    candidate: Run,
    base: Option<Run>,
    hpa: Run,
    fixed: Run,
    flips: Vec<Flip>,
}

/// A bundle that is compiled.
struct Compiled {
    title: String,
    /// That of the bundle, as `policy show` tells it: the limit of replicas is an assumption and no part of it.
    revision: String,
    policy: Policy,
}

pub(super) fn run(args: &Args) -> ExitCode {
    match backtest(args) {
        Ok(code) => code,
        Err(refused) => {
            // One line, and no verdict about policies: nothing was played.
            let first = refused.to_string();
            crate::cli::complain(format_args!("oprc-crm policy backtest: {}", first.trim_end()));
            ExitCode::from(2)
        }
    }
}

fn backtest(args: &Args) -> Result<ExitCode, Refused> {
    let gates: Result<Vec<Gate>, _> = args.fail_on.iter().map(|text| Gate::new(text)).collect();
    let gates = gates.map_err(|error| Refused::Unreadable(format!("--fail-on: {error}")))?;
    let candidate = compiled("candidate", &args.bundle, args)?;
    let base = args.base.clone().map(|base| compiled("base", &base.beside(&args.bundle), args)).transpose()?;
    let step = args.assumed.step;
    let asked = args.prometheus.recorded(step).map_err(Refused::Unreadable)?;
    let demands =
        input::demands(&args.load, args.column.as_deref(), (asked, step, args.unit())).map_err(Refused::Unreadable)?;
    let played = all(args, &candidate, base.as_ref(), &demands)?;
    let report = report::Report { args, candidate: &candidate, base: base.as_ref(), played: &played };
    if let Some(path) = &args.html {
        std::fs::write(path, report.html())
            .map_err(|error| Refused::Unreadable(format!("{}: {error}", path.display())))?;
    }
    super::print(&if args.json { format!("{:#}\n", report.json()) } else { report.text() });
    let total = report.total();
    let mut code = ExitCode::SUCCESS;
    for gate in &gates {
        let named: Vec<(&str, &crate::backtest::Figures)> = total.iter().map(|(name, one)| (*name, one)).collect();
        let holds = gate.holds(&named).map_err(|error| Refused::Unreadable(format!("--fail-on: {error}")))?;
        if holds {
            crate::cli::complain(format_args!("oprc-crm policy backtest: --fail-on holds: {}", report.of_gate(gate)));
            code = ExitCode::from(1);
        }
    }
    Ok(code)
}

fn compiled(title: &str, origin: &Origin, args: &Args) -> Result<Compiled, Refused> {
    let wrong = |found: &Diagnostics| {
        let first =
            found.0.first().map(|one| format!("{}: {}", one.place(), one.message.lines().next().unwrap_or_default()));
        let first = first.unwrap_or_default();
        Refused::Unreadable(format!("{origin} does not check: {first} (`oprc-crm policy check {origin}` says more)"))
    };
    let bundle = match origin.read() {
        Err(Refused::Wrong(found)) => Err(wrong(&found)),
        other => other,
    }?;
    // One ceiling for everything that is played: a bundle that reads the limit has what the controller would give it.
    let environment = [(LIMIT.to_owned(), args.assumed.max_replicas.to_string())].into();
    let inputs = Inputs { profile: args.profile.name().to_owned(), environment };
    let (policy, _) = bundle.compile(&inputs).map_err(|found| wrong(&found))?;
    Ok(Compiled { title: title.to_owned(), revision: bundle.revision().to_owned(), policy })
}

impl Args {
    fn assumptions(&self) -> Result<Assumptions, Refused> {
        let assumed = &self.assumed;
        let (least, most) = (f64::from(assumed.min_replicas), f64::from(assumed.max_replicas));
        if least > most {
            return Err(Refused::Unreadable(format!("--min-replicas {least} is above --max-replicas {most}")));
        }
        Ok(Assumptions {
            cpu_request: assumed.cpu_request,
            pod_cores: assumed.pod_cores.unwrap_or(assumed.cpu_request),
            start_up: i64::try_from(assumed.start_up.as_secs()).unwrap_or(i64::MAX),
            patience: assumed.patience.as_secs_f64(),
            cores_per_rps: assumed.cores_per_rps,
            least,
            most,
        })
    }

    fn unit(&self) -> Unit {
        match self.unit {
            UnitName::Cores => Unit::Cores,
            UnitName::Rps => Unit::Rps,
        }
    }
}

/// Plays every class, a few at once; the order of the answer is that of the loads.
fn all<'a>(
    args: &Args,
    candidate: &Compiled,
    base: Option<&Compiled>,
    demands: &'a [Demand],
) -> Result<Vec<Played<'a>>, Refused> {
    let assume = args.assumptions()?;
    let interval = args.assumed.interval;
    let threads = args.threads.map_or(0, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| Refused::Unreadable(format!("threads can't be started: {error}")))?;
    let progress = Progress::new(demands.len());
    let play = |demand| {
        let played = one(args, &assume, interval, (candidate, base), demand);
        progress.step();
        played
    };
    let played = pool.install(|| demands.par_iter().map(play).collect());
    progress.end();
    played
}

/// Plays one class under everything that decides.
fn one<'a>(
    args: &Args,
    assume: &Assumptions,
    interval: i64,
    (candidate, base): (&Compiled, Option<&Compiled>),
    demand: &'a Demand,
) -> Result<Played<'a>, Refused> {
    let cores = |value: &f64| if args.unit() == Unit::Rps { value * assume.cores_per_rps } else { *value };
    let enough = |cores: f64| (cores / (assume.cpu_request * TRUSTED)).ceil().clamp(assume.least, assume.most);
    let mut known = demand.values.iter().flatten();
    let start = enough(known.next().map_or(0.0, cores));
    let highest = demand.values.iter().flatten().map(cores).fold(0.0, f64::max);
    let kept = args.html.is_some();
    let by_policy = |compiled: &Compiled| {
        let bench = Bench {
            policy: &compiled.policy,
            profile: args.profile.name().to_owned(),
            given: Given::default(),
            interval,
            assume: *assume,
        };
        let mut scaler = ByPolicy::new(&bench, demand.start, start)
            .ok_or_else(|| Refused::Unreadable(format!("{}: no grid has the step of its signals", compiled.title)))?;
        Ok::<Run, Refused>(play(demand, args.unit(), assume, (&mut scaler, start), kept))
    };
    let by = |scaler: &mut dyn Scaler, start| play(demand, args.unit(), assume, (scaler, start), kept);
    let candidate = by_policy(candidate)?;
    let base = base.map(by_policy).transpose()?;
    let bounds = (assume.least, assume.most);
    let hpa = by(&mut Hpa::new(args.assumed.hpa_target, assume.cpu_request, bounds), start);
    let fixed = args.assumed.fixed.map_or_else(|| enough(highest), f64::from);
    let fixed = by(&mut Fixed(fixed), fixed);
    let flips = base.as_ref().map(|base| flips(base, &candidate)).unwrap_or_default();
    Ok(Played { demand, candidate, base, hpa, fixed, flips })
}

/// How far it is, on a terminal and where there are several classes.
struct Progress {
    of: usize,
    done: AtomicUsize,
}

impl Progress {
    fn new(of: usize) -> Self {
        use std::io::IsTerminal as _;
        Self { of: if std::io::stderr().is_terminal() && of > 1 { of } else { 0 }, done: AtomicUsize::new(0) }
    }

    fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if self.of > 0 {
            eprint!("\r{}", bar(done, self.of));
        }
    }

    fn end(&self) {
        if self.of > 0 {
            eprint!("\r\x1b[K");
        }
    }
}

/// So many of all, as a bar and as numbers.
fn bar(done: usize, of: usize) -> String {
    const WIDTH: usize = 30;
    let full = (done.min(of) * WIDTH).checked_div(of).unwrap_or(WIDTH);
    format!("[{}{}] {done} of {of} classes", "#".repeat(full), "-".repeat(WIDTH - full))
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn the_bar_is_as_long_as_what_is_done() {
        assert_eq!(bar(0, 7), "[------------------------------] 0 of 7 classes");
        assert_eq!(bar(3, 7), "[############------------------] 3 of 7 classes");
        assert_eq!(bar(7, 7), "[##############################] 7 of 7 classes");
    }
}
