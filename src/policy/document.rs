//! Documents as written: the envelope that all kinds share, and the form of each kind.

use super::addons::{self, AddonForms};
use super::bundle::BundleForm;
use super::diagnostic::{DUPLICATE, Sink, nearest};
use super::fields::{self, KINDS};
use super::form::{self, Form};
use super::nfr::{RecommendationForm, SafeguardForm, SignalForm};
use super::params::{self, ParamForm};
use super::suite::Suite;
use super::trace::RuleMode;
use super::units::number;
use super::yaml::{Node, Place, Text, Value};

/// API version of all documents.
pub(crate) const API_VERSION: &str = "policy.oaas.io/v1alpha1";
/// Most points of a rule: sums stay finite, and exact to a thousandth.
const MAX_POINTS: f64 = 1e9;
/// Names of the profiles.
pub(crate) const PROFILES: &[&str] = &["dev", "edge", "full"];

/// One document.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) kind: &'static str,
    pub(crate) name: Text,
    /// Canonical text, for the revision.
    pub(crate) canonical: String,
    pub(crate) body: Body,
    /// The document as written.
    pub(crate) node: Node,
}

impl Document {
    /// `Kind/name`.
    pub(crate) fn id(&self) -> String {
        format!("{}/{}", self.kind, self.name.text)
    }
}

/// What a document says.
#[derive(Debug)]
pub(crate) enum Body {
    Bundle(BundleForm),
    Admission(AdmissionForm),
    Template(Box<TemplateForm>),
    Signal(Box<SignalForm>),
    Recommendation(RecommendationForm),
    Safeguard(SafeguardForm),
    Test(Suite),
}

impl Body {
    /// Params and variables of its own, where its kind has them.
    pub(crate) fn definitions(&self) -> Option<&Definitions> {
        match self {
            Self::Admission(form) => Some(&form.definitions),
            Self::Template(form) => Some(&form.definitions),
            Self::Signal(form) => Some(&form.definitions),
            Self::Recommendation(form) => Some(&form.definitions),
            Self::Safeguard(form) => Some(&form.definitions),
            Self::Bundle(_) | Self::Test(_) => None,
        }
    }

    /// Params that the document declares.
    pub(crate) fn params(&self) -> &[ParamForm] {
        match self {
            Self::Bundle(form) => &form.params,
            body => body.definitions().map_or(&[], |definitions| &definitions.params),
        }
    }
}

/// Params and variables, which several kinds have.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    pub(crate) params: Vec<ParamForm>,
    pub(crate) variables: Vec<(Text, Text)>,
}

/// A rule's condition.
#[derive(Debug)]
pub(crate) struct RuleForm {
    pub(crate) id: Text,
    pub(crate) mode: RuleMode,
    pub(crate) condition: Text,
}

/// An Admission document.
#[derive(Debug)]
pub(crate) struct AdmissionForm {
    pub(crate) definitions: Definitions,
    pub(crate) rules: Vec<AdmissionRuleForm>,
}

/// A rule of an Admission document.
#[derive(Debug)]
pub(crate) struct AdmissionRuleForm {
    pub(crate) rule: RuleForm,
    pub(crate) denies: bool,
    pub(crate) message: Text,
}

/// A Template document.
#[derive(Debug)]
pub(crate) struct TemplateForm {
    pub(crate) definitions: Definitions,
    pub(crate) aliases: Vec<Text>,
    pub(crate) enabled: Vec<RuleForm>,
    pub(crate) score: Vec<(RuleForm, f64)>,
    pub(crate) workload: WorkloadForm,
}

/// What a template is.
#[derive(Debug)]
pub(crate) struct WorkloadForm {
    pub(crate) knative: bool,
    pub(crate) replicas: Text,
    pub(crate) max_replicas: Option<Text>,
    pub(crate) resources: ResourceTexts,
    pub(crate) probes: bool,
    pub(crate) grace: Option<u32>,
    pub(crate) security: SecurityForm,
    pub(crate) autoscaler: Option<AutoscalerForm>,
    pub(crate) odgm: Option<OdgmForm>,
    pub(crate) addons: AddonForms,
}

/// What scales functions by their load.
#[derive(Debug)]
pub(crate) struct AutoscalerForm {
    pub(crate) enabled: Option<Text>,
    pub(crate) cpu_utilization: Text,
    pub(crate) max_replicas: Option<Text>,
}

/// The data grid's part of a template.
#[derive(Debug)]
pub(crate) struct OdgmForm {
    pub(crate) enabled: Option<Text>,
    pub(crate) image: ImageForm,
    pub(crate) replicas: Text,
    pub(crate) resources: ResourceTexts,
    pub(crate) security: SecurityForm,
}

/// An image: as it stands, or computed.
#[derive(Debug)]
pub(crate) enum ImageForm {
    Literal(Text),
    Expression(Text),
}

/// Quantities of a container, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceTexts {
    /// CPU set aside.
    pub cpu_request: Option<String>,
    /// Memory set aside.
    pub memory_request: Option<String>,
    /// CPU that may not be exceeded.
    pub cpu_limit: Option<String>,
    /// Memory that may not be exceeded.
    pub memory_limit: Option<String>,
}

/// Security of pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// All Linux capabilities are dropped.
    pub drop_capabilities: bool,
    /// The image must run as another user than root.
    pub run_as_non_root: bool,
}

/// Security of pods, as written: CEL, or plain true and false. What is left out is false.
#[derive(Debug, Default)]
pub(crate) struct SecurityForm {
    pub(crate) drop_capabilities: Option<Text>,
    pub(crate) run_as_non_root: Option<Text>,
}

/// Reads one document.
pub(crate) fn read(node: &Node, sink: &mut Sink) -> Option<Document> {
    let form = Form::of(node, &fields::DOCUMENT, sink)?;
    if let Some(version) = form.need_text("apiVersion", sink)
        && version.text != API_VERSION
    {
        let message = format!("apiVersion {:?} is not known", version.text);
        sink.push(version.at.error(message).help(format!("write {API_VERSION}")));
    }
    let kind = kind(&form, sink);
    let metadata = form.need("metadata", sink)?;
    let metadata = Form::of(metadata, &fields::METADATA, sink)?;
    metadata.text("description", sink);
    metadata.text("owner", sink);
    let name = metadata.need_text("name", sink)?;
    // Expressions read a signal as `signals.NAME`.
    match kind {
        Some("Signal") => form::check_name(&name, "a signal", false, sink),
        _ => form::check_name(&name, "a document", true, sink),
    }
    let spec = form.need("spec", sink)?;
    let kind = kind?;
    let body = match kind {
        "Bundle" => Body::Bundle(BundleForm::read(spec, sink)?),
        "Admission" => Body::Admission(admission(spec, sink)?),
        "Template" => Body::Template(Box::new(template(spec, sink)?)),
        "Signal" => Body::Signal(Box::new(SignalForm::read(spec, sink)?)),
        "Recommendation" => Body::Recommendation(RecommendationForm::read(spec, sink)?),
        "Safeguard" => Body::Safeguard(SafeguardForm::read(spec, sink)?),
        _ => Body::Test(Suite::read(spec, sink)?),
    };
    let mut canonical = String::new();
    deciding(&node.value).canonical(&mut canonical);
    Some(Document { kind, name, canonical, body, node: node.clone() })
}

/// What of a document decides. The free metadata of a bundle, such as the commit it comes from, does not.
fn deciding(document: &Value) -> Value {
    let mut document = document.clone();
    if let Value::Map(fields) = &mut document
        && fields
            .iter()
            .any(|(key, node)| key.text == "kind" && matches!(&node.value, Value::Text(kind) if kind == "Bundle"))
        && let Some((_, Node { value: Value::Map(spec), .. })) = fields.iter_mut().find(|(key, _)| key.text == "spec")
    {
        spec.retain(|(key, _)| key.text != "metadata");
    }
    document
}

fn kind(form: &Form<'_>, sink: &mut Sink) -> Option<&'static str> {
    let stated = form.need_text("kind", sink)?;
    let known = KINDS.iter().map(|kind| kind.name).find(|name| *name == stated.text);
    if known.is_none() {
        let kinds: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        let near = nearest(&stated.text, kinds.iter().copied());
        let help = near.map_or_else(|| format!("kinds: {}", kinds.join(", ")), |near| format!("did you mean {near}?"));
        sink.push(stated.at.error(format!("there is no kind {:?}", stated.text)).help(help));
    }
    known
}

/// Names of the profiles.
pub(crate) fn profiles() -> Vec<String> {
    PROFILES.iter().map(ToString::to_string).collect()
}

pub(crate) fn definitions(form: &Form<'_>, sink: &mut Sink) -> Definitions {
    let params = params::read(form.entries("params", sink), form.entries("profiles", sink), &profiles(), sink);
    let mut variables: Vec<(Text, Text)> = Vec::new();
    for node in form.list("variables", sink) {
        let Some(form) = Form::of(node, &fields::VARIABLE, sink) else { continue };
        let (name, expression) = (form.need_text("name", sink), form.need("expression", sink));
        let expression = expression.and_then(|node| form::expression(node, "expression", sink));
        if let (Some(name), Some(expression)) = (name, expression) {
            form::check_name(&name, "a variable", false, sink);
            twice(&name, variables.iter().map(|(name, _)| name), "variable", sink);
            variables.push((name, expression));
        }
    }
    Definitions { params, variables }
}

/// Reports a name that is used twice, with both places.
pub(crate) fn twice<'a>(name: &Text, known: impl IntoIterator<Item = &'a Text>, what: &str, sink: &mut Sink) {
    if let Some(first) = known.into_iter().find(|known| known.text == name.text) {
        let error = name.at.error(format!("{what} `{}` is given twice", name.text)).topic(DUPLICATE);
        sink.push(error.related(first.at.text(), "the first"));
    }
}

pub(crate) fn id(form: &Form<'_>, known: &[Text], sink: &mut Sink) -> Option<Text> {
    let id = form.need_text("id", sink)?;
    form::check_name(&id, "a rule", true, sink);
    twice(&id, known, "rule", sink);
    Some(id)
}

pub(crate) fn mode(form: &Form<'_>, sink: &mut Sink) -> RuleMode {
    match form.text("mode", sink) {
        None => RuleMode::Enforce,
        Some(text) => match text.text.as_str() {
            "enforce" => RuleMode::Enforce,
            "warn" => RuleMode::Warn,
            "dry-run" => RuleMode::DryRun,
            other => {
                let help = "modes: enforce, warn, dry-run";
                sink.push(text.at.error(format!("there is no mode {other:?}")).help(help));
                RuleMode::Enforce
            }
        },
    }
}

fn admission(spec: &Node, sink: &mut Sink) -> Option<AdmissionForm> {
    let form = Form::of(spec, &fields::ADMISSION, sink)?;
    let definitions = definitions(&form, sink);
    let mut rules: Vec<AdmissionRuleForm> = Vec::new();
    let nodes = form.need("rules", sink)?;
    if let Value::List(items) = &nodes.value
        && items.is_empty()
    {
        sink.push(nodes.at.error("an Admission needs at least one rule"));
    }
    for node in form::list(nodes, "rules", sink) {
        let Some(form) = Form::of(node, &fields::ADMISSION_RULE, sink) else { continue };
        let ids: Vec<Text> = rules.iter().map(|rule| rule.rule.id.clone()).collect();
        let id = id(&form, &ids, sink);
        let mode = mode(&form, sink);
        let (deny, warn) = (form.expression("deny", sink), form.expression("warn", sink));
        let message = form.need("message", sink).and_then(|node| form::expression(node, "message", sink));
        let (denies, condition) = match (deny, warn) {
            (Some(condition), None) => (true, Some(condition)),
            (None, Some(condition)) => (false, Some(condition)),
            (deny, _) => {
                if deny.is_some() || (form.get("deny").is_none() && form.get("warn").is_none()) {
                    let help = "deny: refuses the record; warn: accepts it and says so";
                    sink.push(node.at.error("a rule has either `deny` or `warn`, a condition in CEL").help(help));
                }
                (true, None)
            }
        };
        if let (Some(id), Some(condition), Some(message)) = (id, condition, message) {
            rules.push(AdmissionRuleForm { rule: RuleForm { id, mode, condition }, denies, message });
        }
    }
    Some(AdmissionForm { definitions, rules })
}

fn template(spec: &Node, sink: &mut Sink) -> Option<TemplateForm> {
    let form = Form::of(spec, &fields::TEMPLATE, sink)?;
    let definitions = definitions(&form, sink);
    let aliases = form.texts("aliases", sink);
    for alias in &aliases {
        form::check_name(alias, "an alias", true, sink);
    }
    let enabled = enabled(&form, sink);
    let mut score: Vec<(RuleForm, f64)> = Vec::new();
    for node in form.list("score", sink) {
        let Some(form) = Form::of(node, &fields::SCORE_RULE, sink) else { continue };
        let ids: Vec<Text> =
            score.iter().map(|(rule, _)| &rule.id).chain(enabled.iter().map(|rule| &rule.id)).cloned().collect();
        let id = id(&form, &ids, sink);
        let mode = mode(&form, sink);
        let condition = form.need("when", sink).and_then(|node| form::expression(node, "when", sink));
        form.need("add", sink);
        if let (Some(id), Some(condition), Some((add, at))) = (id, condition, form.number("add", sink)) {
            if add.abs() > MAX_POINTS {
                sink.push(
                    at.error(format!("{} is more than a score takes", number(add)))
                        .help("write points between -1000000000 and 1000000000"),
                );
            }
            score.push((RuleForm { id, mode, condition }, add));
        }
    }
    let workload = workload(form.need("workload", sink)?, sink)?;
    Some(TemplateForm { definitions, aliases, enabled, score, workload })
}

/// `enabled` is one condition, or a list of rules that must all hold.
fn enabled(form: &Form<'_>, sink: &mut Sink) -> Vec<RuleForm> {
    let Some(node) = form.get("enabled") else { return Vec::new() };
    let Value::List(items) = &node.value else {
        let id = Text { text: "enabled".to_owned(), at: node.at.clone() };
        let condition = form::expression(node, "enabled", sink);
        return condition.map(|condition| RuleForm { id, mode: RuleMode::Enforce, condition }).into_iter().collect();
    };
    let mut rules: Vec<RuleForm> = Vec::new();
    for node in items {
        let Some(form) = Form::of(node, &fields::ENABLED_RULE, sink) else { continue };
        let ids: Vec<Text> = rules.iter().map(|rule| rule.id.clone()).collect();
        let id = id(&form, &ids, sink);
        let condition = form.need("when", sink).and_then(|node| form::expression(node, "when", sink));
        if let (Some(id), Some(condition)) = (id, condition) {
            rules.push(RuleForm { id, mode: RuleMode::Enforce, condition });
        }
    }
    rules
}

fn workload(node: &Node, sink: &mut Sink) -> Option<WorkloadForm> {
    let form = Form::of(node, &fields::WORKLOAD, sink)?;
    let knative = match form.need_text("kind", sink) {
        Some(kind) if kind.text == "KnativeService" => true,
        Some(kind) if kind.text != "Deployment" => {
            let help = "kinds of workload: Deployment, KnativeService";
            sink.push(kind.at.error(format!("there is no kind of workload {:?}", kind.text)).help(help));
            false
        }
        _ => false,
    };
    let grace = form.number("termination_grace_seconds", sink).and_then(|(value, at)| seconds(value, &at, sink));
    if let Some(node) = form.get("termination_grace_seconds").filter(|_| knative) {
        let help = "leave it out: Knative gives a pod the time that its requests may take";
        sink.push(node.at.error("termination_grace_seconds has no effect on a KnativeService").help(help));
    }
    let replicas = form.need("replicas", sink).and_then(|node| form::expression(node, "replicas", sink));
    let max_replicas = form.expression("max_replicas", sink);
    if let Some(text) = max_replicas.as_ref().filter(|_| !knative) {
        let help = "leave it out: autoscaler.max_replicas is the bound of what scales a Deployment";
        sink.push(text.at.error("max_replicas has no effect on a Deployment").help(help));
    }
    let resources = resources(form.get("resources"), sink);
    let security = security(form.get("security"), sink);
    let autoscaler = form.get("autoscaler").and_then(|node| autoscaler(node, knative, &resources, sink));
    let odgm = form.get("odgm").and_then(|node| odgm(node, sink));
    let addons = addons::read(form.get("addons"), sink);
    let probes = form.flag("probes", sink).unwrap_or(true);
    Some(WorkloadForm {
        knative,
        replicas: replicas?,
        max_replicas,
        resources,
        probes,
        grace,
        security,
        autoscaler,
        odgm,
        addons,
    })
}

fn autoscaler(node: &Node, knative: bool, resources: &ResourceTexts, sink: &mut Sink) -> Option<AutoscalerForm> {
    let form = Form::of(node, &fields::AUTOSCALER, sink)?;
    if knative {
        let help = "leave it out: Knative scales by itself, from the record's min_scale to its max_scale";
        sink.push(node.at.error("autoscaler has no effect on a KnativeService").help(help));
    } else if resources.cpu_request.is_none() {
        let help = "give workload.resources.cpu_request, for functions whose record states none";
        sink.push(node.at.error("an autoscaler on CPU needs a CPU request to compare with").help(help));
    }
    Some(AutoscalerForm {
        enabled: form.expression("enabled", sink),
        cpu_utilization: form::expression(form.get("cpu_utilization")?, "cpu_utilization", sink)?,
        max_replicas: form.expression("max_replicas", sink),
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be a small whole number")]
fn seconds(value: f64, at: &Place, sink: &mut Sink) -> Option<u32> {
    if value.fract() == 0.0 && (0.0..=3600.0).contains(&value) {
        return Some(value as u32);
    }
    sink.push(at.error("termination_grace_seconds is a whole number from 0 to 3600"));
    None
}

fn odgm(node: &Node, sink: &mut Sink) -> Option<OdgmForm> {
    let form = Form::of(node, &fields::ODGM, sink)?;
    let image = match (form.text("image", sink), form.expression("image_expression", sink)) {
        (Some(image), None) => Some(ImageForm::Literal(image)),
        (None, Some(expression)) => Some(ImageForm::Expression(expression)),
        _ => {
            sink.push(node.at.error("odgm needs either `image` or `image_expression` (CEL)"));
            None
        }
    };
    let replicas = form.need("replicas", sink).and_then(|node| form::expression(node, "replicas", sink));
    Some(OdgmForm {
        enabled: form.expression("enabled", sink),
        image: image?,
        replicas: replicas?,
        resources: resources(form.get("resources"), sink),
        security: security(form.get("security"), sink),
    })
}

fn resources(node: Option<&Node>, sink: &mut Sink) -> ResourceTexts {
    let Some(form) = node.and_then(|node| Form::of(node, &fields::RESOURCES, sink)) else {
        return ResourceTexts::default();
    };
    let (cpu_request, cpu_limit) = share(&form, "cpu_request", "cpu_limit", sink);
    let (memory_request, memory_limit) = share(&form, "memory_request", "memory_limit", sink);
    ResourceTexts { cpu_request, memory_request, cpu_limit, memory_limit }
}

/// What is set aside of a resource, and what may not be exceeded.
fn share(form: &Form<'_>, request: &str, limit: &str, sink: &mut Sink) -> (Option<String>, Option<String>) {
    let (least, most) = (quantity(form, request, sink), quantity(form, limit, sink));
    if let Some((_, size, at)) = &most {
        if *size <= 0.0 {
            sink.push(at.error(format!("`{limit}` is 0, so nothing could run")).help("leave it out for no limit"));
        } else if least.as_ref().is_some_and(|(_, least, _)| least > size) {
            let help = "Kubernetes takes no request above its limit: lower the one or raise the other";
            sink.push(at.error(format!("`{request}` is above `{limit}`")).help(help));
        }
    }
    let text = |found: Option<(String, f64, Place)>| found.map(|(text, ..)| text);
    (text(least), text(most))
}

/// A quantity as written, and its size.
fn quantity(form: &Form<'_>, name: &str, sink: &mut Sink) -> Option<(String, f64, Place)> {
    let node = form.get(name)?;
    let text = match &node.value {
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => other.describe(),
    };
    if let Some(size) = super::units::quantity(&text) {
        return Some((text, size, node.at.clone()));
    }
    let message = format!("`{name}` is a quantity such as 250m or 128Mi, this is {}", node.value.describe());
    sink.push(node.at.error(message));
    None
}

fn security(node: Option<&Node>, sink: &mut Sink) -> SecurityForm {
    let Some(form) = node.and_then(|node| Form::of(node, &fields::SECURITY, sink)) else {
        return SecurityForm::default();
    };
    SecurityForm {
        drop_capabilities: form.expression("drop_capabilities", sink),
        run_as_non_root: form.expression("run_as_non_root", sink),
    }
}
