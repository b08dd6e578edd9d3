//! Source text to tree: the library's parser (upstream's grammar, so syntax
//! errors read as upstream's), lowered to nodes that are shared between threads.

use cel_parser::common::ast::{EntryExpr, Expr as Parsed, IdedEntryExpr, IdedExpr, LiteralValue, SourceInfo};
use cel_parser::parser::Parser;

use crate::macros;

/// How deep expressions nest at most, and how long chains of selections and of
/// operators are (upstream's parser).
const MAX_DEPTH: u16 = 250;
/// How many characters an expression has at most (likewise).
pub(crate) const MAX_SIZE: usize = 100_000;

/// A node and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub node: Node,
    /// Bytes from the beginning of the source.
    pub at: u32,
}

#[derive(Clone, Debug)]
pub(crate) enum Node {
    Literal(Literal),
    Ident(String),
    /// `operand.field`; `has(operand.field)` where `test`.
    Select {
        operand: Box<Expr>,
        field: String,
        test: bool,
    },
    Call {
        function: String,
        target: Option<Box<Expr>>,
        args: Vec<Expr>,
    },
    /// Elements, and whether each is optional (`[?x]`).
    List(Vec<(Expr, bool)>),
    Map(Vec<Entry>),
    Struct {
        name: String,
        fields: Vec<Field>,
    },
    Comprehension(Box<Comprehension>),
}

#[derive(Clone, Debug)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub key: Expr,
    pub value: Expr,
    pub optional: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub name: String,
    pub value: Expr,
    pub optional: bool,
    pub at: u32,
}

/// What every macro over a range expands to.
#[derive(Clone, Debug)]
pub(crate) struct Comprehension {
    pub range: Expr,
    pub variable: String,
    pub second: Option<String>,
    pub accumulator: String,
    pub init: Expr,
    pub condition: Expr,
    pub step: Expr,
    pub result: Expr,
}

/// One problem of a source text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Of the first line: 1; of the whole text: 0.
    pub line: usize,
    /// Characters from the line's beginning; of the first: 1.
    pub column: usize,
    pub message: String,
}

impl Problem {
    /// The problem at `at` bytes of `source`.
    pub(crate) fn at(source: &str, at: u32, message: impl Into<String>) -> Self {
        let before = source.get(..at as usize).unwrap_or(source);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
            message: message.into(),
        }
    }

    /// The problem as upstream prints it, with the line and a caret under it.
    pub(crate) fn show(&self, source: &str) -> String {
        if self.line == 0 {
            return format!("ERROR: <input>:-1:0: {}", self.message);
        }
        let mut shown = format!("ERROR: <input>:{}:{}: {}", self.line, self.column, self.message);
        if self.column == 0 {
            return shown;
        }
        if let Some(line) = source.split('\n').nth(self.line.saturating_sub(1)) {
            let line = line.replace('\t', " ");
            let dots: String = line
                .chars()
                .chain(std::iter::repeat('.'))
                .take(self.column.saturating_sub(1))
                .map(|shown| if shown.is_ascii() { '.' } else { '．' })
                .collect();
            let caret = match line.chars().nth(self.column.saturating_sub(1)) {
                Some(marked) if !marked.is_ascii() => '＾',
                _ => '^',
            };
            shown.push_str(&format!("\n | {line}\n | {dots}{caret}"));
        }
        shown
    }
}

/// Parses and lowers `source`.
///
/// # Errors
/// Everything that is wrong with its syntax, in the order of the text.
pub(crate) fn parse(source: &str, binds: bool) -> Result<Expr, Vec<Problem>> {
    let whole = |message: String| vec![Problem { line: 0, column: 0, message }];
    let size = source.chars().count();
    if size > MAX_SIZE {
        return Err(whole(format!(
            "expression code point size exceeds limit: size: {size}, limit {MAX_SIZE}"
        )));
    }
    let parser = Parser::new()
        .max_recursion_depth(MAX_DEPTH)
        .enable_optional_syntax(true)
        .enable_ident_escape_syntax(true);
    let too_deep = || whole(format!("expression recursion limit exceeded: {MAX_DEPTH}"));
    let (parsed, info) = parser.parse_with_source_info(source).map_err(|errors| {
        // What the library's own limit stops is told as a syntax error here or there.
        if errors.errors.iter().any(|error| error.msg.contains("Recursion limit of ")) {
            return too_deep();
        }
        let of = |error: cel_parser::parser::ParseError| Problem {
            line: usize::try_from(error.pos.0).unwrap_or(0),
            // There is no first column in nothing.
            column: if source.is_empty() { 0 } else { error.pos.1.max(1) as usize },
            message: expected_name(error.msg),
        };
        let (incomplete, told): (Vec<_>, Vec<_>) =
            errors.errors.into_iter().partition(|error| error.msg.starts_with("Incomplete `"));
        // What the library could not finish is told by what stopped it.
        let shown = if told.is_empty() { incomplete } else { told };
        shown.into_iter().map(of).collect::<Vec<_>>()
    })?;
    let mut lowering = Lowering {
        info: &info,
        source,
        problems: Vec::new(),
        open: [0; 4],
        is_too_deep: false,
        visited: 0,
        is_too_deep_to_visit: false,
        binds,
    };
    let expr = lowering.expr(parsed);
    if lowering.is_too_deep {
        return Err(too_deep());
    }
    if lowering.is_too_deep_to_visit {
        return Err(whole("max recursion depth exceeded".into()));
    }
    if lowering.problems.is_empty() { Ok(expr) } else { Err(lowering.problems) }
}

/// Upstream's words for a literal where a field's name belongs.
fn expected_name(message: String) -> String {
    let word = message.strip_prefix("Syntax error: no viable alternative at input '.");
    match word.and_then(|word| word.strip_suffix('\'')) {
        Some(word @ ("true" | "false" | "null")) => {
            format!("Syntax error: mismatched input '{word}' expecting IDENTIFIER")
        }
        _ => message,
    }
}

pub(crate) struct Lowering<'a> {
    info: &'a SourceInfo,
    source: &'a str,
    problems: Vec<Problem>,
    /// How many nodes of each [`Chain`] are around the present one.
    open: [u16; 4],
    is_too_deep: bool,
    /// How many nodes around the present one upstream counts, of whatever chain.
    visited: u16,
    is_too_deep_to_visit: bool,
    /// Whether there is `cel.bind`.
    pub binds: bool,
}

/// What the parser makes deep trees of though the text is flat: `a.b.c`,
/// `a + b + c`, `a == b == c`, `!-!a`.
#[derive(Clone, Copy)]
enum Chain {
    Members,
    Arithmetic,
    Relations,
    Negations,
}

fn chain(parsed: &Parsed) -> Option<Chain> {
    match parsed {
        Parsed::Select(_) => Some(Chain::Members),
        Parsed::Call(call) if call.target.is_some() => Some(Chain::Members),
        Parsed::Call(call) => match call.func_name.as_str() {
            "_[_]" | "_?._" | "_[?_]" => Some(Chain::Members),
            "_+_" | "_-_" | "_*_" | "_/_" | "_%_" => Some(Chain::Arithmetic),
            "_<_" | "_<=_" | "_>_" | "_>=_" | "_==_" | "_!=_" | "@in" => Some(Chain::Relations),
            "!_" | "-_" => Some(Chain::Negations),
            _ => None,
        },
        _ => None,
    }
}

fn is_negative(parsed: &Parsed) -> bool {
    match parsed {
        Parsed::Literal(LiteralValue::Int(value)) => *value.inner() < 0,
        Parsed::Literal(LiteralValue::Double(value)) => value.inner().is_sign_negative(),
        _ => false,
    }
}

impl Lowering<'_> {
    fn at(&self, id: u64) -> u32 {
        self.info.offset_for(id).map_or(0, |(start, _)| start)
    }

    pub(crate) fn refuse(&mut self, at: u32, message: &str) {
        self.problems.push(Problem::at(self.source, at, message));
    }

    fn exprs(&mut self, parsed: Vec<IdedExpr>) -> Vec<Expr> {
        parsed.into_iter().map(|expr| self.expr(expr)).collect()
    }

    fn boxed(&mut self, parsed: IdedExpr) -> Box<Expr> {
        Box::new(self.expr(parsed))
    }

    fn expr(&mut self, parsed: IdedExpr) -> Expr {
        let Some(chain) = chain(&parsed.expr) else { return self.node(parsed) };
        if self.open[chain as usize] == MAX_DEPTH {
            self.is_too_deep = true;
            return Expr { node: Node::Literal(Literal::Null), at: 0 };
        }
        let counts = u16::from(!matches!(chain, Chain::Negations));
        self.open[chain as usize] += 1;
        self.visited += counts;
        self.is_too_deep_to_visit |= self.visited > MAX_DEPTH;
        let expr = self.node(parsed);
        self.visited -= counts;
        self.open[chain as usize] -= 1;
        expr
    }

    fn node(&mut self, parsed: IdedExpr) -> Expr {
        let mut at = self.at(parsed.id);
        // A negative number begins with its sign.
        if is_negative(&parsed.expr)
            && let Some(before) = self.source.get(..at as usize)
            && let Some(signed) = before.trim_end().strip_suffix('-')
        {
            at = signed.len() as u32;
        }
        let node = match parsed.expr {
            Parsed::Unspecified => Node::Literal(Literal::Null),
            Parsed::Literal(literal) => Node::Literal(match literal {
                LiteralValue::Boolean(value) => Literal::Bool(*value.inner()),
                LiteralValue::Bytes(value) => Literal::Bytes(value.inner().to_vec()),
                LiteralValue::Double(value) => Literal::Double(*value.inner()),
                LiteralValue::Int(value) => Literal::Int(*value.inner()),
                LiteralValue::Null => Literal::Null,
                LiteralValue::String(value) => Literal::String(value.inner().to_owned()),
                LiteralValue::UInt(value) => Literal::Uint(*value.inner()),
            }),
            Parsed::Ident(name) => Node::Ident(name),
            Parsed::Select(select) => {
                Node::Select { operand: self.boxed(*select.operand), field: select.field, test: select.test }
            }
            Parsed::Call(call) => {
                let target = call.target.map(|target| self.boxed(*target));
                let args = self.exprs(call.args);
                return macros::expand(self, at, call.func_name, target, args);
            }
            Parsed::List(list) => Node::List(
                list.elements
                    .into_iter()
                    .enumerate()
                    .map(|(index, element)| (self.expr(element), list.optional_indices.contains(&index)))
                    .collect(),
            ),
            Parsed::Map(map) => {
                Node::Map(map.entries.into_iter().filter_map(|entry| self.entry(entry)).collect())
            }
            Parsed::Struct(made) => Node::Struct {
                name: made.type_name,
                fields: made.entries.into_iter().filter_map(|field| self.field(field)).collect(),
            },
            Parsed::Comprehension(fold) => Node::Comprehension(Box::new(Comprehension {
                range: self.expr(fold.iter_range),
                variable: fold.iter_var,
                second: fold.iter_var2,
                accumulator: fold.accu_var,
                init: self.expr(fold.accu_init),
                condition: self.expr(fold.loop_cond),
                step: self.expr(fold.loop_step),
                result: self.expr(fold.result),
            })),
        };
        Expr { node, at }
    }

    fn entry(&mut self, entry: IdedEntryExpr) -> Option<Entry> {
        match entry.expr {
            EntryExpr::MapEntry(entry) => Some(Entry {
                key: self.expr(entry.key),
                value: self.expr(entry.value),
                optional: entry.optional,
            }),
            EntryExpr::StructField(_) => None,
        }
    }

    fn field(&mut self, field: IdedEntryExpr) -> Option<Field> {
        let at = self.at(field.id);
        match field.expr {
            EntryExpr::StructField(field) => {
                Some(Field { name: field.field, value: self.expr(field.value), optional: field.optional, at })
            }
            EntryExpr::MapEntry(_) => None,
        }
    }
}

impl Expr {
    /// `a.b.c` of a chain of plain selections.
    pub(crate) fn qualified_name(&self) -> Option<String> {
        match &self.node {
            Node::Ident(name) => Some(name.clone()),
            Node::Select { operand, field, test: false } => {
                Some(format!("{}.{field}", operand.qualified_name()?))
            }
            _ => None,
        }
    }

    /// Calls `visit` with this node and all below it.
    pub(crate) fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        visit(self);
        match &self.node {
            Node::Literal(_) | Node::Ident(_) => {}
            Node::Select { operand, .. } => operand.walk(visit),
            Node::Call { target, args, .. } => {
                target.iter().for_each(|target| target.walk(visit));
                args.iter().for_each(|arg| arg.walk(visit));
            }
            Node::List(elements) => elements.iter().for_each(|(element, _)| element.walk(visit)),
            Node::Map(entries) => entries.iter().for_each(|entry| {
                entry.key.walk(visit);
                entry.value.walk(visit);
            }),
            Node::Struct { fields, .. } => fields.iter().for_each(|field| field.value.walk(visit)),
            Node::Comprehension(fold) => {
                for part in [&fold.range, &fold.init, &fold.condition, &fold.step, &fold.result] {
                    part.walk(visit);
                }
            }
        }
    }
}
