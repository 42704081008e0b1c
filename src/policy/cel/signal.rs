//! Signals in expressions: their methods, checked at load and evaluated over the samples as of now.
//!
//! A call such as `signals.cpu.max_over(params.peak)` is rewritten to a function over the signal's value, which shares
//! the samples with the facts. Missing data is an error that names the signal, so that a rule over a signal that the
//! class does not need can be told from one that failed.

#![expect(clippy::needless_pass_by_value, reason = "overloads take their arguments by value")]

use std::any::Any;
use std::sync::Arc;

use cel_interpreter::common::ast::{CallExpr, Expr, LiteralValue};
use cel_interpreter::common::types::{CelBool, CelDouble, CelDuration, DOUBLE_TYPE, DURATION_TYPE, Type as CelType};
use cel_interpreter::common::value::{CowVal, StaticVal, Val};
use cel_interpreter::{DeclarationError, Env, ExecutionError, IdedExpr};

use super::budget::charge;
use super::check::{Checker, Guards, call as plain, label, literal_text};
use super::env::{Outcome, Overload, Values, number};
use super::types::Type;
use crate::policy::series::{Series, Window};
use crate::policy::units;

/// A signal at a time, as expressions see it.
#[derive(Clone, Debug)]
pub(crate) struct SignalVal {
    /// `signals.NAME`.
    pub(crate) path: Arc<str>,
    /// Its samples; `None` is as good as no samples.
    pub(crate) series: Option<Arc<Series>>,
    /// Milliseconds since the epoch.
    pub(crate) now: i64,
    /// How far back its document keeps samples, milliseconds.
    pub(crate) keeps: i64,
}

const fn signal_type() -> CelType {
    CelType::new_unspecified_type("signal")
}

static SIGNAL_TYPE: CelType = signal_type();

impl Val for SignalVal {
    fn get_type(&self) -> &CelType {
        Self::cel_type()
    }

    fn cel_type() -> &'static CelType {
        &SIGNAL_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for SignalVal {}

/// A part of an expression that reads the past of a signal.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// Name of the signal.
    pub(crate) signal: String,
    /// How far back, as an expression over params and literals.
    pub(crate) length: IdedExpr,
    /// Where it stands, in characters.
    pub(crate) start: usize,
    pub(crate) len: usize,
}

/// What a method takes, besides the signal.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Takes {
    Nothing,
    Length,
    ShareAndLength,
}

#[derive(Debug)]
pub(super) struct Method {
    name: &'static str,
    takes: Takes,
    /// A length of time; all others give a number.
    duration: bool,
    /// Points that it needs; with fewer it has no value.
    needs: usize,
    doc: &'static str,
    evaluate: fn(&Window<'_>, f64) -> Option<f64>,
}

type Figure = fn(&Window<'_>, f64) -> Option<f64>;

const fn over(name: &'static str, needs: usize, doc: &'static str, evaluate: Figure) -> Method {
    Method { name, takes: Takes::Length, duration: false, needs, doc, evaluate }
}

/// What `has_data` is written like: a function, because it is no figure of the samples.
pub(super) const HAS_DATA: &str = "has_data";

#[expect(clippy::cast_precision_loss, reason = "ages are far shorter than what a double can count")]
static METHODS: [Method; 10] = [
    Method { takes: Takes::Nothing, ..over("last", 1, "the newest value", |window, _| window.last()) },
    Method {
        takes: Takes::Nothing,
        duration: true,
        ..over("age", 1, "how old the newest sample is", |window, _| window.age().map(|age| age as f64))
    },
    Method { takes: Takes::Nothing, ..over("count", 0, "number of samples kept", |window, _| Some(window.count())) },
    over("min_over", 1, "the least value", |window, _| window.min()),
    over("max_over", 1, "the greatest value", |window, _| window.max()),
    over("avg_over", 1, "mean of the values", |window, _| window.avg()),
    Method {
        takes: Takes::ShareAndLength,
        ..over("quantile_over", 1, "the value that a share `q` of them does not exceed, 0 to 1", |window, share| {
            window.quantile(share)
        })
    },
    over("slope_over", 2, "change a second, by the line that fits best", |window, _| window.slope()),
    over("stddev_over", 2, "standard deviation of the values", |window, _| window.stddev()),
    over("mean_step_over", 2, "mean absolute change from one sample to the next: how jumpy it is", |window, _| {
        window.mean_step()
    }),
];

/// The methods as authors see them: usage, type, samples needed, what it is.
pub(crate) fn signal_methods() -> impl Iterator<Item = (String, &'static str, usize, &'static str)> {
    let methods = METHODS.iter().map(|method| {
        let arguments = match method.takes {
            Takes::Nothing => "",
            Takes::Length => "d",
            Takes::ShareAndLength => "q, d",
        };
        let ty = if method.duration { "duration" } else { "double" };
        (format!("signals.NAME.{}({arguments})", method.name), ty, method.needs, method.doc)
    });
    methods.chain([(format!("{HAS_DATA}(signals.NAME, d)"), "bool", 0, "whether there is a sample at all")])
}

impl Method {
    fn find(name: &str) -> Option<&'static Self> {
        METHODS.iter().find(|method| method.name == name)
    }

    fn usage(&self) -> String {
        let name = self.name;
        match self.takes {
            Takes::Nothing => format!("takes nothing: signals.cpu.{name}()"),
            Takes::Length => format!("takes how far back to look: signals.cpu.{name}(duration(\"5m\"))"),
            Takes::ShareAndLength => {
                format!("takes a share and how far back to look: signals.cpu.{name}(0.95, duration(\"5m\"))")
            }
        }
    }

    pub(super) fn is_duration(&self) -> bool {
        self.duration
    }

    fn arguments(&self) -> usize {
        match self.takes {
            Takes::Nothing => 0,
            Takes::Length => 1,
            Takes::ShareAndLength => 2,
        }
    }
}

/// Names of the methods and of the function over signals.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    METHODS.iter().map(|method| method.name).chain([HAS_DATA])
}

/// Name of a method's overload, which nobody can write.
pub(super) fn internal(name: &str) -> String {
    format!("@{name}")
}

/// Checks a call of a signal's method, or of `has_data`; `None` for every other call.
pub(super) fn call(
    checker: &mut Checker<'_>,
    expr: &IdedExpr,
    inner: &CallExpr,
    guards: &Guards,
) -> Option<(Type, IdedExpr)> {
    let name = inner.func_name.as_str();
    let target = match (&inner.target, inner.args.as_slice()) {
        (None, [signal, _]) if name == HAS_DATA => signal,
        // Only a path can be a signal, and looking at it twice costs nothing.
        (Some(target), _) if label(target).is_some() => target,
        _ if name == HAS_DATA || Method::find(name).is_some() => {
            misused(checker, expr, name);
            return Some((Type::Any, expr.clone()));
        }
        _ => return None,
    };
    let problems = checker.problems.len();
    let (of, signal) = checker.check(target, guards);
    if name == HAS_DATA && inner.target.is_none() {
        if of != Type::Signal {
            if checker.problems.len() == problems {
                misused(checker, target, name);
            }
            return Some((Type::Any, expr.clone()));
        }
        let length = inner.args.get(1)?;
        return Some(match window(checker, target, length, guards) {
            Some(length) => read(checker, expr, Type::Bool, name, vec![signal, length]),
            None => (Type::Bool, expr.clone()),
        });
    }
    match (of, Method::find(name)) {
        (Type::Signal, Some(method)) => Some(self::method(checker, expr, inner, (method, target, signal), guards)),
        (Type::Signal, None) => {
            let known: Vec<String> = names().filter(|name| *name != HAS_DATA).map(str::to_owned).collect();
            checker.unknown(expr, &format!("a signal has no method `{name}`"), name, &known);
            Some((Type::Any, expr.clone()))
        }
        (of, Some(_)) => {
            // What has no type has a fault of its own.
            if checker.problems.len() == problems && of != Type::Any {
                misused(checker, expr, name);
            }
            Some((Type::Any, expr.clone()))
        }
        _ => None,
    }
}

fn misused(checker: &mut Checker<'_>, at: &IdedExpr, name: &str) {
    let usage = match Method::find(name) {
        Some(method) => format!("{name}() is a method of signals and {}", method.usage()),
        None => format!("{name}() takes a signal and how far back to look: {name}(signals.cpu, duration(\"5m\"))"),
    };
    checker.problem(at, usage, None);
}

fn method(
    checker: &mut Checker<'_>,
    expr: &IdedExpr,
    inner: &CallExpr,
    (method, target, signal): (&Method, &IdedExpr, IdedExpr),
    guards: &Guards,
) -> (Type, IdedExpr) {
    let wrong = (Type::Any, expr.clone());
    if inner.args.len() != method.arguments() {
        let message = format!("{}() {}; here it has {}", method.name, method.usage(), inner.args.len());
        checker.problem(expr, message, None);
        return wrong;
    }
    let mut parts = vec![signal];
    let (shares, lengths) = inner.args.split_at(inner.args.len().saturating_sub(1));
    for one in shares {
        let Some(share) = share(checker, one, guards) else { return wrong };
        parts.push(share);
    }
    for one in lengths {
        let Some(length) = window(checker, target, one, guards) else { return wrong };
        parts.push(length);
    }
    let gives = if method.duration { Type::Duration } else { Type::Double };
    read(checker, expr, gives, method.name, parts)
}

/// The rewritten call; it is what a trace shows, since a signal itself has no one value.
fn read(checker: &mut Checker<'_>, expr: &IdedExpr, gives: Type, name: &str, parts: Vec<IdedExpr>) -> (Type, IdedExpr) {
    let rewritten = plain(expr.id, &internal(name), parts);
    checker.computed(expr, &rewritten);
    (gives, rewritten)
}

/// The share of a quantile: a number from 0 to 1.
fn share(checker: &mut Checker<'_>, expr: &IdedExpr, guards: &Guards) -> Option<IdedExpr> {
    let (ty, tree) = checker.value(expr, guards);
    let literal = match &expr.expr {
        Expr::Literal(LiteralValue::Double(value)) => Some(*value.inner()),
        _ => None,
    };
    match ty {
        Type::Int => {
            checker.mixed(expr, expr);
            None
        }
        Type::Double if literal.is_some_and(|value| !(0.0..=1.0).contains(&value)) => {
            let help = literal.map(|value| format!("write {}", value / 100.0)).filter(|_| literal <= Some(100.0));
            checker.problem(expr, "a share lies between 0 and 1", help);
            None
        }
        Type::Double | Type::Any => Some(tree),
        other => {
            let message = format!("a share comes first, a number from 0 to 1; this is {other}");
            checker.problem(expr, message, Some("write quantile_over(0.95, duration(\"5m\"))".to_owned()));
            None
        }
    }
}

/// How far back to look: a duration that follows from params and literals, so that the check knows how many samples
/// must be kept.
fn window(checker: &mut Checker<'_>, target: &IdedExpr, expr: &IdedExpr, guards: &Guards) -> Option<IdedExpr> {
    let (ty, tree) = checker.value(expr, guards);
    if !matches!(ty, Type::Duration | Type::Any) {
        let help = match (&expr.expr, literal_text(expr)) {
            (Expr::Literal(LiteralValue::Int(seconds)), _) => format!("write duration(\"{}s\")", seconds.inner()),
            (Expr::Literal(LiteralValue::Double(seconds)), _) => format!("write duration(\"{}s\")", seconds.inner()),
            (_, Some(text)) => format!("write duration({text:?})"),
            _ => "write a duration, such as duration(\"5m\") or a param of type duration".to_owned(),
        };
        checker.problem(expr, format!("how far back to look is a duration, this is {ty}"), Some(help));
        return None;
    }
    if !fixed(&tree) {
        let help = "use duration(\"5m\") or a param of type duration; what differs by profile is the param's to say";
        let message = "how far back a rule looks must follow from params and literals alone";
        checker.problem(expr, message, Some(help.to_owned()));
        return None;
    }
    let signal = label(target)?.rsplit('.').next()?.to_owned();
    let (start, end) = checker.extent(expr);
    checker.looks.push(Look { signal, length: tree.clone(), start, len: end.saturating_sub(start).max(1) });
    Some(tree)
}

/// Whether an expression has one value, whatever the facts.
pub(super) fn fixed(tree: &IdedExpr) -> bool {
    match &tree.expr {
        Expr::Literal(_) => true,
        Expr::Ident(name) => name.starts_with("params."),
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).all(fixed),
        _ => false,
    }
}

/// Adds the methods to what expressions may call.
pub(super) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    // Overloads are plain function pointers: each has its method by its number.
    let overloads: [Overload; 10] =
        [at::<0>, at::<1>, at::<2>, at::<3>, at::<4>, at::<5>, at::<6>, at::<7>, at::<8>, at::<9>];
    for (method, overload) in METHODS.iter().zip(overloads) {
        let mut types = vec![signal_type()];
        types.extend((method.takes == Takes::ShareAndLength).then_some(DOUBLE_TYPE));
        types.extend((method.takes != Takes::Nothing).then_some(DURATION_TYPE));
        env.add_overload(&internal(method.name), method.name, types, overload)?;
    }
    env.add_overload(&internal(HAS_DATA), HAS_DATA, vec![signal_type(), DURATION_TYPE], has_data)
}

fn at<'b, 'v, const NUMBER: usize>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    let method = METHODS.get(NUMBER).ok_or_else(ExecutionError::missing_argument_or_target)?;
    apply(method, &args)
}

fn has_data<'b, 'v>(args: Values<'b, 'v>) -> Outcome<'b, 'v> {
    let signal = signal_of(&args)?;
    signal.has_data(length(&args)?).map(|found| CowVal::owned(CelBool::from(found)))
}

fn signal_of<'a>(args: &'a Values<'_, '_>) -> Result<&'a SignalVal, ExecutionError> {
    args.first()
        .and_then(|value| value.downcast_ref::<SignalVal>())
        .ok_or_else(ExecutionError::missing_argument_or_target)
}

fn length(args: &Values<'_, '_>) -> Result<i64, ExecutionError> {
    let length = args.last().and_then(|value| value.downcast_ref::<CelDuration>());
    length.map(|length| length.inner().num_milliseconds()).ok_or_else(ExecutionError::missing_argument_or_target)
}

fn words(milliseconds: i64) -> String {
    units::words(chrono::Duration::milliseconds(milliseconds))
}

impl SignalVal {
    /// A figure of the samples; of an age, its milliseconds.
    pub(super) fn figure(
        &self,
        method: &Method,
        share: Option<f64>,
        length: Option<i64>,
    ) -> Result<f64, ExecutionError> {
        let (length, share) = (length.unwrap_or(self.keeps), share.unwrap_or(0.0));
        let window = self.window(length)?;
        if !(0.0..=1.0).contains(&share) {
            return Err(ExecutionError::function_error(method.name, format!("{share} is no share between 0 and 1")));
        }
        (method.evaluate)(&window, share).ok_or_else(|| self.missing(&window, method.needs, length))
    }

    pub(super) fn has_data(&self, length: i64) -> Result<bool, ExecutionError> {
        Ok(self.window(length)?.has_data())
    }

    fn window(&self, length: i64) -> Result<Window<'_>, ExecutionError> {
        static NONE: Series = Series::EMPTY;
        if length <= 0 {
            return Err(ExecutionError::function_error("window", "a window is longer than nothing"));
        }
        if length > self.keeps {
            let message = format!("{} keeps {}, which is less than {}", self.path, words(self.keeps), words(length));
            return Err(ExecutionError::function_error("window", message));
        }
        let window = self.series.as_deref().unwrap_or(&NONE).window(self.now, length);
        charge(window.len() / 16 + 1)?;
        Ok(window)
    }

    /// The error of a figure that the data can't give.
    fn missing(&self, window: &Window<'_>, needs: usize, length: i64) -> ExecutionError {
        let message = match window.len() {
            have if have >= needs => {
                return ExecutionError::function_error("signal", format!("{}: the result is not finite", self.path));
            }
            0 if length == i64::MAX => format!("{} has no data", self.path),
            0 => format!("{} has no data in the last {}", self.path, words(length)),
            have => format!("{} has {have} sample in the last {}, {needs} are needed", self.path, words(length)),
        };
        ExecutionError::function_error(&self.path, message)
    }
}

fn apply<'b, 'v>(method: &Method, args: &Values<'b, 'v>) -> Outcome<'b, 'v> {
    let signal = signal_of(args)?;
    let length = if method.takes == Takes::Nothing { None } else { Some(length(args)?) };
    let share = if method.takes == Takes::ShareAndLength { Some(number(args, 1)?) } else { None };
    let value = signal.figure(method, share, length)?;
    if method.duration {
        return Ok(CowVal::owned(CelDuration::from(length_of_age(value))));
    }
    Ok(CowVal::owned(CelDouble::from(value)))
}

/// The method of a rewritten call.
pub(super) fn method_of(internal: &str) -> Option<&'static Method> {
    Method::find(internal.strip_prefix('@')?)
}

/// An age, in milliseconds, as a length of time.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ages are whole and not negative")]
pub(super) fn length_of_age(milliseconds: f64) -> chrono::Duration {
    units::at_most_ten_years(std::time::Duration::from_millis(milliseconds as u64))
}

/// The signal that an evaluation error is about, where it is one of missing data.
pub(crate) fn missing_signal(error: &ExecutionError) -> Option<&str> {
    match error {
        ExecutionError::FunctionError { function, .. } => function.strip_prefix("signals."),
        _ => None,
    }
}
