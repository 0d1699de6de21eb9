//! Expressions over a few named values instead of over a record.

use super::Names;
use super::compile::Scope;
use super::expression::Expr;
use super::row::Row;
use crate::problem::{ConfigPath, Problem};
use crate::record::{Record, Shape};
use crate::value::{Cell, Value};
use std::sync::Arc;

/// An expression over named values, compiled.
#[derive(Clone, Debug)]
pub struct Formula(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    expression: Expr,
    shape: Shape,
    slots: Vec<usize>,
}

impl Formula {
    /// Compiles `source`, which stands at `path` of the configuration and may use the values named `names`.
    ///
    /// # Errors
    ///
    /// What is wrong with the expression; names that it uses and that are none of `names`.
    pub fn compile(source: &str, names: &[&str], path: &ConfigPath) -> Result<Self, Vec<Problem>> {
        let nobody = Names { tenant: "", connection: "", entity: "", task: "" };
        let mut scope = Scope::new(&nobody);
        let expression = Expr::value(source, false, &mut scope, path);
        let used: Vec<String> = scope.roots.first_names().map(str::to_owned).collect();
        for name in used.iter().filter(|name| !names.contains(&name.as_str())) {
            scope.unknown(path, "value", name, names.iter().copied());
        }
        match expression {
            Some(expression) if scope.problems.is_empty() => {
                let shape = Shape::new(names);
                let slots = scope.roots.bind(&shape);
                Ok(Self(Arc::new(Compiled { expression, shape, slots })))
            }
            _ => Err(scope.problems),
        }
    }

    /// The result for `values`, in the order of the names; `None` where it comes to nothing.
    ///
    /// # Errors
    ///
    /// What went wrong: wrong types, too many steps, too long a text.
    pub fn eval(&self, values: Vec<Value>) -> Result<Cell, String> {
        let Compiled { expression, shape, slots } = &*self.0;
        let record = Record { cells: values.into_iter().map(Some).collect(), ..Record::default() };
        expression.eval(&Row { record: &record, slots, shape }, None)
    }
}
