//! `authorizer` of expressions: asks those who decide about requests.

use std::sync::Arc;

use apiserver::{Action, Admission, Authorizer, UserInfo, Verdict, View};
use cel::{Answer, Question};

pub(crate) struct Asker<'a> {
    authorizers: &'a [Arc<dyn Authorizer>],
    user: &'a UserInfo,
    view: &'a View,
}

impl<'a> Asker<'a> {
    pub fn new(authorizers: &'a [Arc<dyn Authorizer>], admission: &Admission<'a>) -> Self {
        Self { authorizers, user: admission.user, view: admission.view }
    }
}

/// `authorizer.requestResource`.
pub(super) fn about_request(admission: &Admission<'_>) -> Question {
    Question {
        group: admission.definition.group.to_string(),
        resource: admission.definition.resource.to_string(),
        subresource: admission.subresource.to_owned(),
        namespace: if admission.definition.is_namespaced() {
            admission.namespace.to_owned()
        } else {
            String::new()
        },
        name: admission.name.to_owned(),
        ..Question::default()
    }
}

impl cel::Authorizer for Asker<'_> {
    fn answer(&self, question: &Question) -> Answer {
        let account;
        let user = match &question.service_account {
            None => self.user,
            Some((namespace, name)) => {
                let in_namespace = format!("system:serviceaccounts:{namespace}");
                let groups = ["system:serviceaccounts", &in_namespace, "system:authenticated"];
                account = UserInfo::new(format!("system:serviceaccount:{namespace}:{name}"), &groups);
                &account
            }
        };
        let action = Action {
            user,
            verb: &question.verb,
            is_resource: question.path.is_empty(),
            group: &question.group,
            version: "*",
            resource: &question.resource,
            subresource: &question.subresource,
            namespace: &question.namespace,
            name: &question.name,
            path: &question.path,
            field_selector: &question.field_selector,
            label_selector: &question.label_selector,
        };
        let mut answer = Answer::default();
        for authorizer in self.authorizers {
            let decision = authorizer.authorize(&action, self.view);
            answer.reason = decision.reason;
            answer.error = decision.error;
            if decision.verdict != Verdict::NoOpinion {
                answer.allowed = decision.verdict == Verdict::Allow;
                break;
            }
        }
        answer
    }
}
