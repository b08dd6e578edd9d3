//! The library of regular expressions.

use crate::error::Error;
use crate::value::Val;

/// The largest pattern as compiled, so that none takes the memory.
const MAX_COMPILED: usize = 1 << 20;

pub(crate) fn compile(pattern: &str) -> Result<regex::Regex, Error> {
    regex::RegexBuilder::new(pattern)
        .size_limit(MAX_COMPILED)
        .build()
        .map_err(|error| Error::failed(format!("error parsing regexp: {}", plain(&error))))
}

/// The sentence of an error, without the picture of the pattern.
fn plain(error: &regex::Error) -> String {
    let text = error.to_string();
    let sentence = text.lines().last().unwrap_or("").trim();
    sentence.strip_prefix("error: ").unwrap_or(sentence).to_owned()
}

pub(super) fn call<'a>(function: &str, args: &[Val<'a>]) -> Result<Val<'a>, Error> {
    let (Some(Val::String(text)), Some(Val::String(pattern))) = (args.first(), args.get(1)) else {
        return Err(Error::no_overload());
    };
    let pattern = compile(pattern)?;
    Ok(match (function, &args[2..]) {
        ("matches", []) => Val::Bool(pattern.is_match(text)),
        ("find", []) => {
            Val::string(pattern.find(text).map_or_else(String::new, |found| found.as_str().to_owned()))
        }
        ("findAll", []) => all(&pattern, text, usize::MAX),
        ("findAll", [Val::Int(most)]) => all(&pattern, text, usize::try_from(*most).unwrap_or(usize::MAX)),
        _ => return Err(Error::no_overload()),
    })
}

fn all<'a>(pattern: &regex::Regex, text: &str, most: usize) -> Val<'a> {
    let found = pattern.find_iter(text).take(most);
    Val::list(found.map(|found| Val::string(found.as_str().to_owned())).collect())
}
