//! How fast loads are played: `cargo bench --bench backtest`.
//!
//! 14 days of 100 classes at 30 s through the shipped bundle, on all cores, beside the autoscaler over the same loads.

use std::time::Instant;

use oprc_crm::backtest::{Assumptions, Bench, ByPolicy, Demand, Hpa, Unit, run};
use oprc_crm::policy::{Given, Inputs, Policy};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

const CLASSES: u32 = 100;
const STEPS: u32 = 14 * 24 * 120;
/// Sixteen bytes a step of all loads, and as much again for everything else: a run keeps figures, not steps.
const MOST_MIB: f64 = 2.0 * 16.0 * CLASSES as f64 * STEPS as f64 / 1_048_576.0;
const START: i64 = 1_767_225_600;

/// A day's wave with noise that is the same each time, another for each class.
fn load(class: u32) -> Demand {
    let value = |step: u32| {
        let day = f64::from(step) / 2880.0 * std::f64::consts::TAU + f64::from(class);
        let noise = f64::from((step.wrapping_mul(2_654_435_761) ^ class.wrapping_mul(40_503)) % 1000) / 5000.0;
        Some(1.8 + 1.4 * day.sin() + noise)
    };
    Demand {
        name: format!("class-{class}"),
        start: START,
        step: 30,
        values: (0..STEPS).map(value).collect(),
        notes: Vec::new(),
    }
}

/// Seconds that it takes to play every load, a few at once, and what they come to.
fn play(loads: &[Demand], one: impl Fn(&Demand) -> u32 + Sync) -> (f64, usize) {
    let begun = Instant::now();
    let changes = loads.par_iter().map(|load| one(load) as usize).sum();
    (begun.elapsed().as_secs_f64(), changes)
}

fn main() -> Result<(), String> {
    let loads: Vec<Demand> = (0..CLASSES).map(load).collect();
    let assume = Assumptions::default();
    let policy = Policy::builtin(&Inputs { profile: "full".to_owned(), ..Inputs::default() });
    let policy = policy.map_err(|found| found.to_string())?;
    let bench = Bench { policy: &policy, profile: "full".to_owned(), given: Given::default(), interval: 30, assume };
    let (by_policy, changes) = play(&loads, |load| {
        ByPolicy::new(&bench, load.start, 2.0)
            .map_or(0, |mut scaler| run(load, Unit::Cores, &assume, (&mut scaler, 2.0), false).figures.actuations)
    });
    let (by_hpa, of_hpa) = play(&loads, |load| {
        let mut scaler = Hpa::new(80.0, assume.cpu_request, (1.0, 20.0));
        run(load, Unit::Cores, &assume, (&mut scaler, 2.0), false).figures.actuations
    });
    let decisions = f64::from(CLASSES) * f64::from(STEPS);
    println!("{CLASSES} classes, {STEPS} steps each      seconds   us a decision   changes   (target: under 10 s)");
    println!("  shipped bundle               {by_policy:>9.2} {:>15.2} {changes:>9}", by_policy / decisions * 1e6);
    println!("  autoscaler                   {by_hpa:>9.2} {:>15.2} {of_hpa:>9}", by_hpa / decisions * 1e6);
    let peak = peak_mib()?;
    println!(
        "  memory at its highest        {peak:>9.1} MiB   (at most {MOST_MIB:.0}: the loads, and what does not grow)"
    );
    if peak > MOST_MIB { Err(format!("{peak} MiB were held, {MOST_MIB} are the bound")) } else { Ok(()) }
}

/// Most memory that this process ever held, MiB.
fn peak_mib() -> Result<f64, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
    peak.map(|kib: f64| kib / 1024.0).ok_or_else(|| "no VmHWM in /proc/self/status".to_owned())
}
