//! What is assumed: a flag for each number, and how all of them are told.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Args;
use crate::backtest::{Assumptions, Hpa, Unit};

/// Longest length of time that a flag takes, seconds.
const DAY: u64 = 86_400;
/// Largest number that a flag takes.
const MOST: f64 = 1e6;

/// What is assumed; each is printed.
#[derive(clap::Args)]
pub(super) struct Assumed {
    /// CPU request of a pod, cores.
    #[arg(long, default_value_t = 0.5, value_parser = positive)]
    cpu_request: f64,
    /// Cores that a pod can use at most; without it its request.
    #[arg(long, value_parser = positive)]
    pod_cores: Option<f64>,
    /// Time from a decision to its pods being ready.
    #[arg(long, default_value = "30s", value_parser = seconds_or_none)]
    start_up: i64,
    /// How long work waits before it is given up.
    #[arg(long, default_value = "60s", value_parser = seconds_or_none)]
    patience: i64,
    /// Cores that one request a second takes, with --unit rps; without it 0.001.
    #[arg(long, value_parser = positive)]
    cores_per_rps: Option<f64>,
    /// Fewest replicas.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    min_replicas: u32,
    /// Most replicas, for everything that is played: bundles have it as OPRC_CRM_LIMITS_MAX_REPLICAS.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) max_replicas: u32,
    /// Time between two looks of the controller; 60s is its own default.
    #[arg(long, default_value = "60s", value_parser = seconds)]
    pub(super) interval: i64,
    /// Time between two steps of the load.
    #[arg(long, default_value = "30s", value_parser = seconds)]
    pub(super) step: i64,
    /// Utilisation that the autoscaler keeps, percent of the request.
    #[arg(long, default_value_t = 80.0, value_parser = positive)]
    pub(super) hpa_target: f64,
    /// Replicas of the number that stays; without it so many that the highest step of each load takes --trusted-utilisation of
    /// what they can use.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    fixed: Option<u32>,
    /// Utilisation up to which pods are trusted, percent, where a number of them has to be guessed: what stays, and what there
    /// is at the start, where the first step takes so much of their requests.
    #[arg(long, default_value_t = 80.0, value_parser = share)]
    trusted_utilisation: f64,
}

/// Numbers of replicas that follow from a load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Guessed {
    /// At the start of all but the number that stays.
    pub(super) start: f64,
    /// The number that stays.
    pub(super) fixed: f64,
    /// What the number that stays would be without --max-replicas, where that is more.
    pub(super) wanted: Option<f64>,
}

impl Guessed {
    /// What its reader should know: the number that stays is none that bears its load.
    pub(super) fn note(&self) -> Option<String> {
        let (wanted, fixed) = (self.wanted?, self.fixed);
        Some(format!(
            "{wanted} replicas would bear its highest step; the number that stays is {fixed}, by --max-replicas"
        ))
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if number > 0.0 && number <= MOST {
        Ok(number)
    } else {
        Err(format!("it must be above 0, and no more than {MOST}"))
    }
}

fn share(text: &str) -> Result<f64, String> {
    positive(text)
        .ok()
        .filter(|percent| *percent <= 100.0)
        .ok_or_else(|| "it must be above 0, and no more than 100".to_owned())
}

/// Whole seconds, from 1s to 1d.
fn seconds(text: &str) -> Result<i64, String> {
    whole(text).filter(|seconds| *seconds > 0).ok_or_else(|| "it must be whole seconds, from 1s to 1d".to_owned())
}

/// Whole seconds, from 0s to 1d.
fn seconds_or_none(text: &str) -> Result<i64, String> {
    whole(text).ok_or_else(|| "it must be whole seconds, from 0s to 1d".to_owned())
}

fn whole(text: &str) -> Option<i64> {
    let length = humantime::parse_duration(text).ok()?;
    let is_fine = length.subsec_nanos() == 0 && length.as_secs() <= DAY;
    i64::try_from(length.as_secs()).ok().filter(|_| is_fine)
}

fn time(seconds: i64) -> String {
    humantime::format_duration(Duration::from_secs(seconds.unsigned_abs())).to_string()
}

impl Assumed {
    /// What contradicts another flag or does nothing beside it, in one line.
    pub(super) fn check(&self, unit: Unit) -> Result<(), String> {
        let (least, most) = (self.min_replicas, self.max_replicas);
        if least > most {
            return Err(format!("--min-replicas {least} is above --max-replicas {most}"));
        }
        if let Some(fixed) = self.fixed.filter(|fixed| *fixed > most) {
            return Err(format!("--fixed {fixed} is above --max-replicas {most}; all sides have one limit"));
        }
        if self.cores_per_rps.is_some() && unit == Unit::Cores {
            return Err("--cores-per-rps does nothing without --unit rps".to_owned());
        }
        Ok(())
    }

    /// The numbers of the plant.
    #[expect(clippy::cast_precision_loss, reason = "no more seconds than a day has")]
    pub(super) fn plant(&self) -> Assumptions {
        Assumptions {
            cpu_request: self.cpu_request,
            pod_cores: self.pod_cores.unwrap_or(self.cpu_request),
            start_up: self.start_up,
            patience: self.patience as f64,
            cores_per_rps: self.cores_per_rps.unwrap_or(Assumptions::default().cores_per_rps),
            least: f64::from(self.min_replicas),
            most: f64::from(self.max_replicas),
        }
    }

    /// What is guessed of a load, cores at its first and at its highest step.
    pub(super) fn guessed(&self, first: f64, highest: f64) -> Guessed {
        let (assume, trusted) = (self.plant(), self.trusted_utilisation / 100.0);
        // A hair less, so that what binary fractions add makes no pod.
        let enough = |cores: f64, a_pod: f64| (cores / (a_pod * trusted) - 1e-9).ceil();
        let within = |replicas: f64| replicas.clamp(assume.least, assume.most);
        let wanted = enough(highest, assume.pod_cores);
        Guessed {
            start: within(enough(first, assume.cpu_request)),
            fixed: self.fixed.map_or_else(|| within(wanted), f64::from),
            wanted: Some(wanted).filter(|wanted| self.fixed.is_none() && *wanted > assume.most),
        }
    }
}

impl Args {
    /// Every assumption by its name, as a number where it is one.
    pub(super) fn assumed_values(&self) -> Map<String, Value> {
        let one = &self.assumed;
        let plant = one.plant();
        let mut all = json!({
            "profile": self.profile.name(), "unit": self.unit_flag(),
            "cpu_request": plant.cpu_request, "pod_cores": plant.pod_cores,
            "start_up_seconds": one.start_up, "patience_seconds": one.patience,
            "min_replicas": one.min_replicas, "max_replicas": one.max_replicas,
            "interval_seconds": one.interval, "step_seconds": one.step,
            "trusted_utilisation_percent": one.trusted_utilisation, "hpa_target_percent": one.hpa_target,
        });
        let more = Hpa::DEFAULTS.iter().map(|(name, number, _)| ((*name).to_owned(), json!(number)));
        let rps = (self.unit() == Unit::Rps).then(|| ("cores_per_rps".to_owned(), json!(plant.cores_per_rps)));
        all.as_object_mut().map(std::mem::take).unwrap_or_default().into_iter().chain(more).chain(rps).collect()
    }

    /// Every assumption, as a flag would state it.
    pub(super) fn assumed(&self) -> Vec<String> {
        let one = &self.assumed;
        let plant = one.plant();
        let mut all = vec![
            format!("profile {}", self.profile.name()),
            format!("unit {}", self.unit_flag()),
            format!("cpu-request {}", plant.cpu_request),
            format!("pod-cores {}", plant.pod_cores),
            format!("start-up {}", time(one.start_up)),
            format!("patience {}", time(one.patience)),
            format!("replicas {} to {}", one.min_replicas, one.max_replicas),
            format!("interval {}", time(one.interval)),
            format!("step {}", time(one.step)),
            format!("trusted-utilisation {} %", one.trusted_utilisation),
        ];
        if self.unit() == Unit::Rps {
            all.push(format!("cores-per-rps {}", plant.cores_per_rps));
        }
        all
    }

    fn unit_flag(&self) -> &'static str {
        if self.unit() == Unit::Rps { "rps" } else { "cores" }
    }

    /// What the baseline does.
    pub(super) fn assumed_hpa(&self) -> String {
        let defaults = Hpa::DEFAULTS.map(|(_, _, words)| words).join(", ").replace(", or ", " or ");
        format!("hpa-target {} %; by its defaults {defaults}", self.assumed.hpa_target)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        assumed: Assumed,
    }

    fn flags(args: &[&str]) -> Result<Assumed, String> {
        let line = Line::try_parse_from([&["x"], args].concat());
        line.map(|line| line.assumed).map_err(|error| error.to_string())
    }

    #[test]
    fn lengths_of_time_have_bounds() {
        for flag in ["--interval", "--step", "--start-up", "--patience"] {
            for wrong in ["9223372036854775807s", "25h", "1500ms", "soon"] {
                assert!(flags(&[flag, wrong]).err().unwrap().contains("it must be whole seconds"), "{flag} {wrong}");
            }
            assert!(flags(&[flag, "1d"]).is_ok(), "{flag}");
        }
        assert!(flags(&["--step", "0s"]).is_err() && flags(&["--start-up", "0s"]).is_ok());
        assert!(flags(&["--cpu-request", "1e300"]).is_err() && flags(&["--trusted-utilisation", "101"]).is_err());
    }

    #[test]
    fn what_stays_bears_the_highest_step_with_what_its_pods_can_use() {
        let guessed = |args: &[&str]| flags(args).unwrap().guessed(2.0, 8.0);
        assert_eq!(guessed(&[]), Guessed { start: 5.0, fixed: 20.0, wanted: None });
        assert_eq!(guessed(&["--pod-cores", "2"]), Guessed { start: 5.0, fixed: 5.0, wanted: None });
        assert_eq!(guessed(&["--trusted-utilisation", "100"]), Guessed { start: 4.0, fixed: 16.0, wanted: None });
        assert_eq!(guessed(&["--max-replicas", "12"]), Guessed { start: 5.0, fixed: 12.0, wanted: Some(20.0) });
        assert_eq!(
            guessed(&["--max-replicas", "12", "--fixed", "3"]),
            Guessed { start: 5.0, fixed: 3.0, wanted: None }
        );
    }

    #[test]
    fn flags_that_contradict_or_do_nothing_are_refused() {
        let wrong = |args: &[&str], unit| flags(args).unwrap().check(unit).err();
        assert_eq!(wrong(&["--cores-per-rps", "0.1"], Unit::Rps), None);
        for (args, expected) in [
            (["--cores-per-rps", "0.1"], "does nothing without --unit rps"),
            (["--min-replicas", "30"], "is above --max-replicas 20"),
            (["--fixed", "30"], "is above --max-replicas 20"),
        ] {
            assert!(wrong(&args, Unit::Cores).unwrap().contains(expected), "{args:?}");
        }
    }
}
