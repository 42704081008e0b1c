//! The longest that one evaluation can take: `cargo bench --bench hostile`. Target: under 50 ms.
//!
//! Hostile expressions over the largest facts that there can be. Each is stopped by its budget of steps; the figure is
//! the longest of several runs, so the budget has to be lowered where a step gets dearer.

use std::error::Error;
use std::time::Instant;

use oprc_crm::policy::{Bundle, FactValue, Facts, File, Inputs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("{:>10}  {:>8}  expression", "longest", "ended by");
    let mut worst = 0.0_f64;
    for source in EXPRESSIONS {
        let rule = format!(
            "apiVersion: policy.oaas.io/v1alpha1\nkind: Admission\nmetadata: {{name: a}}\nspec:\n  rules:\n  \
             - {{id: x, deny: '{source}', message: \"'m'\"}}\n"
        );
        let bundle =
            "apiVersion: policy.oaas.io/v1alpha1\nkind: Bundle\nmetadata: {name: b}\nspec: {extends: builtin}\n";
        let file = |name: &str, text: &str| File { name: name.to_owned(), text: text.to_owned() };
        let bundle = Bundle::over_builtin(&[file("a.yaml", &rule), file("bundle.yaml", bundle)])?;
        let (policy, _) = bundle.compile(&Inputs { profile: "edge".to_owned(), ..Inputs::default() })?;
        let document = policy.admissions().iter().find(|one| one.unit().name() == "Admission/a").ok_or("no rule")?;
        let (mut longest, mut ended) = (0.0_f64, "");
        for _ in 0..5 {
            let facts = facts();
            let start = Instant::now();
            let verdicts: Vec<_> = document.evaluate(&facts).collect();
            longest = longest.max(start.elapsed().as_secs_f64() * 1e3);
            ended = if format!("{verdicts:?}").contains("too many steps") { "budget" } else { "itself" };
        }
        println!("{longest:>7.1} ms  {ended:>8}  {source}");
        worst = worst.max(longest);
    }
    println!("longest of all {worst:.1} ms (target: under 50 ms)");
    Ok(())
}

const EXPRESSIONS: &[&str] = &[
    "class.addons.all(a, class.addons.all(b, a != b || a == b))",
    "class.addons.all(a, class.addons.all(b, (a + b).contains(\"xyz\") || true))",
    "class.addons.all(a, class.addons.all(b, a < b || b <= a))",
    "class.addons.all(a, class.addons == class.addons)",
    "class.addons.all(a, a in class.addons)",
    "class.addons.all(a, a.matches(\"^(x+x+)+y$\") || true)",
    "class.addons.all(a, class.labels.all(k, class.labels[k] == class.labels[k]))",
    "size(class.addons.map(a, class.addons.map(b, a + b))) > 0",
    "size(class.addons.map(a, class.addons.filter(b, a == b))) > 0",
    "class.functions.all(f, class.functions.all(g, f.image == g.image || f.port / g.port > 0.5))",
    "class.functions.all(f, class.functions.all(g, f == g || f != g))",
    "class.addons.all(a, class.addons.all(b, string(double(size(a)) / double(size(b) + 1)) != \"\"))",
    "class.addons.all(a, class.addons.all(b, duration(\"1h\") - duration(\"1m\") > duration(\"1s\")))",
    "class.addons.all(a, class.addons.all(b, exp(log(double(size(a)) + 2.0)) > 0.0))",
    "class.addons.all(a, class.addons.all(b, [a, b, a, b] == [b, a, b, a] || true))",
];

/// As large as a policy can be given: lists and texts at their limits.
fn facts() -> Facts {
    let mut facts = Facts::default();
    facts.set("class.addons", FactValue::Texts((0..1_024).map(|n| format!("{}{n}", "x".repeat(4_000))).collect()));
    facts.set("class.labels", FactValue::TextMap((0..256).map(|n| (format!("label-{n}"), "v".repeat(63))).collect()));
    let function = |n: u32| {
        let text = |text: String| FactValue::Text(text);
        let image = text(format!("registry.example/{}:{n}", "a/".repeat(120)));
        let pair = |name: &'static str, value| (name.into(), value);
        [pair("key", text(format!("f{n}"))), pair("image", image), pair("port", FactValue::Number(f64::from(n + 1)))]
            .into()
    };
    facts.set("class.functions", FactValue::Groups((0..64).map(function).collect()));
    facts
}
