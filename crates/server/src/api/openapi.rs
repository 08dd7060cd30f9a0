//! The description of the API: OpenAPI 3.1, generated from the handlers themselves.

use axum::Json;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidings",
        description = "Notifications: stored, decided, and on every device within milliseconds. Servers send with an API key, users read with their token.",
        license(name = "MIT OR Apache-2.0")
    ),
    servers((url = "/api/v1"), (url = "/api")),
    modifiers(&Security)
)]
pub(super) struct Description;

struct Security;

impl Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        components.add_security_scheme("userToken", SecurityScheme::Http(token));
        let key = ApiKey::Header(ApiKeyValue::with_description(
            "X-API-Key",
            "An API key, `tdk_…`; `Authorization: Bearer tdk_…` works too",
        ));
        components.add_security_scheme("apiKey", SecurityScheme::ApiKey(key));
    }
}

/// The whole description.
pub fn document() -> utoipa::openapi::OpenApi {
    super::described().split_for_parts().1
}

pub(super) async fn serve() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}
