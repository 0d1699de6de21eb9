//! Compiling mappings: the configuration's words become plans for fields.

use super::bind;
use super::coerce::coerce;
use super::compile::Scope;
use super::condition::{Check, Test};
use super::expression::Expr;
use super::mapping::{CaseArm, FieldPlan, Items, Source, When};
use super::row;
use super::schema::{Layouts, Target};
use super::template::Template;
use super::validate::Rules;
use super::{LookupSpec, SHARD_ID};
use crate::config::model::{
    Case, Condition, FieldMapping, FieldType, Flatten, Lookup, Mapping, OneOrMany, Predicate,
};
use crate::problem::ConfigPath;
use crate::shard::Layout;
use crate::value::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Compiles the mappings of one shard.
pub(super) struct FieldCompiler<'a, 'n> {
    pub(super) scope: &'a mut Scope<'n>,
    pub(super) layouts: &'a Layouts,
    /// Where lookups go; `None` where there may be none.
    pub(super) lookups: Option<&'a mut Vec<LookupSpec>>,
    /// Stands before the names of fields in errors.
    pub(super) prefix: &'a str,
}

/// What the mapping of a field is compiled for.
#[derive(Clone, Copy)]
struct Place<'a> {
    name: &'a str,
    index: usize,
    field_type: FieldType,
}

impl FieldCompiler<'_, '_> {
    /// Compiles `fields` into the order of `layout`; without one, only for the problems in them.
    pub(super) fn fields(
        &mut self,
        fields: &BTreeMap<String, FieldMapping>,
        layout: Option<&Layout>,
        at: &ConfigPath,
    ) -> Vec<FieldPlan> {
        let mut plans = Vec::with_capacity(fields.len());
        for (name, mapping) in fields {
            let at = at.key(name);
            let index = layout.and_then(|layout| layout.position(name));
            if let (Some(layout), None) = (layout, index) {
                let what = format!("field of shard type `{}` named", layout.shard_type);
                let names = layout.names().iter().map(|n| n.as_str());
                self.scope.unknown(&at, &what, name, names).refers = true;
            }
            let field_type = layout.zip(index).map_or(FieldType::Json, |(l, i)| l.field_type(i));
            let place = Place { name, index: index.unwrap_or(0), field_type };
            plans.extend(self.mapping(mapping, place, &at));
        }
        plans.sort_by_key(|plan| plan.index);
        plans
    }

    /// Compiles the mapping of the field `name` of `layout`.
    pub(super) fn field(
        &mut self,
        name: &str,
        mapping: &FieldMapping,
        layout: &Layout,
        at: &ConfigPath,
    ) -> Option<FieldPlan> {
        let index = layout.position(name)?;
        let place = Place { name, index, field_type: layout.field_type(index) };
        self.mapping(mapping, place, at)
    }

    fn mapping(
        &mut self,
        mapping: &FieldMapping,
        place: Place<'_>,
        at: &ConfigPath,
    ) -> Option<FieldPlan> {
        match mapping {
            FieldMapping::Short(field) => self.short(field, place, at),
            FieldMapping::Full(mapping) => self.full(mapping, place, at),
        }
    }

    fn short(&mut self, field: &str, place: Place<'_>, at: &ConfigPath) -> Option<FieldPlan> {
        let source = Source::Field(self.scope.field(field, at)?);
        self.plan(&Mapping::default(), source, place, at)
    }

    fn full(&mut self, mapping: &Mapping, place: Place<'_>, at: &ConfigPath) -> Option<FieldPlan> {
        self.check_kinds(mapping, at)?;
        let source = self.source(mapping, place, at);
        // The rest is compiled even without a source, for the problems in it.
        let plan = self.plan(mapping, Source::Fixed(Value::Null), place, at);
        Some(FieldPlan { source: source?, ..plan? })
    }

    fn plan(
        &mut self,
        mapping: &Mapping,
        source: Source,
        place: Place<'_>,
        at: &ConfigPath,
    ) -> Option<FieldPlan> {
        let steps = bind::steps(mapping.transform.as_ref(), self.scope, &at.key("transform"));
        let default = match &mapping.default {
            Some(value) => Some(self.typed(value, place.field_type, &at.key("default"))?),
            None => None,
        };
        let rules = mapping
            .validate
            .as_ref()
            .map(|rules| Rules::compile(rules, self.scope, &at.key("validate")));
        Some(FieldPlan {
            index: place.index,
            name: format!("{}{}", self.prefix, place.name),
            field_type: place.field_type,
            source,
            steps,
            default,
            default_fills_blank: mapping.empty_is_missing.unwrap_or(false),
            required: mapping.required,
            required_refuses_blank: mapping.empty_is_missing.unwrap_or(true),
            rules,
        })
    }

    /// Exactly one kind of source may be named.
    fn check_kinds(&mut self, mapping: &Mapping, at: &ConfigPath) -> Option<()> {
        let kinds = [
            ("from", mapping.from.is_some()),
            ("value", mapping.value.is_some()),
            ("template", mapping.template.is_some()),
            ("when", mapping.when.is_some()),
            ("flatten", mapping.flatten.is_some()),
            ("lookup", mapping.lookup.is_some()),
            ("expression", mapping.expression.is_some()),
        ];
        let named: Vec<&str> =
            kinds.iter().filter(|(_, set)| *set).map(|(kind, _)| *kind).collect();
        match named.as_slice() {
            [_] => {}
            [] => {
                let problem =
                    self.scope.problem(at, "this mapping does not say where its value comes from");
                problem.help = Some(
                    "add one of `from`, `value`, `template`, `when`, `flatten`, `lookup`, `expression`"
                        .to_owned(),
                );
                return None;
            }
            [first, second, ..] => {
                let message =
                    format!("a mapping has one source, and this one has `{}`", named.join("`, `"));
                let problem = self.scope.problem(&at.key(*second), message);
                problem.help = Some(format!("keep `{first}` or `{second}`"));
                return None;
            }
        }
        if mapping.otherwise.is_some() && mapping.when.is_none() {
            self.scope.problem(&at.key("else"), "`else` goes with `when`");
        }
        if mapping.separator.is_some() && !matches!(mapping.from, Some(OneOrMany::Many(_))) {
            let problem = self
                .scope
                .problem(&at.key("separator"), "`separator` goes with a list of fields in `from`");
            problem.help = Some("to join the values of `flatten`, put it there".to_owned());
        }
        Some(())
    }

    fn source(&mut self, mapping: &Mapping, place: Place<'_>, at: &ConfigPath) -> Option<Source> {
        let bare = mapping.transform.is_none();
        if let Some(from) = &mapping.from {
            return self.from(from, mapping.separator.as_deref(), &at.key("from"));
        }
        if let Some(value) = &mapping.value {
            let at = at.key("value");
            let value = self.filled(value, &at)?;
            let value = if bare { self.typed(&value, place.field_type, &at)? } else { value };
            return Some(Source::Fixed(value));
        }
        if let Some(template) = &mapping.template {
            return Template::compile(template, self.scope, &at.key("template"))
                .map(Source::Template);
        }
        if let Some(cases) = &mapping.when {
            return self.cases(cases, mapping.otherwise.as_ref(), place, bare, at);
        }
        if let Some(flatten) = &mapping.flatten {
            return self.flatten(flatten, &at.key("flatten"));
        }
        if let Some(lookup) = &mapping.lookup {
            return self.lookup(lookup, place, &at.key("lookup"));
        }
        let expression = mapping.expression.as_ref()?;
        Expr::value(expression, false, self.scope, &at.key("expression")).map(Source::Expression)
    }

    fn from(
        &mut self,
        from: &OneOrMany<String>,
        separator: Option<&str>,
        at: &ConfigPath,
    ) -> Option<Source> {
        match from {
            OneOrMany::One(field) => self.scope.field(field, at).map(Source::Field),
            OneOrMany::Many(fields) if fields.is_empty() => {
                self.scope.problem(at, "this list of fields is empty");
                None
            }
            OneOrMany::Many(fields) => Some(Source::Join {
                fields: self.scope.fields(fields, at)?,
                separator: separator.unwrap_or(" ").to_owned(),
            }),
        }
    }

    fn cases(
        &mut self,
        cases: &[Case],
        otherwise: Option<&Value>,
        place: Place<'_>,
        bare: bool,
        at: &ConfigPath,
    ) -> Option<Source> {
        let when = at.key("when");
        let mut arms = Vec::with_capacity(cases.len());
        for (index, case) in cases.iter().enumerate() {
            arms.extend(self.case(case, place, bare, &when.index(index)));
        }
        let otherwise = match otherwise {
            Some(value) if bare => Some(self.typed(value, place.field_type, &at.key("else"))?),
            other => other.cloned(),
        };
        (arms.len() == cases.len()).then_some(Source::Cases { cases: arms, otherwise })
    }

    fn case(
        &mut self,
        case: &Case,
        place: Place<'_>,
        bare: bool,
        at: &ConfigPath,
    ) -> Option<CaseArm> {
        let when = match &case.condition {
            Some(predicate) => self.when(predicate, &at.key("if")),
            None => {
                let problem = self.scope.problem(at, "a case needs an `if`");
                problem.help =
                    Some("what holds otherwise goes into `else`, beside `when`".to_owned());
                None
            }
        };
        let steps = bind::steps(case.transform.as_ref(), self.scope, &at.key("transform"));
        let source = match (&case.then, &case.field, &case.expression) {
            (Some(value), None, None) if bare && case.transform.is_none() => {
                Source::Fixed(self.typed(value, place.field_type, &at.key("then"))?)
            }
            (Some(value), None, None) => Source::Fixed(value.clone()),
            (None, Some(field), None) => Source::Field(self.scope.field(field, &at.key("field"))?),
            (None, None, Some(source)) => {
                let at = at.key("expression");
                Source::Expression(Expr::value(source, false, self.scope, &at)?)
            }
            _ => {
                let message = "a case needs exactly one of `then`, `field` and `expression`";
                self.scope.problem(at, message);
                return None;
            }
        };
        Some(CaseArm { when: when?, source, steps })
    }

    /// Compiles a predicate.
    pub(super) fn when(&mut self, predicate: &Predicate, at: &ConfigPath) -> Option<When> {
        match predicate {
            Predicate::Expression(source) => {
                Expr::predicate(source, false, self.scope, at).map(When::Expression)
            }
            Predicate::Condition(one) => {
                Some(When::All(vec![Check::compile(one, self.scope, at)?]))
            }
            Predicate::All(all) => checks(all, self.scope, at).map(When::All),
        }
    }

    fn flatten(&mut self, flatten: &Flatten, at: &ConfigPath) -> Option<Source> {
        let only = match &flatten.condition {
            Some(condition) => {
                let test = Test::compile(condition, self.scope, &at.key("where"))?;
                Some((row::steps(&condition.field), test))
            }
            None => None,
        };
        Some(Source::Flatten(Box::new(Items {
            from: self.scope.field(&flatten.from, &at.key("from"))?,
            path: flatten.path.as_deref().map(row::steps).unwrap_or_default(),
            only,
            take: flatten.take,
            separator: flatten.separator.clone().unwrap_or_else(|| ", ".to_owned()),
        })))
    }

    fn lookup(&mut self, lookup: &Lookup, place: Place<'_>, at: &ConfigPath) -> Option<Source> {
        let by = Target::compile(
            &lookup.by,
            &lookup.shard_type,
            (lookup.connection.as_deref(), lookup.entity.as_deref()),
            (self.layouts, &mut *self.scope),
            at,
        );
        if let Some(layout) = self.layouts.get(&lookup.shard_type)
            && layout.position(&lookup.returns).is_none()
            && lookup.returns != SHARD_ID
        {
            let what = format!("field of shard type `{}` named", lookup.shard_type);
            let names = layout.names().iter().map(|name| name.as_str()).chain([SHARD_ID]);
            self.scope.unknown(&at.key("return"), &what, &lookup.returns, names).refers = true;
        }
        let from = self.scope.field(&lookup.from, &at.key("from"));
        let Some(lookups) = self.lookups.as_deref_mut() else {
            let problem = self.scope.problem(at, "a derived shard cannot have lookups");
            problem.help = Some("look the value up in the primary shard's fields".to_owned());
            return None;
        };
        lookups.push(LookupSpec {
            field: place.index,
            shard_type: lookup.shard_type.clone(),
            by: by?,
            returns: lookup.returns.clone(),
        });
        let clears = lookup.returns == SHARD_ID;
        Some(Source::Lookup { index: lookups.len() - 1, from: from?, clears })
    }

    /// `value` as one of the field's type.
    fn typed(&mut self, value: &Value, to: FieldType, at: &ConfigPath) -> Option<Value> {
        match coerce(Cow::Borrowed(value), to) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.scope.problem(at, problem);
                None
            }
        }
    }

    /// `value` with the names in its text filled in.
    fn filled(&mut self, value: &Value, at: &ConfigPath) -> Option<Value> {
        let Value::Text(text) = value else { return Some(value.clone()) };
        let names = self.scope.names;
        let known = [
            ("task", names.task),
            ("connection", names.connection),
            ("entity", names.entity),
            ("tenant", names.tenant),
        ];
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some((before, (inside, after))) =
            rest.split_once("{{").and_then(|(before, tag)| Some((before, tag.split_once("}}")?)))
        {
            let name = inside.trim();
            let bare = name.strip_suffix(".name").unwrap_or(name);
            let Some((_, filled)) = known.iter().find(|(known, _)| *known == bare) else {
                self.scope.unknown(at, "name", name, known.iter().map(|(name, _)| *name));
                return None;
            };
            out.push_str(before);
            out.push_str(filled);
            rest = after;
        }
        out.push_str(rest);
        Some(Value::text(out))
    }
}

/// Compiles conditions that must all hold; `None` where one has a problem.
pub(super) fn checks(
    conditions: &[Condition],
    scope: &mut Scope<'_>,
    at: &ConfigPath,
) -> Option<Vec<Check>> {
    let mut checks = Vec::with_capacity(conditions.len());
    for (index, condition) in conditions.iter().enumerate() {
        checks.extend(Check::compile(condition, scope, &at.index(index)));
    }
    (checks.len() == conditions.len()).then_some(checks)
}
