//! The fields of Test documents, and of the scenes that decisions are explained with.

use super::{DURATION, Field, Fields, Keys, Narrowed, Order, PROFILES, Takes, fields, may, need, or};

const ANY_NUMBER: Takes = Takes::Number { min: f64::NEG_INFINITY, max: f64::INFINITY, whole: false };
/// A time from the start, or an age.
const SPAN: Takes = Takes::Like { pattern: DURATION, example: "5m" };

const NOW: Field = or(
    "now",
    Takes::Like { pattern: "^[0-9]{4}-[0-9]{2}-[0-9]{2}T", example: "2026-01-01T00:00:00Z" },
    "2026-01-01T00:00:00Z",
    "when it starts",
);
const STEP_LENGTH: Field = or("step", SPAN, "30s", "time from one sample, and one decision, to the next");
const SERIES_LIST: Field = may(
    "series",
    Takes::Keyed { by: "signal", of: &SERIES, order: Order::Free },
    "samples of signals, from the start on; a signal that is left out has none",
);
static CHANGES_TAKE: Takes = Takes::Fields(&CHANGE);
static STEPS_TAKE: Takes = Takes::Fields(&STEP);
const CHANGES: Field = may("changes", Takes::List(&CHANGES_TAKE), "facts that change on the way");
const SIZES: Field = may("given", Takes::Fields(&GIVEN_SIZES), "facts, over sensible defaults, and params");

pub(crate) static TEST: Fields = Fields {
    what: "spec of a Test",
    all: &[
        need(
            "target",
            Takes::Like {
                pattern: "^(Template|(Admission|Recommendation|Safeguard)/[a-z][a-z0-9-]*|Signal/[a-z][a-z0-9_]*)$",
                example: "Safeguard/replicas",
            },
            "what is tested: Template for the choice of one, or a document as Kind/name",
        ),
        may("given", Takes::Free, "facts, over sensible defaults; cases give more"),
        NOW,
        STEP_LENGTH,
        SERIES_LIST,
        CHANGES,
        may("expect", Takes::Free, "what is expected, where there is one case alone"),
        may("cases", Takes::List(&Takes::Free), "the cases"),
    ],
    one_of: &[],
    narrowed: &[
        given("^(Template$|Admission/)", Takes::Fields(&GIVEN)),
        given("^(Signal|Recommendation|Safeguard)/", Takes::Fields(&GIVEN_SIZES)),
        cases("^Template$", Takes::List(&Takes::Fields(&TEMPLATE_CASE))),
        cases("^Admission/", Takes::List(&Takes::Fields(&ADMISSION_CASE))),
        cases("^Signal/", Takes::List(&Takes::Fields(&SIGNAL_CASE))),
        cases("^Recommendation/", Takes::List(&Takes::Fields(&RECOMMENDATION_CASE))),
        cases("^Safeguard/", Takes::List(&Takes::Fields(&SAFEGUARD_CASE))),
        expect("^Template$", Takes::Fields(&TEMPLATE_EXPECT)),
        expect("^Admission/", Takes::Fields(&ADMISSION_EXPECT)),
        expect("^Signal/", Takes::Fields(&SIGNAL_EXPECT)),
        expect("^Recommendation/", Takes::Fields(&RECOMMENDATION_EXPECT)),
        expect("^Safeguard/", Takes::List(&Takes::Fields(&STEP))),
    ],
};

const fn narrowed(matches: &'static str, field: &'static str, takes: Takes) -> Narrowed {
    Narrowed { given: "target", matches, field, takes, needed: false }
}

const fn given(matches: &'static str, takes: Takes) -> Narrowed {
    narrowed(matches, "given", takes)
}

const fn cases(matches: &'static str, takes: Takes) -> Narrowed {
    narrowed(matches, "cases", takes)
}

const fn expect(matches: &'static str, takes: Takes) -> Narrowed {
    narrowed(matches, "expect", takes)
}

const CASE_NAME: Field = need("name", Takes::Text, "what must hold, in a sentence");
const GIVEN_FIELD: Field = may("given", Takes::Fields(&GIVEN), "facts, over sensible defaults, and params");

pub(crate) static TEMPLATE_CASE: Fields = fields(
    "a case",
    &[
        CASE_NAME,
        GIVEN_FIELD,
        need("expect", Takes::Fields(&TEMPLATE_EXPECT), "which template must be chosen, and how"),
    ],
);

pub(crate) static ADMISSION_CASE: Fields = fields(
    "a case",
    &[CASE_NAME, GIVEN_FIELD, need("expect", Takes::Fields(&ADMISSION_EXPECT), "which rules must fire, and no others")],
);

pub(crate) static SIGNAL_CASE: Fields = fields(
    "a case",
    &[CASE_NAME, SIZES, need("expect", Takes::Fields(&SIGNAL_EXPECT), "whether the class must need it")],
);

pub(crate) static RECOMMENDATION_CASE: Fields = fields(
    "a case",
    &[
        CASE_NAME,
        SIZES,
        NOW,
        STEP_LENGTH,
        SERIES_LIST,
        need("expect", Takes::Fields(&RECOMMENDATION_EXPECT), "what must be recommended, at one moment"),
    ],
);

pub(crate) static SAFEGUARD_CASE: Fields = fields(
    "a case",
    &[
        CASE_NAME,
        SIZES,
        NOW,
        STEP_LENGTH,
        SERIES_LIST,
        CHANGES,
        need("expect", Takes::List(&STEPS_TAKE), "what must be done when; at every other step nothing"),
    ],
);

/// What `policy explain` plays: a case without what is expected of it.
pub(crate) static SCENE: Fields = fields("a scene", &[SIZES, NOW, STEP_LENGTH, SERIES_LIST, CHANGES]);

const PROFILE: Field = or("profile", Takes::OneOf(PROFILES), "dev", "profile that params are resolved for");
const FEATURES: Field = may("features", Takes::Facts("features"), "features that are on");
const CLASS: Field = may("class", Takes::Facts("class"), "the class");
const NFR: Field = may("nfr", Takes::Facts("nfr"), "what is asked of the class");
const PARAMS: Field = may(
    "params",
    Takes::ByName { identifiers: &Takes::Scalar, documents: &Takes::Entries(Keys::Identifiers, &Takes::Scalar) },
    "values of params, within their bounds: of the target by their names, of other documents by Kind/name",
);

pub(crate) static GIVEN: Fields = fields(
    "given",
    &[
        PROFILE,
        FEATURES,
        CLASS,
        NFR,
        may("cluster", Takes::Facts("cluster"), "what the cluster has; `unknown` for what is not known"),
        may("current_template", Takes::Text, "template that the class runs on"),
        PARAMS,
    ],
);

pub(crate) static GIVEN_SIZES: Fields = fields(
    "given",
    &[
        PROFILE,
        FEATURES,
        CLASS,
        NFR,
        may("component", Takes::Facts("component"), "the component that is sized"),
        may("limits", Takes::Facts("limits"), "limits of the controller"),
        may("current", Takes::Facts("current"), "what there is: the field to be changed, pods, an autoscaler"),
        may("proposal", Takes::Fields(&PROPOSAL), "how the field got its value; the rest of a proposal is decided"),
        may("age", Takes::Fields(&AGE), "since when spec and policy are what they are"),
        PARAMS,
    ],
);

pub(crate) static PROPOSAL: Fields = fields(
    "proposal",
    &[
        may("since_applied", SPAN, "how long ago the field got its value"),
        may("changed_by", Takes::Text, "who gave it, where it was somebody else"),
    ],
);

pub(crate) static AGE: Fields = fields(
    "age",
    &[
        may("spec", SPAN, "how long ago the spec became what it is; else long ago"),
        may("policy", SPAN, "how long ago the policy became what it is; else long ago"),
    ],
);

pub(crate) static SERIES: Fields = fields(
    "a series",
    &[
        need("signal", Takes::Identifier, "name of the Signal"),
        need(
            "values",
            Takes::Either(&[Takes::Text, ANY_NUMBER, Takes::List(&Takes::Either(&[Takes::Text, ANY_NUMBER]))]),
            "samples, one a step, as promtool writes them: '1.0x8 3.0x8', '1+0.5x4', _ for a missing one",
        ),
    ],
);

pub(crate) static CHANGE: Fields = fields(
    "a change",
    &[
        need("at", SPAN, "when, from the start"),
        need("given", Takes::Fields(&GIVEN_SIZES), "facts that are others from then on"),
    ],
);

pub(crate) static STEP: Fields = fields(
    "a step",
    &[
        need("at", SPAN, "when, from the start"),
        need("action", Takes::OneOf(&["apply", "hold"]), "what must be done"),
        may("target", ANY_NUMBER, "the size that must be applied: replicas, cores or bytes"),
        may("by", Takes::Text, "what must have the last word: a rule, or what holds under any policy"),
        may("rule", Takes::Text, "the rule that must recommend it"),
        may("reason", Takes::Text, "what the reason must contain"),
    ],
);

pub(crate) static SIGNAL_EXPECT: Fields =
    fields("expect", &[need("required", Takes::Flag, "the class needs it: without, nothing of it shrinks")]);

pub(crate) static RECOMMENDATION_EXPECT: Fields = fields(
    "expect",
    &[
        may("at", SPAN, "when, from the start; else at the last sample"),
        need(
            "target",
            Takes::Either(&[ANY_NUMBER, Takes::OneOf(&["none"])]),
            "the size as computed, before it is rounded; none where nothing may be recommended",
        ),
        may("rule", Takes::Text, "the rule that must recommend it"),
        may("confidence", Takes::Number { min: 0.0, max: 1.0, whole: false }, "how sure it must be"),
        may("basis", Takes::Text, "what its basis must contain"),
        may("failed", Takes::Text, "a rule that must not be able to be evaluated"),
    ],
);

pub(crate) static ADMISSION_EXPECT: Fields = fields(
    "expect",
    &[
        may("deny", Takes::List(&Takes::Text), "ids of the rules that deny; all others must not"),
        may("warn", Takes::List(&Takes::Text), "ids of the rules that warn; all others must not"),
    ],
);

pub(crate) static TEMPLATE_EXPECT: Fields = Fields {
    what: "expect",
    all: &[
        may("template", Takes::Text, "the template that is chosen"),
        may("problem", Takes::OneOf(&["unknown", "not-enabled", "undecided"]), "why none is chosen"),
        may("score", ANY_NUMBER, "its score"),
        may("kept", Takes::Flag, "the class keeps what it has because the choice could not be evaluated"),
        may("replicas", ANY_NUMBER, "replicas of a function"),
        may("odgm_replicas", ANY_NUMBER, "pods of the data grid; 0 for none"),
        may(
            "cpu_utilization",
            ANY_NUMBER,
            "CPU utilisation that functions are scaled by, percent; 0 for no autoscaler",
        ),
        may("addons", Takes::List(&Takes::Text), "all addons that the class gets, in any order"),
    ],
    one_of: &[&["template"], &["problem"]],
    narrowed: &[],
};
