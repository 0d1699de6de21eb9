//! The parts of a stream that are read one after the other: values of a list, records of a parent stream, or
//! all pairs of both.

mod several;

use super::expression::Expression;
use super::incremental::NO_CURSOR_STATE;
use super::interpolate::{StreamSlice, text_of};
use super::load::{Node, Stream, is_truthy};
use super::read::{Step, StreamReader};
use super::request::{Parts, RequestOption};
use super::select::{Record, at};
use super::session::Session;
use super::trouble::Trouble;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value as Json};
use several::{Groups, Union};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// How a stream is parted.
pub(super) enum Router {
    List(ListRouter),
    Substream(Arc<Vec<Parent>>),
    /// Every combination of the routers' partitions.
    Product(Vec<Router>),
    /// The partitions of a router, several at a time.
    Grouped {
        router: Box<Router>,
        size: usize,
        /// Whether a key that came before is left out.
        once: bool,
    },
    /// The partitions of several routers, each value of the field once.
    Union {
        routers: Vec<Router>,
        field: String,
    },
}

pub(super) struct ListRouter {
    values: ListValues,
    field: Expression,
    option: Option<RequestOption>,
}

enum ListValues {
    Fixed(Vec<Json>),
    Template(Expression),
}

/// A parent stream, and what its records give to the child's partitions.
pub(super) struct Parent {
    pub(super) stream: Arc<Stream>,
    key: Expression,
    field: Expression,
    extra: Vec<Vec<Expression>>,
    option: Option<RequestOption>,
    incremental: bool,
    /// Where the parent's record holds the first page of the child, which need not be asked for then.
    first_page: Vec<Expression>,
}

/// The name under which a slice carries its first page.
pub(super) const FIRST_PAGE: &str = "child_response";

impl Router {
    /// Whether slices may carry their first page.
    pub(super) fn brings_first_pages(&self) -> bool {
        match self {
            Self::Substream(parents) => parents.iter().any(|parent| !parent.first_page.is_empty()),
            Self::Grouped { router, .. } => router.brings_first_pages(),
            Self::Union { routers, .. } | Self::Product(routers) => {
                routers.iter().any(Self::brings_first_pages)
            }
            Self::List(_) => false,
        }
    }

    /// Adds the names of the streams that are read for the partitions, at any depth.
    pub(super) fn parents<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::List(_) => {}
            Self::Substream(parents) => {
                for Parent { stream, .. } in parents.iter() {
                    names.push(&stream.name);
                    stream.router.iter().for_each(|router| router.parents(names));
                }
            }
            Self::Grouped { router, .. } => router.parents(names),
            Self::Union { routers, .. } | Self::Product(routers) => {
                routers.iter().for_each(|router| router.parents(names));
            }
        }
    }

    /// The router of a retriever; `load_parent` loads a parent stream.
    pub(super) fn load(
        retriever: &Node<'_>,
        load_parent: &dyn Fn(&Node<'_>) -> Result<Stream, Trouble>,
    ) -> Result<Option<Self>, Trouble> {
        let mut routers = Vec::new();
        for node in retriever.children("partition_router") {
            routers.push(Self::load_one(&node, load_parent)?);
        }
        let is_list = retriever.get("partition_router").is_some_and(Json::is_array);
        Ok(match routers.len() {
            0 => None,
            1 if !is_list => routers.pop(),
            _ => Some(Self::Product(routers)),
        })
    }

    fn load_one(
        node: &Node<'_>,
        load_parent: &dyn Fn(&Node<'_>) -> Result<Stream, Trouble>,
    ) -> Result<Self, Trouble> {
        let option = |node: &Node<'_>| -> Result<Option<RequestOption>, Trouble> {
            node.child("request_option").map(|option| RequestOption::load(&option)).transpose()
        };
        match node.kind() {
            "ListPartitionRouter" => Ok(Self::List(ListRouter {
                values: match node.get("values") {
                    Some(Json::Array(values)) => ListValues::Fixed(values.clone()),
                    _ => ListValues::Template(node.needed("values")?),
                },
                field: node.needed("cursor_field")?,
                option: option(node)?,
            })),
            "SubstreamPartitionRouter" => {
                let mut parents = Vec::new();
                for config in node.children("parent_stream_configs") {
                    let extra = config.get("extra_fields").and_then(Json::as_array);
                    let path = |path: &Json| -> Vec<Expression> {
                        let steps = path.as_array().into_iter().flatten();
                        steps.filter_map(|step| config.expression_of(step)).collect()
                    };
                    parents.push(Parent {
                        stream: Arc::new(load_parent(&config.needed_child("stream")?)?),
                        key: config.needed("parent_key")?,
                        field: config.needed("partition_field")?,
                        extra: extra.into_iter().flatten().map(path).collect(),
                        option: option(&config)?,
                        incremental: config.flag("incremental_dependency"),
                        first_page: config.expressions("lazy_read_pointer"),
                    });
                }
                if parents.is_empty() {
                    return Err(node.missing("parent_stream_configs"));
                }
                Ok(Self::Substream(Arc::new(parents)))
            }
            "GroupingPartitionRouter" => {
                let router = node.needed_child("underlying_partition_router")?;
                let router = Self::load_one(&router, load_parent)?;
                let size = node.int("group_size").and_then(|size| usize::try_from(size).ok());
                let size = size.filter(|size| *size > 0);
                Ok(Self::Grouped {
                    router: Box::new(router),
                    size: size.ok_or_else(|| node.missing("group_size"))?,
                    once: node.get("deduplicate").and_then(Json::as_bool).unwrap_or(true),
                })
            }
            "UnionPartitionRouter" => {
                let routers = node.children("partition_routers");
                let field = node.text("partition_field");
                Ok(Self::Union {
                    routers: routers
                        .iter()
                        .map(|router| Self::load_one(router, load_parent))
                        .collect::<Result<_, _>>()?,
                    field: field.ok_or_else(|| node.missing("partition_field"))?.to_owned(),
                })
            }
            _ => Err(node.unsupported("partition router")),
        }
    }

    /// What the requests for a partition carry.
    pub(super) fn parts(&self, session: &Session, slice: &StreamSlice) -> Result<Parts, Trouble> {
        let mut parts = Parts::default();
        let mut put = |option: &Option<RequestOption>, field: &Expression| -> Result<(), Trouble> {
            let Some(option) = option else { return Ok(()) };
            let field = field.text(session.scope())?;
            match slice.partition().get(&field).filter(|value| is_truthy(value)) {
                Some(value) => option.put(session, &mut parts, value.clone()),
                None => Ok(()),
            }
        };
        match self {
            Self::List(list) => put(&list.option, &list.field)?,
            Self::Substream(parents) => {
                for parent in parents.iter() {
                    put(&parent.option, &parent.field)?;
                }
            }
            Self::Grouped { .. } | Self::Union { .. } => {}
            Self::Product(routers) => {
                for router in routers {
                    let added = router.parts(session, slice)?;
                    for (name, value) in added.query {
                        parts.query.entry(name).or_insert(value);
                    }
                    for (name, value) in added.headers {
                        parts.headers.entry(name).or_insert(value);
                    }
                    parts.merge(Parts {
                        form: added.form,
                        json: added.json,
                        ..Parts::default()
                    })?;
                }
            }
        }
        Ok(parts)
    }
}

impl ListRouter {
    fn partitions(&self, session: &Session) -> Result<VecDeque<StreamSlice>, Trouble> {
        let values = match &self.values {
            ListValues::Fixed(values) => values.clone(),
            ListValues::Template(template) => match template.eval(session.scope())? {
                Json::Array(values) => values,
                Json::String(text) => text.chars().map(|c| Json::String(c.to_string())).collect(),
                Json::Object(entries) => entries.into_iter().map(|(key, _)| key.into()).collect(),
                other => {
                    return Err(Trouble::config(format!("`{}` is no list", text_of(&other))));
                }
            },
        };
        let field = self.field.text(session.scope())?;
        let slice = |value| {
            StreamSlice::new(Map::from_iter([(field.clone(), value)]), Map::new(), Map::new())
        };
        Ok(values.into_iter().map(slice).collect())
    }
}

/// Partitions as they are found.
pub(super) enum Partitions {
    Fixed(VecDeque<StreamSlice>),
    Substream(Box<Substream>),
    Grouped(Box<Groups>),
    Union(Box<Union>),
}

/// The partitions that the records of parent streams make.
pub(super) struct Substream {
    session: Arc<Session>,
    parents: Arc<Vec<Parent>>,
    at: usize,
    reader: Option<StreamReader>,
    found: VecDeque<StreamSlice>,
    /// The state of the child, which holds those of the parents.
    child_state: Map<String, Json>,
    parent_state: Map<String, Json>,
}

impl Partitions {
    /// The partitions of `router`, or one for the whole stream.
    pub(super) fn new(
        session: &Arc<Session>,
        router: Option<&Router>,
        child_state: &Map<String, Json>,
    ) -> BoxFuture<'static, Result<Self, Trouble>> {
        let lists = match router {
            None => return ready(Ok(Self::Fixed(VecDeque::from([StreamSlice::default()])))),
            Some(Router::List(list)) => {
                return ready(list.partitions(session).map(Self::Fixed));
            }
            Some(Router::Substream(parents)) => {
                return ready(Ok(Self::Substream(Box::new(Substream {
                    session: session.clone(),
                    parents: parents.clone(),
                    at: 0,
                    reader: None,
                    found: VecDeque::new(),
                    child_state: child_state.clone(),
                    parent_state: Map::new(),
                }))));
            }
            Some(Router::Grouped { router, size, once }) => {
                let inner = Self::new(session, Some(router), child_state);
                let (size, seen) = (*size, once.then(HashSet::new));
                return async move {
                    let inner = inner.await?;
                    Ok(Self::Grouped(Box::new(Groups { inner, size, seen })))
                }
                .boxed();
            }
            Some(Router::Union { routers, field }) => {
                let each = routers.iter().map(|r| Self::new(session, Some(r), child_state));
                let (each, field) = (each.collect::<Vec<_>>(), field.clone());
                return async move {
                    let mut inners = Vec::with_capacity(each.len());
                    for inner in each {
                        inners.push(inner.await?);
                    }
                    let seen = HashSet::new();
                    Ok(Self::Union(Box::new(Union { inners, at: 0, field, seen })))
                }
                .boxed();
            }
            Some(Router::Product(routers)) => routers
                .iter()
                .map(|router| Self::new(session, Some(router), &Map::new()))
                .collect::<Vec<_>>(),
        };
        async move {
            let mut product = vec![StreamSlice::default()];
            for list in lists {
                let mut list = list.await?;
                let mut all = Vec::new();
                while let Some(slice) = list.next().await? {
                    all.push(slice);
                }
                product = product
                    .iter()
                    .flat_map(|left| all.iter().map(move |right| combined(left, right)))
                    .collect();
            }
            Ok(Self::Fixed(product.into()))
        }
        .boxed()
    }

    /// The next partition.
    pub(super) fn next(&mut self) -> BoxFuture<'_, Result<Option<StreamSlice>, Trouble>> {
        async move {
            match self {
                Self::Fixed(slices) => Ok(slices.pop_front()),
                Self::Substream(substream) => substream.next().await,
                Self::Grouped(groups) => groups.next().await,
                Self::Union(union) => union.next().await,
            }
        }
        .boxed()
    }

    /// The state of the parent streams, where there are any.
    pub(super) fn parent_state(&self) -> Option<Json> {
        match self {
            Self::Fixed(_) => None,
            Self::Substream(substream) => Some(Json::Object(substream.parent_state.clone())),
            Self::Grouped(groups) => groups.inner.parent_state(),
            Self::Union(union) => {
                let mut all = Map::new();
                for state in union.inners.iter().filter_map(Self::parent_state) {
                    if let Json::Object(state) = state {
                        all.extend(state);
                    }
                }
                Some(Json::Object(all))
            }
        }
    }
}

fn ready<T: Send + 'static>(value: T) -> BoxFuture<'static, T> {
    std::future::ready(value).boxed()
}

fn combined(left: &StreamSlice, right: &StreamSlice) -> StreamSlice {
    let both = |first: &Map<String, Json>, second: &Map<String, Json>| {
        let mut map = second.clone();
        map.extend(first.clone());
        map
    };
    StreamSlice::new(
        both(left.partition(), right.partition()),
        Map::new(),
        both(left.extra_fields(), right.extra_fields()),
    )
}

impl Substream {
    async fn next(&mut self) -> Result<Option<StreamSlice>, Trouble> {
        loop {
            if let Some(slice) = self.found.pop_front() {
                return Ok(Some(slice));
            }
            let Some(parent) = self.parents.get(self.at) else { return Ok(None) };
            let reader = match &mut self.reader {
                Some(reader) => reader,
                None => {
                    let state = parent.state(&self.session, &self.child_state)?;
                    let reader = StreamReader::new(&self.session, &parent.stream, &state).await?;
                    self.reader.insert(reader)
                }
            };
            match reader.step().await? {
                Step::Page { slice, records } => {
                    // With a state, the child is asked for what is new in it.
                    let is_first = self.child_state.keys().all(|name| name == NO_CURSOR_STATE);
                    for record in records.made()? {
                        let slice = parent.slice(&self.session, &slice, record, is_first)?;
                        if let Some(slice) = slice {
                            self.found.push_back(slice);
                        }
                    }
                }
                Step::SliceDone { .. } => {}
                Step::SliceFailed(trouble) => {
                    parent.note_state(reader, &mut self.parent_state);
                    return Err(trouble);
                }
                Step::End => {
                    parent.note_state(reader, &mut self.parent_state);
                    self.reader = None;
                    self.at += 1;
                }
            }
        }
    }
}

impl Parent {
    /// Notes how far the parent was read, where the child depends on it.
    fn note_state(&self, reader: &StreamReader, states: &mut Map<String, Json>) {
        if self.incremental {
            states.insert(self.stream.name.clone(), Json::Object(reader.state()));
        }
    }

    /// The state that the parent begins with: that of the last run, where the child depends on it.
    fn state(
        &self,
        session: &Session,
        child: &Map<String, Json>,
    ) -> Result<Map<String, Json>, Trouble> {
        let mut child = child.clone();
        child.shift_remove(NO_CURSOR_STATE);
        if !self.incremental || child.is_empty() {
            return Ok(Map::new());
        }
        let map = |value: Option<&Json>| value.and_then(Json::as_object).cloned();
        let own = child.get("parent_state").and_then(|parents| parents.get(&self.stream.name));
        if let Some(state) = map(own) {
            return Ok(state);
        }
        if let Some(state) = map(child.get("state")) {
            return Ok(state);
        }
        if let (1, Some(value), Some(cursor)) =
            (child.len(), child.values().next(), &self.stream.cursor)
        {
            return Ok(Map::from_iter([(cursor.field(session)?, value.clone())]));
        }
        Ok(Map::new())
    }

    /// The partition that a record of the parent makes; `None` where it has no key.
    fn slice(
        &self,
        session: &Session,
        parent: &StreamSlice,
        record: Record,
        is_first: bool,
    ) -> Result<Option<StreamSlice>, Trouble> {
        let record = Json::Object(record);
        let key = self.key.text(session.scope())?;
        let path: Vec<String> =
            key.split('/').filter(|step| !step.is_empty()).map(str::to_owned).collect();
        let Some(value) = at(&record, &path).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let mut partition = Map::new();
        partition.insert(self.field.text(session.scope())?, value.clone());
        partition.insert("parent_slice".to_owned(), Json::Object(parent.partition().clone()));
        let mut extra = Map::new();
        let find = |path: &[Expression]| -> Result<_, Trouble> {
            let mut steps = Vec::with_capacity(path.len());
            for step in path {
                steps.push(step.text(session.scope())?);
            }
            let found = at(&record, &steps).cloned();
            Ok((steps, found))
        };
        if is_first && !self.first_page.is_empty() {
            extra.extend(find(&self.first_page)?.1.map(|page| (FIRST_PAGE.to_owned(), page)));
        }
        for path in &self.extra {
            let (steps, found) = find(path)?;
            extra.insert(steps.join("."), found.unwrap_or(Json::Null));
        }
        Ok(Some(StreamSlice::new(partition, Map::new(), extra)))
    }
}
