//! One handler serves every collection; the document has each collection's paths by themselves,
//! with its own schema, example and tag.

use gateway_core::resource::Collection;
use utoipa::openapi::path::{Operation, Parameter, PathItem};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayBuilder, ArrayItems};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ContentBuilder, ObjectBuilder, OpenApi, RefOr, Required, Response, Schema};

use super::examples;

const LIST: &str = "/v1/{collection}";
const ONE: &str = "/v1/{collection}/{name}";
const JSON: &str = "application/json";

/// Puts each collection's paths in the place of the two general ones.
pub(super) fn expand(api: &mut OpenApi) {
    let list = api.paths.paths.remove(LIST).expect("a handler has it");
    let one = api.paths.paths.remove(ONE).expect("handlers have it");
    for &collection in Collection::ALL {
        let wire = collection.wire_name();
        let schema = schema_of(api, collection);
        let (list, one) = (
            list_of(&list, wire, &schema),
            one_of(&one, collection, &schema),
        );
        api.paths
            .paths
            .insert(LIST.replace("{collection}", wire), list);
        api.paths
            .paths
            .insert(ONE.replace("{collection}", wire), one);
        let tag = TagBuilder::new().name(wire).build();
        api.tags.get_or_insert_default().push(tag);
    }
}

/// The schema of the collection's resources, found where the document's own schema uses it.
fn schema_of(api: &OpenApi, collection: Collection) -> RefOr<Schema> {
    let wire = collection.wire_name();
    let schemas = api
        .components
        .as_ref()
        .map(|components| &components.schemas);
    let properties = schemas.and_then(|schemas| schemas.get("ApplicationGatewayProperties"));
    if let Some(RefOr::T(Schema::Object(properties))) = properties
        && let Some(RefOr::T(Schema::Array(array))) = properties.properties.get(wire)
        && let ArrayItems::RefOrSchema(items) = &array.items
    {
        return (**items).clone();
    }
    RefOr::T(Schema::Object(ObjectBuilder::new().build()))
}

fn list_of(template: &PathItem, wire: &str, schema: &RefOr<Schema>) -> PathItem {
    let mut item = template.clone();
    if let Some(get) = &mut item.get {
        name(get, "list", wire);
        let value = ArrayBuilder::new().items(schema.clone());
        let list = ObjectBuilder::new()
            .property("value", value)
            .required("value");
        shows(get, RefOr::T(Schema::Object(list.build())));
    }
    item
}

fn one_of(template: &PathItem, collection: Collection, schema: &RefOr<Schema>) -> PathItem {
    let wire = collection.wire_name();
    let mut item = template.clone();
    if let Some(get) = &mut item.get {
        name(get, "get", wire);
        shows(get, schema.clone());
    }
    if let Some(put) = &mut item.put {
        name(put, "put", wire);
        let content = ContentBuilder::new().schema(Some(schema.clone()));
        let content = content.example(examples::resource(collection)).build();
        let body = RequestBodyBuilder::new()
            .description(Some("JSON; comments and trailing commas are taken."))
            .content(JSON, content)
            .required(Some(Required::True));
        put.request_body = Some(RefOr::T(body.build()));
    }
    if let Some(delete) = &mut item.delete {
        name(delete, "delete", wire);
    }
    item
}

/// Gives an operation its identity within the collection, and takes the general parameter away.
fn name(operation: &mut Operation, verb: &str, wire: &str) {
    let (first, rest) = wire.split_at(1);
    operation.operation_id = Some(format!("{verb}{}{rest}", first.to_ascii_uppercase()));
    operation.tags = Some(vec![wire.to_owned()]);
    let parameters = operation.parameters.iter_mut();
    for parameters in parameters {
        parameters.retain(|parameter| {
            let RefOr::T(Parameter { name, .. }) = parameter else {
                return true;
            };
            name != "collection"
        });
    }
}

/// Says what the operation's 200 holds.
fn shows(operation: &mut Operation, schema: RefOr<Schema>) {
    if let Some(RefOr::T(Response { content, .. })) = operation.responses.responses.get_mut("200") {
        let shown = ContentBuilder::new().schema(Some(schema)).build();
        content.insert(JSON.to_owned(), RefOr::T(shown));
    }
}
