//! What an autoscaler says about itself, read from its status. Pure.

use serde_json::Value;

/// Why an autoscaler does not scale, for people; `None` while it does, or has not looked yet.
///
/// The reason alone, with words of ours: its message changes from look to look, and each change would be one of the record.
pub fn idle(object: &Value) -> Option<String> {
    let all = object.pointer("/status/conditions").and_then(Value::as_array)?;
    let text = |condition: &Value, key: &str| condition.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let failed = |type_: &str| {
        let found = all.iter().find(|one| text(one, "type") == type_ && text(one, "status") == "False")?;
        Some(text(found, "reason"))
    };
    let reason = failed("AbleToScale").or_else(|| failed("ScalingActive"))?;
    let advice = match reason.as_str() {
        "ScalingDisabled" => "the workload was scaled to 0, which switches it off until somebody scales it up",
        "AmbiguousSelector" => "another one targets the same pods: remove one of the two",
        reason if reason.starts_with("FailedGet") => {
            "its metrics can't be had (does the cluster run a metrics server?), so replicas stay as they are"
        }
        _ => "kubectl describe says more; replicas stay as they are",
    };
    Some(format!("does not scale ({reason}): {advice}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::idle;

    fn with(conditions: &Value) -> Option<String> {
        idle(&json!({"status": {"conditions": conditions}}))
    }

    #[test]
    fn an_autoscaler_without_metrics_says_so_by_its_reason_alone() {
        let text = with(&json!([
            {"type": "AbleToScale", "status": "True", "reason": "SucceededGetScale"},
            {"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": "at 12:34:56"},
        ]));
        let text = text.unwrap_or_default();
        assert!(text.contains("FailedGetResourceMetric") && text.contains("metrics server"), "{text}");
        assert!(!text.contains("12:34"), "{text}");
    }

    #[test]
    fn one_that_scales_or_has_not_looked_yet_says_nothing() {
        assert_eq!(idle(&json!({})), None);
        assert_eq!(with(&json!([{"type": "ScalingActive", "status": "True"}])), None);
        // Being held by its own bounds is no fault.
        assert_eq!(with(&json!([{"type": "ScalingLimited", "status": "False"}])), None);
    }

    #[test]
    fn two_on_the_same_pods_are_told_apart_from_one_without_metrics() {
        let text = with(&json!([{"type": "ScalingActive", "status": "False", "reason": "AmbiguousSelector"}]));
        assert!(text.unwrap_or_default().contains("remove one of the two"));
    }
}
