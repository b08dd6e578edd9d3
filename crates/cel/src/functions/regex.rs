//! The library of regular expressions.

use apimachinery::regexp::Regexp;

use crate::error::Error;
use crate::value::Val;

pub(crate) fn compile(pattern: &str) -> Result<Regexp, Error> {
    Regexp::compile(pattern).map_err(Error::failed)
}

pub(super) fn call<'a>(function: &str, args: &[Val<'a>]) -> Result<Val<'a>, Error> {
    let (Some(Val::String(text)), Some(Val::String(pattern))) = (args.first(), args.get(1)) else {
        return Err(Error::no_overload());
    };
    let pattern = compile(pattern)?;
    let pattern = pattern.regex();
    Ok(match (function, &args[2..]) {
        ("matches", []) => Val::Bool(pattern.is_match(text)),
        ("find", []) => {
            Val::string(pattern.find(text).map_or_else(String::new, |found| found.as_str().to_owned()))
        }
        ("findAll", []) => all(pattern, text, usize::MAX),
        ("findAll", [Val::Int(most)]) => all(pattern, text, usize::try_from(*most).unwrap_or(usize::MAX)),
        _ => return Err(Error::no_overload()),
    })
}

fn all<'a>(pattern: &regex::Regex, text: &str, most: usize) -> Val<'a> {
    let found = pattern.find_iter(text).take(most);
    Val::list(found.map(|found| Val::string(found.as_str().to_owned())).collect())
}
