//! The token in a page's address: nothing is believed that was not signed.

use api::token::{Claims, Signer};
use billing_aws::secrets::SecretText;
use billing_core::session::SessionId;

/// An input is a token; a `$` in it stands for one that is right.
pub(crate) fn feed(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let signer = Signer::new(&[SecretText::new(&"s".repeat(32))]).unwrap();
    let claims = Claims { session_id: SessionId::new("csSESSION1").unwrap(), expires_at: crate::world::now() };
    let right = signer.sign(&claims);
    let token = text.replacen('$', &right, 1);
    match signer.verify(&token) {
        Ok(read) => assert_eq!((&token, read), (&right, claims), "what was not signed was believed"),
        Err(_) => assert_ne!(token, right, "what was signed is refused"),
    }
}
