//! `authorizer`: questions about what a user may do, answered by a callback.

use std::rc::Rc;

use crate::error::Error;
use crate::value::Val;

/// What is asked. "" is not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Namespace and name of the service account that is asked for; None is the user of the request.
    pub service_account: Option<(String, String)>,
    /// A path that is no resource.
    pub path: String,
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    pub field_selector: String,
    pub label_selector: String,
    pub verb: String,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub allowed: bool,
    pub reason: String,
    /// "" where none was met.
    pub error: String,
}

/// Who answers.
pub trait Authorizer {
    fn answer(&self, question: &Question) -> Answer;
}

/// A question in the making, or its answer.
#[derive(Clone)]
pub struct Asked<'a> {
    authorizer: &'a dyn Authorizer,
    stage: Stage,
    question: Rc<Question>,
    answer: Rc<Answer>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Authorizer,
    Path,
    Group,
    Resource,
    Decision,
}

impl std::fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.type_name())
    }
}

impl<'a> Asked<'a> {
    /// The variable `authorizer`.
    pub fn by(authorizer: &'a dyn Authorizer) -> Val<'a> {
        Val::Authorizer(Asked {
            authorizer,
            stage: Stage::Authorizer,
            question: Rc::default(),
            answer: Rc::default(),
        })
    }

    /// The variable `authorizer.requestResource`: a question about a resource
    /// that only lacks a verb.
    pub fn about(authorizer: &'a dyn Authorizer, question: Question) -> Val<'a> {
        Val::Authorizer(Asked {
            authorizer,
            stage: Stage::Resource,
            question: Rc::new(question),
            answer: Rc::default(),
        })
    }

    pub(crate) fn type_name(&self) -> &'static str {
        match self.stage {
            Stage::Authorizer => "kubernetes.authorization.Authorizer",
            Stage::Path => "kubernetes.authorization.PathCheck",
            Stage::Group => "kubernetes.authorization.GroupCheck",
            Stage::Resource => "kubernetes.authorization.ResourceCheck",
            Stage::Decision => "kubernetes.authorization.Decision",
        }
    }

    /// `self.function(args)`.
    pub(crate) fn call(&self, function: &str, args: &[Val<'a>]) -> Result<Val<'a>, Error> {
        let text = |at: usize| args.get(at).and_then(Val::as_str).unwrap_or("").to_owned();
        let next = |stage: Stage, change: &dyn Fn(&mut Question)| {
            let mut question = (*self.question).clone();
            change(&mut question);
            Ok(Val::Authorizer(Asked { stage, question: Rc::new(question), ..self.clone() }))
        };
        match (self.stage, function, args.len()) {
            (Stage::Authorizer, "path", 1) => {
                if text(0).is_empty() {
                    return Err(Error::failed("path must not be empty"));
                }
                next(Stage::Path, &|question| question.path = text(0))
            }
            (Stage::Authorizer, "group", 1) => next(Stage::Group, &|question| question.group = text(0)),
            (Stage::Authorizer, "serviceAccount", 2) => {
                next(Stage::Authorizer, &|question| question.service_account = Some((text(0), text(1))))
            }
            (Stage::Group, "resource", 1) => {
                if text(0).is_empty() {
                    return Err(Error::failed("resource must not be empty"));
                }
                next(Stage::Resource, &|question| question.resource = text(0))
            }
            (Stage::Resource, "subresource", 1) => {
                next(Stage::Resource, &|question| question.subresource = text(0))
            }
            (Stage::Resource, "namespace", 1) => {
                next(Stage::Resource, &|question| question.namespace = text(0))
            }
            (Stage::Resource, "name", 1) => next(Stage::Resource, &|question| question.name = text(0)),
            (Stage::Resource, "fieldSelector", 1) => {
                next(Stage::Resource, &|question| question.field_selector = text(0))
            }
            (Stage::Resource, "labelSelector", 1) => {
                next(Stage::Resource, &|question| question.label_selector = text(0))
            }
            (Stage::Resource | Stage::Path, "check", 1) => {
                let question = Question { verb: text(0), ..(*self.question).clone() };
                let answer = self.authorizer.answer(&question);
                Ok(Val::Authorizer(Asked {
                    stage: Stage::Decision,
                    question: Rc::new(question),
                    answer: Rc::new(answer),
                    ..self.clone()
                }))
            }
            (Stage::Decision, "allowed", 0) => Ok(Val::Bool(self.answer.allowed)),
            (Stage::Decision, "reason", 0) => Ok(Val::string(self.answer.reason.clone())),
            (Stage::Decision, "errored", 0) => Ok(Val::Bool(!self.answer.error.is_empty())),
            (Stage::Decision, "error", 0) => Ok(Val::string(self.answer.error.clone())),
            _ => Err(Error::no_overload()),
        }
    }
}
