//! What every operation has in common: headers, refusals, and the token.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, Header, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder,
};

/// Refusals, by status: the name of the component, and when.
const REFUSALS: [(u16, &str, &str); 13] = [
    (
        400,
        "BadRequest",
        "The body, the query or a precondition cannot be understood, or the document is not valid: `error.details` has every finding with its place.",
    ),
    (
        401,
        "Unauthorized",
        "A token is set, and the request has none or another.",
    ),
    (
        403,
        "Forbidden",
        "The request comes from a page of another site.",
    ),
    (
        404,
        "NotFound",
        "There is none of that name, or no configuration yet.",
    ),
    (408, "RequestTimeout", "The body did not arrive in time."),
    (
        409,
        "Conflict",
        "The configuration is read from a file, an address cannot be listened on, or something refers to what would be deleted.",
    ),
    (
        412,
        "PreconditionFailed",
        "`If-Match` or `If-None-Match` does not hold; `ETag` has the current tag.",
    ),
    (413, "PayloadTooLarge", "The body is longer than is read."),
    (
        415,
        "UnsupportedMediaType",
        "The body's type cannot be JSON, or it is compressed.",
    ),
    (421, "MisdirectedRequest", "`Host` is no name of this API."),
    (
        500,
        "InternalServerError",
        "The gateway failed; its log has the cause under `requestId`.",
    ),
    (503, "ServiceUnavailable", "The gateway is shutting down."),
    (
        405,
        "MethodNotAllowed",
        "The method is not for this path; `Allow` has those that are.",
    ),
];

/// Headers of every answer: name, and what it says.
const HEADERS: [(&str, &str, Type); 3] = [
    (
        "Gateway-Revision",
        "The revision that is live: counts what users changed.",
        Type::Integer,
    ),
    (
        "Gateway-Generation",
        "The generation that is live: counts new DNS answers and certificates too.",
        Type::Integer,
    ),
    (
        "X-Request-Id",
        "Names the request in the gateway's log.",
        Type::String,
    ),
];

/// Preconditions (RFC 9110 section 13): field, and what it says.
const PRECONDITIONS: [(&str, &str); 2] = [
    (
        "If-Match",
        "Tags in double quotes, one of which the resource must have; `*`: it must exist.",
    ),
    (
        "If-None-Match",
        "On a read, tags that the client has; on a write only `*`: it must not exist.",
    ),
];

/// What is under `/v1/` and no part of the document.
const WITHOUT_TAGS: [&str; 2] = ["/v1/backendHealth", "/v1/events"];

const TOKEN: &str = "token";

/// Adds the components and refers every operation to them.
pub(super) fn add(api: &mut OpenApi) {
    let components = api.components.get_or_insert_default();
    add_components(components);
    for (path, item) in &mut api.paths.paths {
        let open = path == "/healthz" || path == "/readyz";
        let named = path.ends_with("/{name}");
        let is_runtime = RUNTIME.iter().any(|part| path.contains(part));
        for (method, operation) in operations(item) {
            let mut statuses = vec![403, 421, 500];
            if !open {
                statuses.push(401);
                operation.security = Some(vec![
                    SecurityRequirement::new::<_, [&str; 0], &str>(TOKEN, []),
                    SecurityRequirement::default(),
                ]);
            }
            add_headers(operation);
            if is_runtime {
                statuses.extend(of_runtime(path, operation));
                add_refusals(operation, &statuses);
                continue;
            }
            if path == "/v1/events" {
                statuses.push(400);
            }
            if path.starts_with("/v1/") && !WITHOUT_TAGS.contains(&path.as_str()) {
                statuses.extend([400, 412]);
                add_preconditions(operation);
            }
            if named && method != Method::Put {
                statuses.push(404);
            }
            match method {
                Method::Get | Method::Post => {}
                Method::Put => statuses.extend([408, 409, 413, 415, 503]),
                Method::Delete => statuses.extend([409, 503]),
            }
            share_answers(operation, method, components);
            add_refusals(operation, &statuses);
        }
    }
}

/// Parts of the paths of what is no configuration: it has no tags, and files do not forbid it.
const RUNTIME: [&str; 4] = ["/connections", "/drains", "/targets/", "/rebalance"];

/// How an operation on what is no configuration may be refused.
fn of_runtime(path: &str, operation: &Operation) -> Vec<u16> {
    let mut statuses = Vec::new();
    let parameters = operation.parameters.iter().flatten();
    let takes_query = parameters.into_iter().any(|parameter| {
        matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query)
    });
    if takes_query {
        statuses.push(400);
    }
    if path.contains('{') {
        statuses.push(404);
    }
    if operation.request_body.is_some() {
        statuses.extend([400, 408, 413, 415]);
    }
    if path.ends_with("/rebalance") {
        statuses.push(409);
    }
    statuses
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Post,
    Put,
    Delete,
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let all = [
        (Method::Get, &mut item.get),
        (Method::Post, &mut item.post),
        (Method::Put, &mut item.put),
        (Method::Delete, &mut item.delete),
    ];
    let all = all.into_iter();
    all.filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn add_preconditions(operation: &mut Operation) {
    let parameters = operation.parameters.get_or_insert_default();
    for (name, _) in PRECONDITIONS {
        let parameter = Ref::new(format!("#/components/parameters/{name}"));
        parameters.push(RefOr::Ref(parameter));
    }
}

fn add_headers(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        let RefOr::T(Response { headers, .. }) = response else {
            continue;
        };
        for (name, ..) in HEADERS {
            let header = Ref::new(format!("#/components/headers/{name}"));
            headers.insert(name.to_owned(), RefOr::Ref(header));
        }
    }
}

/// Puts the answers that are the same for every collection in one place: the document is reviewed.
fn share_answers(operation: &mut Operation, method: Method, components: &mut Components) {
    for (status, response) in &mut operation.responses.responses {
        let name = match (method, status.as_str()) {
            (Method::Put, "200") => "Written",
            (Method::Put, "201") => "Created",
            (Method::Delete, "200") => "WouldBeDeleted",
            (Method::Delete, "204") => "Deleted",
            (Method::Get, "304") => "NotModified",
            _ => continue,
        };
        let shared = Ref::new(format!("#/components/responses/{name}"));
        let own = std::mem::replace(response, RefOr::Ref(shared));
        components.responses.insert(name.to_owned(), own);
    }
}

fn add_refusals(operation: &mut Operation, statuses: &[u16]) {
    for (status, name, _) in REFUSALS {
        if statuses.contains(&status) {
            let refusal = Ref::new(format!("#/components/responses/{name}"));
            let responses = &mut operation.responses.responses;
            responses.insert(status.to_string(), RefOr::Ref(refusal));
        }
    }
}

fn add_components(components: &mut Components) {
    for (name, about, kind) in HEADERS {
        let header = header(about, kind);
        components.headers.insert(name.to_owned(), RefOr::T(header));
    }
    for (status, name, about) in REFUSALS {
        let response = refusal(status, about);
        components
            .responses
            .insert(name.to_owned(), RefOr::T(response));
    }
    for (name, about) in PRECONDITIONS {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(about))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
        let parameter = RefOr::T(parameter.build());
        components.parameters.insert(name.to_owned(), parameter);
    }
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("Needed where the gateway was started with a token."));
    let token = SecurityScheme::Http(token.build());
    components
        .security_schemes
        .insert(TOKEN.to_owned(), RefOr::T(token));
}

fn header(about: &str, kind: Type) -> Header {
    let schema = ObjectBuilder::new().schema_type(kind);
    let header = HeaderBuilder::new().schema(Some(schema));
    header.description(Some(about)).build()
}

fn refusal(status: u16, about: &str) -> Response {
    let problem = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    let mut response = ResponseBuilder::new()
        .description(about)
        .content("application/problem+json", problem);
    let extra = match status {
        401 => Some(("WWW-Authenticate", "How to authenticate (RFC 6750).")),
        405 => Some(("Allow", "The methods of this path.")),
        412 => Some(("ETag", "The current tag.")),
        _ => None,
    };
    if let Some((name, about)) = extra {
        response = response.header(name, header(about, Type::String));
    }
    for (name, ..) in HEADERS {
        let reference = Ref::new(format!("#/components/headers/{name}"));
        response = response.header_ref(name, reference);
    }
    response.build()
}
