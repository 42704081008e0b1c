//! `oprc-crm policy backtest`: what a bundle would have made of a recorded load, beside others.

mod assumed;
mod chart;
mod input;
mod progress;
mod prometheus;
mod report;
mod unplayed;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::origin::{Origin, Refused};
use crate::backtest::{
    Bench, ByPolicy, Demand, Figures, Fixed, Flip, Gate, Hpa, Outcome, Run, Scaler, Unit, flips, run as play,
};
use crate::config::Profile;
use crate::policy::{Bundle, Diagnostics, Given, Inputs, Policy};
use assumed::{Assumed, Guessed};
use chart::Chart;
use progress::Progress;

/// The variable by which a controller has the limit of replicas; bundles read it as a param.
const LIMIT: &str = "OPRC_CRM_LIMITS_MAX_REPLICAS";

const EXAMPLES: &str = "\
Examples:
  oprc-crm policy backtest my-policies --load load.csv                  beside an HPA and a number that stays
  oprc-crm policy backtest policies --base git:main --load load.csv.gz  what a pull request changes
  oprc-crm policy backtest --prom-url http://localhost:9090 --query 'sum(rate(container_cpu_usage_seconds_total[1m]))'
  oprc-crm policy backtest policies --base git:main --load load.csv \\
    --fail-on 'candidate.violation_minutes > base.violation_minutes'    a gate: exit 1 where it holds

A load is CSV (a column of times, and one of values for each class; a line of names above) or OpenMetrics text, either one gzipped.
What its names say that they count must be what is played: cores, or with --unit rps requests; counters are for OpenMetrics.
Times are seconds or milliseconds since the epoch, or RFC 3339. It counts cores that the work takes, or with --unit rps requests.

Demand is as recorded, whatever serves it: asked = demand + waiting / seconds, served = min(asked, ready pods * --pod-cores). What
is not served waits, up to --patience * capacity; what is beyond is given up. Every assumption is a flag, and is printed.

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
    /// Condition over figures, in CEL, under which it fails: `candidate.replica_hours > hpa.replica_hours * 0.97`. With `worst_`
    /// before its name a figure is that of the class in which it is highest.
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

/// What was played for one class; of its steps no more is kept than a chart shows.
struct Played {
    name: String,
    notes: Vec<String>,
    minutes: i64,
    guessed: Guessed,
    /// What decided, by the names that a gate uses.
    sides: Vec<Side>,
    flips: Vec<Flip>,
}

/// One that decided over one class.
struct Side {
    name: &'static str,
    figures: Figures,
    chart: Option<Chart>,
}

/// A bundle that is compiled.
struct Compiled {
    title: String,
    /// That of the bundle, as `policy show` tells it: the limit of replicas is an assumption and no part of it.
    revision: String,
    bundle: Bundle,
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
    args.check().map_err(Refused::Unreadable)?;
    // Before anything is played it is known that the conditions can be asked.
    let sides = ["candidate", "hpa", "fixed"].into_iter().chain(args.base.is_some().then_some("base"));
    let sides: Vec<&str> = sides.collect();
    let unfit = |error: crate::backtest::GateError| Refused::Unreadable(format!("--fail-on: {error}"));
    let gates =
        args.fail_on.iter().map(|text| Gate::new(text, &sides)).collect::<Result<Vec<_>, _>>().map_err(unfit)?;
    let candidate = compiled("candidate", &args.bundle, args)?;
    let base = args.base.clone().map(|base| compiled("base", &base.beside(&args.bundle), args)).transpose()?;
    let unplayed = unplayed::told(&candidate, base.as_ref(), args.unit()).map_err(Refused::Wrong)?;
    let played = all(args, &candidate, base.as_ref(), loads(args)?)?;
    let (candidate, base) = (&candidate, base.as_ref());
    let mut report = report::Report { args, candidate, base, played, unplayed, gates: Vec::new() };
    let asked = gates.into_iter().map(|gate| gate.ask(&report.figures()).map(|outcome| (gate, outcome)));
    report.gates = asked.collect::<Result<Vec<(Gate, Outcome)>, _>>().map_err(unfit)?;
    if let Some(path) = &args.html {
        page(path, &report).map_err(|error| Refused::Unreadable(format!("{}: {error}", path.display())))?;
    }
    let text = if args.json { format!("{:#}\n", report.json()) } else { report.text() };
    super::written(&text).map_err(|error| Refused::Unreadable(format!("the answer can't be written: {error}")))?;
    let mut code = ExitCode::SUCCESS;
    for (gate, outcome) in report.gates.iter().filter(|(_, outcome)| outcome.holds) {
        let told = report::of_gate(gate, outcome);
        crate::cli::complain(format_args!("oprc-crm policy backtest: --fail-on holds: {told}"));
        code = ExitCode::from(1);
    }
    Ok(code)
}

fn page(path: &Path, report: &report::Report<'_>) -> io::Result<()> {
    let mut out = io::BufWriter::new(std::fs::File::create(path)?);
    report.html(&mut out)?;
    out.flush()
}

fn loads(args: &Args) -> Result<Vec<Demand>, Refused> {
    let step = args.assumed.step;
    let asked = args.prometheus.recorded(step, args.unit()).map_err(Refused::Unreadable)?;
    input::demands(&args.load, args.column.as_deref(), (asked, step, args.unit())).map_err(Refused::Unreadable)
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
    let revision = bundle.revision().to_owned();
    Ok(Compiled { title: title.to_owned(), revision, bundle, policy })
}

impl Args {
    fn unit(&self) -> Unit {
        match self.unit {
            UnitName::Cores => Unit::Cores,
            UnitName::Rps => Unit::Rps,
        }
    }

    /// What contradicts another flag or does nothing beside it, in one line.
    fn check(&self) -> Result<(), String> {
        if self.column.is_some() && self.load.is_empty() {
            return Err("--column does nothing without --load".to_owned());
        }
        if let (Some(Origin::Git { revision, path: None }), Origin::Builtin) = (&self.base, &self.bundle) {
            let what = "the shipped bundle is in no directory; name the directory of a bundle as BUNDLE, or";
            return Err(format!("--base git:{revision}: {what} git:{revision}:DIRECTORY"));
        }
        self.prometheus.check()?;
        self.assumed.check(self.unit())
    }
}

/// Plays every class, a few at once; the order of the answer is that of the loads.
fn all(
    args: &Args,
    candidate: &Compiled,
    base: Option<&Compiled>,
    demands: Vec<Demand>,
) -> Result<Vec<Played>, Refused> {
    let threads = args.threads.map_or(0, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| Refused::Unreadable(format!("threads can't be started: {error}")))?;
    let progress = Progress::new(demands.len());
    let play = |demand| {
        let played = one(args, (candidate, base), demand);
        progress.step();
        played
    };
    let played = pool.install(|| demands.into_par_iter().map(play).collect());
    progress.end();
    played
}

/// Plays one class under everything that decides.
fn one(args: &Args, (candidate, base): (&Compiled, Option<&Compiled>), demand: Demand) -> Result<Played, Refused> {
    let assume = args.assumed.plant();
    let cores = |value: &f64| if args.unit() == Unit::Rps { value * assume.cores_per_rps } else { *value };
    let mut known = demand.values.iter().flatten().map(cores).peekable();
    let guessed = args.assumed.guessed(known.peek().copied().unwrap_or(0.0), known.fold(0.0, f64::max));
    let by = |scaler: &mut dyn Scaler, start| play(&demand, args.unit(), &assume, (scaler, start), args.html.is_some());
    let by_policy = |compiled: &Compiled| {
        let bench = Bench {
            policy: &compiled.policy,
            profile: args.profile.name().to_owned(),
            given: Given::default(),
            interval: args.assumed.interval,
            assume,
        };
        let mut scaler = ByPolicy::new(&bench, demand.start, guessed.start)
            .ok_or_else(|| Refused::Unreadable(format!("{}: no grid has the step of its signals", compiled.title)))?;
        Ok::<Run, Refused>(by(&mut scaler, guessed.start))
    };
    let mut sides = Vec::new();
    // The steps of one run are dropped before those of the next are there.
    let mut keep = |name, mut run: Run| {
        let chart = args.html.is_some().then(|| Chart::of(&mut run));
        sides.push(Side { name, figures: run.figures, chart });
        run
    };
    let candidate = keep("candidate", by_policy(candidate)?);
    let flips = match base {
        Some(base) => flips(&keep("base", by_policy(base)?), &candidate),
        None => Vec::new(),
    };
    let mut hpa = Hpa::new(args.assumed.hpa_target, assume.cpu_request, (assume.least, assume.most));
    keep("hpa", by(&mut hpa, guessed.start));
    keep("fixed", by(&mut Fixed(guessed.fixed), guessed.fixed));
    let minutes = (demand.end() - demand.start) / 60;
    let mut notes = demand.notes;
    notes.extend(guessed.note());
    Ok(Played { name: demand.name, notes, minutes, guessed, sides, flips })
}
