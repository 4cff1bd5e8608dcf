//! AWS credentials, looked for once before anything is read: as the SDK looks for them, and nothing is sent to AWS.
use crate::objects::s3::errors::chain;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::config::ProvideCredentials as _;

/// What a look for credentials came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    There,
    /// No place has any: only an operator can help. The text says where was looked.
    Nowhere(String),
    /// A place that ought to have some did not give them: that may pass.
    Failed(String),
}

/// Where the SDK looks, in its order.
const PLACES: &str = "AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY in the environment; a profile (AWS_PROFILE, \
                      ~/.aws/credentials, ~/.aws/config); a web identity (AWS_WEB_IDENTITY_TOKEN_FILE with \
                      AWS_ROLE_ARN); a container's role (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, \
                      AWS_CONTAINER_CREDENTIALS_FULL_URI); the machine's role (instance metadata, which \
                      AWS_EC2_METADATA_DISABLED=true leaves out)";

/// Asks each place in turn; a machine without instance metadata takes some seconds. The caller bounds the wait.
pub async fn look(region: &str) -> Look {
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
    let config = loader.region(Region::new(region.to_owned())).load().await;
    let Some(provider) = config.credentials_provider() else {
        return Look::Nowhere(PLACES.to_owned());
    };
    match provider.provide_credentials().await {
        Ok(_) => Look::There,
        // The type has no name that the SDK's clients give out; its variant says that every place was asked.
        Err(e) if format!("{e:?}").starts_with("CredentialsNotLoaded") => {
            Look::Nowhere(PLACES.to_owned())
        }
        Err(e) => Look::Failed(chain(&e)),
    }
}
