//! What documents may say: one table of their fields.
//!
//! The reader refuses what is not in it, the JSON Schema completes from it, and `policy show` and `policy diff` know by
//! it what is a rule, what is a condition and what is a mere word. A new field is added here first.

use super::document::{API_VERSION, PROFILES};
use super::params;

mod test;

pub(crate) use test::{
    ADMISSION_CASE, ADMISSION_EXPECT, AGE, CHANGE, GIVEN, GIVEN_SIZES, PROPOSAL, RECOMMENDATION_CASE,
    RECOMMENDATION_EXPECT, SAFEGUARD_CASE, SCENE, SERIES, SIGNAL_CASE, SIGNAL_EXPECT, STEP, TEMPLATE_CASE,
    TEMPLATE_EXPECT, TEST,
};

/// The fields of one map.
#[derive(Debug)]
pub(crate) struct Fields {
    /// What the map is, in messages.
    pub(crate) what: &'static str,
    pub(crate) all: &'static [Field],
    /// Of exactly one of these groups, fields are given; none for no such rule.
    pub(crate) one_of: &'static [&'static [&'static str]],
    /// Fields that take something narrower where another field is of some form.
    pub(crate) narrowed: &'static [Narrowed],
}

/// Where the text of `given` matches, `field` takes this, and must be there where it is needed.
#[derive(Debug)]
pub(crate) struct Narrowed {
    pub(crate) given: &'static str,
    pub(crate) matches: &'static str,
    pub(crate) field: &'static str,
    pub(crate) takes: Takes,
    pub(crate) needed: bool,
}

/// One field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) takes: Takes,
    pub(crate) required: bool,
    /// What holds where it is left out, as it would be written.
    pub(crate) default: Option<&'static str>,
    pub(crate) doc: &'static str,
}

/// What a field takes.
#[derive(Debug)]
pub(crate) enum Takes {
    /// A text.
    Text,
    /// A name with dashes: of documents, rules, aliases.
    Name,
    /// A name with underscores: of params and variables.
    Identifier,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A text of this form (a regular expression), such as this one.
    Like { pattern: &'static str, example: &'static str },
    /// A CEL expression; numbers and booleans may stand without quotes.
    Expression,
    /// A number within these bounds.
    Number { min: f64, max: f64, whole: bool },
    /// true or false.
    Flag,
    /// CPU or memory, such as 250m or 128Mi.
    Quantity,
    /// The value of a param.
    Scalar,
    /// Anything: nothing here reads it.
    Free,
    /// A map of these fields.
    Fields(&'static Fields),
    /// A list.
    List(&'static Takes),
    /// A list of maps that are known by one of their fields.
    Keyed { by: &'static str, of: &'static Fields, order: Order },
    /// A map with free keys.
    Entries(Keys, &'static Takes),
    /// A map whose keys are names of params, or of documents as `Kind/name`.
    ByName { identifiers: &'static Takes, documents: &'static Takes },
    /// Either of these.
    Either(&'static [Takes]),
    /// Facts below this path of the table of facts.
    Facts(&'static str),
}

/// Keys of a map whose keys are free.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keys {
    Identifiers,
    Profiles,
    Any,
}

/// Whether the order of a list decides anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// All of them count, whatever their order.
    Free,
    /// Of several that would do, the first does.
    Decides,
}

impl Fields {
    /// Names of the fields, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.all.iter().map(|field| field.name)
    }
}

const fn need(name: &'static str, takes: Takes, doc: &'static str) -> Field {
    Field { name, takes, required: true, default: None, doc }
}

const fn may(name: &'static str, takes: Takes, doc: &'static str) -> Field {
    Field { name, takes, required: false, default: None, doc }
}

const fn or(name: &'static str, takes: Takes, default: &'static str, doc: &'static str) -> Field {
    Field { name, takes, required: false, default: Some(default), doc }
}

const fn fields(what: &'static str, all: &'static [Field]) -> Fields {
    Fields { what, all, one_of: &[], narrowed: &[] }
}

/// One kind of document.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) spec: &'static Fields,
    /// What it decides.
    pub(crate) doc: &'static str,
}

/// The kinds, in the order in which people meet them.
pub(crate) static KINDS: &[Kind] = &[
    Kind {
        name: "Bundle",
        spec: &BUNDLE,
        doc: "the bundle itself: what it extends, and params that all documents see",
    },
    Kind { name: "Admission", spec: &ADMISSION, doc: "whether a record is accepted, with a message" },
    Kind { name: "Template", spec: &TEMPLATE, doc: "a template: whether it may be used, its score, and what it is" },
    Kind { name: "Signal", spec: &SIGNAL, doc: "what is measured; rules read it as `signals.NAME`" },
    Kind { name: "Recommendation", spec: &RECOMMENDATION, doc: "how big a component should be, from what is measured" },
    Kind { name: "Safeguard", spec: &SAFEGUARD, doc: "whether and how far a recommendation is applied" },
    Kind { name: "Test", spec: &TEST, doc: "cases for what the other documents decide" },
];

/// The envelope that all documents share.
pub(crate) static DOCUMENT: Fields = Fields {
    what: "a policy document",
    all: &[
        need("apiVersion", Takes::OneOf(&[API_VERSION]), "version of the language"),
        need("kind", Takes::Text, "what the document decides"),
        need("metadata", Takes::Fields(&METADATA), "its name, and what people should know"),
        need("spec", Takes::Free, "what it says"),
    ],
    one_of: &[],
    narrowed: &[
        Narrowed {
            given: "kind",
            matches: "^Signal$",
            field: "metadata",
            takes: Takes::Fields(&SIGNAL_METADATA),
            needed: false,
        },
        Narrowed {
            given: "kind",
            matches: "^(Bundle|Admission|Template|Recommendation|Safeguard|Test)$",
            field: "metadata",
            takes: Takes::Fields(&OTHER_METADATA),
            needed: false,
        },
    ],
};

const NAME_DOC: &str = "name, unique among the documents of its kind";
const DESCRIPTION: Field = may("description", Takes::Text, "what it is for, in a sentence");
const OWNER: Field = may("owner", Takes::Text, "whom to ask");

pub(crate) static METADATA: Fields = fields("metadata", &[need("name", Takes::Text, NAME_DOC), DESCRIPTION, OWNER]);
// Expressions read a signal by its name, so it has underscores where others have dashes.
static SIGNAL_METADATA: Fields = fields("metadata", &[need("name", Takes::Identifier, NAME_DOC), DESCRIPTION, OWNER]);
static OTHER_METADATA: Fields = fields("metadata", &[need("name", Takes::Name, NAME_DOC), DESCRIPTION, OWNER]);

static SCALAR: Takes = Takes::Scalar;
static VALUES: Takes = Takes::Entries(Keys::Identifiers, &SCALAR);
static DECLARATION: Takes = Takes::Fields(&PARAM);
static PARAM_OR_VALUE: Takes = Takes::Either(&[Takes::Fields(&PARAM), Takes::Scalar]);

const PARAMS: Field = may(
    "params",
    Takes::Entries(Keys::Identifiers, &DECLARATION),
    "bounds and switches of the rules, read as `params.NAME`",
);
const PROFILE_VALUES: Field = may(
    "profiles",
    Takes::Entries(Keys::Profiles, &VALUES),
    "values of params for a profile, in place of their defaults",
);
const VARIABLES: Field = may(
    "variables",
    Takes::Keyed { by: "name", of: &VARIABLE, order: Order::Free },
    "expressions with a name, evaluated once a class in this order, read as `variables.NAME`",
);
const MODE: Field = or(
    "mode",
    Takes::OneOf(&["enforce", "warn", "dry-run"]),
    "enforce",
    "enforce: it counts; warn: it is only reported; dry-run: it is only traced",
);
const ID: Field = need("id", Takes::Name, "stable name of the rule; traces and Events show it as Kind/name/id");

pub(crate) static PARAM: Fields = fields(
    "a param",
    &[
        need("type", Takes::OneOf(params::TYPE_NAMES), "what its values are"),
        need("default", Takes::Scalar, "value where neither environment nor bundle nor profile gives one"),
        may("min", Takes::Scalar, "least value that is accepted, wherever it comes from"),
        may("max", Takes::Scalar, "greatest value that is accepted"),
        may("env", Takes::Text, "environment variable of the controller, OPRC_CRM_*, that sets it, when given"),
        may("env_unit", Takes::OneOf(&["s"]), "the variable of a duration counts seconds"),
        may("why", Takes::Text, "what it is for"),
    ],
);

pub(crate) static VARIABLE: Fields = fields(
    "a variable",
    &[
        need("name", Takes::Identifier, "name, read as `variables.NAME`"),
        need("expression", Takes::Expression, "its value, over facts, params and the variables before it"),
    ],
);

pub(crate) static BUNDLE: Fields = fields(
    "spec of a Bundle",
    &[
        may(
            "extends",
            Takes::OneOf(&["builtin"]),
            "builtin: documents given here replace the shipped ones of the same kind and name",
        ),
        may(
            "params",
            Takes::ByName { identifiers: &PARAM_OR_VALUE, documents: &VALUES },
            "params that all documents see; values for those of a document by `Kind/name: {param: value}`",
        ),
        PROFILE_VALUES,
        may(
            "rollout",
            Takes::Fields(&ROLLOUT),
            "how a change of the policy, or of the cluster, reaches classes that run",
        ),
        may("metadata", Takes::Entries(Keys::Any, &Takes::Free), "anything; `commit` is shown in the revision"),
    ],
);

pub(crate) static ROLLOUT: Fields = fields(
    "rollout of a Bundle",
    &[
        or(
            "pace",
            Takes::Like { pattern: "^\\s*[0-9]{1,4}\\s*/\\s*[smh]\\s*$", example: "10/m" },
            "10/m",
            "how many classes go over to a change in a second, minute or hour",
        ),
        or(
            "hold_above",
            Takes::Either(&[
                Takes::Number { min: 0.0, max: 100.0, whole: false },
                Takes::Like { pattern: "^\\s*[0-9]+(\\.[0-9]+)?\\s*%\\s*$", example: "20%" },
            ]),
            "20%",
            "share of the live classes above which a change is held until a revision raises this",
        ),
        or(
            "at_least",
            Takes::Number { min: 1.0, max: 100_000.0, whole: true },
            "5",
            "changed classes below which nothing is held, whatever their share",
        ),
    ],
);

pub(crate) static ADMISSION: Fields = fields(
    "spec of an Admission",
    &[
        PARAMS,
        PROFILE_VALUES,
        VARIABLES,
        need(
            "rules",
            Takes::Keyed { by: "id", of: &ADMISSION_RULE, order: Order::Free },
            "all of them are asked; each that holds refuses the record or warns",
        ),
    ],
);

pub(crate) static ADMISSION_RULE: Fields = Fields {
    what: "a rule",
    all: &[
        ID,
        MODE,
        may("deny", Takes::Expression, "condition under which the record is refused; also where it can't be evaluated"),
        may("warn", Takes::Expression, "condition under which the record is accepted and its author told"),
        need(
            "message",
            Takes::Expression,
            "what its author is told: an expression, so texts stand in quotes within quotes",
        ),
    ],
    one_of: &[&["deny"], &["warn"]],
    narrowed: &[],
};

pub(crate) static TEMPLATE: Fields = fields(
    "spec of a Template",
    &[
        may("aliases", Takes::List(&Takes::Name), "other names that records may use for it"),
        PARAMS,
        PROFILE_VALUES,
        VARIABLES,
        may(
            "enabled",
            Takes::Either(&[Takes::Expression, Takes::Keyed { by: "id", of: &ENABLED_RULE, order: Order::Free }]),
            "a condition, or rules that must all hold, for the template to be used at all",
        ),
        may(
            "score",
            Takes::Keyed { by: "id", of: &SCORE_RULE, order: Order::Free },
            "points of the rules that hold; the highest sum wins, ties go to the first name",
        ),
        need("workload", Takes::Fields(&WORKLOAD), "what a class on this template runs as"),
    ],
);

pub(crate) static ENABLED_RULE: Fields =
    fields("a rule of `enabled`", &[ID, need("when", Takes::Expression, "condition that must hold")]);

pub(crate) static SCORE_RULE: Fields = fields(
    "a score rule",
    &[
        ID,
        MODE,
        need("when", Takes::Expression, "condition under which the points are added"),
        need("add", Takes::Number { min: f64::NEG_INFINITY, max: f64::INFINITY, whole: false }, "points"),
    ],
);

const SECURITY_FIELD: Field =
    may("security", Takes::Fields(&SECURITY), "security of the pods; what is left out is false");
const RESOURCES_FIELD: Field = may("resources", Takes::Fields(&RESOURCES), "resources where the record states none");

pub(crate) static WORKLOAD: Fields = fields(
    "workload",
    &[
        need("kind", Takes::OneOf(&["Deployment", "KnativeService"]), "kind of the workload"),
        need(
            "replicas",
            Takes::Expression,
            "replicas of each function (of a KnativeService: the fewest), rounded up; a number in the record wins",
        ),
        may(
            "max_replicas",
            Takes::Expression,
            "most replicas of a KnativeService, whatever the record's max_scale says; of a Deployment that is the autoscaler's",
        ),
        RESOURCES_FIELD,
        or("probes", Takes::Flag, "true", "probes on ports that the record states"),
        SECURITY_FIELD,
        may(
            "termination_grace_seconds",
            Takes::Number { min: 0.0, max: 3600.0, whole: true },
            "seconds that a pod gets to end; not for a KnativeService",
        ),
        may(
            "autoscaler",
            Takes::Fields(&AUTOSCALER),
            "a HorizontalPodAutoscaler for functions whose record states max_scale; not for a KnativeService, which scales itself",
        ),
        may("odgm", Takes::Fields(&ODGM), "the data grid, for classes that ask for one"),
        may("addons", Takes::Fields(&ADDONS), "what else comes beside the workload"),
    ],
);

pub(crate) static AUTOSCALER: Fields = fields(
    "autoscaler",
    &[
        or("enabled", Takes::Expression, "true", "condition under which functions get one"),
        need(
            "cpu_utilization",
            Takes::Expression,
            "CPU that pods should use on average, percent of their request; 1 to 1000",
        ),
        may("max_replicas", Takes::Expression, "most replicas, whatever the record's max_scale says"),
    ],
);
pub(crate) static ADDONS: Fields = fields(
    "addons",
    &[
        may("pdb", Takes::Fields(&PDB), "a PodDisruptionBudget for each Deployment of the class"),
        may(
            "monitor",
            Takes::Fields(&MONITOR),
            "monitors that tell Prometheus' operator to scrape the class's functions, where the cluster has such kinds",
        ),
    ],
);

pub(crate) static MONITOR: Fields = fields(
    "monitor",
    &[
        or("enabled", Takes::Expression, "true", "condition under which a class gets them"),
        need("path", Takes::Expression, "where the functions serve metrics, such as '\"/metrics\"'"),
        need("interval", Takes::Expression, "time between two scrapes, such as `30s`; at least a second"),
    ],
);

pub(crate) static PDB: Fields = Fields {
    what: "pdb",
    all: &[
        or(
            "enabled",
            Takes::Expression,
            "true",
            "condition under which a class gets them; whether its record asks says `\"pdb\" in class.addons`",
        ),
        may("max_unavailable", Takes::Expression, "pods of a workload that may be taken at once, at least 1"),
        may(
            "min_available",
            Takes::Expression,
            "pods of a workload that must stay; where no more are asked for, one may be taken all the same",
        ),
        or("from_replicas", Takes::Expression, "1.0", "workloads of fewer replicas get none"),
    ],
    one_of: &[&["max_unavailable"], &["min_available"]],
    narrowed: &[],
};

pub(crate) static ODGM: Fields = Fields {
    what: "odgm",
    all: &[
        or("enabled", Takes::Expression, "true", "condition under which a data grid is run"),
        may("image", Takes::Text, "image of the data grid, as it stands"),
        may("image_expression", Takes::Expression, "image of the data grid, computed"),
        need("replicas", Takes::Expression, "pods of the data grid"),
        RESOURCES_FIELD,
        SECURITY_FIELD,
    ],
    one_of: &[&["image"], &["image_expression"]],
    narrowed: &[],
};

pub(crate) static RESOURCES: Fields = fields(
    "resources",
    &[
        may("cpu_request", Takes::Quantity, "CPU set aside"),
        may("memory_request", Takes::Quantity, "memory set aside"),
        may("cpu_limit", Takes::Quantity, "CPU that may not be exceeded"),
        may("memory_limit", Takes::Quantity, "memory that may not be exceeded"),
    ],
);

pub(crate) static SECURITY: Fields = fields(
    "security",
    &[
        or("drop_capabilities", Takes::Expression, "false", "drop all Linux capabilities"),
        or("run_as_non_root", Takes::Expression, "false", "refuse to run as root"),
    ],
);

/// A length of time as it is written out.
pub(crate) const DURATION: &str = "^([0-9]+ *[a-z]+ *)+$";
const LENGTH: Takes = Takes::Like { pattern: DURATION, example: "10m" };

const QUANTILE: Takes = Takes::Number { min: 0.0, max: 1.0, whole: false };

pub(crate) static SIGNAL: Fields = Fields {
    what: "spec of a Signal",
    all: &[
        need("unit", Takes::Like { pattern: "^[A-Za-z0-9/_%-]{1,32}$", example: "cores" }, "what its values count"),
        or("type", Takes::OneOf(&["value", "histogram"]), "value", "value: one a series; histogram: buckets with `le`"),
        may("quantile", QUANTILE, "of a histogram, the share that is asked for, such as 0.95"),
        need(
            "query",
            Takes::Like { pattern: "\\$scope", example: "sum by (namespace, pod) (rate(x_total{$scope}[1m]))" },
            "PromQL over everything that is measured at once; `$scope` stands for matchers of each selector",
        ),
        need("join", Takes::OneOf(&["pod", "workload", "revision"]), "by which label samples find their component"),
        or(
            "combine",
            Takes::OneOf(&["sum", "max", "min", "avg"]),
            "sum",
            "how the pods of a component are put together; buckets of a histogram are added up",
        ),
        may("window", LENGTH, "how far back samples are kept: as far as rules look back, and stability before that"),
        may("step", LENGTH, "time from one sample to the next"),
        need("max_age", LENGTH, "age from which a sample says nothing about now"),
        or("required_when", Takes::Expression, "true", "whether a class needs it: without, nothing of it shrinks"),
        PARAMS,
        PROFILE_VALUES,
        VARIABLES,
    ],
    one_of: &[],
    narrowed: &[Narrowed { given: "type", matches: "^histogram$", field: "quantile", takes: QUANTILE, needed: true }],
};

const DIMENSIONS: Takes = Takes::OneOf(&["replicas", "cpu", "memory", "partitions"]);

pub(crate) static RECOMMENDATION: Fields = fields(
    "spec of a Recommendation",
    &[
        need("component", Takes::OneOf(&["function", "odgm"]), "what is sized"),
        need("dimension", DIMENSIONS, "what of it; partitions of a data grid are advice only"),
        or(
            "combine",
            Takes::OneOf(&["max", "first"]),
            "max",
            "max: of the rules that apply, the highest target; first: the first that applies",
        ),
        PARAMS,
        PROFILE_VALUES,
        VARIABLES,
        need(
            "rules",
            Takes::Keyed { by: "id", of: &RECOMMENDATION_RULE, order: Order::Decides },
            "rules that recommend a size",
        ),
    ],
);

pub(crate) static RECOMMENDATION_RULE: Fields = fields(
    "a rule",
    &[
        ID,
        MODE,
        or("when", Takes::Expression, "true", "condition under which the rule applies"),
        need("target", Takes::Expression, "the size: replicas, cores, bytes or partitions, not rounded"),
        or("confidence", Takes::Expression, "1.0", "how sure it is, 0 to 1"),
        need("basis", Takes::Expression, "what it rests on, for people: an expression that gives a text"),
    ],
);

pub(crate) static SAFEGUARD: Fields = fields(
    "spec of a Safeguard",
    &[
        need("dimension", Takes::OneOf(&["replicas", "cpu", "memory"]), "what is guarded; one Safeguard a dimension"),
        need("stabilize", Takes::Fields(&STABILIZE), "how long a change must be asked for, and from which size on"),
        PARAMS,
        PROFILE_VALUES,
        VARIABLES,
        need(
            "rules",
            Takes::Keyed { by: "id", of: &SAFEGUARD_RULE, order: Order::Free },
            "all of them are asked: one that holds keeps what is there, the others narrow the change",
        ),
    ],
);

pub(crate) static STABILIZE: Fields = fields(
    "stabilize",
    &[
        need("up", Takes::Expression, "how long a rise must be asked for: a duration of literals and params, or 15s"),
        need("down", Takes::Expression, "how long a fall must be asked for"),
        need("dead_band", Takes::Expression, "changes of less than this share are none, percent"),
    ],
);

pub(crate) static SAFEGUARD_RULE: Fields = Fields {
    what: "a rule",
    all: &[
        ID,
        MODE,
        or("when", Takes::Expression, "true", "condition under which the rule is asked at all"),
        may("hold", Takes::Expression, "condition under which nothing changes; also where it can't be evaluated"),
        may("message", Takes::Expression, "why it holds, for people; else the condition is shown"),
        may("at_most", Takes::Expression, "upper bound of the target"),
        may("at_least", Takes::Expression, "lower bound of the target; a cap wins over it"),
    ],
    one_of: &[&["hold"], &["at_most", "at_least"]],
    narrowed: &[],
};
