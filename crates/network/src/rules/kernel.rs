//! Brings the table in the kernel to what is wanted, in one transaction.

use std::os::fd::AsRawFd;

use nlink::netlink::nftables::{Family, NFT_MSG_NEWTABLE, RawMessage, Transaction};
use nlink::netlink::{Connection, Nftables};
use tokio::sync::Mutex;

use super::change::{Changes, ElementChanges};
use super::{RuleSet, encode};
use crate::Error;

/// Elements in one message: an attribute holds at most 64 KiB.
const ELEMENTS_A_MESSAGE: usize = 400;
/// A transaction is one datagram; 20,000 services take about 8 MiB.
static SEND_BUFFER: libc::c_int = 32 << 20;
const NLM_F_CREATE: u16 = 0x400;

/// One table in the kernel and what it should hold. It is replaced as a whole
/// ([`Rules::replace`]) or changed element by element ([`Rules::change`]);
/// every call is one transaction.
///
/// The first transaction replaces whatever an earlier run left, at once: no
/// packet meets a half-made table, and until then the earlier run's works on.
pub struct Rules {
    table: &'static str,
    state: Mutex<State>,
}

struct State {
    connection: Connection<Nftables>,
    wanted: RuleSet,
    /// The kernel holds exactly what is wanted.
    in_step: bool,
}

impl Rules {
    /// A handle on `table` in the network namespace of the calling thread.
    /// Nothing is sent yet. Needs a tokio runtime and `CAP_NET_ADMIN`.
    pub fn open(table: &'static str) -> Result<Self, Error> {
        let connection = Connection::<Nftables>::new().map_err(Error::kernel("open nftables"))?;
        widen(connection.socket().as_raw_fd());
        Ok(Self { table, state: Mutex::new(State { connection, wanted: RuleSet::new(), in_step: false }) })
    }

    /// Makes the table exactly `rules`, touching only what differs.
    pub async fn replace(&self, rules: RuleSet) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        let changes = Changes::between(&state.wanted, &rules);
        state.wanted = rules;
        match changes {
            Some(changes) if state.in_step => self.commit_or_rebuild(&mut state, &changes).await,
            _ => self.write_anew(&mut state).await,
        }
    }

    /// Applies `changes` to the table.
    pub async fn change(&self, changes: &Changes) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        changes.apply_to(&mut state.wanted);
        if state.in_step {
            self.commit_or_rebuild(&mut state, changes).await
        } else {
            self.write_anew(&mut state).await
        }
    }

    /// Writes the whole table anew, for when somebody else touched it.
    pub async fn rebuild(&self) -> Result<(), Error> {
        self.write_anew(&mut *self.state.lock().await).await
    }

    /// What the table should hold.
    pub async fn wanted(&self) -> RuleSet {
        self.state.lock().await.wanted.clone()
    }

    /// Removes the table; fine when there is none.
    pub async fn remove(&self) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        state.in_step = false;
        state.wanted = RuleSet::new();
        let name = self.table;
        match state.connection.del_table(name, Family::Inet).await {
            Err(error) if !error.is_not_found() => {
                Err(Error::kernel(format!("remove the nftables table {name}"))(error))
            }
            _ => Ok(()),
        }
    }

    /// Commits `changes`; where the kernel's table is not what we thought it
    /// was (somebody flushed it), writes all of it anew.
    async fn commit_or_rebuild(&self, state: &mut State, changes: &Changes) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let transaction = self.encode(state.connection.transaction(), &state.wanted, changes)?;
        match transaction.commit(&state.connection).await {
            Ok(()) => Ok(()),
            Err(error) => {
                tracing::warn!(table = self.table, %error, "a change was refused; writing the table anew");
                self.write_anew(state).await
            }
        }
    }

    async fn write_anew(&self, state: &mut State) -> Result<(), Error> {
        let changes = Changes::between(&RuleSet::new(), &state.wanted).unwrap_or_default();
        // Making it first lets the removal succeed whether it was there or not.
        let make = RawMessage::new(NFT_MSG_NEWTABLE, Family::Inet);
        let transaction = state
            .connection
            .transaction()
            .raw(make.flags(NLM_F_CREATE).attrs(name_attribute(self.table)))
            .del_table(self.table, Family::Inet)
            .add_table(self.table, Family::Inet);
        state.in_step = false;
        self.encode(transaction, &state.wanted, &changes)?
            .commit(&state.connection)
            .await
            .map_err(Error::kernel(format!("write the nftables table {}", self.table)))?;
        state.in_step = true;
        Ok(())
    }

    fn encode(&self, mut to: Transaction, wanted: &RuleSet, changes: &Changes) -> Result<Transaction, Error> {
        let table = self.table;
        for (name, set) in &changes.new_sets {
            to = to.add_set(encode::set(table, name, set));
        }
        // First all chains, then rules: rules name chains in any order.
        for (name, chain) in &changes.chains {
            to = to.update_chain(encode::chain(table, name, chain)?).flush_chain(table, name, Family::Inet);
        }
        for (name, chain) in &changes.chains {
            for rule in &chain.rules {
                to = to.add_rule(encode::rule(table, name, rule)?);
            }
        }
        for (name, elements) in &changes.elements {
            if let Some(set) = wanted.sets.get(name) {
                to = encode_elements(to, encode::set(table, name, set), elements)?;
            }
        }
        for name in &changes.gone_chains {
            to = to.flush_chain(table, name, Family::Inet);
        }
        for name in &changes.gone_chains {
            to = to.del_chain(table, name, Family::Inet);
        }
        for name in &changes.gone_sets {
            to = to.del_set(table, name, Family::Inet);
        }
        Ok(to)
    }
}

fn encode_elements(
    mut to: Transaction,
    set: nlink::netlink::nftables::Set,
    changes: &ElementChanges,
) -> Result<Transaction, Error> {
    for keys in changes.remove.chunks(ELEMENTS_A_MESSAGE) {
        let elements = keys.iter().map(|key| encode::element(key, None)).collect::<Result<Vec<_>, _>>()?;
        to = to.del_set_elements(&set, &elements);
    }
    let added: Vec<_> = changes.add.iter().collect();
    for pairs in added.chunks(ELEMENTS_A_MESSAGE) {
        let elements = pairs
            .iter()
            .map(|(key, value)| encode::element(key, value.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        to = to.add_set_elements(&set, &elements);
    }
    Ok(to)
}

/// `NFTA_TABLE_NAME`.
fn name_attribute(table: &str) -> Vec<u8> {
    let length = 4 + table.len() + 1;
    let mut bytes = Vec::with_capacity(length.next_multiple_of(4));
    bytes.extend((length as u16).to_ne_bytes());
    bytes.extend(1u16.to_ne_bytes());
    bytes.extend(table.as_bytes());
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}

/// Lets the socket take a large transaction. A container without the right
/// to it keeps the default, and large clusters then fail with the kernel's word.
fn widen(socket: std::os::fd::RawFd) {
    // SAFETY: the option's value is an int of the length given, and the
    // descriptor is open for as long as the connection that lent it.
    let result = unsafe {
        libc::setsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_SNDBUFFORCE,
            (&raw const SEND_BUFFER).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result != 0 {
        tracing::debug!("the send buffer of the nftables socket could not be widened");
    }
}
