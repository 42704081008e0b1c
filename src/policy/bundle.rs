//! Bundles: documents from files, put together, checked and compiled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::diagnostic::{self, DUPLICATE, Diagnostic, Diagnostics, Sink, UNUSED, nearest};
use super::document::{self, Body, Document};
use super::fields;
use super::form::{self, Form};
use super::kinds::{AdmissionPolicy, TemplatePolicy};
use super::nfr::{self, RecommendationPolicy, SafeguardPolicy, SignalPolicy};
use super::overlay;
use super::params::{self, ForProfile, ParamForm};
use super::revision::{self, Revision, check_commit, short};
use super::rollout::{RolloutForm, RolloutPolicy};
use super::suite::{Case, Given, Suite};
use super::unit::Unit;
use super::unread::Unread;
use super::yaml::{self, Node, Source, Text, Value};
use super::{Inputs, Policy};

/// Template that a class gets where none is enabled.
pub const FALLBACK_TEMPLATE: &str = "dev";

/// A bundle as read; [`Bundle::compile`] resolves it for a profile and an environment.
#[derive(Debug)]
pub struct Bundle {
    documents: Vec<Document>,
    revision: String,
    warnings: Vec<Diagnostic>,
    /// Some document could not be read: what is missing may stand in it.
    incomplete: bool,
}

/// `bundle.yaml`.
#[derive(Debug, Default)]
pub(crate) struct BundleForm {
    extends: bool,
    /// Where the bundle comes from, as its `metadata.commit` says.
    commit: Option<String>,
    rollout: RolloutForm,
    pub(super) params: Vec<ParamForm>,
    /// Values of params that the bundle beneath declares, by their names alone.
    pub(super) values: Vec<(Text, Node)>,
    /// The same for one profile each.
    pub(super) for_profiles: Vec<ForProfile>,
    pub(super) overrides: Vec<Override>,
}

/// Values of a document's params in place of their own, by `Kind/name`.
pub(crate) type Override = (Text, Vec<(Text, Node)>);

/// A param of a Bundle document.
pub(crate) struct SharedParam {
    bundle: String,
    pub(crate) form: ParamForm,
}

/// What Bundle documents give to every document.
pub(crate) struct Shared<'a> {
    pub(crate) params: &'a [SharedParam],
    values: &'a [(Text, Node)],
    overrides: &'a [Override],
    /// What a test gives; it wins.
    given: &'a [Override],
    /// The signals that documents declare.
    pub(crate) signals: &'a [Declared],
    /// Those of them that are right.
    pub(crate) policies: Arc<[SignalPolicy]>,
}

/// A signal that a document declares.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub(crate) name: Text,
    /// How far back its samples are kept, where it says so.
    pub(crate) window: Option<chrono::Duration>,
}

/// How far back samples are kept where a Signal does not say it and neither does the environment.
const DEFAULT_WINDOW: chrono::Duration = chrono::Duration::minutes(10);

impl Declared {
    /// How far back rules may look.
    pub(crate) fn keeps(&self) -> chrono::Duration {
        self.window.unwrap_or(DEFAULT_WINDOW)
    }
}

impl<'a> Shared<'a> {
    /// The override of a document's param.
    pub(crate) fn override_of(&self, document: &str, param: &str) -> Option<&'a Node> {
        stated(self.given, document, param).or_else(|| stated(self.overrides, document, param))
    }

    /// The override of a shared param.
    pub(crate) fn override_of_shared(&self, param: &SharedParam) -> Option<&'a Node> {
        let name = &param.form.name.text;
        let value = || self.values.iter().find(|(stated, _)| stated.text == *name).map(|(_, node)| node);
        stated(self.given, &param.bundle, name).or_else(value).or_else(|| self.override_of(&param.bundle, name))
    }
}

/// What a list of overrides says of a document's param; the first of several counts.
fn stated<'a>(overrides: &'a [Override], document: &str, param: &str) -> Option<&'a Node> {
    let of_document = overrides.iter().filter(|(name, _)| name.text == document);
    let mut params = of_document.flat_map(|(_, params)| params);
    params.find(|(name, _)| name.text == param).map(|(_, node)| node)
}

impl BundleForm {
    pub(crate) fn read(spec: &Node, sink: &mut Sink) -> Option<Self> {
        let form = Form::of(spec, &fields::BUNDLE, sink)?;
        let extends = match form.text("extends", sink) {
            None => false,
            Some(text) => {
                if text.text != "builtin" {
                    sink.push(text.at.error(format!("can't extend {:?}", text.text)).help("write builtin"));
                }
                true
            }
        };
        let (overrides, own): (Vec<_>, Vec<_>) =
            form.entries("params", sink).iter().cloned().partition(|(name, _)| name.text.contains('/'));
        let (values, declared): (Vec<_>, Vec<_>) = own.into_iter().partition(|(_, node)| extends && is_value(node));
        let profiles = form.entries("profiles", sink);
        let (profiles, for_profiles) =
            if extends { params::of_others(profiles, &declared) } else { (profiles.to_vec(), Vec::new()) };
        let params = params::read(&declared, &profiles, &document::profiles(), sink);
        let overrides = overrides
            .into_iter()
            .map(|(name, node)| {
                let entries = form::entries(&node, &name.text, sink).to_vec();
                (name, entries)
            })
            .collect();
        let (commit, rollout) = (commit(&form, sink), RolloutForm::read(&form, sink));
        Some(Self { extends, commit, rollout, params, values, for_profiles, overrides })
    }
}

/// The `commit` among the free metadata of a bundle.
fn commit(form: &Form<'_>, sink: &mut Sink) -> Option<String> {
    let (_, node) = form.entries("metadata", sink).iter().find(|(name, _)| name.text == "commit")?;
    let commit = form::text(node, "commit", sink)?;
    match check_commit(&commit.text) {
        Ok(()) => Some(commit.text),
        Err(help) => {
            sink.push(commit.at.error(format!("{:?} is no commit", commit.text)).help(help));
            None
        }
    }
}

/// Whether a param's node is a value in place of its default; a declaration is a map.
fn is_value(node: &Node) -> bool {
    matches!(node.value, Value::Bool(_) | Value::Number(_) | Value::Text(_))
}

/// A file of a bundle: its name relative to the directory, and its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Name, as diagnostics show it.
    pub name: String,
    /// Content.
    pub text: String,
}

impl Bundle {
    /// Puts a bundle together from the texts of its files; `builtin` is what `extends: builtin` means.
    pub fn read(files: &[File], builtin: &[File]) -> Result<Self, Diagnostics> {
        let mut sink = Sink::default();
        let mut documents = documents(files, &mut sink);
        let extends = documents.iter().any(|one| matches!(&one.body, Body::Bundle(form) if form.extends));
        if extends {
            let shipped = overlay::documents_beneath(builtin, &documents, &mut sink);
            documents.extend(shipped);
        }
        documents.sort_by(|left, right| (left.kind, &left.name.text).cmp(&(right.kind, &right.name.text)));
        let incomplete = sink.has_errors();
        let unread = Unread::among(files.iter().chain(builtin), &sink);
        complete(&documents, &mut sink);
        let revision = revision(&documents);
        let mut bundle = Self { documents, revision, warnings: Vec::new(), incomplete };
        bundle.warn_of_lost(&mut sink);
        if sink.has_errors() {
            // What can be read is checked all the same: one run tells everything.
            if let Err(Diagnostics(found)) = bundle.compile(&Inputs::default()) {
                for one in found.into_iter().filter(|one| !unread.explains(one)) {
                    sink.push(one);
                }
            }
        }
        bundle.warnings = sink.finish()?;
        Ok(bundle)
    }

    /// Short hash of everything that decides: tests, comments, white space and the order of files don't.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Whether it changes the bundle that is part of the binary rather than standing alone.
    pub fn extends(&self) -> bool {
        self.forms().any(|(_, form)| form.extends)
    }

    /// Compiles the bundle; also gives what its author should look at.
    pub fn compile(&self, inputs: &Inputs) -> Result<(Policy, Vec<Diagnostic>), Diagnostics> {
        self.compile_with(inputs, &[])
    }

    /// Compiles the bundle for a case of a suite: with its profile and its values of params, without environment.
    pub fn compile_case(&self, suite: &Suite, case: &Case) -> Result<Policy, Diagnostics> {
        self.compile_given(case.profile(), suite.target_name(), case.given())
    }

    /// Compiles the bundle without environment, with values of params that are `given`: those of the `target` by
    /// their names, those of other documents by `Kind/name`.
    pub fn compile_given(&self, profile: &str, target: &str, given: &Given) -> Result<Policy, Diagnostics> {
        let inputs = Inputs { profile: profile.to_owned(), environment: BTreeMap::new() };
        let mut sink = Sink::default();
        let overrides = self.overrides_of(target, given.params(), &mut sink);
        sink.finish()?;
        self.compile_with(&inputs, &overrides).map(|(policy, _)| policy)
    }

    /// What a test gives, by document. A bare name means the target's own param, else a shared one.
    fn overrides_of(&self, target: &str, params: &[(Text, Node)], sink: &mut Sink) -> Vec<Override> {
        let mut overrides = Vec::new();
        let shared_params = self.shared_params(&mut Sink::default());
        for (name, node) in params {
            if name.text.contains('/') {
                overrides.push((name.clone(), form::entries(node, &name.text, sink).to_vec()));
                continue;
            }
            let own = self.params_of(target).is_some_and(|own| own.iter().any(|param| param.name.text == name.text));
            let shared = shared_params.iter().find(|param| param.form.name.text == name.text);
            let document = match shared {
                Some(shared) if !own => shared.bundle.clone(),
                _ => target.to_owned(),
            };
            overrides.push((Text { text: document, at: name.at.clone() }, vec![(name.clone(), node.clone())]));
        }
        overrides
    }

    fn compile_with(&self, inputs: &Inputs, given: &[Override]) -> Result<(Policy, Vec<Diagnostic>), Diagnostics> {
        let mut sink = Sink::default();
        for warning in &self.warnings {
            sink.push(warning.clone());
        }
        let params = self.shared_params(&mut sink);
        let overrides: Vec<_> = self.forms().flat_map(|(_, form)| form.overrides.iter().cloned()).collect();
        self.check_overrides(given, &mut sink);
        self.check_overrides(&overrides, &mut sink);
        let values: Vec<_> = self.forms().flat_map(|(_, form)| form.values.iter().cloned()).collect();
        check_values(&values, &overrides, &params, &mut sink);
        let declared = self.declared();
        let mut shared = Shared {
            params: &params,
            values: &values,
            overrides: &overrides,
            given,
            signals: &declared,
            policies: Arc::new([]),
        };
        let signals: Vec<SignalPolicy> = self
            .documents
            .iter()
            .filter_map(|one| match &one.body {
                Body::Signal(form) => SignalPolicy::compile(&one.name.text, form, &shared, inputs, &mut sink),
                _ => None,
            })
            .collect();
        shared.policies = signals.into();
        let policy = self.policy(&shared, inputs, &mut sink);
        let units = units(&policy);
        unused(&params, &units, &mut sink);
        nfr::unused(&declared, &units, &mut sink);
        self.check_declared(&mut sink);
        let warnings = sink.finish()?;
        let params = revision::params(&inputs.profile, &units);
        let mut revision = Revision::new(&self.revision, params.as_deref());
        if let Some(commit) = self.forms().find_map(|(_, form)| form.commit.as_ref()) {
            revision = revision.with_commit(commit);
        }
        let policy = Policy {
            name: self.forms().next().map(|(name, _)| name.to_owned()),
            revision,
            rollout: RolloutForm::resolve(self.forms().map(|(_, form)| &form.rollout)),
            variables: units.iter().flat_map(|unit| unit.variables()).map(str::to_owned).collect(),
            reads: units.iter().flat_map(|unit| unit.paths()).map(str::to_owned).collect(),
            ..policy
        };
        Ok((policy, warnings))
    }

    /// The signals that documents declare.
    fn declared(&self) -> Vec<Declared> {
        let declared = self.documents.iter().filter_map(|one| match &one.body {
            Body::Signal(form) => Some(Declared { name: one.name.clone(), window: form.window }),
            _ => None,
        });
        declared.collect()
    }

    /// Everything that decides, compiled.
    fn policy(&self, shared: &Shared<'_>, inputs: &Inputs, sink: &mut Sink) -> Policy {
        let mut policy = Policy {
            name: None,
            revision: Revision::new(&self.revision, None),
            rollout: RolloutPolicy::default(),
            variables: BTreeSet::new(),
            reads: BTreeSet::new(),
            admissions: Vec::new(),
            templates: Vec::new(),
            signals: Arc::clone(&shared.policies),
            recommendations: Vec::new(),
            safeguards: Vec::new(),
        };
        let mut guards = Vec::new();
        for document in &self.documents {
            let name = &document.name.text;
            match &document.body {
                Body::Admission(form) => {
                    policy.admissions.push(AdmissionPolicy::compile(name, form, shared, inputs, sink));
                }
                Body::Template(form) => {
                    policy.templates.extend(TemplatePolicy::compile(name, form, shared, inputs, sink));
                }
                Body::Recommendation(form) => {
                    policy.recommendations.extend(RecommendationPolicy::compile(name, form, shared, inputs, sink));
                }
                Body::Safeguard(form) => {
                    policy.safeguards.extend(SafeguardPolicy::compile(name, form, shared, inputs, sink));
                    guards.push((&document.name, form));
                }
                Body::Bundle(_) | Body::Signal(_) | Body::Test(_) => {}
            }
        }
        nfr::check(shared.signals, &policy.recommendations, &policy.safeguards, &guards, sink);
        policy
    }

    /// What its author should look at, as far as it shows without compiling.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// The suites of tests, in the order of their names.
    pub fn suites(&self) -> impl Iterator<Item = (&str, &Suite)> {
        self.documents.iter().filter_map(|one| match &one.body {
            Body::Test(suite) => Some((one.name.text.as_str(), suite)),
            _ => None,
        })
    }

    /// Names of the documents, as `Kind/name`.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.documents.iter().map(|one| format!("{}/{}", one.kind, one.name.text))
    }

    /// The documents, by kind and name.
    pub(super) fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// What Bundle documents give to every document.
    pub(super) fn with_shared<T>(&self, read: impl FnOnce(&Shared<'_>) -> T) -> T {
        let params = self.shared_params(&mut Sink::default());
        let values: Vec<_> = self.forms().flat_map(|(_, form)| form.values.iter().cloned()).collect();
        let overrides: Vec<_> = self.forms().flat_map(|(_, form)| form.overrides.iter().cloned()).collect();
        let (declared, policies) = (self.declared(), Arc::new([]));
        read(&Shared {
            params: &params,
            values: &values,
            overrides: &overrides,
            given: &[],
            signals: &declared,
            policies,
        })
    }

    /// The Bundle documents: an overlay's own before the shipped one that it extends.
    fn forms(&self) -> impl Iterator<Item = (&str, &BundleForm)> {
        let forms = self.documents.iter().filter_map(|one| match &one.body {
            Body::Bundle(form) => Some((one.name.text.as_str(), form)),
            _ => None,
        });
        let mut forms: Vec<_> = forms.collect();
        forms.sort_by_key(|(_, form)| !form.extends);
        forms.into_iter()
    }

    /// Warns of what is lost where an overlay declares a shipped param again.
    fn warn_of_lost(&self, sink: &mut Sink) {
        let (above, beneath): (Vec<_>, Vec<_>) = self.forms().map(|(_, form)| form).partition(|form| form.extends);
        for own in above.iter().flat_map(|form| &form.params) {
            let mut shipped = beneath.iter().flat_map(|form| &form.params);
            if let Some(shipped) = shipped.find(|shipped| shipped.name.text == own.name.text) {
                own.warn_of_lost(shipped, sink);
            }
        }
    }

    /// Params that every document sees; what an overlay declares hides the shipped one of the same name, and what it says
    /// of one for a profile takes the place of what the shipped one says.
    fn shared_params(&self, sink: &mut Sink) -> Vec<SharedParam> {
        let mut params: Vec<SharedParam> = Vec::new();
        for (bundle, form) in self.forms() {
            for param in &form.params {
                if !params.iter().any(|known| known.form.name.text == param.name.text) {
                    params.push(SharedParam { bundle: format!("Bundle/{bundle}"), form: param.clone() });
                }
            }
        }
        let declared: Vec<String> = params.iter().map(|param| param.form.name.text.clone()).collect();
        for one in self.forms().flat_map(|(_, form)| &form.for_profiles) {
            match params.iter_mut().find(|param| param.form.name.text == one.name.text) {
                Some(param) => param.form.set_for(one, sink),
                None => params::unknown(&one.name, &declared, sink),
            }
        }
        params
    }

    /// Where params are missing for want of a Bundle document, that is what to say first.
    fn check_declared(&self, sink: &mut Sink) {
        if !self.incomplete && self.forms().next().is_none() && sink.has("`params` has no `") {
            let message = "there is no bundle.yaml, so the params that documents share are declared nowhere";
            let help = "add a document of kind Bundle that declares them under `params`, or that takes over what is \
                        shipped: `extends: builtin`";
            sink.push(Diagnostic::whole(diagnostic::BUNDLE, message).help(help));
        }
    }

    /// The params that a document declares, by `Kind/name`; `None` where there is none or its kind has none.
    fn params_of(&self, document: &str) -> Option<&[ParamForm]> {
        let document = self.documents.iter().find(|one| format!("{}/{}", one.kind, one.name.text) == document)?;
        (!matches!(document.body, Body::Test(_))).then(|| document.body.params())
    }

    fn no_params_of(&self, target: &Text, sink: &mut Sink) {
        let with_params = |one: &&Document| !matches!(one.body, Body::Test(_)) && !one.body.params().is_empty();
        let names: Vec<String> = self.documents.iter().filter(with_params).map(Document::id).collect();
        no_document(target, " with params", &names.iter().map(String::as_str).collect::<Vec<_>>(), sink);
    }

    fn check_overrides(&self, overrides: &[Override], sink: &mut Sink) {
        for (target, params) in overrides {
            let Some(declared) = self.params_of(&target.text) else {
                self.no_params_of(target, sink);
                continue;
            };
            let names: Vec<String> = declared.iter().map(|param| param.name.text.clone()).collect();
            for (name, _) in params.iter().filter(|(name, _)| !names.contains(&name.text)) {
                params::unknown(name, &names, sink);
            }
        }
    }
}

/// Reports a document that is not there, with those that are.
fn no_document(target: &Text, of: &str, names: &[&str], sink: &mut Sink) {
    let error = target.at.error(format!("there is no document {:?}{of}", target.text));
    sink.push(match nearest(&target.text, names.iter().copied()) {
        Some(near) => error.help(format!("did you mean {near}?")),
        None if names.is_empty() => error,
        None => error.help(format!("there are: {}", names.join(", "))),
    });
}

/// All documents of a policy, in a fixed order.
fn units(policy: &Policy) -> Vec<&Unit> {
    let decides = policy.admissions.iter().map(AdmissionPolicy::unit);
    let decides = decides.chain(policy.templates.iter().map(TemplatePolicy::unit));
    let decides = decides.chain(policy.signals.iter().map(SignalPolicy::unit));
    let decides = decides.chain(policy.recommendations.iter().map(RecommendationPolicy::unit));
    decides.chain(policy.safeguards.iter().map(SafeguardPolicy::unit)).collect()
}

/// Warns of a bundle's own params that no document reads; what the shipped ones leave is not its author's.
fn unused(params: &[SharedParam], units: &[&Unit], sink: &mut Sink) {
    if sink.has_errors() {
        return;
    }
    for SharedParam { form, .. } in params {
        let name = &form.name;
        let path = format!("params.{}", name.text);
        if !name.at.file().starts_with("builtin/") && !units.iter().any(|unit| unit.reads(&path)) {
            let warning = name.at.error(format!("param `{}` is not used", name.text)).topic(UNUSED).warning();
            sink.push(warning.help("remove it, or use it in a rule"));
        }
    }
}

/// Checks the names of an overlay's values; whether they are right for their params is seen where those are resolved.
fn check_values(values: &[(Text, Node)], overrides: &[Override], params: &[SharedParam], sink: &mut Sink) {
    let declared: Vec<String> = params.iter().map(|param| param.form.name.text.clone()).collect();
    for (name, _) in values {
        let Some(param) = params.iter().find(|param| param.form.name.text == name.text) else {
            params::unknown(name, &declared, sink);
            continue;
        };
        let of_bundle = overrides.iter().filter(|(target, _)| target.text == param.bundle);
        document::twice(name, of_bundle.flat_map(|(_, stated)| stated.iter().map(|(name, _)| name)), "param", sink);
    }
}

/// Reads all files, every fault reported.
pub(super) fn documents(files: &[File], sink: &mut Sink) -> Vec<Document> {
    let mut documents: Vec<Document> = Vec::new();
    let mut files: Vec<&File> = files.iter().collect();
    files.sort_by(|left, right| left.name.cmp(&right.name));
    for file in files {
        let source = Arc::new(Source { name: file.name.clone(), text: file.text.clone() });
        match yaml::parse(&source) {
            Err(error) => sink.push(*error),
            Ok(nodes) => documents.extend(nodes.iter().filter_map(|node| document::read(node, sink))),
        }
    }
    let mut seen: BTreeMap<(&str, String), String> = BTreeMap::new();
    for document in &documents {
        let place = document.name.at.text();
        // A bundle has one Bundle document, whatever its name.
        let name = if document.kind == "Bundle" { String::new() } else { document.name.text.clone() };
        if let Some(first) = seen.insert((document.kind, name), place) {
            let message = format!("{} {:?} is given twice", document.kind, document.name.text);
            let help = "remove one, or give it another name";
            sink.push(document.name.at.error(message).topic(DUPLICATE).related(first, "the first").help(help));
        }
    }
    documents
}

/// What any bundle must have.
fn complete(documents: &[Document], sink: &mut Sink) {
    let mut answers: BTreeMap<String, &Text> = BTreeMap::new();
    let mut fallback = false;
    for document in documents {
        let Body::Template(form) = &document.body else { continue };
        fallback |= document.name.text == FALLBACK_TEMPLATE;
        for name in std::iter::once(&document.name).chain(&form.aliases) {
            if let Some(first) = answers.insert(name.text.clone(), name) {
                let error = name.at.error(format!("two templates answer to {:?}", name.text));
                sink.push(error.related(first.at.text(), "the first"));
            }
        }
    }
    // Where a document could not be read, it is not missing.
    if sink.has_errors() {
        return;
    }
    for document in documents {
        let Body::Test(suite) = &document.body else { continue };
        let target = suite.target();
        let names: Vec<String> = documents.iter().map(Document::id).collect();
        if target.text != "Template" && !names.contains(&target.text) {
            let kind = target.text.split('/').next().unwrap_or_default();
            let names: Vec<&str> = names.iter().map(String::as_str).filter(|name| name.starts_with(kind)).collect();
            no_document(target, "", &names, sink);
        }
    }
    if !fallback {
        let message = format!("the bundle has no Template `{FALLBACK_TEMPLATE}`, which is used where none is enabled");
        let help = "add one, or start from the shipped bundle: a document of kind Bundle with `extends: builtin`";
        sink.push(Diagnostic::whole(diagnostic::BUNDLE, message).help(help));
    }
}

fn revision(documents: &[Document]) -> String {
    let mut texts: Vec<&str> =
        documents.iter().filter(|one| one.kind != "Test").map(|one| one.canonical.as_str()).collect();
    texts.sort_unstable();
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    short(hash, 6)
}
