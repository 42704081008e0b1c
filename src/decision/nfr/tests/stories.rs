//! Decisions over time, told as tests of a policy.

use super::faults;

fn passes(spec: &str) {
    let found = faults(spec);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_example_of_the_policy_language_holds() {
    passes(
        r"target: Safeguard/replicas
now: 2026-01-01T00:00:00Z
given: {profile: edge, component: {cpu_request: 0.5}, current: {replicas: 4},
        params: {stability_up: 1m, stability_down: 10m, cooldown_up: 2m, max_rise_pct: 30}}
step: 30s
series: [{signal: cpu, values: '1.0x8 3.0x8'}]      # promtool's notation: 1.0 at 0s..4m, 3.0 at 4m30s..8m30s; `_` = missing
expect:
  - {at: 5m,    action: apply, target: 6, by: bounded-change}       # up window 1m: (4m, 5m] is all above
  - {at: 5m30s, action: hold,  by: cooldown}
  - {at: 7m,    action: apply, target: 8}",
    );
}

#[test]
fn noise_changes_nothing_and_says_why() {
    passes(
        r"target: Safeguard/replicas
given: {component: {cpu_request: 0.5}, current: {replicas: 4}}
series: [{signal: cpu, values: [1.5, 1.6, 1.7, 1.5, 1.4, 1.6, 1.75, 1.5, 1.6, 1.5x10]}]
expect: [{at: 3m, action: hold, by: dead-band, reason: '4.375 is asked for and 4 is there'}]",
    );
}

#[test]
fn a_trough_that_is_shorter_than_the_window_shrinks_nothing_and_a_longer_one_does() {
    let story = |trough: u32, expect: &str| {
        format!(
            "target: Safeguard/replicas\ngiven: {{component: {{cpu_request: 0.5}}, current: {{replicas: 8}}, params: \
             {{Recommendation/replicas: {{peak: 1m}}}}}}\nseries: [{{signal: cpu, values: '3.0x12 1.5x{trough} \
             3.0x12'}}]\nexpect: [{expect}]"
        )
    };
    passes(&story(4, "{at: 8m, action: hold, by: stability}"));
    // Low from 6m30s on; the peak of 1m sees it from 7m on, and the window of 3m is whole at 9m30s.
    passes(&story(
        7,
        "{at: 9m, action: hold, by: stability, reason: 'at 2026-01-01T00:06:30Z the rules asked for 7.5'}, {at: 9m30s, \
         action: apply, target: 6, by: bounded-change}, {at: 10m30s, action: apply, target: 8}",
    ));
}

#[test]
fn a_fall_takes_its_window_its_cooldown_and_no_more_than_its_share() {
    passes(
        r"target: Safeguard/replicas
given: {component: {cpu_request: 0.5}, current: {replicas: 10}}
series: [{signal: cpu, values: '1.2x30'}]
expect:
  - {at: 30s, action: hold, by: history, reason: where the rules begin to look}
  - {at: 4m, action: hold, by: history}
  - {at: 4m30s, action: apply, target: 7, by: bounded-change, rule: cpu-demand}
  - {at: 5m, action: hold, by: cooldown}
  - {at: 6m30s, action: apply, target: 5, by: bounded-change}
  - {at: 8m30s, action: apply, target: 4, by: bounded-change}
  - {at: 10m30s, action: apply, target: 3, by: cpu-demand}
  - {at: 15m, action: hold, by: dead-band}",
    );
}

#[test]
fn nothing_shrinks_without_samples_and_it_goes_on_when_they_are_back() {
    passes(
        r"target: Safeguard/replicas
given: {component: {cpu_request: 0.5}, current: {replicas: 4}}
series: [{signal: cpu, values: '1.5x12 _x12 0.3x30'}]
expect:
  - {at: 6m30s, action: hold, by: dead-band}
  - {at: 8m, action: hold}
  - {at: 8m30s, action: hold, by: signals, reason: 'the newest sample of signals.cpu is 2m 30s old, max_age is 2m'}
  - {at: 12m30s, action: hold, by: history}
  - {at: 17m, action: apply, target: 3}
  - {at: 19m, action: apply, target: 2}
  - {at: 21m, action: apply, target: 1}",
    );
}

#[test]
fn a_required_signal_that_is_missing_stops_falls_but_not_rises() {
    passes(
        r"target: Safeguard/replicas
given: {component: {cpu_request: 0.5}, current: {replicas: 4}, nfr: {min_throughput_rps: 10}}
series: [{signal: cpu, values: '0.2x20 3.0x3'}, {signal: rps, values: _x25}]
expect:
  - {at: 10m, action: hold, by: signals, reason: 'nothing shrinks: signals.rps has no samples'}
  - {at: 10m30s, action: apply, target: 8, rule: cpu-demand}
  - {at: 12m, action: hold, by: dead-band}",
    );
}

#[test]
fn a_signal_that_is_not_required_and_not_there_does_not_matter() {
    passes(
        r"target: Safeguard/replicas
given: {component: {cpu_request: 0.5}, current: {replicas: 4}}
series: [{signal: cpu, values: 0.2x10}]
expect: [{at: 4m30s, action: apply, target: 3}]",
    );
}

#[test]
fn of_two_rules_the_one_that_asks_for_more_counts() {
    passes(
        r"target: Safeguard/replicas
given: {component: {cpu_request: 0.5}, current: {replicas: 4}, nfr: {min_throughput_rps: 10}}
series: [{signal: cpu, values: 1.0x12}, {signal: rps, values: 100x5 690x6}]
expect: [{at: 3m, action: apply, target: 7, by: throughput}]",
    );
}

#[test]
fn a_rule_that_can_not_be_evaluated_stops_falls_and_is_named() {
    let story = |given: &str, cpu: &str, expect: &str| {
        format!(
            "target: Safeguard/replicas\ngiven: {{{given}, params: {{freshness: 10m}}}}\nseries: [{{signal: cpu, values: \
             {cpu}}}, {{signal: rps, values: 900x20}}]\nexpect: [{expect}]"
        )
    };
    // Nothing is known of cpu: what its rule would ask for isn't either.
    passes(&story(
        "component: {cpu_request: 0.5}, current: {replicas: 20}",
        "_x20",
        "{at: 8m, action: hold, by: signals}",
    ));
    // A Safeguard's rule that reads it holds a rise too.
    passes(&story(
        "component: {cpu_request: 0.5}, current: {replicas: 3}",
        "_x20",
        "{at: 8m, action: hold, by: fresh}",
    ));
}

#[test]
fn a_fall_waits_for_all_that_its_rules_look_back_at_even_where_another_signal_was_kept() {
    passes(
        r"target: Safeguard/replicas
given: {component: {cpu_request: 0.5}, current: {replicas: 10}, nfr: {min_throughput_rps: 100}, params: {stability_down: 3m}}
series: [{signal: cpu, values: '_x20 1.2x30'}, {signal: rps, values: '100x50'}]
expect:
  - {at: 13m, action: hold, by: history, reason: signals.cpu has no sample at 2026-01-01T00:08:30Z}
  - {at: 14m, action: hold, by: history}
  - {at: 14m30s, action: apply, target: 7}
  - {at: 16m30s, action: apply, target: 5}
  - {at: 18m30s, action: apply, target: 4}
  - {at: 20m30s, action: apply, target: 3}
",
    );
}

#[test]
fn a_new_spec_or_policy_restarts_the_window_of_a_fall() {
    for what in ["spec", "policy"] {
        passes(&format!(
            "target: Safeguard/replicas\ngiven: {{component: {{cpu_request: 0.5}}, current: {{replicas: 10}}, params: \
             {{stability_down: 3m}}}}\nseries: [{{signal: cpu, values: '3.7x12 1.2x30'}}]\nchanges: [{{at: 10m, given: \
             {{age: {{{what}: 0s}}}}}}]\nexpect:\n  - {{at: 12m30s, action: hold, by: history, reason: only since \
             2026-01-01T00:10:00Z}}\n  - {{at: 13m, action: apply, target: 7}}\n  - {{at: 15m, action: apply, target: \
             5}}\n  - {{at: 17m, action: apply, target: 4}}\n  - {{at: 19m, action: apply, target: 3}}"
        ));
    }
}

#[test]
fn a_lowered_cap_is_reached_in_the_steps_that_the_policy_allows() {
    passes(
        r"target: Safeguard/replicas
given: {component: {cpu_request: 0.5}, current: {replicas: 20}}
series: [{signal: cpu, values: '7.9x30'}]
changes: [{at: 6m, given: {limits: {max_replicas: 10}}}]
expect:
  - {at: 5m30s, action: hold, by: dead-band}
  - {at: 6m, action: apply, target: 14, by: bounded-change}
  - {at: 8m, action: apply, target: 10, by: range, reason: '14 is there, 10 is the bound'}
  - {at: 9m, action: hold, by: range, reason: 'asks for 19.75; range: at most 10'}",
    );
}

#[test]
fn bounds_that_contradict_each_other_hold() {
    passes(
        r"target: Safeguard/replicas
given: {component: {cpu_request: 0.5}, current: {replicas: 6}, params: {most: 4, least: 8}}
series: [{signal: cpu, values: '0.4x12 3.9x3'}]
expect:
  - {at: 5m, action: hold, by: least, reason: 'least: at least 8, and Safeguard/replicas/cap contradicts it with 4'}
  - {at: 6m30s, action: hold, by: cap, reason: 'cap: at most 4, and Safeguard/replicas/least contradicts it with 8'}",
    );
}

#[test]
fn a_persons_change_is_a_fact_and_starts_the_cooldown() {
    passes(
        r"target: Safeguard/replicas
given: {component: {cpu_request: 0.5}, current: {replicas: 4}}
series: [{signal: cpu, values: '1.5x30'}]
changes: [{at: 8m, given: {current: {replicas: 10}, proposal: {changed_by: kubectl}}}]
expect:
  - {at: 8m, action: hold, by: cooldown}
  - {at: 9m30s, action: hold, by: cooldown}
  - {at: 10m, action: apply, target: 7}
  - {at: 12m, action: apply, target: 5}
  - {at: 14m, action: apply, target: 4}",
    );
}

#[test]
fn an_autoscalers_maximum_is_a_cap_and_a_knative_service_may_go_to_none() {
    passes(
        r"target: Safeguard/replicas
given: {component: {cpu_request: 0.5}, current: {replicas: 4, hpa: {max_replicas: 6}}}
series: [{signal: cpu, values: 4.0x6}]
expect: [{at: 0s, action: apply, target: 6, by: range}, {at: 1m, action: hold, by: range}]",
    );
    let idle = |workload: &str, last: &str| {
        format!(
            "target: Safeguard/replicas\ngiven: {{component: {{cpu_request: 0.5, workload: {workload}}}, current: \
             {{replicas: 2}}}}\nseries: [{{signal: cpu, values: 0.0x20}}]\nexpect: [{{at: 4m30s, action: apply, target: \
             1}}, {last}]"
        )
    };
    passes(&idle("Deployment", "{at: 8m, action: hold, by: range}"));
    passes(&idle("KnativeService", "{at: 6m30s, action: apply, target: 0, by: cpu-demand}"));
}

#[test]
fn a_request_is_sized_to_the_thousandth_of_a_core() {
    passes(
        r"target: Safeguard/cpu
given: {component: {cpu_request: 0.1, cpu_limit: 0.35}}
series: [{signal: cpu, values: '0.17291x4 0.9x4 0.05x20'}]
expect:
  - {at: 30s, action: apply, target: 0.173, by: peak}
  - {at: 3m, action: apply, target: 0.346, by: bounded}
  - {at: 3m30s, action: apply, target: 0.35, by: range}
  - {at: 4m, action: hold, by: range, reason: 'asks for 900m; Safeguard/cpu/bounded: 700m instead of 900m; range: at most 350m'}
  - {at: 8m, action: apply, target: 0.175, by: step}
  - {at: 8m30s, action: apply, target: 0.088, by: step}
  - {at: 9m, action: apply, target: 0.05, by: peak}",
    );
}
