//! Expressions over numbers, conditions, durations and signals, evaluated without the interpreter.
//!
//! The check has seen that names and types are right, so what most rules are made of can be computed directly: the
//! rules of a Recommendation are asked at every point of a window, for every class, each cycle. Everything else (lists,
//! maps, texts that are built) is left to the interpreter. Both give the same, errors included, in the same
//! order and at the same cost in steps; a property test compares them.

use std::borrow::Cow;
use std::sync::Arc;

use cel_interpreter::common::ast::{CallExpr, Expr, LiteralValue, SelectExpr, operators};
use cel_interpreter::common::types::{CelBool, CelDouble, CelDuration, CelString};
use cel_interpreter::common::value::CowVal;
use cel_interpreter::{ExecutionError, IdedExpr, Value};

use super::check::{Names, literal_text};
use super::env::{self, Unary};
use super::name::Name;
use super::signal::{self, Method, SignalVal};
use super::types::Type;
use super::{Constant, Scope};
use loops::Quantifier;

mod loops;

/// An expression that needs no interpreter.
#[derive(Clone, Debug)]
pub(super) enum Native {
    Number(Number),
    Condition(Condition),
    Length(Length),
    Text(Text),
}

#[derive(Clone, Debug)]
pub(super) enum Number {
    Constant(f64),
    Name(Name),
    Negative(Box<Number>),
    Arithmetic(Operator, Box<(Number, Number)>),
    Function(&'static Unary, Box<Number>),
    Extreme(fn(f64, f64) -> f64, Vec<Number>),
    Clamp(Box<(Number, Number, Number)>),
    Figure(Box<Figure>),
    If(Box<(Condition, Number, Number)>),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Clone, Debug)]
pub(super) enum Condition {
    Constant(bool),
    Name(Name),
    /// Whether something is there.
    Present(Name),
    Numbers(Order, Box<(Number, Number)>),
    Lengths(Order, Box<(Length, Length)>),
    /// Whether a text is among others.
    Text(Text, Vec<Text>, bool),
    HasData(Name, Length),
    Matches(Text, Arc<env::Pattern>),
    Quantifier(Quantifier),
    If(Box<(Condition, Condition, Condition)>),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    Different,
}

#[derive(Clone, Debug)]
pub(super) enum Length {
    Constant(chrono::Duration),
    Name(Name),
    Figure(Box<Figure>),
    If(Box<(Condition, Length, Length)>),
}

#[derive(Clone, Debug)]
pub(super) enum Text {
    Constant(String),
    Name(Name),
}

/// A method of a signal.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    signal: Name,
    method: &'static Method,
    share: Option<Number>,
    length: Option<Length>,
}

type Outcome<T> = Result<T, ExecutionError>;

/// Calls by name, target first, which is how the check writes them.
fn call(tree: &IdedExpr) -> Option<(&str, &[IdedExpr])> {
    match &tree.expr {
        Expr::Call(CallExpr { func_name, target: None, args }) => Some((func_name.as_str(), args)),
        _ => None,
    }
}

/// A name as it is asked for at run time: a path, or a field of a loop's variable.
fn name(tree: &IdedExpr) -> Option<Cow<'_, str>> {
    match &tree.expr {
        Expr::Ident(name) => Some(name.into()),
        Expr::Select(SelectExpr { operand, field, test: false }) => Some(format!("{}.{field}", name(operand)?).into()),
        _ => None,
    }
}

/// A name of this type: its path, and the value that it has before there are facts.
fn typed<'a>(tree: &'a IdedExpr, ty: &Type, names: &dyn Names) -> Option<(Cow<'a, str>, Option<Constant>)> {
    let name = name(tree)?;
    let (known, _) = names.lookup(&name)?;
    let constant = names.constant(&name);
    (known == *ty).then_some((name, constant))
}

impl Native {
    /// The same expression without the interpreter, where it can do without.
    pub(super) fn compile(tree: &IdedExpr, ty: &Type, names: &dyn Names) -> Option<Self> {
        match ty {
            Type::Double => Number::compile(tree, names).map(Self::Number),
            Type::Bool => Condition::compile(tree, names).map(Self::Condition),
            Type::Duration => Length::compile(tree, names).map(Self::Length),
            Type::Text => Text::compile(tree, names).map(Self::Text),
            _ => None,
        }
    }

    pub(super) fn value(&self, scope: &dyn Scope) -> Outcome<Value> {
        Ok(match self {
            Self::Number(number) => Value::Float(number.value(scope)?),
            Self::Condition(condition) => Value::Bool(condition.value(scope)?),
            Self::Length(length) => Value::Duration(length.value(scope)?),
            Self::Text(text) => Value::String(Arc::new(text.value(scope)?.into_owned())),
        })
    }
}

impl Number {
    fn compile(tree: &IdedExpr, names: &dyn Names) -> Option<Self> {
        match &tree.expr {
            Expr::Literal(LiteralValue::Double(value)) => return Some(Self::Constant(*value.inner())),
            Expr::Ident(_) | Expr::Select(_) => {
                return Some(match typed(tree, &Type::Double, names)? {
                    (_, Some(Constant::Number(value))) => Self::Constant(value),
                    (path, _) => Self::Name(Name::of(path, names)),
                });
            }
            _ => {}
        }
        let one = |tree| Self::compile(tree, names);
        let pair = |left, right| Some(Box::new((one(left)?, one(right)?)));
        let (name, args) = call(tree)?;
        Some(match (name, args) {
            (operators::NEGATE, [of]) => Self::Negative(Box::new(one(of)?)),
            (operators::ADD, [l, r]) => Self::Arithmetic(Operator::Add, pair(l, r)?),
            (operators::SUBSTRACT, [l, r]) => Self::Arithmetic(Operator::Subtract, pair(l, r)?),
            (operators::MULTIPLY, [l, r]) => Self::Arithmetic(Operator::Multiply, pair(l, r)?),
            (env::DIVIDE, [l, r]) => Self::Arithmetic(Operator::Divide, pair(l, r)?),
            (env::MODULO, [l, r]) => Self::Arithmetic(Operator::Remainder, pair(l, r)?),
            (operators::CONDITIONAL, [when, yes, no]) => {
                Self::If(Box::new((Condition::compile(when, names)?, one(yes)?, one(no)?)))
            }
            ("min" | "max", [_, ..]) => {
                let pick = if name == "max" { f64::max } else { f64::min };
                Self::Extreme(pick, args.iter().map(one).collect::<Option<_>>()?)
            }
            ("clamp", [value, low, high]) => Self::Clamp(Box::new((one(value)?, one(low)?, one(high)?))),
            (_, [of]) if env::unary_function(name).is_some() => {
                Self::Function(env::unary_function(name)?, Box::new(one(of)?))
            }
            _ => Self::Figure(Box::new(Figure::compile(name, args, false, names)?)),
        })
    }

    fn value(&self, scope: &dyn Scope) -> Outcome<f64> {
        match self {
            Self::Constant(value) => Ok(*value),
            Self::Name(name) => name.read(scope, |value: &CelDouble| *value.inner()),
            Self::Negative(of) => Ok(-of.value(scope)?),
            Self::Arithmetic(operator, sides) => {
                let (left, right) = (sides.0.value(scope)?, sides.1.value(scope)?);
                match operator {
                    Operator::Add => Ok(left + right),
                    Operator::Subtract => Ok(left - right),
                    Operator::Multiply => Ok(left * right),
                    Operator::Divide => env::divided(left, right),
                    Operator::Remainder => env::remainder(left, right),
                }
            }
            Self::Function(function, of) => env::finite((function.apply)(of.value(scope)?), "math"),
            Self::Extreme(pick, of) => {
                let mut values = of.iter().map(|one| one.value(scope));
                let first = values.next().ok_or_else(ExecutionError::missing_argument_or_target)??;
                // All of them are evaluated before any is compared: so are the arguments of a function.
                env::finite(
                    values.try_fold(first, |value, next| Ok::<_, ExecutionError>(pick(value, next?)))?,
                    "min/max",
                )
            }
            Self::Clamp(of) => {
                let (value, low, high) = (of.0.value(scope)?, of.1.value(scope)?, of.2.value(scope)?);
                env::clamped(value, low, high)
            }
            Self::Figure(figure) => figure.value(scope),
            Self::If(parts) => {
                if parts.0.value(scope)? {
                    parts.1.value(scope)
                } else {
                    parts.2.value(scope)
                }
            }
        }
    }
}

impl Condition {
    fn compile(tree: &IdedExpr, names: &dyn Names) -> Option<Self> {
        match &tree.expr {
            Expr::Literal(LiteralValue::Boolean(value)) => return Some(Self::Constant(*value.inner())),
            Expr::Ident(path) if path.starts_with('?') => {
                return Some(Self::Present(Name::presence(path.clone(), names)));
            }
            Expr::Select(SelectExpr { operand, field, test: true }) => {
                let path = format!("{}.{field}", self::name(operand)?);
                names.lookup(&path)?;
                return Some(Self::Present(Name::presence(format!("?{path}"), names)));
            }
            Expr::Comprehension(inner) => return Quantifier::compile(inner, names).map(Self::Quantifier),
            Expr::Ident(_) | Expr::Select(_) => {
                return Some(match typed(tree, &Type::Bool, names)? {
                    (_, Some(Constant::Bool(value))) => Self::Constant(value),
                    (path, _) => Self::Name(Name::of(path, names)),
                });
            }
            _ => {}
        }
        let one = |tree| Self::compile(tree, names);
        let (name, args) = call(tree)?;
        let order = match name {
            operators::LESS => Some(Order::Less),
            operators::LESS_EQUALS => Some(Order::LessOrEqual),
            operators::GREATER => Some(Order::Greater),
            operators::GREATER_EQUALS => Some(Order::GreaterOrEqual),
            operators::EQUALS => Some(Order::Equal),
            operators::NOT_EQUALS => Some(Order::Different),
            _ => None,
        };
        match (name, args, order) {
            (operators::CONDITIONAL, [when, yes, no], _) => Some(Self::If(Box::new((one(when)?, one(yes)?, one(no)?)))),
            (operators::IN, [text, IdedExpr { expr: Expr::List(list), .. }], _) => {
                let among = list.elements.iter().map(|one| Text::compile(one, names)).collect::<Option<_>>()?;
                Some(Self::Text(Text::compile(text, names)?, among, true))
            }
            (_, [left, right], Some(order)) => Self::comparison(order, left, right, names),
            (_, [signal, length], None) if name == signal::internal(signal::HAS_DATA) => {
                Some(Self::HasData(Name::of(self::name(signal)?, names), Length::compile(length, names)?))
            }
            (env::MATCHES, [text, pattern], _) => {
                let pattern = env::precompile(literal_text(pattern)?).ok()?;
                Some(Self::Matches(Text::compile(text, names)?, pattern))
            }
            _ => None,
        }
    }

    /// Each side is compiled once, as what it is: to try one after the other would double the work at every level.
    fn comparison(order: Order, left: &IdedExpr, right: &IdedExpr, names: &dyn Names) -> Option<Self> {
        let number = |tree| Number::compile(tree, names);
        match (Kind::of(left, names)?, Kind::of(right, names)?) {
            (Kind::Number, Kind::Number) => Some(Self::Numbers(order, Box::new((number(left)?, number(right)?)))),
            // A number may be compared with a whole one.
            (Kind::Number, Kind::Whole(right)) => {
                Some(Self::Numbers(order, Box::new((number(left)?, Number::Constant(right)))))
            }
            (Kind::Whole(left), Kind::Number) => {
                Some(Self::Numbers(order, Box::new((Number::Constant(left), number(right)?))))
            }
            (Kind::Length, Kind::Length) => {
                let sides = (Length::compile(left, names)?, Length::compile(right, names)?);
                Some(Self::Lengths(order, Box::new(sides)))
            }
            (Kind::Text, Kind::Text) => {
                let (left, right) = (Text::compile(left, names)?, Text::compile(right, names)?);
                match order {
                    Order::Equal => Some(Self::Text(left, vec![right], true)),
                    Order::Different => Some(Self::Text(left, vec![right], false)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn value(&self, scope: &dyn Scope) -> Outcome<bool> {
        match self {
            Self::Constant(value) => Ok(*value),
            Self::Name(name) => name.read(scope, |value: &CelBool| *value.inner()),
            Self::Present(name) => name.is_there(scope),
            Self::Numbers(order, sides) => {
                let (left, right) = (sides.0.value(scope)?, sides.1.value(scope)?);
                order.of_numbers(left, right)
            }
            Self::Lengths(order, sides) => {
                let (left, right) = (sides.0.value(scope)?, sides.1.value(scope)?);
                Ok(order.holds(left.cmp(&right)))
            }
            Self::Text(text, among, outcome) => {
                let text = text.value(scope)?;
                let mut found = false;
                for one in among {
                    found |= one.value(scope)?.as_ref() == text.as_ref();
                }
                Ok(found == *outcome)
            }
            Self::Matches(text, pattern) => pattern.is_match(&text.value(scope)?),
            Self::Quantifier(quantifier) => quantifier.value(scope),
            Self::HasData(signal, length) => with_signal(
                scope,
                signal,
                || length.value(scope),
                |signal, length| signal.has_data(length.num_milliseconds()),
            ),
            Self::If(parts) => {
                if parts.0.value(scope)? {
                    parts.1.value(scope)
                } else {
                    parts.2.value(scope)
                }
            }
        }
    }
}

/// What the side of a comparison is.
enum Kind {
    Number,
    /// A whole literal that a double can hold.
    Whole(f64),
    Length,
    Text,
}

impl Kind {
    #[expect(clippy::cast_precision_loss, reason = "checked to be small enough")]
    fn of(tree: &IdedExpr, names: &dyn Names) -> Option<Self> {
        match &tree.expr {
            Expr::Literal(LiteralValue::Double(_)) => Some(Self::Number),
            Expr::Literal(LiteralValue::String(_)) => Some(Self::Text),
            Expr::Literal(LiteralValue::Int(value)) => {
                (value.inner().unsigned_abs() <= 1 << 53).then_some(Self::Whole(*value.inner() as f64))
            }
            Expr::Ident(_) | Expr::Select(_) => match names.lookup(&name(tree)?)?.0 {
                Type::Double => Some(Self::Number),
                Type::Duration => Some(Self::Length),
                Type::Text => Some(Self::Text),
                _ => None,
            },
            _ => match call(tree)? {
                ("duration", _) => Some(Self::Length),
                (operators::CONDITIONAL, [_, yes, _]) => Self::of(yes, names),
                // Of durations these are left to the interpreter.
                (operators::NEGATE, [of]) | (operators::ADD | operators::SUBSTRACT | operators::MULTIPLY, [of, _]) => {
                    Self::of(of, names).filter(|kind| matches!(kind, Self::Number))
                }
                (env::DIVIDE | env::MODULO, [of, _]) => Self::of(of, names).filter(|kind| matches!(kind, Self::Number)),
                ("min" | "max" | "clamp", _) => Some(Self::Number),
                (name, _) if env::unary_function(name).is_some() => Some(Self::Number),
                (name, _) => {
                    let method = signal::method_of(name)?;
                    Some(if method.is_duration() { Self::Length } else { Self::Number })
                }
            },
        }
    }
}

impl Order {
    fn holds(self, found: std::cmp::Ordering) -> bool {
        match self {
            Self::Less => found.is_lt(),
            Self::LessOrEqual => found.is_le(),
            Self::Greater => found.is_gt(),
            Self::GreaterOrEqual => found.is_ge(),
            Self::Equal => found.is_eq(),
            Self::Different => found.is_ne(),
        }
    }

    fn of_numbers(self, left: f64, right: f64) -> Outcome<bool> {
        match (left.partial_cmp(&right), self) {
            (Some(found), _) => Ok(self.holds(found)),
            (None, Self::Equal) => Ok(false),
            (None, Self::Different) => Ok(true),
            (None, _) => Err(ExecutionError::function_error("comparison", "what is no number can't be compared")),
        }
    }
}

impl Length {
    fn compile(tree: &IdedExpr, names: &dyn Names) -> Option<Self> {
        if name(tree).is_some() {
            return Some(match typed(tree, &Type::Duration, names)? {
                (_, Some(Constant::Duration(value))) => Self::Constant(value),
                (path, _) => Self::Name(Name::of(path, names)),
            });
        }
        let (name, args) = call(tree)?;
        match (name, args) {
            ("duration", [text]) => {
                literal_text(text)?;
                match super::interpret_constant(tree)? {
                    Value::Duration(value) => Some(Self::Constant(value)),
                    _ => None,
                }
            }
            (operators::CONDITIONAL, [when, yes, no]) => {
                let (yes, no) = (Self::compile(yes, names)?, Self::compile(no, names)?);
                Some(Self::If(Box::new((Condition::compile(when, names)?, yes, no))))
            }
            _ => Some(Self::Figure(Box::new(Figure::compile(name, args, true, names)?))),
        }
    }

    fn value(&self, scope: &dyn Scope) -> Outcome<chrono::Duration> {
        match self {
            Self::Constant(value) => Ok(*value),
            Self::Name(name) => name.read(scope, |value: &CelDuration| *value.inner()),
            Self::Figure(figure) => figure.value(scope).map(signal::length_of_age),
            Self::If(parts) => {
                if parts.0.value(scope)? {
                    parts.1.value(scope)
                } else {
                    parts.2.value(scope)
                }
            }
        }
    }
}

impl Text {
    fn compile(tree: &IdedExpr, names: &dyn Names) -> Option<Self> {
        if let Some(text) = literal_text(tree) {
            return Some(Self::Constant(text.to_owned()));
        }
        Some(match typed(tree, &Type::Text, names)? {
            (_, Some(Constant::Text(text))) => Self::Constant(text),
            (path, _) => Self::Name(Name::of(path, names)),
        })
    }

    fn value<'a>(&'a self, scope: &'a dyn Scope) -> Outcome<Cow<'a, str>> {
        match self {
            Self::Constant(text) => Ok(text.into()),
            Self::Name(name) => match name.value(scope)? {
                CowVal::Borrowed(value) => value
                    .downcast_ref::<CelString>()
                    .map(|text| text.inner().into())
                    .ok_or_else(ExecutionError::missing_argument_or_target),
                owned @ CowVal::Owned(_) => owned
                    .downcast_ref::<CelString>()
                    .map(|text| text.inner().to_owned().into())
                    .ok_or_else(ExecutionError::missing_argument_or_target),
            },
        }
    }
}

/// A signal with what is asked of it: the signal is looked up first, then the arguments are evaluated.
fn with_signal<A, R>(
    scope: &dyn Scope,
    name: &Name,
    arguments: impl FnOnce() -> Outcome<A>,
    ask: impl FnOnce(&SignalVal, A) -> Outcome<R>,
) -> Outcome<R> {
    let value = name.value(scope)?;
    let arguments = arguments()?;
    let signal = value.downcast_ref::<SignalVal>().ok_or_else(ExecutionError::missing_argument_or_target)?;
    ask(signal, arguments)
}

impl Figure {
    fn compile(name: &str, args: &[IdedExpr], duration: bool, names: &dyn Names) -> Option<Self> {
        let method = signal::method_of(name).filter(|method| method.is_duration() == duration)?;
        let (signal, rest) = args.split_first()?;
        let (path, _) = typed(signal, &Type::Signal, names)?;
        let signal = Name::of(path, names);
        let (share, length) = match rest {
            [] => (None, None),
            [length] => (None, Some(Length::compile(length, names)?)),
            [share, length] => (Some(Number::compile(share, names)?), Some(Length::compile(length, names)?)),
            _ => return None,
        };
        Some(Self { signal, method, share, length })
    }

    fn value(&self, scope: &dyn Scope) -> Outcome<f64> {
        let arguments = || {
            let share = self.share.as_ref().map(|share| share.value(scope)).transpose()?;
            let length = self.length.as_ref().map(|length| length.value(scope)).transpose()?;
            Ok((share, length.map(|length| length.num_milliseconds())))
        };
        with_signal(scope, &self.signal, arguments, |signal, (share, length)| signal.figure(self.method, share, length))
    }
}
