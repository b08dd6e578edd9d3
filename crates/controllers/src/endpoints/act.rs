//! Carries out the plan of a Service's Endpoints.

use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, DeleteOptions, Error, Transport};
use informer::{Informer, ObjectKey, Outcome, Reconciler, Whole};
use k8s_openapi::api::core::v1::{Endpoints, Service};

use super::plan::{Action, Observed, plan};
use crate::pods::PodView;
use crate::services;

pub(super) struct AllEndpoints {
    pub transport: Arc<dyn Transport>,
    pub services: Informer<Whole<Service>>,
    pub pods: Informer<PodView>,
    pub endpoints: Informer<Whole<Endpoints>>,
}

#[async_trait]
impl Reconciler<ObjectKey> for AllEndpoints {
    fn name(&self) -> &'static str {
        "endpoint"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let service = self.services.get(key);
        let current = self.endpoints.get(key);
        let mut pods = Vec::new();
        if let Some(service) = &service {
            pods = self.pods.namespace(&key.namespace);
            pods.retain(|pod| services::selects(&service.0, pod));
        }
        let observed = Observed {
            service: service.as_ref().map(|service| &service.0),
            pods,
            current: current.as_ref().map(|current| &current.0),
        };
        let api = Api::<Endpoints>::namespaced(self.transport.clone(), key.namespace.clone());
        let result = match plan(&observed) {
            None => Ok(()),
            Some(Action::Create(endpoints)) => match api.create(&endpoints).await {
                // The view will show them in a moment, and bring the key back.
                Err(error) if error.is_already_exists() || crate::namespace_ends(&error) => Ok(()),
                other => other.map(drop),
            },
            Some(Action::Update(endpoints)) => api.update(&endpoints).await.map(drop),
            Some(Action::Delete { uid }) => api.delete(&key.name, DeleteOptions::uid(uid)).await,
        };
        match result {
            Err(error) if error.is_not_found() => Ok(Outcome::Done),
            other => other.map(|()| Outcome::Done),
        }
    }
}
