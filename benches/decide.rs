//! What policy as files costs: `cargo bench --bench decide`.
//!
//! Admission and template of one class by the shipped bundle, beside the same rules written by hand in Rust and beside
//! a fresh CEL context for each rule; and a bundle of 200 rules read, checked and compiled. The ratios at the end are
//! of medians of one run.

#[path = "support/class.rs"]
mod class;
#[path = "support/estimates.rs"]
mod estimates;
#[path = "support/fresh.rs"]
mod fresh;
#[path = "support/hand_written.rs"]
mod hand_written;

use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::Criterion;
use oprc_crm::decision::{Decision, decide, explain};
use oprc_crm::policy::{Bundle, File, Inputs, Policy};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("decide");
    let time = Duration::from_secs(3);
    let mut criterion = Criterion::default().measurement_time(time).configure_from_args().output_directory(&dir);
    let inputs = Inputs { profile: "full".to_owned(), ..Inputs::default() };
    let policy = Policy::builtin(&inputs)?;
    let (class, setting) = class::example()?;
    let decision = decide(&policy, &class, &setting, None);
    same(&decision, &hand_written::decide(&class, &setting))?;
    let fresh = fresh::Fresh::new(&decision, &class)?;
    if fresh.evaluate() != fresh.len() {
        return Err("the fresh contexts decide otherwise".into());
    }

    criterion.bench_function("policy", |b| b.iter(|| decide(&policy, black_box(&class), black_box(&setting), None)));
    criterion
        .bench_function("explained", |b| b.iter(|| explain(&policy, black_box(&class), black_box(&setting), None)));
    criterion.bench_function("hand-written", |b| {
        b.iter(|| hand_written::decide(black_box(&class), black_box(&setting)));
    });
    criterion.bench_function("fresh", |b| b.iter(|| black_box(&fresh).evaluate()));
    let large = rules(200);
    criterion.bench_function("load", |b| {
        b.iter(|| Bundle::over_builtin(black_box(&large)).and_then(|bundle| bundle.compile(&inputs)).is_ok());
    });
    criterion.final_summary();

    let micros = |name: &str| estimates::median(&dir, name).map(|nanos| nanos / 1e3);
    let (policy_us, hand_us) = (micros("policy")?, micros("hand-written")?);
    let all = decision.candidates.iter().map(|one| one.trace.len()).sum::<usize>() + decision.admission.trace.len();
    #[expect(clippy::cast_precision_loss, reason = "a few rules")]
    let fresh_us = micros("fresh")? * all as f64 / fresh.len() as f64;
    println!("\nadmission and template of one class, {all} rules (target: under 20 us)");
    println!("  shipped policy, with traces      {policy_us:>8.1} us");
    println!("  the same, explained              {:>8.1} us", micros("explained")?);
    println!(
        "  hand-written Rust, no trace      {hand_us:>8.1} us   policy / hand-written  {:.1}",
        policy_us / hand_us
    );
    println!(
        "  a fresh context for each rule    {fresh_us:>8.1} us   fresh / policy         {:.1}",
        fresh_us / policy_us
    );
    println!("     (from the {} rules that read facts alone)", fresh.len());
    println!("shipped bundle and 200 rules read, checked and compiled (target: under 200 ms)");
    println!("                                   {:>8.1} ms", micros("load")? / 1e3);
    Ok(())
}

/// Both ways must decide the same, or their times say nothing.
fn same(decision: &Decision, by_hand: &hand_written::Decided) -> Result<(), String> {
    let chosen = decision.template.as_ref().map_err(ToString::to_string)?;
    let score = decision.candidates.first().and_then(|one| one.score).unwrap_or_default();
    let odgm_replicas = chosen.plan.odgm.as_ref().map_or(0, |odgm| odgm.replicas);
    let same = chosen.plan.name == by_hand.template
        && (score - by_hand.score).abs() < 1e-9
        && (chosen.plan.replicas, odgm_replicas) == (by_hand.replicas, by_hand.odgm_replicas)
        && chosen.why == by_hand.why
        && decision.admission.denials.len() == by_hand.denials
        && decision.admission.warnings.len() == by_hand.warnings;
    if same { Ok(()) } else { Err(format!("policy and hand-written rules differ: {chosen:?}, {by_hand:?}")) }
}

/// An overlay of so many admission rules in ten documents, each of them different.
fn rules(number: usize) -> Vec<File> {
    let head = "apiVersion: policy.oaas.io/v1alpha1\n";
    let mut files = vec![File {
        name: "bundle.yaml".to_owned(),
        text: format!("{head}kind: Bundle\nmetadata: {{name: large}}\nspec: {{extends: builtin}}\n"),
    }];
    for document in 0..10 {
        let mut text = format!("{head}kind: Admission\nmetadata: {{name: large-{document}}}\nspec:\n  rules:\n");
        for rule in 0..number / 10 {
            let bound = document * 100 + rule + 1;
            let _ = write!(
                text,
                "  - id: rule-{rule}\n    deny: >-\n      has(nfr.max_latency_ms) && nfr.max_latency_ms < {bound}.0 && \
                 class.functions.exists(f,\n      has(f.replicas) && f.replicas > {bound}.0 && f.image.startsWith(\"a\"))\n    \
                 message: '\"rule {rule} of \" + class.name'\n"
            );
        }
        files.push(File { name: format!("large-{document}.yaml"), text });
    }
    files
}
