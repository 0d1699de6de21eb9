//! The template language of manifests: Jinja with the value model of Python, and its results read as literals.
//!
//! The parser is minijinja's. The evaluation is our own, because manifests lean on what Python does: `True`,
//! `1.0` and `{'a': 1}` as text, dates that can be added to, lists that can be appended to, and a type error
//! that leaves the template standing as plain text. It runs with fuel and makes a bounded amount of text.

mod compile;
pub(crate) mod digest;
mod eval;
mod filters;
mod functions;
mod headers;
mod literal;
mod methods;
pub(crate) mod moment;
mod operate;
pub(crate) mod parse_moment;
mod slice;
#[cfg(test)]
mod tests;
mod tests_of;
mod text;
mod value;

pub(crate) use headers::Headers;
pub(crate) use slice::StreamSlice;
pub(crate) use value::Fault;

use compile::Program;
use literal::Kind;
use serde_json::Value as Json;
use std::borrow::Cow;
use std::sync::Arc;
use value::Val;

/// What a variable stands for.
#[derive(Clone, Copy)]
enum Variable<'a> {
    Json(&'a Json),
    Slice(&'a StreamSlice),
    Headers(&'a Headers),
    Function(&'static str),
}

/// The variables of one evaluation.
pub(crate) struct Scope<'a> {
    variables: Vec<(&'static str, Variable<'a>)>,
    /// What counts as now, in microseconds since 1970.
    now: i64,
}

impl<'a> Scope<'a> {
    /// A scope without variables, at the moment `now` (microseconds since 1970).
    pub(crate) fn new(now: i64) -> Self {
        Self { variables: Vec::with_capacity(8), now }
    }

    /// With `value` as the variable `name`.
    pub(crate) fn with(mut self, name: &'static str, value: &'a Json) -> Self {
        self.variables.push((name, Variable::Json(value)));
        self
    }

    /// With `slice` under the names by which templates know it.
    pub(crate) fn with_slice(mut self, slice: &'a StreamSlice) -> Self {
        for name in ["stream_slice", "stream_partition", "stream_interval"] {
            self.variables.push((name, Variable::Slice(slice)));
        }
        self
    }

    /// With the function `json_loads`, which the templates of signed tokens have.
    pub(crate) fn with_json_loads(mut self) -> Self {
        self.variables.push(("json_loads", Variable::Function("json_loads")));
        self
    }

    /// With `headers` as the variable `headers`.
    pub(crate) fn with_headers(mut self, headers: &'a Headers) -> Self {
        self.variables.push(("headers", Variable::Headers(headers)));
        self
    }

    fn get(&self, name: &str) -> Option<Val<'a>> {
        let found = self.variables.iter().find(|(known, _)| *known == name);
        let value = found.map(|(_, variable)| match variable {
            Variable::Json(json) => Val::json(json),
            Variable::Slice(slice) => Val::Slice(slice),
            Variable::Headers(headers) => Val::Headers(headers),
            Variable::Function(name) => Val::Function(name),
        });
        value.or_else(|| self.extra_field(name))
    }

    /// What the parent's record holds beside its key is a variable of its own.
    fn extra_field(&self, name: &str) -> Option<Val<'a>> {
        let slice = self.variables.iter().find_map(|(_, value)| match value {
            Variable::Slice(slice) => Some(*slice),
            _ => None,
        });
        slice.and_then(|slice| slice.extra_fields().get(name)).map(Val::json)
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// Which literals a mapping's value may become; anything else stays text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accept {
    /// Every kind.
    Any,
    /// Text and lists: what query parameters and forms hold.
    TextOrList,
    /// Text alone: what names are.
    Text,
    /// Numbers with a fraction.
    Number,
    /// Whole numbers, and with them true and false.
    Integer,
    /// True and false.
    Boolean,
}

impl Accept {
    /// The kind that a manifest calls `name`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "string" => Some(Self::Text),
            "number" => Some(Self::Number),
            "integer" => Some(Self::Integer),
            "boolean" => Some(Self::Boolean),
            _ => None,
        }
    }
}

/// A text with templates in it, compiled once.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    source: Arc<str>,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    /// Without templates.
    Plain,
    Program(Arc<Program>),
    /// It cannot be compiled, which is said when it is used.
    Broken(Arc<str>),
}

impl Template {
    /// Compiles `source`. What cannot be compiled is a fault when it is used: a stream that nobody reads
    /// may hold it.
    pub(crate) fn new(source: &str) -> Self {
        let body = if source.contains("stream_state") {
            Body::Broken("`stream_state` is no variable any more: use `stream_interval`".into())
        } else if !source.contains(['{', '\n']) {
            Body::Plain
        } else {
            match compile::compile(source) {
                Ok(program) => Body::Program(Arc::new(program)),
                Err(problem) => Body::Broken(problem.into()),
            }
        };
        Self { source: source.into(), body }
    }

    /// Why it cannot be run at all.
    pub(crate) fn problem(&self) -> Option<&str> {
        match &self.body {
            Body::Broken(problem) => Some(problem),
            Body::Plain | Body::Program(_) => None,
        }
    }

    /// The variables that it uses and does not define.
    pub(crate) fn variables(&self) -> &[String] {
        match &self.body {
            Body::Program(program) => &program.free,
            Body::Plain | Body::Broken(_) => &[],
        }
    }

    /// Whether it may look at what `variable` has under the name `part`.
    pub(crate) fn reads(&self, variable: &str, part: &str) -> bool {
        match &self.body {
            Body::Program(program) => program.reads(variable, part),
            Body::Plain | Body::Broken(_) => false,
        }
    }

    /// The text, as it is: what is written to a system is read as no literal.
    ///
    /// # Errors
    ///
    /// When something that is not there is used, types do not fit, or the template cannot be run.
    pub(crate) fn text(&self, scope: &Scope<'_>) -> Result<String, Fault> {
        let Body::Program(program) = &self.body else {
            return self.render(scope).map(Cow::into_owned);
        };
        let mut out = String::new();
        eval::Machine::new(scope).render(&program.nodes, &mut out)?;
        Ok(out)
    }

    /// The value of the one expression that it consists of, or else its text.
    ///
    /// # Errors
    ///
    /// As [`Template::text`].
    pub(crate) fn value(&self, scope: &Scope<'_>) -> Result<Json, Fault> {
        match &self.body {
            Body::Program(program) => match eval::Machine::new(scope).single(&program.nodes)? {
                Some(json) => Ok(json),
                None => self.text(scope).map(Json::String),
            },
            Body::Plain | Body::Broken(_) => self.text(scope).map(Json::String),
        }
    }

    /// The text that it was made of.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Renders to text. A type error leaves the template's own text.
    fn render(&self, scope: &Scope<'_>) -> Result<Cow<'_, str>, Fault> {
        let program = match &self.body {
            Body::Plain => return Ok(Cow::Borrowed(&self.source)),
            Body::Broken(problem) => return Err(Fault::Error(problem.to_string())),
            Body::Program(program) => program,
        };
        if let Some(missing) = program.free.iter().find(|name| !scope.has(name)) {
            return Err(Fault::Error(format!(
                "there is no variable `{missing}` in the template `{}`",
                self.source
            )));
        }
        let mut out = String::new();
        match eval::Machine::new(scope).render(&program.nodes, &mut out) {
            Ok(()) => Ok(Cow::Owned(out)),
            Err(Fault::Type) => Ok(Cow::Borrowed(&self.source)),
            Err(fault) => Err(fault),
        }
    }

    /// The value of the template; where it comes to nothing, its own text is taken once more.
    ///
    /// # Errors
    ///
    /// When something that is not there is used, or the template cannot be run.
    pub(crate) fn eval(&self, scope: &Scope<'_>, accept: Accept) -> Result<Json, Fault> {
        Ok(read_literal(self.render(scope)?, accept))
    }

    /// Whether the condition holds. What is not there is false.
    ///
    /// # Errors
    ///
    /// When the template cannot be run.
    pub(crate) fn eval_bool(&self, scope: &Scope<'_>) -> Result<bool, Fault> {
        let text = match self.render(scope) {
            Ok(text) => text,
            Err(Fault::Undefined(_)) => return Ok(false),
            Err(fault) => return Err(fault),
        };
        if ["", "False", "false", "{}", "[]", "()", "0", "0.0"].contains(&text.as_ref()) {
            return Ok(false);
        }
        Ok(match literal::parse(&text).map(|(json, _)| json) {
            Some(Json::Bool(b)) => b,
            Some(Json::Number(number)) => number.as_f64() != Some(0.0),
            Some(Json::Array(items)) => !items.is_empty(),
            Some(Json::Object(entries)) => !entries.is_empty(),
            Some(Json::String(text)) => {
                !["", "False", "false", "{}", "[]", "()", "0", "0.0"].contains(&text.as_str())
            }
            Some(Json::Null) => false,
            None => true,
        })
    }

    /// The value of a mapping's entry; null where it comes to nothing or uses what is not there.
    ///
    /// # Errors
    ///
    /// When the template cannot be run.
    pub(crate) fn eval_entry(&self, scope: &Scope<'_>, accept: Accept) -> Result<Json, Fault> {
        let text = match self.render(scope) {
            Ok(text) if text.is_empty() => return Ok(Json::Null),
            Ok(text) => text,
            Err(Fault::Undefined(_)) => return Ok(Json::Null),
            Err(fault) => return Err(fault),
        };
        Ok(read_literal(text, accept))
    }
}

fn read_literal(text: Cow<'_, str>, accept: Accept) -> Json {
    match literal::parse(&text) {
        Some((json, kind)) if accepted(&json, kind, accept) => json,
        _ => Json::String(text.into_owned()),
    }
}

fn accepted(json: &Json, kind: Kind, accept: Accept) -> bool {
    match accept {
        Accept::Any => true,
        Accept::TextOrList => kind == Kind::Plain && (json.is_string() || json.is_array()),
        Accept::Text => kind == Kind::Plain && json.is_string(),
        Accept::Number => json.is_f64(),
        Accept::Integer => json.is_i64() || json.is_u64() || json.is_boolean(),
        Accept::Boolean => json.is_boolean(),
    }
}

/// A JSON value as Python's `str` writes it: `True`, `None`, `1.0`, text without quotes.
pub(crate) fn text_of(json: &Json) -> String {
    Val::json(json).to_text().into_owned()
}
