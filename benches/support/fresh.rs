//! The same rules by the CEL library alone, with a context made anew for each rule: what one would write first.

use std::error::Error;

use cel_interpreter::{Context, Program, Value};
use oprc_crm::decision::Decision;
use oprc_crm::model::Class;
use serde_json::{Value as Json, json};

/// Rules whose conditions read nothing but facts, and how they came out.
pub struct Fresh {
    rules: Vec<(Program, bool)>,
    facts: Vec<(&'static str, Json)>,
}

impl Fresh {
    /// The conditions of a decision; those that read params or variables are left out, and counted as if they cost
    /// what the others do.
    pub fn new(decision: &Decision, class: &Class) -> Result<Self, Box<dyn Error>> {
        let traces = decision.candidates.iter().flat_map(|one| &one.trace).chain(&decision.admission.trace);
        let mut rules = Vec::new();
        for trace in
            traces.filter(|trace| !trace.condition.contains("params.") && !trace.condition.contains("variables."))
        {
            let holds = trace.outcome == oprc_crm::decision::RuleOutcome::True;
            rules.push((Program::compile(&trace.condition)?, holds));
        }
        let function = |function: &oprc_crm::model::Function| {
            json!({"key": function.key, "image": function.image, "port": f64::from(function.port), "nfr": {},
                "port_stated": function.port_stated, "need_http2": function.need_http2})
        };
        let functions: Vec<Json> = class.functions.iter().map(function).collect();
        let facts = vec![
            ("profile", json!("full")),
            ("features", json!({"odgm": true, "knative": true, "prometheus": false, "hpa": false, "mtls": false})),
            ("cluster", json!({"knative": true})),
            ("nfr", json!({"min_throughput_rps": 900.0})),
            (
                "class",
                json!({"name": class.name, "namespace": class.namespace, "labels": {}, "addons": class.addons,
                "functions": functions, "odgm": {"replica_count": 3.0, "partition_count": 1.0, "shard_type": "mst"}}),
            ),
        ];
        Ok(Self { rules, facts })
    }

    /// How many rules are evaluated.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Evaluates all rules; how many came out as they should.
    pub fn evaluate(&self) -> usize {
        let evaluate = |(program, holds): &&(Program, bool)| {
            let mut context = Context::default();
            for (name, value) in &self.facts {
                if context.add_variable(*name, value.clone()).is_err() {
                    return false;
                }
            }
            program.execute(&context) == Ok(Value::Bool(*holds))
        };
        self.rules.iter().filter(evaluate).count()
    }
}
