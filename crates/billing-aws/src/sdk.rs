//! What all the AWS clients' errors have in common.

use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use std::error::Error;

/// Codes by which AWS services say "not now".
const PASSING: [&str; 18] = [
    "InternalFailure",
    "InternalServerError",
    "InternalServiceError",
    "InternalServiceErrorException",
    "KmsThrottled",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionConflictException",
    "TransactionInProgressException",
    "ReplicatedWriteConflictException",
];

/// What went wrong, by the service's code; by the transport's own words where no service answered.
///
/// A service's message is left out: services like to quote what they refuse, and what they refuse here is customers' data.
pub(crate) fn describe<E: Error + ProvideErrorMetadata + 'static>(error: &SdkError<E>) -> String {
    match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            format!("{} (HTTP {status})", service.err().code().unwrap_or("an error without a code"))
        }
        SdkError::TimeoutError(_) => "no answer in time".to_owned(),
        SdkError::DispatchFailure(failure) => failure
            .as_connector_error()
            .map_or_else(|| "no connection".to_owned(), |cause| DisplayErrorContext(cause).to_string()),
        SdkError::ResponseError(response) => {
            format!("an answer that cannot be read (HTTP {})", response.raw().status().as_u16())
        }
        _ => "the request could not be built".to_owned(),
    }
}

/// Whether the same request may succeed later. What got no answer may: and it may have been carried out.
pub(crate) fn may_pass<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status();
            let is_known = service.err().code().is_some_and(|code| PASSING.contains(&code));
            is_known || status.is_server_error() || status.as_u16() == 429
        }
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        _ => false,
    }
}

/// The service's code, if a service answered.
pub(crate) fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<&str> {
    match error {
        SdkError::ServiceError(service) => service.err().code(),
        _ => None,
    }
}
