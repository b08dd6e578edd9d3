//! From a finished tree to the store, and what comes back.

use std::sync::Arc;

use api::facts;
use apimachinery::json::{self, Splice};
use apimachinery::schema::{self, Strictness};
use apimachinery::{Key as Name, Status, Value, meta, time};
use bytes::Bytes;
use store::{Compare, Entry, Indexed, Key, Op, Txn};

use super::Target;
use crate::catalogue::Resource;
use crate::header::{self, Header};
use crate::{ApiServer, Change, Companion, Storage};

/// An object as the store has it, or would have it after a dry run.
#[derive(Clone)]
pub(crate) struct Published {
    pub resource: Arc<Resource>,
    /// Canonical JSON in the stored version, without resourceVersion.
    pub bytes: Bytes,
    pub splice: Splice,
    /// 0: never stored.
    pub revision: u64,
}

impl Published {
    pub fn of(resource: &Arc<Resource>, entry: &Entry) -> Self {
        let splice = entry.header::<Header>().map(|header| header.splice).unwrap_or_default();
        Self { resource: resource.clone(), bytes: entry.value.clone(), splice, revision: entry.revision }
    }

    /// Appends the object's JSON with its resourceVersion.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        write_json(&self.bytes, self.splice, self.revision, out);
    }

    /// The tree in the stored version, with its resourceVersion.
    pub fn tree(&self) -> Value {
        tree_of(&self.resource, &self.bytes, self.revision)
    }
}

/// Appends stored bytes with the revision in its place.
pub(crate) fn write_json(bytes: &[u8], splice: Splice, revision: u64, out: &mut Vec<u8>) {
    if revision == 0 {
        out.extend_from_slice(bytes);
        return;
    }
    // Twenty digits are the longest; no allocation for them.
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = revision;
    while rest > 0 {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let text = std::str::from_utf8(&digits[at..]).expect("digits are UTF-8");
    splice.write(bytes, text, out);
}

/// Whether bytes of this revision may have another form than the definition says.
pub(crate) fn is_old(resource: &Resource, revision: u64) -> bool {
    revision != 0 && revision < resource.since
}

/// Decodes stored bytes; null where they are none.
pub(crate) fn tree_of(resource: &Resource, bytes: &[u8], revision: u64) -> Value {
    let decoded = match &resource.storage {
        Storage::Stored { schema: Some(schema), .. } => {
            schema::decode_json(facts::types(), *schema, bytes, Strictness::Ignore)
                .map(|decoded| decoded.value)
        }
        _ => json::parse_ordered(bytes),
    };
    let mut tree = decoded.unwrap_or_default();
    if is_old(resource, revision) {
        resource.strategy.upgrade(&mut tree);
    }
    if revision != 0 {
        set_revision(&mut tree, revision);
    }
    tree
}

/// Puts `metadata.resourceVersion` where Go writes it.
pub(crate) fn set_revision(tree: &mut Value, revision: u64) {
    let Some(Value::Object(metadata)) = tree.get_mut("metadata") else { return };
    metadata.remove("resourceVersion");
    let members = metadata.raw_mut();
    let before = |name: &str| matches!(name, "name" | "generateName" | "namespace" | "selfLink" | "uid");
    let at = members.iter().position(|(name, _)| !before(name)).unwrap_or(members.len());
    members.insert(at, (Name::Borrowed("resourceVersion"), Value::from(revision.to_string())));
}

/// A finished object on its way to the store.
pub(crate) struct Draft {
    pub bytes: Bytes,
    pub splice: Splice,
    pub indexed: Indexed,
}

impl Draft {
    /// Brings the tree into canonical form and encodes it.
    pub fn of(resource: &Resource, object: &mut Value) -> Result<Self, Status> {
        if let Storage::Stored { schema: Some(schema), .. } = &resource.storage {
            schema::normalize_stored(facts::types(), *schema, object)
                .map_err(|error| Status::internal(error.to_string()))?;
        }
        thread_local! {
            static SCRATCH: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
        }
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            let splice = json::encode_object(object, header::order(resource), scratch)
                .ok_or_else(|| Status::internal("the object has no metadata"))?;
            // Copied once at its exact size: what is kept for long wastes nothing.
            let bytes = Bytes::copy_from_slice(scratch);
            if scratch.capacity() > 256 * 1024 {
                *scratch = Vec::new();
            }
            Ok(Self { bytes, splice, indexed: header::indexed(resource, object, splice) })
        })
    }
}

/// Why a commit did not happen.
#[allow(clippy::large_enum_variant)] // a refusal is as large as the answer that it becomes
pub(crate) enum CommitError {
    /// The object itself is not what it was.
    Moved,
    /// A companion is not what it was: everything again.
    CompanionMoved,
    Refused(Status),
}

/// What must hold of the object's own key.
#[derive(Clone, Copy)]
pub(crate) enum Was {
    Absent,
    At(u64),
}

impl ApiServer {
    /// Commits a put of the object with its companions.
    pub(crate) async fn put(
        &self,
        resource: &Arc<Resource>,
        key: Key,
        was: Was,
        draft: Draft,
        ttl: Option<std::time::Duration>,
        companions: Vec<Companion>,
    ) -> Result<Published, CommitError> {
        let op = Op::Put { key: key.clone(), value: draft.bytes.clone(), indexed: draft.indexed, ttl };
        let revision = self.transact(resource, key, was, op, companions).await?;
        Ok(Published { resource: resource.clone(), bytes: draft.bytes, splice: draft.splice, revision })
    }

    /// Commits the object's deletion with its companions; gives its revision.
    pub(crate) async fn remove(
        &self,
        resource: &Arc<Resource>,
        key: Key,
        revision: u64,
        companions: Vec<Companion>,
    ) -> Result<u64, CommitError> {
        let op = Op::Delete { key: key.clone() };
        self.transact(resource, key, Was::At(revision), op, companions).await
    }

    async fn transact(
        &self,
        resource: &Arc<Resource>,
        key: Key,
        was: Was,
        op: Op,
        companions: Vec<Companion>,
    ) -> Result<u64, CommitError> {
        let own = match was {
            Was::Absent => Compare::Absent(key),
            Was::At(revision) => Compare::Revision(key, revision),
        };
        let mut txn = Txn { compares: vec![own], ops: vec![op] };
        let mut touched = vec![resource.clone()];
        for companion in companions {
            touched.push(self.add_companion(companion, &mut txn).map_err(CommitError::Refused)?);
        }
        let committed = match self.store.commit(txn).await {
            Ok(committed) => committed,
            Err(store::Error::Conflict { compare: 0, .. }) => return Err(CommitError::Moved),
            Err(store::Error::Conflict { .. }) => return Err(CommitError::CompanionMoved),
            Err(error) => return Err(CommitError::Refused(Self::store_error(error))),
        };
        for resource in touched {
            resource.touch(committed.revision);
        }
        Ok(committed.revision)
    }

    fn add_companion(&self, companion: Companion, txn: &mut Txn) -> Result<Arc<Resource>, Status> {
        let catalogue = self.catalogue.load();
        let found = catalogue.resource(&companion.group, &companion.resource).cloned();
        let (Some(resource), Some(key)) =
            (found.clone(), found.and_then(|resource| resource.key(&companion.namespace, &companion.name)))
        else {
            return Err(Status::internal(format!(
                "no stored resource {}.{} to be written with this one",
                companion.resource, companion.group
            )));
        };
        let key = Key::from(key);
        match companion.change {
            Change::Create(mut object) => {
                if !companion.manager.is_empty() {
                    let target = Target {
                        resource: resource.clone(),
                        version: 0,
                        namespace: companion.namespace,
                        name: companion.name,
                        subresource: String::new(),
                    };
                    self.own_new(&target, companion.manager, &mut object);
                }
                self.fill_system_fields(&mut object);
                let draft = Draft::of(&resource, &mut object)?;
                txn.compares.push(Compare::Absent(key.clone()));
                txn.ops.push(Op::Put { key, value: draft.bytes, indexed: draft.indexed, ttl: None });
            }
            Change::Update { revision, mut object } => {
                let draft = Draft::of(&resource, &mut object)?;
                txn.compares.push(Compare::Revision(key.clone(), revision));
                txn.ops.push(Op::Put { key, value: draft.bytes, indexed: draft.indexed, ttl: None });
            }
            Change::Delete { revision } => {
                txn.compares.push(Compare::Revision(key.clone(), revision));
                txn.ops.push(Op::Delete { key });
            }
            Change::Unchanged { revision } => txn.compares.push(Compare::Revision(key, revision)),
        }
        Ok(resource)
    }

    /// A random uid.
    pub(crate) fn new_uid(&self) -> String {
        let random = &self.edge.random;
        let bits = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string()
    }

    /// uid and creation time of a new object.
    pub(crate) fn fill_system_fields(&self, object: &mut Value) {
        let now = time::format(self.edge.clock.now());
        let metadata = object.entry("metadata");
        metadata.set("uid", self.new_uid());
        metadata.set("creationTimestamp", now);
        metadata.remove("selfLink");
    }

    /// Writes many new objects at once, in as few transactions as the store
    /// allows: those that are not there yet. For bootstrap; neither admission
    /// nor validation looks at them. Trees in the stored version, defaulted here.
    ///
    /// # Errors
    /// The store's refusal, or a resource that is not stored.
    pub async fn seed(&self, objects: Vec<Companion>) -> Result<usize, Status> {
        let mut written = 0;
        for chunk in objects.chunks(store::MAX_OPS / 2) {
            loop {
                let view = self.view();
                let mut txn = Txn::default();
                let mut touched = Vec::new();
                for companion in chunk {
                    let mut companion = companion.clone();
                    if view
                        .get(&companion.group, &companion.resource, &companion.namespace, &companion.name)
                        .is_some()
                        && matches!(companion.change, Change::Create(_))
                    {
                        continue;
                    }
                    if let Change::Create(object) | Change::Update { object, .. } = &mut companion.change {
                        self.default_stored(&companion.group, &companion.resource, object)?;
                    }
                    touched.push(self.add_companion(companion, &mut txn)?);
                }
                if txn.ops.is_empty() {
                    break;
                }
                match self.store.commit(txn).await {
                    Ok(committed) => {
                        written += touched.len();
                        touched.iter().for_each(|resource| resource.touch(committed.revision));
                        break;
                    }
                    Err(store::Error::Conflict { .. }) => {}
                    Err(error) => return Err(Self::store_error(error)),
                }
            }
        }
        Ok(written)
    }

    fn default_stored(&self, group: &str, plural: &str, object: &mut Value) -> Result<(), Status> {
        let catalogue = self.catalogue.load();
        let Some(resource) = catalogue.resource(group, plural) else { return Ok(()) };
        if let Storage::Stored { schema: Some(schema), .. } = &resource.storage {
            schema::normalize_stored(facts::types(), *schema, object).map_err(|error| {
                Status::internal(format!("{} {}: {error}", resource.kind, meta::name(object)))
            })?;
        }
        super::metadata::default_in_storage(resource, object, self.edge.clock.now());
        Ok(())
    }
}
