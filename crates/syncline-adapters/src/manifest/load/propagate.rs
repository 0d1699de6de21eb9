//! `$parameters` and types that are left out.

use serde_json::{Map, Value as Json};

const TYPES: &[(&str, &str)] = &[
    ("AddFields.fields", "AddedFieldDefinition"),
    ("CompositeErrorHandler.error_handlers", "DefaultErrorHandler"),
    ("ConfigComponentsResolver.components_mapping", "ComponentMappingDefinition"),
    ("ConfigComponentsResolver.stream_config", "StreamConfig"),
    ("CursorPagination.decoder", "JsonDecoder"),
    ("CustomPartitionRouter.parent_stream_configs", "ParentStreamConfig"),
    ("DatetimeBasedCursor.end_datetime", "MinMaxDatetime"),
    ("DatetimeBasedCursor.end_time_option", "RequestOption"),
    ("DatetimeBasedCursor.start_datetime", "MinMaxDatetime"),
    ("DatetimeBasedCursor.start_time_option", "RequestOption"),
    ("DeclarativeSource.check", "CheckStream"),
    ("DeclarativeSource.spec", "Spec"),
    ("DeclarativeSource.streams", "DeclarativeStream"),
    ("DeclarativeStream.retriever", "SimpleRetriever"),
    ("DeclarativeStream.schema_loader", "JsonFileSchemaLoader"),
    ("DefaultErrorHandler.response_filters", "HttpResponseFilter"),
    ("DefaultPaginator.decoder", "JsonDecoder"),
    ("DefaultPaginator.page_size_option", "RequestOption"),
    ("DpathExtractor.decoder", "JsonDecoder"),
    ("DpathExtractor.record_expander", "RecordExpander"),
    ("DynamicDeclarativeStream.stream_template", "DeclarativeStream"),
    ("DynamicSchemaLoader.retriever", "SimpleRetriever"),
    ("FixedWindowCallRatePolicy.matchers", "HttpRequestRegexMatcher"),
    ("HttpComponentsResolver.components_mapping", "ComponentMappingDefinition"),
    ("HttpComponentsResolver.retriever", "SimpleRetriever"),
    ("HttpRequester.error_handler", "DefaultErrorHandler"),
    ("ListPartitionRouter.request_option", "RequestOption"),
    ("MovingWindowCallRatePolicy.matchers", "HttpRequestRegexMatcher"),
    ("ParentStreamConfig.request_option", "RequestOption"),
    ("ParentStreamConfig.stream", "DeclarativeStream"),
    ("RecordSelector.extractor", "DpathExtractor"),
    ("RecordSelector.record_filter", "RecordFilter"),
    ("SchemaTypeIdentifier.types_map", "TypesMap"),
    ("SimpleRetriever.paginator", "NoPagination"),
    ("SimpleRetriever.record_selector", "RecordSelector"),
    ("SimpleRetriever.requester", "HttpRequester"),
    ("SubstreamPartitionRouter.parent_stream_configs", "ParentStreamConfig"),
    ("UnlimitedCallRatePolicy.matchers", "HttpRequestRegexMatcher"),
];

const CUSTOM_TYPES: &[(&str, &str)] = &[
    ("CompositeErrorHandler.backoff_strategies", "CustomBackoffStrategy"),
    ("DeclarativeStream.retriever", "CustomRetriever"),
    ("DeclarativeStream.transformations", "CustomTransformation"),
    ("DefaultErrorHandler.backoff_strategies", "CustomBackoffStrategy"),
    ("DefaultPaginator.pagination_strategy", "CustomPaginationStrategy"),
    ("HttpRequester.authenticator", "CustomAuthenticator"),
    ("HttpRequester.error_handler", "CustomErrorHandler"),
    ("RecordSelector.extractor", "CustomRecordExtractor"),
    ("SimpleRetriever.partition_router", "CustomPartitionRouter"),
];

const PARAMETERS: &str = "$parameters";

/// Gives each component below `component` its type and the parameters of what it stands in. A component's
/// own parameters win, unless `parents_win`, and a field never gets the parameter of its own name.
pub(super) fn propagate(
    place: &str,
    component: &mut Map<String, Json>,
    inherited: &Map<String, Json>,
    parents_win: bool,
) {
    if !component.contains_key("type") {
        let types = if component.contains_key("class_name") { CUSTOM_TYPES } else { TYPES };
        if let Some((_, name)) = types.iter().find(|(at, _)| *at == place) {
            component.insert("type".to_owned(), Json::from(*name));
        }
    }
    let mut parameters = inherited.clone();
    if let Some(Json::Object(mut own)) = component.shift_remove(PARAMETERS) {
        if parents_win {
            own.extend(std::mem::take(&mut parameters));
            parameters = own;
        } else {
            parameters.extend(own);
        }
    }
    if is_schema(component) {
        return;
    }
    let Some(kind) = component.get("type").and_then(Json::as_str).map(str::to_owned) else {
        if component.values().any(is_component) {
            for value in component.values_mut().filter(|value| is_component(value)) {
                if let Json::Object(nested) = value {
                    propagate(place, nested, &parameters, parents_win);
                }
            }
        }
        return;
    };
    for (name, value) in &parameters {
        let known = component.get(name);
        if !known.is_some_and(is_truthy) {
            component.insert(name.clone(), value.clone());
        }
    }
    let names: Vec<String> = component.keys().cloned().collect();
    for name in names {
        let Some(value) = component.get_mut(&name) else { continue };
        let nested: Vec<&mut Map<String, Json>> = match value {
            Json::Object(nested) => vec![nested],
            Json::Array(items) => items.iter_mut().filter_map(Json::as_object_mut).collect(),
            _ => continue,
        };
        let excluded = parameters.shift_remove(&name);
        let place = format!("{kind}.{name}");
        for nested in nested {
            propagate(&place, nested, &parameters, parents_win);
        }
        if let Some(excluded) = excluded.filter(is_truthy) {
            parameters.insert(name, excluded);
        }
    }
    if !parameters.is_empty() {
        component.insert(PARAMETERS.to_owned(), Json::Object(parameters));
    }
}

/// A JSON schema of an object is data, not a component.
fn is_schema(component: &Map<String, Json>) -> bool {
    match component.get("type") {
        Some(Json::String(kind)) => kind == "object",
        // A list of types, or a property that is called `type`.
        Some(Json::Array(_) | Json::Object(_)) => true,
        _ => false,
    }
}

fn is_component(value: &Json) -> bool {
    value.as_object().and_then(|entries| entries.get("type")).is_some_and(is_truthy)
}

/// Whether a value says anything: neither null, false, zero nor empty.
pub(in super::super) fn is_truthy(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::Bool(b) => *b,
        Json::Number(number) => number.as_f64() != Some(0.0),
        Json::String(text) => !text.is_empty(),
        Json::Array(items) => !items.is_empty(),
        Json::Object(entries) => !entries.is_empty(),
    }
}
