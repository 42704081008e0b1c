//! Decisions over time, told as tests of a policy.

use super::faults;

fn passes(spec: &str) {
    let found = faults(spec);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_example_of_the_policy_language_holds() {
    passes(
        r#"target: Safeguard/replicas
now: 2026-01-01T00:00:00Z
given: {profile: edge, component: {cpu_request: 0.5}, current: {replicas: 4},
        params: {stability_up: 1m, stability_down: 10m, cooldown_up: 2m, max_rise_pct: 30}}
step: 30s
series: [{signal: cpu, values: '1.0x8 3.0x8'}]      # promtool's notation: 1.0 at 0s..4m, 3.0 at 4m30s..8m30s; `_` = missing
expect:
  - {at: 5m,    action: apply, target: 6, by: bounded-change}       # up window 1m: (4m, 5m] is all above
  - {at: 5m30s, action: hold,  by: cooldown}
  - {at: 7m,    action: apply, target: 8}"#,
    );
}
