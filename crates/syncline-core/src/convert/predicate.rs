//! The expressions that most configurations are made of - comparisons joined by `and`, `or` and `not` - run
//! natively, and compare text that spells a number as the number it spells.

use super::condition::{Test, compare, equal};
use super::row::{FieldPath, Roots, Row};
use crate::value::{Cell, Value};
use std::cmp::Ordering;

/// Nesting beyond this is left to the expression engine, which has a limit of its own.
const DEPTH_MAX: u32 = 32;

/// A compiled expression.
#[derive(Debug)]
pub(super) enum Node {
    /// The value of a field itself.
    Bare(Operand),
    /// A field against something fixed.
    Test(Operand, Test),
    /// Two fields against each other.
    Compare(Operand, Comparison, Operand),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
}

/// A value that an expression names.
#[derive(Debug)]
pub(super) enum Operand {
    Field(FieldPath),
    /// The value under transformation or validation.
    Value,
}

/// How two values are compared.
#[derive(Clone, Copy, Debug)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Ordered(fn(Ordering) -> bool),
}

impl Node {
    /// Compiles `source`, or gives `None` where it says more than this form can. `value` names the value at hand if
    /// `with_value`.
    pub(super) fn parse(source: &str, with_value: bool, roots: &mut Roots) -> Option<Self> {
        let tokens = tokens(source)?;
        let mut parser = Parser { tokens: &tokens, next: 0, depth: 0, with_value, roots };
        let node = parser.either()?;
        (parser.next == tokens.len()).then_some(node)
    }

    /// Whether this gives true or false, as the expression engine would.
    pub(super) fn is_boolean(&self) -> bool {
        match self {
            Self::Bare(_) => false,
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().all(Self::is_boolean),
            _ => true,
        }
    }

    /// The result.
    pub(super) fn eval(&self, row: &Row<'_>, value: Option<&Value>) -> Cell {
        match self {
            Self::Bare(operand) => operand.get(row, value).cloned(),
            _ => Some(Value::Bool(self.holds(row, value))),
        }
    }

    /// Whether the result counts as true.
    pub(super) fn holds(&self, row: &Row<'_>, value: Option<&Value>) -> bool {
        match self {
            Self::Bare(operand) => operand.get(row, value).is_some_and(is_true),
            Self::Test(operand, test) => test.holds(operand.get(row, value)),
            Self::Compare(left, comparison, right) => {
                let a = left.get(row, value).filter(|found| !found.is_null());
                let b = right.get(row, value).filter(|found| !found.is_null());
                comparison.holds(a, b)
            }
            Self::Not(node) => !node.holds(row, value),
            Self::And(nodes) => nodes.iter().all(|node| node.holds(row, value)),
            Self::Or(nodes) => nodes.iter().any(|node| node.holds(row, value)),
        }
    }
}

impl Comparison {
    /// Whether it holds for two values, each `None` where there is none; those equal each other.
    fn holds(self, a: Option<&Value>, b: Option<&Value>) -> bool {
        match (self, a, b) {
            (Self::Equal, Some(a), Some(b)) => equal(a, b),
            (Self::Unequal, Some(a), Some(b)) => !equal(a, b),
            (Self::Ordered(wanted), Some(a), Some(b)) => compare(a, b).is_some_and(wanted),
            (Self::Equal, a, b) => a.is_none() && b.is_none(),
            (Self::Unequal, a, b) => a.is_some() || b.is_some(),
            (Self::Ordered(_), _, _) => false,
        }
    }
}

impl Operand {
    fn get<'a>(&self, row: &Row<'a>, value: Option<&'a Value>) -> Option<&'a Value> {
        match self {
            Self::Field(path) => row.get(path),
            Self::Value => value,
        }
    }
}

/// Whether `value` counts as true: not null, false, zero, blank or empty.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(b) => *b,
        Value::Int(i) => *i != 0,
        Value::Float(f) => *f != 0.0,
        other => !other.is_blank(),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Literal(Value),
    Sign(&'static str),
}

const SIGNS: [&str; 11] = ["==", "!=", ">=", "<=", ">", "<", "(", ")", "[", "]", ","];

fn tokens(source: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = source.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, len) = if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (Token::Sign(sign), sign.len())
        } else if first == '"' || first == '\'' {
            let end = rest[1..].find(first)? + 1;
            let text = &rest[1..end];
            // Escapes are the engine's business.
            if text.contains('\\') {
                return None;
            }
            (Token::Literal(Value::text(text)), end + 1)
        } else if first.is_ascii_digit() || first == '-' {
            number(rest)?
        } else if first.is_alphabetic() || first == '_' {
            let len = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            (word(rest.get(..len)?)?, len)
        } else {
            return None;
        };
        tokens.push(token);
        rest = rest.get(len..)?.trim_start();
    }
    Some(tokens)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '.'
}

fn number(rest: &str) -> Option<(Token, usize)> {
    let sign = usize::from(rest.starts_with('-'));
    let len = rest[sign..].find(|c: char| !is_word(c)).map_or(rest.len(), |len| len + sign);
    let text = &rest[..len];
    let value = match text.parse::<i64>() {
        Ok(whole) => Value::Int(whole),
        Err(_) if text.ends_with('.') => return None,
        Err(_) => Value::float(text.parse().ok()?)?,
    };
    Some((Token::Literal(value), len))
}

fn word(text: &str) -> Option<Token> {
    Some(match text {
        "true" | "True" => Token::Literal(Value::Bool(true)),
        "false" | "False" => Token::Literal(Value::Bool(false)),
        "none" | "None" => Token::Literal(Value::Null),
        // A conditional expression.
        "if" | "else" => return None,
        _ if text.ends_with('.') || text.contains("..") => return None,
        _ => Token::Word(text.to_owned()),
    })
}

struct Parser<'a> {
    tokens: &'a [Token],
    next: usize,
    depth: u32,
    with_value: bool,
    roots: &'a mut Roots,
}

/// One side of a comparison.
enum Side {
    Operand(Operand),
    Literal(Value),
}

impl Parser<'_> {
    fn either(&mut self) -> Option<Node> {
        let mut nodes = vec![self.both()?];
        while self.word("or") {
            nodes.push(self.both()?);
        }
        if nodes.len() == 1 { nodes.pop() } else { Some(Node::Or(nodes)) }
    }

    fn both(&mut self) -> Option<Node> {
        let mut nodes = vec![self.negation()?];
        while self.word("and") {
            nodes.push(self.negation()?);
        }
        if nodes.len() == 1 { nodes.pop() } else { Some(Node::And(nodes)) }
    }

    fn negation(&mut self) -> Option<Node> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let node = if self.word("not") {
            Node::Not(Box::new(self.negation()?))
        } else if self.sign("(") {
            let node = self.either()?;
            self.sign(")").then_some(node)?
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Some(node)
    }

    fn comparison(&mut self) -> Option<Node> {
        let left = self.side()?;
        if self.word("is") {
            let negated = self.word("not");
            let Side::Operand(operand) = left else { return None };
            return self.state(operand, negated);
        }
        let negated = self.word("not");
        if self.word("in") {
            return self.membership(left, negated);
        }
        if negated {
            return None;
        }
        let Some(Token::Sign(sign)) = self.tokens.get(self.next) else { return bare(left) };
        if !matches!(*sign, "==" | "!=" | ">=" | "<=" | ">" | "<") {
            return bare(left);
        }
        self.next += 1;
        let right = self.side()?;
        match (left, right) {
            (Side::Operand(a), Side::Operand(b)) => Some(Node::Compare(a, comparison(sign)?, b)),
            (Side::Operand(operand), Side::Literal(value)) => test(operand, sign, value),
            (Side::Literal(value), Side::Operand(operand)) => test(operand, mirrored(sign), value),
            (Side::Literal(_), Side::Literal(_)) => None,
        }
    }

    /// What follows `is` or `is not`.
    fn state(&mut self, operand: Operand, negated: bool) -> Option<Node> {
        let token = self.tokens.get(self.next)?;
        self.next += 1;
        let test = match (token, negated) {
            (Token::Literal(Value::Null), false) => Test::IsNull,
            (Token::Literal(Value::Null), true) => Test::IsNotNull,
            (Token::Word(word), _) if word == "defined" => {
                if negated {
                    Test::NotExists
                } else {
                    Test::Exists
                }
            }
            (Token::Word(word), _) if word == "undefined" => {
                if negated {
                    Test::Exists
                } else {
                    Test::NotExists
                }
            }
            _ => return None,
        };
        Some(Node::Test(operand, test))
    }

    fn membership(&mut self, left: Side, negated: bool) -> Option<Node> {
        let (operand, found) = match left {
            Side::Operand(operand) => (operand, self.list().map(Test::In)?),
            Side::Literal(value) => match self.side()? {
                Side::Operand(operand) => (operand, Test::Contains(value)),
                Side::Literal(_) => return None,
            },
        };
        let node = Node::Test(operand, found);
        Some(if negated { Node::Not(Box::new(node)) } else { node })
    }

    fn list(&mut self) -> Option<Vec<Value>> {
        let end = if self.sign("[") {
            "]"
        } else if self.sign("(") {
            ")"
        } else {
            return None;
        };
        let mut values = Vec::new();
        while !self.sign(end) {
            let Some(Token::Literal(value)) = self.tokens.get(self.next) else { return None };
            values.push(value.clone());
            self.next += 1;
            if !self.sign(",") {
                return self.sign(end).then_some(values);
            }
        }
        Some(values)
    }

    fn side(&mut self) -> Option<Side> {
        let side = match self.tokens.get(self.next)? {
            Token::Literal(value) => Side::Literal(value.clone()),
            Token::Word(word) if matches!(word.as_str(), "and" | "or" | "not" | "in" | "is") => {
                return None;
            }
            Token::Word(word) if self.with_value && word == "value" => {
                Side::Operand(Operand::Value)
            }
            // The engine binds these: the value's own fields, and the record as a whole.
            Token::Word(word)
                if (self.with_value && word.starts_with("value."))
                    || word == "record"
                    || word.starts_with("record.") =>
            {
                return None;
            }
            Token::Word(word) => Side::Operand(Operand::Field(FieldPath::new(word, self.roots))),
            Token::Sign(_) => return None,
        };
        self.next += 1;
        Some(side)
    }

    fn word(&mut self, word: &str) -> bool {
        self.accept(|token| matches!(token, Token::Word(found) if found == word))
    }

    fn sign(&mut self, sign: &str) -> bool {
        self.accept(|token| matches!(token, Token::Sign(found) if *found == sign))
    }

    fn accept(&mut self, wanted: impl Fn(&Token) -> bool) -> bool {
        let found = self.tokens.get(self.next).is_some_and(wanted);
        self.next += usize::from(found);
        found
    }
}

fn bare(side: Side) -> Option<Node> {
    match side {
        Side::Operand(operand) => Some(Node::Bare(operand)),
        Side::Literal(_) => None,
    }
}

fn comparison(sign: &str) -> Option<Comparison> {
    Some(match sign {
        "==" => Comparison::Equal,
        "!=" => Comparison::Unequal,
        ">" => Comparison::Ordered(Ordering::is_gt),
        ">=" => Comparison::Ordered(Ordering::is_ge),
        "<" => Comparison::Ordered(Ordering::is_lt),
        "<=" => Comparison::Ordered(Ordering::is_le),
        _ => return None,
    })
}

fn test(operand: Operand, sign: &str, value: Value) -> Option<Node> {
    let test = match (comparison(sign)?, value) {
        (Comparison::Equal, Value::Null) => Test::IsNull,
        (Comparison::Unequal, Value::Null) => Test::IsNotNull,
        (Comparison::Ordered(_), Value::Null) => return None,
        (Comparison::Equal, value) => Test::Equal(value),
        (Comparison::Unequal, value) => Test::Unequal(value),
        (Comparison::Ordered(wanted), value) => Test::Ordered(value, wanted),
    };
    Some(Node::Test(operand, test))
}

fn mirrored(sign: &'static str) -> &'static str {
    match sign {
        ">" => "<",
        ">=" => "<=",
        "<" => ">",
        "<=" => ">=",
        same => same,
    }
}
