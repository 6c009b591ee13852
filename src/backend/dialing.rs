//! Opens connections to nodes, each in a task of its own, which leaves the result for the next turn.

use std::rc::Rc;
use std::sync::Arc;

use super::pipeline::{Holder, State};
use super::{Backend, PipelineId};
use crate::cluster::dial::{ConnectError, Conversation};
use crate::net::Stream;

/// What a dialling task brings back.
pub(super) struct Dialed {
    pub(super) pipe: PipelineId,
    pub(super) generation: u32,
    /// The connection, and by which name the node knows it where that is of use.
    pub(super) result: Result<(Stream, Option<i64>), ConnectError>,
}

impl Backend {
    pub(super) fn dial(&mut self, pipe: PipelineId) {
        let Some(pipeline) = self.pipelines.get_mut(pipe as usize) else { return };
        let Some(node) = self.nodes.get(usize::from(pipeline.node)) else { return };
        pipeline.state = State::Connecting;
        let (generation, proto, doubtful) = (pipeline.generation, pipeline.proto, pipeline.health.is_doubtful());
        let is_shared = pipeline.holder == Holder::Shared;
        let (addr, net, limit) = (node.addr.clone(), Arc::clone(&self.around.net), self.options.connect_timeout);
        let credentials = self.options.credentials.clone();
        let (dialed, ready, token) = (Rc::clone(&self.dialed), Arc::clone(&self.around.ready), self.around.dialed);
        tokio::task::spawn_local(async move {
            let mut result = Conversation::open(&*net, &addr, credentials.as_ref(), proto, limit).await;
            if doubtful && let Ok(conversation) = &mut result {
                result = conversation.prove(limit).await.and(result);
            }
            let name = match &mut result {
                Ok(conversation) if !is_shared => conversation.name(limit).await,
                _ => Ok(None),
            };
            let result = result.and_then(|open| Ok((open.into_stream()?, name?)));
            dialed.borrow_mut().push(Dialed { pipe, generation, result });
            ready.push(token);
        });
    }
}
