//! How the shipped bundle fares against the autoscaler that everybody has: `cargo bench --bench tuning`.
//!
//! Recorded and made-up loads, a third of them set aside: no number of the bundle was chosen by what it does to those. For each:
//! minutes in which pods could not bear the load, replica-hours and changes, beside a `HorizontalPodAutoscaler` at 80 % of the
//! request. `-- --param Safeguard/replicas/cooldown_up=1m` plays with another number, `-- --interval 60` with another time
//! between two looks, `-- --with FILE` with documents of the file in place of the shipped ones, `-- --hpa-target 70` beside another autoscaler; `-- --brief` is one line, for sweeps.
//! `-- --flat` plays flat loads with noise instead, on which nothing should change.

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use oprc_crm::backtest::{Assumptions, Bench, ByPolicy, Demand, Figures, Hpa, Recorded, Run, Unit, csv, run};
use oprc_crm::policy::{Bundle, File, Given, Inputs, Policy};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

const START: i64 = 1_767_225_600;
/// The same as a time of a recording.
const FROM: f64 = 1_767_225_600.0;
const STEP: i64 = 30;
const DAY: u32 = 2880;
/// Cores of the highest step of a load: 16 pods at their whole request.
const HIGHEST: f64 = 8.0;
/// Most replicas on both sides.
const MOST: f64 = 40.0;

/// A load, and whether it is set aside.
struct Load {
    aside: bool,
    demand: Demand,
}

/// Noise that is the same each time, within -1 to 1.
fn noise(step: u32, seed: u32) -> f64 {
    let mut bits = step.wrapping_mul(0x9e37_79b9) ^ seed.wrapping_mul(0x85eb_ca6b);
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x2c1b_3c6d);
    bits = (bits ^ (bits >> 12)).wrapping_mul(0x297a_2d39);
    f64::from((bits ^ (bits >> 15)) % 20_001) / 10_000.0 - 1.0
}

/// A made-up load of so many days, by step and step of the day.
fn made(name: &str, aside: bool, days: u32, value: impl Fn(u32, f64) -> f64) -> Load {
    let at = |step: u32| value(step, f64::from(step % DAY) / f64::from(DAY));
    let values: Vec<f64> = (0..days * DAY).map(|step| at(step).max(0.0)).collect();
    let highest = values.iter().copied().fold(0.0, f64::max);
    let values = values.iter().map(|value| Some(value * HIGHEST / highest)).collect();
    Load { aside, demand: Demand { name: name.to_owned(), start: START, step: STEP, values, notes: Vec::new() } }
}

/// A column of a recording under `benches/loads`.
fn recorded(file: &str, column: &str, aside: bool) -> Result<Load, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/loads").join(format!("{file}.csv.gz"));
    let opened = std::fs::File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(opened).read_to_string(&mut text).map_err(|error| error.to_string())?;
    let mut found = csv(text.lines().map(|line| Ok(line.to_owned())), Some(column))?;
    let mut one: Recorded = found.pop().ok_or("no column")?;
    let highest = one.points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    for (at, value) in &mut one.points {
        *at += FROM;
        *value *= HIGHEST / highest;
    }
    one.name = format!("{file} {column}");
    Ok(Load { aside, demand: one.onto(STEP).map_err(|error| error.to_string())? })
}

fn loads() -> Result<Vec<Load>, String> {
    let wave = |day: f64| 0.55 - 0.45 * (day * TAU).cos();
    // A crowd comes within two minutes, four times a day, and goes within half an hour.
    let crowd = |step: u32, every: u32, rise: f64| {
        let since = f64::from(step % every);
        if since < rise { since / rise } else { (1.0 - (since - rise) / 60.0).max(0.0) }
    };
    Ok(vec![
        recorded("alibaba-2018", "cpu", false)?,
        recorded("google-2019", "cpu", false)?,
        made("diurnal", false, 7, |step, day| wave(day) + 0.03 * noise(step, 1)),
        made("flash crowd", false, 7, |step, _| 0.2 + 0.8 * crowd(step, DAY / 4, 4.0) + 0.01 * noise(step, 2)),
        made("saw-tooth", false, 7, |step, _| 0.1 + 0.9 * f64::from(step % 240) / 240.0),
        made("noise", false, 7, |step, _| 0.5 + 0.1 * noise(step, 3)),
        recorded("azure-2019", "cpu", true)?,
        recorded("alibaba-2018", "disk", true)?,
        made("diurnal and crowds", true, 7, |step, day| {
            wave(day) + 0.5 * crowd(step + 777, DAY / 3, 20.0) + 0.05 * noise(step, 4)
        }),
    ])
}

/// What moves a load, by step and a draw within -1 to 1; within -1 to 1.
type Mood = fn(u32, f64) -> f64;

/// Flat loads that move by a fifth: independent from one sample to the next, or up and down in turn. What is wanted on them is that
/// nothing changes once a class has its size.
fn flat() -> Vec<Load> {
    let moods: [(&str, Mood); 3] = [
        ("uniform", |_, drawn| drawn),
        ("coin", |_, drawn| f64::signum(drawn)),
        ("square", |step, _| if step % 2 == 0 { 1.0 } else { -1.0 }),
    ];
    let mut found = Vec::new();
    for (name, mood) in moods {
        for (seed, cores) in (10_u64..).zip([0.3, 0.7, 1.0, 2.0, 3.3, 5.0, 8.0]) {
            let mut random = StdRng::seed_from_u64(seed);
            let value = |step| Some(cores * (1.0 + 0.2 * mood(step, random.random_range(-1.0..1.0))));
            let values = (0..DAY).map(value).collect();
            let name = format!("{name} {cores}");
            found.push(Load {
                aside: false,
                demand: Demand { name, start: START, step: STEP, values, notes: Vec::new() },
            });
        }
    }
    found
}

/// Changes after the first hour, in which a class finds its size.
fn later(run: &Run) -> u32 {
    run.marks.iter().map(|mark| u32::from(mark.at >= START + 3600)).sum()
}

/// What was asked for on the command line.
struct Asked {
    params: BTreeMap<String, Vec<(String, String)>>,
    interval: i64,
    signal_step: Option<String>,
    hpa_target: f64,
    with: Option<String>,
    brief: bool,
    flat: bool,
}

fn asked() -> Result<Asked, String> {
    let mut asked = Asked {
        params: BTreeMap::new(),
        interval: 30,
        signal_step: None,
        hpa_target: 80.0,
        with: None,
        brief: false,
        flat: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut next = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--bench" => {}
            "--brief" => asked.brief = true,
            "--flat" => asked.flat = true,
            "--interval" => asked.interval = next()?.parse().map_err(|_| "--interval: whole seconds".to_owned())?,
            "--hpa-target" => asked.hpa_target = next()?.parse().map_err(|_| "--hpa-target: percent".to_owned())?,
            "--with" => asked.with = Some(next()?),
            "--signal-step" => asked.signal_step = Some(next()?),
            "--param" => {
                let text = next()?;
                let (path, value) = text.split_once('=').ok_or("--param DOCUMENT/NAME/PARAM=VALUE")?;
                let (document, name) = path.rsplit_once('/').ok_or("--param DOCUMENT/NAME/PARAM=VALUE")?;
                asked.params.entry(document.to_owned()).or_default().push((name.to_owned(), value.to_owned()));
            }
            other => {
                return Err(format!(
                    "{other}: --param, --with, --interval, --signal-step, --hpa-target, --flat or --brief"
                ));
            }
        }
    }
    Ok(asked)
}

/// The shipped bundle, with what was asked for in its place.
fn policy(asked: &Asked) -> Result<Policy, String> {
    let mut text =
        "apiVersion: policy.oaas.io/v1alpha1\nkind: Bundle\nmetadata: {name: tried}\nspec:\n  extends: builtin\n"
            .to_owned();
    if !asked.params.is_empty() {
        text.push_str("  params:\n");
    }
    for (document, params) in &asked.params {
        let params: Vec<String> = params.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let _ = writeln!(text, "    {document}: {{{}}}", params.join(", "));
    }
    let mut files = vec![File { name: "tried.yaml".to_owned(), text }];
    if let Some(step) = &asked.signal_step {
        let signals = include_str!("../policies/signals.yaml").replace("step: 30s", &format!("step: {step}"));
        files.push(File { name: "signals.yaml".to_owned(), text: signals });
    }
    if let Some(path) = &asked.with {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        files.push(File { name: "with.yaml".to_owned(), text });
    }
    let bundle = Bundle::over_builtin(&files).map_err(|found| found.to_string())?;
    // The controller's limit is that of the autoscaler beside it.
    let environment = [("OPRC_CRM_LIMITS_MAX_REPLICAS".to_owned(), MOST.to_string())].into();
    let inputs = Inputs { profile: "full".to_owned(), environment };
    bundle.compile(&inputs).map(|(policy, _)| policy).map_err(|found| found.to_string())
}

/// One load under both: the bundle, then the autoscaler.
fn play(asked: &Asked, policy: &Policy, load: &Load) -> Option<(Run, Run)> {
    let assume = Assumptions { most: MOST, ..Assumptions::default() };
    let bench = Bench { policy, profile: "full".to_owned(), given: Given::default(), interval: asked.interval, assume };
    let demand = &load.demand;
    let start = demand.values.iter().flatten().next().map_or(1.0, |cores| (cores / 0.4).ceil().max(1.0));
    let mut ours = ByPolicy::new(&bench, demand.start, start)?;
    let ours = run(demand, Unit::Cores, &assume, (&mut ours, start), false);
    let mut hpa = Hpa::new(asked.hpa_target, assume.cpu_request, (assume.least, assume.most));
    Some((ours, run(demand, Unit::Cores, &assume, (&mut hpa, start), false)))
}

/// No more minutes, at most 97 % of the replica-hours, at most half as many changes again.
fn verdict((ours, hpa): &(Figures, Figures)) -> [bool; 3] {
    [
        ours.violation_minutes <= hpa.violation_minutes,
        ours.replica_hours <= hpa.replica_hours * 0.97,
        f64::from(ours.actuations) <= f64::from(hpa.actuations) * 1.5,
    ]
}

fn main() -> Result<(), String> {
    let asked = asked()?;
    let loads = if asked.flat { flat() } else { loads()? };
    let policy = policy(&asked)?;
    let done: Option<Vec<_>> = loads.par_iter().map(|load| play(&asked, &policy, load)).collect();
    let done = done.ok_or("the signals have no grid")?;
    if asked.flat {
        steady(&loads, &done, asked.brief);
        return Ok(());
    }
    let done: Vec<_> = done.into_iter().map(|(ours, hpa)| (ours.figures, hpa.figures)).collect();
    if asked.brief {
        brief(&loads, &done);
        return Ok(());
    }
    println!("autoscaler at {} %, a look every {} s (* is set aside)", asked.hpa_target, asked.interval);
    println!("{:<24}{:>22}{:>26}{:>20}", "load", "violation min", "replica-hours", "changes");
    for (load, found) in loads.iter().zip(&done) {
        let (ours, hpa) = found;
        let mark = |holds: bool| if holds { ' ' } else { '!' };
        let [minutes, hours, changes] = verdict(found).map(mark);
        println!(
            "{:<22}{:>2}{:>10.1} {:>10.1}{minutes}{:>10.1} {:>8.1} {:>4.0}%{hours}{:>8} {:>6} {:>3.1}x{changes}",
            load.demand.name,
            if load.aside { "*" } else { "" },
            ours.violation_minutes,
            hpa.violation_minutes,
            ours.replica_hours,
            hpa.replica_hours,
            ours.replica_hours / hpa.replica_hours * 100.0,
            ours.actuations,
            hpa.actuations,
            f64::from(ours.actuations) / f64::from(hpa.actuations.max(1)),
        );
    }
    Ok(())
}

/// For each load: minutes as a difference, replica-hours and changes as a share.
fn brief(loads: &[Load], done: &[(Figures, Figures)]) {
    let mut line = String::new();
    for (_, (ours, hpa)) in loads.iter().zip(done).filter(|(load, _)| !load.aside) {
        let minutes = ours.violation_minutes - hpa.violation_minutes;
        let hours = ours.replica_hours / hpa.replica_hours * 100.0;
        let changes = f64::from(ours.actuations) / f64::from(hpa.actuations.max(1));
        let _ = write!(line, "{minutes:>8.1} {hours:>4.0}% {changes:>4.1}x |");
    }
    println!("{line}");
}

/// For each flat load: changes once the class has its size, and what it cost.
fn steady(loads: &[Load], done: &[(Run, Run)], brief: bool) {
    println!("{:<16}{:>22}{:>22}{:>24}", "load", "changes after an hour", "violation min", "replica-hours");
    let mut sum = [0.0; 6];
    for (load, (ours, hpa)) in loads.iter().zip(done) {
        let (mine, theirs) = (&ours.figures, &hpa.figures);
        let row = [
            f64::from(later(ours)),
            f64::from(later(hpa)),
            mine.violation_minutes,
            theirs.violation_minutes,
            mine.replica_hours,
            theirs.replica_hours,
        ];
        sum.iter_mut().zip(row).for_each(|(sum, one)| *sum += one);
        if !brief {
            row_of(&load.demand.name, row);
        }
    }
    row_of("all", sum);
}

fn row_of(name: &str, [mine, theirs, minutes, their_minutes, hours, their_hours]: [f64; 6]) {
    println!("{name:<16}{mine:>12} {theirs:>9}{minutes:>12.1} {their_minutes:>9.1}{hours:>14.1} {their_hours:>9.1}");
}
